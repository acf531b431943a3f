//! From what is to what is done: the state as a value ([`state`]), the rules ([`admit`], [`planner`], [`retire`]), the one
//! executor ([`execute`]).
//!
//! The contract's rules about races and order stand here, once: what an event is admitted to and what must still hold right
//! before a write ([`admit`]), which steps follow from the state ([`planner`]), what comes before a token ([`invite`]), which tokens may
//! go ([`retire`]). All are pure: no I/O, no clock, no secret shown.

pub mod admit;
pub mod execute;
pub mod invite;
pub mod keeping;
pub mod planner;
pub mod refusals;
pub mod retire;
pub mod state;
pub mod steps;

pub use state::{Admission, Look, Situation};
pub use steps::Step;
