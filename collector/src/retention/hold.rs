//! Legal holds: what must not be deleted, by whose word, and until when. Pure.
//!
//! A hold is placed and lifted by events that are never edited. What it names must all be true of a row: a hold of an agency and a time
//! keeps that agency's rows of that time. A hold of an incident keeps the incident with its steps, and all rows of its agencies from a
//! day before its first event to a day after its last one: what was thought unimportant then is what an inquiry asks for.

use std::collections::BTreeMap;

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::{Time, proto::Incident};

use super::quoted;

/// What lies around an incident belongs to it.
const INCIDENT_MARGIN_MICROS: i64 = 86_400_000_000;

/// Bytes of a hold's name: it stands in tables and messages.
const NAME_BYTES_MAX: usize = 64;

/// Bytes of a reason or name of a person.
const TEXT_BYTES_MAX: usize = 1_000;

/// A hold was placed or lifted; a row of `hold_events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct HoldEvent {
    /// When, microseconds.
    pub time: i64,
    /// The hold's name, used once.
    pub hold: String,
    /// "placed" or "lifted".
    pub action: String,
    /// By whom.
    pub who: String,
    /// Why.
    pub why: String,
    /// Of this agency; empty: of any.
    pub agency: String,
    /// Of this host; empty: of any.
    pub host: String,
    /// Of this incident; 0: of none.
    pub incident: u64,
    /// From this time, microseconds; 0: from the beginning.
    pub since: i64,
    /// To this time, microseconds; 0: to the end.
    pub until: i64,
}

/// A hold with its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// How it was placed.
    pub placed: HoldEvent,
    /// How it was lifted.
    pub lifted: Option<HoldEvent>,
}

/// Why a hold is not placed or lifted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// A name is used once.
    #[error(
        "place the hold {0:?}: there is one of this name, placed or lifted before; take another name"
    )]
    Taken(String),
    /// There is none.
    #[error("lift the hold {0:?}: there is none that is in force; `hold list` names them")]
    Unknown(String),
    /// It would hold everything by mistake.
    #[error(
        "place the hold {0:?}: it names neither agency, host, incident nor time; say what it holds"
    )]
    Everything(String),
    /// The end lies before the beginning.
    #[error("place the hold {0:?}: it ends before it begins")]
    Reversed(String),
    /// A word is missing or too long.
    #[error("take {what} of the hold: it has to have 1 to {most} bytes without control characters")]
    Text {
        /// Which.
        what: &'static str,
        /// Bytes.
        most: usize,
    },
}

/// The holds that events tell of, in the order of their names.
#[must_use]
pub fn holds(events: &[HoldEvent]) -> Vec<Hold> {
    let mut all: BTreeMap<&str, Hold> = BTreeMap::new();
    let mut ordered: Vec<&HoldEvent> = events.iter().collect();
    ordered.sort_by_key(|event| event.time);
    for event in ordered {
        if event.action == "placed" {
            all.entry(&event.hold).or_insert_with(|| Hold { placed: event.clone(), lifted: None });
        } else if let Some(hold) = all.get_mut(event.hold.as_str())
            && hold.lifted.is_none()
        {
            hold.lifted = Some(event.clone());
        }
    }
    all.into_values().collect()
}

fn text(what: &'static str, text: &str, most: usize) -> Result<(), HoldError> {
    let right =
        !text.trim().is_empty() && text.len() <= most && !text.chars().any(char::is_control);
    if right { Ok(()) } else { Err(HoldError::Text { what, most }) }
}

