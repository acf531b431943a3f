//! Repositories and tags as `hub.docker.com` lists them.

use std::cmp::Reverse;

use serde_json::{Value, json};

use super::access::{Principal, permission, sees};
use super::model::{Kind, Permission, Repository, Tag, content};
use super::wire::{self, Page, Refused};
use super::{Hub, login};
use crate::world::{Request, Response, State, json as json_response};

const ORDERINGS: [&str; 6] = ["name", "-name", "last_updated", "-last_updated", "pull_count", "-pull_count"];

/// `GET /v2/namespaces/{space}/repositories`. A caller without access gets no error: an unknown or invisible namespace is an
/// empty list.
pub(super) fn repositories(state: &State, request: &Request, space: &str) -> Response {
    let Some(principal) = login::bearer(state, request) else { return wire::unauthorized() };
    let query = wire::query(request);
    let page = match Page::of(&query) {
        Ok(page) => page,
        Err(refusal) => return *refusal,
    };
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let ordering = value("ordering");
    if ordering.is_some_and(|ordering| !ORDERINGS.contains(&ordering)) {
        let text = format!("Invalid ordering value. Must be one of: {}", ORDERINGS.join(", "));
        return json_response(400, &json!({ "fields": { "ordering": [text] }, "text": "Invalid ordering value" }));
    }
    let mut found = state.hub.visible(&principal, space);
    if let Some(part) = value("name") {
        found.retain(|(name, _)| name.contains(part));
    }
    match ordering {
        Some("name") => {}
        Some("-name") => found.reverse(),
        Some("last_updated") => found.sort_by_key(|(_, repository)| repository.updated_at),
        Some("pull_count") => found.sort_by_key(|(_, repository)| repository.pull_count),
        Some("-pull_count") => found.sort_by_key(|(_, repository)| Reverse(repository.pull_count)),
        _ => found.sort_by_key(|(_, repository)| Reverse(repository.updated_at)),
    }
    if page.number > 1 && page.start() >= found.len() {
        return wire::refuse(404, "page not found");
    }
    let rest: Vec<(&str, &str)> =
        ["ordering", "name"].into_iter().filter_map(|name| Some((name, value(name)?))).collect();
    let (next, previous) = page.links(&format!("/v2/namespaces/{space}/repositories"), &rest, found.len());
    let results: Vec<Value> = found
        .iter()
        .skip(page.start())
        .take(page.size)
        .map(|(name, repository)| entry(space, name, repository))
        .collect();
    json_response(200, &json!({ "count": found.len(), "next": next, "previous": previous, "results": results }))
}

fn entry(space: &str, name: &str, repository: &Repository) -> Value {
    let (media_types, content_types) = content(repository.kind);
    json!({
        "name": name,
        "namespace": space,
        "repository_type": match repository.kind { Kind::Image => "image", Kind::Plugin => "plugin" },
        "status": i32::from(repository.active),
        "status_description": if repository.active { "active" } else { "inactive" },
        "description": repository.description,
        "is_private": repository.private,
        "star_count": 0,
        "pull_count": repository.pull_count,
        "last_updated": (!repository.tags.is_empty()).then(|| wire::time(repository.updated_at)),
        "last_modified": wire::time(repository.updated_at),
        "date_registered": wire::time(repository.registered_at),
        "affiliation": "",
        "media_types": media_types,
        "content_types": content_types,
        "categories": [],
        "storage_size": 7_340_032 * repository.tags.len(),
    })
}

/// A repository that the bearer can see, or the error. An invisible repository looks like a missing one (observed).
fn find<'a>(
    state: &'a State,
    request: &Request,
    space: &str,
    name: &str,
) -> Result<(&'a Repository, Principal), Refused> {
    let principal = login::bearer(state, request).ok_or_else(wire::unauthorized)?;
    let organization = state.hub.organizations.get(space).ok_or_else(wire::not_found)?;
    let repository = organization.repositories.get(name).ok_or_else(wire::not_found)?;
    if sees(&principal, space, organization, name, repository) {
        Ok((repository, principal))
    } else {
        Err(wire::not_found().into())
    }
}

