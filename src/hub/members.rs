//! Who is in an organization and who is invited, seen and changed with the owner secret's session (`/v2/orgs`, `/v2/invites`):
//! an owner's, that of a custom role with "Member management", or an organization access token's with the scopes of [`Scope`].
//!
//! An invitation is never sent again blindly: after a lost answer the lists tell what is there. Bodies of refusals are not
//! documented, so the status decides; of the text only plain words are passed on.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Hub, HubError, Session, body, unreadable, unusable};
use crate::clock::{Timestamp, parse_rfc3339};
use crate::error::Error;
use crate::http::{Policy, Response, scrub};
use crate::secret::document::{Newcomer, Role};

/// Entries a page: the most that is known to be taken.
const PAGE_SIZE: usize = 100;
/// Pages at most.
const PAGES: usize = 200;

/// A member of the organization. No `Debug`: the address is a person's.
#[derive(Clone, PartialEq, Eq)]
pub struct Member {
    /// Docker user name.
    pub username: String,
    /// E-mail address, where the owner may see it.
    pub email: Option<String>,
    /// The role; `None` for one that is not Docker's own, or not told.
    pub role: Option<Role>,
}

/// An invitation that nobody has accepted yet. No `Debug`: the address is a person's.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// Its id.
    pub id: String,
    /// E-mail address, or user name of somebody who is registered.
    pub invitee: String,
    /// When it was made.
    pub created_at: Option<Timestamp>,
}

/// What the owner sees of an organization. No `Debug`: addresses are in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Roster {
    /// Members.
    pub members: Vec<Member>,
    /// Invitations.
    pub invites: Vec<Invite>,
    /// User names in the team that was asked for; `None` where none was.
    pub team: Option<Vec<String>>,
}

/// What an invitation came to.
#[derive(Clone, PartialEq, Eq)]
pub enum Invited {
    /// It is sent.
    Sent(Option<Invite>),
    /// The address is a member's already.
    Member,
    /// The service may have sent it, or not.
    Unknown(String),
}

/// What a change, or a resend, came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Changed {
    /// It is as asked.
    Done,
    /// The service may have acted, or not.
    Unknown(String),
}

/// What an organization access token needs for a request (Docker's reference of organization access tokens).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// The list of members.
    MemberRead,
    /// A member's role.
    MemberEdit,
    /// The list of invitations.
    InviteRead,
    /// Sending invitations.
    InviteEdit,
    /// The members of a team.
    GroupRead,
    /// Adding to a team. Inferred: the reference lists the scope and not the requests that it covers.
    GroupEdit,
}

impl Scope {
    /// Its name at Docker Hub.
    pub fn name(self) -> &'static str {
        match self {
            Scope::MemberRead => "scope-member-read",
            Scope::MemberEdit => "scope-member-edit",
            Scope::InviteRead => "scope-invite-read",
            Scope::InviteEdit => "scope-invite-edit",
            Scope::GroupRead => "scope-group-read",
            Scope::GroupEdit => "scope-group-edit",
        }
    }

    /// What it is for, after "may not".
    fn purpose(self) -> &'static str {
        match self {
            Scope::MemberRead => "list the organization's members",
            Scope::MemberEdit => "change a member's role",
            Scope::InviteRead => "list the organization's invitations",
            Scope::InviteEdit => "invite members",
            Scope::GroupRead => "list the members of the team",
            Scope::GroupEdit => "add members to the team",
        }
    }
}

/// Why Docker Hub does not let an owner see or do something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Denied {
    /// Nothing is known.
    Undecided(HubError),
    /// 403: the account is neither an owner nor has a role that may manage members, or the token lacks this scope.
    NotAllowed(Scope),
    /// 404: there is no such organization, or the session does not see it.
    NoOrganization,
    /// 404: there is no such team.
    NoTeam,
    /// 404: the invitation, or the member, is not there any more.
    Gone,
    /// The address is not taken.
    BadAddress,
    /// 409: something of the kind is there, or under way.
    Conflict(String),
    /// 400, 402 or 403 for an invitation: no seat is free, or with 403 the login may see invitations and not send them.
    NoSeat(u16, String),
    /// The response to an invitation names a status of the invitee that is not known: nobody was invited, as far as it says.
    NotInvited(String),
    /// Another refusal, by its status, with the plain words of its text.
    Refused(u16, String),
}

