//! What `hubkeeper import` refuses, and what it leaves behind where the function refuses: each with the next command.

use hubkeeper_sandbox::world::json as answer;
use hubkeeper_sandbox::{Fault, Service, State, arm, hub, scene};
use serde_json::{Map, Value, json};

use crate::site::Site;

const NAME: &str = "dockerhub-acme";
const ONLY: [&str; 1] = ["POST CreateSecret"];

/// A change of the connector, the exit code, and words of the refusal.
type Case = (Box<dyn FnOnce(&mut Value)>, i32, &'static [&'static str]);

fn id() -> String {
    format!(
        "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Security/securityConnectors/{NAME}",
        scene::SUBSCRIPTION,
        scene::GROUP
    )
}

/// Makes a connector as a person does in the portal.
fn portal(state: &mut State, change: impl FnOnce(&mut Value)) {
    let token = hub::add_pat(state, scene::USER, "portal", &["repo:read"], None).1;
    let mut body = json!({"location": "westeurope", "tags": {}, "properties": {
        "hierarchyIdentifier": scene::ORGANIZATION, "environmentName": "DockerHub",
        "environmentData": {"environmentType": "DockerHubOrganization", "scanInterval": 24,
            "authentication": {"authenticationType": "AccessToken", "username": scene::USER, "accessToken": token}},
        "offerings": [{"offeringType": "CspmMonitorDockerHub"}]}});
    change(&mut body);
    arm::put_connector(state, scene::SUBSCRIPTION, scene::GROUP, NAME, &body, "jane@acme.example");
}

/// A site with a connector of the portal, and without a secret.
async fn site(change: impl FnOnce(&mut Value)) -> Site {
    Site::deployed_with(|state| {
        state.aws.secrets.retain(|_, secret| secret.name != scene::SECRET);
        portal(state, change);
    })
    .await
}

