//! Properties of the HTTP client that hold for all responses. `crates/core/tests/properties` has those of the core.

mod pace;
