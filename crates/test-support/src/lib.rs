//! What tests of several packages share; never part of the Lambda package.

pub mod property;
