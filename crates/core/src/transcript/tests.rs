use std::fmt::Write as _;

use super::*;

const HUB: &str = "https://hub.docker.com";

fn transcript() -> Transcript {
    let bases = [
        ("https://login.microsoftonline.com", Service::Entra),
        ("https://management.azure.com", Service::Arm),
        (HUB, Service::Hub),
        ("https://auth.docker.io/", Service::HubAuth),
        ("https://registry-1.docker.io", Service::Registry),
    ];
    Transcript::new(bases.map(|(base, service)| (base.to_owned(), service)))
}

/// An exchange whose parts a test changes.
#[derive(Clone)]
struct Sample {
    method: String,
    uri: String,
    request: (Vec<(String, String)>, String),
    status: Option<u16>,
    response: (Vec<(String, String)>, String),
}

impl Sample {
    fn new(method: &str, uri: &str, status: u16, response: &str) -> Self {
        Self {
            method: method.to_owned(),
            uri: uri.to_owned(),
            request: (Vec::new(), String::new()),
            status: Some(status),
            response: (Vec::new(), response.to_owned()),
        }
    }

    fn asks(mut self, headers: &[(&str, &str)], body: &str) -> Self {
        self.request = (owned(headers), body.to_owned());
        self
    }

    fn with(mut self, headers: &[(&str, &str)]) -> Self {
        self.response.0 = owned(headers);
        self
    }

    fn note(&self, transcript: &mut Transcript) {
        fn message((headers, body): &(Vec<(String, String)>, String)) -> Message<'_> {
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
            Message { headers: headers.collect(), body: body.as_bytes() }
        }
        transcript.note(&Exchange {
            method: &self.method,
            uri: &self.uri,
            request: message(&self.request),
            response: self.status.map(|status| (status, message(&self.response))),
        });
    }

    fn reduced(&self) -> Value {
        let mut transcript = transcript();
        self.note(&mut transcript);
        transcript.to_json()["exchanges"][0].clone()
    }
}

fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn jwt(claims: &str) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
const SIGNED: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/eu-west-1/lambda/aws4_request, SignedHeaders=host, Signature=abcdef";

#[test]
fn an_exchange_keeps_method_path_status_names_and_types() {
    let json = Sample::new(
        "GET",
        "https://hub.docker.com/v2/namespaces/acme/repositories?page=1&page_size=100&colour=red",
        200,
        r#"{"count": 2, "next": null, "results": [
            {"name": "web", "is_private": true, "last_updated": "2026-11-24T10:00:00Z", "description": ""},
            {"name": "api", "is_private": false, "last_updated": null, "description": "", "x9": 1}]}"#,
    )
    .asks(&[("Authorization", "Bearer abc"), ("x-9f86d081", "1")], "")
    .with(&[("Content-Type", "application/json"), ("x-acme", "1")])
    .reduced();
    assert_eq!(
        json,
        json!({
            "service": "hub", "method": "GET", "path": "/v2/namespaces/{}/repositories", "query": ["page", "page_size", "{}"],
            "request": {"headers": ["*", "authorization"]},
            "status": 200,
            "response": {"headers": ["*", "content-type"], "body": {
                "count": "number", "next": "null", "results": [
                    {"*": "number", "name": "string", "is_private": "boolean", "last_updated": "null", "description": "empty"},
                    {"name": "string", "is_private": "boolean", "last_updated": "time", "description": "empty"},
                ],
            }},
        })
    );
}

