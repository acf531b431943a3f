//! Runs the proof for a version: whose view it is compared with, and what is read meanwhile.

pub mod gather;

use std::collections::BTreeSet;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, join, join3, select};
use hubkeeper_core::connector::observed::Ownership;
use hubkeeper_core::connector::{Coverage, Found};
use hubkeeper_core::error::Error;
use hubkeeper_core::ids::Fingerprint;
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
use crate::clients::hub::{Credential, Session};
use crate::prove::gather::{Prover, Subject};
use crate::read::{connector, state};

/// A PAT that is rejected this soon after it was made may still be spreading (docs/proof.md).
const SPREADING: Duration = Duration::minutes(10);

/// What the token is compared with.
#[derive(Clone)]
struct Context {
    current: Option<Version>,
    connector: Found,
}

/// Whose views a proof is compared with. No `Debug`: it may hold a bearer.
struct Compared<'a> {
    context: ContextFuture<'a>,
    manager: Option<Session>,
    last_proof: Option<Coverage>,
    /// Whether somebody looks at this proof who should know what Defender does not scan.
    asked: bool,
}

type ContextFuture<'a> = Shared<BoxFuture<'a, Result<Context, Error>>>;

/// What a proof came to.
pub(crate) struct Proof {
    pub(crate) verdict: Verdict,
    /// Labels and connector, read while the proof ended.
    pub(crate) recheck: Option<Recheck>,
}

/// What [`examine_while_reading`] learned.
pub(crate) struct Examined {
    /// `None` where the connector carries the version already.
    pub(crate) verdict: Option<Verdict>,
    /// Labels and connector, read while the proof ended.
    pub(crate) recheck: Option<Recheck>,
}

/// Proves a version whose connector was read before.
///
/// # Errors
/// Where what it is compared with cannot be read.
pub(crate) async fn examine(
    services: &Services,
    world: &World,
    version: &str,
    trigger: Trigger,
) -> Result<Proof, Error> {
    let document = document(world, version)?;
    let writes = !matches!(trigger, Trigger::Verify { .. } | Trigger::TestSecret);
    let again = matches!(trigger, Trigger::Reconcile { .. }) && version == world.version;
    let last_proof = if again { last_proof(world, &document) } else { None };
    let asked = matches!(trigger, Trigger::Verify { .. } | Trigger::Onboard { .. });
    let compared = Compared { context: known(world), manager: None, last_proof, asked };
    Box::pin(prove(services, world, version, &document, compared, writes)).await
}

/// What the connector's tag tells of the last proof, where the connector is this secret's.
fn last_proof(world: &World, document: &Document) -> Option<Coverage> {
    let observed = world.connector.as_ref()?.observed()?;
    let ours = observed.ownership(&document.organization, &world.secret.fingerprint()) == Ownership::Ours;
    observed.proved().filter(|_| ours)
}

/// Proves a token that an onboarding has just made: it must also see what the manager's login sees.
///
/// # Errors
/// As [`examine`].
pub(crate) async fn examine_minted(
    services: &Services,
    world: &World,
    version: &str,
    document: &Document,
) -> Result<Proof, Error> {
    let session = services.manager(&world.secret, document).await?;
    let compared = Compared { context: known(world), manager: Some(session), last_proof: None, asked: true };
    Box::pin(prove(services, world, version, document, compared, true)).await
}

