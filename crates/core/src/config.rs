//! Parses the environment. It reports all problems at once, each with its variable (docs/configuration.md).

use std::fmt;

use url::Url;

use crate::error::Error;
use crate::proxy::Proxy;

mod reader;
mod values;

use reader::Reader;
pub use reader::is_loopback;
pub use values::{AzureAuth, Cloud, Environment, OverPrivilege};

/// The function's configuration. Its only secret is a proxy's password, which [`Proxy`] holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Entra tenant: id or domain.
    pub tenant_id: String,
    /// Entra client id.
    pub client_id: String,
    /// How the function authenticates to Entra.
    pub azure_auth: AzureAuth,
    /// Azure cloud.
    pub cloud: Cloud,
    /// Entra authority, an https URL.
    pub authority: String,
    /// ARM endpoint.
    pub arm_url: String,
    /// api-version of `Microsoft.Security/securityConnectors`.
    pub arm_api_version: String,
    /// Docker Hub API.
    pub hub_url: String,
    /// Docker registry token service.
    pub hub_auth_url: String,
    /// Docker registry.
    pub registry_url: String,
    /// Lifetime of a minted PAT, in days.
    pub token_lifetime_days: u32,
    /// Grace period before a replaced PAT is retired, in hours; at least one.
    pub revoke_after_hours: u32,
    /// What to do with a token that can do more than read.
    pub over_privilege: OverPrivilege,
    /// SQS queue for the fan-out.
    pub queue_url: Option<String>,
    /// Proxy for all requests to https URLs.
    pub proxy: Option<Proxy>,
    /// File of additional trusted root certificates.
    pub ca_bundle: Option<String>,
    /// Name of the function, for its metrics.
    pub function_name: String,
    /// Whether AWS runs on this machine, as in tests: `AWS_ENDPOINT_URL` names a loopback address.
    pub is_local: bool,
}

/// The settings that a proof needs, and nothing of AWS or Azure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProofConfig {
    /// Docker Hub API.
    pub hub_url: String,
    /// Docker registry token service.
    pub hub_auth_url: String,
    /// Docker registry.
    pub registry_url: String,
    /// What to do with a token that can do more than read.
    pub over_privilege: OverPrivilege,
    /// Proxy for all requests to https URLs.
    pub proxy: Option<Proxy>,
}

impl ProofConfig {
    /// Parses the environment.
    ///
    /// # Errors
    /// [`Problems`] lists all problems, not only the first.
    pub fn parse(environment: &Environment) -> Result<Self, Problems> {
        let mut read = Reader::new(environment);
        let config = Self::read(&mut read);
        if read.problems.is_empty() { Ok(config) } else { Err(Problems(read.problems)) }
    }

    fn read(read: &mut Reader<'_>) -> Self {
        Self {
            hub_url: read.endpoint("HUBKEEPER_HUB_URL", "https://hub.docker.com"),
            hub_auth_url: read.endpoint("HUBKEEPER_HUB_AUTH_URL", "https://auth.docker.io"),
            registry_url: read.endpoint("HUBKEEPER_REGISTRY_URL", "https://registry-1.docker.io"),
            over_privilege: read.choice(
                "HUBKEEPER_OVER_PRIVILEGE",
                OverPrivilege::Refuse,
                &[("refuse", OverPrivilege::Refuse), ("warn", OverPrivilege::Warn)],
            ),
            proxy: read.proxy(),
        }
    }
}

/// All problems of the environment, each with its variable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problems(Vec<String>);

impl Problems {
    /// Starts with one problem.
    pub fn one(problem: impl Into<String>) -> Self {
        Self(vec![problem.into()])
    }

    /// Adds a problem.
    #[must_use]
    pub fn and(mut self, problem: impl Into<String>) -> Self {
        self.0.push(problem.into());
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("; "))
    }
}

impl From<&Problems> for Error {
    fn from(problems: &Problems) -> Self {
        Error::misconfigured(
            problems.to_string(),
            "set the function's environment variables as docs/configuration.md says",
        )
        .at("configuration")
    }
}

