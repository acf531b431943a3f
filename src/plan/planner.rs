//! The rules about order and races: trigger and state in, steps out (contract, sections 3, 5 and 6). Pure.
//!
//! Three functions, in the order in which an event meets them: [`admit`] (labels and tags alone), [`plan`] (the whole
//! state), [`may_write`] and [`may_move`] (a second look right before a write).

use std::fmt::Write as _;

use super::state::{Admission, Look, Situation, Trigger};
use super::steps::Step;
use crate::azure::Observed;
use crate::azure::merge::Ownership;
use crate::error::Error;
use crate::proof::{Finding, Verdict};
use crate::report::{Outcome, Warning};
use crate::secret::{Document, Label, Managed, Secret};

/// What follows from the state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// The token of this version has to be proven first; then ask again.
    Prove(String),
    /// A sample of this version's repositories has to be pulled; then it is done.
    Test(String),
    /// Docker Hub rejected this version's token, and another can take its place: note it, read on, ask again.
    Dead(String),
    /// These steps, in this order; none: all is as it should be.
    Do(Vec<Step>),
    /// Nothing, for this reason.
    Nothing(Outcome, String),
}

/// A plan, and what should be known besides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What follows.
    pub next: Next,
    /// What stops nothing.
    pub warnings: Vec<Warning>,
}

impl Plan {
    fn of(next: Next) -> Self {
        Self { next, warnings: Vec::new() }
    }
}

/// Whether labels and tags let an event go on, and with which version.
///
/// # Errors
/// The rotation template's checks, the rule about a rotation in progress, and versions that cannot be meant.
pub fn admit(trigger: &Trigger, token: Option<&str>, secret: &Secret) -> Result<Admission, Error> {
    if trigger.is_rotation() {
        return admit_rotation(trigger, token.unwrap_or_default(), secret);
    }
    let from_eventbridge = matches!(trigger, Trigger::CandidateStaged { .. } | Trigger::SecretChanged { .. });
    if from_eventbridge && secret.managed() != Managed::Yes {
        return Ok(nothing(Outcome::Ignored, "the secret is not tagged hubkeeper = managed"));
    }
    if secret.deleted {
        let what = "the secret is scheduled for deletion";
        return if from_eventbridge {
            Ok(nothing(Outcome::Ignored, what))
        } else {
            Err(Error::needs_human(what, "restore it (aws secretsmanager restore-secret), or name another"))
        };
    }
    let current = secret.version(Label::Current);
    let admitted = match trigger {
        Trigger::CandidateStaged { version } => {
            let version = version.as_deref().or(secret.version(Label::Candidate));
            match version {
                Some(version) if secret.bears(version, Label::Candidate) => of(version, Label::Candidate),
                Some(version) if Some(version) == current => {
                    return Ok(nothing(Outcome::Unchanged, "the version is AWSCURRENT already"));
                }
                _ => return Ok(nothing(Outcome::Ignored, "the version is no longer staged HUBKEEPER_CANDIDATE")),
            }
        }
        Trigger::SecretChanged { version } => match (version.as_deref(), current) {
            (None, Some(current)) => of(current, Label::Current),
            (Some(version), Some(current)) if version == current => of(current, Label::Current),
            (Some(version), _) if secret.bears(version, Label::Pending) => {
                return Ok(nothing(Outcome::Ignored, "the version is AWSPENDING only: its rotation goes on by itself"));
            }
            _ => return Ok(nothing(Outcome::Ignored, "the version is not AWSCURRENT")),
        },
        Trigger::Onboard { version: Some(version), .. } => {
            if Some(version.as_str()) == current {
                of(version, Label::Current)
            } else if secret.bears(version, Label::Candidate) {
                of(version, Label::Candidate)
            } else {
                return Err(Error::bad_event(
                    "member `versionId` names a version that is neither AWSCURRENT nor HUBKEEPER_CANDIDATE",
                ));
            }
        }
        Trigger::Verify { version: Some(version) } => match secret.versions.get(version) {
            Some(_) => of(version, Label::Current),
            None => return Err(Error::bad_event("member `versionId` names a version that bears no staging label")),
        },
        _ => match current {
            Some(current) => of(current, Label::Current),
            None => {
                return Err(Error::needs_human(
                    "the secret has no AWSCURRENT version",
                    "put the secret's document first (aws secretsmanager put-secret-value); the README shows it",
                ));
            }
        },
    };
    if !matches!(trigger, Trigger::Verify { .. }) {
        no_rotation(secret)?;
    }
    Ok(admitted)
}

