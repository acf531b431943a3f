//! Acts of people between two requests of the function, their consequences, and their repair.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hubkeeper_sandbox::rotation::STEPS;
use hubkeeper_sandbox::{State, arm, aws, hub};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::flows::Flow;
use crate::run::Run;
use hubkeeper_scene::{CLIENT, CONNECTOR, GROUP, ORG, SUBSCRIPTION, USER};

/// A resource group other than the secret's own.
pub(crate) const ELSEWHERE: &str = "rg-elsewhere";
const MANAGER: &str = "hubkeeper/manager";
/// The secret from which, or to which, a person copies a document.
const OTHER_SECRET: &str = "hubkeeper/other";
const OTHER_CONNECTOR: &str = "dockerhub-other";
const RENAMED: &str = "dockerhub-renamed";
const PERSON: &str = "person@example.com";
const CURRENT: &str = "AWSCURRENT";
const PENDING: &str = "AWSPENDING";
const PREVIOUS: &str = "AWSPREVIOUS";
const CANDIDATE: &str = "HUBKEEPER_CANDIDATE";

/// One act of a person.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Act {
    RollBack,
    RollBackNewId,
    RollBackNoId,
    PutToken,
    PutTokenOldId,
    StageOldId,
    CopyHere,
    CopyAway,
    Rename,
    RenameTwice,
    Move,
    MoveTwice,
    TagOffboarded,
    Untag,
    TakeTags,
    WrongTag,
    PendingPrevious,
    PendingCurrent,
    DeleteManager,
    NotUsedBy,
    EditConnector,
    ReplaceToken,
    DeleteConnector,
    MoveConnector,
    DeleteGroup,
}

impl Act {
    /// Every act, in the order of the table.
    pub(crate) const ALL: [Act; 25] = [
        Act::RollBack,
        Act::RollBackNewId,
        Act::RollBackNoId,
        Act::PutToken,
        Act::PutTokenOldId,
        Act::StageOldId,
        Act::CopyHere,
        Act::CopyAway,
        Act::Rename,
        Act::RenameTwice,
        Act::Move,
        Act::MoveTwice,
        Act::TagOffboarded,
        Act::Untag,
        Act::TakeTags,
        Act::WrongTag,
        Act::PendingPrevious,
        Act::PendingCurrent,
        Act::DeleteManager,
        Act::NotUsedBy,
        Act::EditConnector,
        Act::ReplaceToken,
        Act::DeleteConnector,
        Act::MoveConnector,
        Act::DeleteGroup,
    ];

