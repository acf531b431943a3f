//! STS: `GetWebIdentityToken` in the query protocol (form request, XML response).

use bytes::Bytes;
use serde_json::{Value, json};
use time::Duration;

use super::events::time_text;
use crate::keys;
use crate::world::{Request, Response, State};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

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

struct Denied {
    status: u16,
    code: &'static str,
    message: String,
}

fn denied(status: u16, code: &'static str, message: impl Into<String>) -> Denied {
    Denied { status, code, message: message.into() }
}

fn invalid(message: impl Into<String>) -> Denied {
    denied(400, "ValidationError", message)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn xml(status: u16, request_id: &str, body: String) -> Response {
    http::Response::builder()
        .status(status)
        .header("content-type", "text/xml")
        .header("x-amzn-requestid", request_id)
        .body(Bytes::from(body))
        .unwrap_or_else(|_| http::Response::new(Bytes::new()))
}

pub(super) fn handle(state: &mut State, request: &Request, request_id: &str) -> Response {
    match answer(state, request) {
        Ok((token, expiration)) => xml(
            200,
            request_id,
            format!(
                "<GetWebIdentityTokenResponse xmlns=\"{NAMESPACE}\"><GetWebIdentityTokenResult><WebIdentityToken>{token}\
                 </WebIdentityToken><Expiration>{expiration}</Expiration></GetWebIdentityTokenResult><ResponseMetadata>\
                 <RequestId>{request_id}</RequestId></ResponseMetadata></GetWebIdentityTokenResponse>"
            ),
        ),
        Err(Denied { status, code, message }) => xml(
            status,
            request_id,
            format!(
                "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{}</Message>\
                 </Error><RequestId>{request_id}</RequestId></ErrorResponse>",
                escape(&message)
            ),
        ),
    }
}

fn answer(state: &mut State, request: &Request) -> Result<(String, String), Denied> {
    let media = super::header(request, "content-type").split(';').next().unwrap_or_default();
    if request.method() != http::Method::POST || media.trim() != "application/x-www-form-urlencoded" {
        return Err(denied(404, "UnknownOperationException", "The request is not a form."));
    }
    if !super::is_signed(request) {
        return Err(denied(403, "MissingAuthenticationToken", "Request is missing Authentication Token"));
    }
    // the global endpoint does not serve this action (AWS's reference)
    let host = request.uri().host().unwrap_or_else(|| super::header(request, "host"));
    let form: Vec<(String, String)> = url::form_urlencoded::parse(request.body()).into_owned().collect();
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let action = field("Action").unwrap_or_default();
    if action != "GetWebIdentityToken" || field("Version") != Some("2011-06-15") || host == "sts.amazonaws.com" {
        return Err(denied(400, "InvalidAction", format!("Could not find operation {action}")));
    }
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
    Ok(issue(state, &audiences, seconds))
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
