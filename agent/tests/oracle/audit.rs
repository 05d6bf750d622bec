//! Records of the Linux audit daemon and what another reader makes of them: each record alone, and the records of an event as one.

use serde_json::Value;
use vonggac_agent::format::join::Joiner;

use super::*;

/// What an event says of the record by itself, beside the record's own fields.
const OF_RECORD: [&str; 4] = ["audit.type", "audit.serial", "audit.records", "key"];

/// Annotated records of one file, by time and serial number as they are written.
fn annotated(path: &Path) -> Vec<(String, Value)> {
    let text = fs::read_to_string(path.with_extension("log.golden")).expect("annotations");
    let all: Vec<Value> = serde_json::from_str(&text).expect("a list");
    let all = all.into_iter().filter(Value::is_object);
    all.map(|said| {
        let raw = said["raw_msg"].as_str().unwrap_or_default();
        let kind = said["record_type"].as_str().unwrap_or_default().to_uppercase();
        (format!("type={kind} msg={raw}"), said)
    })
    .collect()
}

fn logs() -> Option<Vec<PathBuf>> {
    let folder = material("go-libaudit/auparse/testdata")?;
    let paths = fs::read_dir(folder).expect("a folder").filter_map(|e| Some(e.ok()?.path()));
    let mut logs: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "log")).collect();
    logs.sort();
    Some(logs)
}

/// What is said, name by name; the keys of rules are a list there and one text here.
fn said_fields(said: &Value) -> BTreeMap<String, String> {
    let data = said["data"].as_object().cloned().unwrap_or_default();
    let mut fields: BTreeMap<String, String> = data
        .into_iter()
        .map(|(key, value)| (key, value.as_str().unwrap_or_default().to_owned()))
        .collect();
    if let Some(keys) = said["keys"].as_array() {
        let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
        fields.insert("key".into(), keys.join(","));
    }
    fields
}

#[test]
fn each_field_of_an_audit_record_is_as_another_reader_has_it() {
    let Some(logs) = logs() else { return };
    let context = Context::at(Time::now(), TimeZone::UTC);
    let mut table = Table::default();
    for path in logs {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let said: BTreeMap<String, Value> = annotated(&path).into_iter().collect();
        let text = fs::read_to_string(&path).expect("a log");
        let mut missing = 0;
        for line in text.lines() {
            let Some(said) = said.get(line) else {
                missing += 1;
                eprintln!("no expectation for {line}");
                continue;
            };
            let (event, known) = read(line, &context);
            let found = event.activity().expect("an activity").unmapped.clone();
            let when: Timestamp =
                said["@timestamp"].as_str().expect("a time").parse().expect("a time");
            let at = Timestamp::from_nanosecond(i128::from(event.time().0)).expect("a time");
            table.count(&name, known && at == when, || format!("{at}, wanted {when}: {line}"));
            let kind = said["record_type"].as_str().unwrap_or_default();
            let own = found.get("audit.type").map(|kind| kind.to_lowercase()).unwrap_or_default();
            table.count(&name, own == kind, || format!("{own}, wanted {kind}: {line}"));
            let serial = said["sequence"].to_string();
            let own = found.get("audit.serial").cloned().unwrap_or_default();
            table.count(&name, own == serial, || format!("{own}, wanted {serial}: {line}"));
            let said = said_fields(said);
            for (key, wanted) in &said {
                let own = found.get(key);
                table.count(&name, own == Some(wanted), || {
                    format!("{key} is {own:?}, wanted {wanted:?}: {line}")
                });
            }
            // Nothing is made up either.
            for (key, value) in &found {
                let known = said.contains_key(key) || OF_RECORD.contains(&key.as_str());
                if !known {
                    table.count(&name, false, || format!("{key}={value} is nobody's: {line}"));
                }
            }
        }
        eprintln!("{name}: {missing} lines without an expectation");
    }
    let share = table.print();
    assert!((share - 1.0).abs() < f64::EPSILON, "{share}");
}

#[test]
fn an_audit_event_of_several_records_has_the_fields_of_all() {
    let Some(logs) = logs() else { return };
    let context = Context::at(Time::now(), TimeZone::UTC);
    let mut table = Table::default();
    let mut events = 0;
    for path in logs {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let said: BTreeMap<String, Value> = annotated(&path).into_iter().collect();
        let text = fs::read_to_string(&path).expect("a log");
        let mut joiner = Joiner::default();
        let mut joined: Vec<_> = text
            .lines()
            .flat_map(|line| joiner.push(line.as_bytes(), 0, Time::from_seconds(1)))
            .collect();
        joined.extend(joiner.finish());
        let lines: u64 = joined.iter().map(|joined| joined.lines).sum();
        assert_eq!(lines, text.lines().count() as u64, "{name}");
        for joined in joined.iter().filter(|joined| joined.lines > 1) {
            events += 1;
            let (event, _) = format::event("auto", &joined.text, 0, &context);
            let found = &event.activity().expect("an activity").unmapped;
            let records = String::from_utf8_lossy(&joined.text).into_owned();
            for said in records.lines().filter_map(|line| said.get(line)) {
                let kind = said["record_type"].as_str().unwrap_or_default();
                let item = said["data"]["item"].as_str().unwrap_or_default();
                for (key, wanted) in said_fields(said) {
                    let names =
                        [key.clone(), format!("{kind}.{key}"), format!("path.{item}.{key}")];
                    let right = names.iter().any(|name| found.get(name) == Some(&wanted));
                    table.count(&name, right, || {
                        format!("{kind} {key} wanted {wanted:?} in {found:?}")
                    });
                }
            }
        }
    }
    eprintln!("{events} events of several records");
    let share = table.print();
    assert!(events > 0 && (share - 1.0).abs() < f64::EPSILON, "{share}");
}
