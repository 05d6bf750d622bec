//! Break-glass: one person may do for a time what they otherwise may not, because a second one confirmed it, and the agency is told. Pure but
//! for [`tell`].
//!
//! A record is the fold of its [`Event`]s, which are rows of the store: [`Record::apply`] takes one, [`Record::state`] says what it is now.
//! Who may take which step is [`decide`]'s; the fold holds to the rule of two persons by itself, so that a row which somebody put into the
//! store opens nothing in its requester's own name. [`export`] says who may take an agency's rows away.

use std::{collections::BTreeMap, time::Duration};

use vonggac_daemon::settings::Table;
use vonggac_wire::{Time, proto::BreakGlassRecord};

pub mod decide;
pub mod export;
pub mod tell;

/// Records that are open or wait for an answer: more than two persons look after in a day.
pub const WAITING_MAX: usize = 200;

/// Records of one answer.
pub const RECORDS_MAX: usize = 1_000;

/// Characters of a reason: it stands in an incident's title.
pub const REASON_CHARACTERS_MAX: usize = 300;

/// How long one is open if nobody says: an export and a look at it.
const VALID: Duration = Duration::from_secs(2 * 3_600);

/// How long at most, if the configuration does not say: a shift.
const VALID_MAX: Duration = Duration::from_secs(8 * 3_600);

/// What a configuration may allow: a week. What is needed for longer is a role.
const CEILING: Duration = Duration::from_secs(7 * 86_400);

/// How long a request waits for its answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(24 * 3_600);

/// What can be set of durations at least.
const LEAST: Duration = Duration::from_secs(60);

/// The settings of `[trust.break_glass]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether whoever reaches the nation needs one, too, to take another agency's rows away.
    pub required: bool,
    /// How long one is open if its request does not say.
    pub valid: Duration,
    /// How long at most.
    pub valid_max: Duration,
    /// How long a request waits for its answer.
    pub answer_within: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { required: true, valid: VALID, valid_max: VALID_MAX, answer_within: ANSWER_WITHIN }
    }
}

impl Settings {
    /// Takes its keys out of `[trust.break_glass]`.
    pub fn take(table: &mut Table<'_>) -> Self {
        let usual = Self::default();
        let valid = table.duration("valid", LEAST, CEILING);
        let valid_max = table.duration("valid_max", LEAST, CEILING).unwrap_or(usual.valid_max);
        let settings = Self {
            required: table.bool("required").unwrap_or(usual.required),
            valid: valid.unwrap_or(usual.valid.min(valid_max)),
            valid_max,
            answer_within: table
                .duration("answer_within", LEAST, CEILING)
                .unwrap_or(usual.answer_within),
        };
        if settings.valid > settings.valid_max {
            table.wrong("valid", "is longer than valid_max; make it shorter, or raise valid_max");
        }
        settings
    }
}

/// What is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// An agency's rows are taken away.
    Export,
    /// Pseudonyms are held against names by whoever has the key, on the agency's hosts.
    Pseudonyms,
}

impl What {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Export, Self::Pseudonyms];

    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Pseudonyms => "pseudonyms",
        }
    }

    /// Of this word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.name() == name)
    }
}

/// A step of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Somebody asks.
    Asked {
        /// Whose rows or pseudonyms.
        agency: String,
        /// Which of both.
        what: What,
        /// Why.
        reason: String,
        /// For how long, from the confirmation on.
        valid: Duration,
        /// How long it waits for an answer.
        answer_within: Duration,
    },
    /// A second person says yes.
    Confirmed,
    /// Or no.
    Refused,
    /// It is over before its time, or was taken back.
    Ended,
    /// The agency was told that it opened.
    ToldOpened,
    /// The agency was told that it is over.
    ToldOver,
}

impl Step {
    /// The word in the store.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Asked { .. } => "asked",
            Self::Confirmed => "confirmed",
            Self::Refused => "refused",
            Self::Ended => "ended",
            Self::ToldOpened => "told-opened",
            Self::ToldOver => "told-over",
        }
    }
}

/// A step, by whom and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Of which record.
    pub id: String,
    /// When.
    pub time: Time,
    /// By whom.
    pub who: String,
    /// What.
    pub step: Step,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody answered yet.
    Asked,
    /// It opens what it is for.
    Open,
    /// Somebody said no.
    Refused,
    /// Somebody ended it.
    Ended,
    /// Its time is over.
    Expired,
    /// Nobody answered in time.
    Lapsed,
}

impl State {
    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Open => "open",
            Self::Refused => "refused",
            Self::Ended => "ended",
            Self::Expired => "expired",
            Self::Lapsed => "lapsed",
        }
    }
}

/// A person's word at a time.
pub type Said = (String, Time);

