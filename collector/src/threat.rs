//! Threat intelligence: addresses, networks, domains, URLs and hashes that others found to be bad, with their ends. Pure but for reading.
//!
//! Lists are files of a folder: CSV with the columns `type,value,expires,name` (type `ip`, `network`, `domain`, `url` or `hash`; `expires` an
//! RFC 3339 time or empty), and STIX 2.1 bundles in JSON, of which indicators are taken whose pattern names values and joins them by OR.

use std::{
    collections::HashMap,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use regex::Regex;
use serde::Deserialize;
use vonggac_wire::{Time, event::Activity};

pub mod backward;
pub mod entry;
pub mod reload;

/// Entries of all lists: a national feed has some hundred thousand.
const ENTRIES_MAX: usize = 2_000_000;

/// Networks, which are looked through one after another.
const NETWORKS_MAX: usize = 10_000;

/// Bytes of a file.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A network of fewer bits is half the world.
const PREFIX_LEAST: u8 = 8;

/// Entries of a file that are told to be wrong.
const WRONG_MAX: usize = 10;

/// Why a list, or an entry of it, is left out.
#[derive(Debug, thiserror::Error)]
pub enum ThreatError {
    /// The folder or file cannot be read.
    #[error("read the threat list {path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What it says cannot be used.
    #[error("use the threat list {path}: {reason}", path = .path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What, and where.
        reason: String,
    },
}

/// What is known of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    name: String,
    expires: Option<Time>,
}

impl Listed {
    fn at(&self, time: Time) -> Option<&str> {
        self.expires.is_none_or(|end| time < end).then_some(self.name.as_str())
    }
}

/// All lists together.
#[derive(Clone, Debug, Default)]
pub struct ThreatList {
    addresses: HashMap<IpAddr, Listed>,
    networks: Vec<(IpAddr, u8, Listed)>,
    domains: HashMap<String, Listed>,
    urls: HashMap<String, Listed>,
    hashes: HashMap<String, Listed>,
}

#[derive(Deserialize)]
struct Row {
    #[serde(rename = "type")]
    kind: String,
    value: String,
    #[serde(default)]
    expires: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    objects: Vec<serde_json::Value>,
}