/// `GET /v2/namespaces/{space}/repositories/{name}`.
pub(super) fn repository(state: &State, request: &Request, space: &str, name: &str) -> Response {
    let (repository, principal) = match find(state, request, space, name) {
        Ok(found) => found,
        Err(refusal) => return *refusal,
    };
    let mut body = entry(space, name, repository);
    body["user"] = space.into();
    body["hub_user"] = space.into();
    body["is_automated"] = false.into();
    body["collaborator_count"] = 0.into();
    body["has_starred"] = false.into();
    body["full_description"] = Value::Null;
    body["permissions"] = permissions(&state.hub, &principal, space, name, repository);
    body["immutable_tags_settings"] = json!({ "enabled": false, "rules": [] });
    body["source"] = Value::Null;
    json_response(200, &body)
}

/// The caller's own permissions.
fn permissions(hub: &Hub, principal: &Principal, space: &str, name: &str, repository: &Repository) -> Value {
    let held = match principal {
        Principal::Password { username } | Principal::Pat { username, .. } => hub
            .organizations
            .get(space)
            .and_then(|organization| permission(username, organization, name, repository.private)),
        Principal::Oat { .. } => Some(Permission::Read),
    };
    json!({
        "read": held >= Some(Permission::Read),
        "write": held >= Some(Permission::Write),
        "admin": held >= Some(Permission::Admin),
    })
}

/// A repository whose tags the bearer may read. An organization access token needs the scope `scope-tag-read`, also for public
/// repositories (Docker's reference; the 403 is inferred from its other scopes).
fn find_tags<'a>(state: &'a State, request: &Request, space: &str, name: &str) -> Result<&'a Repository, Refused> {
    let (repository, principal) = find(state, request, space, name)?;
    match principal {
        Principal::Oat { resources, .. }
            if !resources.iter().any(|resource| resource.gives("scope-tag-read", space, name, repository.private)) =>
        {
            Err(wire::refuse(403, "insufficient scope").into())
        }
        _ => Ok(repository),
    }
}

/// `GET /v2/namespaces/{space}/repositories/{name}/tags`.
pub(super) fn tags(state: &State, request: &Request, space: &str, name: &str) -> Response {
    let repository = match find_tags(state, request, space, name) {
        Ok(found) => found,
        Err(refusal) => return *refusal,
    };
    let page = match Page::of(&wire::query(request)) {
        Ok(page) => page,
        Err(refusal) => return *refusal,
    };
    let count = repository.tags.len();
    if page.number > 1 && page.start() >= count {
        return wire::not_found();
    }
    let (next, previous) = page.links(&format!("/v2/namespaces/{space}/repositories/{name}/tags"), &[], count);
    let results: Vec<Value> =
        repository.tags.iter().skip(page.start()).take(page.size).map(|(name, tag)| tag_entry(name, tag)).collect();
    json_response(200, &json!({ "count": count, "next": next, "previous": previous, "results": results }))
}

/// `GET /v2/namespaces/{space}/repositories/{name}/tags/{tag}`.
pub(super) fn tag(state: &State, request: &Request, space: &str, name: &str, tag: &str) -> Response {
    match find_tags(state, request, space, name) {
        Ok(repository) => match repository.tags.get(tag) {
            Some(found) => json_response(200, &tag_entry(tag, found)),
            None => wire::not_found(),
        },
        Err(refusal) => *refusal,
    }
}

fn tag_entry(name: &str, tag: &Tag) -> Value {
    let pushed = wire::time(tag.pushed_at);
    json!({
        "creator": 1,
        "id": 1,
        "images": [{
            "architecture": "amd64", "features": "", "variant": null, "digest": tag.digest, "os": "linux",
            "os_features": "", "os_version": null, "size": 7_340_032, "status": "active", "last_pulled": null,
            "last_pushed": pushed,
        }],
        "last_updated": pushed,
        "last_updater": 1,
        "last_updater_username": "pusher",
        "name": name,
        "repository": 1,
        "full_size": 7_340_032,
        "v2": true,
        "tag_status": "active",
        "tag_last_pulled": null,
        "tag_last_pushed": pushed,
        "media_type": tag.media_type.as_str(),
        "content_type": "image",
        "digest": tag.digest,
    })
}

/// `/v2/repositories/...`, deprecated since 2025. Docker Hub rejects organization tokens here. The sandbox rejects every caller,
/// so that nothing depends on the route.
pub(super) fn deprecated(state: &State, request: &Request) -> Response {
    match login::bearer(state, request) {
        None => wire::unauthorized(),
        Some(Principal::Oat { .. }) => wire::refuse(403, "token issued from organization access token is not allowed"),
        Some(_) => wire::refuse(410, "gone"),
    }
}
