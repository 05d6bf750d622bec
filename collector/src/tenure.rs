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
//! reads the progress of block *k*, and with it the number *k + 1*. And if it did see one, it tells of nothing.
//!
//! The row that takes a token away is an insert that may come late, too. So a successor first writes which tokens it is going to take away, and where
//! the partition ends now; only rows below that end are used. Then it writes that it is valid. Before that, each taking that came to
//! nothing yet was made void by its successors: of the two words only the first is taken, since both have the same token, and who is void never
//! writes anything. So at each taking all before it are decided, and whoever is valid knows what all valid ones before it take away. The doubt
//! about a tenure ends when the progress has passed an end that a valid successor wrote: what it gathered itself lies below, and so
//! do all rows under its tokens.
//!
//! Roll-ups go the same way with numbers of their own. The incident book's fence is a step of nobody's incident, which may come late.
//! `collector/tests/protocol.rs` tries every order in which the steps of several collectors can fall, with crashes between any two, and finds
//! what is missing when a step is left out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A topic and a partition.
pub type Key = (String, i32);

/// Takings of a partition that are read back; beyond these a doubt would be forgotten, which takes as many takings without progress.
pub const TAKINGS_READ_MAX: usize = 256;

/// A token that is to be taken away, with its tenure's epoch.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Doubted {
    /// Its epoch: the lower ones go first.
    pub epoch: u64,
    /// Its number: so do they here.
    pub number: u64,
    /// The token.
    pub token: String,
}

/// A tenure's taking of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taking {
    /// The partition.
    pub key: Key,
    /// Grows with each taking.
    pub epoch: u64,
    /// The tenure's name.
    pub name: String,
    /// What it wrote behind; `None`: it did not come to that.
    pub end: Option<End>,
    /// Whether it came to anything; `None`: it is not decided.
    pub valid: Option<bool>,
}

/// What a tenure writes behind its taking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Where the partition ended.
    pub high: i64,
    /// Tokens of blocks that it takes away.
    pub blocks: Vec<Doubted>,
    /// Tokens of roll-ups that it takes away.
    pub sums: Vec<Doubted>,
}

impl End {
    fn of(&self, kind: Kind) -> &[Doubted] {
        match kind {
            Kind::Blocks => &self.blocks,
            Kind::Sums => &self.sums,
        }
    }
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

/// The token of the word that decides about a tenure.
#[must_use]
pub fn decision(name: &str) -> String {
    format!("{name}/decided")
}

/// Tenures before `epoch` that are to be made void.
#[must_use]
pub fn undecided(takings: &[Taking], epoch: u64) -> BTreeSet<(u64, String)> {
    let open = takings.iter().filter(|taking| taking.epoch < epoch && taking.valid.is_none());
    open.map(|taking| (taking.epoch, taking.name.clone())).collect()
}

/// Ends that valid tenures between two epochs wrote.
fn ends<'a>(takings: &'a [Taking], of: &'a Taking, epoch: u64) -> impl Iterator<Item = i64> + 'a {
    let between = move |end: &&Taking| {
        end.key == of.key && end.epoch > of.epoch && end.epoch < epoch && end.valid == Some(true)
    };
    takings.iter().filter(between).filter_map(|end| Some(end.end.as_ref()?.high))
}

/// Takings before `epoch` whose inserts may still come, and below which offset those lie. `passed`: below this nothing
/// of a partition is in doubt, which is its progress, or the mark of its roll-ups.
fn in_doubt<'a>(
    takings: &'a [Taking],
    passed: &BTreeMap<Key, i64>,
    epoch: u64,
) -> Vec<(&'a Taking, i64)> {
    let mut doubts = Vec::new();
    for taking in takings {
        let passed = passed.get(&taking.key).copied().unwrap_or(0);
        let lowest = ends(takings, taking, epoch).min();
        let before = taking.epoch < epoch && taking.valid == Some(true);
        if before && lowest.is_none_or(|high| high > passed) {
            doubts.push((taking, lowest.unwrap_or(i64::MAX)));
        }
    }
    doubts
}

