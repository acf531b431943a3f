//! Steps about the connector: written and read back, deleted.

use std::time::Duration;

use futures_util::future::join;

use super::{Executor, FRESH};
use crate::azure::connector::Written;
use crate::azure::merge::{self, Desired};
use crate::clock::until;
use crate::error::Error;
use crate::plan::admit::{After, after_write, may_delete, may_write};
use crate::report::Change;
use crate::secret::{Document, Secret};
use crate::warning::Warning;

/// Attempts at a PUT whose answer is lost.
const PUT_ATTEMPTS: u32 = 3;
/// Looks at a connector that is to be gone.
const DELETE_ATTEMPTS: u32 = 4;

impl Executor<'_> {
    /// The second look, the merge, the PUT, the read-back. A lost answer is settled by looking.
    pub(super) async fn write_connector(&mut self, version: &str) -> Result<(), Error> {
        let document = self.document(version)?;
        self.report.version_id = Some(version.to_owned());
        let verdict = self.situation.verdict_on(version).filter(|verdict| verdict.is_complete()).cloned();
        let (Some(verdict), Some(token)) = (verdict, document.access_token.clone()) else {
            return Err(Error::retryable("the token is not proven", "repeat the event"));
        };
        let spec = &document.connector;
        let fingerprint = self.situation.secret.fingerprint();
        let client_id = self.services.config.client_id.clone();
        let mut foreign_before = None;
        let mut sent = false;
        let mut created = false;
        for attempt in 1..=PUT_ATTEMPTS {
            let look = match self.look.take() {
                Some(look) if until(look.at, self.services.now()) <= FRESH => look,
                _ => self.services.look(self.arn(), spec).await?,
            };
            may_write(self.trigger, version, &document, self.situation, &look)?;
            let observed = look.connector.observed();
            let carried =
                observed.is_some_and(|found| found.carries(&document, &fingerprint, version, &client_id).is_ok());
            if carried && (sent || !self.force) {
                break;
            }
            let foreign =
                observed.map(|found| found.foreign_offerings().into_iter().map(str::to_owned).collect::<Vec<_>>());
            foreign_before.get_or_insert(foreign.unwrap_or_default());
            created |= observed.is_none();
            let desired = Desired {
                document: &document,
                token: &token,
                fingerprint: &fingerprint,
                version,
                proved_at: self.services.now(),
                proved: (verdict.repositories, verdict.private),
            };
            sent = true;
            self.wrote = true;
            match self.services.arm.put(spec, &merge::merge(&desired, observed), &token).await? {
                Written::Yes => break,
                Written::Unknown(why)
                    if attempt == PUT_ATTEMPTS || !self.services.outlet.wait(Duration::from_secs(2)).await =>
                {
                    return Err(Error::retryable(
                        format!("it is not known whether the connector was written ({why})"),
                        "repeat the event: it finds out and goes on from there",
                    ));
                }
                Written::Unknown(_) => {}
            }
        }
        let change = match (sent, created) {
            (false, _) => Change::None,
            (true, true) => Change::Created,
            (true, false) => Change::Updated,
        };
        self.report.connector(spec.id(), change);
        let foreign_before = foreign_before.unwrap_or_default();
        if !sent {
            return self.read_back(&document, version, &foreign_before).await;
        }
        let store = self.services.store.clone();
        let arn = self.arn().to_owned();
        let (read, labels) = join(self.read_back(&document, version, &foreign_before), store.describe(&arn)).await;
        read?;
        self.look_back(&document, version, &labels?).await
    }

    /// Labels may have moved while the write was under way: then it must not have the last word.
    async fn look_back(&mut self, document: &Document, version: &str, secret: &Secret) -> Result<(), Error> {
        match after_write(self.trigger, version, self.situation, secret) {
            After::Same => Ok(()),
            After::Overtaken => {
                self.overtaken = true;
                Err(Error::retryable(
                    format!("version {version} lost AWSCURRENT while the connector was being written with it"),
                    "repeat the event: it writes what is current",
                ))
            }
            After::Offboarded => {
                let gone = self.services.arm.delete(&document.connector).await?;
                self.report.connector(document.connector.id(), Change::Deleted);
                let what = match gone {
                    Written::Yes => "it was deleted again",
                    Written::Unknown(_) => "whether it was deleted again is not known, reconcile sees to it",
                };
                Err(Error::retryable(
                    format!("the secret was offboarded while its connector was being written: {what}"),
                    "nothing is to be done, if it was to be given up",
                ))
            }
        }
    }

    /// Deletes the connector until a look finds none. A lost answer is settled by looking.
    pub(super) async fn delete_connector(&mut self) -> Result<(), Error> {
        let document = self.document(&self.situation.version.clone())?;
        let spec = &document.connector;
        let mut sent = false;
        let mut last = Ok(());
        for attempt in 1..=DELETE_ATTEMPTS {
            if attempt > 1 && !self.services.outlet.wait(FRESH).await {
                break;
            }
            let look = self.services.look(self.arn(), spec).await?;
            last = may_delete(&document, &look);
            if last.is_err() {
                // the tag that was just set may not be seen everywhere yet
                continue;
            }
            if look.connector.observed().is_none() {
                self.report.connector(spec.id(), if sent { Change::Deleted } else { Change::None });
                self.situation.connector = Some(look.connector);
                return Ok(());
            }
            sent = true;
            self.wrote = true;
            match self.services.arm.delete(spec).await? {
                Written::Yes => self.report.connector(spec.id(), Change::Deleted),
                Written::Unknown(_) => {}
            }
        }
        last?;
        Err(Error::retryable(
            "the connector is still there after it was deleted",
            "somebody else may be writing it; repeat the event",
        ))
    }

    async fn read_back(&mut self, document: &Document, version: &str, foreign_before: &[String]) -> Result<(), Error> {
        let fingerprint = self.situation.secret.fingerprint();
        let mut differs = String::from("it does not exist");
        for attempt in 0..2 {
            if attempt > 0 && !self.services.outlet.wait(FRESH).await {
                break;
            }
            let found = self.services.arm.get(&document.connector).await?;
            let Some(observed) = found.observed() else { continue };
            if let Err(why) = observed.carries(document, &fingerprint, version, &self.services.config.client_id) {
                differs = why;
            } else {
                let after = observed.foreign_offerings();
                let lost: Vec<_> = foreign_before.iter().filter(|name| !after.contains(&name.as_str())).collect();
                if !lost.is_empty() {
                    self.report.warn(Warning::new(
                        "offeringsLost",
                        format!(
                            "{} offering(s) of others were in the connector before the write and are not any more",
                            lost.len()
                        ),
                    ));
                }
                self.situation.connector = Some(found);
                return Ok(());
            }
        }
        Err(Error::retryable(
            format!("the connector was written and does not carry version {version}: {differs}"),
            "somebody else may have written it; repeat the event",
        ))
    }
}
