//! The document of a new secret, as options and answers describe it. Pure: the function's own parser checks it.

use clap::ValueEnum;
use hubkeeper_core::secret::Document;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::field::{Field, list, words};
use crate::args::{Import, Init};
use crate::commands::import::reading::Reading;
use crate::exit::Failure;

/// The fields of a document and the options that give them.
const OPTIONS: [(&str, &str); 16] = [
    ("organization", "ORGANIZATION"),
    ("username", "--username"),
    ("manager", "--manager"),
    ("owner", "--owner"),
    ("user.email", "--invite-email"),
    ("user.role", "--invite-role"),
    ("user.team", "--invite-team"),
    ("user", "--invite-email"),
    ("connector.subscriptionId", "--subscription"),
    ("connector.resourceGroup", "--resource-group"),
    ("connector.name", "--connector"),
    ("connector.location", "--location"),
    ("connector.plans", "--plans"),
    ("connector.scanIntervalHours", "--scan-interval"),
    ("expectedRepositories", "--expect"),
    ("excludedRepositories", "--exclude"),
];

/// The document of a new secret, which may still lack fields. It holds no token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    /// The Docker Hub organization.
    pub organization: String,
    /// The dedicated user.
    pub username: Option<String>,
    /// The manager secret.
    pub manager: Option<String>,
    /// The owner secret.
    pub owner: Option<String>,
    /// Address of the user to invite.
    pub email: Option<String>,
    role: Option<String>,
    team: Option<String>,
    /// The Azure subscription.
    pub subscription: Option<String>,
    /// The resource group.
    pub resource_group: Option<String>,
    connector: String,
    /// The Azure location.
    pub location: Option<String>,
    plans: Option<Vec<String>>,
    scan_interval: Option<u8>,
    /// Repositories that the token must read.
    pub expected: Vec<String>,
    excluded: Vec<String>,
}

impl Draft {
    /// The fields that the options give.
    pub fn new(arguments: &Init) -> Self {
        let name = |value: clap::builder::PossibleValue| value.get_name().to_owned();
        Self {
            organization: arguments.organization.clone(),
            username: arguments.username.clone(),
            manager: arguments.manager.clone(),
            owner: arguments.owner.clone(),
            email: arguments.invite_email.clone(),
            role: arguments.invite_role.and_then(|role| role.to_possible_value()).map(name),
            team: arguments.invite_team.clone(),
            subscription: arguments.subscription.clone(),
            resource_group: arguments.resource_group.clone(),
            connector: arguments.connector.clone().unwrap_or_else(|| format!("dockerhub-{}", arguments.organization)),
            location: arguments.location.clone(),
            plans: (!arguments.plans.is_empty())
                .then(|| arguments.plans.iter().filter_map(ValueEnum::to_possible_value).map(name).collect()),
            scan_interval: arguments.scan_interval,
            expected: arguments.expect.clone(),
            excluded: arguments.exclude.clone(),
        }
    }

    /// The fields of a connector that exists, and of the options beside it. What the connector says of itself is written
    /// out, so that no default changes it.
    pub fn of_connector(arguments: &Import, reading: &Reading) -> Self {
        Self {
            organization: reading.organization.clone(),
            username: arguments.username.clone(),
            manager: arguments.manager.clone(),
            owner: None,
            email: None,
            role: None,
            team: None,
            subscription: Some(reading.id.subscription_id.clone()),
            resource_group: Some(reading.id.resource_group.clone()),
            connector: reading.id.name.clone(),
            location: Some(reading.location.clone()),
            plans: Some(reading.plans.iter().map(|plan| plan.name().to_owned()).collect()),
            scan_interval: reading.scan_interval,
            expected: arguments.expect.clone(),
            excluded: arguments.exclude.clone(),
        }
    }

    /// Whether hubkeeper has a login with which it makes the token, or waits for one.
    pub fn has_login(&self) -> bool {
        self.manager.is_some() || self.owner.is_some()
    }

    /// An organization access token logs in as the organization.
    pub fn user_of(&mut self, token: &SecretString) {
        if self.username.is_none() && token.expose_secret().starts_with("dckr_oat_") {
            self.username = Some(self.organization.clone());
        }
    }

