use std::{
    fs::{self, OpenOptions},
    io::Write,
};

use super::file::{Follow, Line, Seen};
use crate::{intake::Checkpoints, spool::KnownPositions};

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

fn read(follow: &mut Follow) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let (lines, seen) = follow.read(3, 1 << 20);
        all.extend(lines.iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()));
        if seen != Seen::More {
            return all;
        }
    }
}

fn open(path: &std::path::Path, known: &Known) -> Vec<Follow> {
    Follow::open(path, false, known).unwrap()
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
        lines.extend(follow.read(10, 1 << 20).0);
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
    let (lines, _) = follow.read(1, 1 << 20);
    let known = Known(vec![(lines[0].stream.to_string(), lines[0].end)]);
    drop(follow);
    append(&path, "three\n");
    fs::rename(&path, dir.path().join("a.log.1")).unwrap();
    append(&path, "four\n");
    let mut files = open(&path, &known);
    assert_eq!(files.len(), 2);
    let (lines, _) = files[0].read(10, 1 << 20);
    assert_eq!(
        lines.iter().map(|l| l.bytes.as_slice()).collect::<Vec<_>>(),
        [&b"two"[..], b"three"]
    );
    assert_eq!(files[0].read(10, 1 << 20).1, Seen::Gone);
    assert_eq!(read(&mut files[1]), ["four"]);
}

#[test]
fn a_restart_goes_on_behind_the_last_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\ntwo\nthree\n");
    let (lines, _) = open(&path, &Known(vec![])).remove(0).read(2, 1 << 20);
    let known = Known(vec![(lines[1].stream.to_string(), lines[1].end)]);
    assert_eq!(read(&mut open(&path, &known)[0]), ["three"]);
}

#[test]
fn devices_and_folders_are_refused_with_a_sentence() {
    let error = Follow::open(std::path::Path::new("/dev/zero"), false, &Known(vec![])).unwrap_err();
    assert!(error.to_string().contains("no ordinary file"), "{error}");
    let _type_check: Option<KnownPositions> = None;
}
