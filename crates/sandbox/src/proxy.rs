//! A forward proxy as in company networks: `CONNECT` only, with or without a password. It connects to the loopback interface
//! only, also for names below [`DOMAIN`], which no resolver knows: a request that reaches such a name went through a proxy.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// The domain of names that only a proxy can reach.
pub const DOMAIN: &str = "sandbox.test";

const HEAD_BYTES: usize = 8 * 1024;

#[derive(Default)]
struct Seen {
    tunnels: BTreeMap<String, usize>,
    turned_away: usize,
    refused: BTreeSet<String>,
}

/// A proxy on the loopback interface. Dropping it closes it and its tunnels.
pub struct Proxy {
    port: u16,
    credentials: Option<(String, String)>,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// Starts a proxy. It requires a user and password if the caller gives them.
    ///
    /// # Errors
    /// No socket is available.
    pub async fn start(credentials: Option<(&str, &str)>) -> io::Result<Self> {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = socket.local_addr()?.port();
        let seen = Arc::<Mutex<Seen>>::default();
        let expected =
            credentials.map(|(user, password)| format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
        let task = tokio::spawn(accept(socket, expected, Arc::clone(&seen)));
        let credentials = credentials.map(|(user, password)| (user.to_owned(), password.to_owned()));
        Ok(Self { port, credentials, seen, task })
    }

    /// Its URL, with user and password if it requires them.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.credentials {
            Some((user, password)) => self.url_as(user, password),
            None => format!("http://{}", self.address()),
        }
    }

    /// Its URL with a different user and password.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        let mut url = format!("http://{}", self.address()).parse::<url::Url>().ok();
        if let Some(url) = &mut url {
            let _ = url.set_username(user);
            let _ = url.set_password(Some(password));
        }
        url.map(String::from).unwrap_or_default()
    }

    /// Its host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Rejects tunnels to a host from now on (status 403).
    pub fn refuse(&self, host: &str) {
        lock(&self.seen).refused.insert(host.to_owned());
    }

    /// The opened tunnels, by host.
    #[must_use]
    pub fn tunnels(&self) -> BTreeMap<String, usize> {
        lock(&self.seen).tunnels.clone()
    }

    /// The number of requests without the right user and password.
    #[must_use]
    pub fn turned_away(&self) -> usize {
        lock(&self.seen).turned_away
    }
}

async fn accept(socket: TcpListener, credentials: Option<String>, seen: Arc<Mutex<Seen>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => {
                if let Ok((stream, _)) = accepted {
                    let _ = stream.set_nodelay(true);
                    let (credentials, seen) = (credentials.clone(), Arc::clone(&seen));
                    // an error is a tunnel that one of its ends broke
                    connections.spawn(async move { drop(tunnel(stream, credentials.as_deref(), &seen).await) });
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn tunnel(mut client: TcpStream, credentials: Option<&str>, seen: &Mutex<Seen>) -> io::Result<()> {
    let head = head(&mut client).await?;
    let (host, port) = match admit(&head, credentials, seen) {
        Ok(target) => target,
        Err(status) => {
            let challenge =
                if status.starts_with("407") { "Proxy-Authenticate: Basic realm=\"sandbox\"\r\n" } else { "" };
            let answer = format!("HTTP/1.1 {status}\r\n{challenge}Content-Length: 0\r\nConnection: close\r\n\r\n");
            return client.write_all(answer.as_bytes()).await;
        }
    };
    let Ok(mut service) = TcpStream::connect(("127.0.0.1", port)).await else {
        return client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
    };
    let _ = service.set_nodelay(true);
    *lock(seen).tunnels.entry(host).or_default() += 1;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut service).await.map(|_| ())
}

/// The head of a request, with its empty line. A client sends nothing more before the response.
async fn head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 || head.len() > HEAD_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    String::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// Host and port to connect to, or the status of the error response.
fn admit(head: &str, credentials: Option<&str>, seen: &Mutex<Seen>) -> Result<(String, u16), &'static str> {
    let mut lines = head.split("\r\n");
    let mut line = lines.next().unwrap_or_default().split(' ');
    let (Some("CONNECT"), Some(target)) = (line.next(), line.next()) else { return Err("405 Method Not Allowed") };
    let given = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("proxy-authorization"));
    if credentials.is_some() && given.map(|(_, value)| value.trim()) != credentials {
        lock(seen).turned_away += 1;
        return Err("407 Proxy Authentication Required");
    }
    let (host, port) = target.rsplit_once(':').ok_or("400 Bad Request")?;
    let port = port.parse().map_err(|_| "400 Bad Request")?;
    let known =
        matches!(host, "localhost" | "127.0.0.1") || host.strip_suffix(DOMAIN).is_some_and(|name| name.ends_with('.'));
    if !known || lock(seen).refused.contains(host) {
        return Err("403 Forbidden");
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(proxy: &Proxy, request: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut text = vec![0; 1024];
        let length = stream.read(&mut text).await.expect("an answer");
        String::from_utf8_lossy(&text[..length]).lines().next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn a_tunnel_is_made_for_who_knows_the_password() {
        let service = TcpListener::bind(("127.0.0.1", 0)).await.expect("a socket");
        let port = service.local_addr().expect("an address").port();
        let proxy = Proxy::start(Some(("user", "pass word"))).await.expect("a proxy");
        assert_eq!(proxy.url(), format!("http://user:pass%20word@{}/", proxy.address()));
        let connect = format!("CONNECT hub.sandbox.test:{port} HTTP/1.1\r\nHost: x\r\n");
        let authorization = format!("Proxy-Authorization: Basic {}\r\n\r\n", STANDARD.encode("user:pass word"));
        assert!(ask(&proxy, &format!("{connect}\r\n")).await.contains("407"));
        assert!(ask(&proxy, &format!("{connect}{authorization}")).await.contains("200"));
        proxy.refuse("hub.sandbox.test");
        assert!(ask(&proxy, &format!("{connect}{authorization}")).await.contains("403"));
        assert_eq!((proxy.turned_away(), proxy.tunnels()), (1, [("hub.sandbox.test".to_owned(), 1)].into()));
    }

    #[tokio::test]
    async fn nothing_else_is_carried() {
        let proxy = Proxy::start(None).await.expect("a proxy");
        assert!(ask(&proxy, "GET http://localhost/ HTTP/1.1\r\nHost: x\r\n\r\n").await.contains("405"));
        assert!(ask(&proxy, "CONNECT hub.docker.com:443 HTTP/1.1\r\n\r\n").await.contains("403"));
        assert!(ask(&proxy, "CONNECT localhost:1 HTTP/1.1\r\n\r\n").await.contains("502"));
        assert!(proxy.tunnels().is_empty());
    }
}