fn of(version: &str, label: Label) -> Admission {
    Admission::Version { version: version.to_owned(), label }
}

fn nothing(outcome: Outcome, reason: &str) -> Admission {
    Admission::Nothing { outcome, reason: reason.to_owned() }
}

/// While a version other than AWSCURRENT is AWSPENDING, only rotation steps write.
fn no_rotation(secret: &Secret) -> Result<(), Error> {
    match secret.rotation_in_progress() {
        None => Ok(()),
        Some(pending) => Err(Error::retryable(
            format!("a rotation is in progress: version {pending} is AWSPENDING"),
            format!(
                "wait for it; where it is stuck, end it: aws secretsmanager update-secret-version-stage --secret-id {} --version-stage AWSPENDING --remove-from-version-id {pending}",
                secret.arn
            ),
        )),
    }
}

/// The checks of AWS's template, in its order.
fn admit_rotation(trigger: &Trigger, token: &str, secret: &Secret) -> Result<Admission, Error> {
    if secret.managed() == Managed::Offboarded {
        return Err(Error::refused(
            "the secret is tagged hubkeeper = offboarded",
            format!("cancel its rotation: aws secretsmanager cancel-rotate-secret --secret-id {}", secret.arn),
        ));
    }
    if !secret.rotation_enabled {
        return Err(Error::misconfigured(
            "rotation is not enabled for the secret",
            "enable it, or invoke onboard instead",
        ));
    }
    let abandoned = |what: String| {
        Err(Error::needs_human(
            what,
            "the rotation was abandoned (a value was put by hand) or ended: nothing is lost, start another when it is due",
        ))
    };
    if !secret.versions.contains_key(token) {
        return abandoned(format!("version {token} bears no staging label"));
    }
    if secret.bears(token, Label::Current) {
        return match trigger {
            // labels and tags may remain to be done
            Trigger::FinishSecret => Ok(of(token, Label::Current)),
            _ => Ok(nothing(Outcome::Unchanged, "the version is AWSCURRENT already")),
        };
    }
    if !secret.bears(token, Label::Pending) {
        return abandoned(format!("version {token} is not staged AWSPENDING"));
    }
    Ok(of(token, Label::Pending))
}

/// The steps that follow from the state.
///
/// # Errors
/// A refusal, or what a person has to do first.
pub fn plan(trigger: &Trigger, situation: &Situation, client_id: &str) -> Result<Plan, Error> {
    match trigger {
        Trigger::CreateSecret => create_secret(situation).map(Plan::of),
        Trigger::SetSecret => {
            let document = situation.document.as_ref().ok_or_else(no_pending_value)?;
            same_subject(situation, document)?;
            connect(situation, &situation.version, document, client_id, false)
        }
        Trigger::TestSecret => test_secret(situation, client_id),
        Trigger::FinishSecret => finish_secret(situation, client_id).map(Plan::of),
        Trigger::SecretChanged { .. } => {
            let Some(document) = situation.document.as_ref().filter(|document| document.access_token.is_some()) else {
                return Ok(Plan::of(Next::Nothing(Outcome::Ignored, "the version holds no token".into())));
            };
            connect(situation, &situation.version, document, client_id, false)
        }
        Trigger::CandidateStaged { .. } => adopt(situation, &situation.version, client_id),
        Trigger::Onboard { version: Some(_), .. } if situation.label == Label::Candidate => {
            adopt(situation, &situation.version, client_id).map(|plan| tagged(situation, plan))
        }
        Trigger::Onboard { force, .. } => onboard(situation, client_id, *force).map(|plan| tagged(situation, plan)),
        Trigger::Verify { .. } => {
            let held = situation.document.as_ref().is_some_and(|document| document.access_token.is_some());
            if !held {
                return Err(no_token(situation));
            }
            Ok(Plan::of(match situation.verdict_on(&situation.version) {
                None => Next::Prove(situation.version.clone()),
                Some(_) => Next::Do(Vec::new()),
            }))
        }
    }
}

