//! `hubkeeper stage`: proves, puts, waits.

use hubkeeper_sandbox::{aws, scene};
use serde_json::json;

use crate::site::Site;

const STAGE: [&str; 2] = ["stage", scene::SECRET];
const ENDS: [&str; 2] = ["--expires-at", "2099-01-31"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&STAGE, &ENDS, more].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_token_is_staged_adopted_and_reported() {
    let site = Site::onboarded().await;
    let token = site.token("repo:read");
    let ended = site.run(&with(&["--yes"])).input(&token).ends(0).await;
    ended.says(&["✓ complete: the token reads 6 repositories", "✓ staged as version "]).shows(&["✓ acme"]);
    let arn = site.arn.clone();
    let (current, candidate) = site.world.with(|state| {
        let current = aws::version_with(state, &arn, "AWSCURRENT").unwrap();
        (aws::value_of(state, &arn, &current).unwrap(), aws::version_with(state, &arn, "HUBKEEPER_CANDIDATE"))
    });
    assert_eq!(current["accessToken"].as_str(), Some(token.as_str()));
    assert_eq!(current["expiresAt"], "2099-01-31T00:00:00Z");
    assert_eq!(current["manager"], json!(scene::MANAGER), "all other fields are kept");
    assert_eq!(candidate, None, "the candidate was adopted");
    site.run(&["status"]).ends(0).await.shows(&["✓ ready"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_complete_is_not_put() {
    let site = Site::onboarded().await;
    for (scope, words) in [("repo:public_read", "partial"), ("repo:write", "overPrivileged")] {
        let token = site.token(scope);
        let ended = site.run(&with(&["--yes"])).input(&token).ends(1).await;
        ended.shows(&[words]).says(&["what to do", "nothing was written"]);
    }
    assert_eq!(site.writes(), [""; 0], "no PutSecretValue, and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_token_is_asked_for_and_checked() {
    let site = Site::onboarded().await;
    let token = site.token("repo:read");
    site.run(&STAGE).input(&token).ends(2).await.says(&["--expires-at is missing", "never"]);
    for (at, words) in [("soon", "neither a date nor a time"), ("2020-01-31", "is in the past")] {
        site.run(&["stage", scene::SECRET, "--yes", "--expires-at", at]).input(&token).ends(2).await.says(&[words]);
    }
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_put_without_a_yes() {
    let site = Site::onboarded().await;
    let token = site.token("repo:read");
    site.run(&with(&[])).input(&token).ends(2).await.says(&["standard input is not a terminal", "--yes"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_wait_it_only_stages() {
    let mut site = Site::onboarded().await;
    // nobody adopts: the rules of EventBridge end with the function
    site.deployed.take().unwrap().stop().await;
    let token = site.token("repo:read");
    let report = site.run(&with(&["--yes", "--wait", "0", "-o", "json"])).input(&token).ends(0).await.json();
    let version = site.world.with(|state| aws::version_with(state, &site.arn, "HUBKEEPER_CANDIDATE").unwrap());
    assert_eq!((&report["action"], &report["versionId"]), (&json!("stage"), &json!(version)));
    assert_eq!(site.writes(), ["POST PutSecretValue"]);
    // a wait without an adoption ends, and says where the token is
    let token = site.token("repo:read");
    let ended = site.run(&with(&["--yes", "--wait", "1"])).input(&token).ends(3).await;
    ended.says(&["watching the labels", "was not adopted within 1 seconds", "it stays staged"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offboarded_or_unknown_secret_gets_no_token() {
    let site = Site::onboarded().await;
    site.run(&["offboard", scene::SECRET, "--yes"]).ends(0).await;
    let _ = site.writes();
    let token = site.token("repo:read");
    site.run(&with(&["--yes"]))
        .input(&token)
        .ends(4)
        .await
        .says(&["is offboarded", "hubkeeper onboard hubkeeper/acme"]);
    site.run(&["stage", "hubkeeper/none", "--yes", "--expires-at", "never"])
        .input(&token)
        .ends(4)
        .await
        .says(&["hubkeeper/none"]);
    assert_eq!(site.writes(), [""; 0]);
}
