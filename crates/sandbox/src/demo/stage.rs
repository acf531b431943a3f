//! The sandbox, the function behind its Runtime API, and the watch over the promises.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::lambda::LambdaHost;
use crate::rotation::FunctionError;
use crate::serve::{Options, Served, serve};
use crate::world::Service;
use crate::{World, arm, hub, record, responses, scene};
use serde_json::Value;

use crate::demo::Failure;
use crate::demo::page::{Page, count, short};

const TIMEOUT: Duration = Duration::from_mins(1);

/// The function's response.
pub(crate) type Answer = Result<Value, FunctionError>;

/// The observations so far.
#[derive(Default)]
pub(crate) struct Watched {
    /// Requests after which a connector's token was checked.
    pub(crate) looks: usize,
    /// Checks that found a connector's token not accepted by Docker Hub.
    pub(crate) dead: usize,
    /// Credentials that were written into a connector.
    pub(crate) written: usize,
    /// Written credentials that could not read everything, or could do more, at the time of the write.
    pub(crate) unproven: usize,
    last: Option<String>,
}

/// Writes, by service.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Writes {
    pub(crate) aws: usize,
    pub(crate) hub: usize,
    pub(crate) arm: usize,
}

impl Writes {
    pub(crate) fn all(self) -> usize {
        self.aws + self.hub + self.arm
    }
}

/// The example world with the function in it.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) arn: String,
    pub(crate) page: Page,
    pub(crate) writes: Writes,
    pub(crate) host: LambdaHost,
    function: PathBuf,
    environment: Vec<(String, String)>,
    /// The output of functions that ran beside the host.
    beside: String,
    watched: Arc<Mutex<Watched>>,
    authority: PathBuf,
    served: Served,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.authority);
    }
}

impl Stage {
    pub(crate) async fn open(function: &Path, page: Page) -> Result<Self, Failure> {
        let world = World::new();
        record::begin(&world);
        let arn = world.with(scene::build);
        let watched = Arc::new(Mutex::new(Watched::default()));
        watch(&world, &watched);
        let authority = scene::authority_file();
        let options = Options { authority_file: Some(authority.clone()), ..Options::default() };
        let served = serve(world.clone(), options).await?;
        let environment = scene::environment(&served);
        let host = LambdaHost::start(function, &environment, TIMEOUT)
            .map_err(|error| format!("{}: {error}", function.display()))?;
        let writes = Writes::default();
        let (function, beside) = (function.to_owned(), String::new());
        Ok(Self { world, arn, page, writes, host, function, environment, beside, watched, authority, served })
    }

    pub(crate) fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an event.
    pub(crate) async fn invoke(&self, event: Value) -> Answer {
        self.host.invoke(event).await
    }

    /// Sends an event to a function with one more environment variable. Also returns its output.
    pub(crate) async fn invoke_with(&mut self, variable: (&str, &str), event: Value) -> (Answer, String) {
        let (name, value) = variable;
        let mut environment = self.environment.clone();
        environment.push((name.to_owned(), value.to_owned()));
        let host = match LambdaHost::start(&self.function, &environment, TIMEOUT) {
            Ok(host) => host,
            Err(error) => {
                let error_type = "Sandbox.NotStarted".to_owned();
                return (Err(FunctionError { error_type, message: error.to_string() }), String::new());
            }
        };
        let answer = host.invoke(event).await;
        let output = host.output();
        self.beside.push_str(&output);
        (answer, output)
    }

    /// The output of all functions so far.
    pub(crate) fn output(&self) -> String {
        self.host.output() + &self.beside
    }

    /// The writes since the previous call. The total keeps them.
    pub(crate) fn take_writes(&mut self) -> Writes {
        let mut writes = Writes::default();
        for entry in self.world.take_record().iter().filter(|entry| entry.is_write()) {
            match entry.service {
                Service::Aws => writes.aws += 1,
                Service::Arm => writes.arm += 1,
                _ => writes.hub += 1,
            }
        }
        self.writes.aws += writes.aws;
        self.writes.hub += writes.hub;
        self.writes.arm += writes.arm;
        writes
    }

    /// A response URL for a custom resource.
    pub(crate) fn response_url(&self) -> String {
        self.served.url(Service::Responses) + &self.world.with(responses::presign)
    }

    /// The events that AWS sent since the previous call.
    pub(crate) fn take_events(&self) -> Vec<Value> {
        self.world.with(|state| std::mem::take(&mut state.aws.events))
    }

