//! Reads every record of a segment and tells what is missing.

use std::{
    fs::{self, OpenOptions},
    path::Path,
};

use vonggac_wire::{
    Event, Time,
    event::{Body, Gap},
};

use super::{
    SpoolError,
    record::{self, Found, RECORD_HEAD_BYTES},
};

/// Bytes that cannot be read, at a place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) place: u64,
    pub(super) bytes: u64,
    /// The end of the file, where an append was cut short.
    pub(super) torn: bool,
}

/// What stands in a segment.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) records: u64,
    pub(super) first_seq: Option<u64>,
    pub(super) last_seq: Option<u64>,
    /// Bytes without a torn tail.
    pub(super) bytes: u64,
    pub(super) spots: Vec<Spot>,
    /// Numbers that the damaged end may have used.
    pub(super) skipped: u64,
    /// Missing numbers between records: first, last.
    pub(super) holes: Vec<(u64, u64)>,
}

impl Scan {
    /// Behind the last number that may have been used.
    pub(super) fn after(&self, first_seq: u64) -> u64 {
        self.last_seq.map_or(first_seq, |last| last + 1) + self.skipped
    }

    pub(super) fn damaged_bytes(&self) -> u64 {
        self.spots.iter().filter(|spot| !spot.torn).map(|spot| spot.bytes).sum()
    }

    pub(super) fn torn_bytes(&self) -> u64 {
        self.spots.iter().filter(|spot| spot.torn).map(|spot| spot.bytes).sum()
    }
}

/// Reads a segment whose name says that its first number is `first_seq`. Changes nothing.
pub(super) fn scan(
    path: &Path,
    first_seq: u64,
    saw: &mut dyn FnMut(&[u8], u64),
) -> Result<Scan, SpoolError> {
    let bytes = fs::read(path).map_err(SpoolError::io("read", path))?;
    let mut scan = Scan { bytes: bytes.len() as u64, ..Scan::default() };
    let mut at = 0;
    let mut expected = first_seq;
    while at < bytes.len() {
        match record::read(&bytes[at..]) {
            Found::Record(found) => {
                if found.seq > expected {
                    scan.holes.push((expected, found.seq - 1));
                }
                if !found.stream.is_empty() {
                    saw(found.stream, found.offset);
                }
                scan.records += 1;
                scan.first_seq.get_or_insert(found.seq);
                scan.last_seq = Some(found.seq);
                expected = found.seq + 1;
                at += found.bytes;
            }
            torn_or_damaged => {
                let next = record::resync(&bytes, at + 1);
                let torn = next.is_none() && torn_or_damaged == Found::Torn;
                let spot_bytes = (next.unwrap_or(bytes.len()) - at) as u64;
                scan.spots.push(Spot { place: at as u64, bytes: spot_bytes, torn });
                match next {
                    Some(next) => at = next,
                    None if torn => {
                        scan.bytes = at as u64;
                        break;
                    }
                    None => {
                        scan.skipped = spot_bytes.div_ceil(RECORD_HEAD_BYTES as u64);
                        break;
                    }
                }
            }
        }
    }
    Ok(scan)
}

/// Cuts a torn tail off.
pub(super) fn cut(path: &Path, scan: &Scan) -> Result<(), SpoolError> {
    if scan.torn_bytes() == 0 {
        return Ok(());
    }
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|file| file.set_len(scan.bytes)).map_err(SpoolError::io("repair", path))
}

/// What of a segment goes when it is dropped.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Contents {
    /// Events.
    pub(super) events: u64,
    /// When the first and the last of them were read.
    pub(super) observed: Option<(Time, Time)>,
    /// Gaps that were told in it.
    pub(super) gaps: Vec<Gap>,
}

/// Reads what a segment holds from one number to another.
pub(super) fn contents(path: &Path, first: u64, last: u64) -> Result<Contents, SpoolError> {
    let bytes = fs::read(path).map_err(SpoolError::io("read", path))?;
    let mut contents = Contents::default();
    let mut at = 0;
    while at < bytes.len() {
        let Found::Record(found) = record::read(&bytes[at..]) else {
            match record::resync(&bytes, at + 1) {
                Some(next) => at = next,
                None => break,
            }
            continue;
        };
        at += found.bytes;
        if !(first..=last).contains(&found.seq) {
            continue;
        }
        contents.events += 1;
        if let Ok(event) = Event::decode(found.event) {
            let observed = event.observed();
            contents.observed = match contents.observed {
                Some((first, last)) => Some((first.min(observed), last.max(observed))),
                None => Some((observed, observed)),
            };
            if let Body::Gap(gap) = event.body() {
                contents.gaps.push(*gap);
            }
        }
    }
    Ok(contents)
}
