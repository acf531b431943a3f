//! `hubkeeper init`: what is missing, what is checked first, and the one request that creates the secret.

use hubkeeper_core::secret::Document;
use hubkeeper_sandbox::{Fault, Service, State, arm, aws, hub, scene};
use serde_json::{Value, json};

use crate::site::Site;

const ONLY: [&str; 1] = ["POST CreateSecret"];
const EVERYTHING: [&str; 12] = [
    "init",
    scene::ORGANIZATION,
    "--username",
    scene::USER,
    "--subscription",
    scene::SUBSCRIPTION,
    "--resource-group",
    scene::GROUP,
    "--location",
    "westeurope",
    "--expect",
    "billing,ledger",
];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&EVERYTHING[..], more].concat()
}

/// Deletes the example's secret at once; the manager secret stays.
fn without_secret(state: &mut State) {
    state.aws.secrets.retain(|_, secret| secret.name != scene::SECRET);
}

async fn site() -> Site {
    Site::deployed_with(without_secret).await
}

fn arn(site: &Site, name: &str) -> String {
    let found = site.world.with(|state| {
        let secret = state.aws.secrets.values().find(|secret| secret.name == name);
        secret.map(|secret| secret.arn.clone())
    });
    found.unwrap_or_else(|| panic!("there is no secret {name}"))
}

