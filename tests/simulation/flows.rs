//! The flows: the preparation of each, its events under test, and its expected end state.

use std::time::Duration;

use hubkeeper_sandbox::{State, arm, aws, hub, responses};
use serde_json::{Value, json};

use crate::oracles::Oracles;
use crate::run::{Event, Run};
use hubkeeper_scene::{self as scene, Begin, CLIENT, CONNECTOR, GROUP, SUBSCRIPTION, Scene, USER};

const QUEUE: &str = "hubkeeper";
/// Time between the days of a preparation.
const TWO_DAYS: Duration = Duration::from_hours(48);
/// Time after which an invitation is resent.
const THREE_DAYS: Duration = Duration::from_hours(72);

/// A flow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Flow {
    Mint,
    Candidate,
    OnboardMint,
    Onboard,
    TakeOver,
    Adopt,
    AdoptRefused,
    Changed,
    ChangedRefused,
    ReconcileWell,
    ReconcileDrift,
    ReconcileCandidate,
    ReconcileDeactivate,
    ReconcileDelete,
    Offboard,
    FanOut,
    Verify,
    Invite,
    Raise,
    Stack,
    StackEnds,
}

impl Flow {
    pub(crate) const ALL: [Flow; 21] = [
        Flow::Mint,
        Flow::Candidate,
        Flow::OnboardMint,
        Flow::Onboard,
        Flow::TakeOver,
        Flow::Adopt,
        Flow::AdoptRefused,
        Flow::Changed,
        Flow::ChangedRefused,
        Flow::ReconcileWell,
        Flow::ReconcileDrift,
        Flow::ReconcileCandidate,
        Flow::ReconcileDeactivate,
        Flow::ReconcileDelete,
        Flow::Offboard,
        Flow::FanOut,
        Flow::Verify,
        Flow::Invite,
        Flow::Raise,
        Flow::Stack,
        Flow::StackEnds,
    ];

