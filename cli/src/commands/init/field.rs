//! A field that a person gives. Pure: the function's own parser checks it.

use hubkeeper_core::error::Error;
use hubkeeper_core::secret::Document;
use secrecy::SecretString;
use serde_json::json;

/// A field that a person is asked about, or that an option gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Field {
    /// `username`
    Username,
    /// `manager`
    Manager,
    /// `owner`
    Owner,
    /// `user.email`
    Email,
    /// `connector.subscriptionId`
    Subscription,
    /// `connector.resourceGroup`
    ResourceGroup,
    /// `connector.location`
    Location,
    /// `expectedRepositories`
    Expected,
}

impl Field {
    /// The option that gives it.
    pub fn option(self) -> &'static str {
        match self {
            Field::Username => "--username",
            Field::Manager => "--manager",
            Field::Owner => "--owner",
            Field::Email => "--invite-email",
            Field::Subscription => "--subscription",
            Field::ResourceGroup => "--resource-group",
            Field::Location => "--location",
            Field::Expected => "--expect",
        }
    }

    /// Its path in the document.
    fn pointer(self) -> &'static str {
        match self {
            Field::Username => "/username",
            Field::Manager => "/manager",
            Field::Owner => "/owner",
            Field::Email => "/user/email",
            Field::Subscription => "/connector/subscriptionId",
            Field::ResourceGroup => "/connector/resourceGroup",
            Field::Location => "/connector/location",
            Field::Expected => "/expectedRepositories",
        }
    }

    /// A value that the parser accepts.
    pub(super) fn example(self) -> &'static str {
        match self {
            Field::Username | Field::Manager | Field::Owner | Field::ResourceGroup | Field::Location => "x",
            Field::Email => "scanner@acme.example",
            Field::Subscription => "00000000-0000-4000-8000-000000000001",
            Field::Expected => "",
        }
    }

    /// Checks an answer: the function's parser reads it in a document that is right otherwise.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(self, text: &str) -> Result<(), String> {
        // an organization that nobody's user is named like
        let mut document = json!({
            "organization": "0", "username": "acme-scanner", "manager": "m", "owner": "o",
            "user": {"email": "scanner@acme.example"}, "expectedRepositories": [],
            "connector": {"subscriptionId": "00000000-0000-4000-8000-000000000001", "resourceGroup": "rg", "name": "n", "location": "l"},
        });
        if let Some(field) = document.pointer_mut(self.pointer()) {
            *field = match self {
                Field::Expected => json!(list(text)),
                _ => json!(text),
            };
        }
        match Document::parse(&SecretString::from(document.to_string())) {
            Ok(_) => Ok(()),
            Err(error) => Err(words(&error).replace(&format!("field `{}`", path(self.pointer())), "it")),
        }
    }
}

/// The names of a list, separated by commas.
pub fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn path(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// What the parser says, without the words around it.
pub(super) fn words(error: &Error) -> String {
    let text = error.to_string();
    let text = text.split("; remedy: ").next().unwrap_or_default();
    text.split_once("cannot be used: ").map_or(text, |(_, what)| what).to_owned()
}
