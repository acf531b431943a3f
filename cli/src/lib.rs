//! The command line of hubkeeper. It runs the function's own code: no rule is written twice (docs/cli.md).
//!
//! - [`args`] is the command line as a value, [`commands`] what each command does.
//! - [`target`] is who handles an event: [`function`], the deployed function, or [`local`], the same code with the
//!   caller's credentials.
//! - [`doctor`] is what `hubkeeper doctor` checks of the deployment, over the signed requests of [`aws`].
//! - [`deploy`] is what `hubkeeper deploy` and `hubkeeper destroy` decide and call.
//! - [`secrets`] reads Secrets Manager with the caller's credentials, and creates a secret.
//! - [`render`] makes text of values; [`terminal`], [`progress`] and [`token`] deal with the person in front of it.
//! - [`hints`] says what to do next, as commands.
//! - [`schema`] describes secrets, events and reports as JSON Schema.
//! - [`exit`] is how a command ends.
//!
//! It writes four things itself: a new secret (`init`), a new version of a secret (`stage`), the start of a rotation
//! (`rotate`), and the deployment around the function (`deploy`, `destroy`). Connectors and tokens are written by the
//! deployed function alone.

pub mod args;
pub mod aws;
pub mod commands;
pub mod context;
pub mod deploy;
pub mod doctor;
pub mod exit;
pub mod function;
pub mod hints;
pub mod local;
pub mod manual;
pub mod progress;
pub mod render;
pub mod schema;
pub mod secrets;
pub mod target;
pub mod terminal;
pub mod token;

use std::process::ExitCode;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;

use crate::args::{Cli, Rejected};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let Cli { command, global } = match args::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(Rejected::Token(failure)) => return told(&failure),
        Err(Rejected::Clap(error)) => {
            // help and version go to standard output, and are no failure
            let _ = error.print();
            return if error.use_stderr() { Code::Usage.into() } else { Code::Done.into() };
        }
    };
    log(global.verbose);
    let context = Context::new(global);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let Ok(runtime) = runtime else {
        return told(&Failure::new(Code::Retry, "no thread can be started", "try again"));
    };
    let result = runtime.block_on(async {
        tokio::select! {
            result = Box::pin(commands::run(&context, command)) => result,
            () = interrupted() => Err(Failure::new(Code::Interrupted, "Ctrl-C", "")),
        }
    });
    context.clear_line();
    let code = result.unwrap_or_else(|failure| {
        if failure.code == Code::Interrupted {
            terminal::restore();
            terminal::say(&format!("\n{}", context.under_way()));
        } else {
            terminal::say(&render::failure(&failure));
        }
        failure.code
    });
    // a prompt that nobody answered still blocks its thread
    runtime.shutdown_background();
    code.into()
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn told(failure: &Failure) -> ExitCode {
    terminal::say(&render::failure(failure));
    failure.code.into()
}

/// The log of the run on standard error, with `--verbose`.
fn log(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let filter = Targets::new().with_default(LevelFilter::ERROR).with_target("hubkeeper", level);
    let lines =
        tracing_subscriber::fmt::layer().compact().without_time().with_target(false).with_writer(std::io::stderr);
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(filter).with(lines));
}
