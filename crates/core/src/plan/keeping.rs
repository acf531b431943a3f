//! Whether an event may work on the connector that its document names: the secret remembers which one it keeps
//! (tag `hubkeeper-connector`), and no put, however many there were, leads away from it. Pure.

use crate::connector::observed::Ownership;
use crate::error::Error;
use crate::plan::refusals::{exists_elsewhere, keeps_another, still_there, unreadable_tag, which_connector};
use crate::plan::state::World;
use crate::plan::steps::Step;
use crate::request::Trigger;
use crate::secret::kept::STACK_TAG;
use crate::secret::{Document, Kept, KeptConnector, Managed};

/// What is known about the document's connector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Keeps {
    /// The tag names it.
    Known,
    /// The tag is to name it from now on.
    Remember(KeptConnector),
    /// The versions with a staging label have to be read first.
    ReadVersions,
    /// The connector that the tag names has to be read first.
    ReadFormer,
}

/// Judges the connector that `document` names by the tag.
///
/// # Errors
/// `NeedsHuman` where the secret keeps another connector, or where it is not known which.
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

/// The same where the connector was not read, and nothing is written to it yet: only what the tag says counts.
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

/// The step that sets the secret's tags, where one is missing.
///
/// # Errors
/// `Misconfigured` where the names are too long for a tag.
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

/// Whether a connector may be created: none that bears the secret's fingerprint may exist elsewhere. `Ok(false)`: look first.
///
/// # Errors
/// `NeedsHuman` with both ids.
pub fn may_create(world: &World, document: &Document) -> Result<bool, Error> {
    match &world.keeping.elsewhere {
        None => Ok(false),
        Some(elsewhere) if elsewhere.is_empty() => Ok(true),
        Some(elsewhere) => Err(exists_elsewhere(document, elsewhere)),
    }
}
