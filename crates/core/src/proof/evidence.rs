//! What a run observed of a token: plain values without a secret.

use crate::connector::Coverage;
use crate::hub::{Head, HubError, Repository};
use crate::secret::document::Expected;

/// The result of logging in with the token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Login {
    /// Docker Hub accepted it.
    Accepted,
    /// Docker Hub rejected it.
    Rejected,
    /// Docker Hub rejected it, but hubkeeper minted it less than ten minutes ago: it may still be propagating.
    RejectedYoung,
    /// Inconclusive.
    Unknown,
}

/// Another credential's view of the organization, which the candidate must equal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    /// Whose view it is, for messages: "the token in use (version …)".
    pub of: String,
    /// Names of the repositories that the credential sees.
    pub repositories: Vec<String>,
}

/// How the requests to the registry's token service ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pulls {
    /// Not started: an earlier result decided.
    NotAsked,
    /// The run requested every repository; [`Evidence::denied`] lists those without a grant.
    Asked,
    /// The run requested a sample only: the token works, and nothing more is known.
    Sampled,
    /// 401: insufficient scopes.
    InsufficientScopes,
    /// 401: Docker rejects the credential.
    Rejected,
}

/// What the run knows about push rights.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Push {
    /// Not asked: the scope claim settles it, or the connector carries the version already.
    NotAsked,
    /// The token service refused it or did not grant it.
    Refused,
    /// The token service granted it.
    Granted,
}

/// What a run observed of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// The organization.
    pub organization: String,
    /// Whether it is an organization access token.
    pub organization_token: bool,
    /// The result of the login.
    pub login: Login,
    /// The scope claim in the login's response.
    pub scope: Option<Vec<String>>,
    /// The repositories that the token sees.
    pub visible: Vec<Repository>,
    /// What other credentials see.
    pub references: Vec<Reference>,
    /// What the last proof saw, if the token is proven again.
    pub last_proof: Option<Coverage>,
    /// Repositories that the secret expects.
    pub expected: Vec<Expected>,
    /// Repositories that completeness leaves out.
    pub excluded: Vec<String>,
    /// How the requests for pull grants ended.
    pub pulls: Pulls,
    /// Repositories without a pull grant.
    pub denied: Vec<String>,
    /// Repositories of the sample whose manifest the registry denies after the token service granted the pull.
    pub unreadable: Vec<String>,
    /// Repositories of the sample whose manifest was read.
    pub manifests: usize,
    /// Those of them whose manifest is an index.
    pub indexes: Vec<String>,
    /// Repositories of the sample whose list has tags, but no tag led to a manifest.
    pub vanished: Vec<String>,
    /// Repositories of the sample whose tags the token may not list.
    pub untold: Vec<String>,
    /// Number of repositories of the sample whose tags were listed.
    pub listed: usize,
    /// The largest number of repositories in one request for pull grants that was granted whole.
    pub most_granted: usize,
    /// Whether Docker Hub has locked the user or the address out.
    pub is_locked_out: bool,
    /// What the run knows about push rights.
    pub push: Push,
    /// What could not be determined, for messages. If it is not empty, the proof is inconclusive.
    pub gaps: Vec<String>,
}

impl Evidence {
    /// Evidence before the first request.
    pub fn new(organization: &str, organization_token: bool, expected: &[Expected], excluded: &[String]) -> Self {
        Self {
            organization: organization.to_owned(),
            organization_token,
            login: Login::Unknown,
            scope: None,
            visible: Vec::new(),
            references: Vec::new(),
            last_proof: None,
            expected: expected.to_vec(),
            excluded: excluded.to_vec(),
            pulls: Pulls::NotAsked,
            denied: Vec::new(),
            unreadable: Vec::new(),
            manifests: 0,
            indexes: Vec::new(),
            vanished: Vec::new(),
            untold: Vec::new(),
            listed: 0,
            most_granted: 0,
            is_locked_out: false,
            push: Push::NotAsked,
            gaps: Vec::new(),
        }
    }

    /// Records the registry's response about the manifest of one repository of the sample, for the last tag that was
    /// tried. Only [`Head::Denied`] counts against the token.
    pub fn record_manifest(&mut self, repository: &str, answer: Result<Head, HubError>) {
        match answer {
            Ok(Head::Readable { index }) => {
                self.manifests += 1;
                if index {
                    self.indexes.push(repository.to_owned());
                }
            }
            Ok(Head::Absent) => self.vanished.push(repository.to_owned()),
            Ok(Head::Denied) => self.unreadable.push(repository.to_owned()),
            Err(error) => self.gaps.push(error.message().to_owned()),
        }
    }

    /// Whether Docker Hub or its registry rejected the token.
    pub fn is_rejected(&self) -> bool {
        self.login == Login::Rejected || self.pulls == Pulls::Rejected
    }

    /// Whether the rejected token was minted minutes ago: it may still be propagating, so the rejection is inconclusive.
    pub fn excuse_rejection(&mut self) {
        self.login = Login::RejectedYoung;
        if self.pulls == Pulls::Rejected {
            self.pulls = Pulls::NotAsked;
        }
    }
}

/// What a scope claim allows. Scopes imply the lower ones (Docker's reference): admin > write > read > public read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// Public repositories only.
    PublicRead,
    /// Read.
    Read,
    /// More than read.
    More,
    /// No claim, or a claim that does not mention repositories.
    Unknown,
}

/// The level that a scope claim names.
pub fn level(scope: Option<&[String]>) -> Level {
    let Some(scope) = scope else { return Level::Unknown };
    let any = |test: &dyn Fn(&str) -> bool| scope.iter().any(|name| test(name));
    // organization access tokens: every action except pull and list changes something
    let writes = |name: &str| {
        let action = name.rsplit([':', '-']).next().unwrap_or(name);
        matches!(action, "write" | "admin" | "push" | "delete" | "edit" | "create")
    };
    if any(&writes) {
        Level::More
    } else if any(&|name| name == "repo:read") {
        Level::Read
    } else if any(&|name| name == "repo:public_read") {
        Level::PublicRead
    } else {
        Level::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_claim_implies_the_lower_ones() {
        for (claim, expected) in [
            (Some("repo:public_read"), Level::PublicRead),
            (Some("repo:read"), Level::Read),
            (Some("repo:public_read repo:read"), Level::Read),
            (Some("repo:write"), Level::More),
            (Some("repo:admin"), Level::More),
            (Some("repo:read repo:write"), Level::More),
            (Some("repo:read sandbox:use"), Level::Read),
            (Some("scope-image-pull scope-image-push"), Level::More),
            (Some("scope-image-pull scope-repository-list"), Level::Unknown),
            (None, Level::Unknown),
        ] {
            let scope: Option<Vec<String>> = claim.map(|claim| claim.split(' ').map(str::to_owned).collect());
            assert_eq!(level(scope.as_deref()), expected, "{claim:?}");
        }
    }
}
