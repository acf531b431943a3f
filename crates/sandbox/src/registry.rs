//! `registry-1.docker.io`: manifests and lists of tags, for clients with a token of Docker's token service.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderValue;
use serde_json::{Value, json};

use crate::hub::{MediaType, Repository, Tag, manifest, wire};
use crate::keys;
use crate::world::{Request, Response, State, empty, json as json_response};

/// The registry's own state: the recorded pulls.
#[derive(Default)]
pub struct Registry {
    /// Manifests returned to `GET`, by repository (`org/name`). Each one is a pull (Docker's manual).
    pub pulls: BTreeMap<String, u64>,
    /// Manifests returned to `HEAD`, by repository. They are not pulls.
    pub heads: BTreeMap<String, u64>,
    /// Whether a list of tags ignores `n` and is whole (observed in 2020).
    pub ignores_n: bool,
    /// The token URL in challenges. `None` is `https://auth.docker.io/token`. Behind sockets it is the sandbox's own.
    pub realm: Option<String>,
}

/// Handles one request.
pub fn handle(state: &mut State, request: &Request) -> Response {
    let is_head = request.method() == "HEAD";
    let mut response = route(state, request);
    response.headers_mut().insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
    if is_head {
        *response.body_mut() = Bytes::new();
    }
    response
}

fn route(state: &mut State, request: &Request) -> Response {
    let path = request.uri().path();
    if !matches!(request.method().as_str(), "GET" | "HEAD") {
        return refuse(405, "UNSUPPORTED", "The operation is unsupported.", &Value::Null);
    }
    if path == "/v2/" || path == "/v2" {
        return match claims(state, request) {
            Ok(_) => json_response(200, &json!({})),
            Err(error) => challenge(state, None, error),
        };
    }
    let rest = path.strip_prefix("/v2/").unwrap_or_default();
    let (name, reference) = match (rest.split_once("/manifests/"), rest.strip_suffix("/tags/list")) {
        (Some((name, reference)), _) => (name, Some(reference)),
        (None, Some(name)) => (name, None),
        (None, None) => return refuse(404, "NOT_FOUND", "page not found", &Value::Null),
    };
    let claims = match claims(state, request) {
        Ok(claims) => claims,
        Err(error) => return challenge(state, Some(name), error),
    };
    let pulls = |entry: &Value| {
        entry["type"] == "repository"
            && entry["name"] == name
            && entry["actions"].as_array().is_some_and(|actions| actions.iter().any(|action| action == "pull"))
    };
    if !claims["access"].as_array().is_some_and(|access| access.iter().any(pulls)) {
        return challenge(state, Some(name), Some("insufficient_scope"));
    }
    match reference {
        Some(reference) => give(state, request, name, reference),
        None => tags(state, request, name),
    }
}

