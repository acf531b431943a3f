//! The function as a deployed one: AWS's APIs for Lambda and `CloudFormation` over a real binary, the rules of `EventBridge`, and
//! rotations that run by themselves. For programs that talk to a deployed function, such as the command line.
//!
//! Of Lambda it knows `Invoke` and `GetFunctionConfiguration`, of `CloudFormation` what [`crate::aws::cloudformation`] does. They show
//! [`crate::aws::deployment::Deployment`].

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use time::macros::format_description;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::aws::query::{Form, body as xml_body};
use crate::aws::{self, Signed, cloudformation};
use crate::lambda::LambdaHost;
use crate::listen::{Reply, serve};
use crate::rotation::{self, FunctionError};
use crate::{Recorded, Service, World, record, scene};

/// The function's name.
pub const FUNCTION: &str = "hubkeeper-HubkeeperFunction-sandbox";
/// The stack's name.
pub const STACK: &str = "hubkeeper";
/// The prefix of secret names, in the stack's outputs.
pub const PREFIX: &str = "hubkeeper/";
/// How often the events are looked at: `EventBridge` takes about as long.
const TICK: Duration = Duration::from_millis(50);
/// How often Secrets Manager repeats a failed rotation here.
const ATTEMPTS: usize = 2;
/// The longest invocation.
const TIMEOUT: Duration = Duration::from_mins(15);
/// A request body is an event, and Lambda takes 6 MB.
const LARGEST: usize = 6 << 20;
/// The id of every request to `CloudFormation`.
const REQUEST_ID: &str = "0c3e0f11-0000-4000-a000-00000000000e";

/// A deployed function. Dropping it ends it.
pub struct Deployed {
    port: u16,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

struct Shared {
    world: World,
    host: LambdaHost,
    environment: Vec<(String, String)>,
    code_sha256: String,
    /// Actions that the deployed version does not know.
    forgotten: Mutex<BTreeSet<String>>,
    /// Whether the events of AWS wait.
    held: AtomicBool,
    /// How many invocations AWS's API still handles, and what it answers then.
    refusal: Mutex<Option<Refusal>>,
}

/// What AWS's API answers instead of the function.
struct Refusal {
    handled: usize,
    status: u16,
    code: &'static str,
    /// Whether the function runs nevertheless.
    runs: bool,
}

impl Shared {
    /// The refusal of this invocation: status, code, and whether the function runs nevertheless.
    fn refusal(&self) -> Option<(u16, &'static str, bool)> {
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        let refusal = refusal.as_mut()?;
        if refusal.handled > 0 {
            refusal.handled -= 1;
            return None;
        }
        Some((refusal.status, refusal.code, refusal.runs))
    }

    /// Invokes the function. A successful reconcile counts in the metric, which Lambda takes from the log.
    async fn invoke(&self, event: Value) -> Result<Value, FunctionError> {
        let action = event["action"].as_str().unwrap_or_default().to_owned();
        if self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).contains(&action) {
            return Err(FunctionError {
                error_type: "BadEvent".to_owned(),
                message: "event: field `action` must be one of onboard, reconcile, verify, offboard, status; remedy: docs/events.md \
                          lists the events that hubkeeper understands"
                    .to_owned(),
            });
        }
        let plan = event["mode"] == "plan";
        let outcome = self.host.invoke(event).await;
        if action == "reconcile"
            && !plan
            && outcome
                .as_ref()
                .is_ok_and(|report| ["applied", "unchanged"].iter().any(|good| report["outcome"] == *good))
        {
            self.world.with(|state| {
                let now = state.now();
                state.aws.deployment.reconciled.push(now);
            });
        }
        outcome
    }
}

impl Deployed {
    /// Deploys a binary with these environment variables. Events of `world`'s AWS reach it from now on. If the world has no stack
    /// yet, it is deployed too ([`scene::deploy`]).
    ///
    /// # Errors
    /// There is no socket, or the binary cannot start.
    pub async fn start(world: &World, binary: &Path, environment: &[(String, String)]) -> io::Result<Self> {
        let host = LambdaHost::start(binary, environment, TIMEOUT)?;
        let package = format!("{} {}", binary.display(), std::fs::metadata(binary)?.len());
        let shared = Arc::new(Shared {
            world: world.clone(),
            host,
            environment: environment.to_vec(),
            code_sha256: STANDARD.encode(Sha256::digest(package)),
            forgotten: Mutex::default(),
            held: AtomicBool::new(false),
            refusal: Mutex::default(),
        });
        let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = socket.local_addr()?.port();
        world.with(|state| {
            state.aws.events.clear();
            if state.aws.deployment.stack.is_empty() {
                scene::deploy(state);
            }
        });
        let tasks = [
            tokio::spawn(serve(socket, Arc::clone(&shared), handle)),
            tokio::spawn(deliver(world.clone(), Arc::clone(&shared))),
        ];
        Ok(Self { port, shared, tasks })
    }

