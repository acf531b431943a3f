//! The identity in Azure, by the person's own Azure CLI: what is there, what would change, and the deployment.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::exit::{Code, Failure};
use crate::render::style;

/// The audience of the assertion in the public cloud.
pub const AUDIENCE: &str = "api://AzureADTokenExchange";
/// The audience in Azure US Government.
pub const AUDIENCE_OF_GOVERNMENT: &str = "api://AzureADTokenExchangeUSGov";

/// What the deployment is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The resource group of the connectors.
    pub group: String,
    /// The identity.
    pub identity: String,
    /// The issuer of the AWS account.
    pub issuer: String,
    /// The role of the function.
    pub role: String,
    /// Further parameters of the template.
    pub parameters: BTreeMap<String, String>,
}

/// The subscription that the Azure CLI has chosen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its tenant.
    pub tenant: String,
    /// Whether it is in Azure US Government.
    pub is_government: bool,
}

impl Account {
    /// The audience of the assertion.
    pub fn audience(&self) -> &'static str {
        if self.is_government { AUDIENCE_OF_GOVERNMENT } else { AUDIENCE }
    }
}

/// What Azure says before the deployment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Before {
    /// The location of the resource group.
    pub location: String,
    /// The state of the provider, if it is not registered.
    pub unregistered: Option<String>,
    /// What would change; `None` if nothing would.
    pub changes: Option<Vec<(String, String)>>,
    /// The outputs of the last deployment.
    pub outputs: Option<BTreeMap<String, String>>,
}

/// Why the Azure CLI cannot be used at all: the AWS half may continue without it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unusable(pub String);

/// Runs `az`.
async fn run(arguments: &[&str]) -> io::Result<Output> {
    let mut command = tokio::process::Command::new("az");
    // Ctrl-C ends the child as well
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command.output().await
}

/// Runs `az`, and returns its standard output; or what it complained about.
async fn az(arguments: &[&str]) -> io::Result<Result<String, String>> {
    Ok(said(&run(arguments).await?))
}

fn said(output: &Output) -> Result<String, String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(super::plain(&String::from_utf8_lossy(&output.stderr)))
}

async fn ask(arguments: &[&str]) -> Result<String, String> {
    az(arguments).await.unwrap_or_else(|error| Err(error.kind().to_string()))
}

/// The same for what may not exist: `None` then.
async fn find(arguments: &[&str]) -> Result<Option<String>, String> {
    /// How `az` ends if there is no such resource (its documentation, "Exit codes").
    const MISSING: i32 = 3;
    let output = run(arguments).await.map_err(|error| error.kind().to_string())?;
    match said(&output) {
        Ok(text) => Ok(Some(text)),
        Err(complaint) if output.status.code() == Some(MISSING) || complaint.contains("NotFound") => Ok(None),
        Err(complaint) => Err(complaint),
    }
}

/// The subscription of the login.
///
/// # Errors
/// Returns why the Azure CLI cannot be used.
pub async fn account() -> Result<Account, Unusable> {
    let query = ["account", "show", "--query", "{name:name,id:id,tenantId:tenantId}", "--output", "json"];
    let shown = match az(&query).await {
        Ok(Ok(shown)) => shown,
        Ok(Err(complaint)) => return Err(Unusable(format!("the Azure CLI has no login (run az login): {complaint}"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Unusable(
                "the Azure CLI is not installed, or az is not on the PATH (https://learn.microsoft.com/cli/azure/)"
                    .to_owned(),
            ));
        }
        Err(error) => return Err(Unusable(format!("the Azure CLI does not run: {}", error.kind()))),
    };
    let cloud = ask(&["cloud", "show", "--query", "name", "--output", "tsv"])
        .await
        .map_err(|complaint| Unusable(format!("the Azure CLI does not name its cloud: {complaint}")))?;
    parsed(&shown, &cloud).ok_or_else(|| Unusable("the output of az account show cannot be read".to_owned()))
}

fn parsed(shown: &str, cloud: &str) -> Option<Account> {
    let shown: Value = serde_json::from_str(shown).ok()?;
    let text = |name: &str| shown[name].as_str().map(str::to_owned);
    Some(Account {
        name: text("name")?,
        id: text("id")?,
        tenant: text("tenantId")?,
        is_government: cloud == "AzureUSGovernment",
    })
}

/// The arguments that name the deployment and its parameters.
fn arguments(wanted: &Wanted, account: &Account, template: &Path) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--name",
        &wanted.identity,
        "--resource-group",
        &wanted.group,
        "--subscription",
        &account.id,
        "--template-file",
    ]
    .map(str::to_owned)
    .into();
    arguments.push(template.display().to_string());
    arguments.push("--parameters".to_owned());
    for (name, value) in [
        ("identityName", wanted.identity.as_str()),
        ("awsIssuer", &wanted.issuer),
        ("awsRoleArn", &wanted.role),
        ("audience", account.audience()),
    ] {
        arguments.push(format!("{name}={value}"));
    }
    arguments.extend(wanted.parameters.iter().map(|(name, value)| format!("{name}={value}")));
    arguments
}