    /// The required fields that are missing.
    pub fn missing(&self) -> Vec<Field> {
        let invites = self.owner.is_some() || self.email.is_some();
        [
            (Field::Username, self.username.is_none()),
            (Field::Owner, invites && self.owner.is_none()),
            (Field::Email, invites && self.email.is_none()),
            (Field::Subscription, self.subscription.is_none()),
            (Field::ResourceGroup, self.resource_group.is_none()),
            (Field::Location, self.location.is_none()),
        ]
        .into_iter()
        .filter_map(|(field, is_missing)| is_missing.then_some(field))
        .collect()
    }

    /// Checks the fields that the options gave, whatever is missing.
    ///
    /// # Errors
    /// Returns a usage failure that names the wrong option.
    pub fn check_given(&self) -> Result<(), Failure> {
        let mut whole = self.clone();
        for field in self.missing() {
            whole.set(field, field.example());
        }
        whole.document().map(drop)
    }

    /// Sets a field to an answer. An empty one leaves it out.
    pub fn set(&mut self, field: Field, text: &str) {
        let value = Some(text.to_owned()).filter(|text| !text.is_empty());
        match field {
            Field::Username => self.username = value,
            Field::Manager => self.manager = value,
            Field::Owner => self.owner = value,
            Field::Email => self.email = value,
            Field::Subscription => self.subscription = value,
            Field::ResourceGroup => self.resource_group = value,
            Field::Location => self.location = value,
            Field::Expected => self.expected = list(text),
        }
    }

    /// The document, without a token.
    pub fn fields(&self) -> Value {
        let some = |fields: &[(&str, Option<&String>)]| -> Map<String, Value> {
            fields.iter().filter_map(|(name, value)| Some(((*name).to_owned(), json!(value.as_deref()?)))).collect()
        };
        let mut connector = some(&[
            ("subscriptionId", self.subscription.as_ref()),
            ("resourceGroup", self.resource_group.as_ref()),
            ("name", Some(&self.connector)),
            ("location", self.location.as_ref()),
        ]);
        if let Some(plans) = &self.plans {
            connector.insert("plans".to_owned(), json!(plans));
        }
        if let Some(hours) = self.scan_interval {
            connector.insert("scanIntervalHours".to_owned(), json!(hours));
        }
        let mut fields = some(&[
            ("organization", Some(&self.organization)),
            ("username", self.username.as_ref()),
            ("manager", self.manager.as_ref()),
            ("owner", self.owner.as_ref()),
        ]);
        let user = some(&[("email", self.email.as_ref()), ("role", self.role.as_ref()), ("team", self.team.as_ref())]);
        for (name, value) in [
            ("user", json!(user)),
            ("expectedRepositories", json!(self.expected)),
            ("excludedRepositories", json!(self.excluded)),
        ] {
            if value.as_array().is_none_or(|list| !list.is_empty())
                && value.as_object().is_none_or(|object| !object.is_empty())
            {
                fields.insert(name.to_owned(), value);
            }
        }
        fields.insert("connector".to_owned(), Value::Object(connector));
        Value::Object(fields)
    }

    /// The document, without a token, as the function reads it.
    ///
    /// # Errors
    /// Returns a usage failure that names the wrong option.
    pub fn document(&self) -> Result<Document, Failure> {
        checked(&SecretString::from(self.fields().to_string()))
    }
}

