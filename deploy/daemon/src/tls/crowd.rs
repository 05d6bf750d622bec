//! How many places one network has at once, so that it cannot take them all.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use crate::peer::network;

/// Counts those who are inside by their network. It holds no more networks than there are guests, whose number its owner bounds.
#[derive(Clone, Debug)]
pub struct Crowd {
    inside: Arc<Mutex<HashMap<IpAddr, usize>>>,
    of_one_max: usize,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Guest {
    crowd: Crowd,
    network: IpAddr,
}

impl Crowd {
    /// With so many places for one network.
    #[must_use]
    pub fn new(of_one_max: usize) -> Self {
        Self { inside: Arc::default(), of_one_max }
    }

    /// A place; `None`: this network has all of its own.
    #[must_use]
    pub fn enter(&self, address: IpAddr) -> Option<Guest> {
        let network = network(address);
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inside.entry(network).or_insert(0);
        if *count >= self.of_one_max {
            return None;
        }
        *count += 1;
        Some(Guest { crowd: self.clone(), network })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut inside = self.crowd.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = inside.get_mut(&self.network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                inside.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_network_has_its_places_and_others_have_theirs() {
        let crowd = Crowd::new(2);
        let one = address("203.0.113.7");
        let (first, second) = (crowd.enter(one), crowd.enter(one));
        assert!(first.is_some() && second.is_some());
        assert!(crowd.enter(one).is_none() && crowd.enter(address("::ffff:203.0.113.7")).is_none());
        assert!(crowd.enter(address("203.0.113.8")).is_some());
        drop(first);
        assert!(crowd.enter(one).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_and_who_left_is_forgotten() {
        let crowd = Crowd::new(1);
        let inside = crowd.enter(address("2001:db8::1"));
        assert!(crowd.enter(address("2001:db8::2")).is_none());
        drop(inside);
        assert!(crowd.inside.lock().unwrap().is_empty());
    }
}
