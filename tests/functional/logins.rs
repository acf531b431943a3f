//! Tests manager and owner logins: who may use them, how often they happen, and what is rejected before a login
//! (docs/secret.md).

use hubkeeper_sandbox::world::{Service, json as response};
use hubkeeper_sandbox::{Fault, Request, aws, hub};
use serde_json::{Value, json};

use hubkeeper_scene::{Begin, PASSWORD, SECRET, Scene, USER, document, outcome};

const LOCKED: &str = "too many failed login attempts for username or IP address";

fn is_login(service: Service, request: &Request) -> bool {
    service == Service::Hub && request.uri().path() == "/v2/users/login"
}

fn logins(scene: &Scene) -> usize {
    scene.world.record().iter().filter(|entry| is_login(entry.service, &entry.request)).count()
}

/// Puts the login into the scene's manager secret.
fn put_manager(scene: &Scene, login: &str) {
    scene.world.with(|state| {
        aws::create_secret(state, "vault/login", &Value::String(login.to_owned()), &[]);
        let mut value = document();
        value["manager"] = json!("vault/login");
        aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]);
    });
}

/// Creates secrets of the same organization, each with one of these managers and its own token.
fn siblings(scene: &Scene, managers: &[&str]) -> Vec<String> {
    scene.world.with(|state| {
        let one = |(at, manager): (usize, &&str)| {
            let (_, token) = hub::add_pat(state, USER, "by hand", &["repo:read"], None);
            let mut value = document();
            value["manager"] = json!(manager);
            value["accessToken"] = json!(token);
            value["connector"]["name"] = json!(format!("dockerhub-acme-{at}"));
            aws::create_secret(state, &format!("sibling/{at}"), &value, &[("hubkeeper", "managed")])
        };
        managers.iter().enumerate().map(one).collect()
    })
}

/// Creates a manager secret that lists the first `listed` secrets, and returns its ARN.
fn shared_manager(scene: &Scene, name: &str, listed: usize) -> String {
    let used_by: Vec<String> = (0..listed).map(|at| format!("sibling/{at}")).collect();
    let login = json!({"username": USER, "password": PASSWORD, "usedBy": used_by});
    scene.world.with(|state| aws::create_secret(state, name, &login, &[]))
}

