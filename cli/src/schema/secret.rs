//! The document of a secret, and the manager and owner secrets (docs/secret.md).

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::text::{Time, Uuid};

/// The secret of one Docker Hub organization and its one Defender for Cloud connector.
#[derive(JsonSchema)]
#[schemars(
    rename_all = "camelCase",
    title = "hubkeeper: the secret of an organization",
    extend("allOf" = [
        {
            "if": {"required": ["owner"], "properties": {"owner": {"type": "string"}}},
            "then": {"required": ["user"], "properties": {"user": {"type": "object"}}}
        },
        {
            "if": {"required": ["user"], "properties": {"user": {"type": "object"}}},
            "then": {"required": ["owner"], "properties": {"owner": {"type": "string"}}}
        },
        {
            "if": {
                "required": ["accessToken"],
                "properties": {"accessToken": {"type": "string", "pattern": "^dckr_oat_"}}
            },
            "then": {"properties": {"manager": {"type": "null"}, "owner": {"type": "null"}}}
        }
    ])
)]
pub struct Secret {
    /// Docker Hub organization, lower case.
    #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,254}$"))]
    pub organization: String,
    /// The dedicated Docker Hub user; the organization's name for an organization access token.
    #[schemars(extend("pattern" = "^[!-9;-?A-~]{1,255}$"))]
    pub username: String,
    /// Personal or organization access token; leave it out with `manager`, which makes the first one, or with `owner`, which waits
    /// for it.
    #[schemars(extend("pattern" = "^[!-~]{1,4096}$"))]
    pub access_token: Option<String>,
    /// Uuid of a token that hubkeeper made; hubkeeper writes it.
    pub token_id: Option<Uuid>,
    /// When the token expires; write it beside a token made by hand, or hubkeeper cannot warn in time.
    pub expires_at: Option<Time>,
    /// Id or ARN of the manager secret, with which hubkeeper can make tokens.
    #[schemars(length(min = 1))]
    pub manager: Option<String>,
    /// Id or ARN of the owner secret, for onboarding from zero; needs `user`.
    #[schemars(length(min = 1))]
    pub owner: Option<String>,
    /// The user to invite; needs `owner`.
    pub user: Option<User>,
    /// Repositories, without the organization, that the token must see; `name*` means at least one that begins with it.
    pub expected_repositories: Option<Vec<Expected>>,
    /// Repositories, without the organization, that may be missing.
    pub excluded_repositories: Option<Vec<Repository>>,
    /// The Defender for Cloud connector.
    pub connector: Connector,
    /// The version from which a rotation took its token; hubkeeper writes it.
    #[schemars(length(min = 1))]
    pub candidate_version: Option<String>,
}

/// A repository, or a prefix and `*`.
#[derive(JsonSchema)]
#[schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,254}\\*?$"))]
pub struct Expected(pub String);

/// A repository without its organization, lower case.
#[derive(JsonSchema)]
#[schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,254}$"))]
pub struct Repository(pub String);

/// The user that hubkeeper invites into the organization.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct User {
    /// E-mail address to which the invitation goes.
    #[schemars(
        length(max = 254),
        extend(
            "format" = "email",
            "pattern" = "^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]([A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]*[A-Za-z0-9!#$%&'*+/=?^_`{|}~-])?@[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)+$"
        )
    )]
    pub email: String,
    /// Role in the organization; the default is `editor`.
    pub role: Option<Role>,
    /// Team of the user; not the team of the owners.
    #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,254}$", "not" = {"const": "owners"}))]
    pub team: Option<String>,
}

/// A role that an invitation gives.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum Role {
    /// Creates, edits and deletes repositories: the role that Microsoft's page requires.
    Editor,
    /// Reads what its teams may read.
    Member,
}

