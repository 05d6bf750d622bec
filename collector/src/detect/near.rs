//! What detection has seen and not told: windows that are not full. Asked for by whoever wonders why it is quiet.

use std::collections::HashSet;

use vonggac_wire::Time;

use super::Detector;

/// Windows of one answer of a partition: the fullest.
pub const NEAR_MAX: usize = 200;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct About {
    /// At this agency and those under it.
    pub agency: String,
    /// The hosts of these agencies, with their agency: the windows of an address are the nation's.
    pub hosts: Vec<(String, String)>,
    /// Of this rule; empty: of all.
    pub rule: String,
    /// With a match since then.
    pub since: Time,
}

/// A rule that saw something of an entity and did not fire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Near {
    /// The rule under whose name it would be told.
    pub rule: String,
    /// About whom.
    pub entity: String,
    /// What the matches in the window weigh.
    pub count: u64,
    /// What they have to weigh.
    pub wanted: u64,
    /// How long the window is.
    pub window_seconds: u64,
    /// The newest match.
    pub last: Time,
}

impl Near {
    /// The fullest first, by the share of what is wanted; then by name, so that an answer is the same each time.
    pub fn sort(all: &mut [Self]) {
        all.sort_by(|a, b| {
            let (one, other) = (a.count.saturating_mul(b.wanted), b.count.saturating_mul(a.wanted));
            other.cmp(&one).then_with(|| (&a.rule, &a.entity).cmp(&(&b.rule, &b.entity)))
        });
    }
}

impl Detector {
    /// Windows that are not full, the fullest first.
    #[must_use]
    pub fn near(&self, about: &About) -> Vec<Near> {
        let places: HashSet<u64> =
            about.hosts.iter().map(|(agency, host)| super::window::place(agency, host)).collect();
        let mut all = self.windows.near(&self.rules, about, &places);
        Near::sort(&mut all);
        all.truncate(NEAR_MAX);
        all
    }
}