async fn items(scene: &Scene, arns: &[String]) -> Vec<Value> {
    let fleet = scene.invoke(json!({"action": "reconcile", "secretIds": arns})).await.unwrap();
    fleet["items"].as_array().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn a_login_is_used_by_the_secrets_that_it_lists_and_by_no_other() {
    for (used_by, allowed) in [
        (json!([SECRET]), true),
        (json!(["hubkeeper/other", SECRET]), true),
        (Value::Null, false),
        (json!([]), false),
        (json!(["*"]), false),
        (json!(["hubkeeper/*"]), false),
        (json!(["hubkeeper/acme-twin"]), false),
    ] {
        let scene = Scene::new(Begin::Manager);
        let login = json!({"username": USER, "password": PASSWORD, "usedBy": used_by});
        put_manager(&scene, &login.to_string());
        let text = outcome(&scene.onboard().await);
        if allowed {
            assert_eq!(text, "applied", "{used_by}");
        } else {
            assert!(text.starts_with("Misconfigured") && text.contains(r#""usedBy": ["hubkeeper/acme"]"#), "{text}");
            assert_eq!(scene.requests(Service::Hub), 0, "{used_by}: refused before a login");
        }
    }
    let scene = Scene::new(Begin::Manager);
    let login = json!({"username": USER, "password": PASSWORD, "usedBy": [scene.arn]});
    put_manager(&scene, &login.to_string());
    assert_eq!(outcome(&scene.onboard().await), "applied", "the ARN of the secret");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_there_already_is_given_to_no_secret_that_is_not_listed() {
    let scene = Scene::new(Begin::ByHand);
    let manager = shared_manager(&scene, "vault/shared", 1);
    let arns = siblings(&scene, &[&manager, &manager]);
    let items = items(&scene, &arns).await;
    assert_ne!(items[0]["outcome"], "failed", "{}", items[0]);
    assert_eq!(items[1]["errorType"], "Misconfigured", "{}", items[1]);
    assert!(items[1]["errorMessage"].as_str().unwrap().contains("sibling/1"), "{}", items[1]);
    assert_eq!(logins(&scene), 1);
}

#[tokio::test(start_paused = true)]
async fn one_login_for_each_manager_secret_however_its_id_is_spelled() {
    let scene = Scene::new(Begin::ByHand);
    let arn = shared_manager(&scene, "vault/shared", 4);
    let arns = siblings(&scene, &["vault/shared", &arn, "vault/shared", &arn]);
    for item in items(&scene, &arns).await {
        assert_ne!(item["outcome"], "failed", "{item}");
    }
    assert_eq!(logins(&scene), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_lock_out_no_sibling_tries_again() {
    let scene = Scene::new(Begin::ByHand);
    let arn = shared_manager(&scene, "vault/shared", 4);
    shared_manager(&scene, "vault/same-user", 4);
    let arns = siblings(&scene, &["vault/shared", &arn, "vault/shared", "vault/same-user"]);
    scene.world.script(|_, service, request| {
        is_login(service, request).then(|| Fault::Answer(response(429, &json!({"detail": LOCKED}))))
    });
    // sequential runs too: the other manager secret of the user meets the lock-out first
    let items = items(&scene, &arns).await;
    for item in &items {
        assert_eq!(item["errorType"], "Retryable", "{item}");
        let message = item["errorMessage"].as_str().unwrap();
        for word in ["locked the user name", "ten minutes", "remedy: "] {
            assert!(message.contains(word), "{word}: {message}");
        }
    }
    let users = 2; // two secrets start at the same moment, each with at most one login
    assert!((1..=users).contains(&logins(&scene)), "{}", logins(&scene));
}

#[tokio::test(start_paused = true)]
async fn a_login_that_failed_for_now_is_not_tried_again_for_a_sibling() {
    let scene = Scene::new(Begin::ByHand);
    let arn = shared_manager(&scene, "vault/shared", 6);
    let arns = siblings(&scene, &[arn.as_str(); 6]);
    scene.world.script(|_, service, request| {
        is_login(service, request).then(|| Fault::Answer(response(500, &json!({"message": "internal"}))))
    });
    for item in items(&scene, &arns).await {
        assert_eq!(item["errorType"], "Retryable", "{item}");
    }
    assert_eq!(logins(&scene), 4, "the attempts of one login");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_a_credential_is_refused_before_a_login() {
    let listed = |more: &str| format!(r#"{{"usedBy": ["{SECRET}"], {more}}}"#);
    for (login, field) in [
        // the password ends with a line feed
        (listed(r#""username": "acme-scanner", "password": "correct horse\n""#), "`password`"),
        (listed(r#""username": "acme-scanner", "password": "  ""#), "`password`"),
        (listed(r#""username": "acme-scanner", "password": """#), "`password`"),
        (listed(r#""username": "scanner@acme.example", "password": "correct horse""#), "`username`"),
        (listed(r#""username": " acme-scanner", "password": "correct horse""#), "`username`"),
        (listed(r#""username": "acme-scanner", "password": "x", "totpSecret": "not base32!""#), "`totpSecret`"),
        (listed(r#""organization": "acme", "accessToken": "dckr_oat_x""#), "no token can make tokens"),
    ] {
        let scene = Scene::new(Begin::Manager);
        put_manager(&scene, &login);
        let text = outcome(&scene.onboard().await);
        assert!(text.starts_with("Misconfigured") && text.contains(field), "{login}: {text}");
        assert_eq!(scene.requests(Service::Hub), 0, "{login}");
    }
    for (change, field) in [
        (json!({"username": "scanner@acme.example"}), "`username`"),
        (json!({"username": "acme-scanner\n"}), "`username`"),
        (json!({"accessToken": "dckr_pat_x\n"}), "`accessToken`"),
        (json!({"accessToken": ""}), "`accessToken`"),
        (json!({"connector": "{\"name\": \"x\"}"}), "`connector` is text"),
    ] {
        let scene = Scene::new(Begin::Manager);
        let mut value = document();
        value["accessToken"] = json!("dckr_pat_x");
        value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]));
        let text = outcome(&scene.onboard().await);
        assert!(text.starts_with("Misconfigured") && text.contains(field), "{change}: {text}");
        assert_eq!(scene.requests(Service::Hub) + scene.requests(Service::HubAuth), 0, "{change}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_order_mark_and_capitals_in_a_user_name_change_nothing() {
    let scene = Scene::new(Begin::Manager);
    let login = json!({"username": USER, "password": PASSWORD, "usedBy": [SECRET]});
    put_manager(&scene, &format!("\u{feff}{login}"));
    let mut value = document();
    value["manager"] = json!("vault/login");
    let marked = Value::String(format!("\u{feff}{value}"));
    scene.world.with(|state| aws::put_version(state, &scene.arn, None, &marked, &["AWSCURRENT"]));
    assert_eq!(outcome(&scene.onboard().await), "applied");

    // Docker Hub's user names are in lower case, but people may type capitals
    let scene = Scene::new(Begin::Manager);
    scene.world.with(|state| hub::set_password(state, USER, "changed-since-then-2"));
    let mut value = document();
    value["username"] = json!("Acme-Scanner");
    value["manager"] = json!("hubkeeper/manager");
    scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]));
    let text = outcome(&scene.onboard().await);
    assert!(text.starts_with("NeedsHuman") && text.contains("password of the manager"), "no other user: {text}");
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_misconfigured_itself_gives_every_record_back() {
    let mut scene = Scene::new(Begin::ByHand);
    scene.set("AZURE_TENANT_ID", "");
    let record = |at: usize| {
        json!({"messageId": format!("m{at}"), "eventSource": "aws:sqs", "body":
            json!({"action": "reconcile", "secretIds": [scene.arn]}).to_string()})
    };
    let event = json!({"Records": [record(0), record(1)]});
    let error = scene.invoke(event).await.unwrap_err();
    assert_eq!(error.kind().name(), "Misconfigured", "a function error: the queue keeps the whole batch");
}