impl From<HubError> for Denied {
    fn from(error: HubError) -> Self {
        Denied::Undecided(error)
    }
}

/// What a refusal of Docker Hub means, and what to do about it.
pub fn refusal(denied: &Denied) -> Error {
    let quoted = |said: &str| if said.is_empty() { String::new() } else { format!(" ({said})") };
    match denied {
        Denied::Undecided(error) => {
            Error::retryable(format!("Docker Hub is undecided: {}", error.message()), "repeat the event")
        }
        Denied::NotAllowed(scope) => Error::misconfigured(
            format!("the login of the owner secret may not {} (status 403)", scope.purpose()),
            match scope {
                Scope::MemberEdit => format!(
                    "an organization access token needs the scope `{}`; a password must be that of an owner of the organization",
                    scope.name()
                ),
                _ => format!(
                    "an organization access token needs the scope `{}`; a password must be that of an owner of the organization, or of a member with a custom role that has `Member management`; a personal access token is never enough",
                    scope.name()
                ),
            },
        ),
        Denied::NoOrganization => Error::misconfigured(
            "Docker Hub knows no such organization, or does not show it to the account of the owner secret (status 404)",
            "check `organization`, and that the login in `owner` belongs to this organization",
        ),
        Denied::NoTeam => Error::misconfigured(
            "the organization has no team of the name in `user.team` (status 404)",
            "make the team at Docker Hub with `read` on every repository, or correct `user.team`",
        ),
        Denied::Gone => Error::retryable(
            "the invitation or the member is not there any more (status 404)",
            "repeat the event: it looks again",
        ),
        Denied::BadAddress => Error::misconfigured(
            "Docker Hub takes the address in `user.email` for none",
            "correct `user.email` in the secret",
        ),
        Denied::Conflict(said) => Error::needs_human(
            format!("Docker Hub answers that it conflicts with what is there (status 409){}", quoted(said)),
            "see at Docker Hub who is invited and a member, and whether a seat is free; then repeat the event",
        ),
        Denied::NoSeat(status, said) => Error::needs_human(
            format!(
                "Docker Hub refuses the invitation (status {status}){}: most likely the organization has no free seat{}",
                quoted(said),
                if *status == 403 { ", or the owner secret's login may not invite" } else { "" }
            ),
            if *status == 403 {
                format!(
                    "free a seat or buy one; an organization access token also needs the scope `{}`, and an account the role of an owner or a custom role with `Member management`; try to invite the address by hand to see what Docker Hub says, then repeat the event",
                    Scope::InviteEdit.name()
                )
            } else {
                "free a seat or buy one, and try to invite the address by hand to see what Docker Hub says; then repeat the event".to_owned()
            },
        ),
        Denied::NotInvited(said) => Error::needs_human(
            format!(
                "Docker Hub does not invite the address{}: most likely the organization has no free seat",
                quoted(said)
            ),
            "free a seat or buy one, and see at Docker Hub whether the invitation was sent; then repeat the event",
        ),
        Denied::Refused(status, said) => Error::needs_human(
            format!("Docker Hub refuses what the owner asked (status {status}){}", quoted(said)),
            "try it by hand as an owner to see what Docker Hub says; then repeat the event",
        ),
    }
}

#[derive(Deserialize)]
struct Page {
    count: usize,
    results: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    role: Option<String>,
}

/// What Docker Hub calls an entry of the members' list that only is invited.
const INVITEE: &str = "invitee";

impl Hub {
    /// Everybody who is in the organization or invited, and who is in the team.
    ///
    /// # Errors
    /// [`Denied`] where any list cannot be read whole: nothing follows from a part of it.
    pub async fn roster(&self, session: &Session, organization: &str, team: Option<&str>) -> Result<Roster, Denied> {
        let members = self.people(session, &format!("/v2/orgs/{organization}/members"), Scope::MemberRead).await;
        let members = members.map_err(|denied| denied.or(Denied::NoOrganization))?;
        let invites = self.invites(session, organization).await?;
        let team = match team {
            None => None,
            Some(team) => {
                let path = format!("/v2/orgs/{organization}/groups/{team}/members");
                let people = self.people(session, &path, Scope::GroupRead).await;
                let people = people.map_err(|denied| denied.or(Denied::NoTeam))?;
                Some(people.into_iter().map(|entry| entry.username).collect())
            }
        };
        let is_member = |entry: &Entry| !entry.role.as_deref().is_some_and(|role| role.eq_ignore_ascii_case(INVITEE));
        let members = members.into_iter().filter(is_member).map(|entry| Member {
            role: entry.role.as_deref().and_then(Role::of),
            username: entry.username,
            email: entry.email.filter(|email| !email.is_empty()),
        });
        Ok(Roster { members: members.collect(), invites, team })
    }

