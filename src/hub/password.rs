//! The password login of the dedicated user or an owner: only it can manage PATs (a PAT's bearer gets 403).
//!
//! `/v2/users/login` and `/v2/users/2fa-login` come first; `/v2/auth/token` only where that route is gone (404, 410),
//! never after a 401: each failed login counts towards a lock-out.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use totp_rs::{Algorithm, Secret, TOTP};

use super::{Hub, HubError, Session, body, request, unreadable, unusable};
use crate::clock::Timestamp;
use crate::error::Error;
use crate::http::{Policy, Response, join};
use crate::secret::Login;

/// Seconds for which a code is good (RFC 6238's default; Docker documents none).
const STEP: u64 = 30;

impl Hub {
    /// Logs in with a password, and with the second factor where the account asks for it.
    ///
    /// # Errors
    /// `NeedsHuman` where the password or the second factor is refused, `Retryable` where nothing is known.
    pub async fn password_login(&self, login: &Login, what: &str) -> Result<Session, Error> {
        let first = json!({"username": login.username, "password": login.password.expose_secret()});
        let response = self.post("/v2/users/login", &first, what).await?;
        match response.status().as_u16() {
            200 => session(&response, "token", what),
            401 => match body(&response).as_ref().and_then(|body| body.get("login_2fa_token")) {
                Some(Value::String(half)) => self.second_factor(login, &SecretString::from(half.clone()), what).await,
                _ => Err(refused(what)),
            },
            404 | 410 => {
                let other = json!({"identifier": login.username, "secret": login.password.expose_secret()});
                let response = self.post("/v2/auth/token", &other, what).await?;
                match response.status().as_u16() {
                    200 => session(&response, "access_token", what),
                    401 => match body(&response).as_ref().and_then(|body| body.get("login_2fa_token")) {
                        Some(Value::String(half)) => {
                            self.second_factor(login, &SecretString::from(half.clone()), what).await
                        }
                        _ => Err(refused(what)),
                    },
                    _ => Err(unknown(&unusable("password login", &response), what)),
                }
            }
            _ => Err(unknown(&unusable("password login", &response), what)),
        }
    }

    async fn second_factor(&self, login: &Login, half: &SecretString, what: &str) -> Result<Session, Error> {
        let Some(seed) = &login.totp_seed else {
            return Err(Error::needs_human(
                format!("the account of the {what} secret asks for a second factor"),
                format!("add the account's base32 TOTP seed to the {what} secret as `totpSecret`"),
            ));
        };
        let totp = totp(seed, what)?;
        for attempt in 0..2 {
            let now = self.outlet.now();
            if attempt > 0 {
                // a code is taken once: the next window has the next one
                let wait = STEP - unix(now) % STEP;
                if !self.outlet.wait(std::time::Duration::from_secs(wait)).await {
                    break;
                }
            }
            let code = totp.generate(unix(self.outlet.now()));
            let second = json!({"login_2fa_token": half.expose_secret(), "code": code});
            let response = self.post("/v2/users/2fa-login", &second, what).await?;
            match response.status().as_u16() {
                200 => return session(&response, "token", what),
                401 => {}
                _ => return Err(unknown(&unusable("second factor", &response), what)),
            }
        }
        Err(Error::needs_human(
            format!("Docker Hub refuses the second factor of the {what} secret"),
            format!("check `totpSecret` of the {what} secret against the account, and the account's clock window"),
        ))
    }

    async fn post(&self, path: &str, payload: &Value, what: &str) -> Result<Response, Error> {
        let post = request("POST", &join(&self.api, path), None, Some(payload));
        // a code may be used up by a request whose answer was lost: the second factor's loop handles that
        self.outlet.send(post, Policy::SAFE).await.map_err(|error| unknown(&error.into(), what))
    }
}

fn totp(seed: &SecretString, what: &str) -> Result<TOTP, Error> {
    let text: String = seed.expose_secret().chars().filter(|c| !c.is_whitespace() && *c != '=').collect();
    let bytes = Secret::Encoded(text.to_ascii_uppercase()).to_bytes().map_err(|_| {
        Error::misconfigured(
            format!("member `totpSecret` of the {what} secret is not base32"),
            "store the seed that Docker Hub showed when two-factor login was set up",
        )
    })?;
    // unchecked: the library wants seeds of 128 bits and more, Docker Hub decides what it hands out
    Ok(TOTP::new_unchecked(Algorithm::SHA1, 6, 1, STEP, bytes))
}

fn unix(at: Timestamp) -> u64 {
    u64::try_from(at.unix_timestamp()).unwrap_or(0)
}

fn session(response: &Response, member: &str, what: &str) -> Result<Session, Error> {
    match body(response).as_ref().and_then(|body| body.get(member)) {
        Some(Value::String(jwt)) if !jwt.is_empty() => Ok(Session::new(jwt.clone())),
        _ => Err(unknown(&unreadable("password login"), what)),
    }
}

fn refused(what: &str) -> Error {
    let by_hand = if what == "owner" {
        "invite the dedicated user by hand and take `owner` and `user` out of the secret"
    } else {
        "make the token by hand and stage it as HUBKEEPER_CANDIDATE"
    };
    Error::needs_human(
        format!("Docker Hub refuses the password of the {what} secret"),
        format!("log in by hand and correct the {what} secret; with enforced SSO passwords are refused: {by_hand}"),
    )
}

fn unknown(error: &HubError, what: &str) -> Error {
    Error::retryable(
        format!("the login of the {what} secret is undecided ({})", error.message()),
        "repeat the event later",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238() {
        // RFC 6238, appendix B, SHA-1, the last six digits of its eight
        let totp = totp(&SecretString::from("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), "manager").unwrap();
        for (time, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(totp.generate(time), code);
        }
    }

    #[test]
    fn a_seed_as_people_copy_it_is_taken() {
        assert!(totp(&SecretString::from("gezd gnbv gy3t qojq"), "manager").is_ok());
        assert!(totp(&SecretString::from("not base32!"), "manager").is_err());
    }
}
