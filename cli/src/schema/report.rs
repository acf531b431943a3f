//! What the function returns (docs/report.md).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::text::{Time, Uuid};

/// What the function returns, and what `--output json` prints.
#[derive(JsonSchema)]
#[schemars(untagged, title = "hubkeeper: a report of the function")]
pub enum Response {
    /// The report of an event about one secret.
    One(Report),
    /// The reports of an event about several secrets.
    Several(Several),
    /// A page of the status.
    Status(Page),
    /// The checks of doctor.
    Checks(Checks),
    /// The response to records of SQS.
    Records(Failures),
    /// The state of one secret.
    Item(Item),
}

/// The checks of doctor (docs/doctor.md).
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Checks {
    /// The name of the action.
    #[schemars(extend("const" = "doctor"))]
    pub action: String,
    /// Always `unchanged`: doctor writes nothing.
    #[schemars(extend("const" = "unchanged"))]
    pub outcome: String,
    /// The version of the function, or of the command line.
    pub version: String,
    /// ARN of the checked secret, once it is known.
    pub secret_id: Option<String>,
    /// The organization, the connector, and the connector as it would be written.
    pub subject: Option<BTreeMap<String, Value>>,
    /// The checks, in the order in which they run.
    pub checks: Vec<CheckResult>,
    /// What only live services tell.
    pub facts: Vec<Fact>,
    /// The exchanges, if the event asks for them.
    pub transcript: Option<Value>,
}

/// One check of doctor.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct CheckResult {
    /// The name of the check.
    pub check: String,
    /// The section that it belongs to.
    pub section: String,
    /// What it looks at.
    pub title: String,
    /// The result.
    pub state: CheckState,
    /// What it found.
    pub detail: String,
    /// What to do.
    pub remedy: Option<String>,
    /// The page of the repository that helps.
    pub page: Option<String>,
    /// The type of the error, for a failure.
    pub error_type: Option<ErrorType>,
    /// The failed check that this one needs.
    pub because: Option<String>,
}

/// The result of a check.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum CheckState {
    /// As hubkeeper needs it.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It does not work.
    Failure,
    /// A check before it failed, or the right to look is missing.
    NotReached,
}

/// What only live services tell (docs/verified.md).
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Fact {
    /// The item of docs/verified.md.
    pub item: String,
    /// What was found.
    pub found: String,
}

/// How an event ended.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum Outcome {
    /// An error other than a refusal.
    Failed,
    /// hubkeeper refused the token or the change.
    Refused,
    /// The deadline came first.
    NotReached,
    /// A person must act first.
    Awaiting,
    /// Something was written.
    Applied,
    /// `mode: plan`: something would be written.
    Planned,
    /// `verify`: the verdict is `complete`.
    Proven,
    /// Noted: a rotation that ended without success, or a message that the queue accepted.
    Recorded,
    /// Nothing needs to change.
    Unchanged,
    /// Not for this function.
    Ignored,
}

/// The type of an error.
#[derive(JsonSchema)]
pub enum ErrorType {
    /// A variable, the document, a role or an id is wrong.
    Misconfigured,
    /// The token failed its proof, or the connector belongs to somebody else.
    Refused,
    /// The cause is unknown or temporary.
    Retryable,
    /// Only a person can continue.
    NeedsHuman,
    /// The event has no known shape.
    BadEvent,
}

/// The report of an event about one secret.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Report {
    /// `rotation:<step>`, or the name of the action or event.
    pub action: String,
    /// Whether the event wrote: `apply` or `plan`.
    pub mode: Mode,
    /// How the event ended.
    pub outcome: Outcome,
    /// Docker Hub organization, once known.
    pub organization: Option<String>,
    /// ARN of the secret once known, else the id in the event.
    pub secret_id: Option<String>,
    /// The version that the event is about.
    pub version_id: Option<String>,
    /// Why the run did nothing.
    pub reason: Option<String>,
    /// The verdict of the proof, if the run proved a token.
    pub verdict: Option<Verdict>,
    /// The connector, once known.
    pub connector: Option<Connector>,
    /// The invitation of the dedicated user, if the run looked it up.
    pub invitation: Option<Invitation>,
    /// The tokens: ids and times, never values.
    pub tokens: Tokens,
    /// `mode: plan`: the steps that `apply` would run, in order.
    pub plan: Option<Vec<Step>>,
    /// The stages of the run, in order.
    pub stages: Vec<Stage>,
    /// Findings that stop nothing.
    pub warnings: Vec<Warning>,
    /// The type of the error, in an item of several.
    pub error_type: Option<ErrorType>,
    /// The error and its remedy, in an item of several.
    pub error_message: Option<String>,
}

