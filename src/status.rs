//! Returns the status of managed secrets. Reads Secrets Manager and ARM, logs in nowhere at Docker Hub, and writes
//! nothing.

use futures_util::future::join;
use futures_util::stream::{self, StreamExt};
use hubkeeper_core::error::Error;
use hubkeeper_core::event::{StatusQuery, WidgetQuery};
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::secret::{Document, Kept, Label, Managed};
use hubkeeper_core::status::page::{self, Logs, Options, Row};
use hubkeeper_core::status::{Item, Page, Seen};
use hubkeeper_core::time::{Timestamp, rfc3339};

use crate::clients::azure::arm::Read;
use crate::clients::{Services, Sessions};
use crate::process::Process;

/// Number of items per page.
const PAGE: usize = 100;
/// Number of secrets per page of a widget.
const WIDGET_PAGE: usize = 500;
/// Number of secrets that are read concurrently.
const SIDE_BY_SIDE: usize = 16;

/// Returns one page of the status. The ids of all managed secrets are sorted: a page starts after the last id of the
/// page before, whatever was added or deleted in between.
///
/// # Errors
/// Returns an error if the managed secrets cannot be listed. A secret that cannot be read is an item.
pub async fn run(process: &Process, query: &StatusQuery, end: Timestamp) -> Result<Page, Error> {
    read(process, query, PAGE, end).await
}

/// Returns the HTML of the status page for a widget, with the page of the status behind it. `endpoint` is the ARN that
/// the widget's buttons invoke, `log_group` the function's log group.
///
/// # Errors
/// As [`run`].
pub async fn widget(
    process: &Process,
    query: &WidgetQuery,
    endpoint: Option<&str>,
    log_group: Option<&str>,
    end: Timestamp,
) -> Result<(String, Page), Error> {
    let status = read(process, &query.status, WIDGET_PAGE, end).await?;
    let rows: Vec<Row<'_>> = status.items.iter().map(Row::from).collect();
    let region = process.aws.region().map(AsRef::as_ref);
    let options = Options {
        filter: &query.filter,
        dark: query.dark,
        endpoint,
        secret_ids: query.status.secret_ids.as_deref().unwrap_or_default(),
        from: query.status.next.as_deref(),
        next: status.next.as_deref(),
        logs: region.zip(log_group).map(|(region, group)| Logs { region, group }),
        read_at: &rfc3339(process.shared.now()),
    };
    let html = page::widget(&rows, &options);
    Ok((html, status))
}

/// Reads up to `size` secrets.
async fn read(process: &Process, query: &StatusQuery, size: usize, end: Timestamp) -> Result<Page, Error> {
    let services = process.services(end, &Sessions::default());
    let explained = |error: Error| services.http_client.explain(error).at("status");
    let ids = if let Some(named) = &query.secret_ids {
        after(named.clone(), query.next.as_deref())
    } else {
        let mut managed = services.store.managed().await.map_err(explained)?;
        managed.sort_unstable();
        managed.retain(|id| query.next.as_ref().is_none_or(|next| id > next));
        managed
    };
    let more = ids.len() > size;
    let page: Vec<String> = ids.into_iter().take(size).collect();
    let next = page.last().filter(|_| more).cloned();
    let items = stream::iter(page)
        .map(|id| async {
            let seen = Box::pin(see(&services, &id)).await;
            match seen {
                Ok(seen) => Item::of(&seen, &services.config.client_id, services.now()),
                Err(error) => Item::unreadable(id, &explained(error)),
            }
        })
        .buffered(SIDE_BY_SIDE)
        .collect()
        .await;
    Ok(Page::new(items, next))
}

/// Returns the named ids after the last one of the page before.
fn after(named: Vec<String>, next: Option<&str>) -> Vec<String> {
    match next {
        None => named,
        Some(next) => named.into_iter().skip_while(|id| id != next).skip(1).collect(),
    }
}

/// Reads one secret and its connector.
async fn see(services: &Services, id: &str) -> Result<Seen, Error> {
    let store = &services.store;
    let mut secret = store.describe(id).await?;
    let pending = secret.rotation_in_progress().cloned();
    let dated = async {
        match &pending {
            Some(pending) => {
                let at = store.history(&secret.arn).await?.get(pending).copied();
                // the history omits a version without a value: it was created at the last change, or before
                Ok(at.or(secret.last_changed))
            }
            None => Ok::<_, Error>(None),
        }
    };
    let pending_document = async {
        let document = document(services, &secret.arn, pending.as_ref(), Label::Pending).await;
        document.ok().flatten()
    };
    let current = document(services, &secret.arn, secret.version(Label::Current), Label::Current);
    let (since, (pending_document, current)) = Box::pin(join(dated, join(pending_document, current))).await;
    secret.pending_since = since?;
    let kept = match secret.kept() {
        Kept::Connector(kept) => Some(kept.connector),
        Kept::Unknown | Kept::Unreadable => None,
    };
    let named = current.as_ref().ok().and_then(Option::as_ref).map(|document| document.connector.id.clone());
    let id = if secret.managed() == Managed::Offboarded { kept.or(named) } else { named.or(kept) };
    let (connector, health) = match &id {
        None => (None, None),
        Some(id) => {
            let (read, health) = join(services.arm.read(id), services.arm.health(id)).await;
            // of an offboarded secret, a deleted resource group means a deleted connector
            let found = match secret.managed() {
                Managed::Offboarded => read.map(Read::or_absent),
                Managed::Yes | Managed::No => read.and_then(Read::required),
            };
            (Some(found), health)
        }
    };
    Ok(Seen { secret, document: current, pending: pending_document, connector, health })
}

async fn document(
    services: &Services,
    arn: &str,
    version: Option<&VersionId>,
    label: Label,
) -> Result<Option<Document>, Error> {
    let Some(version) = version else { return Ok(None) };
    let value = services.store.value(arn, version, Some(label.name())).await?;
    value.map(|value| Document::parse(&value)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_named_secrets_begins_after_the_last_one_of_the_page_before() {
        let named = || vec!["b".to_owned(), "a".to_owned(), "c".to_owned()];
        assert_eq!(after(named(), None), named());
        assert_eq!(after(named(), Some("b")), ["a", "c"]);
        assert_eq!(after(named(), Some("c")), [""; 0]);
    }
}
