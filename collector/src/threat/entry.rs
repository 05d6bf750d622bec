//! Entries of threat lists one by one, as stored events are searched for them.

use std::collections::HashSet;

use vonggac_wire::Time;

use super::ThreatList;

/// What an entry names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An address.
    Address,
    /// A network, as address and bits.
    Network,
    /// A domain, with all below it.
    Domain,
    /// A URL.
    Url,
    /// The hash of a file.
    Hash,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Address => "ip",
            Self::Network => "network",
            Self::Domain => "domain",
            Self::Url => "url",
            Self::Hash => "hash",
        }
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it names.
    pub kind: Kind,
    /// Its value.
    pub value: String,
    /// Nothing at or after it is meant.
    pub expires: Option<Time>,
}

impl Entry {
    /// A number that is the entry's own: of two million, two are the same in one list of ten million.
    #[must_use]
    pub fn number(&self) -> u64 {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.kind.name().as_bytes()).update(&[0]).update(self.value.as_bytes());
        let mut first = [0; 8];
        hasher.finalize_xof().fill(&mut first);
        u64::from_le_bytes(first)
    }
}

impl ThreatList {
    /// All entries, those of a kind together; made one by one, for there may be millions.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + Send + '_ {
        let entry = |kind, value: String, expires| Entry { kind, value, expires };
        let addresses = self.addresses.iter();
        let addresses =
            addresses.map(move |(at, of)| entry(Kind::Address, at.to_string(), of.expires));
        let networks = self.networks.iter().map(move |(address, prefix, of)| {
            entry(Kind::Network, format!("{address}/{prefix}"), of.expires)
        });
        let texts =
            [(Kind::Domain, &self.domains), (Kind::Url, &self.urls), (Kind::Hash, &self.hashes)];
        let texts = texts.into_iter().flat_map(move |(kind, all)| {
            all.iter().map(move |(value, of)| entry(kind, value.clone(), of.expires))
        });
        addresses.chain(networks).chain(texts)
    }

    /// The numbers of entries that an earlier reading had and this one has not. It takes a while where there are many.
    #[must_use]
    pub fn gone_since(&self, before: &Self) -> Vec<u64> {
        let present: HashSet<u64> = self.entries().map(|entry| entry.number()).collect();
        let earlier = before.entries().map(|entry| entry.number());
        earlier.filter(|number| !present.contains(number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_told_once_with_a_number_of_its_own() {
        let mut list = ThreatList::default();
        let csv = "type,value,expires,name\nip,203.0.113.9,,a\nip,203.0.113.9,,again\nnetwork,198.51.100.0/24,2026-01-01T00:00:00Z,b\n\
                   domain,Bad.Example.org,,c\nurl,http://bad.example.org/,,d\nhash,AABBCCDDEEFF00112233445566778899,,e\n";
        assert!(list.add_csv(csv).is_empty());
        let entries: Vec<Entry> = list.entries().collect();
        let said: Vec<(Kind, &str)> =
            entries.iter().map(|entry| (entry.kind, entry.value.as_str())).collect();
        assert_eq!(
            said,
            [
                (Kind::Address, "203.0.113.9"),
                (Kind::Network, "198.51.100.0/24"),
                (Kind::Domain, "bad.example.org"),
                (Kind::Url, "http://bad.example.org/"),
                (Kind::Hash, "aabbccddeeff00112233445566778899"),
            ]
        );
        assert!(entries[1].expires.is_some() && entries[0].expires.is_none());
        let mut numbers: Vec<u64> = entries.iter().map(Entry::number).collect();
        numbers.dedup();
        assert_eq!(numbers.len(), 5, "none is another's");
        // The number is kept in the store: another way to make it would have everything searched anew.
        assert_eq!(entries[0].number(), 11_683_121_565_486_233_990);
        let mut later = ThreatList::default();
        later.add_csv("type,value,expires,name\nip,203.0.113.9,2027-01-01T00:00:00Z,other\n");
        assert_eq!(later.gone_since(&list), numbers[1..].to_vec());
        assert!(list.gone_since(&later).is_empty());
    }
}
