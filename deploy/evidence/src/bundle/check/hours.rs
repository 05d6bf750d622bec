//! Records, rows and receipts, hour by hour.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use vonggac_wire::{
    BatchHash, Lane, Time,
    seal::{PublicKey, Purpose},
};

use super::{super::Receipt, Finding, Name, Out, ReadError};
use crate::{
    batch::Batch,
    certificate::Certificate,
    compare::{Fault, Found, Rows, compare},
    receipt::{HOUR_NANOS, Hour, is_wrong},
    row::{self, Row},
};

/// Agents of one agency.
const AGENTS_MAX: usize = 100_000;

/// Seconds of an hour.
const HOUR_SECONDS: i64 = HOUR_NANOS / 1_000_000_000;

/// Where a record stands.
type Key = (String, i32, i64);

/// What is held while a bundle is gone through.
pub(super) struct Hours {
    agency: String,
    retired: BTreeSet<u32>,
    now: Option<i64>,
    last: Option<Key>,
    /// Records whose rows come next.
    waiting: Vec<Batch>,
    agents: BTreeMap<String, Hour>,
    /// Each agent's last receipt.
    receipts: HashMap<String, BatchHash>,
}

impl Hours {
    pub(super) fn new(agency: String, retired: BTreeSet<u32>) -> Self {
        Self {
            agency,
            retired,
            now: None,
            last: None,
            waiting: Vec::new(),
            agents: BTreeMap::new(),
            receipts: HashMap::new(),
        }
    }

    /// A file of this hour; it is not before the one that is gone through.
    fn begin(&mut self, hour: i64, name: &Name, out: &mut Out<'_>) {
        match self.now {
            Some(now) if now == hour => return,
            // The hour before did not end.
            Some(_) => out.file("file", name),
            None => {}
        }
        (self.now, self.last) = (Some(hour), None);
        self.agents.clear();
    }

    /// Records.
    pub(super) fn batches(
        &mut self,
        hour: i64,
        name: &Name,
        batches: Vec<Batch>,
        out: &mut Out<'_>,
    ) -> Result<(), ReadError> {
        self.begin(hour, name, out);
        if !self.waiting.is_empty() {
            out.file("file", name);
        }
        out.verdict.batches += batches.len() as u64;
        for batch in &batches {
            out.verdict.rows += u64::from(batch.rows);
            let key = (batch.topic.clone(), batch.partition, batch.offset);
            let is_next = self.last.as_ref().is_none_or(|last| *last < key);
            let in_hour =
                batch.appended.div_euclid(1_000_000 * HOUR_SECONDS) * HOUR_SECONDS == hour;
            let is_lane = Lane::ALL.iter().any(|lane| lane.name() == batch.lane);
            if !is_next || !in_hour || !is_lane || batch.agency != self.agency {
                out.found(of_batch(Fault::Batch, batch, None, name));
            }
            self.last = Some(key);
            if is_lane {
                if self.agents.len() >= AGENTS_MAX && !self.agents.contains_key(&batch.agent) {
                    return Err(ReadError::Many("agents"));
                }
                self.agents.entry(batch.agent.clone()).or_default().add(&batch.said());
            }
        }
        self.waiting = batches;
        Ok(())
    }

    /// Rows of the records that came before them.
    pub(super) fn rows(
        &mut self,
        hour: i64,
        name: &Name,
        bytes: &[u8],
        (certificates, agency): (&HashMap<String, Certificate>, &str),
        out: &mut Out<'_>,
    ) -> Result<(), ReadError> {
        self.begin(hour, name, out);
        let batches = std::mem::take(&mut self.waiting);
        let mut partitions: BTreeMap<(String, i32), Rows> = BTreeMap::new();
        for bytes in Frames(bytes) {
            let read = bytes.and_then(Row::read);
            let Some(place) = read.as_ref().and_then(Row::place) else {
                out.file("file", name);
                continue;
            };
            let key = (place.topic.to_owned(), place.partition);
            let found = Found { index: place.index, leaf: row::leaf(bytes.unwrap_or_default()) };
            partitions.entry(key).or_default().entry(place.offset).or_default().push(found);
        }
        for batch in &batches {
            let rows = partitions.get_mut(&(batch.topic.clone(), batch.partition));
            let mut rows = rows.and_then(|rows| rows.remove(&batch.offset)).unwrap_or_default();
            rows.sort_by_key(|row| (row.index, row.leaf));
            for finding in compare(&batch.said(), &batch.marks, &rows) {
                if finding.fault == Fault::Removed && self.retired.contains(&month(batch.appended))
                {
                    out.verdict.retired += 1;
                    continue;
                }
                out.found(of_batch(finding.fault, batch, finding.index, name));
            }
            if !is_sealed(batch, agency, certificates) {
                out.found(of_batch(Fault::Seal, batch, None, name));
            }
        }
        // Rows of no record.
        for ((topic, partition), rows) in partitions {
            for (offset, rows) in rows {
                for row in rows {
                    out.found(Finding {
                        fault: Fault::Added.name(),
                        file: name.to_string(),
                        topic: topic.clone(),
                        partition,
                        offset,
                        index: Some(row.index),
                        ..Finding::default()
                    });
                }
            }
        }
        Ok(())
    }

