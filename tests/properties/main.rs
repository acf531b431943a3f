//! What holds of the HTTP client whatever a service says. `crates/core/tests/properties` has those of the core.

mod pace;
