//! The data's own way: how much, how late, what is missing.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use vonggac_wire::{
    Time,
    proto::{Agent, Cell, Flow, GapRow, HealthState as H, Indicator, WatchReply},
};

use crate::{
    figures::{Figures, Recent, percentile},
    indicator,
    store::{Store, ailing::Ailing, query::Reach, refusal::Refusal},
};

/// How often the store is asked for sums.
const ASK_INTERVAL: Duration = Duration::from_secs(10);

/// After so long without an answer the engine is not said to answer: two questions of before, and some seconds for a busy machine.
const ANSWERS_DUE: Duration = Duration::from_secs(30);

/// Gaps that are shown.
const GAPS_MAX: usize = 50;

/// Detection looks at the clock each second; a block that is being stored may hold it up for some.
const DETECTION_LATE: Duration = Duration::from_secs(10);

/// After so long without a look at the clock a silent agent is told too late.
const DETECTION_DOWN: Duration = Duration::from_secs(60);

/// How long the screen says that somebody was forgotten: the longest window of a rule of ours.
const EVICTION_SHOWN: Duration = Duration::from_secs(900);

/// Memory that the collector should stay within, for the screen.
const MEMORY_BYTES: u64 = 1 << 30;

/// What is asked of the store now and then.
#[derive(Clone, Default)]
pub(super) struct Slow {
    pub(super) indicators: Vec<Indicator>,
    gaps: Vec<GapRow>,
    lost: u64,
    dead_today: u64,
    store_bytes: u64,
    answers: bool,
}

/// The sums, asked for beside the picture, so that an engine that hangs does not stop the clock on consoles.
pub(super) struct Asked {
    newest: watch::Receiver<Slow>,
    seen: Instant,
}

impl Asked {
    /// Begins to ask.
    pub(super) fn spawn(store: Store, stop: CancellationToken) -> Self {
        let (tell, newest) = watch::channel(Slow::default());
        tokio::spawn(async move {
            let mut slow = Slow::default();
            loop {
                slow.refresh(&store, Time::now()).await;
                if tell.send(slow.clone()).is_err() {
                    return;
                }
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(ASK_INTERVAL) => {}
                }
            }
        });
        Self { newest, seen: Instant::now() }
    }

    /// The newest answers. Those that are overdue do not speak for the engine any longer.
    pub(super) fn newest(&mut self) -> Slow {
        if self.newest.has_changed().unwrap_or(false) {
            self.seen = Instant::now();
        }
        let mut slow = self.newest.borrow_and_update().clone();
        slow.answers &= self.seen.elapsed() < ANSWERS_DUE;
        slow
    }
}

impl Slow {
    async fn refresh(&mut self, store: &Store, now: Time) {
        let day = now.minus(Duration::from_secs(86_400));
        match store.usage(day, now, "", &Reach::Nation).await {
            Ok(sums) => {
                self.answers = true;
                self.indicators = indicator::national(&sums);
            }
            Err(error) => {
                self.answers = false;
                tracing::debug!(%error, "no sums");
            }
        }
        if let Ok(bytes) = store.bytes().await {
            self.store_bytes = bytes;
        }
        if let Ok(dead) = store.dead_count(midnight(now)).await {
            self.dead_today = dead;
        }
        if let Ok((gaps, lost)) = store.gaps_since(day, GAPS_MAX).await {
            (self.gaps, self.lost) = (gaps, lost);
        }
    }
}

