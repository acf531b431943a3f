//! `release COMMAND …`: assembles, verifies and compares releases. The Makefile's targets `release`, `check-release` and
//! `reproducible` use it; docs/releasing.md describes them.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command says what it did")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use hubkeeper_release::assemble::{assemble, write};
use hubkeeper_release::binary::Machine;
use hubkeeper_release::check::check;
use hubkeeper_release::compare::differences;
use hubkeeper_release::names::{Architecture, Version};
use hubkeeper_release::problem::Problem;
use hubkeeper_release::source::{Source, files, manifests, version_of};
use hubkeeper_release::{notes, sbom, template};

const USAGE: &str = "usage:
  release ready VERSION                             say what stops a release of this version, before anything is built
  release assemble VERSION BUILT FOLDER [--quick]   from the repository and what was built; SOURCE_DATE_EPOCH is the time
  release check FOLDER                              verify a release
  release compare FOLDER FOLDER                     say what differs
  release template FILE                             write the packaged template of the version in Cargo.toml
  release sbom TO FROM...                           one bill of materials of those for each target, the same on each machine";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["ready", version] => ready(version),
        ["assemble", version, built, folder] => put_together(version, Path::new(built), Path::new(folder), false),
        ["assemble", version, built, folder, "--quick"] => {
            put_together(version, Path::new(built), Path::new(folder), true)
        }
        ["check", folder] => verify(Path::new(folder)),
        ["compare", first, second] => compare(Path::new(first), Path::new(second)),
        ["template", file] => package_template(Path::new(file)),
        ["sbom", to, from @ ..] if !from.is_empty() => normalize(Path::new(to), from),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            for problem in problems {
                eprintln!("release: {problem}");
            }
            ExitCode::FAILURE
        }
    }
}

type Done = Result<(), Vec<Problem>>;

fn one(problem: Problem) -> Vec<Problem> {
    vec![problem]
}

/// Reads `SOURCE_DATE_EPOCH`.
fn epoch() -> Result<u64, Problem> {
    let text = std::env::var("SOURCE_DATE_EPOCH").ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        Problem::new(
            "SOURCE_DATE_EPOCH is not set to seconds since 1970: export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)",
        )
    })
}

fn ready(version: &str) -> Done {
    let version = Version::parse(version).map_err(one)?;
    let root = Path::new(".");
    let of_manifests = manifests(root, &version);
    let read = |path: &str| fs::read_to_string(path).map_err(|error| Problem::of(path, error));
    let of_notes = read(notes::SOURCE).and_then(|changelog| notes::of(&changelog, &version).map(drop));
    let of_template =
        read(template::SOURCE).and_then(|source| template::packaged(&source, &version, &Architecture::ALL).map(drop));
    let problems: Vec<Problem> = [of_manifests, of_notes, of_template].into_iter().filter_map(Result::err).collect();
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

fn put_together(version: &str, built: &Path, folder: &Path, quick: bool) -> Done {
    let version = Version::parse(version).map_err(one)?;
    let source = Source::read(Path::new("."), built, version, epoch().map_err(one)?, quick).map_err(one)?;
    let files = assemble(&source).map_err(one)?;
    write(&files, folder).map_err(one)?;
    for architecture in Architecture::ALL.into_iter().filter(|each| !source.binaries.contains_key(each)) {
        println!("release: {} is LEFT OUT, since it was not built", architecture.of_lambda());
    }
    Ok(())
}

fn verify(folder: &Path) -> Done {
    let files = files(folder).map_err(one)?;
    let checked = check(&files, &Machine::here())?;
    for line in &checked.lines {
        println!("{line}");
    }
    for (architecture, program) in &checked.command_lines {
        if architecture.target().starts_with(std::env::consts::ARCH) && cfg!(target_os = "linux") {
            says_its_version(program, &checked.version).map_err(one)?;
        }
    }
    let kind = if checked.quick { "the tests' build, NOT a release, of version" } else { "release" };
    println!("{}: {kind} {} is as its checksums, its names and its contents say", folder.display(), checked.version);
    Ok(())
}

/// Starts the command line.
fn says_its_version(program: &[u8], version: &Version) -> Result<(), Problem> {
    let folder = std::env::temp_dir().join(format!("hubkeeper-release-{}", std::process::id()));
    let run = || {
        fs::create_dir_all(&folder)?;
        let path = folder.join("hubkeeper");
        fs::write(&path, program)?;
        executable(&path)?;
        Command::new(&path).arg("--version").output()
    };
    let output = run().map_err(|error| Problem::new(format!("hubkeeper --version cannot be started: {error}")));
    let _ = fs::remove_dir_all(&folder);
    let said = String::from_utf8_lossy(&output?.stdout).trim().to_owned();
    if said == format!("hubkeeper {version}") {
        Ok(())
    } else {
        Err(Problem::new(format!("hubkeeper --version prints `{said}`, not `hubkeeper {version}`")))
    }
}

#[cfg(unix)]
fn executable(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

fn compare(first: &Path, second: &Path) -> Done {
    let found = differences(&files(first).map_err(one)?, &files(second).map_err(one)?);
    if found.is_empty() {
        println!("{} and {} are the same, byte by byte", first.display(), second.display());
        return Ok(());
    }
    Err(found.into_iter().map(Problem::new).collect())
}

fn package_template(file: &Path) -> Done {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| one(Problem::of(path, error)));
    let version = version_of(&read("Cargo.toml")?).unwrap_or_default();
    let version = Version::parse(&version).map_err(one)?;
    let text = template::packaged(&read(template::SOURCE)?, &version, &Architecture::ALL).map_err(one)?;
    let folder = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    fs::create_dir_all(folder).and_then(|()| fs::write(file, &text)).map_err(|error| one(Problem::of(file, error)))?;
    println!("{}: {} bytes, fewer than {}", file.display(), text.len(), template::MOST_BYTES);
    Ok(())
}

fn normalize(to: &Path, from: &[&str]) -> Done {
    let epoch = epoch().map_err(one)?;
    let read = |path: &&str| fs::read_to_string(path).map_err(|error| one(Problem::of(path, error)));
    let texts = from.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let workspace = std::env::current_dir().map_err(|error| one(Problem::of(".", error)))?;
    let text =
        sbom::normalized(&texts, &workspace.to_string_lossy(), epoch).map_err(|what| one(Problem::of(to, what)))?;
    fs::write(to, text).map_err(|error| one(Problem::of(to, error)))
}
