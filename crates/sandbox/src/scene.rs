//! An example world for demonstrations and measurements: an organization at Docker Hub, a resource group at Azure, and a secret
//! as its owner writes it.

use std::path::PathBuf;

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::serve::Served;
use crate::{State, arm, aws, deployed, entra, hub};

/// The Docker Hub organization.
pub const ORGANIZATION: &str = "acme";
/// Its dedicated user.
pub const USER: &str = "acme-scanner";
/// The team with access to the general repositories.
pub const TEAM: &str = "scanning";
/// The team with access to the payment repositories.
pub const PAYMENTS: &str = "payments";
/// The Entra tenant.
pub const TENANT: &str = "7e4a0000-0000-4000-a000-000000000001";
/// The Entra application.
pub const CLIENT: &str = "c11e0000-0000-4000-a000-000000000001";
/// The Azure subscription.
pub const SUBSCRIPTION: &str = "a5caac9c-5c04-49af-b3d0-e204f40345d5";
/// The resource group.
pub const GROUP: &str = "rg-defender";
/// The connector's name.
pub const CONNECTOR: &str = "dockerhub-acme";
/// The secret's name.
pub const SECRET: &str = "hubkeeper/acme";
/// The manager secret's name.
pub const MANAGER: &str = "hubkeeper/acme-manager";
/// The secret key of a person's login at AWS.
pub const SECRET_KEY: &str = "a-key-of-the-sandbox";
/// The session token of that login.
pub const SESSION_TOKEN: &str = "a-session-of-the-sandbox";
/// Repositories: name, whether it is private, the team with read access.
pub const REPOSITORIES: [(&str, bool, &str); 6] = [
    ("web", false, TEAM),
    ("docs", false, TEAM),
    ("api", true, TEAM),
    ("worker", true, TEAM),
    ("billing", true, PAYMENTS),
    ("ledger", true, PAYMENTS),
];

/// The secret's document, without a token and without a manager.
#[must_use]
pub fn document() -> Value {
    let names: Vec<&str> = REPOSITORIES.iter().map(|(name, ..)| *name).collect();
    json!({
        "organization": ORGANIZATION,
        "username": USER,
        "expectedRepositories": names,
        "connector": {
            "subscriptionId": SUBSCRIPTION, "resourceGroup": GROUP, "name": CONNECTOR, "location": "westeurope",
        },
    })
}

/// The document with a token, and the token's expiry if it has one.
#[must_use]
pub fn document_with(token: &str, expires_at: Option<OffsetDateTime>) -> Value {
    let mut document = document();
    document["accessToken"] = json!(token);
    if let Some(at) = expires_at {
        document["expiresAt"] = json!(aws::time_text(at));
    }
    document
}

/// Entra and Azure: an application that trusts the function's role, and may write connectors in an empty resource group.
pub fn azure(state: &mut State) {
    entra::register_application(state, TENANT, CLIENT);
    trust_role(state);
    arm::add_resource_group(state, SUBSCRIPTION, GROUP);
    arm::grant(state, CLIENT, SUBSCRIPTION, GROUP, &["read", "write", "delete"]);
}

/// Makes the application trust the current caller of STS, and no other role.
pub fn trust_role(state: &mut State) {
    let (issuer, role) = (state.aws.sts.issuer.clone(), state.aws.sts.role_arn.clone());
    entra::remove_federated_credentials(state, CLIENT);
    entra::add_federated_credential(state, CLIENT, &issuer, &role, "api://AzureADTokenExchange");
}

/// Deploys hubkeeper's stack, with the current caller of STS as the function's role: all alarms in the state `OK`, the schedule, a
/// reconcile an hour ago, and the topic with one confirmed subscription. Its parts are in [`aws::deployment::Deployment`].
pub fn deploy(state: &mut State) {
    aws::deployment::deploy(state, deployed::STACK, deployed::FUNCTION);
}

/// Docker Hub: the organization and its dedicated user. Returns the user's password.
pub fn docker_hub(state: &mut State) -> String {
    organization(state, ORGANIZATION, USER)
}

/// Creates an organization with the example's repositories and a dedicated user. The user reads all of them as a member of two
/// teams. Returns the user's password.
pub fn organization(state: &mut State, organization: &str, user: &str) -> String {
    let password = state.random_text(24);
    hub::add_organization(state, organization);
    hub::add_user(state, user, &password);
    hub::add_member(state, organization, user, hub::Role::Member);
    for team in [TEAM, PAYMENTS] {
        hub::add_to_team(state, organization, team, user);
    }
    for (name, private, team) in REPOSITORIES {
        hub::add_repository(state, organization, name, private);
        hub::team_permission(state, organization, team, name, Some(hub::Permission::Read));
    }
    password
}

/// Creates the whole example: Docker Hub, Azure, the manager secret, and the secret, without a token and with rotation on.
/// Returns the secret's ARN.
pub fn build(state: &mut State) -> String {
    let password = docker_hub(state);
    azure(state);
    let login = json!({ "username": USER, "password": password, "usedBy": [SECRET] });
    aws::create_secret(state, MANAGER, &login, &[]);
    let mut value = document();
    value["manager"] = json!(MANAGER);
    let arn = aws::create_secret(state, SECRET, &value, &[]);
    aws::enable_rotation(state, &arn, true);
    state.aws.events.clear();
    arn
}

/// Moves the dates of secrets, tokens and connectors into the past, as if that much time had passed. For programs that run on the
/// system clock.
pub fn age(state: &mut State, by: Duration) {
    aws::age(state, by);
    hub::age(state, by);
    arm::age(state, by);
}

/// The function's environment: the sandbox's endpoints, tenant and client.
#[must_use]
pub fn environment(served: &Served) -> Vec<(String, String)> {
    let mut variables = served.environment();
    let azure = [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", CLIENT)];
    variables.extend(azure.map(|(name, value)| (name.to_owned(), value.to_owned())));
    variables
}

/// The environment of a person with a login at AWS and the function's access to Azure: for the command line.
#[must_use]
pub fn caller(served: &Served) -> Vec<(String, String)> {
    let own = [
        ("AWS_ACCESS_KEY_ID", "AKIDSANDBOX"),
        ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
        ("AWS_SESSION_TOKEN", SESSION_TOKEN),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("HUBKEEPER_AZURE_AUTH", "federated"),
        ("NO_PROXY", "127.0.0.1,localhost"),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    environment(served).into_iter().chain(own).collect()
}

/// A file for the certificate of the sandbox's authority, for this process only.
#[must_use]
pub fn authority_file() -> PathBuf {
    std::env::temp_dir().join(format!("sandbox-authority-{}.pem", std::process::id()))
}
