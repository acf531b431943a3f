//! The sandbox behind sockets: one listener per service on the loopback interface, HTTP/1.1 with keep-alive, Entra over TLS.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use crate::keys::TlsIdentity;
use crate::world::{Broken, Response, Service, World};

const REQUEST_BYTES: usize = 16 * 1024 * 1024;

/// Options for serving the sandbox.
#[derive(Clone, Default)]
pub struct Options {
    /// Milliseconds of delay before each request is handled. May change at any time.
    pub latency: Arc<AtomicU64>,
    /// The path of the authority's certificate file, for [`Served::environment`].
    pub authority_file: Option<PathBuf>,
    /// The services that use TLS.
    pub tls: Tls,
    /// Whether the receiver of custom resource responses uses TLS, at `https://localhost` and the port of that service.
    pub tls_responses: bool,
}

/// The services that use TLS.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// Entra, which requires it. The rest as `http://127.0.0.1`.
    #[default]
    Entra,
    /// Every service, as `https://localhost`.
    Localhost,
    /// Every service, as `https://<service>.sandbox.test`: names that only [`crate::proxy`] can reach.
    Names,
}

/// The first label of a service's name below [`crate::proxy::DOMAIN`].
fn label(service: Service) -> &'static str {
    match service {
        Service::Aws => "aws",
        Service::Entra => "entra",
        Service::Arm => "arm",
        Service::Hub => "hub",
        Service::HubAuth => "hub-auth",
        Service::Registry => "registry",
        Service::Responses => "responses",
    }
}

/// The load of one service.
#[derive(Default)]
struct Counter {
    total: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

/// One request in progress.
struct UnderWay<'a>(&'a Counter);

