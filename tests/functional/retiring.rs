//! Tests the retirement of tokens: order, grace period, two phases, and which tokens survive (docs/operating.md).

use std::time::Duration;

use hubkeeper_sandbox::world::{Service, json as answer};
use hubkeeper_sandbox::{Fault, aws, hub};
use serde_json::{Value, json};

use hubkeeper_scene::{Begin, PASSWORD, Scene, USER, document, gate, interleave, outcome};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// Creates a secret that was rotated once, and returns the uuids of the old and the new PAT.
async fn rotated(scene: &Scene) -> (String, String) {
    scene.onboard().await.unwrap();
    let old = scene.token_id(&scene.version("AWSCURRENT").unwrap());
    assert!(scene.rotate(1).await.succeeded);
    (old, scene.token_id(&scene.version("AWSCURRENT").unwrap()))
}

fn told(report: &Value, code: &str) -> bool {
    report["warnings"].as_array().unwrap().iter().any(|warning| warning["code"] == code)
}

#[tokio::test(start_paused = true)]
async fn a_replaced_token_goes_in_two_phases_once_the_grace_is_over() {
    let scene = Scene::new(Begin::Manager);
    let (old, new) = rotated(&scene).await;
    tokio::time::advance(HOUR * 23).await;
    let _ = scene.world.take_record();
    assert_eq!(scene.reconcile().await["outcome"], "unchanged");
    assert_eq!((scene.pat(&old), scene.writes().len()), ("active", 0), "the grace is not over");
    tokio::time::advance(HOUR).await;
    let report = scene.reconcile().await;
    assert_eq!(
        (report["outcome"].as_str(), &report["tokens"]["retired"]),
        (Some("applied"), &json!([old])),
        "{report}"
    );
    assert_eq!((scene.pat(&old), scene.pat(&new)), ("inactive", "active"));
    let report = scene.reconcile().await;
    assert_eq!(report["tokens"]["retired"], json!([old]));
    assert_eq!((scene.pat(&old), scene.pat(&new)), ("gone", "active"));
    let _ = scene.world.take_record();
    assert_eq!(scene.reconcile().await["outcome"], "unchanged");
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_pats_are_listed_before_the_labels_and_these_read_before_the_connector() {
    let scene = Scene::new(Begin::Manager);
    let _ = rotated(&scene).await;
    tokio::time::advance(DAY).await;
    let _ = scene.world.take_record();
    scene.reconcile().await;
    let lines: Vec<String> = scene.world.record().iter().map(hubkeeper_sandbox::Recorded::line).collect();
    let list = lines.iter().position(|line| line.starts_with("GET /v2/access-tokens")).unwrap();
    let act = lines.iter().position(|line| line.starts_with("PATCH")).unwrap();
    let labels = list + lines[list..].iter().position(|line| line == "POST DescribeSecret").unwrap();
    let connector = labels + lines[labels..].iter().position(|line| line.starts_with("GET /subscriptions")).unwrap();
    assert!(list < labels && labels < connector && connector < act, "{lines:#?}");
    let after = &lines[act..];
    assert!(after.iter().any(|line| line == "POST DescribeSecret"), "labels are read again: {after:?}");
    assert!(after.iter().any(|line| line.starts_with("GET /subscriptions")), "and the connector: {after:?}");
}

/// Every PAT that a reconcile must not retire survives every reconcile: with two secrets of one organization and user,
/// clock skew of an hour in both directions, and no grace period.
#[tokio::test(start_paused = true)]
async fn what_is_in_use_or_not_ours_survives_every_reconcile() {
    for (ours, theirs) in [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1)] {
        let mut scene = Scene::new(Begin::Manager);
        scene.set("HUBKEEPER_REVOKE_AFTER_HOURS", "0");
        scene.ahead = time::Duration::hours(ours);
        scene.world.with(|state| state.hub.clock_skew = time::Duration::hours(theirs));
        let twin = scene.world.with(|state| {
            let mut value = document();
            let login = json!({"username": USER, "password": PASSWORD, "usedBy": ["hubkeeper/acme-twin"]});
            aws::create_secret(state, "hubkeeper/twin-manager", &login, &[]);
            value["manager"] = json!("hubkeeper/twin-manager");
            value["connector"]["name"] = json!("dockerhub-acme-twin");
            let arn = aws::create_secret(state, "hubkeeper/acme-twin", &value, &[]);
            aws::enable_rotation(state, &arn, true);
            arn
        });
        scene.world.with(|state| {
            hub::add_pat(state, USER, "by hand", &["repo:read"], None);
            hub::add_pat(
                state,
                USER,
                "hubkeeper/0123456789ab/5c0f7a52-3f0e-4d0b-9a43-2f6b8a1d7e01",
                &["repo:read"],
                None,
            );
        });
        scene.onboard().await.unwrap();
        scene.invoke(json!({"action": "onboard", "secretId": twin})).await.unwrap();
        // only the first secret is reconciled here, so every token of the twin is foreign to it, including the replaced
        // one
        assert!(hubkeeper_sandbox::rotation::rotate(&scene.world, &scene, &twin, 1).await.succeeded);
        let all = scene.world.with(|state| hub::pats_of(state, USER));
        let own = scene.token_id(&scene.version("AWSCURRENT").unwrap());
        let own = all.iter().find(|pat| pat.uuid == own).unwrap().label.rsplit_once('/').unwrap().0.to_owned();
        let foreign: Vec<&str> =
            all.iter().filter(|pat| !pat.label.starts_with(&own)).map(|pat| pat.uuid.as_str()).collect();
        assert_eq!((all.len(), foreign.len()), (5, 4));
        let mut retired = 0;
        for round in 0..4 {
            assert!(scene.rotate(1).await.succeeded);
            let current = scene.token_id(&scene.version("AWSCURRENT").unwrap());
            for wait in [Duration::ZERO, Duration::from_mins(30), HOUR * 3] {
                tokio::time::advance(wait).await;
                let report = scene.reconcile().await;
                let what = format!("ours {ours}, theirs {theirs}, round {round}: {report}");
                assert!(["unchanged", "applied"].contains(&report["outcome"].as_str().unwrap()), "{what}");
                assert_eq!(scene.pat(&current), "active", "{what}");
                assert!(foreign.iter().all(|id| scene.pat(id) == "active"), "{what}");
                retired += report["tokens"]["retired"].as_array().unwrap().len();
            }
        }
        assert!(retired > 0, "ours {ours}, theirs {theirs}: what may go does go");
    }
}

