//! How far the invitation of the dedicated user is: the secret's tag `hubkeeper-invite` (docs/operating.md).
//!
//! The tag is written before what it speaks of, so that a killed run never sends a second invitation or a third resend. A value
//! that cannot be read is an error, never the beginning of another invitation.

use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::secret::labels::Secret;
use crate::time::{Timestamp, parse_rfc3339, rfc3339};

/// The tag that holds the state.
pub const INVITE_TAG: &str = "hubkeeper-invite";
/// Times that an invitation is sent again at most.
pub const RESENDS: u8 = 2;

/// How far the invitation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invitation {
    /// It is about to be sent, or a run was killed while it sent it.
    Asked,
    /// It was sent, and nobody has accepted it yet.
    Pending {
        /// When it was sent first, whole seconds.
        sent_at: Timestamp,
        /// Times that it was sent again.
        resends: u8,
    },
    /// The dedicated user is a member as asked: nothing is left to be done.
    Member,
}

impl Invitation {
    /// By the tag's value; `None` where it cannot be read.
    pub fn parse(value: &str) -> Option<Self> {
        match value.split(' ').collect::<Vec<_>>().as_slice() {
            ["asked"] => Some(Invitation::Asked),
            ["member"] => Some(Invitation::Member),
            ["pending", sent_at, resends] => {
                let resends = resends.parse().ok().filter(|resends| *resends <= RESENDS)?;
                Some(Invitation::Pending { sent_at: parse_rfc3339(sent_at)?, resends })
            }
            _ => None,
        }
    }

    /// The tag's value.
    pub fn value(&self) -> String {
        match self {
            Invitation::Asked | Invitation::Member => self.name().to_owned(),
            Invitation::Pending { sent_at, resends } => format!("pending {} {resends}", rfc3339(*sent_at)),
        }
    }

    /// Its name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Invitation::Asked => "asked",
            Invitation::Pending { .. } => "pending",
            Invitation::Member => "member",
        }
    }
}

impl Serialize for Invitation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.value())
    }
}

impl Secret {
    /// What the tag `hubkeeper-invite` says; `None` where there is none.
    ///
    /// # Errors
    /// `NeedsHuman` where it cannot be read.
    pub fn invitation(&self) -> Result<Option<Invitation>, Error> {
        let Some(value) = self.tags.get(INVITE_TAG) else { return Ok(None) };
        Invitation::parse(value).map(Some).ok_or_else(|| {
            Error::needs_human(
                "the secret's tag hubkeeper-invite has a value that cannot be read, so nobody is invited",
                format!(
                    "see at Docker Hub whether the dedicated user is invited; then take the tag off, which lets hubkeeper invite where nobody is: {}",
                    self.untag_invitation()
                ),
            )
        })
    }

    /// The command that lets hubkeeper begin anew.
    pub fn untag_invitation(&self) -> String {
        format!("aws secretsmanager untag-resource --secret-id {} --tag-keys {INVITE_TAG}", self.arn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::secret;

    #[test]
    fn every_state_is_read_as_it_was_written_and_nothing_else_is() {
        let sent_at = time::macros::datetime!(2026-11-24 10:00 UTC);
        for state in [
            Invitation::Asked,
            Invitation::Pending { sent_at, resends: 0 },
            Invitation::Pending { sent_at, resends: 2 },
            Invitation::Member,
        ] {
            assert_eq!(Invitation::parse(&state.value()), Some(state), "{}", state.value());
        }
        for other in [
            "",
            "Member",
            "member ",
            "pending",
            "pending 2026-11-24T10:00:00Z",
            "pending 2026-11-24T10:00:00Z 3",
            "pending yesterday 0",
            "pending 2026-11-24T10:00:00Z 0 0",
        ] {
            assert_eq!(Invitation::parse(other), None, "{other}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_for_a_person() {
        let mut secret = secret(&[]);
        assert_eq!(secret.invitation().unwrap(), None);
        secret.tags.insert(INVITE_TAG.into(), "sent".into());
        let error = secret.invitation().unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::NeedsHuman);
        assert!(error.to_string().contains("untag-resource"), "{error}");
    }
}
