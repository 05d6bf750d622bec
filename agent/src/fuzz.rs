//! The fuzz targets: each takes bytes of anyone's choosing, and checks what must hold of what becomes of them. `agent/fuzz` gives them to
//! libFuzzer, `agent/tests/fuzz.rs` to the stable compiler in every test run.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use vonggac_wire::Time;

use crate::{
    format::{self, Context, join::Joiner},
    redact::Redactor,
    source::{
        syslog::framing::Framing,
        usage::{drop, posted},
    },
    spool::{
        record::{self, Found},
        sealed,
    },
};

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is its file's in `agent/fuzz/fuzz_targets`.
    pub name: &'static str,
    /// Panics if something does not hold.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 8] = [
    Target { name: "drop", run: dropped },
    Target { name: "framing", run: frames },
    Target { name: "line", run: line },
    Target { name: "records", run: records },
    Target { name: "redact", run: redacted },
    Target { name: "sealed", run: sealed_file },
    Target { name: "spool", run: segment },
    Target { name: "usage", run: usage },
];

/// When everything is read: in November of a year, so that times without one are tried on both sides of the new year.
const NOW: i64 = 1_795_510_800;

/// What does not hold ends the run.
#[expect(clippy::panic, reason = "a fuzz target tells by a panic what does not hold")]
fn require(holds: bool, what: &str) {
    if !holds {
        panic!("{what}");
    }
}

static NAMES: LazyLock<Vec<&'static str>> = LazyLock::new(format::names);

static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::default);

/// A line by a format of its first byte's choosing: what the line was is kept.
pub fn line(data: &[u8]) {
    let Some((pick, line)) = data.split_first() else { return };
    // Most as they are met, the others by a format that was named, wrongly mostly.
    let name = NAMES.get(usize::from(*pick)).copied().unwrap_or("auto");
    let context = Context::at(Time::from_seconds(NOW), TimeZone::UTC);
    let (event, _) = format::event(name, line, 0, &context);
    let whole = event.raw().len() as u64 + event.raw_cut_bytes() == line.len() as u64;
    require(whole && line.starts_with(event.raw()), "the line is not kept as it was");
    let _redacted = REDACTOR.apply(event);
}

/// Lines of one file put together: each is given out once, whatever they are and whenever they come.
pub fn records(data: &[u8]) {
    let mut joiner = Joiner::default();
    let context = Context::at(Time::from_seconds(NOW), TimeZone::UTC);
    let (mut pushed, mut given, mut now) = (0, 0, NOW);
    for line in data.split(|byte| *byte == b'\n') {
        pushed += 1;
        // A clock that goes forth and back.
        now += i64::from(line.len() as u8 % 7) - 2;
        let at = Time::from_seconds(now);
        let context = context.clone().with_columns(joiner.header());
        let mut joined = joiner.push(line, 0, at);
        joined.extend(joiner.expired(at));
        for joined in joined {
            given += joined.lines;
            let _event = format::event("auto", &joined.text, joined.cut_bytes, &context);
        }
    }
    given += joiner.finish().iter().map(|joined| joined.lines).sum::<u64>();
    require(pushed == given, "lines are lost or doubled where records are put together");
}

/// Frames of a syslog stream that comes in two pieces. Cutting it elsewhere gives the same frames.
pub fn frames(data: &[u8]) {
    let Some((cut, stream)) = data.split_first_chunk::<2>() else { return };
    let read = |pieces: &[&[u8]]| {
        let (mut framing, mut frames) = (Framing::default(), Vec::new());
        for piece in pieces {
            framing.push(piece, &mut frames);
        }
        frames.extend(framing.finish());
        frames.into_iter().map(|frame| (frame.bytes, frame.cut)).collect::<Vec<_>>()
    };
    let cut = usize::from(u16::from_le_bytes(*cut)) % (stream.len() + 1);
    let (head, tail) = stream.split_at(cut);
    let whole = read(&[stream]);
    require(read(&[head, tail]) == whole, "frames depend on where a stream is cut");
    let bytes: u64 = whole.iter().map(|(bytes, cut)| bytes.len() as u64 + cut).sum();
    require(bytes <= stream.len() as u64, "frames hold more than the stream");
}

/// What an application posts: a line of the socket, a body, a body under the head of a CloudEvent.
pub fn usage(data: &[u8]) {
    let Some((pick, bytes)) = data.split_first() else { return };
    let (now, some) = (Time::from_seconds(NOW), Some("a".to_owned()));
    let envelope = posted::Envelope {
        version: (pick % 2 == 1).then(|| "1.0".into()),
        id: some.clone(),
        source: some,
        event_type: Some("vn.dossier.received.v1".into()),
        time: None,
    };
    let _event = posted::line(bytes, "dvc", now);
    let told = posted::body(bytes, &envelope, "dvc", now);
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    require(
        told.iter().all(|told| (1..=lines).contains(&told.line)),
        "a line is told that is not there",
    );
    require(told.iter().zip(1..).all(|(told, n)| told.record == n), "a record has no number");
}

/// A file that an older portal dropped, as a table, a list or lines.
pub fn dropped(data: &[u8]) {
    let Some((pick, bytes)) = data.split_first() else { return };
    let places = drop::places(pick % 3, bytes);
    require(places.iter().all(|line| *line > 0), "a record has no line");
    require(places.is_sorted(), "records are told out of their order");
}

/// A segment of a spool with whatever in it: damage hides no record behind it but what looks like the head of a longer one.
pub fn segment(data: &[u8]) {
    let read = |bytes: &[u8]| {
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
    };
    let Some((at, data)) = data.split_first() else { return };
    let (noise, event) = data.split_at(usize::from(*at) * data.len() / 256);
    let (alone, _) = read(noise);
    let mut segment = noise.to_vec();
    record::write(&mut segment, 7, None, event);
    let (records, whole) = read(&segment);
    require(whole <= segment.len(), "records are longer than their segment");
    require(records >= alone, "a record that comes hides one that was there");
}

/// A sealed file: whatever is changed in it, it is taken as it was made or not at all.
pub fn sealed_file(data: &[u8]) {
    let Some((pick, data)) = data.split_first_chunk::<5>() else { return };
    let _bare = sealed::verify(data);
    let head = sealed::Head {
        agent: "a-1".into(),
        agency: "H49".into(),
        host: "h".into(),
        made: "2026-11-24T09:00:00Z".into(),
        lanes: Vec::new(),
    };
    let Ok(made) = sealed::Writer::new(Vec::new(), &head).and_then(sealed::Writer::finish) else {
        return;
    };
    let mut changed = made.clone();
    let [a, b, c, d, how] = *pick;
    let at = u32::from_le_bytes([a, b, c, d]) as usize % (changed.len() + 1);
    match how % 3 {
        0 => changed.truncate(at),
        1 => drop_in(&mut changed, at, data),
        _ => {
            let end = (at + data.len()).min(changed.len());
            changed[at..end].copy_from_slice(&data[..end - at]);
        }
    }
    let taken = sealed::verify(changed.as_slice());
    require(taken.is_err() || changed.starts_with(&made), "a sealed file was changed and is taken");
}

fn drop_in(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    bytes.splice(at..at, more.iter().copied());
}

/// Citizens' data in any text: taking them out once is enough.
pub fn redacted(data: &[u8]) {
    let once = REDACTOR.bytes(data).into_owned();
    let (again, found) = REDACTOR.explain(data);
    require(again == once.as_slice(), "what is taken out depends on who asks");
    require(!found.is_empty() || once == data, "something was changed that is not told");
}
