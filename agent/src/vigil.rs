//! Whether the agent's own parts still move: what systemd's watchdog is fed by.
//!
//! Each part says at every turn by when it takes its next one. A part that is stuck, or whose task ended, lets that time pass, and
//! then nobody feeds the watchdog: systemd ends the agent and begins it anew.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What has to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Takes chunks from sources into the spool.
    Spooling,
    /// Fsync, heartbeats, figures.
    Clockwork,
    /// Sends to Kafka, or waits to try again.
    Shipping,
}

impl Part {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Spooling, Self::Clockwork, Self::Shipping];

    /// For logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Spooling => "spooling",
            Self::Clockwork => "clockwork",
            Self::Shipping => "shipping",
        }
    }
}

/// Beyond what a part says it needs: a busy host is slow, not stuck.
pub const SLACK: Duration = Duration::from_secs(15);

/// By when each part moves again. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Vigil {
    due: Arc<Mutex<[Option<Instant>; Part::ALL.len()]>>,
}

impl Vigil {
    /// A part moves, and does so again `within` that time.
    pub fn moves(&self, part: Part, within: Duration, now: Instant) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due[part as usize] = Some(now + within + SLACK);
    }

    /// The first part that is overdue. One that never began is not.
    #[must_use]
    pub fn overdue(&self, now: Instant) -> Option<Part> {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        Part::ALL.into_iter().find(|part| due[*part as usize].is_some_and(|due| due < now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_rests_as_it_said_is_not_overdue_and_one_that_is_stuck_is() {
        let (vigil, now) = (Vigil::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(vigil.overdue(now), None, "nothing began yet");
        vigil.moves(Part::Clockwork, second, now);
        vigil.moves(Part::Shipping, 30 * second, now);
        assert_eq!(vigil.overdue(now + SLACK + second), None);
        assert_eq!(vigil.overdue(now + SLACK + 2 * second), Some(Part::Clockwork));
        vigil.moves(Part::Clockwork, 600 * second, now + SLACK);
        assert_eq!(vigil.overdue(now + SLACK + 30 * second), None, "a back-off is a rest");
        assert_eq!(vigil.overdue(now + SLACK + 31 * second), Some(Part::Shipping));
    }
}