pub(super) fn flow(
    picture: &WatchReply,
    figures: &Figures,
    slow: &Slow,
    ailing: Option<&Ailing>,
    now: Time,
) -> Flow {
    let on_agents = waiting(&picture.agents);
    figures.waiting(&on_agents, now);
    let mut recent = figures.recent();
    recent.roll(now);
    let behind_kafka = recent.behind.clone().unwrap_or_default();
    recent.detection_ticked = recent.detection_ticked.map(|ticked| ticked.min(now));
    let open =
        picture.incidents.iter().filter(|incident| incident.current_state().is_open()).count();
    let new = picture
        .incidents
        .iter()
        .filter(|incident| now.since(Time(incident.opened_unix_nano)) < Duration::from_secs(600))
        .count();
    let held: u64 = picture.agencies.iter().map(|agency| agency.events_held).sum();
    let numbered: u64 = picture.agencies.iter().map(|agency| agency.events_numbered).sum();
    figures.ailing(ailing.map_or(Duration::ZERO, |ailing| ailing.span.max(Duration::from_secs(1))));
    // A question of the chain that failed says it as well, until a block is stored again.
    let engine = engine(slow.answers && recent.store_down_since.is_none(), ailing);
    let behind = ailing.map(|ailing| now.minus(ailing.span));
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let rss = own_rss();
    figures.rss(rss);
    let mut flow = Flow {
        events_per_second: recent.events_per_second(),
        delay_p50_seconds: percentile(&recent.delays, 0.5),
        delay_p99_seconds: percentile(&recent.delays, 0.99),
        kafka_lag: recent.lag,
        partitions_held: recent.partitions,
        partitions_all: recent.partitions_all,
        events_held: held,
        events_numbered: numbered,
        events_waiting: numbered.saturating_sub(held + slow.lost),
        events_lost: slow.lost,
        dead_letters_today: slow.dead_today,
        duplicates_dropped: recent.duplicates,
        insert_p99_seconds: percentile(&recent.inserts, 0.99),
        rows_per_second: recent.events_per_second(),
        collector_rss_bytes: rss,
        memory_limit_bytes: MEMORY_BYTES,
        store_bytes: slow.store_bytes,
        rules: recent.rules,
        detection_keys: recent.detection_keys,
        agents_heard: small(
            picture
                .agents
                .iter()
                .filter(|agent| !matches!(agent.state(), H::Silent | H::NotConnected))
                .count(),
        ),
        agents_enrolled: small(picture.agents.len()),
        spool_bytes: picture.agents.iter().map(|agent| agent.spool_bytes).sum(),
        oldest_age_seconds: picture
            .agents
            .iter()
            .map(|agent| agent.oldest_age_seconds)
            .fold(0.0, f64::max),
        dropped_security: picture.agents.iter().map(|agent| agent.dropped_security).sum(),
        dropped_uptime: picture.agents.iter().map(|agent| agent.dropped_uptime).sum(),
        dropped_usage: picture.agents.iter().map(|agent| agent.dropped_usage).sum(),
        signals_grouped: recent.signals,
        incidents_open: small(open),
        incidents_new_10m: small(new),
        gaps: slow.gaps.clone(),
        #[expect(clippy::cast_precision_loss, reason = "cells of a sparkline")]
        rate_cells: recent.rates.iter().map(|rate| Cell { value: Some(*rate as f64) }).collect(),
        dead_letters: recent.dead.iter().cloned().collect(),
        engine_trouble: ailing.map(|ailing| ailing.refusal.name().to_owned()).unwrap_or_default(),
        engine_said: ailing.map(|ailing| ailing.said.clone()).unwrap_or_default(),
        engine_since_unix_nano: behind.map_or(0, |since| since.0),
        lag_seconds: behind_kafka.seconds,
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate, never negative"
        )]
        lag_bytes: behind_kafka.bytes.map(|bytes| bytes.round() as u64),
        incident_delay_p99_seconds: percentile(&recent.incident_delays, 0.99),
        ..Flow::default()
    };
    let in_kafka = behind_kafka.oldest.map(|oldest| (oldest.agency, oldest.seconds));
    let oldest = on_agents.into_iter().chain(in_kafka).max_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((agency, seconds)) = oldest {
        (flow.oldest_agency, flow.oldest_event_seconds) = (agency, Some(seconds));
    }
    flow.set_kafka(match recent.kafka_down_since {
        Some(_) => H::Down,
        None if recent.partitions > 0 => H::Fine,
        None => H::Unknown,
    });
    flow.set_engine(engine);
    flow.set_detection(detection(&recent, now));
    flow.set_book(if engine == H::Fine { H::Fine } else { H::Degraded });
    flow
}

