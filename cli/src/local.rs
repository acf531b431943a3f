//! The function's own code on this machine, with the credentials of the person in front of it. It reads and plans; it
//! never writes a connector or a token.

use std::sync::Arc;

use aws_config::{BehaviorVersion, SdkConfig};
use azure_core::credentials::TokenCredential;
use azure_identity::AzureCliCredential;
use hubkeeper::clients::Sessions;
use hubkeeper::clients::azure::arm::Read;
use hubkeeper::clock::{SystemClock, SystemRandom};
use hubkeeper::doctor::{self, AzureLogin, Named};
use hubkeeper::handler::Handler;
use hubkeeper::http::aws::{SdkHttp, SdkTime};
use hubkeeper::http::transport::{Reqwest, ca_bundle};
use hubkeeper::http::{HttpClient, HttpShared};
use hubkeeper::metrics::Sink;
use hubkeeper::observer::Observer;
use hubkeeper::process::Process;
use hubkeeper_core::config::{Config, Environment, Problems};
use hubkeeper_core::connector::Health;
use hubkeeper_core::doctor::Ledger;
use hubkeeper_core::error::Error;
use hubkeeper_core::event::DoctorQuery;
use hubkeeper_core::proxy::Proxy;
use hubkeeper_core::secret::document::ConnectorId;
use secrecy::SecretString;
use serde_json::Value;
use time::{Duration, OffsetDateTime};

use crate::exit::{Code, Failure};

/// How long one command may take: there is no invocation whose time would be up.
const DEADLINE: Duration = Duration::hours(2);

/// Metrics of a run on this machine go nowhere.
struct NoMetrics;

impl Sink for NoMetrics {
    fn write(&self, _: &str) {}
}

/// Creates the HTTP client's state: the extra roots and the proxy of the environment, and an observer.
///
/// # Errors
/// Returns a failure that names the variable that is wrong.
pub fn shared(environment: &Environment, observer: Arc<dyn Observer>) -> Result<Arc<HttpShared>, Failure> {
    let bundle = ca_bundle(environment).map_err(|problems| misconfigured(&problems))?;
    let proxy = Proxy::parse(environment).map_err(|problem| misconfigured(&Problems::one(problem)))?;
    let transport = Reqwest::new(bundle.as_deref(), proxy.as_ref())?;
    Ok(HttpShared::observed(Arc::new(transport), Arc::new(SystemClock), Arc::new(SystemRandom), observer))
}

/// Returns the HTTP client of one command.
pub fn http_client(shared: &Arc<HttpShared>) -> HttpClient {
    HttpClient::new(Arc::clone(shared), deadline())
}

/// When the requests of a command that starts now must be over.
pub fn deadline() -> OffsetDateTime {
    OffsetDateTime::now_utc() + DEADLINE
}

/// Loads the AWS configuration with the usual chain: variables, profiles, SSO, a process, the container's or instance's
/// role.
///
/// # Errors
/// Returns a failure if there is no Region or nobody is logged in.
pub async fn aws(http_client: &HttpClient) -> Result<SdkConfig, Failure> {
    use aws_sdk_lambda::config::ProvideCredentials;
    let time = SdkTime::new(http_client.clone());
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(SdkHttp::new(http_client.clone()))
        .time_source(time);
    let config = loader.load().await;
    if config.region().is_none() {
        return Err(Failure::new(
            Code::Person,
            "no AWS Region is set",
            "set AWS_REGION, or choose a profile that has one with AWS_PROFILE",
        ));
    }
    let provider = config.credentials_provider();
    let logged_in = match &provider {
        Some(provider) => provider.provide_credentials().await.is_ok(),
        None => false,
    };
    if logged_in {
        Ok(config)
    } else {
        Err(Failure::new(
            Code::Person,
            "there is no AWS login on this machine, or it has expired",
            "run aws sso login (or aws configure), or choose a profile with AWS_PROFILE",
        ))
    }
}

/// The function's code with the caller's credentials.
pub struct Local {
    handler: Handler,
    azure_login: AzureLogin,
}

impl Local {
    /// Reads the configuration, and logs in at Azure with the Azure CLI, unless `HUBKEEPER_AZURE_AUTH` says how else.
    ///
    /// # Errors
    /// Returns a failure that says what is missing.
    pub async fn new(environment: &Environment, shared: Arc<HttpShared>, aws: SdkConfig) -> Result<Self, Failure> {
        let local = Self::with_or_without_azure(environment, shared, aws).await?;
        match local.azure_login {
            AzureLogin::Missing(why) => Err(why.into()),
            AzureLogin::Exchange | AzureLogin::Cached => Ok(local),
        }
    }

