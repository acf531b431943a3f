//! Counts what requests to a service cost: waits for its rate limit, retries, and logins that it rejected.
//!
//! The HTTP client counts by host. [`Traffic::of`] maps hosts to services, so that a metric has few values of its
//! dimension, whatever hosts a configuration names.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::Config;

/// A service that the function sends requests to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Service {
    /// AWS Secrets Manager.
    SecretsManager,
    /// AWS STS.
    Sts,
    /// Entra.
    Entra,
    /// Azure Resource Manager.
    Arm,
    /// The API of Docker Hub.
    Hub,
    /// The token service of the Docker registry.
    HubAuth,
    /// The Docker registry.
    Registry,
    /// Any other: the queue, and the address for the response to `CloudFormation`.
    Other,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 8] = [
        Self::SecretsManager,
        Self::Sts,
        Self::Entra,
        Self::Arm,
        Self::Hub,
        Self::HubAuth,
        Self::Registry,
        Self::Other,
    ];

    /// Returns the service's name, a value of the dimension `Service`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::Sts => "sts",
            Self::Entra => "entra",
            Self::Arm => "arm",
            Self::Hub => "hub",
            Self::HubAuth => "hubAuth",
            Self::Registry => "registry",
            Self::Other => "other",
        }
    }

    /// Returns the service of a host, which may include a port.
    pub fn of(host: &str, config: &Config) -> Self {
        let named = [
            (&config.hub_url, Self::Hub),
            (&config.hub_auth_url, Self::HubAuth),
            (&config.registry_url, Self::Registry),
            (&config.arm_url, Self::Arm),
            (&config.authority, Self::Entra),
        ];
        let is = |url: &str| authority(url).eq_ignore_ascii_case(host);
        if let Some((_, service)) = named.into_iter().find(|(url, _)| is(url)) {
            return service;
        }
        // such as secretsmanager.eu-west-1.amazonaws.com, secretsmanager-fips… and the names of VPC endpoints
        let has = |name: &str| host.split('.').any(|label| label.strip_suffix("-fips").unwrap_or(label) == name);
        match () {
            () if has("secretsmanager") => Self::SecretsManager,
            () if has("sts") => Self::Sts,
            () => Self::Other,
        }
    }
}

/// Returns host and port of an absolute URL.
pub fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// What the requests to one host or service cost.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Cost {
    /// Time spent waiting because the service limits the rate of requests.
    pub waited: Duration,
    /// Requests that were sent again.
    pub retries: u64,
    /// Logins that the service rejected. Several of them lock an account.
    pub refused_logins: u64,
}

impl Cost {
    /// Adds another cost.
    pub fn add(&mut self, other: &Self) {
        self.waited = self.waited.saturating_add(other.waited);
        self.retries = self.retries.saturating_add(other.retries);
        self.refused_logins = self.refused_logins.saturating_add(other.refused_logins);
    }
}

/// What the requests for one report cost, by service. Services without a cost are not in it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Traffic(BTreeMap<Service, Cost>);

impl Traffic {
    /// Combines the costs of hosts into costs of services.
    pub fn of(hosts: impl IntoIterator<Item = (String, Cost)>, config: &Config) -> Self {
        let mut services: BTreeMap<Service, Cost> = BTreeMap::new();
        for (host, cost) in hosts.into_iter().filter(|(_, cost)| *cost != Cost::default()) {
            services.entry(Service::of(&host, config)).or_default().add(&cost);
        }
        Self(services)
    }

    /// Returns each service with a cost.
    pub fn iter(&self) -> impl Iterator<Item = (Service, Cost)> + '_ {
        self.0.iter().map(|(service, cost)| (*service, *cost))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn config(more: &[(&str, &str)]) -> Config {
        let required = [("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "client")];
        let environment: Environment =
            required.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::parse(&environment).unwrap()
    }

    #[test]
    fn every_host_of_a_default_configuration_has_its_service() {
        for (host, service) in [
            ("hub.docker.com", Service::Hub),
            ("auth.docker.io", Service::HubAuth),
            ("registry-1.docker.io", Service::Registry),
            ("management.azure.com", Service::Arm),
            ("login.microsoftonline.com", Service::Entra),
            ("secretsmanager.eu-west-1.amazonaws.com", Service::SecretsManager),
            ("secretsmanager-fips.us-gov-west-1.amazonaws.com", Service::SecretsManager),
            ("vpce-0a1b-2c3d.secretsmanager.eu-west-1.vpce.amazonaws.com", Service::SecretsManager),
            ("sts.eu-west-1.amazonaws.com", Service::Sts),
            ("sqs.eu-west-1.amazonaws.com", Service::Other),
            ("secretsmanager-lookalike.example.com", Service::Other),
        ] {
            assert_eq!(Service::of(host, &config(&[])), service, "{host}");
        }
    }

    #[test]
    fn a_configured_host_with_a_port_and_a_path_has_its_service() {
        let config = config(&[
            ("HUBKEEPER_HUB_URL", "https://127.0.0.1:8443/hub"),
            ("HUBKEEPER_ARM_URL", "https://ARM.example.com"),
        ]);
        assert_eq!(Service::of("127.0.0.1:8443", &config), Service::Hub);
        assert_eq!(Service::of("arm.example.com", &config), Service::Arm);
        assert_eq!(Service::of("127.0.0.1:8444", &config), Service::Other);
    }

    #[test]
    fn names_are_unique_and_hosts_of_one_service_add_up() {
        let names: std::collections::BTreeSet<&str> = Service::ALL.map(Service::name).into();
        assert_eq!(names.len(), Service::ALL.len());
        let cost =
            |waited, retries, refused_logins| Cost { waited: Duration::from_secs(waited), retries, refused_logins };
        let hosts = [
            ("hub.docker.com".to_owned(), cost(3, 1, 2)),
            ("sqs.eu-west-1.amazonaws.com".to_owned(), cost(0, 1, 0)),
            ("bucket.s3.amazonaws.com".to_owned(), cost(1, 2, 0)),
            ("auth.docker.io".to_owned(), Cost::default()),
        ];
        let traffic = Traffic::of(hosts, &config(&[]));
        assert_eq!(
            traffic.iter().collect::<Vec<_>>(),
            [(Service::Hub, cost(3, 1, 2)), (Service::Other, cost(1, 3, 0))]
        );
    }
}
