//! A Lambda Runtime API (AWS's "Building a custom runtime", version 2018-06-01) that runs a real binary.
//!
//! As in Lambda, the next invocation restarts a function that timed out or exited. One invocation runs at a time; others wait.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::listen::{Reply, serve};
use crate::rotation::{Function, FunctionError};

const VERSION: &str = "/2018-06-01/runtime";
const ARN: &str = "arn:aws:lambda:eu-west-1:111122223333:function:sandbox";
/// Lambda limits the response of a synchronous invocation to 6 MB. The rest is for the request around it.
const ANSWER_BYTES: usize = 6 * 1024 * 1024 + 100 * 1024;

/// Lambda's limit for the initialisation.
const INIT: Duration = Duration::from_secs(10);

type Outcome = Result<Value, FunctionError>;

struct Invocation {
    id: String,
    event: String,
    deadline: Duration,
    answer: oneshot::Sender<Outcome>,
}

/// State shared by the host and one child's Runtime API.
struct HttpShared {
    waiting: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    running: Mutex<BTreeMap<String, oneshot::Sender<Outcome>>>,
    spawned: Instant,
    /// Time from the start of the child to its first `GET next`.
    polled: watch::Sender<Option<Duration>>,
    init_error: Mutex<Option<FunctionError>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child with its own Runtime API, so that leftovers of one child cannot reach the next. Dropping it kills the child.
struct Running {
    shared: Arc<HttpShared>,
    invocations: mpsc::UnboundedSender<Invocation>,
    ended: watch::Receiver<Option<String>>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// A binary behind a Runtime API.
pub struct LambdaHost {
    binary: PathBuf,
    environment: Vec<(String, String)>,
    timeout: Duration,
    output: File,
    next_id: AtomicU64,
    running: tokio::sync::Mutex<Option<Running>>,
    latest: Mutex<(u32, Option<Arc<HttpShared>>)>,
}

/// A file without a name. The host can read the child's output at once, without a reader that lags behind.
fn nameless_file() -> io::Result<File> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!("sandbox-output-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    let file = File::options().read(true).append(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

impl LambdaHost {
    /// Starts the API and the binary. From this process's environment the binary gets only `PATH` and `HOME`, then the variables
    /// of the Lambda runtime, then the caller's. `timeout` is the function's. Requires a tokio runtime.
    ///
    /// # Errors
    /// No socket, no file for the output, or the binary cannot start.
    pub fn start(binary: &Path, environment: &[(String, String)], timeout: Duration) -> io::Result<Self> {
        let mut variables: Vec<(String, String)> = [
            ("AWS_LAMBDA_FUNCTION_NAME", "sandbox"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/sandbox"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/24/[$LATEST]0123456789abcdef"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023"),
            ("_HANDLER", "bootstrap"),
            ("LAMBDA_TASK_ROOT", "/var/task"),
            ("LAMBDA_RUNTIME_DIR", "/var/runtime"),
            ("TZ", ":UTC"),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_DEFAULT_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDSANDBOX"),
            ("AWS_SECRET_ACCESS_KEY", "sandbox"),
            ("AWS_SESSION_TOKEN", "sandbox"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("NO_PROXY", "127.0.0.1,localhost"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        let inherited = ["PATH", "HOME"].map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
        variables.extend(inherited.into_iter().flatten());
        variables.extend_from_slice(environment);
        let mut host = Self {
            binary: binary.to_owned(),
            environment: variables,
            timeout,
            output: nameless_file()?,
            next_id: AtomicU64::new(1),
            running: tokio::sync::Mutex::new(None),
            latest: Mutex::new((0, None)),
        };
        let running = host.spawn()?;
        *host.running.get_mut() = Some(running);
        Ok(host)
    }

    fn spawn(&self) -> io::Result<Running> {
        let socket = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let socket = TcpListener::from_std(socket)?;
        let (invocations, waiting) = mpsc::unbounded_channel();
        let shared = Arc::new(HttpShared {
            waiting: tokio::sync::Mutex::new(waiting),
            running: Mutex::default(),
            spawned: Instant::now(),
            polled: watch::Sender::new(None),
            init_error: Mutex::default(),
        });
        let mut child = tokio::process::Command::new(&self.binary)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::from(self.output.try_clone()?))
            .stderr(Stdio::from(self.output.try_clone()?))
            .kill_on_drop(true)
            .spawn()?;
        *lock(&self.latest) = (child.id().unwrap_or_default(), Some(Arc::clone(&shared)));
        let (end, ended) = watch::channel(None);
        let watched = tokio::spawn(async move {
            let status = child.wait().await;
            let text = status.map_or_else(|error| error.to_string(), |status| status.to_string());
            end.send_replace(Some(text));
        });
        let served = tokio::spawn(serve(socket, Arc::clone(&shared), handle));
        Ok(Running { shared, invocations, ended, tasks: [watched, served] })
    }

    /// Invokes the function with its configured timeout.
    ///
    /// # Errors
    /// The error that the function reported; `Sandbox.Timedout`; `Runtime.ExitError` if the binary exited without a response.
    pub async fn invoke(&self, event: Value) -> Outcome {
        self.invoke_with_deadline(event, self.timeout).await
    }

    /// Invokes the function with another deadline.
    ///
    /// # Errors
    /// As [`LambdaHost::invoke`].
    pub async fn invoke_with_deadline(&self, event: Value, timeout: Duration) -> Outcome {
        self.invoke_text(event.to_string(), timeout).await
    }

    /// Invokes the function with a raw payload: Lambda's front end may accept JSON that other parsers reject.
    ///
    /// # Errors
    /// As [`LambdaHost::invoke`].
    pub async fn invoke_text(&self, event: String, timeout: Duration) -> Outcome {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let mut running = self.running.lock().await;
        let failed = |error: io::Error| fails("Runtime.InvalidEntrypoint", error.to_string());
        let mut child = match running.take() {
            Some(child) if child.ended.borrow().is_none() => child,
            _ => self.spawn().map_err(failed)?,
        };
        let mut polled = child.shared.polled.subscribe();
        tokio::select! {
            _ = polled.wait_for(Option::is_some) => {}
            status = ended(&mut child.ended) => return Err(child.exit(&id, &status)),
            () = tokio::time::sleep(INIT) => return Err(fails("Sandbox.Timedout", "the initialisation took too long")),
        }
        let (answer, mut answered) = oneshot::channel();
        let invocation = Invocation { id: id.clone(), event, deadline: timeout, answer };
        if child.invocations.send(invocation).is_err() {
            return Err(fails("Sandbox.Failure", "the Runtime API is gone"));
        }
        let outcome = tokio::select! {
            biased;
            outcome = &mut answered => outcome.ok(),
            // a response that arrived just before the exit counts
            status = ended(&mut child.ended) => Some(answered.try_recv().unwrap_or_else(|_| Err(child.exit(&id, &status)))),
            () = tokio::time::sleep(timeout) => None,
        };
        if let Some(outcome) = outcome {
            *running = Some(child);
            return outcome;
        }
        let seconds = timeout.as_secs_f64();
        Err(fails("Sandbox.Timedout", format!("RequestId: {id} Error: Task timed out after {seconds:.2} seconds")))
    }

    /// The binary's whole output so far: standard output and standard error in the order of arrival.
    #[must_use]
    pub fn output(&self) -> String {
        let mut bytes = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = self.output.read_at(&mut chunk, bytes.len() as u64) {
            bytes.extend_from_slice(&chunk[..read]);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The peak memory of the running binary, in KiB (`VmHWM` of `/proc`). `None` if it does not run.
    #[must_use]
    pub fn peak_memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    }

    /// Time from the last start of the binary to its first poll of the Runtime API. Waits for that poll.
    ///
    /// # Errors
    /// `TimedOut` if no poll came within the function's timeout.
    pub async fn started_to_first_poll(&self) -> io::Result<Duration> {
        let latest = lock(&self.latest).1.clone();
        let mut polled = latest.ok_or(io::ErrorKind::NotConnected)?.polled.subscribe();
        let wait = tokio::time::timeout(self.timeout, polled.wait_for(Option::is_some)).await;
        let first = wait.ok().and_then(|seen| seen.ok().and_then(|first| *first));
        first.ok_or_else(|| io::ErrorKind::TimedOut.into())
    }

    /// The process id of the last start.
    #[must_use]
    pub fn pid(&self) -> u32 {
        lock(&self.latest).0
    }
}

impl Running {
    /// Why the child exited: its initialisation error, or its exit status.
    fn exit(&self, id: &str, status: &str) -> FunctionError {
        let reported = lock(&self.shared.init_error).take();
        reported
            .unwrap_or_else(|| fails("Runtime.ExitError", format!("RequestId: {id} Error: Runtime exited: {status}")))
    }
}

impl Function for LambdaHost {
    async fn invoke(&self, event: Value) -> Outcome {
        LambdaHost::invoke(self, event).await
    }
}

fn fails(error_type: &str, message: impl Into<String>) -> FunctionError {
    FunctionError { error_type: error_type.to_owned(), message: message.into() }
}

async fn ended(end: &mut watch::Receiver<Option<String>>) -> String {
    match end.wait_for(Option::is_some).await {
        Ok(status) => status.clone().unwrap_or_default(),
        Err(_) => String::new(),
    }
}

fn reply(status: u16, body: &Value) -> Reply {
    let builder = http::Response::builder().status(status).header("content-type", "application/json");
    builder.body(Full::from(body.to_string())).unwrap_or_default()
}

fn refuse(status: u16, error_type: &str, message: &str) -> Reply {
    reply(status, &json!({ "errorType": error_type, "errorMessage": message }))
}

/// The error object of a runtime: `{"errorType","errorMessage"}`.
fn reported(body: &[u8]) -> FunctionError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    FunctionError { error_type: text("errorType"), message: text("errorMessage") }
}

async fn handle(shared: Arc<HttpShared>, request: http::Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let Some(path) = head.uri.path().strip_prefix(VERSION).map(str::to_owned) else {
        return refuse(404, "InvalidPath", "unknown path");
    };
    if head.method == http::Method::GET && path == "/invocation/next" {
        return next(&shared).await;
    }
    let Ok(body) = Limited::new(body, ANSWER_BYTES).collect().await else {
        return refuse(413, "RequestEntityTooLarge", "Exceeded maximum allowed payload size (6291556 bytes).");
    };
    let body = body.to_bytes();
    if head.method != http::Method::POST {
        return refuse(405, "InvalidMethod", "method not allowed");
    }
    if path == "/init/error" {
        *lock(&shared.init_error) = Some(reported(&body));
        return reply(202, &json!({ "status": "OK" }));
    }
    let invocation = path.strip_prefix("/invocation/").and_then(|rest| rest.split_once('/'));
    let Some((id, kind @ ("response" | "error"))) = invocation else {
        return refuse(404, "InvalidPath", "unknown path");
    };
    let Some(answer) = lock(&shared.running).remove(id) else {
        return refuse(400, "InvalidRequestID", "Invalid request ID");
    };
    let outcome = match kind {
        "error" => Err(reported(&body)),
        _ => serde_json::from_slice(&body).map_err(|_| fails("Runtime.InvalidResponse", "the response is not JSON")),
    };
    // the caller has gone if the invocation has just timed out
    let _ = answer.send(outcome);
    reply(202, &json!({ "status": "OK" }))
}

async fn next(shared: &HttpShared) -> Reply {
    let since = shared.spawned.elapsed();
    shared.polled.send_if_modified(|polled| {
        let first = polled.is_none();
        polled.get_or_insert(since);
        first
    });
    let mut waiting = shared.waiting.lock().await;
    // skip an invocation whose caller has gone
    let invocation = loop {
        match waiting.recv().await {
            Some(invocation) if invocation.answer.is_closed() => {}
            other => break other,
        }
    };
    drop(waiting);
    let Some(Invocation { id, event, deadline, answer }) = invocation else {
        return refuse(500, "Sandbox.Failure", "the host is gone");
    };
    lock(&shared.running).insert(id.clone(), answer);
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + deadline;
    let response = http::Response::builder()
        .header("content-type", "application/json")
        .header("lambda-runtime-aws-request-id", id)
        .header("lambda-runtime-deadline-ms", end.as_millis().to_string())
        .header("lambda-runtime-invoked-function-arn", ARN)
        .header(
            "lambda-runtime-trace-id",
            "Root=1-65e0c9f0-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=0",
        );
    response.body(Full::from(event)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
