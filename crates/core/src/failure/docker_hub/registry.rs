//! Maps a refusal of Docker's token service or registry to its meaning.

use secrecy::SecretString;
use serde_json::Value;

use crate::hub::HubError;
use crate::redact;

/// What the token service writes in a 401 about the credential itself (observed; the SSO text begins like the second
/// factor's).
const REJECTIONS: [&str; 3] =
    ["incorrect username or password", "personal access token is expired", "please use personal access token"];

/// Maximum depth at which a JSON body is searched for messages.
const DEPTH: usize = 4;

/// Why the token service grants nothing (401).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenRefusal {
    /// The token's scope is too low for something that was asked.
    InsufficientScopes,
    /// The credential is wrong, expired or deactivated.
    Rejected,
    /// Too many failed logins: the result is inconclusive, and further requests make it worse.
    LockedOut,
}

/// What a 401 of the token service means: its text says whether scope, credential or a lockout is the reason. The token has
/// just logged in at Docker Hub, so a 401 with any other text (a proxy's, an outage's, a new reason) is no finding about it.
///
/// # Errors
/// [`HubError::Unexpected`] with the plain words of a text that names no known reason; `token` never is among them.
pub fn token_refused(body: &[u8], token: &SecretString) -> Result<TokenRefusal, HubError> {
    let text = said(body);
    let lower = text.to_ascii_lowercase();
    if lower.contains("insufficient scope") {
        Ok(TokenRefusal::InsufficientScopes)
    } else if lower.contains("too many failed login attempts") {
        Ok(TokenRefusal::LockedOut)
    } else if REJECTIONS.iter().any(|rejection| lower.contains(rejection)) {
        Ok(TokenRefusal::Rejected)
    } else {
        let words = redact::words(&text, &[token]);
        let words = if words.is_empty() { "no text".to_owned() } else { format!("\"{words}\"") };
        Err(HubError::Unexpected(format!(
            "registry token: status 401 for a token that has just logged in, without a known reason ({words})"
        )))
    }
}

/// 401 with `invalid_token`: the registry rejects the token that was granted, which says nothing about the repository.
pub fn grant_rejected() -> HubError {
    HubError::Unavailable(
        "manifest at the registry: the token that was just granted is not accepted (status 401, invalid_token)".into(),
    )
}

/// 403: Docker's registry refuses rights with 401, so this comes from a proxy, a firewall or a content delivery network.
pub fn blocked_on_the_way() -> HubError {
    HubError::Unexpected(
        "manifest at the registry: status 403, which comes from a proxy or a firewall in between: allow requests to the registry"
            .into(),
    )
}

/// What an error body says: the messages of a JSON body (`details`, `detail`, `message`, `errors[]`, as Docker's services
/// spell them), or plain text. A page of HTML says nothing: no service of Docker returns one for a token request.
fn said(body: &[u8]) -> String {
    fn collect(value: &Value, depth: usize, found: &mut Vec<String>) {
        match value {
            Value::String(text) => found.push(text.clone()),
            Value::Array(values) if depth > 0 => values.iter().for_each(|value| collect(value, depth - 1, found)),
            Value::Object(fields) if depth > 0 => {
                for name in ["details", "detail", "message", "error", "errors"] {
                    fields.get(name).into_iter().for_each(|value| collect(value, depth - 1, found));
                }
            }
            _ => {}
        }
    }
    if let Ok(value) = serde_json::from_slice::<Value>(body) {
        let mut found = Vec::new();
        collect(&value, DEPTH, &mut found);
        return found.join("; ");
    }
    let text = String::from_utf8_lossy(body).trim().to_owned();
    if text.starts_with('<') { String::new() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_401_of_the_token_service_is_read_in_every_form_and_an_unknown_text_is_no_finding() {
        let token = SecretString::from("dckr_pat_x");
        let forms: [fn(&str) -> String; 8] = [
            |text| serde_json::json!({ "details": text }).to_string(),
            |text| serde_json::json!({ "message": text, "errinfo": {} }).to_string(),
            |text| serde_json::json!({ "detail": text }).to_string(),
            |text| serde_json::json!({ "detail": { "message": text } }).to_string(),
            |text| serde_json::json!({ "errors": [{ "code": "UNAUTHORIZED", "message": text }] }).to_string(),
            |text| {
                serde_json::json!({ "errors": [{ "code": "UNAUTHORIZED", "message": "x", "detail": text }] })
                    .to_string()
            },
            |text| serde_json::json!(text).to_string(),
            str::to_owned,
        ];
        let kind = |body: String| match token_refused(body.as_bytes(), &token) {
            Ok(TokenRefusal::InsufficientScopes) => "scopes",
            Ok(TokenRefusal::LockedOut) => "locked",
            Ok(TokenRefusal::Rejected) => "rejected",
            Err(_) => "nothing known",
        };
        for (text, expected) in [
            ("access token has insufficient scopes", "scopes"),
            ("insufficient scope", "scopes"),
            ("Incorrect username or password", "rejected"),
            ("personal access token is expired", "rejected"),
            ("please use personal access token to login", "rejected"),
            ("please use personal access token to login when SSO is enforced", "rejected"),
            ("too many failed login attempts for username or IP address", "locked"),
            ("too many requests", "nothing known"),
            ("unauthorized", "nothing known"),
            ("", "nothing known"),
        ] {
            for form in forms {
                assert_eq!(kind(form(text)), expected, "{}", form(text));
            }
        }
        assert_eq!(kind("<html>incorrect username or password</html>".into()), "nothing known", "a proxy's page");
        assert_eq!(kind(r#"{"request":"insufficient scope"}"#.into()), "nothing known", "what is quoted is no message");
        let quoted = token_refused(b"no access for dckr_pat_x", &token).err().unwrap();
        assert!(quoted.message().ends_with("without a known reason (\"no access for …\")"), "{}", quoted.message());
    }
}
