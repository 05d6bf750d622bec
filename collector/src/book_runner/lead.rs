//! The book while this collector leads it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use prost::Message as _;
use vonggac_wire::{
    Time,
    incident::Refusal,
    proto::{Command, Signal, Transition},
    topic,
};

use super::{Answer, BookError, Parts};
use crate::{
    consume::{Consumer, place::place},
    decode::Taken,
    incident::{IncidentBook, Step},
    pipeline::{claim, decide, keep_trying},
    store::{ProgressPart, StoreError, StoredTransition},
    tenure::{self, Doubted, End, Key, Kind, Tenure},
};

/// The book with what was taken of it.
pub(super) struct Lead {
    pub(super) book: IncidentBook,
    pub(super) tenure: Tenure,
    /// The next offset of each topic.
    next: HashMap<String, i64>,
}

impl Lead {
    /// Takes the book over, and reads it from the store. `None`: others take it over again and again.
    pub(super) async fn take_over(
        parts: &Parts,
        consumer: &mut Consumer,
    ) -> Result<Option<Self>, BookError> {
        let (store, figures) = (&parts.store, &parts.figures);
        let keys: Vec<Key> =
            [topic::SIGNALS, topic::COMMANDS].map(|name| (name.to_owned(), 0)).to_vec();
        let Some(tenure) = claim(store, figures, &keys).await? else { return Ok(None) };
        settle(parts, &tenure).await?;
        let state = keep_trying(figures, "the incident book", || store.book_state()).await?;
        let progress =
            keep_trying(figures, "the book's progress", || store.progress(&keys)).await?;
        let bases = keep_trying(figures, "bases", || store.bases()).await?;
        let (mut next, mut offsets, mut new_bases) = (HashMap::new(), Vec::new(), HashMap::new());
        for key in &keys {
            let stored = progress.get(key).and_then(|progress| progress.next_offset);
            let base = bases.get(key).copied().unwrap_or(0);
            let place = place(stored, base, consumer.extent(key));
            if place.renewed {
                keep_trying(figures, "a base", || store.save_base(key, place.base)).await?;
            }
            if place.renewed || stored.unwrap_or(0).max(base) < place.next {
                tracing::error!(
                    topic = key.0,
                    from = stored,
                    to = place.next,
                    "Kafka gave up signals or commands before the book took them"
                );
            }
            next.insert(key.0.clone(), place.next);
            offsets.push((key.clone(), place.next));
            new_bases.insert(key.clone(), place.base);
        }
        tracing::info!(incidents = state.incidents.len(), "this collector leads the incident book");
        // Before the first signal: one that comes again is withheld as it was.
        let read = || parts.quiet.read();
        let periods = keep_trying(figures, "quiet periods", read).await?;
        let mut book = IncidentBook::new(
            parts.rules.rules(),
            Arc::clone(&parts.registry),
            state.incidents,
            state.origins,
            state.commands,
        )
        .holding_back(state.held);
        book.follow_quiet(periods);
        consumer.assign(&offsets, new_bases)?;
        Ok(Some(Self { book, tenure, next }))
    }

    /// One signal or command; gives the command's id with its answer.
    pub(super) fn apply(
        &mut self,
        taken: &Taken,
        now: Time,
        steps: &mut Vec<Step>,
    ) -> Option<(String, Answer)> {
        let (name, offset) = (taken.origin.topic.as_str(), taken.origin.offset);
        self.next.insert(name.to_owned(), offset + 1);
        if name == topic::SIGNALS {
            match Signal::decode(taken.value.as_slice()) {
                Ok(signal) => steps.extend(self.book.apply_signal(&signal, now)),
                Err(error) => {
                    tracing::warn!(%error, offset, "a signal does not decode; it is left out");
                }
            }
            return None;
        }
        let command = match Command::decode(taken.value.as_slice()) {
            Ok(command) => command,
            Err(error) => {
                tracing::warn!(%error, offset, "a command does not decode; it is left out");
                return None;
            }
        };
        let answer = match self.book.apply_command(&command, now) {
            Ok(more) => {
                steps.extend(more);
                self.book.incident(command.incident).cloned().ok_or(Refusal::NotFound)
            }
            Err(refusal) => Err(refusal),
        };
        Some((command.id, answer))
    }

