//! Access control: credentials, roles, and the limits that a token's level adds.

use time::OffsetDateTime;

use super::Hub;
use super::model::{Kind, Level, OatResource, Organization, Permission, Repository, Role};
use crate::world::State;

/// The caller, and the part of the caller's rights that the credential carries.
#[derive(Clone, Debug)]
pub(crate) enum Principal {
    /// A user with the password (and the second factor).
    Password { username: String },
    /// A user with a personal access token of this level.
    Pat { username: String, uuid: String, level: Level, scopes: Vec<String> },
    /// An organization access token, with its resources at the time of the login.
    Oat { organization: String, uuid: String, resources: Vec<OatResource> },
}

/// Why a login fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    /// Unknown, another user's, deactivated, or not usable yet.
    Wrong,
    /// An expired token.
    Expired,
    /// The password is right, but single sign-on is enforced.
    Sso,
    /// The password is right, but the second factor is missing.
    SecondFactor,
}

/// The token's scope is too low for the whole request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InsufficientScope;

impl Hub {
    /// Looks up a credential. Changes nothing.
    pub(crate) fn check(&self, now: OffsetDateTime, identifier: &str, secret: &str) -> Result<Principal, Refusal> {
        let ended = |expires_at: Option<OffsetDateTime>| expires_at.is_some_and(|end| end <= now);
        if let Some(pat) = self.pat_values.get(secret).and_then(|uuid| self.pats.get(uuid)) {
            if pat.username != identifier || !pat.is_active || pat.usable_at > now {
                return Err(Refusal::Wrong);
            }
            if ended(pat.expires_at) {
                return Err(Refusal::Expired);
            }
            return Ok(Principal::Pat {
                username: pat.username.clone(),
                uuid: pat.uuid.clone(),
                level: Level::of_all(&pat.scopes),
                scopes: pat.scopes.clone(),
            });
        }
        if let Some((uuid, oat)) = self.oats.iter().find(|(_, oat)| oat.value == secret) {
            if oat.organization != identifier || !oat.is_active {
                return Err(Refusal::Wrong);
            }
            if ended(oat.expires_at) {
                return Err(Refusal::Expired);
            }
            return Ok(Principal::Oat {
                organization: oat.organization.clone(),
                uuid: uuid.clone(),
                resources: oat.resources.clone(),
            });
        }
        match self.users.get(identifier) {
            Some(user) if user.password == secret => {
                let sso = |org: &Organization| org.enforced_sso && org.members.contains_key(identifier);
                if self.organizations.values().any(sso) {
                    Err(Refusal::Sso)
                } else if user.totp.is_some() {
                    Err(Refusal::SecondFactor)
                } else {
                    Ok(Principal::Password { username: identifier.to_owned() })
                }
            }
            _ => Err(Refusal::Wrong),
        }
    }

    /// The repositories of a namespace that the bearer can see, by name.
    pub(crate) fn visible(&self, principal: &Principal, space: &str) -> Vec<(&str, &Repository)> {
        let Some(organization) = self.organizations.get(space) else { return Vec::new() };
        organization
            .repositories
            .iter()
            .filter(|(name, repository)| sees(principal, space, organization, name, repository))
            .map(|(name, repository)| (name.as_str(), repository))
            .collect()
    }

