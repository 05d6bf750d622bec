//! Runs the probes, each at its interval, at most a few at once.

use std::sync::Arc;

use rand::Rng;
use tokio::{sync::Semaphore, task::JoinSet};
use vonggac_wire::{Event, Time, event::Body};

use super::{Running, Source, SourceContext};
use crate::{
    config::ProbeConfig,
    intake::{Chunk, Entry},
    probe,
};

/// Probes at once: hundreds of them take turns, so that the agent is never a load test.
const RUNNING_MAX: usize = 32;

pub(super) struct Probes {
    configs: Vec<ProbeConfig>,
}

impl Probes {
    pub(super) const fn new(configs: Vec<ProbeConfig>) -> Self {
        Self { configs }
    }
}

impl Source for Probes {
    fn name(&self) -> String {
        "probes".into()
    }

    fn settings(&self) -> String {
        format!("probes {:?}", self.configs)
    }

    fn run(&self, context: SourceContext) -> Running {
        let configs = self.configs.clone();
        Box::pin(async move {
            let places = Arc::new(Semaphore::new(RUNNING_MAX));
            let mut tasks = JoinSet::new();
            for config in configs {
                tasks.spawn(repeat(config, context.clone(), Arc::clone(&places)));
            }
            while tasks.join_next().await.is_some() {}
            Ok(())
        })
    }
}

async fn repeat(config: ProbeConfig, context: SourceContext, places: Arc<Semaphore>) {
    // Probes that begin together are spread, once: the rhythm itself stays even.
    let jitter = config.jitter.mul_f64(rand::rng().random_range(0.0..=1.0));
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + jitter, config.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = context.shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let begun = Time::now();
        let check = tokio::select! {
            () = context.shutdown.cancelled() => return,
            check = probe::run(&config, &places) => check,
        };
        let event = Event::new(begun, Time::now(), Body::Check(check))
            .with_source(&format!("probe:{}", config.name), 0)
            .with_system(&config.system);
        let chunk = Chunk { entries: vec![Entry { event, position: None }], ..Chunk::default() };
        if context.intake.send(chunk).await.is_err() {
            return;
        }
    }
}
