//! Entra: `POST /{tenant}/oauth2/v2.0/token` for clients with a secret or a federated credential, and the metadata document from
//! which Microsoft's libraries learn that route.
//!
//! Statuses and `error` values of the AADSTS codes are those in published client logs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use time::macros::format_description;
use time::{Duration, OffsetDateTime, UtcOffset};

use crate::keys;
use crate::world::{Request, Response, State, empty, json as json_response};

/// The client id of the Azure CLI in every tenant.
const AZURE_CLI: &str = "04b07795-8ddb-461a-bbee-02f9e1bf7b46";

/// The state of Entra. The public fields are switches.
pub struct Entra {
    /// Time after its creation during which a federated credential is not found (70021). Default zero.
    pub federated_delay: Duration,
    /// Lifetime of an access token. Default 3,599 seconds.
    pub bearer_life: Duration,
    tenants: BTreeSet<String>,
    applications: BTreeMap<String, Application>,
    bearers: BTreeMap<String, Bearer>,
    spent: Vec<String>,
}

impl Default for Entra {
    fn default() -> Self {
        Self {
            federated_delay: Duration::ZERO,
            bearer_life: Duration::seconds(3_599),
            tenants: BTreeSet::new(),
            applications: BTreeMap::new(),
            bearers: BTreeMap::new(),
            spent: Vec::new(),
        }
    }
}

#[derive(Default)]
struct Application {
    tenant: String,
    object_id: String,
    disabled: bool,
    /// Whether the tenant has no service principal (enterprise application) of it.
    without_principal: bool,
    /// Client secrets: value and expiry.
    secrets: Vec<(String, Option<OffsetDateTime>)>,
    federated: Vec<Federated>,
}

struct Federated {
    issuer: String,
    subject: String,
    audience: String,
    made_at: OffsetDateTime,
}

struct Bearer {
    client: String,
    expires_at: OffsetDateTime,
}

/// Registers an application (or a user-assigned managed identity) in a tenant. A missing tenant is created. Ids are
/// case-insensitive.
pub fn register_application(state: &mut State, tenant: &str, client_id: &str) {
    let object_id = state.uuid();
    let tenant = tenant.to_lowercase();
    state.entra.tenants.insert(tenant.clone());
    state
        .entra
        .applications
        .insert(client_id.to_lowercase(), Application { tenant, object_id, ..Application::default() });
}

/// Adds a client secret. With `None` it never expires. Returns its value.
pub fn add_client_secret(state: &mut State, client_id: &str, expires_at: Option<OffsetDateTime>) -> String {
    let value = format!("{}~{}", state.random_text(3), state.random_text(36));
    if let Some(application) = state.entra.applications.get_mut(&client_id.to_lowercase()) {
        application.secrets.push((value.clone(), expires_at));
    }
    value
}

/// Removes every client secret of an application.
pub fn remove_client_secrets(state: &mut State, client_id: &str) {
    if let Some(application) = state.entra.applications.get_mut(&client_id.to_lowercase()) {
        let removed = application.secrets.drain(..).map(|(value, _)| value);
        state.entra.spent.extend(removed);
    }
}

/// Adds a federated credential. It accepts assertions whose `iss`, `sub` and `aud` equal these exactly. Entra validates nothing
/// when it is written; a mistake shows at the exchange.
pub fn add_federated_credential(state: &mut State, client_id: &str, issuer: &str, subject: &str, audience: &str) {
    let made_at = state.now();
    if let Some(application) = state.entra.applications.get_mut(&client_id.to_lowercase()) {
        application.federated.push(Federated {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            audience: audience.to_owned(),
            made_at,
        });
    }
}

/// Removes every federated credential of an application.
pub fn remove_federated_credentials(state: &mut State, client_id: &str) {
    if let Some(application) = state.entra.applications.get_mut(&client_id.to_lowercase()) {
        application.federated.clear();
    }
}

/// Disables an application (7000112), or enables it.
pub fn set_disabled(state: &mut State, client_id: &str, disabled: bool) {
    if let Some(application) = state.entra.applications.get_mut(&client_id.to_lowercase()) {
        application.disabled = disabled;
    }
}

/// Creates the service principal of an application in its tenant, or deletes it (7000229). A registered application has one.
pub fn set_principal(state: &mut State, client_id: &str, exists: bool) {
    if let Some(application) = state.entra.applications.get_mut(&client_id.to_lowercase()) {
        application.without_principal = !exists;
    }
}

