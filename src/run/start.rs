//! Reads the state at the start of a round.

use futures_util::future::join;
use hubkeeper_core::error::Error;
use hubkeeper_core::plan::Admission;
use hubkeeper_core::plan::membership::carries_on;
use hubkeeper_core::request::Trigger;

use super::{Begun, Flow, report};
use crate::read::{connector, inventory, state};

impl Flow<'_> {
    /// Reads labels, documents and connector. Returns `None` if the event is not admitted.
    pub(super) async fn read(&mut self, organization: &mut Option<String>) -> Result<Option<Begun>, Error> {
        let trigger = &self.trigger;
        let entered = state::enter(self.services, self.request, trigger).await?;
        self.report.secret_id = Some(entered.secret.arn.clone());
        let (version, label) = match entered.admission {
            Admission::Version { version, label } => (version, label),
            Admission::Nothing { outcome, reason } => {
                self.report.version_id.clone_from(&self.request.version);
                self.report.outcome = outcome;
                self.report.reason = Some(reason);
                return Ok(None);
            }
        };
        self.report.version_id = Some(version.clone());
        let stack = self.request.stack.clone();
        let mut state =
            state::documents(self.services, trigger, entered.secret, version, label, entered.value, stack).await?;
        let known = state.world.document.as_ref().or(state.world.current.as_ref().map(|current| &current.document));
        let named = known.map(|document| document.organization.clone());
        *organization = named.or_else(|| state.world.offboarded_connector().map(|known| known.organization));
        let lists = matches!(trigger, Trigger::Reconcile { .. })
            && state.world.document.as_ref().is_some_and(|document| document.manager.is_some());
        if matches!(trigger, Trigger::Onboard { .. } | Trigger::CandidateStaged { .. } | Trigger::Reconcile { .. })
            && !lists
        {
            // a reconcile that lists the PATs compares the values instead
            for warning in inventory::copied_ids(&state.world) {
                self.report.warn(warning);
            }
        }
        let look = match trigger {
            Trigger::CreateSecret | Trigger::RotationEnded { .. } => None,
            // reads the connector during the proof
            Trigger::SetSecret if state.world.document.is_some() => self.read_and_prove(&mut state).await?,
            // the dedicated user may not exist yet: its login would fail and count towards a lock-out
            Trigger::Reconcile { .. } if !carries_on(&state.world) => {
                let (secret, document) = (state.world.secret.clone(), state.world.document.clone());
                let listed = inventory::list(self.services, &secret, document.as_ref());
                let read = connector::read(self.services, trigger, &mut state.world, self.report);
                let (read, listed) = join(Box::pin(read), Box::pin(listed)).await;
                read?;
                state.world.pats = listed;
                None
            }
            _ => {
                Box::pin(connector::read(self.services, trigger, &mut state.world, self.report)).await?;
                None
            }
        };
        report::note_connector(self.report, self.request, &state.world);
        Ok(Some(Begun { state, look }))
    }
}
