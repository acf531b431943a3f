//! Reads the state of the world for one event: what the planner is given.

pub mod connector;
pub mod inventory;
pub mod state;
