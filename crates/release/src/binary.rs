//! What a binary says about itself: its sections, the crates it was built from, and paths of the machine that built it.

use std::collections::BTreeSet;
use std::io::Read;

use elf::ElfBytes;
use elf::endian::LittleEndian;
use flate2::read::ZlibDecoder;
use serde_json::Value;

/// The glibc version of `provided.al2023`: 2.34.
pub const GLIBC: (u32, u32) = (2, 34);

/// The section that `cargo auditable` writes: JSON, compressed with zlib.
pub const AUDITABLE: &str = ".dep-v0";

/// The largest list of crates that is read; a real one has some ten kilobytes.
const MOST_CRATES: u64 = 10_000_000;

/// A crate that a binary was built from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// Its name on crates.io, or in the workspace.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The list of crates in a binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crates {
    /// The package of the binary.
    pub root: Crate,
    /// The crates that are linked, with the package of the binary.
    pub linked: BTreeSet<Crate>,
}

fn parse(program: &[u8]) -> Result<ElfBytes<'_, LittleEndian>, String> {
    ElfBytes::minimal_parse(program).map_err(|error| format!("is not an ELF file: {error}"))
}

/// Returns the field `e_machine`.
///
/// # Errors
/// Returns what is wrong if this is not an ELF file.
pub fn machine(program: &[u8]) -> Result<u16, String> {
    parse(program).map(|file| file.ehdr.e_machine)
}

/// Returns the name and the bytes of each section, in the order of the file.
///
/// # Errors
/// Returns what is wrong if this is not an ELF file with sections.
pub fn sections(program: &[u8]) -> Result<Vec<(String, &[u8])>, String> {
    let damaged = |error: elf::ParseError| format!("has damaged sections: {error}");
    let file = parse(program)?;
    let (headers, names) = file.section_headers_with_strtab().map_err(damaged)?;
    let (Some(headers), Some(names)) = (headers, names) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for header in headers {
        let name = names.get(header.sh_name as usize).map_err(damaged)?;
        let (bytes, _) = file.section_data(&header).map_err(damaged)?;
        found.push((name.to_owned(), bytes));
    }
    Ok(found)
}

/// Reads the list of crates that `cargo auditable` put into a binary.
///
/// # Errors
/// Returns what is wrong if there is no such list, or if it is damaged.
pub fn crates(program: &[u8]) -> Result<Crates, String> {
    let sections = sections(program)?;
    let found = sections.iter().find(|(name, _)| name == AUDITABLE);
    let (_, packed) = found.ok_or_else(|| format!("has no section {AUDITABLE}: build it with cargo auditable"))?;
    let mut text = String::new();
    ZlibDecoder::new(*packed)
        .take(MOST_CRATES)
        .read_to_string(&mut text)
        .map_err(|error| format!("has a damaged section {AUDITABLE}: {error}"))?;
    listed(&text).ok_or_else(|| format!("has a section {AUDITABLE} without packages"))
}

fn listed(text: &str) -> Option<Crates> {
    let value: Value = serde_json::from_str(text).ok()?;
    let (mut root, mut linked) = (None, BTreeSet::new());
    for package in value["packages"].as_array()? {
        let text = |field: &str| package[field].as_str().map(str::to_owned);
        let each = Crate { name: text("name")?, version: text("version")? };
        if package["root"] == true {
            root = Some(each.clone());
        }
        // a crate of a build script is in the list too
        if package["kind"] != "build" {
            linked.insert(each);
        }
    }
    Some(Crates { root: root?, linked })
}

/// The newest glibc version among the symbol versions of a binary.
pub fn glibc_needed(program: &[u8]) -> Option<(u32, u32)> {
    const MARK: &[u8] = b"GLIBC_";
    let versions =
        program.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK).filter_map(|(at, _)| {
            let rest = program.get(at + MARK.len()..)?;
            let end = rest.iter().position(|byte| !(byte.is_ascii_digit() || *byte == b'.'))?;
            let (major, minor) = std::str::from_utf8(&rest[..end]).ok()?.split_once('.')?;
            let minor = minor.split('.').next()?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        });
    versions.max()
}

/// The folders that a build writes instead of the machine's (`infra/release/remapped.sh`).
const WRITTEN: [&str; 4] = ["/cargo/", "/crates/", "/hubkeeper/", "/target/"];

/// The paths of the building machine that must not be in a binary: their folders, each with a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine(Vec<String>);

