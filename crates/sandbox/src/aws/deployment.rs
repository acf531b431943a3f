//! What the stack of `infra/aws/template.yaml` deploys, as far as AWS's APIs show it: the function, its role, alarms, schedule, topic.

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime};

use super::sqs;
use crate::world::State;

/// The prefix of secret names, the template's default.
pub const SECRET_NAME_PREFIX: &str = "hubkeeper/";
/// The physical names end in this where `CloudFormation` appends random characters.
const SUFFIX: &str = "sandbox";

/// The alarms of the template: logical id, namespace and name of the metric, description.
const ALARMS: [(&str, &str, &str, &str); 8] = [
    ("ErrorsAlarm", "AWS/Lambda", "Errors", "An invocation of hubkeeper ended in an error."),
    ("ThrottlesAlarm", "AWS/Lambda", "Throttles", "Invocations of hubkeeper were throttled."),
    (
        "DeadLetterAlarm",
        "AWS/SQS",
        "ApproximateNumberOfMessagesVisible",
        "An event about a secret waits in hubkeeper's dead-letter queue.",
    ),
    ("ReconcileMissingAlarm", "hubkeeper", "Succeeded", "No reconcile of hubkeeper succeeded in 26 hours."),
    ("DaysLeftLowAlarm", "hubkeeper", "DaysLeft", "A Docker Hub token that hubkeeper manages expires soon."),
    ("VerdictAlarm", "hubkeeper", "VerdictComplete", "A proof of hubkeeper did not end in the verdict complete."),
    ("FailedAlarm", "hubkeeper", "Failed", "The work of hubkeeper on at least one organization failed."),
    (
        "ProofMissingAlarm",
        "hubkeeper",
        "Unproven",
        "For 3 days in a row, a reconcile of hubkeeper ended without a proof.",
    ),
];

/// The saved queries of the template.
const QUERIES: [&str; 9] = [
    "ErrorsQuery",
    "StoryQuery",
    "RotationsQuery",
    "ReconcilesQuery",
    "ProofsQuery",
    "DaysLeftQuery",
    "WaitsQuery",
    "RefusedLoginsQuery",
    "DeadLettersQuery",
];

/// The deployed stack. Empty until [`crate::scene::deploy`]. Tests change its parts as a person does past the stack: the outputs and
/// the resources of the stack stay as they were deployed.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The stack's name. Empty: there is no stack.
    pub stack: String,
    /// The role of the function now: `GetFunctionConfiguration` shows it, and IAM simulates its policies.
    pub role_arn: String,
    /// The function.
    pub function: Function,
    /// The alarms, in the order of the template.
    pub alarms: Vec<Alarm>,
    /// The schedule of the reconcile. `None` if it was deleted.
    pub schedule: Option<Schedule>,
    /// The topic of the notices. `None` if it was deleted.
    pub topic: Option<Topic>,
    /// The times at which a reconcile succeeded: the metric `Succeeded` with the action `reconcile`.
    pub reconciled: Vec<OffsetDateTime>,
    /// The outputs of the stack.
    pub outputs: BTreeMap<String, String>,
    /// The resources of the stack.
    pub resources: Vec<Resource>,
    /// The time of the deployment.
    pub deployed_at: OffsetDateTime,
}

