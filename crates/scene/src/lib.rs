//! One world for the tests: an organization, its dedicated user, a secret, an Azure resource group, and the function.
//!
//! In every test a watch checks the three promises at every change of the sandbox's state. When the [`Scene`] ends, every output
//! is searched for secrets.
//!
//! [`transcript`] compares a transcript with the exchanges of the sandbox.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests alone use it, and they fail by panicking")]

mod clock;
mod gate;
mod logs;
mod scene;
pub mod transcript;
mod transport;
mod world;

pub use clock::SimClock;
pub use gate::{Gate, gate, interleave, kill};
pub use logs::{log_from, logged, take_logged};
pub use scene::{Answer, Begin, Scene, TIMEOUT, outcome};
pub use transport::InProcess;
pub use world::{
    CLIENT, CONNECTOR, EMAIL, GROUP, ORG, OWNER, OWNER_PASSWORD, OWNER_SECRET, PASSWORD, SECRET, SUBSCRIPTION, TENANT,
    USER, broken_promises, build, build_zero, document, watch,
};
