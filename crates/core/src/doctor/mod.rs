//! The preflight `doctor`: which checks there are and what each needs ([`checks`]), what was found ([`ledger`]), and
//! what evidence of a service means for them ([`network`], [`arm`], [`docker_hub`]).
//!
//! A check that needs another one is recorded only once that one passed. So a cause has one failed check, and what
//! depends on it is *not reached*.

pub mod arm;
pub mod checks;
pub mod docker_hub;
pub mod ledger;
pub mod network;

pub use checks::{Check, Section};
pub use ledger::{Entry, Ledger, State};
