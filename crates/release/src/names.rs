//! Names of a release and its files.

use std::fmt::{self, Display, Formatter};

use crate::problem::Problem;

/// The checksums of all other files.
pub const SUMS: &str = "SHA256SUMS";
/// The section of `CHANGELOG.md` about the version.
pub const NOTES: &str = "RELEASE_NOTES.md";
/// Only in a folder of the tests' build, which is not a release.
pub const NOT_A_RELEASE: &str = "NOT-A-RELEASE.txt";

/// A version, such as `0.1.0` or `0.2.0-rc.1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(String);

impl Version {
    /// Reads a version as Cargo writes it, without a leading `v`.
    ///
    /// # Errors
    /// Returns a problem for anything else.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let (core, label) = text.split_once('-').map_or((text, None), |(core, label)| (core, Some(label)));
        let number = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && (part == "0" || !part.starts_with('0'))
        };
        let is_label = |label: &str| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            label.split('.').all(|part| !part.is_empty() && part.bytes().all(allowed))
        };
        let numbers: Vec<&str> = core.split('.').collect();
        if numbers.len() == 3 && numbers.into_iter().all(number) && label.is_none_or(is_label) {
            return Ok(Self(text.to_owned()));
        }
        Err(Problem::new(format!(
            "VERSION={text} is not a version: use three numbers, as in make release VERSION=0.1.0"
        )))
    }

    /// Returns the version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name of the package of the function.
    pub fn function(&self, architecture: Architecture) -> String {
        format!("hubkeeper-function-{self}-{}.zip", architecture.of_lambda())
    }

    /// Returns the name of the archive of the command line.
    pub fn command_line(&self, architecture: Architecture) -> String {
        format!("{}.tar.gz", self.command_line_folder(architecture))
    }

    /// Returns the one folder in the archive of the command line.
    pub fn command_line_folder(&self, architecture: Architecture) -> String {
        format!("hubkeeper-cli-{self}-{}", architecture.target())
    }

    /// Returns the name of the packaged template of AWS.
    pub fn template(&self) -> String {
        format!("hubkeeper-{self}.template.json")
    }

    /// Returns the name of the ARM template of Azure.
    pub fn azure(&self) -> String {
        format!("hubkeeper-azure-{self}.json")
    }

    /// Returns the name of a bill of materials.
    pub fn sbom(&self, part: Part) -> String {
        format!("hubkeeper-{self}.{}.cdx.json", part.name())
    }
}

impl Display for Version {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a release holds as binaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The function.
    Function,
    /// The command line.
    CommandLine,
}

impl Part {
    /// Both, in the order of a release.
    pub const ALL: [Self; 2] = [Self::Function, Self::CommandLine];

    /// Returns the name in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::CommandLine => "cli",
        }
    }

    /// Returns the name of the Cargo package.
    pub fn package(self) -> &'static str {
        match self {
            Self::Function => "hubkeeper",
            Self::CommandLine => "hubkeeper-cli",
        }
    }

    /// Returns the name of the binary.
    pub fn binary(self) -> &'static str {
        match self {
            Self::Function => "bootstrap",
            Self::CommandLine => "hubkeeper",
        }
    }
}

/// A processor that a release is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// AWS Graviton; the template's default.
    Arm64,
    /// Intel and AMD.
    X86_64,
}

impl Architecture {
    /// Both, in the order of the template.
    pub const ALL: [Self; 2] = [Self::Arm64, Self::X86_64];

    /// Returns Lambda's name, which the template's parameter `Architecture` has too.
    pub fn of_lambda(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }

    /// Returns Rust's target.
    pub fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }

    /// Returns the field `e_machine` of its ELF files.
    pub fn machine(self) -> u16 {
        match self {
            Self::Arm64 => 183,
            Self::X86_64 => 62,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_cargo() {
        for good in ["0.1.0", "10.20.30", "0.2.0-rc.1", "1.0.0-alpha-2"] {
            assert_eq!(Version::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "v0.1.0", "0.1", "0.1.0.0", "0.1.x", "01.0.0", "0.1.0-", "0.1.0-a..b", "0.1.0/..", "0.1.0 "] {
            assert!(Version::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn files_are_named_by_version_and_architecture() {
        let version = Version::parse("0.1.0").unwrap();
        assert_eq!(version.function(Architecture::Arm64), "hubkeeper-function-0.1.0-arm64.zip");
        assert_eq!(version.function(Architecture::X86_64), "hubkeeper-function-0.1.0-x86_64.zip");
        assert_eq!(version.command_line(Architecture::Arm64), "hubkeeper-cli-0.1.0-aarch64-unknown-linux-gnu.tar.gz");
        assert_eq!(version.template(), "hubkeeper-0.1.0.template.json");
        assert_eq!(version.azure(), "hubkeeper-azure-0.1.0.json");
        assert_eq!(version.sbom(Part::Function), "hubkeeper-0.1.0.function.cdx.json");
        assert_eq!(version.sbom(Part::CommandLine), "hubkeeper-0.1.0.cli.cdx.json");
    }
}
