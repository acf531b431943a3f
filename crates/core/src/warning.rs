//! A finding that a run reports without stopping.

use serde::Serialize;

/// A finding that stops nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Warning {
    /// A stable name, camel case.
    pub code: &'static str,
    /// What it means, and what to do.
    pub message: String,
}

impl Warning {
    /// A warning.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}
