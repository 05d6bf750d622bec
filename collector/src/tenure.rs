//! A tenure: what one collector writes between being given partitions and being given others. Pure.
//!
//! Kafka's group gives a partition to one collector at a time, but it cannot take back what a collector already does: one that was frozen, or
//! whose insert the engine still works on, writes when its partition is long another's. So who takes a partition over makes sure of two things,
//! in this order:
//!
//! 1. **It says so.** A row in the table `tenures` with a higher epoch. Every tenure looks there behind each insert, before it tells of it
//!    (signals, progress), and again before the next insert. Who is superseded gives up all that it holds and asks the group anew.
//! 2. **It takes the name of the last insert away.** Inserts of a tenure are numbered, and their tokens are its name with the number. The number of
//!    the next insert is written with the progress of the one before. So exactly one insert of a tenure can be in doubt, and its token is
//!    known. The engine drops the second block with a token, for each month. The successor inserts one row of its own under that token:
//!    either the block in doubt was there before, and the row is dropped, or the row is stored, and the block will be dropped
//!    whenever it comes. Then the successor asks which rows are stored, and knows that no others will come.
//!
//! Why this suffices. Let a tenure write block *k*. If it saw no successor behind the insert, the block was stored before any successor
//! began to ask; so its progress is true, whenever it is written. If it saw none before the insert of block *k + 1*, every later successor
//! reads the progress of block *k*, and with it the number *k + 1*. And if it did see one, it tells of nothing. The doubt about a
//! tenure ends when the progress has passed all that it can have gathered: the end of the partition when its successor came.
//!
//! Roll-ups go the same way with numbers of their own, and so does the incident book. `collector/tests/protocol.rs` tries every
//! order in which the steps of several collectors can fall, with crashes between any two, and finds what is missing when a step is left out.

use std::collections::BTreeMap;

/// A topic and a partition.
pub type Key = (String, i32);

/// Takings of a partition that are read back; beyond these a doubt would be forgotten, which takes as many takings without progress.
pub const TAKINGS_READ_MAX: usize = 256;

/// A token that is to be taken away, with its tenure's epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Doubted {
    /// The epoch: the lower ones go first.
    pub epoch: u64,
    /// The token.
    pub token: String,
}

/// One row of the table `tenures`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taking {
    /// The partition.
    pub key: Key,
    /// Grows with each taking.
    pub epoch: u64,
    /// The tenure's name.
    pub name: String,
    /// Where the partition ended when it was taken; `None`: this is the taking itself.
    pub high: Option<i64>,
}

/// What is numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Blocks of events, or of an incident's steps.
    Blocks,
    /// Roll-ups.
    Sums,
}

impl Kind {
    /// The topic under which `progress` keeps the number.
    #[must_use]
    pub const fn mark(self) -> &'static str {
        match self {
            Self::Blocks => "tenure/blocks",
            Self::Sums => "tenure/sums",
        }
    }

    /// From [`Kind::mark`].
    #[must_use]
    pub fn from_mark(mark: &str) -> Option<Self> {
        [Self::Blocks, Self::Sums].into_iter().find(|kind| kind.mark() == mark)
    }
}

/// The number of a tenure's next insert, to be written with the progress of the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The tenure.
    pub name: String,
    /// Of what.
    pub kind: Kind,
    /// The number.
    pub number: u64,
}

/// The token of a tenure's insert.
#[must_use]
pub fn token(name: &str, kind: Kind, number: u64) -> String {
    match kind {
        Kind::Blocks => format!("{name}/block/{number}"),
        Kind::Sums => format!("{name}/sum/{number}"),
    }
}

/// One's own tenure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// Its name: of no other tenure, ever.
    pub name: String,
    /// Its epoch.
    pub epoch: u64,
    /// What it took.
    pub keys: Vec<Key>,
    blocks: u64,
    sums: u64,
}

impl Tenure {
    /// Begins.
    #[must_use]
    pub const fn new(name: String, epoch: u64, keys: Vec<Key>) -> Self {
        Self { name, epoch, keys, blocks: 0, sums: 0 }
    }

    const fn number(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Blocks => self.blocks,
            Kind::Sums => self.sums,
        }
    }

    /// The token of the insert that is due.
    #[must_use]
    pub fn token(&self, kind: Kind) -> String {
        token(&self.name, kind, self.number(kind))
    }

    /// The number behind the insert that is due, to be written with its progress.
    #[must_use]
    pub fn after(&self, kind: Kind) -> Next {
        Next { name: self.name.clone(), kind, number: self.number(kind) + 1 }
    }

    /// That number is written: the next insert is due.
    pub const fn advance(&mut self, kind: Kind) {
        match kind {
            Kind::Blocks => self.blocks += 1,
            Kind::Sums => self.sums += 1,
        }
    }
}

