use super::*;
use crate::keys;

fn token(world: &World, form: &str) -> (u16, String) {
    let request = http::Request::post("https://sts.eu-west-1.amazonaws.com/")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", signed("eu-west-1", "sts"))
        .body(Bytes::from(form.to_owned()))
        .expect("a request");
    assert_eq!((action(&request).is_some(), is_write(&request)), (form.contains("Action"), false));
    let response = world.call(Service::Aws, request).expect("an answer");
    (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
}

fn between<'a>(text: &'a str, tag: &str) -> &'a str {
    let (_, rest) = text.split_once(&format!("<{tag}>")).expect("the tag");
    rest.split_once("</").expect("its end").0
}

const FORM: &str = "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=api%3A%2F%2FAzureADTokenExchange\
                    &SigningAlgorithm=RS256&DurationSeconds=300";

#[test]
fn a_token_names_the_role_the_audience_and_its_end() {
    let (world, _) = world();
    let (status, body) = token(&world, FORM);
    assert_eq!(status, 200, "{body}");
    assert!(body.starts_with("<GetWebIdentityTokenResponse"));
    assert_eq!(between(&body, "Expiration"), "2026-11-24T10:05:00Z");
    let claims = keys::sts().verify(between(&body, "WebIdentityToken")).expect("a signed token");
    world.with(|state| {
        assert_eq!(claims["iss"], json!(state.aws.sts.issuer));
        assert_eq!(claims["sub"], json!(state.aws.sts.role_arn));
        assert_eq!(all_secret_values(state).len(), 1);
    });
    assert_eq!(claims["aud"], json!("api://AzureADTokenExchange"));
    assert_eq!(claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat"), 300);
}

#[test]
fn bad_parameters_and_a_feature_that_is_off_are_refused() {
    let (world, _) = world();
    let refused = |form: &str, status: u16, code: &str| {
        let (found, body) = token(&world, form);
        assert_eq!((found, between(&body, "Code")), (status, code));
    };
    refused(&FORM.replace("RS256", "HS256"), 400, "ValidationError");
    refused(&FORM.replace("=300", "=30"), 400, "ValidationError");
    refused(&FORM.replace("Audience.member.1", "Audience"), 400, "ValidationError");
    refused(&FORM.replace("GetWebIdentityToken", "AssumeRole"), 400, "InvalidAction");
    world.with(|state| state.aws.sts.session_seconds = 120);
    refused(FORM, 403, "SessionDurationEscalationException");
    world.with(|state| state.aws.sts.federation_disabled = true);
    refused(FORM, 403, "OutboundWebIdentityFederationDisabledException");
}

#[test]
fn the_caller_is_a_session_of_the_role_and_needs_no_right_to_know_it() {
    let (world, _) = world();
    world.with(|state| {
        state.aws.sts.role_arn = "arn:aws:iam::111122223333:role/path/hubkeeper-eu-west-1".to_owned();
        state.aws.denied = ["sts:GetCallerIdentity", "sts:GetWebIdentityToken"].map(str::to_owned).into();
    });
    let (status, body) = token(&world, "Action=GetCallerIdentity&Version=2011-06-15");
    assert_eq!(status, 200, "{body}");
    let arn = "arn:aws:sts::111122223333:assumed-role/hubkeeper-eu-west-1/sandbox";
    assert_eq!((between(&body, "Account"), between(&body, "Arn")), ("111122223333", arn));
    assert!(between(&body, "UserId").ends_with(":sandbox"));
    let (status, body) = token(&world, FORM);
    assert_eq!((status, between(&body, "Code")), (403, "AccessDenied"));
    let message = between(&body, "Message");
    assert!(
        message.starts_with(&format!("User: {arn} is not authorized to perform: sts:GetWebIdentityToken ")),
        "{message}"
    );
}

#[test]
fn every_region_has_sts() {
    let (world, _) = world();
    let request = http::Request::post("https://sts.us-east-1.amazonaws.com/")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", signed("us-east-1", "sts"))
        .body(Bytes::from_static(FORM.as_bytes()))
        .expect("a request");
    assert_eq!(world.call(Service::Aws, request).expect("a response").status(), 200);
}