fn create_secret(situation: &Situation) -> Result<Next, Error> {
    let version = situation.version.clone();
    if let Some(pending) = &situation.document {
        // kept as it is; a token that an earlier attempt made and could not store is revoked
        let minted = pending.manager.is_some() && pending.token_id.is_some();
        return Ok(Next::Do(if minted { vec![Step::RevokeStrays { version }] } else { Vec::new() }));
    }
    let current = situation.current.as_ref().ok_or_else(|| {
        Error::needs_human("the secret has no AWSCURRENT value", "put the secret's document first; the README shows it")
    })?;
    if current.document.manager.is_some() {
        return Ok(Next::Do(vec![
            Step::MintToken { version: version.clone(), label: Label::Pending },
            Step::RevokeStrays { version },
        ]));
    }
    let Some(candidate) = &situation.candidate else {
        return Err(Error::needs_human(
            "there is no manager to mint with and no version is staged HUBKEEPER_CANDIDATE",
            format!(
                "make a read-only token by hand and stage it: aws secretsmanager put-secret-value --secret-id {} --version-stages HUBKEEPER_CANDIDATE --secret-string file://document.json; it is then proven and adopted without a rotation",
                situation.secret.arn
            ),
        ));
    };
    if candidate.document.access_token.is_none() {
        return Err(Error::needs_human("the candidate holds no token", "stage a document with `accessToken`"));
    }
    if !candidate.document.same_subject(&current.document) {
        return Err(other_subject());
    }
    Ok(Next::Do(vec![Step::CopyCandidate { from: candidate.id.clone(), to: version }]))
}

fn test_secret(situation: &Situation, client_id: &str) -> Result<Plan, Error> {
    let current = situation.current.as_ref();
    let of_its_own = situation.document.as_ref().filter(|document| {
        document.access_token.is_some() && !current.is_some_and(|current| current.document.same_token(document))
    });
    if let Some(document) = of_its_own {
        let carried = match observed(situation) {
            None => Err("it does not exist".to_owned()),
            Some(observed) => {
                observed.carries(document, &situation.secret.fingerprint(), &situation.version, client_id)
            }
        };
        return match carried {
            Ok(()) => Ok(Plan::of(Next::Test(situation.version.clone()))),
            Err(why) => Err(Error::retryable(
                format!("the connector does not carry the pending version: {why}"),
                "let the rotation run again: setSecret writes the connector",
            )),
        };
    }
    // RotateImmediately=false: the rotation is only tried out, so what is current is proven
    let mut warnings = Vec::new();
    if observed(situation).is_none() {
        warnings.push(Warning::new("connectorAbsent", "there is no connector yet: onboard the secret, or rotate it"));
    }
    let Some(current) = current.filter(|current| current.document.access_token.is_some()) else {
        warnings.push(Warning::new(
            "tokenAbsent",
            "the current version holds no token yet: onboard the secret, or rotate it",
        ));
        let next = Next::Nothing(Outcome::Unchanged, "there is no token yet to test".into());
        return Ok(Plan { next, warnings });
    };
    let next = match situation.verdict_on(&current.id) {
        None => Next::Prove(current.id.clone()),
        Some(verdict) if verdict.is_complete() => Next::Do(Vec::new()),
        Some(verdict) => return Err(refusal(verdict)),
    };
    Ok(Plan { next, warnings })
}

fn finish_secret(situation: &Situation, client_id: &str) -> Result<Next, Error> {
    let secret = &situation.secret;
    let version = &situation.version;
    let document = situation.document.as_ref().ok_or_else(no_pending_value)?;
    let mut steps = Vec::new();
    if !secret.bears(version, Label::Current) {
        same_subject(situation, document)?;
        carried(situation, version, document, client_id)?;
        let from = secret.version(Label::Current).unwrap_or_default().to_owned();
        steps.push(Step::MoveCurrent { from, to: version.clone() });
    }
    if let Some(candidate) = &document.candidate_version
        && secret.bears(candidate, Label::Candidate)
    {
        steps.push(Step::Unstage { from: candidate.clone() });
    }
    if secret.managed() != Managed::Yes {
        steps.push(Step::TagManaged);
    }
    Ok(Next::Do(steps))
}

