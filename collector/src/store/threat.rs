//! Threat lists and stored events: how far events were searched for each entry, and the search itself.

use std::collections::HashMap;

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::Time;

use super::{Store, StoreError};
use crate::{
    retention::quoted,
    threat::entry::{Entry, Kind},
};

/// Seconds of one statement: it is one of hundreds that pass beside all that consoles and the chain ask.
const SECONDS_MAX: u32 = 120;

/// Memory of one statement.
const MEMORY_BYTES_MAX: u64 = 512 << 20;

/// Pairs of entry and host of one statement; those beyond are left out, and told.
pub const HITS_MAX: usize = 10_000;

/// Bytes of one statement's text: twenty thousand URLs.
const TEXT_BYTES_MAX: u64 = 16 << 20;

/// Evidence that is named of each hit.
const EVIDENCE_MAX: usize = 8;

/// How far an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be searched for.
    Listed,
    /// Searched for.
    Searched,
    /// Not in the lists any more.
    Gone,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Searched => "searched",
            Self::Gone => "gone",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Listed, Self::Searched, Self::Gone].into_iter().find(|state| state.name() == name)
    }
}

/// What is known of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its number.
    pub entry: u64,
    /// The events that no list in force saw: from this time on...
    pub since: Time,
    /// ... that were stored before this one.
    pub until: Time,
    /// How far it is.
    pub state: State,
    /// When that was so.
    pub at: Time,
}

#[derive(Debug, Row, Serialize, Deserialize)]
struct EntryRow {
    entry: u64,
    since: i64,
    until: i64,
    state: String,
    version: u64,
}

/// The newest of an entry's rows.
#[derive(Debug, Row, Deserialize)]
struct NewestRow {
    number: u64,
    since_micros: i64,
    until_micros: i64,
    said: String,
    at: u64,
}

/// What one statement looks for: entries of one kind, in one place, that had the same span to search.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    /// The entries.
    pub entries: &'a [Entry],
    /// Where in an event.
    pub place: Place,
    /// Events of this time and later...
    pub from: Time,
    /// ... and before this one...
    pub to: Time,
    /// ... that were stored before this one.
    pub stored_before: Time,
}

/// Where in a stored event a value of a list may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// Whom it came from.
    Source,
    /// To whom it went.
    Destination,
    /// The host of a URL, which is a domain or below one.
    UrlHost,
    /// A URL.
    Url,
    /// The hash of a file.
    Hash,
}

impl Place {
    /// The places where what a kind names may stand.
    #[must_use]
    pub const fn of(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::Address | Kind::Network => &[Self::Source, Self::Destination],
            Kind::Domain => &[Self::UrlHost],
            Kind::Url => &[Self::Url],
            Kind::Hash => &[Self::Hash],
        }
    }

    /// The value as the statement has it.
    const fn value(self) -> &'static str {
        match self {
            Self::Source => "src_ip",
            Self::Destination => "fields['dst_endpoint.ip']",
            Self::UrlHost => "lower(trim(TRAILING '.' FROM domain(url)))",
            Self::Url => "url",
            Self::Hash => {
                "arrayStringConcat(arrayMap(n -> lower(fields[n]), ['unmapped.file.sha256', 'unmapped.file.sha1', 'unmapped.file.md5', 'unmapped.sha256', 'unmapped.md5']), ' ')"
            }
        }
    }

    /// What is looked at at all, which is quicker to tell.
    const fn first(self) -> &'static str {
        match self {
            Self::Source => "src_ip != ''",
            Self::Destination => "fields['dst_endpoint.ip'] != ''",
            Self::UrlHost | Self::Url => "position(url, '://') > 0",
            Self::Hash => {
                "arrayExists(k -> endsWith(k, 'sha256') OR endsWith(k, 'sha1') OR endsWith(k, 'md5'), mapKeys(fields))"
            }
        }
    }

    /// That one of these values stands there; they are quoted and joined by commas.
    fn is_one_of(self, values: &str) -> String {
        let value = self.value();
        match self {
            Self::UrlHost => format!(
                "arrayExists(d -> d IN ({values}), arrayMap(n -> arrayStringConcat(arraySlice(splitByChar('.', {value}), n), '.'), \
                 range(1, length(splitByChar('.', {value})) + 1)))"
            ),
            // An event may carry several hashes of one file.
            Self::Hash => format!("arrayExists(v -> v IN ({values}), splitByChar(' ', {value}))"),
            _ => format!("{value} IN ({values})"),
        }
    }

    /// That it is of this network.
    fn is_within(self, network: &str) -> Option<String> {
        let (address, bits) = network.split_once('/')?;
        let (address, bits): (std::net::IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let value = self.value();
        Some(match address {
            std::net::IpAddr::V4(address) => {
                let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits)?).unwrap_or(0);
                let first = address.to_bits() & mask;
                format!("(IPv4StringToNumOrDefault({value}) BETWEEN {first} AND {})", first | !mask)
            }
            std::net::IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128_u32.checked_sub(bits)?).unwrap_or(0);
                let first = address.to_bits() & mask;
                let text = |bits: u128| std::net::Ipv6Addr::from_bits(bits).to_string();
                format!(
                    "(position({value}, ':') > 0 AND IPv6StringToNumOrDefault({value}) BETWEEN IPv6StringToNum('{}') AND IPv6StringToNum('{}'))",
                    text(first),
                    text(first | !mask)
                )
            }
        })
    }
}

