//! IAM: `SimulatePrincipalPolicy` for the function's role, and `GetOutboundWebIdentityFederationInfo`.

use std::collections::BTreeMap;

use super::query::{Denied, Form, denied, invalid, list, tag};
use crate::world::State;

/// Whether a value fulfils a condition.
type Fits = fn(&str) -> bool;

/// The conditions under which the template's role may call `sts:GetWebIdentityToken`, by context key. A simulation knows no request,
/// so the caller must name the values; a key without a value is reported as missing, and its condition is false.
const CONDITIONS: [(&str, Fits); 3] = [
    ("sts:IdentityTokenAudience", |value| {
        ["api://AzureADTokenExchange", "api://AzureADTokenExchangeUSGov"].contains(&value)
    }),
    ("sts:SigningAlgorithm", |value| value == "RS256"),
    ("sts:DurationSeconds", |value| value.parse::<u32>().is_ok_and(|seconds| seconds <= 300)),
];

/// `SimulatePrincipalPolicy`: one result for each pair of action and resource.
pub(super) fn simulate(state: &State, form: &Form) -> Result<String, Denied> {
    let source = form.field("PolicySourceArn").unwrap_or_default();
    if !(20..=2048).contains(&source.len()) {
        return Err(invalid("1 validation error detected: Value at 'policySourceArn' must have 20 to 2048 characters"));
    }
    let actions = form.members("ActionNames");
    if actions.is_empty() {
        return Err(invalid("1 validation error detected: Value at 'actionNames' must not be null"));
    }
    let is_action =
        |action: &&str| action.split_once(':').is_some_and(|(service, name)| !service.is_empty() && !name.is_empty());
    if let Some(wrong) = actions.iter().find(|action| !is_action(action) || !(3..=128).contains(&action.len())) {
        return Err(denied(400, "InvalidInput", format!("Invalid action name: {wrong}")));
    }
    // a session of a role is not an entity with policies
    if !source.starts_with("arn:aws:iam::") {
        return Err(denied(
            400,
            "InvalidInput",
            format!("Invalid Entity Arn: {source} does not clearly define entity type and name."),
        ));
    }
    let role = &state.aws.deployment.role_arn;
    if source != role {
        let name = source.rsplit('/').next().unwrap_or_default();
        return Err(denied(404, "NoSuchEntity", format!("The role with name {name} cannot be found.")));
    }
    let mut resources = form.members("ResourceArns");
    if resources.is_empty() {
        resources.push("*");
    }
    let context = context(form)?;
    let pairs: Vec<_> =
        actions.iter().flat_map(|action| resources.iter().map(move |resource| (*action, *resource))).collect();
    let size = form.number("MaxItems", 100, 1000)?;
    let start = match form.field("Marker") {
        None => 0,
        Some(marker) => marker
            .strip_prefix("after-")
            .and_then(|offset| offset.parse::<usize>().ok())
            .filter(|offset| *offset < pairs.len())
            .ok_or_else(|| denied(400, "InvalidInput", "Invalid Marker."))?,
    };
    let end = pairs.len().min(start + size);
    let results = pairs[start..end].iter().map(|(action, resource)| {
        let missing = missing(action, &context);
        let decision =
            if missing.is_empty() && is_allowed(state, action, &context) { "allowed" } else { "implicitDeny" };
        [
            tag("EvalActionName", action),
            tag("EvalResourceName", resource),
            tag("EvalDecision", decision),
            list("MatchedStatements", []),
            list("MissingContextValues", missing.into_iter().map(str::to_owned)),
        ]
        .concat()
    });
    let results = list("EvaluationResults", results);
    let more = end < pairs.len();
    let marker = if more { tag("Marker", &format!("after-{end}")) } else { String::new() };
    Ok(format!("{}{marker}{results}", tag("IsTruncated", &more.to_string())))
}

/// The values of the context keys, by lower-case key.
fn context(form: &Form) -> Result<BTreeMap<String, Vec<&str>>, Denied> {
    let names = form.members_of("ContextEntries", "ContextKeyName");
    let types = form.members_of("ContextEntries", "ContextKeyType");
    let mut context = BTreeMap::new();
    for (index, (name, kind)) in names.into_iter().zip(types).enumerate() {
        let known = ["string", "stringList", "numeric", "numericList", "boolean", "ip", "date"];
        let (Some(name), Some(_)) = (name, kind.filter(|kind| known.contains(kind))) else {
            return Err(denied(400, "InvalidInput", "A context entry has no name, or no valid type."));
        };
        let values = form.members(&format!("ContextEntries.member.{}.ContextKeyValues", index + 1));
        context.insert(name.to_lowercase(), values);
    }
    Ok(context)
}

fn missing(action: &str, context: &BTreeMap<String, Vec<&str>>) -> Vec<&'static str> {
    if !action.eq_ignore_ascii_case("sts:GetWebIdentityToken") {
        return Vec::new();
    }
    let given = |key: &str| context.get(&key.to_lowercase()).is_some_and(|values| !values.is_empty());
    CONDITIONS.iter().map(|(key, _)| *key).filter(|key| !given(key)).collect()
}

fn is_allowed(state: &State, action: &str, context: &BTreeMap<String, Vec<&str>>) -> bool {
    if action.to_ascii_lowercase().starts_with("kms:") && state.aws.kms_denied {
        return false;
    }
    // names of actions are case-insensitive
    if state.aws.denied.iter().any(|denied| denied.eq_ignore_ascii_case(action)) {
        return false;
    }
    !action.eq_ignore_ascii_case("sts:GetWebIdentityToken")
        || CONDITIONS.iter().all(|(key, fits)| {
            context.get(&key.to_lowercase()).is_some_and(|values| values.iter().all(|value| fits(value)))
        })
}

/// `GetOutboundWebIdentityFederationInfo`.
pub(super) fn federation(state: &State) -> Result<String, Denied> {
    if state.aws.sts.federation_disabled {
        let text = "Outbound web identity federation is not enabled for this account.";
        return Err(denied(404, "FeatureDisabled", text));
    }
    Ok([tag("IssuerIdentifier", &state.aws.sts.issuer), tag("JwtVendingEnabled", "true")].concat())
}
