//! Runs the steps that create, copy, deactivate and delete tokens.

use std::time::Duration;

use hubkeeper_core::error::Error;
use hubkeeper_core::hub::{HubError, Pat};
use hubkeeper_core::ids::{TokenId, VersionId};
use hubkeeper_core::plan::preconditions::still_admitted;
use hubkeeper_core::plan::retirement::Use;
use hubkeeper_core::plan::state::{Slot, Version};
use hubkeeper_core::secret::labels::TokenLabel;
use hubkeeper_core::secret::{Label, Managed};
use hubkeeper_core::time::rfc3339;
use hubkeeper_core::warning::{Warning, WarningCode};

use crate::apply::Executor;
use crate::clients::hub::Session;
use crate::clients::hub::tokens::{Changed, Mint};
use crate::clients::secrets_manager::Put;
use crate::read::inventory::use_of;

/// Time that a deactivation must leave in the invocation: enough to check the token's use again and to re-activate it.
const LOOK_AGAIN: Duration = Duration::from_secs(20);

/// A PAT of the inventory. No `Debug`: the session holds a token.
struct Listed {
    /// The session that may change the PAT.
    session: Session,
    pat: Pat,
    /// The version in its label.
    version: VersionId,
}

impl Executor<'_> {
    /// Creates a PAT and puts it. Revokes nothing, because the put of another attempt may have succeeded.
    pub(super) async fn mint(&mut self, version: &VersionId, label: Label) -> Result<(), Error> {
        let fresh = self.services.store.describe(self.arn()).await?;
        if label == Label::Pending {
            still_admitted(self.trigger, version, &self.state.world, &fresh)?;
        } else {
            still_admitted(self.trigger, &self.state.world.version, &self.state.world, &fresh)?;
        }
        let base = self.state.world.current.as_ref().map(|current| current.document.clone());
        let base = base.or_else(|| self.state.world.document.clone());
        let base =
            base.ok_or_else(|| Error::needs_human("the secret has no value", "put the secret's document first"))?;
        let session = self.services.manager(&self.state.world.secret, &base).await?;
        let token_label = self.state.world.secret.token_label(version);
        let days = i64::from(self.services.config.token_lifetime_days);
        let now = self.services.now();
        let expires_at = now.replace_nanosecond(0).unwrap_or(now) + time::Duration::days(days);
        self.wrote = true;
        let (hub, writer) = (&self.services.hub, &self.writers.hub);
        let (id, token) = match writer
            .mint(&session, &token_label, expires_at)
            .await
            .map_err(|error| undecided(&error))?
        {
            Mint::Minted { id, token } => (id, token),
            Mint::Refused(status) => return Err(mint_refused(status)),
            Mint::Unknown(why) => {
                // the token's value is lost either way: the label finds the orphaned token, and the run revokes it
                // after the put
                let known = hub.tokens(&session).await.map_err(|error| undecided(&error))?;
                let orphaned = known.iter().filter(|pat| pat.label == token_label).count();
                self.report.warn(Warning::new(WarningCode::MintRepeated,
                    format!("the response to a token's creation was lost ({why}); {orphaned} orphaned token(s) with its label were found, and another token is created"),
                ));
                match writer.mint(&session, &token_label, expires_at).await.map_err(|error| undecided(&error))? {
                    Mint::Minted { id, token } => (id, token),
                    Mint::Refused(status) => return Err(mint_refused(status)),
                    Mint::Unknown(why) => {
                        return Err(Error::retryable(
                            format!("it is not known whether Docker Hub made a token ({why})"),
                            "repeat the event: it revokes tokens with this version's label that are not stored",
                        ));
                    }
                }
            }
        };
        let next = base.with_minted(token, &id, expires_at);
        let put = self.writers.store.put(self.arn(), version, &next, label, self.rotation_token).await;
        let put = match put {
            Ok(put) => put,
            Err(failure) => {
                if failure.is_certain {
                    self.discard(&session, &id).await;
                }
                return Err(failure.error);
            }
        };
        if put == Put::Stored {
            self.report.tokens.minted = Some(id);
            self.report.tokens.expires_at = Some(rfc3339(expires_at));
        }
        Ok(())
    }

    /// Deletes the PAT that this step created and that is certainly not stored, so that retries do not accumulate live
    /// tokens.
    async fn discard(&mut self, session: &Session, id: &TokenId) {
        match self.writers.hub.revoke(session, id).await {
            Ok(()) => self.report.tokens.retired.push(id.to_owned()),
            Err(error) => self.report.warn(Warning::new(WarningCode::UnstoredToken,
                format!(
                    "the token {id} was minted, Secrets Manager refused to store it, and it could not be deleted ({}): a later reconcile retires it",
                    error.message()
                ),
            )),
        }
    }

    /// Reads the stored value back, and revokes every PAT with the version's label except the stored one. Revokes
    /// nothing if the value cannot be read.
    pub(super) async fn revoke_orphaned(&mut self, version: &VersionId) -> Result<(), Error> {
        // read by a label that this version has: another attempt may have staged another version since
        let stage = if self.trigger.is_rotation() {
            Some(Label::Pending.name().to_owned())
        } else if self.report.tokens.minted.is_some() {
            Some(Label::Minted.name().to_owned())
        } else {
            self.services.store.describe(self.arn()).await?.any_label(version).map(str::to_owned)
        };
        let stored = self.services.store.document(self.arn(), version, stage.as_deref()).await?;
        if stored.manager.is_some() {
            let session = self.services.manager(&self.state.world.secret, &stored).await?;
            self.revoke_all_but(&session, version, stored.token_id.as_ref()).await?;
        }
        if self.report.tokens.minted != stored.token_id {
            self.report.tokens.minted = None;
        }
        if self.state.world.version == version {
            self.state.world.document = Some(stored);
        } else {
            self.state.world.candidate = Some(Version { id: version.to_owned(), document: stored.clone() });
            self.state.world.slot = Some(Slot { id: version.to_owned(), document: Some(stored) });
        }
        Ok(())
    }

    async fn revoke_all_but(
        &mut self,
        session: &Session,
        version: &VersionId,
        kept: Option<&TokenId>,
    ) -> Result<(), Error> {
        let label = self.state.world.secret.token_label(version);
        let hub = &self.services.hub;
        let tokens = hub.tokens(session).await.map_err(|error| undecided(&error))?;
        for pat in tokens.iter().filter(|pat| pat.label == label && Some(&pat.id) != kept) {
            self.wrote = true;
            self.writers.hub.revoke(session, &pat.id).await.map_err(|error| undecided(&error))?;
            self.report.tokens.retired.push(pat.id.clone());
        }
        Ok(())
    }

    /// Deactivates a PAT, then checks again whether it is in use. Re-activates it if it is, or if the check fails.
    pub(super) async fn deactivate_token(&mut self, id: &TokenId) -> Result<(), Error> {
        if !self.services.http_client.has(LOOK_AGAIN) {
            return Err(Error::retryable(
                "too little time is left to retire a token and to check it afterwards",
                "repeat the event; nothing was deactivated",
            ));
        }
        let Listed { session, pat, version } = self.pat(id).await?;
        if self.in_use(&pat).await? {
            return Ok(());
        }
        let hub = &self.writers.hub;
        let (label, marked) =
            (self.state.world.secret.token_label(&version), self.state.world.secret.retiring_label(&version));
        self.wrote = true;
        let changed = hub.set_active(&session, id, false, &marked).await;
        let in_use = self.in_use(&pat).await;
        if !matches!(in_use, Ok(false)) {
            let back = hub.set_active(&session, id, true, &label).await;
            self.report.warn(Warning::new(
                WarningCode::TokenReactivated,
                format!(
                    "the token {id} of version {version} was deactivated and came into use at the same moment: {}",
                    if matches!(back, Ok(Changed::Done)) {
                        "it was activated again"
                    } else {
                        "activate it at Docker Hub, or let reconcile do it"
                    }
                ),
            ));
            back.map_err(|error| undecided(&error))?;
            return in_use.map(|_| ());
        }
        match changed.map_err(|error| undecided(&error))? {
            Changed::Done | Changed::Gone => self.report.tokens.retired.push(id.to_owned()),
            // the token has expired by Docker Hub's clock: a later run deletes it
            Changed::Refused(_) => {}
        }
        Ok(())
    }

    /// Deletes a PAT that was inactive when it was listed. Nobody can have proven or written it since.
    pub(super) async fn delete_token(&mut self, id: &TokenId) -> Result<(), Error> {
        let Listed { session, pat, .. } = self.pat(id).await?;
        if self.in_use(&pat).await? {
            return Ok(());
        }
        self.wrote = true;
        self.writers.hub.revoke(&session, id).await.map_err(|error| undecided(&error))?;
        self.report.tokens.retired.push(id.to_owned());
        Ok(())
    }

    /// Activates a PAT that is in use and that an interrupted run left deactivated.
    pub(super) async fn activate_token(&mut self, id: &TokenId) -> Result<(), Error> {
        let Listed { session, version, .. } = self.pat(id).await?;
        let label = self.state.world.secret.token_label(&version);
        self.wrote = true;
        let changed = self.writers.hub.set_active(&session, id, true, &label).await;
        changed.map_err(|error| undecided(&error))?;
        if let Ok(pats) = &mut self.state.world.pats {
            pats.iter_mut().filter(|pat| pat.id == id).for_each(|pat| {
                pat.active = true;
                pat.label.clone_from(&label);
            });
        }
        self.report.warn(Warning::new(WarningCode::TokenReactivated,
            format!("the token {id} of version {version} is in use, and an interrupted run had deactivated it: it was activated"),
        ));
        Ok(())
    }

    /// Returns a PAT of the inventory, the session that may change it, and the version in its label.
    async fn pat(&self, id: &TokenId) -> Result<Listed, Error> {
        let unknown = || Error::retryable(format!("the token {id} is not in the list of tokens"), "repeat the event");
        let pats = self.state.world.pats.as_ref().map_err(Clone::clone)?;
        let pat = pats.iter().find(|pat| pat.id == id).cloned().ok_or_else(unknown)?;
        let TokenLabel { version, .. } = self.state.world.secret.version_of_label(&pat.label).ok_or_else(unknown)?;
        let document = self.document(&self.state.world.version)?;
        Ok(Listed { session: self.services.manager(&self.state.world.secret, &document).await?, pat, version })
    }

    /// Returns whether a PAT is in use, by the current labels, connector and values. If that cannot be determined, the
    /// PAT counts as in use.
    async fn in_use(&mut self, pat: &Pat) -> Result<bool, Error> {
        let document = self.document(&self.state.world.version.clone())?;
        let id = match self.state.world.offboarded_connector() {
            Some(kept) if self.state.world.is_offboarded() => kept.connector,
            _ => document.connector.id.clone(),
        };
        let look = self.services.look(self.arn(), &id).await?;
        let connector = look.connector.observed();
        // while tag and document name different connectors, it is unknown which token the managed connector carries
        if look.secret.keeps_another(&document) {
            return Ok(true);
        }
        if look.secret.managed() == Managed::Offboarded {
            // a connector that was created again may carry any of the tokens
            return Ok(connector.is_some());
        }
        let used = use_of(self.services, &mut self.state.world, &look.secret, connector, &pat.id).await?;
        Ok(used != Use::Unused)
    }

    pub(super) async fn copy_candidate(&mut self, from: &VersionId, to: &VersionId) -> Result<(), Error> {
        let fresh = self.services.store.describe(self.arn()).await?;
        still_admitted(self.trigger, to, &self.state.world, &fresh)?;
        if !fresh.bears(from, Label::Candidate) {
            return Err(Error::retryable(
                format!("version {from} is no longer staged HUBKEEPER_CANDIDATE"),
                "let the rotation run again",
            ));
        }
        let known = [&self.state.world.current, &self.state.world.previous];
        let known = known.into_iter().flatten().map(|known| &known.document);
        let next = self.document(from)?.taken_from(from, known);
        self.wrote = true;
        // keeps the value of another attempt: a put never replaces a pending value
        let put = self.writers.store.put(self.arn(), to, &next, Label::Pending, self.rotation_token).await;
        let _: Put = put.map_err(|failure| failure.error)?;
        let stored = self.services.store.document(self.arn(), to, Some(Label::Pending.name())).await?;
        self.state.world.document = Some(stored);
        Ok(())
    }
}

fn undecided(error: &HubError) -> Error {
    Error::retryable(format!("Docker Hub did not complete the request: {}", error.message()), "repeat the event")
}

fn mint_refused(status: u16) -> Error {
    let what = format!("Docker Hub refuses to make a token (status {status})");
    match status {
        403 => Error::needs_human(
            what,
            "the manager secret must hold the dedicated user's own password login: no token can make tokens, and enforced SSO refuses passwords",
        ),
        _ => Error::needs_human(
            what,
            "try to make a read-only token by hand as the dedicated user, and see what Docker Hub says",
        ),
    }
}
