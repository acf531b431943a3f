//! From what is to what is to be done: the state as a value ([`state`]), the rules, the steps.
//!
//! The rules about races and order (docs/events.md) are here, once: what an event is admitted to ([`admission`]), what must still hold
//! right before a write ([`preconditions`]), which steps follow from the state ([`planner`], with one module for each kind of event),
//! what comes before a token ([`membership`]), which tokens may go ([`retirement`]).

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
