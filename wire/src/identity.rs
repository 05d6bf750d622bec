//! Who a certificate speaks of: its one SPIFFE URI, by the [SPIFFE-ID specification](https://spiffe.io/docs/latest/spiffe-specs/spiffe-id/).
//!
//! ```text
//! spiffe://vonggac/agency/H49/agent/web-2   an agent, and the agency whose events it may send
//! spiffe://vonggac/collector/centre-1       a collector
//! spiffe://vonggac/broker/kafka-1           a broker of Kafka
//! spiffe://vonggac/person/nguyen.van.a      a person; what they may do is said by the centre's roles, never by the certificate
//! ```

use std::{fmt, str::FromStr};

use crate::{
    id::{AgencyId, AgentId, IdError},
    limits::NAME_CHARACTERS_MAX,
};

/// The trust domain of all certificates.
pub const TRUST_DOMAIN: &str = "vonggac";

/// Why a URI names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Another domain, or not one of the four forms.
    #[error(
        "{uri:?} is no identity of Vọng Gác: wanted spiffe://{TRUST_DOMAIN}/ and agency/CODE/agent/NAME, collector/NAME, broker/NAME or person/NAME"
    )]
    Form {
        /// The URI.
        uri: String,
    },
    /// A part of it cannot be.
    #[error("the identity {uri:?} cannot be")]
    Part {
        /// The URI.
        uri: String,
        /// What is wrong.
        source: IdError,
    },
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// An agent of an agency.
    Agent {
        /// Whose events it may send.
        agency: AgencyId,
        /// Which one.
        agent: AgentId,
    },
    /// A collector.
    Collector(AgentId),
    /// A broker.
    Broker(AgentId),
    /// A person.
    Person(AgentId),
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "spiffe://{TRUST_DOMAIN}/")?;
        match self {
            Self::Agent { agency, agent } => write!(formatter, "agency/{agency}/agent/{agent}"),
            Self::Collector(name) => write!(formatter, "collector/{name}"),
            Self::Broker(name) => write!(formatter, "broker/{name}"),
            Self::Person(name) => write!(formatter, "person/{name}"),
        }
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        // Shown in errors: no more of it than the longest that could be one.
        let shown = || uri.chars().take(3 * NAME_CHARACTERS_MAX).collect::<String>();
        let form = || IdentityError::Form { uri: shown() };
        let part = |source| IdentityError::Part { uri: shown(), source };
        let path = uri.strip_prefix("spiffe://").and_then(|rest| rest.strip_prefix(TRUST_DOMAIN));
        let path = path.and_then(|rest| rest.strip_prefix('/')).ok_or_else(form)?;
        let parts: Vec<&str> = path.splitn(5, '/').collect();
        match parts.as_slice() {
            ["agency", agency, "agent", agent] => Ok(Self::Agent {
                agency: AgencyId::new(agency).map_err(part)?,
                agent: AgentId::new(agent).map_err(part)?,
            }),
            ["collector", name] => Ok(Self::Collector(AgentId::new(name).map_err(part)?)),
            ["broker", name] => Ok(Self::Broker(AgentId::new(name).map_err(part)?)),
            ["person", name] => Ok(Self::Person(AgentId::new(name).map_err(part)?)),
            _ => Err(form()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_back_as_it_was_written() {
        for uri in [
            "spiffe://vonggac/agency/H49/agent/web-2",
            "spiffe://vonggac/agency/local/agent/vm-822a9f48",
            "spiffe://vonggac/collector/centre-1",
            "spiffe://vonggac/broker/kafka-1",
            "spiffe://vonggac/person/nguyen.van.a",
        ] {
            assert_eq!(uri.parse::<Identity>().map(|id| id.to_string()), Ok(uri.to_owned()));
        }
    }

    #[test]
    fn what_is_not_quite_an_identity_is_refused() {
        for uri in [
            "",
            "spiffe://vonggac",
            "spiffe://vonggac/",
            "spiffe://vonggac.example/collector/a",
            "spiffe://other/collector/a",
            "https://vonggac/collector/a",
            "SPIFFE://vonggac/collector/a",
            "spiffe://vonggac//collector/a",
            "spiffe://vonggac/collector/",
            "spiffe://vonggac/collector/a/",
            "spiffe://vonggac/collector/a/b",
            "spiffe://vonggac/collector/a%2Fb",
            "spiffe://vonggac/collector/a?b",
            "spiffe://vonggac/agency/H49/agent/web-2/x",
            "spiffe://vonggac/agency/h49!/agent/web-2",
            "spiffe://vonggac/agency/H49/agent/",
            "spiffe://vonggac/person/a\nb",
            "spiffe://vonggac/role/administrator",
        ] {
            assert!(uri.parse::<Identity>().is_err(), "{uri:?}");
        }
    }
}
