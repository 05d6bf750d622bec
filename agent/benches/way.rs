//! The way of a line from its bytes to a sealed batch, without clocks: for tools that count instructions, e.g.
//! `valgrind --tool=callgrind target/release/deps/way-* LINES`. What LINES cost is the difference to a run with none.
#![expect(clippy::expect_used, reason = "a bench stops where its ground is missing")]

use std::{sync::Arc, time::Duration};

use vonggac_agent::{
    config::Fsync,
    format::{self, Context},
    intake::{self, Entry, Position},
    spool::Spool,
};
use vonggac_wire::{Batch, Lane, Time, limits::BATCH_EVENTS_MAX};

const NOW: Time = Time::from_seconds(1_764_000_000);

/// Lines of a chunk, as a busy log gives them.
const CHUNK_LINES: u64 = 500;

/// Lines unless told otherwise.
const LINES: u64 = 20_000;

/// An access log's request of some 210 bytes of which no two are alike.
fn line(number: u64) -> String {
    let mixed = number.wrapping_mul(2_654_435_761) % 4_294_967_291;
    format!(
        "10.{}.{}.{} - - [25/Nov/2026:{:02}:{:02}:{:02} +0700] \"GET /dich-vu-cong/ho-so/{:06x}?n={number} HTTP/1.1\" 200 {} \
         \"https://dichvucong.example/\" \"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/1{:02}.0\"",
        mixed % 251,
        mixed / 251 % 251,
        1 + mixed / 63_001 % 251,
        number / 3600 % 24,
        number / 60 % 60,
        number % 60,
        mixed % 0xff_ffff,
        mixed % 60_000,
        mixed % 40,
    )
}

fn main() {
    // `cargo bench` calls with a flag of its own.
    let told = std::env::args().nth(1).and_then(|told| told.parse().ok());
    let lines = told.unwrap_or(LINES);
    let dir = tempfile::tempdir().expect("a folder");
    let fsync = Fsync::Interval(Duration::from_millis(200));
    let mut spool = Spool::open(dir.path(), "web-1", 1 << 30, fsync, NOW).expect("a spool");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (intake, mut chunks) = intake::queue();
    let context = Context::here(NOW);
    let stream: Arc<str> = "tail:/var/log/nginx/access.log#1:2:00000003#0".into();
    let (system, source): (Arc<str>, Arc<str>) =
        ("portal".into(), "/var/log/nginx/access.log".into());
    let mut sealed_bytes = 0;
    for first in (0..lines).step_by(usize::try_from(CHUNK_LINES).expect("a few")) {
        let chunk: Vec<Vec<u8>> =
            (first..lines.min(first + CHUNK_LINES)).map(|n| line(n).into_bytes()).collect();
        let mut packer = intake.packer(chunk.len(), chunk.iter().map(Vec::len).sum());
        for (number, line) in (first..).zip(chunk) {
            let (event, known) = format::event_of("auto", line, 0, &context);
            assert!(known);
            let event = event.with_origin(&system, &source, number * 210);
            let offset = (number + 1) * 210;
            packer.push(Entry {
                event,
                position: Some(Position { stream: Arc::clone(&stream), offset }),
            });
        }
        let packed = runtime.block_on(async {
            intake.hand_over(packer).await.expect("taken");
            chunks.recv_packed().await.expect("a chunk")
        });
        spool.append_packed(&packed, NOW).expect("appended");
        while let Some(pending) =
            spool.next_encoded(Lane::Usage, BATCH_EVENTS_MAX, 1 << 20).expect("read")
        {
            let last = pending.first_seq + pending.len() as u64 - 1;
            let batch = Batch {
                agent: spool.agent().clone(),
                agency: "local".parse().expect("a name"),
                host: "web-1".into(),
                boot: [0; 16],
                lane: Lane::Usage,
                first_seq: pending.first_seq,
                previous: None,
                events: Vec::new(),
                simulated: false,
                sealed: NOW,
                ahead: false,
            };
            sealed_bytes += batch.seal_framed(pending.into_framed()).value().len();
            spool.acknowledge(Lane::Usage, last).expect("acknowledged");
        }
    }
    assert!(lines == 0 || sealed_bytes > 0);
}
