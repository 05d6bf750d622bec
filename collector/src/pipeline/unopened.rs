//! A record that cannot be opened holds no partition up: it is passed over, told as a gap with its place, and as an attack.

use vonggac_wire::{
    Time,
    proto::{Entity, Origin, Signal},
};

use super::{Pipeline, PipelineError};
use crate::{centre, consume::unopened, registry::Registry, rule::RuleSet, tenure::Key};

/// The rule.
const RULE: &str = "record-unopened";

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
    let place = format!("{}/{}", key.0, key.1);
    let mut signal = Signal {
        entity: Some(Entity { kind: "place".into(), value: place.clone() }),
        group: place.clone(),
        count: u64::try_from(next - from).unwrap_or(0),
        origin: Some(Origin { topic: key.0.clone(), partition: key.1, offset: next - 1 }),
        ..centre::signal(RULE, meta.severity, registry, now)
    };
    let count = signal.count.to_string();
    signal.values.extend([("place".to_owned(), place), ("count".to_owned(), count)]);
    Some(signal)
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
