//! Reads what the retirement of tokens depends on, in a fixed order: PATs, labels, connector (ARCHITECTURE.md,
//! Retirement).

use std::collections::BTreeSet;

use hubkeeper_core::connector::{Found, Observed};
use hubkeeper_core::error::Error;
use hubkeeper_core::hub::{HubError, Pat};
use hubkeeper_core::ids::{TokenId, VersionId};
use hubkeeper_core::plan::retirement::{
    Content, Contents, Inventory, Remembered, Retirement, Stock, Stored, TokenNumber, Use, Wants,
};
use hubkeeper_core::plan::state::ReadToken;
use hubkeeper_core::plan::{State, Step, World, retirement};
use hubkeeper_core::report::Report;
use hubkeeper_core::secret::document::StoredToken;
use hubkeeper_core::secret::{Document, Label, Managed, Secret};
use hubkeeper_core::warning::{Warning, WarningCode};
use time::Duration;

use crate::clients::Services;

/// Lists every PAT of the dedicated user, or none if the secret names no manager. Runs before the proof, so that
/// `last_used` is not the time of the proof.
///
/// # Errors
/// Returns an error if the manager cannot log in or the list cannot be read.
pub(crate) async fn list(services: &Services, secret: &Secret, document: Option<&Document>) -> Result<Vec<Pat>, Error> {
    let Some(document) = document.filter(|document| document.manager.is_some()) else { return Ok(Vec::new()) };
    let session = services.manager(secret, document).await?;
    services.hub.tokens(&session).await.map_err(|error| undecided(&error))
}

/// Plans the retirement of the secret's tokens. The plan is empty without a manager. Refreshes labels and connector in
/// the state.
///
/// # Errors
/// Returns an error if a value that the plan depends on cannot be read, and `NeedsHuman` if tokens must be deleted now
/// and no manager is named.
pub(crate) async fn plan(
    services: &Services,
    state: &mut State,
    skip_grace: bool,
    report: &mut Report,
) -> Result<Vec<Step>, Error> {
    let Some(document) = state.world.document.clone() else { return Ok(Vec::new()) };
    if document.manager.is_none() {
        if skip_grace {
            return Err(Error::needs_human(
                "the secret names no manager, so no token can be revoked",
                format!("revoke the replaced tokens at Docker Hub as user {}", document.username),
            ));
        }
        return Ok(Vec::new());
    }
    let stuck = state.world.stuck().cloned();
    let Some(pats) = relevant_pats(&state.world, stuck.as_ref(), report)? else { return Ok(Vec::new()) };
    let mut secret = services.store.describe(&state.world.secret.arn).await?;
    let managed = state.world.secret.managed();
    let found = kept_connector(services, &state.world, &document).await?;
    let moved = secret.version(Label::Current) != Some(&state.world.version);
    let rotated = managed == Managed::Yes && secret.rotation_in_progress() != stuck.as_ref();
    if secret.managed() != managed || moved || rotated {
        report.warn(Warning::new(
            WarningCode::NothingRetired,
            "the secret is being changed at this moment: the next reconcile checks its tokens",
        ));
        return Ok(Vec::new());
    }
    secret.pending_since = state.world.secret.pending_since;
    let own = document.token_id.as_ref();
    let used = pats.iter().find(|pat| Some(&pat.id) == own).and_then(|pat| pat.last_used);
    report.tokens.last_used = used.map(hubkeeper_core::time::rfc3339);
    let mut contents = known(&state.world);
    let mut history = None;
    let Retirement { steps, warnings } = loop {
        let inventory = Inventory {
            stock: Stock::new(&pats, &secret, found.observed(), &contents, services.now()),
            organization: &document.organization,
            history: history.as_ref(),
            remembered: if secret.keeps_another(&document) { Remembered::Another } else { Remembered::Same },
            elsewhere: state.world.keeping.has_twin,
            grace: Duration::hours(i64::from(services.config.revoke_after_hours)),
            skip_grace,
        };
        let wants = retirement::wants(&inventory);
        if wants == Wants::default() {
            break retirement::plan(&inventory);
        }
        if wants.history {
            history = Some(services.store.history(&secret.arn).await?);
        }
        read(services, &mut state.world, &secret, &wants.values, &mut contents).await?;
    };
    for warning in warnings {
        report.warn(warning);
    }
    if secret.managed() == Managed::Offboarded && steps.is_empty() {
        warn_of_tokens_left(&pats, &secret, report);
    }
    state.world.secret = secret;
    state.world.connector = Some(found);
    Ok(steps)
}

/// Returns the PATs that the retirement considers, or `None` if nothing is to be retired now. While a rotation is
/// stuck, something is retired only if a PAT of its version exists.
fn relevant_pats(world: &World, stuck: Option<&VersionId>, report: &mut Report) -> Result<Option<Vec<Pat>>, Error> {
    match (world.pats.clone(), stuck) {
        (Ok(pats), Some(pending)) => {
            let of_it =
                |pat: &Pat| world.secret.version_of_label(&pat.label).is_some_and(|label| label.version == pending);
            Ok(pats.iter().any(of_it).then_some(pats))
        }
        // the reconcile of AWSCURRENT continues: this error may be the reason why the rotation is stuck
        (Err(error), Some(_)) => {
            report.warn(Warning::new(WarningCode::NothingRetired, format!("the tokens could not be listed: {error}")));
            Ok(None)
        }
        (pats, None) => pats.map(Some),
    }
}

