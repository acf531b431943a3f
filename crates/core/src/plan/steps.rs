//! The typed steps of a plan: what `mode: plan` prints and what the executor runs.

use serde::Serialize;

use crate::secret::document::Role;
use crate::secret::{Invitation, Label};

/// One step. Each is checked again right before its write.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(tag = "step", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Step {
    /// Tag the secret `hubkeeper` = `managed`, and remember its connector where that is not remembered yet.
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
    /// Note in the tag `hubkeeper-invite` how far the invitation is.
    TagInvite {
        /// What the tag says afterwards.
        state: Invitation,
    },
    /// Invite the dedicated user into the organization.
    Invite {
        /// As what.
        role: Role,
        /// Into which team.
        #[serde(skip_serializing_if = "Option::is_none")]
        team: Option<String>,
    },
    /// Send the invitation again.
    Resend,
    /// Give the dedicated user the role that was asked for.
    SetRole {
        /// The role.
        role: Role,
    },
    /// Take the dedicated user into the team that was asked for.
    AddToTeam {
        /// The team.
        team: String,
    },
    /// Delete the connector.
    DeleteConnector,
    /// Deactivate a PAT that is not in use; activate it again should it turn out to be.
    DeactivateToken {
        /// Its uuid.
        id: String,
    },
    /// Delete a PAT that was deactivated at an earlier run.
    DeleteToken {
        /// Its uuid.
        id: String,
    },
    /// Activate a PAT that is in use and that an interrupted run left deactivated.
    ActivateToken {
        /// Its uuid.
        id: String,
    },
    /// Make a PAT and put it, under this version id and label.
    MintToken {
        /// Version id.
        version: String,
        /// Staging label of the put.
        label: Label,
    },
    /// Copy the candidate's document into the pending version.
    CopyCandidate {
        /// The candidate.
        from: String,
        /// The pending version.
        to: String,
    },
    /// Revoke every orphaned token: a PAT with this version's label that is not the one stored under it.
    #[serde(rename = "revokeStrays")]
    RevokeOrphaned {
        /// Version id.
        version: String,
    },
    /// Stage a version whose label was lost.
    StageCandidate {
        /// Version id.
        version: String,
    },
    /// Prove a token that does not exist yet when the plan is made.
    Prove {
        /// Version id.
        version: String,
    },
    /// Write the connector and read it back.
    WriteConnector {
        /// Version that it carries afterwards.
        version: String,
        /// Whether it is made by this.
        create: bool,
    },
    /// Move AWSCURRENT, only away from the version that bore it.
    MoveCurrent {
        /// Version that bears it now.
        from: String,
        /// Version that bears it afterwards.
        to: String,
    },
    /// Take `HUBKEEPER_CANDIDATE` off.
    Unstage {
        /// Version that bears it.
        from: String,
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
