//! One viewer's picture: a snapshot, then what changes, as far as they reach.

use tokio::sync::broadcast;
use tonic::Status;
use vonggac_wire::proto::WatchReply;

use super::{Answers, Parts};
use crate::{
    figures::Figures,
    health::Picture,
    trust::{
        door::{Door, Guest},
        scope::{Call, Scope, view},
    },
};

/// What a console that watches is told by.
struct Watched {
    door: Door,
    nation: Picture,
}

impl Parts {
    /// Somebody who watches these agencies; none named: all.
    pub(super) fn viewer(&self, guest: Guest, wanted: Vec<String>) -> Viewer {
        let parts = Watched { door: self.door.clone(), nation: self.nation.clone() };
        Viewer { guest, wanted, parts, _counted: Watching::new(self.figures.clone()) }
    }
}

/// The picture, then what changes, until the viewer may not look any more.
pub(super) fn follow(nation: &Picture, viewer: Viewer) -> Answers<WatchReply> {
    let (first, deltas) = nation.follow();
    let begun = viewer.seen(&first);
    let following =
        futures::stream::unfold((deltas, Some(viewer)), |(mut deltas, viewer)| async move {
            // A refusal is the last that is told.
            let viewer = viewer?;
            match deltas.recv().await {
                Ok(delta) => match viewer.parts.door.still(&viewer.guest, Call::Watch) {
                    Ok(()) => Some((Ok(viewer.seen(&delta)), (deltas, Some(viewer)))),
                    Err(changed) => Some((Err(changed.into()), (deltas, None))),
                },
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    let slow = Status::resource_exhausted(format!(
                        "{missed} deltas were missed; watch anew"
                    ));
                    Some((Err(slow), (deltas, Some(viewer))))
                }
                Err(broadcast::error::RecvError::Closed) => None,
            }
        });
    let first = futures::stream::once(async move { Ok(begun) });
    Box::pin(futures::StreamExt::chain(first, following))
}

/// Who watches what.
pub(super) struct Viewer {
    guest: Guest,
    wanted: Vec<String>,
    parts: Watched,
    _counted: Watching,
}

impl Viewer {
    fn seen(&self, reply: &WatchReply) -> WatchReply {
        let scope = &self.guest.scope;
        if matches!(scope, Scope::Nation) {
            return limited(reply.clone(), &self.wanted);
        }
        limited(view::seen(scope, reply, &self.parts.nation.now()), &self.wanted)
    }
}

/// Counts a console while it watches.
struct Watching(Figures);

impl Watching {
    fn new(figures: Figures) -> Self {
        figures.watcher(1);
        Self(figures)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.watcher(-1);
    }
}

/// A reply with the rows of these agencies alone; none named: all.
fn limited(mut reply: WatchReply, wanted: &[String]) -> WatchReply {
    if !wanted.is_empty() {
        reply.agencies.retain(|row| wanted.contains(&row.code));
        reply.systems.retain(|row| wanted.contains(&row.agency));
        reply.agents.retain(|row| wanted.contains(&row.agency));
        reply.checks.retain(|row| wanted.contains(&row.agency));
        reply.incidents.retain(|row| row.agencies.iter().any(|agency| wanted.contains(agency)));
    }
    reply
}
