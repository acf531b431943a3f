//! Plans the steps from the observed state ([`state`]), as pure values.
//!
//! The rules about races and order (docs/events.md) live here only: which events are admitted ([`admission`]), what must still hold
//! right before a write ([`preconditions`]), which steps follow from the state ([`planner`], with one module for each kind of event),
//! what must precede a token ([`membership`]), and which tokens may be retired ([`retirement`]).

pub mod admission;
pub mod keeping;
pub mod membership;
mod onboard;
pub mod planner;
pub mod preconditions;
mod reconcile;
pub mod refusals;
pub mod retirement;
mod rotation;
pub mod rules;
pub mod state;
pub mod steps;

pub use state::{Admission, Progress, Recheck, State, World};
pub use steps::Step;
