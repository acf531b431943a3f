//! The outcome of an event.

use serde::Serialize;

/// The outcome of an event, worst first, so that the outcome of many events is their minimum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// An error other than a refusal.
    Failed,
    /// The token was refused.
    Refused,
    /// The run reached its deadline.
    NotReached,
    /// A person must act first.
    Awaiting,
    /// Something was written.
    Applied,
    /// `mode: plan`: something would be written.
    Planned,
    /// `verify`: the verdict is `complete`.
    Proven,
    /// An event that hubkeeper only records.
    Recorded,
    /// Nothing needed to change.
    Unchanged,
    /// The event is not for this function.
    Ignored,
}

impl Outcome {
    /// Every outcome, worst first.
    pub const ALL: [Outcome; 10] = [
        Outcome::Failed,
        Outcome::Refused,
        Outcome::NotReached,
        Outcome::Awaiting,
        Outcome::Applied,
        Outcome::Planned,
        Outcome::Proven,
        Outcome::Recorded,
        Outcome::Unchanged,
        Outcome::Ignored,
    ];

    /// The wire name.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Failed => "failed",
            Outcome::Refused => "refused",
            Outcome::NotReached => "notReached",
            Outcome::Awaiting => "awaiting",
            Outcome::Applied => "applied",
            Outcome::Planned => "planned",
            Outcome::Proven => "proven",
            Outcome::Recorded => "recorded",
            Outcome::Unchanged => "unchanged",
            Outcome::Ignored => "ignored",
        }
    }
}
