//! Runs the proof of a version: selects the views to compare with, and reads labels and connector meanwhile.

pub mod gather;

use std::collections::BTreeSet;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, join, join3, select};
use hubkeeper_core::config::OverPrivilege;
use hubkeeper_core::connector::observed::Ownership;
use hubkeeper_core::connector::{Coverage, Found, Observed};
use hubkeeper_core::error::Error;
use hubkeeper_core::ids::Fingerprint;
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::plan::keeping::keeps_no_other;
use hubkeeper_core::plan::state::Version;
use hubkeeper_core::plan::{Recheck, World};
use hubkeeper_core::proof::evidence::Pulls;
use hubkeeper_core::proof::verdict::{sample_verdict, unscanned, verdict};
use hubkeeper_core::proof::{Evidence, Reference, Verdict};
use hubkeeper_core::report::Report;
use hubkeeper_core::request::Trigger;
use hubkeeper_core::secret::Document;
use hubkeeper_core::secret::labels::History;
use hubkeeper_core::time::Timestamp;
use time::Duration;

use crate::clients::Services;
use crate::clients::hub::{Credential, Hub, Session};
use crate::prove::gather::{Prover, Subject, TagList};
use crate::read::{connector, state};

/// Time after its creation in which a rejected PAT may still be propagating (docs/proof.md).
const SPREADING: Duration = Duration::minutes(10);

/// The view that the token is compared with.
#[derive(Clone)]
struct Context {
    current: Option<Version>,
    connector: Found,
}

/// The views that a proof compares the token with. No `Debug`: it may hold a bearer token.
struct Compared<'a> {
    context: ContextFuture<'a>,
    manager: Option<Session>,
    last_proof: Option<Coverage>,
    tags: TagList,
    /// Whether a person sees this proof who should know what Defender does not scan.
    asked: bool,
}

type ContextFuture<'a> = Shared<BoxFuture<'a, Result<Context, Error>>>;

/// The result of a proof.
pub(crate) struct Proof {
    pub(crate) verdict: Verdict,
    /// Labels and connector, read while the proof finished.
    pub(crate) recheck: Option<Recheck>,
}

/// The result of [`examine_while_reading`].
pub(crate) struct Examined {
    /// The verdict, or `None` if the connector already carries the version.
    pub(crate) verdict: Option<Verdict>,
    /// Labels and connector, read while the proof finished.
    pub(crate) recheck: Option<Recheck>,
}

/// Proves a version whose connector is already read.
///
/// # Errors
/// Returns an error if a view to compare with cannot be read.
pub(crate) async fn examine(
    services: &Services,
    world: &World,
    version: &VersionId,
    trigger: Trigger,
) -> Result<Proof, Error> {
    let document = document(world, version)?;
    let writes = !matches!(trigger, Trigger::Verify { .. } | Trigger::TestSecret);
    let again = matches!(trigger, Trigger::Reconcile { .. }) && version == world.version;
    let last_proof = if again { last_proof(world, &document) } else { None };
    let asked = matches!(trigger, Trigger::Verify { .. } | Trigger::Onboard { .. });
    // nobody waits for the daily proof of the same token, so it spares Docker Hub's API instead of a round trip
    let tags = if again { TagList::Registry } else { TagList::DockerHub };
    let compared = Compared { context: known(world), manager: None, last_proof, tags, asked };
    Box::pin(prove(services, world, version, &document, compared, writes)).await
}

/// Returns the coverage of the last proof from the connector's tag, if the connector belongs to this secret.
fn last_proof(world: &World, document: &Document) -> Option<Coverage> {
    let observed = world.connector.as_ref()?.observed()?;
    let ours = observed.ownership(&document.organization, &world.secret.fingerprint()) == Ownership::Ours;
    observed.proved().filter(|_| ours)
}

