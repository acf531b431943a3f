//! The transport to the sandbox, without sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use hubkeeper::http::{Request, Response, Transport, TransportError, TransportErrorKind};
use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{Broken, World};

use crate::gate::Gate;

/// The transport to the sandbox. It selects the service by host name.
#[derive(Clone)]
pub struct InProcess {
    pub(crate) world: World,
    pub(crate) sent: Arc<AtomicUsize>,
    pub(crate) gate: Option<Arc<Gate>>,
}

impl Transport for InProcess {
    fn send(&self, request: Request, body_limit: usize) -> BoxFuture<'static, Result<Response, TransportError>> {
        let this = self.clone();
        Box::pin(async move {
            let index = this.sent.fetch_add(1, Ordering::SeqCst);
            let held = this.gate.as_ref().filter(|gate| gate.at == index);
            if let Some(gate) = held.filter(|gate| !gate.after) {
                gate.reached.notify_one();
                gate.go_on.notified().await;
            }
            let host = request.uri().host().unwrap_or_default().to_owned();
            let Some(service) = Service::of_host(&host) else {
                return Err(TransportError::new(TransportErrorKind::Connect, "no such host in the sandbox"));
            };
            // every request takes time, so that concurrent requests overlap
            tokio::time::sleep(Duration::from_millis(20)).await;
            let answer = this.world.call(service, request);
            if let Some(gate) = held.filter(|gate| gate.after) {
                gate.reached.notify_one();
                gate.go_on.notified().await;
            }
            match answer {
                Ok(response) if response.body().len() > body_limit => {
                    Err(TransportError::new(TransportErrorKind::TooLarge, "body over its cap"))
                }
                Ok(response) => Ok(response),
                Err(Broken::Reset) => Err(TransportError::new(TransportErrorKind::Broken, "connection reset")),
                Err(Broken::Truncated) => Err(TransportError::new(TransportErrorKind::Broken, "body ended early")),
                Err(Broken::Hang) => std::future::pending().await,
            }
        })
    }
}
