//! The connector: how ARM describes it, and how hubkeeper changes it.

pub mod health;
pub mod merge;
pub mod observed;
pub mod takeover;

pub use health::{Health, HealthIssue};
pub use observed::{Coverage, Found, Observed, Ownership};
pub use takeover::{FieldChange, Shown, Takeover, changed, takeover};

#[cfg(test)]
mod tests;
