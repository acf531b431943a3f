//! Tests credentials that mislead, and how the proof detects them (docs/proof.md).

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Fault, arm, hub};
use serde_json::{Value, json};

use hubkeeper_scene::{Begin, CONNECTOR, GROUP, ORG, SUBSCRIPTION, Scene, USER, outcome};

fn warning<'a>(report: &'a Value, code: &str) -> Option<&'a str> {
    let found = report["warnings"].as_array().unwrap().iter().find(|warning| warning["code"] == code);
    found.map(|warning| warning["message"].as_str().unwrap())
}

/// Onboards with a good token, stages another as the candidate, and checks that it is rejected without any write.
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
    scene.checked = false; // the watch rejects tokens that can push, which this test asks for
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

/// Verifies an organization access token with these scopes on every repository.
async fn organization_token(scopes: &[&str]) -> Value {
    let mut scene = Scene::new(Begin::ByHand);
    scene.checked = false; // the proof cannot tell whether an organization token can do more
    let resources = vec![hub::OatResource::repositories(&format!("{ORG}/*"), scopes)];
    let (_, token) = scene.world.with(|state| hub::add_oat(state, ORG, "x", resources));
    let version = scene.stage(&token, |value| value["username"] = json!(ORG), &["HUBKEEPER_CANDIDATE"]);
    scene.invoke(json!({"action": "verify", "secretId": scene.arn, "versionId": version})).await.unwrap()
}

