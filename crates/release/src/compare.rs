//! Compares two releases byte by byte, and says what differs: the file, the file in its archive, the section of a binary.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::Path;

use serde_json::Value;

use crate::archive::{Found, gzip_time, read_tar_gz, read_zip};
use crate::binary::{sections, text_around};
use crate::names::SUMS;

/// Returns what differs between two releases, by file; nothing if they are the same. `SHA256SUMS` follows from the other files, so
/// it is named only if nothing else differs.
pub fn differences(first: &BTreeMap<String, Vec<u8>>, second: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let names: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let mut found = Vec::new();
    for name in names.iter().filter(|name| **name != SUMS) {
        match (first.get(*name), second.get(*name)) {
            (Some(one), Some(other)) if one == other => {}
            (Some(one), Some(other)) => found.extend(file(name, one, other)),
            (Some(_), None) => found.push(format!("{name}: only in the first")),
            _ => found.push(format!("{name}: only in the second")),
        }
    }
    if found.is_empty() && first.get(SUMS) != second.get(SUMS) {
        found.push(format!("{SUMS}: differs, though all other files are the same"));
    }
    found
}

/// Returns what differs in a file.
fn file(name: &str, first: &[u8], second: &[u8]) -> Vec<String> {
    let extension = Path::new(name).extension().and_then(OsStr::to_str);
    let read = |bytes: &[u8]| match extension {
        Some("zip") => read_zip(name, bytes).ok(),
        Some("gz") => read_tar_gz(name, bytes).ok(),
        _ => None,
    };
    let (Some(one), Some(other)) = (read(first), read(second)) else {
        return vec![format!("{name}: {}", content(first, second))];
    };
    let mut found = members(name, &one, &other);
    if extension == Some("gz") && gzip_time(first) != gzip_time(second) {
        found.push(format!("{name}: the time in the gzip header is {}, then {}", gzip_time(first), gzip_time(second)));
    }
    if found.is_empty() {
        found.push(format!("{name}: the same files, compressed or arranged in another way"));
    }
    found
}

/// Returns what differs between the files of two archives.
fn members(name: &str, first: &[Found], second: &[Found]) -> Vec<String> {
    let names = |found: &[Found]| found.iter().map(|file| file.name.clone()).collect::<Vec<_>>();
    let (one, other) = (names(first), names(second));
    if one != other {
        let sorted = |mut names: Vec<String>| {
            names.sort();
            names
        };
        let what =
            if sorted(one.clone()) == sorted(other.clone()) { "the order of the files" } else { "the list of files" };
        return vec![format!("{name}: {what} is {}, then {}", one.join(" "), other.join(" "))];
    }
    let mut found = Vec::new();
    for (one, other) in first.iter().zip(second) {
        let attributes = one.attributes.iter().zip(&other.attributes).filter(|(one, other)| one != other);
        found.extend(attributes.map(|((attribute, one_value), (_, other_value))| {
            format!("{name}: {}: the {attribute} is {one_value}, then {other_value}", one.name)
        }));
        if one.bytes != other.bytes {
            found.push(format!("{name}: {}: {}", one.name, content(&one.bytes, &other.bytes)));
        }
    }
    found
}

/// Says where two files differ first: the field of a JSON document, the section of a binary, the line of a text.
fn content(first: &[u8], second: &[u8]) -> String {
    if let (Ok(one), Ok(other)) = (serde_json::from_slice::<Value>(first), serde_json::from_slice::<Value>(second))
        && let Some(found) = field(&one, &other, "")
    {
        return found;
    }
    if let (Ok(one), Ok(other)) = (sections(first), sections(second)) {
        return section(&one, &other);
    }
    let at = first_difference(first, second);
    let line = first[..at].split(|byte| *byte == b'\n').count();
    format!("line {line} is `{}`, then `{}`", text_around(first, at), text_around(second, at))
}

fn field(first: &Value, second: &Value, path: &str) -> Option<String> {
    match (first, second) {
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let null = Value::Null;
            names.into_iter().find_map(|name| {
                let of = |fields: &serde_json::Map<String, Value>| fields.get(name).cloned().unwrap_or(null.clone());
                field(&of(one), &of(other), &format!("{path}/{name}"))
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).enumerate().find_map(|(at, (one, other))| field(one, other, &format!("{path}/{at}")))
        }
        _ if first == second => None,
        _ => {
            let short = |value: &Value| value.to_string().chars().take(120).collect::<String>();
            Some(format!("the field {path} is {}, then {}", short(first), short(second)))
        }
    }
}

fn section(first: &[(String, &[u8])], second: &[(String, &[u8])]) -> String {
    let names = |sections: &[(String, &[u8])]| sections.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if names(first) != names(second) {
        return format!("the sections are {}, then {}", names(first).join(" "), names(second).join(" "));
    }
    // a build id is the digest of the rest
    let mut differing: Vec<_> = first.iter().zip(second).filter(|(one, other)| one.1 != other.1).collect();
    differing.sort_by_key(|((name, _), _)| name == ".note.gnu.build-id");
    let Some(((name, one), (_, other))) = differing.first() else {
        return "the headers of the binary differ".to_owned();
    };
    let at = first_difference(one, other);
    format!(
        "the section {name} differs from byte {at} on (`{}`, then `{}`; {} and {} bytes)",
        text_around(one, at),
        text_around(other, at),
        one.len(),
        other.len()
    )
}

fn first_difference(first: &[u8], second: &[u8]) -> usize {
    let same = first.iter().zip(second).take_while(|(one, other)| one == other).count();
    same.min(first.len()).min(second.len())
}
