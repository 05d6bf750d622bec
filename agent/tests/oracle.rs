//! Lines that others have annotated, where they are at hand: what a format makes of them is compared with what their owners say.
//! The lines are not part of this project; without them the tests say so and pass.
#![expect(
    clippy::print_stderr,
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
        let (mut right, mut wrong) = (0, 0);
        for (service, (yes, no)) in &self.services {
            eprintln!("{service:<40} {yes:>5} right {no:>4} wrong");
            right += yes;
            wrong += no;
        }
        for line in &self.wrong {
            eprintln!("  {line}");
        }
        let share = right as f64 / (right + wrong).max(1) as f64;
        eprintln!("{right} right, {wrong} wrong: {:.2} %", share * 100.0);
        share
    }
}

#[test]
fn refused_log_ins_of_many_services_have_their_host_and_time() {
    let Some(folder) = material("fail2ban/logs") else { return };
    // The annotations are in this zone, and of a day in August 2005 where a line has no year.
    let zone = TimeZone::get("Europe/Zurich").expect("a zone");
    let observed = "2005-08-14T10:00:00Z".parse().expect("a time");
    let context = Context::at(observed, zone.clone());
    let mut table = Table::default();
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("a folder").filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.is_file()) {
        let service = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let text = String::from_utf8_lossy(&fs::read(path).expect("a file")).into_owned();
        let mut note: Option<serde_json::Value> = None;
        for line in text.lines() {
            if let Some(json) = line.strip_prefix("# failJSON:") {
                note = serde_json::from_str(json.trim()).ok();
                continue;
            }
            if line.starts_with('#') || line.is_empty() {
                continue;
            }
            let Some(note) = note.take() else { continue };
            let host = note["host"].as_str().unwrap_or_default();
            // Some attackers are only named on another line of the same connection.
            if note["match"] != true || !line.contains(host) {
                continue;
            }
            let (event, known) = read(line, &context);
            let found = source(&event);
            let told = note["time"].as_str().unwrap_or_default();
            let at = Timestamp::from_nanosecond(i128::from(event.time().0)).expect("a time");
            let local = at.to_zoned(zone.clone()).datetime();
            let host_right =
                host.parse::<std::net::IpAddr>().map_or(true, |host| found.parse() == Ok(host));
            // Some annotations leave a line's own zone out and repeat its clock.
            let utc = at.to_zoned(TimeZone::UTC).datetime();
            let local =
                if line.contains("Z\"") && told == utc.strftime("%Y-%m-%dT%H:%M:%S").to_string() {
                    utc
                } else {
                    local
                };
            let time_right = told.parse::<jiff::civil::DateTime>().map_or(true, |told| {
                (told.date(), told.hour(), told.minute(), told.second())
                    == (local.date(), local.hour(), local.minute(), local.second())
            });
            let refused = event.activity().is_some_and(|a| a.status() == Status::Failure);
            table.count(service, known && host_right && time_right, || {
                format!("[{} {found} {local}, wanted {host} {told}] {line}", event.format())
            });
            if !refused {
                eprintln!("not a refusal: {service} [{}]: {line}", event.format());
            }
        }
    }
    let share = table.print();
    // What is measured today; it may only rise.
    assert!(share >= 0.985, "{share}");
}

/// What is said of one line.
#[derive(Default)]
struct Said {
    message: String,
    success: bool,
    fields: BTreeMap<String, String>,
}

/// `results["STAGE"]["PARSER"][N].Evt.Meta["KEY"] == "VALUE"`.
fn assertion(line: &str) -> Option<(String, String, String)> {
    let rest = &line[line.find("results[")?..];
    let (place, rest) = rest.split_once("].")?;
    let (field, value) = rest.split_once(" == ")?;
    let field = field.strip_prefix("Evt.").unwrap_or(field).trim_end_matches(')').to_owned();
    let value = value
        .strip_prefix('"')
        .and_then(|value| serde_json::from_str::<String>(&format!("\"{value}")).ok())
        .unwrap_or_else(|| value.to_owned());
    Some((place.to_owned(), field, value))
}

/// What an annotation's field is called here, and how it is found in an event.
fn found(event: &Event, field: &str) -> Option<String> {
    let activity = event.activity()?;
    let http = activity.http.clone().unwrap_or_default();
    Some(match field {
        "Meta[\"source_ip\"]" => source(event),
        "Meta[\"user\"]" | "Meta[\"username\"]" | "Meta[\"target_user\"]" => {
            activity.user_name.clone()
        }
        "Meta[\"http_path\"]" => http.url,
        "Meta[\"http_status\"]" => http.status_code.to_string(),
        "Meta[\"http_verb\"]" => http.http_method,
        "Meta[\"http_user_agent\"]" => http.user_agent,
        "Parsed[\"http_version\"]" => {
            http.version.rsplit('/').next().unwrap_or_default().to_owned()
        }
        "Parsed[\"http_referer\"]" => http.referrer,
        "Parsed[\"body_bytes_sent\"]" => http.response_bytes.to_string(),
        "Meta[\"timestamp\"]" | "Meta[\"timestamp\"][4:]" => event.time().to_string(),
        "Meta[\"machine\"]" => event.device().to_owned(),
        _ => return None,
    })
}

