//! The deployed function: how it is found, and how it gets an event.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_lambda::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_lambda::primitives::Blob;
use hubkeeper::http::aws::SdkHttp;
use hubkeeper::http::{HttpClient, Policy};
use hubkeeper::sdk_client;
use hubkeeper_core::config::Environment;
use hubkeeper_core::redact;
use serde_json::Value;

use crate::args;
use crate::exit::{Code, Failure};

/// An invocation lasts up to 15 minutes, and is never sent twice.
const INVOKE: Policy = Policy::CREATE.within(Duration::from_mins(16)).capped(8 << 20);

/// The function as Lambda describes it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Configuration {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// ARN of its role.
    pub role: String,
    /// `Active`, `Pending`, `Inactive`, `Failed`.
    pub state: String,
    /// `Successful`, `Failed`, `InProgress`.
    pub last_update: String,
    /// Seconds.
    pub timeout: i32,
    /// MB.
    pub memory: i32,
    /// URL of the queue, if its environment names one.
    pub queue_url: Option<String>,
}

/// The deployed function. No `Debug`: its settings may name a proxy with a password.
pub struct Deployed {
    lambda: aws_sdk_lambda::Client,
    /// Its name or ARN.
    pub name: String,
    /// The stack that names it, if it was found that way.
    pub stack: Option<String>,
}

impl Deployed {
    /// Finds the function: `--function`, `HUBKEEPER_FUNCTION`, else the output `FunctionName` of the stack.
    ///
    /// # Errors
    /// Returns a failure that says how to name it.
    pub async fn find(
        arguments: &args::Function,
        environment: &Environment,
        aws: &SdkConfig,
        http_client: &HttpClient,
    ) -> Result<Self, Failure> {
        Ok(Self::named(&Names::find(arguments, environment, aws, http_client).await?, aws, http_client))
    }

    /// The function that these names name.
    pub fn named(names: &Names, aws: &SdkConfig, http_client: &HttpClient) -> Self {
        let invoking = SdkHttp::with(http_client.clone(), INVOKE);
        let lambda = sdk_client!(aws_sdk_lambda, aws, http_client, invoking);
        Self { lambda, name: names.function.clone(), stack: names.stack.clone() }
    }

    /// Sends an event and waits for the report.
    ///
    /// # Errors
    /// Returns the function's error with its remedy, or why the function could not be invoked.
    pub async fn invoke(&self, event: &Value) -> Result<Value, Failure> {
        self.ask(event).await.and_then(|answer| answer)
    }

    /// Sends an event and waits for what the function returns: the report, or the error of the event.
    ///
    /// # Errors
    /// Returns why the function could not be invoked.
    pub async fn ask(&self, event: &Value) -> Result<Result<Value, Failure>, Failure> {
        let call = self.lambda.invoke().function_name(&self.name).payload(Blob::new(event.to_string()));
        let response = call.send().await.map_err(|error| self.refused("lambda:InvokeFunction", &error))?;
        let payload = response.payload.map(Blob::into_inner).unwrap_or_default();
        let answer: Value = serde_json::from_slice(&payload).unwrap_or(Value::Null);
        if response.function_error.is_some() {
            let kind = answer["errorType"].as_str().unwrap_or("an unknown error");
            let message = answer["errorMessage"].as_str().unwrap_or("the function failed without a message");
            let code = Code::of_error_type(kind);
            return Ok(Err(match kind {
                "Refused" | "BadEvent" | "Misconfigured" | "NeedsHuman" | "Retryable" => {
                    Failure::of_message(code, message)
                }
                // Lambda's own: the time was up, or the memory
                _ => Failure::new(
                    code,
                    format!("the function {} ended with {kind}: {}", self.name, redact::prose(message)),
                    format!("see its log: aws logs tail /aws/lambda/{} --since 10m", self.name),
                ),
            }));
        }
        if answer.is_object() {
            return Ok(Ok(answer));
        }
        Err(Failure::new(
            Code::Retry,
            format!("the function {} returned no report", self.name),
            "check that --function names hubkeeper's function",
        ))
    }

    /// Returns the function's settings.
    ///
    /// # Errors
    /// Returns why they cannot be read.
    pub async fn configuration(&self) -> Result<Configuration, Failure> {
        let call = self.lambda.get_function_configuration().function_name(&self.name);
        let found = call.send().await.map_err(|error| self.refused("lambda:GetFunctionConfiguration", &error))?;
        let variables = found.environment.and_then(|environment| environment.variables).unwrap_or_default();
        Ok(Configuration {
            name: found.function_name.unwrap_or_else(|| self.name.clone()),
            arn: found.function_arn.unwrap_or_default(),
            role: found.role.unwrap_or_default(),
            state: found.state.map(|state| state.as_str().to_owned()).unwrap_or_default(),
            last_update: found.last_update_status.map(|status| status.as_str().to_owned()).unwrap_or_default(),
            timeout: found.timeout.unwrap_or_default(),
            memory: found.memory_size.unwrap_or_default(),
            queue_url: variables.get("HUBKEEPER_QUEUE_URL").cloned(),
        })
    }