/// The connector's resource in Azure, and its settings.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub struct Connector {
    /// Azure subscription, a uuid.
    pub subscription_id: Uuid,
    /// An existing resource group: letters, digits and `-_.()`.
    #[schemars(extend("pattern" = "^[^\\u0000-\\u0027\\u002a-\\u002c\\u002f\\u003a-\\u0040\\u005b-\\u005e\\u0060\\u007b-\\u007f]{0,89}[^\\u0000-\\u0027\\u002a-\\u002c\\u002e\\u002f\\u003a-\\u0040\\u005b-\\u005e\\u0060\\u007b-\\u007f]$"))]
    pub resource_group: String,
    /// Name of the connector.
    #[schemars(
        length(min = 1, max = 260),
        extend("pattern" = "^[^<>%&\\\\?/#\\u0000-\\u001f\\u007f-\\u009f]*$", "not" = {"pattern": "^\\.+$"})
    )]
    pub name: String,
    /// Azure location of a new connector; an existing connector keeps its location.
    #[schemars(length(min = 1))]
    pub location: String,
    /// Hours between two scans, 1 to 24; the default is 24.
    #[schemars(range(min = 1, max = 24))]
    pub scan_interval_hours: Option<u8>,
    /// Plans of Defender; the default is all three.
    pub plans: Option<Vec<Plan>>,
    /// Your own tags on the connector; names that begin with `hubkeeper-` are reserved.
    #[schemars(extend("propertyNames" = {
        "minLength": 1, "maxLength": 512, "pattern": "^[^<>%&\\\\?/]*$",
        "not": {"pattern": "^[hH][uU][bB][kK][eE][eE][pP][eE][rR]-"}
    }))]
    pub tags: Option<BTreeMap<String, TagValue>>,
}

/// Value of a tag, up to 256 characters.
#[derive(JsonSchema)]
#[schemars(extend("maxLength" = 256))]
pub struct TagValue(pub String);

/// A plan of Defender for the connector.
#[derive(JsonSchema)]
#[schemars(rename_all = "camelCase")]
pub enum Plan {
    /// The offering `CspmMonitorDockerHub`.
    FoundationalCspm,
    /// The offering `DefenderForContainersDockerHub`.
    Containers,
    /// The offering `DefenderCspmDockerHub`.
    DefenderCspm,
}

/// The login of the dedicated user, with which hubkeeper makes tokens.
#[derive(JsonSchema)]
#[schemars(
    rename_all = "camelCase",
    title = "hubkeeper: the manager secret",
    extend("not" = {"required": ["accessToken"]})
)]
pub struct Manager {
    /// Docker Hub user name (Docker ID), the same as `username` of the secret; not an e-mail address.
    #[schemars(extend("pattern" = "^[^@\\s]([^@]*[^@\\s])?$"))]
    pub username: String,
    /// Password of the user, without white space or a line feed at either end.
    #[schemars(extend("pattern" = "^\\S([\\s\\S]*\\S)?$"))]
    pub password: String,
    /// Base32 seed of the second factor, where the account has one, or the whole `otpauth://` URI of its QR code.
    #[schemars(extend("pattern" = "^([A-Za-z2-7= -]+|[oO][tT][pP][aA][uU][tT][hH]://.+)$"))]
    pub totp_secret: Option<String>,
    /// The secrets that may use this login, each by its whole name or ARN, without wildcards.
    pub used_by: Vec<String>,
}

/// A login that may manage the organization's members, with which hubkeeper invites the dedicated user.
#[derive(JsonSchema)]
#[schemars(untagged, title = "hubkeeper: the owner secret")]
pub enum Owner {
    /// The password login of an owner, or of a member with the right to manage members.
    Password(Manager),
    /// An organization access token with the scopes for members, invitations and groups.
    Token(OwnerToken),
}

/// An organization access token with the scopes for members, invitations and groups.
#[derive(JsonSchema)]
#[schemars(
    rename_all = "camelCase",
    extend("not" = {"anyOf": [{"required": ["username"]}, {"required": ["password"]}, {"required": ["totpSecret"]}]})
)]
pub struct OwnerToken {
    /// Docker Hub organization of the token.
    #[schemars(extend("pattern" = "^\\S([\\s\\S]*\\S)?$"))]
    pub organization: String,
    /// The organization access token; a personal access token may not manage members.
    #[schemars(extend("pattern" = "^[!-~]+$", "not" = {"pattern": "^dckr_pat_"}))]
    pub access_token: String,
    /// The secrets that may use this token, each by its whole name or ARN, without wildcards.
    pub used_by: Vec<String>,
}
