//! Reads the connector, its neighbours, the connector that the secret kept before, and connectors elsewhere.

use futures_util::future::join3;
use hubkeeper_core::connector::Found;
use hubkeeper_core::error::Error;
use hubkeeper_core::ids::Fingerprint;
use hubkeeper_core::plan::World;
use hubkeeper_core::plan::state::OffboardedConnector;
use hubkeeper_core::report::{Change, ConnectorReport, Report};
use hubkeeper_core::request::Trigger;
use hubkeeper_core::secret::document::ConnectorId;
use hubkeeper_core::secret::{Kept, Managed};
use hubkeeper_core::warning::{Warning, WarningCode};

use crate::clients::Services;

/// Reads the connector, and its neighbours of the same organization.
pub(crate) async fn read(
    services: &Services,
    trigger: &Trigger,
    world: &mut World,
    report: &mut Report,
) -> Result<(), Error> {
    let reconciles = matches!(trigger, Trigger::Reconcile { .. });
    let ends = matches!(trigger, Trigger::Offboard) || (reconciles && world.is_offboarded());
    let document = world.document.as_ref().or(world.current.as_ref().map(|current| &current.document));
    let named = document.map(|document| OffboardedConnector {
        organization: document.organization.clone(),
        connector: document.connector.id.clone(),
    });
    let subject = if ends { world.offboarded_connector() } else { named };
    let Some(OffboardedConnector { organization, connector: id }) = subject else { return Ok(()) };
    let fingerprint = world.secret.fingerprint();
    let reconciles = reconciles && world.secret.managed() == Managed::Yes;
    let looks = reconciles || matches!(trigger, Trigger::Onboard { .. } | Trigger::CandidateStaged { .. });
    let neighbours = async {
        if looks { neighbours(services, &id, &organization, &fingerprint).await } else { Neighbours::default() }
    };
    let health = async { if reconciles { services.arm.health(&id).await } else { None } };
    let (read, neighbours, health) = Box::pin(join3(services.arm.read(&id), neighbours, health)).await;
    world.keeping.has_twin = neighbours.has_twin;
    if let Some(warning) = neighbours.warning {
        report.warn(warning);
    }
    let found = read.and_then(|read| if ends { Ok(read.or_absent()) } else { read.required() });
    if matches!(&found, Ok(Found::Present(_))) && health.is_some() {
        if health.as_ref().is_some_and(|health| !health.is_healthy()) {
            report.warn(Warning::new(WarningCode::ConnectorNotHealthy,
                "Defender reports the connector as not healthy: see `connector.health`, and the connector in the portal",
            ));
        }
        report.connector = Some(ConnectorReport { id: id.to_string(), change: Change::None, health });
    }
    match (found, trigger) {
        (Ok(found), _) => {
            world.connector = Some(found);
            if report.connector.is_none() {
                report.connector(id.to_string(), Change::None);
            }
        }
        // a verify needs no connector: its version would only add a view to compare with
        (Err(error), Trigger::Verify { .. }) => {
            report
                .warn(Warning::new(WarningCode::ConnectorUnknown, format!("the connector could not be read: {error}")));
            world.connector = Some(Found::Absent);
        }
        (Err(error), _) => return Err(error),
    }
    Ok(())
}

/// The other connectors of the organization in the resource group.
#[derive(Default)]
pub(crate) struct Neighbours {
    /// A warning with their names.
    pub(crate) warning: Option<Warning>,
    /// Whether one of them carries this secret's fingerprint.
    pub(crate) has_twin: bool,
}

/// Reads the other connectors of the organization in the resource group. A failed listing is not reported.
pub(crate) async fn neighbours(
    services: &Services,
    id: &ConnectorId,
    organization: &str,
    fingerprint: &Fingerprint,
) -> Neighbours {
    let Ok(others) = services.arm.others(id, organization, fingerprint).await else { return Neighbours::default() };
    let names: Vec<&str> = others.iter().map(|other| other.name.as_str()).collect();
    let warning = (!names.is_empty()).then(|| {
        Warning::new(
            WarningCode::OtherConnectors,
            format!("the resource group has other connectors of this organization: {}", names.join(", ")),
        )
    });
    Neighbours { warning, has_twin: others.iter().any(|other| other.is_ours) }
}

/// Reads the connector that the tag of an offboarded secret names.
pub(crate) async fn read_former(services: &Services, world: &mut World) -> Result<(), Error> {
    let Kept::Connector(kept) = world.secret.kept() else { return Ok(()) };
    world.keeping.former = Some(services.arm.read(&kept.connector).await?.or_absent());
    Ok(())
}

/// Reads the connectors elsewhere in the subscription that carry the secret's fingerprint. Finds none if the role does
/// not permit the list.
pub(crate) async fn look_elsewhere(services: &Services, world: &mut World) -> Result<(), Error> {
    let document = world.document.as_ref().or(world.current.as_ref().map(|current| &current.document));
    let Some(id) = document.map(|document| document.connector.id.clone()) else { return Ok(()) };
    let elsewhere = services.arm.bearing(&id, &world.secret.fingerprint()).await?;
    world.keeping.elsewhere = Some(elsewhere.unwrap_or_default());
    Ok(())
}
