//! The proof: evidence is gathered ([`gather`]), a verdict is drawn from it ([`verdict`]).
//!
//! Promises: nothing is written anywhere; a 401 ends the requests of its kind; the verdict is a pure function of the
//! evidence, and `complete` is only drawn from evidence that is whole.

pub mod evidence;
pub mod gather;
pub mod sample;
pub mod verdict;

pub use evidence::{Evidence, Reference};
pub use gather::Prover;
pub use verdict::{Finding, NotScanned, Verdict};
