//! `hubkeeper doctor` against a healthy setup, and against planted mistakes: each shows as its one cause, with its remedy, and
//! nothing is written.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hubkeeper_sandbox::hub::{OatResource, ResourceKind};
use hubkeeper_sandbox::{State, arm, aws, entra, hub, record, scene};
use serde_json::{Value, json};
use time::Duration;

use crate::site::{Ended, Site};

type Variables = BTreeMap<String, String>;

/// One mistake: how it is made, and what doctor must say.
struct Mistake {
    name: &'static str,
    /// Changes the environment of the function.
    environment: fn(&mut Variables),
    /// Changes the world, after the onboarding.
    world: fn(&mut State, &str),
    /// Further options of the command.
    options: &'static [&'static str],
    /// The one check that fails.
    fails: &'static str,
    /// Words of its detail.
    detail: &'static str,
    /// Words of its remedy.
    remedy: &'static str,
    /// The exit code: 3 for what may pass by itself.
    code: i32,
}

const NONE: Mistake = Mistake {
    name: "",
    environment: |_| (),
    world: |_, _| (),
    options: &["--secret", scene::SECRET],
    fails: "",
    detail: "",
    remedy: "",
    code: 4,
};

/// Makes the application trust another issuer, subject or audience than the function's.
fn trust(state: &mut State, subject: &str, audience: &str) {
    let issuer = state.aws.sts.issuer.clone();
    entra::remove_federated_credentials(state, scene::CLIENT);
    entra::add_federated_credential(state, scene::CLIENT, &issuer, subject, audience);
}

/// Replaces the current document's fields.
fn edit(state: &mut State, arn: &str, change: impl FnOnce(&mut Value)) {
    let version = aws::version_with(state, arn, "AWSCURRENT").unwrap();
    let mut document = aws::value_of(state, arn, &version).unwrap();
    change(&mut document);
    aws::put_version(state, arn, Some(&version), &document, &["AWSCURRENT"]);
}

fn of_entra() -> Vec<Mistake> {
    vec![
        Mistake {
            name: "no federation",
            world: |state, _| state.aws.sts.federation_disabled = true,
            fails: "assertion",
            detail: "OutboundWebIdentityFederationDisabled",
            remedy: "aws iam enable-outbound-web-identity-federation",
            ..NONE
        },
        Mistake {
            name: "wrong audience",
            world: |state, _| {
                let role = state.aws.sts.role_arn.clone();
                trust(state, &role, "api://AzureADTokenExchangeUSGov");
            },
            fails: "exchange",
            detail: "AADSTS",
            remedy: "audience api://AzureADTokenExchange",
            code: 3,
            ..NONE
        },
        Mistake {
            name: "wrong subject",
            world: |state, _| trust(state, "arn:aws:iam::111122223333:role/other", "api://AzureADTokenExchange"),
            fails: "exchange",
            detail: "AADSTS",
            remedy: "subject arn:aws:iam::111122223333:role/sandbox",
            code: 3,
            ..NONE
        },
        Mistake {
            name: "app without a service principal",
            world: |state, _| entra::set_principal(state, scene::CLIENT, false),
            fails: "exchange",
            detail: "7000229",
            remedy: "az ad sp create --id",
            ..NONE
        },
        Mistake {
            name: "expired client secret",
            environment: |variables| {
                let own =
                    [("HUBKEEPER_AZURE_AUTH", "client-secret"), ("HUBKEEPER_AZURE_CLIENT_SECRET_ID", "azure/client")];
                variables.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
            },
            world: |state, _| {
                let ended = state.now() - Duration::days(1);
                let value = entra::add_client_secret(state, scene::CLIENT, Some(ended));
                aws::create_secret(state, "azure/client", &json!(value), &[]);
            },
            fails: "exchange",
            detail: "7000222",
            remedy: "client secret",
            ..NONE
        },
    ]
}

