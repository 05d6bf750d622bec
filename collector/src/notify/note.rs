//! What is told of an incident, as it was when it was to be told. Pure.

use serde::{Deserialize, Serialize};
use vonggac_wire::{Time, incident::Severity, proto::Incident};

use super::escape::cut;
use crate::registry::Registry;

/// Characters of a title or of somebody's words that a note keeps: more is not read in a message.
const TEXT_CHARACTERS_MAX: usize = 400;

/// Incidents that a digest names.
pub const DIGEST_LINES_MAX: usize = 10;

/// Why somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// It is new, or was opened again.
    Opened,
    /// It is worse than it was.
    Escalated,
    /// The next shift has it.
    HandedOver,
    /// It is over.
    Resolved,
    /// Its time is over, and it is not.
    Breached,
    /// What all of it came to.
    Digest,
    /// Somebody tries a channel.
    Test,
}

impl Event {
    /// Those that are steps of an incident.
    pub const STEPS: [Self; 5] =
        [Self::Opened, Self::Escalated, Self::HandedOver, Self::Resolved, Self::Breached];

    /// The word in configurations, in the store, and of which messages are named.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Escalated => "escalated",
            Self::HandedOver => "handed-over",
            Self::Resolved => "resolved",
            Self::Breached => "breached",
            Self::Digest => "digest",
            Self::Test => "test",
        }
    }
}

/// What is told of one incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Why.
    pub event: Event,
    /// The incident's number; 0: of none.
    pub incident: u64,
    /// Its version.
    pub version: u64,
    /// 1 to 4.
    pub severity: u32,
    /// Its state's name.
    pub state: String,
    /// The rule that found it.
    pub rule: String,
    /// Its title.
    pub title_vi: String,
    /// Its title in English.
    pub title_en: String,
    /// The code of the agency.
    pub agency: String,
    /// What people call it.
    pub agency_vi: String,
    /// The same in English.
    pub agency_en: String,
    /// How many agencies it is about.
    pub agencies: u64,
    /// Who has it.
    pub owner: String,
    /// What whoever took the step said.
    pub said: String,
    /// Matching events.
    pub count: u64,
    /// When it was opened, nanoseconds.
    pub opened: i64,
    /// By when it has to be solved, nanoseconds; 0: not said.
    pub deadline: i64,
    /// It is of a simulation.
    pub simulated: bool,
    /// What a digest says.
    pub digest: Option<Summary>,
}

/// What all incidents came to, in a digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Open ones, M1 to M4.
    pub open: [u64; 4],
    /// Those that nobody has.
    pub unowned: u64,
    /// Those whose time is over.
    pub overdue: u64,
    /// Opened since the last digest.
    pub opened: u64,
    /// Resolved since then.
    pub resolved: u64,
    /// Open ones that are marked above what the channel carries: counted above, named nowhere.
    pub withheld: u64,
    /// The most urgent ones.
    pub first: Vec<Note>,
}

impl Note {
    /// Of an incident.
    #[must_use]
    pub fn of(event: Event, incident: &Incident, said: &str, registry: &Registry) -> Self {
        let (agency_vi, agency_en) = registry.short_name(&incident.agency);
        Self {
            event,
            incident: incident.id,
            version: incident.version,
            severity: incident.level().level(),
            state: incident.current_state().name().into(),
            rule: incident.rule.clone(),
            title_vi: cut(&incident.title_vi, TEXT_CHARACTERS_MAX),
            title_en: cut(&incident.title_en, TEXT_CHARACTERS_MAX),
            agency: incident.agency.clone(),
            agency_vi,
            agency_en,
            agencies: incident.agencies.len().max(1) as u64,
            owner: incident.owner.clone(),
            said: cut(said, TEXT_CHARACTERS_MAX),
            count: incident.count,
            opened: incident.opened_unix_nano,
            deadline: incident.deadline_unix_nano.unwrap_or(0),
            simulated: incident.simulated,
            digest: None,
        }
    }

    /// Of no incident.
    #[must_use]
    pub fn of_none(event: Event, severity: Severity, now: Time) -> Self {
        Self {
            event,
            incident: 0,
            version: 0,
            severity: severity.level(),
            state: String::new(),
            rule: String::new(),
            title_vi: String::new(),
            title_en: String::new(),
            agency: String::new(),
            agency_vi: String::new(),
            agency_en: String::new(),
            agencies: 0,
            owner: String::new(),
            said: String::new(),
            count: 0,
            opened: now.0,
            deadline: 0,
            simulated: false,
            digest: None,
        }
    }

    /// M1 to M4.
    #[must_use]
    pub const fn level(&self) -> Severity {
        Severity::from_level(self.severity)
    }
}

/// The name of a note or a message: the same parts give the same name, wherever and whenever it is made.
#[must_use]
pub fn id(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        // With its length before it no two lists of parts are one text.
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_parts_give_another_name_also_where_they_join_to_one_text() {
        assert_eq!(id(&["a", "b"]), id(&["a", "b"]));
        assert_ne!(id(&["ab", ""]), id(&["a", "b"]));
        assert_eq!(id(&[]).len(), 32);
    }
}
