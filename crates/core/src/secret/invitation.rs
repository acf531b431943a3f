//! The state of the dedicated user's invitation, as the secret's tag `hubkeeper-invite` records it (docs/operating.md).
//!
//! The tag is written before the request that it records, so that an interrupted run never sends a second invitation or a third
//! resend. A value that cannot be parsed is an error; it never starts another invitation.

use serde::{Serialize, Serializer};

use crate::error::Error;
use crate::secret::labels::Secret;
use crate::time::{Timestamp, parse_rfc3339, rfc3339};

/// The tag that holds the state.
pub const INVITE_TAG: &str = "hubkeeper-invite";
/// Maximum number of resends.
pub const RESENDS: u8 = 2;

/// The state of the invitation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invitation {
    /// A run is about to send it, or was interrupted while it sent it.
    Asked,
    /// It was sent, and nobody has accepted it yet.
    Pending {
        /// When it was first sent, in whole seconds.
        sent_at: Timestamp,
        /// Number of resends.
        resends: u8,
    },
    /// The dedicated user is a member as requested: the invitation is complete.
    Member,
}

impl Invitation {
    /// Parses the tag's value; `None` if it is malformed.
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

    /// The state's name in reports.
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
    /// Reads the tag `hubkeeper-invite`; `None` if the secret does not have it.
    ///
    /// # Errors
    /// `NeedsHuman` if the value cannot be parsed.
    pub fn invitation(&self) -> Result<Option<Invitation>, Error> {
        let Some(value) = self.tags.get(INVITE_TAG) else { return Ok(None) };
        Invitation::parse(value).map(Some).ok_or_else(|| {
            Error::needs_human(
                "the secret's tag hubkeeper-invite has a value that cannot be read, so nobody is invited",
                format!(
                    "see at Docker Hub whether the dedicated user is invited; then remove the tag, which lets hubkeeper invite the user if it is not invited yet: {}",
                    self.untag_invitation()
                ),
            )
        })
    }

    /// The command that lets hubkeeper start over.
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
