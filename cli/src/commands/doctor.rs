//! `hubkeeper doctor`: every check of the deployed function, of what the stack deploys around it, and of the person's own
//! login. Writes nothing at any service.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hubkeeper::doctor::Named;
use hubkeeper::http::HttpShared;
use hubkeeper_core::config::{Cloud, Environment, ProofConfig};
use hubkeeper_core::doctor::{Check, Ledger, State};
use hubkeeper_core::event::DoctorQuery;
use hubkeeper_core::ids::is_secret_id;
use hubkeeper_core::transcript::{Service, Transcript};
use serde_json::{Value, json};

use crate::args::{self, Doctor};
use crate::aws::Reads;
use crate::context::Context;
use crate::doctor::deployment::{self, Targets};
use crate::doctor::{found, login};
use crate::exit::{Code, Failure};
use crate::function::Deployed;
use crate::local::Local;
use crate::progress::Line;
use crate::{local, render};

/// The version of this command line.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The transcript of a run, and the file that it goes to. No `Debug`: a transcript knows the secrets that it hides.
struct Record {
    path: PathBuf,
    transcript: Arc<Mutex<Transcript>>,
}

impl Record {
    /// Checks that the file can be written before anything is sent.
    fn new(path: &Path, config: &ProofConfig, environment: &Environment) -> Result<Self, Failure> {
        let opened = File::options().append(true).create(true).open(path);
        opened.map_err(|error| unwritable(path, &error))?;
        let mut transcript = Transcript::of_proof(config);
        for cloud in [Cloud::Public, Cloud::UsGovernment] {
            transcript.serve(cloud.authority(), Service::Entra);
            transcript.serve(cloud.arm(), Service::Arm);
        }
        for (name, service) in [("AZURE_AUTHORITY_HOST", Service::Entra), ("HUBKEEPER_ARM_URL", Service::Arm)] {
            if let Some(url) = environment.get(name) {
                transcript.serve(url, service);
            }
        }
        let transcript = Arc::new(Mutex::new(transcript));
        Ok(Self { path: path.to_owned(), transcript })
    }

    /// Adds what the function recorded.
    fn add(&self, answer: &Value) {
        if let Some(other) = Transcript::from_json(&answer["transcript"]) {
            self.transcript.lock().unwrap_or_else(PoisonError::into_inner).merge(other);
        }
    }

