//! Members, teams and invitations: `/v2/orgs/...` and `/v2/invites/...`.
//!
//! A personal access token may not use these routes. This is documented for changes and invitations; for the lists the sandbox
//! applies the stricter reading. Bodies of errors are not documented. A second invitation of an address gets 409, which is
//! documented for the route without a reason.

use serde_json::{Value, json};

use super::access::Principal;
use super::login;
use super::model::{Invitation, Organization, Role};
use super::wire::{self, Page, Refused};
use crate::world::{Request, Response, State, empty, json as json_response};

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "Owner",
        Role::Editor => "Editor",
        Role::Member => "Member",
    }
}

fn role_of(name: &str) -> Result<Role, Refused> {
    match name {
        "owner" => Ok(Role::Owner),
        "editor" => Ok(Role::Editor),
        "member" => Ok(Role::Member),
        _ => Err(wire::refuse(400, "bad request").into()),
    }
}

/// The caller, if it may use these routes: an owner with the password; a user with a custom role that has "Member management",
/// but not for a change of role, which is documented for owners; or an organization access token with the scope.
///
/// Inferred: an organization access token without the scope gets 403, and `scope-group-edit` includes adding to a team.
fn manager(state: &State, request: &Request, organization: &str, scope: &str) -> Result<String, Refused> {
    let forbidden = || wire::refuse(403, "permission denied").into();
    let principal = match login::bearer(state, request) {
        None => return Err(wire::unauthorized().into()),
        Some(Principal::Pat { .. }) => {
            return Err(wire::refuse(403, "token issued from personal access token is not allowed").into());
        }
        Some(principal) => principal,
    };
    let Some(found) = state.hub.organizations.get(organization) else { return Err(wire::not_found().into()) };
    match principal {
        Principal::Oat { organization: own, resources, .. } => {
            let may = own == organization && resources.iter().any(|resource| resource.gives_on(scope, organization));
            if may { Ok(own) } else { Err(forbidden()) }
        }
        Principal::Password { username } => match found.members.get(&username) {
            Some(Role::Owner) => Ok(username),
            Some(_) if found.member_managers.contains(&username) && scope != "scope-member-edit" => Ok(username),
            _ => Err(forbidden()),
        },
        Principal::Pat { .. } => Err(forbidden()),
    }
}

/// `GET /v2/orgs/{org}/members`.
pub(super) fn list(state: &State, request: &Request, organization: &str) -> Result<Response, Refused> {
    manager(state, request, organization, "scope-member-read")?;
    let page = Page::of(&wire::query(request))?;
    let Some(found) = state.hub.organizations.get(organization) else { return Err(wire::not_found().into()) };
    let entries: Vec<Value> = found.members.keys().map(|username| member(state, found, username)).collect();
    Ok(paged(&page, &format!("/v2/orgs/{organization}/members"), &entries))
}

fn paged(page: &Page, path: &str, entries: &[Value]) -> Response {
    let (next, previous) = page.links(path, &[], entries.len());
    let results: Vec<&Value> = entries.iter().skip(page.start()).take(page.size).collect();
    json_response(200, &json!({ "count": entries.len(), "next": next, "previous": previous, "results": results }))
}

fn member(state: &State, organization: &Organization, username: &str) -> Value {
    let user = state.hub.users.get(username);
    let shown = organization.shown_roles.get(username).map(String::as_str);
    let role = shown.or(organization.members.get(username).map(|role| role_name(*role)));
    let teams = organization.teams.iter().filter(|(_, team)| team.members.contains(username));
    let (id, email) = user.map_or(("", ""), |user| (&user.uuid, &user.email));
    json!({
        "id": id, "username": username, "full_name": "", "type": "User", "email": email, "role": role, "is_guest": false,
        "groups": teams.map(|(name, _)| name).collect::<Vec<_>>(),
    })
}

/// `PUT /v2/orgs/{org}/members/{username}`.
pub(super) fn set_role(
    state: &mut State,
    request: &Request,
    organization: &str,
    username: &str,
) -> Result<Response, Refused> {
    manager(state, request, organization, "scope-member-edit")?;
    let body = wire::body(request)?;
    let role = role_of(wire::text(&body, "role")?)?;
    let found = state.hub.organizations.get_mut(organization);
    let Some(held) = found.and_then(|found| found.members.get_mut(username)) else {
        return Err(wire::not_found().into());
    };
    *held = role;
    let found = state.hub.organizations.get(organization);
    Ok(json_response(200, &found.map(|found| member(state, found, username)).unwrap_or_default()))
}

/// `GET` and `POST /v2/orgs/{org}/groups/{team}/members`.
pub(super) fn team(state: &mut State, request: &Request, organization: &str, team: &str) -> Result<Response, Refused> {
    let scope = if request.method() == "POST" { "scope-group-edit" } else { "scope-group-read" };
    manager(state, request, organization, scope)?;
    let users = &state.hub.users;
    let found = state.hub.organizations.get_mut(organization);
    let Some(found) = found.filter(|found| found.teams.contains_key(team)) else {
        return Err(wire::not_found().into());
    };
    if request.method() == "POST" {
        let body = wire::body(request)?;
        let name = wire::text(&body, "member")?;
        if !users.contains_key(name) {
            return Err(wire::not_found().into());
        }
        found.members.entry(name.to_owned()).or_insert(Role::Member);
        found.teams.entry(team.to_owned()).or_default().members.insert(name.to_owned());
        return Ok(empty(200));
    }
    let page = Page::of(&wire::query(request))?;
    let members = found.teams.get(team).map(|team| team.members.clone()).unwrap_or_default();
    let entry = |name: &String| {
        let (id, email) = users.get(name).map_or(("", ""), |user| (&user.uuid, &user.email));
        json!({ "id": id, "username": name, "full_name": "", "type": "User", "email": email })
    };
    let entries: Vec<Value> = members.iter().map(entry).collect();
    Ok(paged(&page, &format!("/v2/orgs/{organization}/groups/{team}/members"), &entries))
}

