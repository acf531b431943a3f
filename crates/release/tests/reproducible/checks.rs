//! `release check` accepts a release, and finds each thing that is wrong with one.

use std::collections::BTreeMap;

use hubkeeper_release::archive::{Effort, package};
use hubkeeper_release::assemble::assemble;
use hubkeeper_release::binary::Machine;
use hubkeeper_release::check::{Checked, MOST_PACKAGE_BYTES, check};
use hubkeeper_release::names::{Architecture, Part};
use hubkeeper_release::problem::Problem;
use hubkeeper_release::source::{Binaries, Source};
use hubkeeper_release::sums::sums;

use crate::fixture::{CRATES, TEXT, auditable, elf, function, release, source};

type Files = BTreeMap<String, Vec<u8>>;

fn checked(files: &Files) -> Result<Checked, Vec<Problem>> {
    check(files, &Machine::new(["/home/ann".to_owned(), "/src/hubkeeper".to_owned()]))
}

/// Changes the source of a release, and returns what is found in the release.
fn found(change: impl FnOnce(&mut Source)) -> String {
    let mut source = source();
    change(&mut source);
    texts(&assemble(&source).unwrap())
}

/// Changes the files of a release, with the right checksums, and returns what is found.
fn found_in(change: impl FnOnce(&mut Files)) -> String {
    let mut files = release();
    change(&mut files);
    files.insert("SHA256SUMS".to_owned(), sums(&files).into_bytes());
    texts(&files)
}

