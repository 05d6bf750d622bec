use std::{
    fs::{self, OpenOptions},
    io::Write,
};

use super::{
    file::{BLOCK_BYTES, Follow, Line, Seen},
    followed::Followed,
    record::Joining,
    rotated,
};
use crate::intake::Checkpoints;

struct Known(Vec<(String, u64)>);

impl Checkpoints for Known {
    fn resume(&self, stream: &str) -> Option<u64> {
        self.0.iter().find(|(name, _)| name == stream).map(|(_, offset)| *offset)
    }
    fn known(&self, prefix: &str) -> Vec<(String, u64)> {
        self.0.iter().filter(|(name, _)| name.starts_with(prefix)).cloned().collect()
    }
}

fn append(path: &std::path::Path, text: &str) {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

fn read_some(follow: &mut Follow, lines_max: usize) -> (Vec<Line>, Seen) {
    let mut block = vec![0; BLOCK_BYTES];
    follow.read((lines_max, 1 << 20), &mut block, &Known(vec![]), std::time::Instant::now())
}

fn read(follow: &mut Follow) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let (lines, seen) = read_some(follow, 3);
        all.extend(lines.iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()));
        if seen != Seen::More {
            return all;
        }
    }
}

fn open(path: &std::path::Path, known: &Known) -> Vec<Follow> {
    rotated::open(path, false, known).unwrap().files
}

#[test]
fn whole_lines_are_taken_and_the_rest_waits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\r\ntwo\nthr");
    let mut follow = open(&path, &Known(vec![])).remove(0);
    assert_eq!(read(&mut follow), ["one", "two"]);
    append(&path, "ee\n");
    assert_eq!(read(&mut follow), ["three"]);
}

#[test]
fn a_file_that_was_cut_is_read_from_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\ntwo\n");
    let mut follow = open(&path, &Known(vec![])).remove(0);
    assert_eq!(read(&mut follow).len(), 2);
    OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, "new\n");
    assert_eq!(read(&mut follow), ["new"]);
}

#[test]
fn a_line_of_ten_megabytes_is_cut_and_the_next_one_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, &format!("{}\nnext\n", "x".repeat(10_000_000)));
    let mut follow = open(&path, &Known(vec![])).remove(0);
    let mut lines: Vec<Line> = Vec::new();
    while lines.len() < 2 {
        lines.extend(read_some(&mut follow, 10).0);
    }
    assert_eq!(lines[0].bytes.len() as u64 + lines[0].cut, 10_000_000);
    assert_eq!(lines[1].bytes, b"next");
}

#[test]
fn a_rotation_while_the_agent_was_away_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\ntwo\n");
    let mut follow = open(&path, &Known(vec![])).remove(0);
    let (lines, _) = read_some(&mut follow, 1);
    let known = Known(vec![(lines[0].stream.to_string(), lines[0].end)]);
    drop(follow);
    append(&path, "three\n");
    fs::rename(&path, dir.path().join("a.log.1")).unwrap();
    append(&path, "four\n");
    let mut files = open(&path, &known);
    assert_eq!(files.len(), 2);
    let (lines, _) = read_some(&mut files[0], 10);
    assert_eq!(
        lines.iter().map(|l| l.bytes.as_slice()).collect::<Vec<_>>(),
        [&b"two"[..], b"three"]
    );
    assert_eq!(read_some(&mut files[0], 10).1, Seen::Gone);
    assert_eq!(read(&mut files[1]), ["four"]);
}

#[test]
fn a_restart_goes_on_behind_the_last_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\ntwo\nthree\n");
    let (lines, _) = read_some(&mut open(&path, &Known(vec![]))[0], 2);
    let known = Known(vec![(lines[1].stream.to_string(), lines[1].end)]);
    assert_eq!(read(&mut open(&path, &known)[0]), ["three"]);
}

