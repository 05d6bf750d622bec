//! Bad disks: flipped bits, full and read-only ones, folders that vanish, clocks that go back.

use std::{collections::BTreeMap, os::unix::fs::FileExt, process::Command, sync::Arc};

use rand::{Rng, SeedableRng, rngs::StdRng};
use vonggac_wire::event::{Activity, Body, Class, Status};

use super::*;
use crate::intake::Position;

const NOW: Time = Time::from_seconds(1_764_000_000);
const LINES: u64 = 400;

fn line(number: u64) -> Entry {
    let activity = Activity::of(Class::Authentication, 1, Status::Failure);
    Entry {
        event: Event::new(NOW, NOW, Body::Activity(activity))
            .with_raw(format!("line {number}").as_bytes(), 0),
        position: Some(Position { stream: Arc::from("tail:a"), offset: number }),
    }
}

fn open(dir: &Path) -> Result<Spool, SpoolError> {
    Spool::open(dir, "web-1", 64 << 20, Fsync::Interval(Duration::from_millis(200)), NOW)
}

/// All lines of the security lane by their numbers, and what the gaps say is missing of it.
fn read_all(spool: &mut Spool) -> (BTreeMap<u64, String>, Vec<(u64, u64)>) {
    let (mut lines, mut gone) = (BTreeMap::new(), Vec::new());
    for lane in [Lane::Security, Lane::Uptime] {
        spool.rewind(lane);
        while let Some(pending) = spool.next(lane, 1_000, 1 << 20).unwrap() {
            for (n, event) in pending.events.iter().enumerate() {
                match event.body() {
                    Body::Gap(gap) => gone.push((gap.first_seq, gap.last_seq)),
                    _ => {
                        let text = String::from_utf8_lossy(event.raw()).into_owned();
                        let before = lines.insert(pending.first_seq + n as u64, text);
                        assert_eq!(before, None, "a number is used once");
                    }
                }
            }
        }
    }
    (lines, gone)
}

fn filled() -> (tempfile::TempDir, Vec<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).unwrap();
    spool.append((1..=LINES).map(line).collect(), &[], NOW).unwrap();
    spool.save().unwrap();
    drop(spool);
    let files = lane::segments(&dir.path().join("security")).unwrap();
    (dir, files.into_iter().map(|(_, path)| path).collect())
}

#[test]
fn a_segment_that_is_made_shorter_under_a_running_agent_gives_what_is_left_and_ends() {
    for left in [0, 1, 19, 20, 700, 5_000] {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = open(dir.path()).unwrap();
        spool.append((1..=LINES).map(line).collect(), &[], NOW).unwrap();
        let path = &lane::segments(&dir.path().join("security")).unwrap()[0].1;
        fs::OpenOptions::new().write(true).open(path).unwrap().set_len(left).unwrap();
        let (lines, _) = read_all(&mut spool);
        let whole = lines.len() as u64;
        assert!(whole < LINES && (whole > 0) == (left >= 700), "{left}: {whole}");
        assert!(lines.keys().copied().eq(1..=whole), "{left}");
    }
}

/// Flips one bit, opens, and looks: at most the record that was hit is missing, it is named, and work goes on.
fn flip(whole: &[u8], dir: &Path, file: &Path, place: u64, bit: u8) {
    fs::write(file, whole).unwrap();
    let _no_file = fs::remove_dir_all(dir.join("uptime"));
    let byte = whole[usize::try_from(place).unwrap()] ^ (1 << bit);
    let handle = fs::OpenOptions::new().write(true).open(file).unwrap();
    handle.write_at(&[byte], place).unwrap();
    drop(handle);
    let mut spool = open(dir).unwrap();
    let damages = spool.recovery().damages.clone();
    assert_eq!(damages.len(), 1, "byte {place} bit {bit}: {damages:?}");
    assert!(damages[0].place <= place && place < damages[0].place + damages[0].bytes.max(1));
    let (lines, gone) = read_all(&mut spool);
    assert_eq!(lines.len() as u64, LINES - 1, "byte {place} bit {bit}: one record is lost");
    let missing: Vec<u64> = (1..=LINES).filter(|number| !lines.contains_key(number)).collect();
    assert!(lines.iter().all(|(number, text)| *text == format!("line {number}")));
    let told = |number: &u64| gone.iter().any(|(first, last)| (first..=last).contains(&number));
    // A torn tail is given again by its source, under its old number.
    assert!(missing.iter().all(|number| told(number) || damages[0].torn), "{missing:?} {gone:?}");
    spool.append(vec![line(LINES + 1)], &[], NOW).unwrap();
    let (lines, _) = read_all(&mut spool);
    assert!(lines.values().any(|text| *text == format!("line {}", LINES + 1)));
}

fn flip_at_random(places: u32, seed: u64) {
    let (dir, files) = filled();
    let whole = fs::read(&files[0]).unwrap();
    let ledger = fs::read(dir.path().join("ledger.json")).unwrap();
    let mut chance = StdRng::seed_from_u64(seed);
    for _ in 0..places {
        fs::write(dir.path().join("ledger.json"), &ledger).unwrap();
        for (_, path) in lane::segments(&dir.path().join("security")).unwrap() {
            fs::remove_file(path).unwrap();
        }
        let place = chance.random_range(0..whole.len() as u64);
        flip(&whole, dir.path(), &files[0], place, chance.random_range(0..8));
    }
}

