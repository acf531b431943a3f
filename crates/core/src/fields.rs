//! Reads the fields of a JSON object: of an event, of the secret's document, or of a manager or owner secret.
//!
//! An error names the field and its expected type, never the value: somebody may have put a token or a password there.

use std::fmt;

use serde_json::{Map, Value};

use crate::ids::is_secret_id;

/// A JSON object and its path.
#[derive(Clone)]
pub struct Fields<'a> {
    /// Prefix of a field's name in an error: empty, or such as `detail.`.
    path: String,
    map: &'a Map<String, Value>,
    /// Maximum length of a string, in bytes.
    longest: Option<usize>,
}

/// An invalid field. `Display` is ``field `detail.name` is missing``.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldError {
    /// The field's path from the outermost object.
    pub path: String,
    /// The problem with it.
    pub problem: Problem,
}

/// The problem with a field. `Display` is a predicate whose subject is the field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// The field is missing or null.
    Missing,
    /// The field is a string instead of this type. The console's key/value form stores every field as a string.
    TextInsteadOf(&'static str),
    /// Any other problem.
    Other(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Missing => f.write_str("is missing"),
            Problem::TextInsteadOf(kind) => write!(f, "is not {kind}"),
            Problem::Other(why) => f.write_str(why),
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "field `{}` {}", self.path, self.problem)
    }
}

impl<'a> Fields<'a> {
    /// Reads an outermost object. `path` is empty, or ends with a full stop.
    pub fn new(path: impl Into<String>, map: &'a Map<String, Value>) -> Self {
        Self { path: path.into(), map, longest: None }
    }

    /// Returns the same fields with a maximum of `longest` bytes per string.
    #[must_use]
    pub fn with_texts_up_to(self, longest: usize) -> Self {
        Self { longest: Some(longest), ..self }
    }

    /// Whether the field exists, even if it is null.
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// Returns the field's value; `None` if it is missing or null.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Returns the error about a field.
    pub fn wrong(&self, name: &str, why: impl Into<String>) -> FieldError {
        self.error(name, Problem::Other(why.into()))
    }

    fn error(&self, name: &str, problem: Problem) -> FieldError {
        FieldError { path: format!("{}{name}", self.path), problem }
    }

    fn missing(&self, name: &str) -> FieldError {
        self.error(name, Problem::Missing)
    }

    /// Reads a string that is not empty; `None` if the field is missing.
    ///
    /// # Errors
    /// The field is not a string, is empty, or is too long.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, FieldError> {
        match (self.get(name), self.longest) {
            (None, _) => Ok(None),
            (Some(Value::String(text)), None) if text.is_empty() => Err(self.wrong(name, "is empty")),
            (Some(Value::String(text)), Some(longest)) if text.is_empty() || text.len() > longest => {
                Err(self.wrong(name, "is empty or too long"))
            }
            (Some(Value::String(text)), _) => Ok(Some(text)),
            (Some(_), _) => Err(self.wrong(name, "is not a string")),
        }
    }

    /// Reads a required string.
    ///
    /// # Errors
    /// As [`Fields::text`], or the field is missing.
    pub fn required(&self, name: &str) -> Result<&'a str, FieldError> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    /// Reads the name or ARN of a secret.
    ///
    /// # Errors
    /// As [`Fields::required`], or the string is neither.
    pub fn secret_id(&self, name: &str) -> Result<String, FieldError> {
        let id = self.required(name)?;
        if is_secret_id(id) { Ok(id.to_owned()) } else { Err(self.wrong(name, "is not the name or ARN of a secret")) }
    }

    /// Reads an array of strings; empty if the field is missing.
    ///
    /// # Errors
    /// The field is not an array of strings.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, FieldError> {
        const KIND: &str = "an array of strings";
        let wrong = || self.wrong(name, format!("is not {KIND}"));
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(Value::String(_)) => Err(self.error(name, Problem::TextInsteadOf(KIND))),
            Some(Value::Array(values)) => {
                values.iter().map(|value| value.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    /// Reads a boolean; false if the field is missing.
    ///
    /// # Errors
    /// The field is not a boolean.
    pub fn flag(&self, name: &str) -> Result<bool, FieldError> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(self.wrong(name, "is not true or false")),
        }
    }

    /// Reads the fields of a nested object; `None` if it is missing.
    ///
    /// # Errors
    /// The field is not an object.
    pub fn optional_object(&self, name: &str) -> Result<Option<Fields<'a>>, FieldError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => {
                Ok(Some(Fields { path: format!("{}{name}.", self.path), map, longest: self.longest }))
            }
            Some(Value::String(_)) => Err(self.error(name, Problem::TextInsteadOf("an object"))),
            Some(_) => Err(self.wrong(name, "is not an object")),
        }
    }

    /// Reads the fields of a required nested object.
    ///
    /// # Errors
    /// The field is missing or is not an object.
    pub fn object(&self, name: &str) -> Result<Fields<'a>, FieldError> {
        self.optional_object(name)?.ok_or_else(|| self.missing(name))
    }

    /// Rejects fields that are not in `known`, so that a misspelt field is not ignored silently.
    ///
    /// # Errors
    /// Names the first unknown field, unless its name could be a token.
    pub fn only(&self, known: &[&str]) -> Result<(), FieldError> {
        match self.map.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let name = if is_field_name(name) { name } else { "…" };
                Err(self.wrong(name, format!("is unknown (known: {})", known.join(", "))))
            }
        }
    }
}

/// Whether `name` may be a misspelt field name: up to 24 letters. Anything else may be a misplaced token, and is not quoted.
fn is_field_name(name: &str) -> bool {
    (1..=24).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphabetic() || b"-_".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_error_names_the_path_and_quotes_no_value() {
        let value = json!({"a": {"b": "dckr_pat_x", "c": ["dckr_pat_x", 7], "d": "", "e": 7, "n": null}});
        let outer = Fields::new("", value.as_object().unwrap());
        let inner = outer.object("a").unwrap();
        let wrong = |error: Option<FieldError>| error.unwrap().to_string();
        for (error, text) in [
            (inner.required("x").err(), "field `a.x` is missing"),
            (inner.required("n").err(), "field `a.n` is missing"),
            (inner.text("d").err(), "field `a.d` is empty"),
            (inner.text("e").err(), "field `a.e` is not a string"),
            (inner.flag("b").err(), "field `a.b` is not true or false"),
            (inner.texts("b").err(), "field `a.b` is not an array of strings"),
            (inner.texts("c").err(), "field `a.c` is not an array of strings"),
            (inner.object("b").err(), "field `a.b` is not an object"),
            (inner.object("e").err(), "field `a.e` is not an object"),
            (inner.object("x").err(), "field `a.x` is missing"),
            (outer.only(&["b"]).err(), "field `a` is unknown (known: b)"),
        ] {
            assert_eq!(wrong(error), text);
        }
        assert_eq!(inner.texts("b").unwrap_err().problem, Problem::TextInsteadOf("an array of strings"));
        assert_eq!((inner.text("n"), inner.flag("n"), inner.has("n")), (Ok(None), Ok(false), true));
    }

    #[test]
    fn a_limit_on_texts_holds_for_the_objects_inside() {
        let value = json!({"a": {"b": "12345", "c": "1234", "d": ""}});
        let inner = Fields::new("", value.as_object().unwrap()).with_texts_up_to(4).object("a").unwrap();
        assert_eq!(inner.text("c"), Ok(Some("1234")));
        for name in ["b", "d"] {
            assert_eq!(inner.text(name).unwrap_err().to_string(), format!("field `a.{name}` is empty or too long"));
        }
    }
}
