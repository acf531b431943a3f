//! The clients of one invocation, over one HTTP client with one deadline.

pub mod azure;
pub mod hub;
pub(crate) mod sdk;
pub mod secrets_manager;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hubkeeper_core::config::Config;
use hubkeeper_core::error::{Error, Kind};
use hubkeeper_core::failure::docker_hub::members::refusal;
use hubkeeper_core::hub::Roster;
use hubkeeper_core::plan::Recheck;
use hubkeeper_core::secret::document::{ConnectorId, InvitationRequest};
use hubkeeper_core::secret::{Access, Document, LoginSecret, Managed, Purpose, Secret, Subject};
use hubkeeper_core::time::Timestamp;
use tokio::sync::Mutex;

use crate::clients::azure::arm::{Arm, ConnectorWriter};
use crate::clients::hub::{Hub, HubWriter, Session};
use crate::clients::secrets_manager::{SecretStore, SecretWriter};
use crate::http::HttpClient;

/// The clients of one invocation, to read: nothing here changes anything.
pub struct Services {
    /// The HTTP client, until the deadline.
    pub http_client: HttpClient,
    /// The configuration.
    pub config: Arc<Config>,
    /// Secrets Manager.
    pub store: SecretStore,
    /// The connector.
    pub arm: Arm,
    /// Docker Hub.
    pub hub: Hub,
    /// The sessions of manager and owner secrets.
    pub(crate) sessions: Sessions,
}

/// What changes something at a service: made beside [`Services`], and handed to [`crate::apply`] alone.
pub struct Writers {
    /// Secrets Manager.
    pub store: SecretWriter,
    /// The connector.
    pub arm: ConnectorWriter,
    /// Docker Hub.
    pub hub: HubWriter,
    /// SQS.
    pub queue: aws_sdk_sqs::Client,
}

impl Writers {
    /// Writes with the clients of `services`.
    pub fn new(services: &Services, queue: aws_sdk_sqs::Client) -> Self {
        Self {
            store: SecretWriter::new(services.store.clone()),
            arm: ConnectorWriter::new(services.arm.clone()),
            hub: HubWriter::new(services.hub.clone()),
            queue,
        }
    }
}

/// The sessions of one invocation: one login for each manager or owner secret, however many secrets share it and however
/// their documents spell its id, whatever came of it.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// By the id in the document, and what it is for.
    ids: BTreeMap<(bool, String), Door>,
    /// By ARN: a name and an ARN of one secret lead to one login.
    arns: BTreeMap<String, Slot>,
    /// User names, in lower case, that Docker Hub has locked: another secret with the same user would prolong the lock.
    locked: BTreeMap<String, Error>,
}

/// Leads from an id to its secret, once that was read.
type Door = Arc<Mutex<Option<Slot>>>;
type Slot = Arc<Mutex<Entry>>;

/// A session is renewed this long before its bearer ends.
const RENEWED: Duration = Duration::from_mins(2);

/// A manager or owner secret, and how its login went. No `Debug`: it holds a credential and a bearer.
struct Entry {
    secret: LoginSecret,
    outcome: Option<Entered>,
}

struct Entered {
    session: Result<Session, Error>,
    at: Timestamp,
}

impl Entered {
    fn is_over(&self, now: Timestamp) -> bool {
        let lifetime = self.session.as_ref().ok().and_then(|session| session.lifetime);
        lifetime.is_some_and(|lifetime| self.at + lifetime.saturating_sub(RENEWED) <= now)
    }
}

impl Services {
    /// Now.
    pub fn now(&self) -> Timestamp {
        self.http_client.now()
    }

    /// A look at labels and connector, side by side: what is checked again right before a write.
    ///
    /// # Errors
    /// Where either cannot be read.
    pub async fn look(&self, arn: &str, id: &ConnectorId) -> Result<Recheck, Error> {
        let (secret, connector) = futures_util::future::join(self.store.describe(arn), self.arm.read(id)).await;
        let (secret, connector) = (secret?, connector?);
        // the group of a connector that was given up may be gone as well
        let connector = match secret.managed() {
            Managed::Offboarded => connector.or_absent(),
            Managed::Yes | Managed::No => connector.required()?,
        };
        Ok(Recheck { secret, connector, at: self.now() })
    }

    /// The password session of the document's manager. `consumer` is the secret that the document belongs to.
    ///
    /// # Errors
    /// `Misconfigured` where there is no manager, it does not list the consumer, or it is not the dedicated user; as the login
    /// otherwise.
    pub async fn manager(&self, consumer: &Secret, document: &Document) -> Result<Session, Error> {
        let id = document.manager.as_deref().ok_or_else(|| {
            Error::misconfigured("the secret names no manager", "add the field `manager` to mint tokens")
        })?;
        let same_user = |access: &Access| match access {
            Access::Password(login) if login.username.eq_ignore_ascii_case(&document.username) => Ok(()),
            _ => Err(Error::misconfigured(
                "the manager secret belongs to another user than the secret's `username`",
                "the manager is the dedicated user itself: make both names equal",
            )),
        };
        self.session(id, Purpose::Manager, consumer, same_user).await
    }

