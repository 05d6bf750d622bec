//! Where portals tell what citizens use.

use std::path::PathBuf;

use vonggac_daemon::settings::Table;

/// The socket for usage events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketConfig {
    /// Its path.
    pub path: PathBuf,
    /// The system that events without one speak of.
    pub system: String,
}

impl SocketConfig {
    pub(super) fn take(table: &mut Table<'_>, system: &str) -> Option<Self> {
        let system = table.text("system").unwrap_or_else(|| system.to_owned());
        table.path("path").map(|path| Self { path, system })
    }
}
