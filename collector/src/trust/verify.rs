//! Goes through what was written down of a span's records, and holds the stored rows against it.

use std::{collections::BTreeSet, time::Duration};

use tokio::sync::mpsc;
use vonggac_wire::{Signer, Time};

use super::compare::{self, Fault, Finding};
use crate::{
    store::{
        Store, StoreError,
        batch::{BatchRow, Span},
        month::Times,
        row::{self, EventRow},
    },
    tenure::Key,
};

mod receipts;
mod seals;

use seals::Seals;

/// Batches that are held against their rows at once: so many thousand rows are in memory.
const BATCHES_AT_ONCE: u32 = 40;

/// Rows beside all batches that are named; somebody who added more is found by the first.
const BESIDE_MAX: u32 = 10_000;

/// How long a row may be there before its record is written down: the chain is between the two.
const BETWEEN: Duration = Duration::from_secs(600);

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Records.
    pub batches: u64,
    /// Their rows.
    pub rows: u64,
    /// Findings.
    pub faults: u64,
    /// Rows that are not there, of a month of which retention took rows: they cannot be told from what it took.
    pub retired: u64,
}

/// A finding with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What is wrong.
    pub fault: Fault,
    /// Topic and partition.
    pub key: Key,
    /// The record's offset.
    pub offset: i64,
    /// The place in the record; `None`: all of it.
    pub index: Option<u32>,
    /// Whose it is.
    pub agency: String,
    /// Its agent.
    pub agent: String,
    /// The agent's host.
    pub host: String,
    /// Its lane.
    pub lane: String,
    /// The event's number; of a whole batch its first.
    pub seq: u64,
    /// The month in which its record came, as 202611.
    pub month: u32,
}

/// What is told while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Something is wrong.
    Fault(Told),
    /// How far it is.
    SoFar(Sum),
    /// All was looked at.
    Done(Sum),
}

/// Verifies a span; each finding is told as it is made. Whoever asked may leave. `signer`: the key that receipts are held against.
///
/// # Errors
/// If the engine does not answer.
pub async fn verify(
    store: &Store,
    span: &Span,
    now: Time,
    signer: Option<&Signer>,
    answers: &mpsc::Sender<Answer>,
) -> Result<(), StoreError> {
    let mut sum = Sum::default();
    let retired = store.retired_months(&span.agency).await?;
    let partitions = store.batch_partitions(span).await?;
    let mut seals = Seals::default();
    for key in &partitions {
        let mut from = 0;
        loop {
            let batches = store.batches(span, key, from, BATCHES_AT_ONCE).await?;
            let Some(last) = batches.last() else { break };
            from = last.offset.saturating_add(1);
            for told in of_batches(store, &mut seals, span, key, &batches).await? {
                if told.fault == Fault::Removed && retired.contains(&told.month) {
                    sum.retired += 1;
                    continue;
                }
                sum.faults += 1;
                let _left = answers.send(Answer::Fault(told)).await;
            }
            sum.batches += batches.len() as u64;
            sum.rows += batches.iter().map(|batch| u64::from(batch.rows)).sum::<u64>();
            if answers.send(Answer::SoFar(sum)).await.is_err() {
                return Ok(());
            }
        }
    }
    let mut others = beside(store, span, now).await?;
    if let Some(signer) = signer {
        others.extend(receipts::wrong(store, span, signer).await?);
    }
    for told in others {
        sum.faults += 1;
        let _left = answers.send(Answer::Fault(told)).await;
    }
    let _left = answers.send(Answer::Done(sum)).await;
    Ok(())
}

/// Of some batches of a partition.
async fn of_batches(
    store: &Store,
    seals: &mut Seals,
    span: &Span,
    key: &Key,
    batches: &[BatchRow],
) -> Result<Vec<Told>, StoreError> {
    let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
        return Ok(Vec::new());
    };
    let ends = (first.offset, last.offset);
    // Who is asked for by host is known by agent in the rows: a line's own host may be another.
    let agents: BTreeSet<String> = if span.host.is_empty() {
        BTreeSet::new()
    } else {
        batches.iter().map(|batch| batch.agent.clone()).collect()
    };
    let agents: Vec<String> = agents.into_iter().collect();
    let rows = store.rows_of_records(&span.agency, &agents, key, ends).await?;
    let rows = row::found(&rows);
    let mut all = Vec::new();
    for batch in batches {
        let rows = rows.get(&batch.offset).map_or(&[][..], Vec::as_slice);
        let mut findings = compare::compare(&vonggac_evidence::said!(batch), &batch.marks, rows);
        if !seals.is_right(store, batch).await? {
            findings.push(Finding { fault: Fault::Seal, index: None });
        }
        for Finding { fault, index } in findings {
            all.push(Told {
                fault,
                key: key.clone(),
                offset: batch.offset,
                index,
                agency: batch.agency.clone(),
                agent: batch.agent.clone(),
                host: batch.host.clone(),
                lane: batch.lane.clone(),
                month: Times { time: batch.appended, stored: batch.appended }.month(),
                seq: batch.first_seq.saturating_add(u64::from(index.unwrap_or(0))),
            });
        }
    }
    Ok(all)
}

/// Rows of which no record was written down, and that are not just on their way.
async fn beside(store: &Store, span: &Span, now: Time) -> Result<Vec<Told>, StoreError> {
    let Some(begins) = store.evidence_begins().await? else { return Ok(Vec::new()) };
    let rows = store.rows_beside(span, begins, BESIDE_MAX).await?;
    let keys: BTreeSet<Key> = rows.iter().map(key_of).collect();
    let progress = store.progress(&keys.into_iter().collect::<Vec<_>>()).await?;
    let firsts = store.first_batches().await?;
    let on_its_way = |row: &EventRow| {
        let next = progress.get(&key_of(row)).and_then(|progress| progress.next_offset);
        let stored = Time(row.stored.saturating_mul(1000));
        // Who says that it comes in a year was not put there by a collector.
        let lately = now.since(stored) < BETWEEN && stored.since(now) < BETWEEN;
        row.kafka_offset >= next.unwrap_or(0) && lately
    };
    let before =
        |row: &EventRow| firsts.get(&key_of(row)).is_some_and(|first| row.kafka_offset < *first);
    let told = rows.into_iter().filter(|row| !on_its_way(row) && !before(row)).map(|row| Told {
        fault: Fault::Added,
        key: key_of(&row),
        offset: row.kafka_offset,
        index: Some(row.kafka_index),
        seq: row.seq,
        month: Times { time: row.time, stored: row.stored }.month(),
        agency: row.agency,
        agent: row.agent,
        host: row.host,
        lane: row.lane,
    });
    Ok(told.collect())
}

fn key_of(row: &EventRow) -> Key {
    (row.kafka_topic.clone(), row.kafka_partition)
}