/// Proves a token that an onboarding has just created: it must also see what the manager's login sees.
///
/// # Errors
/// Returns the errors of [`examine`].
pub(crate) async fn examine_minted(
    services: &Services,
    world: &World,
    version: &VersionId,
    document: &Document,
) -> Result<Proof, Error> {
    let session = services.manager(&world.secret, document).await?;
    let tags = TagList::DockerHub;
    let compared = Compared { context: known(world), manager: Some(session), last_proof: None, tags, asked: true };
    Box::pin(prove(services, world, version, document, compared, true)).await
}

/// Proves the pending version for setSecret, while it reads AWSCURRENT and the connector into the state.
///
/// # Errors
/// Returns the errors of [`examine`].
pub(crate) async fn examine_while_reading(
    services: &Services,
    world: &mut World,
    report: &mut Report,
) -> Result<Examined, Error> {
    let version = world.version.clone();
    let document = document(world, &version)?;
    // no proof for a connector that will not be written
    keeps_no_other(world, &document)?;
    let before = world.clone();
    let context: ContextFuture<'_> = {
        let (before, spec) = (before.clone(), document.connector.id.clone());
        async move {
            let (current, connector) = join(state::current(services, &before), services.arm.get(&spec)).await;
            Ok(Context { current: current?, connector: connector? })
        }
        .boxed()
        .shared()
    };
    let fingerprint = world.secret.fingerprint();
    let carried = |context: &Context| {
        let found = context.connector.observed();
        found.is_some_and(|found| found.carries(&document, &fingerprint, &version).is_ok())
    };
    // the reads may end the proof early: there is nothing left to prove, or nothing can be written
    let early = {
        let context = context.clone();
        async move {
            match context.await {
                Ok(context) if !carried(&context) => std::future::pending().await,
                _ => (),
            }
        }
    };
    // a rotation waits for the proof: Docker Hub lists the tags while the registry's token service grants
    let tags = TagList::DockerHub;
    let compared = Compared { context: context.clone(), manager: None, last_proof: None, tags, asked: false };
    let proof = Box::pin(prove(services, &before, &version, &document, compared, true));
    let neighbours = connector::neighbours(services, &document.connector.id, &document.organization, &fingerprint);
    let (examined, neighbours) = join(select(proof, Box::pin(early)), neighbours).await;
    let context = context.await?;
    if let Some(warning) = neighbours.warning {
        report.warn(warning);
    }
    world.current = context.current;
    world.connector = Some(context.connector);
    match examined {
        Either::Right(_) => Ok(Examined { verdict: None, recheck: None }),
        Either::Left((examined, _)) => {
            let Proof { verdict, recheck } = examined?;
            Ok(Examined { verdict: Some(verdict), recheck })
        }
    }
}

/// Proves a token that is in no secret, or not yet: the whole proof, compared with the view of another token, if there is
/// one. The name of that view stands in the verdict's reasons.
pub async fn examine_token(
    hub: &Hub,
    subject: &Subject<'_>,
    compare_with: Option<(&Credential, String)>,
    over_privilege: OverPrivilege,
) -> Verdict {
    let prover = Prover { hub };
    let own = async {
        let survey = Box::pin(prover.survey(subject)).await;
        prover.finish(survey, async { true }).await
    };
    let other = async {
        match compare_with {
            Some((credential, of)) => prover.reference(credential, subject.organization, of).await,
            None => Ok(None),
        }
    };
    let (mut evidence, other) = Box::pin(join(own, other)).await;
    compare(&mut evidence, other);
    let mut verdict = verdict(&evidence, over_privilege);
    verdict.warnings.extend(unscanned(&evidence, &verdict));
    verdict
}

/// Checks with a sample whether a token that was proven before still logs in and pulls.
pub(crate) async fn sample(services: &Services, world: &World, version: &VersionId) -> Result<Verdict, Error> {
    let document = document(world, version)?;
    let subject = subject(&document, true)?;
    let prover = Prover { hub: &services.hub };
    let survey = Box::pin(prover.survey(&subject)).await;
    let mut evidence = prover.finish(survey, async { false }).await;
    excuse_young(services, world, version, &document, None, &mut evidence).await?;
    Ok(sample_verdict(&evidence))
}

