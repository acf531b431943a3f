//! Records the exchanges between a program under test and the services, for third-party validators.
//!
//! If the variable `HUBKEEPER_RECORD` names a folder, each exchange becomes a line of JSON in a file of this process there.
//! Requests with an injected fault are omitted. So are exchanges that differ from an earlier one only in ids, times and values
//! of headers. The lines contain the sandbox's secrets.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::world::{Recorded, World};

/// The variable that names the folder.
pub const VARIABLE: &str = "HUBKEEPER_RECORD";

static RECORDER: LazyLock<Option<Mutex<Recorder>>> =
    LazyLock::new(|| std::env::var_os(VARIABLE).map(|folder| Mutex::new(Recorder::new(&PathBuf::from(folder)))));

/// Starts to record the exchanges of this world, if the environment asks for it.
///
/// # Panics
/// Panics after a request that it cannot write to the file: a record with gaps would prove less than it says.
pub fn begin(world: &World) {
    if let Some(recorder) = &*RECORDER {
        world.watch(move |_, entry| {
            if !entry.faulted {
                recorder.lock().unwrap_or_else(PoisonError::into_inner).note(entry);
            }
        });
    }
}

/// Records one exchange that no world handled, if the environment asks for it.
pub(crate) fn note(entry: &Recorded) {
    if let Some(recorder) = &*RECORDER {
        recorder.lock().unwrap_or_else(PoisonError::into_inner).note(entry);
    }
}

struct Recorder {
    file: io::Result<File>,
    known: HashSet<String>,
}

impl Recorder {
    fn new(folder: &Path) -> Self {
        let path = folder.join(format!("{}.jsonl", std::process::id()));
        Self { file: std::fs::create_dir_all(folder).and_then(|()| File::create(path)), known: HashSet::new() }
    }

    fn note(&mut self, entry: &Recorded) {
        let Some(response) = &entry.response else { return };
        let body = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (asked, answered) = (body(entry.request.body()), body(response.body()));
        // a header that only some responses have makes a difference
        let names: BTreeSet<&str> = response.headers().keys().map(http::HeaderName::as_str).collect();
        let shape = format!("{:?} {} {} {names:?} {asked} {answered}", entry.service, entry.line(), response.status());
        if !self.known.insert(plain(&shape)) {
            return;
        }
        let line = json!({
            "service": format!("{:?}", entry.service),
            "method": entry.request.method().as_str(),
            "uri": entry.request.uri().to_string(),
            "request": { "headers": headers(entry.request.headers()), "body": asked },
            "status": response.status().as_u16(),
            "response": { "headers": headers(response.headers()), "body": answered },
        });
        let written = match &mut self.file {
            Ok(file) => writeln!(file, "{line}"),
            Err(error) => Err(error.kind().into()),
        };
        assert!(written.is_ok(), "the folder of {VARIABLE} cannot be written: {written:?}");
    }
}

fn headers(headers: &http::HeaderMap) -> Map<String, Value> {
    headers.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into())).collect()
}

/// A text without the parts that differ between runs: words with digits in them (ids, times, tokens).
fn plain(text: &str) -> String {
    let in_word = |c: char| c.is_ascii_alphanumeric() || "-_.~:".contains(c);
    let mut plain = String::new();
    for part in text.split_inclusive(|c| !in_word(c)) {
        let word = part.trim_end_matches(|c| !in_word(c));
        let varies = word.len() > 3 && word.bytes().any(|c| c.is_ascii_digit());
        plain.push_str(if varies { "0" } else { word });
        plain.push_str(&part[word.len()..]);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_times_and_tokens_make_no_difference_and_members_do() {
        let shape = |id: &str, at: &str, more: &str| {
            plain(&format!(r#"GET /v2/tokens/{id} {{"id":"{id}","at":"{at}"{more}}}"#))
        };
        let (one, two) = ("5d9f3a52-0000-4000-a000-000000000001", "0c3e0f11-0000-4000-a000-00000000ffff");
        let (morning, evening) = ("2026-11-24T10:00:00.000001Z", "2026-11-25T23:59:59.999999Z");
        assert_eq!(shape(one, morning, ""), shape(two, evening, ""));
        assert_ne!(shape(one, morning, ""), shape(one, morning, r#","private":true"#));
        assert_ne!(plain(r#"{"count":"12345"}"#), plain(r#"{"count":12345}"#));
    }
}
