//! What `hubkeeper init` checks before it creates a secret: the logins that the document names, and the connector.

use std::sync::Arc;

use hubkeeper::clients::azure::arm::Read;
use hubkeeper::clients::secrets_manager::SecretStore;
use hubkeeper::http::HttpShared;
use hubkeeper_core::connector::Found;
use hubkeeper_core::connector::observed::Ownership;
use hubkeeper_core::error::Error;
use hubkeeper_core::ids::is_secret_id;
use hubkeeper_core::plan::refusals::foreign;
use hubkeeper_core::secret::{Access, Document, LoginSecret, Purpose, Subject};

use crate::args;
use crate::context::Context;
use crate::exit::{Code, Failure};
use crate::render::plan::name_of_connector;

/// The result of a check that does not stop the command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finding {
    /// Nothing stands in the way.
    Good(String),
    /// A person must do something, or decide: what was found, what to do, and a few words for the question.
    Open {
        /// What was found.
        what: String,
        /// What to do about it.
        remedy: String,
        /// The same as a reason not to create the secret, for the question.
        though: String,
    },
}

/// Checks the manager or owner secret: a login that the function accepts, of the right user or organization, that lists
/// the new secret. No credential leaves this function.
///
/// # Errors
/// Returns why the function could not use it.
pub async fn login(
    store: &SecretStore,
    document: &Document,
    id: &str,
    purpose: Purpose,
    name: &str,
    step: &'static str,
) -> Result<Finding, Failure> {
    let own = |error: Error| Failure::own(error.of(&document.organization).at(step));
    let value = store.current_value(Subject::login(purpose.field(), id)).await.map_err(own)?;
    let login = LoginSecret::parse(&value.text, purpose).map_err(own)?;
    fits(&login.access, document, purpose).map_err(own)?;
    Ok(admitted(&login.used_by, purpose, id, name))
}

/// Whether the login is of the dedicated user, or of this organization.
fn fits(access: &Access, document: &Document, purpose: Purpose) -> Result<(), Error> {
    match purpose {
        Purpose::Manager => access.is_user(&document.username),
        Purpose::Owner => access.is_of(&document.organization),
    }
}

/// Whether a login lists the new secret. Before its creation only the name is known.
fn admitted(used_by: &[String], purpose: Purpose, id: &str, name: &str) -> Finding {
    if used_by.iter().any(|entry| entry == name) {
        return Finding::Good(format!("the {purpose} secret {id} lists {name} in usedBy"));
    }
    let mut all: Vec<&str> = used_by.iter().map(String::as_str).chain([name]).collect();
    // somebody may have put a credential there
    if all.iter().any(|entry| entry.is_empty() || !is_secret_id(entry) || entry.contains("dckr_")) {
        all = vec![name];
    }
    let list = serde_json::json!(all).to_string();
    Finding::Open {
        what: format!("the {purpose} secret {id} does not list {name}: hubkeeper refuses this login until it does"),
        remedy: format!(
            "let its field be \"usedBy\": {list}\n  aws secretsmanager get-secret-value --secret-id {id} --query SecretString --output text |\n      jq '.usedBy += [\"{name}\"]' |\n      aws secretsmanager put-secret-value --secret-id {id} --secret-string file:///dev/stdin"
        ),
        though: format!("the {purpose} secret does not list it"),
    }
}

/// Checks the connector in Azure with the caller's login: one that belongs to somebody else is refused.
///
/// # Errors
/// Returns the refusal, or that the resource group does not exist.
pub async fn connector(
    context: &Context,
    arguments: &args::Function,
    shared: &Arc<HttpShared>,
    document: &Document,
) -> Result<Finding, Failure> {
    let id = &document.connector.id;
    let name = name_of_connector(&id.to_string());
    let read = match context.reader(arguments, Arc::clone(shared)).await {
        Ok(reader) => reader.connector(id).await,
        Err(failure) => Err(failure),
    };
    let own = |error: Error| Failure::own(error.of(&document.organization).at("init"));
    match read {
        Ok(Read::NoGroup(error)) => Err(own(error)),
        Ok(Read::Found(Found::Absent)) => {
            Ok(Finding::Good(format!("connector {name} does not exist yet: onboarding creates it")))
        }
        Ok(Read::Found(Found::Present(observed))) => match observed.ownership_before_creation(&document.organization) {
            Ownership::Foreign(why) => Err(own(foreign(&why, document))),
            Ownership::Ours | Ownership::Untagged => {
                Ok(Finding::Good(format!("connector {name} exists, made without hubkeeper: onboarding takes it over")))
            }
        },
        Err(failure) if failure.code == Code::Interrupted => Err(failure),
        Err(failure) => Ok(Finding::Open {
            what: format!("connector {name} was not checked: {}", failure.what),
            remedy: if failure.what.contains("AuthorizationFailed") {
                "you need the right Microsoft.Security/securityConnectors/read on the resource group; or create the secret all the same: the function checks the connector, too".to_owned()
            } else {
                failure.remedy
            },
            though: "the connector was not checked".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_lists_another_secret_comes_with_the_line_to_add() {
        let used = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
        let found = |entries: &[&str]| admitted(&used(entries), Purpose::Manager, "m/acme", "hubkeeper/acme");
        assert!(matches!(found(&["x", "hubkeeper/acme"]), Finding::Good(_)));
        let line = |entries: &[&str]| match found(entries) {
            Finding::Open { remedy, .. } => remedy.lines().next().unwrap_or_default().to_owned(),
            Finding::Good(words) => panic!("{words}"),
        };
        assert_eq!(line(&[]), "let its field be \"usedBy\": [\"hubkeeper/acme\"]");
        assert_eq!(line(&["hubkeeper/*"]), "let its field be \"usedBy\": [\"hubkeeper/acme\"]");
        assert_eq!(
            line(&["hubkeeper/globex"]),
            "let its field be \"usedBy\": [\"hubkeeper/globex\",\"hubkeeper/acme\"]"
        );
        assert_eq!(line(&["dckr_pat_x"]), "let its field be \"usedBy\": [\"hubkeeper/acme\"]", "no token is repeated");
        assert_eq!(line(&["two words"]), "let its field be \"usedBy\": [\"hubkeeper/acme\"]");
    }
}
