//! Reads subscription, role, group, provider, connector, plans and policies at ARM.

use futures_util::future::{join, join_all};
use hubkeeper_core::connector::Observed;
use hubkeeper_core::doctor::Check;
use hubkeeper_core::doctor::arm::{
    Get, Reader, Unread, active_plans, listed, record_connector, record_get, record_permissions, record_plans,
    record_policies, resource, subscriptions,
};
use hubkeeper_core::error::Error;
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::secret::{Document, Label, Secret};
use serde_json::Value;

use super::shared::{AzureLogin, Named, Run};
use crate::clients::azure::arm::Inspected;

/// Maximum number of other subscriptions whose plans are read.
const OTHERS: usize = 10;

/// Checks everything at ARM about the document's connector. Returns what plans and policies are checked with.
pub(super) async fn check(
    run: &mut Run<'_>,
    secret: &Secret,
    document: &Document,
    login: &AzureLogin,
) -> Option<Named> {
    if !run.ledger.is_open(Check::Subscription) {
        return None;
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
    let client = match login {
        AzureLogin::Exchange => Some(run.services.config.client_id.as_str()),
        AzureLogin::Cached | AzureLogin::Missing(_) => None,
    };
    let reader = Reader {
        client,
        secret,
        document,
        api_version: &run.services.config.arm_api_version,
        listed: listed(&read(subscriptions), &id.subscription_id),
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
    let observed = match &get {
        Get::Present(observed) => Some(observed.as_ref()),
        Get::Absent | Get::Refused(_) | Get::Unknown(_) => None,
    };
    let version = secret.version(Label::Current).cloned().unwrap_or_else(|| VersionId::of_service("none"));
    let named = Named {
        organization: document.organization.clone(),
        connector: id.clone(),
        resource: resource(secret, document, &version, observed, run.services.now()),
    };
    account(run, &named).await;
    Some(named)
}

/// Checks plans and policies.
pub(super) async fn account(run: &mut Run<'_>, named: &Named) {
    let arm = &run.services.arm;
    let id = &named.connector;
    let plans = async {
        let here = read(arm.inspect_plans(&id.subscription_id).await);
        let is_off = here.as_ref().is_ok_and(|plans| active_plans(plans).is_empty());
        (here, is_off && Box::pin(is_on_elsewhere(run, &id.subscription_id)).await)
    };
    let policies = async { read(arm.inspect_policies(id, &named.resource).await) };
    let ((here, elsewhere), policies) = join(plans, policies).await;
    record_plans(&mut run.ledger, &here, elsewhere, &id.subscription_id);
    record_policies(&mut run.ledger, &policies, &id.resource_group);
}

fn read(inspected: Result<Inspected, Error>) -> Result<Value, Unread> {
    inspected.map_err(|error| Unread::Other(error.what().to_owned())).and_then(Inspected::body)
}

/// Whether one of the other visible subscriptions has a plan on.
async fn is_on_elsewhere(run: &Run<'_>, subscription: &str) -> bool {
    let arm = &run.services.arm;
    let Ok(list) = read(arm.inspect_subscriptions().await) else { return false };
    let others = subscriptions(&list).map(|(id, _)| id).filter(|id| !id.eq_ignore_ascii_case(subscription));
    let plans = join_all(others.take(OTHERS).map(|id| arm.inspect_plans(id))).await;
    plans.into_iter().filter_map(|plans| read(plans).ok()).any(|plans| !active_plans(&plans).is_empty())
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