/// Checks an event against what was told before.
///
/// # Errors
/// Why it may not be told.
pub fn check(before: &[Hold], event: &HoldEvent) -> Result<(), HoldError> {
    text("the name", &event.hold, NAME_BYTES_MAX)?;
    text("the person", &event.who, TEXT_BYTES_MAX)?;
    text("the reason", &event.why, TEXT_BYTES_MAX)?;
    let known = before.iter().find(|hold| hold.placed.hold == event.hold);
    if event.action == "lifted" {
        return match known {
            Some(Hold { lifted: None, .. }) => Ok(()),
            _ => Err(HoldError::Unknown(event.hold.clone())),
        };
    }
    if known.is_some() {
        return Err(HoldError::Taken(event.hold.clone()));
    }
    if event.until != 0 && event.until < event.since {
        return Err(HoldError::Reversed(event.hold.clone()));
    }
    let names_nothing = event.agency.is_empty()
        && event.host.is_empty()
        && event.incident == 0
        && event.since == 0
        && event.until == 0;
    if names_nothing { Err(HoldError::Everything(event.hold.clone())) } else { Ok(()) }
}

/// A hold in force, with what its incident comes to today.
#[derive(Clone, Debug, PartialEq)]
pub struct InForce {
    /// How it was placed.
    pub placed: HoldEvent,
    /// The incident, where it names one.
    pub incident: Option<Incident>,
}

impl InForce {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.placed.hold
    }

    /// Whether a row is kept by it, as SQL. `time` is the column of its time; a table without hosts gives no `host`, and keeps what a host's
    /// hold would keep by agency and time alone.
    #[must_use]
    pub fn condition(&self, time: &str, host: Option<&str>) -> String {
        let mut parts = Vec::new();
        if !self.placed.agency.is_empty() {
            parts.push(format!("agency = {}", quoted(&self.placed.agency)));
        }
        if let Some(host) = host
            && !self.placed.host.is_empty()
        {
            parts.push(host.replace("{}", &quoted(&self.placed.host)));
        }
        let mut bound = |compare: &str, micros: i64| {
            parts.push(format!("{time} {compare} fromUnixTimestamp64Micro({micros}, 'UTC')"));
        };
        if self.placed.since != 0 {
            bound(">=", self.placed.since);
        }
        if self.placed.until != 0 {
            bound("<=", self.placed.until);
        }
        if let Some(incident) = &self.incident {
            let (first, last) = extent(incident);
            bound(">=", first.saturating_sub(INCIDENT_MARGIN_MICROS));
            bound("<=", last.saturating_add(INCIDENT_MARGIN_MICROS));
            let agencies: Vec<String> =
                incident.agencies.iter().chain([&incident.agency]).map(|one| quoted(one)).collect();
            parts.push(format!("agency IN ({})", agencies.join(", ")));
        }
        format!("({})", if parts.is_empty() { "1".to_owned() } else { parts.join(" AND ") })
    }

    /// Whether it keeps an incident with its steps.
    #[must_use]
    pub fn keeps(&self, incident: &Incident) -> bool {
        if let Some(held) = &self.incident {
            // What it was merged into, or split from, is of the same matter.
            let related = [incident.id, incident.merged_into, incident.split_from];
            return related.contains(&held.id)
                || [held.merged_into, held.split_from]
                    .iter()
                    .any(|id| *id != 0 && *id == incident.id);
        }
        let named = |wanted: &str, names: &[String], own: &str| {
            wanted.is_empty() || own == wanted || names.iter().any(|name| name == wanted)
        };
        let (first, last) = extent(incident);
        // Names beyond those that an incident lists are not known, so a full list is taken to hold the host.
        named(&self.placed.agency, &incident.agencies, &incident.agency)
            && (named(&self.placed.host, &incident.hosts, "") || incident.hosts.is_empty())
            && (self.placed.since == 0 || last >= self.placed.since)
            && (self.placed.until == 0 || first <= self.placed.until)
    }
}

fn extent(incident: &Incident) -> (i64, i64) {
    let micros = |nanos: i64| Time(nanos).micros();
    (micros(incident.first_time_unix_nano), micros(incident.last_time_unix_nano))
}

/// Whether any of them keeps a row, as SQL.
#[must_use]
pub fn any(holds: &[InForce], time: &str, host: Option<&str>) -> String {
    if holds.is_empty() {
        return "0".into();
    }
    let all: Vec<String> = holds.iter().map(|hold| hold.condition(time, host)).collect();
    format!("({})", all.join(" OR "))
}

