//! The logins of manager and owner secrets: a password, which alone can manage PATs (a PAT's bearer gets 403), or the
//! organization access token of an owner secret.
//!
//! `/v2/users/login` and `/v2/users/2fa-login` come first; `/v2/auth/token` only where that route is gone (404, 410),
//! never after a 401: each failed login counts towards a lock-out.

use hubkeeper_core::error::Error;
use hubkeeper_core::failure::docker_hub::unreadable;
use hubkeeper_core::hub::HubError;
use hubkeeper_core::secret::login::{TOTP_STEP, totp};
use hubkeeper_core::secret::{Access, Login, Purpose};
use hubkeeper_core::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::clients::hub::login::TokenLogin;
use crate::clients::hub::{Credential, Hub, Session, body, request, unusable};
use crate::http::{Policy, Response, join};

/// Why a login failed.
pub struct LoginFailure {
    /// The error, with its remedy.
    pub error: Error,
    /// Whether Docker Hub has locked the user name: nobody logs in under it for a while.
    pub is_locked: bool,
}

impl From<Error> for LoginFailure {
    fn from(error: Error) -> Self {
        Self { error, is_locked: false }
    }
}

impl Hub {
    /// Logs in with what a manager or owner secret holds.
    ///
    /// # Errors
    /// `NeedsHuman` where the credential is refused, `Retryable` where nothing is known or the user name is locked.
    pub async fn log_in(&self, access: &Access, purpose: Purpose) -> Result<Session, LoginFailure> {
        match access {
            Access::Password(login) => self.password_login(login, purpose).await,
            Access::OrganizationToken { organization, token } => {
                let credential = Credential { identifier: organization.clone(), token: token.clone() };
                match self.login(&credential).await {
                    Ok(TokenLogin::Accepted(session)) => Ok(session),
                    Ok(TokenLogin::Rejected) => Err(LoginFailure::from(Error::needs_human(
                        format!("Docker Hub rejects the organization access token of the {purpose} secret"),
                        format!(
                            "check at Docker Hub that the token of organization {organization} is active and has not expired, and store the right one in `accessToken` of the {purpose} secret"
                        ),
                    ))),
                    Err(error) => Err(unknown(&error, purpose)),
                }
            }
        }
    }

    /// Logs in with a password, and with the second factor where the account asks for it.
    ///
    /// # Errors
    /// `NeedsHuman` where the password or the second factor is refused, `Retryable` where nothing is known.
    pub async fn password_login(&self, login: &Login, purpose: Purpose) -> Result<Session, LoginFailure> {
        let first = json!({"username": login.username, "password": login.password.expose_secret()});
        let response = self.post("/v2/users/login", &first, purpose).await?;
        match response.status().as_u16() {
            200 => session(&response, "token", purpose),
            401 => match body(&response).as_ref().and_then(|body| body.get("login_2fa_token")) {
                Some(Value::String(half)) => {
                    self.second_factor(login, &SecretString::from(half.clone()), purpose).await
                }
                _ => Err(refused(purpose)),
            },
            404 | 410 => {
                let other = json!({"identifier": login.username, "secret": login.password.expose_secret()});
                let response = self.post("/v2/auth/token", &other, purpose).await?;
                match response.status().as_u16() {
                    200 => session(&response, "access_token", purpose),
                    401 => match body(&response).as_ref().and_then(|body| body.get("login_2fa_token")) {
                        Some(Value::String(half)) => {
                            self.second_factor(login, &SecretString::from(half.clone()), purpose).await
                        }
                        _ => Err(refused(purpose)),
                    },
                    _ => Err(unknown(&unusable("password login", &response), purpose)),
                }
            }
            _ => Err(unknown(&unusable("password login", &response), purpose)),
        }
    }

    async fn second_factor(
        &self,
        login: &Login,
        half: &SecretString,
        purpose: Purpose,
    ) -> Result<Session, LoginFailure> {
        let Some(seed) = &login.totp_seed else {
            return Err(LoginFailure::from(Error::needs_human(
                format!("the account of the {purpose} secret asks for a second factor"),
                format!("add the account's base32 TOTP seed to the {purpose} secret as `totpSecret`"),
            )));
        };
        let Some(totp) = totp(seed) else {
            return Err(LoginFailure::from(Error::misconfigured(
                format!("the field `totpSecret` of the {purpose} secret is not base32"),
                "store the seed that Docker Hub showed when two-factor login was set up",
            )));
        };
        for attempt in 0..2 {
            let now = self.http_client.now();
            if attempt > 0 {
                // a code is taken once: the next window has the next one
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
                401 => {}
                _ => return Err(unknown(&unusable("second factor", &response), purpose)),
            }
        }
        Err(LoginFailure::from(Error::needs_human(
            format!("Docker Hub refuses the second factor of the {purpose} secret"),
            format!("check `totpSecret` of the {purpose} secret against the account, and the account's clock window"),
        )))
    }

    async fn post(&self, path: &str, payload: &Value, purpose: Purpose) -> Result<Response, LoginFailure> {
        let post = request("POST", &join(&self.api, path), None, Some(payload));
        // a code may be used up by a request whose answer was lost: the second factor's loop handles that
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

fn refused(purpose: Purpose) -> LoginFailure {
    let by_hand = match purpose {
        Purpose::Owner => {
            "use an organization access token instead ({\"organization\", \"accessToken\", \"usedBy\"}), or invite the dedicated user by hand and take `owner` and `user` out of the secret"
        }
        Purpose::Manager => "make the token by hand and stage it as HUBKEEPER_CANDIDATE",
    };
    Error::needs_human(
        format!("Docker Hub refuses the password of the {purpose} secret"),
        format!("log in by hand and correct the {purpose} secret; with enforced SSO passwords are refused: {by_hand}"),
    )
    .into()
}

fn unknown(error: &HubError, purpose: Purpose) -> LoginFailure {
    let is_locked = matches!(error, HubError::LockedOut(_));
    let error = match error {
        HubError::LockedOut(_) => Error::retryable(
            format!(
                "Docker Hub has locked the user name of the {purpose} secret after too many failed logins ({})",
                error.message()
            ),
            format!(
                "find out who logs in with a wrong password or token under this name, and stop it; then wait: the lock is on the user name, whatever the address, for ten minutes at least (up to an hour has been seen), and each further login may prolong it. Repeat the event after that; correct the {purpose} secret first if it is the wrong one"
            ),
        ),
        _ => Error::retryable(
            format!("the login of the {purpose} secret is undecided ({})", error.message()),
            "repeat the event later",
        ),
    };
    LoginFailure { error, is_locked }
}
