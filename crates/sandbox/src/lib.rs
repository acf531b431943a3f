//! Stand-ins for the services that hubkeeper talks to: stateful, strict, and without any knowledge of hubkeeper.
//!
//! One [`World`] holds the state of every service. Its services are plain functions from a request to a response
//! ([`World::call`]), so that they run in one process without sockets as well as behind real ones ([`serve`]).
//! Strict means: what the real service refuses is refused here, with its status and its body.

pub mod arm;
pub mod aws;
pub mod demo;
pub mod entra;
pub mod hub;
pub mod keys;
pub mod lambda;
pub mod leak;
pub mod picture;
pub mod proxy;
pub mod record;
pub mod registry;
pub mod responses;
pub mod rotation;
pub mod scene;
pub mod serve;
pub mod world;

pub use world::{Broken, Fault, Recorded, Request, Response, Service, State, World};
