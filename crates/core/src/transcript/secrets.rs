//! Collects the credentials of exchanges, so that no text that is kept contains one, even one that is a plain word.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::words;

/// Shorter texts are not hidden: they occur by chance.
const SHORTEST: usize = 4;

/// Maximum number of credentials. Beyond it, every text is hidden.
const MOST: usize = 4_000;

/// Parts of the names of headers and fields that hold a credential.
const MARKS: [&str; 10] = [
    "token",
    "secret",
    "password",
    "assertion",
    "credential",
    "authorization",
    "cookie",
    "signature",
    "apikey",
    "accesskey",
];

/// Fields of a login's body that are constants of its protocol.
const CONSTANTS: [&str; 4] = ["grant_type", "client_assertion_type", "scope", "Action"];

/// Credentials that were sent or received, and the names in paths. No `Debug`: it holds secrets.
#[derive(Clone, Default)]
pub(super) struct Secrets {
    found: Vec<SecretString>,
    /// The segments of paths that are not kept, in lower case: names and ids.
    names: BTreeSet<String>,
    is_full: bool,
}

impl Secrets {
    /// Collects a credential.
    pub(super) fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        let is_known = |known: &SecretString| known.expose_secret() == secret;
        if secret.chars().count() < SHORTEST || self.found.iter().any(is_known) {
            return;
        }
        if self.found.len() >= MOST {
            self.is_full = true;
            return;
        }
        self.found.push(SecretString::from(secret));
        // the seed inside of an otpauth URI
        if secret.starts_with("otpauth://")
            && let Ok(uri) = url::Url::parse(secret)
        {
            let values: Vec<String> = uri.query_pairs().map(|(_, value)| value.into_owned()).collect();
            for value in values {
                self.add(&value);
            }
        }
    }

    /// Collects a name or id that a path contains.
    pub(super) fn add_name(&mut self, name: &str) {
        if name.chars().count() >= SHORTEST && self.names.len() < MOST {
            self.names.insert(name.to_lowercase());
        }
    }

    /// Collects all of another collection.
    pub(super) fn merge(&mut self, other: Secrets) {
        self.is_full |= other.is_full;
        other.found.iter().for_each(|secret| self.add(secret.expose_secret()));
        self.names.extend(other.names);
    }

    /// Collects the credential in a header.
    pub(super) fn header(&mut self, name: &str, value: &str) {
        let name = name.to_ascii_lowercase();
        if !is_marked(&name) {
            return;
        }
        self.add(value);
        let (scheme, credential) = value.trim().split_once(' ').unwrap_or(("", value.trim()));
        let credential = credential.trim();
        if scheme.starts_with("AWS4") {
            let part = |name: &str, end: char| credential.split_once(name)?.1.split([end, ',']).next();
            part("Credential=", '/').into_iter().chain(part("Signature=", ',')).for_each(|part| self.add(part));
            return;
        }
        self.add(credential);
        if scheme.eq_ignore_ascii_case("basic")
            && let Ok(pair) = STANDARD.decode(credential)
            && let Ok(pair) = String::from_utf8(pair)
        {
            self.add(&pair);
            if let Some((user, password)) = pair.split_once(':') {
                self.add(user);
                self.add(password);
            }
        }
        if name.contains("cookie") {
            value.split([';', '=', ',']).for_each(|part| self.add(part));
        }
    }

    /// Collects the credentials in the fields of a body.
    pub(super) fn fields(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.fields(item)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    let plain =
                        name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase().replace(['_', '-'], "");
                    if matches!(name.as_str(), "SecretString" | "SecretBinary") {
                        self.document(value);
                    } else if is_marked(&plain) && !plain.ends_with("type") {
                        self.texts(value, false);
                    }
                    self.fields(value);
                }
            }
            _ => {}
        }
    }

    /// Collects every value of a login's body.
    pub(super) fn login(&mut self, value: &Value) {
        let Value::Object(fields) = value else { return self.texts(value, true) };
        for (name, value) in fields {
            if !CONSTANTS.contains(&name.as_str()) {
                self.texts(value, true);
            }
        }
    }

    /// Collects a secret's string, and every value of the JSON in it.
    fn document(&mut self, value: &Value) {
        self.texts(value, true);
        let Some(text) = value.as_str() else { return };
        if let Ok(document) = serde_json::from_str::<Value>(text.trim_start_matches('\u{feff}')) {
            self.texts(&document, true);
        }
    }

    /// Collects the texts and numbers of a value, and those of objects in it if `deep`.
    fn texts(&mut self, value: &Value, deep: bool) {
        match value {
            Value::String(text) => self.add(text),
            Value::Number(number) => self.add(&number.to_string()),
            Value::Array(items) => items.iter().for_each(|item| self.texts(item, deep)),
            Value::Object(fields) if deep => fields.values().for_each(|value| self.texts(value, deep)),
            _ => {}
        }
    }

    /// Prepares the search for everything that was collected.
    pub(super) fn mask(&self) -> Mask<'_> {
        let spellings = self.found.iter().flat_map(|secret| spellings(secret.expose_secret()));
        let spellings = spellings.filter(|spelling| may_occur(spelling)).map(SecretString::from);
        Mask { spellings: spellings.collect(), names: &self.names, hides_all: self.is_full }
    }
}

