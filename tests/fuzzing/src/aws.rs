//! Input: a script of responses (see [`crate::answers`]) of AWS Secrets Manager. The token in the put is the marker.

use std::cell::RefCell;
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
use hubkeeper::clients::azure::entra::BearerCache;
use hubkeeper::clients::secrets_manager::SecretWriter;
use hubkeeper::clients::{Services, Sessions};
use hubkeeper::metrics::Sink;
use hubkeeper::process::Process;
use hubkeeper_core::config::Config;
use hubkeeper_core::error::Error;
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::secret::labels::TokenLabel;
use hubkeeper_core::secret::schedule::ends_before_rotation;
use hubkeeper_core::secret::{Document, Label, Secret};
use hubkeeper_core::time::rfc3339;
use secrecy::SecretString;
use serde_json::json;

use crate::answers::{self, NOW, Script};
use crate::clean::{self, MARKER};

const OPERATIONS: [&str; 8] = ["describe", "managed", "history", "value", "document", "put", "move", "tag"];
const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf";
const VERSION: &str = "11111111-1111-4111-a111-111111111111";

/// Discards all metrics.
struct Nowhere;

impl Sink for Nowhere {
    fn write(&self, _: &str) {}
}

/// The clients of an invocation with a script.
pub(crate) fn services(script: &Arc<Script>, client_secret: bool, bearers: &Arc<BearerCache>) -> Services {
    thread_local! {
        static READY: (SdkConfig, Arc<Config>, Arc<Config>) = (sdk(), config(false), config(true));
        static SESSIONS: RefCell<Sessions> = RefCell::default();
    }
    let (aws, config) = READY
        .with(|(aws, federated, secret)| (aws.clone(), Arc::clone(if client_secret { secret } else { federated })));
    let (bearers, metrics) = (Arc::clone(bearers), Arc::new(Nowhere));
    let process = Process { config, aws, shared: script.shared(), bearers, metrics };
    SESSIONS.with_borrow(|sessions| process.services(script.deadline(), sessions))
}

fn config(client_secret: bool) -> Arc<Config> {
    let mut variables = vec![("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "client")];
    if client_secret {
        variables.push(("HUBKEEPER_AZURE_AUTH", "client-secret"));
        variables.push(("HUBKEEPER_AZURE_CLIENT_SECRET_ID", "hubkeeper/entra"));
    }
    let environment = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Arc::new(Config::parse(&environment).expect("a configuration"))
}

fn sdk() -> SdkConfig {
    let credentials =
        Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", None, None, "fuzzing");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build()
}

/// Every response of Secrets Manager is either read or becomes an error that shows nothing of it.
pub(crate) fn check(input: &[u8]) {
    let (operation, answers) = answers::parse(input, &OPERATIONS);
    let script = Script::new(answers);
    let store = services(&script, false, &Arc::default()).store;
    match operation {
        "describe" => {
            if let Some(secret) = clear(answers::run(store.describe(ARN)), input) {
                labels(&secret);
            }
        }
        "managed" => {
            let list = clear(answers::run(store.managed()), input).unwrap_or_default();
            let once: std::collections::BTreeSet<_> = list.iter().collect();
            assert_eq!(once.len(), list.len(), "each secret once");
        }
        "history" => {
            for at in clear(answers::run(store.history(ARN)), input).unwrap_or_default().into_values() {
                assert!(!rfc3339(at).is_empty());
            }
        }
        "value" => {
            clear(answers::run(store.value(ARN, &VersionId::of_service(VERSION), Some("AWSPENDING"))), input);
        }
        "document" => {
            clear(answers::run(store.document(ARN, &VersionId::of_service(VERSION), None)), input);
        }
        "put" => {
            clear(
                answers::run(SecretWriter::new(store.clone()).put(
                    ARN,
                    &VersionId::of_service(VERSION),
                    &document(),
                    Label::Pending,
                    None,
                ))
                .map_err(|failure| failure.error),
                input,
            );
        }
        "move" => {
            clear(
                answers::run(SecretWriter::new(store.clone()).move_label(
                    ARN,
                    Label::Current,
                    Some(&VersionId::of_service("a")),
                    Some(&VersionId::of_service(VERSION)),
                )),
                input,
            );
        }
        _ => {
            clear(answers::run(SecretWriter::new(store.clone()).tag(ARN, "managed")), input);
        }
    }
    script.end();
}

fn clear<T>(answer: Result<T, Error>, input: &[u8]) -> Option<T> {
    answer.map_err(|error| clean::error(&error, input)).ok()
}

/// The values derived from labels are printable and computable for all labels.
fn labels(secret: &Secret) {
    assert_eq!(secret.fingerprint().as_str().len(), 12);
    if let Some(pending) = secret.rotation_in_progress() {
        assert!(secret.bears(pending, Label::Pending) && secret.version(Label::Current) != Some(pending));
    }
    assert!(secret.stuck_rotation(NOW).is_none(), "its age is not known here");
    let label = secret.token_label(&VersionId::of_service(VERSION));
    assert_eq!(
        secret.version_of_label(&label),
        Some(TokenLabel { version: VersionId::of_service(VERSION), is_retiring: false })
    );
    if let Some(schedule) = &secret.schedule {
        let due = schedule.after(NOW).or(schedule.next);
        let _ = ends_before_rotation(schedule, due, NOW, time::Duration::DAY);
        let _ = ends_before_rotation(schedule, schedule.next, NOW, time::Duration::DAY);
    }
}

fn document() -> Document {
    let value = json!({"organization": "acme", "username": "acme-scanner", "accessToken": MARKER,
        "connector": {"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg", "name": "hub", "location": "westeurope"}});
    Document::parse(&SecretString::from(value.to_string())).expect("a document")
}