impl Config {
    /// Parses the environment.
    ///
    /// # Errors
    /// [`Problems`] lists all problems, not only the first.
    pub fn parse(environment: &Environment) -> Result<Self, Problems> {
        let mut read = Reader::new(environment);
        let cloud = read.choice(
            "HUBKEEPER_AZURE_CLOUD",
            Cloud::Public,
            &[("public", Cloud::Public), ("us-government", Cloud::UsGovernment)],
        );
        let azure_auth = read.azure_auth();
        let proof = ProofConfig::read(&mut read);
        let config = Config {
            tenant_id: read.identifier("AZURE_TENANT_ID"),
            client_id: read.identifier("AZURE_CLIENT_ID"),
            azure_auth,
            cloud,
            authority: read.authority(cloud),
            arm_url: read.endpoint("HUBKEEPER_ARM_URL", cloud.arm()),
            arm_api_version: read.api_version(),
            hub_url: proof.hub_url,
            hub_auth_url: proof.hub_auth_url,
            registry_url: proof.registry_url,
            token_lifetime_days: read.number("HUBKEEPER_TOKEN_LIFETIME_DAYS", 90, 1..=3650),
            revoke_after_hours: read.number("HUBKEEPER_REVOKE_AFTER_HOURS", 24, 0..=24 * 365).max(1),
            over_privilege: proof.over_privilege,
            queue_url: read.optional("HUBKEEPER_QUEUE_URL").map(|_| read.endpoint("HUBKEEPER_QUEUE_URL", "")),
            proxy: proof.proxy,
            ca_bundle: read.optional("HUBKEEPER_CA_BUNDLE"),
            // Lambda sets this variable
            function_name: read.optional("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| "hubkeeper".to_owned()),
            is_local: is_local(environment),
        };
        for name in environment.keys().filter(|name| name.starts_with("AWS_ENDPOINT_URL")) {
            read.endpoint(name, "");
        }
        if read.problems.is_empty() { Ok(config) } else { Err(Problems(read.problems)) }
    }
}

/// Whether AWS runs on this machine: `AWS_ENDPOINT_URL` names a loopback address.
pub fn is_local(environment: &Environment) -> bool {
    let url = environment.get("AWS_ENDPOINT_URL").and_then(|url| Url::parse(url.trim()).ok());
    url.is_some_and(|url| is_loopback(&url))
}

/// Returns both values, or the problems of both.
///
/// # Errors
/// [`Problems`] of either, or of both together.
pub fn all<A, B>(one: Result<A, Problems>, other: Result<B, Problems>) -> Result<(A, B), Problems> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(Problems(mut problems)), Err(Problems(more))) => {
            problems.extend(more);
            Err(Problems(problems))
        }
        (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => Err(problems),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let required = [("AZURE_TENANT_ID", "tenant"), ("AZURE_CLIENT_ID", "client")];
        required.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_defaults_are_those_of_the_page() {
        let config = Config::parse(&environment(&[])).unwrap();
        assert_eq!(config.azure_auth, AzureAuth::Federated);
        assert_eq!(config.authority, "https://login.microsoftonline.com");
        assert_eq!(config.arm_url, "https://management.azure.com");
        assert_eq!(config.arm_api_version, "2024-08-01-preview");
        assert_eq!((config.token_lifetime_days, config.revoke_after_hours), (90, 24));
        assert_eq!(config.over_privilege, OverPrivilege::Refuse);
    }

    #[test]
    fn the_government_cloud_picks_every_endpoint() {
        let config = Config::parse(&environment(&[("HUBKEEPER_AZURE_CLOUD", "us-government")])).unwrap();
        assert_eq!(config.authority, "https://login.microsoftonline.us");
        assert_eq!(config.arm_url, "https://management.usgovcloudapi.net");
        assert_eq!(config.cloud.scope(), "https://management.usgovcloudapi.net/.default");
        assert_eq!(config.cloud.audience(), "api://AzureADTokenExchangeUSGov");
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let environment: Environment = [
            ("HUBKEEPER_AZURE_AUTH", "client-secret"),
            ("HUBKEEPER_HUB_URL", "http://hub.example.com"),
            ("AZURE_AUTHORITY_HOST", "http://127.0.0.1:1"),
            ("HUBKEEPER_TOKEN_LIFETIME_DAYS", "soon"),
            ("HUBKEEPER_OVER_PRIVILEGE", "maybe"),
            ("AWS_ENDPOINT_URL_STS", "http://sts.example.com"),
            ("HTTPS_PROXY", "socks5://user:s3cr3t@proxy.example.com"),
        ]
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
        let problems = Config::parse(&environment).unwrap_err().to_string();
        for name in [
            "AZURE_TENANT_ID",
            "AZURE_CLIENT_ID",
            "HUBKEEPER_AZURE_CLIENT_SECRET_ID",
            "HUBKEEPER_HUB_URL",
            "AZURE_AUTHORITY_HOST",
            "HUBKEEPER_TOKEN_LIFETIME_DAYS",
            "HUBKEEPER_OVER_PRIVILEGE",
            "AWS_ENDPOINT_URL_STS",
            "HTTPS_PROXY",
        ] {
            assert!(problems.contains(name), "{name} is missing in: {problems}");
        }
        assert!(!problems.contains("s3cr3t"), "{problems}");
    }

    #[test]
    fn aws_is_local_by_the_one_variable_alone() {
        for (name, url, local) in [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566", true),
            ("AWS_ENDPOINT_URL", "https://localhost", true),
            ("AWS_ENDPOINT_URL", "https://aws.example.com", false),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1.example.com", false),
            ("AWS_ENDPOINT_URL", "", false),
            ("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:4566", false),
        ] {
            assert_eq!(is_local(&environment(&[(name, url)])), local, "{name}={url}");
        }
    }

    #[test]
    fn the_problems_of_two_readings_are_told_together() {
        let bundle: Result<(), Problems> = Err(Problems::one("HUBKEEPER_CA_BUNDLE cannot be read"));
        let problems = all(Config::parse(&Environment::new()), bundle).unwrap_err().to_string();
        for name in ["AZURE_TENANT_ID", "AZURE_CLIENT_ID", "HUBKEEPER_CA_BUNDLE"] {
            assert!(problems.contains(name), "{name} is missing in: {problems}");
        }
    }

    #[test]
    fn http_is_for_loopback_alone() {
        for (url, good) in [
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://localhost:1", true),
            ("http://127.0.0.1.example.com", false),
            ("http://10.0.0.1", false),
            ("ftp://127.0.0.1", false),
            ("https://user:pass@hub.example.com", false),
            ("hub.docker.com", false),
        ] {
            assert_eq!(Config::parse(&environment(&[("HUBKEEPER_HUB_URL", url)])).is_ok(), good, "{url}");
        }
    }

    #[test]
    fn no_grace_means_one_hour() {
        assert_eq!(
            Config::parse(&environment(&[("HUBKEEPER_REVOKE_AFTER_HOURS", "0")])).unwrap().revoke_after_hours,
            1
        );
    }
}
