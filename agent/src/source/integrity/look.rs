//! Comparing what is on the disk with the baseline: two streams in one order, side by side.

use std::{
    collections::HashSet,
    fs::Metadata,
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use tokio_util::sync::CancellationToken;

use super::{
    baseline::Cursor,
    entry::{Content, Entry, Kind},
    hash::{self, Hasher, Reading, Stopped},
    text,
    walk::Walk,
};
use crate::{config::IntegrityConfig, governor, redact::Redactor, source::allowance::Allowance};

/// Files that are looked at in a second: a look at all of a large host takes seconds, and never a whole core.
const FILES_PER_SECOND_MAX: u64 = 20_000;

/// Files between two waits.
const FILES_AT_ONCE: u64 = 256;

/// Files of which it is remembered that they cannot be read, so that each is told once.
const REFUSED_MAX: usize = 1_024;

/// Why a look did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// The agent stops.
    #[error("the agent is stopping")]
    Stopped,
    /// The store cannot be used.
    #[error("use the baseline: {0}")]
    Store(#[from] io::Error),
}

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// What is done with a path: what it was, and what it is.
type Each<'a> = dyn FnMut(&mut Looker, Option<Entry>, Option<Entry>) -> Result<(), Ended> + 'a;

/// What a look needs.
pub(super) struct Looker {
    pub(super) hasher: Hasher,
    redactor: Redactor,
    diffs: bool,
    allowance: Allowance,
    unpaid: u64,
    stop: CancellationToken,
    refused: HashSet<PathBuf>,
    /// Refused since they were last taken, with the reason.
    pub(super) fresh_refused: Vec<(PathBuf, String)>,
}

impl Looker {
    pub(super) fn new(
        config: &IntegrityConfig,
        stop: CancellationToken,
        pace: governor::Reading,
    ) -> Self {
        let per_second = config.hash_bytes_per_second_max;
        Self {
            hasher: Hasher::new(per_second, config.hash_bytes_max, stop.clone()).with_pace(pace),
            redactor: Redactor::default(),
            diffs: config.diffs,
            allowance: Allowance::new(FILES_PER_SECOND_MAX, Instant::now()),
            unpaid: 0,
            stop,
            refused: HashSet::new(),
            fresh_refused: Vec::new(),
        }
    }

    /// Goes along both and hands over each path that is on one side only, or is another than it was. `verify`: contents are read
    /// although nothing speaks for a change.
    pub(super) fn look(
        &mut self,
        walk: &mut Walk<'_>,
        known: &mut Cursor,
        verify: bool,
        each: &mut Each<'_>,
    ) -> Result<(), Ended> {
        let mut old = known.next()?;
        let mut new = walk.next();
        loop {
            self.refuse_blind(walk, old.as_ref().map(|old| old.path.as_path()));
            let order = match (&old, &new) {
                (None, None) => return Ok(()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(old), Some((path, _))) => old.path.cmp(path),
            };
            if order.is_lt() {
                // Gone, unless it could not be looked for.
                if let Some(gone) = old.take().filter(|gone| !walk.is_blind_at(&gone.path)) {
                    each(self, Some(gone), None)?;
                }
                old = known.next()?;
                continue;
            }
            self.pay()?;
            let before = if order.is_eq() { old.take() } else { None };
            if let Some((path, data)) = new.take() {
                let after = self.meet(&path, &data, before.as_ref(), verify)?;
                match (before, after) {
                    (Some(before), Some(after)) if before == after => {}
                    (None, None) => {}
                    (before, after) => each(self, before, after)?,
                }
            }
            if order.is_eq() {
                old = known.next()?;
            }
            new = walk.next();
        }
    }

    /// What the path is now; with its content, unless it looks as it did.
    pub(super) fn meet(
        &mut self,
        path: &Path,
        data: &Metadata,
        before: Option<&Entry>,
        verify: bool,
    ) -> Result<Option<Entry>, Stopped> {
        let mut fresh = Entry::of(path, data);
        if let Some(before) = before.filter(|before| before.looks_like(&fresh)) {
            let reading = fresh.kind == Kind::File
                && (verify || matches!(before.content, Content::Unreadable));
            if !reading {
                return Ok(Some(before.clone()));
            }
        }
        if fresh.kind != Kind::File {
            return Ok(Some(fresh));
        }
        let keep = self.diffs && text::is_kept(path);
        match self.hasher.read(path, if keep { text::TEXT_BYTES_MAX } else { 0 })? {
            Reading::Here(mut entry, content) => {
                if let Some(content) = content.filter(|_| keep) {
                    entry.text = text::pack(&content, &self.redactor).unwrap_or_default();
                }
                Ok(Some(*entry))
            }
            Reading::Gone => Ok(None),
            Reading::Refused(error) => {
                self.refuse(path, &error);
                fresh.content = Content::Unreadable;
                Ok(Some(fresh))
            }
        }
    }

    fn refuse_blind(&mut self, walk: &mut Walk<'_>, next: Option<&Path>) {
        for (path, error) in walk.fresh_blind() {
            self.refuse(path, error);
        }
        walk.pass_blind(next);
    }

    /// Told once for each path.
    fn refuse(&mut self, path: &Path, error: &dyn std::fmt::Display) {
        if self.refused.len() < REFUSED_MAX && self.refused.insert(path.to_owned()) {
            tracing::warn!(path = %path.display(), %error, "cannot be looked at");
            self.fresh_refused.push((path.to_owned(), error.to_string()));
        }
    }

    fn pay(&mut self) -> Result<(), Stopped> {
        self.unpaid += 1;
        if self.unpaid < FILES_AT_ONCE {
            return Ok(());
        }
        let count = std::mem::take(&mut self.unpaid);
        hash::wait(&mut self.allowance, count, FILES_PER_SECOND_MAX, &self.stop)
    }
}
