//! What people do at Docker Hub, and what tests may read of its state.

use time::{Duration, OffsetDateTime};

use super::model::{
    Kind, Level, MediaType, Oat, OatResource, Organization, PatView, Permission, Repository, Role, Tag, User,
};
use super::{Hub, login, pats};
use crate::world::State;

/// Creates a user with a password and without a second factor. Returns the uuid. The e-mail address is `{username}@example.com`.
pub fn add_user(state: &mut State, username: &str, password: &str) -> String {
    let uuid = state.uuid();
    let user = User {
        uuid: uuid.clone(),
        password: password.to_owned(),
        email: format!("{username}@example.com"),
        totp: None,
        last_step: None,
    };
    state.hub.users.insert(username.to_owned(), user);
    uuid
}

/// The stored state of a user.
#[must_use]
pub fn user<'a>(state: &'a State, username: &str) -> Option<&'a User> {
    state.hub.users.get(username)
}

/// Changes a password.
pub fn set_password(state: &mut State, username: &str, password: &str) {
    if let Some(user) = state.hub.users.get_mut(username) {
        let old = std::mem::replace(&mut user.password, password.to_owned());
        state.hub.spent.push(old);
    }
}

/// Turns two-factor login on with a base32 seed, or off.
pub fn set_totp(state: &mut State, username: &str, seed: Option<&str>) {
    if let Some(user) = state.hub.users.get_mut(username) {
        user.totp = seed.map(ToOwned::to_owned);
        user.last_step = None;
    }
}

/// The six digits that the user's authenticator shows now, on Docker's clock.
#[must_use]
pub fn totp_code(state: &State, username: &str) -> Option<String> {
    let step = u64::try_from(state.hub_now().unix_timestamp() / login::STEP_SECONDS).ok()?;
    login::code_at(state.hub.users.get(username)?.totp.as_deref()?, step)
}

fn space<'a>(state: &'a mut State, organization: &str) -> &'a mut Organization {
    if !state.hub.organizations.contains_key(organization) {
        let uuid = state.uuid();
        state.hub.organizations.insert(organization.to_owned(), Organization { uuid, ..Organization::default() });
    }
    state.hub.organizations.entry(organization.to_owned()).or_default()
}

/// Creates an organization without members and repositories. All functions below create a missing one.
pub fn add_organization(state: &mut State, organization: &str) {
    space(state, organization);
}

/// The stored state of an organization.
#[must_use]
pub fn organization<'a>(state: &'a State, organization: &str) -> Option<&'a Organization> {
    state.hub.organizations.get(organization)
}

/// The organizations of a user.
#[must_use]
pub fn organizations_of(state: &State, username: &str) -> Vec<String> {
    let all = state.hub.organizations.iter().filter(|(_, organization)| organization.members.contains_key(username));
    all.map(|(name, _)| name.clone()).collect()
}

/// Enforces single sign-on: the passwords of the organization's members are rejected. Or lifts it.
pub fn enforce_sso(state: &mut State, organization: &str, enforced: bool) {
    space(state, organization).enforced_sso = enforced;
}

fn put_repository(state: &mut State, organization: &str, name: &str, private: bool, kind: Kind) {
    let now = state.hub_now();
    let repositories = &mut space(state, organization).repositories;
    let media_type = MediaType::PUSHED[repositories.len() % MediaType::PUSHED.len()];
    let tag = Tag::new(&format!("{organization}/{name}"), "latest", media_type, now);
    let repository = Repository {
        private,
        kind,
        active: true,
        tags: [("latest".to_owned(), tag)].into(),
        description: None,
        registered_at: now,
        updated_at: now,
        pull_count: 0,
    };
    repositories.insert(name.to_owned(), repository);
}

/// Adds an image repository with the tag `latest`. The media types of the manifests alternate.
pub fn add_repository(state: &mut State, organization: &str, name: &str, private: bool) {
    put_repository(state, organization, name, private, Kind::Image);
}

