//! Reads variables one by one and collects their problems.

use std::ops::RangeInclusive;

use url::{Host, Url};

use crate::config::values::{AzureAuth, Cloud, Environment};
use crate::proxy::Proxy;

pub(super) struct Reader<'a> {
    environment: &'a Environment,
    /// The problems so far, each with its variable.
    pub(super) problems: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: &'a Environment) -> Self {
        Self { environment, problems: Vec::new() }
    }

    /// Returns a variable's value; `None` if it is empty or not set.
    pub(super) fn optional(&self, name: &str) -> Option<String> {
        self.environment.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    pub(super) fn identifier(&mut self, name: &str) -> String {
        let value = self.optional(name).unwrap_or_default();
        if value.is_empty() {
            self.problems.push(format!("{name} is not set"));
        } else if !value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.') {
            self.problems.push(format!("{name} may hold letters, digits, `-` and `.` only"));
        }
        value
    }

    pub(super) fn choice<T: Copy>(&mut self, name: &str, default: T, values: &[(&str, T)]) -> T {
        let Some(value) = self.optional(name) else { return default };
        if let Some((_, chosen)) = values.iter().find(|(spelling, _)| *spelling == value) {
            return *chosen;
        }
        let spellings: Vec<_> = values.iter().map(|(spelling, _)| format!("`{spelling}`")).collect();
        self.problems.push(format!("{name} must be {}", spellings.join(" or ")));
        default
    }

    pub(super) fn number(&mut self, name: &str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let Some(value) = self.optional(name) else { return default };
        match value.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                self.problems.push(format!("{name} must be a whole number from {} to {}", range.start(), range.end()));
                default
            }
        }
    }

    pub(super) fn azure_auth(&mut self) -> AzureAuth {
        let name = "HUBKEEPER_AZURE_CLIENT_SECRET_ID";
        let federated = self.choice("HUBKEEPER_AZURE_AUTH", true, &[("federated", true), ("client-secret", false)]);
        if federated {
            return AzureAuth::Federated;
        }
        let secret_id = self.optional(name).unwrap_or_default();
        if secret_id.is_empty() {
            self.problems.push(format!("{name} is not set, which HUBKEEPER_AZURE_AUTH=client-secret needs"));
        }
        AzureAuth::ClientSecret { secret_id }
    }

    pub(super) fn proxy(&mut self) -> Option<Proxy> {
        Proxy::parse(self.environment).unwrap_or_else(|problem| {
            self.problems.push(problem);
            None
        })
    }

    pub(super) fn api_version(&mut self) -> String {
        let name = "HUBKEEPER_ARM_API_VERSION";
        let value = self.optional(name).unwrap_or_else(|| "2024-08-01-preview".to_owned());
        if !value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
            self.problems.push(format!("{name} must be a date with an optional suffix, such as 2024-08-01-preview"));
        }
        value
    }

    /// Reads an endpoint: https, or http on a loopback address.
    pub(super) fn endpoint(&mut self, name: &str, default: &str) -> String {
        let Some(value) = self.optional(name) else { return default.to_owned() };
        match endpoint(&value) {
            Ok((url, loopback)) if url.scheme() == "https" || loopback => value,
            Ok(_) => {
                self.problems.push(format!("{name} must be https, unless its host is a loopback address"));
                value
            }
            Err(why) => {
                self.problems.push(format!("{name} {why}"));
                value
            }
        }
    }

    /// Reads an https URL. The identity library requires https for a loopback address too.
    pub(super) fn authority(&mut self, cloud: Cloud) -> String {
        let name = "AZURE_AUTHORITY_HOST";
        let Some(value) = self.optional(name) else { return cloud.authority().to_owned() };
        let value = if value.contains("://") { value } else { format!("https://{value}") };
        match endpoint(&value) {
            Ok((url, _)) if url.scheme() == "https" => {}
            Ok(_) => self.problems.push(format!("{name} must be https")),
            Err(why) => self.problems.push(format!("{name} {why}")),
        }
        value
    }
}

fn endpoint(value: &str) -> Result<(Url, bool), &'static str> {
    let url = Url::parse(value).map_err(|_| "is not a URL")?;
    if url.scheme() != "https" && url.scheme() != "http" {
        return Err("must be an http or https URL");
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("must be a plain base URL, without credentials, query or fragment");
    }
    if url.host().is_none() {
        return Err("has no host");
    }
    let loopback = is_loopback(&url);
    Ok((url, loopback))
}

/// Whether the host is this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
