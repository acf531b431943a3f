//! `Microsoft.Security/securityConnectors` in ARM: read, write, list. All verbs are synchronous (Microsoft's swagger).
//!
//! Bodies are secret in both directions: a GET may show the token, an error may quote the request.

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

mod response;
mod writer;

pub use writer::{ConnectorWriter, Put, WriteOutcome};

/// Pages of a list at most.
const PAGES: usize = 50;

/// api-version of `Microsoft.Security/healthReports`.
const HEALTH_API_VERSION: &str = "2023-05-01-preview";

/// Pages of health reports at most.
const HEALTH_PAGES: usize = 10;

/// Bytes of one page of health reports at most.
const HEALTH_PAGE: usize = 1 << 20;

/// What a GET found where the whole resource group may be missing.
pub enum Read {
    /// The connector, or none in a group that is there.
    Found(Found),
    /// There is no such resource group.
    NoGroup(Error),
}

impl Read {
    /// The connector, where a missing group is a mistake.
    ///
    /// # Errors
    /// `Misconfigured` where there is no such resource group.
    pub fn required(self) -> Result<Found, Error> {
        match self {
            Read::Found(found) => Ok(found),
            Read::NoGroup(error) => Err(error),
        }
    }

    /// The connector, where a missing group only means that the connector is gone: that of an offboarded secret.
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
    /// Its name, as it may be shown.
    pub name: String,
    /// Whether it bears this secret's fingerprint.
    pub is_ours: bool,
}

/// ARM for one invocation, to read.
#[derive(Clone)]
pub struct Arm {
    /// The HTTP client.
    pub http_client: HttpClient,
    /// `https://management.azure.com`
    pub base: String,
    /// api-version of `Microsoft.Security/securityConnectors`.
    pub api_version: String,
    /// Bearers.
    pub entra: Entra,
}

impl Arm {
    /// Reads a connector.
    ///
    /// # Errors
    /// By ARM's answer; a 404 that is not about the connector itself is an error.
    pub async fn get(&self, id: &ConnectorId) -> Result<Found, Error> {
        self.read(id).await?.required()
    }

    /// Reads a connector whose resource group may be gone.
    ///
    /// # Errors
    /// By ARM's answer; a 404 that is neither about the connector nor about its group is an error.
    pub async fn read(&self, id: &ConnectorId) -> Result<Read, Error> {
        let url = self.url(id, Some(&id.name))?;
        let response =
            self.send("GET", &url, None, Policy::SAFE, &[]).await?.map_err(|error| arm::unreachable(&error))?;
        match response.status().as_u16() {
            200 => {
                let observed = serde_json::from_slice(response.body()).ok().and_then(Observed::parse);
                let observed = observed.ok_or_else(|| {
                    Error::retryable("ARM's answer about the connector cannot be read", "repeat the event")
                })?;
                Ok(Read::Found(Found::Present(Box::new(observed))))
            }
            404 if refused(&response).is_absent() => Ok(Read::Found(Found::Absent)),
            404 if refused(&response).has_no_group() => Ok(Read::NoGroup(refused(&response).error(&[]))),
            _ => Err(refused(&response).error(&[])),
        }
    }

    /// What Defender says about the connector's health; `None` where there is no report, or it may not be read: whether
    /// Docker Hub connectors have one is not documented, and neither is the right to read it.
    pub async fn health(&self, id: &ConnectorId) -> Option<Health> {
        let mut url = self.url(id, Some(&id.name)).ok()?;
        url.path_segments_mut().ok()?.extend(["providers", "Microsoft.Security", "healthReports"]);
        url.set_query(Some(&format!("api-version={HEALTH_API_VERSION}")));
        let policy = Policy { attempts: 1, ..Policy::SAFE }.capped(HEALTH_PAGE);
        let first = url.clone();
        let mut next = Some(url);
        let mut reports = Vec::new();
        // what was read before a page that fails is worth telling
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

    /// The other Docker Hub connectors of `organization` in the resource group.
    ///
    /// # Errors
    /// By ARM's answer.
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

    /// The connectors in the subscription that bear `fingerprint`, less `id` itself, with names as they may be shown; `None`
    /// where the role does not permit the list.
    ///
    /// # Errors
    /// `Retryable` where ARM does not answer.
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

    /// Every page of a list; `None` where it may not be read, or does not exist. A page is only followed on the host that it
    /// came from: the bearer goes with it.
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

    /// Sends with a bearer; a bearer that ARM does not take is replaced once.
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
        // another bearer of the same kind would meet the same challenge
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
