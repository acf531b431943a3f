//! Compares a transcript with the exchanges of the sandbox, as `make conformance TRANSCRIPT=…` does.
//!
//! Both sides are reduced by the same code (`hubkeeper_core::transcript`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use hubkeeper_core::transcript::{Exchange, Message, Service, Transcript};
use serde_json::{Map, Value, json};

/// Headers that hubkeeper reads. The registry's `content-type` is another one.
const READ: [&str; 7] = [
    "retry-after",
    "www-authenticate",
    "x-amzn-errortype",
    "x-ms-request-id",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-retry-after",
];

/// What a transcript has instead of a name, code or text that it does not keep.
const HIDDEN: [&str; 2] = ["*", "…"];

/// Reads the exchanges that the sandbox recorded in a folder (`hubkeeper_sandbox::record`).
///
/// # Errors
/// Returns an error if the folder has no record, or a line of it cannot be read.
pub fn of_record(folder: &Path) -> io::Result<Transcript> {
    let bases = [
        ("Entra", Service::Entra),
        ("Arm", Service::Arm),
        ("Hub", Service::Hub),
        ("HubAuth", Service::HubAuth),
        ("Registry", Service::Registry),
    ];
    let base = |service: &str| format!("https://{service}.sandbox");
    let bases = bases.map(|(name, service)| (base(name), service));
    let mut transcript = Transcript::default();
    let mut lines = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path)?.lines() {
            let unreadable = || io::Error::other(format!("a line of {} is not a recorded exchange", path.display()));
            let line: Value = serde_json::from_str(line).map_err(|_| unreadable())?;
            // a made-up secret of one exchange must not hide names of the others
            let mut own = Transcript::new(bases.clone());
            note(&mut own, &line, base).ok_or_else(unreadable)?;
            transcript.merge(Transcript::from_json(&own.to_json()).ok_or_else(unreadable)?);
            lines += 1;
        }
    }
    if lines == 0 {
        return Err(io::Error::other(format!("{} has no record of exchanges", folder.display())));
    }
    Ok(transcript)
}

fn note(transcript: &mut Transcript, line: &Value, base: impl Fn(&str) -> String) -> Option<()> {
    let uri = line.get("uri")?.as_str()?;
    // a request behind sockets has only a path
    let path = uri.split_once("://").map_or(uri, |(_, rest)| rest.find('/').map_or("", |at| &rest[at..]));
    let uri = format!("{}{path}", base(line.get("service")?.as_str()?));
    let status = u16::try_from(line.get("status")?.as_u64()?).ok()?;
    transcript.note(&Exchange {
        method: line.get("method")?.as_str()?,
        uri: &uri,
        request: message(line.get("request")?)?,
        response: Some((status, message(line.get("response")?)?)),
    });
    Some(())
}

fn message(value: &Value) -> Option<Message<'_>> {
    let headers = value.get("headers")?.as_object()?.iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?.as_bytes())));
    Some(Message { headers: headers.collect(), body: value.get("body")?.as_str()?.as_bytes() })
}

/// What the sandbox returns: each call, and each status of it.
#[derive(Default)]
pub struct Known(BTreeMap<Call, BTreeMap<u64, Responses>>);

/// A call: service, method, path, and the action where AWS has one.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Call([String; 4]);

impl Call {
    fn of(exchange: &Value) -> Self {
        Self(["service", "method", "path", "action"].map(|name| text(exchange, name).to_owned()))
    }

    fn service(&self) -> &str {
        &self.0[0]
    }

    fn line(&self) -> String {
        let [service, method, path, action] = &self.0;
        let action = if action.is_empty() { String::new() } else { format!(" {action}") };
        format!("{service} {method} {path}{action}")
    }
}

/// All responses of a call with one status.
#[derive(Default)]
struct Responses {
    count: usize,
    headers: BTreeMap<String, usize>,
    body: Model,
    bodies: usize,
    claims: Model,
    with_claims: usize,
    codes: BTreeSet<String>,
    errors: BTreeSet<String>,
}

