//! Reads what the retirement of tokens depends on, in the contract's order: the PATs, then the labels, then the connector.

use std::collections::BTreeSet;

use time::Duration;

use crate::azure::Observed;
use crate::error::Error;
use crate::hub::HubError;
use crate::hub::tokens::Pat;
use crate::plan::retire::{self, Holding, Inventory, versions_in_use};
use crate::plan::state::Version;
use crate::plan::{Situation, Step};
use crate::report::Report;
use crate::secret::{Document, Managed, Secret};
use crate::services::Services;
use crate::warning::Warning;

/// Every PAT of the dedicated user; none where the secret names no manager. They are listed before the token is proven, so that
/// its `last_used` is not that of the proof.
///
/// # Errors
/// Where the manager cannot log in, or the list not be read.
pub(super) async fn list(services: &Services, document: Option<&Document>) -> Result<Vec<Pat>, Error> {
    let Some(document) = document.filter(|document| document.manager.is_some()) else { return Ok(Vec::new()) };
    let session = services.manager(document).await?;
    services.hub().tokens(&session).await.map_err(|error| undecided(&error))
}

/// What is to be done with the secret's tokens: empty where there is no manager to do it with. The situation has the labels
/// and the connector of that moment afterwards.
///
/// # Errors
/// Where something that it depends on cannot be read; `NeedsHuman` where tokens are to go at once and no manager is named.
pub(super) async fn plan(
    services: &Services,
    situation: &mut Situation,
    skip_grace: bool,
    report: &mut Report,
) -> Result<Vec<Step>, Error> {
    let Some(document) = situation.document.clone() else { return Ok(Vec::new()) };
    if document.manager.is_none() {
        if skip_grace {
            return Err(Error::needs_human(
                "the secret names no manager, so no token can be revoked",
                format!("revoke the replaced tokens at Docker Hub as user {}", document.username),
            ));
        }
        return Ok(Vec::new());
    }
    let pats = situation.pats.clone()?;
    let secret = services.store.describe(&situation.secret.arn).await?;
    let found = services.arm.get(&document.connector.id).await?;
    let managed = situation.secret.managed();
    let moved = secret.version(crate::secret::Label::Current) != Some(situation.version.as_str());
    if secret.managed() != managed || moved || (managed == Managed::Yes && secret.rotation_in_progress().is_some()) {
        report.warn(Warning::new(
            "nothingRetired",
            "the secret is being changed at this moment: its tokens are looked at by the next reconcile",
        ));
        return Ok(Vec::new());
    }
    let mut held = holdings(services, situation, &secret, found.observed()).await?;
    let mut compared = BTreeSet::new();
    if held.iter().any(|held| held.token && held.token_id.is_none()) {
        // a person may have put the token of another version without its id: the values tell them apart
        for (version, _) in pats.iter().filter_map(|pat| secret.version_of_label(&pat.label)) {
            if read(services, situation, &secret, version).await? {
                compared.insert(version.to_owned());
            }
        }
        held = holdings(services, situation, &secret, found.observed()).await?;
    }
    let own = document.token_id.as_deref();
    let used = pats.iter().find(|pat| Some(pat.id.as_str()) == own).and_then(|pat| pat.last_used);
    report.tokens.last_used = used.map(crate::clock::rfc3339);
    let strays =
        pats.iter().any(|pat| secret.version_of_label(&pat.label).is_some() && !retire::is_in_use(pat, &secret, &held));
    let history = if strays { Some(services.store.history(&secret.arn).await?) } else { None };
    let (steps, warnings) = retire::plan(&Inventory {
        pats: &pats,
        secret: &secret,
        connector: found.observed(),
        organization: &document.organization,
        holdings: &held,
        compared: &compared,
        history: history.as_ref(),
        grace: Duration::hours(i64::from(services.config.revoke_after_hours)),
        skip_grace,
        now: services.now(),
    });
    for warning in warnings {
        report.warn(warning);
    }
    if secret.managed() == Managed::Offboarded && steps.is_empty() {
        let left = pats.iter().filter(|pat| secret.version_of_label(&pat.label).is_some()).count();
        if left > 0 {
            report.warn(Warning::new(
                "tokensLeft",
                format!("the secret is offboarded and {left} of its tokens are alive until the grace is over; keep the secret and its manager until a later reconcile has retired them"),
            ));
        }
    }
    situation.secret = Secret { pending_since: situation.secret.pending_since, ..secret };
    situation.connector = Some(found);
    Ok(steps)
}

/// What stands under each version that is in use. Values are read once: they never change under an id.
///
/// # Errors
/// Where a value cannot be read.
pub(crate) async fn holdings(
    services: &Services,
    situation: &mut Situation,
    secret: &Secret,
    connector: Option<&Observed>,
) -> Result<Vec<Holding>, Error> {
    let mut held = Vec::new();
    for version in versions_in_use(secret, connector) {
        read(services, situation, secret, version).await?;
        let document = known(situation, version).filter(|document| document.access_token.is_some());
        let token_id = document.and_then(|document| {
            document.token_id.clone().or_else(|| {
                // a person may have copied the token without its id
                let others = [&situation.previous, &situation.candidate, &situation.current, &situation.pending];
                let others = others.into_iter().flatten().chain(&situation.read).map(|known| &known.document);
                others.filter(|other| other.same_token(document)).find_map(|other| other.token_id.clone())
            })
        });
        held.push(Holding { version: version.to_owned(), token_id, token: document.is_some() });
    }
    Ok(held)
}

/// Reads a version's value, once; whether it is a document.
async fn read(services: &Services, situation: &mut Situation, secret: &Secret, version: &str) -> Result<bool, Error> {
    if known(situation, version).is_none() {
        let value = services.store.value(&secret.arn, version, secret.any_label(version)).await?;
        // a value that is no document names no token; its PAT, if it has one, is known by its label
        if let Some(document) = value.and_then(|value| Document::parse(&value).ok()) {
            situation.read.push(Version { id: version.to_owned(), document });
        }
    }
    Ok(known(situation, version).is_some())
}

fn known<'a>(situation: &'a Situation, version: &str) -> Option<&'a Document> {
    let read = || situation.read.iter().find(|read| read.id == version).map(|read| &read.document);
    situation.document_of(version).or_else(read)
}

fn undecided(error: &HubError) -> Error {
    Error::retryable(format!("Docker Hub is undecided: {}", error.message()), "repeat the event")
}