/// Whether two times are of one second; one that begins behind its year is of any.
fn same_second(found: &str, wanted: &str) -> bool {
    if wanted.starts_with('-') {
        return found.get(4..19).is_some_and(|found| wanted.starts_with(found));
    }
    let second = |text: &str| text.parse::<Timestamp>().ok().map(Timestamp::as_second);
    second(found).is_some() && second(found) == second(wanted)
}

/// Whether a time is a line's own clock with an offset behind it, read as if it were UTC.
fn repeats_clock(line: &str, wanted: &str) -> bool {
    let Some(clock) = wanted.get(..19).map(|clock| clock.replace('T', " ")) else { return false };
    let rest = line.split_once(&clock).map_or("", |(_, rest)| rest);
    let rest = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    wanted.ends_with('Z')
        && rest.starts_with([' ', '+', '-'])
        && rest.trim_start().starts_with(['+', '-'])
}

/// Whether what is found is what is said.
fn agrees(line: &str, field: &str, found: &str, wanted: &str) -> bool {
    let empty = |text: &str| matches!(text, "" | "-" | "N/A" | "0");
    let address = |text: &str| {
        let address: Option<std::net::IpAddr> = text.parse().ok();
        address.map(|address| address.to_canonical())
    };
    let time = field.contains("timestamp");
    let path = field.contains("http_path");
    found == wanted
        || (time && same_second(found, wanted))
        // Some annotations leave a line's own zone out and repeat its clock.
        || (time && repeats_clock(line, wanted))
        || (address(wanted).is_some() && address(found) == address(wanted))
        || found == wanted.trim_matches('\'')
        || (empty(wanted) && empty(found))
        || (path && (found.split('?').next() == Some(wanted) || found.ends_with(wanted)))
}

#[test]
fn fields_that_others_assert_are_found() {
    let Some(folder) = material("crowdsec/tests") else { return };
    let context = Context::at(Time::now(), TimeZone::UTC);
    let mut table = Table::default();
    let mut folders: Vec<_> =
        fs::read_dir(folder).expect("a folder").filter_map(|e| Some(e.ok()?.path())).collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let Ok(assert) = fs::read_to_string(folder.join("parser.assert")) else { continue };
        let config = fs::read_to_string(folder.join("config.yaml")).unwrap_or_default();
        let value = |key: &str| {
            config
                .lines()
                .find_map(|line| Some(line.strip_prefix(key)?.trim().trim_matches('"').to_owned()))
        };
        let Some(log) = value("log_file:").and_then(|file| fs::read(folder.join(file)).ok()) else {
            continue;
        };
        let log = String::from_utf8_lossy(&log).into_owned();
        let mut all: BTreeMap<String, Said> = BTreeMap::new();
        for line in assert.lines() {
            let Some((place, field, value)) = assertion(line) else { continue };
            if place.contains("s00-raw") {
                continue;
            }
            let said = all.entry(place).or_default();
            match field.as_str() {
                "Success" => said.success = value == "true",
                "Parsed[\"message\"]" => said.message = value,
                "Line.Raw" => said.message = value,
                _ => {
                    said.fields.insert(field, value);
                }
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        for said in all.values().filter(|said| said.success && !said.message.is_empty()) {
            // A message may be the end of one line and the middle of another, and of several lines: one of them is meant.
            let message = said.message.trim();
            let mut lines: Vec<&str> =
                log.lines().filter(|line| line.trim_end().ends_with(message)).collect();
            if lines.is_empty() {
                lines.extend(log.lines().find(|line| line.contains(message)));
            }
            let events: Vec<(&str, Event)> =
                lines.iter().map(|line| (*line, read(line, &context).0)).collect();
            let Some((first, event)) = events.first() else { continue };
            for (field, wanted) in &said.fields {
                let Some(told) = found(event, field) else { continue };
                if !seen.insert((*first, field.clone(), wanted.clone())) {
                    continue;
                }
                let right = events.iter().any(|(line, event)| {
                    found(event, field).is_some_and(|found| agrees(line, field, &found, wanted))
                });
                table.count(&name, right, || {
                    format!("[{} {field} is {told:?}, wanted {wanted:?}] {first}", event.format())
                });
            }
        }
    }
    let share = table.print();
    assert!(share >= 0.95, "{share}");
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
