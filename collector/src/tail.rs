//! Events as they are stored, for whoever looks on. Nothing here holds the chain up: what finds no place goes by, and is counted for each
//! viewer in events.
//!
//! Stored records are offered where the national picture takes them. One task makes rows of them, once for all viewers and only while there
//! are some; each viewer's own filter is asked where the viewer is served. All rows have numbers in one count, so a viewer knows exactly
//! how many it missed, whoever left them out.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use tokio::sync::{broadcast, mpsc};
use vonggac_wire::{Time, limits::BATCH_EVENTS_MAX};

use crate::{
    record::Record,
    store::row::{EventRow, NewRow},
};

pub mod filter;

/// Events that wait to be made into rows: eight of the largest records.
const EVENTS_WAITING_MAX: usize = 8 * BATCH_EVENTS_MAX;

/// Records that wait: a block of a nation's small ones comes at once.
const RECORDS_WAITING_MAX: usize = 4_096;

/// Rows and bytes of lines of one piece, and pieces that a slow viewer may be behind: 16 MiB at most.
const PIECE_ROWS_MAX: usize = 500;
const PIECE_BYTES_MAX: usize = 1 << 20;
const PIECES_MAX: usize = 16;

/// Rows beside one another in the count of all.
#[derive(Debug)]
pub struct Piece {
    /// The number of the first row, or of the next one if there is none.
    pub first: u64,
    /// In the order in which they were stored.
    pub rows: Vec<EventRow>,
}

/// Where records are offered and viewers look on. Cloning gives the same.
#[derive(Clone)]
pub struct Tail {
    records: mpsc::Sender<Arc<Record>>,
    pieces: broadcast::Sender<Arc<Piece>>,
    viewers: Arc<AtomicUsize>,
    /// Events that wait.
    waiting: Arc<AtomicUsize>,
    /// Events that found no place since the last piece.
    passed: Arc<AtomicU64>,
}

impl Tail {
    /// Makes rows until nobody offers any more.
    #[must_use]
    pub fn spawn() -> Self {
        let (records, offered) = mpsc::channel(RECORDS_WAITING_MAX);
        let (pieces, _) = broadcast::channel(PIECES_MAX);
        let tail = Self::between(records, pieces);
        let cutter = Cutter {
            pieces: tail.pieces.clone(),
            waiting: Arc::clone(&tail.waiting),
            passed: Arc::clone(&tail.passed),
            next: 0,
            rows: Vec::new(),
            bytes: 0,
        };
        tokio::spawn(cutter.run(offered));
        tail
    }

    fn between(records: mpsc::Sender<Arc<Record>>, pieces: broadcast::Sender<Arc<Piece>>) -> Self {
        Self {
            records,
            pieces,
            viewers: Arc::default(),
            waiting: Arc::default(),
            passed: Arc::default(),
        }
    }

    /// A record that was stored. Never waits.
    pub fn offer(&self, record: &Arc<Record>) {
        if self.viewers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let events = record.batch.events.len();
        let waiting = self.waiting.fetch_add(events, Ordering::Relaxed) + events;
        if waiting > EVENTS_WAITING_MAX || self.records.try_send(Arc::clone(record)).is_err() {
            self.waiting.fetch_sub(events, Ordering::Relaxed);
            self.passed.fetch_add(record.fresh().count() as u64, Ordering::Relaxed);
        }
    }

    /// Looks on from now.
    #[must_use]
    pub fn view(&self) -> View {
        self.viewers.fetch_add(1, Ordering::Relaxed);
        View { pieces: self.pieces.subscribe(), next: None, viewers: Arc::clone(&self.viewers) }
    }
}

/// Makes pieces of records.
struct Cutter {
    pieces: broadcast::Sender<Arc<Piece>>,
    waiting: Arc<AtomicUsize>,
    passed: Arc<AtomicU64>,
    /// The number of the first of `rows`.
    next: u64,
    rows: Vec<EventRow>,
    bytes: usize,
}

impl Cutter {
    /// What waits goes into one piece, as far as it has room.
    async fn run(mut self, mut offered: mpsc::Receiver<Arc<Record>>) {
        while let Some(record) = offered.recv().await {
            self.add(&record);
            while let Ok(record) = offered.try_recv() {
                self.add(&record);
            }
            self.send();
        }
    }

    /// What passed by has numbers too, before those of the next record.
    fn add(&mut self, record: &Arc<Record>) {
        self.waiting.fetch_sub(record.batch.events.len(), Ordering::Relaxed);
        let passed = self.passed.swap(0, Ordering::Relaxed);
        if passed > 0 {
            self.send();
            self.next += passed;
        }
        let now = Time::now();
        for (index, event) in record.fresh() {
            let new = NewRow::new(record, index, event, now);
            let Some(row) = new.columns().map(EventRow::from) else { continue };
            let more = row.raw.len() + row.message.len();
            if self.rows.len() >= PIECE_ROWS_MAX || self.bytes + more > PIECE_BYTES_MAX {
                self.send();
            }
            self.bytes += more;
            self.rows.push(row);
        }
    }

    fn send(&mut self) {
        if !self.rows.is_empty() {
            self.next = send(&self.pieces, self.next, std::mem::take(&mut self.rows));
        }
        self.bytes = 0;
    }
}

fn send(pieces: &broadcast::Sender<Arc<Piece>>, first: u64, rows: Vec<EventRow>) -> u64 {
    let next = first + rows.len() as u64;
    let _nobody_looks = pieces.send(Arc::new(Piece { first, rows }));
    next
}