    fn write(&self) -> Result<String, Failure> {
        let transcript = self.transcript.lock().unwrap_or_else(PoisonError::into_inner).to_json();
        let text = serde_json::to_string_pretty(&transcript).unwrap_or_default();
        fs::write(&self.path, text + "\n").map_err(|error| unwritable(&self.path, &error))?;
        let count = transcript["exchanges"].as_array().map_or(0, Vec::len);
        Ok(format!(
            "{} holds {}: methods, paths, statuses, field names, types and words of errors, and no secret, id, name or value; read it before you send it",
            self.path.display(),
            render::style::count(count, "exchange", "exchanges")
        ))
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(
        format!("{} cannot be written: {}", path.display(), error.kind()),
        "name a file that you may write to with --record",
    )
}

/// What the checks are about, once a run knows it.
#[derive(Default)]
struct About {
    secret: Option<String>,
    named: Option<Named>,
}

/// Runs the command.
///
/// # Errors
/// Returns a failure if the checks cannot begin.
pub async fn run(context: &Context, arguments: Doctor) -> Result<Code, Failure> {
    let ledger = examine(context, &arguments).await?;
    let mut fields = ledger.to_json();
    for (name, value) in [("action", "doctor"), ("outcome", "unchanged"), ("version", VERSION)] {
        fields.insert(name.to_owned(), json!(value));
    }
    context.print(&Value::Object(fields), || render::doctor::doctor(&ledger));
    Ok(if ledger.count(State::Failure) == 0 {
        Code::Done
    } else if ledger.is_worth_a_retry() {
        Code::Retry
    } else {
        Code::Person
    })
}

/// Runs every check, and prints no result.
///
/// # Errors
/// Returns a failure if the checks cannot begin.
pub async fn examine(context: &Context, arguments: &Doctor) -> Result<Ledger, Failure> {
    context.doing("interrupted: doctor writes nothing");
    if arguments.secret.as_deref().is_some_and(|id| !is_secret_id(id)) {
        return Err(Failure::usage(
            "--secret is not the name or ARN of a secret",
            "name it without spaces, as in hubkeeper/acme",
        ));
    }
    let line = context.line("doctor");
    let config = ProofConfig::parse(&context.environment).map_err(|problems| local::misconfigured(&problems))?;
    let record = match &arguments.record {
        Some(path) => Some(Record::new(path, &config, &context.environment)?),
        None => None,
    };
    let shared = context.shared(&line)?;
    let shared = record.as_ref().map_or_else(|| Arc::clone(&shared), |record| shared.recording(&record.transcript));
    let mut ledger = Ledger::default();
    if arguments.local {
        own_checks(context, arguments, &shared, &line, &mut ledger, record.as_ref()).await?;
    } else {
        deployed(context, arguments, &shared, &line, &mut ledger, record.as_ref()).await?;
    }
    line.clear();
    if let Some(record) = record {
        context.say(&record.write()?);
    }
    let is_local = arguments.local;
    // without an answer of the function nothing is known of what it checks
    let root = [Check::Login, Check::Function, Check::Version]
        .into_iter()
        .find(|check| ledger.entry(*check).is_some_and(|entry| entry.state == State::Failure));
    ledger.finish(|check| check.is_function_s() || !is_local, root);
    Ok(ledger)
}

/// Runs the function's checks here, with the caller's credentials.
async fn own_checks(
    context: &Context,
    arguments: &Doctor,
    shared: &Arc<HttpShared>,
    line: &Line,
    ledger: &mut Ledger,
    record: Option<&Record>,
) -> Result<(), Failure> {
    line.message("checking with your own credentials");
    let local = context.local_for_doctor(&arguments.function, Arc::clone(shared)).await?;
    let answer = local.doctor(&query(arguments)).await;
    ledger.merge(Ledger::from_json(&answer));
    if let Some(record) = record {
        record.add(&answer);
    }
    Ok(())
}

fn query(arguments: &Doctor) -> DoctorQuery {
    DoctorQuery { secret_id: arguments.secret.clone(), record: arguments.record.is_some() }
}

/// Checks the deployment, and has the deployed function check the rest.
async fn deployed(
    context: &Context,
    arguments: &Doctor,
    shared: &Arc<HttpShared>,
    line: &Line,
    ledger: &mut Ledger,
    record: Option<&Record>,
) -> Result<(), Failure> {
    let http_client = local::http_client(shared);
    let proxy = ProofConfig::parse(&context.environment).map_err(|problems| local::misconfigured(&problems))?.proxy;
    line.message("checking your login at AWS");
    let Some(aws) = login::check(ledger, &http_client, proxy.as_ref()).await else { return Ok(()) };
    let found = Deployed::find(&arguments.function, &context.environment, &aws, &http_client).await;
    let function = match found {
        Ok(function) => function,
        Err(failure) if is_named(context, &arguments.function) => {
            found::no_function(ledger, &failure);
            return Ok(());
        }
        Err(failure) if !is_absent(&failure) => {
            found::no_function(ledger, &failure);
            return Ok(());
        }
        // a preflight before the deployment
        Err(failure) => {
            ledger.skip(Check::Function, failure.what, Some(&failure.remedy));
            return own_checks(context, arguments, shared, line, ledger, record).await;
        }
    };
    let configuration = match function.configuration().await {
        Ok(configuration) => Some(configuration),
        // the function may be invoked all the same
        Err(failure) if failure.remedy.starts_with("you need the right") => {
            ledger.skip(Check::Function, failure.what, Some(&failure.remedy));
            None
        }
        Err(failure) => {
            found::no_function(ledger, &failure);
            return Ok(());
        }
    };
    let settings = |ledger: &mut Ledger| {
        if let Some(configuration) = &configuration {
            found::configuration(ledger, configuration);
        }
    };
    line.message("waiting for the checks of the deployed function");
    let mut event = json!({"action": "doctor"});
    if let Some(secret) = &arguments.secret {
        event["secretId"] = json!(secret);
    }
    if record.is_some() {
        event["record"] = json!(true);
    }
    let answered = function.ask(&event).await;
    let mut about = About::default();
    match answered {
        Ok(Ok(answer)) => {
            settings(ledger);
            found::version(ledger, Ok(answer["version"].as_str().unwrap_or("unknown")), VERSION);
            ledger.merge(Ledger::from_json(&answer));
            if let Some(record) = record {
                record.add(&answer);
            }
            about.secret = answer["secretId"].as_str().map(str::to_owned);
            about.named = Named::from_json(&answer);
        }
        Ok(Err(failure)) if failure.code == Code::Usage && failure.what.contains("`action`") => {
            settings(ledger);
            found::version(ledger, Err(&failure), VERSION);
        }
        // its configuration is wrong, or Lambda ended it
        Ok(Err(failure)) | Err(failure) => found::no_function(ledger, &failure),
    }
    line.message("checking what the stack deploys");
    let reads = Reads::new(&aws, &context.environment, &http_client);
    let targets = Targets { secret: about.secret.as_deref(), stack: function.stack.as_deref() };
    if let Some(configuration) = &configuration {
        deployment::check(ledger, (&aws, &http_client, &reads), configuration, &targets).await;
    }
    if let Some(named) = about.named.filter(|_| wants_a_person(ledger)) {
        line.message("checking Azure with your own login");
        // tenant, client and cloud are the function's
        let mut environment = context.environment.clone();
        for (name, value) in function.settings().await.unwrap_or_default() {
            environment.entry(name).or_insert(value);
        }
        // without a login of this person the checks stay not reached
        if let Ok(local) = Local::new(&environment, Arc::clone(shared), aws).await {
            let found = local.account(&named, ledger).await;
            ledger.merge(found);
        }
    }
    Ok(())
}

/// Whether no function is deployed yet: there is no stack of that name.
fn is_absent(failure: &Failure) -> bool {
    failure.what.contains("there is no such stack")
}

/// Whether the person says which function is meant.
fn is_named(context: &Context, arguments: &args::Function) -> bool {
    arguments.function.is_some()
        || arguments.stack.is_some()
        || ["HUBKEEPER_FUNCTION", "HUBKEEPER_STACK"].iter().any(|name| context.environment.contains_key(*name))
}

/// Whether a check was not reached because the function's role may not read it.
fn wants_a_person(ledger: &Ledger) -> bool {
    [Check::Plans, Check::Policies].into_iter().any(|check| {
        ledger.entry(check).is_some_and(|entry| entry.state == State::NotReached && entry.because.is_none())
    })
}
