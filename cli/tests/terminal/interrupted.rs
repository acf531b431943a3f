//! Ctrl-C: what was under way is told, the terminal is as before, and nothing is half done.

use std::time::{Duration, Instant};

use hubkeeper_sandbox::{arm, scene};

use crate::support::{LONGEST, Sandbox, assert_usual_settings, rows, start, start_in_shell};

const CTRL_C: &str = "\u{3}";
const VERIFY: [&str; 4] = ["verify", scene::ORGANIZATION, "--username", scene::USER];
const STAGE: [&str; 2] = ["stage", scene::SECRET];

#[tokio::test(flavor = "multi_thread")]
async fn at_the_hidden_prompt_the_echo_is_on_again() {
    let sandbox = Sandbox::new().await;
    let terminal = start_in_shell(&VERIFY, &sandbox.docker_hub(), 100);
    terminal.wait_for(&["(hidden)"], LONGEST).unwrap();
    // the prompt turns the echo off just after it is shown
    std::thread::sleep(Duration::from_millis(300));
    terminal.type_in("dckr_pat_half").unwrap();
    terminal.type_in(CTRL_C).unwrap();
    let end = terminal.end(LONGEST).unwrap();
    assert_eq!(end.code, Some(130), "{}", end.screen);
    assert_usual_settings(&end.screen);
    assert!(!end.raw.contains("dckr_pat_half") && !end.cursor_is_hidden, "{:?}", end.raw);
    assert_eq!(rows(&end)[1], "interrupted before anything was sent", "{}", end.screen);
    assert!(sandbox.world.record().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_question_nothing_was_written() {
    let sandbox = Sandbox::deployed().await;
    let mut environment = sandbox.everything();
    environment.push(("HUBKEEPER_TOKEN".to_owned(), sandbox.token("repo:read")));
    let arguments: Vec<&str> = STAGE.into_iter().chain(["--expires-at", "never"]).collect();
    let terminal = start_in_shell(&arguments, &environment, 100);
    terminal.wait_for(&["Put it as HUBKEEPER_CANDIDATE"], LONGEST).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    terminal.type_in(CTRL_C).unwrap();
    let end = terminal.end(LONGEST).unwrap();
    assert_eq!(end.code, Some(130), "{}", end.screen);
    assert!(end.screen.contains("\ninterrupted before anything was written\n"), "{}", end.screen);
    assert_usual_settings(&end.screen);
    assert!(!end.cursor_is_hidden);
    assert_eq!((sandbox.writes(), sandbox.version("HUBKEEPER_CANDIDATE")), (Vec::new(), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_proof_the_line_goes_and_what_was_under_way_is_told() {
    let sandbox = Sandbox::new().await;
    sandbox.slow(1_500);
    let mut environment = sandbox.docker_hub();
    environment.push(("HUBKEEPER_TOKEN".to_owned(), sandbox.token("repo:read")));
    let terminal = start_in_shell(&VERIFY, &environment, 100);
    terminal.wait_for(&["acme: logged in"], LONGEST).unwrap();
    terminal.type_in(CTRL_C).unwrap();
    let since = Instant::now();
    let end = terminal.end(LONGEST).unwrap();
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
    assert_eq!(end.code, Some(130), "{}", end.screen);
    assert!(end.screen.contains("the proof of acme was interrupted: nothing was written anywhere\n"), "{}", end.screen);
    assert!(!end.screen.contains("logged in"), "the line is left:\n{}", end.screen);
    assert!(!end.cursor_is_hidden);
    assert_usual_settings(&end.screen);
    assert_eq!(sandbox.writes(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_function_does_goes_on_without_the_command() {
    let sandbox = Sandbox::deployed().await;
    sandbox.slow(400);
    let terminal = start(&["onboard", scene::SECRET, "--yes"], &sandbox.everything(), 100);
    terminal.wait_for(&[": running"], LONGEST).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    terminal.type_in(CTRL_C).unwrap();
    let end = terminal.end(LONGEST).unwrap();
    assert_eq!(end.code, Some(130), "{}", end.screen);
    assert!(
        end.screen.contains("it continues by itself, and a repeated command finishes what it left"),
        "{}",
        end.screen
    );
    assert!(!end.screen.contains("running"), "{}", end.screen);
    let connector = |sandbox: &Sandbox| sandbox.world.with(|state| arm::connectors(state).next().is_some());
    assert!(!connector(&sandbox), "it was interrupted too late to show anything");
    let until = Instant::now() + LONGEST;
    while !connector(&sandbox) {
        assert!(Instant::now() < until, "the function has not gone on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
