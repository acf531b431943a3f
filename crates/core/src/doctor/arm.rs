//! Subscription, role, group, provider and connector: what one GET of the connector and some lists say about them.

use serde_json::Value;

use crate::connector::Observed;
use crate::connector::observed::Ownership;
use crate::doctor::checks::Check;
use crate::doctor::ledger::Ledger;
use crate::error::Error;
use crate::failure::arm::Refusal;
use crate::ids::Fingerprint;
use crate::secret::document::Document;

/// What a GET of the connector returned.
pub enum Get {
    /// The connector.
    Present(Box<Observed>),
    /// No connector of that name, in a group that exists.
    Absent,
    /// ARM refused.
    Refused(Refusal),
    /// No usable response.
    Unknown(Error),
}

/// Who reads, and what the secret says.
pub struct Reader<'a> {
    /// Client id of the reader, for commands.
    pub client: &'a str,
    /// The secret's document.
    pub document: &'a Document,
    /// The secret's fingerprint.
    pub fingerprint: &'a Fingerprint,
    /// The configured api-version.
    pub api_version: &'a str,
    /// Whether the reader sees the subscription in the list of subscriptions: it has a role somewhere in it. `None` if
    /// the list cannot be read.
    pub has_a_role: Option<bool>,
}

impl Reader<'_> {
    fn scope(&self) -> String {
        let id = &self.document.connector.id;
        format!("/subscriptions/{}/resourceGroups/{}", id.subscription_id, id.resource_group)
    }

    fn assign(&self) -> String {
        format!(
            "az role assignment create --assignee {} --role <hubkeeper's role> --scope {}; make deploy-azure makes role and assignment; a new assignment takes minutes to apply",
            self.client,
            self.scope()
        )
    }
}

/// Records what the GET of the connector says. ARM checks in this order: subscription, role, group, provider,
/// api-version, resource.
pub fn record_get(ledger: &mut Ledger, reader: &Reader<'_>, get: &Get) {
    let id = &reader.document.connector.id;
    let passed = |ledger: &mut Ledger, until: Check| {
        for (check, detail) in [
            (Check::Subscription, id.subscription_id.clone()),
            (Check::Role, format!("the client reads connectors in {}", id.resource_group)),
            (Check::Group, id.resource_group.clone()),
            (Check::Provider, format!("Microsoft.Security serves {}", reader.api_version)),
        ] {
            if check == until {
                return;
            }
            ledger.ok(check, detail);
        }
    };
    match get {
        Get::Present(_) | Get::Absent => passed(ledger, Check::Connector),
        Get::Unknown(error) => {
            passed(ledger, Check::Subscription);
            ledger.fail(Check::Subscription, error);
        }
        Get::Refused(refusal) => {
            let (check, error) = cause(reader, refusal);
            passed(ledger, check);
            ledger.fail(check, &error);
        }
    }
}

/// The check that a refusal belongs to, and its error.
fn cause(reader: &Reader<'_>, refusal: &Refusal) -> (Check, Error) {
    let error = refusal.error(&[]);
    let id = &reader.document.connector.id;
    match refusal.code() {
        "AuthorizationFailed" | "LinkedAuthorizationFailed" => (Check::Role, without_role(reader, refusal)),
        "ResourceGroupNotFound" => (Check::Group, error),
        "MissingSubscriptionRegistration" | "SubscriptionNotRegistered" => {
            let remedy = format!(
                "register it: az provider register --namespace Microsoft.Security --subscription {}",
                id.subscription_id
            );
            (Check::Provider, Error::needs_human(error.what(), remedy))
        }
        "NoRegisteredProviderFound" | "InvalidApiVersionParameter" => {
            let remedy = format!(
                "set HUBKEEPER_ARM_API_VERSION (the stack's parameter ArmApiVersion) to a version that this cloud serves: az provider show --namespace Microsoft.Security --query \"resourceTypes[?resourceType=='securityConnectors'].apiVersions\"; it is {} now",
                reader.api_version
            );
            (Check::Provider, Error::misconfigured(error.what(), remedy))
        }
        // the subscription is missing or disabled, or ARM did not say
        _ => (Check::Subscription, error),
    }
}