/// The union of shapes, and how often each field is there.
#[derive(Default)]
struct Model {
    kinds: BTreeSet<String>,
    elements: Option<Box<Model>>,
    objects: usize,
    fields: BTreeMap<String, (usize, Model)>,
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn texts<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a str> {
    value.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// The alternatives of a shape.
fn alternatives(shape: &Value) -> Vec<&Value> {
    match shape.get("|").and_then(Value::as_array) {
        Some(shapes) => shapes.iter().collect(),
        None => vec![shape],
    }
}

impl Known {
    /// Learns from the sandbox's exchanges.
    #[must_use]
    pub fn of(transcript: &Transcript) -> Self {
        let mut known = Self::default();
        let json = transcript.to_json();
        for exchange in json["exchanges"].as_array().into_iter().flatten() {
            let Some(status) = exchange.get("status").and_then(Value::as_u64) else { continue };
            known.0.entry(Call::of(exchange)).or_default().entry(status).or_default().add(exchange);
        }
        known
    }

    /// Returns every call with its statuses, headers and fields, those that are always there and those that may be.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let call = |(call, statuses): (&Call, &BTreeMap<u64, Responses>)| {
            let statuses = statuses.iter().map(|(status, responses)| (status.to_string(), responses.to_json()));
            json!({"call": call.line(), "statuses": statuses.collect::<Map<_, _>>()})
        };
        json!({"calls": self.0.iter().map(call).collect::<Vec<_>>()})
    }

    /// Returns the differences of a transcript from the sandbox, one line each: the call, the status, and what differs.
    #[must_use]
    pub fn differences(&self, transcript: &Transcript) -> Vec<String> {
        let json = transcript.to_json();
        let mut lines = BTreeSet::new();
        for exchange in json["exchanges"].as_array().into_iter().flatten() {
            let Some(status) = exchange.get("status").and_then(Value::as_u64) else { continue };
            let call = Call::of(exchange);
            let found = match self.0.get(&call).map(|statuses| (statuses, statuses.get(&status))) {
                None => vec!["the sandbox has no such call".to_owned()],
                Some((_, Some(responses))) => responses.differences(&call, &exchange["response"], exchange),
                Some((statuses, None)) => {
                    let known: Vec<String> = statuses.keys().map(u64::to_string).collect();
                    let error = error_of(exchange);
                    vec![format!("the sandbox never returns this status, but {}{error}", known.join(", "))]
                }
            };
            lines.extend(found.into_iter().map(|what| format!("{} {status}: {what}", call.line())));
        }
        lines.into_iter().collect()
    }
}

/// The error of an exchange in words: ` (codes: text)`.
fn error_of(exchange: &Value) -> String {
    let codes = texts(exchange, "codes").collect::<Vec<_>>().join(", ");
    let parts: Vec<&str> =
        [codes.as_str(), text(exchange, "error")].into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(": ")) }
}

impl Responses {
    fn add(&mut self, exchange: &Value) {
        let response = &exchange["response"];
        self.count += 1;
        for name in texts(response, "headers") {
            *self.headers.entry(name.to_owned()).or_default() += 1;
        }
        if let Some(body) = response.get("body") {
            self.bodies += 1;
            self.body.add(body);
        }
        if let Some(claims) = response.get("claims") {
            self.with_claims += 1;
            self.claims.add(claims);
        }
        self.codes.extend(texts(exchange, "codes").map(str::to_owned));
        self.errors.extend(exchange.get("error").and_then(Value::as_str).map(str::to_owned));
    }

    fn to_json(&self) -> Value {
        let always = |wanted: bool| {
            let names = self.headers.iter().filter(move |(_, count)| (**count == self.count) == wanted);
            names.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
        };
        let mut json = json!({"headers": {"always": always(true), "optional": always(false)}});
        if self.bodies > 0 {
            json["body"] = self.body.to_json();
        }
        if self.with_claims > 0 {
            json["claims"] = self.claims.to_json();
        }
        if !self.codes.is_empty() {
            json["codes"] = json!(self.codes);
        }
        if !self.errors.is_empty() {
            json["errors"] = json!(self.errors);
        }
        json
    }

