//! The journal and the host's figures.

use std::{path::PathBuf, time::Duration};

use vonggac_daemon::settings::Table;

/// The systemd journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// Read it where there is one.
    pub enabled: bool,
    /// The folder of its files; `None`: this host's own.
    pub folder: Option<PathBuf>,
    /// Where to begin in a journal that was never read.
    pub from: JournalFrom,
}

/// Where reading begins that has no past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalFrom {
    /// At its first entry.
    Start,
    /// Behind its last.
    End,
}

impl JournalConfig {
    pub(super) fn take(table: &mut Table<'_>) -> Self {
        let from = match table.text("from").as_deref() {
            None | Some("end") => JournalFrom::End,
            Some("start") => JournalFrom::Start,
            Some(other) => {
                table.wrong("from", format!("is {other:?}; wanted \"start\" or \"end\""));
                JournalFrom::End
            }
        };
        Self { enabled: table.bool("enabled").unwrap_or(false), folder: table.path("folder"), from }
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
