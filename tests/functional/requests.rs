//! Tests how many requests a run sends to each service, how many of them wait for each other, and which service lists the
//! tags of the sample (docs/internals.md).

use std::collections::BTreeMap;

use hubkeeper_sandbox::world::{Service, json as answer};
use hubkeeper_sandbox::{Fault, Response, aws, hub};
use serde_json::{Value, json};

use hubkeeper_scene::{Begin, ORG, Scene, USER, outcome};

/// Requests to Docker Hub's API in a reconcile that changes nothing.
const AT_MOST: usize = 6;
/// Time that each request takes in the scene, in milliseconds.
const LATENCY: i128 = 20;

/// An onboarded organization with this many repositories.
async fn onboarded(begin: Begin, repositories: usize) -> Scene {
    let scene = Scene::new(begin);
    scene.world.with(|state| hub::add_repositories(state, ORG, "service-", repositories - 4, 2));
    scene.onboard().await.unwrap();
    let _ = scene.world.take_record();
    scene
}

/// The requests since the record was last taken, by service.
fn by_service(scene: &Scene) -> BTreeMap<Service, usize> {
    let mut counts = BTreeMap::new();
    for entry in scene.world.record() {
        *counts.entry(entry.service).or_default() += 1;
    }
    counts
}

/// The requests to one service, sorted, without queries.
fn lines(scene: &Scene, service: Service) -> Vec<String> {
    let record = scene.world.record();
    let asked = record.iter().filter(|entry| entry.service == service);
    let mut lines: Vec<String> = asked.map(|entry| entry.line().split('?').next().unwrap().to_owned()).collect();
    lines.sort();
    lines
}

