//! Who guesses tokens is not listened to for a while (pure).

use std::{collections::HashMap, net::IpAddr, time::Duration};

use vonggac_daemon::peer::network;
use vonggac_wire::Time;

/// Wrong tokens from one address within [`WINDOW`]: a person who copies badly, not a program that guesses.
pub const WRONG_MAX: u32 = 5;

/// How long wrong tokens are remembered.
pub const WINDOW: Duration = Duration::from_secs(60);

/// Addresses that are remembered. Behind them the longest known is forgotten: guessing from a hundred thousand addresses is still guessing
/// 256 bits.
const ADDRESSES_MAX: usize = 10_000;

/// What each address did lately.
#[derive(Debug, Default)]
pub struct Guard {
    wrong: HashMap<IpAddr, (Time, u32)>,
}

impl Guard {
    /// Whether an address is listened to.
    #[must_use]
    pub fn listens(&self, address: IpAddr, now: Time) -> bool {
        self.wrong
            .get(&network(address))
            .is_none_or(|(first, count)| *count < WRONG_MAX || now.since(*first) >= WINDOW)
    }

    /// Remembers a wrong token; whether the address is not listened to from now on.
    pub fn wrong(&mut self, address: IpAddr, now: Time) -> bool {
        let address = network(address);
        if !self.wrong.contains_key(&address) && self.wrong.len() >= ADDRESSES_MAX {
            self.wrong.retain(|_, (first, _)| now.since(*first) < WINDOW);
            if self.wrong.len() >= ADDRESSES_MAX {
                let oldest = self.wrong.iter().min_by_key(|(_, (first, _))| *first);
                if let Some(oldest) = oldest.map(|(address, _)| *address) {
                    self.wrong.remove(&oldest);
                }
            }
        }
        let entry = self.wrong.entry(address).or_insert((now, 0));
        if now.since(entry.0) >= WINDOW {
            *entry = (now, 0);
        }
        entry.1 = entry.1.saturating_add(1);
        entry.1 == WRONG_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_guesses_is_not_listened_to_for_a_while_and_others_are() {
        let mut guard = Guard::default();
        let (one, two) = ("203.0.113.7".parse().unwrap(), "203.0.113.8".parse().unwrap());
        let now = Time::from_seconds(1_000);
        for _ in 1..WRONG_MAX {
            assert!(!guard.wrong(one, now) && guard.listens(one, now));
        }
        assert!(guard.wrong(one, now));
        assert!(!guard.listens(one, now) && guard.listens(two, now));
        assert!(!guard.listens("::ffff:203.0.113.7".parse().unwrap(), now));
        let later = now.plus(WINDOW);
        assert!(guard.listens(one, later) && !guard.wrong(one, later));
        assert!(guard.listens(one, later));
    }

    #[test]
    fn a_network_of_ipv6_is_one_caller() {
        let mut guard = Guard::default();
        let now = Time::from_seconds(1_000);
        for last in 0..WRONG_MAX {
            guard.wrong(format!("2001:db8::{last:x}").parse().unwrap(), now);
        }
        assert!(!guard.listens("2001:db8::ffff".parse().unwrap(), now));
        assert!(guard.listens("2001:db8:0:1::1".parse().unwrap(), now));
    }

    #[test]
    fn it_never_remembers_more_than_it_may() {
        let mut guard = Guard::default();
        for number in 0..(2 * ADDRESSES_MAX as u32) {
            let now = Time::from_seconds(1_000).plus(Duration::from_millis(number.into()));
            guard.wrong(IpAddr::from(number.to_be_bytes()), now);
        }
        assert_eq!(guard.wrong.len(), ADDRESSES_MAX);
    }
}
