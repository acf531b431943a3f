//! The objects of Docker Hub: users, organizations, repositories, teams, tokens.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

/// A team's permission on a repository. A greater one implies the lesser ones (Docker's reference).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Permission {
    /// See and pull.
    Read,
    /// See, pull and push.
    Write,
    /// See, pull, push and change settings.
    Admin,
}

/// A user's role in an organization (Docker's manual, "Core roles").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Does everything.
    Owner,
    /// Sees, pushes to and edits every repository. Cannot invite.
    Editor,
    /// Sees public repositories and those of the user's teams.
    Member,
}

/// The content type of a repository.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Container images; `repository_type` `image`, scope type `repository`.
    Image,
    /// Engine plugins; `repository_type` `plugin`, scope type `repository(plugin)`.
    Plugin,
}

/// The media type of a manifest. The registry returns a manifest only if `Accept` names its type exactly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaType {
    /// `application/vnd.oci.image.index.v1+json`
    OciIndex,
    /// `application/vnd.docker.distribution.manifest.list.v2+json`
    DockerList,
    /// `application/vnd.oci.image.manifest.v1+json`
    OciManifest,
    /// `application/vnd.docker.distribution.manifest.v2+json`
    DockerManifest,
    /// `application/vnd.docker.distribution.manifest.v1+json`: schema 1, of Docker's early years.
    DockerSchema1,
    /// `application/vnd.docker.distribution.manifest.v1+prettyjws`: schema 1 with a signature.
    DockerSchema1Signed,
}

impl MediaType {
    /// Every media type.
    pub const ALL: [MediaType; 6] = [
        MediaType::OciIndex,
        MediaType::DockerList,
        MediaType::OciManifest,
        MediaType::DockerManifest,
        MediaType::DockerSchema1,
        MediaType::DockerSchema1Signed,
    ];
    /// The types that clients push today. New repositories use them in turn.
    pub const PUSHED: [MediaType; 4] =
        [MediaType::OciIndex, MediaType::DockerList, MediaType::OciManifest, MediaType::DockerManifest];

    /// The value in `Accept` and `Content-Type`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MediaType::OciIndex => "application/vnd.oci.image.index.v1+json",
            MediaType::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
            MediaType::OciManifest => "application/vnd.oci.image.manifest.v1+json",
            MediaType::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
            MediaType::DockerSchema1 => "application/vnd.docker.distribution.manifest.v1+json",
            MediaType::DockerSchema1Signed => "application/vnd.docker.distribution.manifest.v1+prettyjws",
        }
    }
}

/// A tag, and the manifest that it names.
#[derive(Clone, Debug)]
pub struct Tag {
    /// `sha256:` and 64 hexadecimal digits, of [`manifest`].
    pub digest: String,
    /// The manifest's media type.
    pub media_type: MediaType,
    /// Time of the push.
    pub pushed_at: OffsetDateTime,
}

impl Tag {
    pub(crate) fn new(repository: &str, tag: &str, media_type: MediaType, pushed_at: OffsetDateTime) -> Self {
        let digest = Sha256::digest(manifest(repository, tag, media_type));
        let hex = digest.iter().fold(String::from("sha256:"), |text, byte| format!("{text}{byte:02x}"));
        Self { digest: hex, media_type, pushed_at }
    }
}

/// The bytes of the manifest that a tag of `repository` (`org/name`) names: invented, but stable and different for each tag.
#[must_use]
pub fn manifest(repository: &str, tag: &str, media_type: MediaType) -> String {
    let mut body = json!({
        "schemaVersion": 2,
        "mediaType": media_type.as_str(),
        "annotations": { "org.opencontainers.image.ref.name": format!("{repository}:{tag}") },
    });
    match media_type {
        MediaType::OciIndex | MediaType::DockerList => body["manifests"] = json!([]),
        MediaType::OciManifest | MediaType::DockerManifest => body["layers"] = json!([]),
        MediaType::DockerSchema1 | MediaType::DockerSchema1Signed => {
            body["schemaVersion"] = 1.into();
            body["fsLayers"] = json!([]);
        }
    }
    body.to_string()
}

/// A repository.
#[derive(Clone, Debug)]
pub struct Repository {
    /// Whether it is private.
    pub private: bool,
    /// Images or plugins.
    pub kind: Kind,
    /// `status_description` `active` or `inactive`.
    pub active: bool,
    /// Tags by name; may be empty.
    pub tags: BTreeMap<String, Tag>,
    /// Short description.
    pub description: Option<String>,
    /// Time of creation.
    pub registered_at: OffsetDateTime,
    /// Time of the last push.
    pub updated_at: OffsetDateTime,
    /// Pulls so far.
    pub pull_count: u64,
}

/// A team of an organization.
#[derive(Clone, Debug, Default)]
pub struct Team {
    /// Its users.
    pub members: BTreeSet<String>,
    /// Its permissions, by repository name (without the organization).
    pub permissions: BTreeMap<String, Permission>,
}

/// An organization: a namespace with members.
#[derive(Clone, Debug, Default)]
pub struct Organization {
    /// Its uuid.
    pub uuid: String,
    /// Whether single sign-on is enforced. Passwords of its members are then rejected, their access tokens are not.
    pub enforced_sso: bool,
    /// Repositories by name (without the organization).
    pub repositories: BTreeMap<String, Repository>,
    /// Members and their roles.
    pub members: BTreeMap<String, Role>,
    /// Teams by name.
    pub teams: BTreeMap<String, Team>,
    /// Seats for members and invitations. `None` for no limit.
    pub seats: Option<usize>,
    /// Open invitations, oldest first.
    pub invitations: Vec<Invitation>,
    /// The number of invitations ever created.
    pub invitations_sent: usize,
    /// Users with a custom role that has "Member management".
    pub member_managers: BTreeSet<String>,
    /// Custom roles, which the list of members shows instead of the user's core role.
    pub shown_roles: BTreeMap<String, String>,
}

