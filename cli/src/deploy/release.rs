//! The folder of a release: its files by name, and their checksums.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::exit::{Code, Failure};

/// The file with the checksum of every other file, in the format of sha256sum.
pub const SUMS: &str = "SHA256SUMS";

/// The processors of Lambda, the preferred one first.
pub const ARCHITECTURES: [&str; 2] = ["arm64", "x86_64"];

/// A release in a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// Where it is.
    pub folder: PathBuf,
    /// Its version.
    pub version: String,
    sums: BTreeMap<String, String>,
}

/// A file whose checksum is the release's.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    /// Its name.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
    /// Its SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

impl Verified {
    /// Its content as text.
    ///
    /// # Errors
    /// Returns a failure if it is not UTF-8.
    pub fn text(self) -> Result<String, Failure> {
        let name = self.name;
        String::from_utf8(self.bytes)
            .map_err(|_| Failure::new(Code::Person, format!("{name} is not a text"), "take the whole release again"))
    }
}

impl Release {
    /// Reads the list of a release. `None` if the folder holds no list.
    ///
    /// # Errors
    /// Returns a failure if the list cannot be read, or is not that of one release.
    pub fn find(folder: &Path) -> Result<Option<Self>, Failure> {
        let text = match fs::read_to_string(folder.join(SUMS)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(&folder.join(SUMS), &error)),
        };
        let Some(sums) = parse(&text) else {
            return Err(Failure::new(
                Code::Person,
                format!("{} is not a list of checksums", folder.join(SUMS).display()),
                "take the whole release again",
            ));
        };
        let mut versions = sums.keys().filter_map(|name| version(name));
        match (versions.next(), versions.next()) {
            (Some(version), None) => {
                Ok(Some(Self { folder: folder.to_owned(), version: version.to_owned(), sums: sums.clone() }))
            }
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(Failure::new(
                Code::Person,
                format!("{} holds several releases", folder.display()),
                "give each release a folder of its own, and name it with --release",
            )),
        }
    }

    /// The name of the template of the stack.
    pub fn template(&self) -> String {
        format!("hubkeeper-{}.template.json", self.version)
    }

    /// The name of the template of Azure.
    pub fn azure(&self) -> String {
        format!("hubkeeper-azure-{}.json", self.version)
    }

    /// The name of the function's package.
    pub fn package(&self, architecture: &str) -> String {
        format!("hubkeeper-function-{}-{architecture}.zip", self.version)
    }

    /// The processors for which the release has a package.
    pub fn architectures(&self) -> Vec<&'static str> {
        ARCHITECTURES.into_iter().filter(|name| self.sums.contains_key(&self.package(name))).collect()
    }

    /// Whether the folder says that it holds a build, not a release.
    pub fn is_a_build(&self) -> bool {
        self.sums.contains_key("NOT-A-RELEASE.txt")
    }

    /// Reads a file, and compares its checksum.
    ///
    /// # Errors
    /// Returns a failure if the file is missing, or is not the one of the release.
    pub fn read(&self, name: &str) -> Result<Verified, Failure> {
        let path = self.folder.join(name);
        let Some(expected) = self.sums.get(name) else {
            return Err(Failure::new(
                Code::Person,
                format!("{SUMS} in {} does not list {name}", self.folder.display()),
                "take the whole release again",
            ));
        };
        let bytes = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        let sha256 = hex(&bytes);
        if sha256 != *expected {
            return Err(Failure::new(
                Code::Refused,
                format!("the checksum of {name} is {sha256}, and {SUMS} says {expected}: nothing was uploaded"),
                "the file was changed or is incomplete: take the whole release again",
            ));
        }
        Ok(Verified { name: name.to_owned(), bytes, sha256 })
    }
}

/// The SHA-256 of bytes, as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The version in the name of a template.
fn version(name: &str) -> Option<&str> {
    let version = name.strip_prefix("hubkeeper-")?.strip_suffix(".template.json")?;
    let is_plain = version.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-+_".contains(&byte));
    (!version.is_empty() && is_plain).then_some(version)
}

/// The checksums by name. `None` if a line is not one of sha256sum, or a name is not that of a file in the folder.
fn parse(text: &str) -> Option<BTreeMap<String, String>> {
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (sum, name) = line.split_once(' ')?;
            let name = name.strip_prefix([' ', '*'])?;
            let is_sum = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_name = !name.is_empty() && !name.contains(['/', '\\']) && name != "." && name != "..";
            (is_sum && is_name).then(|| (name.to_owned(), sum.to_ascii_lowercase()))
        })
        .collect()
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Code::Person,
        format!("{} cannot be read: {}", path.display(), error.kind()),
        "name a release's folder with --release",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUM: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_list_of_checksums_names_files_of_its_folder() {
        let list = parse(&format!("{SUM}  a.zip\n{} *b\n\n", SUM.to_uppercase())).unwrap();
        assert_eq!(list["a.zip"], SUM);
        assert_eq!(list["b"], SUM);
        for wrong in ["x  a", &format!("{SUM} a"), &format!("{SUM}  ../a"), &format!("{SUM}  "), SUM] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(hex(b""), SUM);
    }

    #[test]
    fn the_version_is_in_the_name_of_the_template() {
        assert_eq!(version("hubkeeper-1.2.3.template.json"), Some("1.2.3"));
        assert_eq!(version("hubkeeper-1.2.3-rc.1.template.json"), Some("1.2.3-rc.1"));
        assert_eq!(version("hubkeeper-.template.json"), None);
        assert_eq!(version("hubkeeper-azure-1.2.3.json"), None);
    }
}
