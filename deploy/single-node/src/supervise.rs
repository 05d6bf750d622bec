//! Keeps the parts running. [`Core`] is pure: events and the clock in, effects out.

use std::time::Duration;

use moment::Moment;

use crate::state::Condition;

mod edge;
mod moment;

pub use edge::run;

/// First and longest wait before a part is started again; it doubles, and begins anew after [`STEADY`].
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(15));

/// A part that was ready for so long has recovered.
const STEADY: Duration = Duration::from_secs(60);

/// A part that is not ready after so long is started again.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The clock.
    Tick,
    /// A part was started.
    Started(usize),
    /// A part answers.
    Answered(usize),
    /// A part ended.
    Ended(usize),
    /// Everything shall stop.
    Stop,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start a part.
    Start(usize),
    /// Ask a part to end.
    Terminate(usize),
    /// End a part that did not.
    Kill(usize),
    /// All have stopped.
    Done,
}

#[derive(Clone, Debug)]
struct Item {
    after: Vec<usize>,
    grace: Duration,
    condition: Condition,
    since: Moment,
    failures: u32,
    start_at: Moment,
    killed: bool,
}

/// The parts' life, without processes.
#[derive(Clone, Debug)]
pub struct Core {
    items: Vec<Item>,
    stopping: bool,
}

impl Core {
    /// Parts by the parts they wait for and the time they may take to stop.
    #[must_use]
    pub fn new(parts: &[(Vec<usize>, Duration)], now: Moment) -> Self {
        let items = parts
            .iter()
            .map(|(after, grace)| Item {
                after: after.clone(),
                grace: *grace,
                condition: Condition::Waiting,
                since: now,
                failures: 0,
                start_at: now,
                killed: false,
            })
            .collect();
        Self { items, stopping: false }
    }

    /// How a part is.
    #[must_use]
    pub fn condition(&self, part: usize) -> Condition {
        self.items.get(part).map_or(Condition::Stopped, |item| item.condition)
    }

    /// One event.
    pub fn apply(&mut self, event: Event, now: Moment) -> Vec<Effect> {
        match event {
            Event::Started(part) => self.set(part, Condition::Starting, now),
            Event::Answered(part) => {
                if self.condition(part) == Condition::Starting {
                    self.set(part, Condition::Ready, now);
                }
            }
            Event::Ended(part) => self.ended(part, now),
            Event::Stop => self.stopping = true,
            Event::Tick => {}
        }
        if self.stopping { self.stop(now) } else { self.start(now) }
    }

    fn set(&mut self, part: usize, condition: Condition, now: Moment) {
        if let Some(item) = self.items.get_mut(part) {
            (item.condition, item.since) = (condition, now);
        }
    }

    fn ended(&mut self, part: usize, now: Moment) {
        let stopping = self.stopping;
        let Some(item) = self.items.get_mut(part) else { return };
        if item.condition == Condition::Ready && now.since(item.since) >= STEADY {
            item.failures = 0;
        }
        item.failures += 1;
        item.killed = false;
        let wait =
            BACK_OFF.0.saturating_mul(2_u32.saturating_pow(item.failures - 1)).min(BACK_OFF.1);
        item.start_at = now.plus(wait);
        item.condition = if stopping { Condition::Stopped } else { Condition::Broken };
        item.since = now;
    }

    fn start(&mut self, now: Moment) -> Vec<Effect> {
        let ready: Vec<bool> =
            self.items.iter().map(|item| item.condition == Condition::Ready).collect();
        let mut effects = Vec::new();
        for (part, item) in self.items.iter_mut().enumerate() {
            match item.condition {
                // Once a part ran, it need not wait for others: it waits for them by itself.
                Condition::Waiting | Condition::Broken
                    if now >= item.start_at
                        && (item.failures > 0 || item.after.iter().all(|other| ready[*other])) =>
                {
                    (item.condition, item.since) = (Condition::Starting, now);
                    effects.push(Effect::Start(part));
                }
                Condition::Starting if now.since(item.since) >= READY_WITHIN && !item.killed => {
                    item.killed = true;
                    effects.push(Effect::Kill(part));
                }
                _ => {}
            }
        }
        effects
    }

    /// The last started stops first; the next one when it has.
    fn stop(&mut self, now: Moment) -> Vec<Effect> {
        for (part, item) in self.items.iter_mut().enumerate().rev() {
            match item.condition {
                Condition::Stopped => {}
                Condition::Waiting | Condition::Broken => {
                    (item.condition, item.since) = (Condition::Stopped, now);
                }
                Condition::Starting | Condition::Ready => {
                    (item.condition, item.since) = (Condition::Stopping, now);
                    return vec![Effect::Terminate(part)];
                }
                Condition::Stopping if now.since(item.since) >= item.grace && !item.killed => {
                    item.killed = true;
                    return vec![Effect::Kill(part)];
                }
                Condition::Stopping => return Vec::new(),
            }
        }
        vec![Effect::Done]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Moment {
        Moment::from_millis(milliseconds)
    }

    fn core() -> Core {
        let second = Duration::from_secs(1);
        Core::new(&[(vec![], second), (vec![], second), (vec![0, 1], second)], at(0))
    }

    #[test]
    fn a_part_waits_for_those_it_needs() {
        let mut core = core();
        assert_eq!(core.apply(Event::Tick, at(0)), [Effect::Start(0), Effect::Start(1)]);
        assert_eq!(core.apply(Event::Answered(0), at(10)), []);
        assert_eq!(core.apply(Event::Answered(1), at(20)), [Effect::Start(2)]);
    }

    #[test]
    fn a_part_that_ends_is_started_again_after_a_growing_wait() {
        let mut core = core();
        core.apply(Event::Tick, at(0));
        assert_eq!(core.apply(Event::Ended(0), at(100)), []);
        assert_eq!(core.apply(Event::Tick, at(399)), []);
        assert_eq!(core.apply(Event::Tick, at(400)), [Effect::Start(0)]);
        core.apply(Event::Ended(0), at(500));
        assert_eq!(core.apply(Event::Tick, at(1_099)), []);
        assert_eq!(core.apply(Event::Tick, at(1_100)), [Effect::Start(0)]);
    }

    #[test]
    fn parts_stop_in_the_opposite_order_and_a_deaf_one_is_killed() {
        let mut core = core();
        core.apply(Event::Tick, at(0));
        core.apply(Event::Answered(0), at(1));
        core.apply(Event::Answered(1), at(2));
        core.apply(Event::Answered(2), at(3));
        assert_eq!(core.apply(Event::Stop, at(10)), [Effect::Terminate(2)]);
        assert_eq!(core.apply(Event::Tick, at(500)), []);
        assert_eq!(core.apply(Event::Tick, at(1_100)), [Effect::Kill(2)]);
        assert_eq!(core.apply(Event::Ended(2), at(1_200)), [Effect::Terminate(1)]);
        assert_eq!(core.apply(Event::Ended(1), at(1_300)), [Effect::Terminate(0)]);
        assert_eq!(core.apply(Event::Ended(0), at(1_400)), [Effect::Done]);
    }
}