#[tokio::test(start_paused = true)]
async fn a_candidate_and_a_pending_version_keep_their_tokens() {
    let mut scene = Scene::new(Begin::Manager);
    scene.set("HUBKEEPER_REVOKE_AFTER_HOURS", "0");
    let (old, _) = rotated(&scene).await;
    // a person stages the previous version under another id, with the wrong connector so that it is not adopted
    let previous = scene.version("AWSPREVIOUS").unwrap();
    let mut value = scene.value(&previous);
    value["excludedRepositories"] = json!("not a list");
    scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["HUBKEEPER_CANDIDATE"]));
    tokio::time::advance(DAY * 30).await;
    let report = scene.reconcile().await;
    assert_eq!(report["errorType"], "Misconfigured", "{report}");
    // the document has other errors, but its token still counts
    assert_eq!(scene.pat(&old), "active");

    let mut scene = Scene::new(Begin::Manager);
    scene.set("HUBKEEPER_REVOKE_AFTER_HOURS", "0");
    let (old, _) = rotated(&scene).await;
    let mut value = scene.value(&scene.version("AWSPREVIOUS").unwrap());
    value["connector"]["name"] = json!("another");
    scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["HUBKEEPER_CANDIDATE"]));
    tokio::time::advance(DAY * 30).await;
    assert_eq!(scene.reconcile().await["errorType"], "NeedsHuman");
    assert_eq!(scene.pat(&old), "active", "the candidate names it");
}

/// At every request boundary of a reconcile that is about to retire the old token, a person moves AWSCURRENT back to
/// the previous version and the connector is written with it. In the end the token in the connector is active.
#[tokio::test(start_paused = true)]
async fn a_connector_written_between_labels_and_deactivation_gets_its_token_back() {
    let (mut reactivated, mut at) = (0, 0);
    loop {
        let mut scene = Scene::new(Begin::Manager);
        // between the deactivation and the check after it the token is inactive, which this test provokes
        scene.checked = false;
        let (old, new) = rotated(&scene).await;
        tokio::time::advance(DAY * 2).await;
        let (previous, current) = (scene.version("AWSPREVIOUS").unwrap(), scene.version("AWSCURRENT").unwrap());
        let back = async {
            scene.world.with(|state| {
                let secret = state.aws.secrets.get_mut(&scene.arn).unwrap();
                secret.move_label("AWSCURRENT", &previous);
            });
            outcome(&scene.invoke(scene.label_event("AWSCURRENT", &previous)).await)
        };
        let (answer, between) = interleave(&scene, scene.reconcile_event(&json!({})), at, back).await;
        let Some(between) = between else { break };
        let (version, token) = scene.connector().unwrap();
        let alive = scene.world.with(|state| hub::accepts(state, USER, &token));
        let report = answer.unwrap()["items"][0].clone();
        if between == "applied" {
            assert!(alive, "request {at}: {report}");
            assert_eq!(scene.pat(if version == previous { &old } else { &new }), "active", "request {at}");
        } else {
            // deactivated first: the old version fails its proof, and the connector is not written with it
            assert!(between.starts_with("Refused") && version == current && alive, "request {at}: {between}");
        }
        reactivated += usize::from(told(&report, "tokenReactivated"));
        at += 1;
    }
    assert!(at > 20 && reactivated > 0, "{at} requests, activated again {reactivated} times");
}

