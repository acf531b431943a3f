//! What lives as long as the process, and how the clients of one invocation are made from it.

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

/// A client of the AWS SDK. One policy for all requests is in `http`: the SDK's own retries and time-outs are off.
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

/// What lives as long as the process: from it the clients of each invocation are made.
pub struct Process {
    /// The configuration.
    pub config: Arc<Config>,
    /// The AWS SDK's configuration: credentials, Region, endpoints.
    pub aws: SdkConfig,
    /// The HTTP client.
    pub shared: Arc<HttpShared>,
    /// Bearers for ARM that are still good.
    pub bearers: Arc<BearerCache>,
    /// Where metrics go.
    pub metrics: Arc<dyn Sink>,
}

impl Process {
    /// The clients that read, for work on one secret: requests stop at `deadline`, password sessions are shared with the rest of the
    /// invocation.
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
    /// The clients that write, beside those that read: for [`crate::apply`], and for the queue.
    pub fn writers(&self, services: &Services) -> Writers {
        Writers::new(services, client!(self, services.http_client, aws_sdk_sqs))
    }
}
