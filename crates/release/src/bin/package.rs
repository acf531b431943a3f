//! `package BINARY ZIP [--quick]`: builds the Lambda package, a zip archive that holds the binary as `bootstrap`. The same binary
//! gives the same bytes. Fails above [`MOST_PACKAGE_BYTES`], and if the binary holds a path of this machine. `--quick` builds a
//! package for tests only: of any size, with little compression.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command says what it did")]

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use hubkeeper_release::archive::{self, Effort};
use hubkeeper_release::binary::{GLIBC, Machine, glibc_needed};
use hubkeeper_release::check::MOST_PACKAGE_BYTES;
use hubkeeper_release::problem::Problem;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (binary, archive, effort) = match arguments.as_slice() {
        [binary, archive] => (binary, archive, Effort::Small),
        [binary, archive, option] if option == "--quick" => (binary, archive, Effort::Quick),
        _ => {
            eprintln!("usage: package BINARY ZIP [--quick]");
            return ExitCode::from(2);
        }
    };
    match package(Path::new(binary), Path::new(archive), effort) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("package: {problem}");
            ExitCode::from(2)
        }
    }
}

fn package(binary: &Path, archive: &Path, effort: Effort) -> Result<bool, Problem> {
    let program = fs::read(binary).map_err(|error| Problem::of(binary, error))?;
    let bytes = archive::package(&program, effort)?;
    let folder = archive.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(archive, &bytes))
        .map_err(|error| Problem::of(archive, error))?;
    if effort == Effort::Quick {
        println!("{}: {} bytes, for tests alone: not what is deployed", archive.display(), bytes.len());
        return Ok(true);
    }
    let fits = bytes.len() <= MOST_PACKAGE_BYTES;
    println!(
        "{}: {} bytes, at most {MOST_PACKAGE_BYTES}: {} (bootstrap: {} bytes, {})",
        archive.display(),
        bytes.len(),
        if fits { "ok" } else { "OVER" },
        program.len(),
        std::env::consts::ARCH,
    );
    if let Some(needed) = glibc_needed(&program).filter(|needed| *needed > GLIBC) {
        println!(
            "note: the binary needs glibc {}.{}, provided.al2023 has {}.{}: build it where glibc is no newer, as in an Amazon Linux 2023 container",
            needed.0, needed.1, GLIBC.0, GLIBC.1
        );
    }
    let path = Machine::here().path_in(&program);
    if let Some(path) = &path {
        println!(
            "{}: holds a path of this machine, which another machine would not have: {path}; build it with make function",
            binary.display()
        );
    }
    Ok(fits && path.is_none())
}