    /// Returns the environment variables of the function that count on this machine too.
    ///
    /// # Errors
    /// Returns why they cannot be read.
    pub async fn settings(&self) -> Result<Environment, Failure> {
        let call = self.lambda.get_function_configuration().function_name(&self.name);
        let response = call.send().await.map_err(|error| self.refused("lambda:GetFunctionConfiguration", &error))?;
        let variables = response.environment.and_then(|environment| environment.variables).unwrap_or_default();
        // how the function logs in at Azure, its files and its network are not this machine's
        let own = ["HUBKEEPER_AZURE_AUTH", "HUBKEEPER_AZURE_CLIENT_SECRET_ID", "HUBKEEPER_CA_BUNDLE"];
        let counts =
            |name: &str| !own.contains(&name) && (name.starts_with("AZURE_") || name.starts_with("HUBKEEPER_"));
        Ok(variables.into_iter().filter(|(name, _)| counts(name)).collect())
    }

    fn refused<E: ProvideErrorMetadata + std::error::Error + 'static>(
        &self,
        action: &str,
        error: &SdkError<E>,
    ) -> Failure {
        let code = error.code().and_then(redact::code);
        let remedy = match code {
            Some("ResourceNotFoundException") => {
                "check the name, the account and the Region (--function, AWS_PROFILE, AWS_REGION)".to_owned()
            }
            Some("AccessDeniedException") => format!("you need the right {action} on it"),
            _ => "try again".to_owned(),
        };
        let why = code.map_or_else(|| reason(error), |code| format!("AWS returned {code}"));
        Failure::new(Code::of_aws(code), format!("the function {} cannot be used: {why}", self.name), remedy)
    }
}

/// Why a call got no response, in our own transport's words.
fn reason<E: std::error::Error + 'static>(error: &SdkError<E>) -> String {
    redact::prose(&DisplayErrorContext(error).to_string())
}

/// The names that a deployment chose.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Names {
    /// Name or ARN of the function.
    pub function: String,
    /// Prefix of the secrets that the function may write, if the stack tells it.
    pub prefix: Option<String>,
    /// The stack that names them, if one does.
    pub stack: Option<String>,
}

impl Names {
    /// Finds the names: `--function`, `HUBKEEPER_FUNCTION`, else the outputs of the stack.
    ///
    /// # Errors
    /// Returns a failure that says how to name the function.
    pub async fn find(
        arguments: &args::Function,
        environment: &Environment,
        aws: &SdkConfig,
        http_client: &HttpClient,
    ) -> Result<Self, Failure> {
        let named =
            |name: &str| environment.get(name).map(|value| value.trim().to_owned()).filter(|name| !name.is_empty());
        let function = arguments.function.clone();
        let function = function.or_else(|| arguments.stack.is_none().then(|| named("HUBKEEPER_FUNCTION")).flatten());
        if let Some(function) = function {
            return Ok(Self { function, prefix: None, stack: None });
        }
        let stack = arguments.stack.clone().or_else(|| named("HUBKEEPER_STACK"));
        of_stack(&stack.unwrap_or_else(|| "hubkeeper".to_owned()), aws, http_client).await
    }
}

/// The outputs `FunctionName` and `SecretNamePrefix` of a stack.
async fn of_stack(stack: &str, aws: &SdkConfig, http_client: &HttpClient) -> Result<Names, Failure> {
    let client = sdk_client!(aws_sdk_cloudformation, aws, http_client);
    let described = client.describe_stacks().stack_name(stack).send().await;
    let remedy =
        "name the function with --function or HUBKEEPER_FUNCTION, or its stack with --stack or HUBKEEPER_STACK";
    let stacks = described.map_err(|error| {
        let code = error.code().and_then(redact::code);
        let why = code.map_or_else(
            || reason(&error),
            |code| match code {
                "ValidationError" => "there is no such stack in this account and Region".to_owned(),
                code => format!("AWS returned {code}"),
            },
        );
        let kind = Code::of_aws(code);
        let right = if matches!(code, Some("AccessDenied" | "AccessDeniedException")) {
            "you need the right cloudformation:DescribeStacks on it, or "
        } else {
            ""
        };
        let remedy = if kind == Code::Retry { "run the command again".to_owned() } else { format!("{right}{remedy}") };
        Failure::new(
            kind,
            format!("the deployed function is not known; the stack {stack} cannot be read: {why}"),
            remedy,
        )
    })?;
    let outputs = stacks.stacks().first().map(aws_sdk_cloudformation::types::Stack::outputs).unwrap_or_default();
    let output = |key: &str| {
        let output = outputs.iter().find(|output| output.output_key() == Some(key));
        output.and_then(|output| output.output_value()).map(str::to_owned)
    };
    let function = output("FunctionName").ok_or_else(|| {
        Failure::new(
            Code::Person,
            format!("the stack {stack} has no output FunctionName: it is not hubkeeper's"),
            remedy,
        )
    })?;
    Ok(Names { function, prefix: output("SecretNamePrefix"), stack: Some(stack.to_owned()) })
}
