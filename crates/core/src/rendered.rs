//! Snapshots of every error and warning text, one file for each source. A change to a text changes these
//! files, so that a reviewer reads the texts as a list: `INSTA_UPDATE=always cargo test -p hubkeeper-core rendered`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use secrecy::SecretString;
use serde_json::{Value, json};
use time::Duration;

use crate::config::{Config, Environment};
use crate::connector::Found;
use crate::error::Error;
use crate::failure::arm;
use crate::failure::docker_hub::members::refusal;
use crate::failure::entra::{Client, Identity, Refusal};
use crate::failure::secrets_manager::{Reread, Stated};
use crate::fixtures::{CLIENT, NOW, OLD, VERSION, connector, document, rotating, settled};
use crate::hub::{Denied, HubError, Scope};
use crate::plan::admission::admit;
use crate::plan::planner::plan;
use crate::plan::state::{State, Version};
use crate::proof::evidence::{Evidence, Login, Pulls, Push};
use crate::proof::verdict::verdict;
use crate::request::Trigger;
use crate::secret::login::Purpose;
use crate::secret::{Document, LoginSecret, Subject};
use crate::warning::Warning;

/// A text, with the cases that produce it.
#[derive(Default)]
struct List(Vec<(String, String)>);

impl List {
    fn error(&mut self, case: impl Into<String>, error: &Error) {
        self.0.push((case.into(), format!("{}: {error}", error.kind().name())));
    }

    fn warning(&mut self, case: impl Into<String>, warning: &Warning) {
        self.0.push((case.into(), format!("warning {}: {}", warning.code.name(), warning.message)));
    }

    /// Lists each text once, under its cases, in the order of the first case.
    fn rendered(&self) -> String {
        let mut seen = BTreeSet::new();
        let mut all = String::new();
        for (_, text) in &self.0 {
            if seen.insert(text) {
                let cases: Vec<&str> =
                    self.0.iter().filter(|(_, other)| other == text).map(|(case, _)| case.as_str()).collect();
                writeln!(all, "[{}]\n{text}\n", cases.join(", ")).unwrap();
            }
        }
        all
    }
}

macro_rules! snapshot {
    ($name:literal, $list:expr) => {
        insta::with_settings!({snapshot_path => "rendered", prepend_module_to_snapshot => false, omit_expression => true}, {
            insta::assert_snapshot!($name, $list.rendered());
        });
    };
}

fn triggers() -> Vec<Trigger> {
    vec![
        Trigger::CreateSecret,
        Trigger::SetSecret,
        Trigger::TestSecret,
        Trigger::FinishSecret,
        Trigger::Onboard { force: false, fix_role: false, version: None },
        Trigger::CandidateStaged { version: None },
        Trigger::SecretChanged { version: None },
        Trigger::Reconcile { revoke_replaced: false },
        Trigger::Offboard,
        Trigger::Verify { version: None },
    ]
}

type Change = fn(&mut State);
/// A change that makes a JSON document invalid.
type Wrong = fn(&mut Value);
/// A change to the evidence of a good token.
type Seen = fn(&mut Evidence);

