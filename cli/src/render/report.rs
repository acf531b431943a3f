//! A report, or the report of several secrets, as a person reads it.

use std::fmt::Write as _;

use serde_json::Value;

use super::{plan, short, style};

/// A report of one secret, or of several.
pub fn report(report: &Value) -> String {
    match report["items"].as_array() {
        None => one(report),
        Some(items) if items.is_empty() && report["omitted"].is_null() => "no secret is managed\n".to_owned(),
        Some(items) => {
            let mut text = items.iter().map(one).collect::<Vec<_>>().join("\n");
            let _ = write!(text, "\n{}\n", sums(items, &report["omitted"]));
            text
        }
    }
}

/// How many secrets ended how, with those whose report did not fit into the response.
fn sums(items: &[Value], omitted: &Value) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    let more = omitted.as_object().into_iter().flatten();
    let more = more.filter_map(|(name, count)| Some((name.as_str(), usize::try_from(count.as_u64()?).ok()?)));
    let named = items.iter().map(|item| (item["outcome"].as_str().unwrap_or("failed"), 1));
    for (outcome, more) in named.chain(more.clone()) {
        match counts.iter_mut().find(|(name, _)| *name == outcome) {
            Some((_, count)) => *count += more,
            None => counts.push((outcome, more)),
        }
    }
    let parts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let all = counts.iter().map(|(_, count)| count).sum();
    let sums = format!("{}: {}", style::count(all, "secret", "secrets"), parts.join(", "));
    match more.map(|(_, count)| count).sum::<usize>() {
        0 => sums,
        hidden => {
            format!("{sums}\n{hidden} of them did not fit into the response: the function's log has a line for each")
        }
    }
}

fn one(report: &Value) -> String {
    let outcome = report["outcome"].as_str().unwrap_or("failed");
    let subject = report["organization"].as_str().or(report["secretId"].as_str()).unwrap_or("?");
    let mut text = format!("{} {}", sign(outcome), style::bold(subject));
    let _ = writeln!(text, "  {}", headline(report, outcome));
    if let Some(message) = report["errorMessage"].as_str() {
        let (what, remedy) = message.split_once("; remedy: ").unwrap_or((message, ""));
        text.push_str(&style::fact("error", what));
        if !remedy.is_empty() {
            text.push_str(&style::fact("what to do", remedy));
        }
    }
    if let Some(reason) = report["reason"].as_str() {
        text.push_str(&style::fact("reason", reason));
    }
    text.push_str(&facts(report));
    text.push_str(&plan::steps(report));
    text.push_str(&warnings(report));
    text
}

fn sign(outcome: &str) -> String {
    match outcome {
        "failed" | "refused" => style::bad("✗"),
        "notReached" | "awaiting" => style::warn("!"),
        "planned" => style::warn("~"),
        _ => style::good("✓"),
    }
}

/// The outcome in words.
fn headline(report: &Value, outcome: &str) -> String {
    let verdict = report["verdict"]["result"].as_str();
    match (outcome, verdict) {
        ("proven", _) => "the token reads the whole organization, and can do nothing more".to_owned(),
        ("refused", Some("rejected")) => "Docker Hub rejects the token".to_owned(),
        ("refused", Some("overPrivileged")) => "the token can do more than read".to_owned(),
        ("refused", Some("partial")) => "the token does not read the whole organization".to_owned(),
        ("failed", Some("inconclusive")) => "the proof is inconclusive: nothing is known yet".to_owned(),
        ("refused", _) => "refused".to_owned(),
        ("failed", _) => "failed".to_owned(),
        ("notReached", _) => "not reached: the time was up".to_owned(),
        ("awaiting", _) => "waits for a person".to_owned(),
        ("applied", _) => "done".to_owned(),
        ("recorded", _) => "queued: the function does it within minutes, see hubkeeper status".to_owned(),
        ("planned", _) => match report["plan"].as_array().map(Vec::len) {
            None | Some(0) => "nothing to do".to_owned(),
            Some(steps) => format!("would take {}", style::count(steps, "step", "steps")),
        },
        ("unchanged", _) => "nothing to do: all is as the secret says".to_owned(),
        (other, _) => other.to_owned(),
    }
}

fn facts(report: &Value) -> String {
    let mut text = String::new();
    if let Some(verdict) = report["verdict"].as_object() {
        text.push_str(&verdict_facts(&Value::Object(verdict.clone())));
    }
    if let Some(id) = report["connector"]["id"].as_str() {
        let change = match report["connector"]["change"].as_str().unwrap_or_default() {
            "created" => "created",
            "updated" => "updated",
            "deleted" => "deleted",
            "wouldCreate" => "would be created",
            "wouldUpdate" => "would be updated",
            "wouldDelete" => "would be deleted",
            _ => "unchanged",
        };
        text.push_str(&style::fact("connector", &format!("{}, {change}", plan::name_of_connector(id))));
        if let Some(status) = report["connector"]["health"]["status"].as_str() {
            text.push_str(&style::fact("health", status));
        }
    }
    if let Some(version) = report["versionId"].as_str() {
        text.push_str(&style::fact("version", short(version)));
    }
    if let Some(state) = report["invitation"]["state"].as_str() {
        let age =
            report["invitation"]["ageDays"].as_i64().map(|days| format!(", sent {days} days ago")).unwrap_or_default();
        text.push_str(&style::fact("invitation", &format!("{state}{age}")));
    }
    let tokens = &report["tokens"];
    for (field, name) in [("minted", "new token"), ("expiresAt", "expires"), ("lastUsed", "last used")] {
        if let Some(value) = tokens[field].as_str() {
            text.push_str(&style::fact(name, value));
        }
    }
    if let Some(retired) = tokens["retired"].as_array().filter(|retired| !retired.is_empty()) {
        text.push_str(&style::fact("retired", &list(retired)));
    }
    text
}

