//! A change set as people read it. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::parameters::Difference;
use crate::render::style;

/// One resource that a change set changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// `Add`, `Modify`, `Remove`, `Import` or `Dynamic`.
    pub action: String,
    /// Its name in the template.
    pub name: String,
    /// Its type, such as `AWS::SQS::Queue`.
    pub kind: String,
    /// Whether `CloudFormation` replaces it: `True`, `False`, `Conditional` or empty.
    pub replacement: String,
}

/// A change set, once it is computed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeSet {
    /// Its ARN.
    pub id: String,
    /// The ARN of its stack.
    pub stack_id: String,
    /// What it changes; `None` if the stack is as it would be.
    pub changes: Option<Vec<Change>>,
}

/// Whether `CloudFormation` refused a change set because nothing would change.
pub fn is_unchanged(reason: &str) -> bool {
    reason.contains("didn't contain changes") || reason.contains("No updates are to be performed")
}

/// The changes as a table, with the parameters that change below it.
pub fn table(stack: &str, changes: &[Change], parameters: &[Difference]) -> String {
    let mut text = format!("{}\n", style::bold(&format!("changes of {stack}")));
    if changes.is_empty() {
        text.push_str("  no resource changes; outputs, descriptions or metadata do\n");
    }
    let width = changes.iter().map(|change| change.name.len()).max().unwrap_or(0);
    for change in changes {
        let sign = match change.action.as_str() {
            "Add" | "Import" => style::good("+"),
            "Remove" => style::bad("-"),
            _ => style::warn("~"),
        };
        let replaced = match change.replacement.as_str() {
            "True" => format!("  {}", style::bad("replaced")),
            "Conditional" => format!("  {}", style::warn("may be replaced")),
            _ => String::new(),
        };
        let _ = writeln!(text, "  {sign} {:<width$}  {}{replaced}", change.name, change.kind);
    }
    if !parameters.is_empty() {
        let _ = writeln!(text, "{}", style::bold("parameters that get a value"));
        let width = parameters.iter().map(|parameter| parameter.name.len()).max().unwrap_or(0);
        for Difference { name, before, after } in parameters {
            let shown = |value: &str| if value.is_empty() { "none".to_owned() } else { value.to_owned() };
            let before = before.as_deref().map(|before| format!("{} → ", shown(before))).unwrap_or_default();
            let _ = writeln!(text, "    {name:<width$}  {before}{}", shown(after));
        }
    }
    text
}

/// The changes for programs.
pub fn to_json(changes: &[Change]) -> Value {
    let change = |change: &Change| json!({"action": change.action, "resource": change.name, "type": change.kind, "replacement": change.replacement});
    changes.iter().map(change).collect()
}

/// An event of a stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// The resource's name in the template.
    pub resource: String,
    /// The resource's type.
    pub kind: String,
    /// The status, such as `CREATE_FAILED`.
    pub status: String,
    /// Why.
    pub reason: String,
}

/// What failed and why, oldest first. What was only cancelled because of it is left out.
pub fn failures(events: &[Event]) -> Vec<String> {
    let failed = events.iter().filter(|event| event.status.ends_with("_FAILED"));
    let failed = failed.filter(|event| event.kind != "AWS::CloudFormation::Stack");
    let failed = failed.filter(|event| {
        let reason = event.reason.to_lowercase();
        !reason.contains("cancelled") && !reason.contains("canceled")
    });
    failed.map(|event| format!("{} ({}): {}", event.resource, event.kind, super::plain(&event.reason))).collect()
}

/// How far an operation is: the resource of the newest event, and how many are done.
pub fn progress(events: &[Event]) -> String {
    let resources = || events.iter().filter(|event| event.kind != "AWS::CloudFormation::Stack");
    let mut done: Vec<&str> =
        resources().filter(|event| event.status.ends_with("_COMPLETE")).map(|event| event.resource.as_str()).collect();
    done.sort_unstable();
    done.dedup();
    match resources().next_back() {
        Some(event) => format!(
            "{} is {}, {} done",
            event.resource,
            event.status,
            style::count(done.len(), "resource", "resources")
        ),
        None => "waiting for CloudFormation".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: &str, name: &str, replacement: &str) -> Change {
        let [action, name, replacement] = [action, name, replacement].map(str::to_owned);
        Change { action, name, kind: "AWS::SQS::Queue".to_owned(), replacement }
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_change_set_is_a_table() {
        let changes =
            [change("Add", "A", ""), change("Modify", "LongName", "True"), change("Remove", "C", "Conditional")];
        let parameters = [
            Difference { name: "Mail".to_owned(), before: Some(String::new()), after: "a@b".to_owned() },
            Difference { name: "New".to_owned(), before: None, after: "x".to_owned() },
        ];
        assert_eq!(
            plain(&table("s", &changes, &parameters)),
            "changes of s\n\
             \x20 + A         AWS::SQS::Queue\n\
             \x20 ~ LongName  AWS::SQS::Queue  replaced\n\
             \x20 - C         AWS::SQS::Queue  may be replaced\n\
             parameters that get a value\n\
             \x20   Mail  none → a@b\n\
             \x20   New   x\n"
        );
        assert!(plain(&table("s", &[], &[])).contains("no resource changes"));
        assert_eq!(to_json(&changes)[1]["replacement"], "True");
    }

    #[test]
    fn the_cause_of_a_failure_is_told_from_what_it_cancelled() {
        let event = |resource: &str, kind: &str, status: &str, reason: &str| Event {
            id: String::new(),
            resource: resource.to_owned(),
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
        };
        let events = [
            event("s", "AWS::CloudFormation::Stack", "CREATE_IN_PROGRESS", ""),
            event("Queue", "AWS::SQS::Queue", "CREATE_COMPLETE", ""),
            event("Role", "AWS::IAM::Role", "CREATE_FAILED", "the role exists"),
            event("Topic", "AWS::SNS::Topic", "CREATE_FAILED", "Resource creation cancelled"),
        ];
        assert_eq!(failures(&events), ["Role (AWS::IAM::Role): the role exists"]);
        assert_eq!(progress(&events), "Topic is CREATE_FAILED, 1 resource done");
        assert_eq!(progress(&events[..1]), "waiting for CloudFormation");
    }

    #[test]
    fn a_change_set_without_changes_is_told_by_its_reason() {
        assert!(is_unchanged("The submitted information didn't contain changes. Submit different information."));
        assert!(is_unchanged("No updates are to be performed."));
        assert!(!is_unchanged("Transform AWS::Serverless-2016-10-31 failed"));
    }
}
