//! What was read from a connector, and what a takeover changes in it.

use std::fmt::Write as _;

use hubkeeper_core::connector::takeover::text_of;
use hubkeeper_core::connector::{FieldChange, Health, Shown, Takeover};
use serde_json::{Value, json};

use super::reading::Reading;
use crate::render::style;

/// How a field is shown whose value is, or could be, a credential.
const HIDDEN: &str = "(not shown)";
/// Where ARM keeps the token.
const TOKEN: &str = ".authentication.accessToken";
/// How a value is shown that is known when the connector is written.
const AT_WRITE: &str = "(set when it is written)";

/// What the connector says of itself, and what it does not.
pub fn reading(reading: &Reading, told_user: Option<&str>, health: Option<&Health>) -> String {
    let mut text = format!("{} read the connector {}\n", style::good("✓"), style::bold(&reading.name()));
    let shown = |text: &str| text_of(text).unwrap_or_else(|| HIDDEN.to_owned());
    text.push_str(&style::fact("organization", &shown(&reading.spelled)));
    text.push_str(&style::fact("user", &told_user.map_or_else(|| "Azure shows none".to_owned(), shown)));
    text.push_str(&style::fact("location", &shown(&reading.location)));
    let interval = reading.scan_interval.map_or_else(|| "none that a secret may hold".to_owned(), hours);
    text.push_str(&style::fact("scan interval", &interval));
    text.push_str(&style::fact("plans", &plans(reading)));
    if !reading.tags.is_empty() {
        text.push_str(&style::fact("tags", &reading.tags.join(", ")));
    }
    if !reading.other_offerings.is_empty() {
        text.push_str(&style::fact("other plans", &reading.other_offerings.join(", ")));
    }
    if let Some(health) = health {
        let reason = health.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        text.push_str(&style::fact("health", &format!("{}{reason}", health.status)));
    }
    text.push_str(&style::fact("cannot be read", "the token: only Docker Hub and Defender know it"));
    text
}

fn hours(hours: u8) -> String {
    style::count(usize::from(hours), "hour", "hours")
}

fn plans(reading: &Reading) -> String {
    let names: Vec<&str> = reading.plans.iter().map(|plan| plan.name()).collect();
    if names.is_empty() { "none of Docker Hub".to_owned() } else { names.join(", ") }
}

/// The changes of a takeover as a list, and what stays.
pub fn takeover(takeover: &Takeover, reading: &Reading) -> String {
    let mut text = format!("what the takeover changes in the connector {}\n", reading.name());
    for change in &takeover.changes {
        let line = match (&change.from, &change.to) {
            _ if is_token(change) => format!("~ {}: replaced by the proven token; neither is shown", change.field),
            (Shown::Missing, to) => format!("+ {}: {}", change.field, words(to)),
            (from, Shown::Missing) => format!("- {}: {}", change.field, words(from)),
            (from, to) => format!("~ {}: {} → {}", change.field, words(from), words(to)),
        };
        let line = match line.chars().next() {
            Some('+') => style::good(&line),
            Some('-') => style::bad(&line),
            _ => style::warn(&line),
        };
        let _ = writeln!(text, "  {line}");
    }
    let _ = writeln!(text, "what stays\n  {}", keeps(takeover, reading).join(", "));
    text
}

fn is_token(change: &FieldChange) -> bool {
    change.field.ends_with(TOKEN)
}

/// What a takeover leaves as it is.
pub fn keeps(takeover: &Takeover, reading: &Reading) -> Vec<String> {
    let changes = |end: &str| takeover.changes.iter().any(|change| change.field.ends_with(end));
    let mut kept = vec![format!("location {}", reading.location)];
    if let Some(interval) = reading.scan_interval.filter(|_| !changes(".scanInterval")) {
        kept.push(format!("scan interval {}", hours(interval)));
    }
    if !changes(".offerings") {
        kept.push(format!("plans {}", plans(reading)));
    }
    let tags: Vec<&str> = reading
        .tags
        .iter()
        .map(String::as_str)
        .filter(|name| !changes(&format!("tags.{}", name.to_lowercase())))
        .collect();
    if !tags.is_empty() {
        kept.push(format!("tags {}", tags.join(" and ")));
    }
    kept.extend(reading.other_offerings.iter().map(|name| format!("offering {name}")));
    kept.push("every other field".to_owned());
    kept
}

