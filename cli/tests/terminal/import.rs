//! `hubkeeper import` in front of a person: what it asks for, and the two questions before it writes.

use hubkeeper_sandbox::pty::Terminal;
use hubkeeper_sandbox::{arm, hub, scene};
use serde_json::json;

use crate::support::{LONGEST, Sandbox, start};

const ID: &str = "/subscriptions/a5caac9c-5c04-49af-b3d0-e204f40345d5/resourceGroups/rg-defender/providers/Microsoft.Security/securityConnectors/hub";
const CREATE: &str = "Create the secret hubkeeper/acme, and plan the takeover with the function";
const RUN: &str = "Run this with the function";

/// The example with a connector that somebody made in the portal, and without its secret.
async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::deployed().await;
    sandbox.world.with(|state| {
        state.aws.secrets.retain(|_, secret| secret.name != scene::SECRET);
        hub::add_user(state, "jane", "a-password-of-jane");
        hub::add_member(state, scene::ORGANIZATION, "jane", hub::Role::Owner);
        let token = hub::add_pat(state, "jane", "portal", &["repo:read"], None).1;
        let body = json!({"location": "westeurope", "tags": {}, "properties": {
            "hierarchyIdentifier": scene::ORGANIZATION, "environmentName": "DockerHub",
            "environmentData": {"environmentType": "DockerHubOrganization", "scanInterval": 12,
                "authentication": {"authenticationType": "AccessToken", "username": "jane", "accessToken": token}},
            "offerings": [{"offeringType": "CspmMonitorDockerHub"}]}});
        arm::put_connector(state, scene::SUBSCRIPTION, scene::GROUP, "hub", &body, "jane@acme.example");
    });
    sandbox
}

/// Gives what Azure does not show, up to the first question.
fn told(terminal: &Terminal, token: &str) {
    for (question, line) in [
        ("Docker Hub user of the token [jane]:", "acme-scanner\r"),
        ("Manager secret, with which hubkeeper makes the tokens (name or ARN; empty: none):", "\r"),
        ("Repositories that must be readable (a,b,team-*; empty: none):", "billing\r"),
        ("Docker Hub token of acme-scanner (hidden):", &format!("{token}\r")),
        ("When does it expire? (2027-01-31, a time, or never):", "2999-12-31\r"),
    ] {
        terminal.wait_for(&[question], LONGEST).unwrap();
        if question.starts_with("Docker Hub user") {
            // the default is in the brackets, not in the line
            terminal.type_in("\u{15}").unwrap();
        }
        terminal.type_in(line).unwrap();
    }
}

fn user(sandbox: &Sandbox) -> String {
    sandbox.world.with(|state| {
        let connector = arm::connector(state, scene::SUBSCRIPTION, scene::GROUP, "hub").unwrap();
        connector.credential().unwrap().0.to_owned()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_azure_does_not_show_is_asked_for_and_two_questions_come_before_the_takeover() {
    let sandbox = sandbox().await;
    let token = sandbox.token("repo:read");
    let terminal = start(&["import", "--connector", ID], &sandbox.everything(), 140);
    told(&terminal, &token);
    terminal.wait_for(&["username: jane → acme-scanner", "what stays", CREATE], LONGEST).unwrap();
    assert_eq!(sandbox.writes(), Vec::<String>::new());
    terminal.type_in("y\r").unwrap();
    terminal.wait_for(&["created the secret", "~ update connector hub in rg-defender", RUN], LONGEST).unwrap();
    assert_eq!((sandbox.writes(), user(&sandbox).as_str()), (vec!["POST CreateSecret".to_owned()], "jane"));
    terminal.type_in("y\r").unwrap();
    let end = terminal.end(LONGEST).unwrap();
    assert_eq!(end.code, Some(0), "{}", end.screen);
    sandbox.assert_no_leak(&end);
    assert_eq!(user(&sandbox), "acme-scanner");
    assert!(end.screen.contains("and in nothing else") && end.screen.contains("what comes next"), "{}", end.screen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_no_leaves_the_connector_and_says_how_to_continue() {
    let sandbox = sandbox().await;
    let token = sandbox.token("repo:read");
    let terminal = start(&["import", "--connector", ID], &sandbox.everything(), 100);
    told(&terminal, &token);
    terminal.wait_for(&[CREATE], LONGEST).unwrap();
    terminal.type_in("n\r").unwrap();
    let end = terminal.end(LONGEST).unwrap();
    assert_eq!(end.code, Some(0), "{}", end.screen);
    assert!(end.screen.ends_with("nothing was created"), "{}", end.screen);
    assert_eq!(sandbox.writes(), Vec::<String>::new());

    let manager = ["import", "--connector", ID, "--manager", scene::MANAGER, "-u", scene::USER, "--expect", "billing"];
    let terminal = start(&manager, &sandbox.everything(), 100);
    terminal.wait_for(&[CREATE], LONGEST).unwrap();
    terminal.type_in("y\r").unwrap();
    terminal.wait_for(&[RUN], LONGEST).unwrap();
    terminal.type_in("n\r").unwrap();
    let end = terminal.end(LONGEST).unwrap();
    assert_eq!(end.code, Some(0), "{}", end.screen);
    assert!(end.screen.contains("continue with hubkeeper onboard hubkeeper/acme"), "{}", end.screen);
    assert_eq!((sandbox.writes(), user(&sandbox).as_str()), (vec!["POST CreateSecret".to_owned()], "jane"));
}
