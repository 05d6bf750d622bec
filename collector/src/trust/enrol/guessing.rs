//! Who guesses tokens is told to the incident book: a signal for each time that an address is silenced.
//!
//! Enrolment is open before Kafka and the engine are there, so what it finds waits in a short queue until somebody can tell it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use vonggac_daemon::peer::network;
use vonggac_wire::{
    Time,
    proto::{Entity, Origin, Signal},
};

use super::guard::{WINDOW, WRONG_MAX};
use crate::{centre, kafka::Producer, pipeline::send_signals, registry::Registry, rule::RuleSet};

/// The rule, and where its signals say that they come from.
pub const RULE: &str = "token-guessing";

/// Addresses that wait to be told: more guess at once only where one network plays many, and then these say so.
const WAITING_MAX: usize = 64;

/// An address that was silenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silenced {
    /// Whose.
    pub address: IpAddr,
    /// When.
    pub at: Time,
}

/// Where it is told to. What finds no place is left out: it was counted and written to the log.
#[derive(Clone, Debug)]
pub struct Guessing(mpsc::Sender<Silenced>);

impl Guessing {
    /// A way, and its end.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Silenced>) {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        (Self(sender), waiting)
    }

    /// Tells, and waits for nobody.
    pub fn tell(&self, address: IpAddr, at: Time) {
        if self.0.try_send(Silenced { address: network(address), at }).is_err() {
            tracing::warn!(%address, "guessed tokens are not told as a signal: too many wait");
        }
    }
}

/// Makes signals of what comes, until `stop`.
pub async fn run(
    mut waiting: mpsc::Receiver<Silenced>,
    (registry, rules): (Arc<Registry>, Arc<RuleSet>),
    producer: Producer,
    stop: CancellationToken,
) {
    loop {
        let silenced = tokio::select! {
            () = stop.cancelled() => return,
            silenced = waiting.recv() => silenced,
        };
        let Some(silenced) = silenced else { return };
        if let Some(signal) = signal(silenced, &registry, &rules) {
            send_signals(&producer, &[signal]).await;
        }
    }
}

/// The signal. An address is silenced once in a window, so the window's number says which one it is.
fn signal(silenced: Silenced, registry: &Registry, rules: &RuleSet) -> Option<Signal> {
    let meta = rules.machine(RULE)?;
    let address = silenced.address.to_string();
    let begun = silenced.at.minus(WINDOW.saturating_sub(Duration::from_secs(1)));
    let mut signal = Signal {
        entity: Some(Entity { kind: "src_ip".into(), value: address.clone() }),
        group: address.clone(),
        count: u64::from(WRONG_MAX),
        first_time_unix_nano: begun.0,
        origin: Some(Origin { topic: RULE.into(), partition: 0, offset: silenced.at.seconds() }),
        ..centre::signal(RULE, meta.severity, registry, silenced.at)
    };
    let count = WRONG_MAX.to_string();
    signal.values.extend([("src_ip".to_owned(), address), ("count".to_owned(), count)]);
    Some(signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_guesses_is_a_signal_of_the_centre_and_each_time_another_one() {
        let (registry, rules) = (Registry::builtin().unwrap(), RuleSet::builtin().unwrap());
        let at = Time::from_seconds(1_793_534_400);
        let silenced = Silenced { address: "203.0.113.7".parse().unwrap(), at };
        let first = signal(silenced, &registry, &rules).unwrap();
        assert_eq!((first.agency.as_str(), first.count), ("G22", u64::from(WRONG_MAX)));
        let entity = first.entity.clone().unwrap();
        assert_eq!((entity.kind.as_str(), entity.value.as_str()), ("src_ip", "203.0.113.7"));
        let again = Silenced { at: at.plus(WINDOW), ..silenced };
        let again = signal(again, &registry, &rules).unwrap();
        let offset = |signal: &Signal| signal.origin.as_ref().map(|origin| origin.offset);
        assert!(offset(&again) > offset(&first));
    }

    #[test]
    fn what_finds_no_place_is_left_out_and_keeps_nobody_waiting() {
        let (guessing, mut waiting) = Guessing::new();
        for last in 0..=u8::try_from(WAITING_MAX).unwrap() {
            guessing.tell(IpAddr::from([203, 0, 113, last]), Time::from_seconds(1));
        }
        let told = std::iter::from_fn(|| waiting.try_recv().ok()).count();
        assert_eq!(told, WAITING_MAX);
    }
}