fn is_marked(name: &str) -> bool {
    let name = name.replace('-', "");
    MARKS.iter().any(|mark| name.contains(mark))
}

/// Returns whether a text or code that is kept may contain this. Most credentials have letters and digits, and nothing
/// that is kept has both.
fn may_occur(spelling: &str) -> bool {
    spelling.bytes().all(|byte| byte.is_ascii_digit())
        || spelling.chars().all(|c| c.is_ascii_lowercase() || " _-.,;:!?'/#…".contains(c))
}

/// Returns the spellings of a credential in lower case: as it is, in base64 and percent-encoded.
fn spellings(secret: &str) -> BTreeSet<String> {
    let bytes = secret.as_bytes();
    let form: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let spaced = secret.split_whitespace().collect::<Vec<_>>().join(" ");
    let percent = form.replace('+', "%20");
    let encoded = [STANDARD_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes)];
    [secret.to_owned(), spaced, form, percent].into_iter().chain(encoded).map(|text| text.to_lowercase()).collect()
}

/// Finds credentials in what a transcript keeps.
pub(super) struct Mask<'a> {
    spellings: Vec<SecretString>,
    names: &'a BTreeSet<String>,
    hides_all: bool,
}

impl Mask<'_> {
    fn hides(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.hides_all || self.spellings.iter().any(|spelling| text.contains(spelling.expose_secret()))
    }

    /// Returns whether a name must not be kept. Documented names are constants and stay.
    pub(super) fn hides_name(&self, name: &str) -> bool {
        name != words::OTHER
            && !words::is_documented(name)
            && (self.hides(name) || self.names.contains(&name.to_lowercase()))
    }

    /// Returns a code, or [`words::HIDDEN`] if it contains a credential.
    pub(super) fn code(&self, code: &str) -> String {
        let is_hidden = self.hides(code) || self.names.contains(&code.to_lowercase());
        if is_hidden { words::HIDDEN.to_owned() } else { code.to_owned() }
    }

    /// Returns a text without the names of paths, or [`words::HIDDEN`] if it contains a credential.
    pub(super) fn text(&self, text: &str) -> String {
        let plain = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        if self.hides(text) || self.hides(&text.split_whitespace().map(plain).collect::<Vec<_>>().join(" ")) {
            return words::HIDDEN.to_owned();
        }
        let shown = text.split(' ').map(|word| if self.names.contains(&plain(word)) { words::HIDDEN } else { word });
        words::text(&shown.collect::<Vec<_>>().join(" "))
    }
}