    /// Every entry of a list of people.
    async fn people(&self, session: &Session, path: &str, scope: Scope) -> Result<Vec<Entry>, Denied> {
        let what = "list of members at Docker Hub";
        // the list may change between two pages: read it again, once
        for _ in 0..2 {
            let mut list: Vec<Entry> = Vec::new();
            for page in 1..=PAGES {
                let path = format!("{path}?page={page}&page_size={PAGE_SIZE}");
                let response = self.outlet.send(self.get(session, &path), Policy::SAFE.capped(8 << 20)).await;
                let response = response.map_err(HubError::from)?;
                match response.status().as_u16() {
                    200 => {}
                    404 if page > 1 => break,
                    _ => return Err(seen(what, &response, scope)),
                }
                let page: Page = serde_json::from_slice(response.body()).map_err(|_| unreadable(what))?;
                let end = page.results.is_empty();
                for entry in page.results {
                    if !list.iter().any(|known| !entry.username.is_empty() && known.username == entry.username) {
                        list.push(entry);
                    }
                }
                if list.len() == page.count {
                    return Ok(list);
                }
                if end || list.len() > page.count {
                    break;
                }
            }
        }
        Err(HubError::Unexpected("the list of members changes while it is read".into()).into())
    }

    async fn invites(&self, session: &Session, organization: &str) -> Result<Vec<Invite>, Denied> {
        #[derive(Deserialize)]
        struct Invites {
            data: Option<Vec<Value>>,
        }
        let what = "list of invitations at Docker Hub";
        let path = format!("/v2/orgs/{organization}/invites");
        let response = self.outlet.send(self.get(session, &path), Policy::SAFE.capped(8 << 20)).await;
        let response = response.map_err(HubError::from)?;
        match response.status().as_u16() {
            200 => {
                let list: Invites = serde_json::from_slice(response.body()).map_err(|_| unreadable(what))?;
                let list = list.data.unwrap_or_default();
                list.iter().map(|entry| invite(entry).ok_or_else(|| unreadable(what).into())).collect()
            }
            _ => Err(seen(what, &response, Scope::InviteRead).or(Denied::NoOrganization)),
        }
    }

    /// Invites somebody. Never repeated where the service may have acted.
    ///
    /// # Errors
    /// [`Denied`] where the service certainly did not act.
    pub async fn invite(&self, session: &Session, organization: &str, newcomer: &Newcomer) -> Result<Invited, Denied> {
        let mut payload = json!({"org": organization, "role": newcomer.role.name(), "invitees": [newcomer.email]});
        if let Some(team) = &newcomer.team {
            payload["team"] = json!(team);
        }
        let create = self.send_json(Some(session), "POST", "/v2/invites/bulk", &payload);
        let response = match self.outlet.send(create, Policy::CREATE).await {
            Ok(response) => response,
            Err(error) if error.acted => return Ok(Invited::Unknown(error.to_string())),
            Err(error) => return Err(HubError::from(error).into()),
        };
        match response.status().as_u16() {
            200..=299 => invited(&response, newcomer),
            401 | 429 => Err(unusable("invitation", &response).into()),
            404 => Err(if newcomer.team.is_some() { Denied::NoTeam } else { Denied::NoOrganization }),
            409 => Err(Denied::Conflict(said(&response))),
            // the bodies of refusals are not documented, so a missing right and a missing seat look alike
            status @ (400 | 402 | 403) => Err(Denied::NoSeat(status, said(&response))),
            status @ 400..=499 => Err(Denied::Refused(status, said(&response))),
            status => Ok(Invited::Unknown(format!("invitation: status {status}"))),
        }
    }