#[tokio::test(start_paused = true)]
async fn a_token_in_use_that_a_killed_run_left_deactivated_is_brought_back() {
    let mut scene = Scene::new(Begin::Manager);
    let (old, _) = rotated(&scene).await;
    tokio::time::advance(DAY * 2).await;
    // the run is killed right after the request that deactivates
    let mut deactivated = false;
    for at in 0.. {
        let gate = gate(at, true);
        let handler = scene.handler(Some(std::sync::Arc::clone(&gate)));
        let event = scene.reconcile_event(&json!({}));
        let deadline = scene.deadline();
        tokio::select! {
            biased;
            () = gate.reached.notified() => {}
            _ = handler.handle(&event, deadline) => panic!("the run ended before it deactivated"),
        }
        deactivated = scene.pat(&old) == "inactive";
        if deactivated {
            break;
        }
    }
    assert!(deactivated);
    // the connector that was written at that moment carries the token, as after the race above
    scene.checked = false;
    let previous = scene.version("AWSPREVIOUS").unwrap();
    let token = scene.value(&previous)["accessToken"].clone();
    scene.world.with(|state| state.aws.secrets.get_mut(&scene.arn).unwrap().move_label("AWSCURRENT", &previous));
    crate::reconcile::by_hand(&scene, |body| {
        body["tags"]["hubkeeper-version"] = json!(previous);
        body["properties"]["environmentData"]["authentication"]["accessToken"] = token.clone();
    });
    let report = scene.reconcile().await;
    assert!(told(&report, "tokenReactivated"), "{report}");
    assert_eq!(report["outcome"], "applied", "{report}");
    assert_eq!(scene.pat(&old), "active");
    assert_eq!(scene.connector().unwrap().0, previous);
    assert_eq!(scene.pats_of_version(&previous), [old], "its label is as it was");
}

#[tokio::test(start_paused = true)]
async fn where_it_cannot_be_seen_whether_a_token_is_in_use_it_is_activated_again() {
    let scene = Scene::new(Begin::Manager);
    let (old, new) = rotated(&scene).await;
    tokio::time::advance(DAY * 2).await;
    let mut blind = false;
    scene.world.script(move |_, service, request| {
        blind |= request.method() == "PATCH";
        (blind && service == Service::Arm).then(|| Fault::Answer(answer(503, &json!({}))))
    });
    let report = scene.reconcile().await;
    assert_eq!(
        (report["outcome"].as_str(), report["errorType"].as_str()),
        (Some("failed"), Some("Retryable")),
        "{report}"
    );
    assert_eq!((scene.pat(&old), scene.pat(&new)), ("active", "active"));
    assert!(told(&report, "tokenReactivated"));
}