    /// Prints a response: the outcome with its details, or the error.
    pub(crate) fn show(&mut self, answer: &Answer) {
        match answer {
            Ok(report) => {
                self.page.row("answer", &summary_of(report));
                self.warnings(report);
                for item in report["items"].as_array().into_iter().flatten() {
                    self.item("item", item);
                }
            }
            Err(error) => {
                let verdict = verdict_of(error).map(|verdict| format!(", verdict {verdict}")).unwrap_or_default();
                self.page.row("answer", &format!("error of type {}{verdict}", error.error_type));
                self.page.row("message", &error.message);
            }
        }
    }

    /// Prints the report about one of several secrets.
    pub(crate) fn item(&mut self, name: &str, report: &Value) {
        let whose = report["organization"].as_str().or(report["secretId"].as_str()).unwrap_or_default();
        self.page.row(name, &format!("{whose}: {}", summary_of(report)));
        if let Some(message) = report["errorMessage"].as_str() {
            self.page.row("message", message);
        }
        self.warnings(report);
    }

    fn warnings(&mut self, report: &Value) {
        for warning in report["warnings"].as_array().into_iter().flatten() {
            let text = |name: &str| warning[name].as_str().unwrap_or_default().to_owned();
            self.page.row("warning", &format!("{}: {}", text("code"), text("message")));
        }
    }
}

/// The reports in the function's log lines.
pub(crate) fn reports_in(log: &str) -> Vec<Value> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter_map(|line| serde_json::from_str(line["report"].as_str()?).ok()).collect()
}

/// Checks every connector after every request: is its token alive, and was it whole when it was written?
fn watch(world: &World, watched: &Arc<Mutex<Watched>>) {
    let watched = Arc::clone(watched);
    world.watch(move |state, _| {
        let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
        for connector in arm::connectors(state) {
            let Some((username, token)) = connector.credential() else { continue };
            watched.looks += 1;
            if !hub::accepts(state, username, token) {
                watched.dead += 1;
            }
            if watched.last.as_deref() != Some(token) {
                watched.last = Some(token.to_owned());
                watched.written += 1;
                let whole = hub::can_pull_everything(state, username, token, scene::ORGANIZATION);
                if !whole || hub::can_push(state, username, token, scene::ORGANIZATION) {
                    watched.unproven += 1;
                }
            }
        }
    });
}

/// The verdict in an error's message.
pub(crate) fn verdict_of(error: &FunctionError) -> Option<&str> {
    let rest = error.message.split_once("the verdict is ")?.1;
    rest.split_once(':').map(|(verdict, _)| verdict)
}

/// A report in one sentence.
pub(crate) fn summary_of(report: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut parts = vec![text(&report["outcome"])];
    if let Some(failures) = report["batchItemFailures"].as_array() {
        let ids: Vec<String> = failures.iter().map(|failure| text(&failure["itemIdentifier"])).collect();
        return if ids.is_empty() { "no record failed".into() } else { format!("failed records: {}", ids.join(", ")) };
    }
    if let Some(items) = report["items"].as_array() {
        parts.push(count(items.len(), "item"));
        return parts.join("; ");
    }
    let verdict = &report["verdict"];
    if verdict.is_object() {
        let repositories = if verdict["repositories"] == 1 { "repository" } else { "repositories" };
        parts.push(format!(
            "verdict {} ({} {repositories}, {} private)",
            text(&verdict["result"]),
            verdict["repositories"],
            verdict["private"]
        ));
    }
    if let Some(uuid) = report["tokens"]["minted"].as_str() {
        parts.push(format!("minted PAT {}", short(uuid)));
    }
    parts.extend(retired_text(report));
    match report["connector"]["change"].as_str() {
        None | Some("none") => {}
        Some(change) => parts.push(format!("connector {change}")),
    }
    if let Some(reason) = report["reason"].as_str() {
        parts.push(reason.to_owned());
    }
    if let Some(steps) = report["plan"].as_array() {
        let steps: Vec<String> = steps.iter().map(|step| text(&step["step"])).collect();
        parts.push(format!("plan: {}", if steps.is_empty() { "nothing".to_owned() } else { steps.join(", ") }));
    }
    parts.join("; ")
}

/// Tokens that a run deactivated or deleted.
fn retired_text(report: &Value) -> Option<String> {
    let uuids: Vec<&str> =
        report["tokens"]["retired"].as_array()?.iter().filter_map(Value::as_str).map(short).collect();
    (!uuids.is_empty()).then(|| format!("retired PAT {}", uuids.join(", ")))
}