fn of_arm() -> Vec<Mistake> {
    vec![
        Mistake {
            name: "provider not registered",
            world: |state, _| arm::set_registered(state, scene::SUBSCRIPTION, false),
            fails: "provider",
            detail: "MissingSubscriptionRegistration",
            remedy: "az provider register --namespace Microsoft.Security",
            ..NONE
        },
        Mistake {
            name: "no role",
            world: |state, _| arm::revoke_grants(state, scene::CLIENT),
            fails: "role",
            detail: "has no role anywhere in subscription",
            remedy: "hubkeeper deploy --azure-only --resource-group rg-defender",
            ..NONE
        },
        Mistake {
            name: "role on the wrong scope",
            world: |state, _| {
                arm::revoke_grants(state, scene::CLIENT);
                arm::add_resource_group(state, scene::SUBSCRIPTION, "rg-other");
                arm::grant(state, scene::CLIENT, scene::SUBSCRIPTION, "rg-other", &["read", "write"]);
            },
            fails: "role",
            detail: "not one that reads connectors in rg-defender",
            remedy: "az role assignment list --all --assignee c11e0000",
            ..NONE
        },
        Mistake {
            name: "policy that denies",
            world: |state, _| {
                arm::grant_reader(state, scene::CLIENT, scene::SUBSCRIPTION);
                let (group, name) = (scene::GROUP, "allowed-locations");
                arm::deny_by_policy(state, scene::SUBSCRIPTION, group, name, "Allowed locations");
            },
            fails: "policies",
            detail: "allowed-locations",
            remedy: "exempt the connector",
            ..NONE
        },
        Mistake {
            name: "plan off",
            world: |state, _| {
                arm::grant_reader(state, scene::CLIENT, scene::SUBSCRIPTION);
                for plan in ["Containers", "CloudPosture"] {
                    arm::set_plan(state, scene::SUBSCRIPTION, plan, false);
                }
            },
            fails: "plans",
            detail: "Defender scans nothing",
            remedy: "az security pricing create",
            ..NONE
        },
        Mistake {
            name: "connector of somebody else",
            world: |state, _| {
                let body = json!({"location": "westeurope", "properties": {"environmentName": "DockerHub", "hierarchyIdentifier": "globex",
                    "environmentData": {"environmentType": "DockerHubOrganization"}, "offerings": []}});
                arm::put_connector(
                    state,
                    scene::SUBSCRIPTION,
                    scene::GROUP,
                    scene::CONNECTOR,
                    &body,
                    "somebody@example.com",
                );
            },
            fails: "connector",
            detail: "the connector of another organization",
            remedy: "connector.name",
            ..NONE
        },
    ]
}

fn of_secrets() -> Vec<Mistake> {
    vec![
        Mistake {
            name: "wrong Region",
            options: &["--secret", "arn:aws:secretsmanager:eu-central-1:111122223333:secret:hubkeeper/acme-AbCdEf"],
            fails: "secret",
            detail: "is in Region eu-central-1, the function runs in eu-west-1",
            remedy: "name a secret of eu-west-1",
            ..NONE
        },
        Mistake {
            name: "replica",
            world: |state, _| state.aws.primary_region = Some("us-east-1".to_owned()),
            fails: "secret",
            detail: "is a replica in eu-west-1; its primary Region is us-east-1",
            remedy: "promote the replica",
            ..NONE
        },
        Mistake {
            name: "KMS key denied",
            world: |state, _| state.aws.kms_denied = true,
            fails: "value",
            detail: "GetSecretValue",
            remedy: "kms:Decrypt",
            ..NONE
        },
        Mistake {
            name: "no ListSecrets",
            world: |state, _| assert!(state.aws.denied.insert("secretsmanager:ListSecrets".to_owned())),
            fails: "list",
            detail: "ListSecrets: AWS returned AccessDeniedException",
            remedy: "secretsmanager:ListSecrets",
            ..NONE
        },
        Mistake {
            name: "usedBy missing",
            world: |state, _| {
                let manager =
                    state.aws.secrets.values().find(|secret| secret.name == scene::MANAGER).unwrap().arn.clone();
                edit(state, &manager, |login| drop(login.as_object_mut().unwrap().remove("usedBy")));
            },
            fails: "manager",
            detail: "usedBy",
            remedy: "hubkeeper/acme",
            ..NONE
        },
    ]
}

fn of_the_network() -> Vec<Mistake> {
    vec![
        Mistake {
            name: "proxy that is down",
            environment: |variables| {
                let own = [("HTTPS_PROXY", "http://127.0.0.1:9"), ("NO_PROXY", "example.com")];
                variables.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
            },
            fails: "proxy",
            detail: "no connection to the proxy 127.0.0.1:9",
            remedy: "start the proxy",
            ..NONE
        },
        Mistake {
            name: "unknown root",
            environment: |variables| drop(variables.remove("HUBKEEPER_CA_BUNDLE")),
            fails: "roots",
            detail: "is not trusted",
            remedy: "HUBKEEPER_CA_BUNDLE",
            ..NONE
        },
        Mistake {
            name: "clock 10 minutes off",
            world: |state, _| state.date_skew = Duration::minutes(10),
            fails: "login",
            detail: "seconds behind",
            remedy: "synchronize the clock",
            ..NONE
        },
        Mistake {
            name: "clock 10 minutes off, with --local",
            world: |state, _| state.date_skew = Duration::minutes(-10),
            options: &["--local", "--secret", scene::SECRET],
            fails: "clock",
            detail: "seconds ahead of",
            remedy: "synchronize the clock",
            ..NONE
        },
    ]
}

