//! The token's own login: `POST /v2/auth/token` (Docker's reference: 200 with a JWT of ten minutes, or 401).

use hubkeeper_core::failure::docker_hub::unreadable;
use hubkeeper_core::hub::HubError;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::clients::hub::{Credential, Hub, Session, body, request, unusable};
use crate::http::{Policy, join};

/// What the login came to.
pub enum TokenLogin {
    /// The token is accepted.
    Accepted(Session),
    /// 401: wrong, expired or deactivated; the service does not say which.
    Rejected,
}

impl Hub {
    /// Logs in with a PAT or an OAT. A 401 is final: failed logins lock the user or the address out.
    ///
    /// # Errors
    /// [`HubError`] where nothing is known about the token.
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
            401 => Ok(TokenLogin::Rejected),
            _ => Err(unusable(what, &response)),
        }
    }
}