#[tokio::test(start_paused = true)]
async fn lost_answers_to_deactivation_and_deletion_end_the_same() {
    for fault in [Fault::ResetBefore, Fault::ResetAfter, Fault::Truncate, Fault::AnswerAfter(answer(500, &json!({})))] {
        let scene = Scene::new(Begin::Manager);
        let (old, new) = rotated(&scene).await;
        tokio::time::advance(DAY * 2).await;
        let (mut hits, fault) = (0, fault.clone());
        scene.world.script(move |_, _, request| {
            let hit = ["PATCH", "DELETE"].contains(&request.method().as_str());
            hits += usize::from(hit);
            (hit && hits % 2 == 1).then(|| fault.clone())
        });
        assert_eq!(scene.reconcile().await["outcome"], "applied");
        assert_eq!(scene.pat(&old), "inactive");
        assert_eq!(scene.reconcile().await["outcome"], "applied");
        assert_eq!((scene.pat(&old), scene.pat(&new)), ("gone", "active"));
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_leak_the_grace_is_skipped_and_nothing_else() {
    let scene = Scene::new(Begin::Manager);
    let (old, new) = rotated(&scene).await;
    let leak = json!({"revokeReplaced": true});
    let report = scene.reconcile_with(leak.clone()).await;
    assert_eq!(report["tokens"]["retired"], json!([old]), "{report}");
    assert_eq!((scene.pat(&old), scene.pat(&new)), ("inactive", "active"));
    scene.reconcile_with(leak.clone()).await;
    assert_eq!((scene.pat(&old), scene.pat(&new)), ("gone", "active"));
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let report = scene.reconcile_with(leak).await;
    assert_eq!(report["errorType"], "NeedsHuman", "no manager: a person has to revoke: {report}");
}

#[tokio::test(start_paused = true)]
async fn a_replaced_token_that_is_still_used_is_reported_and_kept_for_a_week() {
    let scene = Scene::new(Begin::Manager);
    let (old, _) = rotated(&scene).await;
    let token = scene.value(&scene.version("AWSPREVIOUS").unwrap())["accessToken"].clone();
    let uses = || {
        let login = json!({"identifier": USER, "secret": token}).to_string();
        let request = http::Request::post("/v2/auth/token").header("content-type", "application/json");
        scene.world.call(Service::Hub, request.body(login.into()).unwrap()).unwrap()
    };
    tokio::time::advance(DAY).await;
    assert_eq!(uses().status(), 200);
    for _ in 0..6 {
        tokio::time::advance(DAY).await;
        let report = scene.reconcile().await;
        assert!(told(&report, "stillUsed"), "{report}");
        assert!(!report.to_string().contains(token.as_str().unwrap()));
        assert_eq!(scene.pat(&old), "active");
    }
    tokio::time::advance(DAY * 2).await;
    assert_eq!(scene.reconcile().await["tokens"]["retired"], json!([old]));
}

#[tokio::test(start_paused = true)]
async fn the_orphan_of_an_abandoned_rotation_goes_by_its_own_date() {
    let scene = Scene::new(Begin::Manager);
    let (old, _) = rotated(&scene).await;
    let (pending, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    scene.invoke(scene.step("createSecret", &pending, token.as_deref())).await.unwrap();
    let orphan = scene.token_id(&pending);
    let current = scene.value(&scene.version("AWSCURRENT").unwrap());
    let mut edited = current.clone();
    edited["connector"]["scanIntervalHours"] = json!(12);
    let version = scene.world.with(|state| aws::put_version(state, &scene.arn, None, &edited, &["AWSCURRENT"]));
    assert_eq!(outcome(&scene.invoke(scene.label_event("AWSCURRENT", &version)).await), "applied");
    tokio::time::advance(HOUR * 23).await;
    assert_eq!(scene.reconcile().await["outcome"], "unchanged");
    tokio::time::advance(HOUR * 2).await;
    // the secret changed again: the grace period of the previous AWSCURRENT restarts, that of the orphaned token does
    // not
    let now = scene.now();
    scene.world.with(|state| state.aws.secrets.get_mut(&scene.arn).unwrap().last_changed = now);
    let report = scene.reconcile().await;
    assert_eq!(report["tokens"]["retired"], json!([orphan]), "{report}");
    assert_eq!((scene.pat(&orphan), scene.pat(&old)), ("inactive", "active"));
    assert_eq!(scene.pat(edited["tokenId"].as_str().unwrap()), "active", "it was copied along, so it is in use");
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_id_was_lost_is_known_by_its_value() {
    let mut scene = Scene::new(Begin::Manager);
    scene.set("HUBKEEPER_REVOKE_AFTER_HOURS", "0");
    let (_, new) = rotated(&scene).await;
    let mut edited = scene.value(&scene.version("AWSCURRENT").unwrap());
    edited.as_object_mut().unwrap().remove("tokenId");
    for _ in 0..3 {
        edited["note"] = json!(scene.now().unix_timestamp());
        let version = scene.world.with(|state| aws::put_version(state, &scene.arn, None, &edited, &["AWSCURRENT"]));
        assert_eq!(outcome(&scene.invoke(scene.label_event("AWSCURRENT", &version)).await), "applied");
        tokio::time::advance(DAY * 3).await;
        scene.reconcile().await;
        assert_eq!(scene.pat(&new), "active", "it is the token in the connector");
    }
}

/// Puts a changed AWSCURRENT document as a person does; the connector follows.
async fn edit(scene: &Scene, change: impl FnOnce(&mut Value)) -> Value {
    let mut edited = scene.value(&scene.version("AWSCURRENT").unwrap());
    change(&mut edited);
    let version = scene.world.with(|state| aws::put_version(state, &scene.arn, None, &edited, &["AWSCURRENT"]));
    let report = scene.invoke(scene.label_event("AWSCURRENT", &version)).await.unwrap();
    assert_eq!(report["outcome"], "applied", "{report}");
    report
}

/// Returns the number of values that the function has read since the record was last taken.
fn values_read(scene: &Scene) -> usize {
    let record = scene.world.record();
    record.iter().filter(|entry| entry.line() == "POST GetSecretValue").count()
}

#[tokio::test(start_paused = true)]
async fn a_rollback_by_hand_keeps_the_token_that_it_put_back_whatever_id_was_left() {
    for (id, at_once) in [("new", true), ("new", false), ("old", false), ("", false)] {
        let scene = Scene::new(Begin::Manager);
        let (old, new) = rotated(&scene).await;
        let token = scene.value(&scene.version("AWSPREVIOUS").unwrap())["accessToken"].clone();
        edit(&scene, |value| {
            value["accessToken"] = token.clone();
            match id {
                "new" => {}
                "old" => value["tokenId"] = json!(old),
                _ => drop(value.as_object_mut().unwrap().remove("tokenId")),
            }
        })
        .await;
        // the document is put again, so that no label shows which version the old token was created for
        edit(&scene, |value| value["note"] = json!("edited")).await;
        let report = if at_once {
            scene.reconcile_with(json!({"revokeReplaced": true})).await
        } else {
            tokio::time::advance(DAY * 9).await;
            scene.reconcile().await
        };
        assert_eq!((scene.pat(&old), scene.pat(&new)), ("active", "inactive"), "{id}, {at_once}: {report}");
        assert_eq!(told(&report, "tokenIdMismatch"), id == "new", "{id}: {report}");
        assert_eq!(scene.connector().unwrap().1, token.as_str().unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn a_copied_id_does_not_keep_a_leaked_token_alive() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let current = scene.version("AWSCURRENT").unwrap();
    let leaked = scene.token_id(&current);
    let mut copied = scene.value(&current);
    copied["accessToken"] = json!(scene.good_token());
    let stage = |value: &Value| {
        scene.world.with(|state| aws::put_version(state, &scene.arn, None, value, &["HUBKEEPER_CANDIDATE"]))
    };
    let adopted = scene.invoke(scene.label_event("HUBKEEPER_CANDIDATE", &stage(&copied))).await.unwrap();
    assert!(adopted["outcome"] == "applied" && told(&adopted, "tokenIdMismatch"), "{adopted}");
    let onboarded = scene.onboard().await.unwrap();
    assert!(told(&onboarded, "tokenIdMismatch"), "{onboarded}");
    // once AWSPREVIOUS is another version, only the stored value shows it
    edit(&scene, |value| value["note"] = json!("edited")).await;
    edit(&scene, |value| value["note"] = json!("edited again")).await;
    assert_eq!(scene.pat(&leaked), "active");
    let report = scene.reconcile_with(json!({"revokeReplaced": true})).await;
    assert!(report["tokens"]["retired"] == json!([leaked]) && told(&report, "tokenIdMismatch"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn values_are_read_of_tokens_that_are_due_alone_and_each_once() {
    let scene = Scene::new(Begin::Manager);
    let (first, second) = rotated(&scene).await;
    assert!(scene.rotate(1).await.succeeded);
    tokio::time::advance(HOUR * 23).await;
    let _ = scene.world.take_record();
    assert_eq!(scene.reconcile().await["outcome"], "unchanged");
    assert_eq!(values_read(&scene), 3, "AWSCURRENT, AWSPREVIOUS and the manager");
    tokio::time::advance(HOUR).await;
    let _ = scene.world.take_record();
    assert_eq!(scene.reconcile().await["outcome"], "applied");
    assert_eq!(values_read(&scene), 4, "and the one whose label is gone, looked at three times");
    assert_eq!((scene.pat(&first), scene.pat(&second)), ("inactive", "inactive"));
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_value_is_gone_goes_only_where_all_that_are_in_use_are_known() {
    for (in_use, goes) in [("as it is", true), ("by hand", true), ("of an id that is not listed", false)] {
        let scene = Scene::new(Begin::Manager);
        let (old, _) = rotated(&scene).await;
        let version = scene.version("AWSPREVIOUS").unwrap();
        assert!(scene.rotate(1).await.succeeded);
        let token = scene.good_token();
        if in_use != "as it is" {
            edit(&scene, |value| {
                value["accessToken"] = json!(token);
                value["tokenId"] = json!("b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001");
                if goes {
                    value.as_object_mut().unwrap().remove("tokenId");
                }
            })
            .await;
        }
        scene.world.with(|state| state.aws.secrets.get_mut(&scene.arn).unwrap().versions.remove(&version)).unwrap();
        tokio::time::advance(DAY * 9).await;
        let report = scene.reconcile().await;
        assert_eq!(scene.pat(&old), if goes { "inactive" } else { "active" }, "{in_use}: {report}");
        assert_eq!(told(&report, "tokenKept"), !goes, "{in_use}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_a_value_cannot_be_read_nothing_is_retired() {
    let denied = json!({"__type": "AccessDeniedException", "message": "no"});
    for fault in [Fault::Answer(answer(400, &denied)), Fault::Answer(answer(500, &json!({}))), Fault::ResetBefore] {
        let scene = Scene::new(Begin::Manager);
        let (old, middle) = rotated(&scene).await;
        let version = scene.version("AWSPREVIOUS").unwrap();
        assert!(scene.rotate(1).await.succeeded);
        tokio::time::advance(DAY * 2).await;
        scene.world.script(move |_, service, request| {
            let asked =
                service == Service::Aws && request.body().windows(version.len()).any(|id| id == version.as_bytes());
            asked.then(|| fault.clone())
        });
        let report = scene.reconcile().await;
        assert_eq!(report["outcome"], "failed", "{report}");
        assert_eq!((scene.pat(&old), scene.pat(&middle)), ("active", "active"));
    }
}

/// At every request boundary of a reconcile that is about to retire a token, a person puts the previous token back with
/// the newer id.
#[tokio::test(start_paused = true)]
async fn a_token_that_comes_into_use_by_its_value_alone_is_activated_again() {
    let (mut reactivated, mut at) = (0, 12);
    loop {
        let mut scene = Scene::new(Begin::Manager);
        // between the deactivation and the check after it the token is inactive, which this test provokes
        scene.checked = false;
        let (old, _) = rotated(&scene).await;
        let token = scene.value(&scene.version("AWSPREVIOUS").unwrap())["accessToken"].clone();
        tokio::time::advance(DAY * 2).await;
        let back = async {
            let mut edited = scene.value(&scene.version("AWSCURRENT").unwrap());
            edited["accessToken"] = token.clone();
            let version = scene.world.with(|state| aws::put_version(state, &scene.arn, None, &edited, &["AWSCURRENT"]));
            outcome(&scene.invoke(scene.label_event("AWSCURRENT", &version)).await)
        };
        let (answer, between) = interleave(&scene, scene.reconcile_event(&json!({})), at, back).await;
        let Some(between) = between else { break };
        let (_, inside) = scene.connector().unwrap();
        assert!(scene.world.with(|state| hub::accepts(state, USER, &inside)), "request {at}");
        if between == "applied" {
            assert_eq!(scene.pat(&old), "active", "request {at}: {}", answer.unwrap());
        } else {
            assert!(between.starts_with("Refused") && inside != token.as_str().unwrap(), "request {at}: {between}");
        }
        reactivated += usize::from(scene.pat(&old) == "active" && between.starts_with("Refused"));
        at += 1;
    }
    assert!(at > 20 && reactivated > 0, "{at} requests, activated again {reactivated} times");
}

#[tokio::test(start_paused = true)]
async fn a_deactivated_token_that_was_put_back_without_its_id_is_activated() {
    let mut scene = Scene::new(Begin::Manager);
    let (old, _) = rotated(&scene).await;
    tokio::time::advance(DAY * 2).await;
    scene.reconcile().await;
    assert_eq!(scene.pat(&old), "inactive");
    // the connector that was written at that moment carries it
    scene.checked = false;
    let mut value = scene.value(&scene.version("AWSPREVIOUS").unwrap());
    value.as_object_mut().unwrap().remove("tokenId");
    let version = scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]));
    crate::reconcile::by_hand(&scene, |body| {
        body["tags"]["hubkeeper-version"] = json!(version);
        body["properties"]["environmentData"]["authentication"]["accessToken"] = value["accessToken"].clone();
    });
    let report = scene.reconcile().await;
    assert!(told(&report, "tokenReactivated"), "{report}");
    assert_eq!(scene.pat(&old), "active");
}

#[tokio::test(start_paused = true)]
async fn what_a_stuck_rotation_never_stored_goes_after_a_day_and_nothing_else() {
    let scene = Scene::new(Begin::Manager);
    let (old, new) = rotated(&scene).await;
    let (pending, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    scene.world.script(|_, _, request| {
        let put = request.headers().get("x-amz-target").is_some_and(|target| target == "secretsmanager.PutSecretValue");
        put.then_some(Fault::ResetBefore)
    });
    for _ in 0..2 {
        let step = scene.invoke(scene.step("createSecret", &pending, token.as_deref())).await;
        assert!(outcome(&step).starts_with("Retryable"), "{}", outcome(&step));
    }
    let left = scene.pats_of_version(&pending);
    assert_eq!(left.len(), 2);
    scene.world.script(|_, _, _| None);
    tokio::time::advance(DAY + Duration::from_mins(1)).await;
    for state in ["inactive", "gone"] {
        let report = scene.reconcile().await;
        assert!(told(&report, "rotationStuck") && report["outcome"] == "applied", "{report}");
        assert!(left.iter().all(|id| scene.pat(id) == state), "{report}");
        assert_eq!((scene.pat(&old), scene.pat(&new)), ("active", "active"));
    }
    assert_eq!(scene.reconcile().await["outcome"], "unchanged");
    // a failed listing of the tokens does not block the reconcile of AWSCURRENT
    scene.world.script(|_, _, request| {
        let lists = request.method() == "GET" && request.uri().path() == "/v2/access-tokens";
        lists.then(|| Fault::Answer(answer(503, &json!({}))))
    });
    let report = scene.reconcile().await;
    assert!(report["outcome"] == "unchanged" && told(&report, "nothingRetired"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn what_a_stuck_rotation_has_stored_stays() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let (pending, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    scene.invoke(scene.step("createSecret", &pending, token.as_deref())).await.unwrap();
    tokio::time::advance(DAY * 9).await;
    let report = scene.reconcile().await;
    assert!(told(&report, "rotationStuck") && report["outcome"] == "unchanged", "{report}");
    assert_eq!(scene.pat(&scene.token_id(&pending)), "active");
}

#[tokio::test(start_paused = true)]
async fn the_leftover_of_a_rotation_that_is_over_protects_no_token() {
    let scene = Scene::new(Begin::Manager);
    let (old, new) = rotated(&scene).await;
    let previous = scene.version("AWSPREVIOUS").unwrap();
    scene.world.with(|state| state.aws.secrets.get_mut(&scene.arn).unwrap().move_label("AWSPENDING", &previous));
    tokio::time::advance(DAY * 2).await;
    scene.reconcile().await;
    assert_eq!((scene.pat(&old), scene.pat(&new)), ("inactive", "active"));
}

#[tokio::test(start_paused = true)]
async fn a_label_that_names_no_version_is_not_ours() {
    let scene = Scene::new(Begin::Manager);
    rotated(&scene).await;
    let label = scene.world.with(|state| hub::pats_of(state, USER))[0].label.clone();
    let ours = label.rsplit_once('/').unwrap().0;
    let labels = [format!("{ours}/"), format!("{ours}//retiring"), format!("{ours}/retiring"), format!("{ours}/v")];
    let made = labels.map(|label| scene.world.with(|state| hub::add_pat(state, USER, &label, &["repo:read"], None)).0);
    scene.world.with(|state| hub::deactivate(state, &made[1]));
    tokio::time::advance(DAY * 30).await;
    for _ in 0..2 {
        scene.reconcile_with(json!({"revokeReplaced": true})).await;
    }
    assert_eq!(made.map(|id| scene.pat(&id)), ["active", "inactive", "active", "active"]);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_rotation_s_own_use_of_its_token_is_nobody_s() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let (pending, token) = scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    scene.invoke(scene.step("createSecret", &pending, token.as_deref())).await.unwrap();
    let orphan = scene.token_id(&pending);
    tokio::time::advance(HOUR).await;
    scene.invoke(json!({"action": "verify", "secretId": scene.arn, "versionId": pending})).await.unwrap();
    tokio::time::advance(HOUR).await;
    edit(&scene, |value| value["connector"]["scanIntervalHours"] = json!(12)).await;
    tokio::time::advance(DAY).await;
    let report = scene.reconcile().await;
    assert!(report["tokens"]["retired"] == json!([orphan]) && !told(&report, "stillUsed"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_token_of_an_offboarded_secret_stays_while_it_is_used() {
    let scene = Scene::new(Begin::Manager);
    let (old, new) = rotated(&scene).await;
    let token = scene.value(&scene.version("AWSCURRENT").unwrap())["accessToken"].clone();
    tokio::time::advance(DAY * 8).await;
    scene.invoke(json!({"action": "offboard", "secretId": scene.arn})).await.unwrap();
    let uses = || {
        let login = json!({"identifier": USER, "secret": token}).to_string();
        let request = http::Request::post("/v2/auth/token").header("content-type", "application/json");
        scene.world.call(Service::Hub, request.body(login.into()).unwrap()).unwrap()
    };
    for _ in 0..3 {
        tokio::time::advance(DAY * 6).await;
        assert_eq!(uses().status(), 200);
        let report = scene.reconcile_with(json!({"revokeReplaced": true})).await;
        assert!(told(&report, "stillUsed") && scene.pat(&new) == "active", "{report}");
    }
    assert_eq!(scene.pat(&old), "gone");
    tokio::time::advance(DAY * 7).await;
    assert_eq!(scene.reconcile().await["tokens"]["retired"], json!([new]));
}

/// Creates another secret of the same organization with its own connector, whose value is `change` applied to this
/// document.
fn twin(scene: &Scene, change: impl FnOnce(&mut Value)) -> String {
    let mut value = scene.value(&scene.version("AWSCURRENT").unwrap());
    value["connector"]["name"] = json!("dockerhub-acme-twin");
    change(&mut value);
    scene.world.with(|state| {
        let login =
            json!({"username": USER, "password": PASSWORD, "usedBy": ["hubkeeper/acme", "hubkeeper/acme-twin"]});
        let manager = state.aws.secrets.values().find(|secret| secret.name == "hubkeeper/manager").unwrap().arn.clone();
        aws::put_version(state, &manager, None, &login, &["AWSCURRENT"]);
        let arn = aws::create_secret(state, "hubkeeper/acme-twin", &value, &[]);
        aws::enable_rotation(state, &arn, true);
        arn
    })
}

#[tokio::test(start_paused = true)]
async fn a_token_of_another_secret_is_replaced_by_onboarding_and_told_by_reconcile() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let theirs = scene.value(&scene.version("AWSCURRENT").unwrap());
    let twin = twin(&scene, |_| {});
    let onboard = json!({"action": "onboard", "secretId": twin});
    let report = scene.invoke(onboard.clone()).await.unwrap();
    assert!(report["outcome"] == "applied" && told(&report, "tokenOfAnotherSecret"), "{report}");
    assert!(report["tokens"]["minted"].is_string(), "{report}");
    let current = |state: &hubkeeper_sandbox::State| {
        aws::value_of(state, &twin, &aws::version_with(state, &twin, "AWSCURRENT").unwrap()).unwrap()
    };
    let own = scene.world.with(|state| current(state));
    assert_ne!(own["accessToken"], theirs["accessToken"]);
    let again = scene.invoke(onboard).await.unwrap();
    assert!(again["outcome"] == "unchanged" && !told(&again, "tokenOfAnotherSecret"), "{again}");
    // a person puts the other secret's token into this document
    let mut copied = own.clone();
    copied["accessToken"] = theirs["accessToken"].clone();
    copied["tokenId"] = theirs["tokenId"].clone();
    let version = scene.world.with(|state| aws::put_version(state, &twin, None, &copied, &["AWSCURRENT"]));
    let mut event = scene.label_event("AWSCURRENT", &version);
    event["resources"] = json!([twin]);
    assert_eq!(outcome(&scene.invoke(event).await), "applied");
    let fleet = scene.invoke(json!({"action": "reconcile", "secretIds": [twin]})).await.unwrap();
    let report = &fleet["items"][0];
    assert!(told(report, "tokenOfAnotherSecret") && report.to_string().contains("rotate-secret"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn whose_the_token_is_is_asked_only_where_a_manager_and_an_id_are_named() {
    let asked = |scene: &Scene| {
        let record = scene.world.take_record();
        record.iter().filter(|entry| entry.line().starts_with("GET /v2/access-tokens")).count()
    };
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let _ = scene.world.take_record();
    scene.onboard().await.unwrap();
    assert_eq!(asked(&scene), 1);
    edit(&scene, |value| drop(value.as_object_mut().unwrap().remove("tokenId"))).await;
    let _ = scene.world.take_record();
    scene.onboard().await.unwrap();
    assert_eq!(asked(&scene), 0);
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    assert_eq!(asked(&scene), 0);
}

/// Docker Hub rejects a token right after its creation, whatever lifetime the function gives to new tokens.
#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_young_by_its_version_s_date_and_that_is_asked_only_then() {
    let asked = |scene: &Scene| {
        let record = scene.world.take_record();
        record.iter().filter(|entry| entry.line() == "POST ListSecretVersionIds").count()
    };
    let mut scene = Scene::new(Begin::Manager);
    scene.checked = false;
    scene.onboard().await.unwrap();
    let version = scene.version("AWSCURRENT").unwrap();
    let verify = json!({"action": "verify", "secretId": scene.arn});
    assert_eq!((outcome(&scene.invoke(verify.clone()).await), asked(&scene)), ("proven".to_owned(), 0));
    let id = scene.token_id(&version);
    scene.world.with(|state| hub::deactivate(state, &id));
    scene.set("HUBKEEPER_TOKEN_LIFETIME_DAYS", "30");
    tokio::time::advance(Duration::from_mins(9)).await;
    let answer = outcome(&scene.invoke(verify.clone()).await);
    assert!(answer.starts_with("Retryable") && asked(&scene) == 1, "{answer}");
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(outcome(&scene.invoke(verify.clone()).await), "refused");
    // sixty days later the token expires in thirty days: the lifetime of a token that is created now
    tokio::time::advance((DAY * 60).saturating_sub(Duration::from_mins(10))).await;
    assert_eq!(outcome(&scene.invoke(verify).await), "refused");
}
