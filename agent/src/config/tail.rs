//! Log files.

use std::time::Duration;

use vonggac_daemon::settings::Table;

/// Where the reading of a file begins that was never read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailFrom {
    /// At its first byte.
    Start,
    /// At its end, for files that exist when the agent first sees them.
    End,
}

/// Which lines belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Multiline {
    /// Each stands alone.
    Off,
    /// Stack traces and indented lines belong to the line before.
    Auto,
    /// A record begins where this pattern matches.
    Start(String),
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
    /// Which lines belong together.
    pub multiline: Multiline,
    /// Look at the files at this interval instead of waiting for the kernel to tell of changes: for folders of another machine (NFS,
    /// SMB), whose changes no kernel tells. `None`: be told, and look often all the same.
    pub poll: Option<Duration>,
    /// Lines that one file may give; beyond it is read more slowly, and nothing is lost.
    pub lines_per_second_max: Option<u64>,
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
        let multiline = table.table("multiline", |multiline| {
            let start = multiline.text("start");
            let mode = multiline.text("mode").unwrap_or_else(|| "auto".into());
            if !matches!(mode.as_str(), "auto" | "off") {
                multiline.wrong("mode", format!("is {mode:?}; wanted \"auto\" or \"off\""));
            }
            if let Some(Err(error)) = start.as_deref().map(regex::bytes::Regex::new) {
                multiline.wrong("start", format!("is no pattern: {error}"));
            }
            match (start, mode.as_str()) {
                (Some(start), _) => Multiline::Start(start),
                (None, "off") => Multiline::Off,
                (None, _) => Multiline::Auto,
            }
        });
        Self {
            multiline,
            poll: table.duration("poll", Duration::from_millis(100), Duration::from_secs(3_600)),
            lines_per_second_max: table.integer("lines_per_second_max", 1, 100_000_000),
            path: table.text_required("path"),
            format,
            system: table.text("system").unwrap_or_else(|| system.to_owned()),
            from: if from == "end" { TailFrom::End } else { TailFrom::Start },
        }
    }
}