/// By agency, how old the oldest event is that its agents have and Kafka has not. Of agents that are silent nobody knows.
fn waiting(agents: &[Agent]) -> BTreeMap<String, f64> {
    let mut oldest: BTreeMap<String, f64> = BTreeMap::new();
    for agent in agents {
        if matches!(agent.state(), H::Silent | H::NotConnected | H::Unknown | H::Unspecified) {
            continue;
        }
        let age = oldest.entry(agent.agency.clone()).or_default();
        *age = agent.oldest_age_seconds.max(*age);
    }
    oldest
}

/// The engine is as well as what was written to it last, and as its answers.
fn engine(answers: bool, ailing: Option<&Ailing>) -> H {
    match ailing.map(|ailing| ailing.refusal) {
        Some(Refusal::Slow) if answers => H::Degraded,
        None if answers => H::Fine,
        _ => H::Down,
    }
}

/// The nation's last midnight.
fn midnight(now: Time) -> Time {
    Time::from_seconds(super::day(now) * 86_400 - super::OFFSET_SECONDS)
}

/// Detection that does not look at the clock sees neither silence nor an outage; one that forgets whom it followed may miss an attack.
fn detection(recent: &Recent, now: Time) -> H {
    let Some(ticked) = recent.detection_ticked else { return H::Unknown };
    if now.since(ticked) > DETECTION_DOWN {
        H::Down
    } else if now.since(ticked) > DETECTION_LATE
        || recent.detection_evicted.is_some_and(|at| now.since(at) < EVICTION_SHOWN)
    {
        H::Degraded
    } else {
        H::Fine
    }
}

/// Resident bytes of this process.
fn own_rss() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()
        })
        .unwrap_or(0)
        * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detection_is_as_well_as_its_last_look_at_the_clock() {
        let now = Time::from_seconds(10_000);
        let before = |seconds| Some(now.minus(Duration::from_secs(seconds)));
        for (ticked, evicted, state) in [
            (None, None, H::Unknown),
            (before(1), None, H::Fine),
            (before(30), None, H::Degraded),
            (before(61), None, H::Down),
            (before(1), before(800), H::Degraded),
            (before(1), before(901), H::Fine),
        ] {
            let mut recent = Recent::default();
            (recent.detection_ticked, recent.detection_evicted) = (ticked, evicted);
            assert_eq!(detection(&recent, now), state, "{ticked:?} {evicted:?}");
        }
    }

    #[test]
    fn what_waits_on_silent_agents_is_not_known() {
        let agent = |agency: &str, state: H, seconds: f64| {
            let mut row =
                Agent { agency: agency.into(), oldest_age_seconds: seconds, ..Agent::default() };
            row.set_state(state);
            row
        };
        let agents = [
            agent("H49", H::Fine, 3.0),
            agent("H49", H::Degraded, 70.0),
            agent("H49", H::Silent, 900.0),
            agent("G22", H::Silent, 5.0),
            agent("H29", H::Fine, 0.0),
        ];
        let told = waiting(&agents);
        assert_eq!(told, BTreeMap::from([("H49".to_owned(), 70.0), ("H29".to_owned(), 0.0)]));
    }

    #[test]
    fn the_engine_is_as_well_as_what_was_written_last() {
        let ailing = |refusal| Ailing {
            refusal,
            what: "events",
            said: String::new(),
            span: Duration::from_secs(20),
        };
        assert_eq!(engine(true, None), H::Fine);
        assert_eq!(engine(false, None), H::Down);
        for refusal in Refusal::ALL {
            let expected = if refusal == Refusal::Slow { H::Degraded } else { H::Down };
            assert_eq!(engine(true, Some(&ailing(refusal))), expected, "{refusal:?}");
            assert_eq!(engine(false, Some(&ailing(refusal))), H::Down, "{refusal:?}");
        }
    }

    #[test]
    fn the_nations_day_begins_at_seventeen_hours_utc() {
        assert_eq!(midnight(Time::from_seconds(86_400 * 3)).seconds(), 86_400 * 3 - 7 * 3600);
        assert_eq!(
            midnight(Time::from_seconds(86_400 * 3 - 7 * 3600)).seconds(),
            86_400 * 3 - 7 * 3600
        );
    }
}