/// The host of a row of `events`, also one that speaks through another's agent.
pub const EVENT_HOST: &str = "(host = {} OR fields['agent_host'] = {})";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn placed(name: &str, time: i64) -> HoldEvent {
        HoldEvent {
            time,
            hold: name.into(),
            action: "placed".into(),
            who: "Lan".into(),
            why: "order 12".into(),
            agency: "H49".into(),
            ..HoldEvent::default()
        }
    }

    #[test]
    fn a_hold_is_placed_once_and_lifted_once() {
        let first = placed("case-1", 1);
        assert_eq!(check(&[], &first), Ok(()));
        let all = holds(std::slice::from_ref(&first));
        assert_eq!(check(&all, &first), Err(HoldError::Taken("case-1".into())));
        let lifted = HoldEvent { action: "lifted".into(), time: 2, ..first.clone() };
        assert_eq!(check(&all, &lifted), Ok(()));
        let all = holds(&[lifted.clone(), first]);
        assert_eq!(all[0].lifted.as_ref(), Some(&lifted));
        assert_eq!(check(&all, &lifted), Err(HoldError::Unknown("case-1".into())));
        assert_eq!(check(&all, &placed("case-1", 3)), Err(HoldError::Taken("case-1".into())));
    }

    #[test]
    fn a_hold_of_everything_or_of_nothing_is_a_mistake() {
        let none = HoldEvent { agency: String::new(), ..placed("a", 1) };
        assert_eq!(check(&[], &none), Err(HoldError::Everything("a".into())));
        let reversed = HoldEvent { since: 5, until: 4, ..placed("a", 1) };
        assert_eq!(check(&[], &reversed), Err(HoldError::Reversed("a".into())));
        for wrong in [
            HoldEvent { hold: "\u{1b}[2J".into(), ..placed("", 1) },
            HoldEvent { why: "  ".into(), ..placed("a", 1) },
            HoldEvent { who: "x".repeat(1_001), ..placed("a", 1) },
        ] {
            assert!(matches!(check(&[], &wrong), Err(HoldError::Text { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn an_incidents_hold_spans_its_agencies_and_a_day_around_it() {
        let hour = 3_600_000_000_000;
        let incident = Incident {
            id: 7,
            agency: "H49".into(),
            agencies: vec!["H49".into(), "G22".into()],
            first_time_unix_nano: 100 * hour,
            last_time_unix_nano: 110 * hour,
            ..Incident::default()
        };
        let hold = InForce {
            placed: HoldEvent { agency: String::new(), incident: 7, ..placed("a", 1) },
            incident: Some(incident.clone()),
        };
        let text = hold.condition("time", Some(EVENT_HOST));
        let (from, to) = (76_i64 * 3_600_000_000, 134_i64 * 3_600_000_000);
        for part in [
            format!("({from}, 'UTC')"),
            format!("({to}, 'UTC')"),
            "agency IN ('H49', 'G22', 'H49')".into(),
        ] {
            assert!(text.contains(&part), "{text}");
        }
        assert!(hold.keeps(&incident));
        assert!(hold.keeps(&Incident { id: 9, merged_into: 7, ..Incident::default() }));
        assert!(!hold.keeps(&Incident { id: 8, ..incident }));
    }

    proptest! {
        #[test]
        fn what_a_hold_names_never_leaves_its_quotes(agency in ".{1,20}", host in ".{1,20}") {
            let hold = InForce { placed: HoldEvent { agency, host, ..placed("a", 1) }, incident: None };
            let text = hold.condition("time", Some(EVENT_HOST));
            let mut inside = false;
            let mut outside = String::new();
            let mut characters = text.chars();
            while let Some(character) = characters.next() {
                match character {
                    '\\' if inside => { characters.next(); }
                    '\'' => inside = !inside,
                    other if !inside => outside.push(other),
                    _ => {}
                }
            }
            prop_assert!(!inside);
            prop_assert_eq!(outside, "(agency =  AND (host =  OR fields[] = ))");
        }
    }
}
