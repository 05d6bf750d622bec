//! Where portals tell what citizens use.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use vonggac_daemon::settings::Table;

use crate::source::usage_map::{Meaning, UsageMap};

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

/// The loopback endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageHttpConfig {
    /// An address of this host alone.
    pub listen: SocketAddr,
    /// The system that events without one speak of.
    pub system: String,
}

/// A folder into which portals drop files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageDropConfig {
    /// The folder.
    pub folder: PathBuf,
    /// The system that events without one speak of.
    pub system: String,
    /// What a table's columns mean, by their names.
    pub columns: Vec<(String, String)>,
    /// What every row says that has no column for it.
    pub fields: Vec<(String, String)>,
    /// How long a taken file is kept.
    pub keep: Duration,
}

/// Long enough to ask the portal's makers about a mistake.
const KEEP: Duration = Duration::from_secs(30 * 86_400);

/// Usage beside the socket.
#[derive(Clone, Debug, Default)]
pub struct UsageConfig {
    /// The loopback endpoint; `None`: none.
    pub http: Option<UsageHttpConfig>,
    /// Folders.
    pub drops: Vec<UsageDropConfig>,
    /// What paths of access logs mean.
    pub map: UsageMap,
}

/// The first of each key's values.
fn singles(pairs: Vec<(String, Vec<String>)>) -> Vec<(String, String)> {
    pairs.into_iter().map(|(key, values)| (key, values.join(" "))).collect()
}

impl UsageConfig {
    pub(super) fn take(table: &mut Table<'_>, system: &str) -> Self {
        let http = table.table("http", |http| {
            let listen: Option<SocketAddr> =
                http.parsed("listen", "a loopback address like \"127.0.0.1:8600\"");
            let system = http.text("system").unwrap_or_else(|| system.to_owned());
            if let Some(address) = listen.filter(|address| !address.ip().is_loopback()) {
                let wrong =
                    format!("{address} is not of this host alone; wanted a loopback address");
                http.wrong("listen", wrong);
            }
            listen.map(|listen| UsageHttpConfig { listen, system })
        });
        let drops = table.tables("drop", |drop| UsageDropConfig {
            folder: drop.text_required("folder").into(),
            system: drop.text("system").unwrap_or_else(|| system.to_owned()),
            columns: singles(drop.pairs("columns")),
            fields: singles(drop.pairs("fields")),
            keep: drop
                .duration("keep", Duration::from_secs(60), Duration::from_secs(3_660 * 86_400))
                .unwrap_or(KEEP),
        });
        let meanings = table.tables("map", |map| Meaning {
            path: map.text_required("path"),
            method: map.text("method").unwrap_or_default(),
            host: map.text("host").unwrap_or_default(),
            kind: map.text_required("kind"),
            step: map.text("step").unwrap_or_default(),
            service: map.text("service").unwrap_or_default(),
            system: map.text("system").unwrap_or_default(),
            fields: singles(map.pairs("fields")),
        });
        // What is missing was told already.
        let whole =
            meanings.iter().all(|meaning| !meaning.path.is_empty() && !meaning.kind.is_empty());
        let map = match UsageMap::new(if whole { meanings } else { Vec::new() }) {
            Ok(map) => map,
            Err((number, error)) => {
                table.wrong(&format!("map[{number}]"), error);
                UsageMap::default()
            }
        };
        Self { http, drops, map }
    }
}