/// Adds a plugin repository with the tag `latest`.
pub fn add_plugin(state: &mut State, organization: &str, name: &str, private: bool) {
    put_repository(state, organization, name, private, Kind::Plugin);
}

/// Adds `count` image repositories `{prefix}00000`, `{prefix}00001`, ...; every `private_every`th is private (0: none).
pub fn add_repositories(state: &mut State, organization: &str, prefix: &str, count: usize, private_every: usize) {
    for index in 0..count {
        let private = private_every > 0 && index % private_every == 0;
        put_repository(state, organization, &format!("{prefix}{index:05}"), private, Kind::Image);
    }
}

/// Deletes a repository. Teams lose their permissions on it.
pub fn delete_repository(state: &mut State, organization: &str, name: &str) {
    let organization = space(state, organization);
    organization.repositories.remove(name);
    for team in organization.teams.values_mut() {
        team.permissions.remove(name);
    }
}

/// Makes a repository private or public.
pub fn set_private(state: &mut State, organization: &str, name: &str, private: bool) {
    if let Some(repository) = space(state, organization).repositories.get_mut(name) {
        repository.private = private;
    }
}

/// Pushes a tag. Returns the manifest's digest.
pub fn add_tag(state: &mut State, organization: &str, name: &str, tag: &str, media_type: MediaType) -> Option<String> {
    let now = state.hub_now();
    let repository = space(state, organization).repositories.get_mut(name)?;
    let new = Tag::new(&format!("{organization}/{name}"), tag, media_type, now);
    let digest = new.digest.clone();
    repository.tags.insert(tag.to_owned(), new);
    repository.updated_at = now;
    Some(digest)
}

/// Removes every tag of a repository.
pub fn remove_tags(state: &mut State, organization: &str, name: &str) {
    if let Some(repository) = space(state, organization).repositories.get_mut(name) {
        repository.tags.clear();
    }
}

/// Adds a user to an organization, or changes the user's role.
pub fn add_member(state: &mut State, organization: &str, username: &str, role: Role) {
    space(state, organization).members.insert(username.to_owned(), role);
}

/// Removes a user from an organization and from its teams.
pub fn remove_member(state: &mut State, organization: &str, username: &str) {
    let organization = space(state, organization);
    organization.members.remove(username);
    for team in organization.teams.values_mut() {
        team.members.remove(username);
    }
}

/// Changes a user's e-mail address.
pub fn set_email(state: &mut State, username: &str, email: &str) {
    if let Some(user) = state.hub.users.get_mut(username) {
        email.clone_into(&mut user.email);
    }
}

/// Limits the seats of an organization, or removes the limit.
pub fn set_seats(state: &mut State, organization: &str, seats: Option<usize>) {
    space(state, organization).seats = seats;
}

/// Shows a custom role for a member instead of the core role.
pub fn show_role(state: &mut State, organization: &str, username: &str, role: &str) {
    space(state, organization).shown_roles.insert(username.to_owned(), role.to_owned());
}

/// Gives a member a custom role that has "Member management". The list of members shows the role's name.
pub fn grant_member_management(state: &mut State, organization: &str, username: &str) {
    space(state, organization).member_managers.insert(username.to_owned());
    show_role(state, organization, username, "People Manager");
}

/// Rejects an address as invalid from now on.
pub fn refuse_address(state: &mut State, email: &str) {
    state.hub.refused_addresses.insert(email.to_owned());
}

/// Somebody follows the link of an invitation and joins as this user, who then has its address. Returns `false` if the invitation
/// does not exist.
pub fn accept_invitation(state: &mut State, organization: &str, email: &str, username: &str) -> bool {
    let found = space(state, organization);
    let Some(at) = found.invitations.iter().position(|pending| pending.address.eq_ignore_ascii_case(email)) else {
        return false;
    };
    let accepted = found.invitations.remove(at);
    found.members.insert(username.to_owned(), accepted.role);
    if let Some(team) = &accepted.team {
        found.teams.entry(team.clone()).or_default().members.insert(username.to_owned());
    }
    set_email(state, username, email);
    true
}

