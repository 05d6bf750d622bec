//! Whatever happens to a log, it is read the same whether it is held open or closed after every look.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use proptest::prelude::*;

use super::{file::BLOCK_BYTES, followed::Followed, record::Joining, rotated, tests::pack};
use crate::intake::Checkpoints;

/// What was handed over is in the spool at once.
#[derive(Default)]
struct Spooled(BTreeMap<String, u64>);

impl Checkpoints for Spooled {
    fn resume(&self, stream: &str) -> Option<u64> {
        self.0.get(stream).copied()
    }
    fn known(&self, prefix: &str) -> Vec<(String, u64)> {
        let all = self.0.iter().filter(|(name, _)| name.starts_with(prefix));
        all.map(|(name, offset)| (name.clone(), *offset)).collect()
    }
}

/// What a program and its rotation do, and when the agent looks.
#[derive(Clone, Copy, Debug)]
enum Step {
    Lines(u8),
    /// A line whose end comes later.
    Half,
    Rename,
    /// Copied, and cut.
    Copy,
    /// What was rotated last is compressed.
    Pack,
    Look,
    /// Seconds pass between looks.
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_u8..40).prop_map(Step::Lines),
        1 => Just(Step::Half),
        1 => Just(Step::Rename),
        1 => Just(Step::Copy),
        1 => Just(Step::Pack),
        5 => Just(Step::Look),
        1 => Just(Step::Wait),
    ]
}

/// A log, and a reader of it.
struct Story {
    path: PathBuf,
    followed: Followed,
    closes: bool,
    now: Instant,
    block: Vec<u8>,
    read: Vec<String>,
    spooled: Spooled,
    lost_bytes: u64,
    /// Lines that were written, and whether one has no end yet.
    written: usize,
    half: bool,
    /// A look has seen the file since it was last taken away.
    looked: bool,
}

impl Story {
    fn begin(dir: &Path, closes: bool) -> Self {
        let path = dir.join("a.log");
        fs::write(&path, "line 0\n").unwrap();
        let files = rotated::open(&path, false, &Spooled::default()).unwrap().files;
        Self {
            followed: Followed::new(files, Joining::Off, None),
            path,
            closes,
            now: Instant::now(),
            block: vec![0; BLOCK_BYTES],
            read: Vec::new(),
            spooled: Spooled::default(),
            lost_bytes: 0,
            written: 1,
            half: false,
            looked: false,
        }
    }

    fn old(&self, number: usize) -> PathBuf {
        self.path.with_file_name(format!("a.log.{number}"))
    }

    fn append(&self, text: &str) {
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
        // Changes of a moment have the same time on some disks, and order is by time.
        std::thread::sleep(Duration::from_millis(5));
    }

    fn line(&mut self) {
        if self.half {
            self.append("ended\n");
            self.half = false;
        }
        self.append(&format!("line {}\n", self.written));
        self.written += 1;
    }

    /// Makes place for what is rotated now; nothing is thrown away.
    fn shift(&self) {
        for number in (1..40).rev() {
            for end in ["", ".gz"] {
                let name = |n: usize| PathBuf::from(format!("{}{end}", self.old(n).display()));
                if name(number).exists() {
                    fs::rename(name(number), name(number + 1)).unwrap();
                }
            }
        }
    }

    fn look(&mut self) {
        for _ in 0..3 {
            self.now += Duration::from_millis(300);
            let looked = self.followed.look(&self.path, &mut self.block, &self.spooled, self.now);
            self.lost_bytes += looked.lost_bytes;
            for record in looked.records {
                let (stream, end) = (record.stream.to_string(), record.end);
                // The spool leaves out what it holds.
                if self.spooled.0.get(&stream).is_none_or(|held| *held < end) {
                    self.read.push(String::from_utf8(record.first).unwrap());
                    self.spooled.0.insert(stream, end);
                }
            }
            if self.closes {
                self.followed.close();
            }
        }
        self.looked = true;
    }

