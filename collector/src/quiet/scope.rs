//! What a quiet period is about, held against what a signal is about. Pure.
//!
//! User and address mean whom a signal is about, not whom else it names: a signal of an address counts the tries on many accounts, and one
//! account that is known does not make the others so.

use std::{fmt, net::IpAddr, str::FromStr};

use vonggac_wire::proto::{QuietScope, Signal};

use crate::{threat::same_network, trust::scope::is_under};

/// Networks that are wider are more than one organisation's.
const PREFIX_LEAST: (u8, u8) = (16, 32);

/// An address, or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    const fn bits(address: IpAddr) -> u8 {
        if address.is_ipv4() { 32 } else { 128 }
    }

    /// Whether it is no wider than one organisation's.
    #[must_use]
    pub const fn is_narrow(&self) -> bool {
        let least = if self.address.is_ipv4() { PREFIX_LEAST.0 } else { PREFIX_LEAST.1 };
        self.prefix >= least
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        same_network(self.address, address, self.prefix)
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let bits = Self::bits(address);
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= bits).ok_or(())?,
            None => bits,
        };
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix == Self::bits(self.address) {
            self.address.fmt(formatter)
        } else {
            write!(formatter, "{}/{}", self.address, self.prefix)
        }
    }
}

/// What a period is about; what is empty asks for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Which rule tells it.
    pub rule: String,
    /// At this agency and those under it.
    pub agency: String,
    /// On this host.
    pub host: String,
    /// About this user.
    pub user: String,
    /// About an address of it.
    pub address: Option<Network>,
    /// About exactly this.
    pub entity: String,
    /// Of this system.
    pub system: String,
}

impl Scope {
    /// Whether it names nothing besides an agency.
    #[must_use]
    pub fn is_agency_alone(&self) -> bool {
        let Self { rule, agency: _, host, user, address, entity, system } = self;
        let texts = [rule, host, user, entity, system];
        address.is_none() && texts.iter().all(|text| text.is_empty())
    }

    /// Whether a signal is about it.
    #[must_use]
    pub fn fits(&self, signal: &Signal) -> bool {
        let (kind, value) = signal
            .entity
            .as_ref()
            .map_or(("", ""), |about| (about.kind.as_str(), about.value.as_str()));
        // A host that is not heard is told with what it serves, which is not what is down.
        let served = signal.values.get("system").filter(|_| signal.system.is_empty());
        let system = served.map_or(signal.system.as_str(), String::as_str);
        let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        let by_user = || match value.rsplit_once('@') {
            // An account on one host is told with that host.
            Some((user, host)) if host == signal.host => user == self.user || value == self.user,
            _ => value == self.user,
        };
        let by_address =
            |network: &Network| value.parse().is_ok_and(|address| network.contains(address));
        is(&self.rule, &signal.rule)
            && is(&self.entity, value)
            && self.has_place(&signal.agency, system, &signal.host)
            && (self.user.is_empty() || (kind == "user" && by_user()))
            && self.address.as_ref().is_none_or(|network| kind == "src_ip" && by_address(network))
    }

    /// Whether a system on a host of an agency is in it.
    #[must_use]
    pub fn has_place(&self, agency: &str, system: &str, host: &str) -> bool {
        (self.agency.is_empty() || is_under(agency, &self.agency))
            && (self.system.is_empty() || self.system == system)
            && (self.host.is_empty() || self.host.eq_ignore_ascii_case(host))
    }

    /// As consoles speak of it.
    #[must_use]
    pub fn into_proto(self) -> QuietScope {
        QuietScope {
            rule: self.rule,
            agency: self.agency,
            host: self.host,
            user: self.user,
            address: self.address.map(|network| network.to_string()).unwrap_or_default(),
            entity: self.entity,
            system: self.system,
        }
    }
}
