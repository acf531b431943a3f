//! Writes the corpora of the fuzz targets (`make corpus`): the example events, the documents of the tests, and the
//! responses of the sandbox's services during the life of a token.
//!
//! Of responses with the same shape, the first is kept. The run's token replaces every secret, and signatures are
//! removed, so that a second run writes the same files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Fault, Recorded, arm, hub, leak};
use serde_json::{Value, json};

use hubkeeper_scene::{Begin, CLIENT, CONNECTOR, GROUP, ORG, SUBSCRIPTION, Scene, USER, document};

/// The token of every fuzz run (`hubkeeper_fuzzing::MARKER`).
const MARKER: &str = "dckr_pat_Zq9wXv3TkL7mBn2RcY5dHs8GfJ1";
/// Maximum length of a response in bytes. Fuzzers work with short inputs.
const LONGEST: usize = 8_000;

/// The files by target and name.
#[derive(Default)]
struct Corpora {
    files: BTreeMap<(&'static str, String), Vec<u8>>,
    shapes: BTreeSet<String>,
}

impl Corpora {
    fn add(&mut self, target: &'static str, name: &str, content: impl Into<Vec<u8>>) {
        self.files.insert((target, name.to_owned()), content.into());
    }

    /// Records one response of each shape from a run, without its secrets and signatures.
    fn record(&mut self, scene: &Scene) {
        let secrets = scene.world.with(|state| leak::secrets_of(state));
        for entry in scene.world.take_record() {
            let Some((target, operation)) = operation(&entry) else { continue };
            let Some(response) = entry.response.filter(|response| response.body().len() < LONGEST) else { continue };
            let mut body = String::from_utf8_lossy(response.body()).into_owned();
            for secret in secrets.iter().filter(|secret| !is_jwt(secret)) {
                body = body.replace(secret.as_str(), MARKER);
            }
            let body = unsigned(&body);
            let status = response.status().as_u16();
            if !self.shapes.insert(format!("{target} {operation} {status} {}", shape(&body))) {
                continue;
            }
            let mut script = format!("{operation}\n{status}\n");
            for (name, value) in response.headers() {
                if ["retry-after", "ratelimit"].iter().any(|part| name.as_str().contains(part)) {
                    writeln!(script, "{name}: {}", value.to_str().unwrap()).unwrap();
                }
            }
            script.push('\n');
            script.push_str(&body);
            let nth = self.files.keys().filter(|(known, name)| *known == target && name.starts_with(operation)).count();
            self.add(target, &format!("{operation}-{status}-{nth:02}"), script);
        }
    }
}

/// Returns the fuzz target and the operation of a request.
fn operation(entry: &Recorded) -> Option<(&'static str, &'static str)> {
    let line = entry.line();
    let (method, path) = line.split_once(' ')?;
    let path = path.split('?').next().unwrap_or_default();
    Some(match entry.service {
        Service::Aws => (
            "aws",
            match path {
                "DescribeSecret" => "describe",
                "ListSecrets" => "managed",
                "ListSecretVersionIds" => "history",
                "GetSecretValue" => "document",
                "PutSecretValue" => "put",
                "UpdateSecretVersionStage" => "move",
                "TagResource" => "tag",
                _ => return None,
            },
        ),
        Service::Entra => ("azure", "entra"),
        Service::Arm => (
            "azure",
            match method {
                "GET" if path.ends_with("/healthReports") => "health",
                "GET" if path.ends_with("/securityConnectors") => "others",
                "GET" => "get",
                "PUT" => "put",
                "DELETE" => "delete",
                _ => return None,
            },
        ),
        Service::HubAuth => ("hub", "grant"),
        Service::Registry if path.ends_with("/tags/list") => ("hub", "registryTags"),
        Service::Registry => ("hub", "manifest"),
        // the function reads only the status of this response
        Service::Responses => return None,
        Service::Hub => (
            "hub",
            match (method, path) {
                (_, "/v2/auth/token") => "login",
                (_, "/v2/users/login" | "/v2/users/2fa-login") => "password",
                (_, path) if path.ends_with("/repositories") => "repositories",
                (_, path) if path.ends_with("/tags") => "tag",
                ("POST", _) => "mint",
                ("PATCH", _) => "change",
                ("DELETE", _) => "revoke",
                _ => "tokens",
            },
        ),
    })
}

fn is_jwt(secret: &str) -> bool {
    secret.starts_with("eyJ") && secret.split('.').count() == 3
}

/// Removes signatures, because each process creates its own key.
fn unsigned(body: &str) -> String {
    let jwt = |word: &str| match word.rsplit_once('.') {
        Some((signed, _)) if is_jwt(word) => format!("{signed}.c2ln"),
        _ => word.to_owned(),
    };
    body.split('"').map(jwt).collect::<Vec<_>>().join("\"")
}

/// Returns the shape of a body, without its values.
fn shape(body: &str) -> String {
    fn of(value: &Value) -> String {
        match value {
            Value::Null => "null".into(),
            Value::Bool(_) => "bool".into(),
            Value::Number(_) => "number".into(),
            Value::String(_) => "text".into(),
            Value::Array(values) => {
                let shapes: BTreeSet<String> = values.iter().map(of).collect();
                format!("[{}]", shapes.into_iter().collect::<Vec<_>>().join(","))
            }
            Value::Object(members) => {
                let shapes = members.iter().map(|(name, value)| format!("{name}:{}", of(value)));
                format!("{{{}}}", shapes.collect::<Vec<_>>().join(","))
            }
        }
    }
    serde_json::from_str(body).map_or_else(|_| "no JSON".into(), |value: Value| of(&value))
}

#[tokio::test(start_paused = true)]
#[ignore = "writes fuzz/corpus: `make corpus`"]
async fn write_the_corpora() {
    let mut corpora = Corpora::default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(root.join("events")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        corpora.add("event", &name, fs::read(&path).unwrap());
    }
    documents(&mut corpora);
    lives(&mut corpora).await;
    by_hand(&mut corpora);
    let folder = root.join("fuzz/corpus");
    for target in fs::read_dir(&folder).into_iter().flatten() {
        for file in fs::read_dir(target.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            // keeps inputs that broke a property once
            if !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("found-")) {
                fs::remove_file(path).unwrap();
            }
        }
    }
    for ((target, name), content) in &corpora.files {
        fs::create_dir_all(folder.join(target)).unwrap();
        fs::write(folder.join(target).join(name), content).unwrap();
    }
    let bytes: usize = corpora.files.values().map(Vec::len).sum();
    assert!(bytes < 400_000, "{bytes} bytes of corpora");
}

