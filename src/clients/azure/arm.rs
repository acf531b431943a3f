//! Reads, writes and lists `Microsoft.Security/securityConnectors` in ARM. All operations are synchronous (Microsoft's
//! swagger).
//!
//! Bodies are secret in both directions: a GET may show the token, and an error may quote the request.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hubkeeper_core::connector::health::Health;
use hubkeeper_core::connector::observed::{Found, Observed};
use hubkeeper_core::error::{Error, Kind};
use hubkeeper_core::failure::arm;
use hubkeeper_core::ids::Fingerprint;
use hubkeeper_core::redact;
use hubkeeper_core::secret::document::ConnectorId;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use self::response::{next_page, refused};
use crate::clients::azure::entra::Entra;
use crate::http::{HttpClient, Policy, Request, Response, SendError};

mod inspect;
mod response;
mod writer;

pub use inspect::Inspected;
pub use writer::{ConnectorWriter, Put, WriteOutcome};

/// Maximum number of pages of a list.
const PAGES: usize = 50;

/// The api-version of `Microsoft.Security/healthReports`.
const HEALTH_API_VERSION: &str = "2023-05-01-preview";

/// Maximum number of pages of health reports.
const HEALTH_PAGES: usize = 10;

/// Maximum size of one page of health reports, in bytes.
const HEALTH_PAGE: usize = 1 << 20;

/// The result of a GET of a connector whose resource group may not exist.
pub enum Read {
    /// The resource group exists, and the connector is present or absent.
    Found(Found),
    /// The resource group does not exist.
    NoGroup(Error),
}

impl Read {
    /// Returns the connector, and treats a missing resource group as a mistake.
    ///
    /// # Errors
    /// Returns `Misconfigured` if the resource group does not exist.
    pub fn required(self) -> Result<Found, Error> {
        match self {
            Read::Found(found) => Ok(found),
            Read::NoGroup(error) => Err(error),
        }
    }

    /// Returns the connector, and treats a missing resource group as a missing connector. This is for offboarded
    /// secrets.
    pub fn or_absent(self) -> Found {
        match self {
            Read::Found(found) => found,
            Read::NoGroup(_) => Found::Absent,
        }
    }
}

/// Another connector of the organization in the same resource group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// The connector's name, safe to show.
    pub name: String,
    /// Whether the connector carries this secret's fingerprint.
    pub is_ours: bool,
}

/// Reads connectors from ARM, for one invocation.
#[derive(Clone)]
pub struct Arm {
    /// The HTTP client.
    pub http_client: HttpClient,
    /// The base URL, `https://management.azure.com` in production.
    pub base: String,
    /// The api-version of `Microsoft.Security/securityConnectors`.
    pub api_version: String,
    /// The source of bearer tokens.
    pub entra: Entra,
}

impl Arm {
    /// Reads a connector.
    ///
    /// # Errors
    /// Returns an error by ARM's response. A 404 about anything but the connector itself is an error.
    pub async fn get(&self, id: &ConnectorId) -> Result<Found, Error> {
        self.read(id).await?.required()
    }

    /// Reads a connector whose resource group may be deleted.
    ///
    /// # Errors
    /// Returns an error by ARM's response. A 404 about anything but the connector or its resource group is an error.
    pub async fn read(&self, id: &ConnectorId) -> Result<Read, Error> {
        let url = self.url(id, Some(&id.name))?;
        let response =
            self.send("GET", &url, None, Policy::SAFE, &[]).await?.map_err(|error| arm::unreachable(&error))?;
        match response.status().as_u16() {
            200 => {
                let observed = serde_json::from_slice(response.body()).ok().and_then(Observed::parse);
                let observed = observed.ok_or_else(|| {
                    Error::retryable("ARM's response about the connector cannot be read", "repeat the event")
                })?;
                Ok(Read::Found(Found::Present(Box::new(observed))))
            }
            404 if refused(&response).is_absent() => Ok(Read::Found(Found::Absent)),
            404 if refused(&response).has_no_group() => Ok(Read::NoGroup(refused(&response).error(&[]))),
            _ => Err(refused(&response).error(&[])),
        }
    }

    /// Returns what Defender reports about the connector's health, or `None` if there is no report or the role cannot
    /// read it. Microsoft documents neither whether Docker Hub connectors have a report nor which permission reads it.
    pub async fn health(&self, id: &ConnectorId) -> Option<Health> {
        let mut url = self.url(id, Some(&id.name)).ok()?;
        url.path_segments_mut().ok()?.extend(["providers", "Microsoft.Security", "healthReports"]);
        url.set_query(Some(&format!("api-version={HEALTH_API_VERSION}")));
        let policy = Policy { attempts: 1, ..Policy::SAFE }.capped(HEALTH_PAGE);
        let first = url.clone();
        let mut next = Some(url);
        let mut reports = Vec::new();
        // reports from the pages before a failed page are still useful
        for _ in 0..HEALTH_PAGES {
            let Some(url) = next.take() else { break };
            let response = self.send("GET", &url, None, policy, &[]).await.ok().and_then(Result::ok);
            let page = response.filter(|response| response.status() == 200);
            let page: Option<Value> = page.and_then(|response| serde_json::from_slice(response.body()).ok());
            let Some(page) = page else { break };
            reports.extend(page.get("value").and_then(Value::as_array).into_iter().flatten().cloned());
            next = next_page(&page, &first);
        }
        Health::parse(&reports)
    }

