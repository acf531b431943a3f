//! Tests the real binary behind a Lambda Runtime API, over real sockets, with logs at TRACE.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hubkeeper_sandbox::lambda::LambdaHost;
use hubkeeper_sandbox::rotation::rotate;
use hubkeeper_sandbox::serve::{Options, Served, Tls, serve};
use hubkeeper_sandbox::{Fault, World, aws, hub, leak, record, responses};
use serde_json::json;

use hubkeeper_scene::{Begin, CLIENT, ORG, TENANT, USER, build, watch};

pub(crate) struct Running {
    pub(crate) world: World,
    pub(crate) arn: String,
    pub(crate) served: Served,
    pub(crate) host: LambdaHost,
    broken: Arc<Mutex<Vec<String>>>,
    authority: std::path::PathBuf,
    /// Secrets of the environment, in addition to those of the world.
    pub(crate) secrets: Vec<String>,
}

impl Running {
    pub(crate) async fn start(begin: Begin, name: &str, extra: &[(&str, &str)]) -> Self {
        Self::start_over(Tls::Entra, begin, name, extra).await
    }

    pub(crate) async fn start_over(tls: Tls, begin: Begin, name: &str, extra: &[(&str, &str)]) -> Self {
        let world = World::new();
        record::begin(&world);
        let arn = world.with(|state| build(state, begin));
        let broken = Arc::default();
        watch(&world, &broken);
        let authority =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("authority-{name}-{}.pem", std::process::id()));
        let options =
            Options { authority_file: Some(authority.clone()), tls, tls_responses: true, ..Options::default() };
        let served = serve(world.clone(), options).await.unwrap();
        let mut environment = served.environment();
        let own = [
            ("AZURE_TENANT_ID", TENANT),
            ("AZURE_CLIENT_ID", CLIENT),
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
            ("RUST_LOG", "trace"),
        ];
        environment.extend(own.iter().chain(extra).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let host = LambdaHost::start(Path::new(env!("CARGO_BIN_EXE_bootstrap")), &environment, Duration::from_mins(1))
            .unwrap();
        Self { world, arn, served, host, broken, authority, secrets: Vec::new() }
    }