fn documents(corpora: &mut Corpora) {
    let mut whole = document();
    whole["accessToken"] = json!(MARKER);
    corpora.add("document", "by-hand", whole.to_string());
    whole["tokenId"] = json!("b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001");
    whole["expiresAt"] = json!("2027-02-22T10:00:00Z");
    whole["manager"] = json!("hubkeeper/manager");
    whole["candidateVersion"] = json!("11111111-1111-4111-a111-111111111111");
    whole["expectedRepositories"] = json!(["web", "svc-*"]);
    whole["excludedRepositories"] = json!(["attic"]);
    whole["note"] = json!({"kept": [1, 2.5, null, true, "x"], "large": 1e300});
    let digits = serde_json::from_str::<Value>("12345678901234567890123.00").unwrap();
    whole["digits"] = digits;
    whole["connector"]["scanIntervalHours"] = json!(12);
    whole["connector"]["plans"] = json!(["containers", "defenderCspm"]);
    whole["connector"]["tags"] = json!({"team": "security"});
    corpora.add("document", "whole", whole.to_string());
    whole["expiresAt"] = json!("9999-12-31T23:59:59Z");
    corpora.add("document", "never-expires", whole.to_string());
    corpora.add("document", "no-token", document().to_string());
    let login = json!({"username": USER, "password": MARKER, "totpSecret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "usedBy": ["hubkeeper/acme"]});
    corpora.add("document", "manager", login.to_string());
}

/// Records the lives of two tokens, including failures.
async fn lives(corpora: &mut Corpora) {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    corpora.record(&scene);
    for _ in 0..2 {
        scene.rotate(1).await;
        corpora.record(&scene);
        tokio::time::sleep(Duration::from_hours(26)).await;
        scene.invoke(json!({"action": "reconcile"})).await.unwrap();
        corpora.record(&scene);
    }
    // ARM rejects the requests: the role is missing, the resource group is missing
    scene.world.with(|state| arm::grant(state, CLIENT, SUBSCRIPTION, GROUP, &[]));
    let _ = scene.onboard().await;
    corpora.record(&scene);
    scene.world.with(|state| arm::grant(state, CLIENT, SUBSCRIPTION, GROUP, &["read", "write", "delete"]));
    scene.invoke(json!({"action": "offboard", "secretId": scene.arn})).await.unwrap();
    corpora.record(&scene);
    assert!(scene.world.with(|state| arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR).is_none()));

    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    for (token, scopes) in [("public", "repo:public_read"), ("more", "repo:write")] {
        let (_, value) = scene.world.with(|state| hub::add_pat(state, USER, token, &[scopes], None));
        let version = scene.stage(&value, |_| {}, &["HUBKEEPER_CANDIDATE"]);
        let _ = scene.invoke(scene.label_event("HUBKEEPER_CANDIDATE", &version)).await;
    }
    let version = scene.stage("dckr_pat_of-nobody-at-all-0123456789", |_| {}, &["HUBKEEPER_CANDIDATE"]);
    let _ = scene.invoke(scene.label_event("HUBKEEPER_CANDIDATE", &version)).await;
    corpora.record(&scene);
    // more repositories than one page holds
    scene.world.with(|state| {
        (0..120).for_each(|n| hub::add_repository(state, ORG, &format!("r{n}"), true));
    });
    let _ = scene.invoke(json!({"action": "verify", "secretId": scene.arn})).await;
    let _ = scene.invoke(json!({"action": "verify", "secretId": "hubkeeper/nowhere"})).await;
    corpora.record(&scene);
    for service in [Service::Hub, Service::HubAuth, Service::Arm, Service::Entra] {
        let mut first = true;
        scene.world.script(move |_, asked, _| {
            let limited = http::Response::builder().status(429).header("retry-after", "3").body(bytes::Bytes::new());
            (asked == service && std::mem::take(&mut first)).then(|| Fault::AnswerAfter(limited.unwrap()))
        });
        let _ = scene.onboard().await;
    }
    scene.world.calm();
    corpora.record(&scene);
}

/// Adds inputs that the sandbox never sends: waits in each spelling, foreign page links, whole proofs, claims, texts.
#[expect(clippy::too_many_lines, reason = "a list of inputs")]
fn by_hand(corpora: &mut Corpora) {
    for (name, head) in [
        ("seconds", "429\nretry-after: 3"),
        ("date", "429\nretry-after: Tue, 24 Nov 2026 10:00:30 GMT"),
        ("unix", "503\nx-retry-after: 1795514430"),
        ("window", "200\nx-ratelimit-remaining: 0\nx-ratelimit-reset: 1795514430"),
        ("limited", "429\nx-ratelimit-remaining: 0\nx-ratelimit-reset: 1795514430"),
        ("bucket", "200\nx-ms-ratelimit-remaining-subscription-reads: 0"),
        ("far", "429\nretry-after: 99999"),
        ("farther", "429\nretry-after: Fri, 31 Dec 9999 23:59:59 -2359"),
        ("broken", "001"),
        ("silence", "002"),
        ("refused", "000"),
        ("failed-logins", "429"),
    ] {
        let body = if name == "failed-logins" { "too many failed login attempts" } else { "{}" };
        for operation in ["safe", "create"] {
            corpora.add(
                "pace",
                &format!("{operation}-{name}"),
                format!("{operation}\n{head}\n\n{body}\n%%\n200\n\n{{}}\n%%\n{head}\n\n{body}"),
            );
        }
    }
    let page =
        |link: &str| format!("others\n200\n\n{{\"value\":[],\"nextLink\":\"{link}\"}}\n%%\n200\n\n{{\"value\":[]}}");
    corpora.add("azure", "others-next", page("https://management.azure.com/next?page=2"));
    corpora.add("azure", "others-away", page("https://evil.example.com/next"));
    corpora.add("azure", "get-provider", "get\n400\n\n{\"statusCode\":400,\"errorMessage\":\"error occured: token dckr_pat_Zq9wXv3TkL7mBn2RcY5dHs8GfJ1 is bad\"}");
    corpora.add("azure", "get-bearer", "get\n401\n\n{\"error\":{\"code\":\"ExpiredAuthenticationToken\",\"message\":\"x\"}}\n%%\n200\n\n{\"properties\":{}}");
    let health = "{\"value\":[{\"properties\":{\"status\":{\"code\":\"NotHealthy\",\"reason\":\"The token is bad\",\"lastScannedDate\":\"2026-11-24T10:00:00Z\"},\"issues\":[{}]}}]}";
    corpora.add("azure", "health-bad", format!("health\n200\n\n{health}"));
    let told = "{\"value\":[{\"properties\":{\"status\":{\"code\":\"NotHealthy\",\"statusChangeDate\":\"2026-11-24T10:00:00Z\"},\"issues\":[{\"issueName\":\"The token dckr_pat_Zq9wXv3TkL7mBn2RcY5dHs8GfJ1 is bad\",\"remediationSteps\":\"<p>Put a read-only token</p>\"}]}}]}";
    for (name, link) in
        [("health-next", "https://management.azure.com/next?page=2"), ("health-away", "https://evil.example.com/next")]
    {
        let first = format!("{{\"value\":[],\"nextLink\":\"{link}\"}}");
        corpora.add("azure", name, format!("health\n200\n\n{first}\n%%\n200\n\n{told}"));
    }
    let entra = "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client secret provided.\",\"error_codes\":[7000215]}";
    corpora.add("azure", "entra-secret-401", format!("entra-secret\n401\n\n{entra}"));
    corpora.add(
        "azure",
        "entra-secret-200",
        "entra-secret\n200\n\n{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"x\"}",
    );
    let answer = |body: Value| format!("\n%%\n200\n\n{body}");
    let list =
        json!({"count": 2, "results": [{"name": "api", "is_private": true}, {"name": "web", "is_private": false}]});
    let grant = |name: &str| json!({"token": format!("e30.{}.c2ln", claims(&json!({"access": [{"type": "repository", "name": format!("acme/{name}"), "actions": ["pull"]}]})))});
    let tag = json!({"results": [{"name": "1.0"}]});
    for (name, scope) in [
        ("proof-read", json!({"scope": "repo:read"})),
        ("proof-no-claim", json!({})),
        ("proof-more", json!({"scope": "repo:write"})),
    ] {
        let login = json!({"access_token": format!("e30.{}.c2ln", claims(&scope))});
        let mut script = format!("proof\n200\n\n{login}");
        for body in
            [list.clone(), tag.clone(), tag.clone(), grant("api"), grant("web"), json!({}), json!({}), grant("api")]
        {
            script.push_str(&answer(body));
        }
        corpora.add("hub", name, script);
    }
    let tags = json!({"name": "acme/api", "tags": ["1.0", "1.1", "..", "2.0", "3.0"]});
    corpora.add("hub", "registryTags-many", format!("registryTags\n200\n\n{}{}", grant("web"), answer(tags.clone())));
    let login = json!({"access_token": format!("e30.{}.c2ln", claims(&json!({"scope": "repo:read"})))});
    for (name, listed) in [("dailyProof-tags", tags), ("dailyProof-no-tags", json!({"tags": null}))] {
        let bodies =
            [list.clone(), grant("api"), grant("web"), listed.clone(), listed, json!({}), json!({}), tag.clone()];
        let script: String = bodies.into_iter().map(answer).collect();
        corpora.add("hub", name, format!("dailyProof\n200\n\n{login}{script}"));
    }
    corpora.add(
        "hub",
        "repositories-404",
        format!("repositories\n200\n\n{}\n%%\n404\n\n{{}}", json!({"count": 150, "results": []})),
    );
    corpora.add(
        "hub",
        "password-2fa",
        format!(
            "password\n401\n\n{{\"login_2fa_token\":\"{MARKER}\"}}\n%%\n401\n\n{{}}\n%%\n200\n\n{{\"token\":\"a.b.c\"}}"
        ),
    );
    corpora.add("hub", "tag-forbidden", "tag\n403\n\n{\"message\":\"insufficient scope\",\"errinfo\":{}}");
    let quoting = "no access for dckr_pat_Zq9wXv3TkL7mBn2RcY5dHs8GfJ1";
    corpora.add("hub", "grant-unknown", format!("grant\n401\n\n{}", json!({"errors": [{"message": quoting}]})));
    corpora.add("hub", "grant-scopes", "grant\n401\n\n{\"details\":\"access token has insufficient scopes\"}");
    corpora.add("hub", "mint-unknown", "mint\n201\n\n{\"uuid\":\"x\"}");
    for (name, text) in [
        ("scope", json!({"scope": "repo:read sandbox:use", "iat": 1_795_514_400, "exp": 1_795_515_000}).to_string()),
        ("scopes", json!({"scope": ["repo:admin"]}).to_string()),
        (
            "sts",
            json!({"iss": "https://x.tokens.sts.global.api.aws", "sub": "arn:aws:iam::1:role/r", "aud": "api://x"})
                .to_string(),
        ),
        (
            "access",
            json!({"access": [{"type": "repository", "name": "acme/web", "actions": ["pull", "*"]}]}).to_string(),
        ),
        ("jwt", format!("e30.{}.c2ln", claims(&json!({"scope": "repo:write"})))),
    ] {
        corpora.add("claims", name, text);
    }
    for (name, text) in [
        (
            "words",
            "letmein\nLogin of '{}' failed: dckr_pat_Zq9wXv3TkL7mBn2RcY5dHs8GfJ1 is invalid (bGV0bWVpbg== eyJhbGciOi.x.y) for scope 12",
        ),
        ("spaces", "correct horse\nthe password correct  horse, {} is wrong"),
        ("none", "\nThe client does not have authorization to perform action over scope"),
        ("code", "x\nAuthorizationFailed"),
    ] {
        corpora.add("scrub", name, text);
    }
    corpora.add("aws", "describe-numbers", "describe\n200\n\n{\"ARN\":\"a\",\"RotationEnabled\":true,\"RotationRules\":{\"AutomaticallyAfterDays\":30,\"Duration\":\"2h\"},\"LastRotatedDate\":1795514400.5,\"Tags\":[{\"Key\":\"hubkeeper\",\"Value\":\"managed\"}]}");
    corpora.add(
        "aws",
        "put-exists",
        "put\n400\n\n{\"__type\":\"ResourceExistsException\",\"Message\":\"dckr_pat_Zq9wXv3TkL7mBn2RcY5dHs8GfJ1\"}",
    );
    corpora.add("aws", "tag-throttled", "tag\n400\n\n{\"__type\":\"ThrottlingException\"}\n%%\n200\n\n{}");
}

fn claims(claims: &Value) -> String {
    base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims.to_string())
}