/// The names of the tags, in lexical order; with `n` that many, after `last` (OCI distribution specification).
fn tags(state: &State, request: &Request, name: &str) -> Response {
    let Some(repository) = repository(state, name) else {
        return refuse(404, "NAME_UNKNOWN", "repository name not known to registry", &json!({ "name": name }));
    };
    let query = wire::query(request);
    let value = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let n = match value("n").filter(|_| !state.registry.ignores_n).map(str::parse::<usize>) {
        None => usize::MAX,
        Some(Ok(n)) => n,
        Some(Err(_)) => {
            return refuse(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested", &Value::Null);
        }
    };
    let after = value("last").unwrap_or_default();
    let mut rest = repository.tags.keys().filter(|tag| tag.as_str() > after);
    let page: Vec<&String> = rest.by_ref().take(n).collect();
    let mut response = json_response(200, &json!({ "name": name, "tags": page }));
    let next = page.last().filter(|_| rest.next().is_some());
    if let Some(next) = next
        && let Ok(link) = HeaderValue::from_str(&format!(r#"</v2/{name}/tags/list?n={n}&last={next}>; rel="next""#))
    {
        response.headers_mut().insert("link", link);
    }
    response
}

fn give(state: &mut State, request: &Request, name: &str, reference: &str) -> Response {
    let unknown = || refuse(404, "MANIFEST_UNKNOWN", "manifest unknown", &json!({ "Tag": reference }));
    let Some(repository) = repository(state, name) else {
        return refuse(404, "NAME_UNKNOWN", "repository name not known to registry", &json!({ "name": name }));
    };
    let Some((tag, Tag { digest, media_type, .. })) =
        repository.tags.iter().find(|(tag, found)| *tag == reference || found.digest == reference)
    else {
        return unknown();
    };
    if !accepts(request, *media_type) {
        let text = format!("{} found, but accept header does not support it", media_type.as_str());
        return refuse(404, "MANIFEST_UNKNOWN", &text, &Value::Null);
    }
    let mut response = empty(200);
    *response.body_mut() = Bytes::from(manifest(name, tag, *media_type));
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(media_type.as_str()));
    headers.insert("content-length", length.into());
    if let Ok(digest) = HeaderValue::from_str(digest) {
        headers.insert("docker-content-digest", digest);
    }
    if request.method() == "GET" {
        *state.registry.pulls.entry(name.to_owned()).or_default() += 1;
        if let Some(repository) = repository_mut(state, name) {
            repository.pull_count += 1;
        }
    } else {
        *state.registry.heads.entry(name.to_owned()).or_default() += 1;
    }
    response
}

fn repository<'a>(state: &'a State, name: &str) -> Option<&'a Repository> {
    let (space, name) = name.split_once('/')?;
    state.hub.organizations.get(space)?.repositories.get(name)
}

fn repository_mut<'a>(state: &'a mut State, name: &str) -> Option<&'a mut Repository> {
    let (space, name) = name.split_once('/')?;
    state.hub.organizations.get_mut(space)?.repositories.get_mut(name)
}

/// Whether an `Accept` names the media type itself. `*/*` does not: without the type an existing manifest is not found
/// (observed).
fn accepts(request: &Request, media_type: MediaType) -> bool {
    request
        .headers()
        .get_all("accept")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(media_type.as_str()))
}

/// The claims of the request's token, or the `error` of the challenge.
fn claims(state: &State, request: &Request) -> Result<Value, Option<&'static str>> {
    let header = request.headers().get("authorization").ok_or(None)?;
    let token = header.to_str().ok().and_then(|value| value.strip_prefix("Bearer ")).ok_or(None)?;
    let claims = keys::registry().verify(token).ok_or(Some("invalid_token"))?;
    let now = state.hub_now().unix_timestamp();
    let good = claims["iss"] == "auth.docker.io"
        && claims["aud"] == "registry.docker.io"
        && claims["exp"].as_i64().is_some_and(|end| end > now)
        && claims["nbf"].as_i64().is_some_and(|start| start <= now);
    if good { Ok(claims) } else { Err(Some("invalid_token")) }
}

