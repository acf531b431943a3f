//! Pauses one invocation at a request, to act meanwhile or to kill the function there.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Notify;

use crate::{Answer, Scene};

/// The request at which one invocation pauses, and the signal that resumes it.
pub struct Gate {
    pub(crate) at: usize,
    pub(crate) after: bool,
    /// Notified when the invocation reaches the request.
    pub reached: Notify,
    /// Resumes the invocation.
    pub go_on: Notify,
}

/// A gate at a request: before the function sends it, or after the service handled it.
pub fn gate(at: usize, after: bool) -> Arc<Gate> {
    Arc::new(Gate { at, after, reached: Notify::new(), go_on: Notify::new() })
}

/// Runs `event` until it reaches the gate, then `meanwhile`, then the rest. `None` if it never reached the gate.
pub async fn interleave<T>(
    scene: &Scene,
    event: Value,
    at: usize,
    meanwhile: impl Future<Output = T>,
) -> (Answer, Option<T>) {
    let gate = gate(at, false);
    let handler = scene.handler(Some(Arc::clone(&gate)));
    let deadline = scene.deadline();
    let first = handler.handle(&event, deadline);
    let second = async {
        gate.reached.notified().await;
        let result = meanwhile.await;
        gate.go_on.notify_one();
        result
    };
    tokio::pin!(first, second);
    let mut between = None;
    let answer = loop {
        tokio::select! {
            biased;
            result = &mut second, if between.is_none() => between = Some(result),
            answer = &mut first => break answer,
        }
    };
    scene.keep(&answer);
    (answer, between)
}

/// Kills the function at a request, before or after the service handled it. `false` if the function ended before.
pub async fn kill(scene: &Scene, event: Value, at: usize, after: bool) -> bool {
    let gate = gate(at, after);
    let handler = scene.handler(Some(Arc::clone(&gate)));
    let deadline = scene.deadline();
    tokio::select! {
        biased;
        () = gate.reached.notified() => true,
        answer = handler.handle(&event, deadline) => { scene.keep(&answer); false }
    }
}
