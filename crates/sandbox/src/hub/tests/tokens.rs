//! Token management, and what the registry grants to tokens.

use super::*;

#[test]
fn a_manager_makes_lists_changes_and_deletes_tokens() {
    let site = site();
    let bearer = site.manager("scan");
    let send = |method: &str, path: &str, body: Option<&Value>| site.send(method, path, Some(&bearer), body);
    let wish = json!({ "token_label": "a label", "scopes": ["repo:read"], "expires_at": "2026-12-31T00:00:00Z" });
    let (status, made, _) = send("POST", "/v2/access-tokens", Some(&wish));
    assert_eq!((status, made["client_id"].as_str(), &made["last_used"]), (201, Some("HUB"), &Value::Null));
    let value = made["token"].as_str().expect("a value").to_owned();
    assert!(value.starts_with("dckr_pat_") && value.len() == 36);
    let path = format!("/v2/access-tokens/{}", made["uuid"].as_str().expect("an id"));
    assert_eq!(site.login("scan", &value).0, 200);
    let (_, seen, _) = send("GET", &path, None);
    assert_eq!((seen["token"].as_str(), seen["last_used"].is_string()), (Some(""), true));
    let (_, list, _) = send("GET", "/v2/access-tokens?page=1&page_size=100", None);
    assert_eq!(
        (&list["count"], &list["active_count"], &list["results"][0]["token"]),
        (&json!(1), &json!(1), &json!(""))
    );
    let (status, off, _) = send("PATCH", &path, Some(&json!({ "is_active": false })));
    assert_eq!((status, &off["is_active"], &off["token_label"]), (200, &json!(false), &json!("a label")));
    assert_eq!(site.login("scan", &value).0, 401);
    assert_eq!(send("PATCH", &path, Some(&json!({ "is_active": true }))).0, 200);
    assert_eq!(site.login("scan", &value).0, 200);
    assert_eq!(send("DELETE", &path, None).0, 204);
    assert_eq!(send("DELETE", &path, None).0, 404);
    assert_eq!(send("GET", &path, None).0, 404);
    assert!(
        site.world.with(|state| hub::all_secret_values(state)).contains(&value),
        "a deleted token is still a secret"
    );
}

#[test]
fn what_no_token_may_be_is_refused() {
    let site = site();
    let bearer = site.manager("scan");
    for bad in [
        json!({ "scopes": ["repo:read"] }),
        json!({ "token_label": "", "scopes": ["repo:read"] }),
        json!({ "token_label": "x".repeat(101), "scopes": ["repo:read"] }),
        json!({ "token_label": "x", "scopes": [] }),
        json!({ "token_label": "x", "scopes": ["repo:everything"] }),
        json!({ "token_label": "x", "scopes": ["repo:read"], "expires_at": "tomorrow" }),
        json!({ "token_label": "x", "scopes": ["repo:read"], "expires_at": "2020-01-01T00:00:00Z" }),
    ] {
        assert_eq!(site.send("POST", "/v2/access-tokens", Some(&bearer), Some(&bad)).0, 400, "{bad}");
    }
    let request = http::Request::post("/v2/auth/token").header("content-type", "application/json");
    let request = request.body(Bytes::from("{")).expect("a request");
    assert_eq!(answer(&site.world, Service::Hub, request).0, 400);
    let request = http::Request::post("/v2/auth/token").body(Bytes::from("{}")).expect("a request");
    assert_eq!(answer(&site.world, Service::Hub, request).0, 415);
    let (_, pat) = site.pat("scan", "repo:admin");
    let (status, body) = site.get("/v2/access-tokens", &site.bearer("scan", &pat));
    assert_eq!((status, &body["message"]), (403, &json!("token issued from personal access token is not allowed")));
    let (uuid, _) = site.pat("mia", "repo:read");
    assert_eq!(site.send("DELETE", &format!("/v2/access-tokens/{uuid}"), Some(&bearer), None).0, 404);
}

#[test]
fn an_expired_token_can_only_be_deleted() {
    let site = site();
    let past = OffsetDateTime::from_unix_timestamp(START - 60).expect("a time");
    let (uuid, _) = site.world.with(|state| hub::add_pat(state, "scan", "old", &["repo:read"], Some(past)));
    let (bearer, path) = (site.manager("scan"), format!("/v2/access-tokens/{uuid}"));
    assert_eq!(site.send("PATCH", &path, Some(&bearer), Some(&json!({ "is_active": true }))).0, 400);
    site.world.with(|state| state.hub.pat_delete_status = 202);
    assert_eq!(site.send("DELETE", &path, Some(&bearer), None).0, 202);
}

#[test]
fn the_rate_limit_says_when_it_ends() {
    let site = site();
    let bearer = site.bearer("scan", &site.pat("scan", "repo:read").1);
    site.world.with(|state| state.hub.rate_limit_per_minute = Some(2));
    let path = "/v2/namespaces/acme/repositories";
    let (status, _, response) = site.send("GET", path, Some(&bearer), None);
    let header = |response: &Response, name: &str| response.headers()[name].to_str().expect("text").to_owned();
    assert_eq!((status, header(&response, "x-ratelimit-remaining")), (200, "1".to_owned()));
    site.pass(20);
    assert_eq!(site.get(path, &bearer).0, 200);
    let (status, body, response) = site.send("GET", path, Some(&bearer), None);
    assert_eq!((status, body), (429, json!({ "detail": "Rate limit exceeded", "error": false })));
    assert_eq!(header(&response, "retry-after"), "40");
    assert_eq!(header(&response, "x-ratelimit-reset"), (START + 60).to_string());
    site.pass(40);
    assert_eq!(site.get(path, &bearer).0, 200);
}

