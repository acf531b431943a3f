//! `infra/release/remapped.sh` keeps the folders of the machine out of a binary: a program of one line and a crate of a registry, built
//! by Cargo in two folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hubkeeper_release::binary::Machine;
use hubkeeper_release::sums::sha256;

const PROGRAM: &str =
    "fn main() { println!(\"{}\", picky::at(&std::env::args().map(|a| a.len()).collect::<Vec<_>>())); }\n";
// the place of the panic is a path
const CRATE: &str = "#[inline(never)]\npub fn at(list: &[usize]) -> usize { list[7] }\n";

struct Machines {
    folder: PathBuf,
}

impl Machines {
    /// Writes the program and the registry into a folder, with the script beside them.
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        let write = |path: &str, text: &str| {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let registry = "cargo/registry/src/some-index";
        write(&format!("{registry}/picky/src/lib.rs"), CRATE);
        write(
            &format!("{registry}/picky/Cargo.toml"),
            "[package]\nname = \"picky\"\nversion = \"1.0.0\"\nedition = \"2024\"\n",
        );
        write(&format!("{registry}/picky/.cargo-checksum.json"), "{\"files\": {}}");
        let replaced = "[source.crates-io]\nreplace-with = \"here\"\n\n[source.here]\n";
        write("cargo/config.toml", &format!("{replaced}directory = '{}'\n", folder.join(registry).display()));
        write("work/src/main.rs", PROGRAM);
        write(
            "work/Cargo.toml",
            "[package]\nname = \"program\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[dependencies]\npicky = \"1\"\n[workspace]\n\
             [profile.release]\nstrip = true\n",
        );
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/release/remapped.sh");
        let copy = folder.join("work/infra/release/remapped.sh");
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(script, copy).unwrap();
        Self { folder }
    }

    fn build(&self, script: &[&str]) -> Vec<u8> {
        let command: Vec<&str> =
            script.iter().copied().chain(["cargo", "build", "--release", "--offline", "-q"]).collect();
        let mut command_line = Command::new(command[0]);
        for variable in ["CARGO_TARGET_DIR", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER", "SOURCE_DATE_EPOCH"]
        {
            command_line.env_remove(variable);
        }
        let output = command_line
            .args(&command[1..])
            .current_dir(self.folder.join("work"))
            .env("CARGO_HOME", self.folder.join("cargo"))
            .env("RUSTFLAGS", "-C opt-level=2")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(self.folder.join("work/target/release/program")).unwrap()
    }

    fn machine(&self) -> Machine {
        Machine::new([self.folder.to_string_lossy().into_owned()])
    }
}

#[test]
fn no_folder_of_the_machine_is_in_a_binary_that_the_script_builds() {
    let (one, other) = (Machines::new("one"), Machines::new("other/and/deeper"));
    let plain = one.build(&[]);
    let path = one.machine().path_in(&plain).expect("without the script the path is there");
    assert!(path.ends_with("/picky/src/lib.rs"), "{path}");

    let script = ["infra/release/remapped.sh"];
    let (first, second) = (one.build(&script), other.build(&script));
    assert_eq!(one.machine().path_in(&first), None);
    assert_eq!(other.machine().path_in(&second), None);
    let place = b"/crates/picky/src/lib.rs";
    assert!(first.windows(place.len()).any(|text| text == place), "the place of the panic is kept");
    assert_eq!(sha256(&first), sha256(&second));
}