fn of_docker_hub() -> Vec<Mistake> {
    vec![
        Mistake {
            name: "locked account",
            world: |state, _| {
                let until = state.now() + Duration::minutes(10);
                hub::lock(state, scene::USER, until);
            },
            fails: "tokenLogin",
            detail: "locked acme-scanner out",
            remedy: "wait at least ten minutes",
            code: 3,
            ..NONE
        },
        Mistake {
            name: "SSO refuses passwords",
            world: |state, _| hub::enforce_sso(state, scene::ORGANIZATION, true),
            fails: "managerLogin",
            detail: "refuses the password of the manager secret",
            remedy: "where SSO is enforced",
            ..NONE
        },
        Mistake {
            name: "OAT without scope-tag-read",
            world: |state, arn| {
                let scopes = ["scope-image-pull", "scope-repository-list", "scope-repository-read"].map(str::to_owned);
                let path = format!("{}/*", scene::ORGANIZATION);
                let resource = OatResource { kind: ResourceKind::Repository, path, scopes: scopes.to_vec() };
                let token = hub::add_oat(state, scene::ORGANIZATION, "scanner", vec![resource]).1;
                edit(state, arn, |document| {
                    document["username"] = json!(scene::ORGANIZATION);
                    document["accessToken"] = json!(token);
                    for name in ["manager", "tokenId", "expiresAt"] {
                        document.as_object_mut().unwrap().remove(name);
                    }
                });
            },
            fails: "tags",
            detail: "may not list the tags of",
            remedy: "scope-tag-read",
            ..NONE
        },
    ]
}

fn of_the_deployment() -> Vec<Mistake> {
    vec![
        Mistake {
            name: "schedule off",
            world: |state, _| state.aws.deployment.schedule.as_mut().unwrap().enabled = false,
            fails: "schedule",
            detail: "is DISABLED",
            remedy: "enable it",
            ..NONE
        },
        Mistake {
            name: "alarm without a topic",
            world: |state, _| state.aws.deployment.alarm_mut("VerdictAlarm").unwrap().actions.clear(),
            fails: "alarms",
            detail: "VerdictAlarm",
            remedy: "deploy the stack again",
            ..NONE
        },
        Mistake {
            name: "topic without a subscription",
            world: |state, _| {
                let topic = state.aws.deployment.topic.as_mut().unwrap();
                (topic.confirmed, topic.pending) = (0, 1);
            },
            fails: "notices",
            detail: "none is confirmed",
            remedy: "confirm the subscription",
            ..NONE
        },
        Mistake {
            name: "no PutSecretValue",
            world: |state, _| assert!(state.aws.denied.insert("secretsmanager:PutSecretValue".to_owned())),
            fails: "rights",
            detail: "may not secretsmanager:PutSecretValue",
            remedy: "allow these actions",
            ..NONE
        },
        Mistake {
            name: "old function version",
            fails: "version",
            detail: "does not know doctor",
            remedy: "hubkeeper doctor --local",
            ..NONE
        },
    ]
}

fn mistakes() -> Vec<Mistake> {
    [of_entra(), of_arm(), of_secrets(), of_the_network(), of_docker_hub(), of_the_deployment()]
        .into_iter()
        .flatten()
        .collect()
}

/// The checks in a state, by name.
fn in_state(result: &Value, state: &str) -> Vec<String> {
    let checks = result["checks"].as_array().unwrap().iter().filter(|check| check["state"] == state);
    checks.map(|check| check["check"].as_str().unwrap().to_owned()).collect()
}

