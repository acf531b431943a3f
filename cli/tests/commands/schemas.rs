//! The JSON Schemas: docs/schema holds them, every example fits them, wrong documents do not, and they agree with the function's
//! parsers but for the differences that are listed here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use boon::{Compiler, Draft, SchemaIndex};
use hubkeeper_cli::schema;
use hubkeeper_core::event;
use hubkeeper_core::secret::{Document, LoginSecret, Purpose};
use hubkeeper_core::time::parse_rfc3339;
use hubkeeper_sandbox::scene;
use serde_json::{Value, json};

use crate::site::Site;

/// The variable that makes the test write the files instead of comparing them: `make schemas`.
const RENEW: &str = "HUBKEEPER_RENEW_SCHEMAS";
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hubkeeper/acme-AbCdEf";
const VERSION: &str = "5c0f7a52-3f0e-4d0b-9a43-2f6b8a1d7e01";
const SUBSCRIPTION: &str = "00000000-0000-4000-8000-000000000001";

/// The compiled schemas, by name.
struct Schemas {
    all: boon::Schemas,
    indexes: BTreeMap<&'static str, SchemaIndex>,
}

impl Schemas {
    /// Compiles every schema. Compiling checks it against the draft's own schema.
    fn new() -> Self {
        let mut all = boon::Schemas::new();
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        let indexes = schema::ALL.map(|(of, name)| {
            let id = format!("urn:hubkeeper:schema:{name}");
            compiler.add_resource(&id, schema::schema(of)).unwrap();
            (name, compiler.compile(&id, &mut all).unwrap_or_else(|error| panic!("{name}: {error:#}")))
        });
        Self { all, indexes: indexes.into() }
    }

    fn accepts(&self, name: &str, value: &Value) -> bool {
        self.all.validate(value, self.indexes[name]).is_ok()
    }

    /// Checks that a document fits, and says where it does not.
    fn assert_fits(&self, name: &str, value: &Value, from: &str) {
        if let Err(error) = self.all.validate(value, self.indexes[name]) {
            panic!("{from} does not fit the schema {name}: {error:#}\n{value:#}");
        }
    }
}

#[test]
fn the_files_are_those_of_the_types() {
    let folder = Path::new(ROOT).join("docs/schema");
    for (of, name) in schema::ALL {
        let path = folder.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&schema::schema(of)).unwrap() + "\n";
        if std::env::var_os(RENEW).is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, text).unwrap();
            continue;
        }
        let file = fs::read_to_string(&path).unwrap_or_default();
        assert!(file == text, "docs/schema/{name}.json is out of date: run `make schemas`, and commit it");
    }
    let files = fs::read_dir(&folder).unwrap().count();
    assert_eq!(files, schema::ALL.len(), "docs/schema holds nothing else");
}

#[test]
fn every_field_has_a_description() {
    fn fields(value: &Value, path: &str, without: &mut Vec<String>) {
        if let Some(properties) = value.get("properties").and_then(Value::as_object).filter(|_| !path.contains("/if")) {
            for (name, property) in properties {
                let text = property["description"].as_str().unwrap_or_default();
                if text.is_empty() || !text.ends_with('.') {
                    without.push(format!("{path}/{name}"));
                }
            }
        }
        if let Some(object) = value.as_object() {
            for (name, value) in
                object.iter().filter(|(name, _)| !["if", "then", "anyOf", "not", "allOf"].contains(&name.as_str()))
            {
                fields(value, &format!("{path}/{name}"), without);
            }
        }
    }
    for (of, name) in schema::ALL {
        let schema = schema::schema(of);
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["$id"], format!("urn:hubkeeper:schema:{name}"));
        let mut without = Vec::new();
        fields(&schema, "", &mut without);
        assert!(without.is_empty(), "{name}: {without:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_prints_them() {
    let site = Site::hub().await;
    for (of, name) in schema::ALL {
        let printed = site.run(&["schema", name]).ends(0).await;
        assert_eq!(printed.json(), schema::schema(of));
        assert_eq!(printed.err, "");
    }
    site.run(&["schema", "everything"]).ends(2).await;
}

/// The JSON of a page: blocks of `json`, and objects in blocks of a session.
fn examples(page: &str) -> Vec<Value> {
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    let mut found = Vec::new();
    for (language, text) in blocks {
        match language {
            "json" => found.push(serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))),
            "console" => {
                let parts = text.split("\n{\n").skip(1).filter_map(|part| part.split("\n}\n").next());
                found.extend(parts.map(|part| serde_json::from_str::<Value>(&format!("{{{part}}}")).unwrap()));
            }
            _ => {}
        }
    }
    found
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec![Path::new(ROOT).join("README.md"), Path::new(ROOT).join("SECURITY.md")];
    let docs = fs::read_dir(Path::new(ROOT).join("docs")).unwrap().map(|entry| entry.unwrap().path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    pages
}