    /// The name in the table, and in `docs/failure-table.md`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Flow::Mint => "rotation that mints",
            Flow::Candidate => "rotation with a candidate",
            Flow::OnboardMint => "onboarding that mints",
            Flow::Onboard => "onboarding with a token",
            Flow::TakeOver => "onboarding of a portal's connector",
            Flow::Adopt => "adoption",
            Flow::AdoptRefused => "adoption of a bad token",
            Flow::Changed => "changed secret",
            Flow::ChangedRefused => "changed secret with a bad token",
            Flow::ReconcileWell => "reconcile where all is well",
            Flow::ReconcileDrift => "reconcile that repairs",
            Flow::ReconcileCandidate => "reconcile that adopts",
            Flow::ReconcileDeactivate => "reconcile that deactivates",
            Flow::ReconcileDelete => "reconcile that deletes",
            Flow::Offboard => "offboarding",
            Flow::FanOut => "fan-out and records",
            Flow::Verify => "verify",
            Flow::Invite => "onboarding from zero",
            Flow::Raise => "onboarding that sets the role",
            Flow::Stack => "stack that onboards",
            Flow::StackEnds => "stack that is deleted",
        }
    }

    fn begin(self) -> Begin {
        match self {
            Flow::Candidate
            | Flow::Onboard
            | Flow::TakeOver
            | Flow::Adopt
            | Flow::AdoptRefused
            | Flow::Changed
            | Flow::ChangedRefused
            | Flow::Verify => Begin::ByHand,
            _ => Begin::Manager,
        }
    }

    /// Whether the secret ends without a connector.
    pub(crate) fn is_given_up(self) -> bool {
        matches!(self, Flow::Offboard | Flow::StackEnds)
    }

    /// Events that may come in its middle without changing its expected end state.
    pub(crate) fn seconds(self) -> &'static [Event] {
        match self {
            // nobody may adopt AWSCURRENT there
            Flow::AdoptRefused | Flow::ChangedRefused => &[Event::Reconcile, Event::Current, Event::Candidate],
            Flow::Offboard | Flow::StackEnds => &[Event::Reconcile, Event::Current],
            Flow::Mint | Flow::Invite | Flow::Raise => &[Event::Reconcile, Event::Onboard, Event::Current],
            Flow::Candidate => &[Event::Reconcile, Event::Onboard, Event::Current, Event::Candidate],
            Flow::Onboard | Flow::TakeOver | Flow::Adopt | Flow::Changed | Flow::Verify => {
                &[Event::Reconcile, Event::Onboard, Event::Current, Event::Candidate, Event::Again]
            }
            _ => &[Event::Reconcile, Event::Onboard, Event::Current, Event::Candidate, Event::Rotation],
        }
    }

    /// The world at the start of the flow, under the watch of the oracles.
    pub(crate) fn scene(self, oracles: &Oracles) -> Scene {
        let fill = |state: &mut State| {
            let arn = match self {
                Flow::Invite | Flow::Raise => scene::build_zero(state, |_| {}),
                _ => scene::build(state, self.begin()),
            };
            for login in ["hubkeeper/manager", scene::OWNER_SECRET] {
                may_use(state, login, &arn);
            }
            arn
        };
        let mut scene = Scene::of(fill, |world, _| oracles.watch(world));
        if self == Flow::FanOut {
            let url = scene.world.with(|state| aws::sqs::add_queue(state, QUEUE));
            scene.set("HUBKEEPER_QUEUE_URL", &url);
        }
        scene
    }

    /// The preparation.
    pub(crate) async fn prepare(self, run: &Run) {
        let scene = &run.scene;
        // tokens that do not concern hubkeeper
        scene.world.with(|state| {
            hub::add_pat(state, USER, "by hand", &["repo:read"], None);
            let other = "hubkeeper/0123456789ab/5c0f7a52-3f0e-4d0b-9a43-2f6b8a1d7e01";
            hub::add_pat(state, USER, other, &["repo:read"], None);
        });
        match self {
            Flow::OnboardMint | Flow::Onboard | Flow::Invite | Flow::Stack => return,
            Flow::Raise => {
                run.oracles.may_raise();
                scene.world.with(|state| hub::add_member(state, scene::ORG, USER, hub::Role::Member));
                return;
            }
            Flow::StackEnds => {
                run.invoke(scene.stack_event("Create", None)).await;
                return;
            }
            Flow::TakeOver => {
                let token = scene.good_token();
                let body = json!({
                    "location": "westeurope", "tags": {"costCentre": "42"},
                    "properties": {
                        "hierarchyIdentifier": scene::ORG, "environmentName": "DockerHub",
                        "environmentData": {"environmentType": "DockerHubOrganization", "scanInterval": 24,
                            "authentication": {"authenticationType": "AccessToken", "username": USER, "accessToken": token}},
                        "offerings": [{"offeringType": "CspmMonitorDockerHub"}, {"offeringType": "SomebodyElsesOffering"}],
                    },
                });
                scene.world.with(|state| {
                    arm::put_connector(state, SUBSCRIPTION, GROUP, CONNECTOR, &body, "person@example.com");
                });
                return;
            }
            _ => {}
        }
        run.invoke(json!({"action": "onboard", "secretId": scene.arn})).await;
        add_what_is_not_ours(scene);
        match self {
            Flow::Candidate | Flow::Adopt | Flow::ReconcileCandidate => {
                let token = scene.good_token();
                let managed = self.begin() == Begin::Manager;
                let manage = |value: &mut Value| {
                    if managed {
                        value["manager"] = json!("hubkeeper/manager");
                    }
                };
                scene.stage(&token, manage, &["HUBKEEPER_CANDIDATE"]);
            }
            Flow::AdoptRefused => drop(scene.stage(&public_token(scene), |_| {}, &["HUBKEEPER_CANDIDATE"])),
            Flow::Changed => drop(scene.stage(&scene.good_token(), |_| {}, &["AWSCURRENT"])),
            Flow::ChangedRefused => drop(scene.stage(&public_token(scene), |_| {}, &["AWSCURRENT"])),
            Flow::ReconcileDrift => {
                scene
                    .world
                    .with(|state| arm::edit_connector(state, SUBSCRIPTION, GROUP, CONNECTOR, "person@example.com"));
            }
            Flow::ReconcileDeactivate | Flow::ReconcileDelete => {
                run.rotate().await;
                tokio::time::sleep(TWO_DAYS).await;
                if self == Flow::ReconcileDelete {
                    run.invoke(run.reconcile_event()).await;
                }
            }
            _ => {}
        }
    }

    /// Sends the events under test, with the retries of their senders.
    pub(crate) async fn act(self, run: &Run) {
        let scene = &run.scene;
        let arn = &scene.arn;
        match self {
            Flow::Mint | Flow::Candidate => drop(run.rotate().await),
            Flow::OnboardMint | Flow::Onboard | Flow::TakeOver => {
                run.deliver_twice(json!({"action": "onboard", "secretId": arn})).await;
            }
            Flow::Adopt | Flow::AdoptRefused => {
                let version = scene.version("HUBKEEPER_CANDIDATE").unwrap_or_default();
                run.deliver_twice(scene.label_event("HUBKEEPER_CANDIDATE", &version)).await;
            }
            Flow::Changed | Flow::ChangedRefused => {
                let version = scene.version("AWSCURRENT").unwrap_or_default();
                run.deliver_twice(scene.label_event("AWSCURRENT", &version)).await;
            }
            Flow::ReconcileWell
            | Flow::ReconcileDrift
            | Flow::ReconcileCandidate
            | Flow::ReconcileDeactivate
            | Flow::ReconcileDelete => run.deliver_twice(run.reconcile_event()).await,
            Flow::Offboard => {
                run.deliver(&json!({"action": "offboard", "secretId": arn})).await;
                run.deliver(&run.reconcile_event()).await;
            }
            Flow::FanOut => {
                run.deliver(&json!({"action": "reconcile"})).await;
                work_off(run).await;
            }
            Flow::Verify => run.deliver(&json!({"action": "verify", "secretId": arn})).await,
            Flow::Invite => {
                run.deliver_twice(json!({"action": "onboard", "secretId": arn})).await;
                tokio::time::sleep(THREE_DAYS).await;
                run.deliver(&run.reconcile_event()).await;
                accept(run);
                run.deliver_twice(run.reconcile_event()).await;
            }
            Flow::Raise => run.deliver_twice(raise(run)).await,
            Flow::Stack => run.deliver(&scene.stack_event("Create", None)).await,
            Flow::StackEnds => run.deliver(&scene.stack_event("Delete", made(run).as_deref())).await,
        }
    }

    /// Sends the events that are still necessary once all faults are over: an abandoned rotation, a dead-lettered message.
    pub(crate) async fn finish(self, run: &Run) {
        let scene = &run.scene;
        // the person who learns of a failed rotation starts it again; nothing else continues before it completes
        if !self.is_given_up() && scene.version("AWSPENDING").is_some_and(|id| Some(id) != scene.version("AWSCURRENT"))
        {
            run.rotate().await;
        }
        match self {
            Flow::OnboardMint | Flow::Onboard | Flow::TakeOver => {
                run.deliver(&json!({"action": "onboard", "secretId": scene.arn})).await;
            }
            Flow::Offboard => run.deliver(&json!({"action": "offboard", "secretId": scene.arn})).await,
            Flow::Invite => {
                run.deliver(&json!({"action": "onboard", "secretId": scene.arn})).await;
                accept(run);
            }
            Flow::Raise => run.deliver(&raise(run)).await,
            // the person who sees a failed stack, or no response for an hour, tries again
            Flow::Stack => run.deliver(&scene.stack_event("Create", None)).await,
            Flow::StackEnds => run.deliver(&scene.stack_event("Delete", made(run).as_deref())).await,
            _ => {}
        }
    }

    /// Whether the flow has reached its goal.
    pub(crate) fn is_settled(self, run: &Run) -> bool {
        let scene = &run.scene;
        if self.is_given_up() {
            return scene.connector().is_none();
        }
        let current = scene.version("AWSCURRENT").unwrap_or_default();
        let carries = scene.connector().is_some_and(|(version, token)| {
            version == current && scene.value(&current)["accessToken"].as_str() == Some(token.as_str())
        });
        carries && rotating(scene).is_none() && scene.version("HUBKEEPER_CANDIDATE").is_none()
    }

    /// The expected end state.
    pub(crate) fn at_rest(self, run: &Run) {
        let (scene, oracles) = (&run.scene, &run.oracles);
        match self {
            Flow::Offboard | Flow::StackEnds => {
                if scene.connector().is_some() {
                    oracles.violated("at rest: the secret is offboarded, but the connector exists");
                }
            }
            // rejected: the connector keeps its credential
            Flow::ChangedRefused => {
                if scene.connector().map(|(version, _)| version) != scene.version("AWSPREVIOUS") {
                    oracles.violated("at rest: the connector does not have the version before the rejected one");
                }
            }
            _ => oracles.carries_current(scene),
        }
        if self == Flow::AdoptRefused && scene.version("HUBKEEPER_CANDIDATE") == scene.version("AWSCURRENT") {
            oracles.violated("at rest: a rejected candidate became AWSCURRENT");
        }
        if matches!(self, Flow::Candidate | Flow::Adopt | Flow::ReconcileCandidate)
            && scene.version("HUBKEEPER_CANDIDATE").is_some()
        {
            oracles.violated("at rest: the candidate still has its label");
        }
        if matches!(self, Flow::Invite | Flow::Raise) {
            let tag = scene.world.with(|state| aws::tags(state, &scene.arn).get("hubkeeper-invite").cloned());
            if tag.as_deref() != Some("member") {
                oracles.violated("at rest: the dedicated user is a member, but the tag does not say so");
            }
        }
        oracles.tokens_are_tidy(scene, self.is_given_up());
    }
}

