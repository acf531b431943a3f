//! Tests of Entra with requests in their real shape.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;

use super::*;
use crate::world::{Service, World};

const START: i64 = 1_793_534_400;
const TENANT: &str = "6c1f1f0e-0000-4000-8000-000000000001";
const CLIENT: &str = "6c1f1f0e-0000-4000-8000-000000000002";
const ISSUER: &str = "https://1b2c3d4e.tokens.sts.global.api.aws";
const SUBJECT: &str = "arn:aws:iam::123456789012:role/hubkeeper";
const AUDIENCE: &str = "api://AzureADTokenExchange";
const KIND: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SCOPE: &str = "https://management.azure.com/.default";

fn site() -> (World, Arc<AtomicI64>) {
    let clock = Arc::new(AtomicI64::new(START));
    let read = Arc::clone(&clock);
    let now = move || OffsetDateTime::from_unix_timestamp(read.load(Ordering::Relaxed)).expect("a time");
    let world = World::with_clock(Arc::new(now), 7);
    world.with(|state| register_application(state, TENANT, CLIENT));
    (world, clock)
}

fn post(world: &World, tenant: &str, fields: &[(&str, &str)]) -> (u16, Value) {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = http::Request::post(format!("/{tenant}/oauth2/v2.0/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .expect("a request");
    let response = world.call(Service::Entra, request).expect("an answer");
    (response.status().as_u16(), serde_json::from_slice(response.body()).expect("JSON"))
}

fn assertion(issuer: &str, subject: &str, audience: &Value) -> String {
    let claims = json!({ "iss": issuer, "sub": subject, "aud": audience, "iat": START, "exp": START + 300 });
    keys::sts().sign(&claims)
}

fn with_assertion(world: &World, assertion: &str) -> (u16, Value) {
    let fields = [
        ("client_id", CLIENT),
        ("scope", SCOPE),
        ("grant_type", "client_credentials"),
        ("client_assertion_type", KIND),
        ("client_assertion", assertion),
    ];
    post(world, TENANT, &fields)
}

fn with_secret(world: &World, secret: &str) -> (u16, Value) {
    let fields =
        [("client_id", CLIENT), ("scope", SCOPE), ("grant_type", "client_credentials"), ("client_secret", secret)];
    post(world, TENANT, &fields)
}

fn code(answer: &(u16, Value)) -> (u16, i64) {
    (answer.0, answer.1["error_codes"][0].as_i64().unwrap_or(0))
}

#[test]
fn an_assertion_that_equals_a_federated_credential_gives_a_bearer_for_its_time() {
    let (world, clock) = site();
    world.with(|state| add_federated_credential(state, CLIENT, ISSUER, SUBJECT, AUDIENCE));
    let (status, body) = with_assertion(&world, &assertion(ISSUER, SUBJECT, &json!(AUDIENCE)));
    assert_eq!((status, &body["token_type"], &body["expires_in"]), (200, &json!("Bearer"), &json!(3_599)));
    let bearer = body["access_token"].as_str().expect("a bearer").to_owned();
    assert_eq!(keys::entra().verify(&bearer).expect("a good signature")["appid"], CLIENT);
    assert_eq!(world.with(|state| bearer_client(state, &bearer)).as_deref(), Some(CLIENT));
    assert!(world.with(|state| all_secret_values(state)).contains(&bearer));
    clock.fetch_add(3_599, Ordering::Relaxed);
    assert_eq!(world.with(|state| bearer_client(state, &bearer)), None);
}

#[test]
fn every_claim_is_compared_with_its_case() {
    let (world, clock) = site();
    let good = assertion(ISSUER, SUBJECT, &json!(AUDIENCE));
    assert_eq!(code(&with_assertion(&world, &good)), (400, 70_021));
    world.with(|state| add_federated_credential(state, CLIENT, ISSUER, SUBJECT, AUDIENCE));
    let refused = |issuer: &str, subject: &str, audience: Value| {
        code(&with_assertion(&world, &assertion(issuer, subject, &audience)))
    };
    assert_eq!(refused(&format!("{ISSUER}/"), SUBJECT, json!(AUDIENCE)), (401, 700_211));
    assert_eq!(refused(ISSUER, &SUBJECT.replace("role", "Role"), json!(AUDIENCE)), (401, 700_213));
    assert_eq!(refused(ISSUER, SUBJECT, json!("api://AzureADTokenExchangeUSGov")), (401, 700_212));
    assert_eq!(refused(ISSUER, SUBJECT, json!([AUDIENCE, "other"])), (401, 700_212));
    let foreign = keys::entra().sign(&json!({ "iss": ISSUER, "sub": SUBJECT, "aud": AUDIENCE, "exp": START + 300 }));
    assert_eq!(code(&with_assertion(&world, &foreign)), (401, 700_027));
    assert_eq!(code(&with_assertion(&world, "nonsense")), (401, 700_027));
    clock.fetch_add(300, Ordering::Relaxed);
    assert_eq!(code(&with_assertion(&world, &good)), (401, 700_024));
}

#[test]
fn a_new_federated_credential_may_take_its_time() {
    let (world, clock) = site();
    world.with(|state| {
        state.entra.federated_delay = Duration::seconds(60);
        add_federated_credential(state, CLIENT, ISSUER, SUBJECT, AUDIENCE);
    });
    let good = assertion(ISSUER, SUBJECT, &json!(AUDIENCE));
    assert_eq!(code(&with_assertion(&world, &good)), (400, 70_021));
    clock.fetch_add(60, Ordering::Relaxed);
    assert_eq!(with_assertion(&world, &good).0, 200);
}

#[test]
fn client_secrets_are_right_wrong_or_over() {
    let (world, clock) = site();
    let end = OffsetDateTime::from_unix_timestamp(START + 60).expect("a time");
    let secret = world.with(|state| add_client_secret(state, CLIENT, Some(end)));
    assert_eq!(with_secret(&world, &secret).0, 200);
    let wrong = with_secret(&world, "wrong");
    assert_eq!((code(&wrong), &wrong.1["error"]), ((401, 7_000_215), &json!("invalid_client")));
    clock.fetch_add(60, Ordering::Relaxed);
    assert_eq!(code(&with_secret(&world, &secret)), (401, 7_000_222));
    world.with(|state| set_disabled(state, CLIENT, true));
    assert_eq!(code(&with_secret(&world, &secret)), (400, 7_000_112));
}

#[test]
fn every_field_of_the_form_is_checked() {
    let (world, _) = site();
    let secret = world.with(|state| add_client_secret(state, CLIENT, None));
    let good = [
        ("client_id", CLIENT),
        ("scope", SCOPE),
        ("grant_type", "client_credentials"),
        ("client_secret", secret.as_str()),
    ];
    assert_eq!(post(&world, TENANT, &good).0, 200);
    assert_eq!(code(&post(&world, "contoso", &good)), (400, 90_002));
    for (field, expected) in [("client_id", 900_144), ("scope", 900_144), ("grant_type", 900_144)] {
        let fields: Vec<_> = good.into_iter().filter(|(name, _)| *name != field).collect();
        assert_eq!(code(&post(&world, TENANT, &fields)), (400, expected), "{field}");
    }
    assert_eq!(code(&post(&world, TENANT, &good[..3])), (401, 7_000_218));
    for (field, value, expected) in [
        ("client_id", "6c1f1f0e-0000-4000-8000-000000000009", 700_016),
        ("scope", "https://management.azure.com/", 1_002_012),
        ("scope", "https://vault.azure.net/.default", 500_011),
        ("grant_type", "password", 70_003),
    ] {
        let fields = good.map(|(name, good)| (name, if name == field { value } else { good }));
        assert_eq!(code(&post(&world, TENANT, &fields)), (400, expected), "{field}");
    }
    let mut fields = good.to_vec();
    fields.push(("resource", "https://management.azure.com/"));
    let refused = post(&world, TENANT, &fields);
    assert_eq!(code(&refused), (400, 901_002));
    for member in ["error", "error_description", "timestamp", "trace_id", "correlation_id"] {
        assert!(refused.1[member].is_string(), "{member}");
    }
    let request = http::Request::get(format!("/{TENANT}/oauth2/v2.0/token")).body(Bytes::new()).expect("a request");
    assert_eq!(world.call(Service::Entra, request).expect("an answer").status(), 405);
    let request = http::Request::post(format!("/{TENANT}/oauth2/token")).body(Bytes::new()).expect("a request");
    assert_eq!(world.call(Service::Entra, request).expect("an answer").status(), 404);
}

#[test]
fn libraries_find_the_token_route_on_the_host_that_they_ask() {
    let (world, _) = site();
    let find = |tenant: &str| {
        let request = http::Request::get(format!("/{tenant}/v2.0/.well-known/openid-configuration"));
        let request = request.header("host", "localhost:4433").body(Bytes::new()).expect("a request");
        let response = world.call(Service::Entra, request).expect("an answer");
        (response.status().as_u16(), serde_json::from_slice::<Value>(response.body()).expect("JSON"))
    };
    let (status, found) = find(TENANT);
    assert_eq!(
        (status, &found["token_endpoint"]),
        (200, &json!(format!("https://localhost:4433/{TENANT}/oauth2/v2.0/token")))
    );
    let (status, refused) = find(CLIENT);
    assert_eq!((status, &refused["error"], &refused["error_codes"]), (400, &json!("invalid_tenant"), &json!([90_002])));
}

#[test]
fn an_application_without_a_service_principal_gets_no_token() {
    let (world, _) = site();
    let secret = world.with(|state| add_client_secret(state, CLIENT, None));
    world.with(|state| set_principal(state, CLIENT, false));
    let refused = with_secret(&world, &secret);
    assert_eq!((code(&refused), &refused.1["error"]), ((400, 7_000_229), &json!("invalid_client")));
    let description = refused.1["error_description"].as_str().expect("a description");
    assert!(description.starts_with(&format!(
        "AADSTS7000229: The client application '{CLIENT}' is missing service principal in the tenant '{TENANT}'."
    )));
    world.with(|state| set_principal(state, CLIENT, true));
    assert_eq!(with_secret(&world, &secret).0, 200);
}

#[test]
fn a_person_gets_a_bearer_for_arm() {
    let (world, clock) = site();
    let bearer = world.with(|state| issue_bearer(state, "Olga"));
    assert_eq!(world.with(|state| bearer_client(state, &bearer)).as_deref(), Some("olga"));
    let claims = keys::entra().verify(&bearer).expect("a good signature");
    assert_eq!((&claims["idtyp"], &claims["tid"]), (&json!("user"), &json!(TENANT)));
    assert!(world.with(|state| all_secret_values(state)).contains(&bearer));
    assert_ne!(world.with(|state| issue_bearer(state, "olga")), bearer);
    clock.fetch_add(3_599, Ordering::Relaxed);
    assert_eq!(world.with(|state| bearer_client(state, &bearer)), None);
}
