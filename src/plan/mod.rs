//! From what is to what is done: the state as a value ([`state`]), the one planner ([`planner`]), the one executor
//! ([`execute`]).
//!
//! The contract's rules about races and order stand in [`planner`], once: what an event is admitted to, which steps follow
//! from the state, and what must still hold right before a write. The planner is pure: no I/O, no clock, no secret shown.

pub mod execute;
pub mod planner;
pub mod state;
pub mod steps;

pub use state::{Admission, Look, Situation, Trigger};
pub use steps::Step;