fn known(world: &World) -> ContextFuture<'static> {
    let context =
        Context { current: world.current.clone(), connector: world.connector.clone().unwrap_or(Found::Absent) };
    async move { Ok(context) }.boxed().shared()
}

fn document(world: &World, version: &VersionId) -> Result<Document, Error> {
    world
        .document_of(version)
        .cloned()
        .ok_or_else(|| Error::retryable(format!("version {version} of the secret has no value"), "repeat the event"))
}

fn subject(document: &Document, sample_only: bool) -> Result<Subject<'_>, Error> {
    Subject::of(document, sample_only)
        .ok_or_else(|| Error::needs_human("the secret's version holds no token", "put a version with `accessToken`"))
}

/// Makes the verdict inconclusive for a rejected token that the function created minutes ago: it may still be
/// propagating. The creation time of the version in the token's label shows the token's age. It is read only when it is
/// needed.
///
/// # Errors
/// Returns an error if the history cannot be read.
async fn excuse_young(
    services: &Services,
    world: &World,
    version: &VersionId,
    document: &Document,
    current: Option<&Version>,
    evidence: &mut Evidence,
) -> Result<(), Error> {
    let Some(token_id) = document.token_id.as_ref().filter(|_| evidence.is_rejected()) else { return Ok(()) };
    let pat = world.pats.iter().flatten().find(|pat| pat.id == token_id);
    let labelled = pat.and_then(|pat| world.secret.version_of_label(&pat.label)).map(|label| label.version);
    let versions = [&world.current, &world.candidate, &world.pending, &world.previous];
    // a version that names the same token is good evidence: either the token is as old, or it was created by hand
    let same = versions
        .into_iter()
        .flatten()
        .chain(current)
        .filter(|known| known.document.same_token(document) || known.document.token_id.as_ref() == Some(token_id));
    let holders = same.map(|known| known.id.clone()).chain([labelled.unwrap_or_else(|| version.clone())]);
    let holders: BTreeSet<VersionId> = holders.chain(document.candidate_version.clone()).collect();
    let history = services.store.history(&world.secret.arn).await?;
    if is_young(&holders, &history, services.now()) {
        evidence.excuse_rejection();
    }
    Ok(())
}

/// Returns whether a token was created minutes ago, by the versions that hold it: an older version proves that it was
/// not.
fn is_young(holders: &BTreeSet<VersionId>, history: &History, now: Timestamp) -> bool {
    let made = holders.iter().filter_map(|version| history.get(version)).min();
    made.is_some_and(|made| (now - *made).abs() < SPREADING)
}