    /// The name in the table, and in `docs/failure-table.md`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Act::RollBack => "rolls back token and tokenId",
            Act::RollBackNewId => "rolls back the token alone",
            Act::RollBackNoId => "rolls back without tokenId",
            Act::PutToken => "puts a new token",
            Act::PutTokenOldId => "puts a new token under the old tokenId",
            Act::StageOldId => "stages a new token under the old tokenId",
            Act::CopyHere => "copies another secret's token here",
            Act::CopyAway => "copies the secret to another",
            Act::Rename => "renames the connector in the secret",
            Act::RenameTwice => "renames it, in two puts",
            Act::Move => "names another resource group",
            Act::MoveTwice => "names another resource group, in two puts",
            Act::TagOffboarded => "tags the secret offboarded",
            Act::Untag => "takes the tag hubkeeper away",
            Act::TakeTags => "takes every hubkeeper tag away",
            Act::WrongTag => "tags another connector",
            Act::PendingPrevious => "leaves AWSPENDING on the replaced version",
            Act::PendingCurrent => "leaves AWSPENDING on the current version",
            Act::DeleteManager => "schedules the manager secret for deletion",
            Act::NotUsedBy => "removes the secret from usedBy",
            Act::EditConnector => "edits the connector in the portal",
            Act::ReplaceToken => "replaces the token in the portal",
            Act::DeleteConnector => "deletes the connector in the portal",
            Act::MoveConnector => "moves the connector to another group",
            Act::DeleteGroup => "deletes the resource group",
        }
    }

    /// The flows in which it happens.
    pub(crate) fn flows(self) -> &'static [Flow] {
        match self {
            Act::RollBack | Act::RollBackNewId | Act::RollBackNoId => {
                &[Flow::ReconcileDeactivate, Flow::ReconcileDelete, Flow::Mint, Flow::Changed]
            }
            Act::PutToken | Act::PutTokenOldId => &[Flow::Mint, Flow::ReconcileDeactivate, Flow::ReconcileWell],
            Act::StageOldId => &[Flow::ReconcileWell, Flow::ReconcileDeactivate],
            Act::CopyHere => &[Flow::ReconcileWell, Flow::Mint],
            Act::CopyAway => &[Flow::Offboard, Flow::Mint, Flow::ReconcileDeactivate],
            Act::Rename | Act::RenameTwice | Act::Move | Act::MoveTwice => {
                &[Flow::Mint, Flow::Changed, Flow::ReconcileDeactivate, Flow::Offboard]
            }
            Act::TagOffboarded => {
                &[Flow::Mint, Flow::OnboardMint, Flow::Adopt, Flow::ReconcileDrift, Flow::ReconcileDeactivate]
            }
            Act::Untag | Act::TakeTags => {
                &[Flow::Mint, Flow::OnboardMint, Flow::ReconcileDrift, Flow::ReconcileDeactivate]
            }
            Act::WrongTag => &[Flow::ReconcileDrift, Flow::Mint, Flow::Adopt],
            Act::PendingPrevious => &[Flow::ReconcileDeactivate, Flow::ReconcileDelete, Flow::Changed],
            Act::PendingCurrent => &[Flow::ReconcileDeactivate, Flow::ReconcileDrift, Flow::Adopt],
            Act::DeleteManager | Act::NotUsedBy => {
                &[Flow::Mint, Flow::OnboardMint, Flow::ReconcileDeactivate, Flow::ReconcileDelete]
            }
            Act::EditConnector | Act::ReplaceToken | Act::DeleteConnector => {
                &[Flow::Mint, Flow::Changed, Flow::ReconcileDrift, Flow::ReconcileDeactivate]
            }
            Act::MoveConnector | Act::DeleteGroup => &[Flow::Mint, Flow::ReconcileDrift, Flow::ReconcileDeactivate],
        }
    }

    /// Whether the act puts AWSCURRENT, which causes an event.
    fn puts(self) -> bool {
        matches!(
            self,
            Act::RollBack
                | Act::RollBackNewId
                | Act::RollBackNoId
                | Act::PutToken
                | Act::PutTokenOldId
                | Act::CopyHere
                | Act::Rename
                | Act::RenameTwice
                | Act::Move
                | Act::MoveTwice
        )
    }

    fn redirects(self) -> bool {
        matches!(self, Act::Rename | Act::RenameTwice | Act::Move | Act::MoveTwice)
    }
}

/// What the person remembers for the repair.
#[derive(Default)]
struct Memory {
    tags: BTreeMap<String, String>,
    manager: Value,
}

#[derive(Default)]
struct Plan {
    /// The request of the flow before which the act happens.
    act: Option<(usize, Act)>,
    done: Option<Memory>,
}

/// The person of one run.
#[derive(Clone, Default)]
pub(crate) struct Person(Arc<Mutex<Plan>>);

impl Person {
    /// Plans the act before that request.
    pub(crate) fn will(&self, act: Option<(usize, Act)>) {
        self.0.lock().unwrap().act = act;
    }

    /// The planned act, if there is one.
    pub(crate) fn act(&self) -> Option<Act> {
        self.0.lock().unwrap().act.map(|(_, act)| act)
    }

    /// Whether the act has happened.
    pub(crate) fn has_acted(&self) -> bool {
        self.0.lock().unwrap().done.is_some()
    }