impl ThreatList {
    /// Reads the files of a folder; what is wrong is left out and told.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn read_folder(folder: &Path) -> Result<(Self, Vec<ThreatError>), ThreatError> {
        let io = |path: &Path, source| ThreatError::Io { path: path.to_owned(), source };
        let mut list = Self::default();
        let mut wrong = Vec::new();
        let entries = std::fs::read_dir(folder).map_err(|source| io(folder, source))?;
        let mut paths: Vec<PathBuf> =
            entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        for path in paths {
            let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
            if !matches!(end, "csv" | "json") {
                continue;
            }
            let mut told = |reason: String| {
                wrong.push(ThreatError::Wrong { path: path.clone(), reason });
            };
            match std::fs::metadata(&path) {
                Ok(data) if data.len() > FILE_BYTES_MAX => {
                    told(format!("it is larger than {FILE_BYTES_MAX} bytes"));
                    continue;
                }
                Ok(_) => {}
                Err(source) => {
                    wrong.push(io(&path, source));
                    continue;
                }
            }
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(source) => {
                    wrong.push(io(&path, source));
                    continue;
                }
            };
            let mistakes = if end == "csv" { list.add_csv(&text) } else { list.add_stix(&text) };
            let more = mistakes.len().saturating_sub(WRONG_MAX);
            mistakes.into_iter().take(WRONG_MAX).for_each(&mut told);
            if more > 0 {
                told(format!("and {more} more entries"));
            }
        }
        Ok((list, wrong))
    }

    /// Entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addresses.len()
            + self.networks.len()
            + self.domains.len()
            + self.urls.len()
            + self.hashes.len()
    }

    /// Nothing is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds rows of CSV; gives what is wrong with its lines.
    pub fn add_csv(&mut self, text: &str) -> Vec<String> {
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .comment(Some(b'#'))
            .from_reader(text.as_bytes());
        let mut wrong = Vec::new();
        for (index, row) in reader.deserialize::<Row>().enumerate() {
            let taken = row.map_err(|error| error.to_string()).and_then(|row| {
                let expires = match row.expires.trim() {
                    "" => None,
                    text => Some(
                        text.parse::<Time>()
                            .map_err(|_| format!("`expires` is no RFC 3339 time: {text}"))?,
                    ),
                };
                self.add(&row.kind, &row.value, Listed { name: row.name, expires })
            });
            wrong.extend(taken.err().map(|reason| format!("entry {}: {reason}", index + 1)));
        }
        wrong
    }

    /// Adds the indicators of a STIX 2.1 bundle; gives what cannot be used of it.
    pub fn add_stix(&mut self, text: &str) -> Vec<String> {
        let bundle: Bundle = match serde_json::from_str(text) {
            Ok(bundle) => bundle,
            Err(error) => return vec![error.to_string()],
        };
        let mut wrong = Vec::new();
        for object in &bundle.objects {
            let text = |name: &str| {
                object.get(name).and_then(serde_json::Value::as_str).unwrap_or_default()
            };
            let revoked = object.get("revoked").and_then(serde_json::Value::as_bool) == Some(true);
            if text("type") != "indicator" || revoked {
                continue;
            }
            let listed =
                Listed { name: text("name").to_owned(), expires: text("valid_until").parse().ok() };
            let taken = values(text("pattern")).and_then(|values| {
                values.iter().try_for_each(|(kind, value)| self.add(kind, value, listed.clone()))
            });
            wrong.extend(taken.err().map(|reason| format!("{}: {reason}", text("id"))));
        }
        wrong
    }

    fn add(&mut self, kind: &str, value: &str, mut listed: Listed) -> Result<(), String> {
        if self.len() >= ENTRIES_MAX {
            return Err(format!("there are more than {ENTRIES_MAX} entries"));
        }
        let value = value.trim();
        if listed.name.is_empty() {
            value.clone_into(&mut listed.name);
        }
        let no = |what: &str| format!("{value} is no {what}");
        match kind.trim().to_ascii_lowercase().as_str() {
            "ip" | "ipv4" | "ipv6" | "address" | "network" | "cidr" => {
                let (address, prefix) = match value.split_once('/') {
                    Some((address, prefix)) => {
                        (address, Some(prefix.parse::<u8>().map_err(|_| no("network"))?))
                    }
                    None => (value, None),
                };
                let address: IpAddr = address.parse().map_err(|_| no("address"))?;
                let bits = if address.is_ipv4() { 32 } else { 128 };
                match prefix.filter(|prefix| *prefix != bits) {
                    None => {
                        if address.is_loopback() || address.is_unspecified() {
                            return Err(format!("{value} is every host itself"));
                        }
                        self.addresses.insert(address, listed);
                    }
                    Some(prefix) if !(PREFIX_LEAST..bits).contains(&prefix) => {
                        return Err(format!("{value} would match nearly everything"));
                    }
                    Some(_) if self.networks.len() >= NETWORKS_MAX => {
                        return Err(format!("there are more than {NETWORKS_MAX} networks"));
                    }
                    Some(prefix) => self.networks.push((address, prefix, listed)),
                }
            }
            "domain" => {
                let domain = value.trim_matches('.').to_ascii_lowercase();
                if !domain.contains('.') || domain.contains(['/', ' ', '*']) {
                    return Err(no("domain"));
                }
                self.domains.insert(domain, listed);
            }
            "url" => {
                if !value.contains("://") {
                    return Err(no("URL"));
                }
                self.urls.insert(value.to_owned(), listed);
            }
            "hash" | "md5" | "sha1" | "sha256" | "sha-1" | "sha-256" => {
                let is_hash = matches!(value.len(), 32 | 40 | 64)
                    && value.bytes().all(|byte| byte.is_ascii_hexdigit());
                if !is_hash {
                    return Err(no("hash"));
                }
                self.hashes.insert(value.to_ascii_lowercase(), listed);
            }
            other => {
                return Err(format!(
                    "the type {other:?} is none of ip, network, domain, url, hash"
                ));
            }
        }
        Ok(())
    }

    fn address(&self, address: Option<IpAddr>, time: Time) -> Option<&str> {
        let address = address?;
        let known = self.addresses.get(&address).and_then(|listed| listed.at(time));
        known.or_else(|| {
            let within = |(network, prefix, _): &&(IpAddr, u8, Listed)| {
                same_network(*network, address, *prefix)
            };
            self.networks.iter().filter(within).find_map(|(_, _, listed)| listed.at(time))
        })
    }

    /// A domain, or one above it.
    fn domain(&self, host: &str, time: Time) -> Option<&str> {
        if host.is_empty() || self.domains.is_empty() {
            return None;
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let mut rest = host.as_str();
        loop {
            if let Some(name) = self.domains.get(rest).and_then(|listed| listed.at(time)) {
                return Some(name);
            }
            rest = rest.split_once('.')?.1;
        }
    }

    /// By what name the one that an event came from is listed at that time.
    #[must_use]
    pub fn source(&self, activity: &Activity, time: Time) -> Option<&str> {
        self.address(activity.source_address(), time)
    }

    /// By what name something that a host spoke to, or has on its disk, is listed at that time.
    #[must_use]
    pub fn contact(&self, activity: &Activity, time: Time) -> Option<&str> {
        let hashes = ["file.sha256", "file.sha1", "file.md5", "sha256", "md5"];
        self.address(activity.destination_address(), time)
            .or_else(|| self.domain(&activity.dst_hostname, time))
            .or_else(|| {
                let url = activity.http.as_ref().map(|http| http.url.as_str())?;
                let (_, rest) = url.split_once("://")?;
                let host = rest.split(['/', ':', '?']).next().unwrap_or_default();
                let listed = self.urls.get(url).and_then(|listed| listed.at(time));
                listed.or_else(|| self.domain(host, time))
            })
            .or_else(|| {
                let known = hashes.iter().filter_map(|name| activity.unmapped.get(*name));
                known
                    .filter_map(|hash| self.hashes.get(&hash.to_ascii_lowercase()))
                    .find_map(|listed| listed.at(time))
            })
    }
}

