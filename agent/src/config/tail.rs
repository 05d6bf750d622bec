//! Log files.

use vonggac_daemon::settings::Table;

/// Where the reading of a file begins that was never read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailFrom {
    /// At its first byte.
    Start,
    /// At its end, for files that exist when the agent first sees them.
    End,
}

/// Files to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailConfig {
    /// A path, or a pattern with `*`, `?`, `[..]`.
    pub path: String,
    /// A format's name, or "auto".
    pub format: String,
    /// The system that the lines speak of.
    pub system: String,
    /// Where to begin.
    pub from: TailFrom,
}

impl TailConfig {
    pub(super) fn take(table: &mut Table<'_>, system: &str) -> Self {
        let from = table.text("from").unwrap_or_else(|| "start".into());
        if !matches!(from.as_str(), "start" | "end") {
            table.wrong("from", format!("is {from:?}; wanted \"start\" or \"end\""));
        }
        let format = table.text("format").unwrap_or_else(|| "auto".into());
        if !crate::format::is_known(&format) {
            let known = crate::format::names().join(", ");
            table.wrong("format", format!("{format:?} is no format; known: auto, {known}"));
        }
        Self {
            path: table.text_required("path"),
            format,
            system: table.text("system").unwrap_or_else(|| system.to_owned()),
            from: if from == "end" { TailFrom::End } else { TailFrom::Start },
        }
    }
}
