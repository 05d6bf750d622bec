//! Lines of many services whose owners say whether they tell of a failure, of whom and when.
//!
//! A line that is said to match must be known, tell a failure (or a request, which rules judge), and have the host and the second
//! that are said. A line that is said not to match must not count as a refused log-in of an address. Nothing is excused; what is
//! wrong is printed.

use vonggac_agent::format::{
    connection::{Connections, REFUSED_BEFORE},
    join::Joiner,
};
use vonggac_wire::event::Class;

use super::*;

/// One annotation with the record that it speaks of.
struct Annotated {
    note: serde_json::Value,
    text: String,
}

/// Records of a file with what is said of them. Lines of one record are joined, as they are when a file is read.
fn annotated(text: &str) -> Vec<Annotated> {
    let mut joiner = Joiner::default();
    let mut notes: Vec<Option<serde_json::Value>> = Vec::new();
    let mut joined = Vec::new();
    let mut note = None;
    for line in text.lines() {
        if let Some(json) = line.strip_prefix("# failJSON:") {
            note = serde_json::from_str(json.trim()).ok();
        } else if !line.starts_with('#') && !line.is_empty() {
            notes.push(note.take());
            joined.extend(joiner.push(line.as_bytes(), 0, Time(0)));
        }
    }
    joined.extend(joiner.finish());
    let of_record = |joined: vonggac_agent::format::join::Joined| {
        let first = usize::try_from(joined.line - 1).ok()?;
        let lines = usize::try_from(joined.lines).ok()?;
        let own: Vec<_> = notes.get(first..first + lines)?.iter().flatten().collect();
        let note = own.iter().find(|note| note["match"] == true).or(own.first())?;
        let text = String::from_utf8_lossy(&joined.text).into_owned();
        Some(Annotated { note: (*note).clone(), text })
    };
    joined.into_iter().filter_map(of_record).collect()
}

/// Whether it would be counted against an address.
fn counts(event: &Event) -> bool {
    event.activity().is_some_and(|a| {
        a.class() == Class::Authentication
            && a.activity_id == 1
            && a.status() == Status::Failure
            && a.source_address().is_some()
    }) || reports(event)
}

/// Whether it names others that its client was refused as before.
fn reports(event: &Event) -> bool {
    event.activity().is_some_and(|a| a.unmapped.contains_key(REFUSED_BEFORE))
}

/// Whether it tells of a failure, also of an earlier one of the same connection, or of a request.
fn tells(event: &Event) -> bool {
    event.activity().is_some_and(|a| a.status() == Status::Failure || a.class() == Class::Http)
        || reports(event)
}

/// The host that a line names: an address, else a name.
fn host(event: &Event) -> String {
    let name = event.activity().and_then(|a| a.unmapped.get("src_endpoint.hostname").cloned());
    Some(source(event)).filter(|address| !address.is_empty()).or(name).unwrap_or_default()
}

fn same_host(found: &str, wanted: &str) -> bool {
    let address = |text: &str| text.parse::<std::net::IpAddr>().ok().map(|a| a.to_canonical());
    match address(wanted) {
        Some(wanted) => address(found) == Some(wanted),
        None => found.eq_ignore_ascii_case(wanted),
    }
}

/// `2005-03-7T02:09:33` with two digits for the day.
fn padded(told: &str) -> String {
    match told.split_once('T') {
        Some((date, clock)) if date.len() == 9 => {
            format!("{}0{}T{clock}", &date[..8], &date[8..])
        }
        _ => told.to_owned(),
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
    let (mut elsewhere, mut placed) = (0, Table::default());
    let mut paths: Vec<_> =
        fs::read_dir(folder).expect("a folder").filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.is_file()) {
        let service = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let text = String::from_utf8_lossy(&fs::read(path).expect("a file")).into_owned();
        let mut connections = Connections::default();
        for Annotated { note, text } in annotated(&text) {
            let (event, known) = read(&text, &context);
            let event = connections.complete(service, event);
            if note["match"] != true {
                table.count(service, !counts(&event), || {
                    format!("[{} counts, and should not] {text}", event.format())
                });
                continue;
            }
            let wanted = note["host"].as_str().unwrap_or_default();
            // Some attackers are only named on another line of the same connection.
            let found = host(&event);
            elsewhere += usize::from(!text.contains(wanted));
            let told = note["time"].as_str().unwrap_or_default();
            let at = Timestamp::from_nanosecond(i128::from(event.time().0)).expect("a time");
            let local = at.to_zoned(zone.clone()).datetime();
            // Logs without times have none said.
            let time_right = told.is_empty()
                || padded(told).parse::<jiff::civil::DateTime>().is_ok_and(|told| {
                    (told.date(), told.hour(), told.minute(), told.second())
                        == (local.date(), local.hour(), local.minute(), local.second())
                });
            let place = known && (wanted.is_empty() || same_host(&found, wanted)) && time_right;
            placed.count(service, place, String::new);
            let right = place && tells(&event);
            table.count(service, right, || {
                let status = event.activity().map_or(Status::Unknown, Activity::status);
                format!(
                    "[{} {found} {local} {status:?}, wanted {wanted} {told}] {text}",
                    event.format()
                )
            });
        }
    }
    eprintln!("{elsewhere} annotations name a host that stands on another line");
    let placed = placed.share();
    eprintln!("host and time of those that match: {:.2} %", placed * 100.0);
    let share = table.print();
    // What is measured today; both may only rise.
    assert!(share >= 0.99 && placed >= 0.99, "{share}, {placed}");
}
