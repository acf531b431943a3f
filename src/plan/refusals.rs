//! Errors that several rules of the plan share, each with its remedy.

use std::fmt::Write as _;

use crate::error::Error;
use crate::proof::{Finding, Verdict};
use crate::secret::{Document, Secret};

/// The command that ends a rotation which does not go on (AWS: "A previous rotation isn't complete").
pub(crate) fn unstick(secret: &Secret, pending: &str) -> String {
    format!(
        "aws secretsmanager update-secret-version-stage --secret-id {} --version-stage AWSPENDING --remove-from-version-id {pending}",
        secret.arn
    )
}

pub(crate) fn foreign(why: &str, document: &Document) -> Error {
    Error::refused(
        format!("the connector {} is not touched: {why}", document.connector.id()),
        "give the secret another `connector.name`, or delete that connector if nobody needs it",
    )
}

/// A verdict other than `complete`, as an error.
pub fn refusal(verdict: &Verdict) -> Error {
    let mut what = format!("the verdict is {}: {}", verdict.result.name(), verdict.reasons.join("; "));
    if !verdict.missing.is_empty() {
        what.push_str(": ");
        what.push_str(&verdict.missing.join(", "));
        if verdict.missing_count > verdict.missing.len() {
            let _ = write!(what, " and {} more", verdict.missing_count - verdict.missing.len());
        }
    }
    match verdict.result {
        Finding::Rejected => Error::refused(
            what,
            "make a new read-only token as the dedicated user and stage it as HUBKEEPER_CANDIDATE; where the secret names a manager, invoke onboard: it makes one",
        ),
        Finding::Inconclusive => Error::retryable(what, "nothing was changed; repeat the event"),
        Finding::OverPrivileged => Error::refused(
            what,
            "replace it by a token with the permission `Read-only`, or set HUBKEEPER_OVER_PRIVILEGE=warn",
        ),
        Finding::Partial => Error::refused(
            what,
            "give the token `Read-only` (not `Public Repo Read-only`) and the dedicated user read access to every repository (role or team), check the organization's name, or name what may be left out in `excludedRepositories`",
        ),
        Finding::Complete => Error::retryable(what, "repeat the event"),
    }
}
