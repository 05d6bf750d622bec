//! What is held of each lane of each agent in a span, and what is missing and why. Pure but for its question.

use clickhouse::Row;
use serde::Deserialize;
use vonggac_wire::proto;

use crate::store::{GapRow, Store, StoreError, batch::Span};

/// Lanes of one answer: of the agents of one agency, three each.
pub const LANES_MAX: u64 = 30_000;

/// Gaps of one answer; a host with more has one cause for all of them.
pub const GAPS_MAX: u64 = 50_000;

/// A lane as its batches say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Row, Deserialize)]
pub struct Lane {
    /// The agency.
    #[serde(rename = "of_agency")]
    pub agency: String,
    /// The agent.
    #[serde(rename = "of_agent")]
    pub agent: String,
    /// Its host.
    #[serde(rename = "of_host")]
    pub host: String,
    /// The lane.
    #[serde(rename = "of_lane")]
    pub lane: String,
    /// The lowest number.
    #[serde(rename = "lowest")]
    pub first_seq: u64,
    /// The highest.
    #[serde(rename = "highest")]
    pub last_seq: u64,
    /// Rows, each number once.
    #[serde(rename = "held")]
    pub events: u64,
    /// Batches.
    #[serde(rename = "all_batches")]
    pub batches: u64,
    /// Of these, with a seal.
    #[serde(rename = "all_sealed")]
    pub sealed: u64,
    /// Numbers that wait behind what went ahead of them, whenever that was.
    #[serde(rename = "waits")]
    pub waiting: u64,
    /// Hours with a receipt.
    #[serde(rename = "signed")]
    pub receipts: u32,
}

/// What is missing of a lane: its gaps, and what no gap explains.
#[must_use]
pub fn receipt(lane: &Lane, gaps: &[GapRow]) -> proto::LaneReceipt {
    let span = lane.last_seq.saturating_sub(lane.first_seq).saturating_add(1);
    let missing = span.saturating_sub(lane.events);
    let mine = gaps.iter().filter(|gap| {
        let same = gap.agency == lane.agency && gap.agent == lane.agent && gap.lane == lane.lane;
        let within = gap.first_seq == 0
            || (gap.last_seq >= lane.first_seq && gap.first_seq <= lane.last_seq);
        same && within && gap.reason != "replayed"
    });
    let mut told = Vec::new();
    let mut explained = 0_u64;
    for gap in mine {
        if gap.first_seq > 0 {
            // Of a gap that reaches beyond the span only what lies in it is missing here.
            let inside = gap.last_seq.min(lane.last_seq) - gap.first_seq.max(lane.first_seq) + 1;
            explained = explained.saturating_add(gap.events.min(inside));
        }
        told.push(shown(gap));
    }
    let mut rest = missing.saturating_sub(explained);
    for (reason, events) in [("waiting", rest.min(lane.waiting)), ("unexplained", u64::MAX)] {
        let events = events.min(rest);
        rest -= events;
        if events > 0 {
            told.push(proto::GapRow {
                agency: lane.agency.clone(),
                host: lane.host.clone(),
                lane: lane.lane.clone(),
                reason: reason.into(),
                events,
                ..proto::GapRow::default()
            });
        }
    }
    proto::LaneReceipt {
        agency: lane.agency.clone(),
        agent: lane.agent.clone(),
        host: lane.host.clone(),
        lane: lane.lane.clone(),
        first_seq: lane.first_seq,
        last_seq: lane.last_seq,
        events: lane.events,
        missing,
        batches: lane.batches,
        sealed: lane.sealed,
        gaps: told,
        receipts: lane.receipts,
    }
}

fn shown(gap: &GapRow) -> proto::GapRow {
    proto::GapRow {
        agency: gap.agency.clone(),
        host: gap.host.clone(),
        lane: gap.lane.clone(),
        first_seq: gap.first_seq,
        last_seq: gap.last_seq,
        reason: gap.reason.clone(),
        time_unix_nano: gap.time.saturating_mul(1000),
        first_observed_unix_nano: gap.first_observed.saturating_mul(1000),
        last_observed_unix_nano: gap.last_observed.saturating_mul(1000),
        events: gap.events,
        bytes: gap.bytes,
        source: gap.source.clone(),
    }
}

/// What is held of a span.
///
/// # Errors
/// If the engine does not answer.
pub async fn receipts(store: &Store, span: &Span) -> Result<Vec<proto::LaneReceipt>, StoreError> {
    let lanes = store.lanes(span, LANES_MAX).await?;
    let gaps = store.gaps_of(span, GAPS_MAX).await?;
    Ok(lanes.iter().map(|lane| receipt(lane, &gaps)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(first_seq: u64, last_seq: u64, reason: &str) -> GapRow {
        GapRow {
            time: 1,
            agency: "H49".into(),
            host: "web-2".into(),
            agent: "web-2-1".into(),
            lane: "security".into(),
            first_seq,
            last_seq,
            reason: reason.into(),
            first_observed: 0,
            last_observed: 0,
            events: if first_seq == 0 { 0 } else { last_seq - first_seq + 1 },
            bytes: 0,
            source: String::new(),
            told_seq: 0,
        }
    }

    fn told(events: u64, waiting: u64, gaps: &[GapRow]) -> (u64, Vec<(String, u64)>) {
        let lane = Lane {
            agency: "H49".into(),
            agent: "web-2-1".into(),
            lane: "security".into(),
            first_seq: 101,
            last_seq: 200,
            events,
            waiting,
            ..Lane::default()
        };
        let receipt = receipt(&lane, gaps);
        (receipt.missing, receipt.gaps.into_iter().map(|gap| (gap.reason, gap.events)).collect())
    }

    #[test]
    fn what_is_missing_is_told_with_its_cause_and_the_rest_as_unexplained() {
        assert_eq!(told(100, 0, &[]), (0, vec![]));
        assert_eq!(told(90, 0, &[gap(121, 130, "overflow")]), (10, vec![("overflow".into(), 10)]));
        let other = GapRow { lane: "usage".into(), ..gap(121, 130, "overflow") };
        assert_eq!(told(90, 0, &[other]), (10, vec![("unexplained".into(), 10)]));
        assert_eq!(
            told(80, 15, &[gap(91, 110, "damage")]),
            (20, vec![("damage".into(), 20), ("waiting".into(), 10)])
        );
        assert_eq!(
            told(70, 15, &[gap(191, 200, "overflow"), gap(201, 210, "overflow")]),
            (30, vec![("overflow".into(), 10), ("waiting".into(), 15), ("unexplained".into(), 5)])
        );
        // A log that was cut before it was read has no numbers.
        assert_eq!(told(100, 0, &[gap(0, 0, "truncation")]), (0, vec![("truncation".into(), 0)]));
        assert_eq!(told(100, 0, &[gap(121, 130, "replayed")]), (0, vec![]));
    }
}
