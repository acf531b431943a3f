//! The HTTP client: every request of the function, of the AWS SDK and of the identity library goes through
//! [`HttpClient::send`].

pub mod aws;
mod budget;
mod client;
mod exchange;
pub mod pace;
pub mod proxy;
pub mod recording;
mod tally;
pub mod transport;

pub(crate) use client::speaks_of_failed_logins;
pub use client::{Cause, HttpClient, HttpShared, SendError, join};
pub use exchange::{MayHaveActed, Policy, Repeat, Request, Response, UNDER_WAY};
pub use transport::{Transport, TransportError, TransportErrorKind};
