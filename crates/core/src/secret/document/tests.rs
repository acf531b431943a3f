use serde_json::json;

use super::*;

use crate::ids::{TokenId, VersionId};

fn whole() -> Value {
    json!({
        "organization": "acme", "username": "acme-scanner", "accessToken": "dckr_pat_abc", "note": {"kept": [1]},
        "connector": {"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg", "name": "hub", "location": "westeurope"}
    })
}

fn parse(value: &Value) -> Result<Document, Error> {
    Document::parse(&SecretString::from(value.to_string()))
}

#[test]
fn members_of_others_survive_a_rewrite() {
    let document = parse(&whole()).unwrap();
    let expires_at = time::macros::datetime!(2027-01-01 0:00 UTC);
    let next = document.with_minted(
        SecretString::from("dckr_pat_new"),
        &"b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001".into(),
        expires_at,
    );
    let text = next.to_secret_string();
    let value: Value = serde_json::from_str(text.expose_secret()).unwrap();
    assert_eq!(value["note"], json!({"kept": [1]}));
    assert_eq!(value["accessToken"], "dckr_pat_new");
    assert_eq!(value["expiresAt"], "2027-01-01T00:00:00Z");
}

#[test]
fn a_number_of_others_survives_to_the_digit() {
    let text = whole().to_string().replacen('{', "{\"number\":12345678901234567890123.10,", 1);
    let document = Document::parse(&SecretString::from(text)).unwrap();
    let written = document.to_secret_string();
    assert!(written.expose_secret().contains("12345678901234567890123.10"));
}

#[test]
fn what_came_with_the_old_token_is_dropped() {
    let mut old = whole();
    old["tokenId"] = json!("b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001");
    old["expiresAt"] = json!("2027-01-01T00:00:00Z");
    let mut candidate = old.clone();
    candidate["accessToken"] = json!("dckr_pat_by_hand");
    let next = parse(&candidate).unwrap().taken_from(&"v2".into(), [&parse(&old).unwrap()]);
    assert_eq!((next.token_id, next.expires_at), (None, None));
    assert_eq!(next.candidate_version.as_ref().map(VersionId::as_str), Some("v2"));

    candidate["expiresAt"] = json!("2028-01-01T00:00:00Z");
    let next = parse(&candidate).unwrap().taken_from(&"v2".into(), [&parse(&old).unwrap()]);
    assert!(next.expires_at.is_some(), "an expiry of its own stays");
}

#[test]
fn an_error_names_the_field_and_shows_nothing_of_it() {
    let cases: &[(&str, Value, &str)] = &[
        ("/organization", json!("ACME-dckr_pat_x"), "`organization`"),
        ("/organization", json!("../x"), "`organization`"),
        ("/username", json!(7), "`username`"),
        ("/accessToken", json!(["dckr_pat_x"]), "`accessToken`"),
        ("/accessToken", json!("dckr_pat_x\n"), "`accessToken`"),
        ("/tokenId", json!("dckr_pat_x"), "`tokenId`"),
        ("/expiresAt", json!("dckr_pat_x"), "`expiresAt`"),
        ("/expectedRepositories", json!("dckr_pat_x"), "`expectedRepositories`"),
        ("/expectedRepositories", json!(["acme/web"]), "`expectedRepositories`"),
        ("/expectedRepositories", json!(["*web"]), "`expectedRepositories`"),
        ("/connector", json!([]), "`connector`"),
        ("/connector/subscriptionId", json!("dckr_pat_x"), "`connector.subscriptionId`"),
        ("/connector/resourceGroup", json!("a/b"), "`connector.resourceGroup`"),
        ("/connector/name", json!("a/../b"), "`connector.name`"),
        ("/connector/scanIntervalHours", json!(25), "`connector.scanIntervalHours`"),
        ("/connector/plans", json!(["dckr_pat_x"]), "`connector.plans`"),
        ("/connector/tags", json!({"hubkeeper-secret": "x"}), "`connector.tags`"),
    ];
    for (pointer, value, field) in cases {
        let mut document = whole();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[name] = value.clone();
        let message = parse(&document).err().unwrap_or_else(|| panic!("{pointer} {value} is taken")).to_string();
        assert!(message.contains(field), "{message}");
        assert!(!message.contains("dckr_pat_x"), "{message}");
    }
}

