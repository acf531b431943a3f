//! Gets the assertion from `sts:GetWebIdentityToken`: the function's identity, signed by AWS (RS256, the only algorithm
//! that Entra accepts).

use aws_sdk_sts::Client;
use aws_sdk_sts::error::ProvideErrorMetadata;
use hubkeeper_core::error::Error;
use hubkeeper_core::failure::entra::Identity;
use hubkeeper_core::failure::sts;
use secrecy::{ExposeSecret, SecretString};

use crate::clients::hub::claims;
use crate::clients::sdk::failed;

/// Lifetime of the assertion in seconds. The function uses it at once.
const DURATION: i32 = 300;
/// The shortest lifetime that STS issues, in seconds. For a role session that ends sooner than [`DURATION`].
const SHORTEST: i32 = 60;

/// Requests an assertion from STS with exactly one audience. `aud` is then a string, as Entra requires.
///
/// # Errors
/// Returns `NeedsHuman` if the account has the feature disabled, `Misconfigured` if the role lacks the permission,
/// otherwise `Retryable`.
pub async fn assertion(client: &Client, audience: &str) -> Result<SecretString, Error> {
    let ask = |seconds: i32| {
        let call = client.get_web_identity_token().audience(audience);
        call.signing_algorithm("RS256").duration_seconds(seconds).send()
    };
    let mut answer = ask(DURATION).await;
    if answer.as_ref().err().and_then(ProvideErrorMetadata::code) == Some("SessionDurationEscalationException") {
        // the assertion cannot outlive the role session (AWS's STS reference)
        answer = ask(SHORTEST).await;
    }
    let answer = answer.map_err(|error| failed("GetWebIdentityToken", &error))?;
    answer.web_identity_token.filter(|token| !token.is_empty()).map(SecretString::from).ok_or_else(sts::no_token)
}

/// Reads the claims of an assertion.
pub fn identity(assertion: &SecretString) -> Identity {
    let claims = claims(assertion.expose_secret()).unwrap_or_default();
    let text = |name: &str| claims.get(name).and_then(|value| value.as_str()).unwrap_or("?").to_owned();
    Identity { issuer: text("iss"), subject: text("sub"), audience: text("aud") }
}
