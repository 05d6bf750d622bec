//! The text of a receipt: the centre's signed word on an hour of an agent. The centre makes it, others check it, agents keep their own.

use serde::{Deserialize, Serialize};

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The form.
    pub version: u32,
    /// The agency.
    pub agency: String,
    /// The agent.
    pub agent: String,
    /// When the hour began, RFC 3339.
    pub hour: String,
    /// Merkle root over the hour's batches, in the order of topic, partition and offset; hexadecimal digits, as all hashes here.
    pub root: String,
    /// Its lanes.
    pub lanes: Vec<LaneOf>,
    /// Hash of the agent's receipt before this one; empty: this is the first.
    pub previous: String,
    /// The public key that the signature is held against, Ed25519.
    pub key: String,
}

/// A lane in an hour.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneOf {
    /// Its name.
    pub lane: String,
    /// The lowest number.
    pub first_seq: u64,
    /// The highest.
    pub last_seq: u64,
    /// Events that were stored.
    pub events: u64,
    /// Batches.
    pub batches: u64,
    /// Hash of the last batch: the head of the chain.
    pub head: String,
    /// Gaps that were found in the hour.
    pub gaps: Vec<GapOf>,
}

/// A gap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapOf {
    /// First missing number; 0: what is missing had none.
    pub first_seq: u64,
    /// The last.
    pub last_seq: u64,
    /// The cause.
    pub reason: String,
    /// How many events; 0: not known.
    pub events: u64,
}