    /// Sends an invitation again. Never repeated where the service may have acted: each is an e-mail to a person.
    ///
    /// # Errors
    /// [`Denied`] where the service certainly did not act.
    pub async fn resend(&self, session: &Session, id: &str) -> Result<Changed, Denied> {
        let path = format!("/v2/invites/{id}/resend");
        let mut resend = self.get(session, &path);
        *resend.method_mut() = http::Method::PATCH;
        match self.outlet.send(resend, Policy::CREATE).await {
            Ok(response) => changed("resend of the invitation", &response, Scope::InviteEdit),
            Err(error) if error.acted => Ok(Changed::Unknown(error.to_string())),
            Err(error) => Err(HubError::from(error).into()),
        }
    }

    /// Gives a member a role.
    ///
    /// # Errors
    /// [`Denied`] where the service did not.
    pub async fn set_role(
        &self,
        session: &Session,
        organization: &str,
        username: &str,
        role: Role,
    ) -> Result<Changed, Denied> {
        let path = format!("/v2/orgs/{organization}/members/{}", segment(username)?);
        let put = self.send_json(Some(session), "PUT", &path, &json!({"role": role.name()}));
        let response = self.outlet.send(put, Policy::SAFE).await.map_err(HubError::from)?;
        changed("change of a role", &response, Scope::MemberEdit)
    }

    /// Takes a member into a team.
    ///
    /// # Errors
    /// [`Denied`] where the service did not.
    pub async fn add_to_team(
        &self,
        session: &Session,
        organization: &str,
        team: &str,
        username: &str,
    ) -> Result<Changed, Denied> {
        let path = format!("/v2/orgs/{organization}/groups/{team}/members");
        let post = self.send_json(Some(session), "POST", &path, &json!({"member": username}));
        // who is in the team already stays in it
        let response = self.outlet.send(post, Policy::SAFE).await.map_err(HubError::from)?;
        changed("change of a team", &response, Scope::GroupEdit)
    }
}

impl Denied {
    /// What a 404 of this request means.
    fn or(self, missing: Denied) -> Self {
        if self == Denied::Gone { missing } else { self }
    }
}

/// A list was refused that takes this scope.
fn seen(what: &str, response: &Response, scope: Scope) -> Denied {
    match response.status().as_u16() {
        403 => Denied::NotAllowed(scope),
        404 => Denied::Gone,
        _ => unusable(what, response).into(),
    }
}

fn changed(what: &str, response: &Response, scope: Scope) -> Result<Changed, Denied> {
    match response.status().as_u16() {
        200..=299 => Ok(Changed::Done),
        401 | 429 => Err(unusable(what, response).into()),
        403 => Err(Denied::NotAllowed(scope)),
        404 => Err(Denied::Gone),
        409 => Err(Denied::Conflict(said(response))),
        status @ 400..=499 => Err(Denied::Refused(status, said(response))),
        status => Ok(Changed::Unknown(format!("{what}: status {status}"))),
    }
}

/// What became of the one invitee. Both shapes of the answer are read: the list alone, and one object around it more.
fn invited(response: &Response, newcomer: &Newcomer) -> Result<Invited, Denied> {
    let unknown = || Ok(Invited::Unknown("the answer to the invitation cannot be read".into()));
    let Some(body) = body(response) else { return unknown() };
    let list = body.get("invitees");
    let list = list.and_then(Value::as_array).or_else(|| list.and_then(|inner| inner.get("invitees")?.as_array()));
    let Some([entry]) = list.map(Vec::as_slice) else { return unknown() };
    match entry.get("status").and_then(Value::as_str) {
        Some("invited") => Ok(Invited::Sent(entry.get("invite").and_then(invite).map(|mut invite| {
            // the address that was invited, whatever name the service has for it
            invite.invitee.clone_from(&newcomer.email);
            invite
        }))),
        Some("existing_org_member") => Ok(Invited::Member),
        Some("invalid_email_or_docker_id") => Err(Denied::BadAddress),
        Some(other) => Err(Denied::NotInvited(scrub::words(&other.replace('_', " "), &[]))),
        None => unknown(),
    }
}

fn invite(entry: &Value) -> Option<Invite> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let id = text("id").filter(|id| segment(id).is_ok())?;
    let created_at = text("created_at").and_then(parse_rfc3339);
    Some(Invite { id: id.to_owned(), invitee: text("invitee")?.to_owned(), created_at })
}

/// A name that may stand in a path as it is.
fn segment(name: &str) -> Result<&str, HubError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if plain && name.bytes().any(|byte| byte != b'.') {
        Ok(name)
    } else {
        Err(HubError::Unexpected("Docker Hub names somebody by what is no user name".into()))
    }
}

