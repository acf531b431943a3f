//! Checks that `docs/onboarding.md` and its German page say the same, and that the code accepts their examples.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use hubkeeper_core::event::{Event, parse};
use hubkeeper_core::secret::{Document, Invitation};
use serde_json::Value;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn pages() -> [String; 2] {
    [read("docs/onboarding.md"), read("docs/onboarding.de.md")]
}

/// Returns the code blocks of a page: language and text.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let blocks = page.split("```").skip(1).step_by(2);
    blocks.map(|block| block.split_once('\n').unwrap()).collect()
}

fn prose(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

#[test]
fn both_pages_have_the_same_form() {
    let [english, german] = pages();
    assert_eq!(blocks(&english), blocks(&german), "what is typed is the same");
    let shape = |page: &str| -> Vec<String> {
        let lines = prose(page);
        let of = |line: &str| match line.split(' ').next().unwrap_or_default() {
            level if level.starts_with('#') => Some(level.to_owned()),
            "|" => Some(format!("row of {}", line.matches(" | ").count())),
            "1." | "2." | "3." | "-" => Some("item".to_owned()),
            _ => None,
        };
        lines.lines().filter_map(of).collect()
    };
    assert_eq!(shape(&english), shape(&german));
    assert!(shape(&english).len() > 30);
}

#[test]
fn both_pages_name_the_same_things() {
    let spans =
        |page: &str| -> BTreeSet<String> { prose(page).split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let links = |page: &str| -> BTreeSet<String> {
        let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned);
        targets.filter(|target| !target.starts_with("onboarding")).collect()
    };
    let [english, german] = pages();
    assert_eq!(spans(&english), spans(&german));
    assert_eq!(links(&english), links(&german));
    assert!(english.contains("](onboarding.de.md)") && german.contains("](onboarding.md)"));
}

#[test]
fn every_example_is_one_that_the_code_takes() {
    let [page, _] = pages();
    let (mut events, mut documents) = (0, 0);
    for (language, text) in blocks(&page) {
        if language != "json" {
            assert_eq!(language, "sh");
            continue;
        }
        let value: Value = serde_json::from_str(text).unwrap();
        if value.get("action").is_some() {
            assert!(matches!(parse(&value), Ok(Event::One(_))), "{text}");
            events += 1;
        } else {
            Document::parse(&text.to_owned().into()).unwrap_or_else(|error| panic!("{error}: {text}"));
            documents += 1;
        }
    }
    assert_eq!((events, documents), (2, 3));
}

#[test]
fn every_state_of_the_invitation_is_one_that_is_written() {
    let [page, _] = pages();
    let table = page.split("`hubkeeper-invite` of the secret").next().map_or(&*page, |_| &page);
    let table = table.split("| value | meaning |").nth(1).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let states: Vec<Invitation> =
        rows.map(|row| Invitation::parse(row.split('`').nth(1).unwrap()).unwrap_or_else(|| panic!("{row}"))).collect();
    assert!(matches!(states[..], [Invitation::Asked, Invitation::Pending { resends: 1, .. }, Invitation::Member]));
}

#[test]
fn every_command_of_make_and_of_hubkeeper_exists() {
    let (makefile, arguments) = (read("Makefile"), read("cli/src/args.rs"));
    let [page, _] = pages();
    let mut seen = 0;
    for line in blocks(&page).into_iter().flat_map(|(_, text)| text.lines()) {
        let mut words = line.split(' ');
        let (program, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let exists = match program {
            "make" => makefile.contains(&format!("\n{name}: ")),
            "hubkeeper" => {
                let (first, rest) = name.split_at(1);
                arguments.contains(&format!("\n    {}{rest}(", first.to_uppercase()))
            }
            _ => continue,
        };
        assert!(exists, "{line}");
        seen += 1;
    }
    assert!(seen >= 2);
}
