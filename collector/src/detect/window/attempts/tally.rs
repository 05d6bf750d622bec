//! What the matches of a window weigh together.

use std::collections::{HashMap, VecDeque};

use super::{Kept, Limits};

/// Matches that are walked over rather than summed.
const WALKED_MAX: usize = 8;

/// What the matches of a window weigh: of a few as they are asked for, of more as they come and go.
#[derive(Debug, Default)]
pub(super) struct Sums(Option<Box<Tally>>);

impl Sums {
    pub(super) fn of(kept: &VecDeque<Kept>, limits: Limits) -> Self {
        Self((kept.len() > WALKED_MAX).then(|| Box::new(Tally::of(kept, limits))))
    }

    /// One more comes to those that are kept.
    pub(super) fn adds(&mut self, one: &Kept, kept: &VecDeque<Kept>, limits: Limits) {
        if self.0.is_none() && kept.len() >= WALKED_MAX {
            self.0 = Some(Box::new(Tally::of(kept, limits)));
        }
        if let Some(tally) = &mut self.0 {
            tally.add(one, limits);
        }
    }

    /// Takes away the match that came first of those that are left.
    pub(super) fn removed(&mut self, one: &Kept, limits: Limits) {
        if let Some(tally) = &mut self.0 {
            tally.remove(one, limits);
        }
    }

    /// Whether this value is among those that are counted.
    pub(super) fn knows(&self, value: u64, kept: &VecDeque<Kept>) -> bool {
        match &self.0 {
            Some(tally) => tally.knows(value),
            None => kept.iter().any(|one| one.value == value),
        }
    }

    /// What all that are kept weigh.
    pub(super) fn weight(&self, kept: &VecDeque<Kept>, distinct: bool) -> u64 {
        match &self.0 {
            Some(tally) => tally.all.weight,
            None => weight_of(kept, None, distinct),
        }
    }

    /// Whether the window is full by all of it, or by what came from this host.
    pub(super) fn is_full(&self, host: u64, kept: &VecDeque<Kept>, limits: Limits) -> bool {
        match &self.0 {
            Some(tally) => tally.is_full(host, limits),
            None => {
                let on_host = |threshold| weight_of(kept, Some(host), limits.distinct) >= threshold;
                weight_of(kept, None, limits.distinct) >= limits.threshold
                    || limits.on_host.is_some_and(on_host)
            }
        }
    }
}

/// What a few weigh, all of them or those of one host; where only different values count, the first of each.
fn weight_of(kept: &VecDeque<Kept>, host: Option<u64>, distinct: bool) -> u64 {
    let of_host = |one: &&Kept| host.is_none_or(|host| one.host == host);
    let mut sum = 0_u64;
    for (place, one) in kept.iter().enumerate().filter(|(_, one)| of_host(one)) {
        let same = |other: &Kept| other.value == one.value;
        if !distinct || !kept.iter().take(place).filter(of_host).any(same) {
            sum = sum.saturating_add(u64::from(one.weight));
        }
    }
    sum
}

/// The sums of one window, kept so that a match costs the same however many there are.
#[derive(Debug, Default)]
struct Tally {
    all: Sum,
    /// By host, where fewer on one host are enough.
    hosts: HashMap<u64, Sum>,
}

#[derive(Debug, Default)]
struct Sum {
    weight: u64,
    matches: usize,
    /// Weights of each value in order of coming, where only different values count: the first one's counts.
    values: HashMap<u64, VecDeque<u32>>,
}

impl Sum {
    fn add(&mut self, attempt: &Kept, distinct: bool) {
        self.matches += 1;
        if distinct {
            let weights = self.values.entry(attempt.value).or_default();
            weights.push_back(attempt.weight);
            if weights.len() > 1 {
                return;
            }
        }
        self.weight = self.weight.saturating_add(u64::from(attempt.weight));
    }