/// 401: missing and forbidden repositories look the same (observed since April 2023).
fn challenge(state: &State, name: Option<&str>, error: Option<&str>) -> Response {
    let detail = name.map_or(Value::Null, |name| json!([{ "Type": "repository", "Name": name, "Action": "pull" }]));
    let mut response = refuse(401, "UNAUTHORIZED", "authentication required", &detail);
    let realm = state.registry.realm.as_deref().unwrap_or("https://auth.docker.io/token");
    let mut text = format!(r#"Bearer realm="{realm}",service="registry.docker.io""#);
    if let Some(name) = name {
        text = format!(r#"{text},scope="repository:{name}:pull""#);
    }
    if let Some(error) = error {
        text = format!(r#"{text},error="{error}""#);
    }
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert("www-authenticate", value);
    }
    response
}

fn refuse(status: u16, code: &str, message: &str, detail: &Value) -> Response {
    json_response(status, &json!({ "errors": [{ "code": code, "message": message, "detail": detail }] }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use base64::Engine;
    use time::OffsetDateTime;

    use super::*;
    use crate::hub::{self, Role};
    use crate::world::{Service, World};

    fn site() -> (World, Arc<AtomicI64>, String) {
        let clock = Arc::new(AtomicI64::new(1_793_534_400));
        let read = Arc::clone(&clock);
        let now = move || OffsetDateTime::from_unix_timestamp(read.load(Ordering::Relaxed)).expect("a time");
        let world = World::with_clock(Arc::new(now), 7);
        let pat = world.with(|state| {
            hub::add_repositories(state, "acme", "app", 4, 1);
            hub::add_user(state, "scan", "password");
            hub::add_member(state, "acme", "scan", Role::Editor);
            hub::add_pat(state, "scan", "test", &["repo:read"], None).1
        });
        (world, clock, pat)
    }

    fn token(world: &World, pat: &str, repository: &str) -> String {
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("scan:{pat}"));
        let uri = format!("/token?service=registry.docker.io&scope=repository:{repository}:pull");
        let request = http::Request::get(uri).header("authorization", format!("Basic {basic}"));
        let response = world.call(Service::HubAuth, request.body(Bytes::new()).expect("a request")).expect("an answer");
        let body: Value = serde_json::from_slice(response.body()).expect("JSON");
        body["token"].as_str().expect("a token").to_owned()
    }

    fn manifest(world: &World, method: &str, repository: &str, token: Option<&str>, accept: &[&str]) -> Response {
        let mut request = http::Request::builder().method(method).uri(format!("/v2/{repository}/manifests/latest"));
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for accept in accept {
            request = request.header("accept", *accept);
        }
        world.call(Service::Registry, request.body(Bytes::new()).expect("a request")).expect("an answer")
    }

    fn every_type() -> Vec<&'static str> {
        MediaType::ALL.iter().map(|media_type| media_type.as_str()).collect()
    }

    #[test]
    fn a_head_with_every_type_finds_each_manifest_and_is_no_pull() {
        let (world, _, pat) = site();
        for index in 0..4 {
            let name = format!("acme/app{index:05}");
            let token = token(&world, &pat, &name);
            let response = manifest(&world, "HEAD", &name, Some(&token), &[&every_type().join(", ")]);
            assert_eq!(response.status(), 200);
            assert!(response.headers()["docker-content-digest"].to_str().expect("text").starts_with("sha256:"));
            assert!(response.body().is_empty());
            assert!(response.headers()["content-length"] != "0");
        }
        world.with(|state| assert_eq!((state.registry.pulls.len(), state.registry.heads.len()), (0, 4)));
        let token = token(&world, &pat, "acme/app00000");
        let response = manifest(&world, "GET", "acme/app00000", Some(&token), &every_type());
        assert!(!response.body().is_empty());
        world.with(|state| assert_eq!(state.registry.pulls["acme/app00000"], 1));
    }

    #[test]
    fn a_manifest_of_a_type_that_is_not_accepted_is_not_found() {
        let (world, _, pat) = site();
        let token = token(&world, &pat, "acme/app00000");
        for accept in [vec![], vec!["*/*"], vec![MediaType::DockerList.as_str()]] {
            assert_eq!(manifest(&world, "HEAD", "acme/app00000", Some(&token), &accept).status(), 404, "{accept:?}");
        }
        world.with(|state| hub::remove_tags(state, "acme", "app00000"));
        let gone = manifest(&world, "GET", "acme/app00000", Some(&token), &every_type());
        assert_eq!(gone.status(), 404);
        assert!(String::from_utf8_lossy(gone.body()).contains("MANIFEST_UNKNOWN"));
    }

    #[test]
    fn without_the_right_token_there_is_a_challenge() {
        let (world, clock, pat) = site();
        let right = token(&world, &pat, "acme/app00000");
        let other = token(&world, &pat, "acme/app00001");
        let challenge = |token: Option<&str>| {
            let response = manifest(&world, "HEAD", "acme/app00000", token, &every_type());
            assert_eq!(response.status(), 401);
            response.headers()["www-authenticate"].to_str().expect("text").to_owned()
        };
        let base = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:acme/app00000:pull""#;
        assert_eq!(challenge(None), base);
        assert_eq!(challenge(Some(&other)), format!(r#"{base},error="insufficient_scope""#));
        assert_eq!(challenge(Some(&pat)), format!(r#"{base},error="invalid_token""#));
        world.with(|state| state.registry.realm = Some("http://127.0.0.1:1/token".to_owned()));
        assert!(challenge(None).starts_with(r#"Bearer realm="http://127.0.0.1:1/token",service="registry.docker.io""#));
        world.with(|state| state.registry.realm = None);
        clock.fetch_add(300, Ordering::Relaxed);
        assert_eq!(challenge(Some(&right)), format!(r#"{base},error="invalid_token""#));
    }

    #[test]
    fn tags_are_listed_by_name_and_by_page_for_those_who_may_pull() {
        let (world, _, pat) = site();
        world.with(|state| {
            for tag in ["v2", "v10", "1.0"] {
                hub::add_tag(state, "acme", "app00000", tag, MediaType::OciManifest);
            }
        });
        let right = token(&world, &pat, "acme/app00000");
        let list = |query: &str, bearer: &str| {
            let uri = format!("/v2/acme/app00000/tags/list{query}");
            let request = http::Request::get(uri).header("authorization", format!("Bearer {bearer}"));
            world.call(Service::Registry, request.body(Bytes::new()).expect("a request")).expect("an answer")
        };
        let names = |query: &str| {
            let body: Value = serde_json::from_slice(list(query, &right).body()).expect("JSON");
            assert_eq!(body["name"], "acme/app00000");
            body["tags"].as_array().expect("tags").iter().map(|tag| tag.as_str().expect("text").to_owned()).collect()
        };
        let every: Vec<String> = names("");
        assert_eq!(every, ["1.0", "latest", "v10", "v2"]);
        assert_eq!(names("?n=2"), every[..2]);
        assert_eq!(names("?n=2&last=latest"), every[2..]);
        let link = |query: &str| list(query, &right).headers().get("link").cloned();
        let next = link("?n=2").expect("a link");
        assert_eq!(next, r#"</v2/acme/app00000/tags/list?n=2&last=latest>; rel="next""#);
        assert_eq!((link("?n=4"), link("?n=2&last=latest"), link("")), (None, None, None));
        world.with(|state| state.registry.ignores_n = true);
        assert_eq!(names("?n=2"), every);
        world.with(|state| state.registry.ignores_n = false);
        assert_eq!(list("?n=x", &right).status(), 400);
        let other = token(&world, &pat, "acme/app00001");
        for bearer in [other.as_str(), pat.as_str()] {
            let refused = list("", bearer);
            assert_eq!(refused.status(), 401);
            assert!(refused.headers()["www-authenticate"].to_str().expect("text").contains("acme/app00000:pull"));
        }
        world.with(|state| hub::remove_tags(state, "acme", "app00000"));
        assert_eq!(names("?n=2"), [""; 0]);
        world.with(|state| {
            assert_eq!((state.registry.pulls.len(), state.registry.heads.len()), (0, 0), "a list is no pull");
            hub::delete_repository(state, "acme", "app00000");
        });
        assert_eq!(list("", &right).status(), 404);
    }

    #[test]
    fn the_root_tells_whether_a_token_is_good() {
        let (world, _, pat) = site();
        let token = token(&world, &pat, "acme/app00000");
        let root = |bearer: &str| {
            let request = http::Request::get("/v2/").header("authorization", format!("Bearer {bearer}"));
            world.call(Service::Registry, request.body(Bytes::new()).expect("a request")).expect("an answer").status()
        };
        assert_eq!((root(&token).as_u16(), root("nonsense").as_u16()), (200, 401));
    }
}
