//! When all files are looked at, and when only those that the kernel told of.

use std::time::{Duration, Instant};

/// The looks so far.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    /// When all files were looked at; `None`: they are next.
    looked_at: Option<Instant>,
}

impl Rhythm {
    /// Whether this look is at all files: once in a while, or if the kernel lost count (`lost`).
    pub(super) fn is_for_all(&mut self, lost: bool, every: Duration, now: Instant) -> bool {
        let all =
            lost || self.looked_at.is_none_or(|at| now.saturating_duration_since(at) >= every);
        if all {
            self.looked_at = Some(now);
        }
        all
    }

    /// A look left something unread: it is somewhere among all files, and none of them may tell of a change again.
    pub(super) const fn left_some(&mut self) {
        self.looked_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_look_left_is_looked_for_at_once_and_among_all_files() {
        let (mut rhythm, every, now) =
            (Rhythm::default(), Duration::from_millis(250), Instant::now());
        assert!(rhythm.is_for_all(false, every, now), "the first look");
        assert!(!rhythm.is_for_all(false, every, now), "nothing was left");
        rhythm.left_some();
        assert!(rhythm.is_for_all(false, every, now), "a file that nobody writes to any more");
        assert!(rhythm.is_for_all(true, every, now), "the kernel lost count");
        assert!(rhythm.is_for_all(false, every, now + every), "once in a while");
    }
}
