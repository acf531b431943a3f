//! `plan(apply(x))` is `unchanged`: whatever an event leads to, the same event again leads to nothing. The steps act on a model of
//! the world that does what the services would do, and refuses what promises forbid: a write without a complete verdict on that
//! very version, a move of AWSCURRENT to a version that the connector does not carry.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use hubkeeper_core::connector::merge::{Desired, merge};
use hubkeeper_core::connector::{Coverage, Found, Observed};
use hubkeeper_core::error::Error;
use hubkeeper_core::ids::{TokenId, VersionId};
use hubkeeper_core::plan::admission::admit;
use hubkeeper_core::plan::planner::plan;
use hubkeeper_core::plan::rules::Next;
use hubkeeper_core::plan::state::{Keeping, Proven, Slot, Version};
use hubkeeper_core::plan::{Admission, Progress, State, Step};
use hubkeeper_core::proof::{Finding, NotScanned, Verdict};
use hubkeeper_core::request::Trigger;
use hubkeeper_core::secret::{Document, KeptConnector, Label, Secret};
use hubkeeper_core::time::Timestamp;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use secrecy::SecretString;
use serde_json::{Value, json};
use time::macros::datetime;

use hubkeeper_test_support::property::{ensure, holds, refuted};

const NOW: Timestamp = datetime!(2026-11-24 10:00 UTC);
const CLIENT: &str = "c11e0000-0000-4000-a000-000000000001";
const OLD: &str = "00000000-0000-4000-a000-000000000000";
const CURRENT: &str = "11111111-1111-4111-a111-111111111111";
const NEXT: &str = "22222222-2222-4222-a222-222222222222";
const CANDIDATE: &str = "33333333-3333-4333-a333-333333333333";
/// More turns than any event takes.
const TURNS: usize = 12;

/// The world as the planner's model has it.
#[derive(Clone)]
struct World {
    secret: Secret,
    documents: BTreeMap<VersionId, Document>,
    connector: Option<Value>,
    /// Versions whose token Docker Hub does not accept.
    rejected: BTreeSet<VersionId>,
    /// Versions whose token does not read everything.
    partial: BTreeSet<VersionId>,
    minted: usize,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let documents: Vec<_> = self
            .documents
            .iter()
            .map(|(id, document)| (id, document.access_token.is_some(), &document.manager))
            .collect();
        let (secret, connector) = (&self.secret, &self.connector);
        f.debug_struct("World")
            .field("versions", &secret.versions)
            .field("tags", &secret.tags)
            .field("documents", &documents)
            .field("connector", connector)
            .field("rejected", &self.rejected)
            .field("partial", &self.partial)
            .finish_non_exhaustive()
    }
}

fn document(token: Option<&str>, manager: bool, change: u8) -> Document {
    let mut value = json!({"organization": "acme", "username": "acme-scanner",
        "connector": {"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg", "name": "hub",
            "location": "westeurope", "scanIntervalHours": 12, "plans": ["containers"]}});
    if let Some(token) = token {
        value["accessToken"] = json!(token);
    }
    if manager {
        value["manager"] = json!("m");
    }
    // now and then about something else
    match change {
        0 => value["organization"] = json!("other"),
        1 => value["connector"]["scanIntervalHours"] = json!(6),
        2 => value["connector"]["name"] = json!("hub2"),
        _ => {}
    }
    Document::parse(&SecretString::from(value.to_string())).unwrap()
}

fn triggers() -> impl Strategy<Value = Trigger> {
    select(vec![
        Trigger::CreateSecret,
        Trigger::SetSecret,
        Trigger::FinishSecret,
        Trigger::Onboard { force: false, fix_role: false, version: None },
        Trigger::Onboard { force: false, fix_role: false, version: Some(VersionId::of_service(CANDIDATE)) },
        Trigger::CandidateStaged { version: Some(VersionId::of_service(CANDIDATE)) },
        Trigger::SecretChanged { version: None },
        Trigger::Reconcile { revoke_replaced: false },
        Trigger::Offboard,
    ])
}