/// The version of a rotation in progress: AWSPENDING beside no other label of the service.
pub(crate) fn rotating(scene: &Scene) -> Option<String> {
    let over = [scene.version("AWSCURRENT"), scene.version("AWSPREVIOUS")];
    scene.version("AWSPENDING").filter(|pending| !over.contains(&Some(pending.clone())))
}

/// Lets the secret use a login.
fn may_use(state: &mut State, login: &str, arn: &str) {
    let login = crate::acts::secret(state, login);
    let version = aws::version_with(state, &login, "AWSCURRENT").unwrap_or_default();
    if let Some(mut value) = aws::value_of(state, &login, &version).filter(|value| value["usedBy"].is_null()) {
        value["usedBy"] = json!([arn]);
        aws::put_version(state, &login, Some(&version), &value, &[]);
    }
}

/// The invited person follows the link of the invitation, if there is one.
fn accept(run: &Run) {
    run.scene.world.with(|state| {
        hub::accept_invitation(state, scene::ORG, scene::EMAIL, USER);
        run.oracles.note(state);
    });
}

fn raise(run: &Run) -> Value {
    json!({"action": "onboard", "secretId": run.scene.arn, "fixRole": true})
}

/// The physical id of a stack's resource.
fn made(run: &Run) -> Option<String> {
    let answers = run.scene.world.with(|state| responses::answers(state));
    answers.first()?.body["PhysicalResourceId"].as_str().map(str::to_owned)
}