impl<'a> UnderWay<'a> {
    fn new(counter: &'a Counter) -> Self {
        counter.total.fetch_add(1, Ordering::Relaxed);
        let now = counter.now.fetch_add(1, Ordering::Relaxed) + 1;
        counter.most.fetch_max(now, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Listener {
    port: u16,
    counter: Arc<Counter>,
    task: JoinHandle<()>,
}

/// A served sandbox. Dropping it closes its sockets.
pub struct Served {
    /// The identity of the TLS listener.
    pub identity: TlsIdentity,
    /// The latency from [`Options`].
    pub latency: Arc<AtomicU64>,
    listeners: BTreeMap<Service, Listener>,
    authority_file: Option<PathBuf>,
    tls: Tls,
}

impl Served {
    /// The port of a service on 127.0.0.1.
    #[must_use]
    pub fn port(&self, service: Service) -> u16 {
        self.listeners.get(&service).map(|listener| listener.port).unwrap_or_default()
    }

    /// The base URL of a service, without a trailing slash.
    #[must_use]
    pub fn url(&self, service: Service) -> String {
        let port = self.port(service);
        match self.tls {
            Tls::Names => format!("https://{}.{}:{port}", label(service), crate::proxy::DOMAIN),
            Tls::Entra if service != Service::Entra => format!("http://127.0.0.1:{port}"),
            Tls::Entra | Tls::Localhost => format!("https://localhost:{port}"),
        }
    }

    /// The number of requests to a service so far.
    #[must_use]
    pub fn requests(&self, service: Service) -> usize {
        self.listeners.get(&service).map(|listener| listener.counter.total.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// The maximum number of concurrent requests to a service.
    #[must_use]
    pub fn most_at_once(&self, service: Service) -> usize {
        self.listeners.get(&service).map(|listener| listener.counter.most.load(Ordering::Relaxed)).unwrap_or_default()
    }

    /// Resets the counts of requests.
    pub fn reset_counts(&self) {
        for listener in self.listeners.values() {
            listener.counter.total.store(0, Ordering::Relaxed);
            listener.counter.most.store(listener.counter.now.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// The environment variables that point a program under test to this sandbox.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut variables: Vec<(String, String)> = [
            ("AWS_ENDPOINT_URL", Service::Aws),
            ("AZURE_AUTHORITY_HOST", Service::Entra),
            ("HUBKEEPER_ARM_URL", Service::Arm),
            ("HUBKEEPER_HUB_URL", Service::Hub),
            ("HUBKEEPER_HUB_AUTH_URL", Service::HubAuth),
            ("HUBKEEPER_REGISTRY_URL", Service::Registry),
        ]
        .into_iter()
        .map(|(name, service)| (name.to_owned(), self.url(service)))
        .collect();
        if let Some(path) = &self.authority_file {
            variables.push(("HUBKEEPER_CA_BUNDLE".to_owned(), path.display().to_string()));
        }
        variables
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        for listener in self.listeners.values() {
            listener.task.abort();
        }
    }
}

/// Serves the world until the value is dropped.
///
/// # Errors
/// A socket, a certificate or the authority's file could not be created.
pub async fn serve(world: World, options: Options) -> io::Result<Served> {
    let identity = TlsIdentity::new().map_err(io::Error::other)?;
    if let Some(path) = &options.authority_file {
        std::fs::write(path, &identity.authority_pem)?;
    }
    let mut listeners = BTreeMap::new();
    for service in Service::ALL {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = socket.local_addr()?.port();
        let counter = Arc::new(Counter::default());
        let tls = (options.tls != Tls::Entra || service == Service::Entra)
            || (service == Service::Responses && options.tls_responses);
        let tls = tls.then(|| TlsAcceptor::from(identity.server_config()));
        let handler = Handler {
            world: world.clone(),
            service,
            latency: Arc::clone(&options.latency),
            counter: Arc::clone(&counter),
        };
        let task = tokio::spawn(accept(socket, tls, handler));
        listeners.insert(service, Listener { port, counter, task });
    }
    let Options { latency, authority_file, tls, .. } = options;
    let served = Served { identity, latency, listeners, authority_file, tls };
    let realm = format!("{}/token", served.url(Service::HubAuth));
    world.with(|state| state.registry.realm = Some(realm));
    Ok(served)
}

async fn accept(socket: TcpListener, tls: Option<TlsAcceptor>, handler: Handler) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => {
                if let Ok((stream, _)) = accepted {
                    let _ = stream.set_nodelay(true);
                    connections.spawn(connection(stream, tls.clone(), handler.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Handler) {
    let reset = Arc::new(AtomicBool::new(false));
    let socket = Socket { stream, reset: Arc::clone(&reset) };
    match tls {
        None => http(TokioIo::new(socket), handler, reset).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(socket).await {
                http(TokioIo::new(stream), handler, reset).await;
            }
        }
    }
}

async fn http<S>(io: TokioIo<S>, handler: Handler, reset: Arc<AtomicBool>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(move |request| {
        let (handler, reset) = (handler.clone(), Arc::clone(&reset));
        async move { handler.answer(request, &reset).await }
    });
    // an error is a connection that a script broke, or a client that disconnected
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
}

#[derive(Clone)]
struct Handler {
    world: World,
    service: Service,
    latency: Arc<AtomicU64>,
    counter: Arc<Counter>,
}

impl Handler {
    async fn answer(&self, request: http::Request<Incoming>, reset: &AtomicBool) -> io::Result<http::Response<Answer>> {
        let _under_way = UnderWay::new(&self.counter);
        let (head, body) = request.into_parts();
        let is_head = head.method == http::Method::HEAD;
        let body = Limited::new(body, REQUEST_BYTES).collect().await.map_err(io::Error::other)?.to_bytes();
        let latency = self.latency.load(Ordering::Relaxed);
        if latency > 0 {
            tokio::time::sleep(Duration::from_millis(latency)).await;
        }
        let (given, result) = self.world.exchange(self.service, http::Request::from_parts(head, body));
        match (result, given) {
            (Ok(response), _) => Ok(response.map(|body| Answer::whole(if is_head { Bytes::new() } else { body }))),
            (Err(Broken::Truncated), Some(response)) if !is_head && response.body().len() > 1 => Ok(half(response)),
            (Err(Broken::Hang), _) => std::future::pending().await,
            (Err(_), _) => {
                reset.store(true, Ordering::Relaxed);
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
    }
}

/// Half of the body, with the length of the whole.
fn half(response: Response) -> http::Response<Answer> {
    let (mut head, body) = response.into_parts();
    head.headers.insert(http::header::CONTENT_LENGTH, http::HeaderValue::from(body.len()));
    let half = body.slice(..body.len() / 2);
    http::Response::from_parts(head, Answer { data: Some(half), cut: Some(Cut::Flush) })
}

/// Breaks the connection of a cut-off body only after the client got the first half.
#[derive(Clone, Copy)]
enum Cut {
    Flush,
    Break,
}

/// The body of a response.
struct Answer {
    data: Option<Bytes>,
    cut: Option<Cut>,
}

impl Answer {
    fn whole(body: Bytes) -> Self {
        Self { data: (!body.is_empty()).then_some(body), cut: None }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match self.cut {
            None => Poll::Ready(None),
            Some(Cut::Flush) => {
                self.cut = Some(Cut::Break);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Cut::Break) => Poll::Ready(Some(Err(io::ErrorKind::BrokenPipe.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.cut.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.data, self.cut) {
            (Some(data), None) => SizeHint::with_exact(data.len() as u64),
            (None, None) => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }
}

/// A socket that closes with a TCP reset on request.
struct Socket {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::world::{self, Fault};

    const GET: &str = "GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n";

    async fn open(served: &Served) -> TcpStream {
        TcpStream::connect(("127.0.0.1", served.port(Service::Hub))).await.expect("a connection")
    }

    /// Sends a request and reads until the end of the connection.
    async fn ask(served: &Served, request: &str) -> io::Result<String> {
        let mut stream = open(served).await;
        stream.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.map(|_| text)
    }

    fn answering(fault: impl Fn() -> Fault + Send + 'static) -> World {
        let world = World::new();
        world.script(move |_, _, _| Some(fault()));
        world
    }

    fn body() -> Response {
        world::json(200, &serde_json::json!({ "text": "0123456789" }))
    }

    #[tokio::test]
    async fn several_requests_share_a_connection() {
        let served = serve(answering(|| Fault::Answer(body())), Options::default()).await.expect("served");
        let close = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let text = ask(&served, &format!("{GET}{close}")).await.expect("two answers");
        assert_eq!(text.matches("0123456789").count(), 2);
        assert_eq!((served.requests(Service::Hub), served.most_at_once(Service::Hub)), (2, 1));
    }

    #[tokio::test]
    async fn a_broken_connection_is_a_tcp_reset() {
        let served = serve(answering(|| Fault::ResetAfter), Options::default()).await.expect("served");
        let error = ask(&served, GET).await.expect_err("no response");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[tokio::test]
    async fn a_cut_answer_announces_more_than_it_brings() {
        let served = serve(answering(|| Fault::Truncate), Options::default()).await.expect("served");
        let request = "GET /v2/namespaces/x/repositories HTTP/1.1\r\nhost: x\r\n\r\n";
        let text = ask(&served, request).await.expect("half an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        assert_eq!(body.len(), length.parse::<usize>().expect("a number") / 2);
        assert!(!body.is_empty());
    }

    #[tokio::test]
    async fn a_head_keeps_its_length_and_has_no_body() {
        let answer = || {
            let mut response = body();
            response.headers_mut().insert("content-length", http::HeaderValue::from(1234));
            Fault::Answer(response)
        };
        let served = serve(answering(answer), Options::default()).await.expect("served");
        let text = ask(&served, "HEAD / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("a head");
        assert!(text.contains("content-length: 1234\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    }

    #[tokio::test]
    async fn entra_is_reached_over_tls_by_who_trusts_the_authority() {
        use rustls::pki_types::pem::PemObject;
        let file = std::env::temp_dir().join(format!("sandbox-authority-{}.pem", std::process::id()));
        let options = Options { authority_file: Some(file.clone()), ..Options::default() };
        let served = serve(answering(|| Fault::Answer(body())), options).await.expect("served");
        let pem = std::fs::read(&file).expect("the authority");
        std::fs::remove_file(&file).expect("removed");
        assert!(served.environment().contains(&("HUBKEEPER_CA_BUNDLE".to_owned(), file.display().to_string())));
        let mut roots = rustls::RootCertStore::empty();
        roots.add(rustls::pki_types::CertificateDer::from_pem_slice(&pem).expect("PEM")).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", served.port(Service::Entra))).await.expect("a connection");
        let name = rustls::pki_types::ServerName::try_from("localhost").expect("a name");
        let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("TLS");
        stream.write_all(GET.as_bytes()).await.expect("sent");
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.expect("an answer");
        assert_eq!(&start, b"HTTP/1.1 200");
    }
}
