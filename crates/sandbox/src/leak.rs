//! Searches output for secrets, also in the encodings that programs apply without intending to hide them.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::world::State;

/// Shorter secrets are ignored: they occur by chance.
const SHORTEST: usize = 6;
const AROUND: usize = 60;

/// A secret that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leak {
    /// Its position in the list of secrets.
    pub secret_index: usize,
    /// The encoding: `raw`, `percent`, `form`, `json`, `json twice`, `debug`, `base64`, `base64url`, `hex`.
    pub how: &'static str,
    /// Up to 60 bytes on each side, with asterisks for every secret in it.
    pub around: String,
}

fn hex(bytes: &[u8], upper: bool) -> String {
    bytes.iter().fold(
        String::new(),
        |text, byte| {
            if upper { format!("{text}{byte:02X}") } else { format!("{text}{byte:02x}") }
        },
    )
}

/// Percent-encoding of everything but the unreserved characters of RFC 3986.
fn percent(secret: &str, upper: bool) -> String {
    secret.bytes().fold(String::new(), |text, byte| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => format!("{text}{}", char::from(byte)),
        _ => format!("{text}%{}", hex(&[byte], upper)),
    })
}

fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The part of a base64 text that depends on the secret alone, with `before` other bytes in front of the secret. Neighbouring
/// bytes do not change it.
fn inner_base64(secret: &str, before: usize, engine: &impl Engine) -> String {
    let mut bytes = vec![0; before];
    bytes.extend_from_slice(secret.as_bytes());
    let text = engine.encode(&bytes);
    text[(before * 8).div_ceil(6)..bytes.len() * 8 / 6].to_owned()
}

fn spellings(secret: &str) -> BTreeSet<(String, &'static str)> {
    let bytes = secret.as_bytes();
    let escaped = json(secret);
    let mut found = vec![
        (percent(secret, true), "percent"),
        (percent(secret, false), "percent"),
        (url::form_urlencoded::byte_serialize(bytes).collect(), "form"),
        (json(&escaped), "json twice"),
        (escaped, "json"),
        (secret.escape_debug().to_string(), "debug"),
        (hex(bytes, false), "hex"),
        (hex(bytes, true), "hex"),
    ];
    for before in 0..3 {
        found.push((inner_base64(secret, before, &STANDARD_NO_PAD), "base64"));
        found.push((inner_base64(secret, before, &URL_SAFE_NO_PAD), "base64url"));
    }
    // report a spelling once, under its plainest name
    let mut seen = BTreeSet::from([secret.to_owned()]);
    let mut spellings = BTreeSet::from([(secret.to_owned(), "raw")]);
    for (spelling, how) in found {
        if seen.insert(spelling.clone()) {
            spellings.insert((spelling, how));
        }
    }
    spellings
}

/// Looks for the same secrets in many outputs.
pub struct Finder {
    /// Position of the secret, spelling, and name of the encoding.
    patterns: Vec<(usize, String, &'static str)>,
    automaton: Option<AhoCorasick>,
}

impl Finder {
    /// Prepares the search for every secret of at least six characters. Finds base64 at any offset in a longer text.
    #[must_use]
    pub fn new(secrets: &[String]) -> Self {
        let patterns: Vec<(usize, String, &'static str)> = secrets
            .iter()
            .enumerate()
            .filter(|(_, secret)| secret.chars().count() >= SHORTEST)
            .flat_map(|(index, secret)| spellings(secret).into_iter().map(move |(text, how)| (index, text, how)))
            .collect();
        // few outputs are searched, so a short build time matters more than a fast search
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::NoncontiguousNFA))
            .build(patterns.iter().map(|(_, text, _)| text))
            .ok();
        Self { patterns, automaton }
    }

    /// Every secret in the output, once for each of its encodings.
    #[must_use]
    pub fn find(&self, output: &str) -> Vec<Leak> {
        let Some(automaton) = &self.automaton else {
            return vec![Leak { secret_index: 0, how: "raw", around: "too many secrets to look for".to_owned() }];
        };
        let mut hits = Vec::new();
        let mut masked = output.as_bytes().to_vec();
        for hit in automaton.find_overlapping_iter(output) {
            masked[hit.range()].fill(b'*');
            hits.push((hit.pattern().as_usize(), hit.range()));
        }
        let mut reported = BTreeSet::new();
        let mut leaks = Vec::new();
        for (pattern, range) in hits {
            let (secret_index, _, how) = self.patterns[pattern];
            if reported.insert((secret_index, how)) {
                let from = range.start.saturating_sub(AROUND);
                let to = (range.end + AROUND).min(masked.len());
                leaks.push(Leak { secret_index, how, around: String::from_utf8_lossy(&masked[from..to]).into_owned() });
            }
        }
        leaks
    }
}

/// [`Finder::find`] in one output.
#[must_use]
pub fn find(secrets: &[String], output: &str) -> Vec<Leak> {
    Finder::new(secrets).find(output)
}

/// All secrets of the world: those that the services store, and those that they issued.
#[must_use]
pub fn secrets_of(state: &State) -> Vec<String> {
    let all = [
        crate::aws::all_secret_values(state),
        crate::hub::all_secret_values(state),
        crate::entra::all_secret_values(state),
        crate::responses::all_secret_values(state),
    ];
    all.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const SECRET: &str = "dckr_pat_/\"q+w\\e?";

    fn how(output: &str) -> Vec<&'static str> {
        find(&[SECRET.to_owned()], output).into_iter().map(|leak| leak.how).collect()
    }

    #[test]
    fn a_clean_text_is_clean() {
        assert_eq!(how("nothing here but dckr_pat_ and a name"), Vec::<&str>::new());
        assert_eq!(find(&["short".to_owned()], "short"), []);
        assert_eq!(find(&[], "anything"), []);
    }

    #[test]
    fn every_encoding_is_found() {
        assert_eq!(how(&format!("token={SECRET};")), ["raw"]);
        assert_eq!(how(&percent(SECRET, true)), ["percent"]);
        assert_eq!(how(&percent(SECRET, false)), ["percent"]);
        assert_eq!(how(&format!("x{}", hex(SECRET.as_bytes(), true))), ["hex"]);
        assert_eq!(how(&serde_json::json!({ "a": SECRET }).to_string()), ["json"]);
        assert_eq!(how(&serde_json::json!(serde_json::json!(SECRET).to_string()).to_string()), ["json twice"]);
    }

    #[test]
    fn base64_is_found_at_every_alignment() {
        for before in 0..7 {
            for after in 0..4 {
                let text = format!("{}{SECRET}{}", "u".repeat(before), "z".repeat(after));
                assert!(how(&STANDARD.encode(&text)).contains(&"base64"), "{before} {after}");
                assert!(!how(&URL_SAFE.encode(&text)).is_empty(), "{before} {after}");
            }
        }
    }

    #[test]
    fn a_report_shows_no_secret() {
        let other = "another-secret".to_owned();
        let leaks = find(&[SECRET.to_owned(), other.clone()], &format!("before {other} {SECRET} after"));
        assert_eq!(leaks.len(), 2);
        for leak in leaks {
            assert!(leak.around.starts_with("before *") && leak.around.ends_with("* after"), "{}", leak.around);
            assert!(!leak.around.contains(SECRET) && !leak.around.contains(&other));
        }
    }
}
