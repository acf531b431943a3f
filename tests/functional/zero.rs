//! Tests onboarding without a token: invitation, wait, acceptance, token, proof, connector (docs/operating.md).

use std::time::Duration;

use hubkeeper_core::error::Error;
use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Fault, Recorded, Request, State, arm, aws, hub};
use serde_json::{Value, json};

use hubkeeper_scene::{
    Answer, Begin, CONNECTOR, EMAIL, GROUP, ORG, OWNER, OWNER_PASSWORD, OWNER_SECRET, SECRET, SUBSCRIPTION, Scene,
    USER, build_zero, interleave, kill, outcome, watch,
};

const DAY: Duration = Duration::from_hours(24);

/// Creates a secret without a token, whose dedicated user is in no organization yet. `change` edits the document.
pub(crate) fn scene(change: impl FnOnce(&mut Value)) -> Scene {
    Scene::of(|state| build_zero(state, change), watch)
}

fn accept(scene: &Scene, username: &str) {
    assert!(scene.world.with(|state| hub::accept_invitation(state, ORG, EMAIL, username)));
}

fn tag(scene: &Scene) -> String {
    scene.world.with(|state| aws::tags(state, &scene.arn).get("hubkeeper-invite").cloned()).unwrap_or_default()
}

fn set_tag(scene: &Scene, value: &str) {
    scene.world.with(|state| aws::set_tag(state, &scene.arn, "hubkeeper-invite", value));
}

fn sent(scene: &Scene) -> usize {
    scene.world.with(|state| hub::invitations_sent(state, ORG))
}

fn resends(scene: &Scene) -> usize {
    scene.world.with(|state| hub::organization(state, ORG).unwrap().invitations.iter().map(|one| one.resends).sum())
}

fn owner_reads(record: &[Recorded]) -> usize {
    let of_owner = |entry: &&Recorded| {
        entry.service == Service::Aws
            && aws::action(&entry.request).as_deref() == Some("GetSecretValue")
            && String::from_utf8_lossy(entry.request.body()).contains(OWNER_SECRET)
    };
    record.iter().filter(of_owner).count()
}

