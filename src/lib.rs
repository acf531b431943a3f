//! hubkeeper keeps the Docker Hub connector of Microsoft Defender for Cloud supplied with a proven, read-only token.
//!
//! This package is the AWS Lambda function: it reads, sends requests and writes. The package `hubkeeper-core` makes the
//! decisions. Each module uses only modules below it in this list (`tests/functional/layers.rs` checks that):
//!
//! - [`handler`]: the boundary to Lambda. Parses the event, returns a report or a typed error, and logs it once.
//! - [`cloudformation`]: `CloudFormation`'s requests and their responses. [`fleet`]: an event about many secrets.
//! - [`run`]: one event about one secret. Reads the state, asks the planner, and applies or prints the plan.
//! - [`status`] and [`doctor`]: events that only read.
//! - [`apply`]: the steps of a plan, each checked again before its write. [`prove`]: gathers evidence about a token.
//! - [`read`]: reads the state that the planner needs.
//! - [`process`]: the state that lives as long as the process. [`clients`]: the clients of one invocation.
//! - [`http`]: the HTTP client. [`metrics`] and [`logging`]. [`clock`]: time and randomness. [`observer`]: progress.
//!
//! Three promises determine the design: no gap, no unproven write, no leak (ARCHITECTURE.md says which code keeps
//! each).

pub mod apply;
pub mod clients;
pub mod clock;
pub mod cloudformation;
pub mod doctor;
pub mod fleet;
pub mod handler;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod observer;
pub mod process;
pub mod prove;
pub mod read;
pub mod run;
pub mod status;