#[test]
fn every_service_is_told_by_its_base_url_or_by_what_aws_sends() {
    let target = |target: &str| {
        Sample::new("POST", "https://x.amazonaws.com/", 200, "{}").asks(&[("x-amz-target", target)], "{}")
    };
    let form = |body: &str| Sample::new("POST", "http://127.0.0.1:9/", 200, "<a/>").asks(&[FORM], body);
    let rest = |path: &str, scope: &str| {
        let signed = SIGNED.replace("lambda", scope);
        Sample::new("GET", &format!("https://x.amazonaws.com{path}"), 200, "{}").asks(&[("authorization", &signed)], "")
    };
    let get = |uri: &str| Sample::new("GET", uri, 200, "{}");
    for (sample, service, path, action) in [
        (target("secretsmanager.DescribeSecret"), "secretsmanager", "/", "DescribeSecret"),
        (target("AmazonSQS.SendMessageBatch"), "sqs", "/", "SendMessageBatch"),
        (target("AWSEvents.DescribeRule"), "events", "/", "DescribeRule"),
        (target("GraniteServiceVersion20100801.DescribeAlarms"), "cloudwatch", "/", "DescribeAlarms"),
        (form("Action=GetWebIdentityToken&Version=2011-06-15"), "sts", "/", "GetWebIdentityToken"),
        (form("Action=SimulatePrincipalPolicy&Version=2010-05-08"), "iam", "/", "SimulatePrincipalPolicy"),
        (form("Action=DescribeAlarms&Version=2010-08-01"), "cloudwatch", "/", "DescribeAlarms"),
        (form("Action=GetTopicAttributes&Version=2010-03-31"), "sns", "/", "GetTopicAttributes"),
        (form("Action=DescribeStacks&Version=2010-05-15"), "cloudformation", "/", "DescribeStacks"),
        (form("Action=SendMessage&Version=2012-11-05"), "sqs", "/", "SendMessage"),
        (
            rest("/2015-03-31/functions/hubkeeper/configuration", "lambda"),
            "lambda",
            "/2015-03-31/functions/{}/configuration",
            "",
        ),
        (rest("/schedules/nightly?groupName=x", "scheduler"), "scheduler", "/schedules/{}", ""),
        (
            get("https://x.amazonaws.com/service/GraniteServiceVersion20100801/operation/DescribeAlarms"),
            "cloudwatch",
            "/service/GraniteServiceVersion20100801/operation/{}",
            "DescribeAlarms",
        ),
        (get("https://login.microsoftonline.com/72f988bf/oauth2/v2.0/token"), "entra", "/{}/oauth2/v2.0/token", ""),
        (
            get(
                "https://management.azure.com/subscriptions/1/resourcegroups/g/providers/microsoft.security/securityConnectors/locations",
            ),
            "arm",
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Security/securityConnectors/{}",
            "",
        ),
        (get("https://hub.docker.com/v2/orgs/members/members"), "hub", "/v2/orgs/{}/members", ""),
        (get("https://AUTH.docker.io/token?service=registry.docker.io&scope=a&scope=b"), "hubAuth", "/token", ""),
        (get("https://registry-1.docker.io/v2/acme/web/manifests/tags"), "registry", "/v2/{}/{}/manifests/{}", ""),
    ] {
        let json = sample.reduced();
        assert_eq!((json["service"].as_str(), json["path"].as_str()), (Some(service), Some(path)), "{json}");
        assert_eq!(json["action"].as_str().unwrap_or_default(), action, "{json}");
    }
    for other in [
        get("https://hub.docker.com.evil.example/v2/auth/token"),
        get("https://example.com/v2/auth/token"),
        get("not a uri"),
        target("Unknown_20200101.Describe"),
        form("Action=A&Version=2000-01-01"),
        rest("/", "s3"),
    ] {
        assert_eq!(other.reduced(), Value::Null, "{}", other.uri);
    }
}

#[test]
fn the_longest_base_url_tells_the_service() {
    let bases = [("https://gateway.example/hub/", Service::Hub), ("https://gateway.example", Service::Arm)];
    let mut transcript = Transcript::new(bases.map(|(base, service)| (base.to_owned(), service)));
    for path in ["/hub/v2/auth/token", "/hubs/1"] {
        Sample::new("GET", &format!("https://gateway.example{path}"), 200, "").note(&mut transcript);
    }
    let json = transcript.to_json();
    assert_eq!((&json["exchanges"][0]["service"], &json["exchanges"][0]["path"]), (&json!("arm"), &json!("/{}/{}")));
    assert_eq!(
        (&json["exchanges"][1]["service"], &json["exchanges"][1]["path"]),
        (&json!("hub"), &json!("/v2/auth/token"))
    );
}