/// One viewer's look.
pub struct View {
    pieces: broadcast::Receiver<Arc<Piece>>,
    next: Option<u64>,
    viewers: Arc<AtomicUsize>,
}

impl View {
    /// The next piece, and how many events went by before it; `None`: the collector stops.
    pub async fn next(&mut self) -> Option<(Arc<Piece>, u64)> {
        loop {
            match self.pieces.recv().await {
                Ok(piece) => {
                    let missed = self.next.map_or(0, |next| piece.first.saturating_sub(next));
                    self.next = Some(piece.first + piece.rows.len() as u64);
                    return Some((piece, missed));
                }
                // The numbers tell how many events these were.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use proptest::prelude::*;
    use vonggac_wire::{
        AgencyId, AgentId, Batch, BatchHash, Body, Event, Lane, event::Heartbeat, proto::Origin,
    };

    use super::*;

    fn record(events: usize) -> Arc<Record> {
        let at = Time::from_seconds(1_764_000_000);
        let event = || Event::new(at, at, Body::Heartbeat(Heartbeat::default()));
        Arc::new(Record {
            origin: Origin::default(),
            appended: at,
            bytes: 0,
            known: Default::default(),
            hash: BatchHash([0; 32]),
            seal: None,
            batch: Batch {
                agent: AgentId::new("web-1").unwrap(),
                agency: AgencyId::new("H49").unwrap(),
                host: "web-1".into(),
                boot: [0; 16],
                lane: Lane::Uptime,
                first_seq: 1,
                previous: None,
                events: (0..events).map(|_| event()).collect(),
                simulated: false,
                sealed: at,
                ahead: false,
            },
        })
    }

    fn piece(first: u64, rows: usize) -> Arc<Piece> {
        Arc::new(Piece { first, rows: vec![EventRow::default(); rows] })
    }

    fn view(pieces: &broadcast::Sender<Arc<Piece>>) -> View {
        View { pieces: pieces.subscribe(), next: None, viewers: Arc::new(AtomicUsize::new(1)) }
    }

    proptest! {
        /// Whatever a viewer's pace, what it saw and what it was told to have missed is all there was from its first piece on.
        #[test]
        fn seen_and_missed_events_are_all_events(
            steps in proptest::collection::vec((0_usize..9, 0_u64..4, 0_usize..40), 1..60),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let (pieces, _) = broadcast::channel(PIECES_MAX);
                let mut view = view(&pieces);
                let (mut next, mut told, mut begun) = (0, 0, None);
                for (rows, passed, looks) in steps {
                    next += passed;
                    next = send(&pieces, next, piece(0, rows).rows.clone());
                    for _ in 0..looks {
                        let Some(Some((piece, missed))) = view.next().now_or_never() else { break };
                        begun.get_or_insert(piece.first);
                        told += missed + piece.rows.len() as u64;
                    }
                }
                send(&pieces, next, Vec::new());
                while let Some(Some((piece, missed))) = view.next().now_or_never() {
                    begun.get_or_insert(piece.first);
                    told += missed + piece.rows.len() as u64;
                }
                assert_eq!(told, next - begun.unwrap_or(0));
            });
        }
    }

    #[tokio::test]
    async fn nobody_looks_means_nobody_works_and_a_full_queue_holds_nothing_up() {
        let (records, mut offered) = mpsc::channel(1);
        let (pieces, _) = broadcast::channel(PIECES_MAX);
        let tail = Tail::between(records, pieces);
        let record = record(3);
        tail.offer(&record);
        assert!(offered.try_recv().is_err(), "nobody looks");
        let view = tail.view();
        for _ in 0..4 {
            tail.offer(&record);
        }
        assert_eq!(tail.passed.load(Ordering::Relaxed), 9, "three records found no place");
        drop(view);
        assert!(offered.try_recv().is_ok());
        tail.offer(&record);
        assert!(offered.try_recv().is_err(), "nobody looks any more");
    }

    #[tokio::test]
    async fn a_block_of_small_records_is_seen_whole() {
        let tail = Tail::spawn();
        let mut view = tail.view();
        tail.offer(&record(1));
        let (first, missed) = view.next().await.unwrap();
        assert_eq!((first.rows.len(), missed), (1, 0));
        let small = record(1);
        (0..1_200).for_each(|_| tail.offer(&small));
        let mut seen = 0;
        while seen < 1_200 {
            let (piece, missed) = view.next().await.unwrap();
            assert_eq!(missed, 0);
            seen += piece.rows.len();
        }
        // Large ones find no more room than before.
        let large = record(BATCH_EVENTS_MAX);
        (0..9).for_each(|_| tail.offer(&large));
        assert_eq!(tail.passed.load(Ordering::Relaxed), BATCH_EVENTS_MAX as u64);
    }

    #[tokio::test]
    async fn a_record_is_cut_into_pieces_and_what_found_no_place_is_counted_before_it() {
        let tail = Tail::spawn();
        let mut view = tail.view();
        tail.offer(&record(2 * PIECE_ROWS_MAX + 1));
        let mut sizes = Vec::new();
        for _ in 0..3 {
            let (piece, missed) = view.next().await.unwrap();
            sizes.push((piece.rows.len(), missed));
        }
        assert_eq!(sizes, [(PIECE_ROWS_MAX, 0), (PIECE_ROWS_MAX, 0), (1, 0)]);
        tail.passed.fetch_add(7, Ordering::Relaxed);
        tail.offer(&record(1));
        let (piece, missed) = view.next().await.unwrap();
        assert_eq!((piece.rows.len(), missed), (1, 7));
    }
}
