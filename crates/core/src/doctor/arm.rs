//! Subscription, role, group, provider and connector: what one GET of the connector and some lists say about them.

use secrecy::SecretString;
use serde_json::{Value, json};

use crate::connector::merge::{Desired, merge};
use crate::connector::observed::Ownership;
use crate::connector::{Coverage, Observed};
use crate::doctor::checks::Check;
use crate::doctor::ledger::{Ledger, State};
use crate::error::Error;
use crate::failure::arm::Refusal;
use crate::ids::VersionId;
use crate::plan::refusals::{keeps_another, unreadable_tag};
use crate::secret::document::Document;
use crate::secret::{Kept, KeptConnector, Managed, Secret};
use crate::time::Timestamp;

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

/// Why a list could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unread {
    /// The reader has no right to it.
    Denied(String),
    /// Anything else.
    Other(String),
}

/// What the list of subscriptions says about the connector's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Listed {
    /// The list could not be read, or not to its end.
    Unknown,
    /// It is not in the list: the reader has no role in it.
    Absent,
    /// It is in the list, with this state.
    State(String),
}

/// Looks a subscription up in the list of subscriptions (Microsoft's "Subscriptions - List").
pub fn listed(list: &Result<Value, Unread>, subscription: &str) -> Listed {
    let Ok(list) = list else { return Listed::Unknown };
    let entry = subscriptions(list).find(|(id, _)| id.eq_ignore_ascii_case(subscription));
    match entry {
        Some((_, state)) => Listed::State(state.to_owned()),
        None if list["nextLink"].is_string() => Listed::Unknown,
        None => Listed::Absent,
    }
}

/// Ids and states of a list of subscriptions.
pub fn subscriptions(list: &Value) -> impl Iterator<Item = (&str, &str)> {
    let entries = list["value"].as_array().into_iter().flatten();
    entries.filter_map(|one| Some((one["subscriptionId"].as_str()?, one["state"].as_str().unwrap_or_default())))
}

/// Who reads, and what the secret says.
pub struct Reader<'a> {
    /// Client id of the function; `None` for a person, who only reads.
    pub client: Option<&'a str>,
    /// The secret.
    pub secret: &'a Secret,
    /// Its document.
    pub document: &'a Document,
    /// The configured api-version.
    pub api_version: &'a str,
    /// What the list of subscriptions says.
    pub listed: Listed,
}

impl Reader<'_> {
    fn scope(&self) -> String {
        let id = &self.document.connector.id;
        format!("/subscriptions/{}/resourceGroups/{}", id.subscription_id, id.resource_group)
    }

    fn who(&self) -> String {
        self.client.map_or_else(|| "your account".to_owned(), |client| format!("the client {client}"))
    }

    /// How to give the reader the role on the group.
    fn assign(&self) -> String {
        let id = &self.document.connector.id;
        match self.client {
            Some(_) => format!(
                "hubkeeper deploy --azure-only --resource-group {} creates role and assignment in subscription {}; a new assignment takes minutes to apply",
                id.resource_group, id.subscription_id
            ),
            None => format!("ask for Security Reader on {}", self.scope()),
        }
    }
}

