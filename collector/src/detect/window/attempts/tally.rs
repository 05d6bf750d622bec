//! What the matches of a window weigh together, kept as they come and go, so that a match costs the same however many there are.

use std::collections::{HashMap, VecDeque};

use super::{Attempt, Limits};

/// The sums of one window.
#[derive(Debug, Default)]
pub(super) struct Tally {
    all: Sum,
    /// By host, where fewer on one host are enough.
    hosts: HashMap<u64, Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    weight: u64,
    matches: usize,
    /// Weights of each value in order of coming, where only different values count: the first one's counts.
    values: HashMap<u64, VecDeque<u64>>,
}

impl Sum {
    fn add(&mut self, attempt: &Attempt, distinct: bool) {
        self.matches += 1;
        if distinct {
            let weights = self.values.entry(attempt.value).or_default();
            weights.push_back(attempt.weight);
            if weights.len() > 1 {
                return;
            }
        }
        self.weight = self.weight.saturating_add(attempt.weight);
    }

    /// Takes the oldest match away.
    fn remove(&mut self, attempt: &Attempt, distinct: bool) {
        self.matches = self.matches.saturating_sub(1);
        self.weight = self.weight.saturating_sub(attempt.weight);
        let Some(weights) = self.values.get_mut(&attempt.value).filter(|_| distinct) else {
            return;
        };
        weights.pop_front();
        match weights.front() {
            Some(next) => self.weight = self.weight.saturating_add(*next),
            None => {
                self.values.remove(&attempt.value);
            }
        }
    }
}

impl Tally {
    pub(super) fn of<'a>(kept: impl IntoIterator<Item = &'a Attempt>, limits: Limits) -> Self {
        let mut tally = Self::default();
        kept.into_iter().for_each(|attempt| tally.add(attempt, limits));
        tally
    }

    pub(super) fn add(&mut self, attempt: &Attempt, limits: Limits) {
        self.all.add(attempt, limits.distinct);
        if limits.on_host.is_some() {
            self.hosts.entry(attempt.host).or_default().add(attempt, limits.distinct);
        }
    }

    /// Takes away the match that came first of those that are left.
    pub(super) fn remove(&mut self, attempt: &Attempt, limits: Limits) {
        self.all.remove(attempt, limits.distinct);
        if let Some(sum) = self.hosts.get_mut(&attempt.host) {
            sum.remove(attempt, limits.distinct);
            if sum.matches == 0 {
                self.hosts.remove(&attempt.host);
            }
        }
    }

    /// Whether this value is among those that are counted.
    pub(super) fn knows(&self, value: u64) -> bool {
        self.all.values.contains_key(&value)
    }

    /// Whether the window is full by all of it, or by what came from this host.
    pub(super) fn is_full(&self, host: u64, limits: Limits) -> bool {
        let on_host = || self.hosts.get(&host).map_or(0, |sum| sum.weight);
        self.all.weight >= limits.threshold
            || limits.on_host.is_some_and(|threshold| on_host() >= threshold)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use proptest::prelude::*;
    use vonggac_wire::Time;

    use super::*;

    /// What the sums have to be, walked anew.
    fn walked(kept: &VecDeque<Attempt>, host: Option<u64>, distinct: bool) -> u64 {
        let mut seen = HashSet::new();
        kept.iter()
            .filter(|one| host.is_none_or(|host| one.host == host))
            .filter(|one| !distinct || seen.insert(one.value))
            .map(|one| one.weight)
            .sum()
    }

    proptest! {
        #[test]
        fn sums_that_are_kept_are_those_of_a_walk(
            moves in proptest::collection::vec((any::<bool>(), 0..4_u64, 0..3_u64, 0..5_u64), 1..80),
            distinct: bool,
        ) {
            let limits = Limits {
                span: Duration::from_secs(1), threshold: 0, on_host: Some(0), distinct, spacing: None,
            };
            let (mut tally, mut kept) = (Tally::default(), VecDeque::<Attempt>::new());
            for (add, value, host, weight) in moves {
                if add {
                    let time = Time::from_seconds(0);
                    let one = Attempt { time, weight, events: 1, value, host, user: 0, connection: 0, echo: false };
                    tally.add(&one, limits);
                    kept.push_back(one);
                } else if let Some(gone) = kept.pop_front() {
                    tally.remove(&gone, limits);
                }
                prop_assert_eq!(tally.all.weight, walked(&kept, None, distinct));
                for host in 0..3 {
                    let sum = tally.hosts.get(&host).map_or(0, |sum| sum.weight);
                    prop_assert_eq!(sum, walked(&kept, Some(host), distinct));
                }
                let values: HashSet<u64> = kept.iter().map(|one| one.value).collect();
                prop_assert!((0..4).all(|value| tally.knows(value) == (distinct && values.contains(&value))));
            }
            prop_assert_eq!(tally.hosts.len(), kept.iter().map(|one| one.host).collect::<HashSet<_>>().len());
        }
    }
}
