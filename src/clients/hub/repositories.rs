//! The repositories that a session sees: every page of `GET /v2/namespaces/{org}/repositories`.
//!
//! An unknown or invisible namespace answers 200 with `count: 0`, and private repositories out of sight are left out in
//! silence: a short list is a finding for the verdict, not an error. Pages are numbered from `count`; `next` is not
//! followed, since it names a host of the service's choice.

use futures_util::stream::{FuturesUnordered, StreamExt};
use hubkeeper_core::failure::docker_hub::{endless, unreadable, unsteady};
use hubkeeper_core::hub::{HubError, Repository};
use serde::Deserialize;

use crate::clients::hub::{Hub, Session, unusable};
use crate::http::Policy;

/// Repositories a page: the most that the service gives.
const PAGE_SIZE: usize = 100;

/// Tags of a repository that are listed at most: where one is deleted meanwhile, another can be read.
const TAGS: usize = 3;

/// Pages at most: a `count` beyond this is taken for a fault of the service.
const PAGES: usize = 1_000;

/// What the tag list of a repository says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tags {
    /// The first tags, at most three; none where the repository has no tag or is gone.
    Named(Vec<String>),
    /// 403: this token may not list tags. An organization access token needs the scope `scope-tag-read` for it (Docker's
    /// reference), which says nothing about the right to pull.
    Forbidden,
}

#[derive(Deserialize)]
struct Page {
    count: usize,
    results: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    is_private: bool,
    #[serde(default)]
    repository_type: Option<String>,
}

impl Hub {
    /// Every repository of `organization` that the session sees, by name.
    ///
    /// # Errors
    /// [`HubError`] where the list cannot be read whole: nothing follows from a part of it.
    pub async fn repositories(&self, session: &Session, organization: &str) -> Result<Vec<Repository>, HubError> {
        // the list may change between two pages: read it again, once
        match self.read_all(session, organization).await? {
            Some(list) => Ok(list),
            None => match self.read_all(session, organization).await? {
                Some(list) => Ok(list),
                None => Err(unsteady("repositories")),
            },
        }
    }

    /// `None` where the pages do not add up to their count.
    async fn read_all(&self, session: &Session, organization: &str) -> Result<Option<Vec<Repository>>, HubError> {
        let Some(first) = self.page(session, organization, 1).await? else { return Ok(None) };
        let pages = first.count.div_ceil(PAGE_SIZE);
        if pages > PAGES {
            return Err(endless("repositories"));
        }
        let count = first.count;
        let mut list: Vec<Repository> = first.results.into_iter().map(Repository::from).collect();
        let mut rest: FuturesUnordered<_> = (2..=pages).map(|page| self.page(session, organization, page)).collect();
        while let Some(page) = rest.next().await {
            match page? {
                Some(page) if page.count == count => list.extend(page.results.into_iter().map(Repository::from)),
                _ => return Ok(None),
            }
        }
        list.sort_unstable();
        list.dedup_by(|a, b| a.name == b.name);
        Ok((list.len() == count).then_some(list))
    }

    /// One page; `None` for a page past the end.
    async fn page(&self, session: &Session, organization: &str, page: usize) -> Result<Option<Page>, HubError> {
        let what = "list of repositories at Docker Hub";
        let path =
            format!("/v2/namespaces/{organization}/repositories?page={page}&page_size={PAGE_SIZE}&ordering=name");
        let response = self.http_client.send(self.get(session, &path), Policy::SAFE.capped(8 << 20)).await?;
        match response.status().as_u16() {
            200 => {
                let page: Page = serde_json::from_slice(response.body()).map_err(|_| unreadable(what))?;
                let good = page.results.iter().all(|entry| hubkeeper_core::ids::is_repository_part(&entry.name));
                if good { Ok(Some(page)) } else { Err(unreadable(what)) }
            }
            404 if page > 1 => Ok(None),
            _ => Err(unusable(what, &response)),
        }
    }

    /// The first tags of a repository: one request, whatever becomes of the tags.
    ///
    /// # Errors
    /// [`HubError`] where nothing is known about the tags.
    pub async fn some_tags(&self, session: &Session, organization: &str, repository: &str) -> Result<Tags, HubError> {
        #[derive(Deserialize)]
        struct TagPage {
            results: Vec<TagEntry>,
        }
        #[derive(Deserialize)]
        struct TagEntry {
            name: String,
        }
        let what = "list of tags at Docker Hub";
        let path = format!("/v2/namespaces/{organization}/repositories/{repository}/tags?page=1&page_size={TAGS}");
        let response = self.http_client.send(self.get(session, &path), Policy::SAFE).await?;
        match response.status().as_u16() {
            200 => {
                let page: TagPage = serde_json::from_slice(response.body()).map_err(|_| unreadable(what))?;
                let names: Vec<String> = page.results.into_iter().take(TAGS).map(|tag| tag.name).collect();
                if names.iter().all(|name| is_tag(name)) { Ok(Tags::Named(names)) } else { Err(unreadable(what)) }
            }
            403 => Ok(Tags::Forbidden),
            404 => Ok(Tags::Named(Vec::new())),
            _ => Err(unusable(what, &response)),
        }
    }
}

/// A tag as the registry's grammar has it: what may stand in a path.
fn is_tag(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

impl From<Entry> for Repository {
    fn from(entry: Entry) -> Self {
        let plugin = entry.repository_type.as_deref() == Some("plugin");
        Self { name: entry.name, private: entry.is_private, plugin }
    }
}
