//! The events of the function (docs/events.md). The comments are the descriptions in the schema.
#![expect(clippy::doc_markdown, reason = "an editor shows no backticks")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use super::text::{SecretId, Time, Version};

/// An event that the function accepts.
#[derive(JsonSchema)]
#[schemars(untagged, title = "hubkeeper: an event of the function")]
pub enum Event {
    /// A step of a rotation, as Secrets Manager sends it.
    Rotation(Rotation),
    /// An action, as a person, a schedule or a state machine sends it.
    Action(Action),
    /// An event of EventBridge.
    EventBridge(EventBridge),
    /// A request of CloudFormation about a custom resource.
    CustomResource(CustomResource),
    /// Records of SQS.
    Records(Records),
    /// A call of CloudWatch for the documentation of the widget.
    Describe(Describe),
    /// A call of CloudWatch for the status page.
    Widget(Widget),
}

/// A step of a rotation, as Secrets Manager sends it.
#[derive(JsonSchema)]
#[schemars(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Rotation {
    /// The step.
    pub step: RotationStep,
    /// Name or ARN of the secret.
    pub secret_id: SecretId,
    /// The pending version.
    pub client_request_token: Version,
    /// A token that Secrets Manager passes; it is as secret as a password.
    #[schemars(length(min = 1, max = 2048))]
    pub rotation_token: Option<String>,
}

/// A step of a rotation.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum RotationStep {
    /// Makes or takes the token, as AWSPENDING.
    CreateSecret,
    /// Proves it and writes the connector.
    SetSecret,
    /// Checks the connector and the token.
    TestSecret,
    /// Moves AWSCURRENT.
    FinishSecret,
}

/// An action, as a person, a schedule or a state machine sends it.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum Action {
    /// Prove the token of one secret, and create or update its connector.
    Onboard(Onboard),
    /// The same for several secrets.
    OnboardMany(OnboardMany),
    /// Prove again, repair drifted connectors, retire replaced tokens.
    Reconcile(Reconcile),
    /// Prove, and write nothing.
    Verify(Verify),
    /// Delete the connector, and stop keeping the secret.
    Offboard(Offboard),
    /// Show the state of secrets.
    Status(Status),
    /// Check everything that the function needs.
    Doctor(Doctor),
}

/// Whether the event writes.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum Mode {
    /// Run the plan: the default.
    Apply,
    /// Return the plan, and write nothing.
    Plan,
}

/// Prove the token of one secret, and create or update its connector.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Onboard {
    /// The name of the action.
    #[schemars(extend("const" = "onboard"))]
    pub action: String,
    /// Name or ARN of the secret.
    pub secret_id: SecretId,
    /// Whether the event writes; the default is `apply`.
    pub mode: Option<Mode>,
    /// The version to onboard: AWSCURRENT, or the candidate, which is then adopted.
    pub version_id: Option<Version>,
    /// Write the connector though nothing changed.
    pub force: Option<bool>,
    /// Give the dedicated user the role that the secret requests.
    pub fix_role: Option<bool>,
}

/// Prove the tokens of several secrets, and create or update their connectors.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct OnboardMany {
    /// The name of the action.
    #[schemars(extend("const" = "onboard"))]
    pub action: String,
    /// Names or ARNs of the secrets.
    #[schemars(length(min = 1))]
    pub secret_ids: Vec<SecretId>,
    /// Whether the event writes; the default is `apply`.
    pub mode: Option<Mode>,
    /// Write the connectors though nothing changed.
    pub force: Option<bool>,
    /// Give the dedicated users the roles that the secrets request.
    pub fix_role: Option<bool>,
}

/// Prove again, repair drifted or missing connectors, adopt waiting candidates, retire replaced tokens.
#[derive(JsonSchema)]
#[schemars(
    rename_all = "camelCase",
    deny_unknown_fields,
    extend(
        "if" = {"required": ["revokeReplaced"], "properties": {"revokeReplaced": {"const": true}}},
        "then" = {"required": ["secretIds"]}
    )
)]
pub struct Reconcile {
    /// The name of the action.
    #[schemars(extend("const" = "reconcile"))]
    pub action: String,
    /// Names or ARNs of the secrets; without it every managed secret.
    #[schemars(length(min = 1), extend("type" = "array"))]
    pub secret_ids: Option<Vec<SecretId>>,
    /// Whether the event writes; the default is `apply`.
    pub mode: Option<Mode>,
    /// After a leak: retire replaced tokens without the grace period; needs `secretIds`.
    pub revoke_replaced: Option<bool>,
}

/// Prove the token of a secret, and write nothing.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verify {
    /// The name of the action.
    #[schemars(extend("const" = "verify"))]
    pub action: String,
    /// Name or ARN of the secret.
    pub secret_id: SecretId,
    /// Without effect: a proof writes nothing in either mode.
    pub mode: Option<Mode>,
    /// The version to prove; the default is AWSCURRENT.
    pub version_id: Option<Version>,
}

/// Delete the connector of a secret, and stop keeping the secret.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Offboard {
    /// The name of the action.
    #[schemars(extend("const" = "offboard"))]
    pub action: String,
    /// Name or ARN of the secret.
    pub secret_id: SecretId,
    /// Whether the event writes; the default is `apply`.
    pub mode: Option<Mode>,
}

