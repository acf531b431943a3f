//! The proof, as values: what was seen of a token ([`evidence`]), and the verdict that is drawn from it ([`verdict`]).
//!
//! The verdict is a function of the evidence alone, and `complete` is only drawn from evidence that is whole.

pub mod evidence;
pub mod finding;
pub mod sample;
pub mod verdict;

pub use evidence::{Evidence, Reference};
pub use finding::{Finding, NotScanned, Verdict};
