//! The Traffic Light Protocol, version 2.0 (FIRST, August 2022): how far a text may go.

use std::str::FromStr;

/// A marking, the freest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tlp {
    /// To everybody.
    Clear,
    /// Within the community.
    Green,
    /// Within the organisation and its clients, who need to know.
    Amber,
    /// Within the organisation.
    AmberStrict,
    /// To the named recipients alone.
    Red,
}

impl Tlp {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Clear, Self::Green, Self::Amber, Self::AmberStrict, Self::Red];

    /// The word in configurations and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Green => "green",
            Self::Amber => "amber",
            Self::AmberStrict => "amber+strict",
            Self::Red => "red",
        }
    }

    /// As the protocol wants it written.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Clear => "TLP:CLEAR",
            Self::Green => "TLP:GREEN",
            Self::Amber => "TLP:AMBER",
            Self::AmberStrict => "TLP:AMBER+STRICT",
            Self::Red => "TLP:RED",
        }
    }
}

/// No marking has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no marking has this name")]
pub struct NoMarking;

impl FromStr for Tlp {
    type Err = NoMarking;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|tlp| tlp.name() == text).ok_or(NoMarking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markings_are_read_back_and_rise_from_clear_to_red() {
        for pair in Tlp::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
        }
        for tlp in Tlp::ALL {
            assert_eq!(tlp.name().parse(), Ok(tlp));
            assert_eq!(tlp.label(), format!("TLP:{}", tlp.name().to_uppercase()));
        }
        assert_eq!("white".parse::<Tlp>(), Err(NoMarking), "version 1 called clear so");
    }
}
