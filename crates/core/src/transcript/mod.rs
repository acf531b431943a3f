//! Reduces HTTP exchanges to a transcript that a person may publish: methods, paths, statuses, names and types, and the
//! words of errors. It holds no ids, names of organizations and users, or values.
//!
//! Three layers keep credentials out:
//!
//! 1. Every value is replaced by its type.
//! 2. Every name, code and text is made of a closed vocabulary, and every path of the literals of known routes.
//! 3. Every credential that an exchange sent or received is collected. If a text, a code or an undocumented name
//!    contains one, it is replaced. A password may be a plain word.
//!
//! ```
//! use hubkeeper_core::transcript::{Exchange, Message, Service, Transcript};
//!
//! let mut transcript = Transcript::new([("https://hub.docker.com".to_owned(), Service::Hub)]);
//! transcript.note(&Exchange {
//!     method: "GET",
//!     uri: "https://hub.docker.com/v2/orgs/acme/members?page=1",
//!     request: Message { headers: vec![("authorization", b"Bearer horse")], body: b"" },
//!     response: Some((403, Message { headers: vec![], body: br#"{"message": "horse is not allowed"}"# })),
//! });
//! let exchange = &transcript.to_json()["exchanges"][0];
//! assert_eq!(exchange["path"], "/v2/orgs/{}/members");
//! assert_eq!(exchange["response"]["body"]["message"], "string");
//! assert_eq!(exchange["error"], "… is not allowed");
//! ```

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::config::{Config, ProofConfig};

mod body;
mod errors;
mod exchange;
mod secrets;
mod service;
mod shape;
mod words;

use body::Body;
use errors::Told;
pub use exchange::{Exchange, Message};
use secrets::{Mask, Secrets};
use service::Address;
pub use service::Service;
use shape::Shape;

/// The format of a transcript.
pub const FORMAT: &str = "hubkeeper-transcript/1";

/// Maximum number of different exchanges.
const MOST: usize = 2_000;

/// Maximum length of a transcript in bytes: the response of an invocation has at most 6 MB (AWS's Lambda guide).
const LONGEST: usize = 4 << 20;

/// Fields whose JWT is read for the names of its claims.
const TOKENS: [&str; 4] = ["token", "access_token", "id_token", "WebIdentityToken"];

/// The reduced exchanges of one or several processes. No `Debug`: it holds the credentials that it hides.
#[derive(Clone, Default)]
pub struct Transcript {
    bases: Vec<(String, Service)>,
    exchanges: Vec<Noted>,
    secrets: Secrets,
    is_cut: bool,
}

/// A reduced exchange, before the credentials of later exchanges are known.
#[derive(Clone, PartialEq)]
struct Noted {
    service: Service,
    path: String,
    action: Option<String>,
    method: &'static str,
    query: BTreeSet<String>,
    status: Option<u16>,
    request: Reduced,
    response: Reduced,
    claims: Option<Shape>,
    codes: BTreeSet<String>,
    text: Option<String>,
}

/// A reduced message.
#[derive(Clone, Default, PartialEq)]
struct Reduced {
    headers: BTreeSet<String>,
    body: Option<Shape>,
}

impl Transcript {
    /// Creates an empty transcript. `bases` are the base URLs of services that nothing else tells: Entra, ARM, Docker
    /// Hub, the token service and the registry. Exchanges with other hosts are not kept, except with AWS.
    pub fn new(bases: impl IntoIterator<Item = (String, Service)>) -> Self {
        Self { bases: bases.into_iter().collect(), ..Self::default() }
    }

    /// Creates an empty transcript of the function.
    pub fn of_function(config: &Config) -> Self {
        Self::new([
            (config.authority.clone(), Service::Entra),
            (config.arm_url.clone(), Service::Arm),
            (config.hub_url.clone(), Service::Hub),
            (config.hub_auth_url.clone(), Service::HubAuth),
            (config.registry_url.clone(), Service::Registry),
        ])
    }

    /// Creates an empty transcript of a proof.
    pub fn of_proof(config: &ProofConfig) -> Self {
        Self::new([
            (config.hub_url.clone(), Service::Hub),
            (config.hub_auth_url.clone(), Service::HubAuth),
            (config.registry_url.clone(), Service::Registry),
        ])
    }

    /// Adds the base URL of a service.
    pub fn serve(&mut self, base: &str, service: Service) {
        self.bases.push((base.to_owned(), service));
    }

    /// Hides a credential that the process knows, whether or not an exchange contains it.
    pub fn hide(&mut self, secret: &SecretString) {
        self.secrets.add(secret.expose_secret());
    }