#[test]
fn devices_and_folders_are_refused_with_a_sentence() {
    for path in ["/dev/zero", "/tmp"] {
        let path = std::path::Path::new(path);
        let error = Follow::open(path, path, false).unwrap_err();
        assert!(error.to_string().contains("no ordinary file"), "{error}");
    }
}

pub(super) fn pack(path: &std::path::Path) {
    let packed = path.with_extension(format!("{}.gz", path.extension().unwrap().to_str().unwrap()));
    let file = fs::File::create(&packed).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    encoder.write_all(&fs::read(path).unwrap()).unwrap();
    encoder
        .finish()
        .unwrap()
        .set_modified(fs::metadata(path).unwrap().modified().unwrap())
        .unwrap();
    fs::remove_file(path).unwrap();
}

fn pack_zstd(path: &std::path::Path) {
    let packed = std::path::PathBuf::from(format!("{}.zst", path.display()));
    fs::write(&packed, zstd::encode_all(fs::File::open(path).unwrap(), 1).unwrap()).unwrap();
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    OpenOptions::new().write(true).open(packed).unwrap().set_modified(modified).unwrap();
    fs::remove_file(path).unwrap();
}

#[test]
fn a_large_compressed_log_is_unpacked_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log.1");
    let text: String = (0..200_000).map(|n| format!("line {n} {}\n", n * 7_919 % 10_007)).collect();
    fs::write(&path, format!("{}{text}", "\0".repeat(100_000))).unwrap();
    pack(&path);
    let packed = dir.path().join("a.log.1.gz");
    let mut follow = Follow::open(&dir.path().join("a.log"), &packed, false).unwrap();
    follow.is_old = true;
    // Three lines at a time: unpacking anew each time would not end.
    assert_eq!(read(&mut follow).len(), 200_000);
}

/// Says when a file was changed last, in seconds before now.
fn age(path: &std::path::Path, seconds: u64) {
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(seconds);
    OpenOptions::new().write(true).open(path).unwrap().set_modified(then).unwrap();
}

fn read_all(files: &mut [Follow]) -> Vec<String> {
    files.iter_mut().flat_map(read).collect()
}

#[test]
fn logs_that_were_rotated_and_compressed_during_an_absence_are_read_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\ntwo\n");
    let (lines, _) = read_some(&mut open(&path, &Known(vec![]))[0], 1);
    let known = Known(vec![(lines[0].stream.to_string(), lines[0].end)]);
    append(&path, "three\n");
    // Three days pass: the known file and one that was never seen are compressed, a third is only renamed.
    fs::rename(&path, dir.path().join("a.log.3")).unwrap();
    age(&dir.path().join("a.log.3"), 300);
    append(&dir.path().join("a.log.2"), "four\nfive\n");
    age(&dir.path().join("a.log.2"), 200);
    pack(&dir.path().join("a.log.3"));
    pack_zstd(&dir.path().join("a.log.2"));
    append(&dir.path().join("a.log.1"), "six\n");
    age(&dir.path().join("a.log.1"), 100);
    append(&path, "seven\n");
    // And one from before the known one, which was read under another start of the agent.
    append(&dir.path().join("a.log.4"), "zero\n");
    age(&dir.path().join("a.log.4"), 400);
    let opened = rotated::open(&path, false, &known).unwrap();
    assert!(!opened.lost);
    let mut files = opened.files;
    assert_eq!(read_all(&mut files), ["two", "three", "four", "five", "six", "seven"]);
}

#[test]
fn what_was_read_wholly_before_it_was_compressed_is_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\ntwo\n");
    let (lines, _) = read_some(&mut open(&path, &Known(vec![]))[0], 9);
    let known = Known(vec![(lines[1].stream.to_string(), lines[1].end)]);
    fs::rename(&path, dir.path().join("a.log.1")).unwrap();
    pack(&dir.path().join("a.log.1"));
    append(&path, "three\n");
    assert_eq!(read_all(&mut open(&path, &known)), ["three"]);
}

