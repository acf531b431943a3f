//! The request in an event: the trigger, the mode and the secret.

use secrecy::SecretString;

use crate::ids::VersionId;
use crate::time::Timestamp;

/// What triggered the function.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// Rotation: create the pending value.
    CreateSecret,
    /// Rotation: prove it and write the connector.
    SetSecret,
    /// Rotation: test that it works.
    TestSecret,
    /// Rotation: promote it to AWSCURRENT.
    FinishSecret,
    /// Prove AWSCURRENT, or the named version, and connect it.
    Onboard {
        /// Write even if nothing changed.
        force: bool,
        /// Give the dedicated user the requested role and team.
        fix_role: bool,
        /// AWSCURRENT or the candidate.
        version: Option<VersionId>,
    },
    /// A version was staged `HUBKEEPER_CANDIDATE`.
    CandidateStaged {
        /// The version that the event names.
        version: Option<VersionId>,
    },
    /// The secret's current value changed.
    SecretChanged {
        /// The version that the event names.
        version: Option<VersionId>,
    },
    /// Compare with the desired state, and repair the drift.
    Reconcile {
        /// Retire replaced tokens without the grace period, after a leak.
        revoke_replaced: bool,
    },
    /// Offboard: delete the connector.
    Offboard,
    /// Secrets Manager reports a failed rotation: hubkeeper only records it.
    RotationEnded {
        /// Whether a value that a person put ended it.
        abandoned: bool,
        /// The step that failed, if the event names it.
        step: Option<&'static str>,
        /// The pending version, if the event names it.
        version: Option<VersionId>,
    },
    /// Prove only; write nothing.
    Verify {
        /// A version; AWSCURRENT if the event names none.
        version: Option<VersionId>,
    },
}

impl Trigger {
    /// Whether it is a step of Secrets Manager's rotation.
    pub fn is_rotation(&self) -> bool {
        matches!(self, Trigger::CreateSecret | Trigger::SetSecret | Trigger::TestSecret | Trigger::FinishSecret)
    }

    /// Whether `EventBridge` sent it unasked: it applies to managed secrets only.
    pub fn is_notice(&self) -> bool {
        matches!(self, Trigger::CandidateStaged { .. } | Trigger::SecretChanged { .. } | Trigger::RotationEnded { .. })
    }

    /// Its name in reports and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Trigger::CreateSecret => "createSecret",
            Trigger::SetSecret => "setSecret",
            Trigger::TestSecret => "testSecret",
            Trigger::FinishSecret => "finishSecret",
            Trigger::Onboard { .. } => "onboard",
            Trigger::CandidateStaged { .. } => "adopt",
            Trigger::SecretChanged { .. } => "secretChanged",
            Trigger::Reconcile { .. } => "reconcile",
            Trigger::Offboard => "offboard",
            Trigger::RotationEnded { abandoned: false, .. } => "rotationFailed",
            Trigger::RotationEnded { abandoned: true, .. } => "rotationAbandoned",
            Trigger::Verify { .. } => "verify",
        }
    }
}

/// Whether to run the plan or return it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Run it.
    Apply,
    /// Do everything except the writes, and return the plan.
    Plan,
}

impl Mode {
    /// The wire name.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Apply => "apply",
            Mode::Plan => "plan",
        }
    }
}

/// One event about one secret. No `Debug`: it may hold a rotation token.
#[derive(Clone)]
pub struct Request {
    /// The trigger.
    pub trigger: Trigger,
    /// Apply or plan.
    pub mode: Mode,
    /// ARN or name of the secret.
    pub secret_id: String,
    /// The version id that a rotation works on.
    pub version: Option<VersionId>,
    /// The rotation token. As secret as a Docker Hub token.
    pub rotation_token: Option<SecretString>,
    /// When the event behind a notice happened, if the notice says so.
    pub sent_at: Option<Timestamp>,
    /// Digest of the requesting stack resource, if `CloudFormation` sent the request.
    pub stack: Option<String>,
}