/// Show the state of secrets; reads only.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Status {
    /// The name of the action.
    #[schemars(extend("const" = "status"))]
    pub action: String,
    /// Names or ARNs of the secrets; without it every managed secret.
    #[schemars(length(min = 1), extend("type" = "array"))]
    pub secret_ids: Option<Vec<SecretId>>,
    /// The `next` of the page before.
    #[schemars(extend("type" = "string", "pattern" = "^[A-Za-z0-9/_+=.@:!-]{1,2048}$"))]
    pub next: Option<String>,
}

/// Check everything that the function needs; reads only, and logs in at Docker Hub.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase", deny_unknown_fields)]
pub struct Doctor {
    /// The name of the action.
    #[schemars(extend("const" = "doctor"))]
    pub action: String,
    /// Name or ARN of the secret; without it the only managed one.
    pub secret_id: Option<SecretId>,
    /// Whether the response holds a transcript of the exchanges.
    #[schemars(extend("type" = "boolean"))]
    pub record: Option<bool>,
}

/// A call of CloudWatch for the documentation of the widget.
#[derive(JsonSchema)]
pub struct Describe {
    /// Always true.
    #[schemars(extend("const" = true))]
    pub describe: bool,
}

/// A call of CloudWatch for the status page, as a widget of a dashboard sends it; reads only.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Widget {
    /// What CloudWatch says of the dashboard and the widget.
    pub widget_context: WidgetContext,
    /// The parameters of the widget, or of a button in it.
    #[serde(flatten)]
    pub parameters: WidgetParameters,
}

/// What CloudWatch says of the dashboard and the widget. It has more fields, which hubkeeper ignores.
#[derive(JsonSchema)]
pub struct WidgetContext {
    /// The theme of the dashboard: `light` or `dark`.
    pub theme: Option<String>,
    /// The parameters of the widget.
    pub params: Option<WidgetParameters>,
    /// The fields of the form in the widget.
    pub forms: Option<WidgetForms>,
}

/// The fields of the forms in a widget.
#[derive(JsonSchema)]
pub struct WidgetForms {
    /// The fields of all forms.
    pub all: Option<WidgetForm>,
}

/// The field of the form in the status page.
#[derive(JsonSchema)]
pub struct WidgetForm {
    /// What the name of an organization contains.
    #[schemars(length(max = 128))]
    pub filter: Option<String>,
}

/// The parameters of the status page.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct WidgetParameters {
    /// What the name of an organization contains; the default is every organization.
    #[schemars(length(max = 128))]
    pub filter: Option<String>,
    /// Names or ARNs of the secrets; without it every managed secret.
    #[schemars(length(min = 1))]
    pub secret_ids: Option<Vec<SecretId>>,
    /// The secret after which the page begins.
    #[schemars(extend("pattern" = "^[A-Za-z0-9/_+=.@:!-]{0,2048}$"))]
    pub next: Option<String>,
}

/// An event of EventBridge.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum EventBridge {
    /// Any event whose `detail` is an action.
    Action(ActionInDetail),
    /// A label moved to another version.
    LabelUpdated(LabelUpdated),
    /// A call of Secrets Manager, as CloudTrail records it.
    Call(ApiCall),
    /// The end of a rotation, as CloudTrail records it.
    Service(ServiceEvent),
}

/// An event of EventBridge whose `detail` is an action.
#[derive(JsonSchema)]
pub struct ActionInDetail {
    /// What the event is called.
    #[serde(rename = "detail-type")]
    #[schemars(length(min = 1, max = 2048))]
    pub detail_type: String,
    /// The action.
    pub detail: Action,
}

/// `Secret Label Updated`: a label moved to another version of a secret.
#[derive(JsonSchema)]
#[schemars(extend("anyOf" = [
    {"required": ["resources"], "properties": {"resources": {"type": "array", "minItems": 1}}},
    {"properties": {"detail": {"required": ["name"]}}}
]))]
pub struct LabelUpdated {
    /// What the event is called.
    #[serde(rename = "detail-type")]
    #[schemars(extend("const" = "Secret Label Updated"))]
    pub detail_type: String,
    /// ARN of the secret, alone in a list.
    pub resources: Option<Vec<String>>,
    /// When EventBridge sent it.
    pub time: Option<Time>,
    /// Which label moved to which version.
    pub detail: Label,
}

/// Which label moved to which version.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Label {
    /// Name of the secret.
    pub name: Option<SecretId>,
    /// The label: hubkeeper acts on AWSCURRENT and `HUBKEEPER_CANDIDATE`, and ignores any other.
    #[schemars(length(min = 1, max = 2048))]
    pub label_updated: String,
    /// The version that has the label now.
    pub version_id: Version,
}

/// `AWS API Call via CloudTrail`: hubkeeper acts on `PutSecretValue` and `UpdateSecret`, and ignores any other.
#[derive(JsonSchema)]
pub struct ApiCall {
    /// What the event is called.
    #[serde(rename = "detail-type")]
    #[schemars(extend("const" = "AWS API Call via CloudTrail"))]
    pub detail_type: String,
    /// When EventBridge sent it.
    pub time: Option<Time>,
    /// The record of CloudTrail.
    pub detail: Call,
}

