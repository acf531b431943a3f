//! Derives the status of a managed secret from what was read. Nothing here comes from Docker Hub.

pub mod page;

use serde::Serialize;

use crate::connector::{Found, Health, Observed};
use crate::error::Error;
use crate::ids::VersionId;
use crate::plan::refusals::unstick;
use crate::report::InvitationReport;
use crate::secret::document::expiry_warning;
use crate::secret::{Document, Invitation, Kept, KeptConnector, Label, Managed, Secret};
use crate::time::{Timestamp, rfc3339};
use crate::warning::WarningCode;

/// Age at which the AWSPENDING of a finished rotation counts as stuck: AWS removes it by itself within minutes.
const LEFTOVER: time::Duration = time::Duration::HOUR;

/// The states of a secret, worst first. An item has the worst state that applies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// The token in use has expired.
    Expired,
    /// A rotation has been in progress for more than a day, or its leftover AWSPENDING blocks the next one.
    Stuck,
    /// The secret or its connector could not be read.
    Unknown,
    /// The connector differs from the secret: it is missing, has another version, or was changed by somebody else.
    Drifted,
    /// There is no token until a person accepts the invitation or puts a token.
    Awaiting,
    /// A version staged `HUBKEEPER_CANDIDATE` has not been adopted.
    CandidateWaiting,
    /// The token in use expires within 30 days.
    Expiring,
    /// A rotation is in progress.
    Rotating,
    /// The secret is offboarded.
    Offboarded,
    /// The connector carries AWSCURRENT, and nobody has to act.
    Ready,
}

impl State {
    /// Every state, worst first.
    pub const ALL: [State; 10] = [
        State::Expired,
        State::Stuck,
        State::Unknown,
        State::Drifted,
        State::Awaiting,
        State::CandidateWaiting,
        State::Expiring,
        State::Rotating,
        State::Offboarded,
        State::Ready,
    ];

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            State::Expired => "expired",
            State::Stuck => "stuck",
            State::Unknown => "unknown",
            State::Drifted => "drifted",
            State::Awaiting => "awaiting",
            State::CandidateWaiting => "candidateWaiting",
            State::Expiring => "expiring",
            State::Rotating => "rotating",
            State::Offboarded => "offboarded",
            State::Ready => "ready",
        }
    }

    /// Returns the state with this name in JSON.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Its name for people.
    pub fn words(self) -> &'static str {
        match self {
            State::CandidateWaiting => "candidate waits",
            state => state.name(),
        }
    }

    /// The sign before its name, which needs no colour.
    pub fn sign(self) -> &'static str {
        match self {
            State::Ready => "✓",
            State::Rotating => "↻",
            State::Offboarded => "-",
            State::Expiring | State::CandidateWaiting | State::Awaiting => "!",
            State::Unknown => "?",
            State::Expired | State::Stuck | State::Drifted => "✗",
        }
    }
}

/// What was read about one secret. No `Debug`: the document holds a token.
pub struct Seen {
    /// Labels and tags, with `pending_since` if a rotation is in progress.
    pub secret: Secret,
    /// The document of AWSCURRENT, or why it is invalid; `None` if AWSCURRENT has no value.
    pub document: Result<Option<Document>, Error>,
    /// The document of AWSPENDING, if a rotation is in progress and has stored one.
    pub pending: Option<Document>,
    /// The connector, or why it could not be read; `None` if neither tag nor document names one.
    pub connector: Option<Result<Found, Error>>,
    /// The connector's health as Defender reports it, if it could be read.
    pub health: Option<Health>,
}

/// The status of one secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Docker Hub organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// ARN; if the secret could not be read, the requested id.
    pub secret_id: String,
    /// The worst state that applies.
    pub state: State,
    /// The reason for the state, and the remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the token in use expires, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Full days until the token expires; negative afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days_left: Option<i64>,
    /// The version that is AWSCURRENT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<VersionId>,
    /// The version in the connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carried_version_id: Option<VersionId>,
    /// When the version in the connector was first proven, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proved_at: Option<String>,
    /// Number of repositories that the proof of that version read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repositories: Option<usize>,
    /// How many of these are private.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<usize>,
    /// The connector's health as Defender reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// When Secrets Manager starts the next rotation, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_rotation_at: Option<String>,
    /// The version staged `HUBKEEPER_CANDIDATE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate_version_id: Option<VersionId>,
    /// The state of the dedicated user's invitation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invitation: Option<InvitationReport>,
    /// The kind of the error, in state `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<&'static str>,
}

/// A page of the fleet's status.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Page {
    /// Always `unchanged`: the action writes nothing.
    pub outcome: crate::outcome::Outcome,
    /// The items, worst first.
    pub items: Vec<Item>,
    /// Start of the next page; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl Page {
    /// Sorts the items, worst first; equally bad ones by organization.
    pub fn new(mut items: Vec<Item>, next: Option<String>) -> Self {
        items.sort_by(|one, other| {
            (one.state, &one.organization, &one.secret_id).cmp(&(other.state, &other.organization, &other.secret_id))
        });
        Self { outcome: crate::outcome::Outcome::Unchanged, items, next }
    }
}

