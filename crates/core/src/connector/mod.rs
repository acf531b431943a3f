//! The connector: how ARM describes it, and how hubkeeper changes it.

pub mod health;
pub mod merge;
pub mod observed;

pub use health::{Health, HealthIssue};
pub use observed::{Coverage, Found, Observed, Ownership};

#[cfg(test)]
mod tests;
