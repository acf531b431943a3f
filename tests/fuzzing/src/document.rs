//! Input: the string of a secret, or of a manager secret.

use hubkeeper_core::ids::{TokenId, VersionId};
use hubkeeper_core::secret::document::expiry_warning;
use hubkeeper_core::secret::{Access, Document, LoginSecret, Purpose};
use hubkeeper_core::time::{parse_rfc3339, rfc3339};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use time::macros::datetime;

use crate::clean::{self, MARKER};

const NOW: hubkeeper_core::time::Timestamp = datetime!(2026-11-24 10:00 UTC);
const TOKEN_ID: &str = "b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001";

fn is_credential(text: &str) -> bool {
    !text.is_empty() && text.trim() == text
}

/// A written document says what was read. A rewrite changes only its target. An error quotes nothing.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let secret = SecretString::from(text);
    for purpose in [Purpose::Manager, Purpose::Owner] {
        match LoginSecret::parse(&secret, purpose).map(|login| login.access) {
            Ok(Access::Password(login)) => {
                assert!(is_credential(&login.username) && !login.username.contains('@'));
                assert!(is_credential(login.password.expose_secret()));
            }
            Ok(Access::OrganizationToken { organization, token }) => {
                assert!(purpose == Purpose::Owner, "no token can make tokens");
                assert!(is_credential(&organization) && is_credential(token.expose_secret()));
            }
            Err(error) => clean::error(&error, input),
        }
    }
    let document = match Document::parse(&secret) {
        Ok(document) => document,
        Err(error) => return clean::error(&error, input),
    };
    let before = fields(&secret);
    let written = document.to_secret_string();
    let mut expected = before.clone();
    if document.access_token.is_none() {
        expected.remove("accessToken");
    }
    assert_eq!(fields(&written), expected, "what is written is what was read");
    let again = Document::parse(&written).unwrap_or_else(|error| panic!("what is written is refused: {error}"));
    same(&document, &again);

    let expires_at = datetime!(2027-02-22 10:00 UTC);
    let minted = document.with_minted(SecretString::from(MARKER), &TokenId::of_service(TOKEN_ID), expires_at);
    let mut expected = before.clone();
    expected.extend(object(json!({"accessToken": MARKER, "tokenId": TOKEN_ID, "expiresAt": rfc3339(expires_at)})));
    expected.remove("candidateVersion");
    assert_eq!(fields(&minted.to_secret_string()), expected, "a mint changes the token, its id and its end");
    assert!(minted.candidate_version.is_none() && minted.expires_at == Some(expires_at));

    let taken = document.taken_from(&VersionId::of_service("candidate"), [&minted]);
    let mut kept = fields(&taken.to_secret_string());
    assert_eq!(kept.remove("candidateVersion"), Some(json!("candidate")));
    for (name, value) in &before {
        let may_go = ["candidateVersion", "tokenId", "expiresAt", "accessToken"].contains(&name.as_str());
        assert!(may_go || kept.get(name) == Some(value), "a field of another is lost");
    }
    assert!(kept.keys().all(|name| before.contains_key(name)));
    same(&document, &document.without_stale(&document));
    times(&document);
}

/// A document's times are printable, however far away they are.
fn times(document: &Document) {
    if let Some(warning) = expiry_warning(document, NOW) {
        assert!(!warning.message.contains(MARKER));
    }
    if let Some(expires_at) = document.expires_at {
        assert!(parse_rfc3339(&rfc3339(expires_at)).is_some(), "a time that is written can be read");
    }
}

fn same(one: &Document, other: &Document) {
    assert!(one.same_token(other) && one.same_subject(other));
    assert_eq!((&one.username, &one.token_id, one.expires_at), (&other.username, &other.token_id, other.expires_at));
    assert_eq!((&one.manager, &one.candidate_version), (&other.manager, &other.candidate_version));
    assert_eq!((&one.expected, &one.excluded, &one.connector), (&other.expected, &other.excluded, &other.connector));
}

fn fields(text: &SecretString) -> Map<String, Value> {
    object(serde_json::from_str(text.expose_secret().trim_start_matches('\u{feff}')).expect("a document is JSON"))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => panic!("a document is an object"),
    }
}
