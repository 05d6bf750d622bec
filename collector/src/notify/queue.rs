//! What a channel does next with what waits for it. Pure.
//!
//! A channel has at most one message on its way. While that fails, nothing else is tried there: what comes meanwhile is gathered, and goes
//! as one message when the channel is well again. Only a message that the other side refuses for what it says stands aside, so that it does
//! not hold up the rest; several of those are a channel that is broken.

use std::{collections::BTreeMap, time::Duration};

use vonggac_wire::{Time, incident::Severity};

use super::{
    note::{Note, id},
    settings::Channel,
    tlp::Tlp,
};

/// Notes of one message; of more, the rest is the next one.
pub const MESSAGE_NOTES_MAX: usize = 500;

/// The span of `messages_per_hour_max`.
pub const HOUR: Duration = Duration::from_secs(3_600);

/// A part of an hour's messages, one in so many, is kept for incidents of M1.
const RESERVED_ONE_IN: usize = 4;

/// How long nobody else tries a message that somebody tries: longer than any try lasts.
pub const TRY_LEASE: Duration = Duration::from_secs(90);

/// The first pause after a try that failed; each is twice the one before.
const PAUSE_FIRST: Duration = Duration::from_secs(10);

/// The longest pause of it.
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);

/// How long the other side may ask us to wait.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// Messages of a channel that are refused for what they say, from which on the channel itself is taken for broken.
const REFUSED_MAX: usize = 3;

/// Bytes of the other side's words that are kept.
pub const SAID_CHARACTERS_MAX: usize = 500;

/// Where a note is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum State {
    /// It is to be sent.
    Waiting,
    /// It is being sent.
    Sending,
    /// It was taken.
    Sent,
    /// Nobody took it in time.
    GivenUp,
    /// Somebody decided that it need not be sent.
    Dropped,
    /// It may not go by this channel.
    Withheld,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Waiting, Self::Sending, Self::Sent, Self::GivenUp, Self::Dropped, Self::Withheld];

    /// The word in the store and in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::GivenUp => "given-up",
            Self::Dropped => "dropped",
            Self::Withheld => "withheld",
        }
    }

    /// Of this word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether somebody still has to do something about it.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Sending)
    }
}

/// A note in the queue of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its name, made of what it says and where it goes.
    pub id: String,
    /// When what it tells happened.
    pub time: Time,
    /// From when on its age counts.
    pub since: Time,
    /// By which channel.
    pub channel: String,
    /// By which routes.
    pub route: String,
    /// What it says.
    pub note: Note,
    /// How it is marked.
    pub tlp: String,
    /// To which addresses, sorted; none for what is no mail.
    pub recipients: Vec<String>,
    /// Where it is.
    pub state: State,
    /// Grows with each change.
    pub version: u64,
    /// The message that it goes with; empty: none yet.
    pub message: String,
    /// Tries.
    pub attempts: u32,
    /// Not before.
    pub next_try: Time,
    /// When it was taken; the epoch: it was not.
    pub sent: Time,
    /// The last try was refused for what it says.
    pub refused: bool,
    /// Why the last try failed, or why it is not sent.
    pub error: String,
    /// Who decided something about it.
    pub by: String,
    /// And why.
    pub why: String,
}

impl Queued {
    /// One that waits in a channel for its first try, of what happened at a time; for no address yet, and free to go anywhere.
    #[must_use]
    pub fn fresh(id: String, channel: &str, note: Note, at: Time) -> Self {
        Self {
            id,
            time: at,
            since: at,
            channel: channel.to_owned(),
            route: String::new(),
            note,
            tlp: Tlp::Clear.name().into(),
            recipients: Vec::new(),
            state: State::Waiting,
            // Below every later form of it: planned once more it changes nothing.
            version: u64::try_from(at.micros()).unwrap_or(0),
            message: String::new(),
            attempts: 0,
            next_try: at,
            sent: Time(0),
            refused: false,
            error: String::new(),
            by: String::new(),
            why: String::new(),
        }
    }

    /// The same after a change.
    #[must_use]
    pub fn changed(mut self, now: Time, change: impl FnOnce(&mut Self)) -> Self {
        self.version = (self.version + 1).max(u64::try_from(now.micros()).unwrap_or(0));
        change(&mut self);
        self
    }

    fn is_critical(&self) -> bool {
        self.note.level() == Severity::Critical
    }
}

/// Notes that go together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its name: the same at each try, so that a receiver knows it again.
    pub id: String,
    /// To which addresses.
    pub recipients: Vec<String>,
    /// Its notes, as they are while it is tried.
    pub notes: Vec<Queued>,
}

/// How a try ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took it.
    Taken,
    /// The other side refuses what it says, or who says it.
    Refused(String),
    /// It is not known to have been taken; not before this, if the other side said so.
    Failed(String, Option<Duration>),
}

/// What a channel does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Nothing.
    Rest,
    /// These are too old.
    GiveUp(Vec<Queued>),
    /// This, once it is written down that it is tried.
    Send(Message),
}

