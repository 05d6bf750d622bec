//! What led to a signal, before there is one: most entities match once or twice and never fire, so this is kept small.

use std::sync::Arc;

use vonggac_wire::{Lane, Time, proto::EventRef};

use crate::record::Record;

/// The name of an event, as evidence has it. An event of a record shares its agent's name with the others.
#[derive(Debug)]
pub(super) struct Early {
    agent: Arc<str>,
    seq: u64,
    time: Time,
    lane: Lane,
}

impl Early {
    pub(super) fn of(record: &Record, index: usize, time: Time, agent: &Arc<str>) -> Self {
        Self { agent: Arc::clone(agent), seq: record.seq(index), time, lane: record.batch.lane }
    }

    pub(super) fn reference(&self) -> EventRef {
        EventRef {
            agent: self.agent.as_ref().into(),
            lane: self.lane.into(),
            seq: self.seq,
            time_unix_nano: self.time.0,
        }
    }
}
