//! A release depends on its inputs alone, and what would break that is found and named. Without a build: small ELF files stand for
//! the binaries. `make reproducible` compares two real builds.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod checks;
mod fixture;
mod remapped;

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;

use flate2::{Compression, GzBuilder};
use hubkeeper_release::archive::{Effort, Member, package, tar_gz};
use hubkeeper_release::assemble::assemble;
use hubkeeper_release::compare::differences;
use hubkeeper_release::source::{Source, files};
use zip::write::SimpleFileOptions;
use zip::{DateTime, ZipWriter};

use crate::fixture::{EPOCH, Fixture, elf, function, version};

type Files = BTreeMap<String, Vec<u8>>;

#[test]
fn two_folders_times_umasks_and_orders_give_the_same_bytes() {
    let first = Fixture::new("first").release(&[("umask", "022"), ("TZ", "UTC"), ("LC_ALL", "C")]);
    // tar counts seconds, and zip pairs of them
    std::thread::sleep(std::time::Duration::from_millis(2100));
    let second = Fixture::reversed("a longer folder, for the second").release(&[
        ("umask", "077"),
        ("TZ", "Pacific/Kiritimati"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("HOME", "/nowhere"),
    ]);
    assert_eq!(differences(&read(&first), &read(&second)), Vec::<String>::new());
    let read_sums = |folder: &Path| std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(read_sums(&first), read_sums(&second));
    assert_eq!(read_sums(&first).lines().count(), 9, "{}", read_sums(&first));
}

fn read(folder: &Path) -> Files {
    files(folder).unwrap()
}

/// Returns what is found if one file of a release is another one.
fn planted(name: &str, bytes: Vec<u8>) -> Vec<String> {
    let release = fixture::release();
    let mut other = release.clone();
    assert!(other.insert(name.to_owned(), bytes).is_some(), "{name}");
    let found = differences(&release, &other);
    assert_eq!(
        found,
        differences(&other, &release).iter().map(|text| turned(text)).collect::<Vec<_>>(),
        "in both directions"
    );
    found
}

/// Swaps what a difference says of the first and of the second release, where it says both in short.
fn turned(text: &str) -> String {
    let (head, pair) = text.split_once(" is ").unwrap_or((text, ""));
    match pair.split_once(", then ") {
        Some((one, other)) => format!("{head} is {other}, then {one}"),
        None => text.to_owned(),
    }
}

const ZIP: &str = "hubkeeper-function-0.1.0-x86_64.zip";
const TAR: &str = "hubkeeper-cli-0.1.0-x86_64-unknown-linux-gnu.tar.gz";

#[test]
fn a_time_in_the_zip_is_found() {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let time = DateTime::from_date_and_time(2026, 11, 30, 1, 2, 4).unwrap();
    let options = SimpleFileOptions::default().unix_permissions(0o755).last_modified_time(time);
    zip.start_file("bootstrap", options).unwrap();
    zip.write_all(&function("x86_64")).unwrap();
    let found = planted(ZIP, zip.finish().unwrap().into_inner());
    assert_eq!(found, [format!("{ZIP}: bootstrap: the time is 1980-01-01 00:00:00, then 2026-11-30 01:02:04")]);
}

fn members(source: &Source) -> BTreeMap<String, Member> {
    let texts = source.manual.iter().chain(&source.licences);
    let mut members: BTreeMap<String, Member> =
        texts.map(|(name, bytes)| (name.clone(), Member { mode: 0o644, bytes: bytes.clone() })).collect();
    let bytes = source.binaries[&hubkeeper_release::names::Architecture::X86_64].command_line.clone();
    members.insert("hubkeeper".to_owned(), Member { mode: 0o755, bytes });
    members
}

const FOLDER: &str = "hubkeeper-cli-0.1.0-x86_64-unknown-linux-gnu";

#[test]
fn a_time_in_the_tar_or_in_gzip_is_found() {
    let members = members(&fixture::source());
    let same = tar_gz(FOLDER, &members, EPOCH, Effort::Small).unwrap();
    assert_eq!(differences(&fixture::release(), &replaced(TAR, same.clone())), Vec::<String>::new());

    let found = planted(TAR, tar_gz(FOLDER, &members, EPOCH + 1, Effort::Small).unwrap());
    assert_eq!(found.len(), members.len());
    assert_eq!(found[0], format!("{TAR}: {FOLDER}/LICENSE-APACHE: the time is {EPOCH}, then {}", EPOCH + 1));

    let mut tar = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(same.as_slice()), &mut tar).unwrap();
    let mut gzip = GzBuilder::new().mtime(1_800_000_000).write(Vec::new(), Compression::best());
    gzip.write_all(&tar).unwrap();
    let found = planted(TAR, gzip.finish().unwrap());
    assert_eq!(found, [format!("{TAR}: the time in the gzip header is 0, then 1800000000")]);
}

