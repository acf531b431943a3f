//! Runs the steps that change the connector: write, read back, delete.

use std::time::Duration;

use futures_util::future::join;
use hubkeeper_core::connector::merge::Desired;
use hubkeeper_core::connector::{Observed, merge};
use hubkeeper_core::error::Error;
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::plan::preconditions::{After, after_write, may_delete, may_write};
use hubkeeper_core::plan::state::OffboardedConnector;
use hubkeeper_core::report::Change;
use hubkeeper_core::request::Trigger;
use hubkeeper_core::secret::kept::WRITER_TAG;
use hubkeeper_core::secret::{Document, Secret};
use hubkeeper_core::time::until;
use hubkeeper_core::warning::{Warning, WarningCode};

use crate::apply::{Executor, FRESH};
use crate::clients::azure::arm::WriteOutcome;

/// Pauses between reads of a connector that was just written, one minute in total: ARM may show a write late.
const READ_BACK_SECONDS: [u64; 6] = [1, 2, 4, 8, 15, 30];
/// Maximum number of attempts of a PUT whose response is lost.
const PUT_ATTEMPTS: u32 = 3;
/// Maximum number of reads that check whether a connector is deleted.
const DELETE_ATTEMPTS: u32 = 4;

impl Executor<'_> {
    /// Writes the connector: reads it again, merges, sends the PUT and reads the result back. A lost response is
    /// settled by a read.
    pub(super) async fn write_connector(&mut self, version: &VersionId) -> Result<(), Error> {
        let document = self.document(version)?;
        self.report.version_id = Some(version.to_owned());
        let verdict = self.state.progress.verdict_on(version).filter(|verdict| verdict.is_complete()).cloned();
        let (Some(verdict), Some(token)) = (verdict, document.access_token.clone()) else {
            return Err(Error::retryable("the token is not proven", "repeat the event"));
        };
        let id = &document.connector.id;
        let fingerprint = self.state.world.secret.fingerprint();
        // reconcile and onboard also repair drift of a connector that already carries the version
        let repairs = matches!(self.trigger, Trigger::Reconcile { .. } | Trigger::Onboard { .. });
        let mut foreign_before = None;
        let mut sent = false;
        let mut created = false;
        for attempt in 1..=PUT_ATTEMPTS {
            let look = match self.look.take() {
                Some(look) if until(look.at, self.services.now()) <= FRESH => look,
                _ => self.services.look(self.arn(), id).await?,
            };
            may_write(self.trigger, version, &document, &self.state.world, &look)?;
            let observed = look.connector.observed();
            let carried = observed.is_some_and(|found| found.carries(&document, &fingerprint, version).is_ok());
            let drifted = repairs && observed.is_some_and(|found| self.drift(found, &document).is_some());
            if carried && !drifted && (sent || !self.force) {
                break;
            }
            let foreign =
                observed.map(|found| found.foreign_offerings().into_iter().map(str::to_owned).collect::<Vec<_>>());
            foreign_before.get_or_insert(foreign.unwrap_or_default());
            let was_absent = observed.is_none();
            let desired = Desired {
                document: &document,
                token: &token,
                fingerprint: &fingerprint,
                version,
                proved_at: self.services.now(),
                proved: verdict.coverage(),
            };
            self.wrote = true;
            let put = self.writers.arm.put(id, &merge::merge(&desired, observed), &token).await?;
            sent = true;
            created |= put.created.unwrap_or(was_absent);
            self.report.may_have_created |= created;
            match put.written {
                WriteOutcome::Done => {
                    self.learn_writer(put.writer).await;
                    break;
                }
                WriteOutcome::Unknown(why)
                    if attempt == PUT_ATTEMPTS || !self.services.http_client.wait(Duration::from_secs(2)).await =>
                {
                    return Err(Error::retryable(
                        format!("it is not known whether the connector was written ({why})"),
                        "repeat the event: it checks and continues from there",
                    ));
                }
                WriteOutcome::Unknown(_) => {}
            }
        }
        let change = match (sent, created) {
            (false, _) => Change::None,
            (true, true) => Change::Created,
            (true, false) => Change::Updated,
        };
        self.report.connector(id.to_string(), change);
        let foreign_before = foreign_before.unwrap_or_default();
        if !sent {
            return self.read_back(&document, version, &foreign_before).await;
        }
        let store = self.services.store.clone();
        let arn = self.arn().to_owned();
        let (read, labels) = join(self.read_back(&document, version, &foreign_before), store.describe(&arn)).await;
        read?;
        self.look_back(&document, version, &labels?, created).await
    }

    fn drift(&self, found: &Observed, document: &Document) -> Option<String> {
        let own = self.services.config.client_id.as_str();
        let writers: Vec<&str> = std::iter::once(own).chain(self.state.world.secret.writer()).collect();
        found.drift(document, &writers)
    }

    /// Stores the name that ARM uses for the function as a writer. Only the response to our own PUT counts: a GET may
    /// show another writer.
    async fn learn_writer(&mut self, writer: Option<String>) {
        let own = &self.services.config.client_id;
        let Some(writer) = writer.filter(|writer| !writer.eq_ignore_ascii_case(own)) else { return };
        if self.state.world.secret.writer().is_some_and(|known| known.eq_ignore_ascii_case(&writer)) {
            return;
        }
        let tagged = if is_tag_value(&writer) {
            self.writers.store.tag_writer(self.arn(), &writer).await.map_err(|error| error.to_string())
        } else {
            Err("it is not a valid tag value".to_owned())
        };
        match tagged {
            Ok(()) => {
                self.state.world.secret.tags.insert(WRITER_TAG.to_owned(), writer);
            }
            Err(why) => self.report.warn(Warning::new(WarningCode::WriterNotRemembered,
                format!(
                    "ARM names this function differently than AZURE_CLIENT_ID, and the tag {WRITER_TAG} could not be set, so reconcile mistakes its own writes for somebody else's and repeats them: {why}"
                ),
            )),
        }
    }

    /// Checks the labels after the write. If they moved in the meantime, the state is read and planned again.
    async fn look_back(
        &mut self,
        document: &Document,
        version: &VersionId,
        secret: &Secret,
        created: bool,
    ) -> Result<(), Error> {
        match after_write(self.trigger, version, &self.state.world, secret) {
            After::Same => Ok(()),
            After::Overtaken => {
                self.overtaken = true;
                Err(Error::retryable(
                    format!("version {version} lost AWSCURRENT while the connector was being written with it"),
                    "repeat the event: it writes the current version",
                ))
            }
            After::Offboarded if created => {
                let gone = self.writers.arm.delete(&document.connector.id).await?;
                self.report.connector(document.connector.id.to_string(), Change::Deleted);
                let what = match gone {
                    WriteOutcome::Done => "it was deleted again",
                    WriteOutcome::Unknown(_) => "whether it was deleted again is not known",
                };
                Err(Error::retryable(
                    format!("the secret was offboarded while its connector was being created: {what}"),
                    "if it is to be offboarded, send offboard again to be sure",
                ))
            }
            // anyone who may set a tag could trigger this, so a tag alone must never delete an existing connector
            After::Offboarded => Err(Error::needs_human(
                "the secret was tagged hubkeeper = offboarded while its connector was being written",
                "send offboard again, which deletes the connector; to keep it, onboard the secret",
            )),
        }
    }

    /// Deletes the connector, and repeats until a read finds none. A lost response is settled by a read.
    pub(super) async fn delete_connector(&mut self) -> Result<(), Error> {
        let Some(OffboardedConnector { organization, connector: id }) = self.state.world.offboarded_connector() else {
            return Err(Error::retryable("it is not known which connector the secret manages", "repeat the event"));
        };
        let mut sent = false;
        let mut last = Ok(());
        for attempt in 1..=DELETE_ATTEMPTS {
            if attempt > 1 && !self.services.http_client.wait(FRESH).await {
                break;
            }
            let look = self.services.look(self.arn(), &id).await?;
            last = may_delete(&organization, &id, &look);
            if last.is_err() {
                // the tag that was just set may not be visible everywhere yet
                continue;
            }
            if look.connector.observed().is_none() {
                self.report.connector(id.to_string(), if sent { Change::Deleted } else { Change::None });
                self.state.world.connector = Some(look.connector);
                return Ok(());
            }
            sent = true;
            self.wrote = true;
            match self.writers.arm.delete(&id).await? {
                WriteOutcome::Done => self.report.connector(id.to_string(), Change::Deleted),
                WriteOutcome::Unknown(_) => {}
            }
        }
        last?;
        Err(Error::retryable(
            "the connector is still there after it was deleted",
            "somebody else may be writing it; repeat the event",
        ))
    }

    /// Reads the connector until it shows the write. Any other difference is a warning, because a second write in the
    /// same run would have the same result.
    async fn read_back(
        &mut self,
        document: &Document,
        version: &VersionId,
        foreign_before: &[String],
    ) -> Result<(), Error> {
        let fingerprint = self.state.world.secret.fingerprint();
        let mut differs = String::from("it does not exist");
        let mut pauses = READ_BACK_SECONDS.into_iter().map(Duration::from_secs);
        loop {
            let found = self.services.arm.get(&document.connector.id).await?;
            let carried = found.observed().map(|observed| observed.carries(document, &fingerprint, version));
            match (carried, found.observed()) {
                (Some(Ok(())), Some(observed)) => {
                    for warning in after_write_warnings(observed, document, foreign_before) {
                        self.report.warn(warning);
                    }
                    self.state.world.connector = Some(found);
                    return Ok(());
                }
                (Some(Err(why)), _) => differs = why,
                _ => {}
            }
            match pauses.next() {
                Some(pause) if self.services.http_client.wait(pause).await => {}
                _ => break,
            }
        }
        Err(Error::retryable(
            format!("the connector was written and does not carry version {version}: {differs}"),
            "somebody else may have written it, or ARM is slow to show the write; repeat the event",
        ))
    }
}

/// Returns warnings about what a connector that was just written does not show.
fn after_write_warnings(observed: &Observed, document: &Document, foreign_before: &[String]) -> Vec<Warning> {
    let after = observed.foreign_offerings();
    let lost: Vec<&str> = foreign_before.iter().map(String::as_str).filter(|name| !after.contains(name)).collect();
    let lost = (!lost.is_empty()).then(|| {
        Warning::new(
            WarningCode::OfferingsLost,
            format!("{} offering(s) of others that were in the connector before the write are missing now", lost.len()),
        )
    });
    let remains = observed.setting_drift(document).map(|why| {
        Warning::new(WarningCode::DriftRemains,
            format!("ARM did not keep what was just written: {why}; see the connector in the portal, and the plans of the subscription"),
        )
    });
    lost.into_iter().chain(remains).collect()
}

/// Returns whether AWS accepts the text as a tag value: up to 256 letters, digits, spaces and `_.:/=+-@`.
fn is_tag_value(text: &str) -> bool {
    (1..=256).contains(&text.chars().count()) && text.chars().all(|c| c.is_alphanumeric() || " _.:/=+-@".contains(c))
}
