//! Lists the repositories that a session sees: every page of `GET /v2/namespaces/{org}/repositories`.
//!
//! An unknown or invisible namespace returns 200 with `count: 0`, and the service omits private repositories that the
//! session cannot see. A short list is therefore a finding for the verdict, not an error. The client computes the page
//! numbers from `count`. It does not follow `next`, which could name any host.

use futures_util::stream::{FuturesUnordered, StreamExt};
use hubkeeper_core::failure::docker_hub::{endless, unreadable, unsteady};
use hubkeeper_core::hub::{HubError, Repository};
use serde::Deserialize;

use crate::clients::hub::{Hub, Session, unusable};
use crate::http::Policy;
use crate::observer::Progress;

/// Repositories per page: the largest size that the service supports.
const PAGE_SIZE: usize = 100;

/// Maximum number of tags that are listed for a repository. If one is deleted in the meantime, another can be read.
pub(super) const TAGS: usize = 3;

/// Maximum number of pages. A larger `count` is a fault of the service.
const PAGES: usize = 1_000;

/// The result of a request for a repository's tags.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Tags {
    /// The first tags, at most three. Empty if the repository has no tag or does not exist.
    Named(Vec<String>),
    /// 403: the token cannot list tags. An organization access token needs the scope `scope-tag-read` (Docker's
    /// reference). The response says nothing about the right to pull.
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
    /// Lists every repository of `organization` that the session sees, sorted by name.
    ///
    /// # Errors
    /// Returns [`HubError`] if the list cannot be read completely: a partial list proves nothing.
    pub async fn repositories(&self, session: &Session, organization: &str) -> Result<Vec<Repository>, HubError> {
        // the list may change between two pages, so read it once more
        match self.read_all(session, organization).await? {
            Some(list) => Ok(list),
            None => match self.read_all(session, organization).await? {
                Some(list) => Ok(list),
                None => Err(unsteady("repositories")),
            },
        }
    }

    /// Reads all pages once. Returns `None` if their entries do not add up to `count`.
    async fn read_all(&self, session: &Session, organization: &str) -> Result<Option<Vec<Repository>>, HubError> {
        let Some(first) = self.page(session, organization, 1).await? else { return Ok(None) };
        let pages = first.count.div_ceil(PAGE_SIZE);
        if pages > PAGES {
            return Err(endless("repositories"));
        }
        self.http_client.observe(Progress::Page { of: pages.max(1) });
        let count = first.count;
        let mut list: Vec<Repository> = first.results.into_iter().map(Repository::from).collect();
        let mut rest: FuturesUnordered<_> = (2..=pages).map(|page| self.page(session, organization, page)).collect();
        while let Some(page) = rest.next().await {
            self.http_client.observe(Progress::Page { of: pages });
            match page? {
                Some(page) if page.count == count => list.extend(page.results.into_iter().map(Repository::from)),
                _ => return Ok(None),
            }
        }
        list.sort_unstable();
        list.dedup_by(|a, b| a.name == b.name);
        Ok((list.len() == count).then_some(list))
    }

    /// Reads one page. Returns `None` for a page after the last one.
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

    /// Returns the first tags of a repository, in one request.
    ///
    /// # Errors
    /// Returns [`HubError`] if the result is unknown.
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

/// Returns whether a name matches the registry's grammar of tags, and so is safe in a path.
pub(super) fn is_tag(name: &str) -> bool {
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