#[test]
fn without_a_limit_there_is_always_much_left() {
    let site = site();
    let bearer = site.bearer("scan", &site.pat("scan", "repo:read").1);
    site.pass(20);
    for path in ["/v2/namespaces/acme/repositories", "/v2/access-tokens", "/v2/nothing"] {
        let (_, _, response) = site.send("GET", path, Some(&bearer), None);
        let header = |name: &str| response.headers()[name].to_str().expect("text").parse::<i64>().expect("a number");
        assert!(header("x-ratelimit-remaining") > 100_000 && header("x-ratelimit-limit") > 100_000, "{path}");
        assert!((START + 20..=START + 80).contains(&header("x-ratelimit-reset")), "{path}");
    }
}

#[test]
fn the_registry_grants_what_account_and_token_allow() {
    let site = site();
    let (_, read) = site.pat("scan", "repo:read");
    let (_, write) = site.pat("scan", "repo:write");
    let (_, public) = site.pat("scan", "repo:public_read");
    let (_, member) = site.pat("mia", "repo:read");
    let private = "repository:acme/app-00000:pull";
    let open = "repository:acme/app-00001:pull";
    assert_eq!(
        site.access(Some(("scan", &read)), &[private, open]),
        json!([{ "type": "repository", "name": "acme/app-00000", "actions": ["pull"] },
               { "type": "repository", "name": "acme/app-00001", "actions": ["pull"] }])
    );
    let low = (401, json!({ "details": "access token has insufficient scopes" }));
    assert_eq!(site.registry_token(Some(("scan", &read)), &["repository:acme/app-00001:pull,push"]), low);
    assert_eq!(site.registry_token(Some(("scan", &public)), &[open, private]), low);
    assert_eq!(site.access(Some(("scan", &public)), &[open])[0]["actions"], json!(["pull"]));
    assert_eq!(
        site.access(Some(("scan", &write)), &["repository:acme/app-00000:pull,push"])[0]["actions"],
        json!(["pull", "push"])
    );
    assert_eq!(site.access(Some(("mia", &member)), &[private]), json!([]));
    assert_eq!(site.access(Some(("mia", &member)), &["repository:acme/none:pull"]), json!([]));
    assert_eq!(site.access(None, &[private, open]).as_array().map(Vec::len), Some(1));
    let wrong = site.registry_token(Some(("scan", "dckr_pat_wrong")), &[open]);
    assert_eq!(wrong, (401, json!({ "details": "incorrect username or password" })));
    let (can, push) = site.world.with(|state| {
        (hub::can_pull_everything(state, "scan", &read, "acme"), hub::can_push(state, "scan", &write, "acme"))
    });
    assert!(can && push);
    assert!(!site.world.with(|state| hub::can_pull_everything(state, "mia", &member, "acme")));
    assert!(!site.world.with(|state| hub::can_push(state, "scan", &read, "acme")));
}

#[test]
fn plugins_have_a_scope_type_of_their_own() {
    let site = site();
    site.world.with(|state| hub::add_plugin(state, "acme", "volume", true));
    let (_, pat) = site.pat("scan", "repo:read");
    let plugin = site.access(Some(("scan", &pat)), &["repository(plugin):acme/volume:pull"]);
    assert_eq!(
        plugin,
        json!([{ "type": "repository", "class": "plugin", "name": "acme/volume", "actions": ["pull"] }])
    );
    assert_eq!(site.access(Some(("scan", &pat)), &["repository:acme/volume:pull"]), json!([]));
    assert_eq!(site.access(Some(("scan", &pat)), &["repository(plugin):acme/app-00000:pull"]), json!([]));
}

#[test]
fn the_token_service_has_its_oddities() {
    let site = site();
    let (_, pat) = site.pat("scan", "repo:read");
    let scopes: Vec<String> = (0..12).map(|index| format!("repository:acme/app-{index:05}:pull")).collect();
    let scopes: Vec<&str> = scopes.iter().map(String::as_str).collect();
    assert_eq!(site.access(Some(("scan", &pat)), &scopes).as_array().map(Vec::len), Some(12));
    site.world.with(|state| state.hub.combined_scopes_lost = true);
    assert_eq!(site.access(Some(("scan", &pat)), &scopes).as_array().map(Vec::len), Some(1));
    assert_eq!(site.registry_token(None, &["x".repeat(8_000).as_str()]).0, 414);
    assert_eq!(site.registry_token(None, &["nonsense"]).0, 400);
    let request = http::Request::post("/token").body(Bytes::new()).expect("a request");
    assert_eq!(answer(&site.world, Service::HubAuth, request).0, 405);
    site.world.with(|state| {
        state.hub.plain_text_tokens = true;
        hub::set_totp(state, "mia", Some(SEED));
    });
    let totp = site.registry_token(Some(("mia", "password of mia")), &[]);
    assert_eq!(totp, (401, json!({ "details": "please use personal access token to login" })));
}
