//! A small repository and what was built for it. ELF files without code stand for the binaries.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::ZlibEncoder;
use hubkeeper_release::assemble::assemble;
use hubkeeper_release::names::{Architecture, Version};
use hubkeeper_release::sbom::normalized;
use hubkeeper_release::source::Source;
use serde_json::json;

pub(crate) const EPOCH: u64 = 1_790_000_000;

pub(crate) fn version() -> Version {
    Version::parse("0.1.0").unwrap()
}

/// Returns an ELF file for a machine, with these sections.
pub(crate) fn elf(machine: u16, sections: &[(&str, &[u8])]) -> Vec<u8> {
    const HEADER: usize = 64;
    let mut names = vec![0];
    let mut data = Vec::new();
    // name, kind, offset and size
    let mut headers = vec![(0, 0, 0, 0)];
    for (name, bytes) in sections {
        headers.push((names.len(), 1, HEADER + data.len(), bytes.len()));
        names.extend(name.bytes().chain([0]));
        data.extend_from_slice(bytes);
    }
    let own_name = names.len();
    names.extend(b".shstrtab\0");
    headers.push((own_name, 3, HEADER + data.len(), names.len()));
    data.extend(names);

    let number = |value: usize| u64::try_from(value).unwrap().to_le_bytes();
    let short = |value: usize| u16::try_from(value).unwrap().to_le_bytes();
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
    file.extend(machine.to_le_bytes());
    file.extend([1, 0, 0, 0]);
    file.extend([number(0), number(0), number(HEADER + data.len())].concat());
    file.extend([0; 4]);
    file.extend(
        [short(HEADER), short(56), short(0), short(64), short(headers.len()), short(headers.len() - 1)].concat(),
    );
    file.extend(data);
    for (name, kind, offset, size) in headers {
        file.extend(u32::try_from(name).unwrap().to_le_bytes());
        file.extend(u32::to_le_bytes(kind));
        file.extend([number(0), number(0), number(offset), number(size)].concat());
        file.extend([0; 8]);
        file.extend([number(1), number(0)].concat());
    }
    file
}

/// Returns the section of `cargo auditable`: the package and the crates that it is linked from.
pub(crate) fn auditable(package: &str, version: &str, crates: &[(&str, &str)]) -> Vec<u8> {
    let each = crates.iter().map(|(name, version)| json!({"name": name, "version": version, "source": "crates.io"}));
    let root = json!({"name": package, "version": version, "source": "local", "root": true});
    let text = json!({"packages": each.chain([root]).collect::<Vec<_>>()}).to_string();
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

pub(crate) const CRATES: [(&str, &str); 2] = [("hubkeeper-core", "0.1.0"), ("ring", "0.17.0")];
pub(crate) const TEXT: &[u8] = b"\0hubkeeper/0.1.0\0at src/main.rs\0/crates/ring/lib.rs\0";

fn machine(architecture: &str) -> u16 {
    Architecture::ALL.into_iter().find(|each| each.of_lambda() == architecture).unwrap().machine()
}

pub(crate) fn function(architecture: &str) -> Vec<u8> {
    let crates = auditable("hubkeeper", "0.1.0", &CRATES);
    elf(machine(architecture), &[(".text", b"function"), (".rodata", TEXT), (".dep-v0", &crates)])
}

pub(crate) fn command_line(architecture: &str) -> Vec<u8> {
    let crates = auditable("hubkeeper-cli", "0.1.0", &CRATES);
    elf(machine(architecture), &[(".text", b"command line"), (".rodata", TEXT), (".dep-v0", &crates)])
}

pub(crate) fn sbom(package: &str, workspace: &str) -> String {
    let components = CRATES.map(|(name, version)| {
        json!({"name": name, "version": version, "bom-ref": format!("path+file://{workspace}/{name}#{version}")})
    });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": "urn:uuid:00000000-0000-4000-8000-000000000000",
        "metadata": {"timestamp": "2026", "component": {"name": package, "version": "0.1.0"}},
        "components": components,
    })
    .to_string()
}

/// Returns the path of a file in this repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn repository_files() -> Vec<(String, Vec<u8>)> {
    let manifest = "[package]\nname = \"hubkeeper\"\nversion = \"0.1.0\"\n";
    let changelog = "# Changelog\n\n## [Unreleased]\n\n## [0.1.0] - 2026-11-30\n\nThe first one.\n";
    let mut files = vec![
        ("Cargo.toml".to_owned(), manifest.as_bytes().to_vec()),
        ("cli/Cargo.toml".to_owned(), manifest.as_bytes().to_vec()),
        ("CHANGELOG.md".to_owned(), changelog.as_bytes().to_vec()),
    ];
    for path in ["infra/aws/template.yaml", "infra/azure/azuredeploy.json", "LICENSE-APACHE", "LICENSE-MIT"] {
        files.push((path.to_owned(), fs::read(repository(path)).unwrap()));
    }
    files
}

