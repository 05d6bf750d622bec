//! Dead letters that were sent again. Their numbers lie in a hole that the lane has passed, so its mark cannot say whether they are stored:
//! the store itself is asked, after everything before them is in it. What they fill is taken off the gap that told of it.

use vonggac_wire::Lane;

use super::{Pipeline, PipelineError, claim::keep_trying};
use crate::{
    decode::{self, Taken},
    record::Known,
};

/// What a letter filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    pub(crate) agency: String,
    pub(crate) agent: String,
    pub(crate) lane: Lane,
    pub(crate) first_seq: u64,
    pub(crate) last_seq: u64,
}

impl Pipeline {
    /// Which events of a letter that was sent again are stored by another record; `None`: it is no such letter, or is refused again.
    pub(super) async fn known_elsewhere(
        &mut self,
        taken: &Taken,
    ) -> Result<Option<Known>, PipelineError> {
        if taken.replay_of.is_none() {
            return Ok(None);
        }
        let Ok(record) = decode::decode(taken, &self.parts.registry) else { return Ok(None) };
        self.finish_all().await?;
        let parts = &self.parts;
        let batch = &record.batch;
        let stored =
            keep_trying(&parts.figures, "stored numbers", || parts.store.stored_elsewhere(&record))
                .await?;
        let index = |seq: u64| usize::try_from(seq.saturating_sub(batch.first_seq)).unwrap_or(0);
        Ok(Some(stored.into_iter().map(|seq| index(seq)..index(seq) + 1).collect()))
    }
}