impl Machine {
    /// Returns the folders, without those that do not mean this machine, such as `/`.
    pub fn new(folders: impl IntoIterator<Item = String>) -> Self {
        let folders = folders.into_iter().map(|folder| format!("{}/", folder.trim_end_matches('/')));
        let means_it =
            |folder: &String| folder.starts_with('/') && folder.len() > 4 && !WRITTEN.contains(&folder.as_str());
        let mut folders: Vec<String> = folders.filter(means_it).collect();
        folders.sort();
        folders.dedup();
        Self(folders)
    }

    /// Reads the folders of this machine from its environment: home, Cargo, rustup, target and the workspace.
    pub fn here() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let here = std::env::current_dir().ok().map(|folder| folder.to_string_lossy().into_owned());
        let variables = ["HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR"].map(variable);
        Self::new(variables.into_iter().chain([here]).flatten())
    }

    /// Returns the text around the first path of the machine in a binary, or of any folder of Cargo's registry.
    pub fn path_in(&self, program: &[u8]) -> Option<String> {
        let registry = "/registry/src/".to_owned();
        let at = self.0.iter().chain([&registry]).filter_map(|folder| position(program, folder.as_bytes())).min()?;
        Some(text_around(program, at))
    }
}

/// Returns where `part` begins in `whole`.
pub fn position(whole: &[u8], part: &[u8]) -> Option<usize> {
    let first = *part.first()?;
    let mut from = 0;
    loop {
        let at = from + whole.get(from..)?.iter().position(|byte| *byte == first)?;
        if whole[at..].starts_with(part) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Returns the readable text around a place of a binary, 120 characters at most.
pub fn text_around(bytes: &[u8], at: usize) -> String {
    let is_text = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
    let before = bytes[..at].iter().rev().take(40).take_while(|byte| is_text(byte)).count();
    let after = bytes[at..].iter().take(80).take_while(|byte| is_text(byte)).count();
    String::from_utf8_lossy(&bytes[at - before..at + after]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_glibc_counts() {
        let program = b"\0GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_PRIVATE\0";
        assert_eq!(glibc_needed(program), Some((2, 34)));
        assert_eq!(glibc_needed(b"static"), None);
    }

    #[test]
    fn a_path_of_the_machine_is_found_with_the_text_around_it() {
        let folders = ["/home/ann", "/home/ann/", "/", "/x", "/build/hubkeeper", "/target"].map(str::to_owned);
        let machine = Machine::new(folders);
        assert_eq!(machine, Machine(vec!["/build/hubkeeper/".to_owned(), "/home/ann/".to_owned()]));
        assert_eq!(machine.path_in(b"\x01/rustc/library/core.rs\0/crates/ring-1/lib.rs\0/home/anna/x\0"), None);
        let found = machine.path_in(b"\0at /build/hubkeeper/src/main.rs\0\xff/home/ann/x").unwrap();
        assert_eq!(found, "at /build/hubkeeper/src/main.rs");
        let found = machine.path_in(b"\0/elsewhere/.cargo/registry/src/index/ring-1/lib.rs\0").unwrap();
        assert!(found.ends_with("/.cargo/registry/src/index/ring-1/lib.rs"), "{found}");
    }

    #[test]
    fn the_list_of_crates_has_what_is_linked() {
        let text = r#"{"packages": [{"name": "cc", "version": "1.0.0", "source": "crates.io", "kind": "build"},
            {"name": "hubkeeper", "version": "0.1.0", "source": "local", "dependencies": [0, 2], "root": true},
            {"name": "ring", "version": "0.17.0", "source": "crates.io"}]}"#;
        let crates = listed(text).unwrap();
        assert_eq!((crates.root.name.as_str(), crates.root.version.as_str()), ("hubkeeper", "0.1.0"));
        assert_eq!(crates.linked.iter().map(|each| each.name.as_str()).collect::<Vec<_>>(), ["hubkeeper", "ring"]);
        assert_eq!(listed("{}"), None);
        assert_eq!(listed(r#"{"packages": []}"#), None);
    }

    #[test]
    fn this_test_is_an_elf_file_without_a_list_of_crates() {
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(sections(&program).unwrap().iter().any(|(name, bytes)| name == ".text" && !bytes.is_empty()));
        assert!(crates(&program).unwrap_err().contains("cargo auditable"));
        assert!(machine(b"not a program").unwrap_err().contains("not an ELF file"));
    }
}
