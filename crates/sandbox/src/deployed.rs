//! The function as a deployed one: AWS's APIs for Lambda and `CloudFormation` over a real binary, the rules of `EventBridge`, and
//! rotations that run by themselves. For programs that talk to a deployed function, such as the command line.
//!
//! Of Lambda it knows `Invoke` and `GetFunctionConfiguration`, of `CloudFormation` `DescribeStacks` with one stack.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::World;
use crate::lambda::LambdaHost;
use crate::listen::{Reply, serve};
use crate::rotation::{self, FunctionError};

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

/// A deployed function. Dropping it ends it.
pub struct Deployed {
    port: u16,
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

struct Shared {
    host: LambdaHost,
    environment: Vec<(String, String)>,
}

impl Deployed {
    /// Deploys a binary with these environment variables. Events of `world`'s AWS reach it from now on.
    ///
    /// # Errors
    /// There is no socket, or the binary cannot start.
    pub async fn start(world: &World, binary: &Path, environment: &[(String, String)]) -> io::Result<Self> {
        let host = LambdaHost::start(binary, environment, TIMEOUT)?;
        let shared = Arc::new(Shared { host, environment: environment.to_vec() });
        let socket = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = socket.local_addr()?.port();
        world.with(|state| state.aws.events.clear());
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
        self.shared.host.invoke(event).await
    }

    /// What the function has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.shared.host.output()
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
        for event in world.with(|state| std::mem::take(&mut state.aws.events)) {
            let detail = &event["detail"];
            if event["detail-type"] == "Secret Label Updated" {
                // the answer of an asynchronous invocation is nobody's
                let _ = shared.host.invoke(event.clone()).await;
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
    let signed = head.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !signed.starts_with("AWS4-HMAC-SHA256 Credential=") {
        return refuse(403, "MissingAuthenticationTokenException", "Missing Authentication Token");
    }
    let body = match http_body_util::Limited::new(body, LARGEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return refuse(413, "RequestTooLargeException", "The request payload exceeded the limit."),
    };
    if head.method == http::Method::POST && head.uri.path() == "/" {
        return describe_stacks(&String::from_utf8_lossy(&body));
    }
    let path: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    let ["2015-03-31", "functions", name, rest] = path[..] else {
        return refuse(404, "ResourceNotFoundException", "There is no such operation in the sandbox.");
    };
    if name != FUNCTION && !name.ends_with(&format!("%3A{FUNCTION}")) && !name.ends_with(&format!(":{FUNCTION}")) {
        let arn = format!("Function not found: arn:aws:lambda:eu-west-1:111122223333:function:{name}");
        return refuse(404, "ResourceNotFoundException", &arn);
    }
    match (head.method, rest) {
        (http::Method::POST, "invocations") => invoke(&shared, &body).await,
        (http::Method::GET, "configuration") => configuration(&shared),
        _ => refuse(404, "ResourceNotFoundException", "There is no such operation in the sandbox."),
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
        async move { shared.host.invoke(event).await }
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
    let body = json!({
        "FunctionName": FUNCTION,
        "FunctionArn": format!("arn:aws:lambda:eu-west-1:111122223333:function:{FUNCTION}"),
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Version": "$LATEST",
        "State": "Active",
        "Environment": {"Variables": variables.collect::<Map<_, _>>()},
    });
    let builder = http::Response::builder().header("content-type", "application/json");
    builder.body(Full::from(body.to_string())).unwrap_or_default()
}

/// The outputs of the one stack, as `CloudFormation`'s query protocol writes them.
fn describe_stacks(form: &str) -> Reply {
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let field = |name: &str| fields.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let xml = |status: u16, body: String| {
        let builder = http::Response::builder().status(status).header("content-type", "text/xml");
        builder.body(Full::from(body)).unwrap_or_default()
    };
    let namespace = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
    if field("Action") != "DescribeStacks" || field("StackName") != STACK {
        let name: String = field("StackName").chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        return xml(
            400,
            format!(
                "<ErrorResponse xmlns=\"{namespace}\"><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id {name} does not exist</Message></Error></ErrorResponse>"
            ),
        );
    }
    let output = |key: &str, value: &str| {
        format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
    };
    xml(
        200,
        format!(
            "<DescribeStacksResponse xmlns=\"{namespace}\"><DescribeStacksResult><Stacks><member><StackName>{STACK}</StackName><CreationTime>2026-11-24T10:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus><Outputs>{}{}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>",
            output("FunctionName", FUNCTION),
            output("SecretNamePrefix", PREFIX)
        ),
    )
}

fn refuse(status: u16, code: &str, message: &str) -> Reply {
    let builder = http::Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("x-amzn-errortype", code);
    builder.body(Full::from(json!({"Type": "User", "Message": message}).to_string())).unwrap_or_default()
}
