//! Tests of Resource Manager with requests in their real shape.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::entra;
use crate::world::{Service, World};

mod preflight;

const START: i64 = 1_793_534_400;
const TENANT: &str = "6c1f1f0e-0000-4000-8000-000000000001";
const CLIENT: &str = "6c1f1f0e-0000-4000-8000-000000000002";
const SUBSCRIPTION: &str = "a5caac9c-5c04-49af-b3d0-e204f40345d5";
const VERSION: &str = "2024-08-01-preview";

struct Site {
    world: World,
    clock: Arc<AtomicI64>,
    bearer: String,
}

fn site() -> Site {
    let clock = Arc::new(AtomicI64::new(START));
    let read = Arc::clone(&clock);
    let now = move || OffsetDateTime::from_unix_timestamp(read.load(Ordering::Relaxed)).expect("a time");
    let world = World::with_clock(Arc::new(now), 7);
    let secret = world.with(|state| {
        add_resource_group(state, SUBSCRIPTION, "rg1");
        entra::register_application(state, TENANT, CLIENT);
        grant(state, CLIENT, SUBSCRIPTION, "rg1", &["read", "write", "delete"]);
        entra::add_client_secret(state, CLIENT, None)
    });
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", CLIENT)
        .append_pair("scope", "https://management.azure.com/.default")
        .append_pair("grant_type", "client_credentials")
        .append_pair("client_secret", &secret)
        .finish();
    let request = http::Request::post(format!("/{TENANT}/oauth2/v2.0/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Bytes::from(form))
        .expect("a request");
    let response = world.call(Service::Entra, request).expect("an answer");
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    let bearer = body["access_token"].as_str().expect("a bearer").to_owned();
    Site { world, clock, bearer }
}

fn path(group: &str, name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Security/securityConnectors/{name}"
    )
}

fn body() -> Value {
    json!({
        "location": "centralus",
        "tags": { "team": "security" },
        "properties": {
            "hierarchyIdentifier": "acme",
            "environmentName": "DockerHub",
            "environmentData": {
                "environmentType": "DockerHubOrganization",
                "authentication": { "authenticationType": "AccessToken", "username": "scan", "accessToken": "secret" },
                "scanInterval": 24,
            },
            "offerings": [{ "offeringType": "CspmMonitorDockerHub" }, { "offeringType": "DefenderCspmDockerHub" }],
        },
    })
}

impl Site {
    fn raw(&self, method: &str, uri: &str, bearer: Option<&str>, body: Option<&Value>) -> (u16, Value, Response) {
        let mut request = http::Request::builder().method(method).uri(uri);
        if let Some(bearer) = bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let response = self.world.call(Service::Arm, request.body(body).expect("a request")).expect("an answer");
        let body = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
        (response.status().as_u16(), body, response)
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let (status, body, _) = self.raw(method, &format!("{path}?api-version={VERSION}"), Some(&self.bearer), body);
        (status, body)
    }

    fn put(&self, body: &Value) -> (u16, Value) {
        self.send("PUT", &path("rg1", "hub"), Some(body))
    }

    fn get(&self) -> (u16, Value) {
        self.send("GET", &path("rg1", "hub"), None)
    }
}

fn code((status, body): &(u16, Value)) -> (u16, String) {
    (*status, body["error"]["code"].as_str().unwrap_or("").to_owned())
}

#[test]
fn a_connector_is_made_read_updated_and_deleted() {
    let site = site();
    assert_eq!(code(&site.get()), (404, "ResourceNotFound".to_owned()));
    let (status, made) = site.put(&body());
    assert_eq!(status, 201);
    assert_eq!(
        made["id"],
        format!("/subscriptions/{SUBSCRIPTION}/resourcegroups/rg1/providers/Microsoft.Security/securityconnectors/hub")
    );
    assert_eq!(made["systemData"]["lastModifiedBy"], CLIENT);
    assert_eq!(made["systemData"]["createdByType"], "Application");
    let (status, seen) = site.send("GET", &path("RG1", "HUB").to_lowercase(), None);
    let authentication = json!({ "authenticationType": "AccessToken", "username": "scan" });
    assert_eq!((status, &seen["properties"]["environmentData"]["authentication"]), (200, &authentication));
    let stored = |state: &mut State| {
        connector(state, SUBSCRIPTION, "RG1", "Hub")
            .and_then(|found| found.credential())
            .map(|(user, token)| (user.to_owned(), token.to_owned()))
    };
    assert_eq!(site.world.with(stored), Some(("scan".to_owned(), "secret".to_owned())));
    let mut changed = body();
    changed["properties"]["environmentData"]["authentication"]["accessToken"] = "newer".into();
    changed["tags"] = json!({ "other": "tag" });
    site.clock.fetch_add(60, Ordering::Relaxed);
    let (status, updated) = site.put(&changed);
    assert_eq!((status, &updated["tags"]), (200, &json!({ "other": "tag" })));
    assert!(updated["systemData"]["lastModifiedAt"].as_str() > updated["systemData"]["createdAt"].as_str());
    assert_eq!(site.world.with(stored).map(|(_, token)| token), Some("newer".to_owned()));
    assert_eq!(site.send("DELETE", &path("rg1", "hub"), None).0, 200);
    assert_eq!(site.send("DELETE", &path("rg1", "hub"), None).0, 204);
}

#[test]
fn a_patch_replaces_tags_as_a_whole_and_keeps_the_rest() {
    let site = site();
    assert_eq!(code(&site.send("PATCH", &path("rg1", "hub"), Some(&json!({})))).0, 404);
    site.put(&body());
    let (status, patched) = site.send("PATCH", &path("rg1", "hub"), Some(&json!({ "tags": { "a": "b" } })));
    assert_eq!((status, &patched["tags"]), (200, &json!({ "a": "b" })));
    assert_eq!(patched["properties"]["offerings"].as_array().map(Vec::len), Some(2));
    site.world.with(|state| {
        let found = connector(state, SUBSCRIPTION, "rg1", "hub").and_then(|found| found.credential());
        assert_eq!(found, Some(("scan", "secret")));
    });
}

#[test]
fn what_a_read_says_of_the_token_is_a_switch() {
    let site = site();
    site.put(&body());
    for (echo, expected) in
        [(EchoToken::Never, Value::Null), (EchoToken::Masked, json!("***")), (EchoToken::Plain, json!("secret"))]
    {
        site.world.with(|state| state.arm.echo_token = echo);
        assert_eq!(site.get().1["properties"]["environmentData"]["authentication"]["accessToken"], expected);
    }
}

#[test]
fn the_provider_refuses_in_its_own_shape() {
    let site = site();
    let wrong = |pointer: &str, value: Value| {
        let mut body = body();
        let (parent, member) = pointer.rsplit_once('/').expect("a pointer");
        let parent = body.pointer_mut(parent).expect("a parent");
        if value.is_null() {
            parent.as_object_mut().expect("an object").remove(member);
        } else {
            parent[member] = value;
        }
        let (status, answer) = site.put(&body);
        assert_eq!(status, 400, "{pointer}");
        answer
    };
    let data = "/properties/environmentData";
    for (pointer, value) in [
        (format!("{data}/environmentType"), json!("DockerHub")),
        (format!("{data}/authentication"), Value::Null),
        (format!("{data}/authentication/authenticationType"), json!("Password")),
        (format!("{data}/authentication/accessToken"), Value::Null),
        (format!("{data}/authentication/accessToken"), json!("")),
        (format!("{data}/authentication/accessToken"), json!(7)),
        (format!("{data}/authentication/accesToken"), json!("x")),
        (format!("{data}/authentication/username"), Value::Null),
        (format!("{data}/scanInterval"), json!(48)),
        (format!("{data}/scanInterval"), json!(0)),
        (format!("{data}/scanInterval"), json!("24")),
        (format!("{data}/scanInterval"), json!(1.5)),
        (format!("{data}/scanIntervall"), json!(24)),
        ("/properties/environmentName".to_owned(), json!("Dockerhub")),
        ("/properties/environmentData".to_owned(), Value::Null),
        ("/properties/offerings".to_owned(), json!([{ "offeringType": "Unknown" }])),
        ("/properties/offerings".to_owned(), json!([{}])),
        ("/properties".to_owned(), Value::Null),
    ] {
        let answer = wrong(&pointer, value);
        assert_eq!(answer["statusCode"], 400, "{pointer}");
        let message = answer["errorMessage"].as_str().expect("a message");
        assert!(message.starts_with("error occured for security connector: ") && !message.contains("secret"));
        assert!(answer["errorCorrelation"].is_string());
    }
    assert_eq!(wrong("/location", Value::Null)["error"]["code"], "LocationRequired");
    assert_eq!(wrong("/propertees", json!({}))["error"]["code"], "InvalidRequestContent");
    assert_eq!(wrong("/tags", json!({ "a/b": "c" }))["error"]["code"], "InvalidTagNameCharacters");
    assert_eq!(wrong("/tags", json!({ "a": "c", "A": "c" }))["error"]["code"], "InvalidRequestContent");
    let many: serde_json::Map<_, _> = (0..51).map(|index| (format!("t{index}"), json!(""))).collect();
    assert_eq!(wrong("/tags", Value::Object(many))["error"]["code"], "TooManyTags");
    assert_eq!(site.get().0, 404, "nothing was stored");
    assert_eq!(site.put(&json!([])).0, 400);
    let uri = format!("{}?api-version={VERSION}", path("rg1", "hub"));
    assert_eq!(site.raw("PUT", &uri, Some(&site.bearer), None).0, 415);
}

#[test]
fn an_existing_connector_keeps_its_place_and_its_odd_offerings() {
    let site = site();
    let mut odd = body();
    odd["properties"]["offerings"] = json!([{ "offeringType": "FromTheFuture", "level": 3 }]);
    odd["properties"]["environmentData"]["mirror"] = true.into();
    odd["location"] = "Central US".into();
    site.world.with(|state| put_connector(state, SUBSCRIPTION, "rg1", "hub", &odd, "person@example.com"));
    let (_, seen) = site.get();
    assert_eq!(seen["systemData"]["lastModifiedBy"], "person@example.com");
    assert_eq!(seen["systemData"]["lastModifiedByType"], "User");
    odd["location"] = "centralus".into();
    let (status, kept) = site.put(&odd);
    assert_eq!((status, &kept["properties"]["offerings"][0]["level"]), (200, &json!(3)));
    assert_eq!(kept["systemData"]["createdBy"], "person@example.com");
    odd["location"] = "westeurope".into();
    assert_eq!(code(&site.put(&odd)), (400, "InvalidResourceLocation".to_owned()));
}

#[test]
fn an_etag_must_come_back_where_it_is_given() {
    let site = site();
    site.world.with(|state| state.arm.etags = true);
    let (_, made) = site.put(&body());
    assert_eq!(site.put(&body()).0, 400);
    let mut again = body();
    again["etag"] = "stale".into();
    assert_eq!(site.put(&again).0, 412);
    again["etag"] = made["etag"].clone();
    let (status, updated) = site.put(&again);
    assert_eq!(status, 200);
    assert_ne!(updated["etag"], made["etag"]);
}

#[test]
fn who_may_not_is_told_why() {
    let site = site();
    let uri = format!("{}?api-version={VERSION}", path("rg1", "hub"));
    let (status, answer, response) = site.raw("GET", &uri, None, None);
    assert_eq!(code(&(status, answer)), (401, "InvalidAuthenticationToken".to_owned()));
    assert!(response.headers().contains_key("www-authenticate"));
    let (status, answer, _) = site.raw("GET", &uri, Some("nonsense"), None);
    assert_eq!(code(&(status, answer)), (401, "InvalidAuthenticationToken".to_owned()));
    site.world.with(|state| {
        add_resource_group(state, SUBSCRIPTION, "rg2");
        revoke_grants(state, CLIENT);
        grant(state, CLIENT, SUBSCRIPTION, "rg1", &["read"]);
    });
    assert_eq!(code(&site.put(&body())), (403, "AuthorizationFailed".to_owned()));
    assert_eq!(code(&site.send("GET", &path("rg2", "hub"), None)), (403, "AuthorizationFailed".to_owned()));
    assert_eq!(code(&site.get()).0, 404);
    site.world.with(|state| state.arm.role_delay = Duration::seconds(120));
    assert_eq!(code(&site.get()).0, 403);
    site.clock.fetch_add(120, Ordering::Relaxed);
    assert_eq!(code(&site.get()).0, 404);
    site.clock.fetch_add(3_600, Ordering::Relaxed);
    assert_eq!(code(&site.get()), (401, "ExpiredAuthenticationToken".to_owned()));
}

#[test]
fn a_path_or_version_that_is_wrong_is_named() {
    let site = site();
    let uri = path("rg1", "hub");
    let ask = |uri: &str| {
        let (status, answer, _) = site.raw("GET", uri, Some(&site.bearer), None);
        code(&(status, answer))
    };
    assert_eq!(ask(&uri), (400, "MissingApiVersionParameter".to_owned()));
    assert_eq!(ask(&format!("{uri}?api-version=latest")), (400, "InvalidApiVersionParameter".to_owned()));
    assert_eq!(ask(&format!("{uri}?api-version=2022-01-01")), (400, "NoRegisteredProviderFound".to_owned()));
    assert_eq!(ask(&format!("{uri}?Api-Version={VERSION}")), (404, "ResourceNotFound".to_owned()));
    let elsewhere = uri.replace(SUBSCRIPTION, "a5caac9c-5c04-49af-b3d0-e204f40345d6");
    assert_eq!(ask(&format!("{elsewhere}?api-version={VERSION}")), (404, "SubscriptionNotFound".to_owned()));
    assert_eq!(ask(&format!("/subscriptions/x?api-version={VERSION}")), (404, "InvalidResourceType".to_owned()));
    let put = |version: &str| {
        let uri = format!("{uri}?api-version={version}");
        site.raw("PUT", &uri, Some(&site.bearer), Some(&body())).0
    };
    assert_eq!(put("2023-10-01-preview"), 400);
    assert_eq!(put("2024-07-01-preview"), 201);
    assert_eq!(put("2026-08-01-preview"), 200);
    assert_eq!(site.send("POST", &path("rg1", "hub"), Some(&body())).0, 405);
    site.world.with(|state| delete_resource_group(state, SUBSCRIPTION, "rg1"));
    assert_eq!(code(&site.get()), (404, "ResourceGroupNotFound".to_owned()));
}

#[test]
fn a_subscription_may_be_unregistered_and_a_group_locked() {
    let site = site();
    site.world.with(|state| set_registered(state, SUBSCRIPTION, false));
    assert_eq!(code(&site.put(&body())), (409, "MissingSubscriptionRegistration".to_owned()));
    site.world.with(|state| {
        set_registered(state, SUBSCRIPTION, true);
        set_locked(state, SUBSCRIPTION, "rg1", true);
    });
    assert_eq!(code(&site.put(&body())), (409, "ScopeLocked".to_owned()));
    assert_eq!(code(&site.get()).0, 404);
}

#[test]
fn lists_come_in_pages() {
    let site = site();
    site.world.with(|state| {
        for name in ["a", "b", "c"] {
            put_connector(state, SUBSCRIPTION, "rg1", name, &body(), "person@example.com");
        }
        put_connector(state, SUBSCRIPTION, "rg2", "d", &body(), "person@example.com");
        state.arm.page_size = Some(2);
        grant(state, CLIENT, SUBSCRIPTION, "*", &["read"]);
        assert_eq!(connectors(state).count(), 4);
    });
    let all = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Security/securityConnectors");
    let group = path("rg1", "").trim_end_matches('/').to_owned();
    for (path, expected) in [(all, 4), (group, 3)] {
        let mut names = Vec::new();
        let mut uri = format!("{path}?api-version={VERSION}");
        loop {
            let (status, page, _) = site.raw("GET", &uri, Some(&site.bearer), None);
            assert_eq!(status, 200, "{page}");
            names.extend(page["value"].as_array().expect("a page").iter().map(|one| one["name"].clone()));
            let Some(next) = page["nextLink"].as_str() else { break };
            uri = next.to_owned();
        }
        assert_eq!(names.len(), expected);
    }
}

#[test]
fn a_health_report_is_there_once_it_is_set() {
    let site = site();
    site.put(&body());
    let uri =
        format!("{}/providers/Microsoft.Security/healthReports?api-version=2023-05-01-preview", path("rg1", "hub"));
    let ask = || site.raw("GET", &uri, Some(&site.bearer), None);
    assert_eq!(ask().0, 404);
    site.world.with(|state| set_health(state, SUBSCRIPTION, "rg1", "hub", Some("NotHealthy"), "the login failed"));
    let (status, reports, response) = ask();
    assert_eq!((status, &reports["value"][0]["properties"]["status"]["code"]), (200, &json!("NotHealthy")));
    assert!(response.headers().contains_key("x-ms-request-id"));
    assert!(response.headers().contains_key("x-ms-ratelimit-remaining-subscription-resource-requests"));
}

#[test]
fn an_early_retry_renews_the_wait() {
    let site = site();
    let bucket = Bucket { capacity: 2, refill_per_second: 1 };
    site.world.with(|state| state.arm.throttle = Some(Throttle { reads: bucket, ..Throttle::default() }));
    let ask = || {
        let uri = format!("{}?api-version={VERSION}", path("rg1", "hub"));
        let (status, _, response) = site.raw("GET", &uri, Some(&site.bearer), None);
        (status, response.headers().get("retry-after").and_then(|value| value.to_str().ok().map(ToOwned::to_owned)))
    };
    assert_eq!(ask().0, 404);
    assert_eq!(ask().0, 404);
    assert_eq!(ask(), (429, Some("5".to_owned())));
    site.clock.fetch_add(4, Ordering::Relaxed);
    assert_eq!(ask().0, 429);
    site.clock.fetch_add(4, Ordering::Relaxed);
    assert_eq!(ask().0, 429, "renewed");
    site.clock.fetch_add(5, Ordering::Relaxed);
    assert_eq!(ask().0, 404);
    assert_eq!(site.put(&body()).0, 201, "writes have a bucket of their own");
}
