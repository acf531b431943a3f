//! The connector: what ARM says of it, and what hubkeeper makes of it.

pub mod health;
pub mod merge;
pub mod observed;

pub use health::{Health, HealthIssue};
pub use observed::{Coverage, Found, Observed, Ownership};

#[cfg(test)]
mod tests;