/// Issues an access token for ARM to a person who is logged in with the Azure CLI. `client_id` names the person in role assignments;
/// it is registered if it is not known.
pub fn issue_bearer(state: &mut State, client_id: &str) -> String {
    let client = client_id.to_lowercase();
    if !state.entra.applications.contains_key(&client) {
        let tenant = state.entra.tenants.first().cloned().unwrap_or_else(|| crate::scene::TENANT.to_owned());
        register_application(state, &tenant, &client);
    }
    let (tenant, object_id) = state
        .entra
        .applications
        .get(&client)
        .map(|application| (application.tenant.clone(), application.object_id.clone()))
        .unwrap_or_default();
    let person = json!({ "idtyp": "user", "appid": AZURE_CLI, "upn": format!("{client}@example.com") });
    mint(state, &tenant, client, &object_id, "https://management.azure.com", person)
}

/// Revokes every issued access token.
pub fn expire_bearers(state: &mut State) {
    let now = state.now();
    for bearer in state.entra.bearers.values_mut() {
        bearer.expires_at = now;
    }
}

/// The client of an access token that is valid now.
#[must_use]
pub fn bearer_client(state: &State, bearer: &str) -> Option<String> {
    known_bearer(state, bearer).filter(|(_, expired)| !expired).map(|(client, _)| client)
}

/// The client of an access token of this Entra, and whether the token has expired.
pub(crate) fn known_bearer(state: &State, bearer: &str) -> Option<(String, bool)> {
    let found = state.entra.bearers.get(bearer)?;
    Some((found.client.clone(), found.expires_at <= state.now()))
}

/// The object id of an application's service principal, as ARM's errors show it.
pub(crate) fn object_id(state: &State, client_id: &str) -> String {
    state.entra.applications.get(client_id).map_or_else(String::new, |application| application.object_id.clone())
}

/// Every client secret and every access token, expired ones included.
#[must_use]
pub fn all_secret_values(state: &State) -> Vec<String> {
    let entra = &state.entra;
    let secrets = entra.applications.values().flat_map(|application| &application.secrets);
    let mut values: Vec<String> = secrets.map(|(value, _)| value.clone()).collect();
    values.extend(entra.bearers.keys().cloned());
    values.extend(entra.spent.iter().cloned());
    values
}

/// An error response before it has its ids.
struct Refusal {
    status: u16,
    error: &'static str,
    code: u32,
    text: String,
}

fn refuse(status: u16, error: &'static str, code: u32, text: impl Into<String>) -> Refusal {
    Refusal { status, error, code, text: text.into() }
}

/// Handles one request.
pub fn handle(state: &mut State, request: &Request) -> Response {
    let path: Vec<&str> = request.uri().path().split('/').skip(1).collect();
    let result = match path.as_slice() {
        [tenant, "oauth2", "v2.0", "token"] => exchange(state, request, tenant),
        [tenant, "v2.0", ".well-known", "openid-configuration"] => discovery(state, request, tenant),
        _ => return empty(404),
    };
    result.unwrap_or_else(|refusal| body_of(state, &refusal))
}

/// The base URL of a tenant's routes: on the host of the request.
fn discovery(state: &State, request: &Request, tenant: &str) -> Result<Response, Refusal> {
    if request.method() != "GET" {
        return Ok(empty(405));
    }
    let tenant = known_tenant(state, "invalid_tenant", tenant)?;
    let header = request.headers().get("host").and_then(|value| value.to_str().ok());
    let host = request.uri().authority().map(http::uri::Authority::as_str).or(header).unwrap_or_default();
    let base = format!("https://{host}/{tenant}");
    Ok(json_response(
        200,
        &json!({
            "token_endpoint": format!("{base}/oauth2/v2.0/token"),
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
            "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
            "jwks_uri": format!("{base}/discovery/v2.0/keys"),
            "issuer": format!("{base}/v2.0"),
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }),
    ))
}

/// The tenant's id in lower case, if the tenant exists.
fn known_tenant(state: &State, error: &'static str, tenant: &str) -> Result<String, Refusal> {
    let tenant = tenant.to_lowercase();
    if state.entra.tenants.contains(&tenant) {
        return Ok(tenant);
    }
    let text = format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID.");
    Err(refuse(400, error, 90_002, text))
}

