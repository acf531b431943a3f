//! Reads what surrounds a connector, for `doctor`: subscriptions, permissions, plans and policies.

use hubkeeper_core::doctor::arm::Unread;
use hubkeeper_core::error::Error;
use hubkeeper_core::failure::arm::{self, Refusal};
use hubkeeper_core::secret::document::ConnectorId;
use serde_json::Value;

use crate::clients::azure::arm::response::refused;
use crate::clients::azure::arm::{Arm, HEALTH_API_VERSION};
use crate::http::Policy;

/// A response of ARM to a read.
pub enum Inspected {
    /// Status 200, with its body.
    Body(Value),
    /// Any other status.
    Refused(Refusal),
}

impl Inspected {
    /// Returns the body, or the reason why it is missing, for messages.
    ///
    /// # Errors
    /// Returns status and code of ARM's response.
    pub fn body(self) -> Result<Value, Unread> {
        match self {
            Inspected::Body(body) => Ok(body),
            Inspected::Refused(refusal) => {
                let why = format!("ARM returned {}", refusal.brief());
                Err(if refusal.is_denied() { Unread::Denied(why) } else { Unread::Other(why) })
            }
        }
    }
}

impl Arm {
    /// Reads the connector as it is.
    ///
    /// # Errors
    /// Returns an error if Entra issues no bearer token, or ARM does not respond.
    pub async fn inspect_connector(&self, id: &ConnectorId) -> Result<Inspected, Error> {
        self.inspect("GET", &connector(id), &self.api_version, None).await
    }

    /// Reads the health reports of a connector.
    ///
    /// # Errors
    /// Returns the errors of [`Arm::inspect_connector`].
    pub async fn inspect_health(&self, id: &ConnectorId) -> Result<Inspected, Error> {
        let path = [connector(id).as_slice(), &["providers", "Microsoft.Security", "healthReports"]].concat();
        self.inspect("GET", &path, HEALTH_API_VERSION, None).await
    }

    /// Lists the subscriptions in which the client has any role (Microsoft's "Subscriptions - List").
    ///
    /// # Errors
    /// Returns the errors of [`Arm::inspect_connector`].
    pub async fn inspect_subscriptions(&self) -> Result<Inspected, Error> {
        self.inspect("GET", &["subscriptions"], "2022-12-01", None).await
    }

    /// Lists the client's permissions on the resource group (Microsoft's "Permissions - List For Resource Group").
    ///
    /// # Errors
    /// Returns the errors of [`Arm::inspect_connector`].
    pub async fn inspect_permissions(&self, id: &ConnectorId) -> Result<Inspected, Error> {
        let path = [group(id).as_slice(), &["providers", "Microsoft.Authorization", "permissions"]].concat();
        self.inspect("GET", &path, "2022-04-01", None).await
    }

    /// Lists the Defender plans of a subscription (Microsoft's "Pricings - List").
    ///
    /// # Errors
    /// Returns the errors of [`Arm::inspect_connector`].
    pub async fn inspect_plans(&self, subscription: &str) -> Result<Inspected, Error> {
        let path = ["subscriptions", subscription, "providers", "Microsoft.Security", "pricings"];
        self.inspect("GET", &path, "2024-01-01", None).await
    }

    /// Asks which policies would deny a resource in the group (Microsoft's "Policy Restrictions - Check At Resource Group
    /// Scope"). This POST is a read.
    ///
    /// # Errors
    /// Returns the errors of [`Arm::inspect_connector`].
    pub async fn inspect_policies(&self, id: &ConnectorId, resource: &Value) -> Result<Inspected, Error> {
        let path =
            [group(id).as_slice(), &["providers", "Microsoft.PolicyInsights", "checkPolicyRestrictions"]].concat();
        let body =
            serde_json::json!({"resourceDetails": {"resourceContent": resource, "apiVersion": self.api_version}});
        self.inspect("POST", &path, "2022-03-01", Some(&body)).await
    }

    async fn inspect(
        &self,
        method: &str,
        path: &[&str],
        api_version: &str,
        body: Option<&Value>,
    ) -> Result<Inspected, Error> {
        let mut url = self.url_of(path)?;
        url.query_pairs_mut().clear().append_pair("api-version", api_version);
        let policy = Policy { attempts: 2, ..Policy::SAFE };
        let response = self.send(method, &url, body, policy, &[]).await?.map_err(|error| arm::unreachable(&error))?;
        if response.status() != 200 {
            return Ok(Inspected::Refused(refused(&response)));
        }
        serde_json::from_slice(response.body())
            .map(Inspected::Body)
            .map_err(|_| Error::retryable("a response of ARM cannot be read", "run doctor again"))
    }
}

fn group(id: &ConnectorId) -> [&str; 4] {
    ["subscriptions", &id.subscription_id, "resourceGroups", &id.resource_group]
}

fn connector(id: &ConnectorId) -> Vec<&str> {
    [group(id).as_slice(), &["providers", "Microsoft.Security", "securityConnectors", &id.name]].concat()
}
