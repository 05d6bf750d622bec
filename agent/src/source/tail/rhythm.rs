//! When all files are looked at, and when only those that have more or that the kernel told of.

use std::{
    collections::HashSet,
    path::PathBuf,
    time::{Duration, Instant},
};

/// The looks so far.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    /// When all files were looked at; `None`: never.
    looked_at: Option<Instant>,
    /// Files that the last look left something in. None of them may tell of a change again.
    left: HashSet<PathBuf>,
}

impl Rhythm {
    /// What this look is at; `None`: all files, once in a while or if the kernel lost count (`lost`).
    pub(super) fn next(
        &mut self,
        (mut changed, lost): (HashSet<PathBuf>, bool),
        every: Duration,
        now: Instant,
    ) -> Option<HashSet<PathBuf>> {
        let left = std::mem::take(&mut self.left);
        if lost || self.looked_at.is_none_or(|at| now.saturating_duration_since(at) >= every) {
            self.looked_at = Some(now);
            return None;
        }
        changed.extend(left);
        Some(changed)
    }

    /// A look left something in these files.
    pub(super) fn leave(&mut self, left: HashSet<PathBuf>) {
        self.left = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_look_left_is_looked_at_at_once_and_without_all_the_others() {
        let (mut rhythm, every, now) =
            (Rhythm::default(), Duration::from_millis(250), Instant::now());
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<HashSet<_>>();
        assert_eq!(rhythm.next((paths(&[]), false), every, now), None, "the first look");
        assert_eq!(rhythm.next((paths(&[]), false), every, now), Some(paths(&[])));
        // A file that nobody writes to any more.
        rhythm.leave(paths(&["long.log"]));
        let next = rhythm.next((paths(&["a.log"]), false), every, now);
        assert_eq!(next, Some(paths(&["a.log", "long.log"])));
        rhythm.leave(paths(&[]));
        assert_eq!(
            rhythm.next((paths(&["a.log"]), true), every, now),
            None,
            "the kernel lost count"
        );
        assert_eq!(rhythm.next((paths(&[]), false), every, now + every), None, "once in a while");
    }
}