/// Delivers the queue's messages as an event source mapping does. Failed messages come again.
async fn work_off(run: &Run) {
    for _ in 0..4 {
        let event = run.scene.world.with(|state| {
            let url = state.aws.sqs.queues.keys().next().cloned().unwrap_or_default();
            aws::sqs::lambda_event(state, &url, 10)
        });
        if event["Records"].as_array().is_none_or(Vec::is_empty) {
            return;
        }
        let answer = run.invoke(event).await;
        let failures = match answer {
            Some(Ok(answer)) => answer["batchItemFailures"].as_array().map_or(0, Vec::len),
            _ => 1,
        };
        if failures == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_mins(5)).await;
    }
}

/// A tag and an offering of other tools, which hubkeeper has to keep, as if they had existed at its last write.
fn add_what_is_not_ours(scene: &Scene) {
    scene.world.with(|state| {
        let Some(connector) = arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR) else { return };
        let Some((_, token)) = connector.credential() else { return };
        let mut body =
            json!({"location": connector.location, "tags": connector.tags, "properties": connector.properties});
        body["properties"]["environmentData"]["authentication"]["accessToken"] = json!(token);
        body["tags"]["costCentre"] = json!("42");
        let offerings = body["properties"]["offerings"].as_array_mut();
        offerings.unwrap().push(json!({"offeringType": "SomebodyElsesOffering"}));
        arm::put_connector(state, SUBSCRIPTION, GROUP, CONNECTOR, &body, CLIENT);
    });
}

/// A token that reads only public repositories.
fn public_token(scene: &Scene) -> String {
    scene.world.with(|state| hub::add_pat(state, USER, "public only", &["repo:public_read"], None)).1
}
