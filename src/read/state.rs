//! Reads the state that the planner is given.

use futures_util::future::{join, join3, join5};
use hubkeeper_core::connector::Found;
use hubkeeper_core::error::{Error, Kind};
use hubkeeper_core::ids::Fingerprint;
use hubkeeper_core::plan::admission::{admit, is_shown};
use hubkeeper_core::plan::membership::carries_on;
use hubkeeper_core::plan::state::{Keeping, OffboardedConnector, Slot, Version};
use hubkeeper_core::plan::{Admission, Progress, State, World};
use hubkeeper_core::report::{Change, ConnectorReport, Report};
use hubkeeper_core::request::{Request, Trigger};
use hubkeeper_core::secret::document::ConnectorId;
use hubkeeper_core::secret::{Document, Kept, KeptConnector, Label, Managed, Secret};
use hubkeeper_core::warning::{Warning, WarningCode};
use secrecy::SecretString;

use crate::clients::Services;

/// What the first requests tell.
pub(crate) struct Entered {
    pub(crate) secret: Secret,
    pub(crate) admission: Admission,
    /// The pending version's value, where the event is a rotation's.
    pub(crate) value: Option<SecretString>,
}

/// Labels, and for a rotation its value, side by side.
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
        && let Some(pending) = secret.rotation_in_progress().map(str::to_owned)
    {
        // a version that has no value yet is not in the history: it came with the last change of the secret, or before
        secret.pending_since = store.history(&secret.arn).await?.get(&pending).copied().or(secret.last_changed);
    }
    is_shown(trigger, request.sent_at, &secret, services.now())?;
    let admission = admit(trigger, request.version.as_deref(), &secret, services.now())?;
    // the value counts only where the labels say that the version is pending: else its error is of no interest
    let value = match &admission {
        Admission::Version { label: Label::Pending, .. } => value?,
        _ => None,
    };
    Ok(Entered { secret, admission, value })
}

/// The documents that the trigger is about.
pub(crate) async fn documents(
    services: &Services,
    trigger: &Trigger,
    secret: Secret,
    version: String,
    label: Label,
    value: Option<SecretString>,
    stack: Option<String>,
) -> Result<State, Error> {
    let store = &services.store;
    let arn = secret.arn.as_str();
    let subject = async {
        match value {
            Some(value) => Document::parse(&value).map(Some),
            None if label == Label::Pending => match trigger {
                // a pending version may be without a value: then it is made, or only tried out
                Trigger::CreateSecret | Trigger::TestSecret => Ok(None),
                _ => store.document(arn, &version, Some(label.name())).await.map(Some),
            },
            None => {
                let stage = secret.any_label(&version).unwrap_or(label.name());
                let value = store.value(arn, &version, Some(stage)).await;
                match (value, trigger) {
                    // what is only taken note of needs no document
                    // the tag names what an offboarding is about
                    (value, Trigger::Offboard) if secret.kept() != Kept::Unknown => {
                        Ok(value?.and_then(|value| Document::parse(&value).ok()))
                    }
                    (value, Trigger::RotationEnded { .. }) => {
                        Ok(value.ok().flatten().and_then(|value| Document::parse(&value).ok()))
                    }
                    (value, _) => value?.map(|value| Document::parse(&value)).transpose(),
                }
            }
        }
    };
    let read = |wanted: bool, label: Label| {
        let id = secret.version(label).filter(|id| wanted && *id != version).map(str::to_owned);
        async move {
            let Some(id) = id else { return Ok(None) };
            let value = store.value(arn, &id, Some(label.name())).await?;
            let document = value.map(|value| Document::parse(&value)).transpose()?;
            Ok::<_, Error>(document.map(|document| Version { id, document }))
        }
    };
    let now = services.now();
    let onboards = matches!(trigger, Trigger::Onboard { .. });
    let reconciles = matches!(trigger, Trigger::Reconcile { .. });
    let changed = matches!(trigger, Trigger::SecretChanged { .. });
    // setSecret reads AWSCURRENT while the token is being proven
    let with_current = !matches!(trigger, Trigger::SetSecret | Trigger::Verify { .. } | Trigger::RotationEnded { .. });
    let (document, current, candidate, pending, previous) = Box::pin(join5(
        subject,
        read(with_current, Label::Current),
        read(matches!(trigger, Trigger::CreateSecret) || onboards || reconciles, Label::Candidate),
        read(reconciles && secret.stuck_rotation(now).is_some(), Label::Pending),
        read(onboards || reconciles || changed, Label::Previous),
    ))
    .await;
    let document = document?;
    let current = match current? {
        Some(current) => Some(current),
        None if secret.bears(&version, Label::Current) => {
            document.clone().map(|document| Version { id: version.clone(), document })
        }
        None => None,
    };
    // what is current is looked after though nobody can read the candidate; a rotation that wants one says what is wrong
    let (candidate, aside) = match candidate {
        Err(error) if error.kind() == Kind::Misconfigured && onboards => (None, None),
        Err(error) if error.kind() == Kind::Misconfigured && reconciles => (None, Some(error)),
        candidate => (candidate?, None),
    };
    let readable = |version: Result<Option<Version>, Error>| match version {
        Err(error) if error.kind() == Kind::Misconfigured => Ok(None),
        version => version,
    };
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
        progress: Progress { ignored_candidate: aside, ..Progress::default() },
    };
    if onboards || (reconciles && carries_on(&state.world)) {
        let without_token = state.world.document.as_ref().is_some_and(|document| document.access_token.is_none());
        if without_token {
            read_slot(services, &mut state).await?;
        }
    }
    Ok(state)
}

