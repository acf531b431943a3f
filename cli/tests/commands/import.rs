//! `hubkeeper import`: connectors as people made them in the portal. For each shape the connector has a working token after every
//! request, the run changes the fields of the plan and no other, and one secret is created.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use hubkeeper_core::secret::Document;
use hubkeeper_sandbox::arm::Connector;
use hubkeeper_sandbox::hub::OatResource;
use hubkeeper_sandbox::{State, arm, hub, scene};
use serde_json::{Map, Value, json};

use crate::azure::bearer;
use crate::site::Site;

const NAME: &str = "Portal-Hub";
const TOKEN: &str = "properties.environmentData.authentication.accessToken";
const USER: &str = "properties.environmentData.authentication.username";
const INTERVAL: &str = "properties.environmentData.scanInterval";
const ORGANIZATION: &str = "properties.hierarchyIdentifier";
/// What every takeover changes.
const ALWAYS: [&str; 5] =
    [TOKEN, "tags.hubkeeper-proved", "tags.hubkeeper-proved-at", "tags.hubkeeper-secret", "tags.hubkeeper-version"];

/// What the next token is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// A personal access token of the dedicated user.
    Personal,
    /// The same token that the connector has.
    Same,
    /// An organization access token.
    OfOrganization,
    /// The function makes it.
    Made,
}

/// One connector, and how it is imported.
pub(crate) struct Shape {
    what: &'static str,
    group: &'static str,
    /// The login inside: user and token.
    login: fn(&mut State) -> (String, String),
    /// Changes the connector of the portal.
    change: fn(&mut Value),
    options: &'static [&'static str],
    next: Next,
    /// The fields that the takeover changes beside those of every takeover.
    changes: &'static [&'static str],
    /// Whether the token inside is alive.
    works: bool,
}

pub(crate) const USUAL: Shape = Shape {
    what: "as the portal makes it",
    group: scene::GROUP,
    login: personal,
    change: |_| {},
    options: &[],
    next: Next::Personal,
    changes: &[],
    works: true,
};

/// A token of the dedicated user.
fn personal(state: &mut State) -> (String, String) {
    (scene::USER.to_owned(), hub::add_pat(state, scene::USER, "portal", &["repo:read"], None).1)
}

/// A token of a person, who reads the organization as an owner.
fn of_a_person(state: &mut State) -> (String, String) {
    hub::add_user(state, "jane", "a-password-of-jane");
    hub::add_member(state, scene::ORGANIZATION, "jane", hub::Role::Owner);
    ("jane".to_owned(), hub::add_pat(state, "jane", "portal", &["repo:read"], None).1)
}

/// An organization access token.
fn of_the_organization(state: &mut State) -> (String, String) {
    let scopes = ["scope-image-pull", "scope-repository-list", "scope-tag-read"];
    let resources = vec![OatResource::repositories("acme/*", &scopes)];
    (scene::ORGANIZATION.to_owned(), hub::add_oat(state, scene::ORGANIZATION, "portal", resources).1)
}

/// The password of the dedicated user, where a token belongs.
fn password(state: &mut State) -> (String, String) {
    (scene::USER.to_owned(), hub::user(state, scene::USER).unwrap().password.clone())
}

/// A token that was revoked.
fn dead(state: &mut State) -> (String, String) {
    let (uuid, token) = hub::add_pat(state, scene::USER, "portal", &["repo:read"], None);
    hub::revoke(state, &uuid);
    (scene::USER.to_owned(), token)
}

fn offerings(kinds: &[&str]) -> Value {
    kinds.iter().map(|kind| json!({"offeringType": kind})).collect()
}

