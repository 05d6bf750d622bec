//! Whether a chain is as it was written. Pure.

use std::fmt;

use super::{AuditRow, Head};

/// Findings of one chain that are named; the rest is counted.
pub const FINDINGS_MAX: usize = 1_000;

/// What is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// What stands in a row is not what its hash was made of, or its hash is not the one that the next row knows.
    Changed(u64),
    /// Rows are missing.
    Removed {
        /// The first of them.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A row has a place that another one has, or lies beyond the end that was written down.
    Added(u64),
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(number) => write!(formatter, "row {number} was changed"),
            Self::Removed { first, last } if first == last => {
                write!(formatter, "row {first} was removed")
            }
            Self::Removed { first, last } => {
                write!(formatter, "rows {first} to {last} were removed")
            }
            Self::Added(number) => write!(formatter, "row {number} was added"),
        }
    }
}

/// Goes along a chain whose rows come by number.
#[derive(Debug, Default)]
pub struct Verifier {
    last: Head,
    /// The row before was found changed: that the next one does not fit it is told already.
    is_told: bool,
    rows: u64,
    findings: Vec<Finding>,
    more: u64,
}

impl Verifier {
    /// The next row.
    pub fn look(&mut self, row: &AuditRow) {
        self.rows += 1;
        let is_sound = row.made_hash() == row.hash;
        if row.number <= self.last.number {
            self.find(Finding::Added(row.number));
            return;
        }
        if row.number > self.last.number + 1 {
            self.find(Finding::Removed { first: self.last.number + 1, last: row.number - 1 });
        } else if row.previous != self.last.hash && !self.is_told && is_sound {
            // Somebody changed the row before and made it a new hash; the first row has none before it.
            self.find(Finding::Changed(self.last.number.max(1)));
        }
        if !is_sound {
            self.find(Finding::Changed(row.number));
        }
        self.is_told = !is_sound;
        self.last = row.head();
    }

    /// The last row's number.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.last.number
    }

    /// What was found, given the ends that were written down before the chain was gone along, and behind that; with the number of rows.
    #[must_use]
    pub fn end(mut self, before: &Head, behind: &Head) -> (u64, Vec<Finding>, u64) {
        if self.last.number < before.number {
            self.find(Finding::Removed { first: self.last.number + 1, last: before.number });
        }
        for number in (behind.number + 1..=self.last.number).take(FINDINGS_MAX) {
            self.find(Finding::Added(number));
        }
        let is_other = |head: &Head| head.number == self.last.number && head.hash != self.last.hash;
        if (is_other(before) || is_other(behind)) && !self.is_told {
            self.find(Finding::Changed(self.last.number));
        }
        (self.rows, self.findings, self.more)
    }

    fn find(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.more += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trust::audit::Deed;

    /// The hash of a first row in which nothing stands but its chain, as it was made before rows had agencies.
    const OF_BEFORE: &str = "564a0d618491893921efdb239f4c81b1735e6db0e4d491b9adef84cc44194613";

    fn chain(length: u64) -> (Vec<AuditRow>, Head) {
        let mut head = Head::default();
        let rows = (0..length)
            .map(|number| {
                let deed = Deed { time: 7, who: "lan".into(), rows: number, ..Deed::default() };
                let row = AuditRow::after("c", &head, deed);
                head = row.head();
                row
            })
            .collect();
        (rows, head)
    }

    fn found(rows: &[AuditRow], head: &Head) -> Vec<Finding> {
        let mut verifier = Verifier::default();
        rows.iter().for_each(|row| verifier.look(row));
        verifier.end(head, head).1
    }

    #[test]
    fn a_chain_as_it_was_written_is_whole() {
        for length in [0, 1, 2, 50] {
            let (rows, head) = chain(length);
            assert_eq!(found(&rows, &head), []);
        }
    }

    #[test]
    fn a_row_that_is_changed_removed_or_added_is_named() {
        let (rows, head) = chain(9);
        let tried = |change: &dyn Fn(&mut Vec<AuditRow>)| {
            let mut rows = rows.clone();
            change(&mut rows);
            found(&rows, &head)
        };
        assert_eq!(tried(&|rows| rows[3].who = "minh".into()), [Finding::Changed(4)]);
        let anew = |rows: &mut Vec<AuditRow>, at: usize| {
            rows[at].words = "x".into();
            rows[at].hash = rows[at].made_hash();
        };
        assert_eq!(tried(&|rows| anew(rows, 3)), [Finding::Changed(4)]);
        assert_eq!(tried(&|rows| anew(rows, 8)), [Finding::Changed(9)]);
        assert_eq!(tried(&|rows| drop(rows.drain(2..4))), [Finding::Removed { first: 3, last: 4 }]);
        assert_eq!(tried(&|rows| drop(rows.remove(0))), [Finding::Removed { first: 1, last: 1 }]);
        assert_eq!(tried(&|rows| drop(rows.pop())), [Finding::Removed { first: 9, last: 9 }]);
        assert_eq!(tried(&|rows| rows.clear()), [Finding::Removed { first: 1, last: 9 }]);
        assert_eq!(tried(&|rows| rows.insert(5, rows[4].clone())), [Finding::Added(5)]);
        let longer = |rows: &mut Vec<AuditRow>| {
            rows.push(AuditRow::after("c", &rows[8].head(), Deed::default()));
        };
        assert_eq!(tried(&longer), [Finding::Added(10)]);
    }

    #[test]
    fn an_agency_can_neither_be_taken_away_nor_changed_unseen_and_rows_without_one_keep_their_hash()
    {
        let deed = |agency: &str| Deed { agency: agency.into(), ..Deed::default() };
        let row = |agency: &str| AuditRow::after("c", &Head::default(), deed(agency));
        let hashes: Vec<String> = ["", "H49", "H50"].map(|agency| row(agency).hash).into();
        assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
        // As it was made before there were agencies.
        assert_eq!(hashes[0], OF_BEFORE);
    }

    proptest! {
        #[test]
        fn no_field_can_be_changed_unseen(at in 0_usize..9, field in 0_usize..13) {
            let (mut rows, head) = chain(9);
            let row = &mut rows[at];
            match field {
                0 => row.chain.push('x'),
                1 => row.time += 1,
                2 => row.who.push('x'),
                3 => row.role.push('x'),
                4 => row.address.push('x'),
                5 => row.serial.push('x'),
                6 => row.call.push('x'),
                7 => row.words.push('x'),
                8 => row.outcome.push('x'),
                9 => row.rows += 1,
                10 => row.microseconds += 1,
                11 => row.agency = "H49".into(),
                _ => row.previous.push('x'),
            }
            prop_assert!(!found(&rows, &head).is_empty());
        }
    }
}
