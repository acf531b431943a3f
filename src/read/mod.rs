//! Reads the state for one event: the planner's input.

pub mod connector;
pub mod inventory;
pub mod state;