fn built_files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for architecture in ["x86_64", "arm64"] {
        files.push((format!("{architecture}/bootstrap"), function(architecture)));
        files.push((format!("{architecture}/hubkeeper"), command_line(architecture)));
    }
    for script in ["hubkeeper.bash", "_hubkeeper", "hubkeeper.fish"] {
        files.push((format!("completions/{script}"), script.as_bytes().to_vec()));
    }
    for page in ["hubkeeper.1", "hubkeeper-verify.1"] {
        files.push((format!("man/{page}"), page.as_bytes().to_vec()));
    }
    for (part, package) in [("function", "hubkeeper"), ("cli", "hubkeeper-cli")] {
        let text = normalized(&[sbom(package, "/src/here")], "/src/here", EPOCH).unwrap();
        files.push((format!("{part}.cdx.json"), text.into_bytes()));
    }
    files
}

/// Both in a folder of their own.
pub(crate) struct Fixture {
    folder: PathBuf,
}

impl Fixture {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, |files| files, 0o644, 1_000_000_000)
    }

    /// The files are written in the opposite order, with other permissions, decades later.
    pub(crate) fn reversed(name: &str) -> Self {
        Self::with(name, |files| files.into_iter().rev().collect(), 0o600, 1_900_000_000)
    }

    fn with(
        name: &str,
        order: impl Fn(Vec<(String, Vec<u8>)>) -> Vec<(String, Vec<u8>)>,
        mode: u32,
        time: u64,
    ) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        for (place, files) in [("repository", repository_files()), ("built", built_files())] {
            for (path, bytes) in order(files) {
                let path = folder.join(place).join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, bytes).unwrap();
                let file = fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(time)).unwrap();
                #[cfg(unix)]
                {
                    use std::os::unix::fs::PermissionsExt;
                    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                }
            }
        }
        Self { folder }
    }

    /// Assembles a release with the command, in an environment, and returns its folder.
    pub(crate) fn release(&self, environment: &[(&str, &str)]) -> PathBuf {
        let umask = environment.iter().find(|(name, _)| *name == "umask").unwrap().1;
        let folder = self.folder.join("release");
        let output = Command::new("sh")
            .args(["-c", &format!("umask {umask}; exec \"$@\""), "sh", env!("CARGO_BIN_EXE_release")])
            .args(["assemble", "0.1.0", "../built"])
            .arg(&folder)
            .current_dir(self.folder.join("repository"))
            .envs(environment.iter().filter(|(name, _)| *name != "umask").copied())
            .env("SOURCE_DATE_EPOCH", EPOCH.to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        folder
    }
}

/// Returns the same without files.
pub(crate) fn source() -> Source {
    use hubkeeper_release::names::Part;
    use hubkeeper_release::source::Binaries;
    let repository: BTreeMap<String, Vec<u8>> = repository_files().into_iter().collect();
    let built: BTreeMap<String, Vec<u8>> = built_files().into_iter().collect();
    let text = |path: &str| String::from_utf8(repository[path].clone()).unwrap();
    let manual = built.iter().filter_map(|(path, bytes)| match path.split_once('/')? {
        ("completions", _) => Some((path.clone(), bytes.clone())),
        ("man", page) => Some((format!("man/man1/{page}"), bytes.clone())),
        _ => None,
    });
    let binaries = |each: Architecture| Binaries {
        function: function(each.of_lambda()),
        command_line: command_line(each.of_lambda()),
    };
    Source {
        version: version(),
        epoch: EPOCH,
        quick: false,
        changelog: text("CHANGELOG.md"),
        template: text("infra/aws/template.yaml"),
        azure: repository["infra/azure/azuredeploy.json"].clone(),
        licences: ["LICENSE-APACHE", "LICENSE-MIT"].map(|name| (name.to_owned(), repository[name].clone())).into(),
        manual: manual.collect(),
        binaries: Architecture::ALL.map(|each| (each, binaries(each))).into(),
        sboms: Part::ALL.map(|part| (part, built[&format!("{}.cdx.json", part.name())].clone())).into(),
    }
}

/// Returns the files of its release.
pub(crate) fn release() -> BTreeMap<String, Vec<u8>> {
    static RELEASE: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    RELEASE.get_or_init(|| assemble(&source()).unwrap()).clone()
}
