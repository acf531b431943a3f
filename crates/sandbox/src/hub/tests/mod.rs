//! Tests of Docker Hub with requests in their real shape.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::{self as hub, OatResource, Permission, Role};
use crate::keys;
use crate::world::{Request, Response, Service, World};

mod members;
mod tokens;

const START: i64 = 1_793_534_400;
const SEED: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

struct Site {
    world: World,
    clock: Arc<AtomicI64>,
}

/// `acme` with 12 repositories (every third one private), the owner `olga`, the member `mia` and the scanner `scan` as editor.
fn site() -> Site {
    let clock = Arc::new(AtomicI64::new(START));
    let read = Arc::clone(&clock);
    let now = move || OffsetDateTime::from_unix_timestamp(read.load(Ordering::Relaxed)).expect("a time");
    let world = World::with_clock(Arc::new(now), 7);
    world.with(|state| {
        hub::add_repositories(state, "acme", "app-", 12, 3);
        for (user, role) in [("olga", Role::Owner), ("mia", Role::Member), ("scan", Role::Editor)] {
            hub::add_user(state, user, &format!("password of {user}"));
            hub::add_member(state, "acme", user, role);
        }
    });
    Site { world, clock }
}

impl Site {
    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    fn pat(&self, user: &str, scope: &str) -> (String, String) {
        self.world.with(|state| hub::add_pat(state, user, "test", &[scope], None))
    }

    fn send(&self, method: &str, path: &str, bearer: Option<&str>, body: Option<&Value>) -> (u16, Value, Response) {
        let mut request = http::Request::builder().method(method).uri(path);
        if let Some(bearer) = bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        answer(&self.world, Service::Hub, request.body(body).expect("a request"))
    }

    fn get(&self, path: &str, bearer: &str) -> (u16, Value) {
        let (status, body, _) = self.send("GET", path, Some(bearer), None);
        (status, body)
    }

    fn login(&self, identifier: &str, secret: &str) -> (u16, Value) {
        let body = json!({ "identifier": identifier, "secret": secret });
        let (status, body, _) = self.send("POST", "/v2/auth/token", None, Some(&body));
        (status, body)
    }

    fn bearer(&self, identifier: &str, secret: &str) -> String {
        let (status, body) = self.login(identifier, secret);
        assert_eq!(status, 200, "{body}");
        body["access_token"].as_str().expect("a bearer").to_owned()
    }

    fn password(&self, username: &str, password: &str) -> (u16, Value) {
        let body = json!({ "username": username, "password": password });
        let (status, body, _) = self.send("POST", "/v2/users/login", None, Some(&body));
        (status, body)
    }

    fn manager(&self, username: &str) -> String {
        let (status, body) = self.password(username, &format!("password of {username}"));
        assert_eq!(status, 200, "{body}");
        body["token"].as_str().expect("a bearer").to_owned()
    }

    fn names(&self, bearer: &str) -> usize {
        let (status, body) = self.get("/v2/namespaces/acme/repositories?page_size=100", bearer);
        assert_eq!(status, 200, "{body}");
        body["results"].as_array().expect("results").len()
    }

    fn registry_token(&self, basic: Option<(&str, &str)>, scopes: &[&str]) -> (u16, Value) {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("service", "registry.docker.io");
        for scope in scopes {
            query.append_pair("scope", scope);
        }
        let mut request = http::Request::builder().uri(format!("/token?{}", query.finish()));
        if let Some((user, secret)) = basic {
            request = request.header("authorization", format!("Basic {}", STANDARD.encode(format!("{user}:{secret}"))));
        }
        let request = request.body(Bytes::new()).expect("a request");
        let (status, body, _) = answer(&self.world, Service::HubAuth, request);
        (status, body)
    }

    fn access(&self, basic: Option<(&str, &str)>, scopes: &[&str]) -> Value {
        let (status, body) = self.registry_token(basic, scopes);
        assert_eq!(status, 200, "{body}");
        let token = body["token"].as_str().expect("a token");
        keys::registry().verify(token).expect("a good signature")["access"].clone()
    }
}

