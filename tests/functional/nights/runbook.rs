//! Checks `docs/runbook.md`: an entry for each alarm and notice, the five headings, queries that the template saves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::infra::notices;
use crate::infra::template::Template;

/// The headings of every entry, in this order.
const HEADINGS: [&str; 5] =
    ["What it means", "How to look", "What to do", "How to see that it is over", "Who is concerned"];

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/runbook.md")).unwrap()
}

/// Returns the entries by name. A name that occurs twice fails.
fn entries() -> BTreeMap<String, String> {
    let page = page();
    let mut entries = BTreeMap::new();
    for part in page.split("\n### ").skip(1) {
        let (name, body) = part.split_once('\n').unwrap();
        let body = body.split("\n## ").next().unwrap();
        assert!(entries.insert(name.to_owned(), body.to_owned()).is_none(), "{name} has two entries");
    }
    entries
}

/// Returns the text of an entry.
pub(super) fn entry(name: &str) -> String {
    entries().remove(name).unwrap_or_else(|| panic!("the runbook has no entry {name}"))
}

/// Returns the queries that the template saves, by the name below the stack's folder.
fn queries() -> BTreeMap<String, String> {
    let template = Template::read();
    let definitions = template.of_type("AWS::Logs::QueryDefinition");
    let queries = definitions.into_values().map(|definition| {
        assert_eq!(definition["LogGroupNames"][0]["Ref"], "FunctionLogs");
        let name = definition["Name"]["Fn::Sub"].as_str().unwrap();
        let name = name.strip_prefix("${AWS::StackName}/").unwrap_or_else(|| panic!("{name} is not in the folder"));
        (name.to_owned(), definition["QueryString"].as_str().unwrap().to_owned())
    });
    queries.collect()
}

/// Returns a saved query.
pub(super) fn query(name: &str) -> String {
    queries().remove(name).unwrap_or_else(|| panic!("the template saves no query {name}"))
}

#[test]
fn every_alarm_and_every_notice_has_one_entry_with_the_five_headings() {
    let template = Template::read();
    let alarms = template.of_type("AWS::CloudWatch::Alarm").into_keys();
    let notices = notices::all();
    let expected: BTreeSet<&str> = alarms.chain(notices.iter().map(|(name, ..)| *name)).collect();
    let entries = entries();
    assert_eq!(entries.keys().map(String::as_str).collect::<BTreeSet<_>>(), expected);
    for (name, body) in &entries {
        let headings: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("#### ")).collect();
        assert_eq!(headings, HEADINGS, "{name}");
        for part in body.split("\n#### ").skip(1) {
            let (heading, text) = part.split_once('\n').unwrap();
            assert!(text.trim().len() > 20, "{name}: {heading} is empty");
        }
    }
    // the notices link with the name of the event, which has capitals
    for (name, ..) in &notices {
        assert!(page().contains(&format!("<a id=\"{name}\"></a>\n\n### {name}\n")), "{name}");
    }
}

#[test]
fn every_entry_names_a_query_that_the_template_saves_and_every_query_is_named() {
    let queries = queries();
    let page = page();
    let table = page.split("| query | what it shows |").nth(1).unwrap().split("\n\n").next().unwrap();
    let listed: BTreeSet<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")).map(|row| row.split('`').next().unwrap()).collect();
    assert_eq!(listed, queries.keys().map(String::as_str).collect::<BTreeSet<_>>());
    let mut used = BTreeSet::new();
    for (name, body) in entries() {
        let look = body.split("#### How to look").nth(1).unwrap().split("#### ").next().unwrap();
        let named: Vec<&String> = queries.keys().filter(|query| look.contains(&format!("`{query}`"))).collect();
        assert!(!named.is_empty(), "{name} names no query");
        used.extend(queries.keys().filter(|query| body.contains(&format!("`{query}`"))).cloned());
    }
    assert_eq!(used, queries.into_keys().collect(), "a query that no entry names");
}
