//! Records of X-Road's operational monitoring, as its daemon answers them in JSON, in the words of the local socket.

use serde_json::{Map, Value};
use vonggac_wire::Time;

/// Our key, and X-Road's names for it: the newest first.
const TEXTS: [(&str, &[&str]); 7] = [
    ("client_member", &["clientMemberCode"]),
    ("client_subsystem", &["clientSubsystemCode"]),
    ("service_member", &["serviceMemberCode"]),
    ("service_subsystem", &["serviceSubsystemCode"]),
    ("service_code", &["serviceCode"]),
    ("fault_code", &["faultCode", "soapFaultCode"]),
    ("message_id", &["messageId"]),
];

/// Milliseconds since 1970.
const TIMES: [(&str, &[&str]); 2] = [
    ("request_in", &["requestInTs", "requestOutTs"]),
    ("response_out", &["responseOutTs", "responseInTs"]),
];

const SIZES: [(&str, &[&str]); 2] = [
    ("request_bytes", &["requestSize", "requestSoapSize"]),
    ("response_bytes", &["responseSize", "responseSoapSize"]),
];

/// Whether an object is such a record.
pub(super) fn is_record(object: &Map<String, Value>) -> bool {
    object.contains_key("requestInTs") || object.contains_key("securityServerType")
}

/// The record as it would have been posted.
pub(super) fn translate(record: &Map<String, Value>) -> Map<String, Value> {
    let mut out = Map::new();
    out.insert("kind".into(), "exchange".into());
    let find = |names: &[&str]| names.iter().find_map(|name| record.get(*name));
    for (key, names) in TEXTS {
        if let Some(Value::String(text)) = find(names) {
            out.insert(key.into(), text.as_str().into());
        }
    }
    for (key, names) in SIZES {
        if let Some(size) = find(names).and_then(Value::as_u64) {
            out.insert(key.into(), size.into());
        }
    }
    let fault = out.get("fault_code").and_then(Value::as_str).is_some_and(|code| !code.is_empty());
    let succeeded = record.get("succeeded").and_then(Value::as_bool).unwrap_or(!fault);
    out.insert("succeeded".into(), succeeded.into());
    for (key, names) in TIMES {
        let milliseconds = find(names).and_then(Value::as_i64);
        if let Some(nanoseconds) = milliseconds.and_then(|ms| ms.checked_mul(1_000_000)) {
            let time = Time(nanoseconds).to_string();
            if key == "request_in" {
                out.insert("time".into(), time.as_str().into());
            }
            out.insert(key.into(), time.into());
        }
    }
    out
}
