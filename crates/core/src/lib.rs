//! hubkeeper's decisions, as pure values: parse an event, judge the state of the world, return steps and a report.
//!
//! Nothing here does I/O: no dependency of the package is a client or asynchronous (`.ci/run` checks that). The package
//! `hubkeeper` reads the state, calls this one and executes the steps.
//!
//! A module uses only those below it (ARCHITECTURE.md has the map):
//!
//! - [`status`] and [`doctor`]: the state of a secret, and the checks of a preflight.
//! - [`report`] and [`event`]: the result of an event, and the event.
//! - [`plan`]: the steps that follow from the state, and what must hold right before each of them.
//! - [`proof`]: evidence and verdict.
//! - [`failure`]: what an error code or status of a service means.
//! - [`connector`], [`hub`]: the responses of ARM and Docker Hub. [`secret`]: the document, labels and tags.
//!   [`transcript`]: HTTP exchanges without their values. [`traffic`]: what requests cost, by service.
//! - [`request`], [`warning`], [`outcome`], [`config`], [`proxy`], [`fields`].
//! - [`error`], [`ids`], [`time`], [`redact`].

pub mod config;
pub mod connector;
pub mod doctor;
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
pub mod traffic;
pub mod transcript;
pub mod warning;
