//! Handing out what a lane's segments hold.

use std::{fs::File, os::unix::fs::FileExt, path::Path};

use vonggac_wire::Event;

use super::{
    super::{
        Encoded, SpoolError,
        record::{self, Found, PAYLOAD_BYTES_MAX, RECORD_HEAD_BYTES},
    },
    LaneStore,
};

/// Bytes that are read at once: more than the largest record.
const READ_BYTES: usize = 320 * 1024;

const _: () = assert!(READ_BYTES > RECORD_HEAD_BYTES + PAYLOAD_BYTES_MAX);

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
        let most = Most { events: events_max, bytes: bytes_max };
        let mut pending: Option<Encoded> = None;
        let mut bytes = std::mem::take(&mut self.read);
        while let Some(place) =
            self.segments.iter().position(|s| s.last_seq >= self.cursor_seq && s.bytes > 0)
        {
            let segment = &self.segments[place];
            let start = match self.cursor {
                Some((first, byte)) if first == segment.first_seq => byte,
                _ => 0,
            };
            if start >= segment.bytes {
                self.cursor_seq = segment.last_seq + 1;
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
                self.cursor = Some((first_seq, length));
                continue;
            }
            let whole = bytes.len() < READ_BYTES || start + bytes.len() as u64 >= length;
            let (end, full) = self.take(&bytes, whole, most, &mut pending);
            self.cursor = Some((first_seq, start + end as u64));
            if full || most.is_reached(pending.as_ref()) {
                break;
            }
        }
        if self.waiting().0 > 0 {
            self.read = bytes;
        }
        Ok(pending)
    }

    /// Adds records to a batch; tells where it ended, and whether the batch cannot go on behind it.
    fn take(
        &mut self,
        bytes: &[u8],
        whole: bool,
        most: Most,
        pending: &mut Option<Encoded>,
    ) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            match record::read(&bytes[at..]) {
                Found::Record(found) => {
                    if found.seq >= self.cursor_seq {
                        let hole = pending
                            .as_ref()
                            .is_some_and(|p| p.first_seq + p.len() as u64 != found.seq);
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
                        self.cursor_seq = found.seq + 1;
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
