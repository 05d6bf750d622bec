//! Quiet periods: what is quiet, what was withheld, and the next step of one.

use std::collections::BTreeMap;

use tonic::Status;
use vonggac_wire::{
    Time,
    proto::{
        ChangeQuietReply, ChangeQuietRequest, QuietPeriod, QuietReply, QuietRequest, QuietScope,
        change_quiet_request::Change,
    },
};

use super::{
    Service, status,
    visit::{Asked, Visit},
};
use crate::{
    quiet::{
        Period, SUPPRESSION_DAYS_MAX, days,
        decide::{self, Ground, decide},
    },
    store::Withheld,
    trust::{door::Guest, scope::is_under},
};

/// How far back periods that are over are listed: four of the longest.
const LISTED_DAYS: u64 = 4 * SUPPRESSION_DAYS_MAX;

/// For the audit log.
pub(super) fn changed(request: &ChangeQuietRequest) -> Asked {
    match &request.change {
        Some(Change::Add(add)) => {
            let scope = add.scope.clone().unwrap_or_default();
            let words = format!(
                "add {} {} from={} until={} reason={:?}",
                add.kind,
                words(&scope),
                Time(add.from_unix_nano),
                Time(add.until_unix_nano),
                add.reason
            );
            Asked::about(&scope.agency, words)
        }
        Some(Change::End(end)) => format!("end {} reason={:?}", end.id, end.reason).into(),
        None => String::new().into(),
    }
}

fn words(scope: &QuietScope) -> String {
    let QuietScope { rule, agency, host, user, address, entity, system } = scope;
    let named = [
        ("rule", rule),
        ("agency", agency),
        ("host", host),
        ("user", user),
        ("address", address),
        ("entity", entity),
        ("system", system),
    ];
    let said = named.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(" ")
}

impl Service {
    pub(super) async fn quiet_periods(
        &self,
        guest: &Guest,
        request: &QuietRequest,
    ) -> Result<QuietReply, Status> {
        let now = Time::now();
        let since = if request.over { now.minus(days(LISTED_DAYS)) } else { now };
        let mut all = self.parts.store.quiet_periods(since).await.map_err(status)?;
        all.retain(|_, period| {
            let scope = &period.terms.scope;
            (request.over || period.stands(now))
                && (request.kind.is_empty() || request.kind == period.terms.kind.name())
                && (request.agency.is_empty()
                    || scope.agency.is_empty()
                    || is_under(&request.agency, &scope.agency)
                    || is_under(&scope.agency, &request.agency))
                && decide::is_shown(scope, guest)
        });
        let begun = all.values().map(|period| period.terms.begins).min();
        let withheld = match begun {
            Some(begun) => self.parts.store.withheld(begun).await.map_err(status)?,
            None => BTreeMap::new(),
        };
        let mut periods: Vec<QuietPeriod> =
            all.into_values().map(|period| told(period, &withheld, guest, now)).collect();
        periods.sort_by(|a, b| (a.until_unix_nano, &a.id).cmp(&(b.until_unix_nano, &b.id)));
        Ok(QuietReply { periods })
    }

    /// The next step of one.
    pub(super) async fn change_quiet_period(
        &self,
        visit: &mut Visit,
        request: ChangeQuietRequest,
    ) -> Result<ChangeQuietReply, Status> {
        let change = request
            .change
            .ok_or_else(|| Status::invalid_argument("the request names no change"))?;
        let _one = self.quieting.lock().await;
        let now = Time::now();
        let parts = &self.parts;
        let mut periods = parts.store.quiet_periods(now).await.map_err(status)?;
        let ground = Ground {
            periods: &periods,
            registry: &parts.registry,
            rules: &parts.rules.rules(),
            now,
        };
        let fresh = uuid::Uuid::new_v4().to_string();
        let event = match decide(ground, &change, &visit.guest, &fresh) {
            Ok(event) => event,
            Err(refusal) => {
                visit.under(&format!("refused: {refusal}"));
                return Ok(ChangeQuietReply { refused: refusal.to_string(), period: None });
            }
        };
        parts.store.insert_quiet(&event).await.map_err(status)?;
        if let Err(error) = parts.quiet.read().await {
            tracing::debug!(%error, "what is quiet is known a moment later");
        }
        visit.under(&format!("quiet period {}", event.id));
        let period = periods.remove(&event.id);
        let period = match period {
            Some(before) => Some(before.after(&event)),
            None => Period::all(std::slice::from_ref(&event)).remove(&event.id),
        };
        if let Some(period) = &period {
            visit.about(std::slice::from_ref(&period.terms.scope.agency));
        }
        let period = period.map(|period| period.into_proto(event.time));
        Ok(ChangeQuietReply { refused: String::new(), period })
    }
}

/// A period with what it withheld. Of one that holds for others, too, nobody else learns what it was.
fn told(
    period: Period,
    withheld: &BTreeMap<String, Withheld>,
    guest: &Guest,
    now: Time,
) -> QuietPeriod {
    let is_own = guest.scope.is_nation() || guest.scope.has_agency(&period.terms.scope.agency);
    let counted = withheld.get(&period.id).filter(|_| is_own).cloned().unwrap_or_default();
    QuietPeriod {
        withheld: counted.signals,
        withheld_events: counted.events,
        last_unix_nano: counted.last.saturating_mul(1_000),
        last_rule: counted.rule,
        last_entity: counted.entity,
        last_agency: counted.agency,
        ..period.into_proto(now)
    }
}