    fn does(&mut self, step: Step) {
        match step {
            Step::Lines(count) => (0..count).for_each(|_| self.line()),
            Step::Half if !self.half => {
                self.append("half of it ");
                self.half = true;
            }
            // What no look saw between two rotations is known by its time alone: another test's matter.
            Step::Rename | Step::Copy if !self.looked || self.half => {}
            Step::Rename => {
                self.shift();
                fs::rename(&self.path, self.old(1)).unwrap();
                self.line();
                self.looked = false;
            }
            Step::Copy => {
                self.shift();
                fs::copy(&self.path, self.old(1)).unwrap();
                let file = OpenOptions::new().write(true).open(&self.path).unwrap();
                file.set_len(0).unwrap();
                self.line();
                self.looked = false;
            }
            Step::Pack if self.looked && self.old(1).exists() => pack(&self.old(1)),
            Step::Look => self.look(),
            Step::Wait => {
                self.now += Duration::from_secs(3);
                self.look();
            }
            Step::Half | Step::Pack => {}
        }
    }

    fn end(mut self) -> (BTreeMap<String, usize>, u64, usize) {
        if self.half {
            self.line();
        }
        for _ in 0..60 {
            self.now += Duration::from_secs(1);
            self.look();
        }
        let mut read = BTreeMap::new();
        for line in self.read {
            *read.entry(line).or_default() += 1;
        }
        (read, self.lost_bytes, self.written)
    }
}

#[test]
fn what_could_not_be_held_until_its_turn_is_told_with_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let lines =
        |part: usize| (0..50).map(|n| format!("part {part:02} line {n:02}\n")).collect::<String>();
    fs::write(&path, lines(0)).unwrap();
    let spooled = Spooled::default();
    let files = rotated::open(&path, false, &spooled).unwrap().files;
    let mut followed = Followed::new(files, Joining::Off, Some(1));
    let (mut now, mut block) = (Instant::now(), vec![0; BLOCK_BYTES]);
    let (mut read, mut lost_bytes) = (0, 0);
    let mut look = |now: Instant| {
        let looked = followed.look(&path, &mut block, &spooled, now);
        let bytes = looked.records.iter().map(|record| record.first.len() as u64 + 1);
        read += bytes.sum::<u64>();
        lost_bytes += looked.lost_bytes;
        (read, lost_bytes, looked.slowed || looked.more)
    };
    // A flood that may give a line a second, and a rotation that keeps one file.
    let mut written = lines(0).len() as u64;
    for part in 1..30 {
        now += Duration::from_millis(300);
        look(now);
        fs::rename(&path, path.with_extension("log.1")).unwrap();
        fs::write(&path, lines(part)).unwrap();
        written += lines(part).len() as u64;
        now += Duration::from_millis(300);
        look(now);
    }
    for _ in 0..3_000 {
        now += Duration::from_secs(1);
        look(now);
    }
    let (read, lost_bytes, goes_on) = look(now);
    assert!(!goes_on && lost_bytes > 0, "{read} {lost_bytes}");
    assert_eq!(read + lost_bytes, written);
}

#[test]
fn what_is_removed_while_it_is_not_held_open_is_told_with_its_size() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    let lines: String = (0..100).map(|n| format!("line {n:02}\n")).collect();
    fs::write(&path, &lines).unwrap();
    let spooled = Spooled::default();
    let files = rotated::open(&path, false, &spooled).unwrap().files;
    let mut followed = Followed::new(files, Joining::Off, Some(10));
    let (mut now, mut block) = (Instant::now(), vec![0; BLOCK_BYTES]);
    let first = followed.look(&path, &mut block, &spooled, now).records.len() as u64;
    assert!(first > 0 && first < 100, "{first}");
    assert_eq!(followed.close(), 1);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "new\n").unwrap();
    let (mut lost_bytes, mut texts) = (0, Vec::new());
    for _ in 0..10 {
        now += Duration::from_secs(3);
        let looked = followed.look(&path, &mut block, &spooled, now);
        lost_bytes += looked.lost_bytes;
        texts.extend(looked.records.into_iter().map(|record| record.first));
    }
    assert_eq!(lost_bytes, (100 - first) * "line 00\n".len() as u64);
    assert_eq!(texts, [b"new".to_vec()]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_log_is_read_the_same_whether_it_is_held_open_or_not(steps in prop::collection::vec(step(), 1..24)) {
        for closes in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let mut story = Story::begin(dir.path(), closes);
            for step in &steps {
                story.does(*step);
            }
            let (read, lost_bytes, written) = story.end();
            for number in 0..written {
                let line = format!("line {number}");
                prop_assert_eq!(read.get(&line), Some(&1), "{} of {}, closing: {}, {:?}", line, written, closes, read);
            }
            prop_assert_eq!(lost_bytes, 0);
        }
    }
}
