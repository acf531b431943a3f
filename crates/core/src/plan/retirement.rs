//! Decides which tokens may be retired, and when (docs/operating.md). Pure.
//!
//! A PAT is in use when a version in use holds the same token as the version that the PAT's label names. Versions in use are AWSCURRENT,
//! a rotation's AWSPENDING, the candidate and the version in the connector's tag. Values decide, not ids: a `tokenId` is a hint that
//! protects a PAT until the values refute it ([`stock`]). A PAT in use is never retired, whatever its age; time decides about the rest
//! ([`inventory`]).

use std::collections::BTreeSet;

use crate::ids::VersionId;
use crate::plan::steps::Step;
use crate::warning::{Warning, WarningCode};

pub mod inventory;
pub mod stock;
pub mod token_ids;

use inventory::Touch;
pub use inventory::{Inventory, Remembered};
use stock::Labelled;
pub use stock::{Content, Contents, Stock, Stored, TokenNumber, Use, versions_in_use};
pub use token_ids::{copied_ids, token_id_mismatch, token_of_another_secret};

/// What the caller must read before [`plan`] can decide.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Wants {
    /// Versions whose values are missing.
    pub values: BTreeSet<VersionId>,
    /// Whether the history is missing.
    pub history: bool,
}

/// The steps for the secret's PATs, and the warnings about them.
#[derive(Clone, PartialEq, Debug)]
pub struct Retirement {
    /// Steps, in execution order.
    pub steps: Vec<Step>,
    /// Warnings; none of them stops the run.
    pub warnings: Vec<Warning>,
}

/// Lists what the caller must read next: first the values of the versions in use, then the history, then the values of PATs that may be
/// due. Empty once [`plan`] can decide.
pub fn wants(inventory: &Inventory<'_>) -> Wants {
    let stock = &inventory.stock;
    if inventory.touch() != Touch::WhatIsDue {
        return Wants::default();
    }
    let of_history = |wanted: bool| Wants { history: wanted && inventory.history.is_none(), ..Wants::default() };
    if stock.offboarded() {
        return of_history(!stock.ours.is_empty());
    }
    let unread: BTreeSet<VersionId> = stock.unread().cloned().collect();
    if !unread.is_empty() {
        return Wants { values: unread, history: false };
    }
    if inventory.stuck() {
        return Wants::default();
    }
    let protected = |labelled: &Labelled<'_>| matches!(stock.judge(labelled), Use::InUse | Use::Named);
    let history = of_history(!stock.ours.iter().all(protected));
    if history.history {
        return history;
    }
    let mut values = BTreeSet::new();
    for labelled in &stock.ours {
        let marked = labelled.retiring && !labelled.pat.active;
        if marked || inventory.due(labelled).is_some() {
            values.extend(stock.needs(&labelled.pat.id));
        }
    }
    Wants { values, history: false }
}

/// Plans the steps for the secret's PATs. The caller has read what [`wants`] lists:
/// a PAT whose value was not read is kept.
pub fn plan(inventory: &Inventory<'_>) -> Retirement {
    let stock = &inventory.stock;
    let (mut steps, mut warnings) = (Vec::new(), Vec::new());
    if !stock.offboarded() && !inventory.stuck() {
        warnings = stock.odd_ids();
    }
    if let Touch::Nothing(why) = inventory.touch() {
        warnings.extend(why);
        return Retirement { steps, warnings };
    }
    for labelled in &stock.ours {
        let pat = labelled.pat;
        let id = pat.id.clone();
        let judged = stock.judge(labelled);
        if inventory.stuck() {
            if stock.is_left_behind(labelled) && judged == Use::Unused {
                steps.push(inventory.next_phase(pat));
            }
            continue;
        }
        if matches!(judged, Use::InUse | Use::Named) {
            if labelled.retiring && !pat.active {
                steps.push(Step::ActivateToken { id });
            }
            continue;
        }
        let Some(since) = inventory.due(labelled) else { continue };
        if let Some(warning) = inventory.still_used(labelled, since) {
            warnings.push(warning);
            continue;
        }
        match judged {
            Use::Unused => steps.push(inventory.next_phase(pat)),
            Use::Unknown => warnings.push(Warning::new(WarningCode::TokenKept,
                format!(
                    "the token {id} is kept: the value of its version {} cannot be read any more, and a version in use holds a token that is not known to be another one. Revoke it at Docker Hub if nothing uses it",
                    labelled.version
                ),
            )),
            Use::InUse | Use::Named | Use::Unread => {}
        }
    }
    Retirement { steps, warnings }
}

#[cfg(test)]
mod tests;