fn check<'a>(result: &'a Value, name: &str) -> &'a Value {
    result["checks"].as_array().unwrap().iter().find(|check| check["check"] == name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_setup_has_no_failure_and_nothing_is_written() {
    let site = Site::onboarded().await;
    // what only the command line asks for is held against transcripts too
    record::begin(&site.world);
    site.world.with(|state| {
        arm::grant_reader(state, scene::CLIENT, scene::SUBSCRIPTION);
        let now = state.now();
        state.aws.deployment.reconciled.push(now);
    });
    let Ended { out, err } = site.run(&["doctor", "--output", "json"]).ends(0).await;
    let result: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(in_state(&result, "failure"), [""; 0], "{result:#}\n{err}");
    // the example has no owner, and public repositories, which Defender does not scan
    assert_eq!(in_state(&result, "notReached"), ["owner"], "{result:#}");
    assert_eq!(in_state(&result, "warning"), ["proof"], "{result:#}");
    let facts: Vec<&str> =
        result["facts"].as_array().unwrap().iter().map(|fact| fact["item"].as_str().unwrap()).collect();
    for item in ["connectorShowsToken", "writerName", "healthReports", "loginClaims", "nextRotationDate"] {
        assert!(facts.contains(&item), "{item} is not in {facts:?}");
    }
    assert_eq!(site.writes(), [""; 0]);
    site.run(&["doctor"]).ends(0).await.shows(&["Azure Resource Manager", "✓ Token exchange: ", "0 failures"]);
    site.run(&["doctor", "--local"]).ends(0).await.shows(&["✓ Token exchange: ", "0 failures"]);
    assert_eq!(site.writes(), [""; 0]);
}

// in three parts, which run side by side: two mistakes wait ten seconds for a credential that may be spreading
#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_shows_as_its_one_cause_with_its_remedy() {
    planted(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_shows_as_its_one_cause_with_its_remedy_the_second_part() {
    planted(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_shows_as_its_one_cause_with_its_remedy_the_third_part() {
    planted(2).await;
}

/// Plants every third mistake.
async fn planted(part: usize) {
    let mut table = String::new();
    for mistake in mistakes().into_iter().skip(part).step_by(3) {
        let Mistake { name, environment, world, options, fails, detail, remedy, code } = mistake;
        let is_reachable = !matches!(fails, "proxy" | "roots") && name != "expired client secret";
        let site = Site::deployed_in(|_| (), environment).await;
        if is_reachable {
            site.run(&["onboard", scene::SECRET, "--yes"]).ends(0).await;
            // the events of the new labels are handled first
            while !site.requests().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            }
        }
        site.world.with(|state| {
            let now = state.now();
            state.aws.deployment.reconciled.push(now);
            world(state, &site.arn);
            // nothing but doctor reaches the function
            state.aws.events.clear();
        });
        if fails == "version" {
            site.deployed.as_ref().unwrap().forget("doctor");
        }
        let _ = site.writes();
        let result = site.run(&[&["doctor", "--output", "json"], options].concat()).ends(code).await.json();
        assert_eq!(in_state(&result, "failure"), [fails], "{name}: {result:#}");
        let found = check(&result, fails);
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        assert!(text("detail").contains(detail), "{name}: {}", text("detail"));
        assert!(text("remedy").contains(remedy), "{name}: {}", text("remedy"));
        assert!(!text("page").is_empty(), "{name}");
        assert_eq!(site.writes(), [""; 0], "{name}");
        let blocked = result["checks"].as_array().unwrap().iter().filter(|check| check["because"] == fails).count();
        let line = format!("| {name} | `{fails}` | {} | {} | {blocked} |\n", text("detail"), text("remedy"));
        table.push_str(&line);
    }
    let head = "| planted | failed check | what it says | what to do | not reached because of it |
|---|---|---|---|---|
";
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("doctor-mistakes-{part}.md"));
    fs::write(file, format!("{head}{table}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn before_there_is_a_function_the_checks_run_here() {
    let site = Site::deployed().await;
    site.world.with(|state| state.aws.deployment.stack.clear());
    site.run(&["doctor", "--secret", scene::SECRET]).ends(0).await.shows(&[
        "- Function and its settings: not reached",
        "✓ Token exchange: ",
        "the secret holds no token yet",
    ]);
    assert_eq!(site.writes(), [""; 0]);
    // the login of the Azure CLI is enough: no tenant and no client of a function that is not there
    let bearer = site.world.with(|state| entra::issue_bearer(state, "9e25000a-0000-4000-a000-000000000001"));
    site.world.with(|state| arm::grant_reader(state, "9e25000a-0000-4000-a000-000000000001", scene::SUBSCRIPTION));
    let file =
        site.file("az.json", &format!(r#"{{"accessToken":"{bearer}","expires_on":4102444800,"tokenType":"Bearer"}}"#));
    site.program("az", &format!("cat {file}"));
    let run = site.run(&["doctor", "--secret", scene::SECRET, "--output", "json"]);
    let run = run.without("HUBKEEPER_AZURE_AUTH").without("AZURE_TENANT_ID").without("AZURE_CLIENT_ID");
    let result = run.ends(0).await.json();
    assert_eq!(check(&result, "connector")["state"], "ok", "{result:#}");
    assert_eq!(check(&result, "permissions")["state"], "notReached", "a person only reads: {result:#}");
    // a function that somebody names must be there
    let site = Site::deployed().await;
    site.run(&["doctor", "--function", "nobody-s"])
        .ends(4)
        .await
        .shows(&["✗ Function and its settings: the function nobody-s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_and_policies_are_read_with_the_login_of_a_person() {
    let site = Site::onboarded().await;
    record::begin(&site.world);
    let bearer = site.world.with(|state| {
        let bearer = entra::issue_bearer(state, "9e25000a-0000-4000-a000-000000000001");
        arm::grant_reader(state, "9e25000a-0000-4000-a000-000000000001", scene::SUBSCRIPTION);
        bearer
    });
    let options = ["doctor", "--output", "json"];
    let without = site.run(&options).without("HUBKEEPER_AZURE_AUTH").ends(0).await.json();
    assert_eq!(check(&without, "plans")["state"], "notReached", "{without:#}");
    assert!(check(&without, "plans")["remedy"].as_str().unwrap().contains("az login"), "{without:#}");
    let file =
        site.file("az.json", &format!(r#"{{"accessToken":"{bearer}","expires_on":4102444800,"tokenType":"Bearer"}}"#));
    site.program("az", &format!("cat {file}"));
    // tenant, client and cloud are the function's
    let run = site.run(&options).without("HUBKEEPER_AZURE_AUTH").without("AZURE_TENANT_ID").without("AZURE_CLIENT_ID");
    let with = run.ends(0).await.json();
    assert_eq!(check(&with, "plans")["state"], "ok", "{with:#}");
    assert_eq!(check(&with, "policies")["state"], "ok", "{with:#}");
    assert_eq!(site.writes().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_none_is_refused_before_anything_is_sent() {
    let site = Site::deployed().await;
    let _ = site.requests();
    site.run(&["doctor", "--secret", "hubkeeper/acme "]).ends(2).await.says(&["--secret is not the name"]);
    assert_eq!(site.requests(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_of_another_connector_than_the_secret_keeps_is_told() {
    let site = Site::onboarded().await;
    site.world.with(|state| {
        edit(state, &site.arn, |document| document["connector"]["name"] = json!("dockerhub-other"));
        state.aws.events.clear();
    });
    let result = site.run(&["doctor", "--output", "json"]).ends(4).await.json();
    assert_eq!(in_state(&result, "failure"), ["connector"], "{result:#}");
    assert!(check(&result, "connector")["detail"].as_str().unwrap().contains("dockerhub-other"), "{result:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transcript_holds_every_service_and_nothing_of_anybody() {
    let site = Site::onboarded().await;
    let path = site.folder.join("transcript.json").display().to_string();
    site.run(&["doctor", "--record", &path])
        .ends(0)
        .await
        .says(&["transcript.json holds ", "read it before you send it"]);
    let text = fs::read_to_string(&path).unwrap();
    site.told("the transcript", text.clone());
    let transcript: Value = serde_json::from_str(&text).unwrap();
    let exchanges = transcript["exchanges"].as_array().unwrap();
    let services: std::collections::BTreeSet<&str> =
        exchanges.iter().map(|exchange| exchange["service"].as_str().unwrap()).collect();
    let expected = [
        "arm",
        "cloudformation",
        "cloudwatch",
        "entra",
        "hub",
        "hubAuth",
        "iam",
        "lambda",
        "registry",
        "scheduler",
        "secretsmanager",
        "sns",
        "sts",
    ];
    assert_eq!(services.into_iter().collect::<Vec<_>>(), expected);
    for name in [
        scene::ORGANIZATION,
        scene::USER,
        scene::TENANT,
        scene::CLIENT,
        scene::SUBSCRIPTION,
        scene::GROUP,
        "111122223333",
        "127.0.0.1",
        "localhost",
        "billing",
        "ledger",
    ] {
        assert!(!text.contains(name), "{name} is in the transcript");
    }
    assert_eq!(site.writes(), [""; 0]);
    let local = site.folder.join("local.json").display().to_string();
    site.run(&["doctor", "--local", "--record", &local]).ends(0).await;
    site.told("the transcript", fs::read_to_string(&local).unwrap());
    site.run(&["doctor", "--record", "/nowhere/x.json"]).ends(2).await.says(&["/nowhere/x.json cannot be written"]);
}