fn without_role(reader: &Reader<'_>, refusal: &Refusal) -> Error {
    let id = &reader.document.connector.id;
    let client = reader.client;
    let what = match reader.has_a_role {
        Some(true) => format!(
            "the client {client} has a role in subscription {}, but not one that reads connectors in {}",
            id.subscription_id, id.resource_group
        ),
        Some(false) => format!("the client {client} has no role anywhere in subscription {}", id.subscription_id),
        None => refusal.error(&[]).what().to_owned(),
    };
    let remedy = match reader.has_a_role {
        Some(true) => format!(
            "assign the role on the resource group: {}; see where it is now: az role assignment list --all --assignee {client}",
            reader.assign()
        ),
        _ => format!("assign the role: {}", reader.assign()),
    };
    Error::needs_human(what, remedy)
}

/// Records whose the connector is.
pub fn record_connector(ledger: &mut Ledger, reader: &Reader<'_>, get: &Get) {
    let id = &reader.document.connector.id;
    let organization = &reader.document.organization;
    match get {
        Get::Absent => ledger.ok(Check::Connector, format!("{} does not exist: onboard creates it", id.name)),
        Get::Present(observed) => match observed.ownership(organization, reader.fingerprint) {
            Ownership::Ours => {
                let version = observed.version();
                let carries = version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
                ledger.ok(Check::Connector, format!("{} is this secret's and carries {carries}", id.name));
            }
            Ownership::Untagged => ledger.warn(
                Check::Connector,
                format!("{} was made without hubkeeper: onboard takes it over", id.name),
                "check that nobody else writes it, then onboard the secret",
            ),
            Ownership::Foreign(why) => ledger.fail(
                Check::Connector,
                &Error::needs_human(
                    format!("{} is not this secret's: {why}", id.name),
                    "name another connector in `connector.name` of the secret, or delete the connector if nobody needs it",
                ),
            ),
        },
        Get::Refused(_) | Get::Unknown(_) => {}
    }
}

/// Records whether the reader may write, by the list of its permissions on the group. `Err` says why there is no list.
pub fn record_permissions(ledger: &mut Ledger, reader: &Reader<'_>, permissions: &Result<Value, String>) {
    let check = Check::Permissions;
    let permissions = match permissions {
        Ok(permissions) => permissions,
        Err(why) => {
            return ledger.skip(
                check,
                format!("the list of permissions cannot be read ({why})"),
                Some("compare the role's actions with infra/azure/azuredeploy.json"),
            );
        }
    };
    let lacks: Vec<&str> = ["read", "write", "delete"]
        .into_iter()
        .filter(|verb| !allows(permissions, &format!("Microsoft.Security/securityConnectors/{verb}")))
        .collect();
    match lacks[..] {
        [] => ledger.ok(check, "read, write and delete"),
        ["delete"] => ledger.warn(
            check,
            "read and write, and not delete",
            "offboard needs Microsoft.Security/securityConnectors/delete: the parameter allowDelete of infra/azure grants it",
        ),
        _ => ledger.fail(
            check,
            &Error::needs_human(
                format!(
                    "the role of the client lacks Microsoft.Security/securityConnectors/{} on {}",
                    lacks.join(" and /"),
                    reader.scope()
                ),
                format!("assign a role that has it: {}", reader.assign()),
            ),
        ),
    }
}

/// Whether a list of permissions allows an action (Microsoft's "Permissions - List For Resource Group": each entry grants
/// `actions` without its own `notActions`; `*` stands for anything).
fn allows(permissions: &Value, action: &str) -> bool {
    let entries = permissions["value"].as_array().into_iter().flatten();
    let any = |entry: &Value, name: &str| {
        let patterns = entry[name].as_array().into_iter().flatten().filter_map(Value::as_str);
        patterns.into_iter().any(|pattern| matches_action(pattern, action))
    };
    entries.into_iter().any(|entry| any(entry, "actions") && !any(entry, "notActions"))
}