fn shapes() -> Vec<Shape> {
    vec![
        USUAL,
        Shape {
            what: "with one plan, and an own tag",
            change: |body| {
                body["properties"]["offerings"] = offerings(&["DefenderForContainersDockerHub"]);
                body["tags"] = json!({"CostCenter": "7", "team": "Blue"});
            },
            ..USUAL
        },
        Shape {
            what: "with inventory alone, as many tags as there is room for, and the same token",
            change: |body| {
                body["properties"]["offerings"] = offerings(&["CspmMonitorDockerHub"]);
                body["tags"] =
                    (0..46).map(|at| (format!("tag-{at}"), json!("x"))).collect::<Map<String, Value>>().into();
            },
            next: Next::Same,
            ..USUAL
        },
        Shape { what: "without a plan", change: |body| body["properties"]["offerings"] = json!([]), ..USUAL },
        Shape {
            what: "with the organization in capitals",
            change: |body| body["properties"]["hierarchyIdentifier"] = json!("ACME"),
            changes: &[ORGANIZATION],
            ..USUAL
        },
        Shape {
            what: "with the token of a person",
            login: of_a_person,
            options: &["--username", scene::USER],
            changes: &[USER],
            ..USUAL
        },
        Shape {
            what: "with an organization access token",
            login: of_the_organization,
            options: &["--username", scene::USER],
            changes: &[USER],
            ..USUAL
        },
        Shape { what: "to an organization access token", next: Next::OfOrganization, changes: &[USER], ..USUAL },
        Shape { what: "with a password inside", login: password, ..USUAL },
        Shape {
            what: "with another interval, in a group of an odd name",
            group: "Rg_(Sec.Ops)-1ü",
            change: |body| body["properties"]["environmentData"]["scanInterval"] = json!(6),
            ..USUAL
        },
        Shape {
            what: "with an interval that no secret may hold",
            change: |body| body["properties"]["environmentData"]["scanInterval"] = json!(48),
            changes: &[INTERVAL],
            ..USUAL
        },
        Shape {
            what: "in another location, with what others added",
            change: |body| {
                body["location"] = json!("East US 2");
                body["kind"] = json!("portal");
                body["properties"]["offerings"] = offerings(&["DefenderCspmDockerHub", "CspmMonitorFuture"]);
                body["properties"]["environmentData"]["futureSetting"] = json!({"kept": [1, 2]});
            },
            ..USUAL
        },
        Shape { what: "unhealthy, with a dead token", login: dead, works: false, ..USUAL },
        Shape {
            what: "with a manager, which makes the token",
            next: Next::Made,
            options: &["--manager", scene::MANAGER],
            ..USUAL
        },
    ]
}

/// The connector that the portal makes.
fn portal(user: &str, token: &str) -> Value {
    json!({"location": "westeurope", "tags": {}, "properties": {
        "hierarchyIdentifier": scene::ORGANIZATION, "environmentName": "DockerHub",
        "environmentData": {"environmentType": "DockerHubOrganization", "scanInterval": 24,
            "authentication": {"authenticationType": "AccessToken", "username": user, "accessToken": token}},
        "offerings": offerings(&["CspmMonitorDockerHub", "DefenderForContainersDockerHub", "DefenderCspmDockerHub"])}})
}

/// A site with this connector and without the example's secret. Returns its resource id.
pub(crate) async fn site(shape: &Shape) -> (Site, String) {
    let site = Site::deployed_with(|state| {
        state.aws.secrets.retain(|_, secret| secret.name != scene::SECRET);
        arm::add_resource_group(state, scene::SUBSCRIPTION, shape.group);
        arm::grant(state, scene::CLIENT, scene::SUBSCRIPTION, shape.group, &["read", "write", "delete"]);
        let (user, token) = (shape.login)(state);
        let mut body = portal(&user, &token);
        (shape.change)(&mut body);
        arm::put_connector(state, scene::SUBSCRIPTION, shape.group, NAME, &body, "jane@acme.example");
        if !shape.works {
            arm::set_health(state, scene::SUBSCRIPTION, shape.group, NAME, Some("NotHealthy"), "Unauthorized");
        }
    })
    .await;
    let id = format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Security/securityConnectors/{NAME}",
        scene::SUBSCRIPTION,
        shape.group
    );
    (site, id)
}

