use serde_json::{Value, json};
use time::Duration;
use time::macros::datetime;

use super::*;
use crate::connector::Observed;
use crate::fixtures::{VERSION, document, secret, written};
use crate::hub::Pat;
use crate::ids::{TokenId, VersionId};
use crate::secret::labels::History;
use crate::secret::{Document, Secret};
use crate::time::{Timestamp, rfc3339};

const NOW: Timestamp = datetime!(2026-11-24 10:00 UTC);
const HOUR: Duration = Duration::HOUR;
const PREVIOUS: &str = "11111111-0000-4000-a000-000000000000";
const OLDER: &str = "22222222-0000-4000-a000-000000000000";
const EDITED: &str = "44444444-0000-4000-a000-000000000000";
const ORPHAN: &str = "33333333-0000-4000-a000-000000000000";

/// AWSCURRENT (`VERSION`) replaced AWSPREVIOUS (`PREVIOUS`) two days ago.
struct Case {
    secret: Secret,
    connector: Option<Observed>,
    pats: Vec<Pat>,
    contents: Contents,
    history: Option<History>,
    remembered: Remembered,
    elsewhere: bool,
    grace: Duration,
    skip_grace: bool,
    now: Timestamp,
}

fn replaced_two_days_ago() -> Case {
    let mut secret = secret(&[(VERSION, &["AWSCURRENT"]), (PREVIOUS, &["AWSPREVIOUS"])]);
    secret.tags.insert("hubkeeper".into(), "managed".into());
    secret.last_changed = Some(NOW - Duration::days(2));
    let connector = Some(connector(&secret, VERSION, NOW - Duration::days(2)));
    let made = |version: &str, days: i64| (version.into(), NOW - Duration::days(days));
    Case {
        pats: vec![pat(&secret, "new", VERSION), pat(&secret, "old", PREVIOUS)],
        contents: [
            holds(VERSION, 1, Some("new")),
            holds(PREVIOUS, 0, Some("old")),
            holds(OLDER, 7, Some("older")),
            holds(ORPHAN, 8, Some("orphan")),
        ]
        .into(),
        history: Some([made(VERSION, 2), made(PREVIOUS, 30), made(OLDER, 60), made(ORPHAN, 5)].into()),
        secret,
        connector,
        remembered: Remembered::Nothing,
        elsewhere: false,
        grace: Duration::DAY,
        skip_grace: false,
        now: NOW,
    }
}

fn connector(secret: &Secret, version: &str, proved_at: Timestamp) -> Observed {
    let mut body = written(&document(|_| {}), version, None);
    body["tags"]["hubkeeper-secret"] = json!(secret.fingerprint());
    body["tags"]["hubkeeper-proved-at"] = json!(rfc3339(proved_at));
    Observed::parse(body).unwrap()
}

fn pat(secret: &Secret, id: &str, version: &str) -> Pat {
    Pat {
        id: id.into(),
        label: secret.token_label(&version.into()),
        active: true,
        created_at: Some(NOW - Duration::days(30)),
        last_used: None,
        expires_at: None,
    }
}

/// A version that holds a token.
fn holds(version: &str, number: usize, token_id: Option<&str>) -> (VersionId, Content) {
    let stored = Stored::Token(TokenNumber(number));
    (version.into(), Content { stored, token_id: token_id.map(TokenId::from) })
}

/// A version that holds no token.
fn lacks(version: &str, stored: Stored) -> (VersionId, Content) {
    (version.to_owned().into(), Content { stored, token_id: None })
}

fn retag(connector: &mut Option<Observed>, secret: &Secret, tag: &str, value: Value) {
    let mut body = written(&document(|_| {}), VERSION, None);
    body["tags"]["hubkeeper-secret"] = json!(secret.fingerprint());
    body["tags"]["hubkeeper-proved-at"] = json!(rfc3339(NOW - Duration::days(2)));
    body["tags"][tag] = value;
    *connector = Observed::parse(body);
}

impl Case {
    fn inventory(&self) -> Inventory<'_> {
        Inventory {
            stock: Stock::new(&self.pats, &self.secret, self.connector.as_ref(), &self.contents, self.now),
            organization: "acme",
            history: self.history.as_ref(),
            remembered: self.remembered,
            elsewhere: self.elsewhere,
            grace: self.grace,
            skip_grace: self.skip_grace,
        }
    }

    /// Another AWSCURRENT, which the connector carries too and which holds this token.
    fn put(&mut self, number: usize, token_id: Option<&str>) {
        self.label(EDITED, "AWSCURRENT", (number, token_id));
        self.secret.versions.insert(VERSION.into(), vec!["AWSPREVIOUS".into()]);
        self.secret.versions.remove(PREVIOUS);
        self.connector = Some(connector(&self.secret, EDITED, NOW - Duration::days(2)));
        self.history.as_mut().unwrap().insert(EDITED.into(), NOW - Duration::days(2));
    }

    /// A version under a label that holds this token.
    fn label(&mut self, version: &str, label: &str, (number, token_id): (usize, Option<&str>)) {
        self.secret.versions.insert(version.into(), vec![label.into()]);
        self.contents.extend([holds(version, number, token_id)]);
    }

    fn plan(&self) -> (Vec<String>, Vec<&'static str>) {
        let Retirement { steps, warnings } = plan(&self.inventory());
        let name = |step: &Step| match step {
            Step::DeactivateToken { id } => format!("deactivate {id}"),
            Step::DeleteToken { id } => format!("delete {id}"),
            Step::ActivateToken { id } => format!("activate {id}"),
            other => panic!("{other:?}"),
        };
        (steps.iter().map(name).collect(), warnings.iter().map(|warning| warning.code.name()).collect())
    }
}

/// The versions whose values are requested, the steps, and the codes of the warnings, given all values.
fn judged(case: &Case) -> (BTreeSet<VersionId>, Vec<String>, Vec<&'static str>) {
    let (steps, warnings) = case.plan();
    (wants(&case.inventory()).values, steps, warnings)
}

mod due;
mod in_use;