/// Changes to the state of an event, each with one problem.
const WORLDS: [(&str, Change); 21] = [
    ("all is well", |_| {}),
    ("no document", |state| {
        state.world.document = None;
        state.world.current = None;
    }),
    ("no token", |state| each_document(state, |value| drop(value.as_object_mut().unwrap().remove("accessToken")))),
    ("no token, a manager", |state| {
        each_document(state, |value| {
            value.as_object_mut().unwrap().remove("accessToken");
            value["manager"] = json!("vault/manager");
        });
    }),
    ("another organization is current", |state| {
        let other = document(|value| value["organization"] = json!("umbrella"));
        state.world.current = Some(Version { id: OLD.into(), document: other });
    }),
    ("the document names another connector", |state| {
        each_document(state, |value| value["connector"]["name"] = json!("other"));
    }),
    ("the tag hubkeeper-connector cannot be read", |state| {
        state.world.secret.tags.insert("hubkeeper-connector".into(), "x".into());
    }),
    ("the tag is missing, a version names another connector", |state| {
        state.world.secret.tags.remove("hubkeeper-connector");
        state.world.keeping.named = Some(vec![OLD.into()]);
    }),
    ("a connector of another secret", |state| {
        state.world.connector = Some(connector(&state.world, VERSION, |body| {
            body["tags"]["hubkeeper-secret"] = json!("ba9876543210");
        }));
    }),
    ("a connector of another organization", |state| {
        state.world.connector = Some(connector(&state.world, VERSION, |body| {
            body["properties"]["hierarchyIdentifier"] = json!("umbrella");
        }));
    }),
    ("a connector of another environment", |state| {
        state.world.connector = Some(connector(&state.world, VERSION, |body| {
            body["properties"]["environmentName"] = json!("GitHub");
        }));
    }),
    ("the connector carries it", |state| {
        let version = state.world.version.clone();
        state.world.connector = Some(connector(&state.world, version.as_str(), |_| {}));
    }),
    ("the connector drifted", |state| {
        let version = state.world.version.clone();
        state.world.connector = Some(connector(&state.world, version.as_str(), |body| {
            body["properties"]["environmentData"]["scanInterval"] = json!(24);
        }));
    }),
    ("the connector has another location", |state| {
        let version = state.world.version.clone();
        state.world.connector =
            Some(connector(&state.world, version.as_str(), |body| body["location"] = json!("northeurope")));
    }),
    ("the connector is gone, and one elsewhere has the fingerprint", |state| {
        let id = state.world.document.as_ref().unwrap().connector.id.clone();
        let moved = crate::secret::document::ConnectorId { resource_group: "rg-other".into(), ..id };
        state.world.connector = Some(Found::Absent);
        state.world.keeping.elsewhere = Some(vec![moved]);
    }),
    ("the secret is offboarded", |state| drop(state.world.secret.tags.insert("hubkeeper".into(), "offboarded".into()))),
    ("the secret is offboarded, its connector exists", |state| {
        state.world.connector = Some(connector(&state.world, VERSION, |_| {}));
        state.world.secret.tags.insert("hubkeeper".into(), "offboarded".into());
    }),
    ("a candidate without a token", |state| {
        let empty = document(|value| drop(value.as_object_mut().unwrap().remove("accessToken")));
        state.world.candidate = Some(Version { id: OLD.into(), document: empty });
        state.world.secret.versions.insert(OLD.into(), vec!["HUBKEEPER_CANDIDATE".into()]);
    }),
    ("a rotation is stuck", |state| {
        state.world.secret.versions.insert(OLD.into(), vec!["AWSPENDING".into()]);
        state.world.secret.pending_since = Some(NOW - Duration::days(2));
    }),
    ("AWSPENDING is left over", |state| {
        state.world.secret.versions.insert(OLD.into(), vec!["AWSPREVIOUS".into(), "AWSPENDING".into()]);
        state.world.secret.last_changed = Some(NOW - Duration::days(2));
    }),
    ("the tag hubkeeper-invite cannot be read", |state| {
        each_document(state, |value| {
            value["owner"] = json!("vault/owner");
            value["user"] = json!({"email": "scanner@acme.example"});
        });
        state.world.secret.tags.insert("hubkeeper-invite".into(), "sent".into());
    }),
];

fn each_document(state: &mut State, change: fn(&mut Value)) {
    state.world.document = Some(document(change));
    let id = state.world.current.as_ref().map_or_else(|| VERSION.into(), |current| current.id.clone());
    state.world.current = Some(Version { id, document: document(change) });
}

#[test]
fn what_the_planner_refuses_and_warns_of() {
    let mut list = List::default();
    for (name, change) in WORLDS {
        for trigger in triggers() {
            let is_rotation = matches!(trigger, Trigger::CreateSecret | Trigger::SetSecret | Trigger::FinishSecret);
            let mut state = if is_rotation { rotating() } else { settled() };
            change(&mut state);
            let case = format!("{}: {name}", trigger.name());
            match plan(&trigger, &state, CLIENT) {
                Err(error) => list.error(case, &error),
                Ok(plan) => plan.warnings.iter().for_each(|warning| list.warning(case.clone(), warning)),
            }
        }
    }
    snapshot!("planner", list);
}

