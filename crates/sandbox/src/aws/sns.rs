//! SNS: `GetTopicAttributes`.

use super::query::{Denied, Form, denied, tag};
use crate::world::State;

pub(super) fn topic(state: &State, form: &Form, is_here: bool) -> Result<String, Denied> {
    let arn = form.field("TopicArn").unwrap_or_default();
    let parts: Vec<&str> = arn.split(':').collect();
    let ["arn", _, "sns", region, account, name] = parts[..] else {
        return Err(denied(400, "InvalidParameter", "Invalid parameter: TopicArn"));
    };
    // the topic of another Region is no topic of this endpoint
    if !is_here || region != state.aws.region {
        return Err(denied(400, "InvalidParameter", "Invalid parameter: TopicArn"));
    }
    let Some(topic) = state.aws.deployment.topic.as_ref().filter(|topic| topic.arn == arn) else {
        return Err(denied(404, "NotFound", "Topic does not exist"));
    };
    let attributes = [
        ("Owner", account.to_owned()),
        ("TopicArn", topic.arn.clone()),
        ("DisplayName", name.split('-').next().unwrap_or_default().to_owned()),
        ("SubscriptionsConfirmed", topic.confirmed.to_string()),
        ("SubscriptionsPending", topic.pending.to_string()),
        ("SubscriptionsDeleted", "0".to_owned()),
    ];
    let entries: Vec<_> = attributes
        .iter()
        .map(|(key, value)| format!("<entry>{}{}</entry>", tag("key", key), tag("value", value)))
        .collect();
    Ok(format!("<Attributes>{}</Attributes>", entries.concat()))
}
