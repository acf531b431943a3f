//! Reads subscription, role, group, provider, connector, plans and policies at ARM.

use futures_util::future::{join, join_all};
use hubkeeper_core::connector::Observed;
use hubkeeper_core::doctor::Check;
use hubkeeper_core::doctor::arm::{
    Get, Reader, record_connector, record_get, record_permissions, record_plans, record_policies,
};
use hubkeeper_core::error::Error;
use hubkeeper_core::secret::{Document, Secret};
use serde_json::{Value, json};

use super::{AzureLogin, Named, Run};
use crate::clients::azure::arm::Inspected;

/// Maximum number of other subscriptions whose plans are read.
const OTHERS: usize = 10;

/// Checks everything at ARM about the document's connector.
pub(super) async fn check(run: &mut Run<'_>, secret: &Secret, document: &Document, login: &AzureLogin) {
    if !run.ledger.is_open(Check::Subscription) {
        return;
    }
    let id = &document.connector.id;
    let arm = &run.services.arm;
    let (got, subscriptions) = join(arm.inspect_connector(id), arm.inspect_subscriptions()).await;
    let get = match got {
        Ok(Inspected::Body(body)) => match Observed::parse(body) {
            Some(observed) => Get::Present(Box::new(observed)),
            None => {
                Get::Unknown(Error::retryable("ARM's response about the connector cannot be read", "run doctor again"))
            }
        },
        Ok(Inspected::Refused(refusal)) if refusal.is_absent() => Get::Absent,
        Ok(Inspected::Refused(refusal)) => Get::Refused(refusal),
        Err(error) => Get::Unknown(run.explained(error)),
    };
    let subscriptions = subscriptions.ok().and_then(|seen| seen.body().ok());
    let sees = subscriptions.map(|list| ids(&list).any(|one| one.eq_ignore_ascii_case(&id.subscription_id)));
    let fingerprint = secret.fingerprint();
    let client = match login {
        AzureLogin::Exchange => run.services.config.client_id.as_str(),
        AzureLogin::Cached | AzureLogin::Missing(_) => "<your account>",
    };
    let reader = Reader {
        client,
        document,
        fingerprint: &fingerprint,
        api_version: &run.services.config.arm_api_version,
        has_a_role: sees,
    };
    record_get(&mut run.ledger, &reader, &get);
    if run.ledger.is_open(Check::Permissions) {
        let permissions = read(run.services.arm.inspect_permissions(id).await);
        record_permissions(&mut run.ledger, &reader, &permissions);
    }
    if run.ledger.is_open(Check::Connector) {
        record_connector(&mut run.ledger, &reader, &get);
        if let Get::Present(observed) = &get {
            note_facts(run, document, observed).await;
        }
    }
    account(run, &Named::of(document)).await;
}

/// Checks plans and policies.
pub(super) async fn account(run: &mut Run<'_>, named: &Named) {
    let arm = &run.services.arm;
    let id = &named.connector;
    let plans = async {
        let here = read(arm.inspect_plans(&id.subscription_id).await);
        (here, Box::pin(is_on_elsewhere(run, &id.subscription_id)).await)
    };
    let policies = async { read(arm.inspect_policies(id, &resource(named)).await) };
    let ((here, elsewhere), policies) = join(plans, policies).await;
    record_plans(&mut run.ledger, &here, elsewhere, &id.subscription_id);
    record_policies(&mut run.ledger, &policies);
}

fn read(inspected: Result<Inspected, Error>) -> Result<Value, String> {
    inspected.map_err(|error| error.what().to_owned()).and_then(Inspected::body)
}

fn ids(subscriptions: &Value) -> impl Iterator<Item = &str> {
    subscriptions["value"].as_array().into_iter().flatten().filter_map(|one| one["subscriptionId"].as_str())
}

/// Whether one of the other visible subscriptions has a plan on.
async fn is_on_elsewhere(run: &Run<'_>, subscription: &str) -> bool {
    let arm = &run.services.arm;
    let Ok(list) = read(arm.inspect_subscriptions().await) else { return false };
    let others: Vec<&str> = ids(&list).filter(|id| !id.eq_ignore_ascii_case(subscription)).take(OTHERS).collect();
    let plans = join_all(others.into_iter().map(|id| arm.inspect_plans(id))).await;
    plans.into_iter().filter_map(|plans| read(plans).ok()).any(|plans| {
        let entries = plans["value"].as_array().into_iter().flatten();
        entries.into_iter().any(|plan| {
            matches!(plan["name"].as_str(), Some("Containers" | "CloudPosture"))
                && plan["properties"]["pricingTier"] == "Standard"
        })
    })
}

/// The connector as far as policies look at it: no credential.
fn resource(named: &Named) -> Value {
    json!({
        "type": "Microsoft.Security/securityConnectors",
        "name": named.connector.name,
        "location": named.location,
        "properties": {
            "environmentName": "DockerHub",
            "hierarchyIdentifier": named.organization,
            "environmentData": {"environmentType": "DockerHubOrganization"},
        },
    })
}

/// Notes what only a live ARM tells about a connector.
async fn note_facts(run: &mut Run<'_>, document: &Document, observed: &Observed) {
    let token = match observed.shown_token() {
        None => "a GET shows no `accessToken`",
        Some(text) if !text.is_empty() && text.bytes().all(|byte| byte == b'*') => {
            "a GET shows asterisks for `accessToken`"
        }
        Some("") => "a GET shows an empty `accessToken`",
        Some(_) => "a GET shows a value for `accessToken`",
    };
    run.ledger.note("connectorShowsToken", token);
    let writer = match observed.writer() {
        None => "a GET shows no `systemData.lastModifiedBy`",
        Some(writer) if writer.eq_ignore_ascii_case(&run.services.config.client_id) => {
            "the last writer is the client id"
        }
        Some(_) => "the last writer is another name than the client id",
    };
    run.ledger.note("writerName", writer);
    let health = match run.services.arm.inspect_health(&document.connector.id).await {
        Ok(Inspected::Body(reports)) => {
            let count = reports["value"].as_array().map_or(0, Vec::len);
            format!("the connector has {count} health reports, and this role reads them")
        }
        Ok(Inspected::Refused(refusal)) => format!("no health report: ARM returned {}", refusal.brief()),
        Err(_) => return,
    };
    run.ledger.note("healthReports", health);
}
