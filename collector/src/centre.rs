//! The centre as one of the systems that it watches: what is wrong with itself, or attacks it, is a signal of its own.

use std::collections::BTreeMap;

use vonggac_wire::{
    Time,
    proto::{Signal, SignalKind},
};

use crate::registry::Registry;

/// The centre's code in the registry.
pub const SYSTEM: &str = "monitoring-centre";

/// A signal of the centre that was raised now, without the entity and the place that make it one of its rule.
#[must_use]
pub fn signal(rule: &str, severity: u32, registry: &Registry, now: Time) -> Signal {
    let agency = registry.system(SYSTEM).map(|system| system.owner.clone()).unwrap_or_default();
    let (short_vi, short_en) = registry.short_name(&agency);
    Signal {
        rule: rule.into(),
        kind: SignalKind::Raised.into(),
        severity,
        agency,
        system: SYSTEM.into(),
        count: 1,
        first_time_unix_nano: now.0,
        last_time_unix_nano: now.0,
        values: BTreeMap::from([
            ("agency_vi".to_owned(), short_vi),
            ("agency_en".to_owned(), short_en),
        ]),
        found_time_unix_nano: now.0,
        ..Signal::default()
    }
}
