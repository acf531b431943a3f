//! Tests the reconcile of one secret: adopt, prove again, repair, warn (docs/operating.md). `retiring` tests its
//! tokens.

use std::time::Duration;

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{arm, aws, hub};
use serde_json::{Value, json};

use hubkeeper_scene::{Begin, CONNECTOR, GROUP, ORG, SUBSCRIPTION, Scene, USER, kill, outcome};

const DAY: Duration = Duration::from_hours(24);

fn codes(report: &Value) -> Vec<&str> {
    report["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

fn warning<'a>(report: &'a Value, code: &str) -> &'a str {
    let found = report["warnings"].as_array().unwrap().iter().find(|warning| warning["code"] == code);
    found.unwrap_or_else(|| panic!("no {code} in {report}"))["message"].as_str().unwrap()
}

/// Changes the connector as a person in the portal does. The credential stays unless `change` replaces it.
pub(crate) fn by_hand(scene: &Scene, change: impl FnOnce(&mut Value)) {
    scene.world.with(|state| {
        let connector = arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR).unwrap();
        let (username, token) = connector.credential().unwrap();
        let mut body =
            json!({"location": connector.location, "tags": connector.tags, "properties": connector.properties});
        body["properties"]["environmentData"]["authentication"]["username"] = json!(username);
        body["properties"]["environmentData"]["authentication"]["accessToken"] = json!(token);
        change(&mut body);
        arm::put_connector(state, SUBSCRIPTION, GROUP, CONNECTOR, &body, "person@example.com");
    });
}

