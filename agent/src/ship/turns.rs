//! Whose turn it is within a lane: what waits in order, or what is fresh and goes ahead of it. Pure.
//!
//! Of the bytes of a lane that has both, what is fresh has `fresh_percent`. Neither saves up while it has nothing to send.

/// How a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// In the lane's order.
    InOrder,
    /// Ahead of it.
    Ahead,
}

/// What is fresh may have so many bytes before its turn is over; below zero it had more than its part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turns {
    owed: f64,
}

impl Turns {
    /// The next of a lane that has events of these kinds to send.
    pub(super) fn next(self, in_order: bool, ahead: bool) -> Option<Way> {
        match (in_order, ahead) {
            (false, false) => None,
            (true, false) => Some(Way::InOrder),
            (false, true) => Some(Way::Ahead),
            (true, true) if self.owed > 0.0 => Some(Way::Ahead),
            (true, true) => Some(Way::InOrder),
        }
    }

    /// A batch went.
    pub(super) fn sent(&mut self, way: Way, bytes: usize, fresh_percent: u8) {
        #[expect(clippy::cast_precision_loss, reason = "a batch has far fewer bytes than 2^52")]
        let bytes = bytes as f64;
        let part = f64::from(fresh_percent) / 100.0;
        let owed = match way {
            Way::InOrder => self.owed + bytes * part,
            Way::Ahead => self.owed - bytes * (1.0 - part),
        };
        self.owed = owed.clamp(-bytes, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead_of(batches: usize, percent: u8, turns: &mut Turns) -> usize {
        let mut ahead = 0;
        for _ in 0..batches {
            let way = turns.next(true, true).unwrap();
            ahead += usize::from(way == Way::Ahead);
            turns.sent(way, 1_000, percent);
        }
        ahead
    }

    #[test]
    fn what_is_fresh_has_its_part_and_no_more() {
        for (percent, wanted) in [(1, 1), (25, 25), (50, 50), (90, 90)] {
            let ahead = ahead_of(100, percent, &mut Turns::default());
            assert!(ahead.abs_diff(wanted) <= 1, "{percent}: {ahead}");
        }
    }

    #[test]
    fn who_had_nothing_to_send_saves_nothing_up() {
        let mut turns = Turns::default();
        for way in [Way::InOrder, Way::Ahead] {
            for _ in 0..1_000 {
                turns.sent(way, 1_000, 25);
            }
            let ahead = ahead_of(20, 25, &mut turns);
            assert!((4..=6).contains(&ahead), "{way:?}: {ahead}");
        }
        assert_eq!(turns.next(false, false), None);
        assert_eq!(turns.next(false, true), Some(Way::Ahead));
    }
}