fn texts(files: &Files) -> String {
    let problems = checked(files).expect_err("nothing was found");
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Replaces the function for `x86_64` by one with other sections.
fn with_function(sections: &[(&str, &[u8])]) -> String {
    let program = elf(62, sections);
    found(|source| source.binaries.get_mut(&Architecture::X86_64).unwrap().function = program)
}

#[test]
fn a_release_is_accepted_with_both_command_lines() {
    let checked = checked(&release()).unwrap();
    assert_eq!((checked.version.as_str(), checked.quick, checked.lines.len()), ("0.1.0", false, 10));
    assert_eq!(checked.command_lines.len(), 2);
}

#[test]
fn one_architecture_is_a_release_too_and_the_template_allows_no_other() {
    let mut source = source();
    source.binaries.remove(&Architecture::Arm64);
    let files = assemble(&source).unwrap();
    checked(&files).unwrap();
    let template: serde_json::Value = serde_json::from_slice(&files["hubkeeper-0.1.0.template.json"]).unwrap();
    assert_eq!(template["Parameters"]["Architecture"]["Default"], "x86_64");
}

#[test]
fn the_build_for_tests_is_never_mistaken_for_a_release() {
    let mut source = source();
    source.quick = true;
    source.sboms.clear();
    source.binaries.get_mut(&Architecture::X86_64).unwrap().function =
        elf(62, &[(".rodata", b"hubkeeper/0.1.0 /home/ann/hubkeeper/src/main.rs")]);
    let mut files = assemble(&source).unwrap();
    assert!(checked(&files).unwrap().quick);
    // without the file that says so, everything that a release has is missing
    files.remove("NOT-A-RELEASE.txt");
    files.insert("SHA256SUMS".to_owned(), sums(&files).into_bytes());
    let texts = texts(&files);
    for words in ["holds a path of the machine", "no section .dep-v0", "hubkeeper-0.1.0.cli.cdx.json: is missing"] {
        assert!(texts.contains(words), "{texts}");
    }
}

#[test]
fn changed_missing_and_additional_files_are_found() {
    let release = release();
    let with = |change: &dyn Fn(&mut Files)| {
        let mut files = release.clone();
        change(&mut files);
        texts(&files)
    };
    let name = "hubkeeper-azure-0.1.0.json";
    assert!(with(&|files| files.get_mut(name).unwrap().push(b' ')).contains("not the file that SHA256SUMS lists"));
    assert!(with(&|files| drop(files.remove(name))).contains("hubkeeper-azure-0.1.0.json: is missing"));
    assert!(with(&|files| drop(files.insert("x".to_owned(), vec![]))).contains("x: is not in SHA256SUMS"));
    assert!(with(&|files| drop(files.remove("SHA256SUMS"))).contains("SHA256SUMS: is missing"));
    assert!(found_in(|files| drop(files.insert("x".to_owned(), vec![]))).contains("x: does not belong to a release"));
    for name in release.keys().filter(|name| *name != "SHA256SUMS") {
        let texts = found_in(|files| drop(files.remove(name)));
        assert!(!texts.is_empty(), "{name}");
    }
}

#[test]
fn a_binary_must_be_the_one_that_its_name_says() {
    let crates = auditable("hubkeeper", "0.1.0", &CRATES);
    for (sections, words) in [
        (vec![(".rodata", b"hubkeeper/0.2.0".as_slice()), (".dep-v0", &crates)], "is not of version 0.1.0"),
        (vec![(".rodata", TEXT)], "has no section .dep-v0: build it with cargo auditable"),
        (vec![(".rodata", TEXT), (".dep-v0", b"{}")], "has a damaged section .dep-v0"),
        (vec![(".rodata", b"hubkeeper/0.1.0\0GLIBC_2.38\0"), (".dep-v0", &crates)], "needs glibc 2.38"),
        (
            vec![(".rodata", b"hubkeeper/0.1.0\0/src/hubkeeper/src/x.rs\0"), (".dep-v0", &crates)],
            "holds a path of the machine that built it: /src/hubkeeper/src/x.rs",
        ),
        (
            vec![(".rodata", b"hubkeeper/0.1.0\0/opt/cargo/registry/src/x\0"), (".dep-v0", &crates)],
            "holds a path of the machine that built it: /opt/cargo/registry/src/x",
        ),
    ] {
        let texts = with_function(&sections);
        assert!(texts.contains(&format!("hubkeeper-function-0.1.0-x86_64.zip: bootstrap: {words}")), "{texts}");
    }
    let of_another = auditable("hubkeeper-cli", "0.1.0", &CRATES);
    let texts = with_function(&[(".rodata", TEXT), (".dep-v0", &of_another)]);
    assert!(texts.contains("was built from hubkeeper-cli 0.1.0"), "{texts}");
    let texts = found(|source| {
        let binaries = Binaries { function: function("arm64"), command_line: b"#!/bin/sh\n".to_vec() };
        source.binaries.insert(Architecture::X86_64, binaries);
    });
    assert!(texts.contains("is not for x86_64 (machine 183)") && texts.contains("is not an ELF file"), "{texts}");
}

#[test]
fn every_crate_of_a_binary_is_in_its_bill_of_materials() {
    let crates = auditable("hubkeeper", "0.1.0", &[("ring", "0.17.0"), ("openssl", "0.10.0")]);
    let texts = with_function(&[(".rodata", TEXT), (".dep-v0", &crates)]);
    assert!(
        texts.contains("hubkeeper-0.1.0.function.cdx.json: lacks openssl 0.10.0, which the binary lists"),
        "{texts}"
    );
    let texts = found(|source| {
        let function = source.sboms[&Part::Function].clone();
        source.sboms.insert(Part::CommandLine, function);
    });
    assert!(texts.contains("hubkeeper-0.1.0.cli.cdx.json: is about \"hubkeeper\" \"0.1.0\""), "{texts}");
    let texts = found(|source| {
        let text = String::from_utf8(source.sboms[&Part::Function].clone()).unwrap();
        let text = text.replace("\"timestamp\": \"2026-09-21", "\"timestamp\": \"2026-09-22");
        source.sboms.insert(Part::Function, text.into_bytes());
    });
    assert!(texts.contains("has a serial number or an order of its own"), "{texts}");
}

#[test]
fn sizes_archives_template_and_notes_are_checked() {
    let noise: Vec<u8> = (0..MOST_PACKAGE_BYTES + 100_000)
        .scan(1_u64, |state, _| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            Some(state.to_le_bytes()[7])
        })
        .collect();
    let large = package(&noise, Effort::Quick).unwrap();
    let zip = "hubkeeper-function-0.1.0-x86_64.zip";
    assert!(found_in(|files| drop(files.insert(zip.to_owned(), large))).contains("more than 3600000"));
    assert!(found_in(|files| drop(files.insert(zip.to_owned(), b"PK".to_vec()))).contains("cannot be read as a zip"));
    let tar = "hubkeeper-cli-0.1.0-x86_64-unknown-linux-gnu.tar.gz";
    assert!(found_in(|files| drop(files.insert(tar.to_owned(), vec![0; 600]))).contains("cannot be read as a tar"));
    let texts = found(|source| source.manual.retain(|name, _| name != "completions/hubkeeper.fish"));
    assert!(texts.contains("has no completions/hubkeeper.fish"), "{texts}");

    let template = "hubkeeper-0.1.0.template.json";
    for (from, to, words) in [
        ("hubkeeper-function-0.1.0-", "hubkeeper-function-0.0.9-", "deploys hubkeeper-function-0.0.9-arm64.zip"),
        ("\"AllowedValues\":[\"arm64\",\"x86_64\"]", "\"AllowedValues\":[\"arm64\"]", "are not those of the packages"),
        ("{", "{{", "is not JSON"),
    ] {
        let texts = found_in(|files| {
            let text = String::from_utf8(files[template].clone()).unwrap().replacen(from, to, 1);
            files.insert(template.to_owned(), text.into_bytes());
        });
        assert!(texts.contains(words), "{texts}");
    }
    let long = format!("{{\"Description\":\"{}\"}}", "x".repeat(51_200));
    assert!(found_in(|files| drop(files.insert(template.to_owned(), long.into_bytes()))).contains("fewer than 51200"));
    let texts = found_in(|files| drop(files.insert("RELEASE_NOTES.md".to_owned(), b"# hubkeeper 0.2.0\n".to_vec())));
    assert!(texts.contains("RELEASE_NOTES.md: begins with `# hubkeeper 0.2.0`"), "{texts}");
    assert!(found_in(|files| drop(files.remove(template))).contains("0 files hubkeeper-VERSION.template.json"));
}
