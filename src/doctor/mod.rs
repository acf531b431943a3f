//! The preflight `doctor`: reads what hubkeeper needs of the network, AWS, Entra, ARM and Docker Hub, and records each
//! check (docs/doctor.md). Writes nothing.
//!
//! `hubkeeper_core::doctor` says which checks there are, in which order, and what evidence means for them.

mod azure;
mod docker_hub;
pub mod network;
mod shared;

use std::sync::{Arc, Mutex, PoisonError};

use hubkeeper_core::config::AzureAuth;
use hubkeeper_core::doctor::{Check, Ledger};
use hubkeeper_core::error::Error;
use hubkeeper_core::event::DoctorQuery;
use hubkeeper_core::secret::{Document, Label, LoginSecret, Managed, Purpose, Secret, Subject};
use hubkeeper_core::time::{Timestamp, rfc3339};
use hubkeeper_core::transcript::Transcript;
use serde_json::{Value, json};

use self::shared::Run;
pub use self::shared::{AzureLogin, Named};
use crate::clients::Sessions;
use crate::clients::azure::assertion::{assertion, identity};
use crate::clients::sdk::failed;
use crate::process::Process;

/// What the checks found, and which secret and connector they are about.
pub struct Diagnosis {
    /// The results.
    pub ledger: Ledger,
    /// ARN of the secret, once it is known.
    pub secret: Option<String>,
    /// What plans and policies are checked with, once it is known.
    pub subject: Option<Named>,
    /// The exchanges, if the event asks for them.
    pub transcript: Option<Transcript>,
}

impl Diagnosis {
    /// Returns the response of the event.
    pub fn to_json(&self) -> Value {
        let mut fields = self.ledger.to_json();
        fields.insert("action".to_owned(), json!("doctor"));
        fields.insert("outcome".to_owned(), json!("unchanged"));
        fields.insert("version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
        if let Some(secret) = &self.secret {
            fields.insert("secretId".to_owned(), json!(secret));
        }
        if let Some(Named { organization, connector, resource }) = &self.subject {
            let subject =
                json!({"organization": organization, "connector": connector.to_string(), "resource": resource});
            fields.insert("subject".to_owned(), subject);
        }
        if let Some(transcript) = &self.transcript {
            fields.insert("transcript".to_owned(), transcript.to_json());
        }
        Value::Object(fields)
    }
}

/// Runs every check that the function can run.
pub async fn run(process: &Process, query: &DoctorQuery, login: &AzureLogin, end: Timestamp) -> Diagnosis {
    if !query.record {
        return Box::pin(examine(process, query, login, end)).await;
    }
    let transcript = Arc::new(Mutex::new(Transcript::of_function(&process.config)));
    let mut diagnosis = Box::pin(examine(&process.recording(&transcript), query, login, end)).await;
    diagnosis.transcript = Some(transcript.lock().unwrap_or_else(PoisonError::into_inner).clone());
    diagnosis
}

async fn examine(process: &Process, query: &DoctorQuery, login: &AzureLogin, end: Timestamp) -> Diagnosis {
    let services = process.services(end, &Sessions::default());
    let mut run = Run { process, services: &services, ledger: Ledger::default() };
    network::check(&mut run, process.aws.region().map(AsRef::as_ref)).await;
    run.identity().await;
    let secret = run.secret(query.secret_id.as_deref()).await;
    let document = match &secret {
        Some(secret) => run.document(secret).await,
        None => None,
    };
    run.credential(login).await;
    let mut subject = None;
    if let (Some(secret), Some(document)) = (&secret, &document) {
        subject = azure::check(&mut run, secret, document, login).await;
        docker_hub::check(&mut run, secret, document).await;
    }
    let mut ledger = run.ledger;
    ledger.finish(Check::is_function_s, None);
    Diagnosis { ledger, secret: secret.map(|secret| secret.arn), subject, transcript: None }
}

/// Checks Defender plans and policies alone, with a bearer token in the process's cache: these reads need rights on the
/// subscription that a person has and the function does not. `ledger` is what the function found.
pub async fn run_account(process: &Process, named: &Named, ledger: &Ledger, end: Timestamp) -> Ledger {
    let services = process.services(end, &Sessions::default());
    let mut run = Run { process, services: &services, ledger: ledger.clone() };
    for check in [Check::Plans, Check::Policies] {
        run.ledger.reopen(check);
    }
    azure::account(&mut run, named).await;
    run.ledger
}

impl Run<'_> {
    async fn identity(&mut self) {
        if !self.ledger.is_open(Check::Identity) {
            return;
        }
        let region = self.process.aws.region().map_or("no Region", AsRef::as_ref).to_owned();
        let caller = self.services.arm.entra.sts.get_caller_identity().send().await;
        let caller = caller.map_err(|error| failed("GetCallerIdentity", &error));
        self.result(Check::Identity, caller, |caller| {
            format!("{} in {region}", caller.arn().unwrap_or("an unknown caller"))
        });
    }

