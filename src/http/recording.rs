//! Notes every exchange of a transport in a transcript (docs/verified.md).

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;
use hubkeeper_core::transcript::{Exchange, Message, Transcript};

use crate::http::exchange::{Request, Response};
use crate::http::transport::{Transport, TransportError};

/// A transport that notes what another one sends and receives, and changes nothing of it.
pub struct Recording {
    transport: Arc<dyn Transport>,
    transcript: Arc<Mutex<Transcript>>,
}

impl Recording {
    /// Creates a transport that sends with `transport` and notes each exchange in `transcript`.
    pub fn new(transport: Arc<dyn Transport>, transcript: Arc<Mutex<Transcript>>) -> Self {
        Self { transport, transcript }
    }
}

impl Transport for Recording {
    fn send(&self, request: Request, body_limit: usize) -> BoxFuture<'static, Result<Response, TransportError>> {
        let mut pending =
            Pending { request: request.clone(), response: None, transcript: Arc::clone(&self.transcript) };
        let sent = self.transport.send(request, body_limit);
        Box::pin(async move {
            let outcome = sent.await;
            pending.end(outcome.as_ref().ok());
            outcome
        })
    }
}

/// An exchange that is noted when it ends, also if the caller stops waiting for the response.
struct Pending {
    request: Request,
    response: Option<Response>,
    transcript: Arc<Mutex<Transcript>>,
}

impl Pending {
    fn end(&mut self, response: Option<&Response>) {
        self.response = response.cloned();
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let uri = self.request.uri().to_string();
        let exchange = Exchange {
            method: self.request.method().as_str(),
            uri: &uri,
            request: message(self.request.headers(), self.request.body()),
            response: self
                .response
                .as_ref()
                .map(|response| (response.status().as_u16(), message(response.headers(), response.body()))),
        };
        self.transcript.lock().unwrap_or_else(PoisonError::into_inner).note(&exchange);
    }
}

fn message<'a>(headers: &'a http::HeaderMap, body: &'a [u8]) -> Message<'a> {
    Message { headers: headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(), body }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use futures_util::FutureExt;
    use hubkeeper_core::transcript::Service;

    use super::*;
    use crate::http::transport::TransportErrorKind;

    /// Responds to `/hang` never, to `/break` with an error, and to everything else with 200.
    struct Fixed;

    impl Transport for Fixed {
        fn send(&self, request: Request, body_limit: usize) -> BoxFuture<'static, Result<Response, TransportError>> {
            assert_eq!(body_limit, 7);
            Box::pin(async move {
                match request.uri().path() {
                    "/v2/hang" | "/v2/invites/hang" => std::future::pending().await,
                    "/v2/break" => Err(TransportError::new(TransportErrorKind::Broken, "reset")),
                    _ => Ok(http::Response::new(Bytes::from_static(b"{\"count\": 1}"))),
                }
            })
        }
    }

    fn request(path: &str) -> Request {
        http::Request::builder().uri(format!("https://hub.example{path}")).body(Bytes::new()).unwrap()
    }

    #[tokio::test]
    async fn every_exchange_is_noted_and_none_is_changed() {
        let transcript = Arc::new(Mutex::new(Transcript::new([("https://hub.example".to_owned(), Service::Hub)])));
        let recording = Recording::new(Arc::new(Fixed), Arc::clone(&transcript));
        let response = recording.send(request("/v2/auth/token"), 7).await.unwrap();
        assert_eq!(response.body().as_ref(), b"{\"count\": 1}");
        let broken = recording.send(request("/v2/break"), 7).await.unwrap_err();
        assert_eq!(broken, TransportError::new(TransportErrorKind::Broken, "reset"));
        let mut hanging = recording.send(request("/v2/invites/hang"), 7);
        assert!((&mut hanging).now_or_never().is_none());
        drop(hanging);
        let late = tokio::time::timeout(Duration::from_millis(1), recording.send(request("/v2/hang"), 7)).await;
        assert!(late.is_err());
        let json = transcript.lock().unwrap().to_json();
        let seen: Vec<_> = json["exchanges"].as_array().unwrap().iter().map(|e| (&e["path"], &e["status"])).collect();
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(
            seen,
            [
                (&json("\"/v2/auth/token\""), &json("200")),
                (&json("\"/v2/invites/{}\""), &json("null")),
                (&json("\"/v2/{}\""), &json("null")),
            ]
        );
    }
}
