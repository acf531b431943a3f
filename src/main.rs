//! The Lambda function: environment, clients built once, the runtime's loop.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::{BehaviorVersion, SdkConfig};
use hubkeeper::clock::{SystemClock, SystemRandom};
use hubkeeper::config::{Config, Environment, Problems};
use hubkeeper::event_handler::Handler;
use hubkeeper::http::aws::{SdkHttp, SdkTime};
use hubkeeper::http::proxy::Proxy;
use hubkeeper::http::transport::Reqwest;
use hubkeeper::http::{Outlet, Shared};
use hubkeeper::logging;
use hubkeeper::metrics::Stdout;
use hubkeeper::process::Process;
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::Value;

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

README.md explains events and configuration, docs/deploy.md how to deploy.
";

/// Explains the program to a person who starts it outside Lambda: on stdout with 0 where they ask for help (`--help`, `-h`), else
/// on stderr with 2. `None` inside Lambda, which always sets `AWS_LAMBDA_RUNTIME_API`.
fn started_by_hand() -> Option<ExitCode> {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_some() {
        return None;
    }
    let asked = std::env::args_os().skip(1).any(|argument| argument == "--help" || argument == "-h");
    // a closed pipe is no failure of the explanation
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
    let handler = match set_up(&environment).await {
        Ok(process) => Handler::Ready(Box::new(process)),
        Err(problems) => Handler::Unusable(problems, way_out(&environment)),
    };
    let handler = &handler;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| handler.invoke(event))).await
}

async fn set_up(environment: &Environment) -> Result<Process, Problems> {
    let config = Config::parse(environment)?;
    let bundle = config.ca_bundle.as_ref().map(std::fs::read).transpose();
    let bundle = bundle.map_err(|_| Problems::one("HUBKEEPER_CA_BUNDLE names a file that cannot be read"))?;
    let transport =
        Reqwest::new(bundle.as_deref(), config.proxy.as_ref()).map_err(|error| Problems::one(error.to_string()))?;
    let shared = Shared::new(Arc::new(transport), Arc::new(SystemClock), Arc::new(SystemRandom));
    Ok(Process {
        aws: aws(environment, &shared).await,
        config: Arc::new(config),
        shared,
        bearers: Arc::default(),
        metrics: Arc::new(Stdout),
    })
}

/// Over the embedded roots alone, and the proxy if it is one: what is wrong with the configuration can be told to a stack that
/// waits.
fn way_out(environment: &Environment) -> Option<Arc<Shared>> {
    let proxy = Proxy::parse(environment).ok().flatten();
    let transport = Reqwest::new(None, proxy.as_ref()).ok()?;
    Some(Shared::new(Arc::new(transport), Arc::new(SystemClock), Arc::new(SystemRandom)))
}

/// In Lambda, credentials and Region stand in the environment; elsewhere the SDK's default chain looks for them.
async fn aws(environment: &Environment, shared: &Arc<Shared>) -> SdkConfig {
    // the chain asks for credentials outside of any invocation too: this way out has no deadline of its own
    let outlet = Outlet::new(Arc::clone(shared), shared.now() + time::Duration::days(36_500));
    let time = SdkTime::new(outlet.clone());
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).http_client(SdkHttp::new(outlet)).time_source(time);
    if environment.contains_key("AWS_ACCESS_KEY_ID") {
        loader = loader.credentials_provider(EnvironmentVariableCredentialsProvider::new());
    }
    if environment.contains_key("AWS_REGION") {
        loader = loader.region(EnvironmentVariableRegionProvider::new());
    }
    loader.load().await
}
