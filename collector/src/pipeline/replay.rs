//! Dead letters that were sent again. Their numbers lie in a hole that the lane has passed, so its mark cannot say whether they are stored:
//! the store itself is asked, after everything before them is in it. What they fill is taken off the gap that told of it.

use vonggac_wire::Lane;

use super::{Pipeline, PipelineError, claim::keep_trying};
use crate::{
    decode::{self, Taken},
    figures::Figures,
    record::{Known, Record},
    store::{Store, StoreError},
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
        Ok(Some(elsewhere(&self.parts.store, &self.parts.figures, &record).await?))
    }
}

/// Which events of a record are stored by another one.
///
/// # Errors
/// What can never work.
pub(super) async fn elsewhere(
    store: &Store,
    figures: &Figures,
    record: &Record,
) -> Result<Known, StoreError> {
    let stored = keep_trying(figures, "stored numbers", || store.stored_elsewhere(record)).await?;
    let first = record.batch.first_seq;
    let index = |seq: u64| usize::try_from(seq.saturating_sub(first)).unwrap_or(0);
    Ok(stored.into_iter().map(|seq| index(seq)..index(seq) + 1).collect())
}
