//! Docker Hub's formats: bodies of errors, times, pages.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

use crate::world::{Request, Response, json as json_response};

/// A response that ends the handling early.
pub(super) type Refused = Box<Response>;

/// `{"message","errinfo"}`, one of Docker's shapes of an error.
pub(super) fn refuse(status: u16, message: &str) -> Response {
    json_response(status, &json!({ "message": message, "errinfo": {} }))
}

pub(super) fn unauthorized() -> Response {
    refuse(401, "unauthorized")
}

pub(super) fn not_found() -> Response {
    refuse(404, "not found")
}

/// `{"detail"}`, the error shape of the older routes.
pub(super) fn detail(status: u16, detail: &str) -> Response {
    json_response(status, &json!({ "detail": detail }))
}

pub(super) fn method_not_allowed(request: &Request) -> Response {
    detail(405, &format!("Method \"{}\" not allowed.", request.method()))
}

/// `{"fields","text"}`: a field or parameter is invalid.
pub(super) fn bad_field(field: &str, text: &str) -> Response {
    json_response(400, &json!({ "fields": { field: [text] }, "text": text }))
}

/// The JSON object in the body, or the error.
pub(super) fn body(request: &Request) -> Result<Value, Refused> {
    let content_type = request.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
    let media = content_type.split(';').next().unwrap_or("").trim();
    if !media.eq_ignore_ascii_case("application/json") {
        return Err(detail(415, &format!("Unsupported media type \"{media}\" in request.")).into());
    }
    serde_json::from_slice::<Value>(request.body())
        .ok()
        .filter(Value::is_object)
        .ok_or_else(|| refuse(400, "bad request").into())
}

/// A field that must be a non-empty string.
pub(super) fn text<'a>(body: &'a Value, member: &str) -> Result<&'a str, Refused> {
    match &body[member] {
        Value::Null => Err(bad_field(member, "This field is required.").into()),
        Value::String(text) if text.is_empty() => Err(bad_field(member, "This field may not be blank.").into()),
        Value::String(text) => Ok(text),
        _ => Err(bad_field(member, "Not a valid string.").into()),
    }
}

/// Microseconds and `Z`, as Docker Hub writes times.
pub(super) fn time(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC)
        .format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"))
        .unwrap_or_default()
}

/// The query's parameters, decoded.
pub(crate) fn query(request: &Request) -> Vec<(String, String)> {
    url::form_urlencoded::parse(request.uri().query().unwrap_or("").as_bytes()).into_owned().collect()
}

/// A page of a list, numbered from 1.
pub(super) struct Page {
    pub(super) number: usize,
    pub(super) size: usize,
}

impl Page {
    pub(super) fn of(query: &[(String, String)]) -> Result<Page, Refused> {
        let number = |name: &str, default: usize, most: usize| -> Result<usize, Refused> {
            let Some((_, value)) = query.iter().find(|(key, _)| key == name) else { return Ok(default) };
            let number = value.parse().ok().filter(|number| (1..=most).contains(number));
            number.ok_or_else(|| bad_field(name, &format!("Invalid {name} value. Must be from 1 to {most}")).into())
        };
        Ok(Page { number: number("page", 1, 1_000_000)?, size: number("page_size", 10, 100)? })
    }

    pub(super) fn start(&self) -> usize {
        (self.number - 1) * self.size
    }

    /// `next` and `previous`: absolute URLs on the real host, regardless of the request's host.
    pub(super) fn links(&self, path: &str, rest: &[(&str, &str)], count: usize) -> (Value, Value) {
        let link = |number: usize| {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("page", &number.to_string()).append_pair("page_size", &self.size.to_string());
            query.extend_pairs(rest);
            Value::from(format!("https://hub.docker.com{path}?{}", query.finish()))
        };
        let next = if self.number * self.size < count { link(self.number + 1) } else { Value::Null };
        let previous = if self.number > 1 { link(self.number - 1) } else { Value::Null };
        (next, previous)
    }
}

/// The credentials of a request.
pub(super) enum Credentials {
    /// No credentials.
    Anonymous,
    /// An unreadable header.
    Unreadable,
    /// `Authorization: Basic`, decoded: user and secret.
    Basic(String, String),
}

pub(super) fn credentials(request: &Request) -> Credentials {
    let Some(header) = request.headers().get("authorization") else { return Credentials::Anonymous };
    let basic = || {
        let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
        let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (user, secret) = text.split_once(':')?;
        scheme.eq_ignore_ascii_case("basic").then(|| Credentials::Basic(user.to_owned(), secret.to_owned()))
    };
    basic().unwrap_or(Credentials::Unreadable)
}

/// A token in the form of a JWT with an opaque signature. Docker Hub alone can validate it, by a lookup in its own table.
pub(super) fn jwt(claims: &Value, signature: &str) -> String {
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "hub" });
    format!("{}.{}.{signature}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}
