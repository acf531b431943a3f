//! `hubkeeper onboard`, `reconcile` and `offboard`: plans, questions, the function, and failures with their codes.

use hubkeeper_sandbox::{arm, aws, deployed, hub, scene};
use serde_json::{Value, json};

use crate::site::{Site, second};

fn connectors(site: &Site) -> Vec<String> {
    site.world.with(|state| arm::connectors(state).map(|connector| connector.name.clone()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_a_list_and_writes_nothing() {
    let site = Site::deployed().await;
    let steps = [
        "+ create a read-only token, stored as version ",
        "+ create connector dockerhub-acme in rg-defender",
        "~ move AWSCURRENT from version ",
    ];
    for how in [&["--plan"][..], &["--plan", "--local"]] {
        let ended = site.run(&[&["onboard", scene::SECRET][..], how].concat()).ends(0).await;
        ended.shows(&steps).shows(&["~ acme  would take"]);
    }
    let plan =
        |report: &Value| report["plan"].as_array().unwrap().iter().map(|step| step["step"].clone()).collect::<Vec<_>>();
    let remote = site.run(&["onboard", scene::SECRET, "--plan", "-o", "json"]).ends(0).await.json();
    let local = site.run(&["onboard", scene::SECRET, "--plan", "--local", "-o", "json"]).ends(0).await.json();
    assert_eq!(plan(&remote), plan(&local), "the function's planner, here and there");
    assert_eq!((&remote["outcome"], &remote["mode"]), (&json!("planned"), &json!("plan")));
    assert_eq!(site.writes(), [""; 0]);
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
    let _ = site.writes();
    for command in ["reconcile", "offboard"] {
        let ended = site.run(&[command, scene::SECRET, "--plan"]).ends(0).await;
        ended.shows(&[if command == "offboard" {
            "- delete connector dockerhub-acme in rg-defender"
        } else {
            "✓ acme  nothing to do"
        }]);
        site.run(&[command, scene::SECRET, "--plan", "--local"]).ends(0).await;
    }
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_life_of_a_connector() {
    let site = Site::deployed().await;
    let created = site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
    created.shows(&["✓ acme  done", "verdict        complete", "dockerhub-acme in rg-defender, created"]);
    assert_eq!(connectors(&site), ["dockerhub-acme"]);
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await.shows(&["nothing to do", "unchanged"]);
    site.run(&["onboard", scene::SECRET, "--force", "--yes", "-v"]).ends(0).await.shows(&["✓ acme  done", "updated"]);
    // without --yes a plan comes first; if it has no step, nobody is asked
    site.run(&["reconcile", scene::SECRET]).ends(0).await.says(&["nothing to do"]).shows_nothing();
    let quiet = site.run(&["reconcile", scene::SECRET, "-o", "json"]).ends(0).await.json();
    assert_eq!(quiet["items"][0]["outcome"].as_str().or(quiet["outcome"].as_str()), Some("unchanged"), "{quiet}");
    let deleted = site.run(&["offboard", scene::SECRET, "--yes"]).ends(0).await;
    deleted.shows(&["✓ acme  done", "dockerhub-acme in rg-defender, deleted"]);
    assert_eq!(connectors(&site), [""; 0]);
    site.run(&["status"]).ends(0).await.shows(&["- offboarded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_result_as_json_is_the_report_of_the_function() {
    let site = Site::deployed().await;
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
    let event = json!({"action": "onboard", "secretId": scene::SECRET});
    let invoked = hubkeeper_sandbox::lambda::LambdaHost::start(
        &crate::site::function(),
        &scene::environment(&site.served),
        std::time::Duration::from_mins(1),
    );
    let mut report = invoked.unwrap().invoke(event).await.unwrap();
    let mut printed = site.run(&["onboard", scene::SECRET, "--yes", "-o", "json"]).ends(0).await.json();
    for report in [&mut report, &mut printed] {
        let stages = report["stages"].as_array_mut().unwrap();
        assert!(!stages.is_empty());
        for stage in stages {
            stage["durationMs"] = Value::Null;
        }
    }
    assert_eq!(printed, report);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_means_every_managed_secret() {
    let site = Site::deployed_with(second).await;
    site.run(&["reconcile", "--all", "--yes"]).ends(0).await.says(&["no secret is managed"]);
    let both = site.run(&["onboard", scene::SECRET, "hubkeeper/globex", "--yes"]).ends(0).await;
    both.shows(&["✓ acme", "✓ globex", "2 secrets: 2 applied", "warning:"]);
    site.run(&["reconcile", "--all", "--plan"]).ends(0).await.shows(&["2 secrets: "]);
    site.run(&["reconcile", "--all", "--yes"]).ends(0).await.shows(&["2 secrets: 2 unchanged"]);
    site.run(&["offboard", "--all", "--yes"]).ends(0).await.shows(&["2 secrets: 2 applied"]);
    assert_eq!(connectors(&site), [""; 0]);
    site.run(&["reconcile", "--all", "--plan", "--local"]).ends(2).await.says(&["--all needs the deployed function"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_without_a_terminal_or_a_yes() {
    let site = Site::deployed().await;
    let ended = site.run(&["onboard", scene::SECRET]).ends(2).await.shows_nothing();
    ended.says(&["+ create connector", "standard input is not a terminal", "add --yes", "--plan"]);
    assert_eq!(site.writes(), [""; 0]);
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
    let _ = site.writes();
    site.run(&["offboard", scene::SECRET]).input("yes\n").ends(2).await.says(&["- delete connector"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_the_function_has_its_code_and_its_remedy() {
    let site = Site::deployed_with(second).await;
    // refused: the token reads too little
    site.world.with(|state| {
        hub::team_permission(state, "globex", scene::PAYMENTS, "billing", None);
    });
    let ended = site.run(&["onboard", "hubkeeper/globex", "--yes"]).ends(1).await;
    ended.says(&["error: ", "globex", "partial", "billing", "what to do", "read access"]);
    // one of several fails: the others are done, and the worst decides
    let both = site.run(&["onboard", "hubkeeper/globex", scene::SECRET, "--yes"]).ends(1).await;
    both.shows(&["✗ globex", "✓ acme", "what to do", "2 secrets: "]);
    assert_eq!(connectors(&site), ["dockerhub-acme"]);
    // a person is needed
    let ended = site.run(&["onboard", "hubkeeper/none", "--yes"]).ends(4).await;
    ended.says(&[
        "hubkeeper/none",
        "what to do",
        "hubkeeper init none",
        "in one of two ways",
        "--name hubkeeper/none ",
    ]);
    site.world.with(|state| arm::set_locked(state, scene::SUBSCRIPTION, scene::GROUP, true));
    site.run(&["offboard", scene::SECRET, "--yes"]).ends(4).await.says(&["offboard", "acme", "lock"]);
    site.world.with(|state| arm::set_locked(state, scene::SUBSCRIPTION, scene::GROUP, false));
    // a rotation is under way: worth another try
    site.world.with(|state| aws::begin_rotation(state, &site.arn, false));
    site.run(&["onboard", scene::SECRET, "--force", "--yes"]).ends(3).await.says(&["rotation"]);
    // offboard of several is several events, and a failed one is an item
    let ended =
        site.run(&["offboard", "hubkeeper/none", "hubkeeper/globex", "--yes", "-o", "json"]).ends(4).await.json();
    assert_eq!(ended["outcome"], "failed");
    assert_eq!(ended["items"][0]["errorType"], "NeedsHuman", "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_leak_replaced_tokens_are_retired_at_once() {
    let site = Site::deployed().await;
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
    site.run(&["rotate", scene::SECRET, "--yes"]).ends(0).await;
    site.run(&["reconcile", scene::SECRET, "--plan"]).ends(0).await.shows(&["✓ acme"]);
    let ended = site.run(&["reconcile", scene::SECRET, "--revoke-replaced", "--plan"]).ends(0).await;
    ended.shows(&["- deactivate token "]);
    site.run(&["reconcile", scene::SECRET, "--revoke-replaced", "--yes"]).ends(0).await.shows(&["✓ acme"]);
    let active = site.world.with(|state| hub::pats_of(state, scene::USER).iter().filter(|pat| pat.is_active).count());
    assert_eq!(active, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_function_is_named_or_found_by_its_stack() {
    let site = Site::deployed().await;
    let arn = format!("arn:aws:lambda:eu-west-1:111122223333:function:{}", deployed::FUNCTION);
    for how in [["--function", deployed::FUNCTION], ["--function", &arn], ["--stack", deployed::STACK]] {
        site.run(&[&["onboard", scene::SECRET, "--plan"][..], &how].concat()).ends(0).await;
    }
    site.run(&["onboard", scene::SECRET, "--plan", "--function", "a", "--stack", "b"]).ends(2).await;
}
