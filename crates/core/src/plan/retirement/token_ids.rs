//! Finds wrong `tokenId` fields in documents: ids of other tokens, ids of other secrets' tokens, and copies.

use crate::connector::Observed;
use crate::ids::{TokenId, VersionId};
use crate::plan::retirement::stock::Stock;
use crate::secret::{Document, Label};
use crate::warning::{Warning, WarningCode};

impl Stock<'_> {
    /// Warns about wrong `tokenId` fields in the versions in use.
    pub(super) fn odd_ids(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let connected = self.connector.and_then(Observed::version);
        for (version, content) in self.held() {
            let Some(id) = content.token_id.as_ref() else { continue };
            match self.labelled(id) {
                Some(labelled) if self.refuted(labelled, content) => warnings.push(token_id_mismatch(version, id)),
                Some(_) => {}
                None => {
                    let in_use = self.secret.bears(version, Label::Current) || connected.as_ref() == Some(version);
                    let named = self.all.iter().find(|pat| pat.id == id);
                    if in_use && named.is_some_and(|pat| self.secret.is_label_of_another(&pat.label)) {
                        let remedy = format!(
                            "give this secret a token of its own: aws secretsmanager rotate-secret --secret-id {}",
                            self.secret.arn
                        );
                        warnings.push(token_of_another_secret(version, id, &remedy));
                    }
                }
            }
        }
        warnings
    }
}

/// The warning about a version whose `tokenId` names another token than the one it holds.
pub fn token_id_mismatch(version: &VersionId, id: &TokenId) -> Warning {
    Warning::new(
        WarningCode::TokenIdMismatch,
        format!(
            "version {version} names the token {id} in `tokenId` and holds another token: `tokenId` protects nothing there. Put the document once more with the `tokenId` and `expiresAt` of the token in `accessToken`, or without both"
        ),
    )
}

/// The warning about a token in use that was minted for another secret.
pub fn token_of_another_secret(version: &VersionId, id: &TokenId, remedy: &str) -> Warning {
    Warning::new(
        WarningCode::TokenOfAnotherSecret,
        format!(
            "the token {id} of version {version} was made for another secret and is retired with that one: {remedy}"
        ),
    )
}

/// Warns about documents that name one `tokenId` for different tokens: each document after the first gets a warning. `documents` are
/// in the order in which they came into use.
pub fn copied_ids<'a>(documents: impl IntoIterator<Item = (&'a VersionId, &'a Document)>) -> Vec<Warning> {
    let mut seen: Vec<&Document> = Vec::new();
    let mut warnings = Vec::new();
    for (version, document) in documents {
        let Some(id) = document.token_id.as_ref().filter(|_| document.access_token.is_some()) else { continue };
        let copied = |known: &&Document| known.token_id.as_ref() == Some(id) && !known.same_token(document);
        if seen.iter().any(copied) {
            warnings.push(token_id_mismatch(version, id));
        }
        seen.push(document);
    }
    warnings
}
