//! A record that cannot be opened holds no partition up: it is passed over, told as a gap with its place, and as an attack.

use std::collections::BTreeMap;

use vonggac_wire::{
    Time,
    proto::{Entity, Origin, Signal, SignalKind},
};

use super::{Pipeline, PipelineError};
use crate::{consume::unopened, registry::Registry, rule::RuleSet, tenure::Key};

/// The rule.
const RULE: &str = "record-unopened";

/// The system that is attacked: the centre itself.
const SYSTEM: &str = "monitoring-centre";

impl Pipeline {
    /// Looks which partitions stand in front of a record that cannot be opened, and takes them over anew behind it.
    pub(super) async fn pass_unopened(&mut self) -> Result<(), PipelineError> {
        let places =
            self.consumer.waiting(self.partitions.iter().map(|(key, state)| (key, state.position)));
        if places.is_empty() {
            return Ok(());
        }
        let config = self.parts.config.clone();
        let finding = tokio::task::spawn_blocking(move || unopened::find(&config, &places));
        let found = match finding.await {
            Ok(found) => found?,
            Err(error) => {
                tracing::error!(%error, "looking for what cannot be opened broke off");
                return Ok(());
            }
        };
        if found.is_empty() {
            return Ok(());
        }
        self.unopened = found;
        self.take_anew().await
    }
}

/// What is told of records that were passed over, up to `next`.
pub(super) fn signal(
    key: &Key,
    (from, next): (i64, i64),
    registry: &Registry,
    rules: &RuleSet,
    now: Time,
) -> Option<Signal> {
    let meta = rules.machine(RULE)?;
    let agency = registry.system(SYSTEM).map(|system| system.owner.clone()).unwrap_or_default();
    let (short_vi, short_en) = registry.short_name(&agency);
    let place = format!("{}/{}", key.0, key.1);
    let count = u64::try_from(next - from).unwrap_or(0);
    let values = BTreeMap::from([
        ("agency_vi".to_owned(), short_vi),
        ("agency_en".to_owned(), short_en),
        ("place".to_owned(), place.clone()),
        ("count".to_owned(), count.to_string()),
    ]);
    Some(Signal {
        rule: RULE.into(),
        kind: SignalKind::Raised.into(),
        severity: meta.severity,
        entity: Some(Entity { kind: "place".into(), value: place.clone() }),
        group: place,
        agency,
        system: SYSTEM.into(),
        host: String::new(),
        count,
        first_time_unix_nano: now.0,
        last_time_unix_nano: now.0,
        origin: Some(Origin { topic: key.0.clone(), partition: key.1, offset: next - 1 }),
        evidence: Vec::new(),
        values,
        simulated: false,
        found_time_unix_nano: now.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_passed_over_is_an_attack_on_the_centre_at_that_place() {
        let (registry, rules) = (Registry::builtin().unwrap(), RuleSet::builtin().unwrap());
        let key = ("vonggac.security.v1".to_owned(), 3);
        let told = signal(&key, (10, 12), &registry, &rules, Time::from_seconds(5)).unwrap();
        assert_eq!((told.agency.as_str(), told.count), ("G22", 2));
        assert_eq!(told.values["place"], "vonggac.security.v1/3");
        assert_eq!(told.origin.unwrap().offset, 11);
    }
}
