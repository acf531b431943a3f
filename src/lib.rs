//! hubkeeper keeps the Docker Hub connector of Microsoft Defender for Cloud supplied with a proven, read-only token.
//!
//! The function. What it decides is in the package `hubkeeper-core`; here is what reads, asks and acts. A module uses those after it
//! alone (`tests/functional/layers.rs` looks):
//!
//! - [`handler`]: the boundary. JSON in, report or typed error out, logged once.
//! - [`cloudformation`]: `CloudFormation`'s requests, and the responses to them. [`fleet`]: many secrets in one event.
//! - [`run`]: one event about one secret: read the state, ask the planner, apply or print.
//! - [`apply`]: the steps of a plan, each checked again before its write. [`prove`]: gathers evidence about a token.
//! - [`read`]: the state of the world.
//! - [`process`]: what outlives an invocation. [`clients`]: the clients of one invocation.
//! - [`http`]: the HTTP client. [`metrics`], [`logging`]. [`clock`]: time and chance.
//!
//! Three promises order everything else: no gap, no unproven write, no leak (ARCHITECTURE.md says where each is kept).

pub mod apply;
pub mod clients;
pub mod clock;
pub mod cloudformation;
pub mod fleet;
pub mod handler;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod process;
pub mod prove;
pub mod read;
pub mod run;
pub mod status;
