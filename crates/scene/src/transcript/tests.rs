use super::*;

/// A response of the sandbox, as its record spells it.
struct Sample {
    service: &'static str,
    target: &'static str,
    uri: &'static str,
    status: u16,
    headers: Vec<&'static str>,
    body: &'static str,
}

/// What the sandbox returns in these tests.
fn samples() -> Vec<Sample> {
    let sample = |service, uri, status, body| Sample { service, target: "", uri, status, headers: vec![], body };
    vec![
        Sample {
            target: "secretsmanager.DescribeSecret",
            ..sample(
                "Aws",
                "/",
                200,
                r#"{"ARN": "arn:x", "Name": "n", "LastChangedDate": 1.5, "Tags": [{"Key": "a", "Value": "b"}]}"#,
            )
        },
        Sample {
            target: "secretsmanager.DescribeSecret",
            ..sample("Aws", "/", 200, r#"{"ARN": "arn:y", "Name": "n", "LastChangedDate": 1.5}"#)
        },
        Sample {
            target: "secretsmanager.DescribeSecret",
            ..sample("Aws", "/", 400, r#"{"__type": "ResourceNotFoundException", "Message": "no such secret"}"#)
        },
        sample(
            "Hub",
            "https://hub.docker.com/v2/orgs/acme/members?page=1",
            200,
            r#"{"count": 1, "next": null, "previous": null, "results": [{"username": "a", "email": "b", "role": "c"}]}"#,
        ),
        sample(
            "Hub",
            "https://hub.docker.com/v2/orgs/acme/members?page=1",
            403,
            r#"{"message": "denied", "errinfo": {}}"#,
        ),
        Sample {
            headers: vec!["www-authenticate"],
            ..sample(
                "Registry",
                "/v2/acme/web/manifests/latest",
                401,
                r#"{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required", "detail": null}]}"#,
            )
        },
        sample(
            "Arm",
            "/subscriptions/1/resourceGroups/g/providers/Microsoft.Security/securityConnectors/c?api-version=2024-08-01-preview",
            404,
            r#"{"error": {"code": "ResourceNotFound", "message": "not found"}}"#,
        ),
        sample(
            "Arm",
            "/subscriptions/1/resourceGroups/g/providers/Microsoft.Security/securityConnectors/c?api-version=2024-08-01-preview",
            200,
            r#"{"id": "x", "name": "c", "tags": {"a": "b"}, "properties": {"offerings": [], "environmentData": {"scanInterval": 24}}}"#,
        ),
        sample(
            "Entra",
            "/t/oauth2/v2.0/token",
            200,
            r#"{"token_type": "Bearer", "expires_in": 3599, "access_token": "e30.eyJzdWIiOiAieCJ9.s"}"#,
        ),
        Sample {
            target: "form",
            ..sample(
                "Aws",
                "/",
                200,
                "<GetWebIdentityTokenResponse><GetWebIdentityTokenResult><WebIdentityToken>x</WebIdentityToken><Expiration>2026-11-24T10:00:00Z</Expiration></GetWebIdentityTokenResult><ResponseMetadata><RequestId>5d9f3a52-0000-4000-a000-000000000001</RequestId></ResponseMetadata></GetWebIdentityTokenResponse>",
            )
        },
    ]
}

fn line(sample: &Sample) -> Value {
    let (headers, body) = match sample.target {
        "" => (json!({}), ""),
        "form" => (
            json!({"content-type": "application/x-www-form-urlencoded"}),
            "Action=GetWebIdentityToken&Version=2011-06-15",
        ),
        target => (json!({"x-amz-target": target}), "{}"),
    };
    let response: Map<String, Value> =
        sample.headers.iter().map(|name| ((*name).to_owned(), Value::from("x"))).collect();
    json!({
        "service": sample.service, "method": if sample.target.is_empty() { "GET" } else { "POST" }, "uri": sample.uri,
        "request": {"headers": headers, "body": body},
        "status": sample.status, "response": {"headers": response, "body": sample.body},
    })
}

fn transcript(samples: &[Sample]) -> Transcript {
    let folder = tempfile(samples);
    let transcript = of_record(&folder).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    transcript
}

/// Writes a record into a folder of its own.
fn tempfile(samples: &[Sample]) -> std::path::PathBuf {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("hubkeeper-transcript-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let lines: Vec<String> = samples.iter().map(|sample| line(sample).to_string()).collect();
    std::fs::write(folder.join("1.jsonl"), lines.join("\n")).unwrap();
    std::fs::write(folder.join("other.txt"), "not a record").unwrap();
    folder
}

/// The differences of the samples, one of which is replaced, from the samples.
fn deviating(at: usize, change: impl FnOnce(&mut Sample)) -> Vec<String> {
    let mut live = samples();
    change(live.get_mut(at).unwrap());
    Known::of(&transcript(&samples())).differences(&transcript(&live))
}

#[test]
fn a_transcript_of_the_sandbox_itself_has_no_difference() {
    assert_eq!(deviating(0, |_| {}), [""; 0]);
}

type Change = fn(&mut Sample);

/// Deviations: the sample, its change, and the line.
const DEVIATIONS: [(usize, Change, &str); 22] = [
    (
        2,
        |sample| sample.status = 404,
        "secretsmanager POST / DescribeSecret 404: the sandbox never returns this status, but 200, 400 (ResourceNotFoundException: no such secret)",
    ),
    (
        0,
        |sample| sample.body = r#"{"ARN": "a", "LastChangedDate": 1}"#,
        "secretsmanager POST / DescribeSecret 200: field Name: missing, and the sandbox always sends it",
    ),
    (
        0,
        |sample| sample.body = r#"{"ARN": "a", "Name": "n", "LastChangedDate": 1, "OwningService": "x"}"#,
        "secretsmanager POST / DescribeSecret 200: field OwningService: the sandbox never sends it",
    ),
    (
        0,
        |sample| sample.body = r#"{"ARN": "a", "Name": "n", "LastChangedDate": "2026-11-24T10:00:00Z"}"#,
        "secretsmanager POST / DescribeSecret 200: field LastChangedDate: time, and the sandbox sends number",
    ),
    (
        3,
        |sample| sample.body = r#"{"count": 1, "next": null, "previous": null, "results": [{"username": "a", "email": null, "role": "c"}]}"#,
        "hub GET /v2/orgs/{}/members 200: field results[].email: null, and the sandbox sends string",
    ),
    (
        6,
        |sample| sample.body = r#"{"code": "ResourceNotFound", "message": "not found"}"#,
        "arm GET /subscriptions/{}/resourceGroups/{}/providers/Microsoft.Security/securityConnectors/{} 404: the body: an object with code, message, and the sandbox sends an object with error",
    ),
    (
        5,
        |sample| sample.headers.clear(),
        "registry GET /v2/{}/{}/manifests/{} 401: header www-authenticate: missing, and the sandbox always sends it",
    ),
    (
        9,
        |sample| sample.body = "<GetWebIdentityTokenResponse><Result><WebIdentityToken>x</WebIdentityToken><Expiration>2026-11-24T10:00:00Z</Expiration></Result><ResponseMetadata><RequestId>5d9f3a52-0000-4000-a000-000000000001</RequestId></ResponseMetadata></GetWebIdentityTokenResponse>",
        "sts POST / GetWebIdentityToken 200: field GetWebIdentityTokenResponse.Result: the sandbox sends GetWebIdentityTokenResult instead",
    ),
    (
        3,
        |sample| sample.body = r#"[{"username": "a", "email": "b", "role": "c"}]"#,
        "hub GET /v2/orgs/{}/members 200: the body: a list, and the sandbox sends an object with count, next, previous, results",
    ),
    (
        2,
        |sample| sample.body = r#"{"__type": "AccessDeniedException", "Message": "no such secret"}"#,
        "secretsmanager POST / DescribeSecret 400: error code AccessDeniedException: the sandbox returns ResourceNotFoundException",
    ),
    (
        4,
        |sample| sample.body = r#"{"message": "forbidden", "errinfo": {}}"#,
        "hub GET /v2/orgs/{}/members 403: error text \"forbidden\": the sandbox returns \"denied\"",
    ),
    (
        4,
        |sample| sample.headers = vec!["retry-after", "x-other"],
        "hub GET /v2/orgs/{}/members 403: header retry-after: the sandbox never sends it",
    ),
    (
        4,
        |sample| sample.body = "",
        "hub GET /v2/orgs/{}/members 403: there is no body, and the sandbox sends an object with errinfo, message",
    ),
    (
        4,
        |sample| sample.body = "<html>",
        "hub GET /v2/orgs/{}/members 403: the body: html, and the sandbox sends an object with errinfo, message",
    ),
    (
        3,
        |sample| sample.uri = "/v2/orgs/acme/settings",
        "hub GET /v2/orgs/{}/settings 200: the sandbox has no such call",
    ),
    (
        7,
        |sample| sample.body = r#"{"id": "x", "name": "c", "tags": {}, "properties": {"offerings": [{"offeringType": "x"}], "environmentData": {"scanInterval": 24}}}"#,
        "arm GET /subscriptions/{}/resourceGroups/{}/providers/Microsoft.Security/securityConnectors/{} 200: field properties.offerings[]: the sandbox's list is always empty",
    ),
    (
        7,
        |sample| sample.body = r#"{"id": "x", "name": "c", "tags": {"a": 1}, "properties": {"offerings": [], "environmentData": {"scanInterval": 24}}}"#,
        "arm GET /subscriptions/{}/resourceGroups/{}/providers/Microsoft.Security/securityConnectors/{} 200: field tags.*: number, and the sandbox sends string",
    ),
    (
        8,
        |sample| sample.body = r#"{"token_type": "Bearer", "expires_in": 3599, "access_token": "opaque"}"#,
        "entra GET /{}/oauth2/v2.0/token 200: the token has no claims, and the sandbox's always has",
    ),
    (
        8,
        |sample| sample.body = r#"{"token_type": "Bearer", "expires_in": 3599, "access_token": "e30.eyJzdWIiOiAieCIsICJzY29wZSI6ICJ4In0.s"}"#,
        "entra GET /{}/oauth2/v2.0/token 200: field claims.scope: the sandbox never sends it",
    ),
    (
        9,
        |sample| sample.body = "<GetWebIdentityTokenResponse><GetWebIdentityTokenResult><WebIdentityToken>x</WebIdentityToken><Expiration>soon</Expiration></GetWebIdentityTokenResult><ResponseMetadata><RequestId>5d9f3a52-0000-4000-a000-000000000001</RequestId></ResponseMetadata></GetWebIdentityTokenResponse>",
        "sts POST / GetWebIdentityToken 200: field GetWebIdentityTokenResponse.GetWebIdentityTokenResult.Expiration: string, and the sandbox sends time",
    ),
    (1, |sample| sample.body = r#"{"ARN": "", "Name": "2026-11-24T10:00:00Z", "LastChangedDate": 1}"#, ""),
    (4, |sample| sample.headers = vec!["content-type", "x-other"], ""),
];

#[test]
fn each_deviation_is_one_line() {
    for (at, change, expected) in DEVIATIONS {
        let expected: Vec<&str> = Some(expected).filter(|line| !line.is_empty()).into_iter().collect();
        assert_eq!(deviating(at, change), expected);
    }
}

#[test]
fn a_request_without_a_response_is_no_difference() {
    let mut live = Transcript::new([("https://hub.docker.com".to_owned(), Service::Hub)]);
    live.note(&Exchange {
        method: "GET",
        uri: "https://hub.docker.com/v2/orgs/acme/members",
        request: Message::default(),
        response: None,
    });
    assert!(Known::of(&transcript(&samples())).differences(&live).is_empty());
}

#[test]
fn the_known_calls_say_which_fields_are_always_there() {
    let known = Known::of(&transcript(&samples())).to_json();
    let described =
        known["calls"].as_array().unwrap().iter().find(|call| call["call"] == "secretsmanager POST / DescribeSecret");
    assert_eq!(
        described.unwrap()["statuses"]["200"]["body"],
        json!({"always": {"ARN": "string", "Name": "string", "LastChangedDate": "number"}, "optional": {"Tags": [{"always": {"Key": "string", "Value": "string"}, "optional": {}}]}})
    );
}

#[test]
fn a_folder_without_a_readable_record_is_an_error() {
    let folder = tempfile(&[]);
    assert!(of_record(&folder).err().unwrap().to_string().contains("has no record"));
    for line in ["{}", "nonsense"] {
        std::fs::write(folder.join("1.jsonl"), line).unwrap();
        assert!(of_record(&folder).err().unwrap().to_string().contains("is not a recorded exchange"), "{line}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(of_record(&folder).is_err());
}