    /// Returns the other Docker Hub connectors of `organization` in the resource group.
    ///
    /// # Errors
    /// Returns an error by ARM's response.
    pub async fn others(
        &self,
        id: &ConnectorId,
        organization: &str,
        fingerprint: &Fingerprint,
    ) -> Result<Vec<Neighbour>, Error> {
        let connectors = self.list(self.url(id, None)?).await?.unwrap_or_default();
        let others = connectors.iter().filter_map(|observed| {
            let same = observed.is_docker_hub()
                && observed.organization().is_some_and(|other| other.eq_ignore_ascii_case(organization));
            let name = observed.name()?;
            (same && !name.eq_ignore_ascii_case(&id.name))
                .then(|| Neighbour { name: redact::name(name), is_ours: observed.bears(fingerprint) })
        });
        Ok(others.collect())
    }

    /// Returns the names, safe to show, of the other connectors in the subscription that carry `fingerprint`. The
    /// result excludes `id`, and is `None` if the role does not permit the list.
    ///
    /// # Errors
    /// Returns `Retryable` if ARM does not respond.
    pub async fn bearing(
        &self,
        id: &ConnectorId,
        fingerprint: &Fingerprint,
    ) -> Result<Option<Vec<ConnectorId>>, Error> {
        let connectors = match self.list(self.subscription_url(id)?).await {
            Ok(Some(connectors)) => connectors,
            Err(error) if error.kind() == Kind::Retryable => return Err(error),
            Ok(None) | Err(_) => return Ok(None),
        };
        let bearing = connectors.iter().filter(|observed| observed.bears(fingerprint));
        let others =
            bearing.filter_map(|observed| ConnectorId::parse(observed.id()?)).filter(|other| !other.is_same(id));
        let shown = others.map(|other| ConnectorId {
            resource_group: redact::name(&other.resource_group),
            name: redact::name(&other.name),
            ..other
        });
        Ok(Some(shown.collect()))
    }

    /// Reads every page of a list. Returns `None` if the list does not exist or the role cannot read it. The client
    /// follows a page link only on the same host, because the request carries the bearer token.
    async fn list(&self, first: Url) -> Result<Option<Vec<Observed>>, Error> {
        let mut next = Some(first.clone());
        let mut connectors = Vec::new();
        for _ in 0..PAGES {
            let Some(url) = next.take() else { break };
            let response = self
                .send("GET", &url, None, Policy::SAFE.capped(8 << 20), &[])
                .await?
                .map_err(|error| arm::unreachable(&error))?;
            match response.status().as_u16() {
                200 => {}
                403 | 404 => return Ok(None),
                _ => return Err(refused(&response).error(&[])),
            }
            let page: Value = serde_json::from_slice(response.body())
                .map_err(|_| Error::retryable("ARM's list of connectors cannot be read", "repeat the event"))?;
            let entries = page.get("value").and_then(Value::as_array).into_iter().flatten();
            connectors.extend(entries.cloned().filter_map(Observed::parse));
            next = next_page(&page, &first);
        }
        Ok(Some(connectors))
    }

    fn subscription_url(&self, id: &ConnectorId) -> Result<Url, Error> {
        self.url_of(&["subscriptions", &id.subscription_id, "providers", "Microsoft.Security", "securityConnectors"])
    }

    fn url(&self, id: &ConnectorId, name: Option<&str>) -> Result<Url, Error> {
        let group = ["subscriptions", &id.subscription_id, "resourceGroups", &id.resource_group];
        let kind = ["providers", "Microsoft.Security", "securityConnectors"];
        self.url_of(&group.into_iter().chain(kind).chain(name).collect::<Vec<_>>())
    }

    fn url_of(&self, segments: &[&str]) -> Result<Url, Error> {
        let wrong = || Error::misconfigured("HUBKEEPER_ARM_URL is not a base URL", "correct the variable");
        let mut url = Url::parse(&self.base).map_err(|_| wrong())?;
        url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(segments);
        url.query_pairs_mut().append_pair("api-version", &self.api_version);
        Ok(url)
    }

    /// Sends a request with a bearer token. Replaces a bearer token that ARM rejects, once.
    async fn send(
        &self,
        method: &str,
        url: &Url,
        body: Option<&Value>,
        policy: Policy,
        secrets: &[&SecretString],
    ) -> Result<Result<Response, SendError>, Error> {
        let bearer = self.entra.bearer().await?;
        let response = match self.http_client.send(self.request(method, url, body, &bearer), policy).await {
            Ok(response) if response.status() == 401 => response,
            other => return Ok(other),
        };
        self.entra.cache.forget();
        // a new bearer token would meet the same claims challenge
        let refused = refused(&response);
        if refused.is_challenge {
            return Err(refused.error(secrets));
        }
        let renewed = self.entra.bearer().await?;
        let again = self.http_client.send(self.request(method, url, body, &renewed), policy).await;
        match again {
            Ok(again) if again.status() == 401 => Err(refused.error(secrets)),
            other => Ok(other),
        }
    }

    fn request(&self, method: &str, url: &Url, body: Option<&Value>, bearer: &SecretString) -> Request {
        let mut request = http::Request::new(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string())));
        *request.method_mut() = method.parse().unwrap_or_default();
        *request.uri_mut() = url.as_str().parse().unwrap_or_default();
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", bearer.expose_secret()))
            .unwrap_or(HeaderValue::from_static(""));
        authorization.set_sensitive(true);
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, authorization);
        headers.insert(http::header::ACCEPT, HeaderValue::from_static("application/json"));
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Ok(id) = HeaderValue::from_str(&self.http_client.random().uuid()) {
            headers.insert("x-ms-client-request-id", id);
        }
        request
    }
}