fn verdict_facts(verdict: &Value) -> String {
    let mut text = String::new();
    let number = |field: &str| usize::try_from(verdict[field].as_u64().unwrap_or(0)).unwrap_or(usize::MAX);
    let result = verdict["result"].as_str().unwrap_or_default();
    let (repositories, private) = (number("repositories"), number("private"));
    let seen = format!(
        "{}, {} private",
        style::count(repositories, "repository", "repositories"),
        crate::progress::grouped(private)
    );
    text.push_str(&style::fact("verdict", &verdict_in_colour(result)));
    if !matches!(result, "rejected") {
        text.push_str(&style::fact("sees", &seen));
    }
    if result != "complete" {
        for reason in verdict["reasons"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            text.push_str(&style::fact("because", reason));
        }
    }
    let missing = verdict["missing"].as_array().filter(|missing| !missing.is_empty());
    if let Some(missing) = missing {
        let more = number("missingCount").saturating_sub(missing.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&style::fact("missing", &format!("{}{more}", list(missing))));
    }
    text
}

fn verdict_in_colour(result: &str) -> String {
    match result {
        "complete" => style::good(result),
        "inconclusive" => style::warn(result),
        _ => style::bad(result),
    }
}

fn list(values: &[Value]) -> String {
    values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

/// The warnings of a run and of its verdict, each once.
fn warnings(report: &Value) -> String {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let lists = [&report["warnings"], &report["verdict"]["warnings"]];
    for warning in lists.into_iter().filter_map(Value::as_array).flatten() {
        let (code, message) =
            (warning["code"].as_str().unwrap_or("?"), warning["message"].as_str().unwrap_or_default());
        if !seen.contains(&(code, message)) {
            seen.push((code, message));
        }
    }
    seen.iter().fold(String::new(), |mut text, (code, message)| {
        let _ = writeln!(text, "  {} {message} {}", style::warn("warning:"), style::dim(&format!("({code})")));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn plain(value: &Value) -> String {
        anstream::adapter::strip_str(&report(value)).to_string()
    }

    #[test]
    fn a_partial_verdict_names_what_is_missing() {
        let text = plain(&json!({
            "action": "verify", "outcome": "refused", "organization": "acme",
            "verdict": {"result": "partial", "repositories": 40, "private": 1, "missing": ["billing", "ledger"], "missingCount": 7,
                "reasons": ["7 repositories cannot be read"], "warnings": []},
            "warnings": [{"code": "noExpiry", "message": "the token has no expiry"}],
        }));
        assert_eq!(
            text,
            "✗ acme  the token does not read the whole organization\n\
             \x20 verdict        partial\n\
             \x20 sees           40 repositories, 1 private\n\
             \x20 because        7 repositories cannot be read\n\
             \x20 missing        billing, ledger and 5 more\n\
             \x20 warning: the token has no expiry (noExpiry)\n"
        );
    }

    #[test]
    fn several_secrets_end_with_their_sums() {
        let item = |outcome: &str| json!({"outcome": outcome, "organization": "acme"});
        let text =
            plain(&json!({"outcome": "failed", "items": [item("unchanged"), item("failed"), item("unchanged")]}));
        assert!(text.ends_with("\n3 secrets: 2 unchanged, 1 failed\n"), "{text}");
        assert_eq!(plain(&json!({"outcome": "unchanged", "items": []})), "no secret is managed\n");
        let omitted = json!({"outcome": "failed", "items": [item("failed"), item("unchanged")], "omitted": {"failed": 1, "unchanged": 9}});
        let text = plain(&omitted);
        assert!(
            text.contains("12 secrets: 2 failed, 10 unchanged\n10 of them did not fit into the response"),
            "{text}"
        );
        let none = plain(&json!({"outcome": "applied", "items": [], "omitted": {"applied": 2}}));
        assert!(none.starts_with("\n2 secrets: 2 applied\n2 of them"), "{none}");
    }

    #[test]
    fn a_warning_is_shown_once() {
        let warning = json!({"code": "x", "message": "y"});
        let text = plain(&json!({"outcome": "proven", "organization": "acme", "warnings": [warning],
            "verdict": {"result": "complete", "repositories": 1, "private": 0, "warnings": [warning]}}));
        assert_eq!(text.matches("warning:").count(), 1, "{text}");
    }
}
