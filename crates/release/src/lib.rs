//! Releases of hubkeeper: `make release` assembles one, checks it, and compares two of them (`docs/releasing.md`).
//!
//! What a file holds depends on its inputs alone: no clock, no order of folders, no umask, no path of the machine.

pub mod archive;
pub mod assemble;
pub mod binary;
pub mod check;
pub mod compare;
pub mod names;
pub mod notes;
pub mod problem;
pub mod sbom;
pub mod source;
pub mod sums;
pub mod template;