#[test]
fn a_flipped_bit_costs_its_record_alone() {
    flip_at_random(60, 1);
}

#[test]
#[ignore = "a thousand places; run by option"]
fn a_flipped_bit_at_a_thousand_places_costs_its_record_alone() {
    flip_at_random(1_000, 2_026);
}

#[test]
fn a_file_torn_at_any_byte_is_opened_and_gives_all_whole_records() {
    let (dir, files) = filled();
    let whole = fs::read(&files[0]).unwrap();
    let ledger = dir.path().join("ledger.json");
    let mut chance = StdRng::seed_from_u64(3);
    for _ in 0..60 {
        let _none = fs::remove_file(&ledger);
        let _none = fs::remove_dir_all(dir.path().join("uptime"));
        for (_, path) in lane::segments(&dir.path().join("security")).unwrap() {
            fs::remove_file(path).unwrap();
        }
        let length = chance.random_range(1..whole.len());
        fs::write(&files[0], &whole[..length]).unwrap();
        let mut spool = open(dir.path()).unwrap();
        let (lines, gone) = read_all(&mut spool);
        assert!(gone.is_empty(), "nothing of it was promised: {gone:?}");
        // The source reads again from the beginning; what was kept is left out.
        spool.append((1..=LINES).map(line).collect(), &[], NOW).unwrap();
        let (again, _) = read_all(&mut spool);
        assert_eq!(again.len() as u64, LINES, "{length} bytes, {} whole", lines.len());
        assert!(again.iter().all(|(number, text)| *text == format!("line {number}")));
    }
}

#[test]
fn damage_is_told_once_however_often_the_agent_starts() {
    let (dir, files) = filled();
    let file = fs::OpenOptions::new().write(true).open(&files[0]).unwrap();
    file.write_at(b"XXXXXXXX", 2_000).unwrap();
    for _ in 0..3 {
        let mut spool = open(dir.path()).unwrap();
        let (lines, gone) = read_all(&mut spool);
        assert_eq!((lines.len() as u64, gone.len()), (LINES - 1, 1), "{gone:?}");
    }
}

#[test]
fn a_ledger_that_is_damaged_with_nothing_to_speak_for_it_costs_the_name_and_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).unwrap();
    let old = spool.agent().clone();
    spool.append((1..=5).map(line).collect(), &[], NOW).unwrap();
    spool.acknowledge(Lane::Security, 5).unwrap();
    spool.save().unwrap();
    drop(spool);
    drop(open(dir.path()).unwrap());
    fs::write(dir.path().join("ledger.json"), b"\0\0\0\0").unwrap();
    let spool = open(dir.path()).unwrap();
    assert_ne!(*spool.agent(), old, "numbers of the old name would be taken for known");
}

#[test]
fn a_segment_that_vanishes_is_told_and_the_rest_goes_on() {
    let (dir, files) = filled();
    fs::remove_file(&files[0]).unwrap();
    let mut spool = open(dir.path()).unwrap();
    let (lines, gone) = read_all(&mut spool);
    assert_eq!((lines.len(), gone), (0, vec![(1, LINES)]));
    spool.append(vec![line(LINES + 1)], &[], NOW).unwrap();
    let (lines, _) = read_all(&mut spool);
    assert_eq!(lines.keys().copied().collect::<Vec<_>>(), [LINES + 1]);
}

#[test]
fn a_folder_that_vanishes_under_a_running_agent_is_made_anew_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("spool");
    let mut spool = open(&folder).unwrap();
    spool.append((1..=20).map(line).collect(), &[], NOW).unwrap();
    let agent = spool.agent().clone();
    fs::remove_dir_all(&folder).unwrap();
    spool.append((21..=30).map(line).collect(), &[], NOW).unwrap();
    spool.tick(NOW.plus(Duration::from_secs(1))).unwrap();
    spool.append((31..=40).map(line).collect(), &[], NOW).unwrap();
    let (lines, gone) = read_all(&mut spool);
    assert_eq!(lines.keys().copied().collect::<Vec<_>>(), (31..=40).collect::<Vec<_>>());
    assert_eq!(gone, [(1, 30)]);
    drop(spool);
    let mut spool = open(&folder).unwrap();
    assert_eq!(*spool.agent(), agent, "it keeps its name");
    assert_eq!(read_all(&mut spool).0.len(), 10);
}

#[test]
fn of_four_files_the_two_that_are_left_are_sent_and_the_others_are_told() {
    let dir = tempfile::tempdir().unwrap();
    // Each start begins a file.
    for first in [1, 11, 21, 31] {
        let mut spool = open(dir.path()).unwrap();
        spool.append((first..first + 10).map(line).collect(), &[], NOW).unwrap();
    }
    let mut spool = open(dir.path()).unwrap();
    for first in [11, 31] {
        let file = format!("{first:020}.seg");
        fs::remove_file(dir.path().join(Lane::Security.name()).join(file)).unwrap();
    }
    let mut numbers = Vec::new();
    while let Some(pending) = spool.next(Lane::Security, 1_000, 1 << 20).unwrap() {
        numbers.extend((0..pending.events.len() as u64).map(|n| pending.first_seq + n));
    }
    assert_eq!(numbers, (1..=10).chain(21..=30).collect::<Vec<_>>());
    assert_eq!(read_all(&mut spool).1, [(11, 20), (31, 40)]);
}