pub(crate) fn connector(state: &State, group: &str) -> Connector {
    arm::connector(state, scene::SUBSCRIPTION, group, NAME).unwrap().clone()
}

/// Whether the login in the connector works now.
pub(crate) fn works(state: &State, group: &str) -> bool {
    let connector = connector(state, group);
    let (user, token) = connector.credential().unwrap();
    let is_password = hub::user(state, user).is_some_and(|known| known.password == token);
    is_password || hub::can_pull_everything(state, user, token, scene::ORGANIZATION)
}

/// The fields of a stored connector by their paths, the token among them.
fn fields(connector: &Connector) -> BTreeMap<String, Value> {
    fn add(path: &str, value: &Value, fields: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                members.iter().for_each(|(name, value)| add(&format!("{path}.{name}"), value, fields));
            }
            value => drop(fields.insert(path.to_owned(), value.clone())),
        }
    }
    let mut all = BTreeMap::new();
    add("properties", &connector.properties, &mut all);
    all.insert("location".to_owned(), json!(connector.location));
    all.insert("kind".to_owned(), json!(connector.kind));
    all.insert(TOKEN.to_owned(), json!(connector.credential().map(|(_, token)| token)));
    all.extend(connector.tags.iter().map(|(name, value)| (format!("tags.{name}"), json!(value))));
    all
}

