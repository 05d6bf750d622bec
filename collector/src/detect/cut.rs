//! Logs that were cut, replaced or removed before they were read to their end: what was in them is gone from the host, and was never here.

use std::collections::BTreeMap;

use vonggac_wire::{
    Event,
    event::{Gap, GapReason},
    proto::SignalKind,
};

use super::Finding;
use crate::record::Record;

/// Bytes of a log's path that are kept.
const SOURCE_BYTES_MAX: usize = 256;

/// An agent tells that lines are gone with their log. Of each host one incident, with its newest log in the title: whoever cuts one log cuts
/// others. It stays open until somebody has looked: nothing that comes later makes it good.
pub(super) fn finding(record: &Record, event: &Event, gap: &Gap) -> Option<Finding> {
    if gap.reason() != GapReason::Truncation {
        return None;
    }
    let (agency, host) = (record.batch.agency.as_str(), record.batch.host.as_str());
    let source = event.source();
    let source = &source[..source.floor_char_boundary(SOURCE_BYTES_MAX)];
    let bytes = if gap.bytes == 0 { "?".to_owned() } else { gap.bytes.to_string() };
    Some(Finding {
        rule: "log-cut",
        kind: SignalKind::Raised,
        severity: 0,
        entity: ("log", format!("{agency}/{host}{source}")),
        group: format!("{agency}/{host}"),
        system: event.system().to_owned(),
        host: host.to_owned(),
        values: BTreeMap::from([
            ("host".to_owned(), host.to_owned()),
            ("source".to_owned(), source.to_owned()),
            ("bytes".to_owned(), bytes),
        ]),
    })
}
