//! The source as the agent runs it, against real files and a real spool.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;
use vonggac_wire::{Lane, Time};

use super::*;
use crate::{config::Fsync, intake, occurrence::Occurrences, ship::SharedSpool, spool::Spool};

struct Reading {
    chunks: Receiver<Chunk>,
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
        lines_per_second_max: None,
    }
}

fn start(config: TailConfig, spool: SharedSpool) -> Reading {
    let (intake, chunks) = intake::queue();
    let (stop, occurrences) = (CancellationToken::new(), Occurrences::new().unwrap());
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

fn raws(spool: &SharedSpool) -> Vec<String> {
    let mut all = Vec::new();
    let mut spool = spool.lock();
    spool.rewind(Lane::Security);
    while let Some(pending) = spool.next(Lane::Security, 1_000, 1 << 20).unwrap() {
        all.extend(pending.events.iter().map(|e| String::from_utf8_lossy(e.raw()).into_owned()));
    }
    all
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

const WHILE: Duration = Duration::from_millis(1_200);

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
    reading.spool_for(WHILE).await;
    std::os::unix::fs::symlink(at("a.log"), at("same.log")).unwrap();
    append(&at("a.log"), "two\n");
    reading.spool_for(Duration::from_secs(3)).await;
    assert_eq!(raws(&reading.stop().await), ["one", "two"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_with_a_stop_between_gives_each_line_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\n\ntrace\n\tat x\n");
    let spool = spool(&dir.path().join("spool"));
    let mut reading = start(config(path.to_str().unwrap()), spool);
    reading.spool_for(WHILE).await;
    append(&path, "two\n");
    // What was read and not spooled is read again by the next start.
    tokio::time::sleep(Duration::from_millis(600)).await;
    let spool = reading.stop().await;
    append(&path, "three\n");
    fs::rename(&path, dir.path().join("a.log.1")).unwrap();
    append(&path, "four\n");
    let mut reading = start(config(path.to_str().unwrap()), spool);
    reading.spool_for(WHILE).await;
    let standings = reading.occurrences.standings();
    assert_eq!(standings.len(), 1, "{standings:?}");
    assert_eq!(raws(&reading.stop().await), ["one", "trace\n\tat x", "two", "three", "four"]);
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
    reading.spool_for(Duration::from_millis(700)).await;
    let early = raws(&reading.spool);
    assert!(early.iter().any(|raw| raw == "quiet") && early.len() < 300, "{}", early.len());
    reading.spool_for(Duration::from_secs(2)).await;
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
    reading.spool_for(Duration::from_millis(500)).await;
    let spool = reading.stop().await;
    append(&path, "while it was away\n");
    let mut reading = start(from_end(), spool);
    reading.spool_for(Duration::from_millis(800)).await;
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
    reading.spool_for(WHILE).await;
    assert_eq!(raws(&reading.spool).is_empty(), forbidden, "a privileged reader is not forbidden");
    mode(0o600);
    reading.spool_for(Duration::from_secs(3)).await;
    // Taken away while it is open: what is open stays readable.
    mode(0o000);
    append_open(&path, "two\n");
    reading.spool_for(WHILE).await;
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