impl Look<'_> {
    /// The condition on events; `None`: none of the entries can be found in this span.
    fn condition(&self) -> Option<String> {
        let is = |entry: &Entry| match entry.kind {
            Kind::Network => self.place.is_within(&entry.value),
            _ => Some(self.place.is_one_of(&quoted(&entry.value))),
        };
        let mut parts = Vec::new();
        let mut lasting = Vec::new();
        for entry in self.entries {
            match entry.expires {
                Some(end) if end <= self.from => {}
                Some(end) if end < self.to => parts.extend(is(entry).map(|is| {
                    format!("({is} AND time < fromUnixTimestamp64Micro({}, 'UTC'))", end.micros())
                })),
                _ if entry.kind == Kind::Network => parts.extend(is(entry)),
                _ => lasting.push(quoted(&entry.value)),
            }
        }
        if !lasting.is_empty() {
            parts.push(self.place.is_one_of(&lasting.join(", ")));
        }
        (!parts.is_empty()).then(|| format!("{} AND ({})", self.place.first(), parts.join(" OR ")))
    }
}

/// One value on one host.
#[derive(Clone, Debug, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct Hit {
    /// The value as it stands there.
    pub value: String,
    /// Whose host.
    pub of_agency: String,
    /// The host.
    pub of_host: String,
    /// Made by a scenario player.
    pub of_player: bool,
    /// The host's system.
    pub of_system: String,
    /// The user, where one was named.
    pub of_user: String,
    /// Events.
    pub number: u64,
    /// The first, microseconds.
    pub first: i64,
    /// The last.
    pub last: i64,
    /// Agent, lane, number and time of a few of them.
    pub evidence: Vec<(String, String, u64, i64)>,
}