/// AWSCURRENT, where the version in question is another.
pub(crate) async fn current(services: &Services, world: &World) -> Result<Option<Version>, Error> {
    let Some(id) = world.secret.version(Label::Current).filter(|id| *id != world.version) else {
        return Ok(None);
    };
    let value = services.store.value(&world.secret.arn, id, Some(Label::Current.name())).await?;
    let document = value.map(|value| Document::parse(&value)).transpose()?;
    Ok(document.map(|document| Version { id: id.to_owned(), document }))
}

/// The derived version id of an onboarding that mints, and what stands there: past every one whose token is dead.
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

/// The connector, and its neighbours of the same organization.
pub(crate) async fn connector(
    services: &Services,
    trigger: &Trigger,
    world: &mut World,
    report: &mut Report,
) -> Result<(), Error> {
    let reconciles = matches!(trigger, Trigger::Reconcile { .. });
    let ends = matches!(trigger, Trigger::Offboard) || (reconciles && world.is_offboarded());
    let document = world.document.as_ref().or(world.current.as_ref().map(|current| &current.document));
    let named = document.map(|document| OffboardedConnector {
        organization: document.organization.clone(),
        connector: document.connector.id.clone(),
    });
    let subject = if ends { world.offboarded_connector() } else { named };
    let Some(OffboardedConnector { organization, connector: id }) = subject else { return Ok(()) };
    let fingerprint = world.secret.fingerprint();
    let reconciles = reconciles && world.secret.managed() == Managed::Yes;
    let looks = reconciles || matches!(trigger, Trigger::Onboard { .. } | Trigger::CandidateStaged { .. });
    let neighbours = async {
        if looks { neighbours(services, &id, &organization, &fingerprint).await } else { Neighbours::default() }
    };
    let health = async { if reconciles { services.arm.health(&id).await } else { None } };
    let (read, neighbours, health) = Box::pin(join3(services.arm.read(&id), neighbours, health)).await;
    world.keeping.has_twin = neighbours.has_twin;
    if let Some(warning) = neighbours.warning {
        report.warn(warning);
    }
    let found = read.and_then(|read| if ends { Ok(read.or_absent()) } else { read.required() });
    if matches!(&found, Ok(Found::Present(_))) && health.is_some() {
        if health.as_ref().is_some_and(|health| !health.is_healthy()) {
            report.warn(Warning::new(WarningCode::ConnectorNotHealthy,
                "Defender reports the connector as not healthy: see `connector.health`, and the connector in the portal",
            ));
        }
        report.connector = Some(ConnectorReport { id: id.to_string(), change: Change::None, health });
    }
    match (found, trigger) {
        (Ok(found), _) => {
            world.connector = Some(found);
            if report.connector.is_none() {
                report.connector(id.to_string(), Change::None);
            }
        }
        // a proof alone needs no connector: what it carries would only say what to compare with
        (Err(error), Trigger::Verify { .. }) => {
            report
                .warn(Warning::new(WarningCode::ConnectorUnknown, format!("the connector could not be read: {error}")));
            world.connector = Some(Found::Absent);
        }
        (Err(error), _) => return Err(error),
    }
    Ok(())
}

/// What the resource group's other connectors of the organization come to.
#[derive(Default)]
pub(crate) struct Neighbours {
    /// Their names, for people.
    pub(crate) warning: Option<Warning>,
    /// Whether one of them bears this secret's fingerprint.
    pub(crate) has_twin: bool,
}

/// Other connectors of the organization in the resource group. A failed listing is not reported.
pub(crate) async fn neighbours(
    services: &Services,
    id: &ConnectorId,
    organization: &str,
    fingerprint: &Fingerprint,
) -> Neighbours {
    let Ok(others) = services.arm.others(id, organization, fingerprint).await else { return Neighbours::default() };
    let names: Vec<&str> = others.iter().map(|other| other.name.as_str()).collect();
    let warning = (!names.is_empty()).then(|| {
        Warning::new(
            WarningCode::OtherConnectors,
            format!("the resource group has other connectors of this organization: {}", names.join(", ")),
        )
    });
    Neighbours { warning, has_twin: others.iter().any(|other| other.is_ours) }
}

/// The versions with a staging label that name another connector than the document, or are no document.
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

/// The connector that the tag of an offboarded secret names.
pub(crate) async fn read_former(services: &Services, world: &mut World) -> Result<(), Error> {
    let Kept::Connector(kept) = world.secret.kept() else { return Ok(()) };
    world.keeping.former = Some(services.arm.read(&kept.connector).await?.or_absent());
    Ok(())
}

/// Connectors elsewhere in the subscription that bear the secret's fingerprint; none where the role does not permit the look.
pub(crate) async fn look_elsewhere(services: &Services, world: &mut World) -> Result<(), Error> {
    let document = world.document.as_ref().or(world.current.as_ref().map(|current| &current.document));
    let Some(id) = document.map(|document| document.connector.id.clone()) else { return Ok(()) };
    let elsewhere = services.arm.bearing(&id, &world.secret.fingerprint()).await?;
    world.keeping.elsewhere = Some(elsewhere.unwrap_or_default());
    Ok(())
}
