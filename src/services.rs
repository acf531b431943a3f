//! The clients of one invocation, over one way out with one deadline.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use crate::azure::Arm;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::error::{Error, Kind};
use crate::http::Outlet;
use crate::hub::members::{Roster, refusal};
use crate::hub::{Hub, Session};
use crate::plan::Look;
use crate::proof::Prover;
use crate::secret::document::{ConnectorId, Newcomer};
use crate::secret::{Document, Login, Managed, SecretStore, Subject};

/// The clients of one invocation.
pub struct Services {
    /// The way out, until the deadline.
    pub outlet: Outlet,
    /// The configuration.
    pub config: Arc<Config>,
    /// Secrets Manager.
    pub store: SecretStore,
    /// The connector.
    pub arm: Arm,
    /// The proof, and Docker Hub.
    pub prover: Prover,
    /// SQS.
    pub sqs: aws_sdk_sqs::Client,
    /// The password sessions of the invocation.
    pub(crate) sessions: Sessions,
}

/// The password sessions of one invocation: one login for each manager or owner secret, however many secrets share it.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<BTreeMap<String, Slot>>>);

/// The session with one manager or owner secret, once there is one.
type Slot = Arc<Mutex<Option<Entered>>>;

/// A session is made anew this long before its bearer ends.
const RENEWED: Duration = Duration::from_mins(2);

/// Who logged in with such a secret, and how that went. No `Debug`: it holds a bearer.
struct Entered {
    username: String,
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
        self.outlet.now()
    }

    /// Docker Hub.
    pub fn hub(&self) -> &Hub {
        &self.prover.hub
    }

    /// A look at labels and connector, side by side: what is checked again right before a write.
    ///
    /// # Errors
    /// Where either cannot be read.
    pub async fn look(&self, arn: &str, id: &ConnectorId) -> Result<Look, Error> {
        let (secret, connector) = futures_util::future::join(self.store.describe(arn), self.arm.read(id)).await;
        let (secret, connector) = (secret?, connector?);
        // the group of a connector that was given up may be gone as well
        let connector = match secret.managed() {
            Managed::Offboarded => connector.or_absent(),
            Managed::Yes | Managed::No => connector.required()?,
        };
        Ok(Look { secret, connector, at: self.now() })
    }

    /// The password session of the document's manager: one login for each manager secret an invocation.
    ///
    /// # Errors
    /// `Misconfigured` where there is no manager, or it is not the dedicated user; as the login otherwise.
    pub async fn manager(&self, document: &Document) -> Result<Session, Error> {
        let id = document.manager.as_deref().ok_or_else(|| {
            Error::misconfigured("the secret names no manager", "add the member `manager` to mint tokens")
        })?;
        self.session(id, "manager", Some(&document.username)).await
    }

    /// The password session of the document's owner, in the same way; whoever the owner is.
    ///
    /// # Errors
    /// `Misconfigured` where there is no owner; as the login otherwise.
    pub async fn owner(&self, document: &Document) -> Result<Session, Error> {
        let (id, _) = document.zero.as_ref().ok_or_else(|| {
            Error::misconfigured("the secret names no owner", "add the members `owner` and `user` to invite somebody")
        })?;
        self.session(id, "owner", None).await
    }

    /// What the document's owner sees of the organization.
    ///
    /// # Errors
    /// As [`Services::owner`], or as Docker Hub refuses.
    pub async fn roster(&self, document: &Document, newcomer: &Newcomer) -> Result<Roster, Error> {
        let session = self.owner(document).await?;
        let roster = self.hub().roster(&session, &document.organization, newcomer.team.as_deref()).await;
        roster.map_err(|denied| refusal(&denied))
    }

    async fn session(&self, id: &str, what: &str, username: Option<&str>) -> Result<Session, Error> {
        let is_meant = |found: &str| username.is_none_or(|username| found.eq_ignore_ascii_case(username));
        let slot = Arc::clone(self.sessions.0.lock().await.entry(id.to_owned()).or_default());
        // one at a time: who comes second finds the session of the first
        let mut entered = slot.lock().await;
        if entered.as_ref().is_none_or(|entered| entered.is_over(self.now())) {
            let login = Login::parse(&self.store.current_value(Subject::login(what, id)).await?, what)?;
            if !is_meant(&login.username) {
                return Err(other_user());
            }
            let at = self.now();
            let session = self.hub().password_login(&login, what).await;
            match session {
                // a login that was refused is not tried again for the next secret: enough of them lock the user out
                Err(error) if error.kind() != Kind::NeedsHuman => return Err(error),
                session => *entered = Some(Entered { username: login.username, session, at }),
            }
        }
        match &*entered {
            Some(entered) if is_meant(&entered.username) => entered.session.clone(),
            _ => Err(other_user()),
        }
    }
}

fn other_user() -> Error {
    Error::misconfigured(
        "the manager secret is of another user than the secret's `username`",
        "the manager is the dedicated user itself: make both names equal",
    )
}
