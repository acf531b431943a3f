//! Tests the function in one process with the sandbox: the real handler over an injected transport, on simulated time.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod adoption;
mod binary;
mod circles;
mod corpus;
mod cost;
mod custom_resource;
mod docs;
mod doctor;
mod drift;
mod events;
mod failure_table;
mod faults;
mod fleet;
mod infra;
mod interleaving;
mod keeping;
mod layers;
mod logins;
mod makefile;
mod malformed;
mod metrics;
mod nights;
mod offboarding;
mod onboarding;
mod onboarding_pages;
mod pictures;
mod proof;
mod proxy;
mod puts;
mod reconcile;
mod requests;
mod retiring;
mod rotation;
mod secrecy;
mod status;
mod transcript;
mod transport;
mod truth;
mod upgrading;
mod widget;
mod words;
mod zero;
