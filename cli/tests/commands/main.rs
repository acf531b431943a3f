//! Every command of the command line as a process, against the sandbox over sockets. What they print is searched for secrets, and
//! docs/cli.md shows it.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod act;
mod azure;
mod deploy;
mod destroy;
mod doctor;
mod import;
mod import_refused;
mod init;
mod leaks;
mod manual;
mod rotate;
mod runbook;
mod schemas;
mod sessions;
mod site;
mod stage;
mod status;
mod sweep;
mod usage;
mod verify;
