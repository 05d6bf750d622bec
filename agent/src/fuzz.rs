//! Doors for the fuzz targets: each takes bytes of anyone's choosing, and checks what must hold of what becomes of them.
//!
//! Only with the feature `fuzz`; the targets stand in `agent/fuzz`.

use vonggac_wire::Time;

use crate::{
    source::{syslog::framing::Framing, usage::posted},
    spool::record::{self, Found},
};

/// Frames of a syslog stream that comes in two pieces. Cutting it elsewhere gives the same frames.
///
/// # Panics
/// If it does not.
#[expect(clippy::panic, reason = "a fuzz target tells by a panic what does not hold")]
pub fn frames(stream: &[u8], cut: usize) {
    let read = |pieces: &[&[u8]]| {
        let (mut framing, mut frames) = (Framing::default(), Vec::new());
        for piece in pieces {
            framing.push(piece, &mut frames);
        }
        frames.extend(framing.finish());
        frames.into_iter().map(|frame| (frame.bytes, frame.cut)).collect::<Vec<_>>()
    };
    let (head, tail) = stream.split_at(cut.min(stream.len()));
    if read(&[head, tail]) != read(&[stream]) {
        panic!("frames depend on where a stream is cut");
    }
}

/// What an application posts to the usage socket, as one line and as a body.
pub fn posted(bytes: &[u8], now: Time) {
    let _event = posted::line(bytes, "dvc", now);
    let _events = posted::body(bytes, &posted::Envelope::default(), "dvc", now);
}

/// Reads a segment of a spool as its reader does, over damage too. Gives the records and the bytes that are whole.
#[must_use]
pub fn segment(bytes: &[u8]) -> (usize, usize) {
    let (mut at, mut records, mut whole) = (0, 0, 0);
    while at < bytes.len() {
        match record::read(&bytes[at..]) {
            Found::Record(found) => {
                records += 1;
                whole += found.bytes;
                at += found.bytes;
            }
            _ => match record::resync(bytes, at + 1) {
                Some(next) => at = next,
                None => break,
            },
        }
    }
    (records, whole)
}

/// A record as the spool writes it, for targets that damage it.
#[must_use]
pub fn record(seq: u64, event: &[u8]) -> Vec<u8> {
    let mut buffer = Vec::new();
    record::write(&mut buffer, seq, None, event);
    buffer
}