/// Proof, then the connector: what setSecret, a changed secret and an onboarding have in common.
fn connect(
    situation: &Situation,
    version: &str,
    document: &Document,
    client_id: &str,
    force: bool,
) -> Result<Plan, Error> {
    let warnings = connector_warnings(situation, document)?;
    let carries = carried(situation, version, document, client_id).is_ok();
    if carries && !force {
        return Ok(Plan { next: Next::Do(Vec::new()), warnings });
    }
    let next = match situation.verdict_on(version) {
        None => Next::Prove(version.to_owned()),
        Some(verdict) if verdict.is_complete() => Next::Do(vec![write(situation, version)]),
        Some(verdict) => return Err(refusal(verdict)),
    };
    Ok(Plan { next, warnings })
}

/// Proof, connector, AWSCURRENT, label: a version that waits to be taken up.
fn adopt(situation: &Situation, version: &str, client_id: &str) -> Result<Plan, Error> {
    let Some(document) = situation.document_of(version).filter(|document| document.access_token.is_some()) else {
        return Ok(Plan::of(Next::Nothing(Outcome::Ignored, "the version holds no token".into())));
    };
    same_subject(situation, document)?;
    let warnings = connector_warnings(situation, document)?;
    // proven even where the connector carries it: AWSCURRENT moves to a proven version only
    match situation.verdict_on(version) {
        None => return Ok(Plan { next: Next::Prove(version.to_owned()), warnings }),
        Some(verdict) if verdict.is_complete() => {}
        Some(verdict) => return Err(refusal(verdict)),
    }
    let mut steps = Vec::new();
    if !situation.secret.bears(version, Label::Candidate) && !situation.secret.bears(version, Label::Current) {
        steps.push(Step::StageCandidate { version: version.to_owned() });
    }
    if carried(situation, version, document, client_id).is_err() {
        steps.push(write(situation, version));
    }
    steps.extend(promote(situation, version));
    Ok(Plan { next: Next::Do(steps), warnings })
}

/// AWSCURRENT to the version, then the candidate's label off.
fn promote(situation: &Situation, version: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    match situation.secret.version(Label::Current) {
        Some(current) if current != version => {
            steps.push(Step::MoveCurrent { from: current.to_owned(), to: version.to_owned() });
        }
        _ => {}
    }
    steps.push(Step::Unstage { from: version.to_owned() });
    steps
}

/// Which token an onboarding goes on with: the current one, a candidate, one that an earlier onboarding made, a new one.
fn onboard(situation: &Situation, client_id: &str, force: bool) -> Result<Plan, Error> {
    let current = situation.document.as_ref().ok_or_else(|| no_token(situation))?;
    let usable =
        |version: &str, document: &Document| document.access_token.is_some() && !situation.dead.contains(version);
    if usable(&situation.version, current) {
        return match situation.verdict_on(&situation.version) {
            None => {
                let warnings = connector_warnings(situation, current)?;
                Ok(Plan { next: Next::Prove(situation.version.clone()), warnings })
            }
            Some(verdict) if verdict.result == Finding::Rejected && current.manager.is_some() => {
                Ok(Plan::of(Next::Dead(situation.version.clone())))
            }
            Some(verdict) if !verdict.is_complete() => Err(refusal(verdict)),
            Some(_) => connect(situation, &situation.version, current, client_id, force),
        };
    }
    let candidate = situation.candidate.as_ref().map(|known| (known.id.as_str(), &known.document));
    let slot = situation.slot.as_ref().and_then(|slot| Some((slot.id.as_str(), slot.document.as_ref()?)));
    if let Some((version, document)) =
        candidate.into_iter().chain(slot).find(|(version, document)| usable(version, document))
    {
        return match situation.verdict_on(version) {
            Some(verdict) if verdict.result == Finding::Rejected && document.manager.is_some() => {
                Ok(Plan::of(Next::Dead(version.to_owned())))
            }
            _ => adopt(situation, version, client_id),
        };
    }
    let Some(slot) = situation.slot.as_ref().filter(|_| current.manager.is_some()) else {
        return Err(no_token(situation));
    };
    let warnings = connector_warnings(situation, current)?;
    let mut steps = vec![
        Step::MintToken { version: slot.id.clone(), label: Label::Candidate },
        Step::RevokeStrays { version: slot.id.clone() },
        Step::Prove { version: slot.id.clone() },
        write(situation, &slot.id),
    ];
    steps.extend(promote(situation, &slot.id));
    Ok(Plan { next: Next::Do(steps), warnings })
}

