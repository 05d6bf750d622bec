//! Lines a second, by format.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vonggac_agent::format::{self, Context};
use vonggac_wire::Time;

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    let context = Context::here(Time::from_seconds(1_764_000_000));
    for (name, line) in [
        (
            "sshd",
            "Nov 24 16:00:00 web-1 sshd[2211]: Failed password for invalid user admin from 203.0.113.77 port 51022 ssh2",
        ),
        (
            "combined",
            "203.0.113.7 - - [24/Nov/2026:16:00:00 +0700] \"GET /ho-so/tra-cuu?ma=H49-1 HTTP/1.1\" 200 5316 \"-\" \"Mozilla/5.0\"",
        ),
        (
            "json",
            r#"{"ts":1764000000.5,"level":"info","msg":"request","remote_addr":"203.0.113.7","method":"GET","uri":"/a","status":200}"#,
        ),
        (
            "nginx-error",
            "2026/11/24 16:00:00 [error] 8#8: *7 user \"lan\": password mismatch, client: 203.0.113.7, server: a, request: \"GET / HTTP/1.1\", host: \"a\"",
        ),
        (
            "postgresql",
            "2026-11-24 16:00:00.123 +07 [812] lan@hoso FATAL:  password authentication failed for user \"lan\"",
        ),
        (
            "cri",
            "2026-11-24T16:00:00.123456789+07:00 stdout F 203.0.113.7 - - [24/Nov/2026:16:00:00 +0700] \"GET /a HTTP/1.1\" 200 12 \"-\" \"curl/8\"",
        ),
        (
            "unknown",
            "the portal of the office has done its work number 17 in 12 steps and rests now",
        ),
    ] {
        group.throughput(Throughput::Elements(1));
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(format::event("auto", line.as_bytes(), 0, &context)));
        });
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