    /// The session of the document's owner: a password's, or that of an organization access token.
    ///
    /// # Errors
    /// `Misconfigured` where there is no owner, it does not list the consumer, or its token belongs to another organization;
    /// as the login otherwise.
    pub async fn owner(&self, consumer: &Secret, document: &Document) -> Result<Session, Error> {
        let InvitationRequest { owner: id, .. } = document.invitation.as_ref().ok_or_else(|| {
            Error::misconfigured("the secret names no owner", "add the fields `owner` and `user` to invite somebody")
        })?;
        let same_organization = |access: &Access| match access {
            Access::OrganizationToken { organization, .. }
                if !organization.eq_ignore_ascii_case(&document.organization) =>
            {
                Err(Error::misconfigured(
                    format!(
                        "the owner secret holds an access token of another organization than {}",
                        document.organization
                    ),
                    "name in `owner` a secret with a token of this organization, or correct `organization` in the owner secret",
                ))
            }
            _ => Ok(()),
        };
        self.session(id, Purpose::Owner, consumer, same_organization).await
    }

    /// What the document's owner sees of the organization.
    ///
    /// # Errors
    /// As [`Services::owner`], or as Docker Hub refuses.
    pub async fn roster(
        &self,
        consumer: &Secret,
        document: &Document,
        requested: &InvitationRequest,
    ) -> Result<Roster, Error> {
        let session = self.owner(consumer, document).await?;
        let roster = self.hub.roster(&session, &document.organization, requested.team.as_deref()).await;
        roster.map_err(|denied| refusal(&denied))
    }

    async fn session(
        &self,
        id: &str,
        purpose: Purpose,
        consumer: &Secret,
        fits: impl Fn(&Access) -> Result<(), Error>,
    ) -> Result<Session, Error> {
        let slot = self.login_secret(id, purpose).await?;
        // one at a time: who comes second finds what came of the first login
        let mut entry = slot.lock().await;
        // each consumer by itself, also where another secret's session is there already
        entry.secret.admit(consumer, purpose)?;
        fits(&entry.secret.access)?;
        if entry.outcome.as_ref().is_some_and(|entered| entered.is_over(self.now())) {
            entry.secret = LoginSecret::parse(
                &self.store.current_value(Subject::login(purpose.field(), id)).await?.text,
                purpose,
            )?;
            entry.secret.admit(consumer, purpose)?;
            fits(&entry.secret.access)?;
            entry.outcome = None;
        }
        if let Some(entered) = &entry.outcome {
            return entered.session.clone();
        }
        let user = entry.secret.access.identifier().to_ascii_lowercase();
        if let Some(locked) = self.sessions.0.lock().await.locked.get(&user) {
            return Err(locked.clone());
        }
        let at = self.now();
        let session = match self.hub.log_in(&entry.secret.access, purpose).await {
            Ok(session) => Ok(session),
            Err(failure) => {
                if failure.is_locked {
                    self.sessions.0.lock().await.locked.insert(user, failure.error.clone());
                } else if failure.error.kind() == Kind::Retryable && self.http_client.is_out_of_time() {
                    // the deadline ends the siblings as well, each with a report of its own
                    return Err(failure.error);
                }
                Err(failure.error)
            }
        };
        // whatever came of it: failed logins lock the user out, and a sibling's would be one more
        entry.outcome = Some(Entered { session: session.clone(), at });
        session
    }

    /// A manager or owner secret, read once an invocation.
    async fn login_secret(&self, id: &str, purpose: Purpose) -> Result<Slot, Error> {
        let key = (purpose == Purpose::Owner, id.to_owned());
        let door = Arc::clone(self.sessions.0.lock().await.ids.entry(key).or_default());
        let mut door = door.lock().await;
        if let Some(slot) = &*door {
            return Ok(Arc::clone(slot));
        }
        let current = self.store.current_value(Subject::login(purpose.field(), id)).await?;
        let secret = LoginSecret::parse(&current.text, purpose)?;
        let mut known = self.sessions.0.lock().await;
        let new = || Arc::new(Mutex::new(Entry { secret, outcome: None }));
        let slot = Arc::clone(known.arns.entry(current.arn).or_insert_with(new));
        *door = Some(Arc::clone(&slot));
        Ok(slot)
    }
}
