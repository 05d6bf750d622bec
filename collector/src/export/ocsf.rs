//! An event as JSON of OCSF 1.5.0. What OCSF has no place for stands in `unmapped`, so that nothing is lost.

use serde_json::{Map, Value, json};
use vonggac_wire::event::Class;

use crate::store::row::EventRow;

/// The release whose names are used.
const VERSION: &str = "1.5.0";

/// OCSF's caption of a class.
const fn caption(class: Class) -> &'static str {
    match class {
        Class::Base => "Base Event",
        Class::FileSystem => "File System Activity",
        Class::Kernel => "Kernel Activity",
        Class::ScheduledJob => "Scheduled Job Activity",
        Class::Process => "Process Activity",
        Class::EventLog => "Event Log Activity",
        Class::AccountChange => "Account Change",
        Class::Authentication => "Authentication",
        Class::AuthorizeSession => "Authorize Session",
        Class::GroupManagement => "Group Management",
        Class::Network => "Network Activity",
        Class::Http => "HTTP Activity",
        Class::Ssh => "SSH Activity",
        Class::SoftwareInventory => "Software Inventory Info",
        Class::DeviceConfigState => "Device Config State Change",
        Class::ApplicationLifecycle => "Application Lifecycle",
    }
}

const fn category(uid: u32) -> &'static str {
    match uid {
        1 => "System Activity",
        3 => "Identity & Access Management",
        4 => "Network Activity",
        5 => "Discovery",
        6 => "Application Activity",
        _ => "Uncategorized",
    }
}

/// Sets a value below a dotted path; a path whose way is taken by a plain value goes to `unmapped` whole.
fn set(event: &mut Map<String, Value>, path: &str, value: Value) {
    let mut place = &mut *event;
    let mut steps = path.split('.').peekable();
    while let Some(step) = steps.next() {
        if steps.peek().is_none() {
            place.insert(step.to_owned(), value);
            return;
        }
        match place.entry(step).or_insert_with(|| json!({})) {
            Value::Object(inner) => place = inner,
            _ => break,
        }
    }
    if let Value::Object(unmapped) = event.entry("unmapped").or_insert_with(|| json!({})) {
        unmapped.insert(path.to_owned(), value);
    }
}

/// Sets a text that is there.
fn text(event: &mut Map<String, Value>, path: &str, value: &str) {
    if !value.is_empty() {
        set(event, path, json!(value));
    }
}

fn number(event: &mut Map<String, Value>, path: &str, value: u64) {
    if value > 0 {
        set(event, path, json!(value));
    }
}

/// What is not OCSF's.
fn unmapped(event: &mut Map<String, Value>, name: &str, value: Value) {
    let empty = value.as_str().is_some_and(str::is_empty) || value.is_null();
    if empty {
        return;
    }
    if let Value::Object(inner) = event.entry("unmapped").or_insert_with(|| json!({})) {
        inner.insert(name.to_owned(), value);
    }
}

/// The event.
#[must_use]
pub fn event(row: &EventRow) -> Value {
    let class = Class::from_uid(row.class_uid);
    let uid = class.uid();
    let status_id = match row.status.as_str() {
        "success" | "up" => 1,
        "failure" | "down" => 2,
        "" | "unknown" => 0,
        _ => 99,
    };
    let mut event = Map::new();
    let millis = |micros: i64| micros.div_euclid(1_000);
    for (name, value) in [
        ("time", json!(millis(row.time))),
        ("class_uid", json!(uid)),
        ("class_name", json!(caption(class))),
        ("category_uid", json!(uid / 1_000)),
        ("category_name", json!(category(uid / 1_000))),
        ("activity_id", json!(row.activity_id)),
        ("type_uid", json!(u64::from(uid) * 100 + u64::from(row.activity_id))),
        ("severity_id", json!(row.severity_id)),
        ("status_id", json!(status_id)),
    ] {
        event.insert(name.into(), value);
    }
    set(
        &mut event,
        "metadata",
        json!({
            "version": VERSION,
            "product": { "name": "Vọng Gác", "vendor_name": "Vọng Gác", "version": env!("CARGO_PKG_VERSION") },
            "uid": format!("{}/{}/{}", row.agent, row.lane, row.seq),
            "tenant_uid": row.agency,
            "log_name": row.source,
            "log_provider": row.format,
            "logged_time": millis(row.observed),
            "processed_time": millis(row.stored),
        }),
    );
    set(&mut event, "device", json!({ "hostname": row.host, "type_id": 0 }));
    for (path, value) in
        [("status", &row.status), ("status_detail", &row.status_detail), ("message", &row.message)]
    {
        text(&mut event, path, value);
    }
    text(&mut event, "raw_data", &String::from_utf8_lossy(&row.raw));
    text(&mut event, "src_endpoint.ip", &row.src_ip);
    number(&mut event, "src_endpoint.port", row.src_port.into());
    who(&mut event, row, class);
    if class == Class::Http || !row.http_method.is_empty() {
        text(&mut event, "http_request.http_method", &row.http_method);
        text(&mut event, "http_request.url.url_string", &row.url);
        let (path, query) = row.url.split_once('?').unwrap_or((&row.url, ""));
        text(&mut event, "http_request.url.path", path);
        text(&mut event, "http_request.url.query_string", query);
        text(&mut event, "http_request.user_agent", &row.user_agent);
        number(&mut event, "http_response.code", row.http_status.into());
        number(&mut event, "http_response.length", row.response_bytes);
    }
    number(&mut event, "count", if row.count > 1 { row.count } else { 0 });
    ours(&mut event, row, class);
    Value::Object(event)
}