/// Whether a pattern with `*` matches an action, without regard to case.
fn matches_action(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let parts: Vec<&str> = pattern.split('*').collect();
    let [first, .., last] = parts[..] else { return pattern == action };
    let Some(mut rest) = action.strip_prefix(first) else { return false };
    for part in &parts[1..parts.len() - 1] {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Records the plans: `Containers` or `CloudPosture` must be on in a subscription (Microsoft's page "Enable external
/// registry for Docker Hub"). `here` are the plans of the connector's subscription, `elsewhere` whether another visible
/// one has a plan on.
pub fn record_plans(ledger: &mut Ledger, here: &Result<Value, String>, elsewhere: bool, subscription: &str) {
    let remedy = format!(
        "turn one on: az security pricing create --name Containers --tier Standard --subscription {subscription} (or --name CloudPosture)"
    );
    match here {
        Err(why) => ledger.skip(
            Check::Plans,
            format!("nobody who asked may read the plans ({why})"),
            Some("log in with az login as somebody with Reader or Security Reader on the subscription, then run doctor again"),
        ),
        Ok(plans) => {
            let entries = plans["value"].as_array().into_iter().flatten();
            let on = |name: &str| {
                entries.clone().any(|plan| {
                    plan["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name))
                        && plan["properties"]["pricingTier"].as_str().is_some_and(|tier| tier.eq_ignore_ascii_case("Standard"))
                })
            };
            let active: Vec<&str> = [("Containers", "Defender for Containers"), ("CloudPosture", "Defender CSPM")]
                .into_iter()
                .filter(|(name, _)| on(name))
                .map(|(_, title)| title)
                .collect();
            if !active.is_empty() {
                ledger.ok(Check::Plans, format!("on: {}", active.join(", ")));
            } else if elsewhere {
                ledger.warn(
                    Check::Plans,
                    "neither Defender for Containers nor Defender CSPM is on in this subscription, but one is in another that you see",
                    remedy,
                );
            } else {
                ledger.fail(
                    Check::Plans,
                    &Error::needs_human(
                        "neither Defender for Containers nor Defender CSPM is on in the subscription: Defender scans nothing",
                        remedy,
                    ),
                );
            }
        }
    }
}

/// Records the policies that would deny the connector (Microsoft's "Policy Restrictions - Check At Resource Group Scope").
pub fn record_policies(ledger: &mut Ledger, restrictions: &Result<Value, String>) {
    let restrictions = match restrictions {
        Ok(restrictions) => restrictions,
        Err(why) => {
            return ledger.skip(
                Check::Policies,
                format!("nobody who asked may check policies ({why})"),
                Some("log in with az login as somebody with Reader on the resource group, then run doctor again"),
            );
        }
    };
    let evaluations = restrictions["contentEvaluationResult"]["policyEvaluations"].as_array().into_iter().flatten();
    let denials = evaluations.filter(|evaluation| {
        let effect = evaluation["effectDetails"]["policyEffect"].as_str().unwrap_or("deny");
        evaluation["evaluationResult"] == "NonCompliant" && effect.eq_ignore_ascii_case("deny")
    });
    let names: Vec<String> = denials
        .map(|denial| {
            let id = denial["policyInfo"]["policyAssignmentId"].as_str().unwrap_or_default();
            crate::redact::name(id.rsplit('/').next().unwrap_or_default())
        })
        .collect();
    if names.is_empty() {
        ledger.ok(Check::Policies, "no assignment denies the connector");
    } else {
        ledger.fail(
            Check::Policies,
            &Error::needs_human(
                format!("the Azure Policy assignment denies the connector: {}", names.join(", ")),
                "exempt the connector from that assignment, or set what it requires (location, tags) in the secret's `connector`; see az policy assignment list --resource-group <group>",
            ),
        );
    }
}

#[cfg(test)]
mod tests;
