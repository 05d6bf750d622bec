//! The task that owns the picture: takes records and incidents, tells every console the same deltas once a second.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use vonggac_wire::{
    Time,
    proto::{Incident, WatchReply},
};

use super::{Baselines, Nation, flow};
use crate::{
    figures::{Figures, Part},
    quiet::known::Known,
    record::Record,
    rule::reload::Ruling,
    store::{Store, baseline},
    tail::Tail,
};

mod missed;

/// The picture as consoles follow it.
#[derive(Clone)]
pub struct Picture {
    whole: watch::Receiver<Arc<WatchReply>>,
    deltas: broadcast::Sender<Arc<WatchReply>>,
    tail: Tail,
}

impl Picture {
    /// The events that the picture is made of, as they come.
    #[must_use]
    pub const fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The newest whole picture, and the deltas after it.
    #[must_use]
    pub fn follow(&self) -> (Arc<WatchReply>, broadcast::Receiver<Arc<WatchReply>>) {
        let deltas = self.deltas.subscribe();
        (Arc::clone(&self.whole.borrow()), deltas)
    }

    /// The newest whole picture.
    #[must_use]
    pub fn now(&self) -> Arc<WatchReply> {
        Arc::clone(&self.whole.borrow())
    }
}

/// Deltas that a slow console may be behind before it has to begin anew.
const DELTAS_MAX: usize = 32;

/// Owns the picture: takes records and incidents, tells once a second.
#[must_use]
pub fn spawn(
    (mut nation, ruling): (Nation, Ruling),
    mut records: mpsc::Receiver<Arc<Record>>,
    mut changes: broadcast::Receiver<Arc<Incident>>,
    figures: Figures,
    (store, quiet): (Store, Known),
    stop: CancellationToken,
) -> Picture {
    let first = Arc::new(nation.whole(Time::now()));
    let (tell, whole) = watch::channel(first);
    let (deltas, _) = broadcast::channel(DELTAS_MAX);
    let tail = Tail::spawn();
    let picture = Picture { whole, deltas: deltas.clone(), tail: tail.clone() };
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut asked = flow::Asked::spawn(store.clone(), stop.clone());
        let mut usual = spawn_baselines(store.clone(), stop.clone());
        let mut missed = missed::spawn(store.clone(), tell.subscribe(), stop.clone());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(record) = records.recv() => {
                    figures.kept(&record);
                    tail.offer(&record);
                    nation.apply(&record, Time::now());
                }
                Ok(incident) = changes.recv() => nation.apply_incident(&incident),
                Some(incident) = missed.recv() => nation.apply_incident(&incident),
                Some(baselines) = usual.recv() => nation.apply_baselines(baselines),
                _ = ticks.tick() => {
                    let now = Time::now();
                    let (slow, ailing) = (asked.newest(), store.ailing());
                    nation.renew(ruling.rules());
                    nation.tick(now);
                    nation.apply_quiet(quiet.now());
                    let mut fresh = nation.whole(now);
                    fresh.indicators.clone_from(&slow.indicators);
                    fresh.flow = Some(flow::flow(&fresh, &figures, &slow, ailing.as_ref(), now));
                    figures.holds(Part::PictureRecords, records.len());
                    figures.holds(Part::PictureDeltas, deltas.len());
                    figures.holds(Part::PictureAgents, fresh.agents.len());
                    figures.holds(Part::PictureChecks, fresh.checks.len());
                    figures.holds(Part::PictureIncidents, fresh.incidents.len());
                    let fresh = Arc::new(fresh);
                    let delta = delta(&tell.borrow(), &fresh);
                    tell.send_replace(fresh);
                    let _nobody_watches = deltas.send(Arc::new(delta));
                }
            }
        }
    });
    picture
}

/// What is usual, asked for now and then beside the picture: a slow answer never holds it back.
fn spawn_baselines(store: Store, stop: CancellationToken) -> mpsc::Receiver<Baselines> {
    let (tell, told) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            match store.baselines(Time::now()).await {
                Ok(baselines) => {
                    if tell.send(baselines).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::debug!(%error, "no baselines"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(baseline::ASK_INTERVAL) => {}
            }
        }
    });
    told
}

/// What is new in `fresh`.
pub(super) fn delta(old: &WatchReply, fresh: &WatchReply) -> WatchReply {
    fn changed<T: PartialEq + Clone, K: std::hash::Hash + Eq>(
        old: &[T],
        fresh: &[T],
        key: impl Fn(&T) -> K,
    ) -> Vec<T> {
        let known: HashMap<K, &T> = old.iter().map(|row| (key(row), row)).collect();
        fresh
            .iter()
            .filter(|row| known.get(&key(row)).is_none_or(|old| *old != *row))
            .cloned()
            .collect()
    }
    WatchReply {
        snapshot: false,
        time_unix_nano: fresh.time_unix_nano,
        newest_event_unix_nano: fresh.newest_event_unix_nano,
        simulated: fresh.simulated,
        agencies: changed(&old.agencies, &fresh.agencies, |row| row.code.clone()),
        systems: changed(&old.systems, &fresh.systems, |row| (row.agency.clone(), row.id.clone())),
        agents: changed(&old.agents, &fresh.agents, |row| row.agent.clone()),
        checks: changed(&old.checks, &fresh.checks, |row| (row.agent.clone(), row.name.clone())),
        incidents: changed(&old.incidents, &fresh.incidents, |row| row.id),
        indicators: changed(&old.indicators, &fresh.indicators, |row| {
            (row.id.clone(), row.agency.clone())
        }),
        flow: fresh.flow.clone(),
        duties: Vec::new(),
    }
}
