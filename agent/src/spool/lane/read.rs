//! Handing out what a lane's segments hold.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

use vonggac_wire::Event;

use super::{
    super::{
        Encoded, SpoolError,
        record::{self, Found, PAYLOAD_BYTES_MAX, RECORD_HEAD_BYTES},
    },
    LaneStore, Segment,
};

/// Bytes that are read at once: more than the largest record.
const READ_BYTES: usize = 320 * 1024;

const _: () = assert!(READ_BYTES > RECORD_HEAD_BYTES + PAYLOAD_BYTES_MAX);

/// A place from which a lane is handed out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// The next number.
    pub(super) seq: u64,
    /// Where it stands, if that is known: segment by first number, byte.
    pub(super) place: Option<(u64, u64)>,
}

/// What is left out of what is handed out.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// Passed over: first and last, ascending.
    pub(super) done: Vec<(u64, u64)>,
    /// Where it stops.
    pub(super) until: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { done: Vec::new(), until: u64::MAX }
    }
}

impl Bounds {
    /// The first number from here on that is not passed over.
    pub(super) fn pass(&self, seq: u64) -> u64 {
        self.done.iter().fold(
            seq,
            |seq, (first, last)| {
                if (*first..=*last).contains(&seq) { last + 1 } else { seq }
            },
        )
    }
}

/// What may be handed out together.
#[derive(Clone, Copy)]
struct Most {
    events: usize,
    bytes: usize,
}

impl Most {
    fn is_reached(self, pending: Option<&Encoded>) -> bool {
        pending.is_some_and(|p| p.len() >= self.events || p.bytes() >= self.bytes)
    }
}

impl LaneStore {
    /// See [`super::super::Spool::next`]. Damaged records are passed over; a hole in the numbers ends a batch.
    pub(in crate::spool) fn next(
        &mut self,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Encoded>, SpoolError> {
        let (mut cursor, bounds) = (self.cursor, self.bounds());
        let outcome = self.read_from(&mut cursor, &bounds, events_max, bytes_max);
        self.cursor = cursor;
        outcome
    }

    /// Reads on from a place, which moves behind what was read.
    pub(super) fn read_from(
        &mut self,
        cursor: &mut Cursor,
        bounds: &Bounds,
        events_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Encoded>, SpoolError> {
        let most = Most { events: events_max, bytes: bytes_max };
        let mut pending: Option<Encoded> = None;
        let mut bytes = std::mem::take(&mut self.read);
        loop {
            cursor.seq = bounds.pass(cursor.seq);
            let ahead = |s: &Segment| s.last_seq >= cursor.seq && s.bytes > 0;
            let Some(segment) = self.segments.iter().find(|segment| ahead(segment)) else { break };
            if cursor.seq >= bounds.until {
                break;
            }
            let start = match cursor.place {
                Some((first, byte)) if first == segment.first_seq => byte,
                _ => 0,
            };
            if start >= segment.bytes {
                cursor.seq = segment.last_seq + 1;
                continue;
            }
            match read_at(&segment.path, start, segment.bytes, &mut bytes) {
                // What was read before goes on its way: the cursor is behind it. The error comes again.
                Err(_) if pending.is_some() => break,
                read => read?,
            }
            let (first_seq, length) = (segment.first_seq, segment.bytes);
            if bytes.is_empty() {
                // Somebody made the file shorter than it was written.
                cursor.place = Some((first_seq, length));
                continue;
            }
            let whole = bytes.len() < READ_BYTES || start + bytes.len() as u64 >= length;
            let (end, full) = take(&bytes, whole, most, cursor, bounds, &mut pending);
            cursor.place = Some((first_seq, start + end as u64));
            if full || most.is_reached(pending.as_ref()) {
                break;
            }
        }
        if cursor.seq <= self.written_seq() {
            self.read = bytes;
        }
        Ok(pending)
    }
}

/// Adds records to a batch; tells where it ended, and whether the batch cannot go on behind it.
fn take(
    bytes: &[u8],
    whole: bool,
    most: Most,
    cursor: &mut Cursor,
    bounds: &Bounds,
    pending: &mut Option<Encoded>,
) -> (usize, bool) {
    let mut at = 0;
    while at < bytes.len() {
        match record::read(&bytes[at..]) {
            Found::Record(found) => {
                if found.seq >= bounds.until {
                    return (at, true);
                }
                if found.seq >= cursor.seq && bounds.pass(found.seq) == found.seq {
                    let hole =
                        pending.as_ref().is_some_and(|p| p.first_seq + p.len() as u64 != found.seq);
                    if hole || most.is_reached(pending.as_ref()) {
                        return (at, true);
                    }
                    // What a newer version left behind is left out; the numbers tell.
                    if Event::is_known(found.event) {
                        let room = (bytes.len() - at).min(most.bytes);
                        pending
                            .get_or_insert_with(|| Encoded::starting(found.seq, room))
                            .push(found.event);
                    }
                    cursor.seq = found.seq + 1;
                }
                at += found.bytes;
            }
            Found::Torn if !whole => break,
            Found::Torn | Found::Damage => match record::resync(bytes, at + 1) {
                Some(next) => at = next,
                None if whole => return (bytes.len(), false),
                None => {
                    let end = bytes.len().saturating_sub(RECORD_HEAD_BYTES).max(at + 1);
                    return (end, false);
                }
            },
        }
    }
    (at, false)
}

/// Reads a part of a segment: at least one whole record where there is one.
fn read_at(path: &Path, start: u64, end: u64, bytes: &mut Vec<u8>) -> Result<(), SpoolError> {
    let file = File::open(path).map_err(SpoolError::io("open", path))?;
    let wanted = usize::try_from(end - start).unwrap_or(usize::MAX).min(READ_BYTES);
    bytes.resize(wanted, 0);
    let mut filled = 0;
    while filled < wanted {
        let read = file
            .read_at(&mut bytes[filled..], start + filled as u64)
            .map_err(SpoolError::io("read", path))?;
        if read == 0 {
            break;
        }
        filled += read;
    }
    bytes.truncate(filled);
    Ok(())
}