#[test]
fn only_a_date_is_kept_of_a_query() {
    for (query, expected) in [
        ("api-version=2024-08-01-preview", vec!["api-version=2024-08-01-preview"]),
        ("api-version=2024-08-01", vec!["api-version=2024-08-01"]),
        ("api-version=2024-08-01-horse", vec!["api-version"]),
        ("api-version=9924-08-01", vec!["api-version"]),
        ("api-version=2024-13-01", vec!["api-version"]),
        ("api-version=2024-12-32", vec!["api-version"]),
        ("api-version=2024108-01", vec!["api-version"]),
        ("%24filter=horse&page=1&page=2&&horse", vec!["$filter", "page", "{}"]),
        ("", vec![]),
    ] {
        assert_eq!(service::query(query).into_iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

#[test]
fn maps_keyed_by_ids_lose_their_keys() {
    let body = r#"{"VersionIdsToStages": {"token": ["AWSCURRENT"], "secret": ["AWSPENDING"]},
        "tags": {"name": "x", "url": "https://x"}, "SecretString": "{\"a\": 1}"}"#;
    let json = Sample::new("POST", "http://127.0.0.1/", 200, body)
        .asks(&[("x-amz-target", "secretsmanager.GetSecretValue")], "{}")
        .reduced();
    assert_eq!(
        json["response"]["body"],
        json!({"VersionIdsToStages": {"*": ["string"]}, "tags": {"*": {"|": ["string", "url"]}}, "SecretString": "string"})
    );
}

#[test]
fn xml_and_forms_are_read_as_fields() {
    let answer = r#"<?xml version="1.0"?><!-- horse --><GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
        <GetWebIdentityTokenResult><Expiration a='>'>2026-11-24T10:05:00Z</Expiration><WebIdentityToken><![CDATA[a<b]]></WebIdentityToken>
        <Tags><member><Key>a</Key></member></Tags><Empty/></GetWebIdentityTokenResult>
        <ns:Value xmlns:ns="x">1</ns:Value><Value>2</Value></GetWebIdentityTokenResponse>"#;
    let body = "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=api%3A%2F%2Fx&Tags.member.2.Key=";
    let json = Sample::new("POST", "http://127.0.0.1/", 200, answer).asks(&[FORM], body).reduced();
    assert_eq!(
        json["request"]["body"],
        json!({"Action": "string", "Version": "string", "Audience.member.#": "string", "Tags.member.#.Key": "empty"})
    );
    assert_eq!(
        json["response"]["body"],
        json!({"GetWebIdentityTokenResponse": {
            "GetWebIdentityTokenResult": {"Expiration": "time", "WebIdentityToken": "string",
                "Tags": {"*": [{"Key": "string"}]}, "Empty": "empty"},
            "Value": ["string"],
        }})
    );
}

#[test]
fn a_body_that_cannot_be_read_is_called_so() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let nested = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    let elements = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
    for (body, expected) in [
        ("{\"a\": ", json!("unreadable")),
        (deep.as_str(), json!("unreadable")),
        (large.as_str(), json!("unreadable")),
        (elements.as_str(), json!("unreadable")),
        ("<a><b></a></b>", json!("unreadable")),
        ("<a>", json!("unreadable")),
        ("<", json!("unreadable")),
        ("</a>", json!("unreadable")),
        ("<![CDATA[x", json!("unreadable")),
        ("<!-- x", json!("unreadable")),
        ("< >", json!("unreadable")),
        ("<!DOCTYPE HTML><p>horse", json!("html")),
        ("<html>horse", json!("html")),
        ("horse", json!("text")),
        ("\u{feff}{\"name\": 1}", json!({"name": "number"})),
        ("[]", json!([])),
        ("null", json!("null")),
    ] {
        assert_eq!(
            Sample::new("GET", &format!("{HUB}/v2"), 200, body).reduced()["response"]["body"],
            expected,
            "{body:.40}"
        );
    }
    assert!(Sample::new("GET", HUB, 200, &nested).reduced()["response"]["body"].to_string().contains("deep"));
    let mut transcript = transcript();
    transcript.note(&Exchange {
        method: "GET",
        uri: HUB,
        request: Message { headers: vec![("accept", b"\xff")], body: b"\xff\xfe" },
        response: Some((200, Message::default())),
    });
    assert_eq!(transcript.to_json()["exchanges"][0]["request"], json!({"headers": ["accept"], "body": "unreadable"}));
}

#[test]
fn codes_and_texts_of_every_service_s_errors_are_kept() {
    let aws = |status: u16, headers: &[(&str, &str)], body: &str| {
        Sample::new("POST", "http://127.0.0.1/", status, body)
            .asks(&[("x-amz-target", "secretsmanager.GetSecretValue")], "{}")
            .with(headers)
    };
    let hub = |body: &str| Sample::new("GET", &format!("{HUB}/v2/orgs/acme/members"), 403, body);
    for (sample, codes, text) in [
        (
            aws(
                400,
                &[],
                r#"{"__type": "com.amazonaws#ResourceNotFoundException", "Message": "Secrets Manager can't find the specified secret."}"#,
            ),
            json!(["ResourceNotFoundException"]),
            json!("Secrets Manager can't find the specified secret."),
        ),
        (
            aws(400, &[("X-Amzn-ErrorType", "ValidationException:http://x/")], "{}"),
            json!(["ValidationException"]),
            Value::Null,
        ),
        (
            aws(
                403,
                &[],
                "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message></Error></ErrorResponse>",
            ),
            json!(["AccessDenied"]),
            json!("not authorized"),
        ),
        (
            hub(
                r#"{"error": {"code": "AuthorizationFailed", "message": "The client 'x1' has no access.", "details": [{"code": "PolicyViolation", "message": "denied by policy 12"}]}}"#,
            ),
            json!(["AuthorizationFailed", "PolicyViolation"]),
            json!("denied by policy #; The client … has no access."),
        ),
        (
            hub(
                r#"{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided.", "error_codes": [7000215, 99999999, "x"]}"#,
            ),
            json!(["7000215", "invalid_client"]),
            json!("… Invalid client secret provided."),
        ),
        (
            hub(
                r#"{"errors": [{"code": "UNAUTHORIZED", "message": "authentication required", "detail": [{"Name": "acme/web"}]}]}"#,
            ),
            json!(["UNAUTHORIZED"]),
            json!("authentication required"),
        ),
        (
            hub(r#"{"details": "incorrect username or password", "error": "access to acme denied"}"#),
            Value::Null,
            json!("incorrect username or password; access to … denied"),
        ),
        (
            hub("").with(&[(
                "WWW-Authenticate",
                r#"Bearer realm="https://acme", error="insufficient_scope", claims="e30""#,
            )]),
            json!(["claims", "insufficient_scope"]),
            Value::Null,
        ),
    ] {
        let json = sample.reduced();
        assert_eq!((&json["codes"], &json["error"]), (&codes, &text), "{json}");
    }
    let fine = Sample::new("GET", HUB, 200, r#"{"message": "fine", "code": "fine"}"#).reduced();
    assert_eq!((&fine["codes"], &fine["error"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_login_shows_the_names_of_its_claims() {
    let token = jwt(
        r#"{"iss": "x", "iat": 1, "scope": "a", "https://hub.docker.com": {"username": "acme", "acme": 1}, "source": {"type": "pat"}}"#,
    );
    let body = json!({"access_token": token, "token": "opaque", "expires_in": 600}).to_string();
    let login = Sample::new("POST", &format!("{HUB}/v2/auth/token"), 200, &body);
    assert_eq!(
        login.reduced()["response"]["claims"],
        json!({"iss": "string", "iat": "number", "scope": "string", "https://hub.docker.com": {"username": "string", "*": "number"},
            "source": {"type": "string"}})
    );
    let mut refused = login;
    refused.status = Some(401);
    assert_eq!(refused.reduced()["response"].get("claims"), None);
    for other in ["a.b.c", "e30.W10.x", "e30", ""] {
        let body = json!({"token": other}).to_string();
        assert_eq!(Sample::new("GET", HUB, 200, &body).reduced()["response"].get("claims"), None, "{other}");
    }
}

#[test]
fn the_same_exchange_is_kept_once_in_a_fixed_order() {
    let one = Sample::new("GET", &format!("{HUB}/v2/orgs/acme/members"), 200, r#"{"count": 1}"#);
    let two = Sample::new("GET", &format!("{HUB}/v2/orgs/umbrella/members"), 200, r#"{"count": 2}"#);
    let three = Sample::new("GET", &format!("{HUB}/v2/orgs/acme/invites"), 404, "");
    let document = |samples: [&Sample; 3]| {
        let mut transcript = transcript();
        for sample in samples {
            sample.note(&mut transcript);
        }
        transcript.to_json()
    };
    let json = document([&one, &two, &three]);
    assert_eq!(json["exchanges"].as_array().unwrap().len(), 2);
    assert_eq!((json["format"].as_str(), json.get("cut")), (Some(FORMAT), None));
    assert_eq!(json, document([&three, &one, &two]));
}

#[test]
fn a_request_without_a_response_has_no_status() {
    let mut sample = Sample::new("GET", &format!("{HUB}/v2/auth/token"), 200, "");
    sample.status = None;
    let json = sample.reduced();
    assert_eq!((json.get("status"), json.get("response")), (None, None));
}

#[test]
fn transcripts_are_merged_and_read_again() {
    let (mut one, mut two) = (transcript(), transcript());
    // each process knows another secret
    let text =
        |text: &str| Sample::new("GET", &format!("{HUB}/v2"), 400, &json!({"message": text, "correct": 1}).to_string());
    text("the correct page").note(&mut one);
    two.hide(&SecretString::from("correct"));
    assert_eq!(one.to_json()["exchanges"][0]["error"], "the correct page");
    let read = Transcript::from_json(&one.to_json()).unwrap();
    assert_eq!(read.to_json(), one.to_json());
    two.merge(read);
    let json = two.to_json();
    assert_eq!(json["exchanges"][0]["error"], HIDDEN);
    assert_eq!(json["exchanges"][0]["response"]["body"], json!({"message": "string", "*": "number"}));
    assert_eq!(Transcript::from_json(&json).unwrap().to_json(), json);
    for other in [
        json!({}),
        json!([]),
        json!({"format": "x", "exchanges": []}),
        json!({"format": FORMAT}),
        json!({"format": FORMAT, "exchanges": [{}]}),
        json!({"format": FORMAT, "exchanges": [{"service": "horse", "path": "/", "method": "GET"}]}),
    ] {
        assert!(Transcript::from_json(&other).is_none(), "{other}");
    }
}

const HIDDEN: &str = words::HIDDEN;

#[test]
fn nothing_gets_in_through_a_document() {
    let planted = json!({"format": FORMAT, "horse": "horse", "cut": "horse", "exchanges": [{
        "service": "hub", "method": "horse", "path": "/v2/horse", "action": "horse", "query": ["horse", "api-version=horse", {"horse": 1}],
        "request": {"headers": ["horse"], "body": {"horse": "horse", "name": ["horse", {"|": ["horse"]}], "|": "horse"}, "horse": 1},
        "status": "horse", "response": {"headers": "horse", "body": "horse", "claims": {"horse": {"horse": "string"}}},
        "codes": ["horse", "12345678"], "error": "horse", "horse": "horse",
    }]});
    let json = Transcript::from_json(&planted).unwrap().to_json();
    assert!(!json.to_string().contains("horse") && !json.to_string().contains("12345678"), "{json}");
    let deep = (0..100).fold(json!("string"), |inner, _| json!([inner]));
    let planted = json!({"format": FORMAT, "exchanges": [{"service": "hub", "method": "GET", "path": "/", "status": 200, "response": {"body": deep}}]});
    assert!(Transcript::from_json(&planted).unwrap().to_json().to_string().contains("deep"));
}

#[test]
fn exchanges_beyond_the_limit_are_left_out_and_that_is_said() {
    let mut transcript = transcript();
    for status in 0..=u16::try_from(MOST).unwrap() {
        Sample::new("GET", HUB, status, "").note(&mut transcript);
    }
    let json = transcript.to_json();
    assert_eq!((json["exchanges"].as_array().unwrap().len(), &json["cut"]), (MOST, &Value::Bool(true)));
    assert_eq!(Transcript::from_json(&json).unwrap().to_json(), json);
    let mut other = Transcript::default();
    other.merge(transcript);
    assert_eq!(other.to_json(), json);
}

/// Secrets of many forms. `correct` is a word of the vocabulary.
const PLANTED: [&str; 12] = [
    "dckr_pat_Ab3dEf9hIjKlMnOpQrStUvWxYz0",
    "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
    "5d9f3a52-0000-4000-a000-0000000000ab",
    "horse",
    "correct",
    "correct horse",
    "deadbeefcafe0123",
    "JBSWY3DPEHPK3PXP",
    "JBSWYDPEHPKPXPAB",
    "acme",
    "scanner@acme.example",
    "287082",
];

/// An exchange for each place in which a secret may be.
fn places(secret: &str) -> Vec<(&'static str, Sample)> {
    let quoted = serde_json::Value::from(secret).to_string();
    let url = format!("{HUB}/v2/orgs/umbrella/members");
    let get = |uri: &str| Sample::new("GET", uri, 400, "{}");
    let says = |body: String| Sample::new("GET", &url, 400, &body);
    let asks = |body: String| get(&url).asks(&[("content-type", "application/json")], &body);
    let form = |body: String| get(&url).asks(&[FORM], &body);
    let told = |name: &str, value: &str| get(&url).with(&[(name, value)]);
    let target =
        |target: String| Sample::new("POST", "http://127.0.0.1/", 400, "{}").asks(&[("x-amz-target", &target)], "{}");
    let query = |action: &str, version: &str| {
        let body = format!("Action={action}&Version={version}");
        Sample::new("POST", "http://127.0.0.1/", 200, "<a/>").asks(&[FORM], &body)
    };
    let claims = |claims: String| {
        let body = json!({"access_token": jwt(&claims)}).to_string();
        Sample::new("POST", &format!("{HUB}/v2/auth/token"), 200, &body)
    };
    vec![
        ("method", Sample::new(secret, &url, 200, "")),
        ("scheme", get(&url.replace("https", secret))),
        ("userinfo", get(&url.replace("https://", &format!("https://{secret}:{secret}@")))),
        ("host", get(&format!("https://{secret}.hub.docker.com/v2"))),
        ("port", get(&format!("{HUB}:{secret}/v2"))),
        ("segment", get(&format!("{HUB}/v2/orgs/{secret}/members/{secret}"))),
        ("literal segment", get(&format!("{HUB}/{secret}/v2{secret}"))),
        ("query name", get(&format!("{url}?{secret}=1&api-version{secret}=2024-08-01"))),
        ("query value", get(&format!("{url}?page={secret}&api-version={secret}&token={secret}"))),
        ("fragment", get(&format!("{url}#{secret}"))),
        ("request header name", get(&url).asks(&[(secret, "1"), (&format!("x-{secret}"), "1")], "")),
        (
            "request header value",
            get(&url).asks(&[("accept", secret), ("authorization", &format!("Bearer {secret}"))], ""),
        ),
        ("request name", asks(format!("{{{quoted}: 1}}"))),
        ("request value", asks(format!("{{\"name\": {quoted}, \"value\": [{quoted}]}}"))),
        ("nested request name", asks(format!("{{\"properties\": {{\"tags\": {{{quoted}: {quoted}}}}}}}"))),
        ("form name", form(format!("{secret}=1&Tags.{secret}.Key=1&Tags.member.{secret}=1"))),
        ("form value", form(format!("name={secret}&client_secret={secret}"))),
        ("action", target(format!("secretsmanager.{secret}"))),
        ("target", target(format!("{secret}.GetSecretValue"))),
        ("target alone", target(secret.to_owned())),
        ("form action", query(secret, "2011-06-15")),
        ("form version", query("GetWebIdentityToken", secret)),
        ("response header name", told(secret, "1")),
        ("response header value", told("x-ms-request-id", secret)),
        ("error header", told("x-amzn-errortype", secret)),
        (
            "challenge",
            told("www-authenticate", &format!("Bearer realm=\"{secret}\", error=\"{secret}\", claims=\"{secret}\"")),
        ),
        ("challenge unended", told("www-authenticate", &format!("error=\"{secret}"))),
        ("cookie", told("set-cookie", &format!("{secret}={secret}; path=/"))),
        ("response name", says(format!("{{{quoted}: 1, \"name\": {{{quoted}: null}}}}"))),
        (
            "response value",
            says(format!("{{\"name\": {quoted}, \"results\": [{quoted}, [{quoted}], {{\"token\": {quoted}}}]}}")),
        ),
        (
            "compound name",
            says(format!("{{\"is_{secret}\": 1, \"{secret}Name\": 1, \"name.{secret}\": 1}}").replace('\n', "")),
        ),
        ("map", says(format!("{{\"VersionIdsToStages\": {{{quoted}: [{quoted}]}}, \"tags\": {{{quoted}: 1}}}}"))),
        ("codes", says(format!("{{\"error_codes\": [{quoted}, 70021], \"suberror\": {quoted}}}"))),
        ("claim name", claims(format!("{{{quoted}: 1}}"))),
        ("claim value", claims(format!("{{\"sub\": {quoted}, \"access\": [{{\"name\": {quoted}, {quoted}: 1}}]}}"))),
        ("element", says(format!("<a><{secret}>1</{secret}></a>"))),
        ("root element", says(format!("<{secret}/>"))),
        (
            "element's text",
            says(format!("<Error><Code>{secret}</Code><Message>{secret}</Message><Name>{secret}</Name></Error>")),
        ),
        ("attribute", says(format!("<Error name=\"{secret}\" {secret}=\"1\"/>"))),
        ("comment", says(format!("<!-- {secret} --><?{secret}?><Error/>"))),
        ("text", says(secret.to_owned())),
        ("page", says(format!("<html>{secret}"))),
        ("broken JSON", says(format!("{{\"name\": {quoted}"))),
        ("broken XML", says(format!("<Error>{secret}"))),
        ("secret string", says(json!({"SecretString": json!({secret: {"a": [secret]}}).to_string()}).to_string())),
    ]
}

/// An exchange for each field of an error in which a secret may be.
fn errors(secret: &str) -> Vec<(&'static str, Sample)> {
    let says = |body: String| Sample::new("GET", &format!("{HUB}/v2/orgs/umbrella/members"), 400, &body);
    let mut places = Vec::new();
    for name in [
        "message",
        "Message",
        "detail",
        "details",
        "error",
        "error_description",
        "errorMessage",
        "text",
        "code",
        "__type",
        "errorCode",
        "reason",
    ] {
        let mut text = String::new();
        write!(text, "Login of '{secret}', {secret}: denied ({secret}). {secret}/{secret} {}", secret.to_uppercase())
            .unwrap();
        places.push(("error text", says(json!({"error": {name: text}}).to_string())));
        places
            .push(("error code", says(json!({name: secret, "errors": [{name: format!("a#{secret}:b")}]}).to_string())));
    }
    places
}

#[test]
fn a_planted_secret_is_nowhere() {
    for secret in PLANTED {
        let login = |password: &str| {
            let body = json!({"username": "scanner", "password": password}).to_string();
            Sample::new("POST", &format!("{HUB}/v2/users/login"), 401, "{}").asks(&[], &body)
        };
        for (place, sample) in places(secret).into_iter().chain(errors(secret)) {
            for order in 0..3 {
                let mut transcript = transcript();
                // known before, known afterwards, never known
                if order == 0 {
                    login(secret).note(&mut transcript);
                }
                sample.note(&mut transcript);
                if order == 1 {
                    login(secret).note(&mut transcript);
                }
                if order == 2 && secret == "correct" {
                    continue;
                }
                let json = transcript.to_json();
                let shown = json.to_string().to_lowercase();
                assert!(!shown.contains(&secret.to_lowercase()), "{secret} in {place} ({order}): {json}");
                let again = Transcript::from_json(&json).unwrap().to_json();
                assert_eq!(again, json, "{secret} in {place}: read again");
            }
        }
    }
}

#[test]
fn a_password_that_is_a_word_is_hidden_wherever_it_was_sent() {
    let says = |text: &str| Sample::new("GET", &format!("{HUB}/v2"), 400, &json!({"message": text}).to_string());
    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode("scanner:correct"));
    let secret =
        json!({"SecretString": json!({"accessToken": "x", "inner": {"more": ["correct"]}}).to_string()}).to_string();
    let post = |uri: &str, body: &str| Sample::new("POST", uri, 200, "{}").asks(&[], body);
    for sample in [
        post("https://auth.docker.io/token", "").asks(&[("Authorization", &basic)], ""),
        post("https://auth.docker.io/token", "").asks(&[("Proxy-Authorization", "Bearer correct")], ""),
        post("https://auth.docker.io/token", "").asks(&[("x-amz-security-token", "correct")], ""),
        post("https://auth.docker.io/token", "").asks(&[("cookie", "a=correct; b=c")], ""),
        post(&format!("{HUB}/v2/users/2fa-login"), r#"{"code": "correct"}"#),
        post(&format!("{HUB}/v2/auth/token"), r#"{"identifier": "correct"}"#),
        post("https://login.microsoftonline.com/t/oauth2/v2.0/token", "client_secret=correct&grant_type=page")
            .asks(&[FORM], "client_secret=correct&grant_type=page"),
        post("https://other.example/", &secret),
        Sample::new("GET", "https://other.example/", 200, r#"{"refresh_token": "correct"}"#),
        Sample::new("GET", "https://correct@other.example/", 200, ""),
        Sample::new("GET", "https://other.example/?sig=1&X-Amz-Signature=correct", 200, ""),
        Sample::new(
            "GET",
            "https://other.example/",
            200,
            r#"{"totpSecret": "otpauth://totp/x?secret=correct&issuer=y"}"#,
        ),
    ] {
        let mut transcript = transcript();
        says("the correct page").note(&mut transcript);
        says("another page").note(&mut transcript);
        sample.note(&mut transcript);
        let json = transcript.to_json();
        let texts: Vec<_> =
            json["exchanges"].as_array().unwrap().iter().filter_map(|noted| noted["error"].as_str()).collect();
        assert_eq!(texts, ["another page", HIDDEN], "{} {}", sample.uri, sample.request.1);
    }
}

#[test]
fn a_code_of_the_second_factor_is_not_kept_as_the_number_of_an_error() {
    let mut transcript = transcript();
    let error = Sample::new("POST", &format!("{HUB}/v2/users/2fa-login"), 401, r#"{"error_codes": [287082, 70021]}"#);
    error.asks(&[], r#"{"login_2fa_token": "x", "code": "287082"}"#).note(&mut transcript);
    assert_eq!(transcript.to_json()["exchanges"][0]["codes"], json!(["70021", HIDDEN]));
}

#[test]
fn a_signature_hides_its_parts_and_no_word_of_its_scope() {
    let mut transcript = transcript();
    let says = |text: &str| Sample::new("GET", &format!("{HUB}/v2"), 400, &json!({"message": text}).to_string());
    says("the host of a lambda").note(&mut transcript);
    Sample::new("GET", "https://x.example/", 200, "").asks(&[("authorization", SIGNED)], "").note(&mut transcript);
    let said = |transcript: &Transcript| transcript.to_json()["exchanges"][1]["error"].clone();
    assert_eq!(said(&transcript), "the host of a lambda");
    let plain = SIGNED.replace("AKIDEXAMPLE", "lambda");
    Sample::new("GET", "https://x.example/", 200, "").asks(&[("authorization", &plain)], "").note(&mut transcript);
    assert_eq!(said(&transcript), HIDDEN);
}

#[test]
fn a_documented_name_stays_whatever_the_password_is() {
    let mut transcript = transcript();
    let login = Sample::new("POST", &format!("{HUB}/v2/users/login"), 200, "{}");
    login.asks(&[], r#"{"username": "name", "password": "password"}"#).note(&mut transcript);
    assert_eq!(
        transcript.to_json()["exchanges"][0]["request"]["body"],
        json!({"username": "string", "password": "string"})
    );
}

#[test]
fn with_too_many_secrets_every_text_is_hidden() {
    let mut transcript = transcript();
    Sample::new("GET", &format!("{HUB}/v2"), 400, r#"{"message": "a page", "code": "NotFound", "is_page": 1}"#)
        .note(&mut transcript);
    for at in 0..=5_000 {
        transcript.hide(&SecretString::from(format!("secret-{at}")));
    }
    let json = transcript.to_json();
    let noted = &json["exchanges"][0];
    assert_eq!((&noted["error"], &noted["codes"]), (&json!(HIDDEN), &json!([HIDDEN])));
    assert_eq!(noted["response"]["body"], json!({"message": "string", "code": "string", "*": "number"}));
}
