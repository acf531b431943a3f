//! `hubkeeper status`: states, pages, exit codes, through the function and with the caller's credentials.

use hubkeeper_sandbox::world::json as answer;
use hubkeeper_sandbox::{Fault, Service, State, aws, deployed, scene};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::site::Site;

fn secret(state: &mut State, name: &str, organization: &str, expires_at: Option<OffsetDateTime>, tag: &str) -> String {
    let token = state.random_text(36);
    let mut document = scene::document_with(&token, expires_at);
    document["organization"] = json!(organization);
    document["connector"]["name"] = json!(format!("dockerhub-{organization}"));
    aws::create_secret(state, name, &document, &[("hubkeeper", tag)])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_a_managed_secret_is_no_failure() {
    let site = Site::deployed().await;
    site.run(&["status"]).ends(0).await.shows(&["no secret is managed", "hubkeeper onboard"]);
    let page = site.run(&["status", "-o", "json"]).ends(0).await.json();
    assert_eq!(page, json!({"outcome": "unchanged", "items": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_state_is_shown_worst_first_with_what_to_do() {
    let now = OffsetDateTime::now_utc();
    let site = Site::deployed_with(|state| {
        secret(state, "hubkeeper/late", "late", Some(now - Duration::days(2)), "managed");
        secret(state, "hubkeeper/gone", "gone", None, "offboarded");
    })
    .await;
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await.shows(&["✓ acme", "created"]);
    let text = site.run(&["status"]).ends(4).await;
    let rows: Vec<&str> = text.out.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(rows.len(), 4, "{}", text.out);
    let organizations: Vec<&str> = rows[1..].iter().filter_map(|row| row.split_whitespace().nth(2)).collect();
    assert_eq!(organizations, ["late", "gone", "acme"], "{}", text.out);
    text.shows(&[
        "✗ expired",
        "✓ ready",
        "- offboarded",
        "6 (4 private)",
        "3 secrets: 1 expired, 1 offboarded, 1 ready",
        "\nlate  ",
    ]);

    // a program gets the function's items
    let remote = site.run(&["status", "-o", "json"]).ends(4).await.json();
    let local = site.run(&["status", "--local", "-o", "json"]).ends(4).await.json();
    assert_eq!(remote, local);
    let states: Vec<&str> =
        remote["items"].as_array().unwrap().iter().map(|item| item["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["expired", "offboarded", "ready"]);

    // the same as a page
    let page = site.run(&["status", "-o", "html"]).ends(4).await;
    assert!(page.out.starts_with("<!doctype html>") && page.out.ends_with("</html>\n"), "{}", page.out);
    page.shows(&["<th scope=row>late<td><b>✗ expired</b>", "<th scope=row>acme<td><b>✓ ready</b>", "6, 4 private"]);
    site.run(&["status", "-o", "html", "--watch"]).ends(2).await.says(&["--watch"]);
    site.run(&["verify", "-o", "html", "--secret", scene::SECRET]).ends(2).await.says(&["hubkeeper status"]);

    // named secrets alone, and the code of what is shown
    site.run(&["status", scene::SECRET]).ends(0).await.shows(&["1 secret: 1 ready"]);
    let _ = site.writes();
    site.run(&["status", "hubkeeper/missing"]).ends(3).await.shows(&["? unknown", "hubkeeper/missing"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_somebody_changed_and_a_candidate_that_waits_need_a_person() {
    let site = Site::deployed().await;
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
    site.world.with(|state| {
        hubkeeper_sandbox::arm::edit_connector(
            state,
            scene::SUBSCRIPTION,
            scene::GROUP,
            scene::CONNECTOR,
            "somebody@example.com",
        )
    });
    site.run(&["status"]).ends(4).await.shows(&["✗ drifted"]);
    site.run(&["reconcile", scene::SECRET, "--yes"]).ends(0).await.shows(&["✓ acme"]);
    site.run(&["status"]).ends(0).await.shows(&["✓ ready"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_page_is_one_table() {
    let ends = OffsetDateTime::now_utc() + Duration::days(80);
    let site = Site::deployed_with(|state| {
        for number in 0..130 {
            let tag = if number == 117 { "managed" } else { "offboarded" };
            secret(state, &format!("hubkeeper/o{number:03}"), &format!("o{number:03}"), Some(ends), tag);
        }
    })
    .await;
    let page = site.run(&["status", "-o", "json"]).ends(4).await.json();
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 130);
    assert_eq!(items[0]["organization"], "o117", "the worst of all pages is first");
    assert!(page.get("next").is_none(), "{:?}", page["next"]);
    let local = site.run(&["status", "--local"]).ends(4).await;
    assert_eq!(local.out.lines().take_while(|line| !line.is_empty()).count(), 131);
    local.shows(&["130 secrets: 1 ", "129 offboarded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_cannot_be_used_is_told_with_the_remedy() {
    let mut site = Site::deployed().await;
    site.run(&["status", "--function", "other"]).ends(4).await.says(&[
        "the function other cannot be used",
        "ResourceNotFoundException",
        "AWS_REGION",
    ]);
    site.run(&["status", "--stack", "other"]).ends(4).await.says(&[
        "the stack other cannot be read",
        "there is no such stack",
        "--function",
    ]);
    site.run(&["status"]).with("HUBKEEPER_STACK", "third").ends(4).await.says(&["the stack third"]);
    site.run(&["status"]).with("HUBKEEPER_FUNCTION", deployed::FUNCTION).with("HUBKEEPER_STACK", "third").ends(0).await;
    site.run(&["status", "--stack", deployed::STACK]).with("HUBKEEPER_FUNCTION", "other").ends(0).await;
    site.run(&["status"]).without("AWS_REGION").ends(4).await.says(&["no AWS Region is set"]);
    let nobody = site
        .run(&["status"])
        .without("AWS_ACCESS_KEY_ID")
        .without("AWS_SECRET_ACCESS_KEY")
        .without("AWS_SESSION_TOKEN");
    nobody.ends(4).await.says(&["there is no AWS login", "aws sso login"]);
    site.run(&["status", "--local"])
        .without("AZURE_TENANT_ID")
        .without("AZURE_CLIENT_ID")
        .ends(4)
        .await
        .says(&["AZURE_TENANT_ID", "--function"]);
    // with a function named, its settings count
    site.run(&["status", "--local", "--stack", deployed::STACK])
        .without("AZURE_TENANT_ID")
        .without("AZURE_CLIENT_ID")
        .ends(0)
        .await;
    let endpoint = "AWS_ENDPOINT_URL_LAMBDA";
    site.run(&["status"])
        .with("HUBKEEPER_FUNCTION", "x")
        .with(endpoint, "http://127.0.0.1:1")
        .ends(3)
        .await
        .says(&["the function x cannot be used"]);
    site.deployed.take().unwrap().stop().await;
    site.run(&["status"]).ends(3).await.says(&["the deployed function is not known"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_read_is_worth_another_try() {
    let site = Site::deployed().await;
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
    site.world.script(|_, service, _| {
        (service == Service::Arm)
            .then(|| Fault::Answer(answer(503, &json!({"error": {"code": "ServerTimeout", "message": "x"}}))))
    });
    site.run(&["status", scene::SECRET]).ends(3).await.shows(&["? unknown", "1 secret: 1 unknown"]);
}
