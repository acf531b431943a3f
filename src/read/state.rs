//! Reads the labels and documents that the planner needs.

use futures_util::future::{join, join5};
use hubkeeper_core::error::{Error, Kind};
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::plan::admission::{admit, is_shown};
use hubkeeper_core::plan::membership::carries_on;
use hubkeeper_core::plan::state::{Keeping, Slot, Version};
use hubkeeper_core::plan::{Admission, Progress, State, World};
use hubkeeper_core::request::{Request, Trigger};
use hubkeeper_core::secret::{Document, Kept, KeptConnector, Label, Managed, Secret};
use secrecy::SecretString;

use crate::clients::Services;

/// The result of the first requests.
pub(crate) struct Entered {
    pub(crate) secret: Secret,
    pub(crate) admission: Admission,
    /// The value of the pending version, for an event of a rotation.
    pub(crate) value: Option<SecretString>,
}

/// Reads the labels and, for a rotation, the pending value, concurrently.
pub(crate) async fn enter(services: &Services, request: &Request, trigger: &Trigger) -> Result<Entered, Error> {
    let store = &services.store;
    let id = &request.secret_id;
    let value = async {
        match (&request.version, trigger.is_rotation()) {
            (Some(version), true) => store.value(id, version, Some(Label::Pending.name())).await,
            _ => Ok(None),
        }
    };
    let (secret, value) = join(store.describe(id), value).await;
    let mut secret = secret?;
    if matches!(trigger, Trigger::Reconcile { .. })
        && secret.managed() == Managed::Yes
        && let Some(pending) = secret.rotation_in_progress().cloned()
    {
        // the history omits a version without a value: it was created at the last change of the secret, or before
        secret.pending_since = store.history(&secret.arn).await?.get(&pending).copied().or(secret.last_changed);
    }
    is_shown(trigger, request.sent_at, &secret, services.now())?;
    let admission = admit(trigger, request.version.as_ref(), &secret, services.now())?;
    // the value counts only if the labels show the version as pending; otherwise its error is irrelevant
    let value = match &admission {
        Admission::Version { label: Label::Pending, .. } => value?,
        _ => None,
    };
    Ok(Entered { secret, admission, value })
}

/// Reads the documents that the trigger concerns.
pub(crate) async fn documents(
    services: &Services,
    trigger: &Trigger,
    secret: Secret,
    version: VersionId,
    label: Label,
    value: Option<SecretString>,
    stack: Option<String>,
) -> Result<State, Error> {
    let now = services.now();
    let onboards = matches!(trigger, Trigger::Onboard { .. });
    let reconciles = matches!(trigger, Trigger::Reconcile { .. });
    let changed = matches!(trigger, Trigger::SecretChanged { .. });
    let creates = matches!(trigger, Trigger::CreateSecret);
    // setSecret reads AWSCURRENT during the proof
    let with_current = !matches!(trigger, Trigger::SetSecret | Trigger::Verify { .. } | Trigger::RotationEnded { .. });
    let is_stuck = secret.stuck_rotation(now).is_some();
    let read = |wanted: bool, label: Label| {
        let (secret, version) = (&secret, &version);
        async move { if wanted { other(services, secret, version, label).await } else { Ok(None) } }
    };
    let (document, current, candidate, pending, previous) = Box::pin(join5(
        subject(services, trigger, &secret, &version, label, value),
        read(with_current, Label::Current),
        read(creates || onboards || reconciles, Label::Candidate),
        read(reconciles && is_stuck, Label::Pending),
        read(onboards || reconciles || changed, Label::Previous),
    ))
    .await;
    let document = document?;
    let current = match current? {
        None if secret.bears(&version, Label::Current) => {
            document.clone().map(|document| Version { id: version.clone(), document })
        }
        current => current,
    };
    let (candidate, ignored_candidate) = candidate_or_error(candidate, trigger)?;
    let mut state = State {
        world: World {
            now,
            secret,
            version,
            label,
            document,
            current,
            candidate,
            pending: readable(pending)?,
            previous: readable(previous)?,
            pats: Ok(Vec::new()),
            read: Vec::new(),
            slot: None,
            connector: None,
            roster: None,
            keeping: Keeping { stack, ..Keeping::default() },
        },
        progress: Progress { ignored_candidate, ..Progress::default() },
    };
    let mints = onboards || (reconciles && carries_on(&state.world));
    if mints && state.world.document.as_ref().is_some_and(|document| document.access_token.is_none()) {
        read_slot(services, &mut state).await?;
    }
    Ok(state)
}

