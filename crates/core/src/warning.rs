//! Warnings: findings that a run reports without stopping.

use std::fmt;

use serde::{Serialize, Serializer};

/// Declares the codes, each with its documentation and its name in reports.
macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $name:literal,)+) => {
        /// The subject of a warning. docs/report.md has a table of the same names.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum WarningCode {
            $($(#[$doc])* $code,)+
        }

        impl WarningCode {
            /// Every code, by name.
            pub const ALL: &[WarningCode] = &[$(WarningCode::$code,)+];

            /// Its name in reports, in camel case. It never changes.
            pub fn name(self) -> &'static str {
                match self {
                    $(WarningCode::$code => $name,)+
                }
            }
        }
    };
}

codes! {
    /// Reconcile set the candidate aside and continued with AWSCURRENT.
    CandidateNotAdopted = "candidateNotAdopted",
    /// A rehearsal of a rotation finds no connector yet.
    ConnectorAbsent = "connectorAbsent",
    /// The connector drifted: it does not carry AWSCURRENT, its settings differ, or somebody else wrote it. Reconcile writes it.
    ConnectorDrifted = "connectorDrifted",
    /// The secret is offboarded, and a connector of that name exists without its tag: hubkeeper does not touch it.
    ConnectorLeft = "connectorLeft",
    /// Defender reports the connector as not healthy.
    ConnectorNotHealthy = "connectorNotHealthy",
    /// The connector was created without hubkeeper, which takes it over.
    ConnectorTakenOver = "connectorTakenOver",
    /// `verify` could not read the connector.
    ConnectorUnknown = "connectorUnknown",
    /// Defender does not scan some of what was proven: public repositories, image indexes.
    DefenderDoesNotScan = "defenderDoesNotScan",
    /// ARM did not keep an offering or the scan interval of the last write.
    DriftRemains = "driftRemains",
    /// The token expires before the next rotation, its window and the grace period end.
    EndsBeforeRotation = "endsBeforeRotation",
    /// The token has expired.
    Expired = "expired",
    /// The token expires in 30 days or less; the level reached is 30, 14, 7 or 1.
    ExpiresSoon = "expiresSoon",
    /// The secret has no `expiresAt`, so hubkeeper cannot warn before the token expires.
    ExpiryUnknown = "expiryUnknown",
    /// The token sees fewer repositories than at the last proof of its version.
    FewerRepositories = "fewerRepositories",
    /// The location in the secret differs from the connector's, which ARM cannot change.
    LocationKept = "locationKept",
    /// The response to the creation of a token was lost, and hubkeeper created another token.
    MintRepeated = "mintRepeated",
    /// No manifest of the sample was read.
    NoManifestRead = "noManifestRead",
    /// No visible repository is private: any token sees the public ones.
    NoPrivateRepository = "noPrivateRepository",
    /// The tokens in use are not known, so no token was retired.
    NothingRetired = "nothingRetired",
    /// There is nothing to compare the list of repositories with.
    NothingToCompare = "nothingToCompare",
    /// Offerings of others were in the connector before the write and are missing after it.
    OfferingsLost = "offeringsLost",
    /// The resource group has other connectors of the organization.
    OtherConnectors = "otherConnectors",
    /// The token can do more than read, and `HUBKEEPER_OVER_PRIVILEGE=warn` allows it.
    OverPrivileged = "overPrivileged",
    /// AWSPENDING stays on a version whose rotation is over, so `RotateSecret` fails.
    PendingLeftover = "pendingLeftover",
    /// An organization access token has rights per repository, so read-only is not proven.
    ReadOnlyNotProvable = "readOnlyNotProvable",
    /// A token created by hand was replaced; a person has to revoke it.
    ReplacedByHand = "replacedByHand",
    /// A minted token was replaced, and the secret names no manager that could retire it.
    ReplacedWithoutManager = "replacedWithoutManager",
    /// The response to a resent invitation was lost; it counts as sent.
    ResendUnknown = "resendUnknown",
    /// The dedicated user has a higher role than `user` requests.
    RoleHigher = "roleHigher",
    /// The dedicated user has a custom role, or Docker Hub does not report its role.
    RoleUnknown = "roleUnknown",
    /// A version has been AWSPENDING for more than a day.
    RotationStuck = "rotationStuck",
    /// A replaced token was used after its replacement; hubkeeper keeps it longer.
    StillUsed = "stillUsed",
    /// Docker Hub returned 403 for a tag list, so the repository counts as one without tags.
    TagsNotReadable = "tagsNotReadable",
    /// A rehearsal of a rotation finds no token yet.
    TokenAbsent = "tokenAbsent",
    /// `tokenId` names another token than the one in the document.
    TokenIdMismatch = "tokenIdMismatch",
    /// The value of a token is gone, and a version in use may hold it; hubkeeper keeps it.
    TokenKept = "tokenKept",
    /// The token was minted for another secret.
    TokenOfAnotherSecret = "tokenOfAnotherSecret",
    /// A token in use was inactive; hubkeeper activated it.
    TokenReactivated = "tokenReactivated",
    /// The secret is offboarded, and some of its tokens wait for the end of their grace period.
    TokensLeft = "tokensLeft",
    /// A minted token could be neither stored nor deleted.
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

/// A finding that does not stop the run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Warning {
    /// Its subject.
    pub code: WarningCode,
    /// Its meaning and its remedy.
    pub message: String,
}

impl Warning {
    /// Returns a warning.
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
