//! Reads codes and texts of errors from the fields that services use for them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::words;

/// Fields with a text for people.
const TEXTS: [&str; 7] = ["message", "detail", "details", "error_description", "errormessage", "text", "reason"];

/// Fields with a code.
const CODES: [&str; 6] = ["code", "__type", "error", "errorcode", "errortype", "suberror"];

/// Levels of nesting that are read.
const DEPTH: usize = 8;

/// The codes and the texts of an error.
#[derive(Default)]
pub(super) struct Told {
    /// The codes, in the vocabulary.
    pub(super) codes: BTreeSet<String>,
    /// The texts, in the vocabulary.
    pub(super) texts: Vec<String>,
}

impl Told {
    /// Reads the body of an error.
    pub(super) fn read(&mut self, value: &Value) {
        self.at(value, 0);
    }

    /// Reads the header in which AWS tells the code.
    pub(super) fn header(&mut self, code: &str) {
        self.codes.insert(words::code(code));
    }

    /// Reads a challenge (`WWW-Authenticate`): the parameter `error`, and whether claims are requested.
    pub(super) fn challenge(&mut self, challenge: &str) {
        if let Some((_, rest)) = challenge.split_once("error=\"") {
            self.codes.insert(words::code(rest.split('"').next().unwrap_or_default()));
        }
        if challenge.contains("claims=") {
            self.codes.insert("claims".to_owned());
        }
    }

    fn at(&mut self, value: &Value, depth: usize) {
        match value {
            _ if depth > DEPTH => {}
            Value::Array(items) => items.iter().for_each(|item| self.at(item, depth + 1)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    let plain = name.to_ascii_lowercase();
                    match value {
                        Value::String(text) if TEXTS.contains(&plain.as_str()) => {
                            let text = words::text(text);
                            if !text.is_empty() && !self.texts.contains(&text) {
                                self.texts.push(text);
                            }
                        }
                        // a service may put a text into the field of a code
                        Value::String(text) if CODES.contains(&plain.as_str()) => {
                            if text.trim().contains(' ') {
                                self.texts.push(words::text(text));
                            } else {
                                self.codes.insert(words::code(text));
                            }
                        }
                        Value::Array(numbers) if plain == "error_codes" => {
                            let numbers =
                                numbers.iter().filter_map(Value::as_u64).filter(|number| *number < 10_000_000);
                            self.codes.extend(numbers.map(|number| number.to_string()));
                        }
                        _ => self.at(value, depth + 1),
                    }
                }
            }
            _ => {}
        }
    }
}

/// Returns whether this is a code that a transcript may hold.
pub(super) fn is_code(code: &str) -> bool {
    let is_number = (1..=7).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit());
    is_number || words::is_name(code)
}
