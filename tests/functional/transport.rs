//! Tests the real HTTP client over real sockets: connections that died while idle, and many large bodies at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hubkeeper::clock::{SystemClock, SystemRandom};
use hubkeeper::http::transport::{IDLE, Reqwest};
use hubkeeper::http::{Cause, HttpClient, HttpShared, Policy, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The behaviour of a server after the first response on a connection.
#[derive(Clone, Copy, PartialEq)]
enum After {
    /// It keeps the connection but never responds: a NAT or a load balancer dropped it while the process was frozen.
    Silent,
    /// It closes the connection.
    Closed,
}

/// Starts a server that responds to the first request of each connection. Returns its URL and the number of requests.
async fn server(after: After) -> (String, Arc<AtomicUsize>) {
    let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let seen = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = socket.accept().await {
            head(&mut stream).await;
            counted.fetch_add(1, Ordering::Relaxed);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
            if after == After::Silent {
                held.push(stream);
            }
        }
    });
    (url, seen)
}

async fn head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap_or(0) > 0 {}
}

fn request(method: &str, url: &str) -> Request {
    http::Request::builder().method(method).uri(format!("{url}/x")).body(Bytes::new()).unwrap()
}

fn http_client(client: Reqwest) -> HttpClient {
    let shared = HttpShared::new(Arc::new(client), Arc::new(SystemClock), Arc::new(SystemRandom));
    let deadline = shared.now() + Duration::from_mins(1);
    HttpClient::new(shared, deadline)
}

#[tokio::test]
async fn a_connection_that_lay_idle_is_not_trusted() {
    assert!(IDLE <= Duration::from_secs(30), "well under a minute");
    let idle = Duration::from_millis(100);
    for (after, method, policy) in [
        (After::Silent, "GET", Policy::SAFE),
        (After::Silent, "POST", Policy::CREATE),
        (After::Closed, "POST", Policy::CREATE),
    ] {
        let (url, seen) = server(after).await;
        let http_client = http_client(Reqwest::with_idle(None, None, idle).unwrap());
        // one attempt, so that no retry hides a dead connection
        let policy = Policy { attempts: 1, ..policy.within(Duration::from_secs(5)) };
        for _ in 0..2 {
            assert_eq!(http_client.send(request(method, &url), policy).await.unwrap().status(), 200);
            tokio::time::sleep(3 * idle).await;
        }
        assert_eq!(seen.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn a_read_on_a_dead_connection_is_repeated_on_a_new_one_and_a_create_is_not() {
    let (url, seen) = server(After::Silent).await;
    let read = http_client(Reqwest::new(None, None).unwrap());
    let policy = Policy::SAFE.within(Duration::from_millis(300));
    for _ in 0..2 {
        assert_eq!(read.send(request("GET", &url), policy).await.unwrap().status(), 200);
    }
    assert_eq!(seen.load(Ordering::Relaxed), 2, "the second attempt has a connection of its own");

    let (url, seen) = server(After::Silent).await;
    let create = http_client(Reqwest::new(None, None).unwrap());
    let policy = Policy::CREATE.within(Duration::from_millis(300));
    assert_eq!(create.send(request("POST", &url), policy).await.unwrap().status(), 200);
    let error = create.send(request("POST", &url), policy).await.unwrap_err();
    assert!(error.acted && error.cause == Cause::Timeout, "{error}");
    assert_eq!(seen.load(Ordering::Relaxed), 1);
}

/// How each server declares the length of a body: in advance, or not at all.
#[derive(Clone, Copy, PartialEq)]
enum Length {
    Told,
    Chunked,
}

async fn pages(length: Length, bytes: usize) -> String {
    let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = socket.accept().await {
            tokio::spawn(async move {
                head(&mut stream).await;
                let chunk = vec![b'x'; 64 << 10];
                let told = match length {
                    Length::Told => format!("content-length: {bytes}"),
                    Length::Chunked => "transfer-encoding: chunked".to_owned(),
                };
                let mut sent = stream.write_all(format!("HTTP/1.1 200 OK\r\n{told}\r\n\r\n").as_bytes()).await;
                for _ in 0..bytes / chunk.len() {
                    if length == Length::Chunked {
                        sent = sent.and(stream.write_all(b"10000\r\n").await);
                    }
                    sent = sent.and(stream.write_all(&chunk).await);
                    if length == Length::Chunked {
                        sent = sent.and(stream.write_all(b"\r\n").await);
                    }
                }
                if length == Length::Chunked {
                    sent = sent.and(stream.write_all(b"0\r\n\r\n").await);
                }
                // the client closed the connection
                drop(sent);
                let _ = stream.read(&mut [0]).await;
            });
        }
    });
    url
}

/// 64 pages of 8 MiB are 512 MiB. The client reads each page to its end, and never holds more than the pool, the
/// reserve and the socket buffers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_large_pages_side_by_side_are_read_in_bounded_memory() {
    const PAGE: usize = 8 << 20;
    for length in [Length::Told, Length::Chunked] {
        let url = pages(length, PAGE).await;
        let http_client = http_client(Reqwest::new(None, None).unwrap());
        let held = Arc::new(Mutex::new((0_usize, 0_usize)));
        let readers: Vec<_> = (0..64)
            .map(|_| {
                let (http_client, url, held) = (http_client.clone(), url.clone(), Arc::clone(&held));
                tokio::spawn(async move {
                    let policy = Policy::SAFE.capped(PAGE).within(Duration::from_secs(50));
                    let response = http_client.send(request("GET", &url), policy).await.unwrap();
                    {
                        let mut held = held.lock().unwrap();
                        held.0 += response.body().len();
                        held.1 = held.1.max(held.0);
                    }
                    // a slow client holds a page until it is parsed
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    held.lock().unwrap().0 -= response.body().len();
                    response.body().len()
                })
            })
            .collect();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), PAGE);
        }
        let most = held.lock().unwrap().1;
        assert!(most <= 40 << 20, "{} MiB of bodies at once", most >> 20);
    }
}
