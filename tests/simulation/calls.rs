//! Classifies requests, for the rules of the faults and for the oracles.

use hubkeeper::http::Request;
use hubkeeper_sandbox::{Service, aws};

/// The function's calls, by their effect.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    /// `DescribeSecret`
    Describe,
    /// `GetSecretValue`
    Value,
    /// `PutSecretValue`
    Put,
    /// `UpdateSecretVersionStage`
    Stage,
    /// `TagResource`
    Tag,
    /// `ListSecrets`, `ListSecretVersionIds`
    List,
    /// `SendMessageBatch`
    Send,
    /// `GetWebIdentityToken`
    Assertion,
    /// Entra's token endpoint.
    Exchange,
    /// GET of the connector.
    Connector,
    /// PUT of the connector.
    ConnectorPut,
    /// DELETE of the connector.
    ConnectorDelete,
    /// The list of the resource group's connectors.
    Neighbours,
    /// The health report.
    Health,
    /// A token's login.
    Login,
    /// A password's login.
    PasswordLogin,
    /// The list of repositories.
    Repositories,
    /// Tags of a repository, by Docker Hub's list or the registry's.
    Tags,
    /// The list of tokens.
    Tokens,
    /// The creation of a token.
    Mint,
    /// The activation or deactivation of a token.
    Change,
    /// The deletion of a token.
    Revoke,
    /// Members, teams and invitations of the organization.
    People,
    /// An invitation.
    Invite,
    /// A resend of an invitation.
    Resend,
    /// A change of a member's role, or of a team.
    Membership,
    /// The registry's token service.
    Grant,
    /// A manifest.
    Manifest,
    /// The response to a custom resource.
    Answer,
}

impl Call {
    /// Whether it changes anything at the service.
    pub(crate) fn changes(self) -> bool {
        match self {
            Call::Put
            | Call::Stage
            | Call::Tag
            | Call::Send
            | Call::ConnectorPut
            | Call::ConnectorDelete
            | Call::Mint
            | Call::Change
            | Call::Revoke
            | Call::Invite
            | Call::Resend
            | Call::Membership
            | Call::Answer => true,
            Call::Describe
            | Call::Value
            | Call::List
            | Call::Assertion
            | Call::Exchange
            | Call::Connector
            | Call::Neighbours
            | Call::Health
            | Call::Login
            | Call::PasswordLogin
            | Call::Repositories
            | Call::Tags
            | Call::Tokens
            | Call::People
            | Call::Grant
            | Call::Manifest => false,
        }
    }

    /// Classifies a request to `service`.
    pub(crate) fn of(service: Service, request: &Request) -> Call {
        let (method, path) = (request.method().as_str(), request.uri().path());
        match service {
            Service::Entra => Call::Exchange,
            Service::HubAuth => Call::Grant,
            Service::Registry if path.ends_with("/tags/list") => Call::Tags,
            Service::Registry => Call::Manifest,
            Service::Responses => Call::Answer,
            Service::Aws => match aws::action(request).as_deref() {
                Some("DescribeSecret") => Call::Describe,
                Some("GetSecretValue") => Call::Value,
                Some("PutSecretValue") => Call::Put,
                Some("UpdateSecretVersionStage") => Call::Stage,
                Some("TagResource") => Call::Tag,
                Some("SendMessageBatch") => Call::Send,
                Some("GetWebIdentityToken") => Call::Assertion,
                _ => Call::List,
            },
            Service::Arm => match (method, path.to_ascii_lowercase()) {
                ("PUT", _) => Call::ConnectorPut,
                ("DELETE", _) => Call::ConnectorDelete,
                (_, path) if path.ends_with("healthreports") => Call::Health,
                (_, path) if path.ends_with("securityconnectors") => Call::Neighbours,
                _ => Call::Connector,
            },
            Service::Hub => match (method, path) {
                (_, "/v2/auth/token") => Call::Login,
                (_, "/v2/users/login" | "/v2/users/2fa-login") => Call::PasswordLogin,
                (_, "/v2/invites/bulk") => Call::Invite,
                (_, path) if path.starts_with("/v2/invites/") => Call::Resend,
                ("GET", path) if path.starts_with("/v2/orgs/") => Call::People,
                (_, path) if path.starts_with("/v2/orgs/") => Call::Membership,
                ("POST", _) => Call::Mint,
                ("PATCH", _) => Call::Change,
                ("DELETE", _) => Call::Revoke,
                (_, path) if path.starts_with("/v2/access-tokens") => Call::Tokens,
                (_, path) if path.ends_with("/tags") => Call::Tags,
                _ => Call::Repositories,
            },
        }
    }
}
