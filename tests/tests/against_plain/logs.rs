//! Lines of real logs that others have collected, as the agent reads them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;
use vonggac_agent::format::{self, Context};
use vonggac_wire::{Event, Time};

use super::material::material;

/// Each so-many-th line of all logs; `None`: they are not at hand.
pub(crate) fn events(apart: usize) -> Option<Vec<Event>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for (folder, end) in [
        ("crowdsec/tests", ".log"),
        ("fail2ban/logs", ""),
        ("elastic-examples/apache_logs", ""),
        ("go-libaudit", ".log"),
    ] {
        walk(&material(folder)?, end, &mut files);
    }
    files.sort();
    let observed = Time::from_seconds(1_795_000_000);
    let context = Context::at(observed, TimeZone::UTC);
    let mut events = Vec::new();
    let mut number = 0;
    for file in files {
        let bytes = fs::read(&file).expect("a log");
        for line in bytes.split(|byte| *byte == b'\n') {
            // A line of fail2ban's that annotates the next is none.
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            number += 1;
            if number % apart == 0 {
                let (event, _) = format::event("auto", line, 0, &context);
                events.push(event);
            }
        }
    }
    Some(events)
}

fn walk(folder: &Path, end: &str, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, end, files);
        } else if path.to_string_lossy().ends_with(end) {
            files.push(path);
        }
    }
}
