//! How far a question is, and what it cost: beside the answer, for people alone. Where nobody looks, only what is missing is told.

use std::io::{IsTerminal, Write};

use super::complain;
use crate::{wording, words::Words};
use vonggac_daemon::exit::Exit;

/// Of all pages of a question.
pub(super) struct Cost<'a> {
    words: &'a Words,
    rows: u64,
    bytes: u64,
    seconds: f64,
    cut: bool,
    /// Somebody looks.
    shown: bool,
    /// A line stands there that is to be taken away.
    stands: bool,
}

impl<'a> Cost<'a> {
    pub(super) fn new(words: &'a Words) -> Self {
        let shown = std::io::stderr().is_terminal();
        Self { words, rows: 0, bytes: 0, seconds: 0.0, cut: false, shown, stands: false }
    }

    fn values(&self, rows: u64, bytes: u64, seconds: f64) -> [String; 3] {
        let lang = self.words.lang();
        [
            wording::number(lang, rows),
            wording::bytes(lang, bytes),
            format!("{} s", wording::decimal(lang, seconds, 1)),
        ]
    }

    /// While it runs, in one line that is written again and again.
    pub(super) fn so_far(&mut self, rows: u64, bytes: u64, seconds: f64, in_all: u64) {
        if !self.shown {
            return;
        }
        let [read, bytes, spent] =
            self.values(self.rows + rows, self.bytes + bytes, self.seconds + seconds);
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        let share = if in_all > 0 && rows <= in_all {
            format!(", {}", wording::percent(self.words.lang(), rows as f64 / in_all as f64))
        } else {
            String::new()
        };
        let values =
            [("read", &*read), ("bytes", &*bytes), ("seconds", &*spent), ("share", &*share)];
        let mut err = std::io::stderr().lock();
        let _gone = write!(err, "\r{}\x1b[K", self.words.with("progress", &values))
            .and_then(|()| err.flush());
        self.stands = true;
    }

    /// A page is there.
    pub(super) fn add(&mut self, rows: u64, bytes: u64, seconds: f64, cut: bool) {
        self.rows += rows;
        self.bytes += bytes;
        self.seconds += seconds;
        self.cut |= cut;
    }

    /// Takes the line away before the answer is written.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.stands) {
            let mut err = std::io::stderr().lock();
            let _gone = write!(err, "\r\x1b[K").and_then(|()| err.flush());
        }
    }

    /// At the end. That rows are missing is told whoever reads.
    pub(super) fn tell(&self) {
        if !self.shown && !self.cut {
            return;
        }
        let [read, bytes, spent] = self.values(self.rows, self.bytes, self.seconds);
        let id = if self.cut { "cost-cut" } else { "cost" };
        let values = [("read", &*read), ("bytes", &*bytes), ("seconds", &*spent)];
        complain(&self.words.with(id, &values), Exit::Success);
    }
}