/// An invitation to an organization.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// Its uuid.
    pub id: String,
    /// The user who created it.
    pub inviter: String,
    /// The address, or the user name of a registered user with that address.
    pub invitee: String,
    /// The address or user name in the request.
    pub address: String,
    /// The role.
    pub role: Role,
    /// The team.
    pub team: Option<String>,
    /// Time of creation.
    pub created_at: OffsetDateTime,
    /// The number of resends.
    pub resends: usize,
}

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    /// The user's uuid.
    pub uuid: String,
    /// The password.
    pub password: String,
    /// The e-mail address.
    pub email: String,
    /// The seed of the second factor, base32 without padding. `None` if two-factor login is off.
    pub totp: Option<String>,
    /// The last 30-second step whose code was accepted. A code works once.
    pub(crate) last_step: Option<u64>,
}

/// The level of an access token. A greater one implies the lesser ones (Docker's reference).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Level {
    Nothing,
    PublicRead,
    Read,
    Write,
    Admin,
}

impl Level {
    /// The level of one scope. `None` for a scope that Docker Hub does not know.
    pub(crate) fn of(scope: &str) -> Option<Level> {
        match scope {
            "repo:admin" => Some(Level::Admin),
            "repo:write" => Some(Level::Write),
            "repo:read" => Some(Level::Read),
            "repo:public_read" => Some(Level::PublicRead),
            "sandbox:use" => Some(Level::Nothing),
            _ => None,
        }
    }

    pub(crate) fn of_all(scopes: &[String]) -> Level {
        scopes.iter().filter_map(|scope| Level::of(scope)).max().unwrap_or(Level::Nothing)
    }
}

/// A personal access token as Docker Hub stores it and tests see it.
#[derive(Clone, Debug)]
pub struct PatView {
    /// Its id.
    pub uuid: String,
    /// The user name of its owner.
    pub username: String,
    /// `token_label`. Not necessarily unique.
    pub label: String,
    /// `repo:admin`, `repo:write`, `repo:read`, `repo:public_read`, `sandbox:use`.
    pub scopes: Vec<String>,
    /// The secret value.
    pub value: String,
    /// Time of creation, on Docker's clock.
    pub created_at: OffsetDateTime,
    /// Start of its validity, on Docker's clock.
    pub usable_at: OffsetDateTime,
    /// Expiry. `None`: it never expires.
    pub expires_at: Option<OffsetDateTime>,
    /// `false` while it is deactivated.
    pub is_active: bool,
    /// Time of the last login or registry token request with it.
    pub last_used: Option<OffsetDateTime>,
    /// `User-Agent` of the request that created it.
    pub creator_ua: String,
}

/// What a resource of an organization access token refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourceKind {
    /// `TYPE_REPO`: `org/repo`, `org/*` or `*/*/public`.
    Repository,
    /// `TYPE_ORG`: the organization.
    Organization,
}

/// One resource of an organization access token.
#[derive(Clone, Debug)]
pub struct OatResource {
    /// Repositories or the organization.
    pub kind: ResourceKind,
    /// See [`ResourceKind`].
    pub path: String,
    /// Such as `scope-image-pull`, `scope-repository-list`, `scope-tag-read`, `scope-image-push`.
    pub scopes: Vec<String>,
}

impl OatResource {
    /// A resource for repositories.
    #[must_use]
    pub fn repositories(path: &str, scopes: &[&str]) -> Self {
        Self {
            kind: ResourceKind::Repository,
            path: path.to_owned(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
        }
    }

    /// Whether the resource grants the scope on the organization itself: its members, invitations and teams.
    pub(crate) fn gives_on(&self, scope: &str, organization: &str) -> bool {
        self.kind == ResourceKind::Organization
            && self.path.trim_end_matches("/*") == organization
            && self.scopes.iter().any(|given| given == scope)
    }

    /// A resource for the organization.
    #[must_use]
    pub fn organization(path: &str, scopes: &[&str]) -> Self {
        Self { kind: ResourceKind::Organization, ..Self::repositories(path, scopes) }
    }

    /// Whether it grants the scope on a repository. Inferred, since Docker does not document it: an organization resource covers
    /// all repositories of the organization.
    pub(crate) fn gives(&self, scope: &str, organization: &str, name: &str, private: bool) -> bool {
        let reaches = match (self.kind, self.path.as_str()) {
            (_, "*/*/public") => !private,
            (ResourceKind::Organization, path) => path.trim_end_matches("/*") == organization,
            (ResourceKind::Repository, path) => path
                .split_once('/')
                .is_some_and(|(space, repository)| space == organization && (repository == "*" || repository == name)),
        };
        reaches && self.scopes.iter().any(|given| given == scope)
    }
}

/// An organization access token.
#[derive(Clone, Debug)]
pub(crate) struct Oat {
    pub(crate) organization: String,
    pub(crate) label: String,
    pub(crate) value: String,
    pub(crate) resources: Vec<OatResource>,
    pub(crate) is_active: bool,
    pub(crate) expires_at: Option<OffsetDateTime>,
}

/// The `media_types` and `content_types` of a repository in a list.
pub(crate) fn content(kind: Kind) -> (Value, Value) {
    match kind {
        Kind::Image => (json!(["application/vnd.docker.container.image.v1+json"]), json!(["image"])),
        Kind::Plugin => (json!(["application/vnd.docker.plugin.v1+json"]), json!(["plugin"])),
    }
}
