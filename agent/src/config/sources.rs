//! The journal and the host's figures.

use std::time::Duration;

use vonggac_daemon::settings::Table;

/// The systemd journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Read it where there is one.
    pub enabled: bool,
}

impl JournalConfig {
    pub(super) fn take(table: &mut Table<'_>) -> Self {
        Self { enabled: table.bool("enabled").unwrap_or(false) }
    }
}

/// The host's figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostConfig {
    /// Take them.
    pub enabled: bool,
    /// How often.
    pub interval: Duration,
}

/// Often enough to see a disk fill, seldom enough to cost nothing.
const HOST_INTERVAL: Duration = Duration::from_secs(15);

impl HostConfig {
    pub(super) fn take(table: &mut Table<'_>) -> Self {
        Self {
            enabled: table.bool("enabled").unwrap_or(true),
            interval: table
                .duration("interval", Duration::from_secs(1), Duration::from_secs(3600))
                .unwrap_or(HOST_INTERVAL),
        }
    }
}