#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts about a version")]
struct Stored {
    token: bool,
    manager: bool,
    change: u8,
    rejected: bool,
    partial: bool,
}

fn stored() -> impl Strategy<Value = Stored> {
    let rare = || prop::bool::weighted(0.15);
    (prop::bool::weighted(0.8), any::<bool>(), 0..40_u8, rare(), rare())
        .prop_map(|(token, manager, change, rejected, partial)| Stored { token, manager, change, rejected, partial })
}

fn connectors() -> impl Strategy<Value = Option<(&'static str, u8)>> {
    option::weighted(0.8, (select(vec![OLD, CURRENT, CURRENT, CURRENT, NEXT, NEXT, CANDIDATE]), any::<u8>()))
}

fn worlds() -> impl Strategy<Value = World> {
    let versions = (stored(), option::of(stored()), option::of(stored()), option::of(stored()));
    let tag = select(vec![Some("managed"), Some("managed"), Some("managed"), Some("offboarded"), None]);
    (versions, connectors(), tag, any::<bool>()).prop_map(|((current, next, candidate, old), connector, tag, empty)| {
        let mut world = World {
            secret: Secret {
                arn: "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf".into(),
                name: "hub".into(),
                rotation_enabled: true,
                deleted: false,
                versions: BTreeMap::new(),
                tags: tag.map(|tag| ("hubkeeper".to_owned(), tag.to_owned())).into_iter().collect(),
                last_changed: Some(NOW),
                schedule: None,
                pending_since: None,
            },
            documents: BTreeMap::new(),
            connector: None,
            rejected: BTreeSet::new(),
            partial: BTreeSet::new(),
            minted: 0,
        };
        let all = [
            (CURRENT, "AWSCURRENT", Some(current)),
            (NEXT, "AWSPENDING", next),
            (CANDIDATE, "HUBKEEPER_CANDIDATE", candidate),
            (OLD, "AWSPREVIOUS", old),
        ];
        for (version, label, stored) in all {
            let Some(stored) = stored else { continue };
            world.secret.versions.insert(VersionId::of_service(version), vec![label.into()]);
            // a pending version may be without a value
            if version == NEXT && empty {
                continue;
            }
            let token = format!("dckr_pat_{version}");
            let document = document(Some(token.as_str()).filter(|_| stored.token), stored.manager, stored.change);
            world.documents.insert(VersionId::of_service(version), document);
            if stored.rejected {
                world.rejected.insert(VersionId::of_service(version));
            }
            if stored.partial {
                world.partial.insert(VersionId::of_service(version));
            }
        }
        if let Some((version, kind)) = connector {
            let carried = world.documents.get(version).cloned().unwrap_or_else(|| document(Some("x"), false, 9));
            world.write(&VersionId::of_service(version), &carried);
            let body = world.connector.as_mut().unwrap();
            match kind {
                0..20 => body["tags"] = json!({"team": "portal"}),
                20..30 => body["tags"]["hubkeeper-secret"] = json!("ba9876543210"),
                30..50 => body["systemData"] = json!({"lastModifiedBy": "person@example.com"}),
                50..70 => {
                    body["properties"]["offerings"] =
                        json!([{"offeringType": "CspmMonitorDockerHub"}, {"offeringType": "Future"}]);
                }
                _ => {}
            }
        }
        world
    })
}

/// What an event came to.
#[derive(PartialEq, Debug)]
enum Came {
    /// To these steps.
    Steps(Vec<Step>),
    /// To nothing, or to a proof without a write.
    Nothing,
    /// To an error.
    Failed(Error),
}

type Planner = fn(&Trigger, &State) -> Result<Next, Error>;

fn real(trigger: &Trigger, state: &State) -> Result<Next, Error> {
    plan(trigger, state, CLIENT).map(|plan| plan.next)
}

impl World {
    fn observed(&self) -> Option<Observed> {
        self.connector.clone().and_then(Observed::parse)
    }

