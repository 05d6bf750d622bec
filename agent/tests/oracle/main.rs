//! Lines that others have annotated, where they are at hand: what a format makes of them is compared with what their owners say.
//! The lines are not part of this project; without them the tests say so and pass.
#![expect(
    clippy::print_stderr,
    clippy::expect_used,
    reason = "a table is printed, and a test stops where its ground is missing"
)]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use jiff::{Timestamp, tz::TimeZone};
use vonggac_agent::format::{self, Context};
use vonggac_wire::{
    Event, Time,
    event::{Activity, Status},
};

mod audit;
mod fields;
mod refusals;

/// The folder of annotated lines, if there is one.
fn material(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/material").join(name);
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: there is no {}", path.display());
    None
}

fn read(line: &str, context: &Context) -> (Event, bool) {
    format::event("auto", line.as_bytes(), 0, context)
}

fn source(event: &Event) -> String {
    event.activity().and_then(Activity::source_address).map(|a| a.to_string()).unwrap_or_default()
}

/// Right and wrong by service, and the wrong lines.
#[derive(Default)]
struct Table {
    services: BTreeMap<String, (usize, usize)>,
    wrong: Vec<String>,
}

impl Table {
    fn count(&mut self, service: &str, right: bool, told: impl FnOnce() -> String) {
        let counts = self.services.entry(service.to_owned()).or_default();
        if right {
            counts.0 += 1;
        } else {
            counts.1 += 1;
            self.wrong.push(format!("{service}: {}", told()));
        }
    }

    /// Prints the table and gives the share that is right.
    fn print(&self) -> f64 {
        for (service, (yes, no)) in &self.services {
            eprintln!("{service:<40} {yes:>5} right {no:>4} wrong");
        }
        for line in &self.wrong {
            eprintln!("  {line}");
        }
        let (right, wrong) = self.sums();
        eprintln!("{right} right, {wrong} wrong: {:.2} %", self.share() * 100.0);
        self.share()
    }

    fn sums(&self) -> (usize, usize) {
        self.services.values().fold((0, 0), |(right, wrong), (yes, no)| (right + yes, wrong + no))
    }

    /// The share that is right.
    fn share(&self) -> f64 {
        let (right, wrong) = self.sums();
        right as f64 / (right + wrong).max(1) as f64
    }
}

#[test]
fn every_line_of_a_real_access_log_is_understood_whole() {
    let Some(file) = material("elastic-examples/apache_logs/apache_logs") else { return };
    let text = String::from_utf8_lossy(&fs::read(file).expect("a file")).into_owned();
    let context = Context::at(Time::now(), TimeZone::UTC);
    let (mut lines, mut wrong) = (0, Vec::new());
    for line in text.lines() {
        let (event, known) = read(line, &context);
        let http = event.activity().and_then(|activity| activity.http.clone()).unwrap_or_default();
        // What the parts say is the line again.
        let head = format!("{} - ", source(&event));
        let at = Timestamp::from_nanosecond(i128::from(event.time().0)).expect("a time");
        let time = at.to_zoned(TimeZone::UTC).strftime("[%d/%b/%Y:%H:%M:%S +0000]").to_string();
        let request = format!("\"{} {} {}\"", http.http_method, http.url, http.version);
        let code = format!("\" {} ", http.status_code);
        let right = known
            && event.format() == "combined"
            && line.starts_with(&head)
            && line.contains(&time)
            && line.contains(&request)
            && line.contains(&code)
            && line.contains(&http.referrer)
            && line.replace("\\\"", "\"").contains(&http.user_agent);
        lines += 1;
        if !right {
            wrong.push(line);
        }
    }
    eprintln!("{lines} lines, {} wrong", wrong.len());
    for line in &wrong {
        eprintln!("  {line}");
    }
    assert!(lines == 10_000 && wrong.is_empty());
}

#[test]
fn awkward_logs_lose_no_line() {
    let Some(folder) = material("lnav/test") else { return };
    let context = Context::at(Time::now(), TimeZone::UTC);
    let mut lines = 0;
    for path in fs::read_dir(folder).expect("a folder").filter_map(|e| Some(e.ok()?.path())) {
        let Ok(bytes) = fs::read(&path) else { continue };
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let (event, _) = format::event("auto", line, 0, &context);
            assert!(!event.raw().is_empty(), "{}", path.display());
            lines += 1;
        }
    }
    eprintln!("{lines} lines kept");
    assert!(lines > 100);
}
