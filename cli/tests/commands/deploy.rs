//! `hubkeeper deploy` against stand-ins of `CloudFormation`, S3 and IAM, with a small release, and a stand-in of the Azure CLI.

use std::fmt::Write as _;
use std::fs;

use hubkeeper_sandbox::aws::cloudformation::Stack;
use hubkeeper_sandbox::{State, aws, scene};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::site::{Run, Site};

pub(crate) const ROLE: &str = "arn:aws:iam::111122223333:role/hubkeeper-eu-west-1";
const BUCKET: &str = "hubkeeper-111122223333-eu-west-1";
const PASSWORD: &str = "proxy-password-of-the-test";
/// What a complete deployment of both clouds is told.
const FIRST: [&str; 4] = ["deploy", "--release", "1.0.0", "--yes"];

/// The packaged template of a release.
fn template(version: &str, change: impl FnOnce(&mut Value)) -> Value {
    let text = |default: Option<&str>| {
        default.map_or(json!({"Type": "String"}), |value| json!({"Type": "String", "Default": value}))
    };
    let code = format!("${{CodePrefix}}hubkeeper-function-{version}-${{Architecture}}.zip");
    let mut template = json!({
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {
            "AzureTenantId": text(None), "AzureClientId": text(None), "AzureCloud": text(Some("public")),
            "SecretNamePrefix": text(Some("hubkeeper/")), "NotificationEmail": text(Some("")),
            "Architecture": {"Type": "String", "Default": "arm64", "AllowedValues": ["arm64", "x86_64"]},
            "HttpsProxy": {"Type": "String", "Default": "", "NoEcho": true},
            "CodeBucket": text(None), "CodePrefix": text(Some("")),
        },
        "Resources": {
            "FunctionRole": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": {"Fn::Sub": "${AWS::StackName}-${AWS::Region}"}}},
            "HubkeeperFunction": {"Type": "AWS::Serverless::Function", "Properties": {
                "CodeUri": {"Bucket": {"Ref": "CodeBucket"}, "Key": {"Fn::Sub": code}},
                "Environment": {"Variables": {"AZURE_CLIENT_ID": {"Ref": "AzureClientId"}, "HTTPS_PROXY": {"Ref": "HttpsProxy"}}}}},
            "NoticeTopic": {"Type": "AWS::SNS::Topic", "Properties": {"Endpoint": {"Ref": "NotificationEmail"}}},
        },
    });
    change(&mut template);
    template
}

/// Writes a release into the site's folder, under its version.
pub(crate) fn release(site: &Site, version: &str, architectures: &[&str]) {
    release_with(site, version, architectures, |_| ());
}

fn release_with(site: &Site, version: &str, architectures: &[&str], change: impl FnOnce(&mut Value)) {
    let folder = site.folder.join(version);
    fs::create_dir_all(&folder).unwrap();
    let mut files = vec![
        (format!("hubkeeper-{version}.template.json"), template(version, change).to_string()),
        (format!("hubkeeper-azure-{version}.json"), json!({"parameters": {}}).to_string()),
    ];
    for architecture in architectures {
        files.push((
            format!("hubkeeper-function-{version}-{architecture}.zip"),
            format!("package {version} {architecture}"),
        ));
    }
    let mut sums = String::new();
    for (name, text) in files {
        let sum = Sha256::digest(&text).iter().fold(String::new(), |mut sum, byte| {
            let _ = write!(sum, "{byte:02x}");
            sum
        });
        let _ = writeln!(sums, "{sum}  {name}");
        fs::write(folder.join(name), text).unwrap();
    }
    fs::write(folder.join("SHA256SUMS"), sums).unwrap();
}

/// Checks that docs/deploy.md shows, below a command, lines that are printed. Ids and names of the page replace the site's.
pub(crate) fn is_on_the_page(site: &Site, command: &str, printed: &str) {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/deploy.md")).unwrap();
    let (_, after) = page.split_once(&format!("```sh\n{command}")).unwrap_or_else(|| panic!("no {command}"));
    let shown = after.split("```text\n").nth(1).unwrap().split("\n```").next().unwrap();
    let uuid = |number: u8| format!("00000000-0000-4000-8000-00000000000{number}");
    let issuer = site.world.with(|state| state.aws.sts.issuer.clone());
    let issuer = &issuer["https://".len()..][..36];
    let of_page = [
        (scene::SUBSCRIPTION, uuid(1)),
        (issuer, uuid(2)),
        (scene::TENANT, uuid(3)),
        (scene::GROUP, "rg-security".to_owned()),
        ("1.0.0", "0.1.0".to_owned()),
        ("HubkeeperFunction-sandbox", "HubkeeperFunction-1A2b3C4d5E6f".to_owned()),
    ];
    let printed = of_page.iter().fold(printed.to_owned(), |text, (own, other)| text.replace(own, other));
    let asked = |line: &str| line.ends_with("? yes") || line.starts_with("Type the stack's name");
    let lines: Vec<&str> = shown.lines().filter(|line| !line.is_empty() && *line != "…" && !asked(line)).collect();
    assert!(lines.len() > 5, "{shown}");
    for line in lines {
        assert!(printed.lines().any(|printed| printed == line), "{line:?} is not printed:\n{printed}");
    }
}

