//! Transports a request: reqwest in Lambda, a simulated network in tests.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hubkeeper_core::config::{Environment, Problems};
use hubkeeper_core::error::Error;
use hubkeeper_core::proxy::Proxy;

use crate::http::budget;
use crate::http::budget::Budget;
use crate::http::exchange::{Request, Response};
use crate::http::proxy::{ProxyFault, Route};

/// Sends one request and returns its whole response, at most `body_limit` bytes of it.
///
/// Implementations do not follow redirects, do not retry and set no total timeout: [`crate::http::client::HttpClient`]
/// does these things.
pub trait Transport: Send + Sync {
    /// Sends `request`, whose URI is absolute.
    fn send(&self, request: Request, body_limit: usize) -> BoxFuture<'static, Result<Response, TransportError>>;
}

/// The error of a transport without a response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransportError {
    /// How far the request got.
    pub kind: TransportErrorKind,
    /// The cause in words, without the URL.
    pub detail: String,
}

/// How far a failed request got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TransportErrorKind {
    /// No connection: the service did not receive the request.
    Connect,
    /// The proxy at this address did not connect to the service, which did not receive the request.
    Proxy(String, ProxyFault),
    /// The connection broke, or the body ended early: the service may have carried out the request.
    Broken,
    /// Timeout: the service may have carried out the request.
    Timeout,
    /// The body exceeds its cap.
    TooLarge,
}

/// Bytes that an HTTP/2 stream may send before they are read.
const STREAM: u32 = 256 << 10;

/// Bytes that all streams of a connection may send before they are read. This exceeds what all bodies that wait for
/// bytes ([`Budget`]) can have sent, so waiting streams never block the stream that is being read.
const CONNECTION: u32 = 20 << 20;
const _: () = assert!(CONNECTION as usize > crate::http::exchange::UNDER_WAY * STREAM as usize);