fn invitation(organization: &str, invitation: &Invitation) -> Value {
    // an empty string means no team
    json!({
        "id": invitation.id, "inviter_username": invitation.inviter, "invitee": invitation.invitee, "org": organization,
        "team": invitation.team.as_deref().unwrap_or_default(), "created_at": wire::time(invitation.created_at),
    })
}

/// `GET /v2/orgs/{org}/invites`.
pub(super) fn invites(state: &State, request: &Request, organization: &str) -> Result<Response, Refused> {
    manager(state, request, organization, "scope-invite-read")?;
    let found = state.hub.organizations.get(organization);
    let pending = found.into_iter().flat_map(|found| &found.invitations);
    let data: Vec<Value> = pending.map(|pending| invitation(organization, pending)).collect();
    Ok(json_response(200, &json!({ "data": data })))
}

/// `POST /v2/invites/bulk`.
pub(super) fn invite(state: &mut State, request: &Request) -> Result<Response, Refused> {
    let body = wire::body(request)?;
    let name = wire::text(&body, "org")?;
    let inviter = manager(state, request, name, "scope-invite-edit")?;
    let role = match &body["role"] {
        Value::Null => Role::Member,
        role => role_of(role.as_str().unwrap_or_default())?,
    };
    let team = body["team"].as_str().map(ToOwned::to_owned);
    let invitees: Option<Vec<String>> = body["invitees"]
        .as_array()
        .map(|all| all.iter().filter_map(|one| one.as_str()).map(ToOwned::to_owned).collect());
    let invitees = invitees.filter(|all| !all.is_empty()).ok_or_else(|| wire::refuse(400, "bad request"))?;
    let Some(found) = state.hub.organizations.get(name) else { return Err(wire::not_found().into()) };
    if team.as_ref().is_some_and(|team| !found.teams.contains_key(team)) {
        return Err(wire::not_found().into());
    }
    let is_known = |named: &String| {
        let same = |known: &Invitation| known.address.eq_ignore_ascii_case(named) || known.invitee == *named;
        found.invitations.iter().any(same)
    };
    if invitees.iter().any(is_known) {
        return Err(wire::refuse(409, "conflict").into());
    }
    let taken = found.members.len() + found.invitations.len();
    if found.seats.is_some_and(|seats| taken + invitees.len() > seats) {
        return Err(wire::refuse(state.hub.no_seat_status, "request refused").into());
    }
    let mut answers = Vec::new();
    for address in &invitees {
        answers.push(invite_one(state, name, &inviter, role, team.as_deref(), address));
    }
    let list = json!({ "invitees": answers });
    Ok(json_response(202, &if state.hub.flat_invitees { list } else { json!({ "invitees": list }) }))
}

fn invite_one(
    state: &mut State,
    organization: &str,
    inviter: &str,
    role: Role,
    team: Option<&str>,
    address: &str,
) -> Value {
    let now = state.hub_now();
    let id = state.uuid();
    let users = &state.hub.users;
    let by_address = users.iter().find(|(_, user)| user.email.eq_ignore_ascii_case(address)).map(|(name, _)| name);
    let registered = by_address.or_else(|| users.get_key_value(address).map(|(name, _)| name)).cloned();
    let Some(found) = state.hub.organizations.get_mut(organization) else { return Value::Null };
    if registered.as_ref().is_some_and(|name| found.members.contains_key(name)) {
        return json!({ "invitee": address, "status": "existing_org_member" });
    }
    let refused = state.hub.refused_addresses.contains(address);
    if refused || (registered.is_none() && !address.contains('@')) {
        return json!({ "invitee": address, "status": "invalid_email_or_docker_id" });
    }
    let pending = Invitation {
        id,
        inviter: inviter.to_owned(),
        invitee: registered.unwrap_or_else(|| address.to_owned()),
        address: address.to_owned(),
        role,
        team: team.map(ToOwned::to_owned),
        created_at: now,
        resends: 0,
    };
    let answer = json!({ "invitee": address, "status": "invited", "invite": invitation(organization, &pending) });
    found.invitations.push(pending);
    found.invitations_sent += 1;
    answer
}

/// `PATCH /v2/invites/{id}/resend`. The service keeps no count of resends. The sandbox keeps one for tests.
pub(super) fn resend(state: &mut State, request: &Request, id: &str) -> Result<Response, Refused> {
    let has = |found: &Organization| found.invitations.iter().any(|pending| pending.id == id);
    let name = state.hub.organizations.iter().find(|(_, found)| has(found)).map(|(name, _)| name.clone());
    let Some(name) = name else {
        return Err(
            if login::bearer(state, request).is_some() { wire::not_found() } else { wire::unauthorized() }.into()
        );
    };
    manager(state, request, &name, "scope-invite-edit")?;
    let found = state.hub.organizations.get_mut(&name).into_iter().flat_map(|found| &mut found.invitations);
    found.filter(|pending| pending.id == id).for_each(|pending| pending.resends += 1);
    Ok(empty(204))
}
