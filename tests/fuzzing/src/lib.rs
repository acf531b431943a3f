//! Properties of all input from outside, from any sender: one function for each kind of input.
//!
//! Each function takes bytes and panics if a property does not hold. libFuzzer calls them (`fuzz/`, `make fuzz`), and so does a
//! plain test, with the corpora in `fuzz/corpus` and mutations of them. The comment of each target describes its input;
//! [`answers`] describes scripts of responses.
//!
//! The common property: no error shows a token of the input, in `Display` or in `Debug`.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a property fails by panicking")]

pub mod answers;
mod aws;
mod azure;
mod claims;
mod clean;
mod document;
mod event;
mod hub;
mod pace;
mod scrub;

pub use clean::MARKER;

/// A target: its name, and the check of one input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target; the names are those of the folders in `fuzz/corpus` and of the programs in `fuzz/fuzz_targets`.
pub const TARGETS: [Target; 8] = [
    ("event", event::check),
    ("document", document::check),
    ("hub", hub::check),
    ("azure", azure::check),
    ("aws", aws::check),
    ("pace", pace::check),
    ("claims", claims::check),
    ("scrub", scrub::check),
];

/// Runs the target of this name on an input.
///
/// # Panics
/// If a property does not hold, or no such target exists.
pub fn run(name: &str, input: &[u8]) {
    let (_, check) = TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target of this name");
    check(input);
}
