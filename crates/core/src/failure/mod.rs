//! Maps an error code or status of a service to the kind of the error and its remedy. One file for each service.
//!
//! The clients parse a response into the values here; nothing here sends or retries a request.

pub mod arm;
pub mod aws;
pub mod docker_hub;
pub mod entra;
pub mod secrets_manager;
pub mod sqs;
pub mod sts;
