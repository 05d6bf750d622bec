//! The edge: steps from the store into the queue, and messages out of it, while this collector leads the book.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use vonggac_daemon::log::Harmless;
use vonggac_wire::{
    Time,
    proto::{Command, Note as Said, command::Action},
};

use super::{
    plan::Planner,
    queue::{self, Message, Outcome, Queued, State, Turn, decide, settle},
    send::send,
    settings::Settings,
};
use crate::{
    book_runner::BookHandle,
    figures::notify::Notifications,
    registry::Registry,
    store::{Store, StoreError},
    tenure::Tenure,
    words,
};

mod history;

use history::History;

/// How often it is looked what there is to do: nobody is told later for it than a person notices.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Incidents into whose history it is written that nobody was told of them: the others of the same message are in the queue's.
const GIVEN_UP_TOLD_MAX: usize = 20;

/// How long the book may take for such a word.
const WORD_WITHIN: Duration = Duration::from_secs(30);

/// Who writes it.
const TELLER: &str = "notify";

/// What the sender needs.
pub struct Parts {
    /// Channels and routes.
    pub settings: Arc<Settings>,
    /// Steps and the queue.
    pub store: Store,
    /// Names of agencies.
    pub registry: Arc<Registry>,
    /// Whether this collector leads the book.
    pub leads: watch::Receiver<Option<Tenure>>,
    /// For words in an incident's history.
    pub book: BookHandle,
    /// Metrics.
    pub figures: Notifications,
}

/// Plans and sends until it is stopped. What is on its way by then is given up, and tried again by whoever leads next.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let mut sender = Sender {
        parts,
        history: None,
        under_way: JoinSet::new(),
        busy: BTreeSet::new(),
        unsaved: BTreeMap::new(),
        planned: Vec::new(),
    };
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(tried) = sender.under_way.join_next() => {
                if let Ok((channel, message, outcome)) = tried {
                    sender.tried(channel, &message, &outcome).await;
                }
            }
            _ = ticks.tick() => match sender.look(Time::now()).await {
                Ok(()) => {}
                Err(StoreError::Superseded) => sender.rest(),
                Err(error) => tracing::warn!(
                    error = %Harmless(&error.to_string()),
                    "notifications wait for the store; they are planned when it answers"
                ),
            },
        }
    }
}

struct Sender {
    parts: Parts,
    /// While this collector leads.
    history: Option<History>,
    /// One try of a channel at most.
    under_way: JoinSet<(String, Message, Outcome)>,
    /// Channels of which one is, or of which the last one's end is not written down.
    busy: BTreeSet<String>,
    /// How tries of channels ended that the store did not take yet. Nothing else is tried there before: it would be sent twice.
    unsaved: BTreeMap<String, Vec<Queued>>,
    /// What was planned and the store did not take yet; nothing more is planned before.
    planned: Vec<Queued>,
}

impl Sender {
    /// Another collector leads.
    fn rest(&mut self) {
        self.history = None;
        self.planned.clear();
        self.parts.figures.rest();
    }

    /// One look: plan, then send.
    async fn look(&mut self, now: Time) -> Result<(), StoreError> {
        for channel in self.unsaved.keys().cloned().collect::<Vec<_>>() {
            self.save(&channel).await?;
        }
        let Some(tenure) = self.parts.leads.borrow().clone() else {
            self.rest();
            return Ok(());
        };
        self.plan(&tenure, now).await?;
        self.send(&tenure, now).await
    }

    /// New steps, deadlines and digests into the queue; then how far that came.
    async fn plan(&mut self, tenure: &Tenure, now: Time) -> Result<(), StoreError> {
        let is_known = self.history.as_ref().is_some_and(|one| one.tenure == tenure.name);
        if !is_known {
            self.rest();
            self.history = Some(History::open(&self.parts.store, tenure, now).await?);
        }
        let Some(history) = &mut self.history else { return Ok(()) };
        if self.planned.is_empty() {
            let planner =
                Planner { settings: &self.parts.settings, registry: &self.parts.registry };
            match history.plan(&self.parts.store, planner, now).await {
                Ok(notes) => self.planned = notes,
                Err(error) => {
                    // Half of it may be planned: it is begun anew where it was written down.
                    self.history = None;
                    return Err(error);
                }
            }
        }
        if !self.planned.is_empty() {
            // A successor has planned the same, or will.
            self.parts.store.sure_of(tenure).await?;
            self.parts.store.write_notes(&self.planned).await?;
            for one in self.planned.drain(..).filter(|one| one.state == State::Withheld) {
                self.parts.figures.count(&one.channel, "withheld", 1);
            }
        }
        history.planned(&self.parts.store).await
    }

