//! Why it is quiet at an agency: what detection holds, what the store has, and how the agency is.

use std::collections::BTreeSet;

use tokio::sync::oneshot;
use tonic::Status;
use vonggac_wire::{
    AgencyId, Time,
    proto::{HealthState, WhyReply, WhyRequest},
};

use super::{Parts, asking, status, visit::Asked};
use crate::{
    detect::near::{About, Near},
    pipeline::questions::Question,
    trust::{denial::Denial, door::Guest},
    why,
};

/// How far back, if nobody says: what a window holds is not older.
const SINCE_SECONDS: u64 = 2 * 3_600;

/// Hosts of an agency whose windows are looked for.
const HOSTS_MAX: usize = 5_000;

/// For the audit log.
pub(super) fn words(request: &WhyRequest) -> Asked {
    Asked::about(&request.agency, format!("agency={} rule={}", request.agency, request.rule))
}

pub(super) async fn answer(
    parts: &Parts,
    place: &asking::Question,
    guest: &Guest,
    request: WhyRequest,
) -> Result<WhyReply, Status> {
    let agency = AgencyId::folded(&request.agency)
        .map_err(|error| Status::invalid_argument(format!("the agency {error}")))?
        .to_string();
    if !guest.scope.has_agency(&agency) {
        return Err(Denial::Agency(agency).into());
    }
    let now = Time::now();
    let since = match request.since_unix_nano {
        0 => now.minus(std::time::Duration::from_secs(SINCE_SECONDS)),
        since => Time(since),
    };
    // When the caller leaves, the engine is told to stop.
    let store = place.running.store();
    let sources = store.sources(&agency, since).await.map_err(status)?;
    let hosts: BTreeSet<(String, String)> =
        sources.iter().map(|source| (source.agency.clone(), source.host.clone())).collect();
    let about = About {
        agency: agency.clone(),
        hosts: hosts.into_iter().take(HOSTS_MAX).collect(),
        rule: request.rule.clone(),
        since,
    };
    let (answer, answered) = oneshot::channel();
    let asked = parts.detection.send(Question { about, answer }).await;
    // A chain that is ending holds nothing.
    let held = match asked {
        Ok(()) => answered.await.unwrap_or_default(),
        Err(_) => Default::default(),
    };
    let mut near = held.near;
    Near::sort(&mut near);
    let withheld = store.withheld_of(&agency, since).await.map_err(status)?;
    let periods = store.quiet_periods(since).await.map_err(status)?;
    let (picture, rules) = (parts.nation.now(), parts.rules.rules());
    let row = picture.agencies.iter().find(|row| row.code == agency);
    let (rows, cut) = why::rows(&why::Seen {
        agency: &agency,
        rule: &request.rule,
        since,
        state: row.map_or(HealthState::Unknown, |row| row.state()),
        near,
        withheld,
        periods: &periods,
        incidents: &picture.incidents,
        sources: &sources,
        rules: &rules,
        refused: &parts.rules.refused(),
        is_learnt: row.is_none_or(|row| row.baseline.is_some()),
    });
    Ok(WhyReply {
        rows,
        cut,
        partitions_held: held.partitions,
        partitions_all: u32::try_from(parts.partitions).unwrap_or(0),
        rebuilding: held.rebuilding,
    })
}
