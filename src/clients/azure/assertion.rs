//! The assertion of `sts:GetWebIdentityToken`: who we are, signed by AWS (RS256; Entra takes no other algorithm).

use aws_sdk_sts::Client;
use aws_sdk_sts::error::ProvideErrorMetadata;
use hubkeeper_core::error::Error;
use hubkeeper_core::failure::entra::Identity;
use hubkeeper_core::failure::sts;
use secrecy::{ExposeSecret, SecretString};

use crate::clients::hub::claims;
use crate::clients::sdk::failed;

/// Seconds for which the assertion is valid: it is used at once.
const DURATION: i32 = 300;
/// The shortest that STS issues, for a session of the role that ends sooner than [`DURATION`].
const SHORTEST: i32 = 60;

/// Asks STS for an assertion with exactly one audience (then `aud` is a string, as Entra wants it).
///
/// # Errors
/// `NeedsHuman` where the account has the feature off, `Misconfigured` where the role may not, else `Retryable`.
pub async fn assertion(client: &Client, audience: &str) -> Result<SecretString, Error> {
    let ask = |seconds: i32| {
        let call = client.get_web_identity_token().audience(audience);
        call.signing_algorithm("RS256").duration_seconds(seconds).send()
    };
    let mut answer = ask(DURATION).await;
    if answer.as_ref().err().and_then(ProvideErrorMetadata::code) == Some("SessionDurationEscalationException") {
        // the assertion may not outlive the session of the role (AWS's STS reference)
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