impl Item {
    fn empty(secret_id: String) -> Self {
        Self {
            organization: None,
            secret_id,
            state: State::Ready,
            reason: None,
            expires_at: None,
            days_left: None,
            version_id: None,
            carried_version_id: None,
            proved_at: None,
            repositories: None,
            private: None,
            health: None,
            next_rotation_at: None,
            candidate_version_id: None,
            invitation: None,
            error_type: None,
        }
    }

    /// Returns the item of a secret that could not be read.
    pub fn unreadable(secret_id: String, error: &Error) -> Self {
        Self {
            state: State::Unknown,
            reason: Some(error.to_string()),
            error_type: Some(error.kind().name()),
            ..Self::empty(secret_id)
        }
    }

    /// Returns the item of a secret. `client_id` is the function's own, `now` the time of reading.
    pub fn of(seen: &Seen, client_id: &str, now: Timestamp) -> Self {
        let secret = &seen.secret;
        let document = seen.document.as_ref().ok().and_then(Option::as_ref);
        let kept = match secret.kept() {
            Kept::Connector(kept) => Some(kept),
            Kept::Unknown | Kept::Unreadable => None,
        };
        let mut item = Self::empty(secret.arn.clone());
        item.organization =
            document.map(|document| document.organization.clone()).or(kept.map(|kept| kept.organization));
        if let Some(expires_at) = document.and_then(|document| document.expires_at) {
            item.expires_at = Some(rfc3339(expires_at));
            item.days_left = Some((expires_at - now).whole_seconds().div_euclid(86_400));
        }
        item.version_id = secret.version(Label::Current).cloned();
        item.candidate_version_id = secret.version(Label::Candidate).cloned();
        item.next_rotation_at = secret.schedule.as_ref().and_then(|schedule| schedule.next).map(rfc3339);
        item.invitation = secret.invitation().ok().flatten().map(|invitation| InvitationReport::new(invitation, now));
        if let Some(observed) = seen.ours(item.organization.as_deref()) {
            item.carried_version_id = observed.version();
            item.proved_at = observed.proved_at().map(rfc3339);
            if let Some(proved) = observed.proved() {
                (item.repositories, item.private) = (Some(proved.repositories), Some(proved.private));
            }
            item.health.clone_from(&seen.health);
        }
        let mut findings = seen.findings(client_id, now);
        findings.sort_by_key(|finding| finding.state);
        if let Some(worst) = findings.into_iter().next() {
            item.state = worst.state;
            item.reason = Some(worst.reason);
            item.error_type = worst.error_type;
        } else if let Some(health) = seen.health.as_ref().filter(|health| !health.is_healthy()) {
            item.reason = Some(unhealthy(health));
        }
        item
    }
}

/// A state that applies, with its reason and remedy.
struct Finding {
    state: State,
    reason: String,
    error_type: Option<&'static str>,
}

impl Finding {
    fn new(state: State, reason: impl Into<String>) -> Self {
        Self { state, reason: reason.into(), error_type: None }
    }

    fn of(error: &Error) -> Self {
        Self { state: State::Unknown, reason: error.to_string(), error_type: Some(error.kind().name()) }
    }
}

impl Seen {
    /// Returns the connector if it has this secret's fingerprint.
    fn ours(&self, organization: Option<&str>) -> Option<&Observed> {
        let observed = self.connector.as_ref()?.as_ref().ok()?.observed()?;
        organization?;
        observed.bears(&self.secret.fingerprint()).then_some(observed)
    }

    fn findings(&self, client_id: &str, now: Timestamp) -> Vec<Finding> {
        match self.secret.managed() {
            Managed::Offboarded => return vec![self.offboarded()],
            Managed::No => {
                let reason = format!(
                    "the secret is not tagged hubkeeper = managed; to let hubkeeper manage it, {}",
                    ask("onboard", &self.secret)
                );
                return vec![Finding::new(State::Unknown, reason)];
            }
            Managed::Yes => {}
        }
        let mut findings = self.rotation(now);
        let document = match &self.document {
            Err(error) => {
                findings.push(Finding::of(error));
                return findings;
            }
            Ok(None) => {
                findings.push(Finding::new(State::Unknown, "AWSCURRENT has no value: put the secret's document"));
                return findings;
            }
            Ok(Some(document)) => document,
        };
        findings.extend(self.token(document, now));
        if document.access_token.is_some() {
            findings.extend(self.connector(document, client_id));
        }
        if let Some(candidate) = self.secret.version(Label::Candidate)
            && !self.secret.bears(candidate, Label::Current)
        {
            let reason = format!(
                "version {candidate} waits as HUBKEEPER_CANDIDATE: to adopt it, or to learn why it is refused, {}",
                ask("onboard", &self.secret)
            );
            findings.push(Finding::new(State::CandidateWaiting, reason));
        }
        findings
    }

