//! Who is connected. Idle connections are left alone, because a sender that is cut off loses its next message without knowing; only
//! when their place is wanted they make room, the one that was idle longest first.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

/// Connections of one listener: each costs a buffer and at most one message that grows.
pub(super) const CONNECTIONS_MAX: usize = 512;

/// Connections of one sender, so that none takes all places.
pub(super) const CONNECTIONS_OF_SENDER_MAX: usize = 32;

/// A connection that was silent for so long may be cut for another.
const IDLE_MIN: Duration = Duration::from_secs(300);

/// The places of one listener.
#[derive(Clone, Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    next: u64,
    all: HashMap<u64, Seat>,
}

struct Seat {
    sender: IpAddr,
    heard: Instant,
    leave: CancellationToken,
}

/// Given back when it is dropped.
pub(super) struct Place {
    places: Places,
    number: u64,
    /// Another needs the place.
    pub(super) leave: CancellationToken,
}

impl Places {
    /// A place for a sender, if there is one or one can be made.
    pub(super) fn take(&self, sender: IpAddr, now: Instant) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.all.values().filter(|seat| seat.sender == sender).count();
        let own_full = own >= CONNECTIONS_OF_SENDER_MAX;
        if own_full || taken.all.len() >= CONNECTIONS_MAX {
            let idle = taken
                .all
                .iter()
                .filter(|(_, seat)| !own_full || seat.sender == sender)
                .min_by_key(|(_, seat)| seat.heard)
                .filter(|(_, seat)| now.saturating_duration_since(seat.heard) >= IDLE_MIN)
                .map(|(number, _)| *number)?;
            if let Some(seat) = taken.all.remove(&idle) {
                seat.leave.cancel();
            }
        }
        let number = taken.next;
        taken.next += 1;
        let leave = CancellationToken::new();
        taken.all.insert(number, Seat { sender, heard: now, leave: leave.clone() });
        Some(Place { places: self.clone(), number, leave })
    }
}

impl Place {
    /// The sender said something.
    pub(super) fn heard(&self, now: Instant) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(seat) = taken.all.get_mut(&self.number) {
            seat.heard = now;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_has_its_share_and_all_have_theirs() {
        let (places, now) = (Places::default(), Instant::now());
        let sender = |n: u32| IpAddr::from((n + 1).to_be_bytes());
        let mut held: Vec<Place> = (0..100).filter_map(|_| places.take(sender(0), now)).collect();
        assert_eq!(held.len(), CONNECTIONS_OF_SENDER_MAX);
        held.extend((1..=1_000).filter_map(|n| places.take(sender(n), now)));
        assert_eq!(held.len(), CONNECTIONS_MAX);
        held.truncate(10);
        assert!(places.take(sender(7), now).is_some(), "places that were left are free");
    }

    #[test]
    fn the_one_that_was_idle_longest_makes_room_and_a_busy_one_never() {
        let (places, begun) = (Places::default(), Instant::now());
        let sender: IpAddr = "192.0.2.1".parse().unwrap();
        let held: Vec<Place> =
            (0..CONNECTIONS_OF_SENDER_MAX).filter_map(|_| places.take(sender, begun)).collect();
        let later = begun + IDLE_MIN;
        held.iter().skip(1).for_each(|place| place.heard(later));
        assert!(places.take(sender, later - Duration::from_secs(1)).is_none());
        let fresh = places.take(sender, later);
        assert!(fresh.is_some() && held[0].leave.is_cancelled());
        assert!(held.iter().skip(1).all(|place| !place.leave.is_cancelled()));
        assert!(places.take(sender, later).is_none(), "all others were heard of late");
    }
}