    /// Receipts, which end the hour.
    pub(super) fn receipts(
        &mut self,
        hour: i64,
        name: &Name,
        receipts: Vec<Receipt>,
        key: &PublicKey,
        out: &mut Out<'_>,
    ) -> Result<(), ReadError> {
        self.begin(hour, name, out);
        if !std::mem::take(&mut self.waiting).is_empty() {
            out.file("file", name);
        }
        let wrong = |agent: &str| Finding {
            fault: Fault::Receipt.name(),
            file: name.to_string(),
            agent: agent.to_owned(),
            offset: hour,
            ..Finding::default()
        };
        let any = !receipts.is_empty();
        out.verdict.receipts += receipts.len() as u64;
        let mut agents = std::mem::take(&mut self.agents);
        for receipt in receipts {
            let agent = receipt.agent.clone();
            let root = agents.remove(&agent).map(|hour| hour.root()).unwrap_or_default();
            let Some(signed) = receipt.into_signed() else {
                out.found(wrong(&agent));
                continue;
            };
            if self.receipts.len() >= AGENTS_MAX && !self.receipts.contains_key(&agent) {
                return Err(ReadError::Many("agents"));
            }
            let previous = self.receipts.insert(agent.clone(), signed.hash);
            let is_here = signed.agency == self.agency && signed.hour == Time::from_seconds(hour);
            if !is_here || is_wrong(&signed, &root, previous, key) {
                out.found(wrong(&agent));
            }
        }
        if any {
            agents.keys().for_each(|agent| out.found(wrong(agent)));
        } else if !agents.is_empty() {
            out.verdict.hours_open += 1;
        }
        self.now = None;
        Ok(())
    }

    /// Nothing comes any more.
    pub(super) fn end(&self, out: &mut Out<'_>) {
        if let Some(hour) = self.now {
            out.file("file", Name::Receipts(hour));
        }
    }
}

/// A batch without a seal has nothing to be wrong.
fn is_sealed(batch: &Batch, agency: &str, certificates: &HashMap<String, Certificate>) -> bool {
    if batch.key_id.is_empty() {
        return batch.signature.is_empty();
    }
    certificates.get(&batch.key_id).is_some_and(|certificate| {
        certificate.is_of(agency, &batch.agent)
            && certificate.key.verifies(Purpose::Batch, &BatchHash(batch.hash), &batch.signature)
    })
}

fn of_batch(fault: Fault, batch: &Batch, index: Option<u32>, name: &Name) -> Finding {
    Finding {
        fault: fault.name(),
        file: name.to_string(),
        agency: batch.agency.clone(),
        agent: batch.agent.clone(),
        host: batch.host.clone(),
        lane: batch.lane.clone(),
        seq: batch.first_seq.saturating_add(u64::from(index.unwrap_or(0))),
        topic: batch.topic.clone(),
        partition: batch.partition,
        offset: batch.offset,
        index,
    }
}

/// The month of a time in microseconds, as 202611.
fn month(micros: i64) -> u32 {
    let text = Time(micros.saturating_mul(1_000)).to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).take(6).collect();
    digits.parse().unwrap_or(0)
}

/// Rows behind one another; `None`: here they end before they should.
struct Frames<'a>(&'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let whole = self.0.split_at_checked(4).and_then(|(length, rest)| {
            let length = u32::from_le_bytes(length.try_into().ok()?);
            rest.split_at_checked(usize::try_from(length).ok()?)
        });
        self.0 = whole.map_or(&[], |(_, rest)| rest);
        Some(whole.map(|(row, _)| row))
    }
}
