//! Logs in with the token itself: `POST /v2/auth/token` (Docker's reference: 200 with a JWT of ten minutes, or 401).

use hubkeeper_core::failure::docker_hub::unreadable;
use hubkeeper_core::hub::HubError;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::clients::hub::{Credential, Hub, Session, body, request, unusable};
use crate::http::{Policy, join};

/// The result of a login.
pub enum TokenLogin {
    /// The service accepts the token.
    Accepted(Session),
    /// 401: the token is wrong, expired or deactivated. The service does not say which.
    Rejected,
}

impl Hub {
    /// Logs in with a PAT or an OAT. A 401 is final, because failed logins lock out the user or the address.
    ///
    /// # Errors
    /// Returns [`HubError`] if the result says nothing about the token.
    pub async fn login(&self, credential: &Credential) -> Result<TokenLogin, HubError> {
        let what = "login at Docker Hub";
        let payload = json!({"identifier": credential.identifier, "secret": credential.token.expose_secret()});
        let login = request("POST", &join(&self.api, "/v2/auth/token"), None, Some(&payload));
        let response = self.http_client.send(login, Policy::SAFE).await?;
        match response.status().as_u16() {
            200 => match body(&response).as_ref().and_then(|body| body.get("access_token")) {
                Some(Value::String(jwt)) if !jwt.is_empty() => Ok(TokenLogin::Accepted(Session::new(jwt.clone()))),
                _ => Err(unreadable(what)),
            },
            401 => {
                self.http_client.count_refused_login(&self.api);
                Ok(TokenLogin::Rejected)
            }
            _ => Err(unusable(what, &response)),
        }
    }
}
