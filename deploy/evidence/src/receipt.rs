//! The centre's signed word on an hour of an agent: what it had of it, what is missing and why, and one hash over all of its batches. Each names the hash of the one
//! before it of the same agent, so that a receipt that was taken away is missed.

pub use vonggac_wire::receipt::{GapOf, LaneOf, Receipt};
use vonggac_wire::{
    BatchHash, Seal, Time,
    seal::{PublicKey, Purpose},
};

use crate::{
    batch::Said,
    merkle::{Hash, LEAF, Tree},
};

/// The form of what is hashed of a batch.
const FORM: u8 = 1;

/// An hour, in nanoseconds.
pub const HOUR_NANOS: i64 = 3_600 * 1_000_000_000;

/// A receipt as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The agency.
    pub agency: String,
    /// The agent.
    pub agent: String,
    /// When the hour began.
    pub hour: Time,
    /// The text's hash.
    pub hash: BatchHash,
    /// Signature of the hash.
    pub seal: Seal,
    /// What is signed.
    pub text: String,
}

/// The hash of what is written down of a batch.
#[must_use]
pub fn leaf(batch: &Said<'_>) -> Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[LEAF, FORM]);
    let texts = [batch.agency, batch.agent, batch.host, batch.lane, batch.topic, batch.key_id];
    for text in texts.map(str::as_bytes).into_iter().chain([batch.signature]) {
        hasher.update(&(text.len() as u64).to_le_bytes()).update(text);
    }
    hasher.update(batch.boot).update(batch.hash).update(batch.previous).update(batch.root);
    for number in [batch.offset, batch.sealed, batch.appended, i64::from(batch.partition)] {
        hasher.update(&number.to_le_bytes());
    }
    hasher.update(&batch.first_seq.to_le_bytes()).update(&batch.last_seq.to_le_bytes());
    hasher.update(&batch.rows.to_le_bytes());
    hasher.update(&[u8::from(batch.ahead), u8::from(batch.simulated)]);
    for (first, last) in batch.absent {
        hasher.update(&first.to_le_bytes()).update(&last.to_le_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// An hour of an agent while its batches are gone through.
#[derive(Debug, Default)]
pub struct Hour {
    tree: Tree,
    lanes: Vec<LaneOf>,
}

impl Hour {
    /// The next batch, in order.
    pub fn add(&mut self, batch: &Said<'_>) {
        self.tree.add(leaf(batch));
        let place = self.lanes.iter().position(|lane| lane.lane == batch.lane);
        let lane = match place.and_then(|place| self.lanes.get_mut(place)) {
            Some(lane) => lane,
            None => {
                let first_seq = u64::MAX;
                self.lanes.push(LaneOf {
                    lane: batch.lane.to_owned(),
                    first_seq,
                    ..LaneOf::default()
                });
                let Some(lane) = self.lanes.last_mut() else { return };
                lane
            }
        };
        lane.first_seq = lane.first_seq.min(batch.first_seq);
        lane.last_seq = lane.last_seq.max(batch.last_seq);
        lane.events += u64::from(batch.rows);
        lane.batches += 1;
        lane.head = BatchHash(*batch.hash).to_string();
    }

    /// The hash over all of them.
    #[must_use]
    pub fn root(&self) -> String {
        BatchHash(self.tree.root()).to_string()
    }

    /// Its lanes, by name.
    #[must_use]
    pub fn into_lanes(self) -> Vec<LaneOf> {
        let mut lanes = self.lanes;
        lanes.sort_by(|a, b| a.lane.cmp(&b.lane));
        lanes
    }
}

/// What is wrong with a stored receipt, held against the hour's batches; `previous`: the hash of the one before it, if one is known.
#[must_use]
pub fn is_wrong(signed: &Signed, root: &str, previous: Option<BatchHash>, key: &PublicKey) -> bool {
    let Ok(receipt) = serde_json::from_str::<Receipt>(&signed.text) else { return true };
    let hash = BatchHash::of(signed.text.as_bytes());
    let names_it = receipt.agency == signed.agency
        && receipt.agent == signed.agent
        && receipt.hour == signed.hour.to_string();
    let follows = previous.is_none_or(|previous| receipt.previous == previous.to_string());
    let is_ours = key.verifies(Purpose::Receipt, &hash, &signed.seal.signature);
    !(names_it && follows && is_ours && hash == signed.hash && receipt.root == root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;

    fn batch(first_seq: u64) -> Batch {
        Batch {
            agency: "H49".into(),
            first_seq,
            last_seq: first_seq + 9,
            rows: 10,
            ..Batch::default()
        }
    }

    #[test]
    fn whatever_is_written_down_of_a_batch_is_in_its_hash() {
        let was = leaf(&batch(1).said());
        let changes: [fn(&mut Batch); 12] = [
            |b| b.agency.push('x'),
            |b| b.agent.push('x'),
            |b| b.host.push('x'),
            |b| b.lane.push('x'),
            |b| b.offset += 1,
            |b| b.first_seq += 1,
            |b| b.rows += 1,
            |b| b.absent.push((0, 0)),
            |b| b.root[0] ^= 1,
            |b| b.previous[0] ^= 1,
            |b| b.signature.push(1),
            |b| b.appended += 1,
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = batch(1);
            change(&mut changed);
            assert_ne!(leaf(&changed.said()), was, "{number}");
        }
    }
}