#[test]
fn what_the_labels_refuse() {
    let mut list = List::default();
    let labels: [(&str, Change); 6] = [
        ("rotation is off", |state| state.world.secret.rotation_enabled = false),
        ("the version is not known", |state| drop(state.world.secret.versions.remove(VERSION))),
        ("the version is AWSPREVIOUS", |state| {
            state.world.secret.versions.insert(VERSION.into(), vec!["AWSPREVIOUS".into(), "AWSPENDING".into()]);
        }),
        ("another rotation is under way", |state| {
            state.world.secret.versions.insert("2".repeat(32).into(), vec!["AWSPENDING".into()]);
        }),
        ("the secret is scheduled for deletion", |state| state.world.secret.deleted = true),
        ("the secret is offboarded", |state| {
            state.world.secret.tags.insert("hubkeeper".into(), "offboarded".into());
        }),
    ];
    for (name, change) in labels {
        for trigger in triggers() {
            let mut state = rotating();
            change(&mut state);
            if let Err(error) = admit(&trigger, Some(&VERSION.into()), &state.world.secret, NOW) {
                list.error(format!("{}: {name}", trigger.name()), &error);
            }
        }
    }
    snapshot!("admission", list);
}

#[test]
fn what_is_wrong_with_a_document() {
    let mut list = List::default();
    let changes: [(&str, Wrong); 16] = [
        ("no organization", |value| drop(value.as_object_mut().unwrap().remove("organization"))),
        ("organization is a number", |value| value["organization"] = json!(7)),
        ("organization is no name", |value| value["organization"] = json!("Acme Inc.")),
        ("username is an address", |value| value["username"] = json!("a@b.example")),
        ("accessToken is empty", |value| value["accessToken"] = json!("")),
        ("accessToken with white space", |value| value["accessToken"] = json!("dckr_pat_abc\n")),
        ("accessToken of another kind", |value| value["accessToken"] = json!("ghp_abc")),
        ("tokenId is no uuid", |value| value["tokenId"] = json!("x")),
        ("expiresAt is no date", |value| value["expiresAt"] = json!("soon")),
        ("no connector", |value| drop(value.as_object_mut().unwrap().remove("connector"))),
        ("connector as text", |value| value["connector"] = json!("{}")),
        ("subscriptionId is no uuid", |value| value["connector"]["subscriptionId"] = json!("x")),
        ("unknown plan", |value| value["connector"]["plans"] = json!(["all"])),
        ("scan interval", |value| value["connector"]["scanIntervalHours"] = json!(0)),
        ("owner without user", |value| value["owner"] = json!("vault/owner")),
        ("expectedRepositories as text", |value| value["expectedRepositories"] = json!("web")),
    ];
    for (name, change) in changes {
        let mut value = json!({
            "organization": "acme", "username": "acme-scanner", "accessToken": "dckr_pat_abc",
            "connector": {"subscriptionId": "a5caac9c-5c04-49af-b3d0-e204f40345d5", "resourceGroup": "rg", "name": "hub",
                "location": "westeurope"}
        });
        change(&mut value);
        if let Err(error) = Document::parse(&SecretString::from(value.to_string())) {
            list.error(name, &error);
        }
    }
    for (name, text) in [("not JSON", "organization: acme"), ("a list", "[]")] {
        if let Err(error) = Document::parse(&SecretString::from(text)) {
            list.error(name, &error);
        }
    }
    snapshot!("document", list);
}

#[test]
fn what_is_wrong_with_a_login_secret() {
    let mut list = List::default();
    let good = json!({"username": "acme-scanner", "password": "x", "usedBy": ["hub"]});
    let changes: [(&str, Wrong); 8] = [
        ("no username", |value| drop(value.as_object_mut().unwrap().remove("username"))),
        ("username is an address", |value| value["username"] = json!("a@b.example")),
        ("no password", |value| drop(value.as_object_mut().unwrap().remove("password"))),
        ("password with a line feed", |value| value["password"] = json!("x\n")),
        ("no usedBy", |value| drop(value.as_object_mut().unwrap().remove("usedBy"))),
        ("usedBy with a wildcard", |value| value["usedBy"] = json!(["hub*"])),
        ("usedBy does not list the secret", |value| value["usedBy"] = json!(["other"])),
        ("totpSecret is no seed", |value| value["totpSecret"] = json!("1!")),
    ];
    for (name, change) in changes {
        for purpose in [Purpose::Manager, Purpose::Owner] {
            let mut value = good.clone();
            change(&mut value);
            let parsed = LoginSecret::parse(&SecretString::from(value.to_string()), purpose);
            let admitted = parsed.and_then(|login| login.admit(&settled().world.secret, purpose));
            if let Err(error) = admitted {
                list.error(format!("{}: {name}", purpose.field()), &error);
            }
        }
    }
    snapshot!("login", list);
}