    /// Lists the managed secrets, and describes the one to check.
    async fn secret(&mut self, named: Option<&str>) -> Option<Secret> {
        if !self.ledger.is_open(Check::List) {
            return None;
        }
        let managed = self.services.store.listed().await.map(|listed| {
            let managed = listed.into_iter().filter(|(_, managed)| *managed == Managed::Yes);
            managed.map(|(arn, _)| arn).collect::<Vec<String>>()
        });
        let managed = self.result(Check::List, managed, |managed| match managed.len() {
            0 => "no secret is managed yet".to_owned(),
            1 => "one secret is managed".to_owned(),
            count => format!("{count} secrets are managed"),
        });
        let id = match (named, managed.as_deref()) {
            (Some(named), _) => named.to_owned(),
            (None, Some([only])) => only.clone(),
            (None, Some(_)) => {
                self.ledger.skip(
                    Check::Secret,
                    "no secret is named",
                    Some("name one: hubkeeper doctor --secret <name or ARN>"),
                );
                return None;
            }
            (None, None) => {
                self.ledger.block(Check::Secret, Check::List);
                return None;
            }
        };
        let secret = self
            .services
            .store
            .describe(&id)
            .await
            .and_then(|secret| if secret.deleted { Err(Subject::secret(&id).deleted()) } else { Ok(secret) });
        let secret = self.result(Check::Secret, secret, |secret| {
            let tag = match secret.managed() {
                Managed::Yes => "managed",
                Managed::No => "not managed yet: onboard it",
                Managed::Offboarded => "offboarded",
            };
            format!("{} ({tag})", secret.arn)
        })?;
        let versions = self.services.store.history(&secret.arn).await;
        self.result(Check::Versions, versions, |versions| match versions.len() {
            1 => "one version has a value".to_owned(),
            count => format!("{count} versions have a value"),
        });
        self.note_schedule(&secret);
        Some(secret)
    }

    fn note_schedule(&mut self, secret: &Secret) {
        let Some(schedule) = &secret.schedule else { return };
        let next = match schedule.announced {
            Some(next) => format!("DescribeSecret returns NextRotationDate ({})", rfc3339(next)),
            None => "DescribeSecret returns no NextRotationDate for this schedule".to_owned(),
        };
        self.ledger.note("nextRotationDate", next);
    }

    /// Reads the document of AWSCURRENT, and the login secrets that it names.
    async fn document(&mut self, secret: &Secret) -> Option<Document> {
        let Some(version) = secret.version(Label::Current) else {
            let none = Error::misconfigured(
                format!("the secret {} has no AWSCURRENT", secret.arn),
                "put the secret's document; docs/secret.md shows it",
            );
            self.ledger.fail(Check::Value, &none);
            return None;
        };
        let value = self.services.store.value(&secret.arn, version, Some(Label::Current.name())).await;
        let value = value.and_then(|value| {
            value.ok_or_else(|| {
                Error::misconfigured(
                    format!("version {version} (AWSCURRENT) has no value"),
                    "put the secret's document; docs/secret.md shows it",
                )
            })
        });
        let value = self.result(Check::Value, value, |_| format!("version {version} can be read and decrypted"))?;
        let document = self.result(Check::Document, Document::parse(&value), |document| {
            format!("organization {}, user {}", document.organization, document.username)
        })?;
        self.login_secret(secret, &document, Purpose::Manager).await;
        self.login_secret(secret, &document, Purpose::Owner).await;
        Some(document)
    }

    async fn login_secret(&mut self, secret: &Secret, document: &Document, purpose: Purpose) {
        let (check, id) = match purpose {
            Purpose::Manager => (Check::Manager, document.manager.as_deref()),
            Purpose::Owner => (Check::Owner, document.invitation.as_ref().map(|asked| asked.owner.as_str())),
        };
        let Some(id) = id else {
            self.ledger.skip(check, format!("the secret names no {purpose}"), None);
            return;
        };
        let read = self.services.store.current_value(Subject::login(purpose.field(), id)).await;
        let checked = read.and_then(|value| {
            let login = LoginSecret::parse(&value.text, purpose)?;
            login.admit(secret, purpose)?;
            if purpose == Purpose::Manager {
                login.access.is_user(&document.username)?;
            }
            Ok(login)
        });
        self.result(check, checked, |login| {
            format!("the login of {}, which this secret may use", login.access.identifier())
        });
    }

    /// Gets the credential for Entra, and exchanges it.
    async fn credential(&mut self, login: &AzureLogin) {
        let entra = &self.services.arm.entra;
        let config = &self.services.config;
        if !self.ledger.is_open(Check::Assertion) {
            return;
        }
        match login {
            AzureLogin::Exchange => {}
            AzureLogin::Cached => {
                self.ledger.ok(Check::Assertion, "not needed: the login of the Azure CLI is used");
                self.ledger.ok(Check::Exchange, "a bearer token of the Azure CLI");
                return;
            }
            AzureLogin::Missing(why) => return self.ledger.fail(Check::Assertion, why),
        }
        match &config.azure_auth {
            AzureAuth::Federated => {
                let token = assertion(&entra.sts, config.cloud.audience()).await;
                self.result(Check::Assertion, token, |token| {
                    format!(
                        "sts:GetWebIdentityToken gives {}; a federated credential of {} must equal these",
                        identity(token),
                        config.client_id
                    )
                });
            }
            AzureAuth::ClientSecret { secret_id } => {
                let value = self.services.store.current_value(Subject::client_secret(secret_id)).await;
                self.result(Check::Assertion, value, |value| format!("the client secret in {}", value.arn));
            }
        }
        if self.ledger.is_open(Check::Exchange) {
            // a bearer token of an earlier invocation would say nothing about the exchange of today
            entra.cache.forget();
            let bearer = entra.bearer().await;
            self.result(Check::Exchange, bearer, |_| {
                format!("Entra issues a bearer token to {} in tenant {}", config.client_id, config.tenant_id)
            });
        }
    }
}
