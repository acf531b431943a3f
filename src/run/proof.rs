//! Proves the token of a round, and puts the result into state and report.

use hubkeeper_core::error::Error;
use hubkeeper_core::ids::VersionId;
use hubkeeper_core::plan::refusals::refusal;
use hubkeeper_core::plan::{Recheck, State, World};
use hubkeeper_core::proof::Finding;
use hubkeeper_core::request::Trigger;

use super::Flow;
use crate::prove::{self, Proof};

impl Flow<'_> {
    /// Proves the pending version for setSecret while it reads the connector.
    pub(super) async fn read_and_prove(&mut self, state: &mut State) -> Result<Option<Recheck>, Error> {
        let since = self.services.now();
        let examined = prove::examine_while_reading(self.services, &mut state.world, self.report).await;
        if !examined.as_ref().is_ok_and(|examined| examined.verdict.is_none()) {
            self.report.stage(since, self.services.now(), "prove", &examined);
        }
        let examined = examined?;
        if let Some(verdict) = &examined.verdict {
            self.report.note_verdict(verdict);
        }
        if let Some(verdict) = examined.verdict {
            state.progress.note_proven(&state.world.version, verdict);
        }
        Ok(examined.recheck)
    }

    pub(super) async fn prove(&mut self, state: &mut State, version: &VersionId) -> Result<Option<Recheck>, Error> {
        let since = self.services.now();
        let examined = prove::examine(self.services, &state.world, version, self.trigger.clone()).await;
        self.report.stage(since, self.services.now(), "prove", &examined);
        let Proof { verdict, recheck } = examined?;
        self.report.note_verdict(&verdict);
        if matches!(self.trigger, Trigger::Verify { .. }) && verdict.result == Finding::Inconclusive {
            return Err(refusal(&verdict));
        }
        state.progress.note_proven(version, verdict);
        if matches!(self.trigger, Trigger::TestSecret) {
            // a rotation test: the pending version has no value to prove, and AWSCURRENT was proven
            self.report.version_id = Some(version.to_owned());
        }
        Ok(recheck)
    }

    pub(super) async fn test(&mut self, world: &World, version: &VersionId) -> Result<(), Error> {
        let since = self.services.now();
        let verdict = prove::sample(self.services, world, version).await;
        self.report.stage(since, self.services.now(), "test", &verdict);
        let verdict = verdict?;
        if !verdict.is_complete() {
            let refused = refusal(&verdict);
            self.report.verdict = Some(verdict);
            return Err(refused);
        }
        self.report.reason = Some("the connector carries the pending version, and its token logs in and pulls".into());
        Ok(())
    }
}