    /// The variables that lead a client of AWS to this function.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let url = format!("http://127.0.0.1:{}", self.port);
        ["AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL_CLOUDFORMATION"]
            .map(|name| (name.to_owned(), url.clone()))
            .to_vec()
    }

    /// Invokes the function, past AWS's API.
    ///
    /// # Errors
    /// The function's error.
    pub async fn invoke(&self, event: Value) -> Result<Value, FunctionError> {
        self.shared.invoke(event).await
    }

    /// Holds the events of AWS back, or lets them go: `EventBridge` may take a while.
    pub fn hold_events(&self, held: bool) {
        self.shared.held.store(held, Ordering::Relaxed);
    }

    /// Makes the deployed function an older version that does not know this action: it returns the error `BadEvent`.
    pub fn forget(&self, action: &str) {
        self.shared.forgotten.lock().unwrap_or_else(PoisonError::into_inner).insert(action.to_owned());
    }

    /// Refuses every invocation through AWS's API after the next `handled` ones, with this status and code. With `runs`, the function
    /// handles the event nevertheless.
    pub fn refuse_after(&self, handled: usize, status: u16, code: &'static str, runs: bool) {
        *self.shared.refusal.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Refusal { handled, status, code, runs });
    }

    /// Refuses no more invocation. Returns whether one was refused, or would have been next.
    pub fn calm(&self) -> bool {
        let refusal = self.shared.refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
        refusal.is_some_and(|refusal| refusal.handled == 0)
    }

    /// What the function has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.shared.host.output()
    }
}

