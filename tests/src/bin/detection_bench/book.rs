//! Transitions of the incident book a second and core.

use std::{collections::HashMap, hint::black_box, sync::Arc};

use system_tests::machine::worked;
use vonggac_collector::{incident::IncidentBook, registry::Registry, rule::RuleSet};
use vonggac_wire::{
    Time,
    proto::{Entity, Origin, Signal, SignalKind},
};

use crate::Options;

/// Signals of one measurement.
const SIGNALS: u64 = 200_000;

/// Incidents among which they are.
const GROUPS: [u64; 3] = [20, 2_000, 20_000];

const NOW: Time = Time::from_seconds(1_795_000_000);

fn signal(number: u64, groups: u64) -> anyhow::Result<Signal> {
    let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number % groups)?);
    Ok(Signal {
        rule: "ssh-brute-force".into(),
        kind: SignalKind::Raised.into(),
        severity: 2,
        entity: Some(Entity { kind: "src_ip".into(), value: address.to_string() }),
        group: address.to_string(),
        agency: "H49".into(),
        host: "web-1".into(),
        count: 40,
        first_time_unix_nano: NOW.0,
        last_time_unix_nano: NOW.0,
        origin: Some(Origin { topic: "t".into(), partition: 0, offset: i64::try_from(number)? }),
        ..Signal::default()
    })
}

pub(crate) fn measure(options: &Options) -> anyhow::Result<()> {
    println!("\n## The incident book\n");
    println!(
        "| signals | incidents | transitions | transitions per second and core |\n|---|---|---|---|"
    );
    let rules = Arc::new(RuleSet::builtin()?);
    let registry = Arc::new(Registry::builtin()?);
    for groups in GROUPS {
        let signals: Vec<Signal> = (0..options.of(SIGNALS))
            .map(|number| signal(number, groups))
            .collect::<Result<_, _>>()?;
        let (rules, registry) = (Arc::clone(&rules), Arc::clone(&registry));
        let mut book = IncidentBook::new(rules, registry, Vec::new(), HashMap::new(), Vec::new());
        let (begun, mut transitions) = (worked(), 0);
        for signal in &signals {
            transitions += black_box(book.apply_signal(signal, NOW)).len();
        }
        let seconds = worked() - begun;
        println!(
            "| {} | {} | {transitions} | {:.0} |",
            signals.len(),
            book.incidents().count(),
            transitions as f64 / seconds
        );
    }
    Ok(())
}
