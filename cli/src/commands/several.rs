//! The reports of one command about several secrets: one secret's failure stops no other.

use hubkeeper_core::outcome::Outcome;
use serde_json::{Value, json};

use crate::exit::{Code, Failure};

/// The reports of one secret or several, each with the id that was asked for. The failure of a single one is the command's;
/// among several it is an item, as in the report of a fleet.
///
/// # Errors
/// Returns the failure of a single secret.
pub(super) fn joined(
    action: &str,
    mode: &str,
    mut answers: Vec<(String, Result<Value, Failure>)>,
) -> Result<Value, Failure> {
    if answers.len() == 1 {
        return answers.remove(0).1;
    }
    let failed = |id: &str, failure: &Failure| {
        let mut item = own_report(action, item(id, failure));
        item["mode"] = json!(mode);
        item
    };
    let items: Vec<Value> =
        answers.into_iter().map(|(id, answer)| answer.unwrap_or_else(|failure| failed(&id, &failure))).collect();
    Ok(json!({"outcome": worst(&items), "items": items}))
}

/// A report of the command line's own: these fields, and the others that every report has (docs/report.md).
pub(super) fn own_report(action: &str, fields: Value) -> Value {
    let mut report =
        json!({"action": action, "mode": "apply", "tokens": {"retired": []}, "stages": [], "warnings": []});
    if let (Value::Object(report), Value::Object(fields)) = (&mut report, fields) {
        report.extend(fields);
    }
    report
}

/// `--all` with the caller's own credentials: the function lists the secrets.
pub(super) fn all_needs_the_function() -> Failure {
    Failure::usage("--all needs the deployed function", "name the secrets, or leave out --local")
}

fn item(id: &str, failure: &Failure) -> Value {
    let kind = match failure.code {
        Code::Refused => "Refused",
        Code::Usage => "BadEvent",
        Code::Person => "NeedsHuman",
        _ => "Retryable",
    };
    let message = format!("{}; remedy: {}", failure.what, failure.remedy);
    json!({"outcome": "failed", "secretId": id, "errorType": kind, "errorMessage": message})
}

/// The worst outcome of several, by the order of the report.
fn worst(items: &[Value]) -> String {
    let outcomes: Vec<&str> = items.iter().filter_map(|item| item["outcome"].as_str()).collect();
    let worst = Outcome::ALL.into_iter().find(|outcome| outcomes.contains(&outcome.name()));
    worst.unwrap_or(Outcome::Unchanged).name().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_among_several_is_an_item_that_names_its_secret() {
        let failed = || Failure::new(Code::Person, "offboard (acme): locked", "remove the lock");
        let id = |text: &str| text.to_owned();
        let report =
            joined("offboard", "plan", vec![(id("a"), Ok(json!({"outcome": "applied"}))), (id("b"), Err(failed()))])
                .unwrap();
        assert_eq!(report["outcome"], "failed");
        assert_eq!(
            (&report["items"][1]["errorType"], &report["items"][1]["secretId"]),
            (&json!("NeedsHuman"), &json!("b"))
        );
        assert_eq!(
            (&report["items"][1]["action"], &report["items"][1]["mode"]),
            (&json!("offboard"), &json!("plan")),
            "it has the fields of every report"
        );
        assert_eq!(Code::of_report(&report), Code::Person);
        assert_eq!(
            joined("offboard", "apply", vec![(id("b"), Err(failed()))]),
            Err(failed()),
            "of a single one it is the command's"
        );
    }
}