/// Checks the scopes in the guides of both languages. Nothing else would detect that they do not suffice.
#[tokio::test(start_paused = true)]
async fn an_organization_token_made_as_the_guides_say_is_complete() {
    for guide in [include_str!("../../docs/onboarding.md"), include_str!("../../docs/onboarding.de.md")] {
        let paragraph = guide.split("\n\n").find(|paragraph| paragraph.contains("`scope-image-pull`")).unwrap();
        let scopes: Vec<&str> = paragraph.split('`').filter(|word| word.starts_with("scope-")).collect();
        let report = organization_token(&scopes).await;
        assert_eq!(report["verdict"]["result"], "complete", "{scopes:?}: {report}");
        assert!(warning(&report, "readOnlyNotProvable").is_some(), "{report}");
        for code in ["tagsNotReadable", "noManifestRead"] {
            assert_eq!(warning(&report, code), None, "{scopes:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_organization_token_that_cannot_list_tags_is_told_which_scope_is_missing() {
    let report = organization_token(&["scope-image-pull", "scope-repository-list"]).await;
    assert_eq!(report["verdict"]["result"], "complete", "{report}");
    let told = warning(&report, "tagsNotReadable").unwrap();
    assert!(told.contains("scope-tag-read") && told.contains("api, db, ops, web"), "{told}");
    assert!(warning(&report, "noManifestRead").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_403_of_one_list_of_tags_passes_that_repository_over() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.script(|_, service, request| {
        let tags = service == Service::Hub && request.uri().path().ends_with("/db/tags");
        tags.then(|| Fault::Answer(hubkeeper_sandbox::world::json(403, &json!({"message": "forbidden"}))))
    });
    let report = scene.onboard().await.unwrap();
    assert_eq!(report["outcome"], "applied");
    let told = warning(&report, "tagsNotReadable").unwrap();
    assert!(told.contains("(db)") && !told.contains("scope-tag-read"), "{told}");
    assert_eq!(warning(&report, "noManifestRead"), None, "the others' manifests were read");
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
        ("the service is being moved", "verdict is inconclusive"),
        ("", "verdict is inconclusive"),
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

/// Checks that only a response that rejects the registry token itself says nothing about the repository.
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

/// Tag `t<n>` of each repository returns the n-th status. Checks the verdict, and how often one manifest is requested.
#[tokio::test(start_paused = true)]
async fn of_a_manifest_s_answers_only_a_401_speaks_of_rights() {
    let table: [(&[u16], &str, usize); 11] = [
        (&[200, 401, 401], "applied", 1),
        (&[404, 200, 401], "applied", 2),
        (&[404, 404, 200], "applied", 3),
        (&[406, 200, 401], "applied", 2),
        (&[404, 404, 404], "applied", 3),
        (&[404], "applied", 1),
        (&[401, 200, 200], "verdict is partial", 1),
        (&[404, 401, 200], "verdict is partial", 2),
        (&[403, 200, 200], "verdict is inconclusive", 1),
        (&[404, 404, 403], "verdict is inconclusive", 3),
        (&[404, 404, 404, 401], "applied", 3),
    ];
    for (statuses, word, heads) in table {
        let scene = Scene::new(Begin::ByHand);
        scene.world.with(|state| {
            for name in ["api", "db", "ops", "web"] {
                hub::remove_tags(state, ORG, name);
                for at in 0..statuses.len() {
                    hub::add_tag(state, ORG, name, &format!("t{at}"), hub::MediaType::OciManifest);
                }
            }
        });
        scene.world.script(move |_, service, request| {
            let (_, tag) = request.uri().path().rsplit_once("/manifests/t").filter(|_| service == Service::Registry)?;
            let status = statuses[tag.parse::<usize>().unwrap()];
            Some(Fault::Answer(hubkeeper_sandbox::world::json(status, &json!({}))))
        });
        let answer = scene.onboard().await;
        let text = outcome(&answer);
        assert!(text.contains(word), "{statuses:?}: {text}");
        assert_eq!(word.contains("inconclusive"), text.starts_with("Retryable"), "{statuses:?}: {text}");
        let record = scene.world.record();
        let asked = record.iter().filter(|entry| entry.line().contains("/acme/db/manifests/")).count();
        assert_eq!(asked, heads, "{statuses:?}");
        let lists = record.iter().filter(|entry| entry.line().contains("/db/tags?")).count();
        assert_eq!(lists, 1, "{statuses:?}: one request for all tags");
        if let Ok(report) = &answer {
            let unread = !statuses[..heads].contains(&200);
            assert_eq!(warning(report, "noManifestRead").is_some(), unread, "{statuses:?}: {report}");
        }
    }
}

/// Anyone who can push to one repository can delete and move its tags at any time.
#[tokio::test(start_paused = true)]
async fn tags_that_go_away_during_the_proof_do_not_refuse_it() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    scene.world.script(|_, service, request| {
        let gone = service == Service::Registry && request.uri().path().contains("/db/");
        gone.then(|| Fault::Answer(hubkeeper_sandbox::world::json(404, &json!({"errors": []}))))
    });
    assert!(scene.rotate(1).await.succeeded, "a rotation");
    let report = scene.reconcile().await;
    assert_eq!(report["verdict"]["result"], "complete", "{report}");
    assert_eq!(warning(&report, "noManifestRead"), None);
}

#[tokio::test(start_paused = true)]
async fn a_manifest_of_schema_1_is_read() {
    for media in [hub::MediaType::DockerSchema1, hub::MediaType::DockerSchema1Signed] {
        let scene = Scene::new(Begin::ByHand);
        scene.world.with(|state| {
            for name in ["api", "db", "ops", "web"] {
                hub::remove_tags(state, ORG, name);
            }
            hub::add_tag(state, ORG, "db", "2014", media);
        });
        let report = scene.onboard().await.unwrap();
        assert_eq!(report["outcome"], "applied");
        assert_eq!(warning(&report, "noManifestRead"), None, "{media:?}");
    }
}

/// `complete` concerns the token. The warning about what Defender does not scan appears at onboarding, not every day.
#[tokio::test(start_paused = true)]
async fn what_defender_does_not_scan_is_counted_always_and_told_on_onboard_and_verify() {
    let scene = Scene::new(Begin::Manager);
    scene.world.with(|state| {
        hub::remove_tags(state, ORG, "ops");
        hub::add_tag(state, ORG, "ops", "1.0", hub::MediaType::DockerManifest);
        hub::remove_tags(state, ORG, "db");
        hub::add_tag(state, ORG, "db", "1.0", hub::MediaType::DockerList);
    });
    let counts = json!({"public": 1, "indexes": 3});
    let verify = json!({"action": "verify", "secretId": scene.arn});
    for report in [scene.onboard().await.unwrap(), scene.invoke(verify).await.unwrap()] {
        assert_eq!(report["verdict"]["notScanned"], counts, "{report}");
        let told = warning(&report, "defenderDoesNotScan").unwrap();
        assert!(told.contains("1 of 4 repositories are public (web)"), "{told}");
        assert!(told.contains("3 of 4 manifests read are multi-platform indexes (api, db, web)"), "{told}");
    }
    let rotation = scene.rotate(1).await;
    let mut proofs = 0;
    for (step, answer) in &rotation.steps {
        let report = answer.as_ref().unwrap();
        assert_eq!(warning(report, "defenderDoesNotScan"), None, "{step}");
        proofs += usize::from(report["verdict"]["notScanned"] == counts);
    }
    assert!(proofs > 0, "the counts stand in every verdict");
    let report = scene.reconcile().await;
    assert_eq!((&report["verdict"]["notScanned"], warning(&report, "defenderDoesNotScan")), (&counts, None));
}

#[tokio::test(start_paused = true)]
async fn defender_s_health_report_says_what_to_do_over_all_its_pages() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    scene.world.with(|state| {
        state.arm.page_size = Some(1);
        let id = arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR).unwrap().id();
        arm::add_health(state, &id, "Healthy", "", &[]);
        let steps = "<p>Create a <b>read-only</b> token (not dckr_pat_abc), and update the connector.</p>";
        arm::add_health(
            state,
            &id,
            "NotHealthy",
            "Authentication failed",
            &[("DockerHub authentication failed", steps)],
        );
        arm::add_health(state, &id, "NotHealthy", "Rate limit", &[("Rate limit reached", "")]);
    });
    let report = scene.reconcile().await;
    let health = &report["connector"]["health"];
    assert_eq!((&health["status"], &health["issueCount"]), (&json!("NotHealthy"), &json!(2)), "{report}");
    assert_eq!(
        health["issues"],
        json!([
            {"name": "DockerHub authentication failed", "remediation": "Create a read-only token (not … and update the connector."},
            {"name": "Rate limit reached"},
        ])
    );
    assert!(health["statusChangedAt"].as_str().is_some_and(|at| at.starts_with("20")), "{health}");
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
    scene.checked = false; // the watch would check 10,000 repositories at each request
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
