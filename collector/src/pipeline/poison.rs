//! Rows that the engine refuses for what they say. A block that holds one is taken apart until it is alone; it goes to the dead letters with the
//! engine's words, and the rest is stored.
//!
//! Only what the engine answered in so many words counts: a block of which an attempt was left without an answer may still come, so its
//! tenure is given up, and the next one takes its token away first. Each piece has a number of its own, written down before it is inserted, so
//! that one insert at a time is in doubt here, too; see [`tenure`](crate::tenure).
//!
//! An engine whose table was changed by other hands refuses everything with the same words. So a row is only given up while the engine takes
//! others: of the same block, or once more the last one that it took.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use vonggac_wire::{Time, proto::DeadLetter};

use super::claim::keep_trying;
use crate::{
    dead_letter,
    decode::{Rejection, Taken},
    figures::Figures,
    record::Record,
    store::{Store, StoreError, refusal::Refusal, row::NewRow},
    tenure::{Key, Kind, Tenure},
};

/// How often a whole block is tried before it is taken apart: the words may be about a moment.
pub(super) const TRIES: u32 = 3;

/// How often rows are tried again before it is asked again whether the engine takes others: some minutes, as the waits grow.
const HOLD_TRIES: u32 = 12;

/// Rows of one block that may be given up. More are no poison: something is wrong with the table.
const REFUSED_ROWS_MAX: usize = 1_000;

/// What became of rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The engine has them.
    Stored,
    /// It refuses them for what they say, in these words.
    Refused(String),
}

/// A row that was given up, with the engine's words.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) row: NewRow,
    pub(super) words: String,
}

/// The last row that the engine took, with its token: inserted again it is nothing new.
#[derive(Debug, Default)]
pub(super) struct Good(Option<(NewRow, String)>);

impl Good {
    pub(super) fn took(&mut self, rows: &[NewRow], token: &str) {
        if let Some(row) = rows.last() {
            self.0 = Some((row.clone(), token.to_owned()));
        }
    }
}

/// Inserts rows until the engine has them, or refused them so often.
///
/// # Errors
/// What can never work; [`StoreError::Superseded`] if they were refused after an attempt that was left without an answer.
pub(super) async fn insert(
    store: &Store,
    figures: &Figures,
    rows: &[NewRow],
    token: &str,
    tries: u32,
) -> Result<Fate, StoreError> {
    // Cells that may be shared: the task may go on in another thread.
    let (refused, undecided) = (AtomicU32::new(0), AtomicBool::new(false));
    let attempt = || async {
        let error = match store.insert_events(rows, token).await {
            Ok(()) => return Ok(Fate::Stored),
            Err(error) => error,
        };
        if !Refusal::of(&error).is_some_and(Refusal::is_of_rows) {
            undecided.store(true, Ordering::Relaxed);
            return Err(error);
        }
        if refused.fetch_add(1, Ordering::Relaxed) + 1 < tries {
            return Err(error);
        }
        if undecided.load(Ordering::Relaxed) {
            return Err(StoreError::Superseded);
        }
        Ok(Fate::Refused(error.to_string()))
    };
    keep_trying(figures, "a block of events", attempt).await
}

/// What a block is stored with.
pub(super) struct Storing<'a> {
    pub(super) store: &'a Store,
    pub(super) figures: &'a Figures,
    pub(super) tenure: &'a mut Tenure,
    pub(super) good: &'a mut Good,
}