/// An Azure CLI that keeps one deployment, and writes its arguments into `az.log`.
pub(crate) fn azure(site: &Site) {
    let outputs = json!({
        "tenantId": {"value": scene::TENANT}, "clientId": {"value": scene::CLIENT}, "principalId": {"value": "p"},
        "federatedSubject": {"value": ROLE},
    });
    let account = json!({"name": "Security", "id": scene::SUBSCRIPTION, "tenantId": scene::TENANT});
    let id = format!(
        "/subscriptions/{}/resourceGroups/rg-defender/providers/Microsoft.ManagedIdentity/userAssignedIdentities/hubkeeper",
        scene::SUBSCRIPTION
    );
    let plan = |kind: &str| json!({"status": "Succeeded", "changes": [{"changeType": kind, "resourceId": id}]});
    site.program(
        "az",
        &format!(
            r#"echo "$*" >> az.log
case "$*" in
"account show"*) echo '{account}' ;;
"cloud show"*) cat az.cloud 2>/dev/null || echo AzureCloud ;;
"group show --name rg-missing"*) echo "ERROR: (ResourceGroupNotFound) Resource group 'rg-missing' could not be found." >&2; exit 3 ;;
"group show"*) echo westeurope ;;
"identity federated-credential show"*) cat az.subject 2>/dev/null || {{ echo "ERROR: (ResourceNotFound)" >&2; exit 3; }} ;;
"provider show"*) cat az.provider 2>/dev/null || echo Registered ;;
"deployment group what-if"*) if [ -e az.deployed ]; then echo '{none}'; else echo '{create}'; fi ;;
"deployment group create"*) if [ -e az.fails ]; then cat az.fails >&2; exit 1; fi; touch az.deployed ;;
"deployment group show"*) [ -e az.deployed ] || exit 3; echo '{outputs}' ;;
*) echo "nobody expects: $*" >&2; exit 9 ;;
esac"#,
            none = plan("NoChange"),
            create = plan("Create"),
        ),
    );
}

/// What the Azure CLI was told.
fn told_azure(site: &Site) -> String {
    fs::read_to_string(site.folder.join("az.log")).unwrap_or_default()
}

/// A person who is logged in at both clouds, with the release 1.0.0, and no stack.
async fn empty() -> Site {
    let mut site = Site::hub().await;
    site.log_in();
    site.world.with(|state| ROLE.clone_into(&mut state.aws.sts.role_arn));
    release(&site, "1.0.0", &["arm64", "x86_64"]);
    azure(&site);
    site
}

/// The same, with a function that the stack will name.
async fn with_function() -> Site {
    let site = Site::deployed_with(|state| {
        ROLE.clone_into(&mut state.aws.sts.role_arn);
        scene::trust_role(state);
    })
    .await;
    site.world.with(|state| state.aws.deployment = aws::deployment::Deployment::default());
    release(&site, "1.0.0", &["arm64", "x86_64"]);
    azure(&site);
    site
}

/// The command, with `CloudFormation` where its requests are recorded.
fn run<'a>(site: &'a Site, arguments: &[&str]) -> Run<'a> {
    site.run(arguments).without("AWS_ENDPOINT_URL_CLOUDFORMATION")
}

fn stack(site: &Site) -> Option<Stack> {
    site.world.with(|state| state.aws.stacks.stacks.get("hubkeeper").cloned())
}

fn status(site: &Site) -> String {
    stack(site).map(|stack| stack.status).unwrap_or_default()
}

/// Deploys 1.0.0 to AWS alone, with ids that are known.
async fn deployed(site: &Site) {
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let arguments = [&FIRST[..], &["--aws-only", "--set", &ids[0], "--set", &ids[1]]].concat();
    run(site, &arguments).ends(0).await;
    let _ = site.writes();
}

