//! Gathers the evidence: the only part of the proof that sends requests.
//!
//! Independent requests run concurrently. The longest chain is: login, list, (further pages,) grants and tags,
//! manifests. With [`TagList::Registry`] the tags come after the grants. If the login's response has no scope claim, the
//! first request to the token service runs alone: a token with too low a scope then causes only one failed login.

use std::collections::BTreeSet;

use futures_util::future::{join, join_all};
use futures_util::stream::{self, StreamExt};
use hubkeeper_core::failure::docker_hub::registry::TokenRefusal;
use hubkeeper_core::hub::{Head, HubError, Repository};
use hubkeeper_core::proof::evidence::{Evidence, Level, Login, Pulls, Push, Reference, level};
use hubkeeper_core::proof::sample;
use hubkeeper_core::secret::Document;
use hubkeeper_core::secret::document::Expected;

use crate::clients::hub::login::TokenLogin;
use crate::clients::hub::registry::{Grant, Granted, batches};
use crate::clients::hub::repositories::Tags;
use crate::clients::hub::{Credential, Hub, Session};
use crate::http::UNDER_WAY;
use crate::observer::Progress;

/// Maximum number of missing grants of combined requests that are requested again one by one.
const ASKED_AGAIN: usize = 20;

/// The service that lists the tags of the sample first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TagList {
    /// Docker Hub's API, while the grants are requested: the shortest chain, and the newest tags. Each list counts against
    /// the API's rate limit.
    DockerHub,
    /// The registry, with the pull token, after the grants. Docker Hub's API lists the tags only where the registry's lead
    /// to no manifest.
    Registry,
}

/// The token to examine, and the extent. No `Debug`: it holds the token.
pub struct Subject<'a> {
    /// The token and its identity.
    pub credential: Credential,
    /// The organization whose repositories the token must read.
    pub organization: &'a str,
    /// Whether the token is an organization access token.
    pub is_organization_token: bool,
    /// Repositories that must be readable.
    pub expected: &'a [Expected],
    /// Repositories that completeness leaves out.
    pub excluded: &'a [String],
    /// Whether to check pulls for a sample only, which is enough to see that a proven token still works.
    pub sample_only: bool,
    /// Where the tags of the sample come from.
    pub tags: TagList,
}

impl<'a> Subject<'a> {
    /// The token of a document. Returns `None` if the document holds none.
    pub fn of(document: &'a Document, sample_only: bool) -> Option<Self> {
        Some(Self {
            credential: Credential { identifier: document.username.clone(), token: document.access_token.clone()? },
            organization: &document.organization,
            is_organization_token: document.is_organization_token(),
            expected: &document.expected,
            excluded: &document.excluded,
            sample_only,
            tags: TagList::DockerHub,
        })
    }
}

/// The evidence after grants and tags are read, without the manifests. No `Debug`: it holds tokens.
pub struct Survey {
    /// The evidence so far.
    pub evidence: Evidence,
    credential: Credential,
    /// The session of the login, if the tags are still to be listed.
    session: Option<Session>,
    /// Repositories of the sample that have a grant, and the tags to try in order.
    manifests: Vec<Candidate>,
    /// The repository for the `push` request.
    push_on: Option<Repository>,
}

/// A repository whose manifest can be requested. No `Debug`: it holds a token.
struct Candidate {
    repository: String,
    /// The tags of Docker Hub's list, or `None` if they are still to be listed.
    tags: Option<Vec<String>>,
    granted: Granted,
}

/// What the tags of one repository led to.
enum Sampled {
    Manifest(Head),
    /// The repository has no tag, by Docker Hub's list.
    Untagged,
    /// The token may not list the tags.
    Untold,
}

/// Gathers evidence about tokens.
#[derive(Clone, Copy)]
pub struct Prover<'a> {
    /// The client of Docker Hub.
    pub hub: &'a Hub,
}

/// The result of the requests to the token service.
struct Asked {
    granted: BTreeSet<String>,
    singles: Vec<(Repository, Granted)>,
    /// The largest request whose grants were all in its response.
    most: usize,
    end: Option<End>,
}

enum End {
    InsufficientScopes,
    Rejected,
    LockedOut,
    Gap(String),
}