#[tokio::test(start_paused = true)]
async fn where_all_is_well_everything_is_proven_and_nothing_is_written() {
    for begin in [Begin::Manager, Begin::ByHand] {
        let scene = Scene::new(begin);
        scene.onboard().await.unwrap();
        let _ = scene.world.take_record();
        let report = scene.reconcile().await;
        assert_eq!(report["outcome"], "unchanged", "{report}");
        assert_eq!(report["verdict"]["result"], "complete");
        assert_eq!(report["connector"]["change"], "none");
        assert_eq!(report["versionId"], json!(scene.version("AWSCURRENT")));
        assert!(scene.requests(Service::HubAuth) > 0, "the token is proven again");
        assert_eq!(scene.writes(), [""; 0]);
        assert_eq!(report["tokens"]["lastUsed"].is_string(), begin == Begin::Manager, "{report}");
        let warned = codes(&report).contains(&"nothingToCompare");
        assert!(!warned, "the last proof is there to be compared with: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_drift_is_repaired_once() {
    type Drift = fn(&Scene);
    let drifts: [(&str, Drift); 9] = [
        ("deleted", |scene| {
            scene.world.with(|state| arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR));
        }),
        ("user name", |scene| {
            by_hand(scene, |body| {
                body["properties"]["environmentData"]["authentication"]["username"] = json!("other");
            });
        }),
        ("offerings", |scene| by_hand(scene, |body| body["properties"]["offerings"] = json!([]))),
        ("scan interval", |scene| {
            by_hand(scene, |body| body["properties"]["environmentData"]["scanInterval"] = json!(1));
        }),
        ("version", |scene| {
            by_hand(scene, |body| body["tags"]["hubkeeper-version"] = json!("00000000-0000-4000-a000-000000000009"));
        }),
        ("no tags", |scene| by_hand(scene, |body| body["tags"] = json!({}))),
        ("no date", |scene| {
            by_hand(scene, |body| {
                body["tags"].as_object_mut().unwrap().remove("hubkeeper-proved-at");
            });
        }),
        ("written by somebody else", |scene| by_hand(scene, |_| {})),
        ("token", |scene| {
            let token = scene.good_token();
            by_hand(scene, |body| {
                body["properties"]["environmentData"]["authentication"]["accessToken"] = json!(token);
            });
        }),
    ];
    for (name, drift) in drifts {
        let mut scene = Scene::new(Begin::Manager);
        // hubkeeper does not guarantee what a person writes into the connector
        scene.checked = !["user name", "token"].contains(&name);
        scene.onboard().await.unwrap();
        drift(&scene);
        let report = scene.reconcile().await;
        assert_eq!(report["outcome"], "applied", "{name}: {report}");
        let change = if name == "deleted" { "created" } else { "updated" };
        assert_eq!(report["connector"]["change"], change, "{name}");
        let why = warning(&report, "connectorDrifted");
        assert!(why.contains("carry version") || why.contains("drifted"), "{name}: {report}");
        let current = scene.version("AWSCURRENT").unwrap();
        let token = scene.value(&current)["accessToken"].as_str().unwrap().to_owned();
        assert_eq!(scene.connector(), Some((current.clone(), token)), "{name}");
        scene.world.with(|state| {
            let connector = arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR).unwrap();
            assert_eq!(connector.offerings().len(), 3, "{name}");
            assert_eq!(connector.properties["environmentData"]["scanInterval"], 24, "{name}");
            assert_eq!(connector.credential().unwrap().0, USER, "{name}");
            assert!(connector.tag("hubkeeper-proved-at").is_some(), "{name}");
        });
        let _ = scene.world.take_record();
        let again = scene.reconcile().await;
        assert_eq!(again["outcome"], "unchanged", "{name}: {again}");
        assert_eq!(scene.writes(), [""; 0], "{name}: a second reconcile right after the first");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connector_of_another_secret_or_organization_is_never_written() {
    for (pointer, value) in
        [("/tags/hubkeeper-secret", "ba9876543210"), ("/properties/hierarchyIdentifier", "somebody-else")]
    {
        let scene = Scene::new(Begin::Manager);
        scene.onboard().await.unwrap();
        by_hand(&scene, |body| *body.pointer_mut(pointer).unwrap() = json!(value));
        let _ = scene.world.take_record();
        let report = scene.reconcile().await;
        assert_eq!((report["outcome"].as_str(), report["errorType"].as_str()), (Some("refused"), Some("Refused")));
        assert_eq!(scene.writes(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_candidate_whose_event_was_lost_is_adopted() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let token = scene.good_token();
    let version = scene.stage(&token, |_| {}, &["HUBKEEPER_CANDIDATE"]);
    let report = scene.reconcile().await;
    assert_eq!(report["outcome"], "applied", "{report}");
    assert_eq!(scene.connector(), Some((version.clone(), token)));
    assert_eq!(scene.version("AWSCURRENT"), Some(version.clone()));
    assert_eq!(scene.version("HUBKEEPER_CANDIDATE"), None);
    assert_eq!(report["versionId"], json!(version));
    assert!(warning(&report, "replacedByHand").contains("revoke"));
    let _ = scene.world.take_record();
    assert_eq!(scene.reconcile().await["outcome"], "unchanged");
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_adoption_that_was_cut_off_is_finished() {
    for at in 0.. {
        let mut ended = false;
        for after in [false, true] {
            let scene = Scene::new(Begin::ByHand);
            scene.onboard().await.unwrap();
            let token = scene.good_token();
            let version = scene.stage(&token, |_| {}, &["HUBKEEPER_CANDIDATE"]);
            ended |= !kill(&scene, scene.label_event("HUBKEEPER_CANDIDATE", &version), at, after).await;
            let report = scene.reconcile().await;
            assert!(["applied", "unchanged"].contains(&report["outcome"].as_str().unwrap()), "request {at}: {report}");
            assert_eq!(scene.connector(), Some((version.clone(), token)), "request {at}");
            assert_eq!(scene.version("AWSCURRENT"), Some(version), "request {at}");
            assert_eq!(scene.version("HUBKEEPER_CANDIDATE"), None, "request {at}");
        }
        if ended {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_candidate_that_is_refused_keeps_nothing_from_being_looked_after() {
    type Stage = fn(&Scene);
    let stages: [(&str, Stage); 4] = [
        ("NeedsHuman", |scene| {
            scene.stage(
                "x",
                |value| drop(value.as_object_mut().unwrap().remove("accessToken")),
                &["HUBKEEPER_CANDIDATE"],
            );
        }),
        ("Refused", |scene| {
            let (_, token) = scene.world.with(|state| hub::add_pat(state, USER, "x", &["repo:public_read"], None));
            scene.stage(&token, |_| {}, &["HUBKEEPER_CANDIDATE"]);
        }),
        ("NeedsHuman", |scene| {
            let token = scene.good_token();
            scene.stage(&token, |value| value["connector"]["name"] = json!("other"), &["HUBKEEPER_CANDIDATE"]);
        }),
        ("Misconfigured", |scene| {
            scene.stage("x", |value| value["organization"] = json!(7), &["HUBKEEPER_CANDIDATE"]);
        }),
    ];
    for (kind, stage) in stages {
        let scene = Scene::new(Begin::ByHand);
        scene.onboard().await.unwrap();
        let current = scene.connector();
        stage(&scene);
        scene.world.with(|state| arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR));
        let report = scene.reconcile().await;
        assert_eq!(report["errorType"], kind, "{report}");
        assert!(report["errorMessage"].as_str().unwrap().contains("remedy"), "{report}");
        assert_eq!(scene.connector(), current, "{kind}: the connector is repaired with what is current");
        assert!(scene.version("HUBKEEPER_CANDIDATE").is_some());
        let _ = scene.world.take_record();
        assert_eq!(scene.reconcile().await["errorType"], kind);
        assert_eq!(scene.writes(), [""; 0], "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_seen_is_told_by_the_counts_of_the_last_proof() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    scene.world.with(|state| hub::delete_repository(state, ORG, "ops"));
    let report = scene.reconcile().await;
    assert_eq!(report["outcome"], "unchanged", "{report}");
    let fewer = warning(&report, "fewerRepositories").to_owned();
    assert!(["3 repositories", "2 of them", "saw 4", "3 of them"].iter().all(|count| fewer.contains(count)), "{fewer}");
    let uuid = scene.world.with(|state| hub::pats_of(state, USER))[0].uuid.clone();
    scene.world.with(|state| hub::remove_member(state, ORG, USER));
    let _ = scene.world.take_record();
    let report = scene.reconcile().await;
    assert_eq!(report["verdict"]["result"], "partial", "{report}");
    assert_eq!(report["outcome"], "refused");
    assert!(report["errorMessage"].as_str().unwrap().contains("no private repository any more"), "{report}");
    assert_eq!(scene.writes(), [""; 0]);
    assert_eq!(scene.pat(&uuid), "active");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_in_progress_is_named_and_left_alone() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let (pending, _) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, false));
    let _ = scene.world.take_record();
    let report = scene.reconcile().await;
    assert_eq!(report["outcome"], "unchanged");
    assert!(report["reason"].as_str().unwrap().contains(&pending), "{report}");
    assert_eq!((scene.requests(Service::Hub), scene.requests(Service::Arm)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_is_stuck_for_a_day_is_named_with_the_command_that_ends_it() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let current = scene.connector().unwrap();
    let (pending, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    scene.invoke(scene.step("createSecret", &pending, token.as_deref())).await.unwrap();
    tokio::time::advance(DAY + Duration::from_mins(1)).await;
    let _ = scene.world.take_record();
    let report = scene.reconcile().await;
    assert_eq!(report["outcome"], "unchanged", "{report}");
    assert_eq!(report["verdict"]["result"], "complete");
    let stuck = warning(&report, "rotationStuck");
    assert!(stuck.contains("update-secret-version-stage") && stuck.contains(&pending), "{stuck}");
    assert_eq!(scene.writes(), [""; 0]);
    // the connector carries neither version: it is repaired with AWSCURRENT
    scene.world.with(|state| arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR));
    assert_eq!(scene.reconcile().await["outcome"], "applied");
    assert_eq!(scene.connector().unwrap(), current);
    // the connector carries the pending version: it stays unchanged
    scene.invoke(scene.step("setSecret", &pending, token.as_deref())).await.unwrap();
    assert_eq!(scene.connector().unwrap().0, pending);
    let _ = scene.world.take_record();
    let report = scene.reconcile().await;
    assert_eq!(report["outcome"], "unchanged", "{report}");
    assert_eq!(scene.writes(), [""; 0]);
    assert_eq!(scene.connector().unwrap().0, pending);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_is_stuck_before_its_first_put_is_named_too() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    tokio::time::advance(DAY * 3).await;
    let (pending, _) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    let report = scene.reconcile().await;
    assert!(report["reason"].as_str().unwrap().contains(&pending) && codes(&report).is_empty(), "{report}");
    tokio::time::advance(DAY + Duration::from_mins(1)).await;
    let report = scene.reconcile().await;
    assert!(warning(&report, "rotationStuck").contains(&pending), "{report}");
}

#[tokio::test(start_paused = true)]
async fn the_warnings_about_time_have_levels_and_know_the_schedule() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let early = scene.reconcile().await;
    assert!(!codes(&early).contains(&"expiresSoon"), "{early}");
    for (days, level) in [(60, "30"), (16, "14"), (7, "7"), (6, "1")] {
        tokio::time::advance(DAY * days + Duration::from_mins(5)).await;
        let report = scene.reconcile().await;
        assert!(warning(&report, "expiresSoon").contains(&format!("level {level}")), "{report}");
    }
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    assert!(codes(&scene.reconcile().await).contains(&"expiryUnknown"));
    // a rotation every 30 days, with a token of 20 days
    let mut scene = Scene::new(Begin::Manager);
    scene.set("HUBKEEPER_TOKEN_LIFETIME_DAYS", "20");
    scene.onboard().await.unwrap();
    assert!(warning(&scene.reconcile().await, "endsBeforeRotation").contains("2026-12-14"));
    let rotation = scene.rotate(1).await;
    let minted = rotation.steps[0].1.as_ref().unwrap();
    assert!(codes(minted).contains(&"endsBeforeRotation"), "{minted}");
}

#[tokio::test(start_paused = true)]
async fn what_defender_says_of_the_connector_s_health_is_in_the_report() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    assert_eq!(scene.reconcile().await["connector"].get("health"), None);
    scene.world.with(|state| {
        arm::set_health(
            state,
            SUBSCRIPTION,
            GROUP,
            CONNECTOR,
            Some("NotHealthy"),
            "The credential dckr_pat_abc is bad",
        );
    });
    let report = scene.reconcile().await;
    assert_eq!(report["connector"]["health"]["status"], "NotHealthy", "{report}");
    assert!(codes(&report).contains(&"connectorNotHealthy"));
    assert!(!report.to_string().contains("dckr_pat_abc"), "upstream text is scrubbed");
    assert_eq!(report["outcome"], "unchanged");
    scene.world.with(|state| arm::set_health(state, SUBSCRIPTION, GROUP, CONNECTOR, Some("Healthy"), ""));
    let report = scene.reconcile().await;
    assert_eq!(report["connector"]["health"]["status"], "Healthy");
    assert!(!codes(&report).contains(&"connectorNotHealthy"));
}

#[tokio::test(start_paused = true)]
async fn a_secret_without_the_tag_is_not_ours() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    scene.world.with(|state| {
        aws::set_tag(state, &scene.arn, "hubkeeper", "managed-elsewhere");
        arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR);
    });
    let _ = scene.world.take_record();
    assert_eq!(scene.reconcile().await["outcome"], "ignored");
    assert_eq!((scene.writes().len(), scene.requests(Service::Hub)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_value_put_by_hand_does_not_lead_away_from_the_connector_that_is_kept() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let before = scene.connector();
    let token = scene.good_token();
    let version = scene.stage(&token, |value| value["connector"]["name"] = json!("another"), &["AWSCURRENT"]);
    let _ = scene.world.take_record();
    let changed = scene.invoke(scene.label_event("AWSCURRENT", &version)).await;
    let onboarded = scene.onboard().await;
    for answer in [outcome(&changed), outcome(&onboarded)] {
        assert!(answer.starts_with("NeedsHuman") && answer.contains("offboard"), "{answer}");
    }
    let report = scene.reconcile().await;
    assert_eq!(report["errorType"], "NeedsHuman", "{report}");
    assert_eq!(scene.writes(), [""; 0]);
    assert_eq!(scene.connector(), before);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_others_killed_is_reported_with_the_remedy() {
    let mut scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    scene.checked = false;
    let id = scene.token_id(&scene.version("AWSCURRENT").unwrap());
    scene.world.with(|state| hub::deactivate(state, &id));
    // old enough that the token cannot still be propagating
    tokio::time::advance(Duration::from_mins(30)).await;
    let _ = scene.world.take_record();
    let report = scene.reconcile().await;
    assert_eq!((report["outcome"].as_str(), report["verdict"]["result"].as_str()), (Some("refused"), Some("rejected")));
    assert!(report["errorMessage"].as_str().unwrap().contains("onboard"), "{report}");
    assert_eq!(scene.pat(&id), "inactive", "a person deactivated it: it stays so");
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_plan_lists_what_would_be_done_and_does_nothing() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let old = scene.token_id(&scene.version("AWSCURRENT").unwrap());
    assert!(scene.rotate(1).await.succeeded);
    tokio::time::advance(DAY * 2).await;
    by_hand(&scene, |body| body["properties"]["environmentData"]["scanInterval"] = json!(1));
    let _ = scene.world.take_record();
    let report = scene.reconcile_with(json!({"mode": "plan"})).await;
    assert_eq!(report["outcome"], "planned", "{report}");
    let steps: Vec<&str> =
        report["plan"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["writeConnector", "deactivateToken"], "{report}");
    assert_eq!(report["plan"][1]["id"], json!(old));
    assert_eq!(report["connector"]["change"], "wouldUpdate");
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_ended_without_success_is_recorded_with_the_remedy() {
    let scene = Scene::new(Begin::Manager);
    let event = |name: &str, additional: Value| {
        json!({"detail-type": "AWS Service Event via CloudTrail", "source": "aws.secretsmanager", "detail": {
            "eventName": name, "additionalEventData": additional,
            "requestID": format!("Rotation-{}-5c0f7a52-3f0e-4d0b-9a43-2f6b8a1d7e01", scene.arn)}})
    };
    let told = json!({"SecretId": scene.arn, "Step": "setSecret"});
    let unmanaged = scene.invoke(event("RotationFailed", told.clone())).await.unwrap();
    assert_eq!(unmanaged["outcome"], "ignored");
    scene.onboard().await.unwrap();
    let _ = scene.world.take_record();
    for (name, data, action, texts) in [
        ("RotationFailed", told, "rotationFailed", ["step setSecret", "rotate-secret", "5c0f7a52"]),
        ("RotationFailed", json!({"SecretId": scene.arn}), "rotationFailed", ["failed", "Remedy", "rotate-secret"]),
        ("RotationAbandoned", json!({"SecretId": scene.arn}), "rotationAbandoned", ["by hand", "Remedy", "reconcile"]),
    ] {
        let report = scene.invoke(event(name, data)).await.unwrap();
        assert_eq!(report["outcome"], "recorded", "{report}");
        assert_eq!(report["action"], action);
        assert_eq!(
            (report["secretId"].as_str(), report["organization"].as_str()),
            (Some(scene.arn.as_str()), Some(ORG))
        );
        assert!(texts.iter().all(|text| report["reason"].as_str().unwrap().contains(text)), "{report}");
    }
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_request_the_next_reconcile_ends_where_this_one_would_have() {
    for at in 0.. {
        let mut ended = false;
        for after in [false, true] {
            let scene = Scene::new(Begin::Manager);
            scene.onboard().await.unwrap();
            let old = scene.token_id(&scene.version("AWSCURRENT").unwrap());
            assert!(scene.rotate(1).await.succeeded);
            tokio::time::advance(DAY * 2).await;
            scene.world.with(|state| arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR));
            ended |= !kill(&scene, scene.reconcile_event(&json!({})), at, after).await;
            for _ in 0..3 {
                let report = scene.reconcile().await;
                assert!(["applied", "unchanged"].contains(&report["outcome"].as_str().unwrap()), "{at}: {report}");
                tokio::time::advance(DAY * 2).await;
            }
            let current = scene.version("AWSCURRENT").unwrap();
            assert_eq!(scene.connector().unwrap().0, current, "request {at}");
            assert_eq!(scene.pat(&old), "gone", "request {at}");
            assert_eq!(scene.pat(&scene.token_id(&current)), "active", "request {at}");
        }
        if ended {
            assert!(at > 20, "a reconcile has more requests than {at}");
            return;
        }
    }
}
