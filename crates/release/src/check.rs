//! Verifies a release folder: checksums, names, what is in the archives, and what binaries, template and bills of materials say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::archive::{Found, read_tar_gz, read_zip};
use crate::binary::{self, Crate, GLIBC, Machine};
use crate::names::{Architecture, NOT_A_RELEASE, NOTES, Part, SUMS, Version};
use crate::problem::Problem;
use crate::sbom;
use crate::source::LICENCES;
use crate::sums::{parse, sha256};
use crate::template::{MOST_BYTES, package_of};

/// The largest package of the function, in bytes: keeps uploads and cold starts short.
pub const MOST_PACKAGE_BYTES: usize = 3_600_000;
/// The largest archive of the command line, in bytes.
pub const MOST_ARCHIVE_BYTES: usize = 16_000_000;

/// Files of the archive of the command line besides binary and licences.
const MANUAL: [&str; 5] = [
    "completions/hubkeeper.bash",
    "completions/_hubkeeper",
    "completions/hubkeeper.fish",
    "man/man1/hubkeeper.1",
    "man/man1/hubkeeper-verify.1",
];

/// What a release folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its version.
    pub version: Version,
    /// Whether it is the tests' build.
    pub quick: bool,
    /// One line for each file.
    pub lines: Vec<String>,
    /// The command line for each architecture, to be started by who can.
    pub command_lines: BTreeMap<Architecture, Vec<u8>>,
}

/// Verifies the files of a release, by name.
///
/// # Errors
/// Returns every problem that was found.
pub fn check(files: &BTreeMap<String, Vec<u8>>, machine: &Machine) -> Result<Checked, Vec<Problem>> {
    checksums(files)?;
    let version = version(files).map_err(|problem| vec![problem])?;
    let quick = files.contains_key(NOT_A_RELEASE);
    let mut check = Check { files, machine, version: &version, quick, problems: Vec::new(), crates: BTreeMap::new() };
    let mut command_lines = BTreeMap::new();
    let built: Vec<Architecture> =
        Architecture::ALL.into_iter().filter(|each| files.contains_key(&version.function(*each))).collect();
    for architecture in &built {
        check.function(*architecture);
        if let Some(program) = check.command_line(*architecture) {
            command_lines.insert(*architecture, program);
        }
    }
    check.template(&built);
    check.notes();
    for part in Part::ALL {
        check.sbom(part);
    }
    check.names(&built);
    if check.problems.is_empty() {
        let lines = files.iter().map(|(name, bytes)| format!("{:>9} bytes  {name}", bytes.len())).collect();
        Ok(Checked { version, quick, lines, command_lines })
    } else {
        Err(check.problems)
    }
}

