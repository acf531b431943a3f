//! Reads and changes the members and invitations of an organization (`/v2/orgs`, `/v2/invites`).
//!
//! The session comes from the owner secret: an owner, a custom role with "Member management", or an organization access
//! token with the scopes of [`Scope`]. The client never resends an invitation blindly: after a lost response, the lists
//! show the result. Docker does not document the bodies of errors, so the status decides, and only plain words of the
//! text are passed on.

use hubkeeper_core::failure::docker_hub::members::{Refused, unchanged, uninvited, unlisted};
use hubkeeper_core::failure::docker_hub::{unreadable, unsteady};
use hubkeeper_core::hub::{Denied, HubError, Invite, Member, Roster, Scope};
use hubkeeper_core::redact;
use hubkeeper_core::secret::document::{InvitationRequest, Role};
use hubkeeper_core::time::parse_rfc3339;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clients::hub::{Hub, HubWriter, Session, body};
use crate::http::{Policy, Response, speaks_of_failed_logins};

/// Entries per page: the largest size that is known to be accepted.
const PAGE_SIZE: usize = 100;

/// Maximum number of pages.
const PAGES: usize = 200;

/// The result of an invitation.
#[derive(Clone, PartialEq, Eq)]
pub enum Invited {
    /// The service sent the invitation.
    Sent(Option<Invite>),
    /// The address already belongs to a member.
    Member,
    /// The service may have sent the invitation.
    Unknown(String),
}

/// The result of a change or a resend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Changed {
    /// The service carried out the request.
    Done,
    /// The service may have carried out the request.
    Unknown(String),
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

/// The role that Docker Hub gives to an entry of the members' list that is only invited.
const INVITEE: &str = "invitee";

