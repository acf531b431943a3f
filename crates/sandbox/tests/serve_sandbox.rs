//! Tests of `serve_sandbox` as another program uses it: each command over its pipes, and the services over their sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::000000000000:role/hubkeeper-function";

struct Running {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    authority: PathBuf,
    ready: Value,
}

impl Running {
    fn start(name: &str) -> Self {
        let file = format!("authority-{name}-{}.pem", std::process::id());
        let authority = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        let mut command = Command::new(env!("CARGO_BIN_EXE_serve_sandbox"));
        let mut child = command.arg(&authority).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let mut running = Self { child, input, output, authority, ready: Value::Null };
        running.ready = running.line();
        running
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// Sends a raw line.
    fn send(&mut self, line: &str) -> Value {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        self.line()
    }

    /// Sends a request that must succeed.
    fn ask(&mut self, request: &Value) -> Value {
        let answer = self.send(&request.to_string());
        assert_eq!(answer["ok"], true, "{request}: {answer}");
        answer
    }

    /// The error of a request that must fail.
    fn refused(&mut self, request: &Value) -> String {
        let answer = self.send(&request.to_string());
        assert_eq!(answer["ok"], false, "{request}: {answer}");
        answer["error"].as_str().unwrap().to_owned()
    }

    fn variable(&self, name: &str) -> &str {
        self.ready["environment"][name].as_str().unwrap()
    }

    fn scene(&self, name: &str) -> String {
        self.ready["scene"][name].as_str().unwrap().to_owned()
    }

    /// One request to a service. Returns status and body.
    fn http(&self, variable: &str, method: &str, path: &str, headers: &[&str], body: &str) -> (u16, String) {
        let url = url::Url::parse(self.variable(variable)).unwrap();
        let mut lines = vec![format!("{method} {path} HTTP/1.1"), "host: sandbox".into(), "connection: close".into()];
        lines.push(format!("content-length: {}", body.len()));
        lines.extend(headers.iter().map(ToString::to_string));
        let request = format!("{}\r\n\r\n{body}", lines.join("\r\n"));
        let mut stream = TcpStream::connect(("127.0.0.1", url.port().unwrap())).unwrap();
        let answer = if url.scheme() == "https" {
            let mut tls = self.tls();
            exchange(&mut rustls::Stream::new(&mut tls, &mut stream), &request)
        } else {
            exchange(&mut stream, &request)
        };
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    fn tls(&self) -> rustls::ClientConnection {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.authority).unwrap()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        rustls::ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
    }

    /// An STS assertion of the calling role.
    fn assertion(&self) -> String {
        let form = "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=api%3A%2F%2FAzureADTokenExchange\
                    &SigningAlgorithm=RS256";
        let signed = "authorization: AWS4-HMAC-SHA256 Credential=x/20261124/eu-west-1/sts/aws4_request, SignedHeaders=x, \
                      Signature=x";
        let media = "content-type: application/x-www-form-urlencoded";
        let (status, xml) = self.http("AWS_ENDPOINT_URL_STS", "POST", "/", &[signed, media], form);
        assert_eq!(status, 200, "{xml}");
        xml.split("<WebIdentityToken>").nth(1).unwrap().split("</").next().unwrap().to_owned()
    }

    /// A bearer for ARM, obtained as the function does, or Entra's error.
    fn bearer(&self, assertion: &str) -> Result<String, String> {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        self.log_in(&[("client_assertion_type", kind), ("client_assertion", assertion)])
    }

    fn log_in(&self, proof: &[(&str, &str)]) -> Result<String, String> {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", self.variable("AZURE_CLIENT_ID"))
            .append_pair("scope", "https://management.azure.com/.default")
            .extend_pairs(proof)
            .finish();
        let path = format!("/{}/oauth2/v2.0/token", self.variable("AZURE_TENANT_ID"));
        let media = "content-type: application/x-www-form-urlencoded";
        let (status, body) = self.http("AZURE_AUTHORITY_HOST", "POST", &path, &[media], &form);
        let body: Value = serde_json::from_str(&body).unwrap();
        let member = |name: &str| body[name].as_str().unwrap().to_owned();
        if status == 200 { Ok(member("access_token")) } else { Err(member("error_description")) }
    }

    /// Writes a connector as the function does.
    fn connect(&self, organization: &str, user: &str, token: &str) {
        let body = json!({
            "location": "westeurope",
            "tags": {"hubkeeper-version": "v1"},
            "properties": {
                "hierarchyIdentifier": organization,
                "environmentName": "DockerHub",
                "environmentData": {
                    "environmentType": "DockerHubOrganization", "scanInterval": 24,
                    "authentication": {"authenticationType": "AccessToken", "username": user, "accessToken": token},
                },
                "offerings": [{"offeringType": "CspmMonitorDockerHub"}, {"offeringType": "DefenderForContainersDockerHub"}],
            },
        });
        let path = format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Security/securityConnectors/dockerhub-{organization}\
             ?api-version=2024-08-01-preview",
            self.scene("subscription"),
            self.scene("group")
        );
        let authorization = format!("authorization: Bearer {}", self.bearer(&self.assertion()).unwrap());
        let headers = [authorization.as_str(), "content-type: application/json"];
        let (status, answer) = self.http("HUBKEEPER_ARM_URL", "PUT", &path, &headers, &body.to_string());
        assert!(status == 200 || status == 201, "{status} {answer}");
    }

