//! Gets the bearer token for ARM from Entra, with Microsoft's identity library over our own HTTP client.
//!
//! The library neither retries nor caches here: each exchange uses a new credential. The function keeps the bearer
//! token on the injected clock until shortly before it expires.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::TokenCredential;
use azure_core::http::headers::{HeaderName, HeaderValue, Headers};
use azure_core::http::{
    AsyncRawResponse, ClientMethodOptions, ClientOptions, HttpClient as AzureHttpClient, RetryOptions, Transport,
};
use azure_identity::{
    ClientAssertion, ClientAssertionCredential, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions,
};
use bytes::Bytes;
use hubkeeper_core::config::{AzureAuth, Config};
use hubkeeper_core::error::Error;
use hubkeeper_core::failure::entra::{self, Client, Failure, Identity, Refusal};
use hubkeeper_core::redact;
use hubkeeper_core::secret::Subject;
use hubkeeper_core::time::{Timestamp, until};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::clients::azure::assertion::{assertion, identity};
use crate::clients::secrets_manager::SecretStore;
use crate::http::{HttpClient, Policy};

/// Time before its expiry at which a bearer token is renewed. It is longer than a PUT may take.
const MARGIN: Duration = Duration::from_mins(5);

/// Lifetimes in seconds that a bearer token may claim. Entra issues about an hour, and a day with continuous access
/// evaluation.
const LIFETIMES: std::ops::RangeInclusive<i64> = 0..=7 * 24 * 3600;

/// A bearer token and its expiry, kept between invocations. No `Debug`: it holds the bearer token.
#[derive(Default)]
pub struct BearerCache {
    kept: Mutex<Option<(SecretString, Timestamp)>>,
    /// Allows one exchange at a time: a concurrent caller then finds the cached bearer token.
    exchange: tokio::sync::Mutex<()>,
}

impl BearerCache {
    fn get(&self, now: Timestamp) -> Option<SecretString> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(_, until)| *until > now + MARGIN).map(|(bearer, _)| bearer.clone())
    }

    /// Keeps a bearer token until shortly before `until`. The command line puts one here that its user's own login gave.
    pub fn put(&self, bearer: SecretString, until: Timestamp) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((bearer, until));
    }

    /// Removes the bearer token from the cache after ARM rejects it.
    pub fn forget(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Gets bearer tokens for ARM.
#[derive(Clone)]
pub struct Entra {
    /// The HTTP client.
    pub http_client: HttpClient,
    /// The configuration: tenant, client and cloud.
    pub config: Arc<Config>,
    /// The STS client.
    pub sts: aws_sdk_sts::Client,
    /// The store that holds the client secret.
    pub store: SecretStore,
    /// The cache of bearer tokens.
    pub cache: Arc<BearerCache>,
}

impl Entra {
    /// Returns a bearer token for ARM, from the cache or from Entra.
    ///
    /// # Errors
    /// Returns `Misconfigured`, `NeedsHuman` or `Retryable` by Entra's documented error codes, and names the claims
    /// that must match.
    pub async fn bearer(&self) -> Result<SecretString, Error> {
        if let Some(bearer) = self.cache.get(self.http_client.now()) {
            return Ok(bearer);
        }
        let _one_at_a_time = self.cache.exchange.lock().await;
        if let Some(bearer) = self.cache.get(self.http_client.now()) {
            return Ok(bearer);
        }
        let proof = match &self.config.azure_auth {
            AzureAuth::Federated => Proof::Assertion(assertion(&self.sts, self.config.cloud.audience()).await?),
            AzureAuth::ClientSecret { secret_id } => {
                Proof::Secret(self.store.current_value(Subject::client_secret(secret_id)).await?.text)
            }
        };
        let mut answer = self.exchange(&proof).await;
        if let Err(Failure { retry_once: true, .. }) = &answer
            && self.http_client.wait(Duration::from_secs(10)).await
        {
            // a federated credential takes minutes to propagate
            answer = self.exchange(&proof).await;
        }
        let (bearer, lifetime) = answer.map_err(|failure| failure.error)?;
        self.cache.put(bearer.clone(), self.http_client.now() + lifetime);
        Ok(bearer)
    }

    async fn exchange(&self, proof: &Proof) -> Result<(SecretString, Duration), Failure> {
        let carrier = Arc::new(Carrier { http_client: self.http_client.clone(), seen: Mutex::default() });
        let scope = self.config.cloud.scope();
        let token = match self.credential(proof, Arc::clone(&carrier)) {
            Ok(credential) => credential.get_token(&[scope.as_str()], None).await,
            Err(error) => Err(error),
        };
        match token {
            Ok(token) => {
                // the library computes the expiry from the system's clock, so the function keeps the lifetime
                let lifetime = until(time::OffsetDateTime::now_utc(), token.expires_on);
                Ok((SecretString::from(token.token.secret().to_owned()), lifetime))
            }
            Err(_) => Err(carrier.failure(proof, &self.config)),
        }
    }

    fn credential(&self, proof: &Proof, carrier: Arc<Carrier>) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let mut cloud = CustomConfiguration::default();
        cloud.authority_host.clone_from(&self.config.authority);
        let client_options = ClientOptions {
            retry: RetryOptions::none(),
            transport: Some(Transport::new(carrier)),
            cloud: Some(Arc::new(CloudConfiguration::Custom(cloud))),
            ..ClientOptions::default()
        };
        let (tenant, client) = (self.config.tenant_id.clone(), self.config.client_id.clone());
        Ok(match proof {
            Proof::Assertion(assertion) => {
                let options = ClientAssertionCredentialOptions { client_options };
                ClientAssertionCredential::new(tenant, client, Assertion(assertion.clone()), Some(options))?
            }
            Proof::Secret(secret) => {
                let secret = azure_core::credentials::Secret::new(secret.expose_secret().to_owned());
                let options = ClientSecretCredentialOptions { client_options };
                ClientSecretCredential::new(&tenant, client, secret, Some(options))?
            }
        })
    }
}

