//! Events a second into the spool and out of it.
#![expect(clippy::expect_used, reason = "a bench stops where its ground is missing")]

use std::{sync::Arc, time::Duration};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use vonggac_agent::{
    config::Fsync,
    format::{self, Context},
    intake::{self, Entry, Packed, Position},
    spool::Spool,
};
use vonggac_wire::{Lane, Time};

/// Entries of a chunk, as a busy log gives them.
const CHUNK_ENTRIES: usize = 500;

const NOW: Time = Time::from_seconds(1_764_000_000);

fn entries(count: u64) -> Vec<Entry> {
    let context = Context::here(NOW);
    let stream: Arc<str> = "tail:/var/log/auth.log#1:2:00000003#0".into();
    (0..count)
        .map(|n| {
            let line = format!("Nov 24 16:00:00 web-1 sshd[{n}]: Failed password for root from 203.0.113.77 port 51022 ssh2");
            let (event, _) = format::event("auto", line.as_bytes(), 0, &context);
            Entry { event, position: Some(Position { stream: Arc::clone(&stream), offset: (n + 1) * 100 }) }
        })
        .collect()
}

/// The same as sources hand them over: in chunks, redacted and encoded.
fn packed(all: &[Entry]) -> Vec<Packed> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let (intake, mut chunks) = intake::queue();
    let pack = |entries: &[Entry]| {
        let bytes = entries.iter().map(|entry| entry.event.raw().len()).sum();
        let mut packer = intake.packer(entries.len(), bytes);
        entries.iter().cloned().for_each(|entry| packer.push(entry));
        runtime.block_on(async {
            intake.hand_over(packer).await.expect("taken");
            chunks.recv_packed().await.expect("a chunk")
        })
    };
    all.chunks(CHUNK_ENTRIES).map(pack).collect()
}

fn spool(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("spool");
    group.throughput(Throughput::Elements(10_000)).sample_size(20);
    let open = || {
        let dir = tempfile::tempdir().expect("a folder");
        let fsync = Fsync::Interval(Duration::from_millis(200));
        let spool = Spool::open(dir.path(), "web-1", 1 << 30, fsync, NOW).expect("a spool");
        (dir, spool)
    };
    let all = entries(10_000);
    group.bench_function("pack", |bencher| {
        bencher.iter_batched(|| all.clone(), |all| packed(&all), BatchSize::PerIteration);
    });
    let chunks = packed(&all);
    group.bench_function("append", |bencher| {
        bencher.iter_batched(
            open,
            |(dir, mut spool)| {
                for chunk in &chunks {
                    spool.append_packed(chunk, NOW).expect("appended");
                }
                (dir, spool)
            },
            BatchSize::PerIteration,
        );
    });
    let (_dir, mut full) = open();
    full.append(all.clone(), &[], NOW).expect("appended");
    group.bench_function("read", |bencher| {
        bencher.iter(|| {
            full.rewind(Lane::Security);
            let mut count = 0;
            while let Some(pending) = full.next(Lane::Security, 1_000, 1 << 20).expect("read") {
                count += pending.events.len();
            }
            assert_eq!(count, 10_000);
        });
    });
    group.finish();
}

/// A start after a power cut in the middle of an append, with a GiB waiting.
fn start(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let open =
        || Spool::open(dir.path(), "web-1", 2 << 30, Fsync::Never, NOW).expect("a spool is opened");
    let mut spool = open();
    let mut all = entries(10_000);
    while spool.bytes() < 1 << 30 {
        for entry in &mut all {
            if let Some(position) = &mut entry.position {
                position.offset += 1_000_000;
            }
        }
        spool.append(all.clone(), &[], NOW).expect("appended");
    }
    spool.save().expect("saved");
    let last = std::fs::read_dir(dir.path().join("security"))
        .expect("segments")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .max()
        .expect("a segment");
    drop(spool);
    let mut group = criterion.benchmark_group("spool");
    group.sample_size(10);
    group.bench_function("start-1GiB-torn", |bencher| {
        bencher.iter_batched(
            || {
                let file = std::fs::OpenOptions::new().write(true).open(&last).expect("a segment");
                let bytes = file.metadata().expect("its size").len();
                file.set_len(bytes - 7).expect("torn");
            },
            |()| {
                let spool = open();
                assert!(spool.recovery().torn_bytes > 0);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, spool, start);
criterion_main!(benches);