    /// Takes the oldest match away.
    fn remove(&mut self, attempt: &Kept, distinct: bool) {
        self.matches = self.matches.saturating_sub(1);
        self.weight = self.weight.saturating_sub(u64::from(attempt.weight));
        let Some(weights) = self.values.get_mut(&attempt.value).filter(|_| distinct) else {
            return;
        };
        weights.pop_front();
        match weights.front() {
            Some(next) => self.weight = self.weight.saturating_add(u64::from(*next)),
            None => {
                self.values.remove(&attempt.value);
            }
        }
    }
}

impl Tally {
    fn of<'a>(kept: impl IntoIterator<Item = &'a Kept>, limits: Limits) -> Self {
        let mut tally = Self::default();
        kept.into_iter().for_each(|attempt| tally.add(attempt, limits));
        tally
    }

    fn add(&mut self, attempt: &Kept, limits: Limits) {
        self.all.add(attempt, limits.distinct);
        if limits.on_host.is_some() {
            self.hosts.entry(attempt.host).or_default().add(attempt, limits.distinct);
        }
    }

    /// Takes away the match that came first of those that are left.
    fn remove(&mut self, attempt: &Kept, limits: Limits) {
        self.all.remove(attempt, limits.distinct);
        if let Some(sum) = self.hosts.get_mut(&attempt.host) {
            sum.remove(attempt, limits.distinct);
            if sum.matches == 0 {
                self.hosts.remove(&attempt.host);
            }
        }
    }

    /// Whether this value is among those that are counted.
    fn knows(&self, value: u64) -> bool {
        self.all.values.contains_key(&value)
    }

    /// Whether the window is full by all of it, or by what came from this host.
    fn is_full(&self, host: u64, limits: Limits) -> bool {
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
    fn walked(kept: &VecDeque<Kept>, host: Option<u64>, distinct: bool) -> u64 {
        let mut seen = HashSet::new();
        kept.iter()
            .filter(|one| host.is_none_or(|host| one.host == host))
            .filter(|one| !distinct || seen.insert(one.value))
            .map(|one| u64::from(one.weight))
            .sum()
    }

    proptest! {
        #[test]
        fn sums_that_are_kept_are_those_of_a_walk(
            moves in proptest::collection::vec((any::<bool>(), 0..4_u64, 0..3_u64, 0..5_u32), 1..80),
            distinct: bool,
        ) {
            let limits = Limits {
                span: Duration::from_secs(1), threshold: 0, on_host: Some(0), distinct, spacing: None,
            };
            let (mut tally, mut sums) = (Tally::default(), Sums::default());
            let mut kept = VecDeque::<Kept>::new();
            for (add, value, host, weight) in moves {
                if add {
                    let time = Time::from_seconds(0);
                    let one = Kept { time, weight, events: 1, value, host, user: 0 };
                    tally.add(&one, limits);
                    sums.adds(&one, &kept, limits);
                    kept.push_back(one);
                } else if let Some(gone) = kept.pop_front() {
                    tally.remove(&gone, limits);
                    sums.removed(&gone, limits);
                }
                prop_assert_eq!(tally.all.weight, walked(&kept, None, distinct));
                for host in 0..3 {
                    let sum = tally.hosts.get(&host).map_or(0, |sum| sum.weight);
                    let on_host = walked(&kept, Some(host), distinct);
                    prop_assert_eq!(sum, on_host);
                    let whole = walked(&kept, None, distinct);
                    for threshold in [whole.max(1), whole + 1] {
                        for least in [on_host.max(1), on_host + 1] {
                            let limits = Limits { threshold, on_host: Some(least), ..limits };
                            let full = whole >= threshold || on_host >= least;
                            prop_assert_eq!(sums.is_full(host, &kept, limits), full);
                        }
                    }
                }
                let values: HashSet<u64> = kept.iter().map(|one| one.value).collect();
                prop_assert!(!distinct || (0..4).all(|value| sums.knows(value, &kept) == values.contains(&value)));
                prop_assert!((0..4).all(|value| tally.knows(value) == (distinct && values.contains(&value))));
            }
            prop_assert_eq!(tally.hosts.len(), kept.iter().map(|one| one.host).collect::<HashSet<_>>().len());
        }
    }
}