impl Deployed {
    /// Ends it, and returns once its sockets are closed. Dropping it closes them a moment later.
    pub async fn stop(mut self) {
        for task in &mut self.tasks {
            task.abort();
            // an aborted task ends with an error
            let _ = task.await;
        }
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Runs the rules: moved labels go to the function, a started rotation runs.
async fn deliver(world: World, shared: Arc<Shared>) {
    let mut rotated = BTreeSet::new();
    loop {
        tokio::time::sleep(TICK).await;
        if shared.held.load(Ordering::Relaxed) {
            continue;
        }
        for event in world.with(|state| std::mem::take(&mut state.aws.events)) {
            let detail = &event["detail"];
            if event["detail-type"] == "Secret Label Updated" {
                // the answer of an asynchronous invocation is nobody's
                let _ = shared.invoke(event.clone()).await;
            } else if detail["eventName"] == "RotationStarted" {
                let extra = &detail["additionalEventData"];
                let text = |name: &str| extra[name].as_str().unwrap_or_default().to_owned();
                let arn = text("SecretId");
                let version = world.with(|state| {
                    let rotating = state.aws.secrets.get(&arn).and_then(|secret| secret.rotating.as_ref());
                    rotating.map(|rotating| rotating.version_id.clone())
                });
                // a repeated attempt of the same rotation is announced again
                if let Some(version) = version
                    && rotated.insert(version)
                {
                    rotation::rotate(&world, &shared.host, &arn, ATTEMPTS).await;
                }
            }
        }
    }
}

async fn handle(shared: Arc<Shared>, request: http::Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let Ok(body) = http_body_util::Limited::new(body, LARGEST).collect().await else {
        return refuse(413, "RequestTooLargeException", "The request payload exceeded the limit.");
    };
    let request = http::Request::from_parts(head, body.to_bytes());
    let mut reply = answer(&shared, &request).await;
    // the services' clock, not this machine's
    let date = shared.world.with(|state| state.date());
    if let Ok(date) = http::HeaderValue::try_from(date) {
        reply.headers_mut().insert(http::header::DATE, date);
    }
    let (head, body) = reply.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let at = shared.world.with(|state| state.now());
    let response = http::Response::from_parts(head, body);
    let entry =
        Recorded { index: 0, service: Service::Aws, at, request, response: Some(response.clone()), faulted: false };
    record::note(&entry);
    response.map(Full::from)
}

async fn answer(shared: &Arc<Shared>, request: &http::Request<Bytes>) -> Reply {
    let body = request.body();
    let authorization =
        request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(signed) = Signed::parse(authorization) else {
        return refuse(403, "MissingAuthenticationTokenException", "Missing Authentication Token");
    };
    if request.method() == http::Method::POST && request.uri().path() == "/" {
        let form = Form::new(body);
        let action = form.field("Action").unwrap_or_default();
        let result = shared.world.with(|state| cloudformation::answer(state, &signed, action, &form));
        let (status, body) = xml_body(cloudformation::NAMESPACE, action, REQUEST_ID, result);
        let builder = http::Response::builder().status(status).header("content-type", "text/xml");
        return builder.body(Full::from(body)).unwrap_or_default();
    }
    let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
    let ["2015-03-31", "functions", name, rest] = path[..] else {
        return refuse(404, "ResourceNotFoundException", "There is no such operation in the sandbox.");
    };
    if signed.service != "lambda" {
        return refuse(403, "InvalidSignatureException", &signed.for_another_service("lambda"));
    }
    let action = match (request.method().as_str(), rest) {
        ("POST", "invocations") => "lambda:InvokeFunction",
        ("GET", "configuration") => "lambda:GetFunctionConfiguration",
        _ => return refuse(404, "ResourceNotFoundException", "There is no such operation in the sandbox."),
    };
    let short = name.rsplit("%3A").next().unwrap_or_default().rsplit(':').next().unwrap_or_default();
    let (arn, message, exists) = shared.world.with(|state| {
        let arn = format!("arn:aws:lambda:{}:{}:function:{short}", signed.region, state.aws.account);
        let message = aws::denial(state, action, Some(&arn));
        (arn, message, signed.region == state.aws.region && short == state.aws.deployment.function.name)
    });
    if let Some(message) = message {
        return refuse(403, "AccessDeniedException", &message);
    }
    if !exists {
        return refuse(404, "ResourceNotFoundException", &format!("Function not found: {arn}"));
    }
    if action != "lambda:InvokeFunction" {
        return configuration(shared);
    }
    match shared.refusal() {
        None => invoke(shared, body).await,
        Some((status, code, runs)) => {
            if runs {
                drop(invoke(shared, body).await);
            }
            refuse(status, code, "The sandbox was told to.")
        }
    }
}

/// As at Lambda, an invocation goes on when its caller has gone.
async fn invoke(shared: &Arc<Shared>, body: &[u8]) -> Reply {
    let Ok(event) = serde_json::from_slice::<Value>(body) else {
        return refuse(400, "InvalidRequestContentException", "Could not parse request body into json.");
    };
    let reply = |builder: http::response::Builder, body: &Value| {
        builder.header("content-type", "application/json").body(Full::from(body.to_string())).unwrap_or_default()
    };
    let invocation = tokio::spawn({
        let shared = Arc::clone(shared);
        async move { shared.invoke(event).await }
    });
    let Ok(outcome) = invocation.await else {
        return refuse(500, "ServiceException", "The sandbox failed.");
    };
    match outcome {
        Ok(answer) => reply(http::Response::builder(), &answer),
        Err(error) => reply(
            http::Response::builder().header("x-amz-function-error", "Unhandled"),
            &json!({"errorType": error.error_type, "errorMessage": error.message}),
        ),
    }
}

fn configuration(shared: &Shared) -> Reply {
    let variables = shared.environment.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    let variables = variables.collect::<Map<_, _>>();
    let (deployment, region, account) =
        shared.world.with(|state| (state.aws.deployment.clone(), state.aws.region.clone(), state.aws.account.clone()));
    let function = deployment.function;
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]+0000");
    let body = json!({
        "FunctionName": function.name,
        "FunctionArn": format!("arn:aws:lambda:{region}:{account}:function:{}", function.name),
        "Role": deployment.role_arn,
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Timeout": function.timeout,
        "MemorySize": function.memory_size,
        "Architectures": [function.architecture],
        "PackageType": "Zip",
        "CodeSha256": shared.code_sha256,
        "LastModified": function.last_modified.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_default(),
        "Version": "$LATEST",
        "State": function.state,
        "LastUpdateStatus": function.last_update_status,
        "LoggingConfig": {"LogFormat": "JSON", "LogGroup": deployment.outputs.get("LogGroupName")},
        "Environment": {"Variables": variables},
    });
    let builder = http::Response::builder().header("content-type", "application/json");
    builder.body(Full::from(body.to_string())).unwrap_or_default()
}

fn refuse(status: u16, code: &str, message: &str) -> Reply {
    let builder = http::Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("x-amzn-errortype", code);
    builder.body(Full::from(json!({"Type": "User", "Message": message}).to_string())).unwrap_or_default()
}

#[cfg(test)]
mod tests;