impl Storing<'_> {
    /// Stores what can be stored of a block that was refused: `rows` are those in the end. Gives the rest.
    ///
    /// # Errors
    /// What can never work, and [`StoreError::Superseded`].
    pub(super) async fn take_apart(
        &mut self,
        rows: &mut Vec<NewRow>,
    ) -> Result<Vec<Refused>, StoreError> {
        tracing::error!(
            rows = rows.len(),
            "the engine refuses a block for what it says; it is taken apart"
        );
        // Of a block the engine may have taken the rows of one month, and refused those of another.
        let held = self.held(rows).await?;
        let (mut stored, missing): (Vec<_>, Vec<_>) =
            std::mem::take(rows).into_iter().partition(|row| is_among(row, &held));
        let mut refused = Vec::new();
        let mut pieces = halves(missing);
        while let Some(mut piece) = pieces.pop() {
            if refused.len() >= REFUSED_ROWS_MAX {
                refused.extend(piece.into_iter().map(|row| Refused { row, words: String::new() }));
                continue;
            }
            match self.insert_next(&piece, 1).await? {
                Fate::Stored => stored.append(&mut piece),
                Fate::Refused(words) if piece.len() <= 1 => {
                    refused.extend(piece.pop().map(|row| Refused { row, words }));
                }
                Fate::Refused(_) => pieces.extend(halves(piece)),
            }
        }
        // Whether it is these rows, or the table.
        while !refused.is_empty()
            && (refused.len() > REFUSED_ROWS_MAX || !self.takes_others(&stored).await?)
        {
            let mut all: Vec<NewRow> = refused.iter().map(|one| one.row.clone()).collect();
            if self.insert_next(&all, HOLD_TRIES).await? == Fate::Stored {
                stored.append(&mut all);
                refused.clear();
            }
        }
        *rows = stored;
        Ok(refused)
    }

    /// Inserts under the next number. Behind it the tenure still held what it holds.
    async fn insert_next(&mut self, rows: &[NewRow], tries: u32) -> Result<Fate, StoreError> {
        let (store, figures) = (self.store, self.figures);
        keep_trying(figures, "the tenure", || store.sure_of(self.tenure)).await?;
        let next = self.tenure.after(Kind::Blocks);
        keep_trying(figures, "progress", || store.save_progress(&[], Some(&next))).await?;
        self.tenure.advance(Kind::Blocks);
        keep_trying(figures, "the tenure", || store.sure_of(self.tenure)).await?;
        let token = self.tenure.token(Kind::Blocks);
        let fate = insert(store, figures, rows, &token, tries).await?;
        keep_trying(figures, "the tenure", || store.sure_of(self.tenure)).await?;
        if fate == Fate::Stored {
            self.good.took(rows, &token);
        }
        Ok(fate)
    }

    /// Whether the engine takes rows of others.
    async fn takes_others(&self, stored: &[NewRow]) -> Result<bool, StoreError> {
        if !stored.is_empty() {
            return Ok(true);
        }
        let Some((row, token)) = &self.good.0 else { return Ok(false) };
        let one = std::slice::from_ref(row);
        Ok(insert(self.store, self.figures, one, token, 1).await? == Fate::Stored)
    }

    /// Rows of these partitions that are stored from the first of these on.
    async fn held(&self, rows: &[NewRow]) -> Result<HashMap<Key, HashSet<Place>>, StoreError> {
        let mut from: BTreeMap<Key, i64> = BTreeMap::new();
        for row in rows {
            let offset = row.place().0;
            let first = from.entry(row.key()).or_insert(offset);
            *first = offset.min(*first);
        }
        keep_trying(self.figures, "held rows", || self.store.held(&from)).await
    }
}

/// Offset and index.
type Place = (i64, u32);

fn is_among(row: &NewRow, held: &HashMap<Key, HashSet<Place>>) -> bool {
    held.get(&row.key()).is_some_and(|held| held.contains(&row.place()))
}

/// The second half first: the first is popped first.
fn halves(mut rows: Vec<NewRow>) -> Vec<Vec<NewRow>> {
    let rest = rows.split_off(rows.len().div_ceil(2));
    [rest, rows].into_iter().filter(|half| !half.is_empty()).collect()
}

/// Places of records without a row, by partition and offset.
pub(super) type Places = BTreeMap<(Key, i64), BTreeSet<u32>>;

/// Which rows were given up.
pub(super) fn places(refused: &[Refused]) -> Places {
    let mut places = Places::new();
    for Refused { row, .. } in refused {
        let (offset, index) = row.place();
        places.entry((row.key(), offset)).or_default().insert(index);
    }
    places
}

/// Letters of the records that rows were given up of: whole, so that they can be sent again when the engine takes them. What of it is stored is
/// known then.
pub(super) fn letters(
    refused: Vec<Refused>,
    records: &[Arc<Record>],
    now: Time,
) -> Vec<(Taken, DeadLetter)> {
    let mut of_records: BTreeMap<(Key, i64), (usize, String)> = BTreeMap::new();
    for Refused { row, words } in refused {
        let (count, said) = of_records.entry((row.key(), row.place().0)).or_default();
        *count += 1;
        *said = words;
    }
    let mut letters = Vec::new();
    for ((key, offset), (events, words)) in of_records {
        let found = records.iter().find(|record| {
            let origin = &record.origin;
            origin.offset == offset && origin.partition == key.1 && origin.topic == key.0
        });
        let Some(record) = found else { continue };
        let mut sealed = record.batch.clone().seal();
        if let Some(seal) = &record.seal {
            sealed.add(seal);
        }
        let taken = Taken {
            origin: record.origin.clone(),
            appended: record.appended,
            key: record.batch.agency.as_str().into(),
            value: sealed.value,
            replay_of: None,
            canary: None,
            certificates: Vec::new(),
            carried: false,
        };
        let rejection = Rejection::Refused { events, of: record.batch.events.len(), words };
        let letter = dead_letter::letter(&taken, &rejection, now);
        letters.push((taken, letter));
    }
    letters
}