    fn differences(&self, call: &Call, response: &Value, exchange: &Value) -> Vec<String> {
        let mut found = Vec::new();
        let is_read = |name: &str| {
            READ.contains(&name)
                || name.starts_with("x-ms-ratelimit-remaining-")
                || (name == "content-type" && call.service() == "registry")
        };
        let headers: BTreeSet<&str> = texts(response, "headers").collect();
        for name in headers.iter().filter(|name| is_read(name) && !self.headers.contains_key(**name)) {
            found.push(format!("header {name}: the sandbox never sends it"));
        }
        let always = self.headers.iter().filter(|(name, count)| **count == self.count && is_read(name));
        for (name, _) in always.filter(|(name, _)| !headers.contains(name.as_str())) {
            found.push(format!("header {name}: missing, and the sandbox always sends it"));
        }
        match response.get("body") {
            Some(body) if self.bodies > 0 => self.body.compare(body, "", &mut found),
            Some(body) => found.push(format!("the body is {}, and the sandbox sends none", named(body))),
            None if self.bodies == self.count => {
                found.push(format!("there is no body, and the sandbox sends {}", self.body.named()));
            }
            None => {}
        }
        match response.get("claims") {
            Some(claims) if self.with_claims > 0 => self.claims.compare(claims, "claims", &mut found),
            Some(_) => found.push("the token has claims, and the sandbox's has none".to_owned()),
            None if self.with_claims > 0 && self.with_claims == self.count => {
                found.push("the token has no claims, and the sandbox's always has".to_owned());
            }
            None => {}
        }
        for code in texts(exchange, "codes").filter(|code| !self.codes.contains(*code)) {
            let known = list(self.codes.iter().map(String::as_str));
            found.push(format!("error code {code}: the sandbox returns {known}"));
        }
        let error = text(exchange, "error");
        let is_shown = !error.is_empty() && !HIDDEN.contains(&error);
        if is_shown && !self.errors.is_empty() && !self.errors.contains(error) {
            let known: Vec<String> = self.errors.iter().map(|known| format!("\"{known}\"")).collect();
            found.push(format!(
                "error text \"{error}\": the sandbox returns {}",
                list(known.iter().map(String::as_str))
            ));
        }
        found
    }
}

/// A list in words. `nothing` if it is empty.
fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    let items: Vec<&str> = items.collect();
    if items.is_empty() { "nothing".to_owned() } else { items.join(" or ") }
}

/// A shape in words.
fn named(shape: &Value) -> String {
    let one = |shape: &Value| match shape {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(fields) => object(fields.keys().map(String::as_str)),
        other => other.as_str().unwrap_or("unreadable").to_owned(),
    };
    let names: BTreeSet<String> = alternatives(shape).into_iter().map(one).collect();
    list(names.iter().map(String::as_str))
}

/// An object in words.
fn object<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    format!("an object with {}", if names.is_empty() { "no field".to_owned() } else { names.join(", ") })
}