    fn login(&self, user: &str, token: &str) -> u16 {
        let body = json!({"identifier": user, "secret": token}).to_string();
        self.http("HUBKEEPER_HUB_URL", "POST", "/v2/auth/token", &["content-type: application/json"], &body).0
    }

    /// The only connector of an organization: accepted, reads everything, can push.
    fn truth(&mut self, organization: &str) -> [bool; 3] {
        let answer = self.ask(&json!({"do": "connectors"}));
        let all = answer["connectors"].as_array().unwrap();
        let one = all.iter().find(|connector| connector["organization"] == organization).unwrap();
        ["accepted", "readsEverything", "canPush"].map(|name| one[name].as_bool().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.authority);
    }
}

fn exchange(stream: &mut (impl Read + Write), request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // a TLS connection may end without close_notify; the response is complete all the same
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn the_first_line_says_where_everything_is() {
    let running = Running::start("ready");
    assert_eq!(running.ready["ready"], true);
    let environment = running.ready["environment"].as_object().unwrap();
    let names: Vec<&str> = environment.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "AWS_ENDPOINT_URL_STS",
            "AZURE_AUTHORITY_HOST",
            "AZURE_CLIENT_ID",
            "AZURE_TENANT_ID",
            "HUBKEEPER_ARM_URL",
            "HUBKEEPER_CA_BUNDLE",
            "HUBKEEPER_HUB_AUTH_URL",
            "HUBKEEPER_HUB_URL",
            "HUBKEEPER_REGISTRY_URL",
        ]
    );
    assert_eq!(Path::new(running.variable("HUBKEEPER_CA_BUNDLE")), running.authority);
    assert_eq!(running.ready["scene"]["repositories"].as_array().unwrap().len(), 6);
    for name in ["organization", "user", "subscription", "group", "connector"] {
        assert!(!running.scene(name).is_empty());
    }
}

#[test]
fn it_ends_when_its_input_ends() {
    let mut running = Running::start("end");
    drop(running.input.take());
    assert!(running.child.wait().unwrap().success());
}

