//! Tests malformed input of every kind: a clear typed error that names the field or the service, never a panic, never a
//! write.

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Fault, aws};
use serde_json::{Value, json};

use hubkeeper_scene::{Begin, Scene, document, outcome};

fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("html", b"<html><body>Bad gateway</body></html>".to_vec()),
        ("empty", Vec::new()),
        ("truncated", b"{\"access_token\":\"ey".to_vec()),
        ("array", b"[1,2,3]".to_vec()),
        ("null", b"null".to_vec()),
        ("number", b"7".to_vec()),
        ("other types", br#"{"access_token":7,"token":{},"count":"x","results":{},"value":1,"properties":[],"SecretString":9,"ARN":7}"#.to_vec()),
        ("huge", vec![b'x'; 100 << 20]),
        ("deep", "[".repeat(100_000).into_bytes()),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_upstream_body_of_another_shape_is_a_typed_error_and_no_write() {
    for service in Service::ALL.into_iter().filter(|service| *service != Service::Responses) {
        for status in [200_u16, 201, 400, 404, 500] {
            for (name, body) in bodies() {
                // a HEAD has no body
                if body.len() > 1 << 20 && (status != 200 || service == Service::Registry) {
                    continue;
                }
                let scene = Scene::new(Begin::ByHand);
                let bytes = bytes::Bytes::from(body);
                scene.world.script(move |_, asked, _| {
                    let answer = http::Response::builder().status(status).body(bytes.clone()).unwrap();
                    (asked == service).then_some(Fault::Answer(answer))
                });
                let answer = scene.onboard().await;
                let text = outcome(&answer);
                // anyone who can push can delete tags, so a missing manifest fails no proof
                if service == Service::Registry && matches!(status, 200 | 404) {
                    assert_eq!(text, "applied");
                    continue;
                }
                assert!(answer.is_err(), "{service:?} {status} {name}: {text}");
                assert!(!text.contains("panicked"), "{service:?} {status} {name}: {text}");
                assert_eq!(scene.connector_writes(), [""; 0], "{service:?} {status} {name}");
                assert!(text.contains("remedy"), "{service:?} {status} {name}: {text}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_broken_secret_document_names_its_member() {
    let cases: Vec<(Value, &str)> = vec![
        (json!("dckr_pat_plain-text-secret"), "not JSON"),
        (json!([]), "object"),
        (json!({}), "organization"),
        (
            {
                let mut v = document();
                v["accessToken"] = json!(7);
                v
            },
            "accessToken",
        ),
        (
            {
                let mut v = document();
                v["connector"] = json!("x");
                v
            },
            "connector",
        ),
        (
            {
                let mut v = document();
                v["connector"]["scanIntervalHours"] = json!(0);
                v
            },
            "scanIntervalHours",
        ),
        (
            {
                let mut v = document();
                v["organization"] = json!("Acme");
                v
            },
            "organization",
        ),
    ];
    for (value, member) in cases {
        let scene = Scene::new(Begin::ByHand);
        scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]));
        let text = outcome(&scene.onboard().await);
        assert!(text.starts_with("Misconfigured") && text.contains(member), "{value}: {text}");
        assert_eq!(scene.writes(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_manager_secret_of_another_shape_or_user_is_named() {
    for (value, word) in [
        (json!("just-a-password"), "manager"),
        (json!({"username": "x"}), "`password`"),
        (
            json!({"username": "somebody-else", "password": "somebodys-password", "usedBy": ["hubkeeper/acme"]}),
            "username",
        ),
    ] {
        let scene = Scene::new(Begin::Manager);
        scene.world.with(|state| aws::create_secret(state, "hubkeeper/other-manager", &value, &[]));
        let mut secret = document();
        secret["manager"] = json!("hubkeeper/other-manager");
        scene.world.with(|state| aws::put_version(state, &scene.arn, None, &secret, &["AWSCURRENT"]));
        let text = outcome(&scene.onboard().await);
        assert!(text.starts_with("Misconfigured") && text.contains(word), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_redirect_is_followed() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.script(|_, service, _| {
        let away = http::Response::builder()
            .status(307)
            .header("location", "https://evil.example.com/")
            .body(bytes::Bytes::new());
        (service == Service::Hub).then(|| Fault::Answer(away.unwrap()))
    });
    let text = outcome(&scene.onboard().await);
    assert!(text.starts_with("Retryable") && text.contains("307"), "{text}");
    assert_eq!(scene.requests(Service::Hub), 1);
}