impl Hub {
    /// Reads all members and invitations of the organization, and the members of the team.
    ///
    /// # Errors
    /// Returns [`Denied`] if any list cannot be read completely: a partial list proves nothing.
    pub async fn roster(&self, session: &Session, organization: &str, team: Option<&str>) -> Result<Roster, Denied> {
        let members = self.people(session, &format!("/v2/orgs/{organization}/members"), Scope::MemberRead).await;
        let members = members.map_err(|denied| or(denied, Denied::NoOrganization))?;
        let invites = self.invites(session, organization).await?;
        let team = match team {
            None => None,
            Some(team) => {
                let path = format!("/v2/orgs/{organization}/groups/{team}/members");
                let people = self.people(session, &path, Scope::GroupRead).await;
                let people = people.map_err(|denied| or(denied, Denied::NoTeam))?;
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

    /// Reads every entry of a list of people.
    async fn people(&self, session: &Session, path: &str, scope: Scope) -> Result<Vec<Entry>, Denied> {
        let what = "list of members at Docker Hub";
        // the list may change between two pages, so read it once more
        for _ in 0..2 {
            let mut list: Vec<Entry> = Vec::new();
            for page in 1..=PAGES {
                let path = format!("{path}?page={page}&page_size={PAGE_SIZE}");
                let response = self.http_client.send(self.get(session, &path), Policy::SAFE.capped(8 << 20)).await;
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
        Err(unsteady("members").into())
    }

    async fn invites(&self, session: &Session, organization: &str) -> Result<Vec<Invite>, Denied> {
        #[derive(Deserialize)]
        struct Invites {
            data: Option<Vec<Value>>,
        }
        let what = "list of invitations at Docker Hub";
        let path = format!("/v2/orgs/{organization}/invites");
        let response = self.http_client.send(self.get(session, &path), Policy::SAFE.capped(8 << 20)).await;
        let response = response.map_err(HubError::from)?;
        match response.status().as_u16() {
            200 => {
                let list: Invites = serde_json::from_slice(response.body()).map_err(|_| unreadable(what))?;
                let list = list.data.unwrap_or_default();
                list.iter().map(|entry| invite(entry).ok_or_else(|| unreadable(what).into())).collect()
            }
            _ => Err(or(seen(what, &response, Scope::InviteRead), Denied::NoOrganization)),
        }
    }
}

impl HubWriter {
    /// Invites a user. Never retries if the service may have carried out the request.
    ///
    /// # Errors
    /// Returns [`Denied`] if the service certainly did not invite the user.
    pub async fn invite(
        &self,
        session: &Session,
        organization: &str,
        requested: &InvitationRequest,
    ) -> Result<Invited, Denied> {
        let mut payload = json!({"org": organization, "role": requested.role.name(), "invitees": [requested.email]});
        if let Some(team) = &requested.team {
            payload["team"] = json!(team);
        }
        let create = self.0.send_json(Some(session), "POST", "/v2/invites/bulk", &payload);
        let response = match self.0.http_client.send(create, Policy::CREATE).await {
            Ok(response) => response,
            Err(error) if error.acted => return Ok(Invited::Unknown(error.to_string())),
            Err(error) => return Err(HubError::from(error).into()),
        };
        let status = response.status();
        if status.is_success() {
            return invited(&response, requested);
        }
        match uninvited(refused(&response), requested.team.is_some()) {
            Some(denied) => Err(denied),
            None => Ok(Invited::Unknown(format!("invitation: status {}", status.as_u16()))),
        }
    }

    /// Resends an invitation. Never retries if the service may have carried out the request, because each resend is
    /// an e-mail to a person.
    ///
    /// # Errors
    /// Returns [`Denied`] if the service certainly did not resend the invitation.
    pub async fn resend(&self, session: &Session, id: &str) -> Result<Changed, Denied> {
        let path = format!("/v2/invites/{id}/resend");
        let mut resend = self.0.get(session, &path);
        *resend.method_mut() = http::Method::PATCH;
        match self.0.http_client.send(resend, Policy::CREATE).await {
            Ok(response) => changed("resend of the invitation", &response, Scope::InviteEdit),
            Err(error) if error.acted => Ok(Changed::Unknown(error.to_string())),
            Err(error) => Err(HubError::from(error).into()),
        }
    }

    /// Gives a member a role.
    ///
    /// # Errors
    /// Returns [`Denied`] if the service did not change the role.
    pub async fn set_role(
        &self,
        session: &Session,
        organization: &str,
        username: &str,
        role: Role,
    ) -> Result<Changed, Denied> {
        let path = format!("/v2/orgs/{organization}/members/{}", segment(username)?);
        let put = self.0.send_json(Some(session), "PUT", &path, &json!({"role": role.name()}));
        let response = self.0.http_client.send(put, Policy::SAFE).await.map_err(HubError::from)?;
        changed("change of a role", &response, Scope::MemberEdit)
    }

    /// Adds a member to a team.
    ///
    /// # Errors
    /// Returns [`Denied`] if the service did not add the member.
    pub async fn add_to_team(
        &self,
        session: &Session,
        organization: &str,
        team: &str,
        username: &str,
    ) -> Result<Changed, Denied> {
        let path = format!("/v2/orgs/{organization}/groups/{team}/members");
        let post = self.0.send_json(Some(session), "POST", &path, &json!({"member": username}));
        // safe to repeat: a user who is already in the team stays in it
        let response = self.0.http_client.send(post, Policy::SAFE).await.map_err(HubError::from)?;
        changed("change of a team", &response, Scope::GroupEdit)
    }
}

/// Returns `missing` for a 404, in requests where a 404 means that this is missing.
fn or(denied: Denied, missing: Denied) -> Denied {
    if denied == Denied::Gone { missing } else { denied }
}

/// Returns the error for a list that requires this scope.
fn seen(what: &str, response: &Response, scope: Scope) -> Denied {
    unlisted(what, response.status().as_u16(), speaks_of_failed_logins(response), scope)
}

fn changed(what: &str, response: &Response, scope: Scope) -> Result<Changed, Denied> {
    let status = response.status();
    if status.is_success() {
        return Ok(Changed::Done);
    }
    match unchanged(what, refused(response), scope) {
        Some(denied) => Err(denied),
        None => Ok(Changed::Unknown(format!("{what}: status {}", status.as_u16()))),
    }
}

/// Parses the result for the one invitee. Accepts both shapes of the response: the list alone, and the list inside an
/// object.
fn invited(response: &Response, requested: &InvitationRequest) -> Result<Invited, Denied> {
    let unknown = || Ok(Invited::Unknown("the response to the invitation cannot be read".into()));
    let Some(body) = body(response) else { return unknown() };
    let list = body.get("invitees");
    let list = list.and_then(Value::as_array).or_else(|| list.and_then(|inner| inner.get("invitees")?.as_array()));
    let Some([entry]) = list.map(Vec::as_slice) else { return unknown() };
    match entry.get("status").and_then(Value::as_str) {
        Some("invited") => Ok(Invited::Sent(entry.get("invite").and_then(invite).map(|mut invite| {
            // keeps the address that was invited, whatever name the service shows
            invite.invitee.clone_from(&requested.email);
            invite
        }))),
        Some("existing_org_member") => Ok(Invited::Member),
        Some("invalid_email_or_docker_id") => Err(Denied::BadAddress),
        Some(other) => Err(Denied::NotInvited(redact::words(&other.replace('_', " "), &[]))),
        None => unknown(),
    }
}

fn invite(entry: &Value) -> Option<Invite> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let id = text("id").filter(|id| segment(id).is_ok())?;
    let created_at = text("created_at").and_then(parse_rfc3339);
    Some(Invite { id: id.to_owned(), invitee: text("invitee")?.to_owned(), created_at })
}

/// Returns a name that is safe in a path as it is.
fn segment(name: &str) -> Result<&str, HubError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if plain && name.bytes().any(|byte| byte != b'.') {
        Ok(name)
    } else {
        Err(HubError::Unexpected("Docker Hub lists a user name that is not valid".into()))
    }
}

/// Parses an error response, with the plain words of the first field that has them.
fn refused(response: &Response) -> Refused {
    let body = body(response);
    let text = ["message", "detail", "text"].iter().find_map(|name| body.as_ref()?.get(name)?.as_str());
    let words = text.map(|text| redact::words(text, &[])).unwrap_or_default();
    Refused { status: response.status().as_u16(), failed_logins: speaks_of_failed_logins(response), words }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn answer(body: &Value) -> Result<Invited, Denied> {
        let requested = InvitationRequest {
            owner: "hub/owner".into(),
            email: "scanner@acme.example".into(),
            role: Role::Editor,
            team: None,
        };
        invited(&http::Response::new(Bytes::from(body.to_string())), &requested)
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
}