/// Reads what is there, and what the deployment would change.
///
/// # Errors
/// Returns a failure if the group does not exist, another role is trusted, or the deployment cannot be planned.
pub async fn before(wanted: &Wanted, account: &Account, template: &Path) -> Result<Before, Failure> {
    let Wanted { group, identity, role, .. } = wanted;
    let of_group = ["--resource-group", group.as_str(), "--subscription", &account.id];
    let location =
        ask(&["group", "show", "--name", group, "--subscription", &account.id, "--query", "location", "--output", "tsv"])
            .await
            .map_err(|complaint| {
                Failure::new(
                    Code::Person,
                    format!("there is no resource group {group} in the subscription {}: {complaint}", account.name),
                    format!(
                        "choose another subscription (az account set --subscription <id>), or create it: az group create --name {group} --location <location>"
                    ),
                )
            })?;
    // one credential trusts one role: another stack's trust is not overwritten
    let show = [
        "identity",
        "federated-credential",
        "show",
        "--identity-name",
        identity,
        "--name",
        "hubkeeper",
        "--query",
        "subject",
        "--output",
        "tsv",
    ];
    let subject = find(&[&show[..], &of_group].concat()).await.map_err(|complaint| {
        Failure::new(
            Code::Person,
            format!("it cannot be read which role the identity {identity} trusts: {complaint}"),
            "run the command again, or as a person with the right Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/read",
        )
    })?;
    if let Some(subject) = subject.filter(|subject| !subject.is_empty() && subject != role) {
        return Err(Failure::new(
            Code::Person,
            format!("the identity {identity} trusts {subject} already, not {role}"),
            format!(
                "choose another identity with --identity; or, if that role is gone, delete the credential: az identity federated-credential delete --identity-name {identity} --resource-group {group} --name hubkeeper"
            ),
        ));
    }
    let provider = [
        "provider",
        "show",
        "--namespace",
        "Microsoft.Security",
        "--subscription",
        &account.id,
        "--query",
        "registrationState",
        "--output",
        "tsv",
    ];
    let unregistered = ask(&provider).await.ok().filter(|state| state != "Registered" && !state.is_empty());
    let common = arguments(wanted, account, template);
    let common = common.iter().map(String::as_str);
    let plan: Vec<&str> =
        ["deployment", "group", "what-if", "--no-pretty-print", "--output", "json"].into_iter().chain(common).collect();
    let plan = ask(&plan).await.map_err(|complaint| refused("planned", &complaint))?;
    let changes =
        changes(&plan).ok_or_else(|| refused("planned", "the output of az deployment group what-if cannot be read"))?;
    let outputs = outputs(wanted, account).await;
    let is_unchanged = changes.is_empty() && outputs.is_some();
    Ok(Before { location, unregistered, changes: (!is_unchanged).then_some(changes), outputs })
}

/// What a what-if would change: the kind of change, and the resource.
fn changes(text: &str) -> Option<Vec<(String, String)>> {
    let plan: Value = serde_json::from_str(text).ok()?;
    let changes = plan["changes"].as_array()?;
    let changes = changes.iter().filter_map(|change| {
        let kind = change["changeType"].as_str()?;
        let id = change["resourceId"].as_str().unwrap_or_default();
        let resource = id.rsplit_once("/providers/").map_or(id, |(_, resource)| resource);
        (!["NoChange", "Ignore"].contains(&kind)).then(|| (kind.to_owned(), resource.to_owned()))
    });
    Some(changes.collect())
}

/// The changes as a table.
pub fn table(group: &str, changes: &[(String, String)]) -> String {
    let mut text = format!("{}\n", style::bold(&format!("changes of {group}")));
    for (kind, resource) in changes {
        let sign = match kind.as_str() {
            "Create" => style::good("+"),
            "Delete" => style::bad("-"),
            "Unsupported" => style::dim("?"),
            _ => style::warn("~"),
        };
        let _ = writeln!(text, "  {sign} {resource}");
    }
    if changes.is_empty() {
        text.push_str("  none that Azure can predict; the deployment's outputs are missing\n");
    }
    text
}

/// The changes for programs.
pub fn to_json(changes: &[(String, String)]) -> Value {
    changes.iter().map(|(kind, resource)| json!({"action": kind, "resource": resource})).collect()
}