/// Onboard sets the tag before its first outside write.
fn tagged(situation: &Situation, mut plan: Plan) -> Plan {
    if let Next::Do(steps) = &mut plan.next
        && situation.secret.managed() != Managed::Yes
    {
        steps.insert(0, Step::TagManaged);
    }
    plan
}

fn write(situation: &Situation, version: &str) -> Step {
    Step::WriteConnector { version: version.to_owned(), create: observed(situation).is_none() }
}

fn observed(situation: &Situation) -> Option<&Observed> {
    situation.connector.as_ref().and_then(|found| found.observed())
}

fn carried(situation: &Situation, version: &str, document: &Document, client_id: &str) -> Result<(), Error> {
    let carried = match observed(situation) {
        None => Err("it does not exist".to_owned()),
        Some(observed) => observed.carries(document, &situation.secret.fingerprint(), version, client_id),
    };
    carried.map_err(|why| {
        Error::retryable(
            format!("the connector does not carry version {version}: {why}"),
            "let the rotation run again: setSecret writes the connector",
        )
    })
}

/// Whether the connector may be touched at all, and what is odd about it.
fn connector_warnings(situation: &Situation, document: &Document) -> Result<Vec<Warning>, Error> {
    let mut warnings = Vec::new();
    let Some(observed) = observed(situation) else { return Ok(warnings) };
    match observed.ownership(&document.organization, &situation.secret.fingerprint()) {
        Ownership::Ours => {}
        Ownership::Untagged => warnings.push(Warning::new(
            "connectorTakenOver",
            "the connector was made without hubkeeper (no hubkeeper tags): it is taken over",
        )),
        Ownership::Foreign(why) => return Err(foreign(&why, document)),
    }
    if let Some(location) = observed.location()
        && !same_location(location, &document.connector.location)
    {
        warnings.push(Warning::new(
            "locationKept",
            "the connector's location differs from the secret's `connector.location`; ARM fixes it at creation, so it is kept",
        ));
    }
    Ok(warnings)
}

fn same_location(one: &str, other: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    plain(one) == plain(other)
}

fn same_subject(situation: &Situation, document: &Document) -> Result<(), Error> {
    match &situation.current {
        Some(current) if !current.document.same_subject(document) => Err(other_subject()),
        _ => Ok(()),
    }
}

fn other_subject() -> Error {
    Error::needs_human(
        "the new version is about another organization or another connector than AWSCURRENT",
        "offboard the secret first, or correct the new version's `organization` and `connector`",
    )
}

fn foreign(why: &str, document: &Document) -> Error {
    Error::refused(
        format!("the connector {} is not touched: {why}", document.connector.id()),
        "give the secret another `connector.name`, or delete that connector if nobody needs it",
    )
}

fn no_pending_value() -> Error {
    Error::retryable("the pending version has no value", "let the rotation run again: createSecret puts the value")
}

fn no_token(situation: &Situation) -> Error {
    Error::needs_human(
        "the secret holds no usable token",
        format!(
            "make a read-only token as the dedicated user and put it: aws secretsmanager put-secret-value --secret-id {} --secret-string file://document.json; or name a `manager` secret that mints",
            situation.secret.arn
        ),
    )
}