    fn offboarded(&self) -> Finding {
        let reason = match &self.connector {
            Some(Ok(Found::Present(observed))) if observed.bears(&self.secret.fingerprint()) => {
                format!("its connector still exists: to delete it, {}", ask("offboard", &self.secret))
            }
            Some(Err(error)) => error.to_string(),
            _ => "delete the secret once reconcile has retired its tokens".to_owned(),
        };
        Finding::new(State::Offboarded, reason)
    }

    fn rotation(&self, now: Timestamp) -> Vec<Finding> {
        let secret = &self.secret;
        if let Some(pending) = secret.stuck_rotation(now) {
            let since = secret.pending_since.map(rfc3339).unwrap_or_default();
            return vec![Finding::new(
                State::Stuck,
                format!(
                    "version {pending} has been AWSPENDING since {since}: see why its steps fail, or end the rotation: {}",
                    unstick(secret, pending)
                ),
            )];
        }
        if let Some(pending) = secret.rotation_in_progress() {
            return vec![Finding::new(State::Rotating, format!("version {pending} is AWSPENDING"))];
        }
        let old = secret.last_changed.is_some_and(|changed| changed + LEFTOVER <= now);
        secret
            .leftover_pending()
            .filter(|_| old)
            .map(|pending| {
                let command = unstick(secret, pending);
                Finding::new(
                    State::Stuck,
                    format!("AWSPENDING is left over from a finished rotation and blocks the next: {command}"),
                )
            })
            .into_iter()
            .collect()
    }

    fn token(&self, document: &Document, now: Timestamp) -> Option<Finding> {
        if document.access_token.is_none() {
            let reason = match self.secret.invitation() {
                Ok(Some(Invitation::Pending { .. })) => {
                    "the dedicated user has to accept the invitation to the organization".to_owned()
                }
                _ => format!(
                    "the secret holds no token: stage one as HUBKEEPER_CANDIDATE, or {}",
                    ask("onboard", &self.secret)
                ),
            };
            return Some(Finding::new(State::Awaiting, reason));
        }
        let warning = expiry_warning(document, now)?;
        let arn = &self.secret.arn;
        let next = if document.manager.is_some() {
            format!("rotate the secret: hubkeeper rotate {arn}, or aws secretsmanager rotate-secret --secret-id {arn}")
        } else {
            format!("stage a new token as HUBKEEPER_CANDIDATE: hubkeeper stage {arn}")
        };
        match warning.code {
            WarningCode::Expired => Some(Finding::new(State::Expired, format!("{}; {next}", warning.message))),
            WarningCode::ExpiresSoon => Some(Finding::new(State::Expiring, format!("{}; {next}", warning.message))),
            _ => None,
        }
    }

    fn connector(&self, document: &Document, client_id: &str) -> Option<Finding> {
        let repair = || ask("reconcile", &self.secret);
        if self.secret.keeps_another(document) {
            let named = KeptConnector::of(document);
            return Some(Finding::new(
                State::Drifted,
                format!(
                    "the secret manages another connector than its document names ({named}): put a document that names the managed connector, or {}; then onboard it again",
                    ask("offboard", &self.secret)
                ),
            ));
        }
        let observed = match self.connector.as_ref()? {
            Err(error) => return Some(Finding::of(error)),
            Ok(Found::Absent) => {
                return Some(Finding::new(
                    State::Drifted,
                    format!("the connector does not exist: to create it, {}", repair()),
                ));
            }
            Ok(Found::Present(observed)) => observed,
        };
        let fingerprint = self.secret.fingerprint();
        // the document is AWSCURRENT's, so there is one
        let current = self.secret.version(Label::Current)?;
        if let Err(why) = observed.carries(document, &fingerprint, current) {
            let rotates = self.secret.rotation_in_progress().zip(self.pending.as_ref());
            let is_ahead =
                rotates.is_some_and(|(version, pending)| observed.carries(pending, &fingerprint, version).is_ok());
            return (!is_ahead).then(|| {
                Finding::new(State::Drifted, format!("the connector drifted: {why}; to repair it, {}", repair()))
            });
        }
        let writers: Vec<&str> = std::iter::once(client_id).chain(self.secret.writer()).collect();
        let drift = observed.drift(document, &writers)?;
        Some(Finding::new(State::Drifted, format!("the connector drifted: {drift}; to repair it, {}", repair())))
    }
}

/// Returns what a reason asks for: the command of the command line, or the event, each ready to be pasted.
fn ask(action: &str, secret: &Secret) -> String {
    let (name, id) = match action {
        "reconcile" => ("secretIds", serde_json::json!([secret.arn])),
        _ => ("secretId", serde_json::json!(secret.arn)),
    };
    let event = serde_json::json!({ "action": action, name: id });
    format!("run hubkeeper {action} {}, or send {event}", secret.arn)
}

fn unhealthy(health: &Health) -> String {
    let issue = health.issues.first();
    let words = issue.map(|issue| match &issue.remediation {
        Some(remediation) => format!("{}: {remediation}", issue.name),
        None => issue.name.clone(),
    });
    let words = words.or_else(|| health.reason.clone()).unwrap_or_else(|| "see the connector in the portal".into());
    format!("Defender reports the connector as not healthy: {words}")
}

#[cfg(test)]
mod tests;
