//! `hubkeeper init` in front of a person: the questions, their defaults, and what they lead to.

use hubkeeper_sandbox::{aws, scene};

use crate::support::{LONGEST, Sandbox, start};

const USER: &str = "Docker Hub user [acme-scanner]:";
const SUBSCRIPTION: &str = "Azure subscription (uuid):";
const GROUP: &str = "Resource group of the connector (must exist):";
const LOCATION: &str = "Azure location of the connector [westeurope]:";
const MANAGER: &str = "Manager secret, with which hubkeeper makes the tokens (name or ARN; empty: none):";
const EXPECTED: &str = "Repositories that must be readable (a,b,team-*; empty: none):";
const HAS_TOKEN: &str = "Is there a read-only token of acme-scanner already?";
const TOKEN: &str = "Docker Hub token of acme-scanner (hidden):";
const EXPIRY: &str = "When does it expire? (2027-01-31, a time, or never):";

async fn sandbox() -> Sandbox {
    let sandbox = Sandbox::deployed().await;
    sandbox.world.with(|state| state.aws.secrets.retain(|_, secret| secret.name != scene::SECRET));
    sandbox
}

/// The value of the new secret.
fn value(sandbox: &Sandbox) -> serde_json::Value {
    sandbox.world.with(|state| {
        let secret = state.aws.secrets.values().find(|secret| secret.name == scene::SECRET).unwrap();
        let version = aws::version_with(state, &secret.arn, "AWSCURRENT").unwrap();
        aws::value_of(state, &secret.arn, &version).unwrap()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_question_has_a_check_and_leads_to_one_secret() {
    let sandbox = sandbox().await;
    let token = sandbox.token("repo:read");
    let terminal = start(&["init", "acme"], &sandbox.everything(), 140);
    for (question, lines) in [
        (USER, &["scanner@acme.example", ""][..]),
        (SUBSCRIPTION, &["one", scene::SUBSCRIPTION]),
        (GROUP, &[scene::GROUP]),
        (LOCATION, &[""]),
        (MANAGER, &[""]),
        (EXPECTED, &["acme/billing", "billing, ledger"]),
    ] {
        for line in lines {
            terminal.wait_for(&[question], LONGEST).unwrap();
            terminal.type_in(&format!("{line}\r")).unwrap();
            if *line == "scanner@acme.example" {
                terminal.wait_for(&["it holds an e-mail address"], LONGEST).unwrap();
                // the wrong answer stays in the line
                terminal.type_in("\u{15}").unwrap();
            }
            if *line == "one" {
                terminal.wait_for(&["it is not a uuid"], LONGEST).unwrap();
            }
            if *line == "acme/billing" {
                terminal.wait_for(&["it holds an entry"], LONGEST).unwrap();
            }
        }
    }
    terminal.wait_for(&[HAS_TOKEN], LONGEST).unwrap();
    terminal.type_in("y\r").unwrap();
    terminal.wait_for(&[TOKEN], LONGEST).unwrap();
    terminal.type_in(&format!("{token}\r")).unwrap();
    terminal.wait_for(&[EXPIRY], LONGEST).unwrap();
    terminal.type_in("2999-12-31\r").unwrap();
    terminal.wait_for(&["Create the secret hubkeeper/acme?"], LONGEST).unwrap();
    assert_eq!(sandbox.writes(), Vec::<String>::new());
    terminal.type_in("y\r").unwrap();
    let end = terminal.end(LONGEST).unwrap();
    assert_eq!(end.code, Some(0), "{}", end.screen);
    sandbox.assert_no_leak(&end);
    assert_eq!(sandbox.writes(), ["POST CreateSecret"]);
    let value = value(&sandbox);
    assert_eq!(
        (value["username"].as_str(), value["accessToken"].as_str()),
        (Some("acme-scanner"), Some(token.as_str()))
    );
    assert_eq!(value["expectedRepositories"], serde_json::json!(["billing", "ledger"]));
    assert!(
        end.screen.contains("what comes next") && end.screen.contains("hubkeeper onboard hubkeeper/acme"),
        "{}",
        end.screen
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_missing_is_asked_and_no_creates_nothing() {
    let sandbox = sandbox().await;
    let arguments = [
        "init",
        "acme",
        "--username",
        scene::USER,
        "--subscription",
        scene::SUBSCRIPTION,
        "--resource-group",
        "rg-defender",
        "--manager",
        scene::MANAGER,
        "--expect",
        "billing",
    ];
    let terminal = start(&arguments, &sandbox.everything(), 100);
    terminal.wait_for(&[LOCATION], LONGEST).unwrap();
    terminal.type_in("\r").unwrap();
    terminal.wait_for(&["Create the secret hubkeeper/acme?"], LONGEST).unwrap();
    terminal.type_in("n\r").unwrap();
    let end = terminal.end(LONGEST).unwrap();
    assert_eq!(end.code, Some(0), "{}", end.screen);
    assert!(end.screen.ends_with("nothing was created"), "{}", end.screen);
    for question in [USER, GROUP, MANAGER, TOKEN] {
        assert!(end.frames.iter().all(|frame| !frame.screen.contains(question)), "{question}");
    }
    assert_eq!(sandbox.writes(), Vec::<String>::new());
}
