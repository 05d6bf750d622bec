//! Files within ceilings: few open at once, slowed by their rank, limited alone; and what is lost all the same is told.

use std::collections::{BTreeMap, HashSet};

use super::*;
use crate::governor::{Paces, Rank};

/// Occurrences of an agent that may hold so many logs open.
fn few(log_files_max: u64) -> Occurrences {
    let occurrences = Occurrences::new().unwrap();
    occurrences.reading().set(Paces::full(log_files_max));
    occurrences
}

/// Those of an agent that has to make room by slowing what can wait.
fn slowed(shares: [f64; 3]) -> Occurrences {
    let occurrences = Occurrences::new().unwrap();
    occurrences.reading().set(Paces { shares, log_files_max: 64 });
    occurrences
}

/// Open files of this process below a folder.
fn open_below(dir: &Path) -> usize {
    let entries = fs::read_dir("/proc/self/fd").unwrap().filter_map(Result::ok);
    let names = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    names.filter(|name| name.starts_with(dir)).count()
}

/// Bytes of the gaps that were told.
fn gaps(spool: &SharedSpool) -> Vec<u64> {
    let events = held(spool, Lane::Uptime);
    let bytes = |event: &Event| match event.body() {
        Body::Gap(gap) if gap.reason() == GapReason::Truncation => Some(gap.bytes),
        _ => None,
    };
    events.iter().filter_map(bytes).collect()
}

fn request(number: usize) -> String {
    format!(
        "203.0.113.7 - - [24/Nov/2026:09:41:12 +0700] \"GET /a/{number} HTTP/1.1\" 200 5 \"-\" \"M\"\n"
    )
}