/// The epoch of a new taking: above all before it, and of the clock where that is ahead, so that two who take at once differ.
#[must_use]
pub fn epoch(takings: &[Taking], now_nanos: i64) -> u64 {
    let highest = takings.iter().map(|taking| taking.epoch).max().unwrap_or(0);
    highest.saturating_add(1).max(u64::try_from(now_nanos).unwrap_or(0))
}

/// Tenures before `epoch` whose last insert may still come, with their epochs, oldest first, for each partition. `passed`: below this nothing
/// of the partition is in doubt, which is its progress, or the mark of its roll-ups.
///
/// Their tokens have to be taken away in the order of their epochs over all partitions: each of them made sure of those before it first,
/// so what it stored shows that they are over; the other way round, what is stored under its token would hide that they are not.
#[must_use]
pub fn in_doubt(
    takings: &[Taking],
    passed: &BTreeMap<Key, i64>,
    epoch: u64,
) -> BTreeMap<Key, Vec<(u64, String)>> {
    // All before this epoch are over.
    let mut over: BTreeMap<&Key, u64> = BTreeMap::new();
    for taking in takings {
        let passed = passed.get(&taking.key).copied().unwrap_or(0);
        if taking.high.is_some_and(|high| high <= passed) {
            let over = over.entry(&taking.key).or_default();
            *over = (*over).max(taking.epoch);
        }
    }
    let mut doubts: BTreeMap<Key, Vec<(u64, String)>> = BTreeMap::new();
    for taking in takings.iter().filter(|taking| taking.high.is_none() && taking.epoch < epoch) {
        if over.get(&taking.key).is_none_or(|over| taking.epoch >= *over) {
            let of_key = doubts.entry(taking.key.clone()).or_default();
            of_key.push((taking.epoch, taking.name.clone()));
        }
    }
    let sorted = |(key, mut names): (Key, Vec<(u64, String)>)| {
        names.sort_unstable();
        names.dedup();
        (key, names)
    };
    doubts.into_iter().map(sorted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        ("vonggac.usage.v1".into(), 1)
    }

    fn taken(epoch: u64, name: &str) -> Taking {
        Taking { key: key(), epoch, name: name.into(), high: None }
    }

    fn ended(epoch: u64, high: i64) -> Taking {
        Taking { key: key(), epoch, name: String::new(), high: Some(high) }
    }

    fn doubts(takings: &[Taking], passed: i64) -> Vec<String> {
        let found = in_doubt(takings, &BTreeMap::from([(key(), passed)]), 100);
        found.into_values().flatten().map(|(_, name)| name).collect()
    }

    #[test]
    fn who_came_before_is_in_doubt_until_the_progress_has_passed_where_the_partition_ended() {
        let takings =
            [taken(1, "a"), taken(2, "b"), ended(2, 50), taken(100, "me"), ended(100, 80)];
        assert_eq!(doubts(&takings, 40), ["a", "b"]);
        assert_eq!(doubts(&takings, 50), ["b"]);
        assert_eq!(doubts(&takings, 79), ["b"]);
        assert_eq!(doubts(&takings, 80), Vec::<String>::new());
    }

    #[test]
    fn who_died_before_it_told_an_end_is_passed_by_a_later_end() {
        let takings = [taken(1, "a"), taken(2, "b"), taken(3, "c"), ended(3, 10)];
        assert_eq!(doubts(&takings, 0), ["a", "b", "c"]);
        assert_eq!(doubts(&takings, 10), ["c"]);
    }

    #[test]
    fn an_epoch_is_above_all_before_it_even_when_the_clock_went_back() {
        assert_eq!(epoch(&[taken(7, "a")], 3), 8);
        assert_eq!(epoch(&[taken(7, "a")], 30), 30);
        assert_eq!(epoch(&[], -5), 1);
    }

    #[test]
    fn each_insert_of_a_tenure_has_a_token_of_its_own() {
        let mut tenure = Tenure::new("t".into(), 1, Vec::new());
        assert_eq!(tenure.token(Kind::Blocks), "t/block/0");
        assert_eq!(tenure.after(Kind::Blocks).number, 1);
        tenure.advance(Kind::Blocks);
        assert_eq!(tenure.token(Kind::Blocks), "t/block/1");
        assert_eq!(tenure.token(Kind::Sums), "t/sum/0");
    }
}