#[tokio::test(start_paused = true)]
async fn a_clean_reconcile_of_a_hundred_repositories_spares_docker_hub_s_api() {
    for (begin, expected) in [
        (
            Begin::Manager,
            &[
                "GET /v2/access-tokens",
                "GET /v2/namespaces/acme/repositories",
                "POST /v2/auth/token",
                "POST /v2/users/login",
            ][..],
        ),
        (Begin::ByHand, &["GET /v2/namespaces/acme/repositories", "POST /v2/auth/token"]),
    ] {
        let scene = onboarded(begin, 100).await;
        let report = scene.reconcile().await;
        assert_eq!((&report["outcome"], &report["verdict"]["repositories"]), (&json!("unchanged"), &json!(100)));
        assert_eq!(report["verdict"]["result"], "complete");
        assert!(!report["warnings"].to_string().contains("noManifestRead"), "{report}");
        assert_eq!(lines(&scene, Service::Hub), expected);
        assert!(expected.len() <= AT_MOST);
        let counts = by_service(&scene);
        // five lists of tags and five manifests; five tokens for the sample and two requests for the other 95
        assert_eq!((counts[&Service::Registry], counts[&Service::HubAuth]), (10, 7));
        assert_eq!(scene.world.with(|state| state.registry.pulls.len()), 0, "a list of tags is no pull");
        assert_eq!(scene.writes(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_factor_is_one_request_more() {
    let scene = onboarded(Begin::Manager, 100).await;
    let seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    scene.world.with(|state| {
        hub::set_totp(state, USER, Some(seed));
        let manager = state.aws.secrets.values().find(|secret| secret.name == "hubkeeper/manager").unwrap().arn.clone();
        let version = aws::version_with(state, &manager, "AWSCURRENT").unwrap();
        let mut login = aws::value_of(state, &manager, &version).unwrap();
        login["totpSecret"] = json!(seed);
        aws::put_version(state, &manager, Some(&version), &login, &["AWSCURRENT"]);
    });
    let report = scene.reconcile().await;
    assert_eq!(report["verdict"]["result"], "complete", "{report}");
    let asked = lines(&scene, Service::Hub);
    assert_eq!(asked.iter().filter(|line| line.ends_with("/v2/users/2fa-login")).count(), 1);
    assert!(asked.len() == 5 && asked.len() <= AT_MOST, "{asked:?}");
}

/// Every request of the scene takes the same time, so the duration of an invocation is its longest chain of requests.
#[tokio::test(start_paused = true)]
async fn the_longest_chain_of_set_secret_has_seven_requests_and_eight_above_a_hundred_repositories() {
    for (repositories, chain) in [(10, 7), (100, 7), (101, 8), (250, 8)] {
        let scene = onboarded(Begin::Manager, repositories).await;
        let (version, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
        let step = |step| scene.step(step, &version, token.as_deref());
        scene.invoke(step("createSecret")).await.unwrap();
        let _ = scene.world.take_record();
        let began = scene.now();
        let report = scene.invoke(step("setSecret")).await.unwrap();
        let took = scene.now() - began;
        assert_eq!(report["outcome"], "applied", "{report}");
        assert_eq!(took.whole_milliseconds(), LATENCY * chain, "{repositories} repositories");
        // Docker Hub lists the tags meanwhile, so the registry gets requests for manifests alone
        let tags = lines(&scene, Service::Hub).iter().filter(|line| line.ends_with("/tags")).count();
        assert_eq!((tags, lines(&scene, Service::Registry).len()), (5, 5));
    }
}

type Says = fn() -> Response;

/// What the registry says about the tags of `db`, what Docker Hub says, and what the manifests then show.
struct Case {
    name: &'static str,
    registry: Says,
    /// `None` is Docker Hub's own list.
    hub: Option<Says>,
    /// Tags whose manifests are gone.
    gone: &'static [&'static str],
    /// The result of the proof, and a warning.
    expected: (&'static str, Option<&'static str>),
    /// Requests about `db`: lists at the registry, lists at Docker Hub, manifests.
    asked: (usize, usize, usize),
}

const READ: (&str, Option<&str>) = ("complete", None);

fn tags(names: &Value) -> Response {
    answer(200, &json!({"name": "acme/db", "tags": names}))
}

fn cases() -> Vec<Case> {
    let fallback: [(&'static str, Says, usize); 10] = [
        ("no tags", || tags(&json!([])), 1),
        ("null", || tags(&json!(null)), 1),
        ("unknown name", || answer(404, &json!({"errors": [{"code": "NAME_UNKNOWN"}]})), 1),
        ("denied", || answer(401, &json!({"errors": [{"code": "UNAUTHORIZED"}]})), 1),
        ("an edge", || answer(403, &json!({})), 1),
        ("gone for good", || answer(410, &json!({})), 1),
        ("another shape", || answer(200, &json!([1, 2])), 1),
        ("a redirect", || answer(307, &json!({})), 1),
        ("cut off", || Response::new(bytes::Bytes::from_static(b"{\"tags\":[\"1.")), 1),
        ("an outage", || answer(500, &json!({})), 4),
    ];
    let mut cases: Vec<Case> = fallback
        .into_iter()
        .map(|(name, registry, asked)| Case {
            name,
            registry,
            hub: None,
            gone: &[],
            expected: READ,
            asked: (asked, 1, 1),
        })
        .collect();
    let named = || tags(&json!(["1.0"]));
    let odd = || tags(&json!(["../x", "-a", "1.0", "b", "c", "d"]));
    cases.extend([
        Case { name: "tags", registry: named, hub: None, gone: &[], expected: READ, asked: (1, 0, 1) },
        Case { name: "names that are no tags", registry: odd, hub: None, gone: &[], expected: READ, asked: (1, 0, 1) },
        // the registry's first three tags by name lead nowhere, the newest by Docker Hub's list does
        Case {
            name: "old tags",
            registry: || tags(&json!(["0.1", "0.2", "0.3", "0.4"])),
            hub: None,
            gone: &[],
            expected: READ,
            asked: (1, 1, 4),
        },
        Case { name: "all are gone", registry: named, hub: None, gone: &["1.0"], expected: READ, asked: (1, 1, 2) },
        Case {
            name: "Docker Hub has no tags either",
            registry: || tags(&json!([])),
            hub: Some(|| answer(200, &json!({"count": 0, "results": []}))),
            gone: &[],
            expected: READ,
            asked: (1, 1, 0),
        },
        Case {
            name: "nobody lists tags",
            registry: || answer(401, &json!({})),
            hub: Some(|| answer(403, &json!({"message": "insufficient scope"}))),
            gone: &[],
            expected: ("complete", Some("tagsNotReadable")),
            asked: (1, 1, 0),
        },
        Case {
            name: "Docker Hub fails too",
            registry: || answer(500, &json!({})),
            hub: Some(|| answer(400, &json!({}))),
            gone: &[],
            expected: ("inconclusive", None),
            asked: (4, 1, 0),
        },
    ]);
    cases
}

#[tokio::test(start_paused = true)]
async fn where_the_registry_s_tags_lead_to_no_manifest_docker_hub_s_list_decides() {
    for Case { name, registry, hub, gone, expected, asked } in cases() {
        let scene = Scene::new(Begin::Manager);
        scene.onboard().await.unwrap();
        let _ = scene.world.take_record();
        scene.world.script(move |_, service, request| match (service, request.uri().path()) {
            (Service::Registry, "/v2/acme/db/tags/list") => Some(Fault::Answer(registry())),
            (Service::Hub, path) if path.ends_with("/db/tags") => hub.map(|hub| Fault::Answer(hub())),
            (Service::Registry, path) => {
                let tag = path.strip_prefix("/v2/acme/db/manifests/")?;
                gone.contains(&tag).then(|| Fault::Answer(answer(404, &json!({}))))
            }
            _ => None,
        });
        let report = scene.reconcile().await;
        let (result, warned) = expected;
        assert_eq!(report["verdict"]["result"], result, "{name}: {report}");
        let codes: Vec<&str> =
            report["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect();
        assert_eq!(codes, Vec::from_iter(warned), "{name}");
        let count = |service, path: &str| lines(&scene, service).iter().filter(|line| line.contains(path)).count();
        let found = (
            count(Service::Registry, "/db/tags/list"),
            count(Service::Hub, "/db/tags"),
            count(Service::Registry, "/db/manifests/"),
        );
        assert_eq!(found, asked, "{name}");
    }
}

/// A manifest that the registry denies after the pull was granted is `partial`, whoever listed its tag.
#[tokio::test(start_paused = true)]
async fn a_denied_manifest_refuses_the_daily_proof_too() {
    for (error, word) in [("insufficient_scope", "verdict is partial"), ("invalid_token", "Retryable")] {
        let scene = Scene::new(Begin::Manager);
        scene.onboard().await.unwrap();
        let challenge = format!(r#"Bearer realm="https://auth.docker.io/token",error="{error}""#);
        scene.world.script(move |_, service, request| {
            let denied = http::Response::builder().status(401).header("www-authenticate", &challenge);
            let denied = denied.body(bytes::Bytes::new()).unwrap();
            let is_db = service == Service::Registry && request.uri().path().starts_with("/v2/acme/db/");
            is_db.then_some(Fault::Answer(denied))
        });
        let report = scene.reconcile().await;
        let told = format!("{}: {}", report["errorType"], report["errorMessage"]);
        assert!(told.contains(word), "{error}: {told}");
        assert_eq!(scene.connector_writes().len(), 1, "the onboarding's alone");
    }
}

/// The registry may ignore `n` and list every tag.
#[tokio::test(start_paused = true)]
async fn of_a_long_list_of_tags_three_are_tried() {
    let scene = Scene::new(Begin::Manager);
    scene.world.with(|state| {
        state.registry.ignores_n = true;
        for at in 0..2_000 {
            hub::add_tag(state, ORG, "db", &format!("0.{at:04}"), hub::MediaType::OciManifest);
        }
    });
    scene.onboard().await.unwrap();
    let _ = scene.world.take_record();
    scene.world.script(|_, service, request| {
        let is_old = service == Service::Registry && request.uri().path().contains("/db/manifests/0.");
        is_old.then(|| Fault::Answer(answer(404, &json!({}))))
    });
    let report = scene.reconcile().await;
    assert_eq!(report["verdict"]["result"], "complete", "{}", outcome(&Ok(report.clone())));
    let asked = lines(&scene, Service::Registry);
    // Docker Hub's list names the same three in the sandbox, and none is tried twice
    assert_eq!(asked.iter().filter(|line| line.contains("/db/manifests/")).count(), 3, "{asked:?}");
    assert_eq!(lines(&scene, Service::Hub).iter().filter(|line| line.ends_with("/db/tags")).count(), 1);
}