    /// Acts if it is time: before this request, or at the end (`None`). Returns the act if it happened now.
    pub(crate) fn may_act(&self, request: Option<usize>, state: &mut State, arn: &str) -> Option<Act> {
        let mut plan = self.0.lock().unwrap();
        let (at, act) = plan.act?;
        if plan.done.is_some() || request.is_some_and(|request| request < at) {
            return None;
        }
        plan.done =
            Some(Memory { tags: aws::tags(state, arn), manager: value_of(state, &secret(state, MANAGER), CURRENT) });
        perform(act, state, arn);
        Some(act)
    }

    /// The consequences: the events that AWS sends, the schedule, and the person's next attempt.
    pub(crate) async fn aftermath(&self, run: &Run) {
        let Some(act) = self.act() else { return };
        let scene = &run.scene;
        tokio::time::sleep(Duration::from_mins(1)).await;
        if act.puts() {
            run.deliver(&scene.label_event(CURRENT, &scene.version(CURRENT).unwrap_or_default())).await;
        }
        match act {
            Act::StageOldId => {
                if let Some(candidate) = scene.version(CANDIDATE) {
                    run.deliver(&scene.label_event(CANDIDATE, &candidate)).await;
                }
            }
            Act::PendingPrevious | Act::PendingCurrent => {
                if let Some(version) = scene.version(PENDING) {
                    for step in STEPS {
                        run.invoke(scene.step(step, &version, None)).await;
                    }
                }
            }
            Act::CopyAway => {
                let other = scene.world.with(|state| secret(state, OTHER_SECRET));
                run.deliver(&json!({"action": "onboard", "secretId": other})).await;
            }
            _ if act.redirects() && !run.flow.is_given_up() => drop(run.rotate_once().await),
            _ => {}
        }
        run.deliver(&run.reconcile_event()).await;
    }

    /// Repairs what only a person can repair.
    pub(crate) fn undo(&self, state: &mut State, arn: &str) {
        let plan = self.0.lock().unwrap();
        let (Some((_, act)), Some(memory)) = (plan.act, &plan.done) else { return };
        match act {
            Act::Rename | Act::RenameTwice | Act::Move | Act::MoveTwice => {
                let mut value = value_of(state, arn, CURRENT);
                value["connector"]["name"] = json!(CONNECTOR);
                value["connector"]["resourceGroup"] = json!(GROUP);
                aws::put_version(state, arn, None, &value, &[CURRENT]);
            }
            Act::TagOffboarded => retag(state, arn, "hubkeeper", memory),
            Act::WrongTag => retag(state, arn, "hubkeeper-connector", memory),
            Act::PendingPrevious | Act::PendingCurrent => {
                if let Some(secret) = state.aws.secrets.get_mut(arn)
                    && let Some(version) = secret.version_with(PENDING).map(str::to_owned)
                {
                    secret.take_label(PENDING, &version);
                }
            }
            Act::DeleteManager => {
                let manager = secret(state, MANAGER);
                if let Some(secret) = state.aws.secrets.get_mut(&manager) {
                    secret.deleted = None;
                }
            }
            Act::NotUsedBy => {
                let manager = secret(state, MANAGER);
                aws::put_version(state, &manager, None, &memory.manager, &[CURRENT]);
            }
            Act::MoveConnector => {
                move_connector(state, ELSEWHERE, GROUP);
                arm::delete_connector(state, SUBSCRIPTION, ELSEWHERE, CONNECTOR);
            }
            Act::DeleteGroup => arm::add_resource_group(state, SUBSCRIPTION, GROUP),
            _ => {}
        }
    }
}