fn replaced(name: &str, bytes: Vec<u8>) -> Files {
    let mut files = fixture::release();
    files.insert(name.to_owned(), bytes);
    files
}

#[test]
fn other_permissions_or_another_order_in_an_archive_are_found() {
    let mut members = members(&fixture::source());
    members.get_mut("LICENSE-MIT").unwrap().mode = 0o600;
    let found = planted(TAR, tar_gz(FOLDER, &members, EPOCH, Effort::Small).unwrap());
    assert_eq!(found, [format!("{TAR}: {FOLDER}/LICENSE-MIT: the permissions is 644, then 600")]);

    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, member) in members.iter().rev() {
        let mut header = tar::Header::new_ustar();
        header.set_mode(member.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(EPOCH);
        header.set_size(member.bytes.len() as u64);
        tar.append_data(&mut header, format!("{FOLDER}/{name}"), member.bytes.as_slice()).unwrap();
    }
    let found = planted(TAR, tar.into_inner().unwrap().finish().unwrap());
    assert!(found.len() == 1 && found[0].starts_with(&format!("{TAR}: the order of the files is ")), "{found:?}");

    let found = planted(ZIP, package(&function("x86_64"), Effort::Quick).unwrap());
    assert_eq!(found, [format!("{ZIP}: the same files, compressed or arranged in another way")]);
}

#[test]
fn a_path_in_a_binary_is_found_with_its_section() {
    let path = b"hubkeeper/0.1.0 /home/ann/hubkeeper/src/main.rs".as_slice();
    let other = b"hubkeeper/0.1.0 /home/bob/hubkeeper/src/main.rs".as_slice();
    let with = |path: &[u8]| elf(62, &[(".text", b"code"), (".rodata", path), (".note.gnu.build-id", &path[17..22])]);
    let mut source = fixture::source();
    let binaries = source.binaries.values_mut().last().unwrap();
    binaries.function = with(path);
    let first = assemble(&source).unwrap();
    source.binaries.values_mut().last().unwrap().function = with(other);
    let found = differences(&first, &assemble(&source).unwrap());
    assert_eq!(
        found,
        [format!(
            "{ZIP}: bootstrap: the section .rodata differs from byte 22 on (`hubkeeper/0.1.0 /home/ann/hubkeeper/src/main.rs`, \
             then `hubkeeper/0.1.0 /home/bob/hubkeeper/src/main.rs`; 47 and 47 bytes)"
        )]
    );
}

#[test]
fn a_serial_number_or_a_time_in_a_bill_of_materials_is_found() {
    let name = "hubkeeper-0.1.0.cli.cdx.json";
    let release = fixture::release();
    let text = String::from_utf8(release[name].clone()).unwrap();
    for (field, value, expected) in [
        ("serialNumber", "urn:uuid:11111111-1111-4111-8111-111111111111", "the field /serialNumber is \"urn:uuid:"),
        ("timestamp", "2027-01-01T00:00:00Z", "the field /metadata/timestamp is \"2026-09-21T"),
    ] {
        let at = text.find(&format!("\"{field}\": \"")).unwrap() + field.len() + 5;
        let to = at + text[at..].find('"').unwrap();
        let found = planted(name, format!("{}{value}{}", &text[..at], &text[to..]).into_bytes());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("{name}: {expected}")), "{found:?}");
        assert!(found[0].ends_with(&format!(", then \"{value}\"")), "{found:?}");
    }
}

#[test]
fn missing_files_texts_and_checksums_are_compared() {
    let release = fixture::release();
    let mut fewer = release.clone();
    fewer.remove(ZIP);
    assert_eq!(differences(&release, &fewer), [format!("{ZIP}: only in the first")]);
    assert_eq!(differences(&fewer, &release), [format!("{ZIP}: only in the second")]);
    let found = planted("RELEASE_NOTES.md", b"# hubkeeper 0.1.0\n\nReleased on 2026-12-01.\n".to_vec());
    assert_eq!(found, ["RELEASE_NOTES.md: line 3 is `Released on 2026-11-30.`, then `Released on 2026-12-01.`"]);
    let found = planted("SHA256SUMS", b"other".to_vec());
    assert_eq!(found, ["SHA256SUMS: differs, though all other files are the same"]);
    assert_eq!(version().as_str(), "0.1.0");
}
