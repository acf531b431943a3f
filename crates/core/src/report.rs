//! What one event came to: the return value, the log line and the record of the run are this one value (docs/report.md).

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::connector::Health;
use crate::error::Error;
use crate::outcome::Outcome;
use crate::plan::Step;
use crate::proof::Verdict;
use crate::request::Request;
use crate::secret::Invitation;
use crate::time::{Timestamp, age_days, rfc3339};
use crate::warning::Warning;

/// What happened to the connector.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// It was made.
    Created,
    /// It was written.
    Updated,
    /// It was there and was not written.
    None,
    /// It was deleted, or was gone.
    Deleted,
    /// `mode: plan`: it would be made.
    WouldCreate,
    /// `mode: plan`: it would be written.
    WouldUpdate,
    /// `mode: plan`: it would be deleted.
    WouldDelete,
}

/// The connector in the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ConnectorReport {
    /// Its ARM resource id.
    pub id: String,
    /// What happened to it.
    pub change: Change,
    /// What Defender says about its health; read by reconcile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// The tokens in the report: ids and times, never values.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TokensReport {
    /// Uuid of the PAT that this run made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minted: Option<String>,
    /// Uuids of PATs that this run deactivated or deleted.
    pub retired: Vec<String>,
    /// When the token in question was last used, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<String>,
    /// When the token in question expires, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
}

/// How far the invitation of an onboarding from zero is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InvitationReport {
    /// `asked`, `pending` or `member`.
    pub state: &'static str,
    /// When it was sent first, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<String>,
    /// Full days since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_days: Option<i64>,
    /// Times that it was sent again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resends: Option<u8>,
}

impl InvitationReport {
    /// A state, seen now.
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

/// How a stage of the run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StageStatus {
    /// It did what it is for.
    Done,
    /// It ended in an error.
    Failed,
}

/// One stage of the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub status: StageStatus,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
}

/// What one event came to.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `rotation:<step>`, an action's name, or an event's.
    pub action: String,
    /// `apply` or `plan`.
    pub mode: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// The Docker Hub organization, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// ARN of the secret, once known, else what the event called it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<String>,
    /// The version in question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// Why nothing was done, where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The proof's verdict, where there was a proof.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The connector, once known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<ConnectorReport>,
    /// The invitation of the dedicated user, where the owner looked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invitation: Option<InvitationReport>,
    /// The tokens.
    pub tokens: TokensReport,
    /// `mode: plan`: the steps that `apply` would run, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Vec<Step>>,
    /// The stages of the run, in order.
    pub stages: Vec<Stage>,
    /// What stops nothing but should be known.
    pub warnings: Vec<Warning>,
    /// The kind of the failure, in an item of a fleet's report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<&'static str>,
    /// The failure, in an item of a fleet's report.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// How long the work on this secret took, where there was any. For the metrics alone.
    #[serde(skip)]
    pub duration: Option<Duration>,
    /// Whether the secret is offboarded. For the metrics alone.
    #[serde(skip)]
    pub is_given_up: bool,
    /// Whether a connector was there before this run, once known. For a custom resource alone.
    #[serde(skip)]
    pub found_connector: Option<bool>,
    /// Whether this run created the connector, or may have. For a custom resource alone.
    #[serde(skip)]
    pub may_have_created: bool,
    /// Whether the stack's resource that asks had asked for the connector before (tag `hubkeeper-stack`).
    #[serde(skip)]
    pub is_stack_own: bool,
}

impl Report {
    /// A report that nothing has been put into yet.
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
            is_given_up: false,
            found_connector: None,
            may_have_created: false,
            is_stack_own: false,
        }
    }

    /// Notes what happened to the connector; what is known of its health stays.
    pub fn connector(&mut self, id: String, change: Change) {
        let health = self.connector.take().and_then(|known| known.health);
        self.connector = Some(ConnectorReport { id, change, health });
    }

    /// Keeps a proof's verdict, and its warnings among those of the run.
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

    /// Notes how a stage that lasted from `since` to `now` ended.
    pub fn stage<T>(&mut self, since: Timestamp, now: Timestamp, name: &'static str, result: &Result<T, Error>) {
        let duration_ms = u64::try_from((now - since).whole_milliseconds()).unwrap_or(0);
        let status = if result.is_ok() { StageStatus::Done } else { StageStatus::Failed };
        self.stages.push(Stage { name, status, duration_ms });
    }

    /// Ends the report with an error: the item of a fleet, or what is logged beside the function error.
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

    /// The JSON that is returned and logged.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

/// What an event over several secrets came to.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FleetReport {
    /// The worst of the items.
    pub outcome: Outcome,
    /// One report for each secret.
    pub items: Vec<Report>,
}

impl FleetReport {
    /// The report of all `items`.
    pub fn new(items: Vec<Report>) -> Self {
        let outcome = items.iter().map(|item| item.outcome).min().unwrap_or(Outcome::Unchanged);
        Self { outcome, items }
    }
}

/// A report that nothing has been put into but what the request says.
pub fn new_report(request: &Request) -> Report {
    let name = request.trigger.name();
    let action = if request.trigger.is_rotation() { format!("rotation:{name}") } else { name.to_owned() };
    let mut report = Report::new(action, request.mode.name());
    report.secret_id = Some(request.secret_id.clone());
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outcome_of_many_is_the_worst() {
        let mut reports = vec![Report::new("onboard", "apply"); 3];
        reports[0].outcome = Outcome::Applied;
        reports[1].outcome = Outcome::Refused;
        assert_eq!(FleetReport::new(reports).outcome, Outcome::Refused);
        assert_eq!(FleetReport::new(Vec::new()).outcome, Outcome::Unchanged);
    }
}