/// Reads the connector whose token is in use.
async fn kept_connector(services: &Services, world: &World, document: &Document) -> Result<Found, Error> {
    match world.offboarded_connector() {
        // the managed connector counts, and its resource group may be deleted as well
        Some(kept) if world.secret.managed() == Managed::Offboarded => {
            Ok(services.arm.read(&kept.connector).await?.or_absent())
        }
        _ => services.arm.get(&document.connector.id).await,
    }
}

/// Warns about an offboarded secret whose tokens wait for the end of the grace period.
fn warn_of_tokens_left(pats: &[Pat], secret: &Secret, report: &mut Report) {
    let left = pats.iter().filter(|pat| secret.version_of_label(&pat.label).is_some()).count();
    if left > 0 {
        report.warn(Warning::new(
            WarningCode::TokensLeft,
            format!("the secret is offboarded and {left} of its tokens stay active until the grace period is over; keep the secret and its manager until a later reconcile has retired them"),
        ));
    }
}

/// Returns whether a PAT is in use, by the current labels, connector and values.
///
/// # Errors
/// Returns an error if a value cannot be read.
pub(crate) async fn use_of(
    services: &Services,
    world: &mut World,
    secret: &Secret,
    connector: Option<&Observed>,
    id: &TokenId,
) -> Result<Use, Error> {
    let pats = world.pats.clone()?;
    let mut secret = secret.clone();
    if secret.rotation_in_progress() == world.secret.rotation_in_progress() {
        secret.pending_since = world.secret.pending_since;
    }
    let mut contents = known(world);
    loop {
        let (needs, used) = {
            let stock = Stock::new(&pats, &secret, connector, &contents, services.now());
            (stock.needs(id), stock.use_of(id))
        };
        if needs.is_empty() {
            return Ok(used);
        }
        read(services, world, &secret, &needs, &mut contents).await?;
    }
}

/// Returns warnings about copied ids in the documents that were read. Sends no request.
pub(crate) fn copied_ids(world: &World) -> Vec<Warning> {
    let others = [&world.previous, &world.current, &world.candidate];
    let others = others.into_iter().flatten().filter(|known| known.id != world.version);
    let others = others.map(|known| (&known.id, &known.document));
    let own = world.document.as_ref().map(|document| (&world.version, document));
    let (before, after): (Vec<_>, Vec<_>) =
        others.partition(|(version, _)| world.label != Label::Current || world.secret.bears(version, Label::Previous));
    retirement::copied_ids(before.into_iter().chain(own).chain(after))
}

/// Returns the contents of the values that were read: equal tokens get the same number.
fn known(world: &World) -> Contents {
    let versions = [&world.previous, &world.current, &world.candidate, &world.pending];
    let versions = versions.into_iter().flatten().map(|known| (&known.id, StoredToken::of(&known.document)));
    let own = world.document.iter().map(|document| (&world.version, StoredToken::of(document)));
    let slot = world.slot.iter().filter_map(|slot| Some((&slot.id, StoredToken::of(slot.document.as_ref()?))));
    let read = world.read.iter().map(|read| (&read.version, read.stored.clone()));
    let mut numbers: Vec<StoredToken> = Vec::new();
    let content = |(version, held): (&VersionId, StoredToken)| {
        let token_id = held.token_id.clone();
        let stored = if held.token.is_some() {
            let at = numbers.iter().position(|known| known.same_token(&held));
            Stored::Token(TokenNumber(at.unwrap_or_else(|| {
                numbers.push(held);
                numbers.len() - 1
            })))
        } else {
            Stored::NoToken
        };
        (version.to_owned(), Content { stored, token_id })
    };
    versions.chain(own).chain(slot).chain(read).map(content).collect()
}

/// Reads the values of versions. A stored value is read once, because it never changes under its id. A missing value
/// may appear later.
async fn read(
    services: &Services,
    world: &mut World,
    secret: &Secret,
    versions: &BTreeSet<VersionId>,
    contents: &mut Contents,
) -> Result<(), Error> {
    let mut absent = Vec::new();
    for version in versions {
        match services.store.value(&secret.arn, version, secret.any_label(version)).await? {
            None => absent.push((version.clone(), Stored::Gone)),
            Some(value) => match StoredToken::parse(&value) {
                Some(stored) => world.read.push(ReadToken { version: version.clone(), stored }),
                None => absent.push((version.clone(), Stored::Unreadable)),
            },
        }
    }
    let absent = absent.into_iter().map(|(version, stored)| (version, Content { stored, token_id: None }));
    // a value that was missing a moment ago counts as missing for this decision
    let earlier = std::mem::take(contents).into_iter();
    *contents = earlier.filter(|(_, content)| matches!(content.stored, Stored::Gone | Stored::Unreadable)).collect();
    contents.extend(known(world));
    contents.extend(absent);
    Ok(())
}

fn undecided(error: &HubError) -> Error {
    Error::retryable(format!("Docker Hub did not complete the request: {}", error.message()), "repeat the event")
}
