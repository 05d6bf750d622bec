//! What proves that nothing is missing: receipts, and stored rows against what was written down of them.

use vonggac_answer::rows::{self, Format, Row};
use vonggac_daemon::exit::Exit;
use vonggac_wire::{
    Time,
    proto::{EvidenceFault, EvidenceRequest, LaneReceipt},
};

use serde_json::json;

use super::{complain, filter::Filter, print, row, show::said};
use crate::{
    client::Client,
    wording,
    words::{Lang, Words},
};

fn request(words: &Words, filter: &Filter) -> Result<EvidenceRequest, String> {
    let now = Time::now();
    let bad = |text: String| words.with("bad-time", &[("text", &text)]);
    // Without a time, the collector's own: a day until now.
    let (since, until) = match (&filter.since, &filter.until) {
        (None, None) => (Time(0), Time(0)),
        _ => filter.window(now).map_err(bad)?,
    };
    let agency = filter.agency.clone().ok_or_else(|| words.get("evidence-agency"))?;
    Ok(EvidenceRequest {
        agency,
        host: filter.host.clone().unwrap_or_default(),
        since_unix_nano: since.0,
        until_unix_nano: until.0,
    })
}

/// What is held of each lane, and what is missing.
pub(super) async fn receipts(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
) -> Result<(), String> {
    let asked = request(words, filter)?;
    let mut stream = client.receipts(asked).await.map_err(said(words))?.into_inner();
    let mut lanes = Vec::new();
    while let Some(reply) = stream.message().await.map_err(said(words))? {
        lanes.extend(reply.lanes);
    }
    if lanes.is_empty() && *form == Format::Table {
        complain(&words.get("empty"), Exit::Success);
    }
    let text = match form {
        Format::Table => lanes.iter().map(|lane| sentences(words, lane)).collect(),
        _ => rows::write(form, &lanes.iter().map(receipt).collect::<Vec<_>>()),
    };
    print(&text);
    Ok(())
}

fn clean(text: &str) -> String {
    crate::sanitise::sanitise(text).into_owned()
}

/// A line for the lane, and one for each gap.
fn sentences(words: &Words, lane: &LaneReceipt) -> String {
    let number = |number| wording::number(words.lang(), number);
    let values = [
        ("host", clean(&lane.host)),
        ("lane", clean(&lane.lane)),
        ("events", number(lane.events)),
        ("missing", number(lane.missing)),
        ("batches", number(lane.batches)),
        ("sealed", number(lane.sealed)),
        ("receipts", number(lane.receipts.into())),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(name, text)| (*name, &**text)).collect();
    let mut text = words.with("receipt-line", &values);
    text.push('\n');
    for gap in &lane.gaps {
        let events =
            if gap.events == 0 { words.get("receipt-uncounted") } else { number(gap.events) };
        let (first, last) = (number(gap.first_seq), number(gap.last_seq));
        let mut line = words.with(
            "receipt-gap",
            &[("reason", &cause(words.lang(), &gap.reason)), ("events", &events)],
        );
        if gap.first_seq > 0 {
            line += &words.with("receipt-numbers", &[("first", &first), ("last", &last)]);
        }
        if !gap.source.is_empty() {
            line += &words.with("receipt-source", &[("source", &clean(&gap.source))]);
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// A gap's cause, as the screen says it.
fn cause(lang: Lang, reason: &str) -> String {
    let id = format!("gap-{reason}");
    let text = crate::words::of(lang).get(&id);
    if text == id { clean(reason) } else { text }
}

fn receipt(lane: &LaneReceipt) -> Row {
    let gaps: Vec<serde_json::Value> =
        lane.gaps.iter().map(|gap| serde_json::Value::Object(row::gap(gap))).collect();
    rows::row(json!({
        "agency": lane.agency,
        "host": lane.host,
        "agent": lane.agent,
        "lane": lane.lane,
        "first_seq": lane.first_seq,
        "last_seq": lane.last_seq,
        "events": lane.events,
        "missing": lane.missing,
        "batches": lane.batches,
        "sealed": lane.sealed,
        "receipts": lane.receipts,
        "gaps": gaps,
    }))
}

/// Each row that is not as it was. What was found ends the program with a failure, so that a script sees it.
pub(super) async fn verify(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
) -> Result<Exit, String> {
    let asked = request(words, filter)?;
    let mut stream = client.verify(asked).await.map_err(said(words))?.into_inner();
    let mut faults = Vec::new();
    let mut end = None;
    while let Some(reply) = stream.message().await.map_err(said(words))? {
        faults.extend(reply.faults.iter().map(fault));
        end = reply.done.then_some(reply);
    }
    // An answer that was cut proves nothing.
    let end = end.ok_or_else(|| words.get("verify-cut"))?;
    if !faults.is_empty() || *form != Format::Table {
        print(&rows::write(form, &faults));
    }
    let number = |number| wording::number(words.lang(), number);
    let (rows, batches, found) = (number(end.rows), number(end.batches), number(end.found));
    let values = [("rows", &*rows), ("batches", &*batches), ("found", &*found)];
    if end.retired > 0 {
        let retired = number(end.retired);
        complain(&words.with("verify-retired", &[("retired", &retired)]), Exit::Success);
    }
    if end.found == 0 {
        complain(&words.with("verify-clean", &values), Exit::Success);
        return Ok(Exit::Success);
    }
    Ok(complain(&words.with("verify-found", &values), Exit::Failure))
}

fn fault(fault: &EvidenceFault) -> Row {
    rows::row(json!({
        "fault": fault.fault,
        "agency": fault.agency,
        "host": fault.host,
        "agent": fault.agent,
        "lane": fault.lane,
        "seq": fault.seq,
        "topic": fault.topic,
        "partition": fault.partition,
        "offset": fault.offset,
        "index": fault.index,
    }))
}

#[cfg(test)]
mod tests {
    use vonggac_wire::proto::GapRow;

    use super::*;

    #[test]
    fn a_lane_is_one_sentence_and_each_gap_another_with_its_cause() {
        let gap = |reason: &str, events| GapRow {
            reason: reason.into(),
            first_seq: 11,
            last_seq: 20,
            events,
            ..GapRow::default()
        };
        let mut lane = LaneReceipt {
            host: "web-2\u{1b}[2J".into(),
            lane: "security".into(),
            events: 1_204_331,
            ..LaneReceipt::default()
        };
        let words = crate::words::of(Lang::En);
        let text = sentences(&words, &lane);
        assert!(text.contains("1,204,331 events, 0 missing"), "{text}");
        assert!(!text.contains('\u{1b}'));
        lane.missing = 10;
        lane.gaps = vec![gap("overflow", 10), gap("never-heard-of", 0)];
        let text = sentences(&words, &lane);
        assert!(text.contains("spool full: 10") && text.contains("never-heard-of"), "{text}");
        assert_eq!(text.lines().count(), 3);
    }
}
