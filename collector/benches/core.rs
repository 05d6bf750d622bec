//! The collector's pure parts on a full batch of failed log-ins: rows, detection, the incident book.

#![expect(clippy::expect_used, reason = "a bench stops where its ground is missing")]

use std::{collections::HashMap, hint::black_box, sync::Arc};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use vonggac_collector::{
    detect::{Detector, sigma::Matcher},
    incident::IncidentBook,
    record::Record,
    registry::Registry,
    rule::RuleSet,
    store::row::NewRow,
};
use vonggac_wire::{
    AgencyId, AgentId, Batch, BatchHash, Event, Lane, Time,
    event::{Activity, Body, Class, HttpRequest, Status},
    limits::BATCH_EVENTS_MAX,
    proto::{Entity, Origin, Signal, SignalKind},
};

const NOW: Time = Time::from_seconds(1_764_000_000);

fn record(offset: i64, lane: Lane, event: impl Fn(usize) -> Event) -> Record {
    Record {
        origin: Origin { topic: "vonggac.security.v1".into(), partition: 0, offset },
        appended: NOW,
        bytes: 0,
        known: Default::default(),
        hash: BatchHash([0; 32]),
        seal: None,
        batch: Batch {
            agent: AgentId::new("web-1-0a0b").expect("an agent"),
            agency: AgencyId::new("H49").expect("an agency"),
            host: "web-1".into(),
            boot: [1; 16],
            lane,
            first_seq: 1,
            previous: None,
            events: (0..BATCH_EVENTS_MAX).map(event).collect(),
            simulated: false,
            sealed: NOW,
            ahead: false,
        },
    }
}

fn failed_login(n: usize) -> Event {
    let mut activity = Activity::of(Class::Authentication, 1, Status::Failure);
    activity.user_name = format!("user{}", n % 50);
    activity.src_ip = vec![203, 0, 113, (n % 250) as u8];
    activity.service_name = "sshd".into();
    let line = format!(
        "sshd[{n}]: Failed password for user{} from 203.0.113.{} port 5{n}",
        n % 50,
        n % 250
    );
    Event::new(NOW, NOW, Body::Activity(activity))
        .with_source("/var/log/auth.log", n as u64 * 100)
        .with_format("sshd")
        .with_raw(line.as_bytes(), 0)
}

fn request(n: usize) -> Event {
    let mut activity = Activity::of(Class::Http, 3, Status::Success);
    activity.src_ip = vec![198, 51, 100, (n % 250) as u8];
    activity.http = Some(HttpRequest {
        http_method: "GET".into(),
        url: format!("/dich-vu-cong/ho-so/{n}?buoc=2&ma=H49-{n}"),
        status_code: 200,
        user_agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36".into(),
        ..HttpRequest::default()
    });
    Event::new(NOW, NOW, Body::Activity(activity)).with_raw(b"GET /", 0)
}

fn rows(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rows");
    group.throughput(Throughput::Elements(BATCH_EVENTS_MAX as u64));
    let record = Arc::new(record(1, Lane::Security, failed_login));
    group.bench_function("build", |bencher| {
        bencher.iter(|| {
            for (index, event) in record.fresh() {
                black_box(NewRow::new(&record, index, event, NOW).columns());
            }
        });
    });
    group.finish();
}

fn detection(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("detection");
    group.throughput(Throughput::Elements(BATCH_EVENTS_MAX as u64));
    let rules = Arc::new(RuleSet::builtin().expect("rules"));
    let registry = Arc::new(Registry::builtin().expect("a registry"));
    let matcher = Arc::new(Matcher::new(&rules).expect("a matcher"));
    for (name, record) in [
        ("failed log-ins", record(1, Lane::Security, failed_login)),
        ("ordinary requests", record(1, Lane::Usage, request)),
    ] {
        let mut detector =
            Detector::new(Arc::clone(&rules), Arc::clone(&registry), Arc::clone(&matcher));
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(detector.apply(&record, NOW)));
        });
    }
    group.finish();
}

fn signal(offset: i64) -> Signal {
    let address = format!("203.0.113.{}", offset % 250);
    Signal {
        rule: "ssh-brute-force".into(),
        kind: SignalKind::Raised.into(),
        severity: 2,
        entity: Some(Entity { kind: "src_ip".into(), value: address.clone() }),
        group: address,
        agency: "H49".into(),
        host: "web-1".into(),
        count: 40,
        first_time_unix_nano: NOW.0,
        last_time_unix_nano: NOW.0,
        origin: Some(Origin { topic: "vonggac.security.v1".into(), partition: 0, offset }),
        ..Signal::default()
    }
}

fn book(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("incident book");
    let signals: Vec<Signal> = (0..10_000).map(signal).collect();
    group.throughput(Throughput::Elements(signals.len() as u64));
    let rules = Arc::new(RuleSet::builtin().expect("rules"));
    let registry = Arc::new(Registry::builtin().expect("a registry"));
    group.bench_function("signals", |bencher| {
        bencher.iter_batched(
            || {
                IncidentBook::new(
                    Arc::clone(&rules),
                    Arc::clone(&registry),
                    Vec::new(),
                    HashMap::new(),
                    Vec::new(),
                )
            },
            |mut book| {
                for signal in &signals {
                    black_box(book.apply_signal(signal, NOW));
                }
                book
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, rows, detection, book);
criterion_main!(benches);
