//! Identifiers, each a type of its own and valid by construction.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{limits::NAME_CHARACTERS_MAX, proto};

/// Why a text is no identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// No characters at all.
    #[error("an identifier is empty")]
    Empty,
    /// Longer than allowed.
    #[error("an identifier has {found} characters, at most {limit} are allowed")]
    TooLong {
        /// Characters found.
        found: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// A character that may not stand in it.
    #[error("{character:?} may not stand in {what}")]
    Character {
        /// The character.
        character: char,
        /// Which identifier.
        what: &'static str,
    },
    /// Neither a code of Decision 20/2020, nor a stand-in, nor the local machine.
    #[error("{text:?} is no agency code: wanted one like H49 or G06.12, tk-79, or local")]
    Agency {
        /// The text.
        text: String,
    },
}

fn check_name(text: &str, what: &'static str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    let found = text.chars().count();
    if found > NAME_CHARACTERS_MAX {
        return Err(IdError::TooLong { found, limit: NAME_CHARACTERS_MAX });
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-".contains(*c))) {
        Some(character) => Err(IdError::Character { character, what }),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks and keeps the text.
            ///
            /// # Errors
            /// What is wrong with it.
            pub fn new(text: &str) -> Result<Self, IdError> {
                let check: fn(&str) -> Result<(), IdError> = $check;
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }
    };
}

text_id!(
    /// An agent: ASCII letters, digits, `.`, `_`, `-`; at most 128. Made once, kept beside the spool.
    AgentId,
    "an agent's name",
    |text| check_name(text, "an agent's name")
);
/// What names of players of a simulated nation begin with. No host is called so, and no certificate is issued for such a name: who has one can
/// only be a player, or say that it is.
pub const SIMULATED_PREFIX: &str = "simulated_";

impl AgentId {
    /// Whether it is a name that only players of a simulated nation have.
    #[must_use]
    pub fn is_simulated(&self) -> bool {
        self.as_str().starts_with(SIMULATED_PREFIX)
    }
}

text_id!(
    /// A detection rule, in kebab-case: `ssh-brute-force`.
    RuleId,
    "a rule's name",
    |text| check_name(text, "a rule's name")
);
text_id!(
    /// An agency: a code of Decision 20/2020 (`H49`: at most 35 characters, dotted groups of digits and A-Z), a stand-in by
    /// statistics code (`tk-79`), or `local` for the machine that watches itself. Lower case and hyphen keep the last two from
    /// passing as real codes.
    AgencyId,
    "an agency's code",
    check_agency
);

/// Characters of an agency's code (QCVN 102:2016 and Decision 20/2020).
const AGENCY_CHARACTERS_MAX: usize = 35;

/// The agency of a machine that watches itself.
pub const LOCAL_AGENCY: &str = "local";

fn check_agency(text: &str) -> Result<(), IdError> {
    let stand_in = text
        .strip_prefix("tk-")
        .is_some_and(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_digit()));
    let coded = text.len() <= AGENCY_CHARACTERS_MAX
        && text.split('.').all(|group| {
            !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
        });
    if text == LOCAL_AGENCY || stand_in || coded {
        Ok(())
    } else {
        Err(IdError::Agency { text: text.chars().take(64).collect() })
    }
}

impl AgencyId {
    /// The machine that watches itself.
    #[must_use]
    pub fn local() -> Self {
        Self(LOCAL_AGENCY.into())
    }

    /// Reads a code, folding the all-zero form of QCVN 102:2016: `000.00.00.H49` is `H49`.
    ///
    /// # Errors
    /// If it is no code.
    pub fn folded(text: &str) -> Result<Self, IdError> {
        Self::new(text.strip_prefix("000.00.00.").unwrap_or(text))
    }
}

/// One of the three lanes of an agent. The order is that of worth: the spool drops the last first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Log-ins, privilege, files, attacks: dropped last.
    Security,
    /// Heartbeats, host figures, checks.
    Uptime,
    /// Requests, dossiers, payments: dropped first.
    Usage,
}

impl Lane {
    /// All of them, the worthiest first.
    pub const ALL: [Self; 3] = [Self::Security, Self::Uptime, Self::Usage];

    /// "security", "uptime", "usage".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Security => "security",
            Self::Uptime => "uptime",
            Self::Usage => "usage",
        }
    }

    /// By its name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.name() == name)
    }

    /// A small number for arrays: 0, 1, 2.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Security => 0,
            Self::Uptime => 1,
            Self::Usage => 2,
        }
    }
}

impl From<Lane> for proto::Lane {
    fn from(lane: Lane) -> Self {
        match lane {
            Lane::Security => Self::Security,
            Lane::Uptime => Self::Uptime,
            Lane::Usage => Self::Usage,
        }
    }
}

impl From<Lane> for i32 {
    fn from(lane: Lane) -> Self {
        proto::Lane::from(lane).into()
    }
}

impl TryFrom<i32> for Lane {
    type Error = UnknownLane;
    fn try_from(value: i32) -> Result<Self, UnknownLane> {
        match proto::Lane::try_from(value) {
            Ok(proto::Lane::Security) => Ok(Self::Security),
            Ok(proto::Lane::Uptime) => Ok(Self::Uptime),
            Ok(proto::Lane::Usage) => Ok(Self::Usage),
            Ok(proto::Lane::Unspecified) | Err(_) => Err(UnknownLane(value)),
        }
    }
}

/// A number that names no lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} names no lane")]
pub struct UnknownLane(pub i32);

/// One event, for ever: its agent, its lane and its number there. Numbers start at 1 and are never used twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId {
    /// Who read it.
    pub agent: AgentId,
    /// On which lane.
    pub lane: Lane,
    /// Its number there.
    pub seq: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.agent, self.lane.name(), self.seq)
    }
}

/// An incident's number, as people say it: `#3107`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IncidentId(pub u64);

impl fmt::Display for IncidentId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{}", self.0)
    }
}

impl FromStr for IncidentId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix('#').unwrap_or(text).parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agency_codes_of_both_schemes_are_taken_and_nothing_else() {
        for good in ["H49", "G06", "G06.12.A1", "tk-79", "tk-01", "local", "000.00.00.H49"] {
            assert!(AgencyId::new(good).is_ok(), "{good}");
        }
        for bad in
            ["", "h49", "tk-7", "tk-790", "TK-79", "H49.", ".H49", "Đà Nẵng", "H49 ", "G\u{1b}1"]
        {
            assert!(AgencyId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_all_zero_form_is_folded_and_no_other() {
        assert_eq!(AgencyId::folded("000.00.00.H49").unwrap().as_str(), "H49");
        assert_eq!(AgencyId::folded("001.00.00.H49").unwrap().as_str(), "001.00.00.H49");
    }

    #[test]
    fn names_with_control_characters_are_refused() {
        assert!(AgentId::new("web-2\u{1b}[2J").is_err());
        assert!(AgentId::new(&"a".repeat(129)).is_err());
        assert!(AgentId::new("web-2.example_1").is_ok());
    }
}
