//! The credentials that lie, and what the proof does about them (contract, section 4).

use hubkeeper_sandbox::hub;
use hubkeeper_sandbox::world::Service;
use serde_json::{Value, json};

use crate::world::{Begin, ORG, Scene, USER, outcome};

/// Onboards with a good token, stages another as the candidate, and sees that it is refused without any write.
async fn refused(verdict: &str, word: &str, make: impl FnOnce(&Scene) -> (String, Box<dyn FnOnce(&mut Value)>)) {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let before = (scene.connector(), scene.version("AWSCURRENT"));
    let (token, change) = make(&scene);
    let version = scene.stage(&token, change, &["HUBKEEPER_CANDIDATE"]);
    let _ = scene.world.take_record();
    let answer = outcome(&scene.invoke(scene.label_event("HUBKEEPER_CANDIDATE", &version)).await);
    assert!(
        answer.starts_with("Refused") && answer.contains(&format!("verdict is {verdict}")) && answer.contains(word),
        "{answer}"
    );
    assert_eq!(scene.writes(), [""; 0], "no write request at all");
    assert_eq!((scene.connector(), scene.version("AWSCURRENT")), before);
    let report = scene.invoke(json!({"action": "verify", "secretId": scene.arn, "versionId": version})).await.unwrap();
    assert_eq!((report["outcome"].as_str(), report["verdict"]["result"].as_str()), (Some("refused"), Some(verdict)));
    assert_eq!(scene.writes(), [""; 0]);
}

fn unchanged() -> Box<dyn FnOnce(&mut Value)> {
    Box::new(|_| {})
}

fn pat(scene: &Scene, scope: &str) -> (String, String) {
    scene.world.with(|state| hub::add_pat(state, USER, "x", &[scope], None))
}

