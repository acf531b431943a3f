//! Helpers that the tests of several packages share. Never part of the Lambda package.

pub mod property;
