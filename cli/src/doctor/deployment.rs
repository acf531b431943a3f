//! Reads what the stack deploys around the function, with the caller's credentials.

use aws_config::SdkConfig;
use aws_sdk_cloudformation::error::ProvideErrorMetadata;
use hubkeeper::http::HttpClient;
use hubkeeper::sdk_client;
use hubkeeper_core::doctor::{Check, Ledger};
use hubkeeper_core::time::{Timestamp, parse_rfc3339, rfc3339};
use time::Duration;

use super::found::{self, Alarm, Decision, Schedule};
use crate::aws::{Element, Reads, Refusal, Service};
use crate::function::Configuration;

/// How far back the last reconcile is looked for.
const DAYS: Duration = Duration::days(3);

/// What the actions of the function's role that write are tried on.
pub struct Targets<'a> {
    /// ARN of the secret, if one is checked.
    pub secret: Option<&'a str>,
    /// The stack that names the function, if it was found that way.
    pub stack: Option<&'a str>,
}

/// The names of the stack's resources, by their type in `CloudFormation`.
#[derive(Default)]
struct Resources {
    schedule: Option<String>,
    alarms: Vec<String>,
    topic: Option<String>,
}

/// Checks rights, schedule, alarms, topic and the last reconcile.
pub async fn check(
    ledger: &mut Ledger,
    (aws, http_client, reads): (&SdkConfig, &HttpClient, &Reads<'_>),
    function: &Configuration,
    targets: &Targets<'_>,
) {
    if !ledger.is_open(Check::Schedule) {
        return;
    }
    let resources = match resources(aws, http_client, targets.stack, &function.name).await {
        Ok(resources) => resources,
        Err(refusal) => {
            found::no_stack(ledger, &refusal);
            None
        }
    };
    found::rights(ledger, &rights(reads, function, targets, resources.as_ref()).await);
    let schedule = match resources.as_ref().and_then(|found| found.schedule.as_deref()) {
        Some(name) => Some(schedule(reads, name).await),
        None => None,
    };
    found::schedule(ledger, schedule.as_ref(), &function.arn);
    let alarms = match &resources {
        Some(Resources { alarms, .. }) => Some(self::alarms(reads, alarms).await),
        None => None,
    };
    let expected = resources.as_ref().map(|found| found.alarms.as_slice()).unwrap_or_default();
    found::alarms(ledger, expected, alarms.as_ref());
    let topic = match resources.as_ref().and_then(|found| found.topic.as_deref()) {
        Some(arn) => Some(topic(reads, arn).await),
        None => None,
    };
    found::notices(ledger, topic.as_ref());
    if ledger.is_open(Check::Reconcile) {
        let now = http_client.now();
        found::reconcile(ledger, &last_reconcile(reads, &function.name, now).await, now);
    }
}

/// The resources of the stack that deployed this function. `None` if no stack did.
async fn resources(
    aws: &SdkConfig,
    http_client: &HttpClient,
    stack: Option<&str>,
    function: &str,
) -> Result<Option<Resources>, Refusal> {
    let client = sdk_client!(aws_sdk_cloudformation, aws, http_client);
    let call = client.describe_stack_resources();
    // a resource leads to its stack as well
    let call = match stack {
        Some(stack) => call.stack_name(stack),
        None => call.physical_resource_id(function),
    };
    let described = call.send().await;
    let described = match described {
        Ok(described) => described,
        // no stack has a resource of this name (AWS's reference of DescribeStackResources)
        Err(error) if error.code() == Some("ValidationError") => return Ok(None),
        Err(error) => return Err(Refusal::of("DescribeStackResources", error.code())),
    };
    let mut found = Resources::default();
    for resource in described.stack_resources() {
        let Some(id) = resource.physical_resource_id().map(str::to_owned) else { continue };
        match (resource.resource_type(), resource.logical_resource_id()) {
            (Some("AWS::Scheduler::Schedule"), _) => found.schedule = Some(id),
            (Some("AWS::CloudWatch::Alarm"), _) => found.alarms.push(id),
            (Some("AWS::SNS::Topic"), _) => found.topic = Some(id),
            _ => {}
        }
    }
    Ok((!described.stack_resources().is_empty()).then_some(found))
}

/// Simulates the actions of the role that write: what reads is tried by the function itself.
async fn rights(
    reads: &Reads<'_>,
    function: &Configuration,
    targets: &Targets<'_>,
    resources: Option<&Resources>,
) -> Result<Vec<Decision>, Refusal> {
    let mut decisions = Vec::new();
    // without a secret the most important rights would be left out in silence
    if targets.secret.is_none() {
        return Ok(decisions);
    }
    let secret = ["PutSecretValue", "TagResource", "UpdateSecretVersionStage"];
    let secret = secret.map(|action| format!("secretsmanager:{action}"));
    let queue = function.queue_url.as_deref().and_then(queue_arn);
    let bus = resources.and_then(|found| found.topic.as_deref()).and_then(default_bus);
    for (actions, resource) in [
        (secret.to_vec(), targets.secret.map(str::to_owned)),
        (vec!["sqs:SendMessage".to_owned()], queue),
        (vec!["events:PutEvents".to_owned()], bus),
    ] {
        if let Some(resource) = resource {
            decisions.extend(simulate(reads, &function.role, &actions, &resource).await?);
        }
    }
    Ok(decisions)
}

/// Returns the ARN of the default event bus in the account and Region of a topic: the function's failed events go there.
fn default_bus(topic: &str) -> Option<String> {
    let (scope, _name) = topic.rsplit_once(':')?;
    scope.contains(":sns:").then(|| format!("{}:event-bus/default", scope.replacen(":sns:", ":events:", 1)))
}

async fn simulate(reads: &Reads<'_>, role: &str, actions: &[String], resource: &str) -> Result<Vec<Decision>, Refusal> {
    let mut fields = vec![
        ("PolicySourceArn".to_owned(), role.to_owned()),
        ("ResourceArns.member.1".to_owned(), resource.to_owned()),
    ];
    let numbered = actions.iter().enumerate();
    fields.extend(numbered.map(|(at, action)| (format!("ActionNames.member.{}", at + 1), action.clone())));
    let text = reads.query(Service::Iam, "SimulatePrincipalPolicy", &fields).await?;
    let document = parsed(&text, "SimulatePrincipalPolicy")?;
    let results = document.descendants().filter(|node| node.text_of_child("EvalActionName").is_some());
    Ok(results
        .filter_map(|result| {
            Some(Decision {
                action: result.text_of_child("EvalActionName")?,
                is_allowed: result.text_of_child("EvalDecision")? == "allowed",
            })
        })
        .collect())
}

async fn schedule(reads: &Reads<'_>, name: &str) -> Result<Schedule, Refusal> {
    // a schedule outside of the default group has the group before its name
    let (group, name) =
        name.rsplit_once('|').or(name.rsplit_once('/')).map_or(("", name), |(group, name)| (group, name));
    let path =
        if group.is_empty() { format!("schedules/{name}") } else { format!("schedules/{name}?groupName={group}") };
    let found = reads.get(Service::Scheduler, &path, "GetSchedule").await?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(Schedule {
        state: text(&found["State"]),
        expression: text(&found["ScheduleExpression"]),
        target: text(&found["Target"]["Arn"]),
        name: name.to_owned(),
    })
}

async fn alarms(reads: &Reads<'_>, names: &[String]) -> Result<Vec<Alarm>, Refusal> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let numbered = names.iter().enumerate();
    let fields: Vec<(String, String)> =
        numbered.map(|(at, name)| (format!("AlarmNames.member.{}", at + 1), name.clone())).collect();
    let text = reads.query(Service::CloudWatch, "DescribeAlarms", &fields).await?;
    let document = parsed(&text, "DescribeAlarms")?;
    let alarms = document.descendants().filter(|node| node.text_of_child("AlarmName").is_some());
    Ok(alarms
        .filter_map(|alarm| {
            let actions = alarm.children().find(|node| node.has_tag_name_in_any("AlarmActions"));
            Some(Alarm {
                name: alarm.text_of_child("AlarmName")?,
                is_enabled: alarm.text_of_child("ActionsEnabled").as_deref() != Some("false"),
                actions: actions.map_or(0, |actions| actions.children().filter(roxmltree::Node::is_element).count()),
                state: alarm.text_of_child("StateValue").unwrap_or_default(),
            })
        })
        .collect())
}

/// Confirmed and pending subscriptions.
async fn topic(reads: &Reads<'_>, arn: &str) -> Result<(u64, u64), Refusal> {
    let fields = [("TopicArn".to_owned(), arn.to_owned())];
    let text = reads.query(Service::Sns, "GetTopicAttributes", &fields).await?;
    let document = parsed(&text, "GetTopicAttributes")?;
    let number = |name: &str| {
        let entry = document.descendants().find(|node| node.text_of_child("key").as_deref() == Some(name));
        entry.and_then(|entry| entry.text_of_child("value")).and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    Ok((number("SubscriptionsConfirmed"), number("SubscriptionsPending")))
}

/// When the last reconcile succeeded: the start of the hour of its metric.
async fn last_reconcile(reads: &Reads<'_>, function: &str, now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
    let fields = [
        ("Namespace", "hubkeeper".to_owned()),
        ("MetricName", "Succeeded".to_owned()),
        ("Dimensions.member.1.Name", "FunctionName".to_owned()),
        ("Dimensions.member.1.Value", function.to_owned()),
        ("Dimensions.member.2.Name", "Action".to_owned()),
        ("Dimensions.member.2.Value", "reconcile".to_owned()),
        ("StartTime", rfc3339(now - DAYS)),
        ("EndTime", rfc3339(now)),
        ("Period", "3600".to_owned()),
        ("Statistics.member.1", "Sum".to_owned()),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    let text = reads.query(Service::CloudWatch, "GetMetricStatistics", &fields).await?;
    let document = parsed(&text, "GetMetricStatistics")?;
    let points = document.descendants().filter_map(|node| {
        let sum: f64 = node.text_of_child("Sum")?.parse().ok()?;
        (sum > 0.0).then(|| parse_rfc3339(&node.text_of_child("Timestamp")?)).flatten()
    });
    Ok(points.max())
}

fn parsed<'a>(text: &'a str, what: &str) -> Result<roxmltree::Document<'a>, Refusal> {
    roxmltree::Document::parse(text)
        .map_err(|_| Refusal { code: String::new(), what: format!("{what}: the response of AWS cannot be read") })
}

/// The ARN of a queue, by its URL: `https://sqs.<region>.amazonaws.com/<account>/<name>`.
fn queue_arn(url: &str) -> Option<String> {
    let url = url::Url::parse(url).ok()?;
    let region = url.host_str()?.strip_prefix("sqs.")?.split('.').next()?;
    let mut path = url.path_segments()?;
    let (account, name) = (path.next()?, path.next()?);
    let partition = match region {
        region if region.starts_with("us-gov-") => "aws-us-gov",
        region if region.starts_with("cn-") => "aws-cn",
        _ => "aws",
    };
    Some(format!("arn:{partition}:sqs:{region}:{account}:{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_s_arn_is_in_its_url() {
        let arn = queue_arn("https://sqs.eu-west-1.amazonaws.com/111122223333/hubkeeper-work");
        assert_eq!(arn.as_deref(), Some("arn:aws:sqs:eu-west-1:111122223333:hubkeeper-work"));
        let arn = queue_arn("https://sqs.us-gov-west-1.amazonaws.com/111122223333/q");
        assert_eq!(arn.as_deref(), Some("arn:aws-us-gov:sqs:us-gov-west-1:111122223333:q"));
        assert_eq!(queue_arn("http://127.0.0.1:4566/000000000000/q"), None);
    }
}
