//! Fields of lines of many services, as others assert them.

use super::*;

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

