//! One viewer's live tail: its filter, its pace, and word of what it missed.

use std::time::Duration;

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::MissedTickBehavior,
};
use tokio_stream::wrappers::ReceiverStream;
use vonggac_wire::{Time, proto::TailReply};

use super::{Answers, asking::REPLIES_WAITING_MAX};
use crate::{
    store::row::EventRow,
    tail::{View, filter::Filter},
    trust::{
        door::{Door, Guest},
        scope::Call,
    },
};

/// Without anything to show a viewer hears this often that it still looks on.
const SIGN_INTERVAL: Duration = Duration::from_secs(1);

/// Who looks on, at what.
pub(super) struct Viewer {
    pub(super) guest: Guest,
    pub(super) door: Door,
    pub(super) filter: Filter,
}

impl Viewer {
    fn reaches(&self, row: &EventRow) -> bool {
        self.guest.scope.has_agency(&row.agency)
    }

    /// Rows that passed, as far as the viewer may know of them: how much others send is not theirs.
    fn seen(&self, rows: &[EventRow]) -> u64 {
        if self.guest.scope.is_nation() {
            return rows.len() as u64;
        }
        rows.iter().filter(|row| self.reaches(row)).count() as u64
    }

    /// Rows that went by, of which nobody knows whose they were: whoever does not reach the nation is told that there were some.
    fn missed(&self, missed: u64) -> u64 {
        if self.guest.scope.is_nation() { missed } else { missed.min(1) }
    }
}

/// Follows until the viewer leaves. A viewer that does not take its replies waits here, falls behind, and is told by how much.
pub(super) fn follow(
    mut view: View,
    viewer: Viewer,
    place: OwnedSemaphorePermit,
) -> Answers<TailReply> {
    let (tell, replies) = mpsc::channel(REPLIES_WAITING_MAX);
    tokio::spawn(async move {
        let _place = place;
        let mut untold = TailReply::default();
        let mut signs = tokio::time::interval(SIGN_INTERVAL);
        signs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = tell.closed() => return,
                _ = signs.tick() => {}
                looked = view.next() => match looked {
                    Some((piece, missed)) => {
                        untold.events_seen += viewer.seen(&piece.rows);
                        untold.events_missed += viewer.missed(missed);
                        untold.rows = piece
                            .rows
                            .iter()
                            .filter(|row| viewer.reaches(row) && viewer.filter.passes(row))
                            .cloned()
                            .map(EventRow::into_proto)
                            .collect();
                        // Counts alone can wait for the next sign.
                        if untold.rows.is_empty() && untold.events_missed == 0 {
                            continue;
                        }
                    }
                    None => return,
                },
            }
            if let Err(changed) = viewer.door.still(&viewer.guest, Call::Tail) {
                let _left = tell.send(Err(changed.into())).await;
                return;
            }
            untold.time_unix_nano = Time::now().0;
            if tell.send(Ok(std::mem::take(&mut untold))).await.is_err() {
                return;
            }
        }
    });
    Box::pin(ReceiverStream::new(replies))
}
