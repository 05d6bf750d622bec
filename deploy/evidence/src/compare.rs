//! Stored rows against what was written down of each record when it was taken: which rows are gone, other than they were, or too many. Pure.

use std::collections::BTreeMap;

use crate::{
    batch::Said,
    merkle::{Hash, MARK_BYTES, Tree},
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A row is not there.
    Removed,
    /// A row is not as it was.
    Changed,
    /// A row was not there.
    Added,
    /// Some row of the batch is not as it was, and was made to look like it.
    Disguised,
    /// What was written down of the batch does not agree with itself.
    Batch,
    /// The batch has a seal that is not its agent's.
    Seal,
    /// The batch is in no receipt of its hour, or the receipt is over other batches.
    Receipt,
}

impl Fault {
    /// The word on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Added => "added",
            Self::Disguised => "disguised",
            Self::Batch => "batch",
            Self::Seal => "seal",
            Self::Receipt => "receipt",
        }
    }
}

/// Where a row stands in its batch, and what its hash is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The place in the batch.
    pub index: u32,
    /// Its hash.
    pub leaf: Hash,
}

/// A finding: of one row, or of a whole batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// Of which row; `None`: of the batch.
    pub index: Option<u32>,
}

/// Rows of a partition by the offset of their record.
pub type Rows = BTreeMap<i64, Vec<Found>>;

/// Holds the rows of a record, in the order of their places, against what was written down of it. `marks`: the first bytes of each row's hash.
#[must_use]
pub fn compare(batch: &Said<'_>, marks: &[u8], rows: &[Found]) -> Vec<Finding> {
    let of = |fault, index| Finding { fault, index: Some(index) };
    let places: Vec<u32> = batch.places().collect();
    let marks: Vec<&[u8]> = marks.chunks(MARK_BYTES).collect();
    if places.len() != batch.rows as usize || marks.len() != places.len() {
        return vec![Finding { fault: Fault::Batch, index: None }];
    }
    let mut findings = Vec::new();
    let mut rest = rows.iter().peekable();
    let mut tree = Tree::default();
    for (place, mark) in places.into_iter().zip(marks) {
        while let Some(row) = rest.next_if(|row| row.index < place) {
            findings.push(of(Fault::Added, row.index));
        }
        let mut here: Vec<&Found> = Vec::new();
        while let Some(row) = rest.next_if(|row| row.index == place) {
            here.push(row);
        }
        // Of several at one place the one is ours whose mark fits; the others were added.
        let ours = here.iter().position(|row| row.leaf.starts_with(mark));
        match (here.get(ours.unwrap_or(0)), ours) {
            (None, _) => findings.push(of(Fault::Removed, place)),
            (Some(row), fits) => {
                tree.add(row.leaf);
                findings.extend(fits.is_none().then(|| of(Fault::Changed, place)));
            }
        }
        findings.extend((1..here.len()).map(|_| of(Fault::Added, place)));
    }
    findings.extend(rest.map(|row| of(Fault::Added, row.index)));
    let whole = findings.iter().all(|finding| finding.fault == Fault::Added);
    if whole && tree.root() != *batch.root {
        findings.push(Finding { fault: Fault::Disguised, index: None });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;

    fn leaf(n: u32) -> Found {
        Found { index: n, leaf: *blake3::hash(&n.to_le_bytes()).as_bytes() }
    }

    /// Of six events, the third of which another record brought.
    fn batch() -> (Batch, Vec<Found>) {
        let rows: Vec<Found> = [0, 1, 3, 4, 5].map(leaf).into();
        let batch = Batch {
            first_seq: 11,
            last_seq: 16,
            rows: 5,
            absent: vec![(2, 2)],
            marks: rows.iter().flat_map(|row| row.leaf[..MARK_BYTES].to_vec()).collect(),
            root: rows.iter().map(|row| row.leaf).collect::<Tree>().root(),
            ..Batch::default()
        };
        (batch, rows)
    }

    fn told(change: impl FnOnce(&mut Batch, &mut Vec<Found>)) -> Vec<(&'static str, Option<u32>)> {
        let (mut batch, mut rows) = batch();
        change(&mut batch, &mut rows);
        rows.sort_by_key(|row| (row.index, row.leaf));
        compare(&batch.said(), &batch.marks, &rows)
            .iter()
            .map(|f| (f.fault.name(), f.index))
            .collect()
    }

    #[test]
    fn rows_as_they_were_are_clean() {
        assert_eq!(told(|_, _| {}), []);
    }

    #[test]
    fn each_row_that_is_not_as_it_was_is_named() {
        assert_eq!(told(|_, rows| rows.truncate(4)), [("removed", Some(5))]);
        assert_eq!(told(|_, rows| rows[2].leaf = [7; 32]), [("changed", Some(3))]);
        assert_eq!(told(|_, rows| rows.push(leaf(2))), [("added", Some(2))]);
        assert_eq!(told(|_, rows| rows.push(leaf(6))), [("added", Some(6))]);
        assert_eq!(told(|_, rows| rows.push(rows[0])), [("added", Some(0))]);
        let same_place = |leaf: Hash| {
            move |_: &mut Batch, rows: &mut Vec<Found>| {
                rows.push(Found { index: 5, leaf });
            }
        };
        for leaf in [[0; 32], [255; 32]] {
            assert_eq!(told(same_place(leaf)), [("added", Some(5))]);
        }
        assert_eq!(
            told(|_, rows| {
                rows.remove(0);
                rows[0].leaf[0] ^= 1;
                rows.push(leaf(9));
            }),
            [("removed", Some(0)), ("changed", Some(1)), ("added", Some(9))]
        );
    }

    #[test]
    fn a_row_whose_mark_was_made_to_fit_is_seen_by_the_root() {
        assert_eq!(told(|_, rows| rows[1].leaf[31] ^= 1), [("disguised", None)]);
    }

    #[test]
    fn a_batch_that_does_not_agree_with_itself_is_named() {
        assert_eq!(told(|batch, _| batch.rows = 4), [("batch", None)]);
        assert_eq!(told(|batch, _| batch.marks.truncate(8)), [("batch", None)]);
        assert_eq!(told(|batch, _| batch.absent.clear()), [("batch", None)]);
        assert_eq!(told(|batch, _| batch.last_seq = u64::MAX), [("batch", None)]);
    }
}
