//! Quiet periods: times in which what matches opens no incident, with owner, reason, scope and end. Pure but for [`known`].
//!
//! A suppression withholds what rules tell of something; maintenance withholds that something is down or silent. A period is the fold of its
//! [`Event`]s, which are rows of the store: nobody's words are overwritten, an end is a row. [`decide`] says who may add and end which. The
//! incident book asks [`Periods`] about each signal, by the centre's clock: whoever sets a host's clock back reaches no period that is over.

use std::{collections::BTreeMap, time::Duration};

use vonggac_wire::{
    Time,
    proto::{QuietPeriod, Signal},
};

pub mod decide;
pub mod known;
pub mod scope;

use scope::Scope;

/// A suppression ends after a quarter at most: what has to be kept quiet for longer is a rule to be changed.
pub const SUPPRESSION_DAYS_MAX: u64 = 90;

/// Maintenance ends after two weeks at most, which is how long moving a data centre takes. What is down for longer is down.
pub const MAINTENANCE_DAYS_MAX: u64 = 14;

/// A period begins so soon: who planned it is asked anew each quarter.
pub const AHEAD_DAYS_MAX: u64 = 90;

/// Periods that are not over, all together: each signal is held against them.
pub const STANDING_MAX: usize = 1_000;

/// Of one person, so that nobody takes the others' places.
pub const OF_PERSON_MAX: usize = 100;

/// Characters of a reason: it stands in a list.
pub const REASON_CHARACTERS_MAX: usize = 300;

/// Rules by which somebody is told what others do on their behalf. Nothing withholds these.
pub const NEVER: [&str; 1] = ["break-glass"];

/// What tells that something is down, silent or unused, and is withheld while it is maintained.
pub const MAINTAINED: [&str; 5] =
    ["service-down", "platform-down", "agent-silent", "agency-silent", "portal-without-use"];

/// Why it is quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What rules tell of something is known, and wanted no more.
    Suppression,
    /// Something is meant to be down.
    Maintenance,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Suppression, Self::Maintenance];

    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Suppression => "suppression",
            Self::Maintenance => "maintenance",
        }
    }

    /// Of this word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// How long one may be.
    #[must_use]
    pub const fn days_max(self) -> u64 {
        match self {
            Self::Suppression => SUPPRESSION_DAYS_MAX,
            Self::Maintenance => MAINTENANCE_DAYS_MAX,
        }
    }
}

/// Days as a time.
pub(crate) const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Which of both.
    pub kind: Kind,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// What it is about.
    pub scope: Scope,
    /// The gravest severity that it withholds: 1 is all.
    pub gravest: u32,
    /// From then on.
    pub begins: Time,
    /// Until before then.
    pub ends: Time,
}

/// A step of a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Somebody wants it.
    Added(Box<Terms>),
    /// Somebody ends it before its time.
    Ended {
        /// Why.
        reason: String,
    },
}

/// A step, by whom and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Of which period.
    pub id: String,
    /// When.
    pub time: Time,
    /// By whom.
    pub who: String,
    /// What.
    pub step: Step,
}

/// What a period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Its time has not come.
    Coming,
    /// It withholds.
    Running,
    /// Somebody ended it.
    Ended,
    /// Its time is over.
    Over,
}

impl State {
    /// The word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Coming => "coming",
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Over => "over",
        }
    }
}

/// Who ended a period, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Who.
    pub who: String,
    /// When.
    pub time: Time,
    /// Why.
    pub reason: String,
}

/// A period as its events made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// Its id.
    pub id: String,
    /// What was asked for.
    pub terms: Terms,
    /// By whom and when.
    pub added: (String, Time),
    /// Who ended it.
    pub ended: Option<End>,
}

impl Period {
    /// All periods of these events, in their order. Of two ends the first one holds.
    #[must_use]
    pub fn all(events: &[Event]) -> BTreeMap<String, Self> {
        let mut periods: BTreeMap<String, Self> = BTreeMap::new();
        for event in events {
            match (&event.step, periods.remove(&event.id)) {
                (_, Some(period)) => {
                    periods.insert(event.id.clone(), period.after(event));
                }
                (Step::Added(terms), None) => {
                    let (id, added) = (event.id.clone(), (event.who.clone(), event.time));
                    let period = Self { id, terms: (**terms).clone(), added, ended: None };
                    periods.insert(event.id.clone(), period);
                }
                (Step::Ended { .. }, None) => {}
            }
        }
        periods
    }