impl Default for Deployment {
    fn default() -> Self {
        Self {
            stack: String::new(),
            role_arn: String::new(),
            function: Function::default(),
            alarms: Vec::new(),
            schedule: None,
            topic: None,
            reconciled: Vec::new(),
            outputs: BTreeMap::new(),
            resources: Vec::new(),
            deployed_at: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

impl Deployment {
    /// The alarm with this logical id, such as `ErrorsAlarm`.
    pub fn alarm_mut(&mut self, logical_id: &str) -> Option<&mut Alarm> {
        let name = physical(&self.stack, logical_id);
        self.alarms.iter_mut().find(|alarm| alarm.name == name)
    }
}

/// The function's configuration, except for its environment.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name. Empty if it was deleted.
    pub name: String,
    /// Its timeout in seconds. 900 in the template.
    pub timeout: u32,
    /// Its memory in MB. 256 in the template.
    pub memory_size: u32,
    /// `arm64` or `x86_64`.
    pub architecture: String,
    /// `Active`, `Pending`, `Inactive` or `Failed`.
    pub state: String,
    /// `Successful`, `InProgress` or `Failed`.
    pub last_update_status: String,
    /// The time of the last update.
    pub last_modified: OffsetDateTime,
}

impl Default for Function {
    fn default() -> Self {
        Self {
            name: String::new(),
            timeout: 900,
            memory_size: 256,
            architecture: "arm64".to_owned(),
            state: "Active".to_owned(),
            last_update_status: "Successful".to_owned(),
            last_modified: OffsetDateTime::UNIX_EPOCH,
        }
    }
}

/// An alarm.
#[derive(Clone, Debug)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// The namespace of its metric.
    pub namespace: String,
    /// The name of its metric.
    pub metric: String,
    /// Whether its actions run.
    pub actions_enabled: bool,
    /// The ARNs that it notifies in the state `ALARM`.
    pub actions: Vec<String>,
    /// The ARNs that it notifies in the state `OK`.
    pub ok_actions: Vec<String>,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// Why it is in this state.
    pub reason: String,
}

/// A schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// Its group: `default`.
    pub group: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Such as `rate(1 day)`.
    pub expression: String,
    /// The ARN of the function that it invokes.
    pub target_arn: String,
    /// The role with which it invokes the function.
    pub role_arn: String,
    /// The event that it sends.
    pub input: String,
}

/// A topic.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its ARN.
    pub arn: String,
    /// The number of confirmed subscriptions.
    pub confirmed: u32,
    /// The number of subscriptions that nobody confirmed yet.
    pub pending: u32,
}

/// A resource of the stack.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its name in the template.
    pub logical_id: String,
    /// Its name or ARN at its service.
    pub physical_id: String,
    /// Its type, such as `AWS::Lambda::Function`.
    pub kind: String,
    /// Its status, such as `CREATE_COMPLETE`.
    pub status: String,
}

/// The name that `CloudFormation` gives a resource.
fn physical(stack: &str, logical_id: &str) -> String {
    format!("{stack}-{logical_id}-{SUFFIX}")
}

