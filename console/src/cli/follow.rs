//! Events as they are stored, until one leaves.

use vonggac_answer::rows::{self, Format};
use vonggac_daemon::exit::Exit;
use vonggac_wire::{
    Time,
    proto::{EventRow, TailRequest},
};

use super::{complain, filter::Filter, print, row, show::said};
use crate::{client::Client, wording, words::Words};

/// Prints what matches. A table and Markdown have a line each, CSV its heads once, JSON is one object a line.
pub(super) async fn run(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
) -> Result<(), String> {
    let request =
        filter.search(Time::now()).map_err(|text| words.with("bad-time", &[("text", &text)]))?;
    let mut stream =
        client.tail(TailRequest { terms: request.terms }).await.map_err(said(words))?.into_inner();
    let mut left = match filter.limit {
        None | Some(0) => u64::MAX,
        Some(limit) => limit.into(),
    };
    let mut heads = true;
    while let Some(mut reply) = stream.message().await.map_err(said(words))? {
        if reply.events_missed > 0 {
            let missed = wording::number(words.lang(), reply.events_missed);
            complain(&words.with("tail-missed", &[("missed", &missed)]), Exit::Success);
        }
        reply.rows.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= reply.rows.len() as u64;
        if !reply.rows.is_empty() {
            let text = written(form, &reply.rows, heads);
            heads = false;
            if !print(&text) {
                // Whoever read it has gone.
                return Ok(());
            }
        }
        if left == 0 {
            return Ok(());
        }
    }
    Err(words.get("tail-ended"))
}

/// A piece of the answer; the first one has the heads of the columns.
fn written(form: &Format, events: &[EventRow], heads: bool) -> String {
    let all: Vec<rows::Row> = events.iter().map(row::event).collect();
    match form {
        // An array would have no end.
        Format::Json | Format::Jsonl => rows::write(&Format::Jsonl, &all),
        Format::Table => events.iter().map(line).collect(),
        Format::Csv | Format::Md => {
            let text = rows::write(form, &all);
            let skip = match (heads, form) {
                (true, _) => 0,
                (false, Format::Csv) => 1,
                (false, _) => 2,
            };
            text.split_inclusive('\n').skip(skip).collect()
        }
    }
}

/// For people: what tells one event from another, and the line as it was read.
fn line(event: &EventRow) -> String {
    let text = if event.raw.is_empty() { &event.message } else { &event.raw };
    let parts = [
        wording::date_time(Time(event.time_unix_nano)),
        event.agency.clone(),
        event.host.clone(),
        event.class.clone(),
        event.user.clone(),
        event.src_ip.clone(),
        event.status.clone(),
        text.clone(),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|part| !part.is_empty())
        .map(|part| crate::sanitise::sanitise(part).into_owned())
        .collect();
    format!("{}\n", parts.join("  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(raw: &str) -> EventRow {
        EventRow { agency: "H49".into(), raw: raw.into(), ..EventRow::default() }
    }

    #[test]
    fn pieces_one_after_the_other_are_one_answer() {
        let [a, b] = [event("a,1"), event("b")];
        for form in [Format::Csv, Format::Md, Format::Jsonl] {
            let whole = rows::write(&form, &[row::event(&a), row::event(&b)]);
            let pieces = written(&form, std::slice::from_ref(&a), true)
                + &written(&form, std::slice::from_ref(&b), false);
            assert_eq!(pieces, whole, "{form:?}");
        }
        let json = written(&Format::Json, &[a, b], true);
        assert_eq!(json.lines().filter(|line| line.starts_with('{')).count(), 2);
        assert!(!written(&Format::Table, &[event("\x1b[2J x")], true).contains('\x1b'));
    }
}