fn failure(number: usize) -> String {
    format!(
        "Nov 24 16:00:00 web-1 sshd[{number}]: Failed password for root from 203.0.113.7 port {number} ssh2\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_files_few_are_open_and_no_line_is_lost_through_rotations() {
    const FILES: usize = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let logs = dir.path().join("logs");
    fs::create_dir(&logs).unwrap();
    let at = |n: usize| logs.join(format!("s{n:04}.log"));
    let mut wanted = HashSet::new();
    let mut write = |n: usize, round: usize| {
        let text = format!("file {n} round {round}");
        append(&at(n), &format!("{text}\n"));
        wanted.insert(text);
    };
    for n in 0..FILES {
        write(n, 0);
    }
    let occurrences = few(64);
    let pattern = config(&format!("{}/*.log", logs.display()));
    let mut reading = start_with(pattern, spool(&dir.path().join("spool")), occurrences.clone());
    reading.spool_until(FILES).await;
    let mut most = open_below(&logs);
    // All change; then some are renamed, some are copied and cut, some are packed, some get half a line.
    for n in 0..FILES {
        write(n, 1);
    }
    reading.spool_until(2 * FILES).await;
    most = most.max(open_below(&logs));
    for n in 0..FILES {
        write(n, 2);
        match n % 5 {
            0 => {
                fs::rename(at(n), logs.join(format!("s{n:04}.log.1"))).unwrap();
                write(n, 3);
            }
            1 => {
                let old = logs.join(format!("s{n:04}.log.1"));
                fs::rename(at(n), &old).unwrap();
                super::super::tests::pack(&old);
                write(n, 3);
            }
            2 => append(&at(n), "half a "),
            _ => {}
        }
    }
    reading.spool_until(3 * FILES + 2 * FILES / 5).await;
    most = most.max(open_below(&logs));
    for n in (2..FILES).step_by(5) {
        write(n, 4);
    }
    reading.spool_until(3 * FILES + 3 * FILES / 5).await;
    most = most.max(open_below(&logs));
    let closed = occurrences.reading().log_files().1;
    let all = raws(&reading.stop().await);
    let halves = all.iter().filter(|raw| raw.starts_with("half a file ")).count();
    let all: Vec<_> = all.iter().map(|raw| raw.trim_start_matches("half a ").to_owned()).collect();
    assert_eq!(all.len(), wanted.len(), "no line twice");
    assert_eq!(all.into_iter().collect::<HashSet<_>>(), wanted);
    assert_eq!(halves, FILES / 5);
    // A look may have one file open beyond those that are held, and a rotation one more.
    assert!(most <= 64 + 4, "{most} files were open");
    assert!(closed > FILES as u64, "{closed}");
    assert_eq!(occurrences.log_bytes_lost(), 0);
    assert_eq!(occurrences.reading().log_files().0, 0, "a thread that ended holds none");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_file_whose_inode_is_used_again_is_another_file() {
    let dir = tempfile::tempdir().unwrap();
    let at = |n: usize| dir.path().join(format!("s{n}.log"));
    for n in 0..40 {
        append(&at(n), &format!("old {n}\n"));
    }
    let occurrences = few(8);
    let pattern = config(&format!("{}/*.log", dir.path().display()));
    let mut reading = start_with(pattern, spool(&dir.path().join("spool")), occurrences.clone());
    reading.spool_until(40).await;
    for n in 0..40 {
        fs::remove_file(at(n)).unwrap();
        append(&at(n), &format!("another first line {n}\nold {n}\n"));
    }
    reading.spool_until(120).await;
    let mut wanted = BTreeMap::new();
    for n in 0..40 {
        wanted.insert(format!("old {n}"), 2);
        wanted.insert(format!("another first line {n}"), 1);
    }
    let mut found = BTreeMap::new();
    for raw in raws(&reading.stop().await) {
        *found.entry(raw).or_insert(0) += 1;
    }
    assert_eq!(found, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn access_logs_and_back_fill_wait_while_log_ins_are_read_as_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let occurrences = slowed([0.02, 0.3, 1.0]);
    append(&at("access.log"), &(0..40_000).map(request).collect::<String>());
    append(&at("auth.log"), &failure(1));
    let pattern = config(&format!("{}/*.log", dir.path().display()));
    let mut reading = start_with(pattern, spool(&at("spool")), occurrences.clone());
    let seen = |reading: &Reading| held(&reading.spool, Lane::Security).len();
    for n in 1..12 {
        reading.spool_while("a log-in is not held up", |reading| seen(reading) < n).await;
        append(&at("auth.log"), &failure(n + 1));
    }
    let requests = held(&reading.spool, Lane::Usage).len();
    assert!(requests > 0 && requests < 40_000, "{requests} requests were read meanwhile");
    // Standings are told every few seconds.
    let waited = |reading: &Reading| {
        let standings = reading.occurrences.standings();
        standings.iter().any(|(_, thing, of)| thing.ends_with("access.log") && of.waited > 0)
    };
    reading.spool_while("that it waits is told", |reading| !waited(reading)).await;
    // The host has time again.
    occurrences.reading().set(Paces::full(64));
    reading
        .spool_while("nothing of it is lost", |reading| {
            held(&reading.spool, Lane::Usage).len() < 40_000
        })
        .await;
    assert!(occurrences.reading().share(Rank::Later) >= 1.0);
    assert_eq!(held(&reading.stop().await, Lane::Usage).len(), 40_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_floods_holds_up_no_other_and_all_of_it_is_read_through_rotations() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let limited = TailConfig {
        lines_per_second_max: Some(300),
        ..config(&format!("{}/*.log", dir.path().display()))
    };
    let flood =
        |part: usize| (0..1_000).map(|n| format!("flood {part} line {n}\n")).collect::<String>();
    append(&at("loud.log"), &flood(0));
    append(&at("quiet.log"), "quiet 0\n");
    let mut reading = start(limited, spool(&at("spool")));
    let quiet = |reading: &Reading| {
        raws(&reading.spool).iter().filter(|raw| raw.starts_with("quiet")).count()
    };
    reading.spool_while("the quiet file", |reading| quiet(reading) < 1).await;
    // It is rotated three times before reading comes to the second file, and only one rotation is kept.
    for part in 1..4 {
        fs::rename(at("loud.log"), at("loud.log.1")).unwrap();
        append(&at("loud.log"), &flood(part));
        append(&at("quiet.log"), &format!("quiet {part}\n"));
        reading.spool_while("the quiet file keeps its pace", |r| quiet(r) < part + 1).await;
        reading.spool_for(Duration::from_millis(700)).await;
    }
    reading.spool_while("all of the flood", |reading| raws(&reading.spool).len() < 4_004).await;
    let waited = |reading: &Reading, name: &str| {
        let standings = reading.occurrences.standings();
        standings.iter().any(|(_, thing, of)| thing.ends_with(name) && of.waited > 0)
    };
    reading.spool_while("that it waited is told", |reading| !waited(reading, "loud.log")).await;
    assert!(!waited(&reading, "quiet.log"), "{:?}", reading.occurrences.standings());
    assert!(reading.occurrences.times_slowed() > 0);
    assert_eq!(reading.occurrences.log_bytes_lost(), 0);
    let spool = reading.stop().await;
    let mut found = raws(&spool);
    found.retain(|raw| raw.starts_with("flood"));
    let wanted: Vec<String> =
        (0..4).flat_map(|part| (0..1_000).map(move |n| format!("flood {part} line {n}"))).collect();
    assert_eq!(found, wanted, "each once, and in order");
    assert!(gaps(&spool).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_away_before_it_could_be_read_is_told_with_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("loud.log");
    let lines: String = (0..2_000).map(|n| format!("line {n:04}\n")).collect();
    append(&path, &lines);
    let limited = TailConfig { lines_per_second_max: Some(50), ..config(path.to_str().unwrap()) };
    let mut reading = start(limited, spool(&dir.path().join("spool")));
    reading.spool_while("some of it", |reading| raws(&reading.spool).is_empty()).await;
    // Cut without a copy, and written to again.
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, "new\n");
    let has_new = |reading: &Reading| raws(&reading.spool).iter().any(|raw| raw == "new");
    reading.spool_while("what came after", |reading| !has_new(reading)).await;
    let lost = reading.occurrences.log_bytes_lost();
    let spool = reading.stop().await;
    let read = raws(&spool).len() as u64 - 1;
    assert!(read < 2_000, "{read}");
    assert_eq!(lost, (2_000 - read) * "line 0000\n".len() as u64);
    assert_eq!(gaps(&spool), [lost]);
}

/// Chunks that are taken, one after the other, until one holds a fresh line.
async fn chunks_before_fresh(chunks: &mut Chunks) -> usize {
    for count in 0.. {
        let chunk = tokio::time::timeout(PATIENCE, chunks.recv()).await.unwrap().unwrap();
        if chunk.entries.iter().any(|entry| entry.event.raw().starts_with(b"fresh")) {
            return count;
        }
    }
    unreachable!("back-fill ends before")
}

#[tokio::test(flavor = "multi_thread")]
async fn fresh_lines_pass_back_fill_after_what_is_in_the_queue_already() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // Old lines of a hundred chunks; the queue holds a few.
    append(&at("old.log"), &(0..60_000).map(request).collect::<String>());
    let (intake, mut chunks) = intake::queue();
    let stop = CancellationToken::new();
    // A reading thread that nobody stops would outlive a test that fails.
    let _stopped = stop.clone().drop_guard();
    let context = SourceContext {
        intake,
        checkpoints: Arc::new(spool(&at("spool"))),
        shutdown: stop.clone(),
        occurrences: Occurrences::new().unwrap(),
    };
    // Of the same pattern, and so of the same thread, and of another.
    let same = tokio::spawn(
        Tail::new(config(&format!("{}/*.log", dir.path().display()))).run(context.clone()),
    );
    let other =
        tokio::spawn(Tail::new(config(&format!("{}/*.txt", dir.path().display()))).run(context));
    for round in 0..6 {
        // The spool stands still: the queue fills, and whoever reads waits for a place.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let name = if round % 2 == 0 { "new.log" } else { "new.txt" };
        append(&at(name), &format!("fresh {round}\n"));
        // Long enough to be found, which takes longer where looking for files does; what is found already is only read.
        let found = if round < 2 { 8 } else { 1 };
        tokio::time::sleep(Duration::from_secs(found)).await;
        let before = chunks_before_fresh(&mut chunks).await;
        let most = intake::CHUNKS_WAITING_MAX + 4;
        assert!(before <= most, "{before} chunks of old lines came before a fresh one of {name}");
    }
    stop.cancel();
    drop(chunks);
    for ended in [same, other] {
        drop(tokio::time::timeout(PATIENCE, ended).await.unwrap());
    }
}
