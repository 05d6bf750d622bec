//! What systemd is told: ready, reloading, stopping, how it goes, and that the agent is alive. Without systemd nothing is told.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use vonggac_wire::Time;

use crate::occurrence::Occurrences;

/// How often the sentence that `systemctl status` shows is renewed.
const SENTENCE_INTERVAL: Duration = Duration::from_secs(10);

/// Feeds at most this often: the shortest watchdog that makes sense is several times longer.
const FEED_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

pub(super) fn reloading() {
    let began = NotifyState::monotonic_usec_now();
    let states: Vec<_> = [NotifyState::Reloading].into_iter().chain(began).collect();
    tell(&states);
}

pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("delivering what is on its way")]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// Feeds the watchdog as long as every part moves.
pub(super) struct Supervisor {
    watchdog: bool,
    fed_at: Option<Instant>,
    sentence_at: Option<Instant>,
    is_overdue: bool,
}

impl Default for Supervisor {
    fn default() -> Self {
        let watchdog = sd_notify::watchdog_enabled().is_some();
        Self { watchdog, fed_at: None, sentence_at: None, is_overdue: false }
    }
}

impl Supervisor {
    /// At each turn of the clockwork.
    pub(super) fn told(&mut self, occurrences: &Occurrences, now: Time) {
        let at = Instant::now();
        let is_due =
            |last: Option<Instant>, every| last.is_none_or(|last| at.duration_since(last) >= every);
        match occurrences.overdue() {
            Some(part) if !self.is_overdue => {
                self.is_overdue = true;
                tracing::error!(
                    part = part.name(),
                    "a part of the agent is stuck; the watchdog is not fed"
                );
            }
            Some(_) => {}
            None => {
                self.is_overdue = false;
                if self.watchdog && is_due(self.fed_at, FEED_INTERVAL) {
                    self.fed_at = Some(at);
                    tell(&[NotifyState::Watchdog]);
                }
            }
        }
        if is_due(self.sentence_at, SENTENCE_INTERVAL) {
            self.sentence_at = Some(at);
            tell(&[NotifyState::Status(&sentence(occurrences, now))]);
        }
    }
}

/// For `systemctl status`.
fn sentence(occurrences: &Occurrences, now: Time) -> String {
    let (read, unparsed) = occurrences.lines();
    let delivery = match occurrences.last_delivery() {
        Some(at) => {
            format!("last delivery {:.0} s ago", now.seconds_since(Time::from_seconds(at)).max(0.0))
        }
        None => "nothing delivered yet".into(),
    };
    format!("{read} lines read ({unparsed} unparsed), {delivery}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use vonggac_wire::Lane;

    #[test]
    fn the_sentence_tells_lines_and_the_last_delivery() {
        let (occurrences, now) = (Occurrences::new().unwrap(), Time::from_seconds(1_764_000_000));
        occurrences.lines_read(5, 1);
        assert_eq!(sentence(&occurrences, now), "5 lines read (1 unparsed), nothing delivered yet");
        occurrences.batch_delivered(Lane::Usage, 5, now.seconds() - 3);
        assert!(sentence(&occurrences, now).ends_with("last delivery 3 s ago"));
    }
}