fn answer(world: &World, service: Service, request: Request) -> (u16, Value, Response) {
    let response = world.call(service, request).expect("an answer");
    let body = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
    (response.status().as_u16(), body, response)
}

fn claims(bearer: &str) -> Value {
    let part = bearer.split('.').nth(1).expect("claims");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

#[test]
fn a_personal_token_logs_in_and_its_bearer_outlives_it_by_ten_minutes() {
    let site = site();
    let (uuid, pat) = site.pat("scan", "repo:read");
    let bearer = site.bearer("scan", &pat);
    assert_eq!(claims(&bearer)["scope"], "repo:read");
    assert_eq!(claims(&bearer)["https://hub.docker.com"]["username"], "scan");
    assert!(site.world.with(|state| hub::accepts(state, "scan", &pat)));
    site.world.with(|state| hub::revoke(state, &uuid));
    assert!(!site.world.with(|state| hub::accepts(state, "scan", &pat)));
    assert_eq!(site.login("scan", &pat), (401, json!({ "message": "unauthorized", "errinfo": {} })));
    assert_eq!(site.names(&bearer), 12);
    site.pass(600);
    assert_eq!(site.get("/v2/namespaces/acme/repositories", &bearer).0, 401);
}

#[test]
fn a_raw_token_is_no_bearer_and_a_password_no_secret_of_the_token_route() {
    let site = site();
    let (_, pat) = site.pat("scan", "repo:read");
    assert_eq!(site.get("/v2/namespaces/acme/repositories", &pat).0, 401);
    assert_eq!(site.login("scan", "password of scan").0, 401);
    site.world.with(|state| state.hub.passwords_on_auth_token = true);
    assert_eq!(site.login("scan", "password of scan").0, 200);
    assert_eq!(site.password("scan", &pat).0, 401);
}

#[test]
fn tokens_that_are_expired_deactivated_too_new_or_of_another_are_refused() {
    let site = site();
    let end = OffsetDateTime::from_unix_timestamp(START + 60).expect("a time");
    let (_, expiring) = site.world.with(|state| hub::add_pat(state, "scan", "test", &["repo:read"], Some(end)));
    let (uuid, inactive) = site.pat("scan", "repo:read");
    site.world.with(|state| hub::deactivate(state, &uuid));
    assert_eq!(site.login("scan", &expiring).0, 200);
    assert_eq!(site.login("mia", &expiring).0, 401);
    assert_eq!(site.login("scan", &inactive).0, 401);
    site.pass(60);
    assert_eq!(site.login("scan", &expiring).0, 401);
    let (status, body) = site.registry_token(Some(("scan", &expiring)), &["repository:acme/app-00000:pull"]);
    assert_eq!((status, body), (401, json!({ "details": "personal access token is expired" })));
    site.world.with(|state| state.hub.usable_delay = Duration::seconds(30));
    let (_, new) = site.pat("scan", "repo:read");
    assert_eq!(site.login("scan", &new).0, 401);
    site.pass(30);
    assert_eq!(site.login("scan", &new).0, 200);
}

#[test]
fn the_second_factor_takes_a_code_once_and_no_older_than_the_step_before() {
    let site = site();
    site.world.with(|state| hub::set_totp(state, "scan", Some(SEED)));
    let half = || {
        let (status, body) = site.password("scan", "password of scan");
        assert_eq!((status, &body["detail"]), (401, &json!("Require secondary authentication on MFA enabled account")));
        body["login_2fa_token"].as_str().expect("a token").to_owned()
    };
    let finish = |token: &str, code: &str| {
        let body = json!({ "login_2fa_token": token, "code": code });
        site.send("POST", "/v2/users/2fa-login", None, Some(&body)).0
    };
    let code = || site.world.with(|state| hub::totp_code(state, "scan").expect("a code"));
    let first = code();
    site.pass(30);
    assert_eq!(finish(&half(), &first), 200);
    assert_eq!(finish(&half(), &first), 401, "used");
    let token = half();
    assert_eq!(finish(&token, "000000"), 401);
    assert_eq!(finish(&token, &code()), 200, "a refused code does not end the half login");
    let old = code();
    site.pass(60);
    assert_eq!(finish(&half(), &old), 401, "two steps old");
    let (token, now) = (half(), code());
    assert_eq!(finish(&token, &now), 200);
    assert_eq!(finish(&half(), &now), 401, "used");
    site.world.with(|state| crate::scene::age(state, time::Duration::seconds(30)));
    assert_eq!(finish(&half(), &now), 200, "the code used last is one step old after 30 seconds");
    let numeric = json!({ "login_2fa_token": half(), "code": 123_456 });
    assert_eq!(site.send("POST", "/v2/users/2fa-login", None, Some(&numeric)).0, 400);
}

#[test]
fn codes_are_those_of_rfc_6238() {
    let seed = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    assert_eq!(super::login::code_at(seed, 59 / 30).as_deref(), Some("287082"));
    assert_eq!(super::login::code_at(seed, 1_111_111_109 / 30).as_deref(), Some("081804"));
}

#[test]
fn failed_logins_lock_a_name_out_for_an_hour() {
    let site = site();
    let (_, pat) = site.pat("scan", "repo:read");
    for _ in 0..6 {
        assert_eq!(site.login("scan", "wrong").0, 401);
    }
    let (status, body) = site.login("scan", &pat);
    assert_eq!((status, &body["detail"]), (429, &json!("too many failed login attempts for username or IP address")));
    assert_eq!(site.registry_token(Some(("scan", &pat)), &[]).0, 429);
    assert_eq!(site.password("scan", "password of scan").0, 429);
    assert_eq!(site.password("mia", "password of mia").0, 200);
    site.pass(3_600);
    assert_eq!(site.login("scan", &pat).0, 200);
}

#[test]
fn a_person_locks_a_name_out_until_a_time() {
    let site = site();
    let (_, pat) = site.pat("scan", "repo:read");
    let end = OffsetDateTime::from_unix_timestamp(START + 600).expect("a time");
    site.world.with(|state| hub::lock(state, "scan", end));
    let (status, body) = site.login("scan", &pat);
    assert_eq!((status, &body["detail"]), (429, &json!("too many failed login attempts for username or IP address")));
    assert_eq!(
        (site.password("scan", "password of scan").0, site.registry_token(Some(("scan", &pat)), &[]).0),
        (429, 429)
    );
    assert_eq!(site.password("mia", "password of mia").0, 200);
    site.pass(600);
    assert_eq!(site.login("scan", &pat).0, 200);
    site.world.with(|state| hub::lock(state, "scan", end + Duration::hours(1)));
    site.world.with(hub::forget_failed_logins);
    assert_eq!(site.login("scan", &pat).0, 200);
}

#[test]
fn organizations_and_single_sign_on_refuse_passwords() {
    let site = site();
    let (_, pat) = site.pat("scan", "repo:read");
    assert_eq!(site.password("acme", "x"), (401, json!({ "detail": "Cannot log into an organization account" })));
    site.world.with(|state| hub::enforce_sso(state, "acme", true));
    assert_eq!(site.password("scan", "password of scan").0, 401);
    assert_eq!(site.login("scan", &pat).0, 200);
    site.world.with(|state| state.hub.legacy_login_gone = Some(410));
    assert_eq!(site.password("scan", "password of scan").0, 410);
}

#[test]
fn a_short_list_is_no_error() {
    let site = site();
    let bearer = |user: &str, scope: &str| site.bearer(user, &site.pat(user, scope).1);
    assert_eq!(site.names(&bearer("scan", "repo:read")), 12);
    assert_eq!(site.names(&bearer("scan", "repo:public_read")), 8);
    assert_eq!(site.names(&bearer("mia", "repo:admin")), 8);
    site.world.with(|state| {
        hub::add_to_team(state, "acme", "readers", "mia");
        hub::team_permission(state, "acme", "readers", "app-00003", Some(Permission::Read));
    });
    assert_eq!(site.names(&bearer("mia", "repo:read")), 9);
    let empty = json!({ "count": 0, "next": null, "previous": null, "results": [] });
    assert_eq!(site.get("/v2/namespaces/nobody/repositories", &bearer("scan", "repo:read")), (200, empty));
}

#[test]
fn pages_are_numbered_and_linked_on_the_real_host() {
    let site = site();
    let bearer = site.bearer("scan", &site.pat("scan", "repo:read").1);
    let path = "/v2/namespaces/acme/repositories";
    let (_, page) = site.get(&format!("{path}?page=2&page_size=5&ordering=name"), &bearer);
    assert_eq!(page["results"][0]["name"], "app-00005");
    assert_eq!(page["next"], "https://hub.docker.com/v2/namespaces/acme/repositories?page=3&page_size=5&ordering=name");
    assert!(page["previous"].is_string());
    let (_, last) = site.get(&format!("{path}?page=3&page_size=5&ordering=-name"), &bearer);
    assert_eq!((last["results"][1]["name"].as_str(), &last["next"]), (Some("app-00000"), &Value::Null));
    assert_eq!(site.get(&format!("{path}?page=4&page_size=5"), &bearer).0, 404);
    for bad in ["page=0", "page=x", "page_size=101", "page_size=0", "ordering=size"] {
        let (status, body) = site.get(&format!("{path}?{bad}"), &bearer);
        assert_eq!((status, body["fields"].is_object(), body["text"].is_string()), (400, true, true), "{bad}");
    }
    let (_, named) = site.get(&format!("{path}?name=0001"), &bearer);
    assert_eq!(named["count"], 3);
    assert_eq!(site.send("GET", path, None, None).0, 401);
}

#[test]
fn a_repository_out_of_sight_does_not_exist() {
    let site = site();
    let member = site.bearer("mia", &site.pat("mia", "repo:read").1);
    let editor = site.bearer("scan", &site.pat("scan", "repo:read").1);
    let path = "/v2/namespaces/acme/repositories/app-00000";
    assert_eq!(site.get(path, &member).0, 404);
    let (status, body) = site.get(path, &editor);
    assert_eq!((status, &body["permissions"]), (200, &json!({ "read": true, "write": true, "admin": false })));
    let (_, tags) = site.get(&format!("{path}/tags?page_size=1"), &editor);
    assert_eq!(tags["results"][0]["name"], "latest");
    assert!(tags["results"][0]["digest"].as_str().expect("a digest").starts_with("sha256:"));
    site.world.with(|state| hub::remove_tags(state, "acme", "app-00000"));
    assert_eq!(site.get(&format!("{path}/tags"), &editor).1["count"], 0);
    assert_eq!(site.send("DELETE", path, Some(&editor), None).0, 405);
}

#[test]
fn organization_tokens_list_and_pull_what_their_resources_give() {
    let site = site();
    let add = |resource| site.world.with(|state| hub::add_oat(state, "acme", "ci", vec![resource])).1;
    let pulling = add(OatResource::repositories("acme/*", &["scope-image-pull"]));
    let listing = add(OatResource::repositories("acme/*", &["scope-image-pull", "scope-repository-list"]));
    assert_eq!(site.names(&site.bearer("acme", &pulling)), 8, "the filtering is silent");
    assert_eq!(site.names(&site.bearer("acme", &listing)), 12);
    assert_eq!(site.login("scan", &listing).0, 401);
    let access = site.access(Some(("acme", &pulling)), &["repository:acme/app-00000:pull,push"]);
    assert_eq!(access[0]["actions"], json!(["pull"]));
    assert!(site.world.with(|state| hub::can_pull_everything(state, "acme", &pulling, "acme")));
    let bearer = site.bearer("acme", &listing);
    let tags = |bearer: &str, rest: &str| {
        site.get(&format!("/v2/namespaces/acme/repositories/app-00000/tags{rest}"), bearer).0
    };
    assert_eq!((tags(&bearer, "?page_size=3"), tags(&bearer, "/latest")), (403, 403), "tags have a scope of their own");
    let scopes = ["scope-image-pull", "scope-repository-list", "scope-tag-read"];
    let reading = site.bearer("acme", &add(OatResource::repositories("acme/*", &scopes)));
    assert_eq!((tags(&reading, "?page_size=3"), tags(&reading, "/latest")), (200, 200));
    assert_eq!(site.get("/v2/access-tokens", &bearer).0, 403);
    assert_eq!(site.get("/v2/repositories/acme", &bearer).0, 403);
}
