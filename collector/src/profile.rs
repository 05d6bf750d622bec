//! Named sets of defaults by the size of what is watched: `profile = "small"`, `"medium"` or `"national"`. A setting that is given wins over
//! its profile. Which one fits is told by [`sizing`](crate::sizing) and `deploy/SIZING.md`.

use std::{str::FromStr, time::Duration};

use crate::config;

/// Defaults of the settings that depend on size.
///
/// | | small | medium | national |
/// |---|---|---|---|
/// | `kafka.partitions` | 4 | 12 | 48 |
/// | `kafka.replication` | 1 | 3 | 3 |
/// | `block.rows_max` | 50,000 | 50,000 | 100,000 |
/// | `block.bytes_max` | 32 MiB | 32 MiB | 64 MiB |
/// | `block.interval` | 500 ms | 500 ms | 1 s |
///
/// * **Partitions** bound how many collectors can share the work, and cannot be changed later without moving agencies from one to another:
///   4 for a machine that may be joined by three, 12 for up to twelve, 48 divides evenly among 2, 3, 4, 6, 8, 12, 16 and 24 collectors.
/// * **Replication**: one machine has one broker; three copies bear the loss of one broker while another is being repaired.
/// * **Rows of a block**: with 1.5 KB of memory a row at most on average, 50,000 rows are 75 MB, 100,000 are 150 MB, and both leave room below
///   the 250 MB that a collector may take. A nation's collector reaches them only while it catches up.
/// * **Bytes of a block**: records on Kafka are 250 to 600 bytes an event, so rows are the nearer limit; bytes bound a block of long lines.
/// * **Interval**: each block is at least one part of a table on each shard, and each part a file with its fsync. `collectors / interval` inserts
///   a second reach a shard: 4 / 0.5 s = 8 for one machine, 12 / 0.5 s = 24 at the end of medium. 24 collectors of a nation at 500 ms would
///   be 48, and are 24 at one second. It is the greater part of the delay from event to row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// As the setting names it.
    pub name: &'static str,
    /// Partitions of each topic of events.
    pub partitions: u64,
    /// Copies of each partition.
    pub replication: u64,
    /// Rows of a block.
    pub block_rows_max: u64,
    /// Bytes of records gathered for a block.
    pub block_bytes_max: u64,
    /// How long a block is gathered.
    pub block_interval: Duration,
    /// Events a second at the busiest hour up to which it is meant; `None`: above all others.
    pub events_per_second_max: Option<u32>,
}

/// One machine: an agency, a province. What holds where no profile is named.
pub const SMALL: Profile = Profile {
    name: "small",
    partitions: config::PARTITIONS,
    replication: 1,
    block_rows_max: config::BLOCK_ROWS_MAX,
    block_bytes_max: config::BLOCK_BYTES_MAX,
    block_interval: config::BLOCK_INTERVAL,
    events_per_second_max: Some(5_000),
};

/// A few machines: a ministry, a large city.
pub const MEDIUM: Profile = Profile {
    name: "medium",
    partitions: 12,
    replication: 3,
    events_per_second_max: Some(50_000),
    ..SMALL
};

/// A cluster: the nation.
pub const NATIONAL: Profile = Profile {
    name: "national",
    partitions: 48,
    replication: 3,
    block_rows_max: 100_000,
    block_bytes_max: 64 << 20,
    block_interval: Duration::from_secs(1),
    events_per_second_max: None,
};

/// What a collector may take beside its engine.
pub const MEMORY_BYTES_MAX: u64 = 250_000_000;

/// All of them, the smallest first.
pub const ALL: [Profile; 3] = [SMALL, MEDIUM, NATIONAL];

/// What a setting must be.
pub const WANTED: &str = "\"small\", \"medium\" or \"national\"";

impl FromStr for Profile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ALL.into_iter().find(|profile| profile.name == text).ok_or("no profile has that name")
    }
}

impl Profile {
    /// The smallest that is meant for so many events a second.
    #[must_use]
    pub fn for_events(per_second: f64) -> Self {
        let fits = |profile: &Self| {
            profile.events_per_second_max.is_none_or(|most| per_second <= f64::from(most))
        };
        ALL.into_iter().find(fits).unwrap_or(NATIONAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::row::NewRow;

    #[test]
    fn a_block_of_each_profile_leaves_room_below_what_a_collector_may_take() {
        for profile in ALL {
            // The row and its event; its texts are no more than the records that they were read from.
            let row = size_of::<NewRow>() + vonggac_wire::Event::BYTES_BESIDE_TEXTS;
            let rows = profile.block_rows_max * row as u64;
            let bytes = rows + 2 * profile.block_bytes_max;
            assert!(bytes < MEMORY_BYTES_MAX, "{}: {bytes}", profile.name);
        }
    }

    #[test]
    fn a_profile_is_found_by_its_name_and_by_what_comes() {
        for profile in ALL {
            assert_eq!(profile.name.parse(), Ok(profile));
        }
        assert!("large".parse::<Profile>().is_err());
        let name = |events| Profile::for_events(events).name;
        assert_eq!(
            [name(0.0), name(5_000.0), name(5_001.0), name(1e9)],
            ["small", "small", "medium", "national"]
        );
    }
}
