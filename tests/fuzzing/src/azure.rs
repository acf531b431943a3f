//! Input: a script of responses (see [`crate::answers`]) of ARM, or of Entra (`entra`: with an assertion of STS, `entra-secret`:
//! with a client secret). All other services succeed. The token in the PUT, the bearers and the client secret are the marker.

use std::cell::RefCell;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use hubkeeper::clients::azure::arm::{Arm, ConnectorWriter};
use hubkeeper::clients::azure::entra::BearerCache;
use hubkeeper::http::{Request, Response};
use hubkeeper_core::connector::merge::{Desired, merge};
use hubkeeper_core::connector::{Coverage, Found, Observed};
use hubkeeper_core::ids::{Fingerprint, VersionId};
use hubkeeper_core::secret::Document;
use hubkeeper_core::secret::document::ConnectorId;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::answers::{self, Answer, NOW, Script};
use crate::aws::services;
use crate::clean::{self, MARKER};

const OPERATIONS: [&str; 7] = ["get", "put", "delete", "health", "others", "entra", "entra-secret"];
const ARM: &str = "management.azure.com";
const ENTRA: &str = "login.microsoftonline.com";
const VERSION: &str = "11111111-1111-4111-a111-111111111111";
const FINGERPRINT: &str = "0123456789ab";

fn fingerprint() -> Fingerprint {
    Fingerprint::parse(FINGERPRINT).unwrap()
}

thread_local! {
    /// Bearers that were issued, and are valid until ARM rejects one.
    static BEARERS: RefCell<Arc<BearerCache>> = RefCell::default();
}

/// Every response of ARM is either read or becomes an error that shows nothing of it. A bearer goes only to its own host. A
/// connector that was read can be written with all foreign fields unchanged.
pub(crate) fn check(input: &[u8]) {
    let (operation, answers) = answers::parse(input, &OPERATIONS);
    if operation.starts_with("entra") {
        return entra(operation == "entra-secret", answers, input);
    }
    let script = Script::with(answers, |request| (request.uri().host() != Some(ARM)).then(|| beside(request)));
    let bearers = BEARERS.with_borrow(Arc::clone);
    let arm = services(&script, false, &bearers).arm;
    let document = document();
    let id = &document.connector.id;
    match operation {
        "get" => {
            if let Some(Found::Present(observed)) = clear(answers::run(arm.get(id)), input) {
                written(&observed, &document);
            }
        }
        "put" => {
            let body = json!({"properties": {"accessToken": MARKER}});
            clear(answers::run(ConnectorWriter::new(arm).put(id, &body, &SecretString::from(MARKER))), input);
        }
        "delete" => {
            clear(answers::run(ConnectorWriter::new(arm).delete(id)), input);
        }
        "health" => {
            if let Some(health) = answers::run(arm.health(id)) {
                clean::text(&format!("{health:?} {}", json!(health)), input);
            }
        }
        _ => others(&arm, id, input),
    }
    let sent = script.sent();
    assert!(sent.iter().all(|sent| sent.host == ARM), "a bearer went elsewhere");
    if sent.iter().any(|sent| sent.status == 401) {
        BEARERS.set(Arc::default());
    }
    script.end();
}

fn clear<T>(answer: Result<T, hubkeeper_core::error::Error>, input: &[u8]) -> Option<T> {
    answer.map_err(|error| clean::error(&error, input)).ok()
}

fn others(arm: &Arm, id: &ConnectorId, input: &[u8]) {
    for other in clear(answers::run(arm.others(id, "acme", &fingerprint())), input).into_iter().flatten() {
        // the display omits characters that no name has, so a different name may look like the connector's own
        assert!(other.name.chars().count() <= 64);
    }
}

/// A connector that was read, merged and read again has the written values.
fn written(observed: &Observed, document: &Document) {
    let token = SecretString::from("dckr_pat_new");
    let desired = Desired {
        document,
        token: &token,
        fingerprint: &fingerprint(),
        version: &VersionId::of_service(VERSION),
        proved_at: NOW,
        proved: Coverage { repositories: 7, private: 3 },
    };
    let body = merge(&desired, Some(observed));
    let pointer = "/properties/environmentData/authentication/accessToken";
    assert_eq!(body.pointer(pointer).and_then(Value::as_str), Some("dckr_pat_new"));
    let again = Observed::parse(body.clone()).expect("what is written is a connector");
    assert_eq!(merge(&desired, Some(&again)), body, "a merge of what was merged changes nothing");
    assert_eq!(again.carries(document, &fingerprint(), &VersionId::of_service(VERSION)), Ok(()));
    // the time of the proof changes only with the version
    assert!(again.proved_at() == Some(NOW) || observed.version() == Some(VersionId::of_service(VERSION)));
    if let Some(at) = observed.proved_at() {
        assert!(!hubkeeper_core::time::rfc3339(at).is_empty());
    }
}

/// Either a bearer is issued, or the error shows neither assertion nor bearer.
fn entra(by_secret: bool, answers: Vec<Answer>, input: &[u8]) {
    let script = Script::with(answers, |request| (request.uri().host() != Some(ENTRA)).then(|| beside(request)));
    let entra = services(&script, by_secret, &Arc::default()).arm.entra;
    clear(answers::run(entra.bearer()), input);
    assert!(script.sent().iter().all(|sent| sent.host == ENTRA));
    script.end();
}

/// All services that a run does not test: STS, Secrets Manager, Entra.
fn beside(request: &Request) -> Response {
    let body = match request.uri().host().unwrap_or_default() {
        ENTRA => json!({"token_type": "Bearer", "expires_in": 3599, "access_token": MARKER}).to_string(),
        host if host.starts_with("sts.") => {
            let claims =
                json!({"iss": "https://x.tokens.sts.global.api.aws", "sub": "arn:aws:iam::1:role/r", "aud": "api://x"});
            let jwt = format!("e30.{}.{MARKER}", URL_SAFE_NO_PAD.encode(claims.to_string()));
            format!(
                "<GetWebIdentityTokenResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetWebIdentityTokenResult><WebIdentityToken>{jwt}</WebIdentityToken><Expiration>2026-11-24T10:05:00Z</Expiration></GetWebIdentityTokenResult></GetWebIdentityTokenResponse>"
            )
        }
        _ => json!({"ARN": "arn:aws:secretsmanager:eu-west-1:1:secret:s-AbCdEf", "Name": "s", "SecretString": MARKER})
            .to_string(),
    };
    http::Response::new(Bytes::from(body))
}

fn document() -> Document {
    let value = json!({"organization": "acme", "username": "acme-scanner", "accessToken": MARKER,
        "connector": {"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg-security", "name": "dockerhub-acme",
            "location": "westeurope", "tags": {"Team": "sec"}}});
    Document::parse(&SecretString::from(value.to_string())).expect("a document")
}
