//! The commands.

pub mod act;
pub mod deploy;
pub mod destroy;
pub mod doctor;
pub mod init;
pub mod rotate;
pub mod schema;
mod several;
pub mod stage;
pub mod status;
pub mod verify;

use crate::args::{Command, Format};
use crate::context::Context;
use crate::exit::{Code, Failure};

/// Runs a command to its exit code.
///
/// # Errors
/// Returns why the command failed.
pub async fn run(context: &Context, command: Command) -> Result<Code, Failure> {
    if context.global.output == Format::Html && !matches!(command, Command::Status(_)) {
        return Err(Failure::usage("--output html is a form of `hubkeeper status` only", "use table, json or yaml"));
    }
    match command {
        Command::Verify(arguments) => Box::pin(verify::run(context, arguments)).await,
        Command::Status(arguments) => Box::pin(status::run(context, arguments)).await,
        Command::Stage(arguments) => Box::pin(stage::run(context, arguments)).await,
        Command::Onboard(arguments) => Box::pin(act::onboard(context, arguments)).await,
        Command::Reconcile(arguments) => Box::pin(act::reconcile(context, arguments)).await,
        Command::Offboard(arguments) => Box::pin(act::offboard(context, arguments)).await,
        Command::Rotate(arguments) => Box::pin(rotate::run(context, arguments)).await,
        Command::Doctor(arguments) => Box::pin(doctor::run(context, arguments)).await,
        Command::Init(arguments) => Box::pin(init::run(context, *arguments)).await,
        Command::Deploy(arguments) => Box::pin(deploy::run(context, *arguments)).await,
        Command::Destroy(arguments) => Box::pin(destroy::run(context, arguments)).await,
        Command::Schema { of } => Ok(schema::run(context, of)),
        Command::Completions { shell } => Ok(crate::manual::completions(shell)),
        Command::Man { dir } => crate::manual::man(dir.as_deref()),
    }
}