/// A verdict other than `complete`, as an error.
pub fn refusal(verdict: &Verdict) -> Error {
    let mut what = format!("the verdict is {}: {}", verdict.result.name(), verdict.reasons.join("; "));
    if !verdict.missing.is_empty() {
        what.push_str(": ");
        what.push_str(&verdict.missing.join(", "));
        if verdict.missing_count > verdict.missing.len() {
            let _ = write!(what, " and {} more", verdict.missing_count - verdict.missing.len());
        }
    }
    let error = match verdict.result {
        Finding::Rejected => {
            Error::refused(what, "make a new read-only token as the dedicated user and stage it as HUBKEEPER_CANDIDATE")
        }
        Finding::Inconclusive => Error::retryable(what, "nothing was changed; repeat the event"),
        Finding::OverPrivileged => Error::refused(
            what,
            "replace it by a token with the permission `Read-only`, or set HUBKEEPER_OVER_PRIVILEGE=warn",
        ),
        Finding::Partial => Error::refused(
            what,
            "give the token `Read-only` (not `Public Repo Read-only`) and the dedicated user read access to every repository (role or team), check the organization's name, or name what may be left out in `excludedRepositories`",
        ),
        Finding::Complete => Error::retryable(what, "repeat the event"),
    };
    error.with_verdict(verdict.clone())
}

/// Whether the connector may be written with `version` now: the second look against what the plan was made from.
///
/// # Errors
/// `Retryable` where labels or connector changed meanwhile; a refusal where the connector is another's now.
pub fn may_write(
    trigger: &Trigger,
    version: &str,
    document: &Document,
    before: &Situation,
    look: &Look,
) -> Result<(), Error> {
    let changed = |what: &str| {
        Err(Error::retryable(
            format!("{what} while the token was being proven"),
            "nothing was written; repeat the event",
        ))
    };
    still_admitted(trigger, version, before, &look.secret)?;
    let observed = look.connector.observed();
    if let Some(observed) = observed
        && let Ownership::Foreign(why) = observed.ownership(&document.organization, &look.secret.fingerprint())
    {
        return Err(foreign(&why, document));
    }
    let seen = before.connector.as_ref().and_then(|found| found.observed()).and_then(Observed::version);
    let now = observed.and_then(Observed::version);
    if now != seen && now != Some(version) {
        return changed("somebody else wrote the connector");
    }
    Ok(())
}

/// Whether AWSCURRENT may move from `from` to `to` now.
///
/// # Errors
/// `Retryable` where the connector does not carry `to`, or labels changed meanwhile.
pub fn may_move(
    trigger: &Trigger,
    from: &str,
    to: &str,
    document: &Document,
    client_id: &str,
    before: &Situation,
    look: &Look,
) -> Result<(), Error> {
    still_admitted(trigger, to, before, &look.secret)?;
    if look.secret.version(Label::Current) != Some(from) {
        return Err(Error::retryable("AWSCURRENT moved meanwhile", "repeat the event"));
    }
    let carried = match look.connector.observed() {
        None => Err("it does not exist".to_owned()),
        Some(observed) => observed.carries(document, &look.secret.fingerprint(), to, client_id),
    };
    carried.map_err(|why| {
        Error::retryable(
            format!("AWSCURRENT is not moved, the connector does not carry version {to}: {why}"),
            "repeat the event",
        )
    })
}

/// The labels and tags that admitted the event are still there.
pub(super) fn still_admitted(
    trigger: &Trigger,
    version: &str,
    before: &Situation,
    secret: &Secret,
) -> Result<(), Error> {
    let changed = |what: String| Err(Error::retryable(what, "nothing was written; repeat the event"));
    if secret.deleted {
        return changed("the secret was scheduled for deletion meanwhile".into());
    }
    if secret.managed() == Managed::Offboarded && before.secret.managed() != Managed::Offboarded {
        return changed("the secret was offboarded meanwhile".into());
    }
    if trigger.is_rotation() {
        if !secret.bears(version, Label::Pending) {
            return changed(format!("version {version} is no longer AWSPENDING: the rotation was abandoned"));
        }
        return Ok(());
    }
    no_rotation(secret)?;
    let bears = secret.bears(version, Label::Candidate) || secret.bears(version, Label::Current);
    if !bears {
        return changed(format!("version {version} lost its staging label meanwhile"));
    }
    if before.label == Label::Current && version == before.version && !secret.bears(version, Label::Current) {
        return changed(format!("version {version} is no longer AWSCURRENT"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
