//! The two kinds of archives. The same files give the same bytes: fixed order, owner, permissions and time.

use std::collections::BTreeMap;
use std::io::{Cursor, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::{Archive, Builder, EntryType, Header};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::names::Part;
use crate::problem::Problem;

/// How long compression may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// As small as possible, in some seconds: for what is deployed.
    Small,
    /// For the tests' build.
    Quick,
}

/// A file in an archive: its permissions and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The permissions of Unix, such as `0o755`.
    pub mode: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A file as it was found in an archive, with everything that could differ between two builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The path in the archive.
    pub name: String,
    /// Time, permissions, owner and kind, in words.
    pub attributes: Vec<(&'static str, String)>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Found {
    /// Returns whether anybody may execute the file.
    pub fn is_executable(&self) -> bool {
        self.attributes.iter().any(|(name, value)| *name == "permissions" && value == "755")
    }
}

/// Builds the package of the function: a zip archive with the binary as its one file, at the start of time (1980).
///
/// # Errors
/// Returns a problem if the binary does not fit into a zip archive.
pub fn package(program: &[u8], effort: Effort) -> Result<Vec<u8>, Problem> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        // levels above 9 select zopfli with that many iterations: 3 % smaller, for some seconds
        .compression_level(Some(if effort == Effort::Quick { 1 } else { 14 }))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let write = || {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file(Part::Function.binary(), options)?;
        zip.write_all(program)?;
        Ok::<_, zip::result::ZipError>(zip.finish()?.into_inner())
    };
    write().map_err(|error| Problem::of("the package of the function", error))
}

/// Builds a tar archive, compressed with gzip, of files below one folder. `epoch` is the time of each file, in seconds since 1970.
///
/// # Errors
/// Returns a problem if a name does not fit into a tar archive.
pub fn tar_gz(
    folder: &str,
    members: &BTreeMap<String, Member>,
    epoch: u64,
    effort: Effort,
) -> Result<Vec<u8>, Problem> {
    let level = if effort == Effort::Quick { Compression::fast() } else { Compression::best() };
    let write = || {
        // without a name and a time in the header of gzip
        let mut tar = Builder::new(GzEncoder::new(Vec::new(), level));
        for (name, member) in members {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(member.mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(epoch);
            header.set_size(member.bytes.len() as u64);
            tar.append_data(&mut header, format!("{folder}/{name}"), member.bytes.as_slice())?;
        }
        tar.into_inner()?.finish()
    };
    write().map_err(|error: std::io::Error| Problem::of(folder, error))
}

/// Reads a zip archive.
///
/// # Errors
/// Returns a problem if it is damaged.
pub fn read_zip(name: &str, bytes: &[u8]) -> Result<Vec<Found>, Problem> {
    let read = || {
        let mut archive = ZipArchive::new(Cursor::new(bytes))?;
        let mut found = Vec::new();
        for at in 0..archive.len() {
            let mut file = archive.by_index(at)?;
            let time = file.last_modified().map_or_else(|| "none".to_owned(), |time| time.to_string());
            let attributes = vec![
                ("time", time),
                ("permissions", octal(file.unix_mode().unwrap_or_default() & 0o7777)),
                ("compression", file.compression().to_string()),
                ("extra field", format!("{:?}", file.extra_data().unwrap_or_default())),
            ];
            let name = file.name()?.into_owned();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            found.push(Found { name, attributes, bytes });
        }
        Ok::<_, zip::result::ZipError>(found)
    };
    read().map_err(|error| Problem::of(name, format!("cannot be read as a zip archive: {error}")))
}

/// Reads a tar archive, compressed with gzip.
///
/// # Errors
/// Returns a problem if it is damaged.
pub fn read_tar_gz(name: &str, bytes: &[u8]) -> Result<Vec<Found>, Problem> {
    let read = || {
        let mut archive = Archive::new(GzDecoder::new(bytes));
        let mut found = Vec::new();
        for entry in archive.entries()? {
            let mut entry = entry?;
            let header = entry.header();
            let text = |field: Option<&[u8]>| String::from_utf8_lossy(field.unwrap_or_default()).into_owned();
            let attributes = vec![
                ("time", header.mtime()?.to_string()),
                ("permissions", octal(header.mode()?)),
                ("owner", format!("{} {}", header.uid()?, text(header.username_bytes()))),
                ("group", format!("{} {}", header.gid()?, text(header.groupname_bytes()))),
                ("kind", format!("{:?}", header.entry_type())),
            ];
            let name = entry.path()?.to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            found.push(Found { name, attributes, bytes });
        }
        Ok::<_, std::io::Error>(found)
    };
    read().map_err(|error| Problem::of(name, format!("cannot be read as a tar archive: {error}")))
}

/// Returns the time in the header of gzip, in seconds since 1970; 0 if the header has no time.
pub fn gzip_time(bytes: &[u8]) -> u32 {
    GzDecoder::new(bytes).header().map_or(0, flate2::GzHeader::mtime)
}

fn octal(mode: u32) -> String {
    format!("{mode:o}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_has_one_executable_file_without_a_time() {
        let package = package(b"program", Effort::Small).unwrap();
        let found = read_zip("package", &package).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].name.as_str(), found[0].bytes.as_slice()), ("bootstrap", b"program".as_slice()));
        assert!(found[0].is_executable());
        assert_eq!(found[0].attributes[0], ("time", "1980-01-01 00:00:00".to_owned()));
    }

    #[test]
    fn the_archive_has_the_time_of_the_commit_and_no_owner() {
        let members = BTreeMap::from([
            ("hubkeeper".to_owned(), Member { mode: 0o755, bytes: b"program".to_vec() }),
            ("LICENSE-MIT".to_owned(), Member { mode: 0o644, bytes: b"licence".to_vec() }),
        ]);
        let bytes = tar_gz("folder", &members, 1_790_000_000, Effort::Small).unwrap();
        let found = read_tar_gz("archive", &bytes).unwrap();
        assert_eq!(
            found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(),
            ["folder/LICENSE-MIT", "folder/hubkeeper"]
        );
        assert!(found[1].is_executable() && !found[0].is_executable());
        let attributes: Vec<_> = found[0].attributes.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(attributes, ["1790000000", "644", "0 ", "0 ", "Regular"]);
        assert_eq!(gzip_time(&bytes), 0);
    }

    #[test]
    fn a_damaged_archive_is_a_problem_that_names_it() {
        assert!(read_zip("a.zip", b"PK").unwrap_err().to_string().starts_with("a.zip: cannot be read"));
        assert!(read_tar_gz("a.tar.gz", b"\x1f\x8b").unwrap_err().to_string().starts_with("a.tar.gz: cannot be read"));
    }
}