    /// The requested actions that the registry grants. If the account lacks a right, the registry grants less. If the scope of a
    /// personal access token is too low, it rejects the whole request (observed in 2026).
    pub(crate) fn grants<'a>(
        &self,
        principal: Option<&Principal>,
        repository: &str,
        kind: Kind,
        actions: &[&'a str],
    ) -> Result<Vec<&'a str>, InsufficientScope> {
        let found = repository.split_once('/').and_then(|(space, name)| {
            let organization = self.organizations.get(space)?;
            Some((space, name, organization, organization.repositories.get(name)?))
        });
        if let Some(Principal::Pat { level, .. }) = principal {
            let private = found.is_some_and(|(.., repository)| repository.private);
            for action in actions {
                let needed = match *action {
                    "pull" if private => Level::Read,
                    "pull" => Level::PublicRead,
                    "push" => Level::Write,
                    _ => Level::Admin,
                };
                if *level < needed {
                    return Err(InsufficientScope);
                }
            }
        }
        let Some((space, name, organization, repository)) = found.filter(|(.., repository)| repository.kind == kind)
        else {
            return Ok(Vec::new());
        };
        let private = repository.private;
        let by_user = |username: &str, action: &str| {
            let held = permission(username, organization, name, private);
            held >= Some(needed_permission(action))
        };
        let allowed = |action: &str| match principal {
            None => action == "pull" && !private,
            Some(Principal::Password { username } | Principal::Pat { username, .. }) => by_user(username, action),
            Some(Principal::Oat { organization: own, resources, .. }) => {
                let scope = match action {
                    "pull" => "scope-image-pull",
                    "push" => "scope-image-push",
                    _ => "scope-image-delete",
                };
                (action == "pull" && !private)
                    || (own == space && resources.iter().any(|resource| resource.gives(scope, space, name, private)))
            }
        };
        Ok(actions.iter().copied().filter(|action| allowed(action)).collect())
    }
}

/// What a user may do with a repository, regardless of the token.
pub(crate) fn permission(username: &str, organization: &Organization, name: &str, private: bool) -> Option<Permission> {
    let of_role = match organization.members.get(username) {
        Some(Role::Owner) => Some(Permission::Admin),
        Some(Role::Editor) => Some(Permission::Write),
        Some(Role::Member) => organization
            .teams
            .values()
            .filter(|team| team.members.contains(username))
            .filter_map(|team| team.permissions.get(name).copied())
            .max(),
        None => None,
    };
    of_role.max((!private).then_some(Permission::Read))
}

/// Whether the bearer can see a repository, in its list and on its own page.
pub(crate) fn sees(
    principal: &Principal,
    space: &str,
    organization: &Organization,
    name: &str,
    repository: &Repository,
) -> bool {
    if !repository.private {
        return true;
    }
    match principal {
        Principal::Password { username } => permission(username, organization, name, true).is_some(),
        Principal::Pat { username, level, .. } => {
            *level >= Level::Read && permission(username, organization, name, true).is_some()
        }
        Principal::Oat { organization: own, resources, .. } => {
            own == space && resources.iter().any(|resource| resource.gives("scope-repository-list", space, name, true))
        }
    }
}

fn needed_permission(action: &str) -> Permission {
    match action {
        "pull" => Permission::Read,
        "push" => Permission::Write,
        _ => Permission::Admin,
    }
}

/// Whether Docker Hub would accept this token for a login now: a personal access token with its user's name, an organization
/// access token with the organization's. No side effect. The lock-out after failed logins is ignored, since it says nothing about
/// the token.
#[must_use]
pub fn accepts(state: &State, username: &str, token: &str) -> bool {
    state.hub.check(state.hub_now(), username, token).is_ok()
}

fn may_on(state: &State, username: &str, token: &str, organization: &str, action: &str) -> Option<(usize, usize)> {
    let hub = &state.hub;
    let principal = hub.check(state.hub_now(), username, token).ok()?;
    let repositories = &hub.organizations.get(organization)?.repositories;
    let granted = repositories.iter().filter(|(name, repository)| {
        hub.grants(Some(&principal), &format!("{organization}/{name}"), repository.kind, &[action])
            .is_ok_and(|actions| !actions.is_empty())
    });
    Some((granted.count(), repositories.len()))
}

/// Whether the token can now pull every repository of the organization, private ones included. `false` for an organization that
/// is unknown or has no repository.
#[must_use]
pub fn can_pull_everything(state: &State, username: &str, token: &str, organization: &str) -> bool {
    may_on(state, username, token, organization, "pull").is_some_and(|(granted, all)| all > 0 && granted == all)
}

/// Whether the token can now push to any repository of the organization.
#[must_use]
pub fn can_push(state: &State, username: &str, token: &str, organization: &str) -> bool {
    may_on(state, username, token, organization, "push").is_some_and(|(granted, _)| granted > 0)
}
