//! What hubkeeper decides, as values: an event is parsed, the state of the world is judged, steps and a report come out.
//!
//! Nothing here can do I/O: the package's dependencies have no client and nothing asynchronous (`.ci/run` looks). The function
//! around it (package `hubkeeper`) reads, asks and acts.
//!
//! A module uses those after it alone (ARCHITECTURE.md has the map):
//!
//! - [`report`], and [`event`] beside it: what is told, and what is asked.
//! - [`plan`]: which steps follow from the state, and what must hold right before each of them.
//! - [`proof`]: evidence and verdict.
//! - [`failure`]: what an error code or status of a service means.
//! - [`connector`], [`hub`]: what ARM and Docker Hub tell. [`secret`]: the document, labels and tags.
//! - [`request`], [`warning`], [`outcome`], [`config`], [`proxy`], [`fields`].
//! - [`error`], [`ids`], [`time`], [`redact`].

pub mod config;
pub mod connector;
pub mod error;
pub mod event;
pub mod failure;
pub mod fields;
#[cfg(test)]
mod fixtures;
pub mod hub;
pub mod ids;
pub mod outcome;
pub mod plan;
pub mod proof;
pub mod proxy;
pub mod redact;
#[cfg(test)]
mod rendered;
pub mod report;
pub mod request;
pub mod secret;
pub mod status;
pub mod time;
pub mod warning;
