//! The source as the agent runs it, against real files and a real spool.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use vonggac_wire::{Lane, Time};

use super::*;
use crate::{
    config::Fsync,
    intake::{self, Chunks},
    occurrence::Occurrences,
    ship::SharedSpool,
    spool::Spool,
};

struct Reading {
    chunks: Chunks,
    spool: SharedSpool,
    stop: CancellationToken,
    occurrences: Occurrences,
    ended: tokio::task::JoinHandle<Result<(), SourceError>>,
}

fn config(pattern: &str) -> TailConfig {
    TailConfig {
        path: pattern.into(),
        format: "auto".into(),
        system: String::new(),
        from: TailFrom::Start,
        multiline: Multiline::Auto,
        poll: None,
        lines_per_second_max: None,
    }
}

fn start(config: TailConfig, spool: SharedSpool) -> Reading {
    start_with(config, spool, Occurrences::new().unwrap())
}

fn start_with(config: TailConfig, spool: SharedSpool, occurrences: Occurrences) -> Reading {
    let (intake, chunks) = intake::queue();
    let stop = CancellationToken::new();
    let context = SourceContext {
        intake,
        checkpoints: Arc::new(spool.clone()),
        shutdown: stop.clone(),
        occurrences: occurrences.clone(),
    };
    let ended = tokio::spawn(Tail::new(config).run(context));
    Reading { chunks, spool, stop, occurrences, ended }
}

impl Reading {
    /// Spools what comes within a time.
    async fn spool_for(&mut self, time: Duration) {
        let until = tokio::time::Instant::now() + time;
        while let Ok(Some(chunk)) = tokio::time::timeout_at(until, self.chunks.recv()).await {
            self.spool.lock().append(chunk.entries, &chunk.passed, Time::now()).unwrap();
        }
    }

    /// Spools what comes until the spool holds so many events, however slow the machine is; what comes soon after shows too.
    async fn spool_until(&mut self, events: usize) {
        let begun = Instant::now();
        while raws(&self.spool).len() < events && begun.elapsed() < PATIENCE {
            self.spool_for(Duration::from_millis(100)).await;
        }
        self.spool_for(AFTERWARDS).await;
    }

    /// Spools what comes until something is so, however slow the machine is.
    async fn spool_while(&mut self, what: &str, mut waits: impl FnMut(&Self) -> bool) {
        let begun = Instant::now();
        while waits(self) {
            assert!(begun.elapsed() < PATIENCE, "{what}");
            self.spool_for(Duration::from_millis(50)).await;
        }
    }

    async fn stop(mut self) -> SharedSpool {
        self.stop.cancel();
        let _ended = tokio::time::timeout(Duration::from_secs(5), &mut self.ended).await.unwrap();
        self.spool.clone()
    }
}

