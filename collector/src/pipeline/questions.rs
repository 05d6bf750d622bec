//! What is asked of the detection that runs: it answers between two records, and nothing waits for whoever asks.

use tokio::sync::oneshot;

use crate::detect::near::{About, Near};

/// Questions that wait for detection: each takes it some milliseconds.
pub(super) const QUESTIONS_MAX: usize = 4;

/// What is held of an agency that is not told.
#[derive(Debug)]
pub struct Question {
    /// What is asked for.
    pub about: About,
    /// To whom it is told.
    pub answer: oneshot::Sender<Held>,
}

/// What detection holds here.
#[derive(Debug, Default)]
pub struct Held {
    /// Windows that are not full.
    pub near: Vec<Near>,
    /// Partitions that are watched by this collector.
    pub partitions: u32,
    /// Some of them are read again, and hold less than they will.
    pub rebuilding: bool,
}
