//! `hubkeeper onboard` and its like: the plan, the question, the report.

use hubkeeper_sandbox::{arm, scene};

use crate::WIDTHS;
use crate::support::{LONGEST, Sandbox, start};

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_is_shown_then_the_question_then_the_report() {
    for columns in WIDTHS {
        let sandbox = Sandbox::deployed().await;
        sandbox.slow(20);
        let terminal = start(&["onboard", scene::SECRET], &sandbox.everything(), columns);
        let screen = terminal.wait_for(&["Run this with the function on 1 secret?"], LONGEST).unwrap();
        assert!(screen.contains("+ create connector") && !screen.contains("planning"), "{screen}");
        assert!(sandbox.writes().is_empty(), "{:?}", sandbox.writes());
        terminal.type_in("y\r").unwrap();
        let end = terminal.end(LONGEST).unwrap();
        assert_eq!(end.code, Some(0), "{}", end.screen);
        let (_, report) = end.screen.split_once("on 1 secret?").unwrap();
        assert!(report.contains("✓ acme"), "{}", end.screen);
        assert!(end.frames.iter().any(|frame| frame.screen.contains(": running")), "{:?}", end.frames.len());
        assert!(!end.screen.contains(": running"), "{}", end.screen);
        assert_eq!(sandbox.world.with(|state| arm::connectors(state).count()), 1);
        sandbox.assert_no_leak(&end);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_takes_the_line_away_before_it_is_told() {
    let sandbox = Sandbox::deployed().await;
    sandbox.slow(100);
    let end = start(&["onboard", "hubkeeper/nothing", "--plan"], &sandbox.everything(), 100).end(LONGEST).unwrap();
    assert_eq!(end.code, Some(4), "{}", end.screen);
    assert!(end.frames.iter().any(|frame| frame.screen.contains("planning")));
    assert!(
        end.screen.contains("\nerror: onboard: there is no secret") && !end.screen.contains("planning"),
        "{}",
        end.screen
    );
}
