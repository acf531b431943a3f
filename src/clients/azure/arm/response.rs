//! Parses ARM's responses: the link to the next page, and the reason of an error.

use http::header::WWW_AUTHENTICATE;
use hubkeeper_core::failure::arm::Refusal;
use serde_json::Value;
use url::Url;

use crate::http::Response;

/// Returns the URL of the next page. The client follows it only on the host of the first page, because the request
/// carries the bearer token.
pub(super) fn next_page(page: &Value, first: &Url) -> Option<Url> {
    let link = page.get("nextLink").and_then(Value::as_str).and_then(|link| Url::parse(link).ok());
    link.filter(|link| link.origin() == first.origin())
}

/// Parses the reason of a response that is not a success.
pub(super) fn refused(response: &Response) -> Refusal {
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let id = response.headers().get("x-ms-request-id").and_then(|id| id.to_str().ok());
    Refusal::parse(response.status().as_u16(), &body, id, is_challenge(response))
}

/// Returns whether a 401 asks for more claims than the bearer token has: conditional access, or continuous access
/// evaluation (Microsoft's "Claims challenges, claims requests, and client capabilities").
fn is_challenge(response: &Response) -> bool {
    let headers = response.headers().get_all(WWW_AUTHENTICATE);
    response.status() == 401
        && headers.iter().any(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
            text.contains("insufficient_claims") || text.contains("claims=")
        })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hubkeeper_core::error::Kind;
    use serde_json::json;

    use super::*;

    fn response(status: u16, body: &Value) -> Response {
        http::Response::builder().status(status).body(Bytes::from(body.to_string())).unwrap()
    }

    #[test]
    fn only_arm_s_own_word_makes_a_connector_absent() {
        assert!(refused(&response(404, &json!({"error": {"code": "ResourceNotFound", "message": "x"}}))).is_absent());
        assert!(
            !refused(&response(404, &json!({"error": {"code": "ResourceGroupNotFound", "message": "x"}}))).is_absent()
        );
        assert!(!refused(&response(404, &json!("<html>not found</html>"))).is_absent());
    }

    #[test]
    fn a_challenge_for_more_claims_is_told_by_the_header() {
        let with = |status: u16, header: &str| {
            let mut response =
                response(status, &json!({"error": {"code": "InvalidAuthenticationToken", "message": "x"}}));
            response.headers_mut().insert(WWW_AUTHENTICATE, header.parse().unwrap());
            response
        };
        let challenge = r#"Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ==""#;
        let error = refused(&with(401, challenge)).error(&[]);
        assert_eq!(error.kind(), Kind::NeedsHuman);
        let text = error.to_string();
        assert!(text.contains("conditional access") && text.contains("continuous access evaluation"), "{text}");
        assert!(!text.contains("eyJ"), "{text}");
        assert!(!is_challenge(&with(401, r#"Bearer error="invalid_token""#)));
        assert!(!is_challenge(&with(403, challenge)));
    }
}
