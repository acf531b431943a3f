//! Tests onboarding: with a token, with a manager, in plan mode, by force, for several secrets (docs/events.md).

use hubkeeper_sandbox::world::Service;
use hubkeeper_sandbox::{arm, aws, entra, hub};
use serde_json::{Value, json};

use hubkeeper_scene::{
    Begin, CLIENT, CONNECTOR, GROUP, ORG, SUBSCRIPTION, Scene, TENANT, USER, document, kill, outcome,
};

#[tokio::test(start_paused = true)]
async fn a_token_is_proven_and_the_connector_is_made_with_all_that_is_ours() {
    let scene = Scene::new(Begin::ByHand);
    let report = scene.onboard().await.unwrap();
    assert_eq!(report["outcome"], "applied");
    assert_eq!(report["verdict"]["result"], "complete");
    assert_eq!((report["verdict"]["repositories"].clone(), report["verdict"]["private"].clone()), (json!(4), json!(3)));
    assert_eq!(report["connector"]["change"], "created");
    let version = scene.version("AWSCURRENT").unwrap();
    scene.world.with(|state| {
        let connector = arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR).unwrap();
        assert_eq!(connector.tag("hubkeeper-version"), Some(version.as_str()));
        assert_eq!(connector.tag("hubkeeper-proved"), Some("4/3"));
        assert_eq!(connector.properties["hierarchyIdentifier"], ORG);
        assert_eq!(connector.properties["environmentData"]["environmentType"], "DockerHubOrganization");
        assert_eq!(connector.properties["environmentData"]["scanInterval"], 24);
        let mut offerings = connector.offerings();
        offerings.sort_unstable();
        assert_eq!(offerings, ["CspmMonitorDockerHub", "DefenderCspmDockerHub", "DefenderForContainersDockerHub"]);
        assert_eq!(aws::tags(state, &scene.arn)["hubkeeper"], "managed");
    });
    let _ = scene.world.take_record();
    assert_eq!(outcome(&scene.onboard().await), "unchanged");
    assert_eq!(scene.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_tag_comes_before_the_first_outside_write() {
    let scene = Scene::new(Begin::Manager);
    scene.onboard().await.unwrap();
    let writes = scene.writes();
    assert_eq!(writes[0], "POST TagResource", "{writes:?}");
}

#[tokio::test(start_paused = true)]
async fn the_first_token_is_minted_staged_and_adopted() {
    let scene = Scene::new(Begin::Manager);
    let first = scene.version("AWSCURRENT").unwrap();
    let report = scene.onboard().await.unwrap();
    let version = scene.version("AWSCURRENT").unwrap();
    assert_ne!(version, first);
    assert_eq!(version.len(), 32, "derived from the ARN and the first version");
    assert_eq!(scene.version("HUBKEEPER_CANDIDATE"), None);
    let value = scene.value(&version);
    assert_eq!(report["tokens"]["minted"], value["tokenId"]);
    assert_eq!(report["versionId"], json!(version), "the version that was proven and written");
    assert_eq!(value["expiresAt"], "2027-02-22T10:00:00Z");
    let pats = scene.world.with(|state| hub::pats_of(state, USER));
    assert_eq!(pats.len(), 1);
    assert_eq!(pats[0].scopes, ["repo:read"]);
    let label: Vec<&str> = pats[0].label.split('/').collect();
    assert_eq!((label[0], label[1].len(), label[2]), ("hubkeeper", 12, version.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_dead_token_is_replaced_by_a_minted_one_also_twice() {
    let mut scene = Scene::new(Begin::Manager);
    scene.checked = false; // the world deactivates the connector's token here, not the function
    scene.onboard().await.unwrap();
    for _ in 0..2 {
        let version = scene.version("AWSCURRENT").unwrap();
        let id = scene.value(&version)["tokenId"].as_str().unwrap().to_owned();
        scene.world.with(|state| hub::revoke(state, &id));
        tokio::time::sleep(std::time::Duration::from_hours(1)).await;
        assert_eq!(outcome(&scene.onboard().await), "applied");
        assert_ne!(scene.version("AWSCURRENT").unwrap(), version);
        let (_, token) = scene.connector().unwrap();
        assert!(scene.world.with(|state| hub::accepts(state, USER, &token)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_token_that_is_not_accepted_yet_is_not_replaced() {
    let scene = Scene::new(Begin::Manager);
    scene.world.with(|state| state.hub.usable_delay = time::Duration::seconds(120));
    let answer = outcome(&scene.onboard().await);
    assert!(answer.starts_with("Retryable") && answer.contains("inconclusive"), "{answer}");
    assert_eq!(scene.connector_writes(), [""; 0]);
    tokio::time::sleep(std::time::Duration::from_mins(3)).await;
    assert_eq!(outcome(&scene.onboard().await), "applied");
    assert_eq!(scene.world.with(|state| hub::pats_of(state, USER)).len(), 1, "the same token");
}

#[tokio::test(start_paused = true)]
async fn a_minted_token_must_see_what_the_manager_sees() {
    let scene = Scene::new(Begin::Manager);
    scene.world.with(|state| state.hub.combined_scopes_lost = true);
    assert_eq!(outcome(&scene.onboard().await), "applied", "lost grants of combined requests are requested singly");
    let lists = scene.world.record();
    let lists = lists.iter().filter(|entry| entry.line().contains("/repositories?")).count();
    assert_eq!(lists, 2, "the token's list and the manager's");
}

#[tokio::test(start_paused = true)]
async fn a_plan_writes_nothing_and_names_the_steps_that_apply_then_runs() {
    for (begin, steps) in [
        (Begin::ByHand, vec!["tagManaged", "writeConnector"]),
        (
            Begin::Manager,
            vec![
                "tagManaged",
                "mintToken",
                "revokeStrays",
                "stageCandidate",
                "prove",
                "writeConnector",
                "moveCurrent",
                "unstage",
            ],
        ),
    ] {
        let scene = Scene::new(begin);
        let report = scene.invoke(json!({"action": "onboard", "secretId": scene.arn, "mode": "plan"})).await.unwrap();
        assert_eq!((report["outcome"].as_str(), report["mode"].as_str()), (Some("planned"), Some("plan")));
        let planned: Vec<&str> =
            report["plan"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
        assert_eq!(planned, steps);
        assert_eq!(scene.writes(), [""; 0]);
        let applied = scene.onboard().await.unwrap();
        let stages: Vec<&str> =
            applied["stages"].as_array().unwrap().iter().map(|stage| stage["name"].as_str().unwrap()).collect();
        assert!(steps.iter().all(|step| stages.contains(step)), "{stages:?}");
        let again = scene.invoke(json!({"action": "onboard", "secretId": scene.arn, "mode": "plan"})).await.unwrap();
        assert_eq!(again["outcome"], "unchanged", "plan(apply(x)) is unchanged: {again}");
    }
}

#[tokio::test(start_paused = true)]
async fn force_writes_though_nothing_changed_and_keeps_what_was_proven_when() {
    let scene = Scene::new(Begin::ByHand);
    scene.onboard().await.unwrap();
    let tags = || scene.world.with(|state| arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR).unwrap().tags.clone());
    let before = tags();
    tokio::time::sleep(std::time::Duration::from_mins(1)).await;
    let _ = scene.world.take_record();
    let report = scene.invoke(json!({"action": "onboard", "secretId": scene.arn, "force": true})).await.unwrap();
    assert_eq!(report["connector"]["change"], "updated");
    assert_eq!(scene.connector_writes().len(), 1);
    assert_eq!(tags(), before, "the grace of replaced tokens runs from these tags");
}

#[tokio::test(start_paused = true)]
async fn a_version_may_be_named_but_only_the_current_one_or_the_candidate() {
    let scene = Scene::new(Begin::ByHand);
    let current = scene.version("AWSCURRENT").unwrap();
    let token = scene.good_token();
    let candidate = scene.stage(&token, |_| {}, &["HUBKEEPER_CANDIDATE"]);
    let onboard =
        |version: &str| scene.invoke(json!({"action": "onboard", "secretId": scene.arn, "versionId": version}));
    assert_eq!(outcome(&onboard(&current).await), "applied");
    assert_eq!(outcome(&onboard(&candidate).await), "applied");
    assert_eq!(scene.version("AWSCURRENT"), Some(candidate));
    let answer = outcome(&onboard("00000000-0000-4000-a000-00000000dead").await);
    assert!(answer.starts_with("BadEvent") && answer.contains("versionId"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn several_secrets_are_worked_through_and_one_failure_stops_no_other() {
    let scene = Scene::new(Begin::ByHand);
    let event = json!({"action": "onboard", "secretIds": ["hubkeeper/nowhere", scene.arn, scene.arn]});
    let report = scene.invoke(event).await.unwrap();
    assert_eq!(report["outcome"], "failed");
    let items: Vec<(&str, &str)> = report["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["outcome"].as_str().unwrap(), item["errorType"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(items, [("failed", "Misconfigured"), ("applied", "")]);
}

#[tokio::test(start_paused = true)]
async fn a_connector_of_the_portal_is_taken_over_with_a_warning_and_what_is_not_ours_stays() {
    let scene = Scene::new(Begin::ByHand);
    let body = json!({"location": "CentralUS", "tags": {"cost-center": "7"}, "properties": {
        "hierarchyIdentifier": ORG, "environmentName": "DockerHub",
        "environmentData": {"environmentType": "DockerHubOrganization", "scanInterval": 6,
            "authentication": {"authenticationType": "AccessToken", "username": USER, "accessToken": scene.good_token()}},
        "offerings": [{"offeringType": "CspmMonitorDockerHub"}]}});
    scene.world.with(|state| arm::put_connector(state, SUBSCRIPTION, GROUP, CONNECTOR, &body, "person@example.com"));
    let report = scene.onboard().await.unwrap();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("connectorTakenOver") && warnings.contains("locationKept"), "{warnings}");
    scene.world.with(|state| {
        let connector = arm::connector(state, SUBSCRIPTION, GROUP, CONNECTOR).unwrap();
        assert_eq!((connector.tag("cost-center"), connector.location.as_str()), (Some("7"), "CentralUS"));
    });
}

#[tokio::test(start_paused = true)]
async fn a_connector_of_another_environment_organization_or_secret_is_never_touched() {
    let ours = |organization: &str, environment: &str, tags: Value| {
        json!({"location": "westeurope", "tags": tags, "properties": {
        "hierarchyIdentifier": organization, "environmentName": environment, "environmentData": {"environmentType": "DockerHubOrganization",
            "authentication": {"authenticationType": "AccessToken", "username": "u", "accessToken": "another-secret-token"}}, "offerings": []}})
    };
    for (body, why) in [
        (ours(ORG, "Github", json!({})), "environment"),
        (ours("other", "DockerHub", json!({})), "organization"),
        (ours(ORG, "DockerHub", json!({"hubkeeper-secret": "ba9876543210"})), "another secret"),
    ] {
        let mut scene = Scene::new(Begin::ByHand);
        scene.checked = false; // the connector carries an unknown token
        scene
            .world
            .with(|state| arm::put_connector(state, SUBSCRIPTION, GROUP, CONNECTOR, &body, "person@example.com"));
        let answer = outcome(&scene.onboard().await);
        assert!(answer.starts_with("Refused") && answer.contains(why), "{answer}");
        assert_eq!(scene.writes(), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_secret_works_too_and_each_refusal_of_entra_names_its_remedy() {
    let mut scene = Scene::new(Begin::ByHand);
    let secret = scene.world.with(|state| {
        entra::remove_federated_credentials(state, CLIENT);
        entra::add_client_secret(state, CLIENT, None)
    });
    let answer = outcome(&scene.onboard().await);
    assert!(answer.starts_with("Retryable") && answer.contains("arn:aws:iam::111122223333:role/sandbox"), "{answer}");
    scene.set("HUBKEEPER_AZURE_AUTH", "client-secret");
    scene.set("HUBKEEPER_AZURE_CLIENT_SECRET_ID", "azure/client");
    scene.world.with(|state| aws::create_secret(state, "azure/client", &json!(secret), &[]));
    let answer = outcome(&scene.onboard().await);
    assert_eq!(answer, "applied");
    scene.set("AZURE_CLIENT_ID", "c11e0000-0000-4000-a000-00000000ffff");
    let answer = outcome(&scene.onboard().await);
    assert!(answer.contains("AZURE_CLIENT_ID") && answer.contains(TENANT), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn misconfiguration_is_reported_whole_for_every_event() {
    let mut scene = Scene::new(Begin::ByHand);
    scene.set("AZURE_TENANT_ID", "");
    scene.set("HUBKEEPER_HUB_URL", "http://hub.example.com");
    let answer = outcome(&scene.onboard().await);
    for word in ["Misconfigured", "AZURE_TENANT_ID", "HUBKEEPER_HUB_URL"] {
        assert!(answer.contains(word), "{answer}");
    }
    assert_eq!(scene.world.record().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_request_the_repeat_ends_with_one_token() {
    for at in 0.. {
        let mut ended = false;
        for after in [false, true] {
            let scene = Scene::new(Begin::Manager);
            let event = json!({"action": "onboard", "secretId": scene.arn});
            ended |= !kill(&scene, event.clone(), at, after).await;
            let again = scene.invoke(event).await;
            assert!(again.is_ok(), "request {at}: {}", outcome(&again));
            let version = scene.version("AWSCURRENT").unwrap();
            assert_eq!(scene.connector().unwrap().0, version, "request {at}");
            assert_eq!(scene.value(&version)["accessToken"], json!(scene.connector().unwrap().1));
            assert_eq!(scene.pats_of_version(&version).len(), 1, "request {at}");
        }
        if ended {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_without_token_and_manager_tells_a_person_what_to_do() {
    let scene = Scene::new(Begin::ByHand);
    scene.world.with(|state| aws::put_version(state, &scene.arn, None, &document(), &["AWSCURRENT"]));
    let answer = outcome(&scene.onboard().await);
    assert!(answer.starts_with("NeedsHuman") && answer.contains("put-secret-value"), "{answer}");
    assert_eq!(scene.requests(Service::HubAuth), 0);
}