/// The schema that an example belongs to, by its fields.
fn kind(value: &Value) -> Option<&'static str> {
    let has = |name: &str| value.get(name).is_some();
    match () {
        () if has("outcome") || has("batchItemFailures") => Some("report"),
        () if has("action") || has("Step") || has("Records") || has("detail-type") || has("RequestType") => {
            Some("event")
        }
        () if has("connector") => Some("secret"),
        () if has("usedBy") && has("accessToken") => Some("owner"),
        () if has("usedBy") => Some("manager"),
        // policies of IAM, settings of editors, exchanges of a transcript, and widgets of a dashboard
        () if has("Statement") || has("Action") || has("json.schemas") || has("service") || has("widgets") => None,
        () if has("properties") && has("height") => None,
        () => panic!("{value:#} belongs to no schema"),
    }
}

#[test]
fn every_example_of_the_pages_fits_its_schema() {
    let schemas = Schemas::new();
    let mut counts = BTreeMap::new();
    for path in pages() {
        for value in examples(&fs::read_to_string(&path).unwrap()) {
            let Some(kind) = kind(&value) else { continue };
            schemas.assert_fits(kind, &value, &path.display().to_string());
            *counts.entry(kind).or_insert(0) += 1;
        }
    }
    for (kind, least) in [("secret", 7), ("manager", 1), ("owner", 1), ("event", 4), ("report", 2)] {
        assert!(counts.get(kind).is_some_and(|count| *count >= least), "{kind}: {counts:?}");
    }
}

