//! Keeps the state that lives as long as the process, and creates the clients of each invocation from it.

use std::sync::Arc;

use aws_config::SdkConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use hubkeeper_core::config::Config;
use hubkeeper_core::time::Timestamp;

use crate::clients::azure::arm::Arm;
use crate::clients::azure::entra::{BearerCache, Entra};
use crate::clients::hub::Hub;
use crate::clients::secrets_manager::SecretStore;
use crate::clients::{Services, Sessions, Writers};
use crate::http::aws::{SdkHttp, SdkTime};
use crate::http::{HttpClient, HttpShared};
use crate::metrics::Sink;

/// Creates a client of the AWS SDK without the SDK's retries and timeouts: `http` applies one policy to all requests.
macro_rules! client {
    ($process:expr, $http_client:expr, $sdk:ident) => {
        $sdk::Client::from_conf(
            $sdk::config::Builder::from(&$process.aws)
                .http_client(SdkHttp::new($http_client.clone()))
                .time_source(SdkTime::new($http_client.clone()))
                .retry_config(RetryConfig::disabled())
                .timeout_config(TimeoutConfig::disabled())
                .stalled_stream_protection($sdk::config::StalledStreamProtectionConfig::disabled())
                .build(),
        )
    };
}

/// The state that lives as long as the process. The clients of each invocation are created from it.
pub struct Process {
    /// The configuration.
    pub config: Arc<Config>,
    /// The AWS SDK's configuration: credentials, Region, endpoints.
    pub aws: SdkConfig,
    /// The shared state of the HTTP client.
    pub shared: Arc<HttpShared>,
    /// The cache of bearer tokens for ARM.
    pub bearers: Arc<BearerCache>,
    /// The sink for metrics.
    pub metrics: Arc<dyn Sink>,
}

impl Process {
    /// Creates the clients that read, for work on one secret. Requests stop at `deadline`, and the invocation shares
    /// `sessions`.
    pub fn services(&self, deadline: Timestamp, sessions: &Sessions) -> Services {
        let http_client = HttpClient::new(Arc::clone(&self.shared), deadline);
        let store = SecretStore::new(client!(self, http_client, aws_sdk_secretsmanager), http_client.clone());
        let entra = Entra {
            http_client: http_client.clone(),
            config: Arc::clone(&self.config),
            sts: client!(self, http_client, aws_sdk_sts),
            store: store.clone(),
            cache: Arc::clone(&self.bearers),
        };
        let config = &self.config;
        Services {
            store,
            arm: Arm {
                http_client: http_client.clone(),
                base: config.arm_url.clone(),
                api_version: config.arm_api_version.clone(),
                entra,
            },
            hub: Hub {
                http_client: http_client.clone(),
                api: config.hub_url.clone(),
                auth: config.hub_auth_url.clone(),
                registry: config.registry_url.clone(),
            },
            config: Arc::clone(config),
            sessions: sessions.clone(),
            http_client,
        }
    }
    /// Creates the clients that write, for [`crate::apply`] and for the queue.
    pub fn writers(&self, services: &Services) -> Writers {
        Writers::new(services, client!(self, services.http_client, aws_sdk_sqs))
    }
}
