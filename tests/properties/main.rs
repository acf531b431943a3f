//! What holds of the HTTP client whatever a service says. `crates/core/tests/properties` has those of the core.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod pace;
