//! Tests the status page: the calls of `CloudWatch`'s widget, and the alias that answers them alone.

use hubkeeper::handler::Invocation;
use hubkeeper_core::status::page::LARGEST;
use hubkeeper_sandbox::aws;
use hubkeeper_sandbox::world::Service;
use hubkeeper_scene::{Answer, Begin, Scene, outcome};
use serde_json::{Value, json};

use crate::fleet::{Fleet, Plan};

const FUNCTION: &str = "arn:aws:lambda:eu-west-1:111122223333:function:hubkeeper";

/// An invocation through the alias of viewers.
fn viewer() -> Invocation {
    Invocation { function_arn: format!("{FUNCTION}:status"), log_group: "/aws/lambda/hubkeeper".to_owned() }
}

fn call(parameters: &Value) -> Value {
    let mut event = json!({"widgetContext": {
        "dashboardName": "hubkeeper", "widgetId": "widget-1", "theme": "light", "width": 588, "height": 369,
        "forms": {"all": {}}, "params": parameters,
    }});
    event.as_object_mut().unwrap().extend(parameters.as_object().unwrap().clone());
    event
}

async fn view(scene: &Scene, event: &Value) -> Answer {
    scene.invoke_as(event, &viewer()).await
}

async fn page(scene: &Scene, parameters: Value) -> String {
    let page = view(scene, &call(&parameters)).await.unwrap();
    let page = page.as_str().expect("a string of HTML").to_owned();
    assert!(page.len() < LARGEST && !page.contains("<script"), "{}", page.len());
    page
}

fn rows(page: &str) -> usize {
    page.matches("<tr class=").count()
}

#[tokio::test(start_paused = true)]
async fn the_page_shows_a_secret_without_a_login_and_without_a_write() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let _ = scene.world.take_record();
    let page = page(&scene, json!({})).await;
    assert!(page.contains("<th scope=row>acme<td><b>✓ ready</b>") && page.contains("4, 3 private"), "{page}");
    assert!(page.contains(&format!("endpoint=\"{FUNCTION}:status\"")), "{page}");
    assert_eq!(scene.writes(), [""; 0]);
    for service in [Service::Hub, Service::HubAuth, Service::Registry] {
        assert_eq!(scene.requests(service), 0, "{service:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_without_managed_secrets_gets_the_first_steps() {
    let scene = Scene::new(Begin::Manager);
    let page = page(&scene, json!({})).await;
    assert!(page.contains("hubkeeper init") && rows(&page) == 0, "{page}");
}

#[tokio::test(start_paused = true)]
async fn the_documentation_is_markdown_and_needs_no_request() {
    let scene = Scene::new(Begin::Manager);
    let _ = scene.world.take_record();
    let text = view(&scene, &json!({"describe": true})).await.unwrap();
    let text = text.as_str().unwrap();
    for parameter in ["**filter**", "**secretIds**", "**next**"] {
        assert!(text.starts_with("## hubkeeper") && text.contains(parameter), "{text}");
    }
    assert_eq!(scene.requests(Service::Aws), 0);
}

#[tokio::test(start_paused = true)]
async fn the_alias_answers_the_status_alone() {
    let scene = Scene::new(Begin::Manager);
    let _ = scene.world.take_record();
    let arn = &scene.arn;
    for event in [
        json!({"action": "onboard", "secretId": arn}),
        json!({"action": "verify", "secretId": arn}),
        json!({"action": "reconcile", "mode": "plan"}),
        json!({"action": "doctor"}),
        json!({"action": "offboard", "secretId": arn}),
        json!({"Step": "createSecret", "SecretId": arn, "ClientRequestToken": "7c2c7a4e-6a0e-4a2f-9b58-0d6a4f8a1c11"}),
        json!({"Records": [{"messageId": "m", "eventSource": "aws:sqs", "body": "{\"action\":\"reconcile\"}"}]}),
        json!({"detail-type": "x", "detail": {"action": "reconcile"}}),
        json!({"RequestType": "Create", "ResponseURL": "https://cloudformation.s3.amazonaws.com/x", "StackId": "s",
            "RequestId": "r", "LogicalResourceId": "l", "ResourceProperties": {"SecretId": arn}}),
    ] {
        let answer = view(&scene, &event).await;
        let told = outcome(&answer);
        assert!(told.starts_with("BadEvent") && told.contains("alias `status`"), "{event}: {told}");
    }
    assert_eq!((scene.writes(), scene.requests(Service::Aws)), (vec![], 0));
    let status = view(&scene, &json!({"action": "status"})).await.unwrap();
    assert_eq!(status["outcome"], "unchanged");
    // without the alias everything works, and with another one too
    for qualifier in ["", ":live"] {
        let invocation = Invocation { function_arn: format!("{FUNCTION}{qualifier}"), ..viewer() };
        let event = json!({"action": "verify", "secretId": arn, "mode": "plan"});
        let told = outcome(&scene.invoke_as(&event, &invocation).await);
        assert!(!told.contains("alias"), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn names_from_outside_are_text() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let hostile = "<script>alert(1)</script>\"'";
    scene.world.with(|state| {
        // a document with this organization is invalid, so the name comes from a filter and from an id
        let document = json!({"organization": hostile, "username": hostile});
        aws::put_version(state, &scene.arn, None, &document, &["AWSCURRENT"]);
    });
    let page = page(&scene, json!({"filter": hostile})).await;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;"), "{page}");
    let page = view(&scene, &call(&json!({}))).await.unwrap();
    assert!(!page.as_str().unwrap().contains("<script"), "{page}");
}

#[tokio::test(start_paused = true)]
async fn three_hundred_organizations_are_one_page_in_less_than_ten_seconds() {
    let fleet = Fleet::new(Plan::of(300));
    let began = fleet.scene.now();
    let page = page(&fleet.scene, json!({})).await;
    // each request takes 20 ms
    let took = fleet.scene.now() - began;
    assert!(took < time::Duration::seconds(10), "{took}");
    assert_eq!((rows(&page), page.contains("300 secrets")), (300, true));
    assert!(!page.contains("Next page"));
}

#[tokio::test(start_paused = true)]
async fn more_than_five_hundred_organizations_are_several_pages() {
    let fleet = Fleet::new(Plan::of(510));
    let first = page(&fleet.scene, json!({})).await;
    assert_eq!(rows(&first), 500);
    let mut ids: Vec<&str> = fleet.members.iter().map(|member| member.arn.as_str()).collect();
    ids.sort_unstable();
    assert!(first.contains("Next page") && first.contains(ids[499]), "{}", &first[first.len() - 600..]);
    let second = page(&fleet.scene, json!({"next": ids[499]})).await;
    assert_eq!((rows(&second), second.contains("Next page")), (10, false));
    assert!(second.contains("First page"));

    let name = &fleet.members[7].organization;
    let filtered = page(&fleet.scene, json!({"secretIds": ids[..20], "filter": name.to_uppercase()})).await;
    let expected = ids[..20].iter().filter(|id| **id == fleet.members[7].arn).count();
    assert_eq!(rows(&filtered), expected, "{filtered}");
}
