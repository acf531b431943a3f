//! Puts a release together: from a [`Source`] to the files of the folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::archive::{Effort, Member, package, tar_gz};
use crate::names::{Architecture, NOT_A_RELEASE, NOTES, Part, SUMS};
use crate::problem::Problem;
use crate::source::{Binaries, Source};
use crate::sums::sums;
use crate::{notes, template};

/// Returns the files of a release by name. The same source gives the same bytes.
///
/// # Errors
/// Returns a problem if the changelog has no notes of the version, or if a file cannot be made.
pub fn assemble(source: &Source) -> Result<BTreeMap<String, Vec<u8>>, Problem> {
    let version = &source.version;
    let effort = if source.quick { Effort::Quick } else { Effort::Small };
    let mut files = BTreeMap::new();
    let notes = if source.quick { notes::of_quick } else { notes::of };
    files.insert(NOTES.to_owned(), notes(&source.changelog, version)?.into_bytes());
    for (architecture, binaries) in &source.binaries {
        files.insert(version.function(*architecture), package(&binaries.function, effort)?);
        files.insert(version.command_line(*architecture), command_line(source, *architecture, binaries, effort)?);
    }
    let architectures: Vec<Architecture> = source.binaries.keys().copied().collect();
    let packaged = template::packaged(&source.template, version, &architectures)?;
    files.insert(version.template(), packaged.into_bytes());
    files.insert(version.azure(), source.azure.clone());
    for part in Part::ALL {
        if let Some(sbom) = source.sboms.get(&part) {
            files.insert(version.sbom(part), sbom.clone());
        }
    }
    if source.quick {
        let text = "This folder is not a release: its binaries are those of the tests, without a bill of materials. make release builds one.\n";
        files.insert(NOT_A_RELEASE.to_owned(), text.as_bytes().to_vec());
    }
    files.insert(SUMS.to_owned(), sums(&files).into_bytes());
    Ok(files)
}

/// Returns the archive of the command line: the binary, completion scripts, manual pages and licences.
fn command_line(
    source: &Source,
    architecture: Architecture,
    binaries: &Binaries,
    effort: Effort,
) -> Result<Vec<u8>, Problem> {
    let texts = source.manual.iter().chain(&source.licences);
    let mut members: BTreeMap<String, Member> =
        texts.map(|(name, bytes)| (name.clone(), Member { mode: 0o644, bytes: bytes.clone() })).collect();
    let program = Member { mode: 0o755, bytes: binaries.command_line.clone() };
    members.insert(Part::CommandLine.binary().to_owned(), program);
    tar_gz(&source.version.command_line_folder(architecture), &members, source.epoch, effort)
}

/// Writes the files into an empty folder, and replaces an earlier one.
///
/// # Errors
/// Returns a problem if the folder cannot be written.
pub fn write(files: &BTreeMap<String, Vec<u8>>, folder: &Path) -> Result<(), Problem> {
    let unwritable = |error: std::io::Error| Problem::of(folder, format!("cannot be written: {error}"));
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(unwritable)?;
    }
    fs::create_dir_all(folder).map_err(unwritable)?;
    for (name, bytes) in files {
        fs::write(folder.join(name), bytes).map_err(unwritable)?;
    }
    Ok(())
}