#[test]
fn a_log_whose_past_is_gone_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\n");
    let (lines, _) = read_some(&mut open(&path, &Known(vec![]))[0], 9);
    let known = Known(vec![(lines[0].stream.to_string(), lines[0].end)]);
    // Another file takes the name before the old one goes: two files never share an inode.
    append(&dir.path().join("new"), "two\n");
    fs::rename(dir.path().join("new"), &path).unwrap();
    let opened = rotated::open(&path, false, &known).unwrap();
    assert!(opened.lost);
}

#[test]
fn a_file_that_was_cut_and_grew_beyond_its_old_length_is_read_from_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\n");
    let mut follow = open(&path, &Known(vec![])).remove(0);
    assert_eq!(read(&mut follow), ["one"]);
    fs::write(&path, "other\nlines\n").unwrap();
    assert_eq!(read(&mut follow), ["other", "lines"]);
}

#[test]
fn an_empty_file_has_no_end_to_begin_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "");
    let mut follow = rotated::open(&path, true, &Known(vec![])).unwrap().files.remove(0);
    append(&path, "first\n");
    assert_eq!(read(&mut follow), ["first"]);
    let mut other = rotated::open(&path, true, &Known(vec![])).unwrap().files.remove(0);
    assert_eq!(other.begins().unwrap().offset, 6, "a restart begins here too");
    append(&path, "second\n");
    assert_eq!(read(&mut other), ["second"]);
}

/// Reads by path until nothing comes any more.
fn follow_all(followed: &mut Followed, path: &std::path::Path) -> Vec<String> {
    let (mut all, mut block) = (Vec::new(), vec![0; BLOCK_BYTES]);
    loop {
        let looked = followed.look(path, &mut block, &Known(vec![]), std::time::Instant::now());
        all.extend(looked.records.iter().map(|r| String::from_utf8_lossy(&r.first).into_owned()));
        if !looked.more {
            return all;
        }
    }
}

#[test]
fn lines_that_were_copied_away_before_the_file_was_cut_are_read_from_the_copy() {
    for packed in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let (path, copy) = (dir.path().join("a.log"), dir.path().join("a.log.1"));
        append(&dir.path().join("a.log.2"), "one\nof an older copy that begins alike\n");
        age(&dir.path().join("a.log.2"), 60);
        append(&path, "one\n");
        let mut followed = Followed::new(open(&path, &Known(vec![])), Joining::Off, None);
        assert_eq!(follow_all(&mut followed, &path), ["one"]);
        append(&path, "two\nthr");
        assert_eq!(follow_all(&mut followed, &path), ["two"]);
        append(&path, "ee\nfour\n");
        fs::copy(&path, &copy).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        append(&path, "five\n");
        if packed {
            pack(&copy);
        }
        assert_eq!(follow_all(&mut followed, &path), ["three", "four", "five"], "{packed}");
        append(&path, "six\n");
        assert_eq!(follow_all(&mut followed, &path), ["six"]);
    }
}

#[test]
fn a_log_that_was_copied_and_cut_during_an_absence_is_read_from_its_copy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\n");
    let (lines, _) = read_some(&mut open(&path, &Known(vec![]))[0], 9);
    let known = Known(vec![(lines[0].stream.to_string(), lines[0].end)]);
    append(&path, "two\n");
    fs::copy(&path, dir.path().join("a.log.1")).unwrap();
    fs::write(&path, "three\n").unwrap();
    let mut opened = rotated::open(&path, false, &known).unwrap();
    assert!(!opened.lost);
    assert_eq!(read_all(&mut opened.files), ["two", "three"]);
}

