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

/// The clients that read, for one invocation. None of them changes anything.
pub struct Services {
    /// The HTTP client, with the invocation's deadline.
    pub http_client: HttpClient,
    /// The configuration.
    pub config: Arc<Config>,
    /// The client that reads secrets from Secrets Manager.
    pub store: SecretStore,
    /// The client that reads the connector from ARM.
    pub arm: Arm,
    /// The client that reads from Docker Hub.
    pub hub: Hub,
    /// The sessions of manager and owner secrets.
    pub(crate) sessions: Sessions,
}

/// The clients that write. They are created beside [`Services`], and only [`crate::apply`] and the queue get them.
pub struct Writers {
    /// The client that writes secrets to Secrets Manager.
    pub store: SecretWriter,
    /// The client that writes the connector to ARM.
    pub arm: ConnectorWriter,
    /// The client that changes tokens and members at Docker Hub.
    pub hub: HubWriter,
    /// The client that sends messages to SQS.
    pub queue: aws_sdk_sqs::Client,
}

impl Writers {
    /// Creates the writers from the clients of `services`.
    pub fn new(services: &Services, queue: aws_sdk_sqs::Client) -> Self {
        Self {
            store: SecretWriter::new(services.store.clone()),
            arm: ConnectorWriter::new(services.arm.clone()),
            hub: HubWriter::new(services.hub.clone()),
            queue,
        }
    }
}

/// The sessions of one invocation. Each manager or owner secret logs in once, however many secrets share it, however
/// their documents spell its id, and whatever the result is.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// Login secrets by the id in the document and the purpose.
    ids: BTreeMap<(bool, String), Door>,
    /// Login secrets by ARN: the name and the ARN of one secret share one login.
    arns: BTreeMap<String, Slot>,
    /// User names, in lower case, that Docker Hub has locked out. A login by another secret with the same user would
    /// prolong the lock-out.
    locked: BTreeMap<String, Error>,
}

/// The login secret of an id, once it is read.
type Door = Arc<Mutex<Option<Slot>>>;
type Slot = Arc<Mutex<Entry>>;

/// Time before its expiry at which a session is renewed.
const RENEWED: Duration = Duration::from_mins(2);

/// A manager or owner secret, and the result of its login. No `Debug`: it holds a credential and a bearer token.
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
    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.http_client.now()
    }

    /// Reads labels and connector concurrently: the values that are checked again right before a write.
    ///
    /// # Errors
    /// Returns an error if either cannot be read.
    pub async fn look(&self, arn: &str, id: &ConnectorId) -> Result<Recheck, Error> {
        let (secret, connector) = futures_util::future::join(self.store.describe(arn), self.arm.read(id)).await;
        let (secret, connector) = (secret?, connector?);
        // the resource group of an offboarded connector may be deleted as well
        let connector = match secret.managed() {
            Managed::Offboarded => connector.or_absent(),
            Managed::Yes | Managed::No => connector.required()?,
        };
        Ok(Recheck { secret, connector, at: self.now() })
    }

    /// Returns the password session of the document's manager. `consumer` is the secret that the document belongs to.
    ///
    /// # Errors
    /// Returns `Misconfigured` if the document names no manager, the manager does not list the consumer, or its user is
    /// not the dedicated user. Otherwise returns the error of the login.
    pub async fn manager(&self, consumer: &Secret, document: &Document) -> Result<Session, Error> {
        let id = document.manager.as_deref().ok_or_else(|| {
            Error::misconfigured("the secret names no manager", "add the field `manager` to mint tokens")
        })?;
        self.session(id, Purpose::Manager, consumer, |access| access.is_user(&document.username)).await
    }

    /// Returns the session of the document's owner: a password session, or that of an organization access token.
    ///
    /// # Errors
    /// Returns `Misconfigured` if the document names no owner, the owner does not list the consumer, or its token
    /// belongs to another organization. Otherwise returns the error of the login.
    pub async fn owner(&self, consumer: &Secret, document: &Document) -> Result<Session, Error> {
        let InvitationRequest { owner: id, .. } = document.invitation.as_ref().ok_or_else(|| {
            Error::misconfigured("the secret names no owner", "add the fields `owner` and `user` to invite somebody")
        })?;
        self.session(id, Purpose::Owner, consumer, |access| access.is_of(&document.organization)).await
    }

    /// Reads the members and invitations of the organization with the document's owner.
    ///
    /// # Errors
    /// Returns the errors of [`Services::owner`], or an error by Docker Hub's response.
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
        // one login at a time: a concurrent caller finds the result of the first
        let mut entry = slot.lock().await;
        // checks each consumer, even if another secret already opened the session
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
                    // the deadline also ends the other secrets, each with its own report
                    return Err(failure.error);
                }
                Err(failure.error)
            }
        };
        // keeps failures as well: failed logins lock out the user, and another secret's login would add one more
        entry.outcome = Some(Entered { session: session.clone(), at });
        session
    }

    /// Reads a manager or owner secret, once per invocation.
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
