//! The organization of the tests, and the watch over the promises.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use hubkeeper_sandbox::{State, World, arm, aws, entra, hub};
use serde_json::{Value, json};

use crate::Begin;

/// The organization.
pub const ORG: &str = "acme";
/// The dedicated user.
pub const USER: &str = "acme-scanner";
/// The password of [`USER`].
pub const PASSWORD: &str = "correct-horse-battery-9";
/// The Entra tenant.
pub const TENANT: &str = "7e4a0000-0000-4000-a000-000000000001";
/// The client id of the function in Entra.
pub const CLIENT: &str = "c11e0000-0000-4000-a000-000000000001";
/// The Azure subscription.
pub const SUBSCRIPTION: &str = "a5caac9c-5c04-49af-b3d0-e204f40345d5";
/// The resource group of the connector.
pub const GROUP: &str = "rg-security";
/// The name of the connector.
pub const CONNECTOR: &str = "dockerhub-acme";
/// The address to invite if the dedicated user is not a member yet.
pub const EMAIL: &str = "scanner@acme.example";
/// The owner who invites.
pub const OWNER: &str = "acme-owner";
/// The password of [`OWNER`].
pub const OWNER_PASSWORD: &str = "an-owner-has-another-password-3";
/// The secret with the login of [`OWNER`].
pub const OWNER_SECRET: &str = "vault/acme-owner";
/// The name of the secret. Its manager and owner secrets list it.
pub const SECRET: &str = "hubkeeper/acme";
const SEED: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// The secret's document, without a token.
pub fn document() -> Value {
    json!({
        "organization": ORG, "username": USER, "contact": "security@example.com",
        "connector": {"subscriptionId": SUBSCRIPTION, "resourceGroup": GROUP, "name": CONNECTOR, "location": "westeurope"}
    })
}

/// Creates one organization and returns the ARN of its secret.
pub fn build(state: &mut State, begin: Begin) -> String {
    hub::add_organization(state, ORG);
    hub::add_user(state, USER, PASSWORD);
    hub::add_member(state, ORG, USER, hub::Role::Editor);
    for (name, private) in [("web", false), ("api", true), ("db", true), ("ops", true)] {
        hub::add_repository(state, ORG, name, private);
        hub::add_tag(state, ORG, name, "1.0", hub::MediaType::OciIndex);
    }
    let (issuer, role) = (state.aws.sts.issuer.clone(), state.aws.sts.role_arn.clone());
    entra::register_application(state, TENANT, CLIENT);
    entra::add_federated_credential(state, CLIENT, &issuer, &role, "api://AzureADTokenExchange");
    arm::add_resource_group(state, SUBSCRIPTION, GROUP);
    arm::grant(state, CLIENT, SUBSCRIPTION, GROUP, &["read", "write", "delete"]);
    let mut value = document();
    match begin {
        Begin::Manager => {
            let login = json!({"username": USER, "password": PASSWORD, "usedBy": [SECRET]});
            aws::create_secret(state, "hubkeeper/manager", &login, &[]);
            value["manager"] = json!("hubkeeper/manager");
        }
        Begin::ByHand => {
            let (_, token) = hub::add_pat(state, USER, "first, by hand", &["repo:read"], None);
            value["accessToken"] = json!(token);
        }
    }
    let arn = aws::create_secret(state, SECRET, &value, &[]);
    aws::enable_rotation(state, &arn, true);
    arn
}

/// Creates the same organization without the dedicated user as a member. The secret has no token and asks for an invitation;
/// `change` edits the document.
pub fn build_zero(state: &mut State, change: impl FnOnce(&mut Value)) -> String {
    let arn = build(state, Begin::Manager);
    hub::remove_member(state, ORG, USER);
    hub::add_user(state, OWNER, OWNER_PASSWORD);
    hub::set_totp(state, OWNER, Some(SEED));
    hub::add_member(state, ORG, OWNER, hub::Role::Owner);
    hub::add_team(state, ORG, "readers");
    for name in ["web", "api", "db", "ops"] {
        hub::team_permission(state, ORG, "readers", name, Some(hub::Permission::Read));
    }
    let login = json!({"username": OWNER, "password": OWNER_PASSWORD, "totpSecret": SEED, "usedBy": [SECRET]});
    aws::create_secret(state, OWNER_SECRET, &login, &[]);
    let mut value = document();
    value["manager"] = json!("hubkeeper/manager");
    value["owner"] = json!(OWNER_SECRET);
    value["user"] = json!({"email": EMAIL});
    change(&mut value);
    aws::put_version(state, &arn, None, &value, &["AWSCURRENT"]);
    arn
}

/// The oracles, at every change: the token in the connector is alive, and at the time of the write it read the whole organization
/// and nothing more.
pub fn watch(world: &World, broken: &Arc<Mutex<Vec<String>>>) {
    let broken = Arc::clone(broken);
    let mut known = BTreeSet::new();
    world.watch(move |state, entry| {
        for what in broken_promises(state, &mut known, Some(ORG)) {
            broken.lock().unwrap().push(format!("{what} after request {} ({})", entry.index, entry.line()));
        }
    });
}

/// The promises that the connectors break now. Credentials in `known` were judged before. Without an organization, each
/// connector's own counts.
pub fn broken_promises(
    state: &State,
    known: &mut BTreeSet<(String, String)>,
    organization: Option<&str>,
) -> Vec<&'static str> {
    let mut broken = Vec::new();
    for connector in arm::connectors(state) {
        let Some((username, token)) = connector.credential() else { continue };
        let organization = organization.or(connector.properties["hierarchyIdentifier"].as_str()).unwrap_or_default();
        if !hub::accepts(state, username, token) {
            broken.push("no gap: the token in the connector is dead");
        }
        if known.insert((connector.name.clone(), token.to_owned()))
            && (!hub::can_pull_everything(state, username, token, organization)
                || hub::can_push(state, username, token, organization))
        {
            broken.push("no unproven write: the connector's token does not read everything, or more than that");
        }
    }
    broken
}
