//! Values of single variables.

use std::collections::BTreeMap;

/// The environment, as `std::env::vars` returns it.
pub type Environment = BTreeMap<String, String>;

/// The Azure cloud. It determines the authority, the ARM endpoint, the scope and the audience.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cloud {
    /// Azure.
    Public,
    /// Azure Government.
    UsGovernment,
}

impl Cloud {
    /// The Entra authority.
    pub fn authority(self) -> &'static str {
        match self {
            Cloud::Public => "https://login.microsoftonline.com",
            Cloud::UsGovernment => "https://login.microsoftonline.us",
        }
    }

    /// The ARM endpoint.
    pub fn arm(self) -> &'static str {
        match self {
            Cloud::Public => "https://management.azure.com",
            Cloud::UsGovernment => "https://management.usgovcloudapi.net",
        }
    }

    /// The scope of an ARM token. It depends on the cloud, not on `HUBKEEPER_ARM_URL`.
    pub fn scope(self) -> String {
        format!("{}/.default", self.arm())
    }

    /// The audience of a federated assertion.
    pub fn audience(self) -> &'static str {
        match self {
            Cloud::Public => "api://AzureADTokenExchange",
            Cloud::UsGovernment => "api://AzureADTokenExchangeUSGov",
        }
    }
}

/// How the function authenticates to Entra.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AzureAuth {
    /// With an assertion of STS, without any Azure secret.
    Federated,
    /// With a client secret, stored in Secrets Manager under this id.
    ClientSecret {
        /// Id or ARN of the secret, whose value is a plain string.
        secret_id: String,
    },
}

/// What to do with a token that can do more than read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OverPrivilege {
    /// Refuse it.
    Refuse,
    /// Write it, with a warning.
    Warn,
}
