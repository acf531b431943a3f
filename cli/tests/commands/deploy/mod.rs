//! `hubkeeper deploy` against stand-ins of `CloudFormation`, S3 and IAM, with a small release, and a stand-in of the Azure CLI.

mod checked;
mod identity;
mod refused;
mod updates;

use std::fmt::Write as _;
use std::fs;

use hubkeeper_sandbox::aws::cloudformation::Stack;
use hubkeeper_sandbox::{aws, scene};
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

pub(crate) fn release_with(site: &Site, version: &str, architectures: &[&str], change: impl FnOnce(&mut Value)) {
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
"identity federated-credential show"*) [ -e az.hidden ] && {{ cat az.hidden >&2; exit 1; }}; cat az.subject 2>/dev/null || {{ echo "ERROR: (ResourceNotFound)" >&2; exit 3; }} ;;
"provider show"*) cat az.provider 2>/dev/null || echo Registered ;;
"deployment group what-if"*) if [ -e az.deployed ]; then echo '{none}'; else echo '{create}'; fi ;;
"deployment group create"*) if [ -e az.fails ]; then cat az.fails >&2; exit 1; fi; touch az.deployed ;;
"deployment group show"*) [ -e az.deployed ] || exit 3; cat az.outputs 2>/dev/null || echo '{outputs}' ;;
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