    /// Stores the steps, and how far was taken. Signals that wait in the book are read again after a crash: while there are any, their
    /// progress stands still.
    pub(super) async fn store(
        &mut self,
        parts: &Parts,
        steps: &[Step],
        taken: bool,
    ) -> Result<Vec<ProgressPart>, BookError> {
        let (store, figures) = (&parts.store, &parts.figures);
        let progress = self.progress(taken);
        if steps.is_empty() && progress.is_empty() {
            return Ok(progress);
        }
        let tenure = &self.tenure;
        keep_trying(figures, "the tenure", || store.sure_of(tenure)).await?;
        let mut next = None;
        if !steps.is_empty() {
            let stored: Vec<StoredTransition> = steps
                .iter()
                .map(|step| StoredTransition {
                    transition: step.transition.clone(),
                    origin_key: step.origin_key.clone(),
                    origin_offset: step.origin_offset,
                    command: step.command.clone(),
                })
                .collect();
            let token = tenure.token(Kind::Blocks);
            let insert = || store.insert_transitions(&stored, &token);
            keep_trying(figures, "transitions", insert).await?;
            keep_trying(figures, "the tenure", || store.sure_of(tenure)).await?;
            next = Some(tenure.after(Kind::Blocks));
        }
        let save = || store.save_progress(&progress, next.as_ref());
        keep_trying(figures, "the book's progress", save).await?;
        if next.is_some() {
            self.tenure.advance(Kind::Blocks);
        }
        Ok(progress)
    }

    fn progress(&self, taken: bool) -> Vec<ProgressPart> {
        let told = |name: &str| name != topic::SIGNALS || self.book.pending() == 0;
        self.next
            .iter()
            .filter(|(name, _)| taken && told(name))
            .map(|(name, offset)| ProgressPart {
                topic: name.clone(),
                partition: 0,
                next_offset: *offset,
                held: Vec::new(),
            })
            .collect()
    }
}

/// Takes the tokens of those away who led before: a step of nobody's incident stands where theirs would.
async fn settle(parts: &Parts, tenure: &Tenure) -> Result<(), StoreError> {
    let (store, figures) = (&parts.store, &parts.figures);
    let takings = keep_trying(figures, "takings", || store.takings(&tenure.keys)).await?;
    decide(store, figures, &takings, tenure).await?;
    // A fence may come late, so nobody needs to know of it: all before are over once a valid successor has an end of 0.
    let none = tenure.keys.iter().map(|key| (key.clone(), 0)).collect::<BTreeMap<_, _>>();
    let takings = keep_trying(figures, "takings", || store.takings(&tenure.keys)).await?;
    let all = tenure::doubted(&takings, &none, tenure.epoch, Kind::Blocks, &HashMap::new());
    let before: BTreeSet<Doubted> = all.into_values().flat_map(BTreeMap::into_keys).collect();
    let name = |doubted: &Doubted| {
        takings.iter().find(|t| t.epoch == doubted.epoch).map(|taking| taking.name.clone())
    };
    let names: Vec<String> = before.iter().filter_map(name).collect();
    let numbers = keep_trying(figures, "numbers", || store.insert_numbers(&names)).await?;
    for name in names {
        let number = numbers.get(&(Kind::Blocks, name.clone())).copied().unwrap_or(0);
        let token = tenure::token(&name, Kind::Blocks, number);
        let fence = [StoredTransition {
            transition: Transition {
                time_unix_nano: Time::now().0,
                actor: "collector".into(),
                action: "lead".into(),
                text: format!("{} takes the book over from {name}", tenure.name),
                ..Transition::default()
            },
            origin_key: String::new(),
            origin_offset: 0,
            command: String::new(),
        }];
        keep_trying(figures, "a token of another", || store.insert_transitions(&fence, &token))
            .await?;
    }
    let ends: Vec<(Key, End)> =
        tenure.keys.iter().map(|key| (key.clone(), End::default())).collect();
    let now = Time::now();
    keep_trying(figures, "the end of those before", || store.tell_ends(tenure, &ends, now)).await?;
    keep_trying(figures, "the tenure", || store.make_valid(tenure, now)).await
}
