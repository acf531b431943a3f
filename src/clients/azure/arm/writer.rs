//! ARM's requests that change a connector: PUT and DELETE.

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

/// A PUT may take more than half a minute: the provider checks connectivity (observed with AWS connectors).
const PUT_TIMEOUT: Duration = Duration::from_secs(90);

/// What a PUT came to, and the writer that ARM names in its response (`systemData.lastModifiedBy`).
pub struct Put {
    /// Whether it was carried out.
    pub written: WriteOutcome,
    /// Whether ARM says that there was no such connector before (201, against 200); `None` where it did not answer.
    pub created: Option<bool>,
    /// How ARM calls us; `None` where it does not say.
    pub writer: Option<String>,
}

/// What a PUT or DELETE came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteOutcome {
    /// ARM did it.
    Done,
    /// The answer was lost, or ARM failed: read the connector to know.
    Unknown(String),
}

/// ARM, to write connectors.
#[derive(Clone)]
pub struct ConnectorWriter(Arm);

impl ConnectorWriter {
    /// Writes with ARM's client.
    pub fn new(arm: Arm) -> Self {
        Self(arm)
    }

    /// Writes a connector: the whole resource. Not repeated here, since between two attempts others may write.
    ///
    /// # Errors
    /// By ARM's answer where it certainly refused.
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
            status @ (408 | 500..=599) => Ok(unknown(format!("ARM answered status {status}"))),
            _ => Err(refused(&response).error(&[token])),
        }
    }

    /// Deletes a connector; one that is gone already is success. Not repeated here, since between two attempts it may have been
    /// made anew.
    ///
    /// # Errors
    /// By ARM's answer where it certainly refused.
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
            status @ (408 | 500..=599) => Ok(WriteOutcome::Unknown(format!("ARM answered status {status}"))),
            _ => Err(refused(&response).error(&[])),
        }
    }
}
