//! `hubkeeper verify`: prompt, progress, waits, colour, result.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use hubkeeper_sandbox::pty::End;
use hubkeeper_sandbox::world::{Fault, Service};
use hubkeeper_sandbox::{hub, scene};

use crate::WIDTHS;
use crate::support::{LONGEST, Sandbox, is_painted, rows, start};

const VERIFY: [&str; 4] = ["verify", scene::ORGANIZATION, "--username", scene::USER];
const PROMPT: &str = "Docker Hub token of acme-scanner (hidden):";
/// What only the line of progress says.
const PROGRESS: [&str; 3] = ["logging in", "logged in", " pages"];

fn variable(token: &str) -> (String, String) {
    ("HUBKEEPER_TOKEN".to_owned(), token.to_owned())
}

fn shows(end: &End, words: &str) -> bool {
    end.frames.iter().any(|frame| frame.screen.contains(words))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prompt_shows_nothing_of_the_token_and_the_result_stands_alone() {
    for columns in WIDTHS {
        let sandbox = Sandbox::new().await;
        sandbox.slow(150);
        let token = sandbox.token("repo:read");
        let terminal = start(&VERIFY, &sandbox.docker_hub(), columns);
        terminal.wait_for(&[PROMPT], LONGEST).unwrap();
        terminal.type_in(&format!("{token}\r")).unwrap();
        let end = terminal.end(LONGEST).unwrap();
        assert_eq!(end.code, Some(0), "{}", end.screen);
        sandbox.assert_no_leak(&end);
        let mut lines = rows(&end).into_iter();
        assert_eq!(lines.next().as_deref(), Some(PROMPT), "{}", end.screen);
        assert_eq!(
            lines.next().as_deref(),
            Some("✓ acme  the token reads the whole organization, and can do nothing more")
        );
        assert!(end.screen.contains("sees           6 repositories, 4 private"), "{}", end.screen);
        assert!(shows(&end, "logged in"), "{:?}", end.frames);
        for words in PROGRESS {
            assert!(!end.screen.contains(words), "{words} is left:\n{}", end.screen);
        }
        assert!(!end.cursor_is_hidden);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn colour_is_for_terminals_without_no_color() {
    let sandbox = Sandbox::new().await;
    for (scope, colour) in [("repo:read", 2), ("repo:public_read", 1)] {
        let mut environment = sandbox.docker_hub();
        environment.push(variable(&sandbox.token(scope)));
        let coloured = start(&VERIFY, &environment, 80).end(LONGEST).unwrap();
        assert!(coloured.colours().contains(&colour), "{:?}", coloured.lines);
        environment.push(("NO_COLOR".to_owned(), "1".to_owned()));
        let plain = start(&VERIFY, &environment, 80).end(LONGEST).unwrap();
        assert_eq!(plain.colours(), BTreeSet::new());
        assert!(is_painted(&coloured.raw) && !is_painted(&plain.raw), "{:?}", plain.raw);
        // nothing is lost without colour
        assert_eq!(coloured.screen, plain.screen);
        assert_eq!((coloured.code, plain.code), if colour == 2 { (Some(0), Some(0)) } else { (Some(1), Some(1)) });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_leaves_the_result_alone() {
    let sandbox = Sandbox::new().await;
    sandbox.slow(100);
    let mut environment = sandbox.docker_hub();
    environment.push(variable(&sandbox.token("repo:read")));
    let arguments: Vec<&str> = VERIFY.into_iter().chain(["--quiet"]).collect();
    let end = start(&arguments, &environment, 80).end(LONGEST).unwrap();
    assert_eq!(end.code, Some(0));
    assert!(PROGRESS.iter().all(|words| !shows(&end, words)), "{:?}", end.frames);
    assert!(end.screen.starts_with("✓ acme"), "{}", end.screen);
}

/// The number before some words, without its commas.
fn before(screen: &str, words: &str) -> Option<usize> {
    let before = screen.split(words).next().filter(|before| before.len() < screen.len())?;
    before.rsplit([' ', '\n']).next()?.replace(',', "").parse().ok()
}

/// A thousand repositories, with so many milliseconds for each response. The measurement is `bench verify`; here is what must
/// hold on any machine.
async fn thousand(milliseconds: u64) -> End {
    let sandbox = Sandbox::new().await;
    sandbox.world.set_recording(false);
    sandbox.world.with(|state| {
        hub::add_organization(state, "initech");
        hub::add_member(state, "initech", scene::USER, hub::Role::Editor);
        hub::add_repositories(state, "initech", "service-", 1_000, 2);
    });
    sandbox.slow(milliseconds);
    let mut environment = sandbox.docker_hub();
    environment.push(variable(&sandbox.token("repo:read")));
    let end = start(&["verify", "initech", "--username", scene::USER], &environment, 100).end(LONGEST).unwrap();
    assert_eq!(end.code, Some(0), "{}", end.screen);
    end
}

#[tokio::test(flavor = "multi_thread")]
async fn the_progress_of_a_thousand_repositories_tells_every_phase() {
    let end = thousand(50).await;
    for words in ["initech: logging in", "logged in, ", " of 10 pages", " of 1,000 repositories", " manifests"] {
        assert!(shows(&end, words), "{words}: {:?}", end.frames.last());
    }
    let checked: Vec<usize> =
        end.frames.iter().filter_map(|frame| before(&frame.screen, " of 1,000 repositories")).collect();
    assert!(checked.is_sorted(), "{checked:?}");
    assert!(checked.iter().collect::<BTreeSet<_>>().len() > 2, "{checked:?}");
    // a line of progress is one line
    let is_one_line = |screen: &str| screen.lines().count() <= 1;
    assert!(
        end.frames.iter().filter(|frame| frame.screen.contains("initech:")).all(|frame| is_one_line(&frame.screen))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_progress_never_stands_still() {
    let window = Duration::from_millis(500);
    // the second is slower than the window: nothing but the line itself can move meanwhile
    for milliseconds in [50, 700] {
        let end = thousand(milliseconds).await;
        let mut shown = end.frames.iter().filter(|frame| frame.screen.contains("initech:"));
        let mut last = shown.next().unwrap();
        let first = last.at;
        let mut moves = vec![first];
        for frame in shown {
            if frame.screen != last.screen {
                moves.push(frame.at);
            }
            last = frame;
        }
        moves.push(last.at);
        // a twentieth is for a machine that does something else meanwhile
        let over: Duration = moves.windows(2).map(|pair| pair[1].saturating_sub(pair[0] + window)).sum();
        assert!(over * 20 <= last.at.saturating_sub(first), "{milliseconds} ms: {over:?} without a change: {moves:?}");
        assert!(last.at.saturating_sub(first) > Duration::from_millis(2 * milliseconds), "{moves:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_the_rate_limit_is_told_with_its_end_and_counted_down() {
    let sandbox = Sandbox::new().await;
    let mut environment = sandbox.docker_hub();
    environment.push(variable(&sandbox.token("repo:read")));
    let mut is_first = true;
    sandbox.world.script(move |_, service, request| {
        let is_list = service == Service::Hub && request.uri().path().ends_with("/repositories");
        let limited = http::Response::builder().status(429).header("retry-after", "4").body(Bytes::new()).ok()?;
        (is_list && std::mem::take(&mut is_first)).then_some(Fault::Answer(limited))
    });
    let terminal = start(&VERIFY, &environment, 120);
    let screen = terminal.wait_for(&["asks to wait until "], LONGEST).unwrap();
    let (_, told) = screen.split_once("asks to wait until ").unwrap();
    let time: Vec<&str> = told.split([' ', '(']).next().unwrap().split(':').collect();
    assert!(time.len() == 3 && time.iter().all(|part| part.len() == 2), "{screen}");
    terminal.wait_for(&["asks to wait until ", "(2 s)"], LONGEST).unwrap();
    let end = terminal.end(LONGEST).unwrap();
    assert_eq!(end.code, Some(0), "{}", end.screen);
    assert!(end.after >= Duration::from_secs(3), "{:?}", end.after);
    assert!(!end.screen.contains("wait"), "{}", end.screen);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_to_the_prompt_is_asked_again() {
    let sandbox = Sandbox::new().await;
    let token = sandbox.token("repo:read");
    let terminal = start(&VERIFY, &sandbox.docker_hub(), 80);
    terminal.wait_for(&[PROMPT], LONGEST).unwrap();
    terminal.type_in("\r").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    terminal.type_in(&format!("{token}\r")).unwrap();
    let end = terminal.end(LONGEST).unwrap();
    assert_eq!(end.code, Some(0), "{}", end.screen);
    sandbox.assert_no_leak(&end);
}
