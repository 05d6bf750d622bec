//! How the spool is sent, and how its bytes are shared.

use std::time::Duration;

use vonggac_daemon::settings::Table;
use vonggac_wire::Lane;

use crate::{
    ship::{ShipLimits, Span},
    spool::Shares,
};

/// Spans of a day: morning, noon and evening are enough.
const SPANS_MAX: usize = 8;

/// Something has to be left for the backlog.
const FRESH_PERCENT_MAX: u64 = 90;

/// Who waits longer wants everything in order.
const FRESH_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);

/// A lane's name, as a setting.
struct Named(Lane);

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Lane::ALL
            .into_iter()
            .find(|lane| lane.name() == text)
            .map(Self)
            .ok_or_else(|| "names no lane".into())
    }
}

/// Reads `[ship]`.
pub(super) fn limits(table: &mut Table<'_>) -> ShipLimits {
    let bytes_per_second_max = table.bytes("bytes_per_second_max", 1 << 10, 1 << 32);
    let mut quiet_hours = Vec::new();
    let spans = table.text_or_texts("quiet_hours").unwrap_or_default();
    if spans.len() > SPANS_MAX {
        table.wrong("quiet_hours", format!("has more than {SPANS_MAX} spans"));
    }
    for text in &spans {
        match text.parse::<Span>() {
            Ok(span) => quiet_hours.push(span),
            Err(error) => table.wrong("quiet_hours", format!("{text:?} {error}")),
        }
    }
    let mut quiet_lanes = Vec::new();
    for name in table.text_or_texts("quiet_lanes").unwrap_or_else(|| vec!["usage".into()]) {
        match name.parse() {
            Ok(Named(Lane::Security)) => {
                table.wrong("quiet_lanes", "has \"security\", which never waits");
            }
            Ok(Named(Lane::Uptime)) => table.wrong(
                "quiet_lanes",
                "has \"uptime\", on which heartbeats travel: the centre would call this host silent",
            ),
            Ok(Named(lane)) => quiet_lanes.push(lane),
            Err(error) => table.wrong("quiet_lanes", format!("{name:?} {error}")),
        }
    }
    let usual = ShipLimits::default();
    let fresh_percent = table.integer("fresh_percent", 0, FRESH_PERCENT_MAX);
    ShipLimits {
        bytes_per_second_max,
        quiet_hours,
        quiet_lanes,
        fresh_percent: fresh_percent
            .and_then(|percent| u8::try_from(percent).ok())
            .unwrap_or(usual.fresh_percent),
        fresh_after: table
            .duration("fresh_after", Duration::ZERO, FRESH_AFTER_MAX)
            .unwrap_or(usual.fresh_after),
    }
}

/// Reads `[spool.share]`: percent of each lane, which are 100 together.
pub(super) fn shares(table: &mut Table<'_>) -> Shares {
    let usual = Shares::default();
    let mut percent = |name, usual: u8| {
        let told = table.integer(name, 1, 98);
        (told.and_then(|percent| u8::try_from(percent).ok()).unwrap_or(usual), told.is_some())
    };
    let (security, uptime, usage) = (
        percent("security", usual.security),
        percent("uptime", usual.uptime),
        percent("usage", usual.usage),
    );
    let sum = u16::from(security.0) + u16::from(uptime.0) + u16::from(usage.0);
    if sum != 100 && (security.1 || uptime.1 || usage.1) {
        table.wrong("security", format!("gives {sum} together with uptime and usage; wanted 100"));
        return usual;
    }
    Shares { security: security.0, uptime: uptime.0, usage: usage.0 }
}
