//! Pictures for the README, drawn from real runs: a terminal, and a sequence diagram.

pub mod sequence;
pub mod svg;
pub mod terminal;