#[test]
fn what_is_wrong_with_the_environment() {
    let mut list = List::default();
    let good: Environment = [("AZURE_TENANT_ID", CLIENT), ("AZURE_CLIENT_ID", CLIENT)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    for (name, value) in [
        ("AZURE_TENANT_ID", ""),
        ("AZURE_CLIENT_ID", "x"),
        ("HUBKEEPER_AZURE_AUTH", "password"),
        ("HUBKEEPER_AZURE_CLOUD", "moon"),
        ("HUBKEEPER_TOKEN_LIFETIME_DAYS", "0"),
        ("HUBKEEPER_REVOKE_AFTER_HOURS", "0"),
        ("HUBKEEPER_OVER_PRIVILEGE", "maybe"),
        ("HUBKEEPER_ARM_URL", "http://example.com"),
        ("HTTPS_PROXY", "ftp://proxy"),
    ] {
        let mut environment = good.clone();
        environment.insert(name.to_owned(), value.to_owned());
        if let Err(problems) = Config::parse(&environment) {
            list.error(format!("{name}={value}"), &Error::from(&problems));
        }
    }
    if let Err(problems) = Config::parse(&Environment::new()) {
        list.error("nothing is set", &Error::from(&problems));
    }
    snapshot!("configuration", list);
}

#[test]
fn what_arm_refuses() {
    let mut list = List::default();
    for (status, code) in [
        (400, "BadRequest"),
        (401, "InvalidAuthenticationToken"),
        (403, "AuthorizationFailed"),
        (403, "RequestDisallowedByPolicy"),
        (403, "LinkedAuthorizationFailed"),
        (404, "SubscriptionNotFound"),
        (404, "ResourceGroupNotFound"),
        (404, "InvalidResourceType"),
        (409, "ReadOnlyDisabledSubscription"),
        (409, "ScopeLocked"),
        (409, "MissingSubscriptionRegistration"),
        (409, "AnotherOperationInProgress"),
        (412, "PreconditionFailed"),
        (429, "TooManyRequests"),
        (500, "InternalServerError"),
    ] {
        let body = json!({"error": {"code": code, "message": "Plain words."}});
        list.error(format!("{status} {code}"), &arm::Refusal::parse(status, &body, None, false).error(&[]));
    }
    let challenge = arm::Refusal::parse(401, &json!({}), None, true).error(&[]);
    list.error("401 with a claims challenge", &challenge);
    snapshot!("arm", list);
}

#[test]
fn what_entra_refuses() {
    let mut list = List::default();
    let client = Client {
        client: "<client>",
        tenant: "<tenant>",
        identity: Identity { issuer: "<issuer>".into(), subject: "<subject>".into(), audience: "<audience>".into() },
    };
    for (status, error, code) in [
        (400, "invalid_client", 70021),
        (400, "invalid_client", 700_212),
        (400, "invalid_client", 700_024),
        (400, "invalid_client", 700_027),
        (400, "unauthorized_client", 700_016),
        (400, "invalid_request", 90002),
        (401, "invalid_client", 7_000_215),
        (401, "invalid_client", 7_000_222),
        (400, "unauthorized_client", 7_000_112),
        (400, "invalid_client", 7_000_229),
        (400, "invalid_client", 7_999_999),
        (400, "invalid_grant", 53003),
        (400, "invalid_scope", 70011),
        (503, "temporarily_unavailable", 90033),
    ] {
        let refusal = Refusal { status, error, codes: &[code], words: "Plain words." };
        list.error(format!("{status} {error} {code}"), &refusal.failure(&client).error);
    }
    snapshot!("entra", list);
}

#[test]
fn what_secrets_manager_refuses() {
    let mut list = List::default();
    let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:hub-AbCdEf";
    let subjects =
        [Subject::secret(arn), Subject::login("manager", "vault/manager"), Subject::client_secret("azure/c")];
    for (call, code, reread) in [
        ("DescribeSecret", "ResourceNotFoundException", Reread::Unknown),
        ("GetSecretValue", "ResourceNotFoundException", Reread::Absent),
        ("GetSecretValue", "ResourceNotFoundException", Reread::There { tags: 1 }),
        ("GetSecretValue", "InvalidRequestException", Reread::Deleted),
        ("GetSecretValue", "InvalidRequestException", Reread::There { tags: 1 }),
        ("GetSecretValue", "DecryptionFailure", Reread::Unknown),
        ("GetSecretValue", "AccessDeniedException", Reread::Unknown),
        ("PutSecretValue", "LimitExceededException", Reread::Unknown),
        ("PutSecretValue", "EncryptionFailure", Reread::Unknown),
        ("PutSecretValue", "InvalidParameterException", Reread::There { tags: 1 }),
        ("TagResource", "InvalidParameterException", Reread::There { tags: 50 }),
        ("TagResource", "AccessDeniedException", Reread::Unknown),
        ("UpdateSecretVersionStage", "InvalidRequestException", Reread::There { tags: 1 }),
        ("ListSecrets", "AccessDeniedException", Reread::Unknown),
        ("GetSecretValue", "InternalServiceError", Reread::Unknown),
    ] {
        for subject in subjects {
            list.error(format!("{call} {code}"), &Stated::new(call, code, "Plain words.").error(Some(subject), reread));
        }
    }
    snapshot!("secrets_manager", list);
}

#[test]
fn what_docker_hub_refuses() {
    let mut list = List::default();
    let scopes = [
        Scope::MemberRead,
        Scope::MemberEdit,
        Scope::InviteRead,
        Scope::InviteEdit,
        Scope::GroupRead,
        Scope::GroupEdit,
    ];
    for scope in scopes {
        list.error(format!("403, {}", scope.name()), &refusal(&Denied::NotAllowed(scope)));
    }
    for (name, denied) in [
        ("no organization", Denied::NoOrganization),
        ("no team", Denied::NoTeam),
        ("gone", Denied::Gone),
        ("bad address", Denied::BadAddress),
        ("conflict", Denied::Conflict("Plain words.".into())),
        ("no seat", Denied::NoSeat(402, "Plain words.".into())),
        ("no seat, or no right", Denied::NoSeat(403, "Plain words.".into())),
        ("unknown status", Denied::NotInvited("Plain words.".into())),
        ("another refusal", Denied::Refused(418, "Plain words.".into())),
        ("unavailable", Denied::Undecided(HubError::Unavailable("Plain words".into()))),
        ("locked out", Denied::Undecided(HubError::LockedOut("Plain words".into()))),
        ("unexpected", Denied::Undecided(HubError::Unexpected("Plain words".into()))),
    ] {
        list.error(name, &refusal(&denied));
    }
    snapshot!("docker_hub", list);
}

#[test]
fn what_a_verdict_says() {
    let mut list = List::default();
    let evidence = |change: fn(&mut Evidence)| {
        let mut evidence = Evidence::new("acme", false, &[], &[]);
        evidence.login = Login::Accepted;
        evidence.scope = Some(vec!["repo:read".into()]);
        evidence.pulls = Pulls::Asked;
        evidence.visible = ["api", "web"]
            .map(|name| crate::hub::Repository { name: name.into(), private: name == "api", plugin: false })
            .into();
        evidence.manifests = 2;
        change(&mut evidence);
        evidence
    };
    let cases: [(&str, Seen); 10] = [
        ("complete", |_| {}),
        ("rejected", |evidence| evidence.login = Login::Rejected),
        ("young", |evidence| evidence.login = Login::RejectedYoung),
        ("a gap", |evidence| evidence.gaps.push("Docker Hub did not return the list".into())),
        ("write scope", |evidence| evidence.scope = Some(vec!["repo:write".into()])),
        ("push is granted", |evidence| evidence.push = Push::Granted),
        ("public only", |evidence| evidence.scope = Some(vec!["repo:public_read".into()])),
        ("a pull is denied", |evidence| evidence.denied.push("api".into())),
        ("nothing is visible", |evidence| evidence.visible.clear()),
        ("no manifest was read", |evidence| {
            evidence.manifests = 0;
            evidence.vanished = vec!["api".into(), "web".into()];
        }),
    ];
    for (name, change) in cases {
        let drawn = verdict(&evidence(change), crate::config::OverPrivilege::Refuse);
        drawn.warnings.iter().for_each(|warning| list.warning(name, warning));
        if !drawn.is_complete() {
            list.error(name, &crate::plan::refusals::refusal(&drawn));
        }
    }
    snapshot!("verdict", list);
}