/// An invitation expires, or an owner cancels it: it is no longer listed.
pub fn lapse_invitation(state: &mut State, organization: &str, email: &str) {
    space(state, organization).invitations.retain(|pending| !pending.address.eq_ignore_ascii_case(email));
}

/// The number of invitations that an organization ever sent, without resends.
#[must_use]
pub fn invitations_sent(state: &State, organization: &str) -> usize {
    state.hub.organizations.get(organization).map_or(0, |found| found.invitations_sent)
}

/// Creates a team without members and permissions.
pub fn add_team(state: &mut State, organization: &str, team: &str) {
    space(state, organization).teams.entry(team.to_owned()).or_default();
}

/// Adds a user to a team. A missing team is created.
pub fn add_to_team(state: &mut State, organization: &str, team: &str, username: &str) {
    space(state, organization).teams.entry(team.to_owned()).or_default().members.insert(username.to_owned());
}

/// Removes a user from a team.
pub fn remove_from_team(state: &mut State, organization: &str, team: &str, username: &str) {
    if let Some(team) = space(state, organization).teams.get_mut(team) {
        team.members.remove(username);
    }
}

/// Grants a team a permission on a repository, or revokes it.
pub fn team_permission(
    state: &mut State,
    organization: &str,
    team: &str,
    repository: &str,
    permission: Option<Permission>,
) {
    let permissions = &mut space(state, organization).teams.entry(team.to_owned()).or_default().permissions;
    match permission {
        Some(permission) => permissions.insert(repository.to_owned(), permission),
        None => permissions.remove(repository),
    };
}

/// Whether Docker Hub knows a scope of personal access tokens.
#[must_use]
pub fn is_scope(scope: &str) -> bool {
    Level::of(scope).is_some()
}

/// Creates a personal access token as on the web page, with any expiry, even a past one. Returns uuid and value.
pub fn add_pat(
    state: &mut State,
    username: &str,
    label: &str,
    scopes: &[&str],
    expires_at: Option<OffsetDateTime>,
) -> (String, String) {
    let scopes = scopes.iter().map(ToString::to_string).collect();
    let pat = pats::make(state, username, label, scopes, expires_at, "Mozilla/5.0".to_owned());
    (pat.uuid, pat.value)
}

/// Creates an organization access token that never expires. Returns uuid and value.
pub fn add_oat(state: &mut State, organization: &str, label: &str, resources: Vec<OatResource>) -> (String, String) {
    let uuid = state.uuid();
    let value = format!("dckr_oat_{}", state.random_text(27));
    let oat = Oat {
        organization: organization.to_owned(),
        label: label.to_owned(),
        value: value.clone(),
        resources,
        is_active: true,
        expires_at: None,
    };
    state.hub.oats.insert(uuid.clone(), oat);
    (uuid, value)
}

/// Changes the permission of a personal access token, as its user can at any time on the web page. Issued bearers keep theirs.
pub fn set_pat_scopes(state: &mut State, uuid: &str, scopes: &[&str]) {
    if let Some(pat) = state.hub.pats.get_mut(uuid) {
        pat.scopes = scopes.iter().map(ToString::to_string).collect();
    }
}

/// Moves the expiry of a personal or an organization access token, which no person can do: a shortcut for tests.
pub fn set_expiry(state: &mut State, uuid: &str, expires_at: Option<OffsetDateTime>) {
    if let Some(pat) = state.hub.pats.get_mut(uuid) {
        pat.expires_at = expires_at;
    }
    if let Some(oat) = state.hub.oats.get_mut(uuid) {
        oat.expires_at = expires_at;
    }
}