    pub(crate) fn finish(self) {
        let broken = self.broken.lock().unwrap().clone();
        assert!(broken.is_empty(), "{broken:#?}");
        let mut secrets = self.world.with(|state| leak::secrets_of(state));
        secrets.extend(self.secrets);
        let mut output = self.host.output();
        // a presigned URL is secret, and only its own host may receive it
        let record = self.world.record();
        for entry in record.iter().filter(|entry| entry.service != hubkeeper_sandbox::Service::Responses) {
            output.push_str(&entry.request.uri().to_string());
        }
        let leaks = leak::find(&secrets, &output);
        assert!(leaks.is_empty(), "{:?}", leaks.iter().map(|leak| &leak.around).collect::<Vec<_>>());
        let _ = std::fs::remove_file(&self.authority);
        drop(self.served);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_life_over_real_sockets() {
    let running = Running::start(Begin::Manager, "life", &[]).await;
    let report = running.host.invoke(json!({"action": "onboard", "secretId": running.arn})).await.unwrap();
    assert_eq!(report["outcome"], "applied", "{report}");
    let rotation = rotate(&running.world, &running.host, &running.arn, 1).await;
    assert!(rotation.succeeded, "{:?}", rotation.steps);
    let (_, public) = running.world.with(|state| hub::add_pat(state, USER, "public", &["repo:public_read"], None));
    let mut value = hubkeeper_scene::document();
    value["accessToken"] = json!(public);
    let version =
        running.world.with(|state| aws::put_version(state, &running.arn, None, &value, &["HUBKEEPER_CANDIDATE"]));
    let error = running
        .host
        .invoke(json!({"action": "onboard", "secretId": running.arn, "versionId": version}))
        .await
        .unwrap_err();
    assert_eq!(error.error_type, "Refused");
    assert!(
        error.message.contains(ORG) && error.message.contains("partial") && error.message.contains("remedy"),
        "{}",
        error.message
    );
    let error = running.host.invoke(json!({"action": "nonsense"})).await.unwrap_err();
    assert_eq!(error.error_type, "BadEvent");
    let lines = running.host.output();
    let failed = lines.lines().filter(|line| line.contains("event failed")).count();
    assert_eq!(failed, 2, "each error is logged once: {lines}");
    let mut counted = Vec::new();
    for line in lines.lines().filter(|line| line.starts_with('{')) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(hubkeeper_core::time::parse_rfc3339(line["timestamp"].as_str().unwrap()).is_some());
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        if directive.is_object() {
            assert_eq!((&directive["Namespace"], &line["FunctionName"]), (&json!("hubkeeper"), &json!("sandbox")));
            let sets =
                [&["FunctionName", "Action", "Organization"][..], &["FunctionName", "Action"], &["FunctionName"]];
            assert_eq!(directive["Dimensions"], json!(sets));
            let names = directive["Metrics"].as_array().unwrap().iter().map(|metric| metric["Name"].as_str().unwrap());
            assert!(names.clone().count() > 2 && names.clone().all(|name| line[name].is_number()), "{line}");
            counted.push(format!("{} {}", line["Action"].as_str().unwrap(), line["Failed"]));
        }
    }
    let steps =
        ["createSecret 0", "setSecret 0", "testSecret 0", "finishSecret 0"].map(|step| format!("rotation:{step}"));
    assert_eq!(counted, [&["onboard 0".to_owned()][..], &steps, &["onboard 1".to_owned()]].concat());
    running.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_ca_bundle_entra_is_not_trusted_and_the_error_says_so() {
    let running = Running::start(Begin::ByHand, "untrusted", &[("HUBKEEPER_CA_BUNDLE", "")]).await;
    let error = running.host.invoke(json!({"action": "onboard", "secretId": running.arn})).await.unwrap_err();
    assert!(error.message.contains("certificate"), "{}", error.message);
    running.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_after_the_connector_was_written_is_settled_by_a_look() {
    let running = Running::start(Begin::ByHand, "reset", &[]).await;
    let mut done = false;
    running.world.script(move |_, service, request| {
        let hit = !done && service == hubkeeper_sandbox::Service::Arm && request.method() == "PUT";
        done |= hit;
        hit.then_some(Fault::ResetAfter)
    });
    let report = running.host.invoke(json!({"action": "onboard", "secretId": running.arn})).await.unwrap();
    assert_eq!(report["outcome"], "applied");
    running.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_problem_of_the_environment_is_in_the_answer_to_every_event() {
    let running = Running::start(
        Begin::ByHand,
        "misconfigured",
        &[("AZURE_TENANT_ID", ""), ("HUBKEEPER_CA_BUNDLE", "/nowhere.pem")],
    )
    .await;
    for event in [json!({"action": "onboard", "secretId": running.arn}), json!({})] {
        let error = running.host.invoke(event).await.unwrap_err();
        assert_eq!(error.error_type, "Misconfigured");
        for name in ["AZURE_TENANT_ID", "HUBKEEPER_CA_BUNDLE"] {
            assert!(error.message.contains(name), "{name}: {}", error.message);
        }
    }
    running.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_without_a_certificate_is_a_problem_among_the_others() {
    let bundle = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("no-bundle-{}.pem", std::process::id()));
    std::fs::write(&bundle, "no certificate").unwrap();
    let path = bundle.display().to_string();
    let running =
        Running::start(Begin::ByHand, "bundle", &[("AZURE_CLIENT_ID", ""), ("HUBKEEPER_CA_BUNDLE", &path)]).await;
    let error = running.host.invoke(json!({})).await.unwrap_err();
    assert_eq!(error.error_type, "Misconfigured");
    for name in ["AZURE_CLIENT_ID", "HUBKEEPER_CA_BUNDLE: the file holds no certificate"] {
        assert!(error.message.contains(name), "{name}: {}", error.message);
    }
    running.finish();
    let _ = std::fs::remove_file(bundle);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_configuration_a_stack_is_answered_over_the_ca_bundle() {
    let running = Running::start(Begin::ByHand, "stack", &[("AZURE_TENANT_ID", "")]).await;
    let target = running.world.with(responses::presign);
    let port = running.served.port(hubkeeper_sandbox::Service::Responses);
    let event = json!({"RequestType": "Create", "RequestId": "b3c5b1c0-0000-4000-a000-000000000001",
        "StackId": "arn:aws:cloudformation:eu-west-1:111122223333:stack/onboarded/3f6b1f00-0000-11f1-a0a0-000000000001",
        "LogicalResourceId": "Organization", "ResponseURL": format!("https://localhost:{port}{target}"),
        "ResourceProperties": {"SecretId": running.arn}});
    let report = running.host.invoke(event).await.unwrap();
    assert_eq!(report["errorType"], "Misconfigured", "{report}");
    let answers = running.world.with(|state| responses::answers(state));
    assert_eq!((answers.len(), &answers[0].body["Status"]), (1, &json!("FAILED")));
    assert!(answers[0].body["Reason"].as_str().unwrap().contains("AZURE_TENANT_ID"));
    running.finish();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payload_that_serde_refuses_is_a_bad_event_and_the_next_one_works() {
    let running = Running::start(Begin::ByHand, "payload", &[]).await;
    let deep = format!("{{\"action\":\"verify\",\"secretId\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for event in [r#"{"action":"verify","secretId":"\ud83d"}"#.to_owned(), deep, "{".to_owned()] {
        let error = running.host.invoke_text(event, Duration::from_secs(20)).await.unwrap_err();
        assert_eq!(error.error_type, "BadEvent", "{}", error.message);
        let report = running.host.invoke(json!({"action": "verify", "secretId": running.arn})).await.unwrap();
        assert_eq!(report["outcome"], "proven");
    }
    running.finish();
}

/// Runs the binary as a person does in a shell, without Lambda's variables.
fn by_hand(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_bootstrap"));
    let output = command.args(arguments).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn started_by_hand_it_says_what_it_is_and_how_to_try_it() {
    let (code, stdout, stderr) = by_hand(&[]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    for words in ["AWS Lambda function", "make demo", "README.md", "AWS_LAMBDA_RUNTIME_API is not set"] {
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
    assert!(!stderr.contains("panicked") && !stderr.contains('{'), "{stderr}");
    for argument in ["--help", "-h"] {
        let (code, help, stderr) = by_hand(&[argument]);
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert!(help.contains("make demo") && !help.contains("Nothing was run"), "{help}");
    }
    // each command and page in the explanation exists
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let makefile = std::fs::read_to_string(root.join("Makefile")).unwrap();
    for target in ["demo", "help"] {
        assert!(stderr.contains(&format!("make {target} ")) && makefile.contains(&format!("\n{target}:")), "{target}");
    }
    for page in ["README.md", "docs/deploy.md", "events/onboard.json"] {
        assert!(stderr.contains(page) && root.join(page).is_file(), "{page}");
    }
}