/// The tokens that the tenure of `epoch` has to take away, for each partition: of the insert that each tenure in doubt was at when its first
/// successor came. With each, below which offset what may come under it lies.
///
/// They have to be taken away in their order, over all partitions: each tenure made sure of those before it first, so
/// what it stored shows that they are over; the other way round, what is stored under its token would hide that they are not.
#[must_use]
pub fn doubted(
    takings: &[Taking],
    passed: &BTreeMap<Key, i64>,
    epoch: u64,
    kind: Kind,
    numbers: &HashMap<(Kind, String), u64>,
) -> BTreeMap<Key, BTreeMap<Doubted, i64>> {
    let mut all: BTreeMap<Key, BTreeMap<Doubted, i64>> = BTreeMap::new();
    let in_doubt = in_doubt(takings, passed, epoch);
    for (taking, below) in &in_doubt {
        let successors: Vec<&End> = takings
            .iter()
            .filter(|later| later.key == taking.key && later.valid == Some(true))
            .filter(|later| later.epoch > taking.epoch && later.epoch < epoch)
            .filter_map(|later| later.end.as_ref())
            .collect();
        let told = successors
            .iter()
            .flat_map(|end| end.of(kind))
            .filter(|doubted| doubted.epoch == taking.epoch)
            .cloned();
        // The first valid successor read the number when no further insert could begin. What is read later may be one too many.
        let own = successors.is_empty().then(|| {
            let number = numbers.get(&(kind, taking.name.clone())).copied().unwrap_or(0);
            let token = token(&taking.name, kind, number);
            Doubted { epoch: taking.epoch, number, token }
        });
        let of_key = all.entry(taking.key.clone()).or_default();
        of_key.extend(told.chain(own).map(|doubted| (doubted, *below)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        ("vonggac.usage.v1".into(), 1)
    }

    fn taken(epoch: u64, name: &str) -> Taking {
        Taking { key: key(), epoch, name: name.into(), end: None, valid: Some(true) }
    }

    fn ended(epoch: u64, name: &str, high: i64, blocks: &[(u64, u64, &str)]) -> Taking {
        let doubted = |(epoch, number, name): &(u64, u64, &str)| Doubted {
            epoch: *epoch,
            number: *number,
            token: token(name, Kind::Blocks, *number),
        };
        let blocks = blocks.iter().map(doubted).collect();
        Taking { end: Some(End { high, blocks, sums: Vec::new() }), ..taken(epoch, name) }
    }

    fn doubts(takings: &[Taking], passed: i64) -> Vec<(&str, i64)> {
        let found = in_doubt(takings, &BTreeMap::from([(key(), passed)]), 100);
        found.into_iter().map(|(taking, below)| (taking.name.as_str(), below)).collect()
    }

    #[test]
    fn who_came_before_is_in_doubt_until_the_progress_has_passed_an_end_behind_it() {
        let takings = [ended(1, "a", 5, &[]), ended(2, "b", 50, &[]), ended(9, "c", 80, &[])];
        assert_eq!(doubts(&takings, 40), [("a", 50), ("b", 80), ("c", i64::MAX)]);
        assert_eq!(doubts(&takings, 50), [("b", 80), ("c", i64::MAX)]);
        assert_eq!(doubts(&takings, 80), [("c", i64::MAX)], "its end is its successor's to write");
    }

    #[test]
    fn who_is_void_says_nothing_and_writes_nothing() {
        let mut takings = [taken(1, "a"), ended(2, "b", 50, &[(1, 0, "a")]), taken(3, "c")];
        takings[1].valid = Some(false);
        takings[2].valid = None;
        assert_eq!(doubts(&takings, 60), [("a", i64::MAX)]);
        assert_eq!(undecided(&takings, 100), BTreeSet::from([(3, "c".to_owned())]));
    }

    #[test]
    fn ones_own_end_and_what_comes_later_say_nothing_of_those_before() {
        let takings = [taken(1, "a"), ended(100, "me", 10, &[]), ended(101, "d", 10, &[])];
        assert_eq!(doubts(&takings, 50), [("a", i64::MAX)]);
    }

    #[test]
    fn the_insert_a_tenure_was_at_is_told_by_its_first_successor() {
        let takings = [taken(1, "a"), ended(2, "b", 50, &[(1, 3, "a"), (0, 9, "gone")])];
        let numbers = HashMap::from([((Kind::Blocks, "a".to_owned()), 10)]);
        let passed = BTreeMap::from([(key(), 40)]);
        let found = doubted(&takings, &passed, 100, Kind::Blocks, &numbers);
        let tokens: Vec<(&str, i64)> = found
            .values()
            .flatten()
            .map(|(doubted, below)| (doubted.token.as_str(), *below))
            .collect();
        assert_eq!(tokens, [("a/block/3", 50), ("b/block/0", i64::MAX)]);
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
