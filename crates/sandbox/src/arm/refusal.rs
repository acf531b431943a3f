//! The two shapes of an error response: Resource Manager's own, and the security provider's.

use serde_json::{Value, json};

pub(super) const CHALLENGE: &str = "Bearer authorization_uri=\"https://login.microsoftonline.com/\", \
     error=\"invalid_token\", error_description=\"The authentication failed because of missing or invalid access token.\"";

/// An error response before it has its correlation id.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) body: Box<dyn FnOnce(&str) -> Value>,
    /// `Retry-After`, in seconds.
    pub(super) retry_after: Option<u32>,
}

/// `{"error":{"code","message"}}`: Resource Manager's shape (Microsoft's swagger, `ErrorResponse`).
pub(super) fn arm(status: u16, code: &str, message: impl Into<String>) -> Refusal {
    let body = json!({ "error": { "code": code, "message": message.into() } });
    Refusal { status, body: Box::new(move |_| body), retry_after: None }
}

/// `{"statusCode","errorMessage","errorCorrelation"}`: the shape of the provider's validation errors, spelled as observed.
pub(super) fn provider(message: &str) -> Refusal {
    let message = format!("error occured for security connector: {message}");
    Refusal {
        status: 400,
        body: Box::new(
            move |correlation| json!({ "statusCode": 400, "errorMessage": message, "errorCorrelation": correlation }),
        ),
        retry_after: None,
    }
}
