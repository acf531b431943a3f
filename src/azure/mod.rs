//! Azure: a token from Entra, and the connector in ARM.

pub mod assertion;
pub mod connector;
pub mod entra;
pub mod merge;

pub use connector::{Arm, Found, Health, Neighbour};
pub use merge::Observed;
