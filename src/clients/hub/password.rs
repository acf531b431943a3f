//! Logs in with manager and owner secrets: a password, or the organization access token of an owner secret.
//!
//! Only a password session can manage PATs; a PAT's bearer token gets 403. The client tries `/v2/users/login` and
//! `/v2/users/2fa-login` first. It uses `/v2/auth/token` only if those routes no longer exist (404, 410), and never
//! after a 401, because each failed login counts towards a lock-out.

use hubkeeper_core::failure::docker_hub::logins::{
    LoginFailure, missing_seed, refused_code, refused_password, rejected_token, unknown, unreadable_seed,
};
use hubkeeper_core::failure::docker_hub::unreadable;
use hubkeeper_core::secret::login::{TOTP_STEP, totp};
use hubkeeper_core::secret::{Access, Login, Purpose};
use hubkeeper_core::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::clients::hub::login::TokenLogin;
use crate::clients::hub::{Credential, Hub, Session, body, request, unusable};
use crate::http::{Policy, Response, join};

impl Hub {
    /// Logs in with the credential of a manager or owner secret.
    ///
    /// # Errors
    /// Returns `NeedsHuman` if the service rejects the credential, `Retryable` if the result is unknown or the user is
    /// locked out.
    pub async fn log_in(&self, access: &Access, purpose: Purpose) -> Result<Session, LoginFailure> {
        match access {
            Access::Password(login) => self.password_login(login, purpose).await,
            Access::OrganizationToken { organization, token } => {
                let credential = Credential { identifier: organization.clone(), token: token.clone() };
                match self.login(&credential).await {
                    Ok(TokenLogin::Accepted(session)) => Ok(session),
                    Ok(TokenLogin::Rejected) => Err(rejected_token(organization, purpose)),
                    Err(error) => Err(unknown(&error, purpose)),
                }
            }
        }
    }

    /// Logs in with a password, and with the second factor if the account requires it.
    ///
    /// # Errors
    /// Returns `NeedsHuman` if the service rejects the password or the second factor, `Retryable` if the result is
    /// unknown.
    pub async fn password_login(&self, login: &Login, purpose: Purpose) -> Result<Session, LoginFailure> {
        let first = json!({"username": login.username, "password": login.password.expose_secret()});
        let response = self.post("/v2/users/login", &first, purpose).await?;
        match response.status().as_u16() {
            200 => session(&response, "token", purpose),
            401 => self.not_yet(login, &response, purpose).await,
            404 | 410 => {
                let other = json!({"identifier": login.username, "secret": login.password.expose_secret()});
                let response = self.post("/v2/auth/token", &other, purpose).await?;
                match response.status().as_u16() {
                    200 => session(&response, "access_token", purpose),
                    401 => self.not_yet(login, &response, purpose).await,
                    _ => Err(unknown(&unusable("password login", &response), purpose)),
                }
            }
            _ => Err(unknown(&unusable("password login", &response), purpose)),
        }
    }

    /// Continues after a 401: with the second factor if the response requests it. Else the password is wrong.
    async fn not_yet(&self, login: &Login, response: &Response, purpose: Purpose) -> Result<Session, LoginFailure> {
        let body = body(response);
        if let Some(Value::String(half)) = body.as_ref().and_then(|body| body.get("login_2fa_token")) {
            return self.second_factor(login, &SecretString::from(half.clone()), purpose).await;
        }
        self.http_client.count_refused_login(&self.api);
        Err(refused_password(purpose))
    }

    async fn second_factor(
        &self,
        login: &Login,
        half: &SecretString,
        purpose: Purpose,
    ) -> Result<Session, LoginFailure> {
        let Some(seed) = &login.totp_seed else {
            return Err(missing_seed(purpose));
        };
        let Some(totp) = totp(seed) else {
            return Err(unreadable_seed(purpose));
        };
        for attempt in 0..2 {
            let now = self.http_client.now();
            if attempt > 0 {
                // the service accepts a code once, so wait for the code of the next time step
                let wait = TOTP_STEP - unix(now) % TOTP_STEP;
                if !self.http_client.wait(std::time::Duration::from_secs(wait)).await {
                    break;
                }
            }
            let code = totp.generate(unix(self.http_client.now()));
            let second = json!({"login_2fa_token": half.expose_secret(), "code": code});
            let response = self.post("/v2/users/2fa-login", &second, purpose).await?;
            match response.status().as_u16() {
                200 => return session(&response, "token", purpose),
                401 => self.http_client.count_refused_login(&self.api),
                _ => return Err(unknown(&unusable("second factor", &response), purpose)),
            }
        }
        Err(refused_code(purpose))
    }

    async fn post(&self, path: &str, payload: &Value, purpose: Purpose) -> Result<Response, LoginFailure> {
        let post = request("POST", &join(&self.api, path), None, Some(payload));
        // a request with a lost response may have used up the code: the loop of the second factor handles that
        self.http_client.send(post, Policy::SAFE).await.map_err(|error| unknown(&error.into(), purpose))
    }
}

fn unix(at: Timestamp) -> u64 {
    u64::try_from(at.unix_timestamp()).unwrap_or(0)
}

fn session(response: &Response, field: &str, purpose: Purpose) -> Result<Session, LoginFailure> {
    match body(response).as_ref().and_then(|body| body.get(field)) {
        Some(Value::String(jwt)) if !jwt.is_empty() => Ok(Session::new(jwt.clone())),
        _ => Err(unknown(&unreadable("password login"), purpose)),
    }
}
