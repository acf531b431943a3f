//! The typed steps of a plan: what `mode: plan` prints and what the executor runs.

use serde::Serialize;

use crate::ids::{TokenId, VersionId};
use crate::secret::document::Role;
use crate::secret::{Invitation, Label};

/// One step. The executor checks its preconditions again right before the write.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "step", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Step {
    /// Tag the secret `hubkeeper` = `managed`, and record its connector if no tag records it yet.
    TagManaged {
        /// Value of the tag `hubkeeper-connector`.
        #[serde(skip_serializing_if = "Option::is_none")]
        connector: Option<String>,
        /// Value of the tag `hubkeeper-stack`.
        #[serde(skip_serializing_if = "Option::is_none")]
        stack: Option<String>,
    },
    /// Tag the secret `hubkeeper` = `offboarded`.
    TagOffboarded,
    /// Record the state of the invitation in the tag `hubkeeper-invite`.
    TagInvite {
        /// The tag's new state.
        state: Invitation,
    },
    /// Invite the dedicated user to the organization.
    Invite {
        /// The role.
        role: Role,
        /// The team.
        #[serde(skip_serializing_if = "Option::is_none")]
        team: Option<String>,
    },
    /// Resend the invitation.
    Resend,
    /// Give the dedicated user the requested role.
    SetRole {
        /// The role.
        role: Role,
    },
    /// Add the dedicated user to the requested team.
    AddToTeam {
        /// The team.
        team: String,
    },
    /// Delete the connector.
    DeleteConnector,
    /// Deactivate a PAT that is not in use. If it turns out to be in use, it is activated again.
    DeactivateToken {
        /// Its uuid.
        id: TokenId,
    },
    /// Delete a PAT that an earlier run deactivated.
    DeleteToken {
        /// Its uuid.
        id: TokenId,
    },
    /// Activate a PAT in use that an interrupted run left deactivated.
    ActivateToken {
        /// Its uuid.
        id: TokenId,
    },
    /// Mint a PAT and put it under this version id and label.
    MintToken {
        /// Version id.
        version: VersionId,
        /// Staging label of the put.
        label: Label,
    },
    /// Copy the candidate's document into the pending version.
    CopyCandidate {
        /// The candidate.
        from: VersionId,
        /// The pending version.
        to: VersionId,
    },
    /// Revoke every orphaned token: a PAT with this version's label that is not the one stored under it.
    #[serde(rename = "revokeStrays")]
    RevokeOrphaned {
        /// Version id.
        version: VersionId,
    },
    /// Stage a version that has lost its label.
    StageCandidate {
        /// Version id.
        version: VersionId,
    },
    /// Prove a token that does not exist yet at planning time.
    Prove {
        /// Version id.
        version: VersionId,
    },
    /// Write the connector and read it back.
    WriteConnector {
        /// Version that the connector carries afterwards.
        version: VersionId,
        /// Whether the step creates the connector.
        create: bool,
    },
    /// Move AWSCURRENT, if the expected version still has it (compare-and-swap).
    MoveCurrent {
        /// Version that has it now.
        from: VersionId,
        /// Version that has it afterwards.
        to: VersionId,
    },
    /// Remove the label `HUBKEEPER_CANDIDATE`.
    Unstage {
        /// Version that has it.
        from: VersionId,
    },
}

impl Step {
    /// Its name in the report's stages.
    pub fn name(&self) -> &'static str {
        match self {
            Step::TagManaged { .. } => "tagManaged",
            Step::TagOffboarded => "tagOffboarded",
            Step::TagInvite { .. } => "tagInvite",
            Step::Invite { .. } => "invite",
            Step::Resend => "resend",
            Step::SetRole { .. } => "setRole",
            Step::AddToTeam { .. } => "addToTeam",
            Step::DeleteConnector => "deleteConnector",
            Step::DeactivateToken { .. } => "deactivateToken",
            Step::DeleteToken { .. } => "deleteToken",
            Step::ActivateToken { .. } => "activateToken",
            Step::MintToken { .. } => "mintToken",
            Step::CopyCandidate { .. } => "copyCandidate",
            Step::RevokeOrphaned { .. } => "revokeStrays",
            Step::StageCandidate { .. } => "stageCandidate",
            Step::Prove { .. } => "prove",
            Step::WriteConnector { .. } => "writeConnector",
            Step::MoveCurrent { .. } => "moveCurrent",
            Step::Unstage { .. } => "unstage",
        }
    }
}
