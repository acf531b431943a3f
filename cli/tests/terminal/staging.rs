//! `hubkeeper stage`: the questions, and what they lead to.

use hubkeeper_sandbox::pty::Terminal;
use hubkeeper_sandbox::scene;

use crate::WIDTHS;
use crate::support::{LONGEST, Sandbox, start};

const STAGE: [&str; 2] = ["stage", scene::SECRET];
const TOKEN: &str = "Docker Hub token of acme-scanner (hidden):";
const EXPIRY: &str = "When does it expire? (2027-01-31, a time, or never):";
const QUESTION: &str = "Put it as HUBKEEPER_CANDIDATE of ";
/// A year in which this is not maintained any more.
const END: &str = "2999-12-31";

/// Answers up to the question.
fn until_the_question(terminal: &Terminal, token: &str) {
    terminal.wait_for(&[TOKEN], LONGEST).unwrap();
    terminal.type_in(&format!("{token}\r")).unwrap();
    terminal.wait_for(&[EXPIRY], LONGEST).unwrap();
    terminal.type_in(&format!("{END}\r")).unwrap();
    terminal.wait_for(&[QUESTION], LONGEST).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_proven_staged_and_adopted() {
    for columns in WIDTHS {
        let sandbox = Sandbox::deployed().await;
        let token = sandbox.token("repo:read");
        let terminal = start(&STAGE, &sandbox.everything(), columns);
        until_the_question(&terminal, &token);
        assert!(sandbox.writes().is_empty(), "before the answer: {:?}", sandbox.writes());
        terminal.type_in("y\r").unwrap();
        let end = terminal.end(LONGEST).unwrap();
        assert_eq!(end.code, Some(0), "{}", end.screen);
        sandbox.assert_no_leak(&end);
        let current = sandbox.version("AWSCURRENT").unwrap();
        let parts = [
            TOKEN.to_owned(),
            format!("{EXPIRY} {END}"),
            "✓ complete: the token reads 6 repositories".to_owned(),
            format!("✓ staged as version {current} (HUBKEEPER_CANDIDATE)"),
            "✓ acme".to_owned(),
        ];
        let mut rest = end.screen.as_str();
        for part in parts {
            let at = rest
                .find(&part)
                .unwrap_or_else(|| panic!("{part} is not on the screen, or not there:\n{}", end.screen));
            rest = &rest[at + part.len()..];
        }
        assert!(!end.screen.contains("waiting for the adoption"), "{}", end.screen);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_writes_nothing() {
    let sandbox = Sandbox::deployed().await;
    let before = sandbox.version("AWSCURRENT");
    let terminal = start(&STAGE, &sandbox.everything(), 100);
    until_the_question(&terminal, &sandbox.token("repo:read"));
    terminal.type_in("n\r").unwrap();
    let end = terminal.end(LONGEST).unwrap();
    assert_eq!(end.code, Some(0), "{}", end.screen);
    assert!(end.screen.ends_with("\nnothing was written"), "{}", end.screen);
    assert_eq!((sandbox.writes(), sandbox.version("AWSCURRENT")), (Vec::new(), before));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_no_time_or_is_past_is_asked_again() {
    let sandbox = Sandbox::deployed().await;
    let terminal = start(&STAGE, &sandbox.everything(), 120);
    terminal.wait_for(&[TOKEN], LONGEST).unwrap();
    terminal.type_in(&format!("{}\r", sandbox.token("repo:read"))).unwrap();
    terminal.wait_for(&[EXPIRY], LONGEST).unwrap();
    terminal.type_in("soon\r").unwrap();
    terminal.wait_for(&["it is neither a date nor a time"], LONGEST).unwrap();
    terminal.type_in("2020-01-31\r").unwrap();
    terminal.wait_for(&["it (2020-01-31T00:00:00Z) is in the past"], LONGEST).unwrap();
    terminal.type_in("never\r").unwrap();
    terminal.wait_for(&[QUESTION], LONGEST).unwrap();
    terminal.type_in("n\r").unwrap();
    assert_eq!(terminal.end(LONGEST).unwrap().code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_can_push_is_refused_before_any_question_about_writing() {
    let sandbox = Sandbox::deployed().await;
    let terminal = start(&STAGE, &sandbox.everything(), 80);
    terminal.wait_for(&[TOKEN], LONGEST).unwrap();
    terminal.type_in(&format!("{}\r", sandbox.token("repo:write"))).unwrap();
    terminal.wait_for(&[EXPIRY], LONGEST).unwrap();
    terminal.type_in("never\r").unwrap();
    let end = terminal.end(LONGEST).unwrap();
    assert_eq!(end.code, Some(1), "{}", end.screen);
    assert!(end.screen.contains("overPrivileged") && end.screen.ends_with("\nnothing was written"), "{}", end.screen);
    assert!(end.frames.iter().all(|frame| !frame.screen.contains(QUESTION)));
    assert_eq!(sandbox.writes(), Vec::<String>::new());
}
