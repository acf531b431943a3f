//! Renders the notices of the template as `EventBridge` does, in both formats.

use serde_json::{Value, json};

use super::template::{Template, list};
use super::{FUNCTION_ARN, read};

/// The record that Lambda sends to the event bus when an event failed for the last time.
pub(crate) fn failed_event() -> Value {
    json!({
        "version": "0", "id": "0d079340-135a-4ddd-b2d2-8a5e2f9a6b11",
        "detail-type": "Lambda Function Invocation Result - Failure", "source": "lambda", "account": "111122223333",
        "time": "2026-11-24T10:00:00Z", "region": "eu-west-1",
        "resources": ["arn:aws:events:eu-west-1:111122223333:event-bus/default", format!("{FUNCTION_ARN}:$LATEST")],
        "detail": {
            "version": "1.0", "timestamp": "2026-11-24T10:00:00.000Z",
            "requestContext": {
                "requestId": "e8a2c1d4-5f60-4f8f-9d0b-1c2d3e4f5a6b", "functionArn": format!("{FUNCTION_ARN}:$LATEST"),
                "condition": "RetriesExhausted", "approximateInvokeCount": 2,
            },
            "requestPayload": {"detail": {"name": "hubkeeper/acme", "labelUpdated": "HUBKEEPER_CANDIDATE"}},
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": {
                "errorType": "Refused",
                "errorMessage": "adopt for organization acme: the verdict is partial: 2 of 42 repositories are missing: billing, \"ledger\"; \
                    remedy: give the user acmescanner read access to them, or list them in excludedRepositories",
            },
        },
    })
}

/// The example of a rotation that ended without success.
pub(crate) fn ended_rotation(name: &str) -> Value {
    serde_json::from_str(&read(&format!("events/{name}.json"))).unwrap()
}

/// A format of the notices.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    Email,
    Chat,
}

/// Returns what the rule sends to the topic for an event.
pub(crate) fn render(rule: &str, format: Format, event: &Value) -> String {
    let template = Template::read();
    let targets = list(&template.properties(rule)["Targets"]);
    let people = targets.iter().find(|target| target["Arn"] == json!({"Ref": "NoticeTopic"})).unwrap();
    let transformer = &people["InputTransformer"];
    let branches = transformer["InputTemplate"]["Fn::If"].as_array().unwrap();
    assert_eq!(branches[0], "IsChat");
    let text = branches[if format == Format::Chat { 1 } else { 2 }]["Fn::Sub"].as_str().unwrap();
    let text = substitute(&template, text);
    let value = |name: &str| {
        let path = transformer["InputPathsMap"][name].as_str();
        let path = path.unwrap_or_else(|| panic!("<{name}> has no path")).trim_start_matches("$.");
        event.pointer(&format!("/{}", path.replace('.', "/"))).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut rendered = String::new();
    let (mut rest, mut quoted) = (text.as_str(), false);
    while let Some(character) = rest.chars().next() {
        if character == '<' {
            let end = rest.find('>').unwrap();
            let value = value(&rest[1..end]);
            // a variable outside of quotes becomes a JSON string, and one inside is inserted unchanged
            rendered.push_str(&if quoted { value } else { json!(value).to_string() });
            rest = &rest[end + 1..];
            continue;
        }
        let escaped = character == '\\';
        quoted ^= character == '"';
        let length = if escaped { 2 } else { character.len_utf8() };
        rendered.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    rendered
}

/// Returns the lines of a notice as a mail shows them.
pub(crate) fn mail(rendered: &str) -> Vec<String> {
    rendered
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not one JSON text ({error}): {line}")))
        .collect()
}

/// Fills in the template's names, with the defaults of the parameters.
pub(crate) fn substitute(template: &Template, text: &str) -> String {
    let mut text = text.to_owned();
    while let Some(from) = text.find("${") {
        let to = from + text[from..].find('}').unwrap();
        let value = match &text[from + 2..to] {
            "AWS::StackName" => "hubkeeper".to_owned(),
            "AWS::Region" => "eu-west-1".to_owned(),
            "FunctionLogs" => "/aws/lambda/hubkeeper".to_owned(),
            name => template.default(name).unwrap_or_else(|| panic!("{name} has no value here")),
        };
        text.replace_range(from..=to, &value);
    }
    text
}

/// Each notice: its name in the runbook, its rule and its event.
pub(crate) fn all() -> [(&'static str, &'static str, Value); 3] {
    [
        ("RotationFailed", "RotationEndedRule", ended_rotation("rotation-failed")),
        ("RotationAbandoned", "RotationEndedRule", ended_rotation("rotation-abandoned")),
        ("EventFailed", "FailedEventRule", failed_event()),
    ]
}

#[test]
fn a_mail_says_what_happened_what_to_do_and_where_to_read_on() {
    for (name, rule, event) in all() {
        let lines = mail(&render(rule, Format::Email, &event));
        let text = lines.join("\n");
        assert!(lines[0].starts_with("hubkeeper: "), "{text}");
        assert!(text.to_lowercase().contains(&format!("runbook: docs/runbook.md#{}", name.to_lowercase())), "{text}");
        assert!(text.contains("Saved query of Logs Insights: hubkeeper/"), "{text}");
        for words in ["acme", "emedy", "aws logs tail /aws/lambda/hubkeeper"] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(!text.contains('<') && !text.contains("${"), "{text}");
    }
    let (_, rule, event) = &all()[0];
    let text = mail(&render(rule, Format::Email, event)).join("\n");
    for words in ["Docker Hub organization", "rotate-secret --secret-id arn:aws:", "update-secret-version-stage"] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn a_chat_message_is_a_custom_notification_of_amazon_q_developer() {
    for (name, rule, event) in all() {
        let text = render(rule, Format::Chat, &event);
        let message: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!((&message["version"], &message["source"]), (&json!("1.0"), &json!("custom")));
        let content = &message["content"];
        assert_eq!(content["textType"], "client-markdown");
        for field in ["title", "description"] {
            assert!(content[field].as_str().is_some_and(|text| !text.is_empty()), "{name}: {field}");
        }
        assert!(text.contains("acme"), "{text}");
        let steps = content["nextSteps"].as_array().unwrap();
        let last = steps.last().unwrap().as_str().unwrap();
        assert_eq!(last.to_lowercase(), format!("runbook: docs/runbook.md#{}", name.to_lowercase()));
        assert!(message["metadata"]["threadId"].as_str().is_some_and(|id| !id.is_empty()), "{text}");
    }
    let failed: Value = serde_json::from_str(&render("FailedEventRule", Format::Chat, &failed_event())).unwrap();
    assert!(failed["content"]["description"].as_str().unwrap().contains("billing, \"ledger\""), "quotes are kept");
}