/// Deploys the stack with the template's defaults, for the current caller of STS as the function's role. Replaces an earlier one.
pub(crate) fn deploy(state: &mut State, stack: &str, function: &str) {
    let (region, account) = (state.aws.region.clone(), state.aws.account.clone());
    let now = state.now();
    let arn = |service: &str, rest: &str| format!("arn:aws:{service}:{region}:{account}:{rest}");
    let name = |logical_id: &str| physical(stack, logical_id);
    let role_arn = state.aws.sts.role_arn.clone();
    let topic_arn = arn("sns", &name("NoticeTopic"));
    let function_arn = arn("lambda", &format!("function:{function}"));
    let [work, dead] = ["WorkQueue", "DeadLetterQueue"].map(|queue| sqs::add_queue(state, &name(queue)));
    let schedule_role = name("ScheduleRole");
    let viewer_policy = format!("arn:aws:iam::{account}:policy/{}", name("StatusViewerPolicy"));
    let log_group = format!("/aws/lambda/{stack}");
    let alarm = |(id, namespace, metric, description): (&str, &str, &str, &str)| Alarm {
        name: name(id),
        description: description.to_owned(),
        namespace: namespace.to_owned(),
        metric: metric.to_owned(),
        actions_enabled: true,
        actions: vec![topic_arn.clone()],
        ok_actions: if ["ReconcileMissingAlarm", "ProofMissingAlarm"].contains(&id) {
            vec![topic_arn.clone()]
        } else {
            Vec::new()
        },
        state: "OK".to_owned(),
        reason: "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint was treated as \
                 [NonBreaching]."
            .to_owned(),
    };
    let rules = ["LabelRule", "RotationEndedRule", "FailedEventRule"];
    let role_name = role_arn.rsplit('/').next().unwrap_or_default();
    let mut resources = vec![
        ("HubkeeperFunction", function.to_owned(), "AWS::Lambda::Function"),
        (
            "HubkeeperFunctionEventInvokeConfig",
            name("HubkeeperFunctionEventInvokeConfig"),
            "AWS::Lambda::EventInvokeConfig",
        ),
        ("StatusAlias", format!("{function_arn}:status"), "AWS::Lambda::Alias"),
        ("StatusViewerPolicy", viewer_policy.clone(), "AWS::IAM::ManagedPolicy"),
        ("FunctionLogs", log_group.clone(), "AWS::Logs::LogGroup"),
        ("FunctionRole", role_name.to_owned(), "AWS::IAM::Role"),
        ("RotationPermission", name("RotationPermission"), "AWS::Lambda::Permission"),
        ("LabelRulePermission", name("LabelRulePermission"), "AWS::Lambda::Permission"),
        ("RotationEndedRulePermission", name("RotationEndedRulePermission"), "AWS::Lambda::Permission"),
        ("DailyReconcile", name("DailyReconcile"), "AWS::Scheduler::Schedule"),
        ("ScheduleRole", schedule_role.clone(), "AWS::IAM::Role"),
        ("WorkQueue", work.clone(), "AWS::SQS::Queue"),
        ("WorkQueueMapping", "5f2c1d94-8f0e-4f37-9a2b-6f1c6b7d2e11".to_owned(), "AWS::Lambda::EventSourceMapping"),
        ("DeadLetterQueue", dead.clone(), "AWS::SQS::Queue"),
        ("DeadLetterQueuePolicy", name("DeadLetterQueuePolicy"), "AWS::SQS::QueuePolicy"),
        ("NoticeTopic", topic_arn.clone(), "AWS::SNS::Topic"),
        ("NoticeTopicPolicy", name("NoticeTopicPolicy"), "AWS::SNS::TopicPolicy"),
        ("Dashboard", format!("{stack}-{region}"), "AWS::CloudWatch::Dashboard"),
    ];
    resources.extend(rules.map(|id| (id, name(id), "AWS::Events::Rule")));
    resources.extend(QUERIES.map(|id| (id, name(id), "AWS::Logs::QueryDefinition")));
    resources.extend(ALARMS.map(|(id, ..)| (id, name(id), "AWS::CloudWatch::Alarm")));
    let resource = |(id, physical_id, kind): (&str, String, &str)| Resource {
        logical_id: id.to_owned(),
        physical_id,
        kind: kind.to_owned(),
        status: "CREATE_COMPLETE".to_owned(),
    };
    let outputs = [
        ("FunctionName", function.to_owned()),
        ("FunctionArn", function_arn.clone()),
        ("RoleArn", role_arn.clone()),
        ("TopicArn", topic_arn.clone()),
        ("QueueUrl", work),
        ("QueueArn", arn("sqs", &name("WorkQueue"))),
        ("DeadLetterQueueUrl", dead),
        ("DeadLetterQueueArn", arn("sqs", &name("DeadLetterQueue"))),
        ("LogGroupName", log_group),
        ("StatusViewerPolicyArn", viewer_policy),
        ("SecretNamePrefix", SECRET_NAME_PREFIX.to_owned()),
    ];
    let deployment = Deployment {
        stack: stack.to_owned(),
        role_arn,
        function: Function { name: function.to_owned(), last_modified: now, ..Function::default() },
        alarms: ALARMS.into_iter().map(alarm).collect(),
        schedule: Some(Schedule {
            name: name("DailyReconcile"),
            group: "default".to_owned(),
            enabled: true,
            expression: "rate(1 day)".to_owned(),
            target_arn: function_arn,
            role_arn: format!("arn:aws:iam::{account}:role/{schedule_role}"),
            input: r#"{"action": "reconcile"}"#.to_owned(),
        }),
        topic: Some(Topic { arn: topic_arn.clone(), confirmed: 1, pending: 0 }),
        // the schedule has run since the deployment
        reconciled: vec![now - Duration::hours(1)],
        outputs: outputs.map(|(key, value)| (key.to_owned(), value)).into(),
        resources: resources.into_iter().map(resource).collect(),
        deployed_at: now - Duration::days(2),
    };
    state.aws.deployment = deployment;
}