/// Records what the GET of the connector says. ARM checks in this order: subscription, role, group, provider,
/// api-version, resource.
pub fn record_get(ledger: &mut Ledger, reader: &Reader<'_>, get: &Get) {
    let id = &reader.document.connector.id;
    let passed = |ledger: &mut Ledger, until: Check| {
        for (check, detail) in [
            (Check::Subscription, id.subscription_id.clone()),
            (Check::Role, format!("{} reads connectors in {}", reader.who(), id.resource_group)),
            (Check::Group, id.resource_group.clone()),
            (Check::Provider, format!("Microsoft.Security serves {}", reader.api_version)),
        ] {
            if check == until {
                return;
            }
            ledger.ok(check, detail);
        }
    };
    // a GET works in a disabled subscription too
    if let Listed::State(state) = &reader.listed {
        record_state(ledger, &id.subscription_id, state);
    }
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

/// Records the state of a subscription that cannot be written (Microsoft's "Azure subscription states").
fn record_state(ledger: &mut Ledger, subscription: &str, state: &str) {
    let what = format!("the subscription {subscription} is {state}");
    match state {
        "Disabled" | "Deleted" => ledger.fail(
            Check::Subscription,
            &Error::needs_human(
                format!("{what}: nothing can be written in it"),
                "re-enable it (billing), or name another one in `connector.subscriptionId`",
            ),
        ),
        "Warned" | "PastDue" => ledger.warn(Check::Subscription, what, "settle it (billing) before Azure disables it"),
        _ => {}
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
    let who = reader.who();
    let what = match reader.listed {
        Listed::State(_) => format!(
            "{who} has a role in subscription {}, but not one that reads connectors in {}",
            id.subscription_id, id.resource_group
        ),
        Listed::Absent => format!("{who} has no role anywhere in subscription {}", id.subscription_id),
        Listed::Unknown => refusal.error(&[]).what().to_owned(),
    };
    let now = match (&reader.listed, reader.client) {
        (Listed::State(_), Some(client)) => {
            format!("; see where the role is now: az role assignment list --all --assignee {client}")
        }
        _ => String::new(),
    };
    Error::needs_human(what, format!("{}{now}", reader.assign()))
}

/// Records whose the connector is.
pub fn record_connector(ledger: &mut Ledger, reader: &Reader<'_>, get: &Get) {
    let id = &reader.document.connector.id;
    let organization = &reader.document.organization;
    let secret = reader.secret;
    let wanted = KeptConnector::of(reader.document);
    // an offboarded secret may be onboarded with another connector
    match secret.kept() {
        Kept::Connector(kept) if kept != wanted && secret.managed() != Managed::Offboarded => {
            return ledger.fail(Check::Connector, &keeps_another(&kept, &wanted));
        }
        Kept::Unreadable => return ledger.fail(Check::Connector, &unreadable_tag(secret)),
        Kept::Connector(_) | Kept::Unknown => {}
    }
    match get {
        Get::Absent => ledger.ok(Check::Connector, format!("{} does not exist: onboard creates it", id.name)),
        Get::Present(observed) => match observed.ownership(organization, &secret.fingerprint()) {
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
pub fn record_permissions(ledger: &mut Ledger, reader: &Reader<'_>, permissions: &Result<Value, Unread>) {
    let check = Check::Permissions;
    if reader.client.is_none() {
        let run = Some("doctor checks the function's own role once it is deployed");
        return ledger.skip(check, "a person only reads: the function writes the connector", run);
    }
    let permissions = match permissions {
        Ok(permissions) => permissions,
        Err(Unread::Denied(why) | Unread::Other(why)) => {
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
                    "the role of {} lacks Microsoft.Security/securityConnectors/{} on {}",
                    reader.who(),
                    lacks.join(" and /"),
                    reader.scope()
                ),
                reader.assign(),
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

/// Whether a list of plans has one on that hubkeeper needs: `Containers` or `CloudPosture` (Microsoft's page "Enable
/// external registry for Docker Hub"). Returns their titles.
pub fn active_plans(plans: &Value) -> Vec<&'static str> {
    let is_on = |name: &str| {
        let mut entries = plans["value"].as_array().into_iter().flatten();
        entries.any(|plan| {
            let is = |value: &Value, text: &str| value.as_str().is_some_and(|known| known.eq_ignore_ascii_case(text));
            is(&plan["name"], name) && is(&plan["properties"]["pricingTier"], "Standard")
        })
    };
    let known = [("Containers", "Defender for Containers"), ("CloudPosture", "Defender CSPM")];
    known.into_iter().filter(|(name, _)| is_on(name)).map(|(_, title)| title).collect()
}

/// Records the plans. `here` are those of the connector's subscription, `elsewhere` whether another visible one has one on.
pub fn record_plans(ledger: &mut Ledger, here: &Result<Value, Unread>, elsewhere: bool, subscription: &str) {
    let check = Check::Plans;
    // an unregistered provider has no plans, and is a failure of its own
    if ledger.entry(Check::Provider).is_some_and(|entry| entry.state == State::Failure) {
        return ledger.block(check, Check::Provider);
    }
    let remedy = format!(
        "turn one on: az security pricing create --name Containers --tier Standard --subscription {subscription} (or --name CloudPosture)"
    );
    let active = match here {
        Ok(plans) => active_plans(plans),
        Err(Unread::Denied(why)) => {
            return ledger.skip(
                check,
                format!("the plans of the subscription cannot be read ({why})"),
                Some("log in with az login as somebody with Reader or Security Reader on the subscription, then run doctor again"),
            );
        }
        Err(Unread::Other(why)) => return ledger.skip(check, why.as_str(), Some("run doctor again")),
    };
    if !active.is_empty() {
        ledger.ok(check, format!("on: {}", active.join(", ")));
    } else if elsewhere {
        ledger.warn(
            check,
            "neither Defender for Containers nor Defender CSPM is on in this subscription, but one is in another that you see",
            remedy,
        );
    } else {
        ledger.fail(
            check,
            &Error::needs_human(
                "neither Defender for Containers nor Defender CSPM is on in this subscription, or in another that doctor sees: Defender scans nothing",
                remedy,
            ),
        );
    }
}

/// The connector as hubkeeper would write it, without the credential: what policies look at.
pub fn resource(
    secret: &Secret,
    document: &Document,
    version: &VersionId,
    observed: Option<&Observed>,
    now: Timestamp,
) -> Value {
    let fingerprint = secret.fingerprint();
    let nothing = SecretString::from("");
    let proved = Coverage { repositories: 0, private: 0 };
    let desired = Desired { document, token: &nothing, fingerprint: &fingerprint, version, proved_at: now, proved };
    let mut body = merge(&desired, observed);
    if let Some(environment) = body.pointer_mut("/properties/environmentData").and_then(Value::as_object_mut) {
        environment.remove("authentication");
    }
    body["type"] = json!("Microsoft.Security/securityConnectors");
    body["name"] = json!(document.connector.id.name);
    body
}

/// Records the policies that would deny the connector (Microsoft's "Policy Restrictions - Check At Resource Group Scope").
pub fn record_policies(ledger: &mut Ledger, restrictions: &Result<Value, Unread>, resource_group: &str) {
    let check = Check::Policies;
    let restrictions = match restrictions {
        Ok(restrictions) => restrictions,
        Err(Unread::Denied(why)) => {
            return ledger.skip(
                check,
                format!("the policies cannot be checked ({why})"),
                Some("log in with az login as somebody with Reader on the resource group, then run doctor again"),
            );
        }
        Err(Unread::Other(why)) => return ledger.skip(check, why.as_str(), Some("run doctor again")),
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
        return ledger.ok(check, "no assignment denies the connector");
    }
    ledger.fail(
        check,
        &Error::needs_human(
            format!("the Azure Policy assignment denies the connector: {}", names.join(", ")),
            format!(
                "exempt the connector from that assignment, or set what it requires (location, tags) in the secret's `connector`; see az policy assignment list --resource-group {resource_group}"
            ),
        ),
    );
}

#[cfg(test)]
mod tests;
