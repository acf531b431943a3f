//! Rules that all kinds of event share, and the possible results of the planner. Pure.

use crate::connector::observed::Ownership;
use crate::error::Error;
use crate::ids::VersionId;
use crate::outcome::Outcome;
use crate::plan::keeping::{Keeps, keeps};
use crate::plan::refusals::{foreign, refusal};
use crate::plan::state::{State, World};
use crate::plan::steps::Step;
use crate::secret::Document;
use crate::warning::{Warning, WarningCode};

/// The planner's result.
#[derive(Clone, PartialEq, Debug)]
pub enum Next {
    /// Read members and invitations as the owner, then ask again.
    Roster,
    /// List the PATs, which tell the secret that a token was minted for, then ask again.
    LookUpToken,
    /// Read the staged versions to learn which connectors they name, then ask again.
    ReadVersions,
    /// Read the connector that an offboarded secret kept, then ask again.
    ReadFormer,
    /// Search the subscription's connectors for this secret's fingerprint, then ask again.
    LookElsewhere,
    /// Run these steps, then ask again with their result.
    First(Vec<Step>),
    /// Prove this version's token, then ask again.
    Prove(VersionId),
    /// Pull a sample of this version's repositories, then finish.
    Test(VersionId),
    /// Docker Hub rejected this version's token, and another can replace it: record that, read on, ask again.
    SkipVersion(VersionId),
    /// The token in use is rejected, and an interrupted run may have deactivated it: check, and ask again.
    Reactivate,
    /// The candidate cannot be adopted, for this reason: record it, continue with AWSCURRENT, and end with this error.
    IgnoreCandidate(Error),
    /// Run these steps, in this order. An empty list means that nothing needs to change.
    Do(Vec<Step>),
    /// Do nothing, for this reason.
    Nothing(Outcome, String),
}

/// A plan and its warnings.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The result.
    pub next: Next,
    /// Warnings; none of them stops the run.
    pub warnings: Vec<Warning>,
}

impl Plan {
    pub(super) fn of(next: Next) -> Self {
        Self { next, warnings: Vec::new() }
    }
}

/// Plans the proof, then the connector: the part that setSecret, a changed secret and an onboarding share.
pub(super) fn connect(state: &State, version: &VersionId, document: &Document, force: bool) -> Result<Plan, Error> {
    if let Some(question) = ask(&state.world, document)? {
        return Ok(question);
    }
    let warnings = connector_warnings(&state.world, document)?;
    let carries = carried(&state.world, version, document).is_ok();
    if carries && !force {
        return Ok(Plan { next: Next::Do(Vec::new()), warnings });
    }
    let next = match state.progress.verdict_on(version) {
        None => Next::Prove(version.to_owned()),
        Some(verdict) if verdict.is_complete() => Next::Do(vec![write(&state.world, version)]),
        Some(verdict) => return Err(refusal(verdict)),
    };
    Ok(Plan { next, warnings })
}

pub(super) fn write(world: &World, version: &VersionId) -> Step {
    Step::WriteConnector { version: version.to_owned(), create: world.observed().is_none() }
}

/// What must be read to decide whether the secret manages the document's connector.
pub(super) fn ask(world: &World, document: &Document) -> Result<Option<Plan>, Error> {
    Ok(match keeps(world, document)? {
        Keeps::Known | Keeps::Remember(_) => None,
        Keeps::ReadVersions => Some(Plan::of(Next::ReadVersions)),
        Keeps::ReadFormer => Some(Plan::of(Next::ReadFormer)),
    })
}

/// Lists how the connector drifted from what hubkeeper wrote.
pub(super) fn drift(world: &World, document: &Document, client_id: &str) -> Option<String> {
    let writers: Vec<&str> = std::iter::once(client_id).chain(world.secret.writer()).collect();
    world.observed()?.drift(document, &writers)
}

pub(super) fn carried(world: &World, version: &VersionId, document: &Document) -> Result<(), Error> {
    let carried = match world.observed() {
        None => Err("it does not exist".to_owned()),
        Some(observed) => observed.carries(document, &world.secret.fingerprint(), version),
    };
    carried.map_err(|why| {
        Error::retryable(
            format!("the connector does not carry version {version}: {why}"),
            "let the rotation run again: setSecret writes the connector",
        )
    })
}

/// Checks that the connector may be written, and warns about anything unusual.
pub(super) fn connector_warnings(world: &World, document: &Document) -> Result<Vec<Warning>, Error> {
    let mut warnings = Vec::new();
    let Some(observed) = world.observed() else { return Ok(warnings) };
    match observed.ownership(&document.organization, &world.secret.fingerprint()) {
        Ownership::Ours => {}
        Ownership::Untagged => warnings.push(Warning::new(
            WarningCode::ConnectorTakenOver,
            "the connector was made without hubkeeper (no hubkeeper tags): hubkeeper takes it over",
        )),
        Ownership::Foreign(why) => return Err(foreign(&why, document)),
    }
    if let Some(location) = observed.location()
        && !same_location(location, &document.connector.location)
    {
        warnings.push(Warning::new(WarningCode::LocationKept,
            "the connector's location differs from the secret's `connector.location`; ARM cannot change it after creation, so it is kept",
        ));
    }
    Ok(warnings)
}

fn same_location(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    plain(one) == plain(other)
}

pub(super) fn same_subject(world: &World, document: &Document) -> Result<(), Error> {
    match &world.current {
        Some(current) if !current.document.same_subject(document) => Err(other_subject()),
        _ => Ok(()),
    }
}

pub(super) fn other_subject() -> Error {
    Error::needs_human(
        "the new version names another organization or another connector than AWSCURRENT",
        "offboard the secret first, or correct the new version's `organization` and `connector`",
    )
}

pub(super) fn no_pending_value() -> Error {
    Error::retryable("the pending version has no value", "let the rotation run again: createSecret puts the value")
}

pub(super) fn no_token(world: &World) -> Error {
    Error::needs_human(
        "the secret holds no usable token",
        format!(
            "make a read-only token as the dedicated user and put it: aws secretsmanager put-secret-value --secret-id {} --secret-string file://document.json; or name a `manager` secret, which mints one",
            world.secret.arn
        ),
    )
}
