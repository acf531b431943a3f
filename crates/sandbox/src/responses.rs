//! The receiver of custom resource responses: one S3 object per request, written by a presigned PUT.
//!
//! The signature covers method, path, query and an empty content type. A request that differs gets 403, as from S3.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::world::{Request, Response, State, empty};

/// The host of the bucket.
pub const HOST: &str = "cloudformation-custom-resource-response-euwest1.s3.eu-west-1.amazonaws.com";

/// The objects that were written.
#[derive(Default)]
pub struct Responses {
    /// Signatures, by the path and query that they allow.
    allowed: BTreeMap<String, String>,
    answers: Vec<Answer>,
}

/// A written object.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Path and query of the request.
    pub target: String,
    /// Size of its body, in bytes.
    pub bytes: usize,
    /// The body as JSON. Null if it is not JSON.
    pub body: Value,
}

/// Creates a URL for one response. Returns its path and query, without a host.
pub fn presign(state: &mut State) -> String {
    let signature = state.random_text(43);
    let object = state.uuid();
    let target = format!(
        "/arn%3Aaws%3Acloudformation%3Aeu-west-1%3A111122223333%3Astack/onboarded/{object}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261124%2Feu-west-1%2Fs3%2Faws4_request&X-Amz-Expires=7200&X-Amz-Signature={signature}"
    );
    state.responses.allowed.insert(target.clone(), signature);
    target
}

/// All objects so far.
#[must_use]
pub fn answers(state: &State) -> Vec<Answer> {
    state.responses.answers.clone()
}

/// The signatures: the secret part of the URLs.
#[must_use]
pub fn all_secret_values(state: &State) -> Vec<String> {
    state.responses.allowed.values().cloned().collect()
}

/// Handles one request.
pub fn handle(state: &mut State, request: &Request) -> Response {
    let target = request.uri().path_and_query().map_or("", http::uri::PathAndQuery::as_str).to_owned();
    let signed = state.responses.allowed.contains_key(&target) && request.method() == "PUT";
    if !signed || request.headers().contains_key("content-type") {
        return empty(403);
    }
    let body = serde_json::from_slice(request.body()).unwrap_or(Value::Null);
    state.responses.answers.push(Answer { target, bytes: request.body().len(), body });
    empty(200)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::json;

    use super::*;
    use crate::world::{Service, World};

    #[test]
    fn an_answer_is_taken_as_it_was_signed_and_in_no_other_way() {
        let world = World::new();
        let target = world.with(presign);
        let send = |method: &str, target: &str, content_type: Option<&str>| {
            let mut request = http::Request::builder().method(method).uri(format!("https://{HOST}{target}"));
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            let request = request.body(Bytes::from_static(b"{\"Status\":\"SUCCESS\"}")).expect("a request");
            world.call(Service::Responses, request).expect("an answer").status().as_u16()
        };
        assert_eq!(send("GET", &target, None), 403);
        assert_eq!(send("PUT", &target, Some("application/json")), 403);
        assert_eq!(send("PUT", &target.replace("%3A", ":"), None), 403, "encoded again");
        assert_eq!(send("PUT", &target, None), 200);
        let answers = world.with(|state| answers(state));
        assert_eq!((answers.len(), &answers[0].body), (1, &json!({"Status": "SUCCESS"})));
    }
}
