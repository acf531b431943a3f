//! What the parts of a run share: its ledger, its clients, and the subject that they check.

use hubkeeper_core::doctor::{Check, Ledger};
use hubkeeper_core::error::Error;
use hubkeeper_core::secret::document::ConnectorId;
use serde_json::Value;

use crate::clients::Services;
use crate::process::Process;

/// How the run gets a bearer token for ARM.
#[derive(Clone, PartialEq, Debug)]
pub enum AzureLogin {
    /// As the function: a new assertion and a new exchange.
    Exchange,
    /// The bearer token in the process's cache, from the login of a person.
    Cached,
    /// There is no login of a person, for this reason.
    Missing(Error),
}

/// What plans and policies are checked with.
#[derive(Clone, PartialEq, Debug)]
pub struct Named {
    /// The organization.
    pub organization: String,
    /// The connector.
    pub connector: ConnectorId,
    /// The connector as hubkeeper would write it, without the credential.
    pub resource: Value,
}

impl Named {
    /// Reads the field `subject` of a response; `None` if it is missing.
    pub fn from_json(fields: &Value) -> Option<Self> {
        let subject = fields.get("subject")?;
        let connector = ConnectorId::parse(subject["connector"].as_str()?)?;
        Some(Self {
            organization: subject["organization"].as_str()?.to_owned(),
            connector,
            resource: subject["resource"].clone(),
        })
    }
}

/// One run. The parts record into its ledger.
pub(super) struct Run<'a> {
    /// The process.
    pub(super) process: &'a Process,
    /// The clients of this invocation.
    pub(super) services: &'a Services,
    /// The results so far.
    pub(super) ledger: Ledger,
}

impl Run<'_> {
    /// Adds the proxy's remedy, where a proxy is the cause.
    pub(super) fn explained(&self, error: Error) -> Error {
        self.services.http_client.explain(error)
    }

    /// Records a result. Returns the value of a good one.
    pub(super) fn result<T>(
        &mut self,
        check: Check,
        result: Result<T, Error>,
        detail: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let result = result.map_err(|error| self.explained(error));
        self.ledger.result(check, result, detail)
    }
}
