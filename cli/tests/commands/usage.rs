//! What all commands share: formats, colour, `--quiet` and `--verbose`, the exit codes.

use hubkeeper_sandbox::{Fault, Service, scene};
use saphyr::{LoadableYamlNode, Yaml};
use serde_json::{Map, Value};

use crate::site::Site;

const ESCAPE: char = '\u{1b}';

fn value(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(fields) => {
            let field = |(name, field): (&Yaml<'_>, &Yaml<'_>)| (name.as_str().unwrap().to_owned(), value(field));
            Value::Object(fields.iter().map(field).collect::<Map<_, _>>())
        }
        scalar => scalar
            .as_bool()
            .map(Value::from)
            .or_else(|| scalar.as_integer().map(Value::from))
            .or_else(|| scalar.as_str().map(Value::from))
            .unwrap_or(Value::Null),
    }
}

/// Takes out what differs from run to run: how long a stage took, and when a proof used the token last.
fn stable(mut report: Value) -> Value {
    if let Some(used) = report.pointer_mut("/tokens/lastUsed") {
        *used = Value::Null;
    }
    if let Some(stages) = report.get_mut("stages").and_then(Value::as_array_mut) {
        for stage in stages {
            stage["durationMs"] = Value::Null;
        }
    }
    if let Some(items) = report.get_mut("items").and_then(Value::as_array_mut) {
        for item in items {
            *item = stable(item.take());
        }
    }
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn yaml_and_json_hold_the_same() {
    let site = Site::deployed().await;
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
    let token = site.token("repo:public_read");
    for (arguments, code) in [
        (&["verify", scene::ORGANIZATION, "--username", scene::USER, "--expect", "billing"][..], 1),
        (&["verify", "--secret", scene::SECRET], 0),
        (&["status"], 0),
        (&["onboard", scene::SECRET, "--plan", "--force"], 0),
        (&["reconcile", scene::SECRET, "--yes"], 0),
        (&["rotate", scene::SECRET, "--plan"], 0),
    ] {
        let in_format =
            |format: &'static str| site.run(&[arguments, &["--output", format]].concat()).input(&token).ends(code);
        let json = in_format("json").await.json();
        let text = in_format("yaml").await.out;
        let documents = Yaml::load_from_str(&text).unwrap();
        let [yaml] = &documents[..] else { panic!("{text}") };
        assert_eq!(stable(value(yaml)), stable(json), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_gets_no_escape_sequence() {
    let site = Site::deployed().await;
    let token = site.token("repo:write");
    for colour in [("TERM", "xterm-256color"), ("NO_COLOR", "1"), ("COLORTERM", "truecolor")] {
        for (arguments, code) in [
            (&["verify", scene::ORGANIZATION, "--username", scene::USER][..], 1),
            (&["status"], 0),
            (&["onboard", scene::SECRET, "--plan"], 0),
            (&["onboard", scene::SECRET], 2),
            (&["status", "--stack", "none"], 4),
            (&["verify"], 2),
            (&["--help"], 0),
            (&["status", "-vv"], 0),
        ] {
            let ended = site.run(arguments).with(colour.0, colour.1).input(&token).ends(code).await;
            assert!(
                !ended.out.contains(ESCAPE) && !ended.err.contains(ESCAPE),
                "{arguments:?} {colour:?}\n{}{}",
                ended.out,
                ended.err
            );
        }
    }
    // colour where somebody asks for it, and NO_COLOR against it
    let forced = site.run(&["onboard", scene::SECRET, "--plan"]).with("CLICOLOR_FORCE", "1").ends(0).await;
    assert!(forced.out.contains(ESCAPE), "{}", forced.out);
    let json = site.run(&["onboard", scene::SECRET, "--plan", "-o", "json"]).with("CLICOLOR_FORCE", "1").ends(0).await;
    assert!(!json.out.contains(ESCAPE), "a program gets no colour");
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_prints_the_result_alone_and_verbose_the_log() {
    let site = Site::deployed().await;
    let token = site.token("repo:write");
    let verify = ["verify", scene::ORGANIZATION, "--username", scene::USER];
    let quiet = site.run(&[&verify[..], &["--quiet"]].concat()).input(&token).ends(1).await;
    assert_eq!(quiet.err, "");
    quiet.shows(&["overPrivileged"]);
    // an error is told all the same
    site.run(&["status", "--stack", "none", "-q"]).ends(4).await.shows_nothing().says(&["error: "]);
    let log = site.run(&["status", "--local", "-v"]).ends(0).await;
    let debug = site.run(&["status", "--local", "-vv"]).ends(0).await;
    assert!(debug.err.len() >= log.err.len(), "{}\n{}", log.err, debug.err);
    site.run(&["onboard", scene::SECRET, "--plan", "--local", "-v"]).ends(0).await.says(&["INFO"]);
    site.run(&["status", "-q", "-v"]).ends(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interruption_says_what_was_in_progress() {
    let site = Site::deployed().await;
    let token = site.token("repo:read");
    site.world.script(|_, service, _| (service == Service::Hub).then_some(Fault::Hang));
    for (arguments, words) in [
        (
            &["verify", scene::ORGANIZATION, "--username", scene::USER][..],
            "the proof of acme was interrupted: nothing was written",
        ),
        (&["onboard", scene::SECRET, "--yes"], "it continues by itself"),
    ] {
        let interrupted = [&["--preserve-status", "--signal", "INT", "2", crate::site::HUBKEEPER], arguments].concat();
        site.run(&interrupted).program("timeout").input(&token).ends(130).await.shows_nothing().says(&[words]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_command_line_ends_with_two_and_sends_nothing() {
    let site = Site::deployed().await;
    for arguments in [
        &[][..],
        &["prove"],
        &["verify"],
        &["verify", scene::ORGANIZATION],
        &["verify", scene::ORGANIZATION, "--username"],
        &["verify", scene::ORGANIZATION, "--secret", "x"],
        &["verify", scene::ORGANIZATION, "--candidate"],
        &["verify", "--secret", "x", "--candidate", "--version", "y"],
        &["verify", "--secret", "x", "--expect", "y"],
        &["status", "--watch", "0"],
        &["status", "-o", "xml"],
        &["stage"],
        &["onboard"],
        &["onboard", "x", "--all"],
        &["onboard", "x", "--local"],
        &["onboard", "x", "--plan", "--yes"],
        &["reconcile", "--all", "--revoke-replaced"],
        &["rotate", "x", "--local"],
        &["completions"],
        &["schema"],
        &["init"],
        &["init", "acme", "globex", "--no-token"],
        &["init", "acme", "--invite-team", "scanning", "--no-token"],
    ] {
        let ended = site.run(arguments).ends(2).await.shows_nothing();
        assert!(!ended.err.is_empty(), "{arguments:?}");
    }
    assert_eq!(site.requests(), [""; 0]);
}
