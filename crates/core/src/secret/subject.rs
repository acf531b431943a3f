//! Identifies the secret that an error is about: the one that hubkeeper keeps, or one that it refers to. Pure.

use crate::error::Error;

/// The secret that a call is about: the one that hubkeeper keeps, or one that it refers to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Subject<'a> {
    role: &'a str,
    id: &'a str,
}

impl<'a> Subject<'a> {
    /// The secret that an event is about.
    pub const fn secret(id: &'a str) -> Self {
        Self { role: "secret", id }
    }

    /// A secret with a login: `what` is `manager` or `owner`, the field that names it.
    pub const fn login(what: &'a str, id: &'a str) -> Self {
        Self { role: what, id }
    }

    /// The secret with the client secret of the Entra application.
    pub const fn client_secret(id: &'a str) -> Self {
        Self { role: "client", id }
    }

    /// Its name or ARN, as configured.
    pub fn id(self) -> &'a str {
        self.id
    }

    fn is_main(self) -> bool {
        self.role == "secret"
    }

    /// What errors call it, such as `manager secret vault/acme`.
    pub(crate) fn name(self) -> String {
        let role = if self.is_main() { "secret".to_owned() } else { format!("{} secret", self.role) };
        format!("{role} {}", self.shown())
    }

    /// The id for messages. A field that should hold an id may hold a token by mistake; such a value is not shown.
    pub(crate) fn shown(self) -> &'a str {
        let lower = self.id.to_ascii_lowercase();
        let credential = ["dckr_pat", "dckr_oat"].iter().any(|mark| lower.contains(mark));
        let plain = self.id.len() <= 512 && self.id.bytes().all(|byte| byte.is_ascii_graphic());
        if plain && !credential { self.id } else { "…" }
    }

    /// What to correct if the id is wrong.
    pub(crate) fn correct(self) -> String {
        match self.role {
            "secret" => "check the secret's name or ARN in the event, the account and the Region".to_owned(),
            "client" => "correct HUBKEEPER_AZURE_CLIENT_SECRET_ID, or create the secret that it names".to_owned(),
            field => format!("correct `{field}` in the secret's document, or create the secret that it names"),
        }
    }

    /// Refuses an ARN of another Region than the function's; AWS would respond to it with "not found".
    ///
    /// # Errors
    /// `Misconfigured` with both Regions.
    pub fn in_region(self, region: Option<&str>) -> Result<(), Error> {
        match (region_of(self.id), region) {
            (Some(theirs), Some(ours)) if theirs != ours => Err(Error::misconfigured(
                format!("the {} is in Region {theirs}, the function runs in {ours}", self.name()),
                format!("name a secret of {ours}, or deploy a function in {theirs}"),
            )),
            _ => Ok(()),
        }
    }

    /// Refuses a replica: values, labels and tags of a secret can be changed only in its primary Region (AWS's user guide,
    /// "Replicate AWS Secrets Manager secrets across Regions").
    ///
    /// # Errors
    /// `Misconfigured` with the primary Region.
    pub fn is_no_replica(self, arn: &str, primary: Option<&str>) -> Result<(), Error> {
        match (region_of(arn), primary) {
            (Some(here), Some(primary)) if here != primary && !primary.is_empty() => {
                let primary = scrub_region(primary);
                Err(Error::misconfigured(
                    format!("the {} is a replica in {here}; its primary Region is {primary}", self.name()),
                    format!(
                        "deploy the function in {primary} and send it the events there, or promote the replica: aws secretsmanager stop-replication-to-replica --secret-id {}",
                        self.shown()
                    ),
                ))
            }
            _ => Ok(()),
        }
    }

    /// The error about a secret that is scheduled for deletion.
    pub fn deleted(self) -> Error {
        let id = self.shown();
        let other = match self.role {
            "secret" => "or name another secret".to_owned(),
            "client" => "or name another secret in HUBKEEPER_AZURE_CLIENT_SECRET_ID".to_owned(),
            field => format!("or name another secret in `{field}`"),
        };
        Error::needs_human(
            format!("the {} is scheduled for deletion", self.name()),
            format!("restore it: aws secretsmanager restore-secret --secret-id {id}; {other}"),
        )
    }
}

/// A Region's name for messages: only the characters that Region names use.
fn scrub_region(region: &str) -> String {
    region.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-').take(32).collect()
}

/// The Region in a secret's ARN; `None` for a name, or an ARN without a Region.
fn region_of(id: &str) -> Option<&str> {
    let mut parts = id.strip_prefix("arn:")?.split(':').skip(1);
    let (service, region) = (parts.next()?, parts.next()?);
    let plain = (1..=32).contains(&region.len())
        && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    (service == "secretsmanager" && plain).then_some(region)
}
