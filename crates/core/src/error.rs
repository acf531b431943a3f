//! The one error of the function: a kind (docs/report.md), what failed for which organization, and the remedy.
//!
//! Policy: an error is made where the cause is known, is given its step and its organization on the way up, and is
//! logged once, at the boundary (the function's handler). Neither `Display` nor `Debug` can show a secret: messages
//! are made of our own words, of identifiers that were checked, and of upstream text that went through [`crate::redact`].

use std::fmt;

/// The `errorType` that callers, alarms and Step Functions match on (docs/report.md).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A setting, a secret's document, a role or an upstream object is wrong.
    Misconfigured,
    /// The verdict on the token forbids the write.
    Refused,
    /// The result is inconclusive, or something is in progress: the same event may succeed later.
    Retryable,
    /// A person must act first.
    NeedsHuman,
    /// The event itself is wrong.
    BadEvent,
}

impl Kind {
    /// The wire name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Misconfigured => "Misconfigured",
            Kind::Refused => "Refused",
            Kind::Retryable => "Retryable",
            Kind::NeedsHuman => "NeedsHuman",
            Kind::BadEvent => "BadEvent",
        }
    }
}

/// What failed, where, for which organization, and what to do about it.
#[derive(Clone, PartialEq)]
pub struct Error {
    kind: Kind,
    step: Option<String>,
    organization: Option<String>,
    what: String,
    remedy: String,
}

impl Error {
    /// An error of a kind; `what` and `remedy` are lower case and without a full stop.
    pub fn new(kind: Kind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { kind, step: None, organization: None, what: what.into(), remedy: remedy.into() }
    }

    /// [`Kind::Misconfigured`].
    pub fn misconfigured(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Kind::Misconfigured, what, remedy)
    }

    /// [`Kind::Refused`].
    pub fn refused(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Kind::Refused, what, remedy)
    }

    /// [`Kind::Retryable`].
    pub fn retryable(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Kind::Retryable, what, remedy)
    }

    /// [`Kind::NeedsHuman`].
    pub fn needs_human(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(Kind::NeedsHuman, what, remedy)
    }

    /// [`Kind::BadEvent`].
    pub fn bad_event(what: impl Into<String>) -> Self {
        Self::new(Kind::BadEvent, what, "docs/events.md lists the events that hubkeeper understands")
    }

    /// Names the step, unless an inner call named it already.
    #[must_use]
    pub fn at(mut self, step: &str) -> Self {
        self.step.get_or_insert_with(|| step.to_owned());
        self
    }

    /// Names the organization, unless an inner call named it already.
    #[must_use]
    pub fn of(mut self, organization: &str) -> Self {
        self.organization.get_or_insert_with(|| organization.to_owned());
        self
    }

    /// The same error as another kind, with another remedy.
    #[must_use]
    pub fn with(mut self, kind: Kind, remedy: String) -> Self {
        self.kind = kind;
        self.remedy = remedy;
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What failed, without step, organization and remedy.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What to do about it.
    pub fn remedy(&self) -> &str {
        &self.remedy
    }

    /// The step, where one is named.
    pub fn step(&self) -> Option<&str> {
        self.step.as_deref()
    }

    /// The organization, where one is named.
    pub fn organization(&self) -> Option<&str> {
        self.organization.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(step) = &self.step {
            f.write_str(step)?;
            if let Some(organization) = &self.organization {
                write!(f, " for organization {organization}")?;
            }
            f.write_str(": ")?;
        } else if let Some(organization) = &self.organization {
            write!(f, "organization {organization}: ")?;
        }
        f.write_str(&self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "; remedy: {}", self.remedy)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {self}", self.kind.name())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_step_organization_cause_and_remedy() {
        let error =
            Error::needs_human("no version is staged HUBKEEPER_CANDIDATE", "stage one").of("acme").at("createSecret");
        assert_eq!(
            error.to_string(),
            "createSecret for organization acme: no version is staged HUBKEEPER_CANDIDATE; remedy: stage one"
        );
        assert_eq!(error.kind().name(), "NeedsHuman");
    }

    #[test]
    fn the_inner_place_knows_best() {
        let error = Error::retryable("x", "").at("inner").at("outer");
        assert_eq!(error.step(), Some("inner"));
    }
}
