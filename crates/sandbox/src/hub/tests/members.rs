//! Members, teams, invitations: who may use them, and the responses.

use super::*;

fn invite(site: &Site, bearer: &str, address: &str, more: &Value) -> (u16, Value) {
    let mut body = json!({ "org": "acme", "role": "editor", "invitees": [address] });
    body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let (status, body, _) = site.send("POST", "/v2/invites/bulk", Some(bearer), Some(&body));
    (status, body)
}

#[test]
fn an_owner_s_password_alone_opens_these_routes() {
    let site = site();
    let (_, pat) = site.pat("olga", "repo:admin");
    let by_token = site.bearer("olga", &pat);
    site.world.with(|state| hub::add_team(state, "acme", "readers"));
    for (method, path) in [
        ("GET", "/v2/orgs/acme/members"),
        ("GET", "/v2/orgs/acme/invites"),
        ("GET", "/v2/orgs/acme/groups/readers/members"),
        ("PUT", "/v2/orgs/acme/members/mia"),
    ] {
        let body = (method == "PUT").then(|| json!({ "role": "editor" }));
        assert_eq!(site.send(method, path, None, body.as_ref()).0, 401, "{path}");
        assert_eq!(site.send(method, path, Some(&by_token), body.as_ref()).0, 403, "{path}");
        assert_eq!(site.send(method, path, Some(&site.manager("scan")), body.as_ref()).0, 403, "{path}");
        assert_eq!(site.send(method, path, Some(&site.manager("olga")), body.as_ref()).0, 200, "{path}");
    }
    assert_eq!(site.get("/v2/orgs/nobody/members", &site.manager("olga")).0, 404);
}

#[test]
fn members_have_pages_roles_and_teams() {
    let site = site();
    let olga = site.manager("olga");
    site.world.with(|state| hub::add_to_team(state, "acme", "readers", "mia"));
    let (_, page) = site.get("/v2/orgs/acme/members?page=2&page_size=2", &olga);
    assert_eq!((page["count"].as_u64(), page["results"].as_array().map(Vec::len)), (Some(3), Some(1)), "{page}");
    let (_, all) = site.get("/v2/orgs/acme/members", &olga);
    let roles: Vec<&str> =
        all["results"].as_array().expect("a list").iter().filter_map(|one| one["role"].as_str()).collect();
    assert_eq!(roles, ["Member", "Owner", "Editor"]);
    assert_eq!(all["results"][0]["groups"], json!(["readers"]));
    assert_eq!(site.get("/v2/orgs/acme/groups/none/members", &olga).0, 404);
    let put = |name: &str, role: &str| {
        site.send("PUT", &format!("/v2/orgs/acme/members/{name}"), Some(&olga), Some(&json!({ "role": role }))).0
    };
    assert_eq!((put("mia", "editor"), put("mia", "king"), put("nobody", "member")), (200, 400, 404));
    let add = |name: &str| {
        site.send("POST", "/v2/orgs/acme/groups/readers/members", Some(&olga), Some(&json!({ "member": name }))).0
    };
    assert_eq!((add("scan"), add("scan"), add("nobody")), (200, 200, 404));
}

#[test]
fn an_invitation_takes_a_seat_waits_and_is_accepted_once() {
    let site = site();
    let olga = site.manager("olga");
    site.world.with(|state| {
        hub::add_user(state, "nina", "password of nina");
        hub::add_team(state, "acme", "readers");
        hub::set_seats(state, "acme", Some(4));
    });
    assert_eq!(invite(&site, &olga, "x@example.com", &json!({ "team": "none" })).0, 404);
    let (status, body) = invite(&site, &olga, "new@example.com", &json!({ "role": "member", "team": "readers" }));
    let entry = &body["invitees"]["invitees"][0];
    assert_eq!((status, entry["status"].as_str(), &entry["invite"]["team"]), (202, Some("invited"), &json!("readers")));
    assert_eq!(invite(&site, &olga, "new@example.com", &json!({})).0, 409);
    assert_eq!(invite(&site, &olga, "another@example.com", &json!({})).0, 402, "no seat");
    let id = entry["invite"]["id"].as_str().expect("an id");
    assert_eq!(site.send("PATCH", &format!("/v2/invites/{id}/resend"), Some(&olga), None).0, 204);
    assert_eq!(site.send("PATCH", "/v2/invites/none/resend", Some(&olga), None).0, 404);
    let (_, pat) = site.pat("nina", "repo:read");
    assert!(!site.world.with(|state| hub::can_pull_everything(state, "nina", &pat, "acme")));
    let accept = || site.world.with(|state| hub::accept_invitation(state, "acme", "new@example.com", "nina"));
    assert!(accept() && !accept());
    assert_eq!(site.get("/v2/orgs/acme/invites", &olga).1, json!({ "data": [] }));
    site.world.with(|state| {
        for name in hub::organization(state, "acme").expect("acme").repositories.keys().cloned().collect::<Vec<_>>() {
            hub::team_permission(state, "acme", "readers", &name, Some(Permission::Read));
        }
        assert!(hub::can_pull_everything(state, "nina", &pat, "acme"), "by the team");
        assert!(!hub::can_push(state, "nina", &pat, "acme"));
        state.hub.flat_invitees = true;
        hub::set_seats(state, "acme", None);
    });
    let (_, body) = invite(&site, &olga, "new@example.com", &json!({}));
    assert_eq!(body["invitees"][0]["status"], "existing_org_member");
    let (_, body) = invite(&site, &olga, "no-such-user", &json!({}));
    assert_eq!(body["invitees"][0]["status"], "invalid_email_or_docker_id");
}