fn kept(site: &Site) -> String {
    fs::read_to_string(site.folder.join("hubkeeper-deploy.toml")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_deployment_of_both_clouds_and_a_repetition_that_changes_nothing() {
    let site = with_function().await;
    let _ = site.writes();
    let arguments =
        [&FIRST[..], &["--resource-group", "rg-defender", "--set", "NotificationEmail=me@example.com"]].concat();
    let first = run(&site, &arguments).ends(0).await;
    let first = first.says(&[
        "subscription   Security (a5caac9c",
        "subject  arn:aws:iam::111122223333:role/hubkeeper-eu-west-1",
        "+ Microsoft.ManagedIdentity/userAssignedIdentities/hubkeeper",
        "stack          hubkeeper (new)",
        "bucket         hubkeeper-111122223333-eu-west-1 (new: no public access, every version kept)",
        "+ HubkeeperFunction  AWS::Serverless::Function",
        "NotificationEmail  me@example.com",
        "your choices are in hubkeeper-deploy.toml",
        "hubkeeper init <organization>",
    ]);
    is_on_the_page(&site, "hubkeeper deploy --resource-group", &format!("{}{}", first.err, first.out));
    // the outputs, then the checks of doctor
    let first = first.shows(&["outputs of hubkeeper (CREATE_COMPLETE)", "FunctionName", "Deployed function", "✓"]);
    assert!(first.out.find("outputs of").unwrap() < first.out.find("✓").unwrap());
    let create = told_azure(&site).lines().find(|line| line.contains("deployment group create")).unwrap().to_owned();
    for words in [
        "--name hubkeeper --resource-group rg-defender",
        "--template-file 1.0.0/hubkeeper-azure-1.0.0.json",
        &format!("awsRoleArn={ROLE} audience=api://AzureADTokenExchange"),
        "awsIssuer=https://",
    ] {
        assert!(create.contains(words), "{words}: {create}");
    }
    let made = stack(&site).unwrap();
    assert_eq!((made.status.as_str(), made.parameters["Architecture"].as_str()), ("CREATE_COMPLETE", "arm64"));
    assert_eq!(
        (made.parameters["AzureClientId"].as_str(), made.parameters["CodeBucket"].as_str()),
        (scene::CLIENT, BUCKET)
    );
    let bucket = site.world.with(|state| state.aws.buckets[BUCKET].clone());
    assert!(bucket.public_access_blocked && bucket.versioned);
    let package = format!("{}hubkeeper-function-1.0.0-arm64.zip", made.parameters["CodePrefix"]);
    assert_eq!(bucket.object(&package).unwrap(), "package 1.0.0 arm64");
    let written = kept(&site);
    for words in [
        "account = \"111122223333\"",
        "resource_group = \"rg-defender\"",
        "NotificationEmail = \"me@example.com\"",
        scene::CLIENT,
    ] {
        assert!(written.contains(words), "{words}: {written}");
    }

    let _ = site.writes();
    let deployments = told_azure(&site).matches("deployment group create").count();
    let again =
        run(&site, &FIRST).ends(0).await.says(&["Azure          nothing to change", "nothing to change in hubkeeper"]);
    assert!(!again.err.contains("your choices are in"), "{}", again.err);
    assert_eq!(told_azure(&site).matches("deployment group create").count(), deployments);
    assert_eq!(stack(&site).unwrap().events.len(), made.events.len());
    // a change set is computed, found empty, and deleted
    assert_eq!(site.writes(), ["POST CreateChangeSet", "POST DeleteChangeSet"]);
    let json = run(&site, &[&FIRST[..], &["-o", "json"]].concat()).ends(0).await.json();
    assert_eq!((&json["outcome"], &json["azure"]["outcome"]), (&json!("unchanged"), &json!("unchanged")));
    assert_eq!(json["outputs"]["RoleArn"], ROLE);
    assert!(json["doctor"]["checks"].is_array(), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_shows_its_changes_and_is_rolled_back_in_one_command() {
    let site = empty().await;
    deployed(&site).await;
    let before = stack(&site).unwrap();
    release_with(&site, "1.1.0", &["arm64"], |template| {
        template["Parameters"]["AzureCloud"].take();
        template["Parameters"].as_object_mut().unwrap().remove("AzureCloud");
        template["Resources"].as_object_mut().unwrap().remove("NoticeTopic");
        template["Resources"]["Queue"] = json!({"Type": "AWS::SQS::Queue"});
    });
    let update = ["deploy", "--release", "1.1.0", "--yes", "--set", "NotificationEmail=new@example.com", "-o", "json"];
    let updated = run(&site, &update).ends(0).await.says(&[
        "this version has no parameter AzureCloud: left out",
        "~ HubkeeperFunction  AWS::Serverless::Function",
        "- NoticeTopic",
        "+ Queue",
        "NotificationEmail  none → new@example.com",
    ]);
    let json = updated.json();
    assert_eq!(
        (&json["outcome"], &json["version"], &json["status"]),
        (&json!("applied"), &json!("1.1.0"), &json!("UPDATE_COMPLETE"))
    );
    assert_eq!(stack(&site).unwrap().parameters["NotificationEmail"], "new@example.com");

    let plan = run(&site, &["deploy", "--rollback", "--plan"]).ends(0).await;
    let plan = plan.says(&["becomes        what it was before its last update", "nothing was changed"]);
    plan.shows(&["+ NoticeTopic", "- Queue"]);
    assert_eq!(stack(&site).unwrap().parameters["NotificationEmail"], "new@example.com");
    run(&site, &["deploy", "--rollback", "--yes"]).ends(0).await.shows(&["UPDATE_COMPLETE"]);
    let after = stack(&site).unwrap();
    assert_eq!((&after.template, &after.parameters), (&before.template, &before.parameters));
    let again = run(&site, &["deploy", "--rollback", "--yes"]).ends(0).await;
    again.says(&["nothing to change in hubkeeper: it is what it was before its last update"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_of_sam_is_updated_and_rolled_back_with_its_hidden_value() {
    let site = empty().await;
    site.world.with(|state: &mut State| {
        scene::deploy(state);
        state.aws.deployment.function.architecture = "x86_64".to_owned();
    });
    let first = run(&site, &FIRST).ends(0).await;
    first.says(&["no parameter Retired: left out", "hubkeeper-function-1.0.0-x86_64.zip", "~ HubkeeperFunction"]);
    assert_eq!(told_azure(&site), "", "the ids are known, and nobody named a group");
    let updated = stack(&site).unwrap();
    assert_eq!(
        (updated.parameters["Architecture"].as_str(), updated.parameters["AzureClientId"].as_str()),
        ("x86_64", scene::CLIENT)
    );
    site.is_secret(PASSWORD);
    let proxied = run(&site, &[&FIRST[..], &["--set", "HttpsProxy"]].concat());
    let proxied = proxied.with("HttpsProxy", &format!("http://me:{PASSWORD}@proxy.example.com:3128")).ends(0).await;
    proxied.says(&["HttpsProxy is hidden: the stack keeps it", "HttpsProxy  **** → ****"]);
    assert!(stack(&site).unwrap().parameters["HttpsProxy"].contains(PASSWORD));
    let stored = site
        .world
        .with(|state| state.aws.buckets[BUCKET].object("hubkeeper/hubkeeper/previous/stack.json").unwrap().clone());
    for text in [kept(&site), String::from_utf8(stored.to_vec()).unwrap()] {
        assert!(!text.contains(PASSWORD) && !text.contains("http://me"), "{text}");
    }
    // an update that names no hidden value keeps it
    run(&site, &[&FIRST[..], &["--set", "NotificationEmail=a@b"]].concat()).ends(0).await;
    assert!(stack(&site).unwrap().parameters["HttpsProxy"].contains(PASSWORD));
    run(&site, &["deploy", "--rollback", "--yes"]).ends(0).await;
    let back = stack(&site).unwrap();
    assert!(back.parameters["HttpsProxy"].contains(PASSWORD) && back.parameters["NotificationEmail"].is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rollback_of_a_first_update_returns_to_sam_s_template() {
    let site = empty().await;
    site.world.with(scene::deploy);
    run(&site, &["deploy", "--rollback", "--yes"])
        .ends(4)
        .await
        .says(&["no earlier deployment of hubkeeper", "--release"]);
    // SAM reads a template from a bucket, so it may be longer than a request
    run(&site, &["destroy", "--plan"]).ends(0).await;
    site.world.with(|state| {
        let template = &mut state.aws.stacks.stacks.get_mut("hubkeeper").unwrap().template;
        let mut longer: Value = serde_json::from_str(template).unwrap();
        longer["Description"] = json!("x".repeat(60_000));
        *template = longer.to_string();
    });
    run(&site, &FIRST).ends(0).await;
    let _ = site.writes();
    run(&site, &["deploy", "--rollback", "--plan"]).ends(0).await.says(&["nothing was changed"]);
    assert_eq!(site.writes(), ["POST CreateChangeSet", "POST DeleteChangeSet"], "a plan writes no object");
    run(&site, &["deploy", "--rollback", "--yes"]).ends(0).await.says(&["Retired"]);
    let back = stack(&site).unwrap();
    assert!(back.template.contains("s3://aws-sam-cli-managed-default/"), "{}", back.template);
    assert_eq!(back.parameters["Retired"], "x");
    run(&site, &["deploy", "--rollback", "--yes", "--stack", "none"])
        .ends(4)
        .await
        .says(&["is about the stack hubkeeper"]);
    fs::remove_file(site.folder.join("hubkeeper-deploy.toml")).unwrap();
    run(&site, &["deploy", "--rollback", "--yes", "--stack", "none"]).ends(4).await.says(&["there is no stack none"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_and_a_question_that_nobody_answers_change_nothing() {
    let site = empty().await;
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let known = ["deploy", "--release", "1.0.0", "--aws-only", "--set", &ids[0], "--set", &ids[1]];
    let json = run(&site, &[&known[..], &["--plan", "-o", "json"]].concat())
        .ends(0)
        .await
        .says(&["nothing was changed"])
        .json();
    assert_eq!((&json["outcome"], json["changes"].as_array().unwrap().len()), (&json!("planned"), 3));
    run(&site, &known).ends(2).await.shows_nothing().says(&["standard input is not a terminal", "--yes"]);
    assert_eq!(status(&site), "DELETE_COMPLETE", "the empty stack is gone");
    assert!(site.world.with(|state| state.aws.buckets.is_empty()) && kept(&site).is_empty());
    let writes = site.writes();
    let expected = ["POST CreateChangeSet", "POST DeleteChangeSet", "POST DeleteStack"];
    assert_eq!(writes, [expected, expected].concat());
    // Azure first: its ids are not known before it is deployed
    let both = ["deploy", "--release", "1.0.0", "--resource-group", "rg-defender", "--plan"];
    run(&site, &both)
        .ends(0)
        .await
        .says(&["nothing was changed in Azure", "the stack was not planned: AzureClientId and AzureTenantId"]);
    assert!(!told_azure(&site).contains("group create") && site.writes().is_empty() && kept(&site).is_empty());
    // an update is discarded, and the stack stays
    deployed(&site).await;
    let change = ["deploy", "--release", "1.0.0", "--set", "NotificationEmail=a@b"];
    run(&site, &[&change[..], &["--plan"]].concat()).ends(0).await;
    run(&site, &change).ends(2).await;
    assert_eq!(
        (status(&site).as_str(), stack(&site).unwrap().parameters["NotificationEmail"].as_str()),
        ("CREATE_COMPLETE", "")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_region_or_subscription_than_the_file_s_is_refused() {
    let site = empty().await;
    deployed(&site).await;
    run(&site, &FIRST).with("AWS_REGION", "us-east-1").ends(4).await.says(&["in Region us-east-1", "AWS_PROFILE"]);
    site.world.with(|state| state.aws.account = "444455556666".to_owned());
    run(&site, &FIRST).ends(4).await.says(&[
        "about account 111122223333",
        "your login is account 444455556666",
        "--config",
    ]);
    site.world.with(|state| state.aws.account = "111122223333".to_owned());
    run(&site, &[&FIRST[..], &["--stack", "other"]].concat())
        .ends(4)
        .await
        .says(&["is about the stack hubkeeper, not other"]);
    site.file("hubkeeper-deploy.toml", "[azure]\nsubscription = \"other\"\nresource_group = \"rg-defender\"\n");
    run(&site, &FIRST).ends(4).await.says(&["is about the subscription other", "az account set --subscription other"]);
    site.file("hubkeeper-deploy.toml", "acount = 1\n");
    run(&site, &FIRST).ends(4).await.says(&["`acount` is not a field"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_changed_is_named_and_nothing_is_uploaded() {
    let site = empty().await;
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let known = [&FIRST[..], &["--set", &ids[0], "--set", &ids[1]]].concat();
    for name in ["hubkeeper-function-1.0.0-arm64.zip", "hubkeeper-1.0.0.template.json"] {
        release(&site, "1.0.0", &["arm64"]);
        fs::write(site.folder.join("1.0.0").join(name), "other").unwrap();
        run(&site, &[&known[..], &["--aws-only"]].concat()).ends(1).await.says(&[name, "nothing was uploaded"]);
    }
    release(&site, "1.0.0", &["arm64"]);
    fs::write(site.folder.join("1.0.0/hubkeeper-azure-1.0.0.json"), "{}").unwrap();
    run(&site, &[&known[..], &["--resource-group", "rg-defender"]].concat())
        .ends(1)
        .await
        .says(&["hubkeeper-azure-1.0.0.json"]);
    assert!(site.writes().is_empty() && !told_azure(&site).contains("deployment"));
    let wrong = run(&site, &[&known[..], &["--aws-only", "--set", "Architecture=x86_64"]].concat()).ends(4).await;
    wrong.says(&["no package for x86_64, only for arm64"]);
    run(&site, &["deploy", "--release", "bin", "--yes"]).ends(4).await.says(&["not the folder of a release"]);
    run(&site, &["deploy", "--yes"]).ends(2).await.says(&["no release in this folder", "--build", "--release"]);
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_azure_cli_an_administrator_gets_the_command() {
    let site = empty().await;
    fs::remove_file(site.folder.join("bin/az")).unwrap();
    let both = [&FIRST[..], &["--resource-group", "rg-defender"]].concat();
    let issuer = site.world.with(|state| state.aws.sts.issuer.clone());
    let words = [
        "the Azure CLI is not installed",
        "nothing was deployed",
        "az deployment group create --name hubkeeper --resource-group rg-defender --template-file 1.0.0/hubkeeper-azure-1.0.0.json",
        &format!("awsIssuer={issuer}"),
        &format!("awsRoleArn={ROLE}"),
        "hubkeeper deploy --aws-only --set AzureTenantId=<the first>",
    ];
    run(&site, &both).ends(4).await.shows_nothing().says(&words);
    run(&site, &[&FIRST[..], &["--aws-only"]].concat())
        .ends(4)
        .await
        .says(&["Azure is left out", "az deployment group create"]);
    site.program("az", "echo \"Please run 'az login' to setup account.\" >&2; exit 1");
    run(&site, &both).ends(4).await.says(&["has no login (run az login)", "az deployment group create"]);
    assert_eq!(site.writes(), [""; 0]);
    // with known ids the half in AWS continues
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let known = [&both[..], &["--set", &ids[0], "--set", &ids[1]]].concat();
    run(&site, &known).ends(0).await.says(&["Azure   not checked: the Azure CLI has no login"]);
    assert_eq!(status(&site), "CREATE_COMPLETE");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_against_the_half_in_azure_is_said_before_anything_is_made() {
    let site = empty().await;
    let both = |group: &'static str| [&FIRST[..], &["--resource-group", group]].concat();
    site.world.with(|state| state.aws.sts.federation_disabled = true);
    run(&site, &both("rg-defender"))
        .ends(4)
        .await
        .says(&["is off in account 111122223333", "aws iam enable-outbound-web-identity-federation"]);
    site.world.with(|state| state.aws.sts.federation_disabled = false);
    run(&site, &both("rg-missing"))
        .ends(4)
        .await
        .says(&["no resource group rg-missing", "az group create --name rg-missing"]);
    site.file("az.subject", "arn:aws:iam::111122223333:role/other\n");
    run(&site, &both("rg-defender"))
        .ends(4)
        .await
        .says(&["trusts arn:aws:iam::111122223333:role/other already", "--identity"]);
    fs::remove_file(site.folder.join("az.subject")).unwrap();
    run(&site, &FIRST).ends(2).await.says(&["missing: --resource-group"]);
    run(&site, &[&both("rg-defender")[..], &["--identity", "ab"]].concat()).ends(2).await.says(&["3 to 64 characters"]);
    let pair = |text: &'static str| [&both("rg-defender")[..], &["--azure-set", text]].concat();
    run(&site, &pair("existingPrincipalId=x")).ends(2).await.says(&["infra/azure/README.md"]);
    site.world.with(|state| assert!(state.aws.denied.insert("iam:GetOutboundWebIdentityFederationInfo".to_owned())));
    run(&site, &both("rg-defender"))
        .ends(4)
        .await
        .says(&["you need the right iam:GetOutboundWebIdentityFederationInfo"]);
    assert!(!told_azure(&site).contains("group create") && site.writes().is_empty());
    site.world.with(|state| state.aws.denied.clear());
    site.file("az.fails", "ERROR: (AuthorizationFailed) The client does not have authorization.\n");
    site.file("az.provider", "NotRegistered\n");
    run(&site, &both("rg-defender"))
        .ends(4)
        .await
        .says(&["AuthorizationFailed", "az provider register --namespace Microsoft.Security --wait"]);
    assert_eq!(status(&site), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_alone_is_deployed_with_or_without_a_login_at_aws() {
    let site = empty().await;
    let alone = ["deploy", "--release", "1.0.0", "--azure-only", "--resource-group", "rg-defender", "--yes"];
    site.file("az.cloud", "AzureUSGovernment\n");
    let done = run(&site, &[&alone[..], &["--azure-set", "allowDelete=false"]].concat()).ends(0).await;
    done.shows(&["outputs of Azure", scene::CLIENT])
        .says(&["audience api://AzureADTokenExchangeUSGov", "hubkeeper deploy --aws-only --set AzureTenantId="]);
    let told = told_azure(&site);
    assert!(told.contains("audience=api://AzureADTokenExchangeUSGov allowDelete=false"), "{told}");
    assert!(kept(&site).contains("AzureCloud = \"us-government\""), "{}", kept(&site));
    assert_eq!(site.writes(), [""; 0]);
    let issuer = "https://5f2c1d94-8f0e-4f37-9a2b-6f1c6b7d2e10.tokens.sts.global.api.aws";
    let named = [&alone[..], &["--issuer", issuer, "--role-arn", ROLE]].concat();
    let _ = site.requests();
    run(&site, &named).without("AWS_ACCESS_KEY_ID").ends(0).await.says(&["Azure          nothing to change"]);
    assert_eq!(site.requests(), [""; 0]);
    let wrong = [&alone[..], &["--issuer", issuer, "--role-arn", "arn:aws:sts::1:assumed-role/x/y"]].concat();
    run(&site, &wrong).ends(2).await.says(&["not the ARN of an IAM role"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_cannot_be_updated_comes_with_the_remedy() {
    let site = empty().await;
    deployed(&site).await;
    for (status, code, words) in [
        ("ROLLBACK_COMPLETE", 4, "hubkeeper destroy --stack hubkeeper"),
        ("ROLLBACK_FAILED", 4, "hubkeeper destroy --stack hubkeeper"),
        ("DELETE_FAILED", 4, "hubkeeper destroy --stack hubkeeper"),
        ("UPDATE_ROLLBACK_FAILED", 4, "continue-update-rollback"),
        ("UPDATE_IN_PROGRESS", 3, "wait until it has finished"),
    ] {
        site.world.with(|state| status.clone_into(&mut state.aws.stacks.stacks.get_mut("hubkeeper").unwrap().status));
        run(&site, &FIRST).ends(code).await.says(&[&format!("the stack hubkeeper is {status}"), words]);
        run(&site, &["deploy", "--rollback", "--yes"]).ends(code).await.says(&[words]);
    }
    assert_eq!(site.writes(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_comes_with_the_reason_of_its_first_event() {
    let site = empty().await;
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let known = [&FIRST[..], &["--aws-only", "--set", &ids[0], "--set", &ids[1]]].concat();
    site.is_secret(PASSWORD);
    let reason = format!("Value '{{HTTPS_PROXY=http://me:{PASSWORD}@proxy}}' at 'environment' is invalid");
    site.world.with(|state| state.aws.stacks.fails = Some(("HubkeeperFunction".to_owned(), reason)));
    let failed = run(&site, &known).ends(4).await.shows_nothing().says(&[
        "the stack hubkeeper was not created, and is ROLLBACK_COMPLETE",
        "HubkeeperFunction (AWS::Serverless::Function): Value",
        "hubkeeper destroy --stack hubkeeper",
    ]);
    assert!(!failed.err.contains("cancelled"), "{}", failed.err);
    run(&site, &FIRST).ends(4).await.says(&["is ROLLBACK_COMPLETE"]);
    run(&site, &["destroy", "--confirm", "hubkeeper"]).ends(0).await;
    run(&site, &FIRST).ends(0).await;
    site.world.with(|state| state.aws.stacks.fails = Some(("NoticeTopic".to_owned(), "quota".to_owned())));
    let update = [&FIRST[..], &["--set", "NotificationEmail=a@b"]].concat();
    run(&site, &update)
        .ends(4)
        .await
        .says(&["was not updated, and is UPDATE_ROLLBACK_COMPLETE", "NoticeTopic (AWS::SNS::Topic): quota"]);
    assert_eq!(stack(&site).unwrap().parameters["NotificationEmail"], "");
    // the next one succeeds
    run(&site, &update).ends(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_aws_refuses_names_the_right_or_the_parameter() {
    let site = empty().await;
    let ids = [format!("AzureTenantId={}", scene::TENANT), format!("AzureClientId={}", scene::CLIENT)];
    let known = [&FIRST[..], &["--aws-only", "--set", &ids[0], "--set", &ids[1]]].concat();
    run(&site, &[&FIRST[..], &["--aws-only", "--set", &ids[0]]].concat())
        .ends(4)
        .await
        .says(&["ids of the identity are not known"]);
    for right in [
        "cloudformation:DescribeStacks",
        "cloudformation:CreateChangeSet",
        "cloudformation:DescribeChangeSet",
        "cloudformation:ExecuteChangeSet",
        "s3:ListBucket",
        "s3:CreateBucket",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutBucketVersioning",
        "s3:PutObject",
    ] {
        site.world.with(|state| state.aws.denied = [right.to_owned()].into());
        run(&site, &known).ends(4).await.shows_nothing().says(&[&format!("you need the right {right}")]);
        assert_ne!(status(&site), "CREATE_COMPLETE", "{right}");
        site.world.with(|state| state.aws.buckets.clear());
        let _ = fs::remove_file(site.folder.join("hubkeeper-deploy.toml"));
    }
    site.world.with(|state| state.aws.denied.clear());
    run(&site, &[&known[..], &["--set", "Nothing=x"]].concat()).ends(2).await.says(&["no parameter Nothing"]);
    run(&site, &[&known[..], &["--set", "CodeBucket=x"]].concat()).ends(2).await.says(&["--bucket"]);
    run(&site, &[&known[..], &["--set", "HttpsProxy"]].concat())
        .ends(2)
        .await
        .says(&["the environment has no variable HttpsProxy"]);
    run(&site, &[&known[..], &["--set", "Architecture=riscv"]].concat()).ends(2).await.says(&["arm64 or x86_64"]);
    run(&site, &[&known[..], &["--bucket", "Upper"]].concat()).ends(2).await.says(&["not one of S3"]);
    run(&site, &[&known[..], &["--stack", &"s".repeat(60)]].concat()).ends(2).await.says(&["more than 64 characters"]);
    site.is_secret(PASSWORD);
    let proxy = format!("HttpsProxy=http://me:{PASSWORD}@proxy");
    run(&site, &[&known[..], &["--set", &proxy]].concat())
        .ends(2)
        .await
        .says(&["holds a password", "--set HttpsProxy without a value"]);
    site.forget("its arguments");
    site.file("hubkeeper-deploy.toml", "[parameters]\nHttpsProxy = \"http://proxy\"\n");
    run(&site, &known).ends(4).await.says(&["holds HttpsProxy, which AWS hides"]);
    fs::remove_file(site.folder.join("hubkeeper-deploy.toml")).unwrap();
    site.world.with(|state| assert!(state.aws.foreign_buckets.insert(BUCKET.to_owned())));
    run(&site, &known).ends(4).await.says(&["belongs to another account"]);
    run(&site, &[&known[..], &["--bucket", "mine-1"]].concat()).ends(0).await;
    assert!(kept(&site).contains("bucket = \"mine-1\""), "{}", kept(&site));
    run(&site, &known).ends(0).await.says(&["nothing to change"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_builds_its_release_for_the_processor_of_the_function() {
    let site = empty().await;
    for (name, text) in [("infra/aws/template.yaml", ""), ("Cargo.toml", ""), ("infra/azure/azuredeploy.json", "{}")] {
        fs::create_dir_all(site.folder.join(name).parent().unwrap()).unwrap();
        fs::write(site.folder.join(name), text).unwrap();
    }
    let arguments = ["deploy", "--build", "--resource-group", "rg-defender", "--yes", "--set", "Architecture=x86_64"];
    site.program("make", "echo \"$*\" >> make.log; echo 'error: it does not compile' >&2; exit 2");
    run(&site, &arguments).ends(4).await.says(&["it does not compile", "the build failed", "nothing was deployed"]);
    assert_eq!(status(&site), "");
    site.program(
        "make",
        "echo \"$*\" >> make.log; for word; do case $word in FOLDER=*) mkdir -p \"${word#FOLDER=}\"; cp 1.0.0/* \"${word#FOLDER=}\" ;; esac; done; echo built",
    );
    let built = run(&site, &arguments).ends(0).await.says(&["builds the function for x86_64", "built"]);
    assert!(!built.out.contains("built\n"), "results alone go to standard output: {}", built.out);
    let made = fs::read_to_string(site.folder.join("make.log")).unwrap();
    let made = made.lines().last().unwrap();
    assert!(made.contains(" release-folder VERSION=") && made.contains(" ARCH=x86_64 FOLDER="), "{made}");
    assert_eq!(stack(&site).unwrap().parameters["Architecture"], "x86_64");
    assert!(told_azure(&site).contains("infra/azure/azuredeploy.json"), "{}", told_azure(&site));
}