fn current(site: &Site, arn: &str) -> Value {
    site.world.with(|state| {
        let version = aws::version_with(state, arn, "AWSCURRENT").unwrap();
        aws::value_of(state, arn, &version).unwrap()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn three_commands_connect_an_organization() {
    let site = site().await;
    let created = site.run(&with(&["--no-token", "--yes"])).ends(0).await;
    let arn = arn(&site, scene::SECRET);
    created.shows(&["✓ acme  created", &arn, "dockerhub-acme in rg-defender, not connected yet"]).says(&[
        "✓ connector dockerhub-acme in rg-defender does not exist yet",
        "hubkeeper stage hubkeeper/acme",
        "hubkeeper status hubkeeper/acme",
    ]);
    assert_eq!(site.writes(), ONLY, "one CreateSecret and nothing else");
    let value = current(&site, &arn);
    assert_eq!(
        value,
        json!({"organization": "acme", "username": scene::USER, "expectedRepositories": ["billing", "ledger"], "connector": {
            "subscriptionId": scene::SUBSCRIPTION, "resourceGroup": scene::GROUP, "name": "dockerhub-acme", "location": "westeurope"}})
    );
    assert!(Document::parse(&value.to_string().into()).is_ok());
    assert!(site.world.with(|state| aws::tags(state, &arn)).is_empty(), "the function sets the tags");

    let token = site.token("repo:read");
    let staged = site.run(&["stage", scene::SECRET, "--expires-at", "2099-01-31", "--yes"]).input(&token).ends(0).await;
    staged.shows(&["✓ acme  done", "dockerhub-acme in rg-defender, created"]);
    assert_eq!(current(&site, &arn)["accessToken"].as_str(), Some(token.as_str()));
    site.run(&["status", scene::SECRET]).ends(0).await.shows(&["✓ ready"]);
    // onboard finds nothing to do
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await.shows(&["nothing to do", "unchanged"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_staged_without_the_function_is_connected_by_an_onboarding() {
    let site = site().await;
    site.run(&with(&["--no-token", "--yes"])).ends(0).await;
    let token = site.token("repo:read");
    let stage = ["stage", scene::SECRET, "--expires-at", "2099-01-31", "--yes"];
    let staged = site.run(&[&stage[..], &["--stack", "none"]].concat()).input(&token).ends(4).await;
    staged.says(&["the token is staged", "is not onboarded yet", "hubkeeper onboard hubkeeper/acme"]);
    let onboarded = site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
    onboarded.shows(&["✓ acme  done", "dockerhub-acme in rg-defender, created"]);
    assert_eq!(current(&site, &arn(&site, scene::SECRET))["accessToken"].as_str(), Some(token.as_str()));
    site.run(&["status", scene::SECRET]).ends(0).await.shows(&["✓ ready"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_manager_the_function_makes_the_token() {
    let site = site().await;
    let created = site.run(&with(&["--manager", scene::MANAGER, "--yes"])).ends(0).await;
    let arn = arn(&site, scene::SECRET);
    let rotation = format!("aws secretsmanager rotate-secret --secret-id {arn} --rotation-lambda-arn arn:");
    created.says(&["lists hubkeeper/acme in usedBy", "hubkeeper onboard hubkeeper/acme", &rotation]);
    assert_eq!(site.writes(), ONLY);
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await.shows(&["new token", "created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_token_is_proven_first() {
    let site = site().await;
    let ends = ["--expires-at", "2099-01-31", "--yes"];
    for (scope, words) in [("repo:public_read", "partial"), ("repo:write", "overPrivileged")] {
        let token = site.token(scope);
        site.run(&with(&ends)).input(&token).ends(1).await.shows(&[words]).says(&["nothing was created"]);
    }
    assert_eq!(site.writes(), [""; 0]);
    let token = site.token("repo:read");
    let file = site.file("good.token", &format!("{token}\n"));
    let created = site.run(&with(&[&ends[..], &["--token-file", &file]].concat())).ends(0).await;
    created.says(&["✓ complete: the token reads 6 repositories", "stage the next token"]);
    assert_eq!(site.writes(), ONLY);
    let value = current(&site, &arn(&site, scene::SECRET));
    assert_eq!(
        (value["accessToken"].as_str(), &value["expiresAt"]),
        (Some(token.as_str()), &json!("2099-01-31T00:00:00Z"))
    );
    site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await.shows(&["✓ acme  done", "created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_missing_is_named_at_once() {
    let site = site().await;
    let all =
        ["--username", "--subscription", "--resource-group", "--location", "a token on standard input", "--no-token"];
    site.run(&["init", "acme"]).ends(2).await.says(&all);
    let token = site.token("repo:read");
    let missing = site.run(&["init", "acme", "--owner", "o"]).with("HUBKEEPER_TOKEN", &token).ends(2).await;
    missing.says(&["--username, --invite-email, --subscription, --resource-group, --location, --expires-at"]);
    let oat = "dckr_oat_put-the-token-here";
    let ended = site.run(&["init", "acme"]).input(oat).ends(2).await;
    assert!(!ended.err.contains("--username"), "{}", ended.err);
    assert_eq!(site.requests(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_names_its_option_and_sends_nothing() {
    let site = site().await;
    for (more, words) in [
        (&["--manager", "m", "--exclude", "acme/old"][..], "--exclude holds an entry"),
        (&["--manager", "m", "--connector", "a/b"], "--connector is not the name of an Azure resource"),
        (&["--no-token", "--scan-interval", "25"], "--scan-interval"),
        (&["--no-token", "--plans", "everything"], "--plans"),
        (&["--no-token", "--invite-role", "owner", "--invite-email", "a@b.example"], "--invite-role"),
        (&["--no-token", "--expires-at", "never"], "--expires-at"),
        (&["--manager", "m", "--expires-at", "never"], "there is no token"),
        (&["--no-token", "--token-file", "x"], "--token-file"),
        (&["--no-token", "--yes", "--dry-run"], "--dry-run"),
    ] {
        site.run(&with(more)).ends(2).await.shows_nothing().says(&[words]);
    }
    let upper = site.run(&[&["init", "Acme", "--no-token"], &EVERYTHING[2..]].concat()).ends(2).await;
    upper.says(&["ORGANIZATION is not a Docker Hub organization in lower case"]);
    assert_eq!(site.requests(), [""; 0]);
    site.run(&with(&["--no-token", "--name", "arn:aws:x"])).ends(2).await.says(&["--name is not a name"]);
    site.run(&with(&["--no-token"])).ends(2).await.says(&["standard input is not a terminal", "--yes"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_refused_before_anything_is_written() {
    let site = Site::deployed().await;
    let token = site.token("repo:read");
    let ended = site.run(&with(&["--expires-at", "never", "--yes"])).input(&token).ends(4).await;
    ended.says(&["the secret hubkeeper/acme exists already", "hubkeeper stage hubkeeper/acme", "--name"]);
    let deleted = site.arn.clone();
    site.world.with(|state| {
        let at = state.now() + time::Duration::days(7);
        state.aws.secrets.get_mut(&deleted).unwrap().deleted = Some(at);
    });
    let ended = site.run(&with(&["--no-token", "--yes"])).ends(4).await;
    ended.says(&["scheduled for deletion", "restore-secret --secret-id hubkeeper/acme"]);
    assert_eq!(site.writes(), [""; 0]);
    assert_eq!(
        site.world.with(|state| hub::pats_of(state, scene::USER).iter().filter(|pat| pat.last_used.is_some()).count()),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_the_function_could_not_use_is_told_first() {
    let site = site().await;
    let password = "a-password-of-somebody";
    site.is_secret(password);
    site.world.with(|state| {
        let login = |user: &str, used_by: &[&str]| json!({"username": user, "password": password, "usedBy": used_by});
        aws::create_secret(state, "logins/other", &login("somebody", &[scene::SECRET]), &[]);
        aws::create_secret(state, "logins/unlisted", &login(scene::USER, &["hubkeeper/globex"]), &[]);
        aws::create_secret(
            state,
            "logins/token",
            &json!({"organization": "acme", "accessToken": password, "usedBy": []}),
            &[],
        );
        aws::create_secret(
            state,
            "logins/owner",
            &json!({"organization": "globex", "accessToken": password, "usedBy": []}),
            &[],
        );
    });
    let _ = site.writes();
    for (options, words) in [
        (&["--manager", "logins/none"][..], "logins/none"),
        (&["--manager", "logins/other"], "belongs to another user than the secret's `username`"),
        (&["--manager", "logins/token"], "no token can make tokens"),
        (&["--owner", "logins/owner", "--invite-email", "scanner@acme.example"], "of another organization than acme"),
    ] {
        site.run(&with(&[options, &["--yes"]].concat())).ends(4).await.shows_nothing().says(&[words]);
    }
    assert_eq!(site.writes(), [""; 0]);
    let created = site.run(&with(&["--manager", "logins/unlisted", "--yes"])).ends(0).await;
    created.says(&[
        "does not list hubkeeper/acme",
        r#""usedBy": ["hubkeeper/globex","hubkeeper/acme"]"#,
        "jq '.usedBy += [\"hubkeeper/acme\"]'",
    ]);
    assert_eq!(site.writes(), ONLY);
}

fn connector(state: &mut State, organization: &str, tags: &Value) {
    let body = json!({"location": "westeurope", "tags": tags, "properties": {"hierarchyIdentifier": organization, "environmentName": "DockerHub",
        "environmentData": {"environmentType": "DockerHubOrganization", "authentication": {"authenticationType": "AccessToken", "username": "u", "accessToken": "x"},
            "scanInterval": 24},
        "offerings": [{"offeringType": "CspmMonitorDockerHub"}]}});
    arm::put_connector(state, scene::SUBSCRIPTION, scene::GROUP, "dockerhub-acme", &body, "somebody@acme.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_of_somebody_else_is_refused_and_one_of_the_portal_is_told() {
    for (organization, tags, words) in [
        ("globex", json!({}), "it is the connector of another organization"),
        ("acme", json!({"hubkeeper-secret": "0123456789ab"}), "another secret manages it"),
    ] {
        let site = site().await;
        site.world.with(|state| connector(state, organization, &tags));
        let ended = site.run(&with(&["--no-token", "--yes"])).ends(1).await;
        ended.shows_nothing().says(&[words, "another `connector.name`"]);
        assert_eq!(site.writes(), [""; 0]);
    }
    let site = site().await;
    site.world.with(|state| connector(state, "acme", &json!({})));
    site.run(&with(&["--no-token", "--yes"])).ends(0).await.says(&["made without hubkeeper", "takes it over"]);
    let missing =
        site.run(&[&with(&["--no-token", "--yes", "--name", "hubkeeper/x"])[..], &["--connector", "c"]].concat());
    missing.ends(0).await.says(&["does not exist yet"]);
    let _ = site.writes();
    site.world.with(|state| arm::delete_resource_group(state, scene::SUBSCRIPTION, scene::GROUP));
    let ended = site.run(&with(&["--no-token", "--yes", "--name", "hubkeeper/y"])).ends(4).await;
    ended.shows_nothing().says(&["ResourceGroupNotFound"]);
    assert_eq!(site.writes(), [""; 0]);
    site.world.with(|state| arm::revoke_grants(state, scene::CLIENT));
    let ended = site.run(&with(&["--no-token", "--yes", "--name", "hubkeeper/y"])).ends(0).await;
    ended.says(&["was not checked", "you need the right Microsoft.Security/securityConnectors/read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_login_at_azure_the_connector_is_not_checked_and_that_is_told() {
    let site = site().await;
    let run = |more: &[&str]| {
        site.run(&with(more)).without("HUBKEEPER_AZURE_AUTH").without("AZURE_TENANT_ID").without("AZURE_CLIENT_ID")
    };
    let words = ["connector dockerhub-acme in rg-defender was not checked", "az is not installed", "az login"];
    run(&["--no-token"]).ends(2).await.says(&words);
    assert_eq!(site.writes(), [""; 0]);
    run(&["--no-token", "--yes"]).ends(0).await.says(&words);
    assert_eq!(site.writes(), ONLY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_the_document_and_creates_nothing() {
    let site = site().await;
    let token = site.token("repo:read");
    let dry = ["--dry-run", "--expires-at", "2099-01-31", "--plans", "containers", "--scan-interval", "12"];
    let printed = site.run(&with(&dry)).input(&token).ends(0).await;
    let value = printed.json();
    assert_eq!((&value["accessToken"], &value["expiresAt"]), (&json!("<token>"), &json!("2099-01-31T00:00:00Z")));
    assert_eq!(
        (&value["connector"]["plans"], &value["connector"]["scanIntervalHours"]),
        (&json!(["containers"]), &json!(12))
    );
    printed.says(&["✓ complete", "nothing was created"]);
    // the same checks as a creation
    site.run(&with(&dry)).input(&site.token("repo:public_read")).ends(1).await.shows(&["partial"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn name_and_key_are_those_of_the_options_and_json_is_a_report() {
    let site = site().await;
    let options = ["--no-token", "--yes", "--name", "vault/acme", "--kms-key", "alias/hubkeeper", "-o", "json"];
    let ended = site.run(&with(&options)).ends(0).await;
    assert!(ended.err.contains("does not begin with hubkeeper/"), "{}", ended.err);
    let report = ended.json();
    let arn = arn(&site, "vault/acme");
    assert_eq!(
        (&report["action"], &report["outcome"], &report["secretId"]),
        (&json!("init"), &json!("applied"), &json!(arn))
    );
    let key = site.world.with(|state| state.aws.secrets[&arn].kms_key_id.clone());
    assert_eq!(key.as_deref(), Some("alias/hubkeeper"));
    // without a stack the prefix is the usual one
    let ended = site.run(&with(&["--no-token", "--yes", "-o", "json"])).with("HUBKEEPER_STACK", "none").ends(0).await;
    ended.says(&["no such stack", "the secret's name begins with hubkeeper/"]);
    assert_eq!(arn_count(&site, scene::SECRET), 1);
    site.run(&with(&["--no-token", "--yes", "--stack", "none"])).ends(4).await.says(&["no such stack"]);
}

fn arn_count(site: &Site, name: &str) -> usize {
    site.world.with(|state| state.aws.secrets.values().filter(|secret| secret.name == name).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_response_is_settled_and_a_refusal_named() {
    let site = site().await;
    site.world.script(|_, service, request| {
        (service == Service::Aws && aws::action(request).as_deref() == Some("CreateSecret"))
            .then_some(Fault::ResetAfter)
    });
    let created = site.run(&with(&["--no-token", "--yes"])).ends(0).await;
    created.shows(&["✓ acme  created"]);
    assert_eq!(arn_count(&site, scene::SECRET), 1);
    site.world.script(|_, service, request| {
        let refusal = json!({"__type": "AccessDeniedException", "message": "no"});
        (service == Service::Aws && aws::action(request).as_deref() == Some("CreateSecret"))
            .then(|| Fault::Answer(hubkeeper_sandbox::world::json(400, &refusal)))
    });
    let denied = site.run(&with(&["--no-token", "--yes", "--name", "hubkeeper/other"])).ends(4).await;
    denied.says(&["AccessDeniedException", "you need the right secretsmanager:CreateSecret"]);
    site.world.calm();
    assert_eq!(arn_count(&site, "hubkeeper/other"), 0);
}
