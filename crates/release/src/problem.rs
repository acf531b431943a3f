//! What is wrong with a release, and what to do about it.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

/// A message for the person who makes or verifies a release: the file, what is wrong, the remedy.
#[derive(Debug, PartialEq, Eq, Clone)]
pub struct Problem(String);

impl Problem {
    /// Returns a problem with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the problem of a file, by its path or its name.
    pub fn of(file: impl AsRef<Path>, what: impl Display) -> Self {
        Self(format!("{}: {what}", file.as_ref().display()))
    }
}

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}