/// The document as the function reads it.
///
/// # Errors
/// Returns a usage failure that names the wrong option.
pub fn checked(text: &SecretString) -> Result<Document, Failure> {
    Document::parse(text).map_err(|error| {
        let what = OPTIONS.iter().fold(words(&error), |what, (field, option)| {
            what.replace(&format!("field `{field}`"), option).replace(&format!("`{field}`"), &format!("`{option}`"))
        });
        Failure::usage(what, "docs/secret.md describes each field")
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    fn draft(options: &[&str]) -> Draft {
        let words = [&["hubkeeper", "init", "acme"], options].concat();
        let Command::Init(arguments) = Cli::parse_from(words).command else { panic!("another command") };
        Draft::new(&arguments)
    }

    const ALL: [&str; 8] = [
        "--username",
        "acme-scanner",
        "--subscription",
        "a5caac9c-5c04-49af-b3d0-e204f40345d5",
        "--resource-group",
        "rg-security",
        "--location",
        "westeurope",
    ];

    #[test]
    fn every_option_reaches_the_document() {
        let more = [
            "--manager",
            "hubkeeper-manager/acme",
            "--owner",
            "hubkeeper-owner/acme",
            "--invite-email",
            "scanner@acme.example",
            "--invite-role",
            "member",
            "--invite-team",
            "scanning",
            "--connector",
            "hub",
            "--plans",
            "containers,foundationalCspm",
            "--scan-interval",
            "12",
            "--expect",
            "billing,team-*",
            "--exclude",
            "old",
        ];
        let draft = draft(&[&ALL[..], &more].concat());
        assert_eq!(draft.missing(), []);
        assert_eq!(
            draft.fields(),
            json!({
                "organization": "acme", "username": "acme-scanner", "manager": "hubkeeper-manager/acme", "owner": "hubkeeper-owner/acme",
                "user": {"email": "scanner@acme.example", "role": "member", "team": "scanning"},
                "expectedRepositories": ["billing", "team-*"], "excludedRepositories": ["old"],
                "connector": {"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg-security", "name": "hub",
                    "location": "westeurope", "plans": ["containers", "foundationalCspm"], "scanIntervalHours": 12},
            })
        );
        assert!(draft.document().is_ok());
    }

    #[test]
    fn the_shortest_document_has_defaults_for_the_rest() {
        let draft = draft(&ALL);
        assert_eq!(
            draft.fields(),
            json!({"organization": "acme", "username": "acme-scanner", "connector": {
                "subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg-security", "name": "dockerhub-acme",
                "location": "westeurope"}})
        );
        assert!(draft.document().is_ok());
    }

    #[test]
    fn all_that_is_missing_is_named() {
        let options = |draft: &Draft| draft.missing().into_iter().map(Field::option).collect::<Vec<_>>();
        assert_eq!(options(&draft(&[])), ["--username", "--subscription", "--resource-group", "--location"]);
        assert_eq!(options(&draft(&[&ALL[..], &["--owner", "o"]].concat())), ["--invite-email"]);
        assert_eq!(options(&draft(&[&ALL[..], &["--invite-email", "a@b.example"]].concat())), ["--owner"]);
        let mut of_organization = draft(&ALL[2..]);
        of_organization.user_of(&SecretString::from("dckr_oat_x"));
        assert_eq!((of_organization.missing(), of_organization.username.as_deref()), (vec![], Some("acme")));
    }

    #[test]
    fn a_wrong_value_names_its_option() {
        for (options, words) in [
            (&["--username", "a@b.example"][..], "--username holds an e-mail address"),
            (&["--subscription", "one"], "--subscription is not a uuid"),
            (&["--resource-group", "a/b"], "--resource-group is not the name of a resource group"),
            (&["--connector", "a/b"], "--connector is not the name of an Azure resource"),
            (&["--expect", "acme/billing"], "--expect holds an entry"),
            (&["--exclude", "Billing"], "--exclude holds an entry"),
            (&["--owner", "o", "--invite-email", "nobody"], "--invite-email is not an e-mail address"),
        ] {
            let mut draft = draft(options);
            for (field, text) in [
                (Field::Username, "acme-scanner"),
                (Field::Subscription, "a5caac9c-5c04-49af-b3d0-e204f40345d5"),
                (Field::ResourceGroup, "rg"),
                (Field::Location, "westeurope"),
            ] {
                if draft.missing().contains(&field) {
                    draft.set(field, text);
                }
            }
            let failure = draft.document().err().unwrap();
            assert!(failure.what.contains(words) && failure.code == crate::exit::Code::Usage, "{failure:?}");
        }
    }

    #[test]
    fn an_answer_is_checked_alone() {
        for (field, good, bad) in [
            (Field::Username, "acme-scanner", "a@b.example"),
            (Field::Email, "scanner@acme.example", "nobody"),
            (Field::Subscription, "a5caac9c-5c04-49af-b3d0-e204f40345d5", "one"),
            (Field::ResourceGroup, "rg-security", "a/b"),
            (Field::Location, "westeurope", ""),
            (Field::Manager, "hubkeeper-manager/acme", ""),
            (Field::Owner, "hubkeeper-owner/acme", ""),
            (Field::Expected, "billing, team-*", "acme/billing"),
        ] {
            assert_eq!(field.check(good), Ok(()), "{field:?}");
            let wrong = field.check(bad).unwrap_err();
            assert!(wrong.starts_with("it "), "{field:?}: {wrong}");
        }
        assert_eq!(list(" a, b* ,,"), ["a", "b*"]);
    }
}
