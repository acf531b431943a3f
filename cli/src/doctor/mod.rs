//! What `hubkeeper doctor` checks beside the function's own checks: the login of the person, and what the stack deploys
//! around the function. [`found`] decides, the rest reads.

pub mod deployment;
pub mod found;
pub mod login;
