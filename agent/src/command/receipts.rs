//! `vonggac-agent receipts`: what the centre signed for of this agent, and whether this agent can have sent it.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::json;
use vonggac_daemon::exit::Exit;
use vonggac_wire::receipt::{LaneOf, Receipt};

use super::{complain, read, say, status};
use crate::{config::Config, enrol::receipts};

/// Shows the centre's receipts of this agent.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration.
    #[arg(long, default_value = "/etc/vonggac/agent.toml")]
    config: PathBuf,
    /// The last so many hours.
    #[arg(long, default_value_t = 24)]
    hours: usize,
    /// table or json.
    #[arg(long, default_value = "table", value_parser = ["table", "json"])]
    format: String,
}

/// Does it. What this agent cannot have sent is a failure.
pub fn run(arguments: &Arguments) -> Exit {
    let config = match read(&arguments.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let kept = receipts::kept(&config.identity_dir);
    if kept.is_empty() {
        let text = format!(
            "there are no receipts in {}: the centre gives one for each hour, an hour later, to an agent that is enrolled",
            config.identity_dir.display()
        );
        return complain(&text, Exit::Failure);
    }
    let sent = sent(&config);
    let from = kept.len().saturating_sub(arguments.hours);
    let rows: Vec<Row<'_>> = kept
        .iter()
        .skip(from)
        .flat_map(|kept| kept.receipt.lanes.iter().map(|lane| Row::of(&kept.receipt, lane, &sent)))
        .collect();
    say(&if arguments.format == "json" { as_json(&rows) } else { as_table(&rows) });
    if rows.iter().any(|row| row.too_high) {
        return complain(
            "the centre has numbers that this agent has not given yet: somebody else sends in its name, or its spool was made anew",
            Exit::Failure,
        );
    }
    Exit::Success
}

/// The next number of each lane, as the agent itself tells it.
fn sent(config: &Config) -> BTreeMap<String, u64> {
    let status = status::of(config);
    let lanes = status.map(|status| status.lanes).unwrap_or_default();
    lanes.into_iter().map(|lane| (lane.lane, lane.next_seq)).collect()
}

struct Row<'a> {
    hour: &'a str,
    lane: &'a LaneOf,
    missing: u64,
    too_high: bool,
}

impl<'a> Row<'a> {
    fn of(receipt: &'a Receipt, lane: &'a LaneOf, sent: &BTreeMap<String, u64>) -> Self {
        let missing = lane.gaps.iter().map(|gap| gap.events).sum();
        let too_high = sent.get(&lane.lane).is_some_and(|next| lane.last_seq >= *next);
        Self { hour: &receipt.hour, lane, missing, too_high }
    }

    fn causes(&self) -> String {
        let mut causes: Vec<&str> = self.lane.gaps.iter().map(|gap| gap.reason.as_str()).collect();
        causes.sort_unstable();
        causes.dedup();
        causes.join(", ")
    }
}

fn as_json(rows: &[Row<'_>]) -> String {
    let row = |row: &Row<'_>| {
        json!({
            "hour": row.hour, "lane": row.lane.lane, "first_seq": row.lane.first_seq, "last_seq": row.lane.last_seq,
            "events": row.lane.events, "missing": row.missing, "causes": row.causes(), "head": row.lane.head,
            "too_high": row.too_high,
        })
    };
    serde_json::Value::Array(rows.iter().map(row).collect()).to_string()
}

fn as_table(rows: &[Row<'_>]) -> String {
    let mut text = format!(
        "{:<20} {:<9} {:>12} {:>12} {:>10} {:>8}  ",
        "hour", "lane", "from", "to", "events", "missing"
    );
    for row in rows {
        let LaneOf { lane, first_seq, last_seq, events, .. } = row.lane;
        let note = if row.too_high { "NOT SENT BY THIS AGENT".to_owned() } else { row.causes() };
        text.push_str(&format!(
            "\n{:<20} {lane:<9} {first_seq:>12} {last_seq:>12} {events:>10} {:>8}  {note}",
            row.hour, row.missing
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use vonggac_wire::receipt::GapOf;

    use super::*;

    #[test]
    fn what_is_missing_has_its_cause_and_what_was_never_sent_is_told() {
        let gap = |reason: &str, events| GapOf {
            first_seq: 5,
            last_seq: 6,
            reason: reason.into(),
            events,
        };
        let lane = LaneOf {
            lane: "security".into(),
            first_seq: 1,
            last_seq: 90,
            events: 88,
            gaps: vec![gap("overflow", 2), gap("overflow", 1)],
            ..LaneOf::default()
        };
        let receipt = Receipt {
            version: 1,
            agency: "H49".into(),
            agent: "web-1".into(),
            hour: "2026-11-27T01:00:00Z".into(),
            root: String::new(),
            lanes: Vec::new(),
            previous: String::new(),
            key: String::new(),
        };
        let of = |next| Row::of(&receipt, &lane, &BTreeMap::from([("security".to_owned(), next)]));
        let (fine, ahead) = (of(91), of(90));
        assert_eq!((fine.missing, fine.causes().as_str(), fine.too_high), (3, "overflow", false));
        assert!(ahead.too_high && as_table(&[ahead]).contains("NOT SENT BY THIS AGENT"));
        assert!(as_json(&[fine]).contains("\"last_seq\":90"));
        assert!(!Row::of(&receipt, &lane, &BTreeMap::new()).too_high, "nobody says what was sent");
    }
}