fn perform(act: Act, state: &mut State, arn: &str) {
    let mut value = value_of(state, arn, CURRENT);
    let id = value["tokenId"].clone();
    let put = |state: &mut State, value: &Value| {
        aws::put_version(state, arn, None, value, &[CURRENT]);
    };
    match act {
        Act::RollBack | Act::RollBackNewId | Act::RollBackNoId => {
            let (old_token, old_id) = older(state, arn);
            value["accessToken"] = old_token;
            match act {
                Act::RollBack => set(&mut value, "tokenId", old_id),
                Act::RollBackNewId => set(&mut value, "tokenId", id),
                _ => set(&mut value, "tokenId", Value::Null),
            }
            put(state, &value);
        }
        Act::PutToken | Act::PutTokenOldId | Act::StageOldId => {
            value["accessToken"] = json!(hub::add_pat(state, USER, "by hand, later", &["repo:read"], None).1);
            set(&mut value, "tokenId", if act == Act::PutToken { Value::Null } else { id });
            set(&mut value, "expiresAt", Value::Null);
            let label = if act == Act::StageOldId { CANDIDATE } else { CURRENT };
            aws::put_version(state, arn, None, &value, &[label]);
        }
        Act::CopyHere => {
            let (other_token, other_id) = other_organization(state, &value);
            value["accessToken"] = other_token;
            set(&mut value, "tokenId", other_id);
            put(state, &value);
        }
        Act::CopyAway => {
            value["connector"]["name"] = json!(OTHER_CONNECTOR);
            let other = aws::create_secret(state, OTHER_SECRET, &value, &[]);
            let manager = secret(state, MANAGER);
            let mut login = value_of(state, &manager, CURRENT);
            if let Some(users) = login["usedBy"].as_array_mut() {
                users.push(json!(other));
                aws::put_version(state, &manager, None, &login, &[CURRENT]);
            }
        }
        Act::Rename | Act::RenameTwice | Act::Move | Act::MoveTwice => {
            if matches!(act, Act::Rename | Act::RenameTwice) {
                value["connector"]["name"] = json!(RENAMED);
            } else {
                elsewhere(state);
                value["connector"]["resourceGroup"] = json!(ELSEWHERE);
            }
            put(state, &value);
            if matches!(act, Act::RenameTwice | Act::MoveTwice) {
                value["contact"] = json!("somebody.else@example.com");
                put(state, &value);
            }
        }
        Act::TagOffboarded => aws::set_tag(state, arn, "hubkeeper", "offboarded"),
        Act::Untag => untag(state, arn, |name| name == "hubkeeper"),
        Act::TakeTags => untag(state, arn, |name| name.starts_with("hubkeeper")),
        Act::WrongTag => {
            let wrong = format!("{ORG}/{SUBSCRIPTION}/{GROUP}/{RENAMED}");
            aws::set_tag(state, arn, "hubkeeper-connector", &wrong);
        }
        Act::PendingPrevious => leave_pending(state, arn, PREVIOUS),
        Act::PendingCurrent => leave_pending(state, arn, CURRENT),
        Act::DeleteManager => {
            let (manager, now) = (secret(state, MANAGER), state.now());
            if let Some(secret) = state.aws.secrets.get_mut(&manager) {
                secret.deleted = Some(now + time::Duration::days(30));
            }
        }
        Act::NotUsedBy => {
            let manager = secret(state, MANAGER);
            let mut login = value_of(state, &manager, CURRENT);
            login["usedBy"] = json!(["hubkeeper/somebody-else"]);
            aws::put_version(state, &manager, None, &login, &[CURRENT]);
        }
        Act::EditConnector => drop(arm::edit_connector(state, SUBSCRIPTION, GROUP, CONNECTOR, PERSON)),
        Act::ReplaceToken => {
            let Some(mut body) = body_of(state, GROUP) else { return };
            let by_hand = hub::add_pat(state, USER, "by hand, in the portal", &["repo:read"], None).1;
            body["properties"]["environmentData"]["authentication"]["accessToken"] = json!(by_hand);
            arm::put_connector(state, SUBSCRIPTION, GROUP, CONNECTOR, &body, PERSON);
        }
        Act::DeleteConnector => drop(arm::delete_connector(state, SUBSCRIPTION, GROUP, CONNECTOR)),
        Act::MoveConnector => {
            elsewhere(state);
            move_connector(state, GROUP, ELSEWHERE);
        }
        Act::DeleteGroup => arm::delete_resource_group(state, SUBSCRIPTION, GROUP),
    }
}