/// Whether an event wrote.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum Mode {
    /// The plan ran.
    Apply,
    /// The plan was returned alone.
    Plan,
}

/// The verdict of a proof.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Verdict {
    /// The kind of verdict.
    pub result: Finding,
    /// How many repositories the token sees.
    pub repositories: u64,
    /// How many of them are private.
    pub private: u64,
    /// What Defender does not scan although the token reads it.
    pub not_scanned: NotScanned,
    /// The first repositories that are missing or cannot be pulled.
    pub missing: Vec<String>,
    /// How many repositories are missing or cannot be pulled.
    pub missing_count: u64,
    /// The reasons, in words.
    pub reasons: Vec<String>,
    /// Warnings of the proof.
    pub warnings: Vec<Warning>,
}

/// The kind of a verdict.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum Finding {
    /// Docker Hub rejects the token.
    Rejected,
    /// Nothing is known: a rate limit, an outage or a deadline.
    Inconclusive,
    /// The token can do more than read.
    OverPrivileged,
    /// A repository is missing or cannot be pulled.
    Partial,
    /// The token reads the whole organization, and nothing more.
    Complete,
}

/// What Defender does not scan although the token reads it.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct NotScanned {
    /// How many repositories are public.
    pub public: u64,
    /// How many repositories of the sample hold multi-platform images.
    pub indexes: u64,
}

/// The connector in a report.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Connector {
    /// Its resource id in Azure.
    pub id: String,
    /// What the run did to it.
    pub change: Change,
    /// Defender's own report about it, if there is one.
    pub health: Option<Health>,
}

/// What a run did to the connector.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum Change {
    /// Created.
    Created,
    /// Written.
    Updated,
    /// Not written.
    None,
    /// Deleted, or gone already.
    Deleted,
    /// `mode: plan`: it would be created.
    WouldCreate,
    /// `mode: plan`: it would be written.
    WouldUpdate,
    /// `mode: plan`: it would be deleted.
    WouldDelete,
}

/// Defender's own report about a connector.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Health {
    /// `Healthy`, `NotHealthy` or `NotApplicable`; Microsoft may add others.
    pub status: String,
    /// The reason, in Defender's words.
    pub reason: Option<String>,
    /// Since when the status has held.
    pub status_changed_at: Option<Time>,
    /// When Defender checked.
    pub last_scanned_at: Option<Time>,
    /// How many issues are open.
    pub issue_count: u64,
    /// The first three of them.
    #[schemars(length(max = 3))]
    pub issues: Vec<Issue>,
}

/// An issue of Defender's report.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Issue {
    /// What is wrong.
    pub name: String,
    /// What to do.
    pub remediation: Option<String>,
}

/// The invitation of the dedicated user.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Invitation {
    /// Whether it is about to be sent, was sent, or was accepted.
    pub state: InvitationState,
    /// When it was first sent.
    pub sent_at: Option<Time>,
    /// Full days since then.
    pub age_days: Option<i64>,
    /// How often it was sent again.
    pub resends: Option<u8>,
}

/// The state of an invitation.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum InvitationState {
    /// It is about to be sent.
    Asked,
    /// It was sent, and nobody has accepted it.
    Pending,
    /// The user is a member.
    Member,
}

