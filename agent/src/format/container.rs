//! Lines that a container's runtime wraps: Docker's json-file driver, and the CRI format of containerd and CRI-O. What the program
//! within wrote is read by the other formats; the runtime's time stands in where it tells none.

use serde_json::Value;

use super::{Context, Parsed, clock};

/// `{"log":"...\n","stream":"stdout","time":"2026-11-24T09:00:00.123456789Z"}`.
pub(super) fn docker(line: &str, context: &Context) -> Option<Parsed> {
    if !line.contains("\"log\"") || !line.contains("\"time\"") {
        return None;
    }
    let object: Value = serde_json::from_str(line).ok()?;
    let inner = object.get("log")?.as_str()?.trim_end_matches(['\n', '\r']);
    let time = object.get("time")?.as_str()?;
    within(inner, time, context)
}

/// `2026-11-24T09:00:00.123456789Z stdout F LINE`; `P` marks a part of a line that goes on.
pub(super) fn cri(line: &str, context: &Context) -> Option<Parsed> {
    let (time, rest) = line.split_once(' ')?;
    if !time.as_bytes().first()?.is_ascii_digit() || !time.contains('T') {
        return None;
    }
    let rest = rest.strip_prefix("stdout ").or_else(|| rest.strip_prefix("stderr "))?;
    let (tag, inner) = rest.split_once(' ')?;
    if !matches!(tag.split(':').next()?, "F" | "P") {
        return None;
    }
    within(inner, time, context)
}

fn within(inner: &str, time: &str, context: &Context) -> Option<Parsed> {
    let found = clock::any(time, context).map(|(time, _)| time);
    let mut parsed = super::find_auto(inner, context).unwrap_or_else(|| super::unparsed(inner));
    parsed.time = parsed.time.or(found);
    Some(parsed)
}
