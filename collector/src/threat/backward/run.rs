//! Searches stored events for entries that are new, while this collector leads the incident book: one statement at a time, with a pause behind
//! each as long as it took, so that the engine's other work never waits for more than one of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use vonggac_daemon::log::Harmless;
use vonggac_wire::Time;

use super::{Found, fresh, slices, waiting, went};
use crate::{
    figures::Figures,
    kafka::Producer,
    pipeline::send_signals,
    rule::RuleSet,
    store::{
        Store, StoreError,
        threat::{HITS_MAX, Known, Look, Place, State},
    },
    tenure::Tenure,
    threat::{
        ThreatList,
        entry::{Entry, Kind},
        reload::{InForce, Threats},
    },
};

/// How often it is looked whether lists have changed.
const LOOK: Duration = Duration::from_secs(5);

/// How long a search rests that failed.
const RETRY: Duration = Duration::from_secs(60);

/// Entries of one statement: a set is looked up in one step however large it is, and two million entries are a hundred searches.
const ENTRIES_MAX: usize = 20_000;

/// Networks of one statement: each is compared by itself.
const NETWORKS_MAX: usize = 500;

/// The pause behind a statement, at least and at most.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What the search needs.
pub struct Parts {
    /// The lists.
    pub threats: Threats,
    /// Events, and how far they were searched.
    pub store: Store,
    /// The rules under whose names is told.
    pub rules: Arc<RuleSet>,
    /// For signals.
    pub producer: Producer,
    /// Whether this collector leads the book.
    pub leads: watch::Receiver<Option<Tenure>>,
    /// For what is not searched yet.
    pub figures: Figures,
}

/// Why a search did not come to its end.
#[derive(Debug, thiserror::Error)]
enum Unfinished {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("go on with the search: another collector leads the incident book")]
    Elsewhere,
}

/// Searches until it is told to stop. What is given up is begun again where it was by whoever leads next.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let mut searched: Option<Arc<ThreatList>> = None;
    let mut wait = LOOK;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = LOOK;
        if !parts.is_leading() {
            parts.figures.threats_unsearched(None);
            searched = None;
            continue;
        }
        let in_force = parts.threats.in_force();
        if searched.as_ref().is_some_and(|searched| Arc::ptr_eq(searched, &in_force.list)) {
            continue;
        }
        let outcome = tokio::select! {
            () = stop.cancelled() => return,
            outcome = parts.search(searched.as_ref(), &in_force) => outcome,
        };
        match outcome {
            Ok(()) => searched = Some(in_force.list),
            Err(Unfinished::Elsewhere) => {}
            Err(error) => {
                wait = RETRY;
                let error = Harmless(&error.to_string()).to_string();
                tracing::warn!(
                    error,
                    "stored events are not searched for threat lists; it is tried again"
                );
            }
        }
    }
}

impl Parts {
    fn is_leading(&self) -> bool {
        self.leads.borrow().is_some()
    }

    async fn search(
        &self,
        before: Option<&Arc<ThreatList>>,
        in_force: &InForce,
    ) -> Result<(), Unfinished> {
        if let Some(before) = before {
            self.note_gone(before, &in_force.list).await?;
        }
        let mut left = self.note_fresh(in_force).await?;
        self.figures.threats_unsearched(Some(left));
        if left == 0 {
            return Ok(());
        }
        tracing::info!(
            entries = left,
            "stored events are searched for entries of threat lists that are new"
        );
        let (mut found, mut left_out) = (0, 0);
        let mut entries = in_force.list.entries();
        loop {
            let chunk: Vec<Entry> = entries.by_ref().take(ENTRIES_MAX).collect();
            if chunk.is_empty() {
                break;
            }
            let known = self.store.threat_entries(&numbers(&chunk)).await?;
            for (span, entries) in waiting(chunk, &known) {
                left = left.saturating_sub(entries.len());
                let told = self.search_span(span, entries).await?;
                (found, left_out) = (found + told.0, left_out + told.1);
                self.figures.threats_unsearched(Some(left));
            }
        }
        self.figures.threats_unsearched(Some(0));
        tracing::info!(found, left_out, "stored events were searched for entries of threat lists");
        Ok(())
    }

