//! What a source is given in tests: nothing was read before, and everything that it hands over is taken.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;
use vonggac_wire::event::Activity;

use super::SourceContext;
use crate::{
    intake::{self, Appended, Checkpoints, Intake},
    occurrence::Occurrences,
};

/// Nothing was read before.
struct Nothing;

impl Checkpoints for Nothing {
    fn resume(&self, _: &str) -> Option<u64> {
        None
    }

    fn known(&self, _: &str) -> Vec<(String, u64)> {
        Vec::new()
    }
}

/// Surroundings of a source that was never run.
pub(super) fn fresh(intake: Intake) -> SourceContext {
    SourceContext {
        intake,
        checkpoints: Arc::new(Nothing),
        shutdown: CancellationToken::new(),
        occurrences: Occurrences::new().unwrap(),
    }
}

/// The same before a spool that takes everything, with the activities that it took.
pub(super) fn activities() -> (SourceContext, Arc<Mutex<Vec<Activity>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let (intake, mut chunks) = intake::queue();
    let taken = Arc::clone(&told);
    tokio::spawn(async move {
        while let Some(chunk) = chunks.recv().await {
            let written = chunk.entries.len();
            for entry in chunk.entries {
                taken.lock().unwrap().push(entry.event.activity().unwrap().clone());
            }
            if let Some(appended) = chunk.appended {
                appended.send(Appended { written, known: 0 }).unwrap();
            }
        }
    });
    (fresh(intake), told)
}
