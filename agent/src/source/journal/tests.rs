//! Against journals that journald's own tools made, through `journalctl`.

use std::{fs, path::Path, sync::Arc, time::Instant};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    config::Fsync,
    intake::{self, Chunks},
    occurrence::Occurrences,
    ship::SharedSpool,
    spool::Spool,
};

/// Twenty entries of one journal, the twenty behind them in the file that a rotation began, and ten of another journal.
const FIRST: &[u8] = include_bytes!("examples/first.journal.zst");
const CONTINUED: &[u8] = include_bytes!("examples/continued.journal.zst");
const OTHER: &[u8] = include_bytes!("examples/other.journal.zst");

struct Reading {
    chunks: Chunks,
    stop: CancellationToken,
    occurrences: Occurrences,
    ended: tokio::task::JoinHandle<Result<(), SourceError>>,
}

fn start(folder: &Path, from: JournalFrom, spool: &SharedSpool) -> Reading {
    let (intake, chunks) = intake::queue();
    let (stop, occurrences) = (CancellationToken::new(), Occurrences::new().unwrap());
    let context = SourceContext {
        intake,
        checkpoints: Arc::new(spool.clone()),
        shutdown: stop.clone(),
        occurrences: occurrences.clone(),
    };
    let config = JournalConfig { enabled: true, folder: Some(folder.to_owned()), from };
    let ended = tokio::spawn(Journal::new(config).run(context));
    Reading { chunks, stop, occurrences, ended }
}

