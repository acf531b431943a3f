//! `bench init FUNCTION FLOOR`, `bench depth FUNCTION`, `bench fleet FUNCTION`: measures a built function against the sandbox.
//! `bench verify FUNCTION HUBKEEPER`, `bench status FUNCTION HUBKEEPER`, `bench help HUBKEEPER`: measures the command line.
//!
//! Exit code: 0 if all limits are met, 1 if one is exceeded, 2 if nothing was measured.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command says what it measured")]

mod cli;
mod depth;
mod fleet;
mod init;

use std::process::ExitCode;

use hubkeeper_sandbox::world::Service;

/// The services whose requests are counted, with their column headings.
const NAMES: [(Service, &str); 6] = [
    (Service::Aws, "aws"),
    (Service::Entra, "entra"),
    (Service::Arm, "arm"),
    (Service::Hub, "hub"),
    (Service::HubAuth, "hub-auth"),
    (Service::Registry, "registry"),
];

const USAGE: &str = "usage: bench init FUNCTION FLOOR | bench depth FUNCTION | bench fleet FUNCTION
       bench verify FUNCTION HUBKEEPER | bench status FUNCTION HUBKEEPER | bench help HUBKEEPER";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((which, rest)) if which == "init" => Box::pin(init::run(rest)).await,
        Some((which, rest)) if which == "depth" => Box::pin(depth::run(rest)).await,
        Some((which, rest)) if which == "fleet" => Box::pin(fleet::run(rest)).await,
        Some((which, rest)) if ["verify", "status", "help"].contains(&which.as_str()) => {
            Box::pin(cli::run(which, rest)).await
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