impl Prover<'_> {
    fn observe(self, progress: Progress<'_>) {
        self.hub.http_client.observe(progress);
    }

    /// Gathers the evidence of login, list, grants and tags.
    pub async fn survey(&self, subject: &Subject<'_>) -> Survey {
        let organization = subject.organization;
        let mut evidence =
            Evidence::new(organization, subject.is_organization_token, subject.expected, subject.excluded);
        let mut manifests = Vec::new();
        let mut push_on = None;
        let mut later = None;
        if let Some(session) = self.enter(subject, &mut evidence).await {
            let excluded: BTreeSet<&str> = subject.excluded.iter().map(String::as_str).collect();
            let visible = evidence.visible.clone();
            let targets: Vec<&Repository> =
                visible.iter().filter(|repository| !excluded.contains(repository.name.as_str())).collect();
            if !targets.is_empty() && level(evidence.scope.as_deref()) != Level::PublicRead {
                let chosen = sample::choose(&targets);
                push_on = chosen.first().or(targets.first()).map(|repository| (*repository).clone());
                let listed_now = if subject.tags == TagList::DockerHub { chosen.as_slice() } else { &[] };
                let tags = join_all(
                    listed_now.iter().map(|repository| self.hub.some_tags(&session, organization, &repository.name)),
                );
                let canary = level(evidence.scope.as_deref()) == Level::Unknown;
                let grants = self.grants(subject, &targets, &chosen, canary);
                let (tags, asked) = join(tags, grants).await;
                let tagged = match subject.tags {
                    TagList::DockerHub => record_tags(&mut evidence, &chosen, tags),
                    TagList::Registry => chosen.iter().map(|repository| (repository.name.clone(), None)).collect(),
                };
                manifests = conclude(&mut evidence, subject, &targets, &tagged, asked);
            }
            later = Some(session).filter(|_| subject.tags == TagList::Registry);
        }
        Survey { evidence, credential: subject.credential.clone(), session: later, manifests, push_on }
    }

    /// Reads the manifests. Requests `push` if the scope claim leaves it open and `may_ask` allows it.
    pub async fn finish(&self, survey: Survey, may_ask: impl Future<Output = bool>) -> Evidence {
        let Survey { mut evidence, credential, session, manifests, push_on } = survey;
        let organization = evidence.organization.clone();
        let heads = join_all(manifests.iter().map(|candidate| async {
            let sampled = self.sampled(&organization, candidate, session.as_ref()).await;
            self.observe(Progress::Manifest { of: manifests.len() });
            sampled
        }));
        let open = level(evidence.scope.as_deref()) == Level::Unknown
            && evidence.pulls == Pulls::Asked
            && evidence.denied.is_empty()
            && evidence.gaps.is_empty();
        let push = async {
            match &push_on {
                Some(repository) if open && may_ask.await => {
                    Some(self.hub.registry_token(&credential, &organization, &[repository], "pull,push").await)
                }
                _ => None,
            }
        };
        let (heads, push) = join(heads, push).await;
        for (candidate, sampled) in manifests.iter().zip(heads) {
            let listed_now = candidate.tags.is_none();
            match sampled {
                Ok(Sampled::Untold) => evidence.untold.push(candidate.repository.clone()),
                Ok(Sampled::Untagged) => evidence.listed += 1,
                Ok(Sampled::Manifest(head)) => {
                    evidence.listed += usize::from(listed_now);
                    evidence.record_manifest(&candidate.repository, Ok(head));
                }
                Err(error) => evidence.record_manifest(&candidate.repository, Err(error)),
            }
        }
        match push {
            None => {}
            Some(Ok(Grant::Refused(TokenRefusal::InsufficientScopes))) => evidence.push = Push::Refused,
            Some(Ok(Grant::Granted(granted))) => {
                let name = push_on.as_ref().map_or("", |repository| repository.name.as_str());
                evidence.push = if granted.grants(&organization, name, "push") { Push::Granted } else { Push::Refused };
            }
            Some(Ok(Grant::Refused(TokenRefusal::Rejected))) => evidence.pulls = Pulls::Rejected,
            Some(Ok(Grant::Refused(TokenRefusal::LockedOut))) => locked_out(&mut evidence),
            Some(Err(error)) => evidence.gaps.push(error.message().to_owned()),
        }
        evidence
    }

    /// Returns the repositories that another credential sees, or `Ok(None)` if the service rejects the credential.
    ///
    /// # Errors
    /// Returns the reason why the view is unknown, in words for people.
    pub async fn reference(
        &self,
        credential: &Credential,
        organization: &str,
        of: String,
    ) -> Result<Option<Reference>, String> {
        let gap =
            |error: &hubkeeper_core::hub::HubError| format!("the view of {of} is not known ({})", error.message());
        let session = match self.hub.login(credential).await.map_err(|error| gap(&error))? {
            TokenLogin::Accepted(session) => session,
            TokenLogin::Rejected => return Ok(None),
        };
        let list = self.hub.repositories(&session, organization).await.map_err(|error| gap(&error))?;
        Ok(Some(Reference { of, repositories: list.into_iter().map(|repository| repository.name).collect() }))
    }

    /// Returns the repositories that a password session sees: the manager's view.
    ///
    /// # Errors
    /// Returns the reason why the view is unknown, in words for people.
    pub async fn session_reference(
        &self,
        session: &Session,
        organization: &str,
        of: String,
    ) -> Result<Reference, String> {
        let list = self.hub.repositories(session, organization).await;
        let list = list.map_err(|error| format!("the view of {of} is not known ({})", error.message()))?;
        Ok(Reference { of, repositories: list.into_iter().map(|repository| repository.name).collect() })
    }

    /// Checks whether a manifest of a repository can be read: by the tags that are known, or by the registry's own list.
    ///
    /// Docker Hub's list decides where the registry's fails or leads to no manifest. A proof with [`TagList::Registry`]
    /// therefore passes no repository over that a proof with [`TagList::DockerHub`] would check.
    async fn sampled(
        &self,
        organization: &str,
        candidate: &Candidate,
        session: Option<&Session>,
    ) -> Result<Sampled, HubError> {
        let Candidate { repository, tags, granted } = candidate;
        if let Some(tags) = tags {
            return self.head(organization, candidate, tags).await.map(Sampled::Manifest);
        }
        let tried = self.hub.registry_tags(granted, organization, repository).await;
        match self.head(organization, candidate, &tried).await? {
            Head::Absent => {}
            decided => return Ok(Sampled::Manifest(decided)),
        }
        let Some(session) = session else { return Ok(Sampled::Manifest(Head::Absent)) };
        match self.hub.some_tags(session, organization, repository).await? {
            Tags::Forbidden => Ok(Sampled::Untold),
            Tags::Named(tags) if tags.is_empty() => Ok(Sampled::Untagged),
            Tags::Named(mut tags) => {
                tags.retain(|tag| !tried.contains(tag));
                self.head(organization, candidate, &tags).await.map(Sampled::Manifest)
            }
        }
    }

    /// Checks whether the manifest of a tag can be read. Tries the next tag only after a tag without a manifest.
    async fn head(&self, organization: &str, candidate: &Candidate, tags: &[String]) -> Result<Head, HubError> {
        for tag in tags {
            match self.hub.manifest(&candidate.granted, organization, &candidate.repository, tag).await? {
                Head::Absent => {}
                decided => return Ok(decided),
            }
        }
        Ok(Head::Absent)
    }

    /// Logs in and lists the repositories. Returns `None` if either leaves nothing to continue with.
    async fn enter(&self, subject: &Subject<'_>, evidence: &mut Evidence) -> Option<Session> {
        let session = match self.hub.login(&subject.credential).await {
            Ok(TokenLogin::Accepted(session)) => session,
            Ok(TokenLogin::Rejected) => {
                evidence.login = Login::Rejected;
                return None;
            }
            Err(error) => {
                evidence.is_locked_out |= matches!(error, HubError::LockedOut(_));
                evidence.gaps.push(error.message().to_owned());
                return None;
            }
        };
        self.observe(Progress::LoggedIn);
        evidence.login = Login::Accepted;
        evidence.scope.clone_from(&session.scope);
        match self.hub.repositories(&session, subject.organization).await {
            Ok(list) => evidence.visible = list,
            Err(error) => {
                evidence.gaps.push(error.message().to_owned());
                return None;
            }
        }
        Some(session)
    }

    /// Requests pull grants: one request for each repository of the sample, combined requests for the rest.
    async fn grants(
        &self,
        subject: &Subject<'_>,
        targets: &[&Repository],
        chosen: &[&Repository],
        canary: bool,
    ) -> Asked {
        let in_sample: BTreeSet<&str> = chosen.iter().map(|repository| repository.name.as_str()).collect();
        let rest: Vec<&Repository> = if subject.sample_only {
            Vec::new()
        } else {
            targets.iter().copied().filter(|repository| !in_sample.contains(repository.name.as_str())).collect()
        };
        let mut asks: Vec<Vec<&Repository>> = chosen.iter().map(|repository| vec![*repository]).collect();
        asks.extend(batches(subject.organization, &rest));
        self.observe(Progress::Checking { repositories: chosen.len() + rest.len() });
        let mut asked = Asked { granted: BTreeSet::new(), singles: Vec::new(), most: 0, end: None };
        if canary && !asks.is_empty() {
            let first = asks.remove(0);
            self.ask(subject, vec![first], &in_sample, &mut asked).await;
        }
        self.ask(subject, asks, &in_sample, &mut asked).await;
        // combined responses sometimes lose grants (observed), so request missing ones singly before they become
        // findings
        let again: Vec<Vec<&Repository>> = rest
            .iter()
            .filter(|repository| !asked.granted.contains(&repository.name))
            .take(ASKED_AGAIN)
            .map(|repository| vec![*repository])
            .collect();
        self.ask(subject, again, &in_sample, &mut asked).await;
        asked
    }

    async fn ask_one<'a>(
        &self,
        subject: &Subject<'_>,
        repositories: Vec<&'a Repository>,
    ) -> (Vec<&'a Repository>, Result<Grant, HubError>) {
        let organization = subject.organization;
        let grant = self.hub.registry_token(&subject.credential, organization, &repositories, "pull").await;
        (repositories, grant)
    }

    /// Runs requests concurrently until one of them ends the whole.
    async fn ask(
        &self,
        subject: &Subject<'_>,
        asks: Vec<Vec<&Repository>>,
        in_sample: &BTreeSet<&str>,
        asked: &mut Asked,
    ) {
        if asked.end.is_some() {
            return;
        }
        let organization = subject.organization;
        let requests: Vec<_> = asks.into_iter().map(|repositories| self.ask_one(subject, repositories)).collect();
        let mut answers = stream::iter(requests).buffer_unordered(UNDER_WAY);
        while let Some((repositories, grant)) = answers.next().await {
            self.observe(Progress::Checked { repositories: repositories.len() });
            match grant {
                Ok(Grant::Granted(granted)) => {
                    let pullable =
                        repositories.iter().filter(|repository| granted.grants(organization, &repository.name, "pull"));
                    let names: Vec<String> = pullable.map(|repository| repository.name.clone()).collect();
                    if names.len() == repositories.len() {
                        asked.most = asked.most.max(names.len());
                    }
                    asked.granted.extend(names);
                    if let [single] = repositories[..]
                        && in_sample.contains(single.name.as_str())
                    {
                        asked.singles.push((single.clone(), granted));
                    }
                }
                // the return drops the requests in progress and sends no further one
                Ok(Grant::Refused(TokenRefusal::InsufficientScopes)) => asked.end = Some(End::InsufficientScopes),
                Ok(Grant::Refused(TokenRefusal::Rejected)) => asked.end = Some(End::Rejected),
                Ok(Grant::Refused(TokenRefusal::LockedOut)) => asked.end = Some(End::LockedOut),
                Err(error) => asked.end = Some(End::Gap(error.message().to_owned())),
            }
            if asked.end.is_some() {
                return;
            }
        }
    }
}