#[test]
fn holes_that_a_power_cut_left_are_passed_over_and_the_lines_behind_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\n");
    let mut follow = open(&path, &Known(vec![])).remove(0);
    assert_eq!(read(&mut follow), ["one"]);
    // Zeros alone may still become lines, where another machine writes.
    append(&path, &"\0".repeat(200_000));
    assert!(read(&mut follow).is_empty());
    append(&path, "two\nthree\0and more\n");
    assert_eq!(read(&mut follow), ["two", "three\0and more"]);
    // A file of a terabyte that is nearly all hole.
    OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(read(&mut follow).is_empty());
    append(&path, "four\n");
    assert_eq!(read(&mut follow), ["four"]);
}

#[test]
fn zeros_that_another_machine_fills_in_late_become_its_lines() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\n\0\0\0\0");
    let mut follow = open(&path, &Known(vec![])).remove(0);
    assert_eq!(read(&mut follow), ["one"]);
    OpenOptions::new().write(true).open(&path).unwrap().write_all_at(b"two\n", 4).unwrap();
    assert_eq!(read(&mut follow), ["two"]);
}

#[test]
fn lines_that_are_no_text_are_kept_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    fs::write(&path, b"caf\xe9 \xff\xfe\x1b[31m\nnext\n").unwrap();
    let (lines, _) = read_some(&mut open(&path, &Known(vec![]))[0], 9);
    assert_eq!(lines[0].bytes, b"caf\xe9 \xff\xfe\x1b[31m");
    assert_eq!(lines[1].bytes, b"next");
}

#[test]
fn a_file_that_is_deleted_while_it_is_read_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\n");
    let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
    let mut followed = Followed::new(open(&path, &Known(vec![])), Joining::Off, None);
    assert_eq!(follow_all(&mut followed, &path), ["one"]);
    fs::remove_file(&path).unwrap();
    writer.write_all(b"two\n").unwrap();
    assert_eq!(follow_all(&mut followed, &path), ["two"]);
    append(&path, "three\n");
    let begun = std::time::Instant::now();
    let mut found = Vec::new();
    while found.is_empty() && begun.elapsed().as_secs() < 30 {
        found.extend(follow_all(&mut followed, &path));
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(found, ["three"]);
}

#[test]
fn a_late_line_of_an_older_file_leaves_the_record_that_is_open_in_the_current_one_whole() {
    use std::time::{Duration, Instant};
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("a.log"), dir.path().join("a.log.1"));
    append(&path, "first\n");
    let (known, mut now) = (Known(vec![]), Instant::now());
    let mut block = vec![0; BLOCK_BYTES];
    let mut followed = Followed::new(open(&path, &known), Joining::Auto, None);
    let mut found = Vec::new();
    let mut look = |followed: &mut Followed, now: Instant| {
        let looked = followed.look(&path, &mut block, &known, now);
        let text =
            |r: super::record::Record| String::from_utf8([r.first, r.rest].concat()).unwrap();
        found.extend(looked.records.into_iter().map(text));
        found.clone()
    };
    look(&mut followed, now);
    fs::rename(&path, &old).unwrap();
    // It has had records of several lines, so that its last one waits for more.
    append(&path, "trace\n\tat a\nnext\n");
    for _ in 0..40 {
        now += Duration::from_millis(200);
        look(&mut followed, now);
    }
    assert_eq!(look(&mut followed, now), ["first", "trace\n\tat a", "next"]);
    // Old files are looked at each second; a record is open for half of one.
    now += Duration::from_secs(5);
    look(&mut followed, now);
    append(&path, "open\n");
    now += Duration::from_millis(800);
    look(&mut followed, now);
    append(&old, "late\n\tat late\n");
    now += Duration::from_millis(300);
    look(&mut followed, now);
    append(&path, "\tat open\n");
    now += Duration::from_millis(100);
    look(&mut followed, now);
    now += Duration::from_secs(2);
    let found = look(&mut followed, now);
    assert!(found.contains(&"open\n\tat open".to_owned()), "{found:?}");
    assert!(found.contains(&"late\n\tat late".to_owned()), "{found:?}");
    assert_eq!(found.len(), 5, "{found:?}");
}