/// A test that fails must not wait for a thread that nobody stops.
impl Drop for Reading {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn spool(dir: &Path) -> SharedSpool {
    SharedSpool::new(Spool::open(dir, "h", 1 << 30, Fsync::EachChunk, Time::now()).unwrap())
}

fn held(spool: &SharedSpool, lane: Lane) -> Vec<Event> {
    let mut all = Vec::new();
    let mut spool = spool.lock();
    spool.rewind(lane);
    while let Some(pending) = spool.next(lane, 1_000, 1 << 20).unwrap() {
        all.extend(pending.events);
    }
    all
}

fn raws(spool: &SharedSpool) -> Vec<String> {
    let raw = |event: &Event| String::from_utf8_lossy(event.raw()).into_owned();
    held(spool, Lane::Security).iter().map(raw).collect()
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// How long something may take that has to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long is waited for what must not come.
const AFTERWARDS: Duration = Duration::from_millis(400);

#[tokio::test(flavor = "multi_thread")]
async fn pipes_loops_and_second_names_are_refused_and_the_rest_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    append(&at("a.log"), "one\n");
    rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe.log"), rustix::fs::Mode::RUSR).unwrap();
    std::os::unix::fs::symlink(at("loop.log"), at("loop.log")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", at("zero.log")).unwrap();
    fs::create_dir(at("folder.log")).unwrap();
    let mut reading =
        start(config(&format!("{}/*.log", dir.path().display())), spool(&at("spool")));
    reading.spool_until(1).await;
    std::os::unix::fs::symlink(at("a.log"), at("same.log")).unwrap();
    append(&at("a.log"), "two\n");
    reading.spool_for(Duration::from_secs(3)).await;
    reading.spool_until(2).await;
    assert_eq!(raws(&reading.stop().await), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_with_a_stop_between_gives_each_line_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\n\ntrace\n\tat x\n");
    let spool = spool(&dir.path().join("spool"));
    let mut reading = start(config(path.to_str().unwrap()), spool);
    reading.spool_until(2).await;
    append(&path, "two\n");
    // What was read and not spooled is read again by the next start.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let spool = reading.stop().await;
    append(&path, "three\n");
    fs::rename(&path, dir.path().join("a.log.1")).unwrap();
    append(&path, "four\n");
    let mut reading = start(config(path.to_str().unwrap()), spool);
    reading.spool_until(5).await;
    let standings = reading.occurrences.standings();
    assert_eq!(standings.len(), 1, "{standings:?}");
    assert_eq!(raws(&reading.stop().await), ["one", "trace\n\tat x", "two", "three", "four"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_another_machine_is_polled() {
    let dir = tempfile::tempdir().unwrap();
    let pattern = format!("{}/*.log", dir.path().display());
    let polled = TailConfig { poll: Some(Duration::from_millis(300)), ..config(&pattern) };
    let mut reading = start(polled, spool(&dir.path().join("spool")));
    append(&dir.path().join("a.log"), "one\n");
    reading.spool_until(1).await;
    append(&dir.path().join("a.log"), "two\n");
    append(&dir.path().join("b.log"), "of a file that appears later\n");
    reading.spool_until(3).await;
    let mut found = raws(&reading.stop().await);
    found.sort();
    assert_eq!(found, ["of a file that appears later", "one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rotations_within_a_moment_lose_no_file_between() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    append(&at("a.log"), "one\n");
    let mut reading = start(config(at("a.log").to_str().unwrap()), spool(&at("spool")));
    reading.spool_until(1).await;
    let rotate = |count: usize| {
        for number in (1..=count).rev() {
            let name = |n: usize| if n == 0 { at("a.log") } else { at(&format!("a.log.{n}")) };
            fs::rename(name(number - 1), name(number)).unwrap();
        }
    };
    for (count, text) in [(1, "two\n"), (2, "three\n"), (3, "four\n")] {
        rotate(count);
        std::thread::sleep(Duration::from_millis(20));
        append(&at("a.log"), text);
    }
    // One of them is compressed already, with its time kept to the second only, as some tools do.
    let modified = fs::metadata(at("a.log.2")).unwrap().modified().unwrap();
    let seconds = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    super::tests::pack(&at("a.log.2"));
    let file = OpenOptions::new().write(true).open(at("a.log.2.gz")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    reading.spool_until(4).await;
    append(&at("a.log"), "five\n");
    reading.spool_until(5).await;
    let mut found = raws(&reading.stop().await);
    // Times to the second leave the order open.
    found.sort();
    assert_eq!(found, ["five", "four", "one", "three", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_slow_writer_adds_to_a_rotated_file_is_read_too() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    append(&at("a.log"), "one\n");
    let mut reading = start(config(at("a.log").to_str().unwrap()), spool(&at("spool")));
    reading.spool_until(1).await;
    fs::rename(at("a.log"), at("a.log.1")).unwrap();
    append(&at("a.log"), "two\n");
    reading.spool_until(2).await;
    append(&at("a.log.1"), "a child of the old server, ");
    reading.spool_for(Duration::from_millis(600)).await;
    append(&at("a.log.1"), "late\n");
    reading.spool_until(3).await;
    append(&at("a.log"), "three\n");
    reading.spool_until(4).await;
    let wanted = ["one", "two", "a child of the old server, late", "three"];
    assert_eq!(raws(&reading.stop().await), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_several_lines_are_whole_although_a_restart_came_in_their_middle() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let record = [
        "--1a2b3c4d-A--",
        "[24/Nov/2026:09:00:00 +0000] X 203.0.113.7 5 10.0.0.5 443",
        "--1a2b3c4d-B--",
        "GET /a HTTP/1.1",
        "--1a2b3c4d-Z--",
    ];
    append(&path, &format!("before\n{}\n", record[..2].join("\n")));
    let spool = spool(&dir.path().join("spool"));
    let mut reading = start(config(path.to_str().unwrap()), spool);
    reading.spool_until(1).await;
    let spool = reading.stop().await;
    assert_eq!(raws(&spool), ["before"], "the record has no end yet");
    append(&path, &format!("{}\nafter\n", record[2..].join("\n")));
    // The records of two audit events, one in the other, and another restart behind them.
    let audit = |kind: &str, number: u8| {
        format!(
            "type={kind} msg=audit(1796000000.1:{number}): arch=c000003e syscall=59 success=yes"
        )
    };
    let events = [audit("SYSCALL", 1), audit("SYSCALL", 2), audit("EOE", 1), audit("EOE", 2)];
    append(&path, &(events.join("\n") + "\n"));
    let mut reading = start(config(path.to_str().unwrap()), spool);
    reading.spool_until(4).await;
    let spool = reading.stop().await;
    append(&path, "last\n");
    let mut reading = start(config(path.to_str().unwrap()), spool);
    reading.spool_until(5).await;
    let first = [events[0].as_str(), events[2].as_str()].join("\n");
    let second = [events[1].as_str(), events[3].as_str()].join("\n");
    let spool = reading.stop().await;
    assert_eq!(raws(&spool), ["before", "after", &first, &second, "last"]);
    let requests = held(&spool, Lane::Usage);
    assert_eq!(requests.len(), 1, "a request travels on its own lane");
    assert_eq!(requests[0].raw(), record.join("\n").as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_a_header_names_are_known_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let row = |second: u8| format!("2026-11-24 09:00:0{second} GET 203.0.113.7 /a 404\n");
    append(&path, "#Fields: date time cs-method c-ip cs-uri-stem sc-status\n");
    append(&path, &row(1));
    let mut reading = start(config(path.to_str().unwrap()), spool(&dir.path().join("spool")));
    let requests = |reading: &Reading| held(&reading.spool, Lane::Usage).len();
    reading.spool_while("the first request", |reading| requests(reading) < 1).await;
    let spool = reading.stop().await;
    append(&path, &row(2));
    let mut reading = start(config(path.to_str().unwrap()), spool);
    reading.spool_while("the second request", |reading| requests(reading) < 2).await;
    let held = held(&reading.stop().await, Lane::Usage);
    for event in &held {
        let activity = event.activity().unwrap();
        assert_eq!(activity.source_address().unwrap().to_string(), "203.0.113.7");
        assert_eq!(activity.http.as_ref().unwrap().status_code, 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_floods_is_slowed_alone_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = (0..300).map(|n| format!("line {n}\n")).collect();
    append(&dir.path().join("loud.log"), &lines);
    append(&dir.path().join("quiet.log"), "quiet\n");
    let limited = TailConfig {
        lines_per_second_max: Some(100),
        ..config(&format!("{}/*.log", dir.path().display()))
    };
    let mut reading = start(limited, spool(&dir.path().join("spool")));
    reading.spool_until(301).await;
    assert!(reading.occurrences.times_slowed() > 0);
    assert_eq!(raws(&reading.stop().await).len(), 301);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_from_the_end_is_remembered_before_the_first_line_comes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "old\n");
    let from_end = || TailConfig { from: TailFrom::End, ..config(path.to_str().unwrap()) };
    let mut reading = start(from_end(), spool(&dir.path().join("spool")));
    let begun = |spool: &SharedSpool| !spool.lock().known("tail:").is_empty();
    reading.spool_while("where reading begins", |reading| !begun(&reading.spool)).await;
    let spool = reading.stop().await;
    append(&path, "while it was away\n");
    let mut reading = start(from_end(), spool);
    reading.spool_until(1).await;
    assert_eq!(raws(&reading.stop().await), ["while it was away"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_may_not_be_read_is_read_once_it_may() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\n");
    let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o000);
    let forbidden = fs::File::open(&path).is_err();
    let mut reading = start(config(path.to_str().unwrap()), spool(&dir.path().join("spool")));
    reading.spool_until(usize::from(!forbidden)).await;
    assert_eq!(raws(&reading.spool).is_empty(), forbidden, "a privileged reader is not forbidden");
    mode(0o600);
    reading.spool_until(1).await;
    // Taken away while it is open: what is open stays readable.
    mode(0o000);
    append_open(&path, "two\n");
    reading.spool_until(1 + usize::from(!forbidden)).await;
    let got = raws(&reading.stop().await);
    assert_eq!(got[0], "one");
    assert!(forbidden || got.len() == 2);
}

/// Appends if this process may.
fn append_open(path: &Path, text: &str) {
    if let Ok(mut file) = OpenOptions::new().append(true).open(path) {
        file.write_all(text.as_bytes()).unwrap();
    }
}

mod ceilings;
