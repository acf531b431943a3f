//! The Lambda function: environment, clients built once, the runtime's loop.

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

#[tokio::main]
async fn main() -> Result<(), lambda_runtime::Error> {
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
