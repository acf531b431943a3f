//! `hubkeeper rotate`: starts a rotation at Secrets Manager, and follows it.

use hubkeeper_sandbox::{aws, hub, scene};
use serde_json::json;

use crate::site::{Site, second};

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_the_four_steps_and_starts_none() {
    let site = Site::onboarded().await;
    let ended = site.run(&["rotate", scene::SECRET, "--plan"]).ends(0).await;
    ended.shows(&["~ acme\n", "createSecret", "setSecret", "testSecret", "finishSecret"]);
    let plan = site.run(&["rotate", scene::SECRET, "--plan", "-o", "json"]).ends(0).await.json();
    assert_eq!(plan["steps"].as_array().map(Vec::len), Some(4), "{plan}");
    site.run(&["rotate", scene::SECRET]).ends(2).await.says(&["standard input is not a terminal"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_is_followed_to_its_end() {
    let site = Site::onboarded().await;
    let arn = site.arn.clone();
    let before = site.world.with(|state| aws::version_with(state, &arn, "AWSCURRENT").unwrap());
    let report = site.run(&["rotate", scene::SECRET, "--yes", "-o", "json"]).ends(0).await.json();
    let after = site.world.with(|state| aws::version_with(state, &arn, "AWSCURRENT").unwrap());
    assert_ne!(after, before);
    assert_eq!((&report["outcome"], &report["versionId"]), (&json!("applied"), &json!(after)));
    let stages: Vec<&str> =
        report["stages"].as_array().unwrap().iter().map(|stage| stage["status"].as_str().unwrap()).collect();
    assert_eq!(stages, ["done"; 4]);
    site.run(&["rotate", "--all", "--yes"]).ends(0).await.shows(&["✓ acme  done", "the new version is AWSCURRENT"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_does_not_end_is_told_with_the_step_it_waits_for() {
    let site = Site::onboarded().await;
    // the user loses a team: setSecret refuses every new token
    site.world.with(|state| hub::team_permission(state, scene::ORGANIZATION, scene::PAYMENTS, "billing", None));
    let ended = site.run(&["rotate", scene::SECRET, "--yes", "--wait", "3"]).ends(3).await;
    ended.says(&["setSecret of arn:", "is not done after 3 seconds", "aws logs tail"]);
    let again = site.run(&["rotate", scene::SECRET, "--yes"]).ends(4).await;
    again.says(&["is AWSPENDING: a rotation is under way, or stuck", "aws secretsmanager"]);
    site.run(&["status"]).ends(0).await.shows(&["↻ rotating"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_label_stops_a_rotation_except_beside_awscurrent() {
    let site = Site::onboarded().await;
    site.run(&["rotate", scene::SECRET, "--yes"]).ends(0).await;
    let arn = site.arn.clone();
    let leave = |beside: &str| {
        site.world.with(|state| {
            let version = aws::version_with(state, &arn, beside).unwrap();
            state.aws.secrets.get_mut(&arn).unwrap().move_label("AWSPENDING", &version);
            version
        })
    };
    let previous = leave("AWSPREVIOUS");
    let refused = site.run(&["rotate", scene::SECRET, "--yes"]).ends(4).await;
    refused.says(&[
        &format!("version {previous} of arn:"),
        "is AWSPENDING",
        &format!("--remove-from-version-id {previous}"),
    ]);
    let current = leave("AWSCURRENT");
    site.run(&["rotate", scene::SECRET, "--yes"]).ends(0).await.shows(&["the new version is AWSCURRENT"]);
    assert_eq!(site.world.with(|state| aws::version_with(state, &arn, "AWSPREVIOUS")), Some(current));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_alone_waits_for_nothing() {
    let site = Site::onboarded().await;
    site.run(&["rotate", scene::SECRET, "--yes", "--wait", "0"]).ends(0).await.shows(&["the rotation was started"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_rotate_is_told_before_anything_starts() {
    let site = Site::onboarded().await;
    let arn = site.arn.clone();
    site.world.with(|state| aws::enable_rotation(state, &arn, false));
    site.run(&["rotate", scene::SECRET, "--yes"]).ends(4).await.says(&[
        "rotation of arn:",
        "is off",
        "aws secretsmanager rotate-secret",
    ]);
    let token = site.token("repo:read");
    site.world.with(|state| {
        aws::enable_rotation(state, &arn, true);
        aws::put_version(state, &arn, None, &scene::document_with(&token, None), &["AWSCURRENT"]);
    });
    site.run(&["rotate", scene::SECRET, "--yes"]).ends(4).await.says(&["names no manager", "hubkeeper stage arn:"]);
    site.run(&["rotate", "hubkeeper/none", "--yes"]).ends(4).await.says(&["hubkeeper/none"]);
    assert!(!site.writes().iter().any(|line| line.contains("RotateSecret")));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_one_that_cannot_rotate_stops_no_other() {
    let site = Site::deployed_with(second).await;
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
    let arn = site.arn.clone();
    let before = site.world.with(|state| aws::version_with(state, &arn, "AWSCURRENT"));
    let both = ["rotate", "hubkeeper/globex", scene::SECRET];
    let plan = site.run(&[&both[..], &["--plan", "--local"]].concat()).ends(4).await;
    plan.shows(&["✗ hubkeeper/globex", "is off", "~ acme", "+ createSecret"]);
    let ended = site.run(&[&both[..], &["--yes"]].concat()).ends(4).await;
    ended.shows(&["✗ hubkeeper/globex", "is off", "✓ acme", "the new version is AWSCURRENT", "2 secrets: "]);
    assert_ne!(site.world.with(|state| aws::version_with(state, &arn, "AWSCURRENT")), before);
    site.run(&["rotate", "--all", "--plan", "--local"]).ends(2).await.says(&["--all needs the deployed function"]);
}
