//! Each fault of the store, what the operator sees while it lasts, and that nothing is lost or doubled when it is over.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a story stops where its ground is missing, and tells how it went"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use anyhow::ensure;
use rand::{Rng, SeedableRng, rngs::StdRng};
use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use system_tests::{
    ailing::Centre,
    between::{Fault, Reach},
    machine::{Part, megabytes},
};
use vonggac_wire::{
    AgencyId, AgentId, Batch, Event, Lane, Time,
    event::{Activity, Body, Class, Status},
};

const SOON: Duration = Duration::from_secs(40);

/// Lines that come while something is wrong.
const LINES: usize = 150;

/// The flow says what is wrong and the doctor names it, in their words.
fn is_seen(centre: &mut Centre, trouble: &str, fault: &str, sentence: &str) {
    let seen = centre.machine.until(
        trouble,
        SOON,
        |_| centre.flow(),
        |flow| flow["engine_trouble"] == trouble && flow["engine"] != "ok",
    );
    let seen = seen.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
    assert!(seen["engine_since"].is_string(), "{seen}");
    let (names, words, exit) = centre.doctor().expect("the doctor answers");
    assert!(names.iter().any(|name| name == fault), "{fault} is not among {names:?}");
    assert!(words.contains(sentence), "{sentence:?} is not in {words}");
    assert!(!names.iter().any(|name| name == "not-serving"), "{names:?}");
    assert_eq!(exit, Some(i32::from(trouble != "slow")), "{names:?}");
    assert!(centre.metric("vonggac_collector_store_ailing_seconds").expect("a metric") >= 1.0);
    centre.collector().expect("it goes on");
}

fn is_over(centre: &Centre) {
    centre.settled(SOON).unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
    let well = centre.machine.until(
        "well",
        SOON,
        |_| centre.flow(),
        |flow| flow["engine_trouble"] == "" && flow["engine"] == "ok",
    );
    well.unwrap_or_else(|error| panic!("{error:#}\n{}", centre.log()));
}

fn ready(centre: &mut Centre) {
    centre.write(LINES).expect("written");
    is_over(centre);
    assert!(!centre.log().contains("panicked"), "{}", centre.log());
}

#[test]
fn what_the_engine_refuses_is_named_and_stored_once_when_it_is_over() {
    let Some(mut centre) = Centre::up("", |_| Ok(())).expect("a centre") else { return };
    ready(&mut centre);
    let of =
        |code: u32, text: &str| Fault::Answer(500, format!("Code: {code}. DB::Exception: {text}"));
    for (fault, trouble, name, sentence) in [
        (Fault::Refuse, "away", "engine-away", "The store's engine does not answer"),
        (of(516, "vonggac: Authentication failed"), "denied", "engine-denied", "Mend engine.user"),
        (of(241, "Memory limit (total) exceeded"), "memory", "engine-memory", "block.rows_max"),
        (
            of(60, "Table vonggac.events does not exist"),
            "schema",
            "engine-schema",
            "Somebody changed the schema",
        ),
        (of(202, "Too many simultaneous queries"), "busy", "engine-busy", "SHOW PROCESSLIST"),
        (of(40, "Checksum doesn't match: corrupted data"), "damaged", "engine-damaged", "dmesg"),
        (of(9999, "\u{1b}[2J unheard of"), "other", "engine-refuses", "Its log says more"),
    ] {
        let reach = if fault == Fault::Refuse { Reach::All } else { Reach::Inserts };
        centre.between.set_for(reach, fault);
        centre.write(LINES).expect("written");
        is_seen(&mut centre, trouble, name, sentence);
        let failed = format!("vonggac_collector_store_failures_total{{reason=\"{trouble}\"}}");
        assert!(centre.metric(&failed).expect("a metric") >= 1.0);
        centre.between.set(Fault::None);
        is_over(&centre);
    }
    let log = centre.log();
    assert!(!log.contains("panicked") && !log.contains('\u{1b}'), "{log}");
    // Answers that never come back, of inserts that were done.
    centre.between.set(Fault::LoseAnswers { every: 2 });
    for _ in 0..4 {
        centre.write(LINES).expect("written");
        thread::sleep(Duration::from_millis(700));
    }
    assert!(centre.between.counts().lost > 0, "no answer was lost: the story tells nothing");
    centre.between.set(Fault::None);
    centre.each_once(SOON).expect("each once");
}