/// setSecret: proves the pending version while AWSCURRENT and the connector are read, and puts them into the state.
///
/// # Errors
/// As [`examine`].
pub(crate) async fn examine_while_reading(
    services: &Services,
    world: &mut World,
    report: &mut Report,
) -> Result<Examined, Error> {
    let version = world.version.clone();
    let document = document(world, &version)?;
    // nothing is proven for a connector that will not be written
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
    // what is read may end the proof early: nothing is left to be proven, or nothing can be written
    let early = {
        let context = context.clone();
        async move {
            match context.await {
                Ok(context) if !carried(&context) => std::future::pending().await,
                _ => (),
            }
        }
    };
    let compared = Compared { context: context.clone(), manager: None, last_proof: None, asked: false };
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

/// Whether a token that was proven before still logs in and pulls: a sample.
pub(crate) async fn sample(services: &Services, world: &World, version: &str) -> Result<Verdict, Error> {
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

fn document(world: &World, version: &str) -> Result<Document, Error> {
    world
        .document_of(version)
        .cloned()
        .ok_or_else(|| Error::retryable(format!("version {version} of the secret has no value"), "repeat the event"))
}

fn subject(document: &Document, sample_only: bool) -> Result<Subject<'_>, Error> {
    let credential = credential(document)
        .ok_or_else(|| Error::needs_human("the secret's version holds no token", "put a version with `accessToken`"))?;
    Ok(Subject { credential, document, sample_only })
}

fn credential(document: &Document) -> Option<Credential> {
    let token = document.access_token.clone()?;
    Some(Credential { identifier: document.username.clone(), token })
}

/// A token of hubkeeper's that was rejected minutes after it was made may still be spreading: nothing is known about it then. When
/// it was made tells the version of its label; that is asked for only now.
///
/// # Errors
/// Where the history cannot be read.
async fn excuse_young(
    services: &Services,
    world: &World,
    version: &str,
    document: &Document,
    current: Option<&Version>,
    evidence: &mut Evidence,
) -> Result<(), Error> {
    let Some(token_id) = document.token_id.as_deref().filter(|_| evidence.is_rejected()) else { return Ok(()) };
    let pat = world.pats.iter().flatten().find(|pat| pat.id == token_id);
    let labelled = pat.and_then(|pat| world.secret.version_of_label(&pat.label)).map(|label| label.version);
    let versions = [&world.current, &world.candidate, &world.pending, &world.previous];
    // a version that names the same token tells as much: where it is right the token is as old, else it was made by hand
    let same =
        versions.into_iter().flatten().chain(current).filter(|known| {
            known.document.same_token(document) || known.document.token_id.as_deref() == Some(token_id)
        });
    let holders = same.map(|known| known.id.as_str()).chain([labelled.unwrap_or(version)]);
    let holders: BTreeSet<&str> = holders.chain(document.candidate_version.as_deref()).collect();
    let history = services.store.history(&world.secret.arn).await?;
    if is_young(&holders, &history, services.now()) {
        evidence.excuse_rejection();
    }
    Ok(())
}

/// Whether a token was made minutes ago, by the versions that hold it: an older one proves that it was not.
fn is_young(holders: &BTreeSet<&str>, history: &History, now: Timestamp) -> bool {
    let made = holders.iter().filter_map(|version| history.get(*version)).min();
    made.is_some_and(|made| (now - *made).abs() < SPREADING)
}

/// The proof: the token's own evidence and the views of others side by side, and, while its last requests are under way,
/// the look that the write will want.
async fn prove(
    services: &Services,
    world: &World,
    version: &str,
    document: &Document,
    compared: Compared<'_>,
    writes: bool,
) -> Result<Proof, Error> {
    let Compared { context, manager, last_proof, asked } = compared;
    let subject = subject(document, false)?;
    let organization = &document.organization;
    let fingerprint = world.secret.fingerprint();
    let may_ask = {
        let context = context.clone();
        // a version that the connector carries was asked before: once for each version
        async move {
            context.await.is_ok_and(|context| {
                let carried = context.connector.observed().and_then(|found| found.version());
                carried != Some(version)
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
        let Some(credential) = credential(&in_use.document) else { return Ok(Ok(None)) };
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

/// The version whose token is in use: the one in the connector's tag, else AWSCURRENT. `None` where that is the version in
/// question, or its token is the same, expired, or of another organization.
async fn in_use(
    services: &Services,
    world: &World,
    context: &Context,
    version: &str,
    document: &Document,
    fingerprint: &Fingerprint,
) -> Result<Option<Version>, Error> {
    let observed = context.connector.observed();
    let ours = observed.filter(|found| found.ownership(&document.organization, fingerprint) == Ownership::Ours);
    let tagged = ours.and_then(|found| found.version()).filter(|tagged| *tagged != version);
    let current = context.current.as_ref().filter(|current| current.id != version);
    let in_use = match tagged {
        Some(tagged) if current.is_none_or(|current| current.id != tagged) => {
            let stage = world.secret.any_label(tagged);
            // a version without labels may be gone by now
            let value = services.store.value(&world.secret.arn, tagged, stage).await?;
            let read = value.and_then(|value| Document::parse(&value).ok());
            read.map(|document| Version { id: tagged.to_owned(), document }).or_else(|| current.cloned())
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
            .map(|(version, made)| (version.to_owned(), made))
            .into();
        let young = |holders: &[&str], now: Timestamp| is_young(&holders.iter().copied().collect(), &history, now);
        assert!(young(&["new"], now));
        assert!(!young(&["old"], now));
        assert!(!young(&["new", "old"], now), "an older version holds the same token");
        assert!(!young(&["new"], now + Duration::minutes(1)));
        assert!(young(&["new"], now - Duration::minutes(18)), "this clock is behind by less than ten minutes");
        assert!(!young(&["unknown"], now));
        assert!(young(&["new", "unknown"], now));
    }
}