/// Users, processes and services, where each class has them.
fn who(event: &mut Map<String, Value>, row: &EventRow, class: Class) {
    let of_users = matches!(
        class,
        Class::Authentication
            | Class::AccountChange
            | Class::AuthorizeSession
            | Class::GroupManagement
    );
    text(
        event,
        if of_users || !row.actor_user.is_empty() { "user.name" } else { "actor.user.name" },
        &row.user,
    );
    text(event, "actor.user.name", &row.actor_user);
    let process = if class == Class::Process { "process" } else { "actor.process" };
    text(event, &format!("{process}.name"), &row.process);
    text(event, &format!("{process}.cmd_line"), &row.command);
    number(event, &format!("{process}.pid"), row.pid.into());
    if class == Class::Authentication {
        text(event, "service.name", &row.service);
    } else {
        unmapped(event, "service", json!(row.service));
    }
}

/// What only we have.
fn ours(event: &mut Map<String, Value>, row: &EventRow, class: Class) {
    for (name, value) in &row.fields {
        match name.strip_prefix("unmapped.") {
            Some(name) => unmapped(event, name, json!(value)),
            None if class == Class::Base => unmapped(event, name, json!(value)),
            None => text(event, name, value),
        }
    }
    for (name, value) in [
        ("class", &row.class),
        ("lane", &row.lane),
        ("system", &row.system),
        ("check.name", &row.check_name),
        ("check.target", &row.check_target),
        ("usage.service", &row.usage_service),
        ("step", &row.step),
        ("time_doubt", &row.time_doubt),
    ] {
        unmapped(event, name, json!(value));
    }
    for (name, flag) in [
        ("online", row.online),
        ("full_process", row.full_process),
        ("digitised", row.digitised),
        ("on_time", row.on_time),
        ("electronic", row.electronic),
        ("simulated", row.simulated.then_some(true)),
    ] {
        unmapped(event, name, json!(flag));
    }
    for (name, number) in [("score", u64::from(row.score)), ("raw_cut_bytes", row.raw_cut_bytes)] {
        unmapped(event, name, if number > 0 { json!(number) } else { Value::Null });
    }
    if row.total_seconds > 0.0 {
        unmapped(event, "total_seconds", json!(row.total_seconds));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_in_has_what_its_class_requires() {
        let row = EventRow {
            agency: "H49".into(),
            class: "authentication".into(),
            class_uid: 3_002,
            activity_id: 1,
            severity_id: 3,
            status: "failure".into(),
            time: 1_764_000_000_123_456,
            host: "web-1".into(),
            agent: "web-1-5f".into(),
            lane: "security".into(),
            seq: 7,
            user: "root".into(),
            src_ip: "203.0.113.7".into(),
            src_port: 22_001,
            service: "sshd".into(),
            process: "sshd".into(),
            pid: 812,
            raw: b"Failed \xff".to_vec(),
            fields: vec![
                ("auth_protocol".into(), "password".into()),
                ("unmapped.key".into(), "v".into()),
            ],
            ..EventRow::default()
        };
        let event = event(&row);
        for (pointer, value) in [
            ("/time", json!(1_764_000_000_123_i64)),
            ("/class_name", json!("Authentication")),
            ("/category_uid", json!(3)),
            ("/type_uid", json!(300_201)),
            ("/status_id", json!(2)),
            ("/metadata/version", json!("1.5.0")),
            ("/metadata/uid", json!("web-1-5f/security/7")),
            ("/metadata/tenant_uid", json!("H49")),
            ("/user/name", json!("root")),
            ("/service/name", json!("sshd")),
            ("/actor/process/pid", json!(812)),
            ("/src_endpoint/port", json!(22_001)),
            ("/device/hostname", json!("web-1")),
            ("/auth_protocol", json!("password")),
            ("/unmapped/key", json!("v")),
            ("/unmapped/lane", json!("security")),
            ("/raw_data", json!("Failed \u{fffd}")),
        ] {
            assert_eq!(event.pointer(pointer), Some(&value), "{pointer}\n{event:#}");
        }
        assert_eq!(event.pointer("/unmapped/online"), None);
    }

    #[test]
    fn what_ocsf_does_not_know_is_a_base_event_with_all_of_it() {
        let row = EventRow {
            class: "dossier".into(),
            lane: "usage".into(),
            usage_service: "1.001".into(),
            online: Some(false),
            fields: vec![("due".into(), "2026-12-01T00:00:00Z".into())],
            ..EventRow::default()
        };
        let event = event(&row);
        assert_eq!((&event["class_uid"], &event["type_uid"]), (&json!(0), &json!(0)));
        let unmapped = &event["unmapped"];
        assert_eq!(
            (&unmapped["class"], &unmapped["online"], &unmapped["due"]),
            (&json!("dossier"), &json!(false), &json!("2026-12-01T00:00:00Z"))
        );
    }

    #[test]
    fn a_field_whose_way_is_taken_goes_to_unmapped() {
        let mut event = Map::new();
        set(&mut event, "a", json!(1));
        set(&mut event, "a.b", json!(2));
        assert_eq!(Value::Object(event), json!({"a": 1, "unmapped": {"a.b": 2}}));
    }
}
