//! Encoding and decoding of a full batch of log-in lines.

#![expect(clippy::expect_used, reason = "a test or bench stops where its ground is missing")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use vonggac_wire::{
    AgencyId, AgentId, Batch, Event, Lane, Time,
    event::{Activity, Body, Class, Status},
    limits::BATCH_EVENTS_MAX,
};

fn full_batch() -> Batch {
    let time = Time::from_seconds(1_764_000_000);
    let events = (0..BATCH_EVENTS_MAX)
        .map(|n| {
            let mut activity = Activity::of(Class::Authentication, 1, Status::Failure);
            activity.user_name = format!("user{}", n % 50);
            activity.src_ip = vec![203, 0, 113, (n % 250) as u8];
            activity.service_name = "sshd".into();
            let line = format!(
                "Nov 24 16:00:00 web-1 sshd[{n}]: Failed password for user{} from 203.0.113.{} port 5{n} ssh2",
                n % 50,
                n % 250
            );
            Event::new(time, time, Body::Activity(activity))
                .with_source("/var/log/auth.log", n as u64 * 100)
                .with_format("sshd")
                .with_raw(line.as_bytes(), 0)
        })
        .collect();
    Batch {
        agent: AgentId::new("web-1-0a0b").expect("an agent"),
        agency: AgencyId::new("H49").expect("an agency"),
        host: "web-1".into(),
        boot: [1; 16],
        lane: Lane::Security,
        first_seq: 1,
        previous: None,
        events,
        simulated: false,
        sealed: time,
        ahead: false,
    }
}

fn batch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch");
    group.throughput(Throughput::Elements(BATCH_EVENTS_MAX as u64));
    let batch = full_batch();
    group.bench_function("seal", |bencher| {
        bencher.iter_batched(
            || batch.clone(),
            |batch| black_box(batch.seal()),
            BatchSize::LargeInput,
        );
    });
    let sealed = full_batch().seal();
    group.bench_function("open", |bencher| {
        bencher.iter(|| black_box(Batch::open(&sealed.value, Lane::Security)));
    });
    group.finish();
}

criterion_group!(benches, batch);
criterion_main!(benches);