/// The plain words of a refusal, in whichever member it has them.
fn said(response: &Response) -> String {
    let body = body(response);
    let text = ["message", "detail", "text"].iter().find_map(|name| body.as_ref()?.get(name)?.as_str());
    text.map(|text| scrub::words(text, &[])).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::error::Kind;

    fn answer(body: &Value) -> Result<Invited, Denied> {
        let newcomer = Newcomer { email: "scanner@acme.example".into(), role: Role::Editor, team: None };
        invited(&http::Response::new(Bytes::from(body.to_string())), &newcomer)
    }

    #[test]
    fn both_shapes_of_the_answer_are_read_and_any_other_is_unknown() {
        let entry = json!({"invitee": "somebody", "status": "invited",
            "invite": {"id": "e36eca69-4cc8-4f17-9845-ae8c2b832691", "invitee": "somebody", "created_at": "2021-10-28T18:30:19.520861Z"}});
        for body in [json!({"invitees": [entry]}), json!({"invitees": {"invitees": [entry]}})] {
            let Ok(Invited::Sent(Some(invite))) = answer(&body) else { panic!("{body}") };
            assert_eq!(invite.invitee, "scanner@acme.example");
            assert!(invite.created_at.is_some());
        }
        let status = |status: &str| answer(&json!({"invitees": [{"invitee": "x", "status": status}]}));
        assert!(matches!(status("invited"), Ok(Invited::Sent(None))));
        assert!(matches!(status("existing_org_member"), Ok(Invited::Member)));
        assert!(matches!(status("invalid_email_or_docker_id"), Err(Denied::BadAddress)));
        assert_eq!(status("no_seats_available").err(), Some(Denied::NotInvited("no seats available".into())));
        for body in [json!([]), json!({}), json!({"invitees": []}), json!({"invitees": [{"invitee": "x"}]})] {
            assert!(matches!(answer(&body), Ok(Invited::Unknown(_))), "{body}");
        }
    }

    #[test]
    fn only_what_is_a_name_stands_in_a_path() {
        assert!(segment("acme-scanner").is_ok() && segment("a.b_c").is_ok());
        for other in ["", "..", ".", "a/b", "a?b", "a%2fb", "a b"] {
            assert!(segment(other).is_err(), "{other}");
        }
    }

    #[test]
    fn what_is_not_allowed_names_the_missing_scope_and_the_role_that_suffices() {
        for scope in [
            Scope::MemberRead,
            Scope::MemberEdit,
            Scope::InviteRead,
            Scope::InviteEdit,
            Scope::GroupRead,
            Scope::GroupEdit,
        ] {
            let error = refusal(&Denied::NotAllowed(scope)).to_string();
            assert!(error.contains(&format!("the scope `{}`", scope.name())), "{error}");
            // the documentation lets owners alone change roles
            assert_eq!(error.contains("`Member management`"), scope != Scope::MemberEdit, "{error}");
        }
        assert!(refusal(&Denied::NoSeat(403, String::new())).to_string().contains("scope-invite-edit"));
        assert!(!refusal(&Denied::NoSeat(402, String::new())).to_string().contains("scope-"));
    }

    #[test]
    fn every_refusal_has_a_kind_and_a_remedy() {
        for (denied, kind) in [
            (Denied::Undecided(HubError::Unavailable("x".into())), Kind::Retryable),
            (Denied::NotAllowed(Scope::MemberEdit), Kind::Misconfigured),
            (Denied::NoSeat(403, String::new()), Kind::NeedsHuman),
            (Denied::NoOrganization, Kind::Misconfigured),
            (Denied::NoTeam, Kind::Misconfigured),
            (Denied::Gone, Kind::Retryable),
            (Denied::BadAddress, Kind::Misconfigured),
            (Denied::Conflict("conflict".into()), Kind::NeedsHuman),
            (Denied::NoSeat(402, String::new()), Kind::NeedsHuman),
            (Denied::NotInvited("no seats available".into()), Kind::NeedsHuman),
            (Denied::Refused(422, String::new()), Kind::NeedsHuman),
        ] {
            let error = refusal(&denied);
            assert_eq!(error.kind(), kind, "{denied:?}");
            assert!(error.to_string().contains("remedy: "), "{error}");
        }
    }
}
