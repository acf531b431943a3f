//! Stand-ins for the services that hubkeeper talks to: stateful, strict, and independent of hubkeeper.
//!
//! One [`World`] holds the state of every service. The services are plain functions from a request to a response
//! ([`World::call`]), so they run in one process without sockets as well as behind sockets ([`serve`]). Strict means: the sandbox
//! rejects what the real service rejects, with the same status and body.

pub mod arm;
pub mod aws;
pub mod demo;
pub mod deployed;
pub mod entra;
pub mod hub;
pub mod keys;
pub mod lambda;
pub mod leak;
mod listen;
pub mod picture;
pub mod proxy;
pub mod pty;
pub mod record;
pub mod registry;
pub mod responses;
pub mod rotation;
pub mod scene;
pub mod serve;
pub mod world;

pub use world::{Broken, Fault, Recorded, Request, Response, Service, State, World};