#[test]
fn an_engine_that_is_slow_is_told_while_it_is_waited_for() {
    let Some(mut centre) = Centre::up("", |_| Ok(())).expect("a centre") else { return };
    ready(&mut centre);
    centre.between.set_for(Reach::Into("events".into()), Fault::Slow(Duration::from_secs(13)));
    centre.write(LINES).expect("written");
    is_seen(&mut centre, "slow", "engine-slow", "has been at one block");
    centre.between.set(Fault::None);
    centre.each_once(SOON).expect("each once");
    assert!(!centre.log().contains("panicked"), "{}", centre.log());
}

#[test]
fn an_engine_that_hangs_is_told_and_what_it_does_late_is_not_doubled() {
    let short = "answer_within = \"8s\"\n";
    let Some(mut centre) = Centre::up(short, |_| Ok(())).expect("a centre") else { return };
    ready(&mut centre);
    // It hangs with everything; what it has taken it does when it comes back, although it was tried again.
    centre.between.set(Fault::Hang);
    centre.write(LINES).expect("written");
    is_seen(&mut centre, "hangs", "engine-hangs", "takes questions and does not answer");
    // The picture's clock goes on.
    let at = || centre.machine.rows(&["flow"]).map(|rows| rows.len());
    assert_eq!(at().expect("consoles are answered"), 1);
    centre.between.set(Fault::None);
    is_over(&centre);
    centre.each_once(SOON).expect("each once");
    assert!(!centre.log().contains("panicked"), "{}", centre.log());
}

/// What a story mounted, taken away at its end.
struct Mounts(Vec<PathBuf>);

impl Drop for Mounts {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            let _gone = Command::new("umount").arg("-l").arg(path).status();
        }
    }
}

fn mount(arguments: &[&str], at: &Path) -> anyhow::Result<()> {
    let done = Command::new("mount").args(arguments).arg(at).output()?;
    ensure!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Ok(())
}

/// Bytes of the small disk: room for an empty store and some minutes.
const DISK: &str = "size=192m";

#[test]
fn a_store_that_cannot_write_is_named_and_goes_on_when_it_can() {
    let mut mounts = Mounts(Vec::new());
    let small = |data: &Path| {
        let disk = data.join("engine");
        fs::create_dir_all(&disk)?;
        mount(&["-t", "tmpfs", "-o", DISK, "tmpfs"], &disk)?;
        mounts.0.push(disk);
        Ok(())
    };
    let centre = match Centre::up("", small) {
        Ok(centre) => centre,
        Err(error) if mounts.0.is_empty() => {
            eprintln!("SKIPPED: nothing can be mounted here: {error:#}");
            return;
        }
        Err(error) => panic!("{error:#}"),
    };
    let Some(mut centre) = centre else { return };
    ready(&mut centre);
    let disk = mounts.0[0].clone();

    // The disk is full.
    let ballast = disk.join("ballast");
    let filled = Command::new("dd")
        .args(["if=/dev/zero", "bs=64K", "status=none"])
        .arg(format!("of={}", ballast.display()))
        .output()
        .expect("dd runs");
    assert!(!filled.status.success(), "the disk is full");
    centre.write(LINES).expect("written");
    is_seen(&mut centre, "disk-full", "engine-disk-full", "its disk is full");
    fs::remove_file(&ballast).expect("removed");
    is_over(&centre);

    // The kernel made it read-only, as after an error of the disk.
    let store = disk.join("store");
    mount(&["--bind", &store.display().to_string()], &store).expect("bound");
    mounts.0.push(store.clone());
    mount(&["-o", "remount,bind,ro"], &store).expect("read-only");
    centre.write(LINES).expect("written");
    is_seen(&mut centre, "read-only", "engine-read-only", "it is read-only");
    mount(&["-o", "remount,bind,rw"], &store).expect("writable");
    is_over(&centre);

    // Nothing is merged.
    centre.engine("SYSTEM STOP MERGES events").expect("stopped");
    centre
        .engine("ALTER TABLE events MODIFY SETTING parts_to_delay_insert = 0, parts_to_throw_insert = 3, min_parts_to_merge_at_once = 100")
        .expect("altered");
    for _ in 0..6 {
        centre.write(LINES / 3).expect("written");
        thread::sleep(Duration::from_millis(700));
    }
    is_seen(&mut centre, "parts-many", "engine-parts-many", "too many parts");
    centre
        .engine("ALTER TABLE events RESET SETTING parts_to_delay_insert, parts_to_throw_insert, min_parts_to_merge_at_once")
        .expect("altered");
    centre.engine("SYSTEM START MERGES events").expect("started");
    is_over(&centre);

    // It dies, and is started again.
    centre.write(LINES).expect("written");
    centre.machine.signal(Part::Engine, "KILL").expect("killed");
    centre.write(LINES).expect("written");
    is_over(&centre);
    centre.each_once(SOON).expect("each once");
    assert!(!centre.log().contains("panicked"), "{}", centre.log());
}