/// A record as its events made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// Whose rows or pseudonyms.
    pub agency: String,
    /// Which of both.
    pub what: What,
    /// Why.
    pub reason: String,
    /// By whom and when it was asked for.
    pub asked: Said,
    /// For how long, from the confirmation on.
    pub valid: Duration,
    /// How long it waits for an answer.
    pub answer_within: Duration,
    /// Who confirmed it.
    pub confirmed: Option<Said>,
    /// Who said no.
    pub refused: Option<Said>,
    /// Who ended it.
    pub ended: Option<Said>,
    /// Whether the agency was told that it opened.
    pub told_opened: bool,
    /// Whether it was told that it is over.
    pub told_over: bool,
}

impl Record {
    /// A record after an event; what does not belong to its state changes nothing, so that of two steps at once the first holds.
    #[must_use]
    pub fn apply(before: Option<Self>, event: &Event) -> Option<Self> {
        let said = (event.who.clone(), event.time);
        let Some(mut record) = before else {
            let Step::Asked { agency, what, reason, valid, answer_within } = &event.step else {
                return None;
            };
            return Some(Self {
                id: event.id.clone(),
                agency: agency.clone(),
                what: *what,
                reason: reason.clone(),
                asked: said,
                valid: (*valid).min(CEILING),
                answer_within: *answer_within,
                confirmed: None,
                refused: None,
                ended: None,
                told_opened: false,
                told_over: false,
            });
        };
        let state = record.state(event.time);
        let is_another = event.who != record.asked.0 && !event.who.is_empty();
        match (&event.step, state) {
            (Step::Confirmed, State::Asked) if is_another => record.confirmed = Some(said),
            (Step::Refused, State::Asked) if is_another => record.refused = Some(said),
            (Step::Ended, State::Asked | State::Open) => record.ended = Some(said),
            (Step::ToldOpened, _) => record.told_opened |= record.confirmed.is_some(),
            (Step::ToldOver, _) => record.told_over |= record.told_opened && !record.is_live(state),
            _ => {}
        }
        Some(record)
    }

    /// All records of these events, in their order.
    #[must_use]
    pub fn all(events: &[Event]) -> BTreeMap<String, Self> {
        let mut records = BTreeMap::new();
        for event in events {
            let before = records.remove(&event.id);
            if let Some(record) = Self::apply(before, event) {
                records.insert(event.id.clone(), record);
            }
        }
        records
    }

    /// What it is at a time.
    #[must_use]
    pub fn state(&self, now: Time) -> State {
        if self.refused.is_some() {
            return State::Refused;
        }
        if self.ended.is_some() {
            return State::Ended;
        }
        match self.until() {
            Some(until) if now < until => State::Open,
            Some(_) => State::Expired,
            None if now < self.asked.1.plus(self.answer_within) => State::Asked,
            None => State::Lapsed,
        }
    }

    const fn is_live(&self, state: State) -> bool {
        matches!(state, State::Asked | State::Open)
    }

    /// Whether it is open, or may be.
    #[must_use]
    pub fn waits(&self, now: Time) -> bool {
        self.is_live(self.state(now))
    }

    /// When it ends by itself; `None`: it did not open.
    #[must_use]
    pub fn until(&self) -> Option<Time> {
        self.confirmed.as_ref().map(|(_, time)| time.plus(self.valid))
    }

    /// When it was over; `None`: it did not open, or is open.
    #[must_use]
    pub fn over(&self, now: Time) -> Option<Time> {
        let until = self.until()?;
        match self.state(now) {
            State::Ended => self.ended.as_ref().map(|(_, time)| *time),
            State::Expired => Some(until),
            _ => None,
        }
    }

    /// As consoles see it.
    #[must_use]
    pub fn into_proto(self, now: Time) -> BreakGlassRecord {
        let state = self.state(now).name().to_owned();
        let nanos = |time: Option<Time>| time.map_or(0, |time| time.0);
        let until = self.until();
        let over = self.over(now).or_else(|| self.ended.as_ref().map(|(_, time)| *time));
        let answer = self.confirmed.or(self.refused);
        BreakGlassRecord {
            id: self.id,
            agency: self.agency,
            what: self.what.name().into(),
            reason: self.reason,
            requester: self.asked.0,
            state,
            asked_unix_nano: self.asked.1.0,
            answered_unix_nano: nanos(answer.as_ref().map(|(_, time)| *time)),
            answerer: answer.map(|(who, _)| who).unwrap_or_default(),
            until_unix_nano: nanos(until),
            ended_unix_nano: nanos(over),
            ender: self.ended.map(|(who, _)| who).unwrap_or_default(),
            valid_seconds: self.valid.as_secs(),
            told_opened: self.told_opened,
            told_over: self.told_over,
        }
    }
}

#[cfg(test)]
mod tests;