fn body_of(state: &mut State, refusal: &Refusal) -> Response {
    let Refusal { status, error, code, text } = refusal;
    let (trace, correlation) = (state.uuid(), state.uuid());
    let at = state
        .now()
        .to_offset(UtcOffset::UTC)
        .format(format_description!("[year]-[month]-[day] [hour]:[minute]:[second]Z"))
        .unwrap_or_default();
    let description = format!("AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}");
    let mut response = json_response(
        *status,
        &json!({
            "error": error,
            "error_description": description,
            "error_codes": [code],
            "timestamp": at,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
        }),
    );
    response.headers_mut().insert("cache-control", http::HeaderValue::from_static("no-store, no-cache"));
    response
}

type Form = BTreeMap<String, String>;

/// The form's fields. Empty if the body is not a form, which Entra reports as missing parameters.
fn form(request: &Request) -> Form {
    let content_type = request.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or("");
    if content_type.split(';').next().unwrap_or("").trim() != "application/x-www-form-urlencoded" {
        return Form::new();
    }
    url::form_urlencoded::parse(request.body()).into_owned().collect()
}

fn field<'a>(form: &'a Form, name: &str) -> Result<&'a str, Refusal> {
    form.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or_else(|| {
        let text = format!("The request body must contain the following parameter: '{name}'.");
        refuse(400, "invalid_request", 900_144, text)
    })
}

fn exchange(state: &mut State, request: &Request, tenant: &str) -> Result<Response, Refusal> {
    if request.method() != "POST" {
        let text = format!("The endpoint only accepts POST requests. Received a {} request.", request.method());
        return Err(refuse(405, "invalid_request", 900_561, text));
    }
    let tenant = known_tenant(state, "invalid_request", tenant)?;
    let form = form(request);
    let grant = field(&form, "grant_type")?;
    if grant != "client_credentials" {
        let text = format!("The app requested an unsupported grant type '{grant}'.");
        return Err(refuse(400, "unsupported_grant_type", 70_003, text));
    }
    if form.contains_key("resource") {
        return Err(refuse(400, "invalid_request", 901_002, "The 'resource' request parameter is not supported."));
    }
    let client_id = field(&form, "client_id")?.to_lowercase();
    let audience = audience(field(&form, "scope")?)?;
    let now = state.now();
    let delay = state.entra.federated_delay;
    let Some(application) = state.entra.applications.get(&client_id).filter(|found| found.tenant == tenant) else {
        let text = format!("Application with identifier '{client_id}' was not found in the directory '{tenant}'.");
        return Err(refuse(400, "unauthorized_client", 700_016, text));
    };
    if application.disabled {
        let text = format!("Application '{client_id}' is disabled.");
        return Err(refuse(400, "unauthorized_client", 7_000_112, text));
    }
    if application.without_principal {
        let text = format!(
            "The client application '{client_id}' is missing service principal in the tenant '{tenant}'. See instructions here: \
             https://go.microsoft.com/fwlink/?linkid=2225119"
        );
        return Err(refuse(400, "invalid_client", 7_000_229, text));
    }
    if form.contains_key("client_assertion") || form.contains_key("client_assertion_type") {
        let kind = field(&form, "client_assertion_type")?;
        if kind != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
            let text = "The value of 'client_assertion_type' is not supported.";
            return Err(refuse(400, "invalid_request", 900_144, text));
        }
        check_assertion(application, field(&form, "client_assertion")?, now, delay)?;
    } else if let Some(secret) = form.get("client_secret") {
        check_secret(application, &client_id, secret, now)?;
    } else {
        let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        return Err(refuse(401, "invalid_client", 7_000_218, text));
    }
    let object_id = application.object_id.clone();
    Ok(give(state, &tenant, client_id, &object_id, audience))
}

/// The token's audience for a scope: Azure Resource Manager of the public or the US Government cloud.
fn audience(scope: &str) -> Result<&'static str, Refusal> {
    match scope {
        "https://management.azure.com/.default" => Ok("https://management.azure.com"),
        "https://management.usgovcloudapi.net/.default" => Ok("https://management.usgovcloudapi.net"),
        _ if scope.ends_with("/.default") => {
            let text = format!("The resource principal named {scope} was not found in the tenant.");
            Err(refuse(400, "invalid_resource", 500_011, text))
        }
        _ => {
            let text = format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with \
                 /.default suffixed to the resource identifier (application ID URI)."
            );
            Err(refuse(400, "invalid_scope", 1_002_012, text))
        }
    }
}

