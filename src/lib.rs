//! hubkeeper keeps the Docker Hub connector of Microsoft Defender for Cloud supplied with a proven, read-only token.
//!
//! The map. An event takes the way from top to bottom:
//!
//! - [`event_handler`]: the boundary. JSON in, report or typed error out, logged once.
//! - [`custom_resource`]: `CloudFormation`'s requests, and the answers to them.
//! - [`event`]: strict parsing of every event shape.
//! - [`flow`]: the way of one event: read the state, ask the planner, run or print.
//! - [`plan`]: the planner (pure: the rules about order and races) and the executor (checks again before each write).
//! - [`proof`]: evidence and verdict. [`hub`]: Docker Hub and its registry.
//! - [`azure`]: Entra and the connector. [`secret`]: the document, its versions, Secrets Manager.
//! - [`http`]: the one way out. [`clock`]: time and chance. [`config`], [`error`], [`metrics`], [`logging`].
//! - [`process`]: what outlives an invocation. [`services`]: the clients of one invocation.
//! - [`request`], [`outcome`], [`warning`], [`report`]: what is asked for and what came of it.
//!
//! Three promises order everything else: no gap, no unproven write, no leak (ARCHITECTURE.md says where each is kept).

pub mod azure;
pub mod clock;
pub mod config;
pub mod custom_resource;
pub mod error;
pub mod event;
pub mod event_handler;
pub mod fleet;
pub mod flow;
pub mod http;
pub mod hub;
pub mod logging;
pub mod metrics;
pub mod outcome;
pub mod plan;
pub mod process;
pub mod proof;
pub mod report;
pub mod request;
pub mod secret;
pub mod services;
pub mod warning;
