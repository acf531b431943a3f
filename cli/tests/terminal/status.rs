//! `hubkeeper status`: a table that fits, colour, and `--watch`.

use std::collections::BTreeSet;

use hubkeeper_sandbox::{aws, scene};
use serde_json::json;

use crate::WIDTHS;
use crate::support::{LONGEST, Sandbox, is_painted, rows, start};

/// Three managed secrets: one ready, one whose token ends soon, one whose connector is gone.
async fn fleet() -> Sandbox {
    let sandbox = Sandbox::deployed().await;
    let mut ids = vec![sandbox.arn.clone()];
    for (name, days) in [("globex", Some(3)), ("a-long-name-of-an-organization", None)] {
        let arn = sandbox.world.with(|state| {
            scene::organization(state, name, &format!("{name}-scanner"));
            let ends = days.map(|days| time::OffsetDateTime::now_utc() + time::Duration::days(days));
            let user = format!("{name}-scanner");
            let token = hubkeeper_sandbox::hub::add_pat(state, &user, "by hand", &["repo:read"], ends).1;
            let mut value = scene::document_with(&token, ends);
            value["organization"] = json!(name);
            value["username"] = json!(user);
            value["connector"]["name"] = json!(format!("dockerhub-{name}"));
            let arn = aws::create_secret(state, &format!("hubkeeper/{name}"), &value, &[]);
            // their events would make the function repair what is broken below
            state.aws.events.clear();
            arn
        });
        ids.push(arn);
    }
    let onboard = json!({"action": "onboard", "secretIds": ids});
    sandbox.function().invoke(onboard).await.unwrap();
    sandbox.world.with(|state| {
        let name = "dockerhub-a-long-name-of-an-organization";
        assert!(hubkeeper_sandbox::arm::delete_connector(state, scene::SUBSCRIPTION, scene::GROUP, name));
    });
    sandbox
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_fits_the_terminal_and_the_worst_comes_first() {
    let sandbox = fleet().await;
    let mut columns_of = Vec::new();
    for columns in WIDTHS {
        let end = start(&["status"], &sandbox.everything(), columns).end(LONGEST).unwrap();
        assert_eq!(end.code, Some(4), "{}", end.screen);
        let lines = rows(&end);
        assert!(lines[0].starts_with(" STATE"), "{}", end.screen);
        // one row for each secret: none is wrapped
        assert!(lines[1].contains("drifted") && lines[1].contains("a-long-name-of-an-organization"), "{}", end.screen);
        assert!(lines[2].contains("expiring") && lines[2].contains("globex"), "{}", end.screen);
        assert!(lines[3].contains("ready") && lines[3].contains("acme"), "{}", end.screen);
        assert_eq!(lines[4], "", "{}", end.screen);
        assert_eq!(lines[5], "3 secrets: 1 drifted, 1 expiring, 1 ready");
        assert!(end.screen.contains("hubkeeper reconcile") || end.screen.contains("reconcile"), "{}", end.screen);
        assert_eq!(end.colours(), BTreeSet::from([9, 10, 11]), "{:?}", end.lines);
        sandbox.assert_no_leak(&end);
        columns_of.push(lines[0].split_whitespace().count());
    }
    assert!(columns_of[0] < columns_of[1], "{columns_of:?}: a wider terminal shows more");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_colour_the_table_says_the_same() {
    let sandbox = fleet().await;
    let mut environment = sandbox.everything();
    let coloured = start(&["status"], &environment, 100).end(LONGEST).unwrap();
    environment.push(("NO_COLOR".to_owned(), "1".to_owned()));
    let plain = start(&["status"], &environment, 100).end(LONGEST).unwrap();
    assert!(is_painted(&coloured.raw) && !is_painted(&plain.raw), "{:?}", plain.raw);
    assert_eq!(coloured.screen, plain.screen);
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_shows_each_change_on_an_empty_screen_until_ctrl_c() {
    for no_color in [false, true] {
        let sandbox = fleet().await;
        let mut environment = sandbox.everything();
        if no_color {
            environment.push(("NO_COLOR".to_owned(), "1".to_owned()));
        }
        let terminal = start(&["status", "--watch", "1"], &environment, 100);
        terminal.wait_for(&["1 drifted, 1 expiring, 1 ready"], LONGEST).unwrap();
        let reconcile = json!({"action": "reconcile", "secretIds": ["hubkeeper/a-long-name-of-an-organization"]});
        sandbox.function().invoke(reconcile).await.unwrap();
        let screen = terminal.wait_for(&["1 expiring, 2 ready"], LONGEST).unwrap();
        assert_eq!(screen.matches("STATE").count(), 1, "{screen}");
        terminal.type_in("\u{3}").unwrap();
        let end = terminal.end(LONGEST).unwrap();
        assert_eq!(end.code, Some(130));
        assert!(end.screen.ends_with("\nthe status was interrupted: nothing was written anywhere"), "{}", end.screen);
        assert!(!end.cursor_is_hidden);
    }
}