fn codes(report: &Value) -> Vec<&str> {
    report["warnings"].as_array().unwrap().iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

async fn onboard_with(scene: &Scene, more: Value) -> Answer {
    let mut event = json!({"action": "onboard", "secretId": scene.arn});
    event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    scene.invoke(event).await
}

async fn refused(scene: &Scene) -> Error {
    scene.onboard().await.expect_err("a refusal")
}

fn connected(scene: &Scene) -> bool {
    let current = scene.version("AWSCURRENT").unwrap();
    scene
        .connector()
        .is_some_and(|(version, token)| version == current && json!(token) == scene.value(&current)["accessToken"])
}

#[tokio::test(start_paused = true)]
async fn from_nothing_to_a_connector_over_ten_days_of_waiting() {
    let scene = scene(|_| {});
    let report = scene.onboard().await.unwrap();
    assert_eq!(report["outcome"], "awaiting", "{report}");
    let reason = report["reason"].as_str().unwrap();
    for word in [EMAIL, ORG, "editor", "follow its link", "2026-11-24T10:00:0", "Nothing else was changed", USER] {
        assert!(reason.contains(word), "{word}: {reason}");
    }
    assert_eq!(report["invitation"]["state"], "pending");
    assert_eq!(
        (report["invitation"]["resends"].clone(), report["invitation"]["ageDays"].clone()),
        (json!(0), json!(0))
    );
    let writes = scene.writes();
    let expected = ["POST TagResource", "POST TagResource", "POST /v2/invites/bulk", "POST TagResource"];
    assert_eq!(writes, expected, "the tags first, and nothing else");
    let mut resent = Vec::new();
    for day in 1..=10 {
        tokio::time::sleep(DAY).await;
        let fleet = scene.invoke(json!({"action": "reconcile"})).await.unwrap();
        assert_eq!(fleet["outcome"], "awaiting", "day {day}: {fleet}");
        let item = &fleet["items"][0];
        assert_eq!((item["action"].as_str(), &item["invitation"]["ageDays"]), (Some("reconcile"), &json!(day)));
        assert_eq!(item["invitation"]["resends"], json!(resends(&scene)), "day {day}");
        resent.push(resends(&scene));
    }
    assert_eq!(resent, [0, 0, 1, 1, 1, 2, 2, 2, 2, 2]);
    assert_eq!(sent(&scene), 1);
    assert_eq!(scene.connector_writes(), [""; 0]);

    accept(&scene, USER);
    tokio::time::sleep(DAY).await;
    let _ = scene.world.take_record();
    let fleet = scene.invoke(json!({"action": "reconcile"})).await.unwrap();
    let item = &fleet["items"][0];
    assert_eq!((item["outcome"].as_str(), item["action"].as_str()), (Some("applied"), Some("reconcile")), "{item}");
    assert_eq!(item["verdict"]["result"], "complete");
    assert_eq!(item["connector"]["change"], "created");
    assert_eq!(item["invitation"]["state"], "member");
    assert!(connected(&scene));
    assert_eq!(tag(&scene), "member");
    assert_eq!(owner_reads(&scene.world.record()), 1, "one login an invocation");
    assert_eq!(scene.world.with(|state| hub::pats_of(state, USER)).len(), 1);

    let _ = scene.world.take_record();
    tokio::time::sleep(DAY).await;
    let report = scene.reconcile().await;
    assert_eq!(report["outcome"], "unchanged", "{report}");
    assert!(report["invitation"].is_null());
    assert_eq!(outcome(&scene.onboard().await), "unchanged");
    assert_eq!(owner_reads(&scene.world.record()), 0, "the owner secret is not read once the tag says member");
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_member_as_asked_goes_on_to_the_connector_in_one_run() {
    let scene = scene(|_| {});
    scene.world.with(|state| hub::add_member(state, ORG, USER, hub::Role::Editor));
    let report = scene.onboard().await.unwrap();
    assert_eq!(report["outcome"], "applied", "{report}");
    assert_eq!((tag(&scene).as_str(), sent(&scene)), ("member", 0));
    assert!(connected(&scene));
}

#[tokio::test(start_paused = true)]
async fn without_a_manager_the_token_is_awaited_too() {
    let scene = scene(|value| {
        value.as_object_mut().unwrap().remove("manager");
        value["user"]["role"] = json!("member");
        value["user"]["team"] = json!("readers");
    });
    scene.onboard().await.unwrap();
    accept(&scene, USER);
    for _ in 0..2 {
        let report = scene.reconcile().await;
        assert_eq!(report["outcome"], "awaiting", "{report}");
        let reason = report["reason"].as_str().unwrap();
        assert!(reason.contains("put-secret-value") && reason.contains("Read-only"), "{reason}");
    }
    assert_eq!(scene.connector_writes(), [""; 0]);
    let token = scene.good_token();
    let current = scene.version("AWSCURRENT").unwrap();
    let mut value = scene.value(&current);
    value["accessToken"] = json!(token);
    let version = scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]));
    assert_eq!(outcome(&scene.invoke(scene.label_event("AWSCURRENT", &version)).await), "applied");
    assert_eq!(scene.connector(), Some((version, token)));
    assert_eq!(scene.reconcile().await["outcome"], "unchanged");
}

#[tokio::test(start_paused = true)]
async fn a_candidate_put_while_a_person_is_awaited_is_what_goes_on() {
    let scene = scene(|value| {
        value.as_object_mut().unwrap().remove("manager");
    });
    scene.onboard().await.unwrap();
    accept(&scene, USER);
    let token = scene.good_token();
    let version = scene.stage(&token, |_| {}, &["HUBKEEPER_CANDIDATE"]);
    assert_eq!(scene.reconcile().await["outcome"], "applied");
    assert_eq!(scene.version("AWSCURRENT"), Some(version));
    assert!(connected(&scene));
}

