//! What an event asks for: the trigger, the mode and the secret that it is about.

use secrecy::SecretString;

use crate::time::Timestamp;

/// What set the function off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trigger {
    /// Rotation: make the pending value.
    CreateSecret,
    /// Rotation: prove it and write the connector.
    SetSecret,
    /// Rotation: see that it works.
    TestSecret,
    /// Rotation: make it current.
    FinishSecret,
    /// Prove what is current and connect it; with a version, that one.
    Onboard {
        /// Write though nothing changed.
        force: bool,
        /// Give the dedicated user the role and the team that were asked for.
        fix_role: bool,
        /// AWSCURRENT or the candidate.
        version: Option<String>,
    },
    /// A version was staged `HUBKEEPER_CANDIDATE`.
    CandidateStaged {
        /// The version that the event names.
        version: Option<String>,
    },
    /// The secret's current value changed.
    SecretChanged {
        /// The version that the event names.
        version: Option<String>,
    },
    /// See that all is as it should be, and mend what is not.
    Reconcile {
        /// Retire replaced tokens without the grace: after a leak.
        revoke_replaced: bool,
    },
    /// Give the connector up.
    Offboard,
    /// Secrets Manager gave a rotation up: it is only taken note of.
    RotationEnded {
        /// Whether a value put by hand ended it.
        abandoned: bool,
        /// The step that failed, where the event tells it.
        step: Option<&'static str>,
        /// The pending version, where the event tells it.
        version: Option<String>,
    },
    /// Prove, and nothing else.
    Verify {
        /// A version; AWSCURRENT where none is named.
        version: Option<String>,
    },
}

impl Trigger {
    /// Whether it is a step of Secrets Manager's rotation.
    pub fn is_rotation(&self) -> bool {
        matches!(self, Trigger::CreateSecret | Trigger::SetSecret | Trigger::TestSecret | Trigger::FinishSecret)
    }

    /// Whether it came from `EventBridge` by itself: it counts for managed secrets alone.
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

/// Whether the plan is run or returned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// Run it.
    Apply,
    /// Do everything but write, and return it.
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
    /// What set the function off.
    pub trigger: Trigger,
    /// Apply or plan.
    pub mode: Mode,
    /// ARN or name of the secret.
    pub secret_id: String,
    /// The version id that a rotation works on.
    pub version: Option<String>,
    /// As secret as a token.
    pub rotation_token: Option<SecretString>,
    /// When what a notice tells of happened, where it says so.
    pub sent_at: Option<Timestamp>,
    /// Digest of the stack's resource that asks, where `CloudFormation` does.
    pub stack: Option<String>,
}