/// Whether both lie in one network of so many bits.
pub(crate) fn same_network(network: IpAddr, address: IpAddr, prefix: u8) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            network.to_bits() & mask == address.to_bits() & mask
        }
        _ => false,
    }
}

/// Kinds and values of a STIX pattern that is a plain choice. What asks for more than one thing at once is not taken for each of them.
fn values(pattern: &str) -> Result<Vec<(String, String)>, String> {
    static VALUE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(ipv4-addr|ipv6-addr|domain-name|url):value\s*=\s*'((?:[^'\\]|\\.)*)'|file:hashes\.'?[A-Za-z0-9-]+'?\s*=\s*'([^']*)'",
        )
        .ok()
    });
    let Some(value) = VALUE.as_ref() else { return Err("it is not understood".into()) };
    let rest = value.replace_all(pattern, "");
    let words: Vec<&str> = rest
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    if let Some(word) = words.iter().find(|word| !word.eq_ignore_ascii_case("or")) {
        return Err(format!("only values joined by OR are taken, not {word:?}"));
    }
    let found: Vec<(String, String)> = value
        .captures_iter(pattern)
        .map(|part| {
            let text = |at| part.get(at).map_or("", |found| found.as_str());
            let kind = match text(1) {
                "domain-name" => "domain",
                "url" => "url",
                "" => "hash",
                _ => "ip",
            };
            (kind.to_owned(), format!("{}{}", text(2), text(3)).replace('\\', ""))
        })
        .collect();
    if found.is_empty() { Err("its pattern names no value".into()) } else { Ok(found) }
}

/// The list by which the examples of rules are tried.
#[cfg(test)]
pub(crate) fn example() -> ThreatList {
    let mut list = ThreatList::default();
    list.add_csv("type,value,expires,name\nip,203.0.113.250,,an example\n");
    list
}

#[cfg(test)]
mod tests;
