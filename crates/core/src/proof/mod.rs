//! The proof, as values: what a run observed of a token ([`evidence`]), and the verdict that follows from it ([`verdict`]).
//!
//! The verdict is a function of the evidence alone. Only complete evidence leads to `complete`.

pub mod evidence;
pub mod finding;
pub mod sample;
pub mod verdict;

pub use evidence::{Evidence, Reference};
pub use finding::{Finding, NotScanned, Verdict};