/// Returns the document of the version, or `None` if the version has no value or the trigger does not need one. `value`
/// is a value that was already read.
async fn subject(
    services: &Services,
    trigger: &Trigger,
    secret: &Secret,
    version: &VersionId,
    label: Label,
    value: Option<SecretString>,
) -> Result<Option<Document>, Error> {
    let store = &services.store;
    if let Some(value) = value {
        return Document::parse(&value).map(Some);
    }
    if label == Label::Pending {
        return match trigger {
            // a pending version may have no value: this step then creates it, or only tests the secret
            Trigger::CreateSecret | Trigger::TestSecret => Ok(None),
            _ => store.document(&secret.arn, version, Some(label.name())).await.map(Some),
        };
    }
    let stage = secret.any_label(version).unwrap_or(label.name());
    let value = store.value(&secret.arn, version, Some(stage)).await;
    match (value, trigger) {
        // the tag names the connector to offboard
        (value, Trigger::Offboard) if secret.kept() != Kept::Unknown => {
            Ok(value?.and_then(|value| Document::parse(&value).ok()))
        }
        // an event that is only recorded needs no document
        (value, Trigger::RotationEnded { .. }) => {
            Ok(value.ok().flatten().and_then(|value| Document::parse(&value).ok()))
        }
        (value, _) => value?.map(|value| Document::parse(&value)).transpose(),
    }
}

/// Reads the version that has the label, if it differs from `version` and has a value.
async fn other(
    services: &Services,
    secret: &Secret,
    version: &VersionId,
    label: Label,
) -> Result<Option<Version>, Error> {
    let Some(id) = secret.version(label).filter(|id| *id != version) else { return Ok(None) };
    let value = services.store.value(&secret.arn, id, Some(label.name())).await?;
    let document = value.map(|value| Document::parse(&value)).transpose()?;
    Ok(document.map(|document| Version { id: id.to_owned(), document }))
}

/// Separates the candidate from its error. A malformed candidate must not block the reconcile of AWSCURRENT; only a
/// rotation that needs the candidate fails.
fn candidate_or_error(
    candidate: Result<Option<Version>, Error>,
    trigger: &Trigger,
) -> Result<(Option<Version>, Option<Error>), Error> {
    match (candidate, trigger) {
        (Err(error), Trigger::Onboard { .. }) if error.kind() == Kind::Misconfigured => Ok((None, None)),
        (Err(error), Trigger::Reconcile { .. }) if error.kind() == Kind::Misconfigured => Ok((None, Some(error))),
        (candidate, _) => Ok((candidate?, None)),
    }
}

/// Returns the version if its value is a document.
fn readable(version: Result<Option<Version>, Error>) -> Result<Option<Version>, Error> {
    match version {
        Err(error) if error.kind() == Kind::Misconfigured => Ok(None),
        version => version,
    }
}

/// Reads AWSCURRENT if it differs from the version of the event.
pub(crate) async fn current(services: &Services, world: &World) -> Result<Option<Version>, Error> {
    other(services, &world.secret, &world.version, Label::Current).await
}

/// Finds the version id that an onboarding with a manager derives, and reads its value. Skips every id whose token is
/// dead.
pub(crate) async fn read_slot(services: &Services, state: &mut State) -> Result<(), Error> {
    let Some(current) = state.world.secret.version(Label::Current) else { return Ok(()) };
    let mut id = state.world.secret.derived_version(current);
    while state.progress.skipped.contains(&id) {
        id = state.world.secret.derived_version(&id);
    }
    let label = state.world.secret.any_label(&id);
    let value = services.store.value(&state.world.secret.arn, &id, label).await?;
    let document = value.map(|value| Document::parse(&value)).transpose()?;
    state.world.slot = Some(Slot { id, document });
    Ok(())
}

/// Finds the versions with a staging label that name another connector than the document, or that are no document.
pub(crate) async fn read_versions(services: &Services, world: &mut World) -> Result<(), Error> {
    let document = world.document.as_ref().or(world.current.as_ref().map(|current| &current.document));
    let Some(wanted) = document.map(KeptConnector::of) else { return Ok(()) };
    let mut named = Vec::new();
    for version in world.secret.versions.keys() {
        let is_same = if let Some(document) = world.document_of(version) {
            KeptConnector::of(document) == wanted
        } else {
            let stage = world.secret.any_label(version);
            let value = services.store.value(&world.secret.arn, version, stage).await?;
            let document = value.map(|value| Document::parse(&value));
            document.is_none_or(|document| document.is_ok_and(|document| KeptConnector::of(&document) == wanted))
        };
        if !is_same {
            named.push(version.clone());
        }
    }
    world.keeping.named = Some(named);
    Ok(())
}
