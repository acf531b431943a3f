//! What carries a request: reqwest in Lambda, anything else in a simulation.

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

/// Carries one request and brings its whole response, at most `body_limit` bytes of it.
///
/// Implementations follow no redirect, retry nothing and set no total time-out: [`crate::http::client::HttpClient`] does what of that is done.
pub trait Transport: Send + Sync {
    /// Sends `request`, whose URI is absolute.
    fn send(&self, request: Request, body_limit: usize) -> BoxFuture<'static, Result<Response, TransportError>>;
}

/// Why a transport has no response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransportError {
    /// How far it came.
    pub kind: TransportErrorKind,
    /// The cause in words, without the URL.
    pub detail: String,
}

/// How far a failed request came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TransportErrorKind {
    /// No connection was made: the service did not see the request.
    Connect,
    /// The proxy at this address did not lead to the service, which did not see the request.
    Proxy(String, ProxyFault),
    /// The connection broke, or the body ended early: the service may have acted.
    Broken,
    /// Nothing came in time: the service may have acted.
    Timeout,
    /// The body passed its cap.
    TooLarge,
}

/// Bytes that an HTTP/2 stream may send ahead of its reader.
const STREAM: u32 = 256 << 10;

/// Bytes that all streams of a connection may send ahead: more than all that wait for room ([`Budget`]) can have sent, so that they
/// never hold up the one that reads.
const CONNECTION: u32 = 20 << 20;
const _: () = assert!(CONNECTION as usize > crate::http::exchange::UNDER_WAY * STREAM as usize);

impl TransportError {
    /// An error of a kind.
    pub fn new(kind: TransportErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// reqwest over rustls with ring: embedded roots (loading the platform's would be most of the start-up), no redirects.
pub struct Reqwest {
    client: reqwest::Client,
    proxy: Option<Route>,
    bodies: Arc<Budget>,
}

/// How long a connection may lie idle and still be trusted. Lambda freezes the process between two invocations: what lay idle
/// through that may be dead without a sign of it. Docker Hub, ARM and AWS close idle connections after one to four minutes.
pub const IDLE: Duration = Duration::from_secs(20);

/// While requests are under way on an HTTP/2 connection, a ping after this time without a frame, and as long again for its answer:
/// a connection that died silently fails before the attempt's time is up.
const PING: Duration = Duration::from_secs(5);

impl Reqwest {
    /// A client that trusts the embedded roots and those of `ca_bundle` (PEM), and goes through `proxy`.
    ///
    /// # Errors
    /// [`hubkeeper_core::error::Kind::Misconfigured`] where the bundle holds no certificate.
    pub fn new(ca_bundle: Option<&[u8]>, proxy: Option<&Proxy>) -> Result<Self, Error> {
        Self::with_idle(ca_bundle, proxy, IDLE)
    }

    /// The same, with another time that a connection may lie idle.
    ///
    /// # Errors
    /// As [`Reqwest::new`].
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
        // reqwest would read the environment itself, and pass over a proxy that it cannot use
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
            // a HEAD announces a length and has no body
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

/// The innermost cause says what happened ("connection refused", "invalid peer certificate"); the URL is left out.
fn failed(error: reqwest::Error, kind: TransportErrorKind) -> TransportError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    TransportError::new(kind, cause.to_string())
}

/// The content of the file that `HUBKEEPER_CA_BUNDLE` names; `None` where it names none.
///
/// # Errors
/// [`Problems`] where the file cannot be read.
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
