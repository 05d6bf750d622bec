//! Who may take which step of a break-glass. Pure.

use std::{collections::BTreeMap, time::Duration};

use vonggac_wire::{Time, proto::change_break_glass_request::Change};

use super::{Event, REASON_CHARACTERS_MAX, Record, Settings, State, Step, WAITING_MAX, What};
use crate::trust::door::Guest;

/// Characters of an id that name it where they name it alone.
const ID_CHARACTERS_MIN: usize = 4;

/// Requests of one person in a day: the newest thousand are kept in sight, and nobody's may push others' out of it.
pub const OF_PERSON_MAX: usize = 20;

const DAY: Duration = Duration::from_secs(86_400);

/// Why a step is not taken, as a word with what it is about behind it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody proved who they are: a second person would be the first one under another name.
    #[error("unproven")]
    Unproven,
    /// Role or data do not let them.
    #[error("not-for-you {0}")]
    NotForYou(&'static str),
    /// Whoever asked does not answer.
    #[error("own-request")]
    OwnRequest,
    /// The agency is not theirs to answer for.
    #[error("not-your-agency {0}")]
    NotYourAgency(String),
    /// There is no such record, as far as they may know.
    #[error("not-found {0}")]
    NotFound(String),
    /// Several begin so.
    #[error("ambiguous {0}")]
    Ambiguous(String),
    /// It is not what the step is for.
    #[error("wrong-state {0}")]
    WrongState(&'static str),
    /// The registry does not have it.
    #[error("agency-unknown {0}")]
    AgencyUnknown(String),
    /// Neither of both.
    #[error("what-unknown {0}")]
    WhatUnknown(String),
    /// Without one nobody can judge it.
    #[error("reason-missing")]
    ReasonMissing,
    /// It would not be read.
    #[error("reason-too-long {0}")]
    ReasonTooLong(usize),
    /// Longer than is allowed, in seconds.
    #[error("valid-too-long {0}")]
    ValidTooLong(u64),
    /// Too many wait or are open.
    #[error("too-many {0}")]
    TooMany(usize),
}

/// The step that somebody takes, and on what.
///
/// # Errors
/// Why they do not.
pub fn decide(
    records: &BTreeMap<String, Record>,
    change: &Change,
    guest: &Guest,
    settings: &Settings,
    is_agency: impl Fn(&str) -> bool,
    fresh: &str,
    now: Time,
) -> Result<Event, Refusal> {
    if !guest.is_proven {
        return Err(Refusal::Unproven);
    }
    let event = |id: &str, step| Event { id: id.into(), time: now, who: guest.name.clone(), step };
    // Behind the request, although this collector's clock may be behind the other's.
    let behind = |record: &Record, step| Event {
        time: now.max(record.asked.1.plus(Duration::from_micros(1))),
        ..event(&record.id, step)
    };
    let (id, answer) = match change {
        Change::Ask(ask) => {
            let step = asked(records, ask, guest, settings, is_agency, now)?;
            return Ok(event(fresh, step));
        }
        Change::Confirm(id) => (id, Some(Step::Confirmed)),
        Change::Refuse(id) => (id, Some(Step::Refused)),
        Change::End(id) => (id, None),
    };
    let record = named(records, id, guest)?;
    let is_own = record.asked.0 == guest.name;
    let may_answer = guest.duty.confirms && guest.scope.has_agency(&record.agency);
    let Some(answer) = answer else {
        // Whoever asked may end it, and whoever could have said no.
        return match record.waits(now) {
            _ if !is_own && !may_answer => Err(Refusal::NotYourAgency(record.agency.clone())),
            true => Ok(behind(record, Step::Ended)),
            false => Err(Refusal::WrongState(record.state(now).name())),
        };
    };
    if is_own {
        return Err(Refusal::OwnRequest);
    }
    if !guest.duty.confirms {
        return Err(Refusal::NotForYou("confirm"));
    }
    if !may_answer {
        return Err(Refusal::NotYourAgency(record.agency.clone()));
    }
    match record.state(now) {
        State::Asked => Ok(behind(record, answer)),
        other => Err(Refusal::WrongState(other.name())),
    }
}

fn asked(
    records: &BTreeMap<String, Record>,
    ask: &vonggac_wire::proto::AskBreakGlass,
    guest: &Guest,
    settings: &Settings,
    is_agency: impl Fn(&str) -> bool,
    now: Time,
) -> Result<Step, Refusal> {
    if !guest.duty.asks {
        return Err(Refusal::NotForYou("request"));
    }
    let what = What::from_name(&ask.what).ok_or_else(|| Refusal::WhatUnknown(ask.what.clone()))?;
    if !is_agency(&ask.agency) {
        return Err(Refusal::AgencyUnknown(ask.agency.clone()));
    }
    let reason = ask.reason.trim();
    if reason.is_empty() {
        return Err(Refusal::ReasonMissing);
    }
    if reason.chars().count() > REASON_CHARACTERS_MAX {
        return Err(Refusal::ReasonTooLong(REASON_CHARACTERS_MAX));
    }
    let valid = match ask.valid_seconds {
        0 => settings.valid,
        seconds => Duration::from_secs(seconds),
    };
    if valid > settings.valid_max {
        return Err(Refusal::ValidTooLong(settings.valid_max.as_secs()));
    }
    let count = |counts: &dyn Fn(&Record) -> bool| records.values().filter(|r| counts(r)).count();
    if count(&|record| record.waits(now)) >= WAITING_MAX {
        return Err(Refusal::TooMany(WAITING_MAX));
    }
    let own = |record: &Record| record.asked.0 == guest.name && now.since(record.asked.1) < DAY;
    if count(&own) >= OF_PERSON_MAX {
        return Err(Refusal::TooMany(OF_PERSON_MAX));
    }
    Ok(Step::Asked {
        agency: ask.agency.clone(),
        what,
        reason: reason.into(),
        valid,
        answer_within: settings.answer_within,
    })
}

/// Whether somebody may know of a record: it is about theirs, or they asked for it.
#[must_use]
pub fn is_shown(record: &Record, guest: &Guest) -> bool {
    guest.scope.has_agency(&record.agency) || record.asked.0 == guest.name
}

/// The record of an id, or of its beginning; what somebody may not know of is not told of.
fn named<'a>(
    records: &'a BTreeMap<String, Record>,
    id: &str,
    guest: &Guest,
) -> Result<&'a Record, Refusal> {
    let not_found = || Refusal::NotFound(id.to_owned());
    if id.chars().count() < ID_CHARACTERS_MIN {
        return Err(not_found());
    }
    let shown = records.values().filter(|record| is_shown(record, guest));
    let mut found = shown.filter(|record| record.id.starts_with(id));
    match (found.next(), found.next()) {
        (Some(record), None) => Ok(record),
        (None, _) => Err(not_found()),
        (Some(_), Some(_)) => Err(Refusal::Ambiguous(id.to_owned())),
    }
}
