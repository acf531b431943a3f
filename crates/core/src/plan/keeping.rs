//! Decides whether an event may work on the connector that its document names. The secret remembers its connector
//! in the tag `hubkeeper-connector`, and no later version can redirect it. Pure.

use crate::connector::observed::Ownership;
use crate::error::Error;
use crate::plan::refusals::{exists_elsewhere, keeps_another, still_there, unreadable_tag, which_connector};
use crate::plan::state::World;
use crate::plan::steps::Step;
use crate::request::Trigger;
use crate::secret::kept::STACK_TAG;
use crate::secret::{Document, Kept, KeptConnector, Managed};

/// How the document's connector relates to the one in the tag.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Keeps {
    /// The tag names it.
    Known,
    /// The tag must be set to it.
    Remember(KeptConnector),
    /// The staged versions must be read first.
    ReadVersions,
    /// The connector that the tag names must be read first.
    ReadFormer,
}

/// Compares the connector that `document` names with the tag.
///
/// # Errors
/// `NeedsHuman` if the secret manages another connector, if the former connector of an offboarded secret still exists, or if it is not
/// known which connector the secret manages.
pub fn keeps(world: &World, document: &Document) -> Result<Keeps, Error> {
    let secret = &world.secret;
    let wanted = KeptConnector::of(document);
    match secret.kept() {
        Kept::Connector(kept) if kept == wanted => Ok(Keeps::Known),
        Kept::Connector(kept) if secret.managed() == Managed::Offboarded => match &world.keeping.former {
            None => Ok(Keeps::ReadFormer),
            Some(found) if found.observed().is_some_and(|former| former.bears(&secret.fingerprint())) => {
                Err(still_there(&kept.organization, &kept.connector))
            }
            Some(_) => Ok(Keeps::Remember(wanted)),
        },
        Kept::Connector(kept) => Err(keeps_another(&kept, &wanted)),
        Kept::Unreadable => Err(unreadable_tag(secret)),
        Kept::Unknown if secret.managed() != Managed::Yes || is_ours(world, document) => Ok(Keeps::Remember(wanted)),
        Kept::Unknown => match &world.keeping.named {
            None => Ok(Keeps::ReadVersions),
            Some(others) if others.is_empty() => Ok(Keeps::Remember(wanted)),
            Some(others) => Err(which_connector(secret, &wanted, others)),
        },
    }
}

/// Compares by the tag alone, for an event that has not read the connector and does not write it yet.
///
/// # Errors
/// As [`keeps`].
pub fn keeps_no_other(world: &World, document: &Document) -> Result<(), Error> {
    let wanted = KeptConnector::of(document);
    match world.secret.kept() {
        Kept::Connector(kept) if kept != wanted => Err(keeps_another(&kept, &wanted)),
        Kept::Unreadable => Err(unreadable_tag(&world.secret)),
        Kept::Connector(_) | Kept::Unknown => Ok(()),
    }
}

fn is_ours(world: &World, document: &Document) -> bool {
    let fingerprint = world.secret.fingerprint();
    world.observed().is_some_and(|found| found.ownership(&document.organization, &fingerprint) == Ownership::Ours)
}

/// The step that sets the secret's missing tags, if any is missing.
///
/// # Errors
/// `Misconfigured` if the names are too long for a tag.
pub fn tag_step(trigger: &Trigger, world: &World, document: &Document) -> Result<Option<Step>, Error> {
    let secret = &world.secret;
    let connector = match keeps(world, document) {
        Ok(Keeps::Remember(kept)) => Some(kept.tag_value()?),
        _ => None,
    };
    let creates = matches!(trigger, Trigger::Onboard { .. }) && world.observed().is_none();
    let stack = world.keeping.stack.clone().filter(|stack| creates && secret.tags.get(STACK_TAG) != Some(stack));
    let missing = secret.managed() != Managed::Yes || connector.is_some() || stack.is_some();
    Ok(missing.then_some(Step::TagManaged { connector, stack }))
}

/// Checks that a connector may be created: no other may have the secret's fingerprint. `Ok(false)`: search first.
///
/// # Errors
/// `NeedsHuman` with both resource ids.
pub fn may_create(world: &World, document: &Document) -> Result<bool, Error> {
    match &world.keeping.elsewhere {
        None => Ok(false),
        Some(elsewhere) if elsewhere.is_empty() => Ok(true),
        Some(elsewhere) => Err(exists_elsewhere(document, elsewhere)),
    }
}
