//! Values that the tests of several modules start from.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Value, json};
use time::macros::datetime;

use crate::connector::merge::{Desired, merge};
use crate::connector::{Coverage, Found, Observed};
use crate::ids::Fingerprint;
use crate::plan::state::{Keeping, Progress, State, Version, World};
use crate::request::Trigger;
use crate::secret::kept::CONNECTOR_TAG;
use crate::secret::{Document, KeptConnector, Label, Secret};
use crate::time::Timestamp;

pub(crate) const VERSION: &str = "11111111-1111-4111-a111-111111111111";
pub(crate) const CLIENT: &str = "c11e0000-0000-4000-a000-000000000001";

/// A document. `change` may alter its JSON.
pub(crate) fn document(change: impl FnOnce(&mut Value)) -> Document {
    let mut value = json!({
        "organization": "acme", "username": "acme-scanner", "accessToken": "dckr_pat_abc",
        "connector": {"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg", "name": "hub",
            "location": "westeurope", "scanIntervalHours": 12, "plans": ["containers"], "tags": {"team": "sec"}}
    });
    change(&mut value);
    Document::parse(&SecretString::from(value.to_string())).unwrap()
}

/// The body of a connector written by hubkeeper.
pub(crate) fn written(document: &Document, version: &str, observed: Option<&Observed>) -> Value {
    let token = SecretString::from("dckr_pat_abc");
    let desired = Desired {
        document,
        token: &token,
        fingerprint: &fingerprint("0123456789ab"),
        version: &version.into(),
        proved_at: datetime!(2026-11-24 10:00 UTC),
        proved: Coverage { repositories: 7, private: 3 },
    };
    merge(&desired, observed)
}

/// A secret with these versions and labels.
pub(crate) fn secret(versions: &[(&str, &[&str])]) -> Secret {
    Secret {
        arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf".into(),
        name: "hub".into(),
        rotation_enabled: true,
        deleted: false,
        versions: versions
            .iter()
            .map(|(id, labels)| ((*id).into(), labels.iter().map(|label| (*label).to_owned()).collect()))
            .collect(),
        tags: BTreeMap::new(),
        last_changed: None,
        schedule: None,
        pending_since: None,
    }
}

pub(crate) const OLD: &str = "00000000-0000-4000-a000-000000000000";

pub(crate) const NOW: Timestamp = datetime!(2026-11-24 10:00 UTC);

pub(crate) const DERIVED: &str = "dddddddddddddddddddddddddddddddd";

/// AWSCURRENT is `OLD` and AWSPENDING is `VERSION`; there is no connector and no verdict.
pub(crate) fn rotating() -> State {
    let mut secret = secret(&[(OLD, &["AWSCURRENT"]), (VERSION, &["AWSPENDING"])]);
    secret.tags.insert("hubkeeper".into(), "managed".into());
    secret.tags.insert(CONNECTOR_TAG.into(), KeptConnector::of(&document(|_| {})).tag_value().unwrap());
    State {
        world: World {
            secret,
            version: VERSION.into(),
            label: Label::Pending,
            document: Some(document(|value| value["accessToken"] = json!("dckr_pat_new"))),
            current: Some(Version { id: OLD.into(), document: document(|_| {}) }),
            candidate: None,
            pending: None,
            previous: None,
            pats: Ok(Vec::new()),
            read: Vec::new(),
            slot: None,
            connector: Some(Found::Absent),
            roster: None,
            keeping: Keeping { elsewhere: Some(Vec::new()), ..Keeping::default() },
            now: NOW,
        },
        progress: Progress::default(),
    }
}

/// AWSCURRENT is `VERSION`; there is nothing else.
pub(crate) fn settled() -> State {
    let mut state = rotating();
    state.world.secret.versions = [(VERSION.into(), vec!["AWSCURRENT".to_owned()])].into();
    state.world.label = Label::Current;
    state.world.document = Some(document(|_| {}));
    state.world.current = Some(Version { id: VERSION.into(), document: document(|_| {}) });
    state
}

pub(crate) fn connector(world: &World, version: &str, change: impl FnOnce(&mut Value)) -> Found {
    let mut body = written(&document(|_| {}), version, None);
    body["tags"]["hubkeeper-secret"] = json!(world.secret.fingerprint());
    change(&mut body);
    Found::Present(Box::new(Observed::parse(body).unwrap()))
}

pub(crate) fn onboard_trigger() -> Trigger {
    Trigger::Onboard { force: false, fix_role: false, version: None }
}

pub(crate) fn fingerprint(digits: &str) -> Fingerprint {
    Fingerprint::parse(digits).unwrap()
}
