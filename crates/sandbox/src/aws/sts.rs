//! STS: `GetWebIdentityToken` and `GetCallerIdentity`.

use serde_json::{Value, json};
use time::Duration;

use super::events::time_text;
use super::query::{Denied, Form, denied, invalid, tag};
use crate::keys;
use crate::world::State;

/// The name of the session that every client of the sandbox has.
const SESSION: &str = "sandbox";

/// The state of the token service.
pub struct Sts {
    /// The account's own issuer, `https://{uuid}.tokens.sts.global.api.aws`.
    pub issuer: String,
    /// The ARN of the calling role: the subject of the token.
    pub role_arn: String,
    /// Whether the account has outbound federation turned off. Every call then fails.
    pub federation_disabled: bool,
    /// Lifetime of the role's own credentials, in seconds. A request for a longer token fails.
    pub session_seconds: i64,
    /// Every issued token.
    pub issued: Vec<String>,
}

impl Default for Sts {
    fn default() -> Self {
        Self {
            issuer: "https://5f2c1d94-8f0e-4f37-9a2b-6f1c6b7d2e10.tokens.sts.global.api.aws".to_owned(),
            role_arn: "arn:aws:iam::111122223333:role/sandbox".to_owned(),
            federation_disabled: false,
            session_seconds: 3600,
            issued: Vec::new(),
        }
    }
}

/// The ARN of the caller: the session of the calling role.
pub(crate) fn caller_arn(state: &State) -> String {
    let role = state.aws.sts.role_arn.rsplit('/').next().unwrap_or_default();
    format!("arn:aws:sts::{}:assumed-role/{role}/{SESSION}", state.aws.account)
}

/// `GetCallerIdentity`.
pub(super) fn caller(state: &State) -> String {
    let user_id = format!("AROASANDBOXSANDBOX234:{SESSION}");
    [tag("Arn", &caller_arn(state)), tag("UserId", &user_id), tag("Account", &state.aws.account)].concat()
}

/// `GetWebIdentityToken`.
pub(super) fn token(state: &mut State, form: &Form) -> Result<String, Denied> {
    let field = |name: &str| form.field(name);
    let audiences: Vec<&str> =
        (1..=11).map_while(|n| field(&format!("Audience.member.{n}"))).filter(|text| !text.is_empty()).collect();
    if !(1..=10).contains(&audiences.len()) || audiences.iter().any(|text| text.len() > 1000) {
        return Err(invalid("1 validation error detected: Value at 'audience' must have 1 to 10 members"));
    }
    match field("SigningAlgorithm") {
        Some("RS256") => {}
        Some("ES384") => return Err(invalid("The sandbox signs with RS256 alone")),
        other => {
            return Err(invalid(format!(
                "1 validation error detected: Value '{}' at 'signingAlgorithm' failed to satisfy enum value set: \
                 [RS256, ES384]",
                other.unwrap_or("null")
            )));
        }
    }
    let seconds = match field("DurationSeconds").map(str::parse::<i64>) {
        None => 300,
        Some(Ok(seconds @ 60..=3600)) => seconds,
        Some(_) => return Err(invalid("1 validation error detected: Value at 'durationSeconds' must be 60 to 3600")),
    };
    if state.aws.sts.federation_disabled {
        return Err(denied(
            403,
            "OutboundWebIdentityFederationDisabledException",
            "Outbound web identity federation is not enabled for this account.",
        ));
    }
    if seconds > state.aws.sts.session_seconds {
        return Err(denied(
            403,
            "SessionDurationEscalationException",
            "The requested token duration would extend the session beyond its original expiration time.",
        ));
    }
    let (token, expiration) = issue(state, &audiences, seconds);
    Ok([tag("WebIdentityToken", &token), tag("Expiration", &expiration)].concat())
}

/// A token and its expiry.
fn issue(state: &mut State, audiences: &[&str], seconds: i64) -> (String, String) {
    let audience = match audiences {
        [one] => json!(one),
        several => json!(several),
    };
    let now = state.now();
    let (jti, sts) = (state.uuid(), &state.aws.sts);
    let session_end = now + Duration::seconds(sts.session_seconds);
    let claims: Value = json!({
        "aud": audience,
        "sub": sts.role_arn,
        "iss": sts.issuer,
        "iat": now.unix_timestamp(),
        "exp": now.unix_timestamp() + seconds,
        "jti": jti,
        "https://sts.amazonaws.com/": {
            "aws_account": state.aws.account,
            "source_region": state.aws.region,
            "principal_id": sts.role_arn,
            "original_session_exp": time_text(session_end),
        },
    });
    let token = keys::sts().sign(&claims);
    state.aws.sts.issued.push(token.clone());
    (token, time_text(now + Duration::seconds(seconds)))
}