    /// Whatever a channel is to do next.
    async fn send(&mut self, tenure: &Tenure, now: Time) -> Result<(), StoreError> {
        let waiting = self.parts.store.waiting_notes().await?;
        self.parts.figures.waiting(&waiting, now);
        if waiting.is_empty() {
            return Ok(());
        }
        let sent = self.parts.store.sent_messages(now.minus(queue::HOUR)).await?;
        let mut by_channel: BTreeMap<&str, Vec<Queued>> = BTreeMap::new();
        for one in &waiting {
            by_channel.entry(&one.channel).or_default().push(one.clone());
        }
        for (name, notes) in by_channel {
            if self.busy.contains(name) {
                continue;
            }
            let Some(channel) = self.parts.settings.channel(name).cloned() else { continue };
            let taken: Vec<Time> =
                sent.iter().filter(|(of, _)| of == name).map(|(_, time)| *time).collect();
            let turn = decide(&channel, &notes, &taken, self.parts.settings.give_up_after, now);
            match turn {
                Turn::Rest => {}
                Turn::GiveUp(old) => {
                    self.parts.store.sure_of(tenure).await?;
                    self.parts.store.write_notes(&old).await?;
                    self.give_up(channel.lang, &old);
                }
                Turn::Send(message) => {
                    // First the try is written down, then it is looked whether somebody else leads: whoever comes next reads the try.
                    self.parts.store.write_notes(&message.notes).await?;
                    self.parts.store.sure_of(tenure).await?;
                    self.busy.insert(name.to_owned());
                    self.under_way.spawn(async move {
                        let outcome = send(&channel, &message).await;
                        (channel.name, message, outcome)
                    });
                }
            }
        }
        Ok(())
    }

    /// A try ended.
    async fn tried(&mut self, channel: String, message: &Message, outcome: &Outcome) {
        let notes = settle(message, outcome, Time::now());
        let (result, said) = match outcome {
            Outcome::Taken => ("sent", ""),
            Outcome::Refused(said) => ("refused", said.as_str()),
            Outcome::Failed(said, _) => ("failed", said.as_str()),
        };
        self.parts.figures.count(&channel, result, notes.len());
        let (message, count) = (&message.id, notes.len());
        if said.is_empty() {
            tracing::info!(channel, message, count, "a message was taken");
        } else {
            let said = Harmless(said).to_string();
            tracing::warn!(
                channel,
                message,
                count,
                said,
                "a message was not taken; it is tried again"
            );
        }
        self.unsaved.insert(channel.clone(), notes);
        if let Err(error) = self.save(&channel).await {
            let error = Harmless(&error.to_string()).to_string();
            tracing::warn!(channel, error, "how a try ended is not written down yet");
        }
    }

    /// Writes down how a channel's last try ended.
    async fn save(&mut self, channel: &str) -> Result<(), StoreError> {
        if let Some(notes) = self.unsaved.get(channel) {
            self.parts.store.write_notes(notes).await?;
            self.unsaved.remove(channel);
        }
        self.busy.remove(channel);
        Ok(())
    }

    /// Tells that nobody was told: in figures, in the log, and in the history of the incidents themselves.
    fn give_up(&self, lang: words::Lang, notes: &[Queued]) {
        let Some(first) = notes.first() else { return };
        self.parts.figures.count(&first.channel, "given-up", notes.len());
        let hours = (self.parts.settings.give_up_after.as_secs() / 3_600).to_string();
        let error = if first.error.is_empty() { "–" } else { &first.error };
        tracing::error!(
            channel = first.channel,
            count = notes.len(),
            error = %Harmless(error),
            "notifications were given up; `vonggac-collector notify list --state given-up` names them"
        );
        let values = [("channel", first.channel.as_str()), ("hours", &hours), ("error", error)];
        let text = words::of(lang).with("notify-given-up", &values);
        let incidents: BTreeSet<u64> =
            notes.iter().map(|one| one.note.incident).filter(|incident| *incident > 0).collect();
        for incident in incidents.into_iter().take(GIVEN_UP_TOLD_MAX) {
            let command = Command {
                // The same word once, whoever says it.
                id: format!("{TELLER}-{}-{incident}", first.id),
                incident,
                actor: TELLER.into(),
                time_unix_nano: Time::now().0,
                expected_version: 0,
                action: Some(Action::Note(Said { text: text.clone() })),
            };
            let book = self.parts.book.clone();
            tokio::spawn(async move {
                if tokio::time::timeout(WORD_WITHIN, book.act(command)).await.is_err() {
                    tracing::warn!(
                        incident,
                        "an incident's history does not tell that nobody was told of it"
                    );
                }
            });
        }
    }
}