#[test]
fn owner_and_user_come_together_and_each_field_is_looked_at() {
    let with = |owner: Value, user: Value| {
        let mut document = whole();
        document["owner"] = owner;
        document["user"] = user;
        document
    };
    let owner = || json!("hub/owner");
    let invitation = |user: Value| parse(&with(owner(), user)).unwrap().invitation.unwrap();
    let requested = invitation(json!({"email": "scanner+hub@acme.example"}));
    assert_eq!((requested.owner.as_str(), requested.role, requested.team), ("hub/owner", Role::Editor, None));
    let requested = invitation(json!({"email": "scanner@acme.example", "role": "member", "team": "readers"}));
    assert_eq!((requested.role, requested.team.as_deref()), (Role::Member, Some("readers")));
    assert!(parse(&whole()).unwrap().invitation.is_none());
    for (document, field) in [
        (with(owner(), json!(null)), "`owner`"),
        (with(json!(null), json!({"email": "a@b.example"})), "`user`"),
        (with(json!(7), json!({"email": "a@b.example"})), "`owner`"),
        (with(owner(), json!("dckr_pat_x")), "`user`"),
        (with(owner(), json!({})), "`user.email`"),
        (with(owner(), json!({"email": "dckr_pat_x"})), "`user.email`"),
        (with(owner(), json!({"email": "dckr_pat_x@localhost"})), "`user.email`"),
        (with(owner(), json!({"email": "a b@c.example"})), "`user.email`"),
        (with(owner(), json!({"email": "a@b@c.example"})), "`user.email`"),
        (with(owner(), json!({"email": "a@b.example", "role": "owner"})), "`user.role`"),
        (with(owner(), json!({"email": "a@b.example", "role": "dckr_pat_x"})), "`user.role`"),
        (with(owner(), json!({"email": "a@b.example", "team": "../x"})), "`user.team`"),
        (with(owner(), json!({"email": "a@b.example", "team": "owners"})), "`user.team`"),
    ] {
        let message = parse(&document).err().unwrap_or_else(|| panic!("{document} is taken")).to_string();
        assert!(message.contains(field) && !message.contains("dckr_pat"), "{message}");
    }
    let mut document = with(owner(), json!({"email": "a@b.example"}));
    document["accessToken"] = json!("dckr_oat_abc");
    assert!(parse(&document).err().unwrap().to_string().contains("organization access token"));
}

#[test]
fn text_that_is_no_object_is_refused_without_being_quoted() {
    for text in ["", "dckr_pat_plain", "[1]", "{\"organization\": dckr_pat_x}", &"[".repeat(500)] {
        let message = Document::parse(&SecretString::from(text)).err().unwrap().to_string();
        assert!(!message.contains("dckr_pat"), "{message}");
    }
}

#[test]
fn a_manager_beside_an_organization_token_is_refused() {
    let mut document = whole();
    document["manager"] = json!("hub/manager");
    assert!(parse(&document).is_ok());
    document["accessToken"] = json!("dckr_oat_abc");
    assert!(parse(&document).is_err());
}

#[test]
fn a_candidate_s_stale_id_is_dropped_whichever_version_it_was_copied_from() {
    let of = |token: &str, id: &str| {
        let mut value = whole();
        value["accessToken"] = json!(token);
        value["tokenId"] = json!(id);
        parse(&value).unwrap()
    };
    let (first, second) = ("b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0001", "b0e0fa0e-4b6f-4d7a-9d3c-0f6f6d6f0002");
    let (previous, current) = (of("dckr_pat_a", first), of("dckr_pat_b", second));
    let copied = of("dckr_pat_c", first);
    assert_eq!(
        copied.taken_from(&"v".into(), [&current]).token_id.as_ref().map(TokenId::as_str),
        Some(first),
        "nothing says that it is stale"
    );
    assert_eq!(copied.taken_from(&"v".into(), [&current, &previous]).token_id, None);
    assert_eq!(
        of("dckr_pat_a", first).taken_from(&"v".into(), [&current, &previous]).token_id.as_ref().map(TokenId::as_str),
        Some(first)
    );
}

#[test]
fn a_token_is_read_out_of_a_value_however_wrong_the_rest_is() {
    let read = |text: &str| StoredToken::parse(&SecretString::from(text));
    let token = |text: &str| read(text).unwrap().token.map(|token| token.expose_secret().to_owned());
    assert_eq!(token(r#"{"accessToken":" dckr_pat_x\n","connector":7}"#).as_deref(), Some("dckr_pat_x"));
    let held = read(r#"{"accessToken":"dckr_pat_x","tokenId":"no uuid"}"#).unwrap();
    assert_eq!(held.token_id.as_ref().map(TokenId::as_str), Some("no uuid"));
    for text in ["{}", r#"{"accessToken":""}"#, r#"{"accessToken":7,"tokenId":[]}"#] {
        assert_eq!(token(text), None, "{text}");
    }
    for text in ["", "dckr_pat_x", "[]"] {
        assert!(read(text).is_none(), "{text}");
    }
}