/// Compares the folder with its checksums: no file is missing, changed or unlisted.
fn checksums(files: &BTreeMap<String, Vec<u8>>) -> Result<(), Vec<Problem>> {
    let sums = files.get(SUMS).ok_or_else(|| vec![Problem::of(SUMS, "is missing")])?;
    let sums = parse(&String::from_utf8_lossy(sums)).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    for (name, sum) in &sums {
        match files.get(name) {
            None => problems.push(Problem::of(name, "is missing")),
            Some(bytes) if sha256(bytes) != *sum => {
                problems.push(Problem::of(name, "is not the file that SHA256SUMS lists: download it again"));
            }
            Some(_) => {}
        }
    }
    for name in files.keys().filter(|name| *name != SUMS && !sums.contains_key(*name)) {
        problems.push(Problem::of(name, "is not in SHA256SUMS"));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Returns the version that the name of the template has.
fn version(files: &BTreeMap<String, Vec<u8>>) -> Result<Version, Problem> {
    let template = |name: &String| name.strip_prefix("hubkeeper-")?.strip_suffix(".template.json").map(str::to_owned);
    let versions: Vec<String> = files.keys().filter_map(template).collect();
    match versions.as_slice() {
        [version] => Version::parse(version),
        _ => Err(Problem::new(format!(
            "the folder has {} files hubkeeper-VERSION.template.json, not one",
            versions.len()
        ))),
    }
}

struct Check<'a> {
    files: &'a BTreeMap<String, Vec<u8>>,
    machine: &'a Machine,
    version: &'a Version,
    quick: bool,
    problems: Vec<Problem>,
    /// The crates of each part, of all architectures.
    crates: BTreeMap<Part, BTreeSet<Crate>>,
}

impl Check<'_> {
    fn wrong(&mut self, name: &str, what: impl std::fmt::Display) {
        self.problems.push(Problem::of(name, what));
    }

    fn function(&mut self, architecture: Architecture) {
        let name = self.version.function(architecture);
        let bytes = &self.files[&name];
        if !self.quick && bytes.len() > MOST_PACKAGE_BYTES {
            self.wrong(&name, format!("has {} bytes, more than {MOST_PACKAGE_BYTES}", bytes.len()));
        }
        match read_zip(&name, bytes).as_deref() {
            Ok([file]) if file.name == Part::Function.binary() && file.is_executable() => {
                let of = format!("{name}: {}", file.name);
                self.program(&of, Part::Function, architecture, &file.bytes);
            }
            Ok(_) => self.wrong(&name, "must hold the executable file bootstrap, and nothing else"),
            Err(problem) => self.problems.push(problem.clone()),
        }
    }

    fn command_line(&mut self, architecture: Architecture) -> Option<Vec<u8>> {
        let name = self.version.command_line(architecture);
        let Some(bytes) = self.files.get(&name) else {
            self.wrong(&name, "is missing, though the function is there for this architecture");
            return None;
        };
        if !self.quick && bytes.len() > MOST_ARCHIVE_BYTES {
            self.wrong(&name, format!("has {} bytes, more than {MOST_ARCHIVE_BYTES}", bytes.len()));
        }
        let found = match read_tar_gz(&name, bytes) {
            Ok(found) => found,
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        let folder = format!("{}/", self.version.command_line_folder(architecture));
        let by_name: BTreeMap<&str, &Found> =
            found.iter().filter_map(|file| Some((file.name.strip_prefix(&folder)?, file))).collect();
        if by_name.len() != found.len() {
            self.wrong(&name, format!("has files outside of {folder}, or one twice"));
        }
        for needed in MANUAL.into_iter().chain(LICENCES) {
            if by_name.get(needed).is_none_or(|file| file.bytes.is_empty()) {
                self.wrong(&name, format!("has no {needed}"));
            }
        }
        let program = by_name.get(Part::CommandLine.binary()).filter(|file| file.is_executable());
        let Some(program) = program else {
            self.wrong(&name, "has no executable file hubkeeper");
            return None;
        };
        let of = format!("{name}: {}", Part::CommandLine.binary());
        self.program(&of, Part::CommandLine, architecture, &program.bytes);
        Some(program.bytes.clone())
    }

    fn program(&mut self, name: &str, part: Part, architecture: Architecture, program: &[u8]) {
        match binary::machine(program) {
            Ok(machine) if machine == architecture.machine() => {}
            Ok(machine) => self.wrong(name, format!("is not for {} (machine {machine})", architecture.of_lambda())),
            Err(what) => self.wrong(name, what),
        }
        // in the user agent of each request
        let agent = format!("hubkeeper/{}", self.version);
        if binary::position(program, agent.as_bytes()).is_none() {
            self.wrong(name, format!("is not of version {}", self.version));
        }
        if self.quick {
            return;
        }
        if let Some(path) = self.machine.path_in(program) {
            self.wrong(name, format!("holds a path of the machine that built it: {path}"));
        }
        if let Some((major, minor)) = binary::glibc_needed(program).filter(|needed| *needed > GLIBC) {
            self.wrong(
                name,
                format!(
                    "needs glibc {major}.{minor}, and provided.al2023 has {}.{}: build where glibc is no newer, as in an Amazon Linux 2023 container",
                    GLIBC.0, GLIBC.1
                ),
            );
        }
        match binary::crates(program) {
            Ok(crates) if crates.root.name == part.package() && crates.root.version == self.version.as_str() => {
                self.crates.entry(part).or_default().extend(crates.linked);
            }
            Ok(crates) => self.wrong(name, format!("was built from {} {}", crates.root.name, crates.root.version)),
            Err(what) => self.wrong(name, what),
        }
    }

    fn template(&mut self, built: &[Architecture]) {
        let name = self.version.template();
        let bytes = &self.files[&name];
        if bytes.len() >= MOST_BYTES {
            self.wrong(&name, format!("has {} bytes; CloudFormation accepts fewer than {MOST_BYTES}", bytes.len()));
        }
        let Ok(template) = serde_json::from_slice::<Value>(bytes) else {
            self.wrong(&name, "is not JSON");
            return;
        };
        let allowed = template["Parameters"]["Architecture"]["AllowedValues"].as_array();
        let allowed: Vec<&str> = allowed.into_iter().flatten().filter_map(Value::as_str).collect();
        if built.is_empty() || allowed != built.iter().map(|each| each.of_lambda()).collect::<Vec<_>>() {
            self.wrong(&name, format!("allows the architectures {allowed:?}, which are not those of the packages"));
        }
        for architecture in built {
            let expected = self.version.function(*architecture);
            let package = package_of(&template, *architecture);
            if package.as_deref() != Some(expected.as_str()) {
                self.wrong(
                    &name,
                    format!("deploys {}, not {expected}", package.unwrap_or_else(|| "no package".to_owned())),
                );
            }
        }
        let azure = self.version.azure();
        if self.files.get(&azure).is_some_and(|bytes| serde_json::from_slice::<Value>(bytes).is_err()) {
            self.wrong(&azure, "is not JSON");
        }
    }

    fn notes(&mut self) {
        let text = String::from_utf8_lossy(self.files.get(NOTES).map_or(&[][..], Vec::as_slice));
        let first = text.lines().next().unwrap_or_default().to_owned();
        let title = format!("# hubkeeper {}", self.version);
        if first != title && !(self.quick && first == format!("{title}, not released")) {
            self.wrong(NOTES, format!("begins with `{first}`, not `{title}`"));
        }
    }

    /// Every crate in a binary is in the bill of materials.
    fn sbom(&mut self, part: Part) {
        let name = self.version.sbom(part);
        if self.quick {
            return;
        }
        let Some(bytes) = self.files.get(&name) else {
            self.wrong(&name, "is missing");
            return;
        };
        match sbom::listed(&String::from_utf8_lossy(bytes), part, self.version) {
            Err(what) => self.wrong(&name, what),
            Ok(listed) => {
                let linked = self.crates.remove(&part).unwrap_or_default();
                for missing in linked.difference(&listed) {
                    let what = format!("lacks {} {}, which the binary lists", missing.name, missing.version);
                    self.wrong(&name, what);
                }
            }
        }
    }

    /// Nothing is in the folder that a release does not have, and nothing is missing.
    fn names(&mut self, built: &[Architecture]) {
        let version = self.version;
        let mut expected = BTreeSet::from([SUMS.to_owned(), NOTES.to_owned(), version.template(), version.azure()]);
        expected.extend(built.iter().flat_map(|each| [version.function(*each), version.command_line(*each)]));
        if self.quick {
            expected.insert(NOT_A_RELEASE.to_owned());
        } else {
            expected.extend(Part::ALL.map(|part| version.sbom(part)));
        }
        for name in expected.iter().filter(|name| !self.files.contains_key(*name)) {
            self.problems.push(Problem::of(name, "is missing"));
        }
        for name in self.files.keys().filter(|name| !expected.contains(*name)) {
            self.problems.push(Problem::of(name, format!("does not belong to a release of {version}")));
        }
        self.problems.dedup();
    }
}
