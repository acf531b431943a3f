//! The function in one process with the sandbox: the real handler over an injected transport, on simulated time.

mod adoption;
mod docs;
mod events;
mod faults;
mod interleaving;
mod malformed;
mod onboarding;
mod proof;
mod rotation;
mod secrecy;
mod world;