/// The tokens in a report: ids and times, never values.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Tokens {
    /// Uuid of the token that this run made.
    pub minted: Option<Uuid>,
    /// Uuids of the tokens that this run deactivated or deleted.
    pub retired: Vec<Uuid>,
    /// When the token was last used before this run.
    pub last_used: Option<Time>,
    /// When the token expires.
    pub expires_at: Option<Time>,
}

/// A step of a plan; its other fields depend on the step.
#[derive(JsonSchema)]
pub struct Step {
    /// The name of the step.
    #[schemars(extend("pattern" = "^[a-z][A-Za-z]*$"))]
    pub step: String,
    /// What the step is about, such as the version.
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

/// A stage of a run.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Stage {
    /// Its name, such as `prove`.
    pub name: String,
    /// Its result.
    pub status: StageStatus,
    /// Its duration in milliseconds; the stages of `hubkeeper rotate` have none.
    pub duration_ms: Option<u64>,
}

/// The result of a stage.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum StageStatus {
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
    /// It is not done yet; `hubkeeper rotate` alone.
    Open,
}

/// A finding that stops nothing.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Warning {
    /// What it is about; docs/report.md lists the codes, which never change.
    #[schemars(extend("pattern" = "^[a-z][A-Za-z]*$"))]
    pub code: String,
    /// What was found, and what to do.
    pub message: String,
}

/// The reports of an event about several secrets.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Several {
    /// The worst outcome of all secrets.
    pub outcome: Outcome,
    /// One report for each secret; of a large fleet the worst ones, as many as fit into the response.
    pub items: Vec<Report>,
    /// How many secrets have no report among the items, by outcome.
    pub omitted: Option<BTreeMap<String, u64>>,
}

/// A page of the status.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Page {
    /// Always `unchanged`.
    #[schemars(extend("const" = "unchanged"))]
    pub outcome: String,
    /// The secrets, worst first.
    pub items: Vec<Item>,
    /// Leads to the next page; absent on the last one.
    pub next: Option<String>,
}

/// The state of one secret.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Item {
    /// Docker Hub organization.
    pub organization: Option<String>,
    /// ARN of the secret; the id that the event named, if the secret could not be read.
    pub secret_id: String,
    /// The worst state that applies.
    pub state: State,
    /// Why, and what to do.
    pub reason: Option<String>,
    /// When the token in use expires.
    pub expires_at: Option<Time>,
    /// Full days until then; negative after it.
    pub days_left: Option<i64>,
    /// The version labelled AWSCURRENT.
    pub version_id: Option<String>,
    /// The version that the connector has.
    pub carried_version_id: Option<String>,
    /// When hubkeeper first proved that version.
    pub proved_at: Option<Time>,
    /// How many repositories that proof read.
    pub repositories: Option<u64>,
    /// How many of them are private.
    pub private: Option<u64>,
    /// Defender's own report about the connector.
    pub health: Option<Health>,
    /// When Secrets Manager rotates next.
    pub next_rotation_at: Option<Time>,
    /// The version labelled `HUBKEEPER_CANDIDATE`.
    pub candidate_version_id: Option<String>,
    /// The invitation of the dedicated user.
    pub invitation: Option<Invitation>,
    /// The type of the error, if the state is `unknown` because of one.
    pub error_type: Option<ErrorType>,
}

/// The state of a secret.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum State {
    /// The token in use has expired.
    Expired,
    /// A rotation does not end, or its leftover blocks the next one.
    Stuck,
    /// The secret or its connector could not be read.
    Unknown,
    /// The connector differs from the secret.
    Drifted,
    /// There is no token until a person acts.
    Awaiting,
    /// A candidate has not been adopted.
    CandidateWaiting,
    /// The token in use expires within 30 days.
    Expiring,
    /// A rotation is in progress.
    Rotating,
    /// hubkeeper no longer keeps the connector.
    Offboarded,
    /// The connector has AWSCURRENT, and nobody has to act.
    Ready,
}

/// The response to records of SQS.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failures {
    /// The records that the queue delivers again.
    pub batch_item_failures: Vec<FailedRecord>,
}

/// A record that the queue delivers again.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct FailedRecord {
    /// Id of the message.
    pub item_identifier: String,
}