/// A field in words. The empty path is the body.
fn place(path: &str) -> String {
    if path.is_empty() { "the body".to_owned() } else { format!("field {path}") }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl Model {
    fn add(&mut self, shape: &Value) {
        for shape in alternatives(shape) {
            match shape {
                Value::Array(items) => {
                    let elements = self.elements.get_or_insert_default();
                    for item in items {
                        elements.add(item);
                    }
                }
                Value::Object(fields) => {
                    self.objects += 1;
                    for (name, shape) in fields {
                        let (count, model) = self.fields.entry(name.clone()).or_default();
                        *count += 1;
                        model.add(shape);
                    }
                }
                other => drop(self.kinds.insert(other.as_str().unwrap_or("unreadable").to_owned())),
            }
        }
    }

    fn is_unknown(&self) -> bool {
        self.kinds.is_empty() && self.elements.is_none() && self.objects == 0
    }

    fn is_always(&self, count: usize) -> bool {
        count == self.objects
    }

    fn to_json(&self) -> Value {
        let mut alternatives: Vec<Value> = self.kinds.iter().map(|kind| Value::from(kind.as_str())).collect();
        if let Some(elements) = &self.elements {
            alternatives.push(if elements.is_unknown() { json!([]) } else { json!([elements.to_json()]) });
        }
        if self.objects > 0 {
            let fields = |wanted: bool| {
                let fields = self.fields.iter().filter(move |(_, (count, _))| self.is_always(*count) == wanted);
                fields.map(|(name, (_, model))| (name.clone(), model.to_json())).collect::<Map<_, _>>()
            };
            alternatives.push(json!({"always": fields(true), "optional": fields(false)}));
        }
        if alternatives.len() == 1 { alternatives.remove(0) } else { json!({"|": alternatives}) }
    }

    fn named(&self) -> String {
        let mut names: Vec<String> = self.kinds.iter().cloned().collect();
        names.extend(self.elements.as_ref().map(|_| "a list".to_owned()));
        if self.objects > 0 {
            let always = self.fields.iter().filter(|(_, (count, _))| self.is_always(*count));
            names.push(object(always.map(|(name, _)| name.as_str())));
        }
        list(names.iter().map(String::as_str))
    }

    fn compare(&self, shape: &Value, path: &str, found: &mut Vec<String>) {
        for shape in alternatives(shape) {
            match (shape, &self.elements) {
                (Value::Array(items), Some(elements)) => {
                    let path = format!("{path}[]");
                    if elements.is_unknown() && !items.is_empty() {
                        found.push(format!("{}: the sandbox's list is always empty", place(&path)));
                        continue;
                    }
                    for item in items {
                        elements.compare(item, &path, found);
                    }
                }
                (Value::Object(fields), _) if self.objects > 0 => self.compare_fields(fields, path, found),
                (Value::String(kind), _) if self.has(kind) => {}
                (other, _) => {
                    found.push(format!("{}: {}, and the sandbox sends {}", place(path), named(other), self.named()));
                }
            }
        }
    }

    /// Whether the sandbox sends this kind. A text without a special form stands for all texts, not the other way round.
    fn has(&self, kind: &str) -> bool {
        let is_text = ["string", "uuid", "time", "url", "empty"].contains(&kind);
        self.kinds.contains(kind) || (is_text && self.kinds.contains("string"))
    }

    fn compare_fields(&self, fields: &Map<String, Value>, path: &str, found: &mut Vec<String>) {
        let missing: Vec<&str> = self
            .fields
            .iter()
            .filter(|(name, (count, _))| self.is_always(*count) && !fields.contains_key(*name) && *name != "*")
            .map(|(name, _)| name.as_str())
            .collect();
        let extra: Vec<&str> =
            fields.keys().map(String::as_str).filter(|name| !self.fields.contains_key(*name)).collect();
        let shared = fields.len() - extra.len();
        match (extra.as_slice(), missing.as_slice()) {
            ([], []) => {}
            (_, [_, ..]) if shared == 0 && !extra.is_empty() && (extra.len(), missing.len()) != (1, 1) => {
                let sandbox = object(missing.iter().copied());
                found.push(format!(
                    "{}: {}, and the sandbox sends {sandbox}",
                    place(path),
                    object(extra.iter().copied())
                ));
            }
            ([extra], [missing]) => {
                found.push(format!("field {}: the sandbox sends {missing} instead", below(path, extra)));
            }
            _ => {
                for name in &extra {
                    found.push(format!("field {}: the sandbox never sends it", below(path, name)));
                }
                for name in &missing {
                    found.push(format!("field {}: missing, and the sandbox always sends it", below(path, name)));
                }
            }
        }
        for (name, shape) in fields {
            if let Some((_, model)) = self.fields.get(name) {
                model.compare(shape, &below(path, name), found);
            }
        }
    }
}

#[cfg(test)]
mod tests;
