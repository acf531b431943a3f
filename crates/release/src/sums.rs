//! `SHA256SUMS`, in the format of `sha256sum`.

use std::collections::BTreeMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::names::SUMS;
use crate::problem::Problem;

/// Returns the SHA-256 of bytes in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns one line for each file, sorted by name. `SHA256SUMS` itself has no line.
pub fn sums(files: &BTreeMap<String, Vec<u8>>) -> String {
    let listed = files.iter().filter(|(name, _)| *name != SUMS);
    listed.fold(String::new(), |mut text, (name, bytes)| {
        let _ = writeln!(text, "{}  {name}", sha256(bytes));
        text
    })
}

/// Reads the checksum of each file.
///
/// # Errors
/// Returns a problem if a line is not a checksum, two spaces and a name without a folder, or if a name comes twice.
pub fn parse(text: &str) -> Result<BTreeMap<String, String>, Problem> {
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let wrong =
            || Problem::of(SUMS, format!("the line `{line}` is not a SHA-256, two spaces and the name of a file"));
        let (sum, name) = line.split_once("  ").ok_or_else(wrong)?;
        let is_sum = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if !is_sum || name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
            return Err(wrong());
        }
        if found.insert(name.to_owned(), sum.to_owned()).is_some() {
            return Err(Problem::of(SUMS, format!("lists {name} twice")));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let files = BTreeMap::from([("b".to_owned(), b"abc".to_vec()), ("a".to_owned(), Vec::new())]);
        let text = sums(&files);
        assert_eq!(
            text,
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  a\n\
             ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  b\n"
        );
        let read = parse(&text).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["a", "b"]);
        for bad in ["abc  a\n", &text.replace("  a", "  ../a"), &format!("{text}{text}"), &text.replace("  ", " ")] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