#[tokio::test(start_paused = true)]
async fn a_token_left_at_public_read_is_partial() {
    refused("partial", "public read only", |scene| (pat(scene, "repo:public_read").1, unchanged())).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_left_at_public_read_is_partial_without_a_claim_too() {
    refused("partial", "db", |scene| {
        scene.world.with(|state| state.hub.scope_claim = false);
        (pat(scene, "repo:public_read").1, unchanged())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_organization_token_without_the_list_scope_is_partial() {
    refused("partial", "api, db, ops", |scene| {
        let resources = vec![hub::OatResource::repositories(&format!("{ORG}/*"), &["scope-image-pull"])];
        let (_, token) = scene.world.with(|state| hub::add_oat(state, ORG, "x", resources));
        (token, Box::new(|value: &mut Value| value["username"] = json!(ORG)) as Box<dyn FnOnce(&mut Value)>)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_user_outside_some_team_is_partial() {
    refused("partial", "ops", |scene| {
        let (_, token) = scene.world.with(|state| {
            hub::add_user(state, "outsider", "outsiders-password");
            hub::add_member(state, ORG, "outsider", hub::Role::Member);
            hub::add_team(state, ORG, "some");
            hub::add_to_team(state, ORG, "some", "outsider");
            for name in ["api", "db"] {
                hub::team_permission(state, ORG, "some", name, Some(hub::Permission::Read));
            }
            hub::add_pat(state, "outsider", "x", &["repo:read"], None)
        });
        (token, Box::new(|value: &mut Value| value["username"] = json!("outsider")) as Box<dyn FnOnce(&mut Value)>)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_namespace_is_partial_and_never_complete() {
    let scene = Scene::new(Begin::ByHand);
    let token = scene.good_token();
    let version = scene.stage(&token, |value| value["organization"] = json!("acmee"), &["AWSCURRENT"]);
    assert_eq!(scene.version("AWSCURRENT"), Some(version));
    let answer = outcome(&scene.onboard().await);
    assert!(answer.contains("verdict is partial") && answer.contains("no repository of acmee"), "{answer}");
    assert_eq!(scene.connector(), None);
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_expired_and_a_deactivated_token_are_rejected() {
    refused("rejected", "expired", |scene| {
        let past = scene.now() - time::Duration::days(1);
        (scene.world.with(|state| hub::add_pat(state, USER, "x", &["repo:read"], Some(past))).1, unchanged())
    })
    .await;
    refused("rejected", "deactivated", |scene| {
        let (id, token) = pat(scene, "repo:read");
        scene.world.with(|state| hub::deactivate(state, &id));
        (token, unchanged())
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_token_that_can_push_is_over_privileged_with_and_without_a_claim() {
    for claim in [true, false] {
        for scope in ["repo:write", "repo:admin"] {
            refused("overPrivileged", "more than read", |scene| {
                scene.world.with(|state| state.hub.scope_claim = claim);
                (pat(scene, scope).1, unchanged())
            })
            .await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn over_privilege_can_be_let_pass_with_a_warning() {
    let mut scene = Scene::new(Begin::ByHand);
    scene.checked = false; // the watch refuses tokens that can push: that is what is asked for here
    scene.set("HUBKEEPER_OVER_PRIVILEGE", "warn");
    let token = pat(&scene, "repo:write").1;
    scene.stage(&token, |_| {}, &["AWSCURRENT"]);
    let report = scene.onboard().await.unwrap();
    assert_eq!(report["outcome"], "applied");
    assert!(report["warnings"].to_string().contains("overPrivileged"));
}

#[tokio::test(start_paused = true)]
async fn without_a_claim_push_is_asked_once_for_each_version() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.with(|state| state.hub.scope_claim = false);
    let asked = || scene.world.record().iter().filter(|entry| entry.line().contains("pull,push")).count();
    scene.onboard().await.unwrap();
    assert_eq!(asked(), 1);
    scene.onboard().await.unwrap();
    assert_eq!(asked(), 1, "the connector carries the version by now");
}

#[tokio::test(start_paused = true)]
async fn an_organization_token_that_reads_everything_is_complete_with_a_warning() {
    let mut scene = Scene::new(Begin::ByHand);
    scene.checked = false; // whether an organization token can do more is what cannot be proven
    let resources = vec![
        hub::OatResource::repositories(&format!("{ORG}/*"), &["scope-image-pull"]),
        hub::OatResource::organization(ORG, &["scope-repository-list"]),
    ];
    let (_, token) = scene.world.with(|state| hub::add_oat(state, ORG, "x", resources));
    let version = scene.stage(&token, |value| value["username"] = json!(ORG), &["HUBKEEPER_CANDIDATE"]);
    let report = scene.invoke(json!({"action": "verify", "secretId": scene.arn, "versionId": version})).await.unwrap();
    assert!(report.to_string().contains("readOnlyNotProvable"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_401_ends_the_login() {
    let scene = Scene::new(Begin::ByHand);
    scene.stage("dckr_pat_000000000000000000000000000", |_| {}, &["AWSCURRENT"]);
    let answer = outcome(&scene.onboard().await);
    assert!(answer.contains("rejected"), "{answer}");
    assert_eq!((scene.requests(Service::Hub), scene.requests(Service::HubAuth)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_401_ends_the_token_requests_of_the_run_and_its_text_decides() {
    for (text, word) in [
        ("access token has insufficient scopes", "verdict is partial"),
        ("personal access token is expired", "verdict is rejected"),
        ("too many failed login attempts for username or IP address", "verdict is inconclusive"),
    ] {
        let scene = Scene::new(Begin::ByHand);
        scene.world.with(|state| {
            state.hub.scope_claim = false;
            hub::add_repositories(state, ORG, "service", 400, 2);
        });
        scene.world.script(move |_, service, _| {
            let answer = hubkeeper_sandbox::world::json(401, &json!({"details": text}));
            (service == Service::HubAuth).then_some(hubkeeper_sandbox::Fault::Answer(answer))
        });
        let answer = outcome(&scene.onboard().await);
        assert!(answer.contains(word), "{text}: {answer}");
        assert_eq!(scene.requests(Service::HubAuth), 1, "{text}: one failed login is enough");
        assert_eq!(scene.connector_writes(), [""; 0]);
    }
}

/// Only the registry's word about the token itself says nothing of the repository.
#[tokio::test(start_paused = true)]
async fn a_401_at_a_manifest_is_about_the_repository_or_about_the_registry_token() {
    for (error, word) in [
        (r#",error="invalid_token""#, "Retryable: "),
        (r#",error="insufficient_scope""#, "verdict is partial"),
        ("", "verdict is partial"),
    ] {
        let scene = Scene::new(Begin::ByHand);
        let challenge = format!(r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io"{error}"#);
        scene.world.script(move |_, service, _| {
            let answer = http::Response::builder().status(401).header("www-authenticate", &challenge);
            let answer = answer.body(bytes::Bytes::new()).unwrap();
            (service == Service::Registry).then_some(hubkeeper_sandbox::Fault::Answer(answer))
        });
        let answer = outcome(&scene.onboard().await);
        assert!(answer.contains(word), "{error}: {answer}");
        assert_eq!(scene.connector_writes(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_is_never_a_pull_and_every_manifest_type_is_found() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.with(|state| {
        for (at, media) in hub::MediaType::ALL.into_iter().enumerate() {
            let name = format!("kind-{at}");
            hub::add_repository(state, ORG, &name, true);
            hub::add_tag(state, ORG, &name, "latest", media);
        }
        hub::add_plugin(state, ORG, "plug", true);
        hub::add_repository(state, ORG, "untagged", true);
    });
    let report = scene.onboard().await.unwrap();
    assert_eq!(report["verdict"]["result"], "complete");
    let record = scene.world.record();
    let manifests: Vec<String> = record
        .iter()
        .filter(|entry| entry.service == Service::Registry)
        .map(hubkeeper_sandbox::Recorded::line)
        .collect();
    assert!(!manifests.is_empty() && manifests.iter().all(|line| line.starts_with("HEAD ")), "{manifests:?}");
}

#[tokio::test(start_paused = true)]
async fn two_thousand_repositories_are_all_asked_in_request_lines_under_four_thousand_bytes() {
    let mut scene = Scene::new(Begin::ByHand);
    scene.checked = false; // the watch would compute the truth of 10,000 repositories at each request
    scene.world.with(|state| {
        state.hub.remember_tokens = false;
        hub::add_repositories(state, ORG, "service", 2_000, 2);
    });
    let report = scene.onboard().await.unwrap();
    assert_eq!(report["verdict"]["repositories"], 2_004);
    for entry in scene.world.record().iter().filter(|entry| entry.service == Service::HubAuth) {
        assert!(entry.line().len() < 4_000, "{}", entry.line().len());
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_token_in_use_sees_must_be_seen_unless_it_is_excluded() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let (_, token) = scene.world.with(|state| {
        hub::add_user(state, "second", "seconds-password");
        hub::add_member(state, ORG, "second", hub::Role::Member);
        hub::add_team(state, ORG, "most");
        hub::add_to_team(state, ORG, "most", "second");
        for name in ["api", "db"] {
            hub::team_permission(state, ORG, "most", name, Some(hub::Permission::Read));
        }
        hub::add_pat(state, "second", "x", &["repo:read"], None)
    });
    let version = scene.stage(&token, |value| value["username"] = json!("second"), &["HUBKEEPER_CANDIDATE"]);
    let verify =
        |version: String| scene.invoke(json!({"action": "verify", "secretId": scene.arn, "versionId": version}));
    let report = verify(version).await.unwrap();
    assert_eq!(report["verdict"]["missing"], json!(["ops"]));
    let version = scene.stage(
        &token,
        |value| {
            value["username"] = json!("second");
            value["excludedRepositories"] = json!(["ops"]);
        },
        &["HUBKEEPER_CANDIDATE"],
    );
    assert_eq!(verify(version).await.unwrap()["outcome"], "proven");
}

#[tokio::test(start_paused = true)]
async fn rate_limits_are_waited_out() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.with(|state| {
        state.hub.rate_limit_per_minute = Some(10);
        hub::add_repositories(state, ORG, "service", 3_000, 2);
    });
    let before = scene.now();
    let report = scene.onboard().await.unwrap();
    assert_eq!(report["outcome"], "applied");
    assert!(scene.now() - before > time::Duration::minutes(2), "33 pages at 10 a minute");
}

#[tokio::test(start_paused = true)]
async fn a_broken_candidate_does_not_stop_the_onboarding_of_what_is_current() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.with(|state| {
        hubkeeper_sandbox::aws::put_version(state, &scene.arn, None, &json!("no JSON"), &["HUBKEEPER_CANDIDATE"])
    });
    assert_eq!(outcome(&scene.onboard().await), "applied");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_inconclusive_and_ends_before_the_deadline() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.script(|_, service, _| (service == Service::Registry).then_some(hubkeeper_sandbox::Fault::Hang));
    let deadline = scene.now() + time::Duration::seconds(30);
    let handler = scene.handler(None);
    let answer = handler.handle(&json!({"action": "onboard", "secretId": scene.arn}), deadline).await;
    scene.keep(&answer);
    let text = outcome(&answer);
    assert!(text.starts_with("Retryable") && text.contains("inconclusive"), "{text}");
    assert!(scene.now() < deadline);
    assert_eq!(scene.connector_writes(), [""; 0]);
}
