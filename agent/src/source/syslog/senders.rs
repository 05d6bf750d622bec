//! How much each sender may send: one that floods is limited alone.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::source::allowance::Allowance;

/// Senders that are told apart; those beyond share one allowance.
const SENDERS_MAX: usize = 4_096;

/// A sender that was quiet for so long has its whole allowance again, and is forgotten.
const IDLE: Duration = Duration::from_secs(60);

/// Senders of whose messages it is remembered how many were refused; beyond, it is counted without a name.
const REFUSED_NAMED_MAX: usize = 64;

/// All senders of a listener.
#[derive(Debug)]
pub(super) struct Senders {
    per_second: u64,
    refused: HashMap<IpAddr, u64>,
    refused_others: u64,
    known: HashMap<IpAddr, Allowance>,
    others: Option<Allowance>,
}

impl Senders {
    pub(super) fn new(per_second: u64) -> Self {
        Self {
            per_second,
            refused: HashMap::new(),
            refused_others: 0,
            known: HashMap::new(),
            others: None,
        }
    }

    /// Whether one message more may be taken from this sender.
    pub(super) fn admit(&mut self, sender: IpAddr, now: Instant) -> bool {
        if !self.known.contains_key(&sender) && self.known.len() >= SENDERS_MAX {
            self.known.retain(|_, allowance| allowance.idle(now) < IDLE);
        }
        let fresh = Allowance::new(self.per_second, now);
        let allowance = if self.known.contains_key(&sender) || self.known.len() < SENDERS_MAX {
            self.known.entry(sender).or_insert(fresh)
        } else {
            self.others.get_or_insert(fresh)
        };
        let admitted = allowance.take(1, self.per_second, now).is_ok();
        if !admitted {
            if self.refused.contains_key(&sender) || self.refused.len() < REFUSED_NAMED_MAX {
                *self.refused.entry(sender).or_default() += 1;
            } else {
                self.refused_others += 1;
            }
        }
        admitted
    }

    /// Messages that were refused since the last question, by their sender; `None`: of senders beyond those that are named.
    pub(super) fn take_refused(&mut self) -> Vec<(Option<IpAddr>, u64)> {
        let others = std::mem::take(&mut self.refused_others);
        let named = self.refused.drain().map(|(sender, count)| (Some(sender), count));
        named.chain((others > 0).then_some((None, others))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_that_floods_is_limited_alone_and_recovers() {
        let (mut senders, begun) = (Senders::new(10), Instant::now());
        let (loud, quiet): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let taken = (0..100).filter(|_| senders.admit(loud, begun)).count();
        assert_eq!(taken, 20, "two seconds' allowance at once");
        assert_eq!(senders.take_refused(), [(Some(loud), 80)]);
        assert_eq!(senders.take_refused(), []);
        assert!(senders.admit(quiet, begun));
        let later = begun + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| senders.admit(loud, later)).count(), 10);
    }

    #[test]
    fn a_million_forged_senders_take_bounded_memory() {
        let (mut senders, now) = (Senders::new(1), Instant::now());
        let taken =
            (0..20_000_u32).filter(|n| senders.admit(IpAddr::from(n.to_be_bytes()), now)).count();
        assert!(senders.known.len() <= SENDERS_MAX && taken <= SENDERS_MAX + 2, "{taken}");
        let refused = senders.take_refused();
        let all: u64 = refused.iter().map(|(_, count)| count).sum();
        assert_eq!((refused.len() <= REFUSED_NAMED_MAX + 1, all), (true, 20_000 - taken as u64));
    }
}