    /// Adds an exchange. One that is reduced to the same as an earlier one is kept once.
    pub fn note(&mut self, exchange: &Exchange<'_>) {
        let address = Address::of(exchange.uri);
        let request = Body::of(&exchange.request);
        let response = exchange.response.as_ref().map(|(_, message)| Body::of(message));
        let response = response.unwrap_or(Body::Absent);
        self.collect(exchange, &address, &request, &response);
        let Some((service, path, action)) = service::tell(&self.bases, &address, exchange, request.value()) else {
            return;
        };
        let is_login = matches!(service, Service::Entra)
            || ["/login", "2fa-login", "auth/token"].iter().any(|end| path.ends_with(end));
        if let Some(value) = request.value().filter(|_| is_login) {
            self.secrets.login(value);
        }
        let (path, names) = service.path(path);
        // the name of a call may be a segment of the path
        let names = names.into_iter().filter(|name| action.as_deref() != Some(*name));
        names.for_each(|name| self.secrets.add_name(name));
        let mut told = Told::default();
        if let Some((400.., message)) = &exchange.response {
            response.value().into_iter().for_each(|value| told.read(value));
            message.header("x-amzn-errortype").into_iter().for_each(|code| told.header(code));
            let challenges = message.texts().filter(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
            challenges.for_each(|(_, challenge)| told.challenge(challenge));
        }
        let claims = response.value().filter(|_| exchange.response.as_ref().is_some_and(|(status, _)| *status < 300));
        let claims = claims.and_then(claims_in);
        self.keep(Noted {
            service,
            path,
            action,
            method: service::method(exchange.method),
            query: service::query(address.query),
            status: exchange.response.as_ref().map(|(status, _)| *status),
            request: Reduced::of(&exchange.request, &request),
            response: exchange
                .response
                .as_ref()
                .map(|(_, message)| Reduced::of(message, &response))
                .unwrap_or_default(),
            claims,
            codes: told.codes,
            text: Some(words::text(&told.texts.join("; "))).filter(|text| !text.is_empty()),
        });
    }

    fn collect(&mut self, exchange: &Exchange<'_>, address: &Address<'_>, request: &Body, response: &Body) {
        let secrets = &mut self.secrets;
        let both = exchange.request.texts().chain(exchange.response.iter().flat_map(|(_, message)| message.texts()));
        both.for_each(|(name, value)| secrets.header(name, value));
        [request, response].into_iter().filter_map(|body| body.value()).for_each(|value| secrets.fields(value));
        address.hidden.iter().for_each(|part| secrets.add(part));
        for (name, value) in url::form_urlencoded::parse(address.query.as_bytes()) {
            secrets.header(&name, &value);
        }
    }

    fn keep(&mut self, noted: Noted) {
        if self.exchanges.contains(&noted) {
            return;
        }
        if self.exchanges.len() < MOST {
            self.exchanges.push(noted);
        } else {
            self.is_cut = true;
        }
    }

    /// Adds the exchanges of another transcript. Each hides what either of them knows.
    pub fn merge(&mut self, other: Transcript) {
        self.secrets.merge(other.secrets);
        self.is_cut |= other.is_cut;
        other.exchanges.into_iter().for_each(|noted| self.keep(noted));
    }

    /// Returns the transcript as a JSON document, in a fixed order. `cut` is there if exchanges were left out.
    pub fn to_json(&self) -> Value {
        let mask = self.secrets.mask();
        let mut exchanges: Vec<(String, Value)> = self
            .exchanges
            .iter()
            .map(|noted| noted.masked(&mask))
            .map(|noted| (noted.key(), noted.to_json()))
            .collect();
        exchanges.sort_by(|(one, _), (two, _)| one.cmp(two));
        exchanges.dedup_by(|(one, _), (two, _)| one == two);
        let mut left = LONGEST;
        let all = exchanges.len();
        let exchanges: Vec<Value> = exchanges
            .into_iter()
            .map_while(|(_, json)| {
                left = left.checked_sub(json.to_string().len())?;
                Some(json)
            })
            .collect();
        let is_cut = self.is_cut || exchanges.len() < all;
        let mut json = json!({"format": FORMAT, "exchanges": exchanges});
        if is_cut {
            json["cut"] = Value::Bool(true);
        }
        json
    }

    /// Reads a transcript, for example the function's. What could not be in a transcript is replaced, as in
    /// [`Transcript::note`]. Returns `None` if the value is not a transcript of this format.
    pub fn from_json(value: &Value) -> Option<Self> {
        if value.get("format")?.as_str()? != FORMAT {
            return None;
        }
        let mut transcript = Self { is_cut: value.get("cut") == Some(&Value::Bool(true)), ..Self::default() };
        for exchange in value.get("exchanges")?.as_array()? {
            transcript.keep(Noted::from_json(exchange)?);
        }
        Some(transcript)
    }
}

impl Noted {
    fn masked(&self, mask: &Mask<'_>) -> Self {
        let hides = |name: &str| mask.hides_name(name);
        Self {
            action: self.action.as_ref().map(|action| if hides(action) { service::action("") } else { action.clone() }),
            request: self.request.masked(&hides),
            response: self.response.masked(&hides),
            claims: self.claims.as_ref().map(|claims| claims.without(&hides)),
            codes: self.codes.iter().map(|code| mask.code(code)).collect(),
            text: self.text.as_ref().map(|text| mask.text(text)),
            ..self.clone()
        }
    }