    /// The period after an event of it. What does not belong to it changes nothing.
    #[must_use]
    pub fn after(mut self, event: &Event) -> Self {
        if let (Step::Ended { reason }, None) = (&event.step, &self.ended) {
            let (who, reason) = (event.who.clone(), reason.clone());
            self.ended = Some(End { who, time: event.time, reason });
        }
        self
    }

    /// What it is at a time.
    #[must_use]
    pub fn state(&self, now: Time) -> State {
        if self.ended.is_some() {
            State::Ended
        } else if now < self.terms.begins {
            State::Coming
        } else if now < self.terms.ends {
            State::Running
        } else {
            State::Over
        }
    }

    /// Whether it withholds something, or will.
    #[must_use]
    pub fn stands(&self, now: Time) -> bool {
        matches!(self.state(now), State::Coming | State::Running)
    }

    /// Whether it ran at a time, ended since or not.
    #[must_use]
    pub fn ran(&self, time: Time) -> bool {
        let ended = self.ended.as_ref().map_or(self.terms.ends, |end| end.time);
        self.terms.begins <= time && time < self.terms.ends.min(ended)
    }

    /// Whether it withholds this signal.
    #[must_use]
    pub fn withholds(&self, signal: &Signal, now: Time) -> bool {
        let (terms, rule) = (&self.terms, signal.rule.as_str());
        if self.state(now) != State::Running || NEVER.contains(&rule) {
            return false;
        }
        let meant = match terms.kind {
            Kind::Suppression => signal.severity.max(1) >= terms.gravest,
            // That nobody of an agency is heard is more than one of its systems.
            Kind::Maintenance if rule == "agency-silent" => terms.scope.is_agency_alone(),
            Kind::Maintenance => MAINTAINED.contains(&rule),
        };
        meant && terms.scope.fits(signal)
    }

    /// As consoles see it; what it withheld is added by whoever counted it.
    #[must_use]
    pub fn into_proto(self, now: Time) -> QuietPeriod {
        let state = self.state(now).name().to_owned();
        let (ended_by, ended, end_reason) = match self.ended {
            Some(end) => (end.who, end.time.0, end.reason),
            None => Default::default(),
        };
        QuietPeriod {
            id: self.id,
            kind: self.terms.kind.name().into(),
            owner: self.terms.owner,
            reason: self.terms.reason,
            scope: Some(self.terms.scope.into_proto()),
            gravest: self.terms.gravest,
            from_unix_nano: self.terms.begins.0,
            until_unix_nano: self.terms.ends.0,
            added_by: self.added.0,
            added_unix_nano: self.added.1.0,
            ended_by,
            ended_unix_nano: ended,
            end_reason,
            state,
            ..QuietPeriod::default()
        }
    }
}

/// The periods that stand, and those that ended lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Periods {
    all: Vec<Period>,
}

impl Periods {
    /// Of these.
    #[must_use]
    pub fn of(all: BTreeMap<String, Period>) -> Self {
        Self { all: all.into_values().collect() }
    }

    /// Those that withhold a signal.
    pub fn withholding<'a>(
        &'a self,
        signal: &'a Signal,
        now: Time,
    ) -> impl Iterator<Item = &'a Period> {
        self.all.iter().filter(move |period| period.withholds(signal, now))
    }

    /// Whether a system on a host of an agency was maintained at a time. What is not known is empty.
    #[must_use]
    pub fn maintained(&self, agency: &str, system: &str, host: &str, time: Time) -> bool {
        self.all.iter().any(|period| {
            period.terms.kind == Kind::Maintenance
                && period.ran(time)
                && period.terms.scope.has_place(agency, system, host)
        })
    }
}

#[cfg(test)]
mod tests;