impl Store {
    /// What is known of these entries.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn threat_entries(&self, numbers: &[u64]) -> Result<HashMap<u64, Known>, StoreError> {
        if numbers.is_empty() {
            return Ok(HashMap::new());
        }
        self.settle("threat_entries").await?;
        let numbers: Vec<String> = numbers.iter().map(u64::to_string).collect();
        let text = format!(
            "SELECT entry AS number, toUnixTimestamp64Micro(argMax(since, version)) AS since_micros, toUnixTimestamp64Micro(argMax(until, version)) AS until_micros, \
             toString(argMax(state, version)) AS said, max(version) AS at FROM threat_entries WHERE entry IN ({}) GROUP BY entry",
            numbers.join(", ")
        );
        let asked = self
            .client()
            .query_raw(&text)
            .with_setting("max_query_size", TEXT_BYTES_MAX.to_string());
        let rows: Vec<NewestRow> = asked.fetch_all().await?;
        let time = |micros: i64| Time(micros.saturating_mul(1_000));
        Ok(rows
            .into_iter()
            .filter_map(|row| {
                let at = time(i64::try_from(row.at).unwrap_or(i64::MAX));
                let state = State::from_name(&row.said)?;
                let (since, until) = (time(row.since_micros), time(row.until_micros));
                Some((row.number, Known { entry: row.number, since, until, state, at }))
            })
            .collect())
    }

    /// Writes how far entries are. The same again changes nothing.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn insert_threat_entries(&self, entries: &[Known]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut insert = self.client().insert::<EntryRow>("threat_entries").await?;
        for known in entries {
            let row = EntryRow {
                entry: known.entry,
                since: known.since.micros(),
                until: known.until.micros(),
                state: known.state.name().into(),
                version: u64::try_from(known.at.micros()).unwrap_or(0),
            };
            insert.write(&row).await?;
        }
        Ok(insert.end().await?)
    }

    /// Where entries stand in stored events. It takes one core, and the engine's rest goes before.
    ///
    /// # Errors
    /// If the engine does not answer, or a statement takes too much.
    pub async fn threat_hits(&self, look: &Look<'_>) -> Result<Vec<Hit>, StoreError> {
        let Some(condition) = look.condition() else { return Ok(Vec::new()) };
        let source = self.events_of(look.from, look.to, &[]).await?.replace("??", "?");
        let at = |time: Time| format!("fromUnixTimestamp64Micro({}, 'UTC')", time.micros());
        let text = format!(
            "SELECT toString({value}) AS value, toString(agency) AS of_agency, toString(host) AS of_host, simulated AS of_player, \
             toString(any(system)) AS of_system, any(user) AS of_user, count() AS number, toUnixTimestamp64Micro(min(time)) AS first, \
             toUnixTimestamp64Micro(max(time)) AS last, \
             groupArray({EVIDENCE_MAX})((toString(agent), toString(lane), seq, toUnixTimestamp64Micro(time))) AS evidence \
             FROM {source} WHERE time >= {from} AND time < {to} AND stored < {stored} AND {condition} \
             GROUP BY value, of_agency, of_host, of_player",
            value = look.place.value(),
            from = at(look.from),
            to = at(look.to),
            stored = at(look.stored_before),
        );
        let settings = [
            ("max_query_size", TEXT_BYTES_MAX.to_string()),
            ("max_threads", "1".to_owned()),
            ("priority", "10".to_owned()),
            ("max_execution_time", SECONDS_MAX.to_string()),
            ("max_memory_usage", MEMORY_BYTES_MAX.to_string()),
            ("max_rows_to_group_by", HITS_MAX.to_string()),
            ("group_by_overflow_mode", "any".to_owned()),
        ];
        let asked = self.client().query_raw(&text);
        let asked =
            settings.iter().fold(asked, |asked, (name, value)| asked.with_setting(*name, value));
        Ok(asked.fetch_all().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Time = Time::from_seconds(1_764_000_000);
    const TO: Time = Time::from_seconds(1_764_021_600);

    fn condition(place: Place, entries: &[(Kind, &str, Option<i64>)]) -> Option<String> {
        let entries: Vec<Entry> = entries
            .iter()
            .map(|(kind, value, expires)| Entry {
                kind: *kind,
                value: (*value).to_owned(),
                expires: expires.map(Time::from_seconds),
            })
            .collect();
        Look { entries: &entries, place, from: FROM, to: TO, stored_before: TO }.condition()
    }

    #[test]
    fn values_that_last_are_one_set_and_each_other_ends_with_its_own_time() {
        let all = condition(
            Place::Source,
            &[
                (Kind::Address, "203.0.113.9", None),
                (Kind::Address, "203.0.113.10", Some(1_764_010_000)),
                (Kind::Address, "203.0.113.11", Some(1_764_000_000)),
                (Kind::Address, "2001:db8::1", Some(1_800_000_000)),
            ],
        );
        assert_eq!(
            all.unwrap(),
            "src_ip != '' AND ((src_ip IN ('203.0.113.10') AND time < fromUnixTimestamp64Micro(1764010000000000, 'UTC')) OR \
             src_ip IN ('203.0.113.9', '2001:db8::1'))"
        );
        assert_eq!(condition(Place::Url, &[(Kind::Url, "http://a.example/", Some(1))]), None);
    }

    #[test]
    fn networks_are_ranges_of_numbers_and_no_value_leaves_its_quotes() {
        let of =
            |network: &str| condition(Place::Source, &[(Kind::Network, network, None)]).unwrap();
        assert!(of("203.0.113.77/24").contains("BETWEEN 3405803776 AND 3405804031"));
        let six = of("2001:db8::77/32");
        assert!(
            six.contains("'2001:db8::'")
                && six.contains("'2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'"),
            "{six}"
        );
        let url =
            condition(Place::Url, &[(Kind::Url, "http://a.example/'), (sleep(3))--\\", None)]);
        assert!(url.unwrap().ends_with(r"IN ('http://a.example/\'), (sleep(3))--\\'))"));
    }
}
