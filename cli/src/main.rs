//! `hubkeeper`: the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    hubkeeper_cli::main()
}