fn check_secret(application: &Application, client_id: &str, secret: &str, now: OffsetDateTime) -> Result<(), Refusal> {
    match application.secrets.iter().find(|(value, _)| value == secret) {
        None => {
            let text = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{client_id}'."
            );
            Err(refuse(401, "invalid_client", 7_000_215, text))
        }
        Some((_, Some(end))) if *end <= now => {
            let text = format!("The provided client secret keys for app '{client_id}' are expired.");
            Err(refuse(401, "invalid_client", 7_000_222, text))
        }
        Some(_) => Ok(()),
    }
}

/// Verifies an assertion: RS256 by the issuer's key, not expired, and equal to a federated credential, case included.
fn check_assertion(
    application: &Application,
    assertion: &str,
    now: OffsetDateTime,
    delay: Duration,
) -> Result<(), Refusal> {
    let Some(claims) = keys::sts().verify(assertion) else {
        let text = "Client assertion failed signature validation.";
        return Err(refuse(401, "invalid_client", 700_027, text));
    };
    let seconds = now.unix_timestamp();
    let in_time = claims["exp"].as_i64().is_some_and(|end| end > seconds)
        && claims["nbf"].as_i64().or(claims["iat"].as_i64()).is_none_or(|start| start <= seconds + 300);
    if !in_time {
        let text = format!(
            "Client assertion is not within its valid time range. Current time: {seconds}, expiry time of assertion {}.",
            claims["exp"]
        );
        return Err(refuse(401, "invalid_client", 700_024, text));
    }
    let (issuer, subject) = (claims["iss"].as_str().unwrap_or(""), claims["sub"].as_str().unwrap_or(""));
    let audience = match &claims["aud"] {
        Value::String(audience) => audience.as_str(),
        _ => "",
    };
    let effective: Vec<&Federated> =
        application.federated.iter().filter(|credential| credential.made_at + delay <= now).collect();
    if effective.is_empty() {
        let text = format!(
            "No matching federated identity record found for presented assertion. Assertion Issuer: '{issuer}'. Assertion Subject: '{subject}'. Assertion Audience: '{audience}'."
        );
        return Err(refuse(400, "invalid_request", 70_021, text));
    }
    let of_issuer: Vec<_> = effective.into_iter().filter(|credential| credential.issuer == issuer).collect();
    let of_subject: Vec<_> = of_issuer.iter().filter(|credential| credential.subject == subject).collect();
    let (code, what, value) = if of_issuer.is_empty() {
        (700_211, "issuer", issuer)
    } else if of_subject.is_empty() {
        (700_213, "subject", subject)
    } else if of_subject.iter().all(|credential| credential.audience != audience) {
        (700_212, "audience", audience)
    } else {
        return Ok(());
    };
    let text = format!(
        "No matching federated identity record found for presented assertion {what} '{value}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."
    );
    Err(refuse(401, "invalid_client", code, text))
}

fn give(state: &mut State, tenant: &str, client: String, object_id: &str, audience: &str) -> Response {
    let own = json!({ "idtyp": "app", "appid": client });
    let token = mint(state, tenant, client, object_id, audience, own);
    let life = state.entra.bearer_life.whole_seconds();
    json_response(
        200,
        &json!({ "token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": token }),
    )
}

/// An access token with the common claims and those of its kind.
fn mint(state: &mut State, tenant: &str, client: String, object_id: &str, audience: &str, mut claims: Value) -> String {
    let now = state.now();
    let expires_at = now + state.entra.bearer_life;
    let common = [
        ("aud", json!(audience)),
        ("iss", json!(format!("https://sts.windows.net/{tenant}/"))),
        ("iat", json!(now.unix_timestamp())),
        ("nbf", json!(now.unix_timestamp())),
        ("exp", json!(expires_at.unix_timestamp())),
        ("oid", json!(object_id)),
        ("sub", json!(object_id)),
        ("tid", json!(tenant)),
        ("uti", json!(state.random_text(22))),
        ("ver", json!("1.0")),
    ];
    for (name, value) in common {
        claims[name] = value;
    }
    let token = keys::entra().sign(&claims);
    state.entra.bearers.insert(token.clone(), Bearer { client, expires_at });
    token
}

#[cfg(test)]
mod tests;
