//! Every command of hubkeeper that docs/runbook.md shows is one that the command line accepts.

use std::fs;
use std::path::Path;

use clap::Parser;
use hubkeeper_cli::args::Cli;

/// The commands in code spans and code blocks, without those that are only a name.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, part) in page.split("```").enumerate() {
        if at % 2 == 1 {
            found.extend(part.lines().map(str::to_owned));
        } else {
            found.extend(part.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found.retain(|command| command.starts_with("hubkeeper "));
    found
}

#[test]
fn every_command_of_the_runbook_is_accepted() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbook.md")).unwrap();
    let commands = commands(&page);
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let parsed = Cli::try_parse_from(command.split_whitespace());
        assert!(parsed.is_ok(), "{command}: {}", parsed.err().unwrap());
    }
}

#[test]
fn a_command_that_does_not_exist_is_found() {
    assert_eq!(
        commands("`hubkeeper` and `hubkeeper mend x`\n```sh\nhubkeeper status\n```\n"),
        ["hubkeeper mend x", "hubkeeper status"]
    );
    assert!(Cli::try_parse_from(["hubkeeper", "mend", "x"]).is_err());
}
