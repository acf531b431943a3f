//! A finding that a run reports without stopping.

use std::fmt;

use serde::{Serialize, Serializer};

/// Declares the codes: each once, with its documentation and its name on the wire.
macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $name:literal,)+) => {
        /// What a warning is about. The table of warnings in docs/report.md lists the same names.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum WarningCode {
            $($(#[$doc])* $code,)+
        }

        impl WarningCode {
            /// Every code, by name.
            pub const ALL: &[WarningCode] = &[$(WarningCode::$code,)+];

            /// Its name in reports, camel case. It never changes.
            pub fn name(self) -> &'static str {
                match self {
                    $(WarningCode::$code => $name,)+
                }
            }
        }
    };
}

codes! {
    /// Reconcile set the candidate aside and went on with AWSCURRENT.
    CandidateNotAdopted = "candidateNotAdopted",
    /// A rotation that is only tried out finds no connector yet.
    ConnectorAbsent = "connectorAbsent",
    /// The connector does not carry AWSCURRENT, or its settings or last writer are not ours; reconcile writes it.
    ConnectorDrifted = "connectorDrifted",
    /// The secret is offboarded, and a connector of that name exists without its tag: it is left alone.
    ConnectorLeft = "connectorLeft",
    /// Defender reports the connector as not healthy.
    ConnectorNotHealthy = "connectorNotHealthy",
    /// The connector was made without hubkeeper and is taken over.
    ConnectorTakenOver = "connectorTakenOver",
    /// `verify` could not read the connector.
    ConnectorUnknown = "connectorUnknown",
    /// Some of what was proven is not scanned by Defender: public repositories, image indexes.
    DefenderDoesNotScan = "defenderDoesNotScan",
    /// ARM did not keep an offering or the scan interval that was just written.
    DriftRemains = "driftRemains",
    /// The token ends before the next rotation, its window and the grace period are over.
    EndsBeforeRotation = "endsBeforeRotation",
    /// The token has expired.
    Expired = "expired",
    /// The token expires in 30 days or less; the level reached is 30, 14, 7 or 1.
    ExpiresSoon = "expiresSoon",
    /// The secret has no `expiresAt`, so nobody can be warned in time.
    ExpiryUnknown = "expiryUnknown",
    /// The token sees fewer repositories than at the last proof of its version.
    FewerRepositories = "fewerRepositories",
    /// The location in the secret differs from the one that ARM fixed at creation.
    LocationKept = "locationKept",
    /// The response to the creation of a token was lost, and another was made.
    MintRepeated = "mintRepeated",
    /// No manifest of the sample was read.
    NoManifestRead = "noManifestRead",
    /// No visible repository is private: any token sees the public ones.
    NoPrivateRepository = "noPrivateRepository",
    /// What is in use is not known, so no token was retired.
    NothingRetired = "nothingRetired",
    /// There is no other view to compare the list with.
    NothingToCompare = "nothingToCompare",
    /// Offerings of others were in the connector before the write and not after it.
    OfferingsLost = "offeringsLost",
    /// The resource group has other connectors of the organization.
    OtherConnectors = "otherConnectors",
    /// The token can do more than read, and `HUBKEEPER_OVER_PRIVILEGE` lets it pass.
    OverPrivileged = "overPrivileged",
    /// AWSPENDING stays on a version whose rotation is over, so `RotateSecret` fails.
    PendingLeftover = "pendingLeftover",
    /// An organization access token has rights for each repository, so read-only is not proven.
    ReadOnlyNotProvable = "readOnlyNotProvable",
    /// A token that was made by hand was replaced; a person has to revoke it.
    ReplacedByHand = "replacedByHand",
    /// A minted token was replaced, and the secret names no manager that could retire it.
    ReplacedWithoutManager = "replacedWithoutManager",
    /// The response to a resent invitation was lost: it counts as sent.
    ResendUnknown = "resendUnknown",
    /// The dedicated user has a higher role than `user` asks for.
    RoleHigher = "roleHigher",
    /// The dedicated user's role is not one of Docker's own, or is not told.
    RoleUnknown = "roleUnknown",
    /// A version has been AWSPENDING for more than a day.
    RotationStuck = "rotationStuck",
    /// A replaced token was used since; it is kept a while longer.
    StillUsed = "stillUsed",
    /// A tag list answered 403, so the repository counts as one without tags.
    TagsNotReadable = "tagsNotReadable",
    /// A rotation that is only tried out finds no token yet.
    TokenAbsent = "tokenAbsent",
    /// `tokenId` names a personal access token of another value.
    TokenIdMismatch = "tokenIdMismatch",
    /// The value of a token is gone, and a version in use may hold it: it is kept.
    TokenKept = "tokenKept",
    /// The token was minted for another secret.
    TokenOfAnotherSecret = "tokenOfAnotherSecret",
    /// A token in use had been deactivated and was activated.
    TokenReactivated = "tokenReactivated",
    /// The secret is offboarded, and some of its tokens wait for the end of the grace period.
    TokensLeft = "tokensLeft",
    /// A minted token that could not be stored could not be deleted either.
    UnstoredToken = "unstoredToken",
    /// The tag `hubkeeper-writer` could not be set.
    WriterNotRemembered = "writerNotRemembered",
}

impl fmt::Display for WarningCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for WarningCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A finding that stops nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Warning {
    /// What it is about.
    pub code: WarningCode,
    /// What it means, and what to do.
    pub message: String,
}

impl Warning {
    /// A warning.
    pub fn new(code: WarningCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_each_stands_once() {
        let names: Vec<&str> = WarningCode::ALL.iter().map(|code| code.name()).collect();
        assert!(names.is_sorted_by(|one, other| one < other), "{names:?}");
    }
}