    /// Writes down what is in the lists no more: what comes until it is listed again is held against nothing.
    async fn note_gone(
        &self,
        before: &Arc<ThreatList>,
        list: &Arc<ThreatList>,
    ) -> Result<(), Unfinished> {
        let (before, list) = (Arc::clone(before), Arc::clone(list));
        let gone = tokio::task::spawn_blocking(move || list.gone_since(&before)).await;
        let now = Time::now();
        for gone in gone.unwrap_or_default().chunks(ENTRIES_MAX) {
            let known = self.store.threat_entries(gone).await?;
            let rows: Vec<Known> = known.into_values().map(|known| went(known, now)).collect();
            self.store.insert_threat_entries(&rows).await?;
        }
        Ok(())
    }

    /// Writes the span of each new entry down; gives how many are not searched for.
    async fn note_fresh(&self, in_force: &InForce) -> Result<usize, Unfinished> {
        let mut left = 0;
        let mut entries = in_force.list.entries();
        loop {
            let chunk: Vec<Entry> = entries.by_ref().take(ENTRIES_MAX).collect();
            if chunk.is_empty() {
                return Ok(left);
            }
            let known = self.store.threat_entries(&numbers(&chunk)).await?;
            let fresh = fresh(&chunk, &known, in_force.since, Time::now());
            self.store.insert_threat_entries(&fresh).await?;
            left += fresh.len() + known.values().filter(|k| k.state == State::Listed).count();
        }
    }

    /// Searches a span for entries, tells what is found, and writes down that it is done; gives how much was found and left out.
    async fn search_span(
        &self,
        span: (Time, Time),
        entries: Vec<Entry>,
    ) -> Result<(usize, u64), Unfinished> {
        let mut found = Found::default();
        let mut full = 0;
        let mut by_kind: BTreeMap<Kind, Vec<Entry>> = BTreeMap::new();
        let numbers = numbers(&entries);
        for entry in entries {
            by_kind.entry(entry.kind).or_default().push(entry);
        }
        for (kind, entries) in &by_kind {
            let at_once = if *kind == Kind::Network { NETWORKS_MAX } else { ENTRIES_MAX };
            for entries in entries.chunks(at_once) {
                for place in Place::of(*kind) {
                    for (from, to) in slices(span) {
                        let look = Look { entries, place: *place, from, to, stored_before: span.1 };
                        let hits = self.ask(&look).await?;
                        full += u64::from(hits.len() >= HITS_MAX);
                        found.add(*place, entries, hits);
                    }
                }
            }
        }
        let told = (found.len(), found.left_out());
        if told.1 > 0 || full > 0 {
            tracing::warn!(
                left_out = told.1,
                "more hosts met entries of a threat list than are told; search for the entries themselves"
            );
        }
        // Kafka has them when this returns, and only then is the span done.
        send_signals(&self.producer, &found.signals(&self.rules, span.1, Time::now())).await;
        let now = Time::now();
        let done: Vec<Known> = numbers
            .into_iter()
            .map(|entry| Known {
                entry,
                since: span.0,
                until: span.1,
                state: State::Searched,
                at: now,
            })
            .collect();
        self.store.insert_threat_entries(&done).await?;
        Ok(told)
    }

    async fn ask(&self, look: &Look<'_>) -> Result<Vec<crate::store::threat::Hit>, Unfinished> {
        if !self.is_leading() {
            return Err(Unfinished::Elsewhere);
        }
        let begun = Instant::now();
        let hits = self.store.threat_hits(look).await?;
        tokio::time::sleep(begun.elapsed().clamp(PAUSE_MIN, PAUSE_MAX)).await;
        Ok(hits)
    }
}

fn numbers(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(Entry::number).collect()
}
