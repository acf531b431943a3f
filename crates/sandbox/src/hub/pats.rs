//! Personal access tokens: `/v2/access-tokens`.

use std::cmp::Reverse;

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::access::Principal;
use super::login;
use super::model::{Level, PatView};
use super::wire::{self, Page, Refused};
use crate::world::{Request, Response, State, empty, json as json_response};

/// The user who may manage tokens: only a login with the password allows it (observed).
fn manager(state: &State, request: &Request) -> Result<String, Refused> {
    match login::bearer(state, request) {
        None => Err(wire::unauthorized().into()),
        Some(Principal::Password { username }) => Ok(username),
        Some(Principal::Pat { .. }) => {
            Err(wire::refuse(403, "token issued from personal access token is not allowed").into())
        }
        Some(Principal::Oat { .. }) => {
            Err(wire::refuse(403, "token issued from organization access token is not allowed").into())
        }
    }
}

/// The token object. `token` is empty except in the response that creates it.
fn view(pat: &PatView, value: &str) -> Value {
    json!({
        "uuid": pat.uuid,
        "client_id": "HUB",
        "creator_ip": "127.0.0.1",
        "creator_ua": pat.creator_ua,
        "created_at": wire::time(pat.created_at),
        "last_used": pat.last_used.map(wire::time),
        "generated_by": "manual",
        "is_active": pat.is_active,
        "token": value,
        "token_label": pat.label,
        "scopes": pat.scopes,
        "expires_at": pat.expires_at.map(wire::time),
    })
}

/// `GET` and `POST /v2/access-tokens`.
pub(super) fn all(state: &mut State, request: &Request) -> Response {
    let username = match manager(state, request) {
        Ok(username) => username,
        Err(refusal) => return *refusal,
    };
    if request.method() == "POST" {
        return create(state, request, &username).unwrap_or_else(|refusal| *refusal);
    }
    let page = match Page::of(&wire::query(request)) {
        Ok(page) => page,
        Err(refusal) => return *refusal,
    };
    let mut own: Vec<&PatView> = state.hub.pats.values().filter(|pat| pat.username == username).collect();
    own.sort_by_key(|pat| (Reverse(pat.created_at), &pat.uuid));
    let active = own.iter().filter(|pat| pat.is_active).count();
    let (next, previous) = page.links("/v2/access-tokens", &[], own.len());
    let results: Vec<Value> = own.iter().skip(page.start()).take(page.size).map(|pat| view(pat, "")).collect();
    json_response(
        200,
        &json!({ "count": own.len(), "next": next, "previous": previous, "active_count": active, "results": results }),
    )
}

fn label(body: &Value) -> Result<String, Refused> {
    let label = wire::text(body, "token_label")?;
    if label.chars().count() > 100 {
        return Err(wire::bad_field("token_label", "Ensure this field has no more than 100 characters.").into());
    }
    Ok(label.to_owned())
}

fn create(state: &mut State, request: &Request, username: &str) -> Result<Response, Refused> {
    let body = wire::body(request)?;
    let label = label(&body)?;
    let scopes = body["scopes"].as_array().filter(|scopes| !scopes.is_empty());
    let scopes = scopes.ok_or_else(|| wire::bad_field("scopes", "This field is required."))?;
    let known = |scope: &Value| scope.as_str().filter(|scope| Level::of(scope).is_some()).map(ToOwned::to_owned);
    let scopes: Option<Vec<String>> = scopes.iter().map(known).collect();
    let scopes = scopes.ok_or_else(|| wire::bad_field("scopes", "Invalid scope."))?;
    let expires_at = match &body["expires_at"] {
        Value::Null => None,
        value => {
            let end = value.as_str().and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
            let end = end.ok_or_else(|| wire::bad_field("expires_at", "Not a valid date-time."))?;
            if end <= state.hub_now() {
                return Err(wire::bad_field("expires_at", "Must be in the future.").into());
            }
            Some(end)
        }
    };
    let agent = request.headers().get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or("").to_owned();
    let pat = make(state, username, &label, scopes, expires_at, agent);
    Ok(json_response(201, &view(&pat, &pat.value)))
}

/// Creates a token. It becomes valid after the Hub's `usable_delay`.
pub(super) fn make(
    state: &mut State,
    username: &str,
    label: &str,
    scopes: Vec<String>,
    expires_at: Option<OffsetDateTime>,
    creator_ua: String,
) -> PatView {
    let created_at = state.hub_now();
    let pat = PatView {
        uuid: state.uuid(),
        username: username.to_owned(),
        label: label.to_owned(),
        scopes,
        value: format!("dckr_pat_{}", state.random_text(27)),
        created_at,
        usable_at: created_at + state.hub.usable_delay,
        expires_at,
        is_active: true,
        last_used: None,
        creator_ua,
    };
    state.hub.pat_values.insert(pat.value.clone(), pat.uuid.clone());
    state.hub.pats.insert(pat.uuid.clone(), pat.clone());
    pat
}

/// `GET`, `PATCH` and `DELETE /v2/access-tokens/{uuid}`. Another user's token is not found.
pub(super) fn one(state: &mut State, request: &Request, uuid: &str) -> Response {
    let username = match manager(state, request) {
        Ok(username) => username,
        Err(refusal) => return *refusal,
    };
    let now = state.hub_now();
    let Some(pat) = state.hub.pats.get_mut(uuid).filter(|pat| pat.username == username) else {
        return wire::not_found();
    };
    match request.method().as_str() {
        "GET" => json_response(200, &view(pat, "")),
        "PATCH" => change(pat, request, now).unwrap_or_else(|refusal| *refusal),
        _ => {
            state.hub.forget_pat(uuid);
            empty(state.hub.pat_delete_status)
        }
    }
}

fn change(pat: &mut PatView, request: &Request, now: OffsetDateTime) -> Result<Response, Refused> {
    let body = wire::body(request)?;
    if pat.expires_at.is_some_and(|end| end <= now) {
        return Err(wire::refuse(400, "an expired token can only be deleted").into());
    }
    let new_label = if body["token_label"].is_null() { None } else { Some(label(&body)?) };
    let active = match &body["is_active"] {
        Value::Null => None,
        Value::Bool(active) => Some(*active),
        _ => return Err(wire::bad_field("is_active", "Must be a valid boolean.").into()),
    };
    if let Some(label) = new_label {
        pat.label = label;
    }
    if let Some(active) = active {
        pat.is_active = active;
    }
    Ok(json_response(200, &view(pat, "")))
}