/// What a channel does next. `waiting` is what it has in [open states](State::is_open), `sent` when messages of the last hour were taken.
#[must_use]
pub fn decide(
    channel: &Channel,
    waiting: &[Queued],
    sent: &[Time],
    give_up_after: Duration,
    now: Time,
) -> Turn {
    let is_tried = |one: &Queued| one.state == State::Sending && now < one.next_try;
    let old: Vec<Queued> = waiting
        .iter()
        .filter(|one| now.since(one.since) >= give_up_after && !is_tried(one))
        .map(|one| one.clone().changed(now, |one| one.state = State::GivenUp))
        .collect();
    if !old.is_empty() {
        return Turn::GiveUp(old);
    }
    let mut on_the_way: BTreeMap<&str, Vec<&Queued>> = BTreeMap::new();
    for one in waiting.iter().filter(|one| !one.message.is_empty()) {
        on_the_way.entry(&one.message).or_default().push(one);
    }
    let due = |notes: &[&Queued]| notes.iter().map(|one| one.next_try).max().unwrap_or(now);
    if let Some((id, notes)) =
        on_the_way.iter().filter(|(_, notes)| due(notes) <= now).min_by_key(|(_, notes)| due(notes))
    {
        return Turn::Send(tried((*id).to_owned(), notes, now));
    }
    let fails = on_the_way.values().any(|notes| notes.iter().any(|one| !one.refused));
    if fails || on_the_way.len() >= REFUSED_MAX {
        return Turn::Rest;
    }
    fresh(channel, waiting, sent, now)
}

/// A message of what is in none.
fn fresh(channel: &Channel, waiting: &[Queued], sent: &[Time], now: Time) -> Turn {
    let loose = || waiting.iter().filter(|one| one.message.is_empty());
    let lately = sent.iter().filter(|time| now.since(**time) < HOUR).count();
    let most = channel.messages_per_hour_max;
    let is_reserved = lately >= most - most / RESERVED_ONE_IN;
    if lately >= most {
        return Turn::Rest;
    }
    // The oldest of those that may go now says whose turn it is.
    let ripe = loose().filter(|one| now.since(one.since) >= channel.gather);
    let Some(first) =
        ripe.filter(|one| !is_reserved || one.is_critical()).min_by_key(|one| (one.since, &one.id))
    else {
        return Turn::Rest;
    };
    let mut notes: Vec<&Queued> =
        loose().filter(|one| one.recipients == first.recipients).collect();
    notes.sort_by_key(|one| (one.since, &one.id));
    if notes.len() > MESSAGE_NOTES_MAX {
        // The one whose turn it is goes along, whatever is older.
        notes.retain(|one| one.id != first.id);
        notes.truncate(MESSAGE_NOTES_MAX - 1);
        notes.insert(0, first);
    }
    let names: Vec<&str> = notes.iter().map(|one| one.id.as_str()).collect();
    Turn::Send(tried(id(&names), &notes, now))
}

fn tried(id: String, notes: &[&Queued], now: Time) -> Message {
    let recipients = notes.first().map(|one| one.recipients.clone()).unwrap_or_default();
    let notes = notes.iter().map(|one| {
        (*one).clone().changed(now, |one| {
            one.message.clone_from(&id);
            one.state = State::Sending;
            one.attempts = one.attempts.saturating_add(1);
            one.next_try = now.plus(TRY_LEASE);
        })
    });
    let notes = notes.collect();
    Message { id, recipients, notes }
}

/// The notes of a message after a try.
#[must_use]
pub fn settle(message: &Message, outcome: &Outcome, now: Time) -> Vec<Queued> {
    let settled = |one: &Queued| {
        one.clone().changed(now, |one| match outcome {
            Outcome::Taken => {
                (one.state, one.sent, one.refused) = (State::Sent, now, false);
                one.error.clear();
            }
            Outcome::Refused(said) => again(one, said, None, now),
            Outcome::Failed(said, asked) => again(one, said, *asked, now),
        })
    };
    let mut notes: Vec<Queued> = message.notes.iter().map(settled).collect();
    for one in &mut notes {
        one.refused = matches!(outcome, Outcome::Refused(_));
    }
    notes
}

fn again(one: &mut Queued, said: &str, asked: Option<Duration>, now: Time) {
    one.state = State::Waiting;
    one.error = super::escape::cut(said, SAID_CHARACTERS_MAX);
    one.next_try = now.plus(pause(&one.message, one.attempts, asked));
}

/// How long after a try that failed: twice as long each time, up to a quarter of an hour and a quarter more or less, but never sooner than the
/// other side asked for. The part that is chance is the message's own, so that channels do not go in step.
#[must_use]
pub fn pause(message: &str, attempts: u32, asked: Option<Duration>) -> Duration {
    let doubled = PAUSE_FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16));
    let whole = doubled.min(PAUSE_MAX);
    let name = id(&[message, &attempts.to_string()]);
    let chance = u32::from_str_radix(name.get(..4).unwrap_or("0"), 16).unwrap_or(0);
    // From three quarters to five quarters.
    let pause = whole * 3 / 4 + whole / 2 * chance / 0xffff;
    pause.max(asked.unwrap_or_default().min(ASKED_PAUSE_MAX))
}

#[cfg(test)]
mod tests;
