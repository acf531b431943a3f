//! Tests what a person sees: the real binary on a pseudo-terminal, 80 and 140 columns wide.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test panics when it fails")]

mod acting;
mod deploying;
mod init;
mod interrupted;
mod pictures;
mod staging;
mod status;
mod support;
mod verify;

/// The widths of a terminal in a window, and of one over the whole screen.
const WIDTHS: [u16; 2] = [80, 140];
