//! What every command has: the environment, the terminal, and the words for whoever presses Ctrl-C.

use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use hubkeeper::http::{HttpClient, HttpShared};
use hubkeeper_core::config::Environment;
use serde_json::Value;

use crate::args::{self, Format, Global};
use crate::exit::Failure;
use crate::function::Deployed;
use crate::local::{self, Local};
use crate::progress::Line;
use crate::render;
use crate::terminal::{self, Terminal};

/// A tenant or a client that nobody logs in with.
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// What every command has. No `Debug`: the environment may hold a token.
pub struct Context {
    /// The options of all commands.
    pub global: Global,
    /// The environment.
    pub environment: Environment,
    /// The terminal.
    pub terminal: Terminal,
    /// What is under way, for whoever interrupts it.
    under_way: Mutex<String>,
    /// The line of progress that is shown, or was shown last.
    line: Mutex<Option<Arc<Line>>>,
}

/// The login of the Azure CLI needs neither the function's tenant nor its client.
fn without_function(environment: &mut Environment) {
    if !environment.contains_key("HUBKEEPER_AZURE_AUTH") {
        for name in ["AZURE_TENANT_ID", "AZURE_CLIENT_ID"] {
            environment.entry(name.to_owned()).or_insert_with(|| NOBODY.to_owned());
        }
    }
}

impl Context {
    /// The context of this process.
    pub fn new(global: Global) -> Self {
        Self {
            global,
            environment: std::env::vars().collect(),
            terminal: Terminal::detect(),
            under_way: Mutex::default(),
            line: Mutex::default(),
        }
    }

    /// Notes what is under way, and what an interruption leaves behind.
    pub fn doing(&self, what: impl Into<String>) {
        *self.under_way.lock().unwrap_or_else(PoisonError::into_inner) = what.into();
    }

    /// What was under way.
    pub fn under_way(&self) -> String {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A line of progress. It takes the place of the one before.
    pub fn line(&self, what: &str) -> Arc<Line> {
        self.clear_line();
        let line = Arc::new(Line::new(what, self.terminal.shows_progress, self.global.quiet));
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&line));
        line
    }

    /// Takes the line of progress away, if one is shown.
    pub fn clear_line(&self) {
        if let Some(line) = self.line.lock().unwrap_or_else(PoisonError::into_inner).take() {
            line.clear();
        }
    }

    /// Says something beside the result, unless `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.global.quiet {
            terminal::say(text);
        }
    }

    /// Says what to do, unless `--quiet` or the result is for a program.
    pub fn advise(&self, remedy: &str) {
        if self.is_for_people() {
            let width = if self.terminal.shows_progress { self.terminal.width } else { u16::MAX };
            self.say(&format!("\n{}", render::advice(remedy, width)));
        }
    }

    /// Prints a result in the form that was asked for.
    pub fn print(&self, value: &Value, table: impl FnOnce() -> String) {
        let text = render::result(value, self.global.output, table);
        if self.is_for_people() && self.terminal.shows_results {
            terminal::print(&render::wrapped(&text, self.terminal.width));
        } else {
            terminal::print(&text);
        }
    }

    /// Prints a result that people have read already, for programs alone.
    pub fn print_for_programs(&self, value: &Value) {
        if !self.is_for_people() {
            self.print(value, String::new);
        }
    }

    /// Whether the result is for people.
    pub fn is_for_people(&self) -> bool {
        self.global.output == Format::Table
    }

    /// The state of the HTTP client.
    ///
    /// # Errors
    /// Returns a failure that names the variable that is wrong.
    pub fn shared(&self, line: &Arc<Line>) -> Result<Arc<HttpShared>, Failure> {
        local::shared(&self.environment, Arc::clone(line) as Arc<dyn hubkeeper::observer::Observer>)
    }

    /// The deployed function.
    ///
    /// # Errors
    /// Returns a failure if nobody is logged in, or the function is not found.
    pub async fn function(&self, arguments: &args::Function, shared: &Arc<HttpShared>) -> Result<Deployed, Failure> {
        let http_client: HttpClient = local::http_client(shared);
        let aws = local::aws(&http_client).await?;
        Deployed::find(arguments, &self.environment, &aws, &http_client).await
    }

    /// The function's code with the caller's credentials. Settings that are not in the environment are those of the
    /// deployed function, where one is named.
    ///
    /// # Errors
    /// Returns a failure that says what is missing.
    pub async fn local(&self, arguments: &args::Function, shared: Arc<HttpShared>) -> Result<Local, Failure> {
        let (environment, aws) = self.settings(arguments, &shared).await?;
        Local::new(&environment, shared, aws).await
    }

    /// The same for `doctor`, which also runs without a login at Azure.
    ///
    /// # Errors
    /// Returns a failure that says what is missing.
    pub async fn local_for_doctor(
        &self,
        arguments: &args::Function,
        shared: Arc<HttpShared>,
    ) -> Result<Local, Failure> {
        let (mut environment, aws) = self.settings(arguments, &shared).await?;
        without_function(&mut environment);
        Local::with_or_without_azure(&environment, shared, aws).await
    }

    /// The function's code with the caller's credentials, to read connectors alone: the login of the Azure CLI needs
    /// neither the function's tenant nor its client.
    ///
    /// # Errors
    /// Returns a failure that says what is missing.
    pub async fn reader(&self, arguments: &args::Function, shared: Arc<HttpShared>) -> Result<Local, Failure> {
        let (mut environment, aws) = self.settings(arguments, &shared).await?;
        without_function(&mut environment);
        Local::new(&environment, shared, aws).await
    }

    /// The environment, with the settings of the deployed function where one is named, and the login at AWS.
    async fn settings(
        &self,
        arguments: &args::Function,
        shared: &Arc<HttpShared>,
    ) -> Result<(Environment, SdkConfig), Failure> {
        let http_client = local::http_client(shared);
        let aws = local::aws(&http_client).await?;
        let mut environment = self.environment.clone();
        let named = arguments.function.is_some()
            || arguments.stack.is_some()
            || ["HUBKEEPER_FUNCTION", "HUBKEEPER_STACK"].iter().any(|name| environment.contains_key(*name));
        if named && !(environment.contains_key("AZURE_TENANT_ID") && environment.contains_key("AZURE_CLIENT_ID")) {
            let function = Deployed::find(arguments, &environment, &aws, &http_client).await?;
            for (name, value) in function.settings().await? {
                environment.entry(name).or_insert(value);
            }
        }
        Ok((environment, aws))
    }
}