#[tokio::test(start_paused = true)]
async fn a_plan_reads_shows_the_steps_and_does_none() {
    let steps = |report: &Value| -> Vec<String> {
        let all = report["plan"].as_array().unwrap().iter();
        all.map(|step| step["step"].as_str().unwrap().to_owned()).collect()
    };
    let plan = || json!({"mode": "plan"});
    let scene = scene(|_| {});
    let report = onboard_with(&scene, plan()).await.unwrap();
    assert_eq!(report["outcome"], "planned", "{report}");
    assert_eq!(steps(&report), ["tagManaged", "tagInvite", "invite", "tagInvite"]);
    assert_eq!((&report["plan"][1]["state"], &report["plan"][2]["role"]), (&json!("asked"), &json!("editor")));
    assert_eq!(scene.writes(), [""; 0]);
    scene.onboard().await.unwrap();
    let report = onboard_with(&scene, plan()).await.unwrap();
    assert_eq!(report["outcome"], "awaiting", "{report}");
    tokio::time::sleep(3 * DAY).await;
    let _ = scene.world.take_record();
    let report = scene.reconcile_with(plan()).await;
    assert_eq!(
        (report["outcome"].as_str(), steps(&report)),
        (Some("planned"), vec!["tagInvite".into(), "resend".into()])
    );
    accept(&scene, USER);
    scene.world.with(|state| hub::add_member(state, ORG, USER, hub::Role::Member));
    let report = onboard_with(&scene, json!({"mode": "plan", "fixRole": true})).await.unwrap();
    assert_eq!(
        steps(&report),
        [
            "setRole",
            "tagInvite",
            "mintToken",
            "revokeStrays",
            "stageCandidate",
            "prove",
            "writeConnector",
            "moveCurrent",
            "unstage"
        ]
    );
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_lower_role_and_a_missing_team_are_refused_and_fix_role_sets_them() {
    let cases: [(&str, Value); 2] = [
        ("role member, but editor", json!({"email": EMAIL})),
        ("not in the team readers", json!({"email": EMAIL, "role": "member", "team": "readers"})),
    ];
    for (why, user) in cases {
        let scene = scene(|value| value["user"] = user);
        scene.world.with(|state| hub::add_member(state, ORG, USER, hub::Role::Member));
        let answer = outcome(&scene.onboard().await);
        assert!(answer.starts_with("Refused") && answer.contains(why) && answer.contains("fixRole"), "{answer}");
        assert_eq!(scene.writes(), [""; 0]);
        let report = onboard_with(&scene, json!({"fixRole": true})).await.unwrap();
        assert_eq!(report["outcome"], "applied", "{report}");
        assert!(connected(&scene), "{why}");
        assert_eq!(scene.writes()[0], "POST TagResource", "before the first outside write");
    }
}

#[tokio::test(start_paused = true)]
async fn a_higher_role_and_one_that_is_not_told_are_warnings() {
    let member = |value: &mut Value| value["user"]["role"] = json!("member");
    let scene = scene(member);
    scene.world.with(|state| hub::add_member(state, ORG, USER, hub::Role::Editor));
    let report = scene.onboard().await.unwrap();
    assert!(codes(&report).contains(&"roleHigher"), "{report}");
    assert!(connected(&scene));
    drop(scene);

    let scene = self::scene(|_| {});
    scene.world.with(|state| {
        hub::add_member(state, ORG, USER, hub::Role::Editor);
        hub::show_role(state, ORG, USER, "Registry Auditor");
    });
    let report = scene.onboard().await.unwrap();
    assert!(codes(&report).contains(&"roleUnknown"), "{report}");
    assert!(connected(&scene));
}

/// A rejected case: its name, the document, the fault at Docker Hub, and the kind and words of the error.
type Refusal = (&'static str, fn(&mut Value), fn(&Scene), &'static str, &'static str);

#[tokio::test(start_paused = true)]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn every_refusal_of_docker_hub_is_an_error_with_its_remedy() {
    let none: fn(&Scene) = |_| {};
    let table: Vec<Refusal> = vec![
        (
            "not an owner",
            |_| {},
            |scene| scene.world.with(|state| hub::add_member(state, ORG, OWNER, hub::Role::Editor)),
            "Misconfigured",
            "scope-member-read",
        ),
        ("unknown team", |value| value["user"]["team"] = json!("nobody"), none, "Misconfigured", "user.team"),
        (
            "invalid address",
            |_| {},
            |scene| scene.world.with(|state| hub::refuse_address(state, EMAIL)),
            "Misconfigured",
            "user.email",
        ),
        (
            "no seat",
            |_| {},
            |scene| scene.world.with(|state| hub::set_seats(state, ORG, Some(1))),
            "NeedsHuman",
            "no free seat",
        ),
        (
            "no seat, 400",
            |_| {},
            |scene| {
                scene.world.with(|state| {
                    hub::set_seats(state, ORG, Some(1));
                    state.hub.no_seat_status = 400;
                });
            },
            "NeedsHuman",
            "status 400",
        ),
        (
            "no seat, 403",
            |_| {},
            |scene| {
                scene.world.with(|state| {
                    hub::set_seats(state, ORG, Some(1));
                    state.hub.no_seat_status = 403;
                });
            },
            "NeedsHuman",
            "status 403",
        ),
        (
            "conflict",
            |_| {},
            |scene| {
                scene.world.with(|state| {
                    hub::set_seats(state, ORG, Some(1));
                    state.hub.no_seat_status = 409;
                });
            },
            "NeedsHuman",
            "status 409",
        ),
        (
            "no seat, told of the invitee alone",
            |_| {},
            |scene| {
                scene.world.script(|_, service, request| {
                    let is_invite = service == Service::Hub && request.uri().path() == "/v2/invites/bulk";
                    let answer = json!({"invitees": [{"invitee": EMAIL, "status": "no_seats_available"}]});
                    is_invite.then(|| Fault::Answer(hubkeeper_sandbox::world::json(202, &answer)))
                });
            },
            "NeedsHuman",
            "no free seat",
        ),
        (
            "already a member under another address",
            |_| {},
            |scene| {
                // the list hides addresses, but the service compares them
                scene.world.script(|_, service, request| {
                    let is_invite = service == Service::Hub && request.uri().path() == "/v2/invites/bulk";
                    let answer = json!({"invitees": [{"invitee": EMAIL, "status": "existing_org_member"}]});
                    is_invite.then(|| Fault::Answer(hubkeeper_sandbox::world::json(202, &answer)))
                });
            },
            "NeedsHuman",
            "belongs to a member",
        ),
        (
            "password",
            |_| {},
            |scene| scene.world.with(|state| hub::set_password(state, OWNER, "changed-since-then-1")),
            "NeedsHuman",
            "password of the owner secret",
        ),
        (
            "single sign-on",
            |_| {},
            |scene| scene.world.with(|state| hub::enforce_sso(state, ORG, true)),
            "NeedsHuman",
            "invite the dedicated user by hand",
        ),
        (
            "no seed",
            |_| {},
            |scene| {
                scene.world.with(|state| {
                    aws::create_secret(
                        state,
                        "vault/no-seed",
                        &json!({"username": OWNER, "password": OWNER_PASSWORD, "usedBy": [SECRET]}),
                        &[],
                    );
                });
                let mut value = scene.value(&scene.version("AWSCURRENT").unwrap());
                value["owner"] = json!("vault/no-seed");
                scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]));
            },
            "NeedsHuman",
            "second factor",
        ),
        ("no owner secret", |value| value["owner"] = json!("vault/nowhere"), none, "Misconfigured", "ResourceNotFound"),
    ];
    for (name, change, prepare, kind, word) in table {
        let scene = scene(change);
        prepare(&scene);
        let error = refused(&scene).await;
        let message = error.to_string();
        assert_eq!(error.kind().name(), kind, "{name}: {message}");
        assert!(message.contains(word) && message.contains("remedy: "), "{name}: {message}");
        assert!(!message.contains(EMAIL), "{name}: {message}");
        assert_eq!(sent(&scene), 0, "{name}");
        assert_eq!(scene.connector_writes(), [""; 0], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn once_the_refusal_is_mended_the_repeat_invites() {
    let scene = scene(|_| {});
    scene.world.with(|state| hub::set_seats(state, ORG, Some(1)));
    assert_eq!(refused(&scene).await.kind().name(), "NeedsHuman");
    assert_eq!(tag(&scene), "asked");
    scene.world.with(|state| hub::set_seats(state, ORG, Some(2)));
    assert_eq!(scene.reconcile().await["outcome"], "awaiting", "reconcile carries on from `asked`");
    assert_eq!(sent(&scene), 1);
}

#[tokio::test(start_paused = true)]
async fn what_only_a_person_can_settle_is_never_another_invitation() {
    // the user joined under another name
    let one = scene(|_| {});
    one.onboard().await.unwrap();
    one.world.with(|state| hub::add_user(state, "somebody", "another-password-8"));
    accept(&one, "somebody");
    let error = refused(&one).await;
    assert_eq!(error.kind().name(), "NeedsHuman");
    assert!(error.to_string().contains("member somebody"), "{error}");
    assert_eq!(one.reconcile().await["errorType"], "NeedsHuman");
    assert_eq!(sent(&one), 1);
    drop(one);

    // the invitation expired
    let two = scene(|_| {});
    two.onboard().await.unwrap();
    two.world.with(|state| hub::lapse_invitation(state, ORG, EMAIL));
    let report = two.reconcile().await;
    assert_eq!(report["errorType"], "NeedsHuman", "{report}");
    assert!(report["errorMessage"].as_str().unwrap().contains("untag-resource"), "{report}");
    assert_eq!(sent(&two), 1);
    drop(two);

    // the tag is unreadable, so the owner does not log in
    let three = scene(|_| {});
    set_tag(&three, "sent, I think");
    assert_eq!(refused(&three).await.kind().name(), "NeedsHuman");
    assert_eq!((sent(&three), owner_reads(&three.world.record())), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn an_invitation_that_is_listed_is_taken_up_in_both_shapes_of_the_answer() {
    for flat in [false, true] {
        let scene = scene(|_| {});
        scene.world.with(|state| state.hub.flat_invitees = flat);
        scene.onboard().await.unwrap();
        assert!(
            tag(&scene).starts_with("pending 2026-11-24T10:00:0") && tag(&scene).ends_with(" 0"),
            "{}",
            tag(&scene)
        );
        set_tag(&scene, "asked");
        assert_eq!(outcome(&scene.onboard().await), "awaiting");
        assert!(tag(&scene).starts_with("pending 2026-11-24T10:00:0"), "{}", tag(&scene));
        assert_eq!(sent(&scene), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_that_comes_late_sends_again_once_a_run() {
    let scene = scene(|_| {});
    scene.onboard().await.unwrap();
    tokio::time::sleep(20 * DAY).await;
    for expected in [1, 2, 2] {
        assert_eq!(scene.reconcile().await["outcome"], "awaiting");
        assert_eq!(resends(&scene), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_list_of_members_is_read_to_its_end() {
    let scene = scene(|_| {});
    scene.world.with(|state| {
        for n in 0..250 {
            hub::add_member(state, ORG, &format!("person-{n:03}"), hub::Role::Member);
        }
        hub::add_user(state, "zz-scanner", "another-password-8");
        hub::set_email(state, "zz-scanner", EMAIL);
        hub::add_member(state, ORG, "zz-scanner", hub::Role::Member);
    });
    let error = refused(&scene).await;
    assert!(error.to_string().contains("member zz-scanner"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_an_offboarding_or_another_event_keeps_anybody_from_being_invited() {
    let scene = scene(|_| {});
    scene.world.with(|state| aws::begin_rotation(state, &scene.arn, true));
    assert_eq!(refused(&scene).await.kind().name(), "Retryable");
    assert_eq!(sent(&scene), 0);
    drop(scene);

    for offboard in [true, false] {
        for at in 0.. {
            let scene = self::scene(|_| {});
            let meanwhile = async {
                scene.world.with(|state| {
                    if offboard {
                        aws::set_tag(state, &scene.arn, "hubkeeper", "offboarded");
                    } else {
                        aws::begin_rotation(state, &scene.arn, true);
                    }
                });
                scene.world.record().len()
            };
            let event = json!({"action": "onboard", "secretId": scene.arn});
            let (answer, moved) = interleave(&scene, event, at, meanwhile).await;
            let Some(moved) = moved else { break };
            let record = scene.world.record();
            let place = |line: &str| record.iter().rposition(|entry| entry.line() == line);
            // after the read right before the invitation, the invitation cannot be stopped
            let invited = record.iter().position(|entry| entry.line() == "POST /v2/invites/bulk");
            let look = invited
                .and_then(|invited| record[..invited].iter().rposition(|entry| entry.line() == "POST DescribeSecret"));
            let tagged = offboard && place("POST TagResource").is_some_and(|tagged| tagged >= moved);
            assert!(look.is_none_or(|look| look < moved || tagged), "{offboard}, request {at}");
            assert!(answer.is_ok() || answer.as_ref().is_err_and(|error| error.kind().name() == "Retryable"), "{at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_at_once_send_one_invitation() {
    for at in 0.. {
        let scene = scene(|_| {});
        // a code works once, and the wait for the next one would delay the other run too long
        scene.world.with(|state| hub::set_totp(state, OWNER, None));
        let event = json!({"action": "onboard", "secretId": scene.arn});
        let (first, second) = interleave(&scene, event.clone(), at, scene.invoke(event.clone())).await;
        assert_eq!(sent(&scene), 1, "request {at}");
        if second.is_none() {
            assert!(at > 15, "only {at} requests");
            return;
        }
        let settled = [first, second.unwrap()].iter().filter(|answer| outcome(answer) == "awaiting").count();
        assert!(settled > 0, "request {at}");
        assert_eq!(outcome(&scene.onboard().await), "awaiting", "request {at}");
        assert!(tag(&scene).starts_with("pending"), "request {at}: {}", tag(&scene));
    }
}

/// Kills the run before or after each request and repeats the event: the result is the same, with one invitation.
async fn survives(prepare: impl AsyncFn() -> Scene, event: impl Fn(&Scene) -> Value, whole: impl Fn(&Scene, usize)) {
    for at in 0.. {
        let mut ended = false;
        for after in [false, true] {
            let scene = prepare().await;
            ended |= !kill(&scene, event(&scene), at, after).await;
            let again = scene.invoke(event(&scene)).await;
            assert!(again.is_ok(), "request {at}: {}", outcome(&again));
            assert!(!again.unwrap().to_string().contains("errorType"), "request {at}");
            whole(&scene, at);
        }
        if ended {
            assert!(at > 10, "only {at} requests");
            return;
        }
    }
}

/// Breaks the connection after each handled request.
async fn outlives(prepare: impl AsyncFn() -> Scene, event: impl Fn(&Scene) -> Value, whole: impl Fn(&Scene, usize)) {
    for at in 0.. {
        let scene = prepare().await;
        let mut handled = 0;
        let (end, reached) = (at, std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
        let flag = reached.clone();
        scene.world.script(move |_, _, _: &Request| {
            let hit = handled == end;
            handled += 1;
            flag.fetch_or(hit, std::sync::atomic::Ordering::Relaxed);
            hit.then_some(Fault::ResetAfter)
        });
        scene.invoke(event(&scene)).await.ok();
        scene.world.calm();
        if !reached.load(std::sync::atomic::Ordering::Relaxed) {
            assert!(at > 10, "only {at} requests");
            return;
        }
        // a second factor with a lost response is used up, so the retry needs the code of another time step
        tokio::time::sleep(Duration::from_mins(1)).await;
        let again = scene.invoke(event(&scene)).await;
        assert!(again.is_ok(), "request {at}: {}", outcome(&again));
        whole(&scene, at);
    }
}

fn onboarding(scene: &Scene) -> Value {
    json!({"action": "onboard", "secretId": scene.arn})
}

fn reconciling(scene: &Scene) -> Value {
    json!({"action": "reconcile", "secretIds": [scene.arn]})
}

async fn fresh() -> Scene {
    scene(|_| {})
}

async fn waiting_three_days() -> Scene {
    let scene = scene(|_| {});
    scene.onboard().await.unwrap();
    tokio::time::sleep(3 * DAY).await;
    scene
}

async fn accepted() -> Scene {
    let scene = scene(|_| {});
    scene.onboard().await.unwrap();
    accept(&scene, USER);
    scene
}

async fn too_low() -> Scene {
    let scene = scene(|value| value["user"] = json!({"email": EMAIL, "role": "member", "team": "readers"}));
    scene.world.with(|state| hub::add_member(state, ORG, USER, hub::Role::Member));
    scene
}

fn fixing(scene: &Scene) -> Value {
    json!({"action": "onboard", "secretId": scene.arn, "fixRole": true})
}

fn is_invited_once(scene: &Scene, at: usize) {
    assert_eq!(sent(scene), 1, "request {at}");
    assert!(tag(scene).starts_with("pending") && tag(scene).ends_with(" 0"), "request {at}: {}", tag(scene));
}

fn is_resent_once_at_most(scene: &Scene, at: usize) {
    assert!(resends(scene) <= 1 && sent(scene) == 1, "request {at}: {} resends", resends(scene));
    assert!(tag(scene).ends_with(" 1"), "request {at}: {}", tag(scene));
}

fn is_connected(scene: &Scene, at: usize) {
    assert!(connected(scene), "request {at}");
    assert_eq!((tag(scene).as_str(), scene.world.with(|state| hub::pats_of(state, USER)).len()), ("member", 1), "{at}");
}

#[tokio::test(start_paused = true)]
async fn killed_while_it_invites() {
    survives(fresh, onboarding, is_invited_once).await;
}

#[tokio::test(start_paused = true)]
async fn killed_while_it_sends_again() {
    survives(waiting_three_days, reconciling, is_resent_once_at_most).await;
}

#[tokio::test(start_paused = true)]
async fn killed_while_it_goes_on_to_the_connector() {
    survives(accepted, reconciling, is_connected).await;
}

#[tokio::test(start_paused = true)]
async fn killed_while_it_sets_the_team() {
    survives(too_low, fixing, is_connected).await;
}

#[tokio::test(start_paused = true)]
async fn lost_answers_while_it_invites() {
    outlives(fresh, onboarding, is_invited_once).await;
}

#[tokio::test(start_paused = true)]
async fn lost_answers_while_it_sends_again() {
    outlives(waiting_three_days, reconciling, is_resent_once_at_most).await;
}

#[tokio::test(start_paused = true)]
async fn lost_answers_while_it_goes_on_to_the_connector() {
    outlives(accepted, reconciling, is_connected).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_awaits_is_no_failure_and_carries_fix_role() {
    let scene = scene(|_| {});
    let body = json!({"action": "onboard", "secretIds": [scene.arn], "mode": "apply", "fixRole": true}).to_string();
    let records = json!({"Records": [{"messageId": "m-1", "eventSource": "aws:sqs", "body": body}]});
    assert_eq!(scene.invoke(records.clone()).await.unwrap(), json!({"batchItemFailures": []}));
    accept(&scene, USER);
    scene.world.with(|state| hub::add_member(state, ORG, USER, hub::Role::Member));
    assert_eq!(scene.invoke(records).await.unwrap(), json!({"batchItemFailures": []}));
    assert!(connected(&scene), "the role was set");
    let metrics = scene.take_metrics();
    assert!(metrics[0]["Succeeded"].is_null() && metrics[0]["Failed"] == 0, "{}", metrics[0]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_names_no_owner_is_as_it_was() {
    let scene = Scene::new(Begin::Manager);
    set_tag(&scene, "what nobody reads");
    assert_eq!(outcome(&scene.onboard().await), "applied");
    assert!(scene.world.with(|state| arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR).is_some()));
    assert!(!scene.world.record().iter().any(|entry| entry.line().contains("/v2/orgs")));
}

fn put_login(state: &mut State, name: &str, login: &Value) {
    let arn = state.aws.secrets.values().find(|secret| secret.name == name).unwrap().arn.clone();
    aws::put_version(state, &arn, None, login, &["AWSCURRENT"]);
}

/// Creates an owner secret with an organization access token of these scopes on the organization.
fn owner_token(scene: &Scene, organization: &str, scopes: &[&str]) {
    scene.world.with(|state| {
        let resources = vec![hub::OatResource::organization(ORG, scopes)];
        let (_, token) = hub::add_oat(state, ORG, "onboarding", resources);
        let login = json!({"organization": organization, "accessToken": token, "usedBy": [SECRET]});
        aws::create_secret(state, "vault/owner-token", &login, &[]);
    });
    let mut value = scene.value(&scene.version("AWSCURRENT").unwrap());
    value["owner"] = json!("vault/owner-token");
    scene.world.with(|state| aws::put_version(state, &scene.arn, None, &value, &["AWSCURRENT"]));
}

const OWNER_SCOPES: [&str; 6] = [
    "scope-member-read",
    "scope-member-edit",
    "scope-invite-read",
    "scope-invite-edit",
    "scope-group-read",
    "scope-group-edit",
];

#[tokio::test(start_paused = true)]
async fn an_organization_access_token_invites_sends_again_and_sets_role_and_team() {
    let scene = scene(|value| value["user"]["team"] = json!("readers"));
    owner_token(&scene, ORG, &OWNER_SCOPES);
    // the password is unknown to everybody: single sign-on is enforced from the start
    scene.world.with(|state| hub::set_password(state, OWNER, "nobody-has-it-any-more-4"));
    assert_eq!(scene.onboard().await.unwrap()["outcome"], "awaiting");
    assert_eq!(sent(&scene), 1);
    tokio::time::sleep(4 * DAY).await;
    assert_eq!(scene.reconcile().await["outcome"], "awaiting");
    assert_eq!(resends(&scene), 1);
    accept(&scene, USER);
    scene.world.with(|state| {
        hub::add_member(state, ORG, USER, hub::Role::Member);
        hub::remove_from_team(state, ORG, "readers", USER);
    });
    assert_eq!(refused(&scene).await.kind().name(), "Refused");
    let report = onboard_with(&scene, json!({"fixRole": true})).await.unwrap();
    assert_eq!(report["outcome"], "applied", "{report}");
    assert!(connected(&scene));
    let record = scene.world.record();
    let paths: Vec<_> = record.iter().filter(|entry| entry.service == Service::Hub).collect();
    let of_owner = |entry: &&&Recorded| String::from_utf8_lossy(entry.request.body()).contains(OWNER);
    assert_eq!(paths.iter().filter(of_owner).count(), 0, "the owner's password is not used");
}

#[tokio::test(start_paused = true)]
async fn without_a_scope_the_refusal_names_it() {
    for missing in ["scope-member-read", "scope-invite-read", "scope-invite-edit", "scope-group-read"] {
        let scene = scene(|value| value["user"]["team"] = json!("readers"));
        let scopes: Vec<&str> = OWNER_SCOPES.into_iter().filter(|scope| *scope != missing).collect();
        owner_token(&scene, ORG, &scopes);
        let error = refused(&scene).await;
        assert!(error.to_string().contains(&format!("`{missing}`")), "{missing}: {error}");
        assert_eq!(sent(&scene), 0, "{missing}");
    }
    for (missing, team) in [("scope-member-edit", false), ("scope-group-edit", true)] {
        let scene = scene(|value| {
            value["user"]["role"] = json!(if team { "member" } else { "editor" });
            if team {
                value["user"]["team"] = json!("readers");
            }
        });
        scene.world.with(|state| hub::add_member(state, ORG, USER, hub::Role::Member));
        let scopes: Vec<&str> = OWNER_SCOPES.into_iter().filter(|scope| *scope != missing).collect();
        owner_token(&scene, ORG, &scopes);
        let error = onboard_with(&scene, json!({"fixRole": true})).await.expect_err("a refusal");
        assert!(error.to_string().contains(&format!("`{missing}`")), "{missing}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_s_token_of_another_organization_or_that_is_dead_is_refused() {
    let scene = self::scene(|_| {});
    owner_token(&scene, "umbrella", &OWNER_SCOPES);
    let error = refused(&scene).await;
    assert!(error.to_string().contains("another organization than acme"), "{error}");
    assert_eq!((error.kind().name(), scene.requests(Service::Hub)), ("Misconfigured", 0));

    let scene = self::scene(|_| {});
    owner_token(&scene, ORG, &OWNER_SCOPES);
    scene.world.with(|state| {
        let login = json!({"organization": ORG, "accessToken": "dckr_oat_expired-and-gone-0001", "usedBy": [SECRET]});
        put_login(state, "vault/owner-token", &login);
    });
    let error = refused(&scene).await;
    assert!(error.to_string().contains("organization access token of the owner secret"), "{error}");
    assert_eq!((error.kind().name(), scene.requests(Service::Hub)), ("NeedsHuman", 1));
}

#[tokio::test(start_paused = true)]
async fn a_custom_role_that_manages_members_suffices_and_changes_no_role() {
    let scene = scene(|_| {});
    scene.world.with(|state| {
        hub::add_member(state, ORG, OWNER, hub::Role::Editor);
        hub::grant_member_management(state, ORG, OWNER);
    });
    assert_eq!(scene.onboard().await.unwrap()["outcome"], "awaiting");
    assert_eq!(sent(&scene), 1);
    accept(&scene, USER);
    scene.world.with(|state| hub::add_member(state, ORG, USER, hub::Role::Member));
    let error = onboard_with(&scene, json!({"fixRole": true})).await.expect_err("a refusal");
    let message = error.to_string();
    assert!(message.contains("change a member's role") && message.contains("an organization owner"), "{message}");
    scene.world.with(|state| hub::add_member(state, ORG, USER, hub::Role::Editor));
    assert_eq!(outcome(&scene.onboard().await), "applied");
}

#[tokio::test(start_paused = true)]
async fn an_owner_secret_that_does_not_list_the_secret_invites_nobody() {
    let scene = scene(|_| {});
    scene.world.with(|state| {
        let login = json!({"username": OWNER, "password": OWNER_PASSWORD, "usedBy": ["hubkeeper/other"]});
        put_login(state, OWNER_SECRET, &login);
    });
    let error = refused(&scene).await;
    assert!(error.to_string().contains(r#""usedBy": ["hubkeeper/acme"]"#), "{error}");
    assert_eq!((error.kind().name(), scene.requests(Service::Hub)), ("Misconfigured", 0));
}