impl TransportError {
    /// Creates an error.
    pub fn new(kind: TransportErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// The transport over reqwest, with rustls and ring: embedded roots (loading the platform's roots would take most of
/// the start-up), no redirects.
pub struct Reqwest {
    client: reqwest::Client,
    proxy: Option<Route>,
    bodies: Arc<Budget>,
}

/// Maximum idle time of a connection that is reused. Lambda freezes the process between two invocations, and a
/// connection may die unnoticed in that time. Docker Hub, ARM and AWS close idle connections after one to four minutes.
pub const IDLE: Duration = Duration::from_secs(20);

/// Time without a frame after which an HTTP/2 connection with requests in progress sends a ping, and the timeout of the
/// ping. A connection that died silently then fails before the attempt's timeout.
const PING: Duration = Duration::from_secs(5);

impl Reqwest {
    /// Creates a client that trusts the embedded roots and those of `ca_bundle` (PEM), and uses `proxy`.
    ///
    /// # Errors
    /// Returns [`hubkeeper_core::error::Kind::Misconfigured`] if the bundle contains no certificate.
    pub fn new(ca_bundle: Option<&[u8]>, proxy: Option<&Proxy>) -> Result<Self, Error> {
        Self::with_idle(ca_bundle, proxy, IDLE)
    }

    /// Creates a client with another maximum idle time of a connection.
    ///
    /// # Errors
    /// Returns the errors of [`Reqwest::new`].
    pub fn with_idle(ca_bundle: Option<&[u8]>, proxy: Option<&Proxy>, idle: Duration) -> Result<Self, Error> {
        let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(pem) = ca_bundle {
            add_bundle(&mut roots, pem)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let no_client = || Error::misconfigured("the HTTP client cannot be set up", "report this as a bug");
        let unusable_proxy = || {
            Error::misconfigured(
                "HTTPS_PROXY names a proxy that the HTTP client cannot use",
                "set it to the URL of an http or https proxy, such as http://proxy.example.com:3128",
            )
        };
        let unusable = |_| Error::misconfigured("the TLS stack cannot be set up", "report this as a bug");
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // reqwest would read the environment itself, and ignore a proxy that it cannot use
        let mut builder = reqwest::Client::builder().no_proxy();
        let proxy = proxy.map(|proxy| Route::new(proxy).ok_or_else(unusable_proxy)).transpose()?;
        if let Some(proxy) = &proxy {
            builder = builder.proxy(proxy.rule().map_err(|_| no_client())?);
        }
        let client = builder
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .pool_idle_timeout(idle)
            .http2_initial_stream_window_size(STREAM)
            .http2_initial_connection_window_size(CONNECTION)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PING)
            .user_agent(concat!("hubkeeper/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| no_client())?;
        Ok(Self { client, proxy, bodies: Arc::new(Budget::new(budget::POOL)) })
    }
}

fn add_bundle(roots: &mut rustls::RootCertStore, pem: &[u8]) -> Result<(), Error> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let remedy = "HUBKEEPER_CA_BUNDLE must name a file of PEM certificates";
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let added = certificate.map_err(|_| ()).and_then(|der| roots.add(der).map_err(|_| ()));
        added.map_err(|()| Error::misconfigured("HUBKEEPER_CA_BUNDLE: a certificate cannot be read", remedy))?;
    }
    if roots.len() == before {
        return Err(Error::misconfigured("HUBKEEPER_CA_BUNDLE: the file holds no certificate", remedy));
    }
    Ok(())
}

impl Transport for Reqwest {
    fn send(&self, request: Request, body_limit: usize) -> BoxFuture<'static, Result<Response, TransportError>> {
        let client = self.client.clone();
        let bodies = Arc::clone(&self.bodies);
        let through = self.proxy.as_ref().filter(|proxy| proxy.carries(request.uri()));
        let through = through.map(|proxy| proxy.address().to_owned());
        Box::pin(async move {
            let too_large = |_| TransportError::new(TransportErrorKind::TooLarge, "body over its cap");
            let is_head = request.method() == http::Method::HEAD;
            let request =
                reqwest::Request::try_from(request).map_err(|error| failed(error, TransportErrorKind::Connect))?;
            let mut answer = client.execute(request).await.map_err(|error| {
                let fault = through.filter(|_| error.is_connect()).zip(ProxyFault::of(&error));
                let kind = match fault {
                    Some((proxy, fault)) => TransportErrorKind::Proxy(proxy, fault),
                    None if error.is_connect() => TransportErrorKind::Connect,
                    None => TransportErrorKind::Broken,
                };
                failed(error, kind)
            })?;
            let mut body = bodies.body(body_limit);
            // a HEAD response has a length and no body
            if let Some(length) = answer.content_length().filter(|_| !is_head) {
                body.expect(length).await.map_err(too_large)?;
            }
            while let Some(chunk) = answer.chunk().await.map_err(|error| failed(error, TransportErrorKind::Broken))? {
                body.push(&chunk).await.map_err(too_large)?;
            }
            let mut response = http::Response::new(body.finish());
            *response.status_mut() = answer.status();
            *response.headers_mut() = std::mem::take(answer.headers_mut());
            Ok(response)
        })
    }
}

/// Converts an error. The innermost cause says what happened ("connection refused", "invalid peer certificate"); the
/// URL is omitted.
fn failed(error: reqwest::Error, kind: TransportErrorKind) -> TransportError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    TransportError::new(kind, cause.to_string())
}

/// Reads the file that `HUBKEEPER_CA_BUNDLE` names. Returns `None` if the variable is not set.
///
/// # Errors
/// Returns [`Problems`] if the file cannot be read.
pub fn ca_bundle(environment: &Environment) -> Result<Option<Vec<u8>>, Problems> {
    let path = environment.get("HUBKEEPER_CA_BUNDLE").map(|path| path.trim()).filter(|path| !path.is_empty());
    let read = path.map(std::fs::read).transpose();
    read.map_err(|_| Problems::one("HUBKEEPER_CA_BUNDLE names a file that cannot be read"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_that_cannot_be_read_is_named_by_its_variable() {
        let bundle = |path: &str| ca_bundle(&[("HUBKEEPER_CA_BUNDLE".to_owned(), path.to_owned())].into());
        let problems = bundle("/nowhere.pem").unwrap_err().to_string();
        assert!(problems.contains("HUBKEEPER_CA_BUNDLE"), "{problems}");
        assert_eq!(bundle(" "), Ok(None));
    }
}