    /// Reads the configuration, and tries to log in at Azure.
    ///
    /// # Errors
    /// Returns a failure that names the variables that are wrong.
    pub async fn with_or_without_azure(
        environment: &Environment,
        shared: Arc<HttpShared>,
        aws: SdkConfig,
    ) -> Result<Self, Failure> {
        let config = Config::parse(environment).map_err(|problems| {
            let mut failure = misconfigured(&problems);
            failure.remedy =
                format!("{}; or name the deployed function with --function, whose settings then count", failure.remedy);
            failure
        })?;
        let process =
            Process { aws, config: Arc::new(config), shared, bearers: Arc::default(), metrics: Arc::new(NoMetrics) };
        let azure_login = if environment.contains_key("HUBKEEPER_AZURE_AUTH") {
            AzureLogin::Exchange
        } else {
            match azure(&process.config.cloud.scope()).await {
                Ok((bearer, until)) => {
                    process.bearers.put(bearer, until);
                    AzureLogin::Cached
                }
                Err(why) => AzureLogin::Missing(why),
            }
        };
        Ok(Self { handler: Handler::Ready(Box::new(process)), azure_login })
    }

    /// Handles an event that writes nothing: a plan, a proof or the status.
    ///
    /// # Errors
    /// Returns the failure of the event.
    pub async fn handle(&self, event: &Value) -> Result<Value, Failure> {
        let reads = event["mode"] == "plan" || matches!(event["action"].as_str(), Some("verify" | "status"));
        if !reads {
            return Err(Failure::usage("with your own credentials this command only plans", "add --plan"));
        }
        Box::pin(self.handler.handle(event, deadline())).await.map_err(Failure::own)
    }

    /// Reads Defender's report about a connector's health, if there is one.
    pub async fn health(&self, id: &ConnectorId) -> Option<Health> {
        let Handler::Ready(process) = &self.handler else { return None };
        process.services(deadline(), &Sessions::default()).arm.health(id).await
    }

    /// Reads a connector from ARM.
    ///
    /// # Errors
    /// Returns why it cannot be read.
    pub async fn connector(&self, id: &ConnectorId) -> Result<Read, Failure> {
        let Handler::Ready(process) = &self.handler else {
            return Err(Failure::new(Code::Person, "the settings cannot be used", "docs/configuration.md lists them"));
        };
        let services = process.services(deadline(), &Sessions::default());
        services.arm.read(id).await.map_err(Failure::own)
    }
}

impl Local {
    /// Runs the checks of `doctor` that the function runs, with the caller's credentials.
    pub async fn doctor(&self, query: &DoctorQuery) -> Value {
        match &self.handler {
            Handler::Ready(process) => {
                Box::pin(doctor::run(process, query, &self.azure_login, deadline())).await.to_json()
            }
            Handler::Unusable(..) => Value::Null,
        }
    }

    /// Runs the checks of plans and policies.
    pub async fn account(&self, named: &Named, ledger: &Ledger) -> Ledger {
        match &self.handler {
            Handler::Ready(process) => Box::pin(doctor::run_account(process, named, ledger, deadline())).await,
            Handler::Unusable(..) => Ledger::default(),
        }
    }
}

/// Gets a bearer token for ARM from the Azure CLI, and when it expires.
async fn azure(scope: &str) -> Result<(SecretString, OffsetDateTime), Error> {
    let no_login = |error: azure_core::Error| {
        let words = words_of_az(&error.to_string());
        Error::needs_human(
            format!("the Azure CLI returned no token for Azure Resource Manager ({words})"),
            "install it and run az login; or set HUBKEEPER_AZURE_AUTH=client-secret and HUBKEEPER_AZURE_CLIENT_SECRET_ID",
        )
    };
    let credential = AzureCliCredential::new(None).map_err(no_login)?;
    let token = credential.get_token(&[scope], None).await.map_err(no_login)?;
    Ok((SecretString::from(token.token.secret().to_owned()), token.expires_on))
}

/// What the Azure CLI said about its login, without the library's words around it.
fn words_of_az(text: &str) -> String {
    let text = text.split_once("authentication failed. ").map_or(text, |(_, rest)| rest);
    let text = text.split("To troubleshoot").next().unwrap_or_default().trim();
    if text.contains("not found on PATH") {
        return "az is not installed, or not on the PATH".to_owned();
    }
    hubkeeper_core::redact::words(text, &[])
}

/// A failure that names the variables that are wrong.
pub fn misconfigured(problems: &Problems) -> Failure {
    Failure::new(Code::Person, problems.to_string(), "docs/configuration.md lists the variables")
}
