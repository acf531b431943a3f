//! The result of one event. The return value, the log line and the record of the run are this one value (docs/report.md).

pub mod fleet;

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::connector::Health;
use crate::error::Error;
use crate::ids::{TokenId, VersionId};
use crate::outcome::Outcome;
use crate::plan::Step;
use crate::proof::Verdict;
use crate::request::Request;
use crate::secret::Invitation;
use crate::time::{Timestamp, age_days, rfc3339};
use crate::traffic::Traffic;
use crate::warning::Warning;

/// What the run did to the connector.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// Created.
    Created,
    /// Written.
    Updated,
    /// It exists and was not written.
    None,
    /// Deleted, or already gone.
    Deleted,
    /// `mode: plan`: `apply` would create it.
    WouldCreate,
    /// `mode: plan`: `apply` would write it.
    WouldUpdate,
    /// `mode: plan`: `apply` would delete it.
    WouldDelete,
}

/// The connector in a report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConnectorReport {
    /// Its ARM resource id.
    pub id: String,
    /// What the run did to it.
    pub change: Change,
    /// Its health as Defender reports it. Reconcile reads it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// The tokens in a report: ids and times, never values.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokensReport {
    /// UUID of the PAT that this run minted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minted: Option<TokenId>,
    /// UUIDs of the PATs that this run deactivated or deleted.
    pub retired: Vec<TokenId>,
    /// When the token that the report is about was last used, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// When the token that the report is about expires, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// The state of the invitation in an onboarding from zero.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvitationReport {
    /// `asked`, `pending` or `member`.
    pub state: &'static str,
    /// When it was first sent, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<String>,
    /// Full days since it was first sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_days: Option<i64>,
    /// How often it was sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resends: Option<u8>,
}

impl InvitationReport {
    /// The invitation in `state`, as of now.
    pub fn new(state: Invitation, now: Timestamp) -> Self {
        let pending = match state {
            Invitation::Pending { sent_at, resends } => Some((sent_at, resends)),
            Invitation::Asked | Invitation::Member => None,
        };
        Self {
            state: state.name(),
            sent_at: pending.map(|(sent_at, _)| rfc3339(sent_at)),
            age_days: pending.map(|(sent_at, _)| age_days(sent_at, now)),
            resends: pending.map(|(_, resends)| resends),
        }
    }
}

/// The result of a stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StageStatus {
    /// It succeeded.
    Done,
    /// It failed with an error.
    Failed,
}

/// One stage of the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Its name, such as `prove`.
    pub name: &'static str,
    /// Its result.
    pub status: StageStatus,
    /// Its duration in milliseconds.
    pub duration_ms: u64,
}

/// The result of one event for one secret.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `rotation:<step>`, or the name of the action or event.
    pub action: String,
    /// `apply` or `plan`.
    pub mode: &'static str,
    /// The outcome; docs/report.md explains each.
    pub outcome: Outcome,
    /// The Docker Hub organization, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// ARN of the secret once known, otherwise the id in the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<String>,
    /// The version that the event is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<VersionId>,
    /// Why the run did nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The verdict of the proof, if the run proved a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The connector, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorReport>,
    /// The invitation of the dedicated user, if the run looked it up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invitation: Option<InvitationReport>,
    /// The tokens.
    pub tokens: TokensReport,
    /// `mode: plan`: the steps that `apply` would run, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Vec<Step>>,
    /// The stages of the run, in order.
    pub stages: Vec<Stage>,
    /// Findings that do not stop the run.
    pub warnings: Vec<Warning>,
    /// The kind of the error, in an item of a fleet's report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<&'static str>,
    /// The error, in an item of a fleet's report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Duration of the work on this secret. Only the metrics use it.
    #[serde(skip)]
    pub duration: Option<Duration>,
    /// What the requests for this report cost. Only the metrics use it.
    #[serde(skip)]
    pub traffic: Traffic,
    /// Whether the secret is offboarded. Only the metrics use it.
    #[serde(skip)]
    pub is_given_up: bool,
    /// Whether the connector existed before this run, once known. Only a custom resource uses it.
    #[serde(skip)]
    pub found_connector: Option<bool>,
    /// Whether this run created the connector, or may have. Only a custom resource uses it.
    #[serde(skip)]
    pub may_have_created: bool,
    /// Whether the requesting resource of the stack had requested the connector before (tag `hubkeeper-stack`).
    #[serde(skip)]
    pub is_stack_own: bool,
}

impl Report {
    /// Returns an empty report.
    pub fn new(action: impl Into<String>, mode: &'static str) -> Self {
        Self {
            action: action.into(),
            mode,
            outcome: Outcome::Unchanged,
            organization: None,
            secret_id: None,
            version_id: None,
            reason: None,
            verdict: None,
            connector: None,
            invitation: None,
            tokens: TokensReport::default(),
            plan: None,
            stages: Vec::new(),
            warnings: Vec::new(),
            error_type: None,
            error_message: None,
            duration: None,
            traffic: Traffic::default(),
            is_given_up: false,
            found_connector: None,
            may_have_created: false,
            is_stack_own: false,
        }
    }

    /// Records what the run did to the connector, and keeps its health.
    pub fn connector(&mut self, id: String, change: Change) {
        let health = self.connector.take().and_then(|known| known.health);
        self.connector = Some(ConnectorReport { id, change, health });
    }

    /// Records a proof's verdict, and adds its warnings to those of the run.
    pub fn note_verdict(&mut self, verdict: &Verdict) {
        self.verdict = Some(verdict.clone());
        for warning in &verdict.warnings {
            self.warn(warning.clone());
        }
    }

    /// Adds a warning, once.
    pub fn warn(&mut self, warning: Warning) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Records the result of a stage that ran from `since` to `now`.
    pub fn stage<T>(&mut self, since: Timestamp, now: Timestamp, name: &'static str, result: &Result<T, Error>) {
        let duration_ms = u64::try_from((now - since).whole_milliseconds()).unwrap_or(0);
        let status = if result.is_ok() { StageStatus::Done } else { StageStatus::Failed };
        self.stages.push(Stage { name, status, duration_ms });
    }

    /// Ends the report with an error: for the item of a fleet, or for the log next to the function error.
    pub fn fail(&mut self, error: &Error) {
        self.outcome = match error.kind() {
            crate::error::Kind::Refused => Outcome::Refused,
            _ => Outcome::Failed,
        };
        if self.organization.is_none() {
            self.organization = error.organization().map(str::to_owned);
        }
        self.error_type = Some(error.kind().name());
        self.error_message = Some(error.to_string());
    }

    /// Returns the JSON that the function returns and logs.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

/// Returns a report with only the fields that the request determines.
pub fn new_report(request: &Request) -> Report {
    let name = request.trigger.name();
    let action = if request.trigger.is_rotation() { format!("rotation:{name}") } else { name.to_owned() };
    let mut report = Report::new(action, request.mode.name());
    report.secret_id = Some(request.secret_id.clone());
    report
}