/// The command, with a good token.
fn import<'a>(site: &'a Site, more: &[&str]) -> crate::site::Run<'a> {
    let id = id();
    let command = ["import", "--connector", &id, "--expires-at", "2099-01-31"];
    site.run(&[&command[..], more].concat()).input(&site.token("repo:read"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_or_wrong_is_named_before_any_request() {
    let site = site(|_| {}).await;
    let id = id();
    site.run(&["import"]).ends(2).await.says(&["--connector"]);
    site.run(&["import", "--connector", &id]).ends(2).await.says(&["missing: a token on standard input", "--manager"]);
    let token = site.token("repo:read");
    site.run(&["import", "--connector", &id]).input(&token).ends(2).await.says(&["missing: --expires-at"]);
    let manager = ["import", "--connector", &id, "--manager", "m", "--expires-at", "never"];
    site.run(&manager).ends(2).await.says(&["there is no token"]);
    for wrong in ["hub", "/subscriptions/x", "https://portal.azure.com/#home"] {
        let ended = site.run(&["import", "--connector", wrong]).input(&token).ends(2).await;
        ended.says(&["not the resource id of a connector", "az resource list"]);
    }
    import(&site, &["--plan", "--yes"]).ends(2).await.says(&["--plan"]);
    import(&site, &["--dry-run", "--plans", "containers"]).ends(2).await.says(&["--plans"]);
    assert_eq!(site.requests(), [""; 0]);
    let ended = import(&site, &["--exclude", "Billing"]).ends(2).await;
    ended.says(&["--exclude holds an entry"]);
    import(&site, &["--name", "arn:aws:x"]).ends(2).await.says(&["--name is not a name"]);
    import(&site, &[]).ends(2).await.says(&["what the takeover changes", "standard input is not a terminal", "--yes"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_hubkeeper_must_not_take_over_is_refused_with_the_reason() {
    let many: Map<String, Value> = (0..48).map(|at| (format!("tag-{at}"), json!("x"))).collect();
    let cases: Vec<Case> = vec![
        (
            Box::new(|body| body["properties"]["environmentName"] = json!("Github")),
            1,
            &["another environment", "az resource list"],
        ),
        (
            Box::new(|body| body["properties"]["hierarchyIdentifier"] = Value::Null),
            1,
            &["does not tell its organization", "hubkeeper init"],
        ),
        (
            Box::new(|body| body["properties"]["hierarchyIdentifier"] = json!("acme inc.")),
            1,
            &["not the name of a Docker Hub organization"],
        ),
        (
            Box::new(|body| body["tags"] = json!({"hubkeeper-secret": "0123456789ab"})),
            1,
            &["of a secret that this function does not manage", "--tags 'hubkeeper-secret=0123456789ab'"],
        ),
        (
            Box::new(move |body| body["tags"] = Value::Object(many)),
            4,
            &["has 48 tags, and hubkeeper adds 4", "remove 2 of its tags"],
        ),
        (
            Box::new(|body| {
                body["properties"]["environmentData"]["authentication"]["username"] = json!("jane@acme.example");
            }),
            2,
            &["missing: --username", "e-mail address"],
        ),
        (
            Box::new(|body| body["properties"]["environmentData"]["authentication"]["username"] = json!("acme")),
            2,
            &["missing: --username", "as the organization"],
        ),
    ];
    for (change, code, words) in cases {
        let site = site(change).await;
        for more in ["--yes", "--plan"] {
            import(&site, &[more]).ends(code).await.shows_nothing().says(words);
        }
        assert_eq!(site.writes(), [""; 0]);
    }
    let site = site(|_| {}).await;
    let elsewhere = id().replace(NAME, "other");
    let token = site.token("repo:read");
    let other = ["import", "--connector", &elsewhere, "--expires-at", "never"];
    site.run(&other)
        .input(&token)
        .ends(4)
        .await
        .says(&["there is no connector other in rg-defender", "hubkeeper init"]);
    site.world.with(|state| arm::revoke_grants(state, scene::CLIENT));
    import(&site, &[]).ends(4).await.says(&["you need the right Microsoft.Security/securityConnectors/read"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_or_a_manager_that_is_no_good_creates_nothing() {
    let site = site(|_| {}).await;
    let id = id();
    let command = ["import", "--connector", &id, "--expires-at", "never", "--yes"];
    for (scope, words) in [("repo:public_read", "partial"), ("repo:write", "overPrivileged")] {
        let token = site.token(scope);
        site.run(&command).input(&token).ends(1).await.shows(&[words]).says(&["nothing was created"]);
    }
    let other = ["import", "--connector", &id, "--manager", scene::MANAGER, "--username", "jane", "--yes"];
    site.run(&other).ends(4).await.shows_nothing().says(&["import for organization acme", "belongs to another user"]);
    let of_organization = "dckr_oat_put-the-token-here";
    let both = ["import", "--connector", &id, "--manager", scene::MANAGER, "--expires-at", "never", "--yes"];
    let ended = site.run(&both).with("HUBKEEPER_TOKEN", of_organization).ends(2).await;
    ended.says(&["--manager", "organization access token"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_whose_secret_exists_gets_no_second_one() {
    // created and not onboarded: by init, or by an import that was interrupted
    let site = site(|_| {}).await;
    let init = ["init", "acme", "--username", scene::USER, "--subscription", scene::SUBSCRIPTION, "--resource-group"];
    let init = [&init[..], &["RG-Defender", "--location", "westeurope", "--no-token", "--yes"]].concat();
    site.run(&init).ends(0).await;
    assert_eq!(site.writes(), ONLY);
    let ended = import(&site, &["--yes"]).ends(4).await;
    ended
        .says(&["the secret hubkeeper/acme exists already, and names the connector", "hubkeeper stage hubkeeper/acme"]);
    // of another connector
    import(&site, &["--yes", "--name", scene::MANAGER]).ends(4).await.says(&["exists already", "--name"]);
    assert_eq!(site.writes(), [""; 0]);

    // managed, and somebody wrote the connector anew without its tags
    let token = site.token("repo:read");
    let stage = ["stage", scene::SECRET, "--expires-at", "2099-01-31", "--yes"];
    site.deployed.as_ref().unwrap().hold_events(true);
    site.run(&stage).input(&token).ends(0).await;
    site.world.with(|state| portal(state, |_| {}));
    let _ = site.writes();
    let ended = import(&site, &["--yes", "--name", "hubkeeper/second"]).ends(4).await;
    ended.says(&["the secret hubkeeper/acme manages the connector", "hubkeeper onboard hubkeeper/acme"]);
    assert_eq!(site.writes(), [""; 0]);
    site.run(&["reconcile", scene::SECRET, "--yes"]).ends(0).await;

    // offboarded, and made anew in the portal
    site.run(&["offboard", scene::SECRET, "--yes"]).ends(0).await;
    site.world.with(|state| portal(state, |_| {}));
    let _ = site.writes();
    let ended = import(&site, &["--yes", "--name", "hubkeeper/second"]).ends(4).await;
    ended.says(&["the offboarded secret hubkeeper/acme names the connector", "hubkeeper onboard hubkeeper/acme"]);
    assert_eq!(site.writes(), [""; 0]);
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await.shows(&["updated", "connectorTakenOver"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_that_changes_meanwhile_is_read_anew() {
    let site = site(|_| {}).await;
    let mut reads = 0;
    site.world.script(move |state, service, request| {
        let is_connector = service == Service::Arm && request.uri().path().ends_with(&format!("/{NAME}"));
        if !is_connector || request.method() != "GET" {
            return None;
        }
        reads += 1;
        let found = arm::connector(state, scene::SUBSCRIPTION, scene::GROUP, NAME)?;
        let mut properties = found.properties.clone();
        properties["environmentData"]["scanInterval"] = json!(3);
        let view =
            json!({"id": found.id(), "name": NAME, "location": "westeurope", "tags": {}, "properties": properties});
        (reads == 2).then(|| Fault::Answer(answer(200, &view)))
    });
    import(&site, &["--yes"]).ends(3).await.says(&["was changed meanwhile", "run the command again"]);
    assert_eq!(site.writes(), [""; 0]);
    site.world.calm();
    import(&site, &["--yes"]).ends(0).await.shows(&["✓ acme  done"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_function_refuses_leaves_the_secret_and_the_next_command() {
    let site = site(|_| {}).await;
    let before = site.world.with(|state| arm::connectors(state).next().unwrap().etag.clone());
    site.world.with(|state| arm::set_locked(state, scene::SUBSCRIPTION, scene::GROUP, true));
    let locked = import(&site, &["--yes"]).ends(4).await;
    locked.says(&["lock", "the secret hubkeeper/acme exists", "then continue with hubkeeper onboard hubkeeper/acme"]);
    assert_eq!(site.world.with(|state| arm::connectors(state).next().unwrap().etag.clone()), before);
    assert_eq!(site.writes().iter().filter(|line| line.contains("CreateSecret")).count(), 1);
    site.world.with(|state| arm::set_locked(state, scene::SUBSCRIPTION, scene::GROUP, false));
    let again = import(&site, &["--yes"]).ends(4).await;
    again.says(&[
        "the secret hubkeeper/acme manages the connector",
        "did not finish",
        "hubkeeper onboard hubkeeper/acme",
    ]);
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await.shows(&["✓ acme  done", "updated"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_function_only_a_plan_is_made() {
    let site = site(|_| {}).await;
    let none = ["--function", "none"];
    let plan = import(&site, &[&none[..], &["--plan"]].concat()).ends(0).await;
    plan.shows(&["what the takeover changes", "\"accessToken\": \"<token>\""]).says(&["was not checked"]);
    import(&site, &[&none[..], &["--yes"]].concat()).ends(4).await.says(&["the function none cannot be used"]);
    let stack = import(&site, &["--stack", "none", "--yes"]).ends(4).await;
    stack.says(&["no such stack"]);
    assert_eq!(site.writes(), [""; 0]);
}