/// The credential that the function presents to Entra. No `Debug`: both variants are secret.
enum Proof {
    Assertion(SecretString),
    Secret(SecretString),
}

/// The assertion in the form that the library expects. `Debug` of [`SecretString`] is redacted.
#[derive(Debug)]
struct Assertion(SecretString);

#[async_trait::async_trait]
impl ClientAssertion for Assertion {
    async fn secret(&self, _: Option<ClientMethodOptions<'_>>) -> azure_core::Result<String> {
        Ok(self.0.expose_secret().to_owned())
    }
}

/// The library's transport: our HTTP client. It records its own errors, because the library's errors quote bodies.
struct Carrier {
    http_client: HttpClient,
    seen: Mutex<Option<Seen>>,
}

enum Seen {
    NoAnswer(String),
    Answer { status: u16, error: String, codes: Vec<i64>, description: String },
    Unreadable(u16),
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carrier")
    }
}

#[async_trait::async_trait]
impl AzureHttpClient for Carrier {
    async fn execute_request(&self, request: &azure_core::http::Request) -> azure_core::Result<AsyncRawResponse> {
        let other = |text: &'static str| azure_core::Error::with_message(azure_core::error::ErrorKind::Other, text);
        let body = match request.body() {
            azure_core::http::Body::Bytes(bytes) => Bytes::copy_from_slice(bytes),
            azure_core::http::Body::SeekableStream(_) => return Err(other("a streamed body is not sent")),
        };
        let mut ours = http::Request::new(body);
        *ours.method_mut() = request.method().as_str().parse().unwrap_or_default();
        *ours.uri_mut() = request.url().as_str().parse().unwrap_or_default();
        for (name, value) in request.headers().iter() {
            if let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name.as_str()), value.as_str().parse()) {
                ours.headers_mut().insert(name, value);
            }
        }
        match self.http_client.send(ours, Policy::SAFE).await {
            Ok(response) => {
                self.note(Some(Seen::read(&response)));
                if is_for_ever(&response) {
                    return Err(other("an impossible lifetime"));
                }
                let mut headers = Headers::new();
                for (name, value) in response.headers() {
                    if let Ok(value) = value.to_str() {
                        headers.insert(HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value.to_owned()));
                    }
                }
                let body = response.body().clone();
                Ok(AsyncRawResponse::from_bytes(response.status().as_u16().into(), headers, body))
            }
            Err(error) => {
                self.note(Some(Seen::NoAnswer(error.to_string())));
                Err(other("no response"))
            }
        }
    }
}

impl Seen {
    fn read(response: &crate::http::Response) -> Self {
        #[derive(Deserialize)]
        struct Body {
            error: String,
            #[serde(default)]
            error_description: String,
            #[serde(default)]
            error_codes: Vec<i64>,
        }
        let status = response.status().as_u16();
        match serde_json::from_slice::<Body>(response.body()) {
            Ok(body) if status != 200 => {
                Seen::Answer { status, error: body.error, codes: body.error_codes, description: body.error_description }
            }
            _ => Seen::Unreadable(status),
        }
    }
}

impl Carrier {
    fn note(&self, seen: Option<Seen>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    fn failure(&self, proof: &Proof, config: &Config) -> Failure {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).take();
        match seen {
            None => entra::unsendable(),
            Some(Seen::NoAnswer(why)) => entra::no_token(&why),
            Some(Seen::Unreadable(status)) => {
                entra::no_token(&format!("its response (status {status}) cannot be read"))
            }
            Some(Seen::Answer { status, error, codes, description }) => {
                let (secret, identity) = match proof {
                    Proof::Assertion(assertion) => (assertion, identity(assertion)),
                    Proof::Secret(secret) => (secret, Identity::default()),
                };
                let words = redact::words(&description, &[secret]);
                let (client, tenant) = (config.client_id.as_str(), config.tenant_id.as_str());
                Refusal { status, error: &error, codes: &codes, words: &words }.failure(&Client {
                    client,
                    tenant,
                    identity,
                })
            }
        }
    }
}

/// Returns whether a bearer token claims an impossible lifetime. The library adds the number to the time unchecked.
fn is_for_ever(response: &crate::http::Response) -> bool {
    #[derive(Deserialize)]
    struct Body {
        expires_in: i64,
    }
    let body = serde_json::from_slice::<Body>(response.body());
    body.is_ok_and(|body| !LIFETIMES.contains(&body.expires_in))
}
