//! The Lambda function: reads the environment, creates the clients once, and runs the runtime's loop.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::{BehaviorVersion, SdkConfig};
use hubkeeper::clock::{SystemClock, SystemRandom};
use hubkeeper::handler::{BareClient, Handler, diagnostic};
use hubkeeper::http::aws::{SdkHttp, SdkTime};
use hubkeeper::http::transport::{Reqwest, ca_bundle};
use hubkeeper::http::{HttpClient, HttpShared};
use hubkeeper::logging;
use hubkeeper::metrics::Stdout;
use hubkeeper::process::Process;
use hubkeeper_core::config::{Config, Environment, Problems, all, is_local};
use hubkeeper_core::event::Payload;
use hubkeeper_core::proxy::Proxy;
use lambda_runtime::{LambdaEvent, service_fn};

fn main() -> Result<ExitCode, lambda_runtime::Error> {
    match started_by_hand() {
        Some(code) => Ok(code),
        None => serve().map(|()| ExitCode::SUCCESS),
    }
}

const BY_HAND: &str = "\
hubkeeper keeps the Docker Hub connector of Microsoft Defender for Cloud supplied with a proven, read-only token.

This program is an AWS Lambda function, not a command: Lambda starts it and sends it events. To try it without an
account, run these in a clone of the repository:

  make demo                               the whole life of a token, against services in memory
  make demo EVENT=events/onboard.json     one event
  make help                               everything else, deployment included

README.md lists the pages; docs/events.md explains events, docs/configuration.md variables, docs/deploy.md deployment.
";

/// Explains the program to a person who starts it outside Lambda: on stdout with exit code 0 for `--help` and `-h`,
/// otherwise on stderr with exit code 2. Returns `None` inside Lambda, which always sets `AWS_LAMBDA_RUNTIME_API`.
fn started_by_hand() -> Option<ExitCode> {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        return None;
    }
    let asked = std::env::args_os().skip(1).any(|argument| argument == "--help" || argument == "-h");
    // a closed pipe is not an error here
    if asked {
        let _ = std::io::stdout().write_all(BY_HAND.as_bytes());
        return Some(ExitCode::SUCCESS);
    }
    let _ = write!(std::io::stderr(), "{BY_HAND}\nNothing was run: AWS_LAMBDA_RUNTIME_API is not set.\n");
    Some(ExitCode::from(2))
}

#[tokio::main]
async fn serve() -> Result<(), lambda_runtime::Error> {
    let environment: Environment = std::env::vars().collect();
    let level = environment.get("AWS_LAMBDA_LOG_LEVEL").map(String::as_str);
    tracing::subscriber::set_global_default(logging::subscriber(level, std::io::stdout))?;
    logging::quiet_panics();
    let bundle = ca_bundle(&environment);
    let handler = match set_up(&environment, &bundle).await {
        Ok(process) => Handler::Ready(Box::new(process)),
        Err(problems) => Handler::Unusable(problems, bare_client(&environment, &bundle)),
    };
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Payload>| async move {
        handler.invoke(event).await.map_err(|error| diagnostic(&error))
    }))
    .await
}

/// The content of the file that `HUBKEEPER_CA_BUNDLE` names.
type Bundle = Result<Option<Vec<u8>>, Problems>;

async fn set_up(environment: &Environment, bundle: &Bundle) -> Result<Process, Problems> {
    // the configuration's own check reports an invalid proxy
    let proxy = Proxy::parse(environment).ok().flatten();
    let transport = bundle.as_ref().map_err(Clone::clone).and_then(|bundle| {
        Reqwest::new(bundle.as_deref(), proxy.as_ref()).map_err(|error| Problems::one(error.what()))
    });
    let (config, transport) = all(Config::parse(environment), transport)?;
    let shared = HttpShared::new(Arc::new(transport), Arc::new(SystemClock), Arc::new(SystemRandom));
    Ok(Process {
        aws: aws(environment, &shared).await,
        config: Arc::new(config),
        shared,
        bearers: Arc::default(),
        metrics: Arc::new(Stdout),
    })
}

/// Creates the client that reports an unusable configuration to a waiting stack. It trusts the bundle if the bundle is
/// usable, because a proxy may intercept the connection, and otherwise only the embedded roots.
fn bare_client(environment: &Environment, bundle: &Bundle) -> Option<BareClient> {
    let bundle = bundle.as_ref().ok().and_then(Option::as_deref);
    let proxy = Proxy::parse(environment).ok().flatten();
    let transport = Reqwest::new(bundle, proxy.as_ref()).or_else(|_| Reqwest::new(None, proxy.as_ref())).ok()?;
    let shared = HttpShared::new(Arc::new(transport), Arc::new(SystemClock), Arc::new(SystemRandom));
    Some(BareClient { shared, is_local: is_local(environment) })
}

/// Loads the AWS configuration. Lambda sets credentials and Region in the environment; elsewhere the SDK's default
/// chain finds them.
async fn aws(environment: &Environment, shared: &Arc<HttpShared>) -> SdkConfig {
    // the chain also requests credentials outside any invocation, so this client has no deadline of its own
    let http_client = HttpClient::new(Arc::clone(shared), shared.now() + time::Duration::days(36_500));
    let time = SdkTime::new(http_client.clone());
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).http_client(SdkHttp::new(http_client)).time_source(time);
    if environment.contains_key("AWS_ACCESS_KEY_ID") {
        loader = loader.credentials_provider(EnvironmentVariableCredentialsProvider::new());
    }
    if environment.contains_key("AWS_REGION") {
        loader = loader.region(EnvironmentVariableRegionProvider::new());
    }
    loader.load().await
}