/// Whether the fields that differ after the takeover are those of the plan.
pub fn compared(changed: &[String], takeover: &Takeover) -> String {
    // ARM does not show the token, so no read tells that it changed
    let planned = takeover.changes.iter().filter(|change| !is_token(change)).map(|change| &change.field);
    let planned: Vec<&String> = planned.collect();
    let unplanned: Vec<&str> = changed
        .iter()
        .filter(|field| !planned.contains(field) && !field.ends_with(TOKEN))
        .map(String::as_str)
        .collect();
    let missing: Vec<&str> =
        planned.iter().filter(|field| !changed.contains(field)).map(|field| field.as_str()).collect();
    if unplanned.is_empty() && missing.is_empty() {
        return format!("{} the connector has changed in what the plan says, and in nothing else", style::good("✓"));
    }
    let mut text = format!("{} the connector differs from the plan", style::warn("!"));
    for (words, fields) in [("changed too", unplanned), ("not changed", missing)] {
        if !fields.is_empty() {
            let _ = write!(text, "; {words}: {}", fields.join(", "));
        }
    }
    text
}

/// The changes for programs.
pub fn changes(takeover: &Takeover) -> Value {
    let change = |change: &FieldChange| {
        let mut value = json!({"field": change.field});
        for (name, shown) in [("from", &change.from), ("to", &change.to)] {
            if *shown != Shown::Missing {
                value[name] = json!(words(shown));
            }
        }
        value
    };
    takeover.changes.iter().map(change).collect()
}

fn words(shown: &Shown) -> &str {
    match shown {
        Shown::Missing => "",
        Shown::Text(text) => text,
        Shown::Hidden => HIDDEN,
        Shown::AtWrite => AT_WRITE,
    }
}

#[cfg(test)]
mod tests {
    use hubkeeper_core::connector::{Observed, takeover as planned};
    use hubkeeper_core::secret::Document;
    use secrecy::SecretString;

    use super::*;
    use crate::commands::import::reading::connector_id;

    const ID: &str = "/subscriptions/a5caac9c-5c04-49af-b3d0-e204f40345d5/resourceGroups/rg/providers/Microsoft.Security/securityConnectors/hub";

    fn example() -> (Takeover, Reading) {
        let observed = Observed::parse(json!({
            "id": ID, "name": "hub", "location": "westeurope", "tags": {"cost": "7", "TEAM": "x"},
            "properties": {
                "hierarchyIdentifier": "acme", "environmentName": "DockerHub",
                "environmentData": {"environmentType": "DockerHubOrganization", "scanInterval": 6,
                    "authentication": {"authenticationType": "AccessToken", "username": "jane"}},
                "offerings": [{"offeringType": "DefenderCspmDockerHub"}, {"offeringType": "Future"}]
            }
        }));
        let observed = observed.unwrap();
        let document = json!({"organization": "acme", "username": "acme-scanner", "connector": {
            "subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg", "name": "hub", "location": "westeurope",
            "scanIntervalHours": 6, "plans": ["defenderCspm"]}});
        let document = Document::parse(&SecretString::from(document.to_string())).unwrap();
        (planned(&document, &observed), Reading::of(&observed, &connector_id(ID).unwrap()).unwrap())
    }

    #[test]
    fn changes_and_what_stays_are_listed() {
        let (plan, reading) = example();
        let text = anstream::adapter::strip_str(&takeover(&plan, &reading)).to_string();
        for line in [
            "  ~ properties.environmentData.authentication.accessToken: replaced by the proven token; neither is shown\n",
            "  ~ properties.environmentData.authentication.username: jane → acme-scanner\n",
            "  + tags.hubkeeper-secret: (set when it is written)\n",
            "what stays\n  location westeurope, scan interval 6 hours, plans defenderCspm, tags TEAM and cost, offering Future, every other field\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let list = changes(&plan);
        assert_eq!(list.as_array().map(Vec::len), Some(6));
        let user = json!({"field": "properties.environmentData.authentication.username", "from": "jane", "to": "acme-scanner"});
        assert!(list.as_array().unwrap().contains(&user), "{list}");
    }

    #[test]
    fn a_run_that_differs_from_its_plan_is_told() {
        let (plan, _) = example();
        let fields: Vec<String> =
            plan.changes.iter().filter(|change| !is_token(change)).map(|change| change.field.clone()).collect();
        assert!(compared(&fields, &plan).contains("and in nothing else"));
        let other = [&fields[1..], &["tags.cost".to_owned()]].concat();
        let text = compared(&other, &plan);
        assert!(
            text.contains("changed too: tags.cost") && text.contains(&format!("not changed: {}", fields[0])),
            "{text}"
        );
    }
}
