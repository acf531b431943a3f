//! Errors that several rules of the plan share, each with its remedy.

use std::fmt::Write as _;

use crate::connector::Observed;
use crate::connector::observed::Ownership;
use crate::error::Error;
use crate::ids::VersionId;
use crate::proof::{Finding, Verdict};
use crate::secret::document::ConnectorId;
use crate::secret::kept::CONNECTOR_TAG;
use crate::secret::{Document, KeptConnector, Secret};

/// Refuses to delete a connector without this secret's tag.
///
/// # Errors
/// `Refused` if the connector does not have the tag.
pub fn ours_to_delete(
    observed: &Observed,
    organization: &str,
    connector: &ConnectorId,
    secret: &Secret,
) -> Result<(), Error> {
    let why = match observed.ownership(organization, &secret.fingerprint()) {
        Ownership::Ours => return Ok(()),
        Ownership::Untagged => "it does not have this secret's tag (hubkeeper-secret)".to_owned(),
        Ownership::Foreign(why) => why,
    };
    Err(Error::refused(
        format!("the connector {connector} was not deleted: {why}"),
        "delete it by hand if nobody needs it, then repeat the event",
    ))
}

/// The command that ends a stuck rotation (AWS: "A previous rotation isn't complete").
pub fn unstick(secret: &Secret, pending: &VersionId) -> String {
    format!(
        "aws secretsmanager update-secret-version-stage --secret-id {} --version-stage AWSPENDING --remove-from-version-id {pending}",
        secret.arn
    )
}

/// The connector belongs to another secret or organization.
pub fn foreign(why: &str, document: &Document) -> Error {
    Error::refused(
        format!("the connector {} was not changed: {why}", document.connector.id),
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
            "replace it with a token that has the permission `Read-only`, or set HUBKEEPER_OVER_PRIVILEGE=warn",
        ),
        Finding::Partial => Error::refused(
            what,
            "give the token `Read-only` (not `Public Repo Read-only`) and the dedicated user read access to every repository (role or team), check the organization's name, or list the repositories to leave out in `excludedRepositories`",
        ),
        Finding::Complete => Error::retryable(what, "repeat the event"),
    }
}

/// The document names a different connector than the one that the secret manages.
pub fn keeps_another(kept: &KeptConnector, document: &KeptConnector) -> Error {
    Error::needs_human(
        format!("the secret manages {kept} (tag {CONNECTOR_TAG}), but its document names {document}"),
        "to move to the new one, send offboard, which deletes the managed connector, then onboard; to stay, put a document that names the managed connector",
    )
}

/// The tag has a value that hubkeeper did not write.
pub fn unreadable_tag(secret: &Secret) -> Error {
    Error::needs_human(
        format!(
            "the secret's tag {CONNECTOR_TAG} cannot be read, so it is not known which connector the secret manages"
        ),
        format!(
            "find out who changed it, then remove it, and hubkeeper sets it again: aws secretsmanager untag-resource --secret-id {} --tag-keys {CONNECTOR_TAG}",
            secret.arn
        ),
    )
}

/// The tag is missing, and versions of the secret name different connectors.
pub fn which_connector(secret: &Secret, document: &KeptConnector, versions: &[VersionId]) -> Error {
    let versions: Vec<&str> = versions.iter().map(VersionId::as_str).collect();
    let value = document.tag_value().unwrap_or_default();
    Error::needs_human(
        format!(
            "it is not known which connector the secret manages: its tag {CONNECTOR_TAG} is missing, the connector of its document does not have the secret's fingerprint, and version {} names another connector",
            versions.join(", ")
        ),
        format!(
            "see which connector has the tag hubkeeper-secret = {}; if the document is right, delete the other connector and set the tag: aws secretsmanager tag-resource --secret-id {} --tags Key={CONNECTOR_TAG},Value={value}",
            secret.fingerprint(),
            secret.arn
        ),
    )
}

/// The connector of an offboarded secret still exists.
pub fn still_there(organization: &str, connector: &ConnectorId) -> Error {
    Error::needs_human(
        format!(
            "the secret is offboarded, and its connector still exists: organization {organization} with {connector}"
        ),
        "send offboard again, which deletes it; to keep it, onboard the secret with a document that names it",
    )
}

/// A connector with the secret's fingerprint exists under another id, and the document's connector does not exist.
pub fn exists_elsewhere(document: &Document, elsewhere: &[ConnectorId]) -> Error {
    let others: Vec<String> = elsewhere.iter().map(ToString::to_string).collect();
    Error::needs_human(
        format!(
            "the connector {} does not exist, and {} has this secret's fingerprint: it was moved, or copied",
            document.connector.id,
            others.join(", ")
        ),
        "if it was moved, move it back or delete it there: a second connector would keep a token that hubkeeper retires later",
    )
}

/// A rotation step works on a version that was replaced: promoting it would restore the replaced token.
pub fn replaced_already(version: &VersionId, secret: &Secret) -> Error {
    Error::needs_human(
        format!(
            "version {version} is AWSPREVIOUS: its rotation is over, and a further step would bring the replaced token back"
        ),
        format!("remove the label AWSPENDING, then rotate again: {}", unstick(secret, version)),
    )
}
