//! Sends the requests that change a connector in ARM: PUT and DELETE.

use std::time::Duration;

use hubkeeper_core::connector::observed::Observed;
use hubkeeper_core::error::Error;
use hubkeeper_core::failure::arm;
use hubkeeper_core::secret::document::ConnectorId;
use secrecy::SecretString;
use serde_json::Value;

use crate::clients::azure::arm::Arm;
use crate::clients::azure::arm::response::refused;
use crate::http::{Policy, Repeat};

/// Timeout of a PUT. It may take more than half a minute, because the provider checks connectivity (observed with AWS
/// connectors).
const PUT_TIMEOUT: Duration = Duration::from_secs(90);

/// The result of a PUT, and the writer that ARM names in its response (`systemData.lastModifiedBy`).
pub struct Put {
    /// Whether ARM carried out the PUT.
    pub written: WriteOutcome,
    /// Whether the PUT created the connector (201) or updated it (200). `None` if ARM did not respond.
    pub created: Option<bool>,
    /// The name that ARM uses for the function as a writer. `None` if the response has no such field.
    pub writer: Option<String>,
}

/// The result of a PUT or DELETE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteOutcome {
    /// ARM carried out the request.
    Done,
    /// The response was lost or ARM failed: only a read of the connector shows the result.
    Unknown(String),
}

/// Writes connectors to ARM.
#[derive(Clone)]
pub struct ConnectorWriter(Arm);

impl ConnectorWriter {
    /// Creates a writer that uses the client of `arm`.
    pub fn new(arm: Arm) -> Self {
        Self(arm)
    }

    /// Writes a whole connector. Does not retry, because others may write between two attempts.
    ///
    /// # Errors
    /// Returns an error by ARM's response if ARM certainly did not write.
    pub async fn put(&self, id: &ConnectorId, body: &Value, token: &SecretString) -> Result<Put, Error> {
        let unknown = |why| Put { written: WriteOutcome::Unknown(why), created: None, writer: None };
        let url = self.0.url(id, Some(&id.name))?;
        let policy = Policy { repeat: Repeat::Unsent, ..Policy::SAFE.within(PUT_TIMEOUT) };
        let response = match self.0.send("PUT", &url, Some(body), policy, &[token]).await? {
            Ok(response) => response,
            Err(error) if error.acted => return Ok(unknown(error.to_string())),
            Err(error) => return Err(arm::unreachable(&error)),
        };
        match response.status().as_u16() {
            200..=202 => {
                let body = serde_json::from_slice(response.body()).ok().and_then(Observed::parse);
                let writer = body.as_ref().and_then(Observed::writer).map(str::to_owned);
                Ok(Put { written: WriteOutcome::Done, created: Some(response.status() == 201), writer })
            }
            status @ (408 | 500..=599) => Ok(unknown(format!("ARM returned status {status}"))),
            _ => Err(refused(&response).error(&[token])),
        }
    }

    /// Deletes a connector. Succeeds if the connector does not exist. Does not retry, because somebody may create the
    /// connector again between two attempts.
    ///
    /// # Errors
    /// Returns an error by ARM's response if ARM certainly did not delete.
    pub async fn delete(&self, id: &ConnectorId) -> Result<WriteOutcome, Error> {
        let url = self.0.url(id, Some(&id.name))?;
        let policy = Policy { repeat: Repeat::Unsent, ..Policy::SAFE.within(PUT_TIMEOUT) };
        let response = match self.0.send("DELETE", &url, None, policy, &[]).await? {
            Ok(response) => response,
            Err(error) if error.acted => return Ok(WriteOutcome::Unknown(error.to_string())),
            Err(error) => return Err(arm::unreachable(&error)),
        };
        match response.status().as_u16() {
            200..=204 => Ok(WriteOutcome::Done),
            404 if refused(&response).is_absent() => Ok(WriteOutcome::Done),
            status @ (408 | 500..=599) => Ok(WriteOutcome::Unknown(format!("ARM returned status {status}"))),
            _ => Err(refused(&response).error(&[])),
        }
    }
}