const LOCKED_OUT: &str = "Docker Hub has locked the user or the address out after too many failed logins";

/// Notes a lock-out: no further login helps.
fn locked_out(evidence: &mut Evidence) {
    evidence.is_locked_out = true;
    evidence.gaps.push(LOCKED_OUT.to_owned());
}

/// Adds Docker Hub's lists of tags to the evidence, and returns the tags of each repository that has some.
fn record_tags(
    evidence: &mut Evidence,
    chosen: &[&Repository],
    tags: Vec<Result<Tags, HubError>>,
) -> Vec<(String, Option<Vec<String>>)> {
    let mut tagged = Vec::new();
    for (repository, tags) in chosen.iter().zip(tags) {
        match tags {
            Ok(Tags::Named(tags)) => {
                evidence.listed += 1;
                if !tags.is_empty() {
                    tagged.push((repository.name.clone(), Some(tags)));
                }
            }
            Ok(Tags::Forbidden) => evidence.untold.push(repository.name.clone()),
            Err(error) => evidence.gaps.push(error.message().to_owned()),
        }
    }
    tagged
}

/// Adds the grants to the evidence, and returns the manifests that can be requested.
fn conclude(
    evidence: &mut Evidence,
    subject: &Subject<'_>,
    targets: &[&Repository],
    tagged: &[(String, Option<Vec<String>>)],
    mut asked: Asked,
) -> Vec<Candidate> {
    // responses arrive in any order, and the same proof must read the same
    evidence.most_granted = asked.most;
    asked.singles.sort_by(|(one, _), (other, _)| one.cmp(other));
    match asked.end {
        Some(End::InsufficientScopes) => evidence.pulls = Pulls::InsufficientScopes,
        Some(End::Rejected) => evidence.pulls = Pulls::Rejected,
        Some(End::LockedOut) => locked_out(evidence),
        Some(End::Gap(gap)) => evidence.gaps.push(gap),
        None => {
            evidence.pulls = if subject.sample_only { Pulls::Sampled } else { Pulls::Asked };
            let sampled: BTreeSet<&str> =
                asked.singles.iter().map(|(repository, _)| repository.name.as_str()).collect();
            let of_interest =
                targets.iter().filter(|target| !subject.sample_only || sampled.contains(target.name.as_str()));
            evidence.denied = of_interest
                .filter(|target| !asked.granted.contains(&target.name))
                .map(|target| target.name.clone())
                .collect();
        }
    }
    let granted = asked.granted;
    asked
        .singles
        .into_iter()
        .filter(|(repository, _)| granted.contains(&repository.name))
        .filter_map(|(repository, granted)| {
            let tags = tagged.iter().find(|(name, _)| *name == repository.name)?.1.clone();
            Some(Candidate { repository: repository.name, tags, granted })
        })
        .collect()
}