    /// Orders the exchanges by service, call and status.
    fn key(&self) -> String {
        let (action, status) = (self.action.as_deref().unwrap_or_default(), self.status.unwrap_or_default());
        let Self { service, path, method, .. } = self;
        format!("{:02} {path} {action} {method} {status:05} {}", *service as u8, self.to_json())
    }

    fn to_json(&self) -> Value {
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        set("service", self.service.name().into());
        set("method", self.method.into());
        set("path", self.path.as_str().into());
        if let Some(action) = &self.action {
            set("action", action.as_str().into());
        }
        set("query", json!(self.query));
        set("request", self.request.to_json());
        if let Some(status) = self.status {
            set("status", status.into());
            let mut response = self.response.to_json();
            if let Some(claims) = &self.claims {
                response["claims"] = claims.to_json();
            }
            set("response", response);
        }
        if !self.codes.is_empty() {
            set("codes", json!(self.codes));
        }
        if let Some(text) = &self.text {
            set("error", text.as_str().into());
        }
        Value::Object(fields)
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let service = Service::of_name(text("service")?)?;
        let query = value.get("query").map(texts).unwrap_or_default();
        let response = value.get("response");
        let codes = value.get("codes").map(texts).unwrap_or_default();
        Some(Self {
            service,
            path: service.path(text("path")?).0,
            action: text("action").map(service::action),
            method: service::method(text("method")?),
            query: query.into_iter().flat_map(|name| service::query(&name)).collect(),
            status: value.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()),
            request: value.get("request").map(Reduced::from_json).unwrap_or_default(),
            response: response.map(Reduced::from_json).unwrap_or_default(),
            claims: response.and_then(|response| response.get("claims")).map(Shape::from_json),
            codes: codes.into_iter().map(|code| if errors::is_code(&code) { code } else { words::code("") }).collect(),
            text: text("error").map(words::text),
        })
    }
}

impl Reduced {
    fn of(message: &Message<'_>, body: &Body) -> Self {
        let body = match body {
            Body::Absent => None,
            Body::Opaque(kind) => Some(Shape::Scalar(kind)),
            Body::Read(value) => Some(Shape::of(value)),
        };
        // the kind of the content is a constant, but its parameters are not
        let headers = message.headers.iter().map(|(name, _)| words::name(&name.to_ascii_lowercase()));
        Self { headers: headers.collect(), body }
    }

    fn masked(&self, hides: &dyn Fn(&str) -> bool) -> Self {
        let name = |name: &String| if hides(name) { words::OTHER.to_owned() } else { name.clone() };
        Self {
            headers: self.headers.iter().map(name).collect(),
            body: self.body.as_ref().map(|body| body.without(hides)),
        }
    }

    fn to_json(&self) -> Value {
        let mut json = json!({"headers": self.headers});
        if let Some(body) = &self.body {
            json["body"] = body.to_json();
        }
        json
    }

    fn from_json(value: &Value) -> Self {
        let headers = value.get("headers").map(texts).unwrap_or_default();
        Self {
            headers: headers.iter().map(|name| words::name(name)).collect(),
            body: value.get("body").map(Shape::from_json),
        }
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Returns the shape of the claims of every JWT in a login's response.
fn claims_in(value: &Value) -> Option<Shape> {
    match value {
        Value::Object(fields) => {
            let inside = fields.iter().filter_map(|(name, value)| match value {
                Value::String(jwt) if TOKENS.contains(&name.as_str()) => claims(jwt),
                value => claims_in(value),
            });
            inside.reduce(Shape::or)
        }
        _ => None,
    }
}

fn claims(jwt: &str) -> Option<Shape> {
    let mut parts = jwt.split('.');
    let (_, payload, _) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let value: Value = serde_json::from_slice(&bytes).ok()?;
    value.is_object().then(|| Shape::of(&value))
}

#[cfg(test)]
mod tests;