#[test]
fn a_full_spool_whose_oldest_file_is_gone_refuses_once_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let fat = |number| {
        let mut entry = line(number);
        entry.event = entry.event.with_raw(&vec![b'x'; 60_000], 0);
        vec![entry]
    };
    let mut spool = Spool::open(dir.path(), "web-1", 16 << 20, Fsync::EachChunk, NOW).unwrap();
    for number in 1..=100 {
        spool.append(fat(number), &[], NOW).unwrap();
    }
    let lane = dir.path().join(Lane::Security.name());
    let oldest = fs::read_dir(lane).unwrap().map(|file| file.unwrap().path()).min().unwrap();
    fs::remove_file(oldest).unwrap();
    let mut refused = 0;
    for number in 101..=400 {
        if spool.append(fat(number), &[], NOW).is_err() {
            refused += 1;
            spool.append(fat(number), &[], NOW).unwrap();
        }
    }
    assert_eq!(refused, 1);
    let (lines, gone) = read_all(&mut spool);
    let told: u64 = gone.iter().map(|(first, last)| last + 1 - first).sum();
    assert_eq!(lines.len() as u64 + told, 400);
}

#[test]
fn a_clock_that_goes_back_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = open(dir.path()).unwrap();
    let mut now = NOW;
    for number in 1..=50 {
        // From today to 1970, to 2099, and back.
        now = match number % 3 {
            0 => Time::from_seconds(0),
            1 => Time::from_seconds(4_070_908_800),
            _ => now.minus(Duration::from_secs(3_600)),
        };
        spool.append(vec![line(number)], &[], now).unwrap();
        spool.tick(now).unwrap();
        assert!(spool.figures(Lane::Security, now).oldest_seconds >= 0.0);
    }
    drop(spool);
    let mut spool =
        Spool::open(dir.path(), "web-1", 64 << 20, Fsync::EachChunk, Time::from_seconds(0))
            .unwrap();
    let (lines, gone) = read_all(&mut spool);
    assert_eq!((lines.len(), gone.len()), (50, 0));
}

/// A disk of its own, of one MiB; `None` where this process may not mount.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().ok()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(dir.path())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("SKIPPED: no right to mount a small disk");
        }
        mounted.then_some(Self { dir })
    }

    fn remount(&self, how: &str) {
        let done = Command::new("mount")
            .args(["-o", &format!("remount,{how}")])
            .arg(self.dir.path())
            .status()
            .unwrap();
        assert!(done.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _left = Command::new("umount").arg("-l").arg(self.dir.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_takes_nothing_back_and_goes_on_when_there_is_room() {
    let Some(disk) = Disk::new() else { return };
    let folder = disk.dir.path().join("spool");
    let mut spool = open(&folder).unwrap();
    fs::write(disk.dir.path().join("fill"), vec![0; 900 << 10]).unwrap();
    let mut refused = None;
    for chunk in 0..200 {
        let lines: Vec<_> = (1..=50).map(|n| line(chunk * 50 + n)).collect();
        if let Err(error) = spool.append(lines, &[], NOW) {
            assert!(error.is_full(), "{error}");
            refused = Some(chunk);
            break;
        }
    }
    let refused = refused.expect("the disk is full at last");
    // A start on the full disk opens what is there.
    drop(spool);
    let mut spool = open(&folder).unwrap();
    assert!(read_all(&mut spool).0.len() as u64 >= refused * 50);
    fs::remove_file(disk.dir.path().join("fill")).unwrap();
    // The source gives the refused chunk again.
    spool.append((1..=50).map(|n| line(refused * 50 + n)).collect(), &[], NOW).unwrap();
    let (lines, gone) = read_all(&mut spool);
    assert_eq!((lines.len() as u64, gone.len()), ((refused + 1) * 50, 0));
    assert!(lines.iter().all(|(number, text)| *text == format!("line {number}")));
}

#[test]
fn a_disk_that_becomes_read_only_refuses_with_a_sentence_and_goes_on_afterwards() {
    let Some(disk) = Disk::new() else { return };
    let folder = disk.dir.path().join("spool");
    let mut spool = open(&folder).unwrap();
    spool.append((1..=10).map(line).collect(), &[], NOW).unwrap();
    spool.save().unwrap();
    drop(spool);
    disk.remount("ro");
    let error = open(&folder).err().expect("nothing can be locked on it");
    assert!(error.is_full(), "it is waited for: {error}");
    disk.remount("rw");
    let mut spool = open(&folder).unwrap();
    spool.append(vec![line(11)], &[], NOW).unwrap();
    assert_eq!(read_all(&mut spool).0.len(), 11);
}