/// A record of CloudTrail about a call.
#[derive(JsonSchema)]
#[schemars(
    rename_all = "camelCase",
    extend(
        "if" = {"properties": {"eventName": {"enum": ["PutSecretValue", "UpdateSecret"]}}, "not": {"required": ["errorCode"]}},
        "then" = {"required": ["requestParameters"], "properties": {"requestParameters": {"type": "object"}}}
    )
)]
pub struct Call {
    /// The call.
    #[schemars(length(min = 1, max = 2048))]
    pub event_name: String,
    /// What was requested: `secretId` and `clientRequestToken`.
    pub request_parameters: Option<BTreeMap<String, Value>>,
    /// What Secrets Manager returned: `arn`, or `aRN`.
    pub response_elements: Option<BTreeMap<String, Value>>,
    /// Present if the call failed; hubkeeper then ignores the event.
    pub error_code: Option<Value>,
}

/// `AWS Service Event via CloudTrail`: hubkeeper acts on the end of a rotation, and ignores any other.
#[derive(JsonSchema)]
pub struct ServiceEvent {
    /// What the event is called.
    #[serde(rename = "detail-type")]
    #[schemars(extend("const" = "AWS Service Event via CloudTrail"))]
    pub detail_type: String,
    /// When EventBridge sent it.
    pub time: Option<Time>,
    /// The record of CloudTrail.
    pub detail: Service,
}

/// A record of CloudTrail about a rotation.
#[derive(JsonSchema)]
#[schemars(
    rename_all = "camelCase",
    extend(
        "if" = {"properties": {"eventName": {"enum": ["RotationSucceeded", "RotationFailed", "TestRotationFailed", "RotationAbandoned"]}}},
        "then" = {"anyOf": [
            {"required": ["additionalEventData"], "properties": {"additionalEventData": {"type": "object", "required": ["SecretId"]}}},
            {"required": ["serviceEventDetails"], "properties": {"serviceEventDetails": {"type": "object", "required": ["secretId"]}}}
        ]}
    )
)]
pub struct Service {
    /// What happened, such as `RotationFailed`.
    #[schemars(length(min = 1, max = 2048))]
    pub event_name: String,
    /// Where AWS names the secret (`SecretId`) and the step.
    pub additional_event_data: Option<BTreeMap<String, Value>>,
    /// Where other records of AWS name the secret (`secretId`).
    pub service_event_details: Option<BTreeMap<String, Value>>,
    /// `Rotation-<ARN>-<version>`.
    #[serde(rename = "requestID")]
    pub request_id: Option<String>,
}

/// A request of CloudFormation about a custom resource.
#[derive(JsonSchema)]
#[schemars(
    rename_all = "PascalCase",
    extend(
        "if" = {"properties": {"RequestType": {"enum": ["Create", "Update"]}}},
        "then" = {"required": ["ResourceProperties"], "properties": {"ResourceProperties": {"type": "object"}}}
    )
)]
pub struct CustomResource {
    /// What the stack requests.
    pub request_type: RequestType,
    /// Where the response goes, an https URL of AWS; it is as secret as a password.
    #[serde(rename = "ResponseURL")]
    #[schemars(extend("pattern" = "^https?://"))]
    pub response_url: String,
    /// The stack.
    pub stack_id: StackText,
    /// The request.
    pub request_id: StackText,
    /// The resource in the template.
    pub logical_resource_id: StackText,
    /// The resource, as an earlier response named it.
    pub physical_resource_id: Option<String>,
    /// The properties in the template.
    pub resource_properties: Option<Properties>,
}

/// What a stack requests of a custom resource.
#[derive(JsonSchema)]
pub enum RequestType {
    /// Onboard the secret.
    Create,
    /// Onboard the secret, which may be another one.
    Update,
    /// Offboard what this resource created.
    Delete,
}

/// An id of CloudFormation.
#[derive(JsonSchema)]
#[schemars(extend("pattern" = "^[!#-\\[\\]-~]{1,1024}$"))]
pub struct StackText(pub String);

/// The properties of a custom resource.
#[derive(JsonSchema)]
#[schemars(rename_all = "PascalCase")]
pub struct Properties {
    /// Name or ARN of the secret.
    pub secret_id: SecretId,
    /// ARN of the function.
    pub service_token: Option<String>,
}

/// Records of SQS.
#[derive(JsonSchema)]
#[schemars(rename_all = "PascalCase")]
pub struct Records {
    /// The records; the function handles each independently.
    pub records: Vec<Record>,
}

/// A record of SQS.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Record {
    /// Id of the message.
    #[schemars(length(min = 1, max = 2048))]
    pub message_id: String,
    /// The source of the record.
    #[schemars(extend("const" = "aws:sqs"))]
    pub event_source: String,
    /// An action or an event of EventBridge as JSON, or an SNS notification around it.
    #[schemars(extend("contentMediaType" = "application/json"))]
    pub body: String,
}
