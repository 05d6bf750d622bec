//! Runs the probes, each at its interval, at most a few at once.

use std::sync::Arc;

use rand::Rng;
use tokio::{sync::Semaphore, task::JoinSet};
use vonggac_wire::{
    Event, Time,
    event::{Body, CheckOutcome},
};

use super::{Running, Source, SourceContext};
use crate::{
    config::ProbeConfig,
    intake::{Chunk, Entry},
    probe,
};

/// Probes at once: hundreds of them take turns, so that the agent is never a load test. Where all of them wait for a network that is
/// gone, five seconds each, seven hundred still come round twice a minute.
const RUNNING_MAX: usize = 128;

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

/// The part of an interval after which a first failure is looked at again.
const AGAIN: f64 = 0.25;

async fn repeat(config: ProbeConfig, context: SourceContext, places: Arc<Semaphore>) {
    // Probes that begin together are spread, once: the rhythm itself stays even.
    let jitter = config.jitter.mul_f64(rand::rng().random_range(0.0..=1.0));
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + jitter, config.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut failed = false;
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
        // A first failure is looked at again soon, so that two of them are known within two intervals.
        let down = check.outcome() == CheckOutcome::Down;
        if down && !failed {
            ticks.reset_after(config.interval.mul_f64(AGAIN));
        }
        failed = down;
        let event = Event::new(begun, Time::now(), Body::Check(check))
            .with_source(&format!("probe:{}", config.name), 0)
            .with_system(&config.system);
        let chunk = Chunk { entries: vec![Entry { event, position: None }], ..Chunk::default() };
        if context.intake.send(chunk).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_first_failure_is_looked_at_again_within_half_an_interval() {
        // Nobody listens at the port for multiplexing.
        let config = crate::probe::tests::probe(
            "kind = \"tcp\"\ntarget = \"127.0.0.1:1\"\ninterval = \"4s\"\njitter = \"0s\"\nretries = 0",
        );
        let (intake, mut chunks) = crate::intake::queue();
        let context = super::super::collecting::fresh(intake);
        let stop = context.shutdown.clone();
        let running = tokio::spawn(repeat(config, context, Arc::new(Semaphore::new(1))));
        let mut times = Vec::new();
        for _ in 0..2 {
            let chunk = chunks.recv().await.unwrap();
            times.push(chunk.entries[0].event.time());
        }
        stop.cancel();
        running.await.unwrap();
        assert!(times[1].since(times[0]) < Duration::from_secs(2), "{times:?}");
    }
}