/// Proves a token: gathers its own evidence and the views of others concurrently. Reads labels and connector for the
/// write while the last requests are in progress.
async fn prove(
    services: &Services,
    world: &World,
    version: &VersionId,
    document: &Document,
    compared: Compared<'_>,
    writes: bool,
) -> Result<Proof, Error> {
    let Compared { context, manager, last_proof, tags, asked } = compared;
    let subject = Subject { tags, ..subject(document, false)? };
    let organization = &document.organization;
    let fingerprint = world.secret.fingerprint();
    let may_ask = {
        let context = context.clone();
        // a proof asks for `push` once per version, and the version in the connector was already asked
        async move {
            context.await.is_ok_and(|context| {
                let carried = context.connector.observed().and_then(Observed::version);
                carried.as_ref() != Some(version)
            })
        }
    };
    let prover = Prover { hub: &services.hub };
    let own = async {
        let survey = Box::pin(prover.survey(&subject)).await;
        let promising = survey.evidence.pulls == Pulls::Asked && survey.evidence.gaps.is_empty();
        let look = async {
            if promising && writes { services.look(&world.secret.arn, &document.connector.id).await.ok() } else { None }
        };
        join(prover.finish(survey, may_ask), look).await
    };
    let read = context.clone();
    let in_use = async {
        let context = read.await?;
        let Some(in_use) = in_use(services, world, &context, version, document, &fingerprint).await? else {
            return Ok(Ok(None));
        };
        let Some(Subject { credential, .. }) = Subject::of(&in_use.document, false) else { return Ok(Ok(None)) };
        let of = format!("the token in use (version {})", in_use.id);
        Ok::<_, Error>(prover.reference(&credential, organization, of).await)
    };
    let manager = async {
        match &manager {
            Some(session) => {
                let of = "the manager's login".to_owned();
                prover.session_reference(session, organization, of).await.map(Some)
            }
            None => Ok(None),
        }
    };
    let ((mut evidence, recheck), in_use, manager) = Box::pin(join3(own, in_use, manager)).await;
    evidence.last_proof = last_proof;
    if evidence.is_rejected() {
        let current = context.await.ok().and_then(|context| context.current);
        excuse_young(services, world, version, document, current.as_ref(), &mut evidence).await?;
    }
    compare(&mut evidence, in_use?);
    compare(&mut evidence, manager);
    let mut verdict = verdict(&evidence, services.config.over_privilege);
    if asked {
        verdict.warnings.extend(unscanned(&evidence, &verdict));
    }
    Ok(Proof { verdict, recheck })
}

fn compare(evidence: &mut Evidence, view: Result<Option<Reference>, String>) {
    match view {
        Ok(reference) => evidence.references.extend(reference),
        Err(gap) => evidence.gaps.push(gap),
    }
}

/// Returns the version whose token is in use: the one in the connector's tag, else AWSCURRENT. Returns `None` if that
/// is the version to prove, or if its token is the same, has expired or belongs to another organization.
async fn in_use(
    services: &Services,
    world: &World,
    context: &Context,
    version: &VersionId,
    document: &Document,
    fingerprint: &Fingerprint,
) -> Result<Option<Version>, Error> {
    let observed = context.connector.observed();
    let ours = observed.filter(|found| found.ownership(&document.organization, fingerprint) == Ownership::Ours);
    let tagged = ours.and_then(Observed::version).filter(|tagged| tagged != version);
    let current = context.current.as_ref().filter(|current| current.id != version);
    let in_use = match tagged {
        Some(tagged) if current.is_none_or(|current| current.id != tagged) => {
            let stage = world.secret.any_label(&tagged);
            // a version without labels may be deleted by now
            let value = services.store.value(&world.secret.arn, &tagged, stage).await?;
            let read = value.and_then(|value| Document::parse(&value).ok());
            read.map(|document| Version { id: tagged, document }).or_else(|| current.cloned())
        }
        _ => current.cloned(),
    };
    let now = services.now();
    Ok(in_use.filter(|known| {
        known.document.organization == document.organization
            && !known.document.same_token(document)
            && known.document.expires_at.is_none_or(|expires_at| expires_at > now)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_token_is_young_by_the_oldest_version_that_holds_it() {
        let now = datetime!(2026-11-24 10:00 UTC);
        let history: History = [("new", now - Duration::minutes(9)), ("old", now - Duration::minutes(10))]
            .map(|(version, made)| (VersionId::of_service(version), made))
            .into();
        let young = |holders: &[&str], now: Timestamp| {
            is_young(&holders.iter().map(|id| VersionId::of_service(*id)).collect(), &history, now)
        };
        assert!(young(&["new"], now));
        assert!(!young(&["old"], now));
        assert!(!young(&["new", "old"], now), "an older version holds the same token");
        assert!(!young(&["new"], now + Duration::minutes(1)));
        assert!(young(&["new"], now - Duration::minutes(18)), "this clock is behind by less than ten minutes");
        assert!(!young(&["unknown"], now));
        assert!(young(&["new", "unknown"], now));
    }
}