/// Deploys, and returns the outputs.
///
/// # Errors
/// Returns a failure with the Azure CLI's complaint, or if Entra stored another subject.
pub async fn deploy(wanted: &Wanted, account: &Account, template: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let common = arguments(wanted, account, template);
    let common = common.iter().map(String::as_str);
    let create: Vec<&str> = ["deployment", "group", "create", "--output", "none"].into_iter().chain(common).collect();
    ask(&create).await.map_err(|complaint| refused("deployed", &complaint))?;
    let outputs = outputs(wanted, account)
        .await
        .ok_or_else(|| refused("read", &format!("the outputs of the deployment {} cannot be read", wanted.identity)))?;
    checked(wanted, outputs)
}

/// Checks that Entra trusts the role exactly as it is spelled.
///
/// # Errors
/// Returns a failure if it does not.
pub fn checked(wanted: &Wanted, outputs: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Failure> {
    let subject = outputs.get("federatedSubject").map(String::as_str).unwrap_or_default();
    if subject == wanted.role {
        return Ok(outputs);
    }
    Err(Failure::new(
        Code::Person,
        format!("Entra has stored the subject {subject}, not {}: it would reject the function", wanted.role),
        "run the command again; \"When it fails\" in infra/azure/README.md explains the fields",
    ))
}

async fn outputs(wanted: &Wanted, account: &Account) -> Option<BTreeMap<String, String>> {
    let show = [
        "deployment",
        "group",
        "show",
        "--name",
        &wanted.identity,
        "--resource-group",
        &wanted.group,
        "--subscription",
        &account.id,
        "--query",
        "properties.outputs",
        "--output",
        "json",
    ];
    let shown: Value = serde_json::from_str(&ask(&show).await.ok()?).ok()?;
    let outputs: BTreeMap<String, String> = shown
        .as_object()?
        .iter()
        .filter_map(|(name, output)| Some((name.clone(), output["value"].as_str()?.to_owned())))
        .collect();
    ["tenantId", "clientId", "federatedSubject"].iter().all(|name| outputs.contains_key(*name)).then_some(outputs)
}

fn refused(verb: &str, complaint: &str) -> Failure {
    Failure::new(
        Code::Person,
        format!("the identity in Azure cannot be {verb}: {complaint}"),
        "see \"When it fails\" in infra/azure/README.md, then run this again",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        parsed(r#"{"name": "Security", "id": "s", "tenantId": "t"}"#, "AzureCloud").unwrap()
    }

    #[test]
    fn the_cloud_chooses_the_audience() {
        assert_eq!(account().audience(), "api://AzureADTokenExchange");
        let government = parsed(r#"{"name": "", "id": "s", "tenantId": "t"}"#, "AzureUSGovernment").unwrap();
        assert_eq!(government.audience(), "api://AzureADTokenExchangeUSGov");
        assert_eq!(parsed("{}", "AzureCloud"), None);
    }

    #[test]
    fn only_changes_are_listed() {
        let text = r#"{"status": "Succeeded", "changes": [
            {"changeType": "NoChange", "resourceId": "/subscriptions/s/resourceGroups/g/providers/A/b/c"},
            {"changeType": "Ignore", "resourceId": "x"},
            {"changeType": "Create", "resourceId": "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/hubkeeper"}]}"#;
        let found = changes(text).unwrap();
        let expected = ("Create".to_owned(), "Microsoft.ManagedIdentity/userAssignedIdentities/hubkeeper".to_owned());
        assert_eq!(found, [expected]);
        assert!(table("g", &found).contains("userAssignedIdentities/hubkeeper"));
        assert_eq!(changes("{}"), None);
    }

    #[test]
    fn another_subject_is_refused() {
        let wanted = Wanted {
            group: "g".to_owned(),
            identity: "hubkeeper".to_owned(),
            issuer: "https://issuer".to_owned(),
            role: "arn:aws:iam::1:role/r".to_owned(),
            parameters: [("allowDelete".to_owned(), "false".to_owned())].into(),
        };
        let outputs = |subject: &str| [("federatedSubject".to_owned(), subject.to_owned())].into();
        assert!(checked(&wanted, outputs("arn:aws:iam::1:role/r")).is_ok());
        assert!(checked(&wanted, outputs("arn:aws:iam::1:role/R")).unwrap_err().what.contains("role/R, not"));
        let arguments = arguments(&wanted, &account(), Path::new("a.json"));
        assert_eq!(arguments.last().map(String::as_str), Some("allowDelete=false"));
        assert!(arguments.contains(&"audience=api://AzureADTokenExchange".to_owned()));
    }
}