    /// Writes the connector, as ARM would: the body is stored, and who wrote it.
    fn write(&mut self, version: &VersionId, document: &Document) {
        let token = document.access_token.clone().unwrap_or_else(|| SecretString::from("none"));
        let fingerprint = self.secret.fingerprint();
        let desired = Desired {
            document,
            token: &token,
            fingerprint: &fingerprint,
            version,
            proved_at: NOW,
            proved: Coverage { repositories: 7, private: 3 },
        };
        let mut body = merge(&desired, self.observed().as_ref());
        body["systemData"] = json!({"lastModifiedBy": CLIENT});
        self.connector = Some(body);
    }

    fn verdict(&self, version: &VersionId) -> Verdict {
        let result = match () {
            () if self.rejected.contains(version) => Finding::Rejected,
            () if self.partial.contains(version) => Finding::Partial,
            () => Finding::Complete,
        };
        Verdict {
            result,
            repositories: 7,
            private: 3,
            not_scanned: NotScanned::default(),
            missing: Vec::new(),
            missing_count: 0,
            reasons: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn version_of(&self, label: Label) -> Option<Version> {
        let id = self.secret.version(label)?.to_owned();
        self.documents.get(&id).cloned().map(|document| Version { id, document })
    }

    fn slot(&self, dead: &BTreeSet<VersionId>) -> Option<Slot> {
        let mut id = self.secret.derived_version(self.secret.version(Label::Current)?);
        while dead.contains(&id) {
            id = self.secret.derived_version(&id);
        }
        let document = self.documents.get(&id).cloned();
        Some(Slot { id, document })
    }

    fn state(&self, version: VersionId, label: Label) -> State {
        let mut state = State {
            world: hubkeeper_core::plan::World {
                secret: self.secret.clone(),
                label,
                document: self.documents.get(&version).cloned(),
                current: self.version_of(Label::Current),
                candidate: self.version_of(Label::Candidate).filter(|candidate| candidate.id != version),
                pending: None,
                previous: self.version_of(Label::Previous),
                pats: Ok(Vec::new()),
                read: Vec::new(),
                slot: None,
                connector: Some(self.observed().map_or(Found::Absent, |observed| Found::Present(Box::new(observed)))),
                roster: None,
                keeping: Keeping::default(),
                now: NOW,
                version,
            },
            progress: Progress::default(),
        };
        if state.world.document.as_ref().is_some_and(|document| document.access_token.is_none()) {
            state.world.slot = self.slot(&state.progress.skipped);
        }
        state
    }

    /// An event up to its steps, as the flow asks for them; and the state that they were planned from.
    fn ask(&self, planner: Planner, trigger: &Trigger) -> Result<(Came, Option<State>), String> {
        let (version, label) = match admit(trigger, Some(&VersionId::of_service(NEXT)), &self.secret, NOW) {
            Ok(Admission::Version { version, label }) => (version, label),
            Ok(Admission::Nothing { .. }) => return Ok((Came::Nothing, None)),
            Err(error) => return Ok((Came::Failed(error), None)),
        };
        let mut state = self.state(version, label);
        for _ in 0..TURNS {
            match planner(trigger, &state) {
                Err(error) => return Ok((Came::Failed(error), Some(state))),
                Ok(Next::Do(steps)) => return Ok((Came::Steps(steps), Some(state))),
                Ok(Next::Nothing(..) | Next::Test(_)) => return Ok((Came::Nothing, None)),
                Ok(Next::Prove(version)) => {
                    state.progress.proven = Some(Proven { verdict: self.verdict(&version), version });
                }
                Ok(Next::Reactivate) => state.progress.reactivated = true,
                Ok(Next::LookUpToken) => state.progress.looked_up = true,
                Ok(Next::ReadVersions) => {
                    let wanted = state.world.document.as_ref().map(KeptConnector::of);
                    let named = |id: &&VersionId| {
                        let document = self.documents.get(*id).map(KeptConnector::of);
                        document.is_some() && document != wanted
                    };
                    state.world.keeping.named = Some(self.secret.versions.keys().filter(named).cloned().collect());
                }
                Ok(Next::ReadFormer) => state.world.keeping.former = Some(Found::Absent),
                Ok(Next::LookElsewhere) => state.world.keeping.elsewhere = Some(Vec::new()),
                // no document here asks for the way from zero
                Ok(Next::Roster | Next::First(_)) => return Err("no login as the owner".into()),
                Ok(Next::SkipVersion(version)) => {
                    state.progress.skipped.insert(version);
                    state.progress.proven = None;
                    state.world.slot = self.slot(&state.progress.skipped);
                }
                Ok(Next::IgnoreCandidate(error)) => {
                    state.progress.ignored_candidate = Some(error);
                    state.progress.proven = None;
                }
            }
        }
        Err("the planner does not come to an end".into())
    }

    fn label(&mut self, version: &VersionId, label: Label) {
        for labels in self.secret.versions.values_mut() {
            labels.retain(|known| known != label.name());
        }
        self.secret.versions.entry(version.clone()).or_default().push(label.name().to_owned());
        self.secret.versions.retain(|_, labels| !labels.is_empty());
    }

    fn apply(&mut self, step: &Step, state: &mut State) -> Result<(), String> {
        match step {
            Step::TagManaged { connector, stack } => {
                state.world.note_tags(connector.as_deref(), stack.as_deref());
                self.secret.tags = state.world.secret.tags.clone();
            }
            Step::TagOffboarded => drop(self.secret.tags.insert("hubkeeper".into(), "offboarded".into())),
            Step::DeleteConnector => {
                ensure(self.secret.tags.get("hubkeeper").is_some_and(|tag| tag == "offboarded"), || {
                    "a connector in use is deleted".into()
                })?;
                self.connector = None;
            }
            Step::MintToken { version, label } => {
                let current = &self.documents[self.secret.version(Label::Current).unwrap()];
                ensure(current.manager.is_some(), || "nobody can mint".into())?;
                ensure(!self.documents.contains_key(version), || "a value is put over another".into())?;
                self.minted += 1;
                let token = SecretString::from(format!("dckr_pat_minted-{}", self.minted));
                let document = current.with_minted(
                    token,
                    &TokenId::of_service("b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001"),
                    NOW + time::Duration::days(90),
                );
                self.documents.insert(version.clone(), document);
                self.label(version, *label);
            }
            Step::CopyCandidate { from, to } => {
                let current = self.secret.version(Label::Current).and_then(|id| self.documents.get(id));
                let document = self.documents[from].taken_from(from, current);
                ensure(self.documents.insert(to.clone(), document).is_none(), || "a value is put over another".into())?;
                if self.partial.contains(from) {
                    self.partial.insert(to.clone());
                }
            }
            Step::Prove { version } => {
                state.progress.proven = Some(Proven { version: version.clone(), verdict: self.verdict(version) });
            }
            Step::WriteConnector { version, create } => {
                let complete = state.progress.verdict_on(version).is_some_and(Verdict::is_complete);
                ensure(complete, || format!("version {version} is written without a complete verdict"))?;
                ensure(*create == self.connector.is_none(), || "create".into())?;
                let document = self.documents[version].clone();
                self.write(version, &document);
            }
            Step::MoveCurrent { from, to } => {
                ensure(self.secret.version(Label::Current) == Some(from), || "AWSCURRENT moves from another".into())?;
                let carried = self.observed().is_some_and(|observed| {
                    observed.carries(&self.documents[to], &self.secret.fingerprint(), to).is_ok()
                });
                ensure(carried, || "AWSCURRENT moves to a version that the connector does not carry".into())?;
                self.label(from, Label::Previous);
                self.label(to, Label::Current);
            }
            Step::StageCandidate { version } => self.label(version, Label::Candidate),
            Step::Unstage { from } => {
                if let Some(labels) = self.secret.versions.get_mut(from) {
                    labels.retain(|label| label != Label::Candidate.name());
                }
                self.secret.versions.retain(|_, labels| !labels.is_empty());
            }
            // a look, where there is nothing to revoke; tokens have properties of their own
            Step::RevokeOrphaned { .. } => {}
            Step::DeactivateToken { .. }
            | Step::DeleteToken { .. }
            | Step::ActivateToken { .. }
            | Step::TagInvite { .. }
            | Step::Invite { .. }
            | Step::Resend
            | Step::SetRole { .. }
            | Step::AddToTeam { .. } => return Err(format!("{step:?}")),
        }
        Ok(())
    }
}

fn settles(planner: Planner) -> impl Fn((World, Trigger)) -> Result<(), String> {
    move |(mut world, trigger)| {
        // a reconcile that adopted a candidate reads everything again, and so does an event that was overtaken
        for _ in 0..3 {
            let (came, state) = world.ask(planner, &trigger)?;
            let (Came::Steps(steps), Some(mut state)) = (came, state) else { return Ok(()) };
            if steps.iter().all(|step| matches!(step, Step::RevokeOrphaned { .. })) {
                return Ok(());
            }
            for step in &steps {
                world.apply(step, &mut state).map_err(|why| format!("{why}: {steps:?}"))?;
            }
            if matches!(trigger, Trigger::Reconcile { .. }) {
                continue;
            }
            let (again, _) = world.ask(planner, &trigger)?;
            let nothing = match &again {
                Came::Steps(steps) => steps.iter().all(|step| matches!(step, Step::RevokeOrphaned { .. })),
                Came::Nothing => true,
                Came::Failed(_) => false,
            };
            return ensure(nothing, || format!("after {steps:?} the same event again comes to {again:?}"));
        }
        Err("a reconcile does not settle".into())
    }
}

#[test]
fn the_same_event_again_finds_nothing_to_do() {
    holds(&(worlds(), triggers()), settles(real));
}

#[test]
fn the_property_finds_a_planner_that_writes_unproven_or_for_ever() {
    let cases = (worlds(), triggers());
    // takes every proof for done
    refuted(
        &cases,
        settles(|trigger, state| match real(trigger, state)? {
            Next::Prove(version) => Ok(Next::Do(vec![Step::WriteConnector { create: false, version }])),
            next => Ok(next),
        }),
    );
    // moves AWSCURRENT before it writes the connector
    refuted(
        &cases,
        settles(|trigger, state| match real(trigger, state)? {
            Next::Do(mut steps) => {
                steps.sort_by_key(|step| !matches!(step, Step::MoveCurrent { .. }));
                Ok(Next::Do(steps))
            }
            next => Ok(next),
        }),
    );
    // never sees that the connector carries the version
    refuted(
        &cases,
        settles(|trigger, state| match real(trigger, state)? {
            Next::Do(steps) if steps.is_empty() => {
                Ok(Next::Do(vec![Step::WriteConnector { version: state.world.version.clone(), create: false }]))
            }
            next => Ok(next),
        }),
    );
}

/// What a rotation, step by step, comes to in a world in which nothing else happens.
#[test]
fn a_rotation_ends_with_what_the_connector_carries() {
    holds(&worlds(), |mut world| {
        let before = world.secret.version(Label::Current).cloned();
        for trigger in [Trigger::CreateSecret, Trigger::SetSecret, Trigger::FinishSecret] {
            let (came, state) = world.ask(real, &trigger)?;
            match (came, state) {
                (Came::Failed(_), _) => {
                    let now = world.secret.version(Label::Current).cloned();
                    return ensure(now == before, || "a rotation that failed moved AWSCURRENT".into());
                }
                (Came::Steps(steps), Some(mut state)) => {
                    for step in &steps {
                        world.apply(step, &mut state)?;
                    }
                }
                _ => {}
            }
        }
        let carried = world.observed().is_some_and(|observed| observed.version() == Some(VersionId::of_service(NEXT)));
        let current = world.secret.version(Label::Current) == Some(&VersionId::of_service(NEXT));
        ensure(carried && current, || "a rotation that succeeded made nothing current".into())
    });
}