/// The fields that differ.
fn differing(before: &Connector, after: &Connector) -> BTreeSet<String> {
    let (before, after) = (fields(before), fields(after));
    before.keys().chain(after.keys()).filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

fn planned(report: &Value) -> BTreeSet<String> {
    let changes = report["takeover"]["changes"].as_array().unwrap();
    changes.iter().map(|change| change["field"].as_str().unwrap().to_owned()).collect()
}

/// The next token of a shape.
fn token(site: &Site, shape: &Shape) -> Option<String> {
    match shape.next {
        Next::Made => None,
        Next::Personal => Some(site.token("repo:read")),
        Next::OfOrganization => Some(site.world.with(of_the_organization).1),
        Next::Same => Some(site.world.with(|state| connector(state, shape.group).credential().unwrap().1.to_owned())),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_is_taken_over_without_a_gap_and_as_planned() {
    for shape in shapes() {
        takes_over(&shape).await;
    }
}

async fn takes_over(shape: &Shape) {
    let what = shape.what;
    let (site, id) = site(shape).await;
    let before = site.world.with(|state| connector(state, shape.group));
    assert_eq!(site.world.with(|state| works(state, shape.group)), shape.works, "{what}");
    let gaps = Arc::new(Mutex::new(Vec::new()));
    let (noted, group, mut working) = (Arc::clone(&gaps), shape.group, shape.works);
    site.world.watch(move |state, entry| {
        let works = works(state, group);
        if working && !works {
            noted.lock().unwrap().push(entry.line());
        }
        working = works;
    });
    let token = token(&site, shape);
    // a person pastes the id in any letter case
    let id = if shape.what.len().is_multiple_of(2) { id.to_uppercase() } else { id.to_lowercase() };
    let mut command = vec!["import", "--connector", &id];
    command.extend(shape.options);
    if token.is_some() {
        command.extend(["--expires-at", "2099-01-31"]);
    }
    let run = |more: &[&str]| site.run(&[&command, more].concat()).input(token.as_deref().unwrap_or_default());
    let plan = run(&["--plan", "-o", "json"]).ends(0).await;
    assert_eq!(site.writes(), [""; 0], "{what}: a plan writes nothing");
    let plan = if shape.works { plan } else { plan.says(&["health         NotHealthy: Unauthorized"]) };
    let report = plan.says(&["read the connector", "nothing was created"]).json();
    let expected: BTreeSet<String> = ALWAYS.iter().chain(shape.changes).map(|field| (*field).to_owned()).collect();
    assert_eq!(planned(&report), expected, "{what}");
    let document = report["document"].to_string().replace("<token>", "x");
    assert!(Document::parse(&document.clone().into()).is_ok(), "{what}: {document}");
    assert_eq!(site.world.with(|state| connector(state, shape.group).etag.clone()), before.etag, "{what}");

    let ended = run(&["--yes"]).ends(0).await;
    ended
        .says(&["created the secret", "~ tag the secret hubkeeper = managed", "~ update connector Portal-Hub in "])
        .says(&["in what the plan says, and in nothing else", "revoke it at Docker Hub"])
        .shows(&["✓ acme  done", "updated"]);
    let writes = site.writes();
    assert_eq!(writes.iter().filter(|line| line.contains("CreateSecret")).count(), 1, "{what}: {writes:?}");
    assert_eq!(writes.iter().filter(|line| line.starts_with("PUT /subscriptions")).count(), 1, "{what}: {writes:?}");
    let after = site.world.with(|state| connector(state, shape.group));
    let mut changed = differing(&before, &after);
    if shape.next == Next::Same {
        assert!(changed.insert(TOKEN.to_owned()), "{what}: the same token again");
    }
    assert_eq!(changed, expected, "{what}: the run changes what the plan says");
    assert_eq!(*gaps.lock().unwrap(), [""; 0], "{what}: the connector had a dead token");
    assert!(site.world.with(|state| works(state, shape.group)), "{what}");
    site.run(&["status", scene::SECRET]).ends(0).await.shows(&["✓ ready"]);
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await.shows(&["nothing to do", "unchanged"]);
    // the one secret is known from now on
    let again = run(&["--yes"]).ends(1).await;
    again.says(&["manages it already", "hubkeeper status arn:"]);
    assert_eq!(site.writes(), [""; 0], "{what}: no second secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_is_read_with_the_login_of_the_azure_cli() {
    let (site, id) = site(&USUAL).await;
    let token = site.token("repo:read");
    let command = ["import", "--connector", &id, "--expires-at", "never"];
    let nobody = site.run(&command).without("HUBKEEPER_AZURE_AUTH").input(&token).ends(4).await;
    nobody.shows_nothing().says(&["the Azure CLI", "az login"]);
    let bearer = bearer(&site);
    let file =
        site.file("az.json", &format!(r#"{{"accessToken":"{bearer}","expires_on":4102444800,"tokenType":"Bearer"}}"#));
    site.program("az", &format!("cat {file}"));
    let run = site.run(&[&command[..], &["--yes"]].concat()).without("HUBKEEPER_AZURE_AUTH").input(&token);
    run.ends(0).await.says(&["in nothing else"]);
}

/// docs/migrating.md, "Back again".
#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_leaves_the_connector_to_its_owner() {
    let (site, id) = site(&USUAL).await;
    let run =
        |token: &str| site.run(&["import", "--connector", &id, "--expires-at", "2099-01-31", "--yes"]).input(token);
    run(&site.token("repo:read")).ends(0).await;
    let arn = site.world.with(|state| {
        let secret = state.aws.secrets.values_mut().find(|secret| secret.name == scene::SECRET).unwrap();
        secret.tags.remove("hubkeeper");
        secret.arn.clone()
    });
    let (user, token) = site.world.with(|state| {
        let (user, token) = of_a_person(state);
        arm::put_connector(state, scene::SUBSCRIPTION, scene::GROUP, NAME, &portal(&user, &token), "jane@acme.example");
        (user, token)
    });
    let _ = site.writes();
    let all = site.run(&["reconcile", "--all", "--yes"]).ends(0).await;
    all.says(&["no secret is managed"]);
    site.run(&["reconcile", &arn, "--yes"]).ends(0).await;
    assert_eq!(site.writes(), [""; 0]);
    let kept = site.world.with(|state| connector(state, scene::GROUP));
    assert_eq!(kept.credential(), Some((user.as_str(), token.as_str())));
    // forth again: the secret is still there
    let again = run(&site.token("repo:read")).ends(4).await;
    again.says(&["exists already, and names the connector", "hubkeeper onboard hubkeeper/acme"]);
}