/// Moves the dates of access tokens, invitations, failed logins and used TOTP codes into the past, as if that much time had
/// passed.
pub fn age(state: &mut State, by: Duration) {
    let steps = u64::try_from(by.whole_seconds() / login::STEP_SECONDS).unwrap_or(0);
    for user in state.hub.users.values_mut() {
        user.last_step = user.last_step.map(|step| step.saturating_sub(steps));
    }
    for failed in state.hub.failures.values_mut().flatten() {
        *failed -= by;
    }
    for until in state.hub.locks.values_mut() {
        *until -= by;
    }
    for pat in state.hub.pats.values_mut() {
        pat.created_at -= by;
        pat.usable_at -= by;
        for date in [&mut pat.expires_at, &mut pat.last_used].into_iter().flatten() {
            *date -= by;
        }
    }
    for pending in state.hub.organizations.values_mut().flat_map(|found| &mut found.invitations) {
        pending.created_at -= by;
    }
    for oat in state.hub.oats.values_mut() {
        oat.expires_at = oat.expires_at.map(|end| end - by);
    }
}

/// Labels of the organization access tokens of an organization, with their uuids.
#[must_use]
pub fn oats_of(state: &State, organization: &str) -> Vec<(String, String)> {
    let own = state.hub.oats.iter().filter(|(_, oat)| oat.organization == organization);
    own.map(|(uuid, oat)| (uuid.clone(), oat.label.clone())).collect()
}

/// Deletes a personal or an organization access token.
pub fn revoke(state: &mut State, uuid: &str) {
    state.hub.forget_pat(uuid);
    if let Some(oat) = state.hub.oats.remove(uuid) {
        state.hub.spent.push(oat.value);
    }
}

/// Deactivates a personal or an organization access token.
pub fn deactivate(state: &mut State, uuid: &str) {
    if let Some(pat) = state.hub.pats.get_mut(uuid) {
        pat.is_active = false;
    }
    if let Some(oat) = state.hub.oats.get_mut(uuid) {
        oat.is_active = false;
    }
}

/// The personal access tokens of a user, oldest first, without deleted ones.
#[must_use]
pub fn pats_of(state: &State, username: &str) -> Vec<PatView> {
    let mut pats: Vec<PatView> = state.hub.pats.values().filter(|pat| pat.username == username).cloned().collect();
    pats.sort_by(|a, b| (a.created_at, &a.uuid).cmp(&(b.created_at, &b.uuid)));
    pats
}

/// The number of failed logins of a name in the last hour.
#[must_use]
pub fn failed_logins(state: &State, username: &str) -> usize {
    login::recent_failures(state, username)
}

/// Locks a name out until a time, on Docker's clock: every login under it, with any credential, gets 429.
pub fn lock(state: &mut State, username: &str, until: OffsetDateTime) {
    state.hub.locks.insert(username.to_owned(), until);
}

/// Ends every lock-out.
pub fn forget_failed_logins(state: &mut State) {
    state.hub.failures.clear();
    state.hub.locks.clear();
}

/// Every secret that Docker Hub stores or issued: passwords, seeds, access tokens (deleted ones too), bearers, tokens of
/// half-finished logins, and the signatures of registry tokens (the only secret part of such a token).
#[must_use]
pub fn all_secret_values(state: &State) -> Vec<String> {
    let hub = &state.hub;
    let mut values: Vec<String> = hub.users.values().map(|user| user.password.clone()).collect();
    values.extend(hub.users.values().filter_map(|user| user.totp.clone()));
    values.extend(hub.pats.values().map(|pat| pat.value.clone()));
    values.extend(hub.oats.values().map(|oat| oat.value.clone()));
    values.extend(hub.bearers.keys().cloned());
    values.extend(hub.half_logins.keys().cloned());
    values.extend(hub.spent.iter().cloned());
    values
}

impl Hub {
    pub(super) fn forget_pat(&mut self, uuid: &str) {
        if let Some(pat) = self.pats.remove(uuid) {
            self.pat_values.remove(&pat.value);
            self.spent.push(pat.value);
        }
    }
}
