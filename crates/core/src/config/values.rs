//! What single variables may say.

use std::collections::BTreeMap;

/// The environment, as `std::env::vars` gives it.
pub type Environment = BTreeMap<String, String>;

/// Which Azure: picks authority, ARM endpoint, scope and audience.
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

    /// The scope of an ARM token: by cloud, wherever `HUBKEEPER_ARM_URL` points.
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

/// How the function proves itself to Entra.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AzureAuth {
    /// By an assertion of STS: no Azure secret anywhere.
    Federated,
    /// By a client secret, kept in Secrets Manager under this id.
    ClientSecret {
        /// Id or ARN of the secret; a plain string.
        secret_id: String,
    },
}

/// What a token that can do more than read leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OverPrivilege {
    /// It is refused.
    Refuse,
    /// It is written, with a warning.
    Warn,
}
