//! What a release is made of: files of the repository, and a folder with what was built.
//!
//! ```text
//! <architecture of Lambda>/bootstrap   the function        for each architecture
//! <architecture of Lambda>/hubkeeper   the command line    for each architecture
//! completions/                         one script for each shell
//! man/                                 one page for each command
//! function.cdx.json, cli.cdx.json      the bills of materials; not in a build for tests
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::names::{Architecture, Part, Version};
use crate::problem::Problem;
use crate::{notes, template};

/// The licences, at the root of the repository.
pub const LICENCES: [&str; 2] = ["LICENSE-APACHE", "LICENSE-MIT"];
/// The ARM template in the repository.
pub const AZURE: &str = "infra/azure/azuredeploy.json";
/// The manifests that name the version.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "cli/Cargo.toml"];

/// The two binaries for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The function.
    pub function: Vec<u8>,
    /// The command line.
    pub command_line: Vec<u8>,
}

/// Everything that goes into a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The version.
    pub version: Version,
    /// The time of the commit, in seconds since 1970.
    pub epoch: u64,
    /// The tests' build, which is not a release.
    pub quick: bool,
    /// `CHANGELOG.md`.
    pub changelog: String,
    /// The template of AWS.
    pub template: String,
    /// The ARM template of Azure.
    pub azure: Vec<u8>,
    /// The licences, by name.
    pub licences: BTreeMap<String, Vec<u8>>,
    /// Completion scripts and manual pages, by their path in the archive.
    pub manual: BTreeMap<String, Vec<u8>>,
    /// The binaries.
    pub binaries: BTreeMap<Architecture, Binaries>,
    /// The bills of materials; none in a build for tests.
    pub sboms: BTreeMap<Part, Vec<u8>>,
}

impl Source {
    /// Reads the repository at `root` and what was built for it.
    ///
    /// # Errors
    /// Returns a problem for a file that is missing, or for a version that is not the manifests'.
    pub fn read(root: &Path, built: &Path, version: Version, epoch: u64, quick: bool) -> Result<Self, Problem> {
        manifests(root, &version)?;
        let mut binaries = BTreeMap::new();
        for architecture in Architecture::ALL {
            let folder = built.join(architecture.of_lambda());
            if folder.is_dir() {
                let function = bytes(&folder.join(Part::Function.binary()))?;
                let command_line = bytes(&folder.join(Part::CommandLine.binary()))?;
                binaries.insert(architecture, Binaries { function, command_line });
            }
        }
        if binaries.is_empty() {
            return Err(Problem::of(built, "holds no binaries: run make release"));
        }
        let mut manual = BTreeMap::new();
        for (folder, place) in [("completions", "completions"), ("man", "man/man1")] {
            for (name, bytes) in files(&built.join(folder))? {
                manual.insert(format!("{place}/{name}"), bytes);
            }
        }
        let mut sboms = BTreeMap::new();
        for part in Part::ALL.into_iter().filter(|_| !quick) {
            sboms.insert(part, bytes(&built.join(format!("{}.cdx.json", part.name())))?);
        }
        let licence = |name: &str| Ok((name.to_owned(), bytes(&root.join(name))?));
        Ok(Self {
            version,
            epoch,
            quick,
            changelog: text(&root.join(notes::SOURCE))?,
            template: text(&root.join(template::SOURCE))?,
            azure: bytes(&root.join(AZURE))?,
            licences: LICENCES.into_iter().map(licence).collect::<Result<_, Problem>>()?,
            manual,
            binaries,
            sboms,
        })
    }
}

/// Compares a version with the manifests'.
///
/// # Errors
/// Returns a problem for the first manifest with another version.
pub fn manifests(root: &Path, version: &Version) -> Result<(), Problem> {
    for manifest in MANIFESTS {
        let of_manifest = version_of(&text(&root.join(manifest))?).unwrap_or_else(|| "no version".to_owned());
        if of_manifest != version.as_str() {
            return Err(Problem::of(
                manifest,
                format!(
                    "has {of_manifest}, not {version}: set the version of every manifest, or run make release VERSION={of_manifest}"
                ),
            ));
        }
    }
    Ok(())
}

/// Returns the version in the section `[package]` of a manifest.
pub fn version_of(manifest: &str) -> Option<String> {
    let mut lines = manifest.lines().skip_while(|line| line.trim() != "[package]").skip(1);
    lines
        .by_ref()
        .take_while(|line| !line.starts_with('['))
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .map(str::to_owned)
}

/// Reads the files of a folder, by name.
///
/// # Errors
/// Returns a problem if the folder is missing, or if it holds anything but files.
pub fn files(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Problem> {
    let unreadable = |error: std::io::Error| Problem::of(folder, format!("cannot be read: {error}"));
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        found.insert(name, bytes(&path)?);
    }
    if found.is_empty() {
        return Err(Problem::of(folder, "is empty"));
    }
    Ok(found)
}

fn bytes(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|error| Problem::of(path, format!("cannot be read: {error}")))
}

fn text(path: &Path) -> Result<String, Problem> {
    fs::read_to_string(path).map_err(|error| Problem::of(path, format!("cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_package() {
        let manifest = "[workspace]\nversion = \"9.9.9\"\n\n[package]\nname = \"a\"\nversion = \"0.1.0\"\n\n[dependencies.b]\nversion = \"2\"\n";
        assert_eq!(version_of(manifest).unwrap(), "0.1.0");
        assert_eq!(version_of("[package]\nname = \"a\"\n[dependencies.b]\nversion = \"2\"\n"), None);
    }
}
