//! Reads bodies: JSON, forms and XML as one kind of value.

use serde_json::{Map, Value};

use super::exchange::Message;

/// Larger bodies are not read.
const LARGEST: usize = 1 << 20;

/// Levels of nesting of XML elements that are read.
const DEPTH: usize = 40;

/// A body, as far as it can be read. No `Debug`: it holds the values.
pub(super) enum Body {
    /// There is no body.
    Absent,
    /// Fields and values.
    Read(Value),
    /// No fields: `unreadable`, `text` or `html`.
    Opaque(&'static str),
}

impl Body {
    /// Reads the body of a message.
    pub(super) fn of(message: &Message<'_>) -> Self {
        let Message { body, .. } = message;
        if body.is_empty() {
            return Body::Absent;
        }
        let Some(text) = std::str::from_utf8(body).ok().filter(|_| body.len() <= LARGEST) else {
            return Body::Opaque("unreadable");
        };
        let text = text.trim_start_matches('\u{feff}').trim();
        let media_type = message.header("content-type").unwrap_or_default().to_ascii_lowercase();
        if media_type.starts_with("application/x-www-form-urlencoded") {
            return Body::Read(form(text));
        }
        if text.starts_with('<') {
            let head: String = text.chars().take(14).collect::<String>().to_ascii_lowercase();
            if head.starts_with("<!doctype html") || head.starts_with("<html") {
                return Body::Opaque("html");
            }
            return xml(text).map_or(Body::Opaque("unreadable"), Body::Read);
        }
        match serde_json::from_str(text) {
            Ok(value) => Body::Read(value),
            Err(_) if media_type.contains("json") || text.starts_with(['{', '[', '"']) => Body::Opaque("unreadable"),
            Err(_) => Body::Opaque("text"),
        }
    }

    /// Returns the values, if there are any.
    pub(super) fn value(&self) -> Option<&Value> {
        match self {
            Body::Read(value) => Some(value),
            Body::Absent | Body::Opaque(_) => None,
        }
    }
}

/// Reads a form. The numbers in names of AWS's lists (`Tags.member.1.Key`) become `#`.
fn form(text: &str) -> Value {
    let mut fields = Map::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let parts = name.split('.').enumerate().map(|(at, part)| if at > 0 && is_number(part) { "#" } else { part });
        add(&mut fields, &parts.collect::<Vec<_>>().join("."), Value::from(value.into_owned()), false);
    }
    Value::Object(fields)
}

/// Adds a field. Several of the same name, and elements of a list, become an array.
fn add(fields: &mut Map<String, Value>, name: &str, value: Value, is_list: bool) {
    match fields.get_mut(name) {
        None if is_list => drop(fields.insert(name.to_owned(), Value::Array(vec![value]))),
        None => drop(fields.insert(name.to_owned(), value)),
        Some(Value::Array(values)) => values.push(value),
        Some(other) => *other = Value::Array(vec![other.take(), value]),
    }
}

/// Reads the elements of an XML document: an element with others in it is an object, one without is its text.
/// Attributes are not read. Returns `None` if the document does not end as it begins.
fn xml(text: &str) -> Option<Value> {
    let mut reader = Xml { rest: text };
    let mut fields = Map::new();
    loop {
        match reader.next()? {
            Part::Text(text) if text.trim().is_empty() => {}
            Part::Open { name, is_empty } => {
                let value = if is_empty { Value::from("") } else { reader.element(name, 0)? };
                add(&mut fields, local(name), value, false);
                break;
            }
            Part::Text(_) | Part::Close(_) => return None,
        }
    }
    Some(Value::Object(fields))
}

struct Xml<'a> {
    rest: &'a str,
}

enum Part<'a> {
    Text(String),
    Open { name: &'a str, is_empty: bool },
    Close(&'a str),
}

impl<'a> Xml<'a> {
    /// Returns the next part. Passes over comments, instructions and a document type.
    fn next(&mut self) -> Option<Part<'a>> {
        loop {
            let Some(markup) = self.rest.strip_prefix('<') else {
                let end = self.rest.find('<')?;
                let text = self.rest.get(..end)?;
                self.rest = self.rest.get(end..)?;
                return Some(Part::Text(unescaped(text)));
            };
            if let Some(raw) = markup.strip_prefix("![CDATA[") {
                let (text, rest) = raw.split_once("]]>")?;
                self.rest = rest;
                return Some(Part::Text(text.to_owned()));
            }
            let passed = [("!--", "-->"), ("?", "?>"), ("!", ">")];
            if let Some((_, end)) = passed.into_iter().find(|(start, _)| markup.starts_with(start)) {
                let (_, rest) = markup.split_once(end)?;
                self.rest = rest;
                continue;
            }
            let (tag, rest) = tag(markup)?;
            self.rest = rest;
            let is_empty = tag.ends_with('/');
            let tag = tag.trim_end_matches('/');
            return Some(match tag.strip_prefix('/') {
                Some(name) => Part::Close(name.trim()),
                None => Part::Open { name: tag.split_whitespace().next()?, is_empty },
            });
        }
    }

    /// Reads the inside of an element that is open.
    fn element(&mut self, name: &str, depth: usize) -> Option<Value> {
        if depth > DEPTH {
            return None;
        }
        let mut fields = Map::new();
        let mut text = String::new();
        loop {
            match self.next()? {
                Part::Text(more) => text.push_str(&more),
                Part::Close(end) if end == name => break,
                Part::Close(_) => return None,
                Part::Open { name, is_empty } => {
                    let value = if is_empty { Value::from("") } else { self.element(name, depth + 1)? };
                    let local = local(name);
                    add(&mut fields, local, value, matches!(local, "member" | "entry"));
                }
            }
        }
        Some(if fields.is_empty() { Value::from(text.trim()) } else { Value::Object(fields) })
    }
}

/// Splits the inside of a tag from what follows it. A quoted attribute may contain `>`.
fn tag(markup: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, character) in markup.char_indices() {
        match (quote, character) {
            (None, '>') => return Some((markup.get(..at)?, markup.get(at + 1..)?)),
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    None
}

/// Returns an element's name without the prefix of its namespace.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or_default()
}

fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.into_iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}
