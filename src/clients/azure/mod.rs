//! The clients of Microsoft: bearer tokens from Entra, and the connector in ARM.

pub mod arm;
pub mod assertion;
pub mod entra;

pub use arm::{Arm, Neighbour};