impl Reading {
    async fn spool_until(&mut self, spool: &SharedSpool, wanted: usize) {
        let begun = Instant::now();
        while ports(spool).len() < wanted && begun.elapsed().as_secs() < 30 {
            let wait = Duration::from_millis(200);
            if let Ok(Some(chunk)) = tokio::time::timeout(wait, self.chunks.recv()).await {
                spool.lock().append(chunk.entries, &chunk.passed, Time::now()).unwrap();
            }
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.ended.await.unwrap().unwrap();
    }
}

/// The journal goes on in a fresh file, as journald rotates.
fn rotate(folder: &Path) {
    fs::rename(folder.join("system.journal"), folder.join("system@1.journal")).unwrap();
    put(folder, CONTINUED);
}

fn put(folder: &Path, journal: &[u8]) {
    let path = folder.join("system.journal");
    fs::write(folder.join("new"), zstd::decode_all(journal).unwrap()).unwrap();
    fs::rename(folder.join("new"), path).unwrap();
}

fn open(dir: &Path) -> SharedSpool {
    let fsync = Fsync::Interval(Duration::from_secs(60));
    SharedSpool::new(Spool::open(&dir.join("spool"), "h", 1 << 30, fsync, Time::now()).unwrap())
}

/// The ports that log-ins in the spool came from, which number the entries.
fn ports(spool: &SharedSpool) -> Vec<u32> {
    let mut ports = Vec::new();
    let mut spool = spool.lock();
    spool.rewind(Lane::Security);
    while let Some(pending) = spool.next(Lane::Security, 1_000, 1 << 20).unwrap() {
        ports.extend(pending.events.iter().filter_map(|e| Some(e.activity()?.src_port - 1_000)));
    }
    ports
}

fn gaps(spool: &SharedSpool) -> usize {
    let mut spool = spool.lock();
    spool.rewind(Lane::Uptime);
    let pending = spool.next(Lane::Uptime, 1_000, 1 << 20).unwrap();
    pending.map_or(0, |p| p.events.iter().filter(|e| matches!(e.body(), Body::Gap(_))).count())
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_come_once_each_although_a_crash_came_in_their_middle_and_the_journal_was_rotated()
{
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("journal");
    fs::create_dir(&folder).unwrap();
    put(&folder, FIRST);
    let spool = open(dir.path());
    let mut reading = start(&folder, JournalFrom::Start, &spool);
    let chunk = reading.chunks.recv().await.unwrap();
    // A crash behind seven entries of a chunk: nothing of it is in the ledger.
    let seven = chunk.entries.into_iter().take(7).collect();
    spool.lock().append(seven, &[], Time::now()).unwrap();
    reading.stop().await;
    drop(spool);
    rotate(&folder);
    let spool = open(dir.path());
    let mut reading = start(&folder, JournalFrom::Start, &spool);
    reading.spool_until(&spool, 40).await;
    reading.stop().await;
    assert_eq!(ports(&spool), (1..=40).collect::<Vec<_>>());
    assert_eq!(gaps(&spool), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_journal_is_read_from_its_beginning_and_the_exchange_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("journal");
    fs::create_dir(&folder).unwrap();
    put(&folder, FIRST);
    let spool = open(dir.path());
    let mut reading = start(&folder, JournalFrom::Start, &spool);
    reading.spool_until(&spool, 20).await;
    reading.stop().await;
    put(&folder, OTHER);
    let mut reading = start(&folder, JournalFrom::Start, &spool);
    reading.spool_until(&spool, 30).await;
    reading.stop().await;
    assert_eq!((ports(&spool), gaps(&spool)), ((1..=20).chain(41..=50).collect(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn from_now_on_is_remembered_before_the_first_entry_comes() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("journal");
    fs::create_dir(&folder).unwrap();
    put(&folder, FIRST);
    let spool = open(dir.path());
    let mut reading = start(&folder, JournalFrom::End, &spool);
    while spool.lock().known("journal:").is_empty() {
        let chunk = reading.chunks.recv().await.unwrap();
        spool.lock().append(chunk.entries, &chunk.passed, Time::now()).unwrap();
    }
    reading.stop().await;
    rotate(&folder);
    let mut reading = start(&folder, JournalFrom::End, &spool);
    reading.spool_until(&spool, 20).await;
    reading.stop().await;
    assert_eq!(ports(&spool), (21..=40).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_journal_says_so_once() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let reading = start(&dir.path().join("none"), JournalFrom::End, &spool);
    tokio::time::sleep(Duration::from_secs(4)).await;
    let failures = reading.occurrences.registry().gather().into_iter();
    let failures: f64 = failures
        .filter(|family| family.name().contains("source_failures"))
        .map(|family| family.get_metric()[0].get_counter().get_value())
        .sum();
    reading.stop().await;
    assert!((failures - 1.0).abs() < f64::EPSILON, "{failures}");
}

#[tokio::test]
async fn an_entry_without_end_is_cut_and_the_next_is_whole() {
    let text = format!("{}\n{{}}\n", "x".repeat(3 << 20));
    let mut reader = BufReader::new(text.as_bytes());
    let (first, cut) = line(&mut reader).await.unwrap().unwrap();
    assert_eq!((first.len(), cut), (1 << 20, 2 << 20));
    assert_eq!(line(&mut reader).await.unwrap().unwrap().0, b"{}");
    assert!(line(&mut reader).await.unwrap().is_none());
}

#[test]
fn where_reading_begins_follows_from_what_was_read() {
    let at = |stream: &str, offset| Position { stream: stream.into(), offset };
    let newest = at("journal:b", 9);
    let known = |stream: &str| vec![(stream.to_owned(), 5), ("journal:old".into(), 1_000)];
    let of = |from, newest: Option<&Position>, known: &[_]| begin(from, newest, known);
    let (start, end) = (JournalFrom::Start, JournalFrom::End);
    assert_eq!(of(start, Some(&newest), &[]), Begin::default());
    assert_eq!(of(end, None, &[]), Begin::default(), "an empty journal has no past");
    let new = Begin { at: Some(newest.clone()), is_new: true, lost: false };
    assert_eq!(of(end, Some(&newest), &[]), new);
    let goes_on = Begin { at: Some(at("journal:b", 5)), ..Begin::default() };
    assert_eq!(of(end, Some(&newest), &known("journal:b")), goes_on);
    assert!(of(end, Some(&newest), &known("journal:c")).lost);
}
