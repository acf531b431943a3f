//! Keeps the state that lives as long as the process, and creates the clients of each invocation from it.

use std::sync::{Arc, Mutex};

use aws_config::SdkConfig;
use hubkeeper_core::config::Config;
use hubkeeper_core::time::Timestamp;
use hubkeeper_core::transcript::Transcript;

use crate::clients::azure::arm::Arm;
use crate::clients::azure::entra::{BearerCache, Entra};
use crate::clients::hub::Hub;
use crate::clients::secrets_manager::SecretStore;
use crate::clients::{Services, Sessions, Writers};
use crate::http::{HttpClient, HttpShared};
use crate::metrics::Sink;
use crate::sdk_client;

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
        let store = SecretStore::new(sdk_client!(aws_sdk_secretsmanager, &self.aws, http_client), http_client.clone());
        let entra = Entra {
            http_client: http_client.clone(),
            config: Arc::clone(&self.config),
            sts: sdk_client!(aws_sdk_sts, &self.aws, http_client),
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

    /// Creates a process that notes each exchange in `transcript`.
    #[must_use]
    pub fn recording(&self, transcript: &Arc<Mutex<Transcript>>) -> Self {
        Self {
            config: Arc::clone(&self.config),
            aws: self.aws.clone(),
            shared: self.shared.recording(transcript),
            bearers: Arc::clone(&self.bearers),
            metrics: Arc::clone(&self.metrics),
        }
    }

    /// Creates the clients that write, for [`crate::apply`] and for the queue.
    pub fn writers(&self, services: &Services) -> Writers {
        Writers::new(services, sdk_client!(aws_sdk_sqs, &self.aws, services.http_client))
    }
}