#[test]
fn what_is_not_understood_is_refused_without_a_word_of_it() {
    let mut running = Running::start("refused");
    for (line, about) in [
        ("", "JSON"),
        ("dckr_pat_x", "JSON"),
        ("[]", "JSON"),
        ("{}", "`do`"),
        (r#"{"do":"dckr_pat_x"}"#, "`do`"),
        (r#"{"do":"connectors","all":"dckr_pat_x"}"#, "`all`"),
        (r#"{"do":"requests","all":1}"#, "`all`"),
        (r#"{"do":"tokens"}"#, "`user`"),
        (r#"{"do":"tokens","user":"dckr_pat_x"}"#, "no such user"),
        (r#"{"do":"password","user":7}"#, "`user`"),
        (r#"{"do":"token","user":"acme-scanner","scope":"dckr_pat_x"}"#, "`scope`"),
        (r#"{"do":"token","user":"acme-scanner","scope":"repo:read","days":"dckr_pat_x"}"#, "`days`"),
        (r#"{"do":"revoke","user":"acme-scanner","uuid":"dckr_pat_x"}"#, "no such token"),
        (r#"{"do":"team","user":"acme-scanner","team":"payments"}"#, "`member`"),
        (r#"{"do":"team","user":"acme-scanner","team":"dckr_pat_x","member":true}"#, "such a team"),
        (r#"{"do":"organization","name":"acme","user":"somebody"}"#, "already"),
        (r#"{"do":"organization","name":"other","user":"acme-scanner"}"#, "already"),
        (r#"{"do":"role","roleArn":"dckr_pat_x"}"#, "`roleArn`"),
        (r#"{"do":"role","roleArn":"arn:aws:sts::111122223333:assumed-role/a/b"}"#, "`roleArn`"),
        (r#"{"do":"role","roleArn":"arn:aws:iam::111122223333:role/a","issuer":"x"}"#, "`issuer`"),
        (r#"{"do":"drift","connector":"dckr_pat_x"}"#, "no such connector"),
        (r#"{"do":"delete","connector":"dckr_pat_x"}"#, "no such connector"),
        (r#"{"do":"age","hours":0}"#, "`hours`"),
        (r#"{"do":"age","hours":9000000000000000000}"#, "`hours`"),
        (r#"{"do":"secrets_in","texts":"dckr_pat_x","also":[]}"#, "`texts`"),
        (r#"{"do":"secrets_in","texts":[],"also":["dckr_pat_x",1]}"#, "`also`"),
    ] {
        let answer = running.send(line);
        let error = text(&answer["error"]);
        assert_eq!(answer["ok"], false, "{line}");
        assert!(error.contains(about) && !error.contains("dckr_pat_x"), "{line}: {error}");
    }
    assert_eq!(running.ask(&json!({"do": "requests"}))["requests"]["hub"], 0, "it continues");
}

#[test]
fn the_role_that_calls_is_the_one_that_entra_trusts() {
    let mut running = Running::start("role");
    let before = running.assertion();
    running.bearer(&before).unwrap();
    let answer = running.ask(&json!({"do": "role", "roleArn": ROLE}));
    assert_eq!(answer["roleArn"], ROLE);
    running.bearer(&running.assertion()).unwrap();
    assert!(running.bearer(&before).unwrap_err().contains("AADSTS700213"), "the subject is another one");
    let issuer = "https://6a3d1c94-8f0e-4f37-9a2b-6f1c6b7d2e10.tokens.sts.global.api.aws";
    let answer = running.ask(&json!({"do": "role", "issuer": issuer, "roleArn": ROLE}));
    assert_eq!(answer["issuer"], issuer);
    running.bearer(&running.assertion()).unwrap();
    assert!(running.bearer(&before).unwrap_err().contains("AADSTS700211"), "the issuer is another one");
}

#[test]
fn a_client_secret_is_taken_by_entra_and_known_to_the_search() {
    let mut running = Running::start("client-secret");
    let made = running.ask(&json!({"do": "client_secret"}));
    running.log_in(&[("client_secret", text(&made["secret"]))]).unwrap();
    let found = running.ask(&json!({"do": "secrets_in", "texts": [made["secret"]], "also": []}));
    assert_eq!(found["leaks"][0]["text_index"], 0);
}

#[test]
fn tokens_are_made_told_apart_and_revoked() {
    let mut running = Running::start("tokens");
    let user = running.scene("user");
    let made = running.ask(&json!({"do": "token", "user": user, "scope": "repo:read", "days": 30}));
    let (token, uuid) = (text(&made["token"]), text(&made["uuid"]));
    assert!(made["expiresAt"].is_string());
    let admin = running.ask(&json!({"do": "token", "user": user, "scope": "repo:admin"}));
    assert_eq!(admin["expiresAt"], Value::Null);
    let ended = running.ask(&json!({"do": "token", "user": user, "scope": "repo:read", "days": -1}));
    assert_eq!((running.login(&user, token), running.login(&user, text(&ended["token"]))), (200, 401));
    let listed = running.ask(&json!({"do": "tokens", "user": user}));
    let scopes: Vec<&str> = listed["tokens"].as_array().unwrap().iter().map(|pat| text(&pat["scope"])).collect();
    assert_eq!(scopes, ["repo:read", "repo:admin", "repo:read"]);
    assert!(!listed.to_string().contains("dckr_pat_"));
    running.ask(&json!({"do": "age", "hours": 24 * 31}));
    assert_eq!(running.login(&user, token), 401, "its end is past");
    running.ask(&json!({"do": "revoke", "user": user, "uuid": uuid}));
    assert!(running.refused(&json!({"do": "revoke", "user": user, "uuid": uuid})).contains("no such token"));
    let counted = running.ask(&json!({"do": "requests"}));
    assert_eq!((&counted["requests"]["hub"], &counted["writes"]["hub"]), (&json!(3), &json!(0)));
}

#[test]
fn connectors_are_told_with_the_truth_about_their_tokens() {
    let mut running = Running::start("connectors");
    assert_eq!(running.ask(&json!({"do": "connectors"}))["connectors"], json!([]));
    let [organization, user] = ["organization", "user"].map(|name| running.scene(name));
    let other = running.ask(&json!({"do": "organization", "name": "globex", "user": "globex-scanner"}));
    assert_ne!(other["password"], running.ask(&json!({"do": "password", "user": user}))["password"]);
    assert_eq!(other["password"], running.ask(&json!({"do": "password", "user": "globex-scanner"}))["password"]);

    let read = running.ask(&json!({"do": "token", "user": user, "scope": "repo:read"}));
    running.connect(&organization, &user, text(&read["token"]));
    let public = running.ask(&json!({"do": "token", "user": "globex-scanner", "scope": "repo:public_read"}));
    running.connect("globex", "globex-scanner", text(&public["token"]));
    assert_eq!(running.truth(&organization), [true, true, false]);
    assert_eq!(running.truth("globex"), [true, false, false]);
    let all = running.ask(&json!({"do": "connectors"}));
    assert!(!all.to_string().contains("dckr_pat_"), "no token in it");
    let acme = &all["connectors"][0];
    assert_eq!((text(&acme["name"]), text(&acme["user"])), ("dockerhub-acme", user.as_str()));
    assert_eq!(acme["tags"], json!({"hubkeeper-version": "v1"}));

    // a user who leaves a team can read less, and so can the token
    let team = |member: bool| json!({"do": "team", "user": user, "team": "payments", "member": member});
    assert_eq!(running.ask(&team(false))["organization"], json!(organization));
    assert_eq!(running.truth(&organization), [true, false, false]);
    running.ask(&team(true));
    assert_eq!(running.truth(&organization), [true, true, false]);

    running.ask(&json!({"do": "drift", "connector": "dockerhub-acme"}));
    let all = running.ask(&json!({"do": "connectors"}));
    assert_eq!(all["connectors"][0]["offerings"], json!(["CspmMonitorDockerHub"]));
    assert_eq!(running.truth(&organization), [true, true, false], "the login stays");
    running.ask(&json!({"do": "revoke", "user": user, "uuid": read["uuid"]}));
    assert_eq!(running.truth(&organization), [false, false, false]);
    running.ask(&json!({"do": "delete", "connector": "dockerhub-acme"}));
    assert_eq!(running.ask(&json!({"do": "connectors"}))["connectors"].as_array().unwrap().len(), 1);
    let counted = running.ask(&json!({"do": "requests"}));
    assert_eq!((&counted["requests"]["arm"], &counted["writes"]["arm"]), (&json!(2), &json!(2)));
    assert_eq!((&counted["requests"]["aws"], &counted["writes"]["aws"]), (&json!(2), &json!(0)));
}

#[test]
fn a_connector_of_the_portal_is_read_by_a_person_who_may_only_read() {
    let mut running = Running::start("portal");
    let [organization, user] = ["organization", "user"].map(|name| running.scene(name));
    let token = running.ask(&json!({"do": "token", "user": user, "scope": "repo:read"}));
    let portal = json!({"do": "portal", "connector": "hub", "organization": organization, "user": user, "token": token["token"]});
    let id = running.ask(&portal)["id"].clone();
    assert_eq!(running.truth(&organization), [true, true, false]);
    let bearer = format!("authorization: Bearer {}", text(&running.ask(&json!({"do": "reader"}))["bearer"]));
    let path = format!("{}?api-version=2024-08-01-preview", text(&id));
    let (status, body) = running.http("HUBKEEPER_ARM_URL", "GET", &path, &[&bearer], "");
    assert!(status == 200 && body.contains("\"scanInterval\":12") && !body.contains("dckr_pat_"), "{body}");
    let json = "content-type: application/json";
    assert_eq!(running.http("HUBKEEPER_ARM_URL", "PUT", &path, &[&bearer, json], &body).0, 403);
}

#[test]
fn secrets_are_found_in_texts_and_not_shown() {
    let mut running = Running::start("secrets");
    let user = running.scene("user");
    let made = running.ask(&json!({"do": "token", "user": user, "scope": "repo:read"}));
    let password = running.ask(&json!({"do": "password", "user": user}));
    let (token, password) = (text(&made["token"]), text(&password["password"]));
    let texts = [
        "nothing in it".to_owned(),
        format!("a line with {token} in it"),
        format!("password%3D{password}, and something-of-the-caller"),
    ];
    let request = json!({"do": "secrets_in", "texts": texts, "also": ["something-of-the-caller"]});
    let answer = running.ask(&request);
    let leaks = answer["leaks"].as_array().unwrap();
    let found: Vec<_> = leaks.iter().map(|leak| (leak["text_index"].as_u64().unwrap(), text(&leak["how"]))).collect();
    assert_eq!(found, [(1, "raw"), (2, "raw"), (2, "raw")]);
    assert_eq!(text(&leaks[0]["around"]), format!("a line with {} in it", "*".repeat(token.len())));
    let shown = answer.to_string();
    assert!(![token, password, "something-of-the-caller"].iter().any(|secret| shown.contains(secret)), "{shown}");
    assert_eq!(running.ask(&json!({"do": "secrets_in", "texts": ["clean"], "also": []}))["leaks"], json!([]));
}