#[test]
fn every_file_of_events_fits_the_schema() {
    let schemas = Schemas::new();
    let files: Vec<PathBuf> =
        fs::read_dir(Path::new(ROOT).join("events")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 30);
    for path in files {
        let value: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        schemas.assert_fits("event", &value, &path.display().to_string());
        // the events in records, too
        for record in value["Records"].as_array().into_iter().flatten() {
            let body: Value = serde_json::from_str(record["body"].as_str().unwrap()).unwrap();
            schemas.assert_fits("event", &body, &path.display().to_string());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_result_of_the_commands_fits_the_schema() {
    let schemas = Schemas::new();
    let site = Site::deployed_with(crate::site::second).await;
    let (good, public) = (site.token("repo:read"), site.token("repo:public_read"));
    let verify = ["verify", scene::ORGANIZATION, "--username", scene::USER];
    for (arguments, token, code) in [
        (&verify[..], &good, 0),
        (&verify, &public, 1),
        (&["onboard", scene::SECRET, "--plan"], &good, 0),
        (&["onboard", scene::SECRET, "--yes"], &good, 0),
        (&["onboard", scene::SECRET, "hubkeeper/none", "--yes"], &good, 4),
        (&["onboard", "hubkeeper/globex", "--yes"], &good, 0),
        (&["verify", "--secret", scene::SECRET], &good, 0),
        (&["stage", scene::SECRET, "--expires-at", "2099-01-31", "--yes"], &good, 0),
        (&["rotate", scene::SECRET, "--plan"], &good, 0),
        (&["rotate", scene::SECRET, "--yes"], &good, 0),
        (&["rotate", scene::SECRET, "--yes", "--wait", "0"], &good, 0),
        (&["status"], &good, 0),
        (&["stage", scene::SECRET, "--expires-at", "2099-01-31", "--yes", "--wait", "0"], &good, 0),
        (&["reconcile", "--all", "--plan"], &good, 0),
        (&["reconcile", "--all", "--yes"], &good, 0),
        (&["rotate", scene::SECRET, "hubkeeper/none", "--plan"], &good, 4),
        (&["offboard", scene::SECRET, "hubkeeper/none", "--plan"], &good, 4),
        (&["doctor", "--secret", scene::SECRET], &good, 0),
        (&["offboard", scene::SECRET, "--yes"], &good, 0),
        (&["status", scene::SECRET, "hubkeeper/none"], &good, 3),
    ] {
        let words = [arguments, &["-o", "json"]].concat();
        let printed = site.run(&words).input(token).ends(code).await.json();
        schemas.assert_fits("report", &printed, &format!("{arguments:?}"));
        // a rotation that was only started continues by itself, and nothing else may write meanwhile
        let rotates = || site.world.with(|state| state.aws.secrets.values().any(|secret| secret.pending().is_some()));
        for _ in 0..200 {
            if !rotates() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }
}

fn secret() -> Value {
    json!({
        "organization": "acme", "username": "acme-scanner", "accessToken": "dckr_pat_x", "tokenId": SUBSCRIPTION,
        "expiresAt": "2027-02-22T09:30:00Z", "expectedRepositories": ["billing", "team-*"], "excludedRepositories": ["old"],
        "candidateVersion": VERSION, "manager": "hubkeeper-manager/acme", "owner": "hubkeeper-owner/acme",
        "user": {"email": "scanner@acme.example", "role": "member", "team": "scanning"},
        "connector": {"subscriptionId": SUBSCRIPTION, "resourceGroup": "rg-security", "name": "dockerhub-acme", "location": "westeurope",
            "scanIntervalHours": 12, "plans": ["containers"], "tags": {"team": "security"}},
        "note": "an unknown field is kept", "$schema": "./secret.json",
    })
}

fn manager() -> Value {
    json!({"username": "acme-scanner", "password": "hunter 22", "totpSecret": "JBSWY3DPEHPK3PXP", "usedBy": ["hubkeeper/acme"]})
}

fn owner() -> Value {
    json!({"organization": "acme", "accessToken": "dckr_oat_x", "usedBy": ["hubkeeper/acme"]})
}

fn report() -> Value {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/report.md")).unwrap();
    examples(&page).into_iter().next().unwrap()
}

/// The value with one field changed; `None` takes it out.
fn changed(base: &Value, pointer: &str, new: Option<Value>) -> Value {
    let mut value = base.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match value.pointer_mut(parent).unwrap() {
        Value::Object(fields) => match new {
            Some(new) => {
                fields.insert(name.to_owned(), new);
            }
            None => {
                fields.remove(name);
            }
        },
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = new.unwrap_or(Value::Null),
        other => panic!("{pointer}: {other}"),
    }
    value
}

/// Checks that a schema accepts a document, and refuses it with each of these changes.
fn refuses(name: &str, base: &Value, changes: &[(&str, Option<Value>)]) {
    let schemas = Schemas::new();
    schemas.assert_fits(name, base, "the base");
    assert!(changes.len() >= 15, "{name}: {}", changes.len());
    for (pointer, new) in changes {
        let value = changed(base, pointer, new.clone());
        assert!(!schemas.accepts(name, &value), "{name} accepts {pointer} = {new:?}");
    }
}

#[test]
fn wrong_secrets_are_refused() {
    refuses(
        "secret",
        &secret(),
        &[
            ("/organization", None),
            ("/organization", Some(json!("Acme"))),
            ("/username", None),
            ("/username", Some(json!("scanner@acme.example"))),
            ("/username", Some(json!("acme scanner"))),
            ("/accessToken", Some(json!(""))),
            ("/accessToken", Some(json!("dckr_pat_x\n"))),
            ("/accessToken", Some(json!("dckr_oat_x"))),
            ("/tokenId", Some(json!("one"))),
            ("/expiresAt", Some(json!("tomorrow"))),
            ("/manager", Some(json!(7))),
            ("/owner", None),
            ("/user", None),
            ("/user/email", Some(json!("nobody"))),
            ("/user/role", Some(json!("owner"))),
            ("/user/team", Some(json!("owners"))),
            ("/expectedRepositories", Some(json!("billing"))),
            ("/expectedRepositories", Some(json!(["acme/billing"]))),
            ("/excludedRepositories", Some(json!(["old*"]))),
            ("/connector", None),
            ("/connector", Some(Value::Null)),
            ("/connector/subscriptionId", Some(json!("one"))),
            ("/connector/resourceGroup", Some(json!("rg."))),
            ("/connector/name", Some(json!("a/b"))),
            ("/connector/location", Some(json!(""))),
            ("/connector/scanIntervalHours", Some(json!(25))),
            ("/connector/scanIntervalHours", Some(json!("12"))),
            ("/connector/plans", Some(json!(["everything"]))),
            ("/connector/tags", Some(json!({"hubkeeper-secret": "x"}))),
            ("/connector/tags", Some(json!({"team": 7}))),
        ],
    );
}

#[test]
fn wrong_manager_secrets_are_refused() {
    refuses(
        "manager",
        &manager(),
        &[
            ("/username", None),
            ("/username", Some(json!(""))),
            ("/username", Some(json!(7))),
            ("/username", Some(json!("scanner@acme.example"))),
            ("/username", Some(json!(" acme-scanner"))),
            ("/password", None),
            ("/password", Some(json!(""))),
            ("/password", Some(json!("hunter22\n"))),
            ("/password", Some(json!(" hunter22"))),
            ("/password", Some(json!(["hunter22"]))),
            ("/totpSecret", Some(json!("0189"))),
            ("/totpSecret", Some(json!(7))),
            ("/usedBy", None),
            ("/usedBy", Some(json!("hubkeeper/acme"))),
            ("/usedBy", Some(json!([7]))),
            ("/usedBy", Some(Value::Null)),
            ("/accessToken", Some(json!("dckr_oat_x"))),
        ],
    );
}

#[test]
fn wrong_owner_secrets_are_refused() {
    refuses(
        "owner",
        &owner(),
        &[
            ("/organization", None),
            ("/organization", Some(json!(""))),
            ("/organization", Some(json!(" acme"))),
            ("/organization", Some(json!(7))),
            ("/accessToken", None),
            ("/accessToken", Some(json!(""))),
            ("/accessToken", Some(json!("dckr_pat_x"))),
            ("/accessToken", Some(json!("dckr oat"))),
            ("/accessToken", Some(json!(7))),
            ("/accessToken", Some(Value::Null)),
            ("/usedBy", None),
            ("/usedBy", Some(json!("hubkeeper/acme"))),
            ("/usedBy", Some(json!([7]))),
            ("/username", Some(json!("acme-owner"))),
            ("/password", Some(json!("hunter22"))),
            ("/totpSecret", Some(json!("JBSWY3DPEHPK3PXP"))),
        ],
    );
}

#[test]
fn wrong_reports_are_refused() {
    refuses(
        "report",
        &report(),
        &[
            ("/action", None),
            ("/mode", None),
            ("/mode", Some(json!("dry"))),
            ("/outcome", None),
            ("/outcome", Some(json!("done"))),
            ("/tokens", None),
            ("/tokens/retired", Some(json!(["one"]))),
            ("/tokens/expiresAt", Some(json!("tomorrow"))),
            ("/stages", None),
            ("/stages", Some(json!([{"name": "read"}]))),
            ("/stages", Some(json!([{"name": "read", "status": "half", "durationMs": 1}]))),
            ("/warnings", Some(json!(["late"]))),
            ("/warnings", Some(json!([{"code": "expired"}]))),
            ("/verdict/result", Some(json!("good"))),
            ("/verdict/repositories", Some(json!(-1))),
            ("/verdict/missingCount", None),
            ("/connector/change", Some(json!("written"))),
            ("/connector/id", Some(json!(7))),
            ("/secretId", Some(json!(7))),
        ],
    );
}

#[test]
fn wrong_events_are_refused() {
    let schemas = Schemas::new();
    assert!(wrong_events().len() >= 15);
    for event in wrong_events() {
        assert!(!schemas.accepts("event", &event), "event accepts {event}");
    }
}

fn wrong_events() -> Vec<Value> {
    vec![
        json!(null),
        json!({}),
        json!({"Step": "create_secret", "SecretId": ARN, "ClientRequestToken": VERSION}),
        json!({"Step": "setSecret", "ClientRequestToken": VERSION}),
        json!({"Step": "setSecret", "SecretId": "a b", "ClientRequestToken": VERSION}),
        json!({"Step": "setSecret", "SecretId": ARN, "ClientRequestToken": "short"}),
        json!({"Step": "setSecret", "SecretId": ARN, "ClientRequestToken": VERSION, "RotationToken": ["x"]}),
        json!({"action": "onbord", "secretId": ARN}),
        json!({"action": "onboard"}),
        json!({"action": "onboard", "secretID": ARN}),
        json!({"action": "onboard", "secretId": ARN, "secretIds": [ARN]}),
        json!({"action": "onboard", "secretIds": []}),
        json!({"action": "onboard", "secretIds": [7]}),
        json!({"action": "onboard", "secretId": ARN, "mode": "dry"}),
        json!({"action": "onboard", "secretId": ARN, "force": "yes"}),
        json!({"action": "onboard", "secretId": ARN, "versionId": "x"}),
        json!({"action": "verify", "secretId": ARN, "force": true}),
        json!({"action": "verify", "secretIds": [ARN]}),
        json!({"action": "reconcile", "secretId": ARN}),
        json!({"action": "reconcile", "secretIds": null}),
        json!({"action": "reconcile", "revokeReplaced": true}),
        json!({"action": "status", "mode": "plan"}),
        json!({"action": "status", "next": "a b"}),
        json!({"action": "offboard", "secretIds": [ARN]}),
        json!({"RequestType": "Create"}),
        json!({"RequestType": "Create", "ResponseURL": "ftp://x", "StackId": "s", "RequestId": "r", "LogicalResourceId": "l",
            "ResourceProperties": {"SecretId": ARN}}),
        json!({"Records": {}}),
        json!({"Records": [7]}),
        json!({"Records": [{"messageId": "m", "body": "{}", "eventSource": "aws:s3"}]}),
        json!({"detail-type": "Secret Label Updated", "source": "aws.secretsmanager"}),
        json!({"detail-type": "Secret Label Updated", "detail": {}}),
        json!({"detail-type": "Secret Label Updated", "detail": {"labelUpdated": "AWSCURRENT", "versionId": VERSION}}),
        json!({"detail-type": "Nonsense", "detail": {}}),
        json!({"detail-type": "AWS API Call via CloudTrail", "detail": {"eventName": "PutSecretValue"}}),
        json!({"detail-type": "AWS Service Event via CloudTrail", "detail": {"eventName": "RotationFailed"}}),
    ]
}

/// Values for any field: right in some, wrong in others.
fn values() -> Vec<Option<Value>> {
    let texts = [
        "",
        " ",
        "x",
        "X",
        "acme",
        "acme/billing",
        "team-*",
        "*",
        "a b",
        " a",
        "a\n",
        "a@b.example",
        "a..b@c.example",
        "@",
        "owners",
        "editor",
        "member",
        "owner",
        "dckr_oat_x",
        "dckr_pat_x",
        "containers",
        "rg.",
        "rg-(1)",
        "größe",
        "a€",
        "a?b",
        "...",
        "hubkeeper-x",
        SUBSCRIPTION,
        VERSION,
        ARN,
        "2027-02-22T09:30:00Z",
        "2027-02-22T09:30:00+01:00",
        "2027-02-22t09:30:00.5z",
        "2027-02-30T09:30:00Z",
        "2027-02-22",
        "JBSWY3DPEHPK3PXP",
        "jbsw y3dp",
        "A",
        "otpauth://totp/x?secret=JBSWY3DPEHPK3PXP",
        "otpauth://hotp/x?secret=A",
        "1",
        "apply",
        "plan",
        "onboard",
        "setSecret",
        "https://x.amazonaws.com/",
        "aws:sqs",
        "AWSCURRENT",
    ];
    let mut values: Vec<Option<Value>> = texts.into_iter().map(|text| Some(json!(text))).collect();
    for value in [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(1),
        json!(24),
        json!(25),
        json!(-1),
        json!(12.5),
        json!([]),
        json!({}),
        json!([7]),
        json!([""]),
        json!(["billing"]),
        json!(["Billing"]),
        json!(["team-*"]),
        json!(["containers", "containers"]),
        json!([null]),
        json!({"a": "b"}),
        json!({"a": 7}),
        json!({"": "b"}),
        json!({"HubKeeper-a": "b"}),
        json!({"email": "a@b.example"}),
        json!([ARN]),
        json!([ARN, ARN]),
    ] {
        values.push(Some(value));
    }
    values.push(None);
    values.push(serde_json::from_str("12.0").ok());
    values
}

/// The pointers of all fields of a value, without the items of arrays.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    for (name, value) in value.as_object().into_iter().flatten() {
        let pointer = format!("{at}/{name}");
        pointers(value, &pointer, found);
        found.push(pointer);
    }
}

/// Documents with one or two fields changed: each single change, and pairs that are spread evenly.
fn generated(base: &Value) -> Vec<Value> {
    let mut fields = Vec::new();
    pointers(base, "", &mut fields);
    let changes: Vec<(&String, Option<Value>)> =
        fields.iter().flat_map(|field| values().into_iter().map(move |value| (field, value))).collect();
    let mut documents = vec![base.clone()];
    documents.extend(changes.iter().map(|(field, value)| changed(base, field, value.clone())));
    let mut seed: usize = 0x9e37;
    for _ in 0..6000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (first, second) = (&changes[(seed >> 33) % changes.len()], &changes[(seed >> 13) % changes.len()]);
        // the deeper field first, since the other may take its object away
        let (first, second) = if first.0.len() >= second.0.len() { (first, second) } else { (second, first) };
        let once = changed(base, first.0, first.1.clone());
        if once.pointer(second.0.rsplit_once('/').unwrap().0).is_some_and(Value::is_object) {
            documents.push(changed(&once, second.0, second.1.clone()));
        }
    }
    documents
}

/// Why a schema and a parser differ, and on which documents.
type Reason = (&'static str, fn(&Value) -> bool);

/// Compares a schema and a parser on documents. Each difference must have a listed reason, and each reason must be needed.
fn compare(schemas: &Schemas, name: &str, documents: &[Value], parses: impl Fn(&Value) -> bool, reasons: &[Reason]) {
    let (mut used, mut both, mut neither) = (BTreeSet::new(), 0, 0);
    for document in documents {
        match (schemas.accepts(name, document), parses(document)) {
            (true, true) => both += 1,
            (false, false) => neither += 1,
            (by_schema, by_parser) => {
                let reason = reasons.iter().find(|(_, holds)| holds(document));
                let Some((reason, _)) = reason else {
                    panic!("{name}: the schema says {by_schema}, the parser {by_parser}:\n{document:#}");
                };
                used.insert(*reason);
            }
        }
    }
    assert!(both > 200 && neither > 200, "{name}: {both} {neither}");
    let listed: BTreeSet<&str> = reasons.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(used, listed, "{name}: a listed difference no longer exists");
}

/// Whether a number is written with a fraction or an exponent, such as `12.0`: a whole number for a schema, not for the parser.
fn is_written_as_fraction(value: &Value) -> bool {
    value.as_number().is_some_and(|number| number.as_u64().is_none())
}

#[test]
fn the_schema_of_secrets_agrees_with_the_parser() {
    let schemas = Schemas::new();
    let mut documents = generated(&secret());
    let plain = ["manager", "owner", "user", "note"]
        .iter()
        .fold(secret(), |document, field| changed(&document, &format!("/{field}"), None));
    documents.extend(generated(&plain));
    compare(
        &schemas,
        "secret",
        &documents,
        |document| Document::parse(&document.to_string().into()).is_ok(),
        &[
            ("a user with the organization's name has an organization access token, whatever its form", |document| {
                let name = |field: &str| document[field].as_str().unwrap_or_default();
                name("username").eq_ignore_ascii_case(name("organization"))
            }),
            ("a character of a resource group that is neither a letter nor a digit", |document| {
                document["connector"]["resourceGroup"] == "a€"
            }),
            ("a date that no calendar has", |document| {
                document["expiresAt"].as_str().is_some_and(|text| parse_rfc3339(text).is_none())
            }),
            ("a whole number with a fraction", |document| {
                is_written_as_fraction(&document["connector"]["scanIntervalHours"])
            }),
        ],
    );
}

#[test]
fn the_schemas_of_logins_agree_with_the_parser() {
    let schemas = Schemas::new();
    let parses = |purpose| move |document: &Value| LoginSecret::parse(&document.to_string().into(), purpose).is_ok();
    let used_by: Reason =
        ("usedBy may be missing until somebody uses the login", |document| document["usedBy"].is_null());
    let seed: Reason =
        ("a seed of no whole byte, or the parameters of its URI", |document| document["totpSecret"].is_string());
    compare(&schemas, "manager", &generated(&manager()), parses(Purpose::Manager), &[used_by, seed]);
    let mut documents = generated(&owner());
    documents.extend(generated(&manager()));
    compare(&schemas, "owner", &documents, parses(Purpose::Owner), &[used_by, seed]);
}

#[test]
fn the_schema_of_events_agrees_with_the_parser() {
    let schemas = Schemas::new();
    let mut documents = wrong_events();
    for base in [
        json!({"Step": "setSecret", "SecretId": ARN, "ClientRequestToken": VERSION, "RotationToken": "x"}),
        json!({"action": "onboard", "secretId": ARN, "mode": "plan", "versionId": VERSION, "force": true, "fixRole": false}),
        json!({"action": "onboard", "secretIds": [ARN], "mode": "apply", "force": true}),
        json!({"action": "reconcile", "secretIds": [ARN], "mode": "plan", "revokeReplaced": true}),
        json!({"action": "verify", "secretId": ARN, "mode": "plan", "versionId": VERSION}),
        json!({"action": "offboard", "secretId": ARN, "mode": "plan"}),
        json!({"action": "status", "secretIds": [ARN], "next": "hubkeeper/acme"}),
    ] {
        documents.extend(generated(&base));
    }
    compare(&schemas, "event", &documents, |document| event::parse(document).is_ok(), &[]);
}