/// Records of a flood, each of some 600 KB: twice of what may be fetched ahead.
const RECORDS: usize = 250;

/// What a collector may hold besides itself while it stands: 64 MB fetched ahead, and a block of 32 MB as it came, as events, as rows, and
/// on its way.
const HELD_MB_MAX: f64 = 64.0 + 4.0 * 32.0;

/// A record whose bytes do not pack.
fn bulky(chance: &mut StdRng) -> Vec<u8> {
    let now = Time::now();
    let events = (0..600).map(|_| {
        let raw: String =
            (0..1_300).map(|_| char::from(chance.random_range(b'0'..=b'z'))).collect();
        let body = Body::Activity(Activity::of(Class::Process, 1, Status::Success));
        Event::new(now, now, body).with_raw(raw.as_bytes(), 0)
    });
    let batch = Batch {
        agent: AgentId::new("flood-1").expect("a name"),
        agency: AgencyId::new("local").expect("a name"),
        host: "flood".into(),
        boot: [7; 16],
        lane: Lane::Security,
        first_seq: 1,
        previous: None,
        events: events.collect(),
        simulated: false,
        sealed: now,
        ahead: false,
    };
    batch.seal().value
}

#[test]
fn the_collectors_memory_stays_bounded_while_the_engine_hangs() {
    let Some(mut centre) = Centre::up("", |_| Ok(())).expect("a centre") else { return };
    ready(&mut centre);
    let pid = centre.collector().expect("it runs");
    let before = megabytes(pid, "VmRSS:").expect("a figure");
    centre.between.set(Fault::Hang);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", centre.machine.address("kafka").expect("an address"))
        .set("message.max.bytes", "4194304")
        .create()
        .expect("a producer");
    let value = bulky(&mut StdRng::seed_from_u64(2026));
    let bytes = value.len() * RECORDS;
    assert!(bytes > 120_000_000, "{bytes} bytes are no flood");
    let mut most = before;
    for _ in 0..RECORDS {
        let record = BaseRecord::to("vonggac.security.v1").key("local").payload(&value);
        producer.send(record).map_err(|(error, _)| error).expect("sent");
        producer.flush(Duration::from_secs(10)).expect("delivered");
        most = most.max(megabytes(pid, "VmRSS:").expect("a figure"));
    }
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(500));
        most = most.max(megabytes(pid, "VmRSS:").expect("a figure"));
    }
    eprintln!("{before:.0} MB before, at most {most:.0} MB with {} MB waiting", bytes >> 20);
    assert!(most < before + HELD_MB_MAX, "{most} MB");
    centre.between.set(Fault::None);
    centre.write(LINES).expect("written");
    centre.each_once(SOON).expect("each once");
    let most = megabytes(pid, "VmHWM:").expect("a figure");
    eprintln!("at most {most:.0} MB while it caught up");
}
