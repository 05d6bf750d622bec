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

/// Whether two times are the same as far as the one that is said goes; one that begins behind its year is of any.
fn same_time(found: &str, wanted: &str) -> bool {
    if wanted.starts_with('-') {
        return found.get(4..) == Some(wanted);
    }
    let (Ok(found), Ok(said)) = (found.parse::<Timestamp>(), wanted.parse::<Timestamp>()) else {
        return false;
    };
    let digits = wanted
        .split_once('.')
        .map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count().min(9) as u32);
    let unit = 10_i128.pow(9 - digits);
    found.as_nanosecond().div_euclid(unit) == said.as_nanosecond().div_euclid(unit)
}

/// Whether what is found is what is said.
fn agrees(field: &str, found: &str, wanted: &str) -> bool {
    let empty = |text: &str| matches!(text, "" | "-" | "0");
    let address = |text: &str| {
        let address: Option<std::net::IpAddr> = text.parse().ok();
        address.map(|address| address.to_canonical())
    };
    found == wanted
        || (field.contains("timestamp") && same_time(found, wanted))
        || (address(wanted).is_some() && address(found) == address(wanted))
        || (empty(wanted) && empty(found))
        // There the path ends before the query.
        || (field.contains("http_path") && found.split('?').next() == Some(wanted))
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
        let mut all: BTreeMap<(String, usize), Said> = BTreeMap::new();
        for line in assert.lines() {
            let Some((place, field, value)) = assertion(line) else { continue };
            if place.contains("s00-raw") {
                continue;
            }
            let Some((parser, number)) = place.rsplit_once('[') else { continue };
            let Ok(number) = number.parse() else { continue };
            let said = all.entry((parser.to_owned(), number)).or_default();
            match field.as_str() {
                "Success" => said.success = value == "true",
                "Parsed[\"message\"]" | "Line.Raw" => said.message = value,
                _ => {
                    said.fields.insert(field, value);
                }
            }
        }
        let mut seen = std::collections::BTreeSet::new();
        let mut times: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for ((parser, _), said) in all.iter().filter(|(_, said)| !said.message.is_empty()) {
            let message = said.message.trim();
            let mut lines: Vec<&str> =
                log.lines().filter(|line| line.trim_end().ends_with(message)).collect();
            if lines.is_empty() {
                lines.extend(log.lines().find(|line| line.contains(message)));
            }
            // Of several lines with one message the first assertion is of the first line, and so on.
            let time = times.entry((parser, message)).or_default();
            let Some(line) = lines.get(*time).or(lines.last()) else { continue };
            *time += 1;
            if !said.success {
                continue;
            }
            let event = read(line, &context).0;
            for (field, wanted) in &said.fields {
                let Some(told) = found(&event, field) else { continue };
                if !seen.insert((*line, field.clone(), wanted.clone())) {
                    continue;
                }
                table.count(&name, agrees(field, &told, wanted), || {
                    format!("[{} {field} is {told:?}, wanted {wanted:?}] {line}", event.format())
                });
            }
        }
    }
    let share = table.print();
    assert!(share >= 0.97, "{share}");
}