/// The previous token of AWSCURRENT and its id, or an older token made by hand if there was none.
fn older(state: &mut State, arn: &str) -> (Value, Value) {
    let previous = value_of(state, arn, PREVIOUS);
    if previous["accessToken"].is_string() {
        return (previous["accessToken"].clone(), previous["tokenId"].clone());
    }
    let (id, token) = hub::add_pat(state, USER, "by hand, earlier", &["repo:read"], None);
    (json!(token), json!(id))
}

/// Another secret with a connector and a minted token. Returns the token and its id.
fn other_organization(state: &mut State, value: &Value) -> (Value, Value) {
    let mut value = value.clone();
    value["connector"]["name"] = json!(OTHER_CONNECTOR);
    let other = aws::create_empty_secret(state, OTHER_SECRET, &[("hubkeeper", "managed")]);
    let version = state.uuid();
    let digest = Sha256::digest(other.as_bytes());
    let fingerprint = digest.iter().take(6).fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let (id, token) = hub::add_pat(state, USER, &format!("hubkeeper/{fingerprint}/{version}"), &["repo:read"], None);
    value["accessToken"] = json!(token);
    value["tokenId"] = json!(id);
    aws::put_version(state, &other, Some(&version), &value, &[CURRENT]);
    (json!(token), json!(id))
}

/// A second resource group, in which the function has the same permissions.
fn elsewhere(state: &mut State) {
    arm::add_resource_group(state, SUBSCRIPTION, ELSEWHERE);
    arm::grant(state, CLIENT, SUBSCRIPTION, ELSEWHERE, &["read", "write", "delete"]);
    arm::grant(state, CLIENT, SUBSCRIPTION, "*", &["read"]);
}

/// The body of a PUT that stores the same connector again, token included.
fn body_of(state: &State, group: &str) -> Option<Value> {
    let connector = arm::connector(state, SUBSCRIPTION, group, CONNECTOR)?;
    let (_, token) = connector.credential()?;
    let mut body = json!({"location": connector.location, "tags": connector.tags, "properties": connector.properties});
    body["properties"]["environmentData"]["authentication"]["accessToken"] = json!(token);
    Some(body)
}

/// Moves the connector, unless the target has one already.
fn move_connector(state: &mut State, from: &str, to: &str) {
    let Some(body) = body_of(state, from) else { return };
    if arm::connector(state, SUBSCRIPTION, to, CONNECTOR).is_none() {
        arm::delete_connector(state, SUBSCRIPTION, from, CONNECTOR);
        arm::put_connector(state, SUBSCRIPTION, to, CONNECTOR, &body, PERSON);
    }
}

/// Puts AWSPENDING beside another label, as a completed rotation can leave it. Does nothing during a rotation.
fn leave_pending(state: &mut State, arn: &str, beside: &str) {
    let Some(secret) = state.aws.secrets.get_mut(arn) else { return };
    if secret.rotating.is_some() && secret.pending().is_some() {
        return;
    }
    if let Some(version) = secret.version_with(beside).map(str::to_owned) {
        secret.rotating = None;
        secret.move_label(PENDING, &version);
    }
}

fn retag(state: &mut State, arn: &str, name: &str, memory: &Memory) {
    match memory.tags.get(name) {
        Some(value) => aws::set_tag(state, arn, name, value),
        None => untag(state, arn, |tag| tag == name),
    }
}

fn untag(state: &mut State, arn: &str, goes: impl Fn(&str) -> bool) {
    if let Some(secret) = state.aws.secrets.get_mut(arn) {
        secret.tags.retain(|name, _| !goes(name));
    }
}

fn set(value: &mut Value, name: &str, to: Value) {
    if let Some(fields) = value.as_object_mut() {
        if to.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.to_owned(), to);
        }
    }
}

fn value_of(state: &State, arn: &str, label: &str) -> Value {
    let version = aws::version_with(state, arn, label);
    version.and_then(|version| aws::value_of(state, arn, &version)).unwrap_or_default()
}

/// The ARN of a secret by its name. Empty if it does not exist.
pub(crate) fn secret(state: &State, name: &str) -> String {
    let found = state.aws.secrets.values().find(|secret| secret.name == name);
    found.map(|secret| secret.arn.clone()).unwrap_or_default()
}
