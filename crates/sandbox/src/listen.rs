//! Serves a small API of ours: HTTP/1.1 on one socket, without TLS and without scripts. The services of the sandbox have their own
//! server ([`crate::serve`]).

use std::future::Future;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A response with its whole body.
pub(crate) type Reply = http::Response<Full<Bytes>>;

/// Passes every request on `socket` to `handle`. Dropping the future ends the connections.
pub(crate) async fn serve<S, H, F>(socket: TcpListener, shared: Arc<S>, handle: H)
where
    S: Send + Sync + 'static,
    H: Fn(Arc<S>, http::Request<Incoming>) -> F + Copy + Send + 'static,
    F: Future<Output = Reply> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = socket.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let _ = stream.set_nodelay(true);
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let reply = handle(Arc::clone(&shared), request);
                        async move { io::Result::Ok(reply.await) }
                    });
                    // an error is a client that disconnected
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
