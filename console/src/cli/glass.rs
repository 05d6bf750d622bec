//! Break-glass, and the rows that are taken away.

use std::time::Duration;

use clap::Subcommand;
use serde_json::json;
use vonggac_answer::rows::{self, Format, Row};
use vonggac_daemon::{exit::Exit, settings::parse_duration};
use vonggac_wire::proto::{
    AskBreakGlass, BreakGlassRecord, BreakGlassRequest, ChangeBreakGlassRequest,
    change_break_glass_request::Change,
};

use super::{complain, filter::Filter, print, row, show::said};
use crate::{client::Client, words::Words};

/// What can be opened.
pub(super) const WHAT: [&str; 2] = ["export", "pseudonyms"];

/// A step.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Ask that another agency's rows, or pseudonyms, are opened to you.
    Request {
        /// export or pseudonyms.
        #[arg(long)]
        what: String,
        /// Why.
        #[arg(long)]
        reason: String,
        /// For how long: 2h, 45m.
        #[arg(long)]
        valid: Option<String>,
    },
    /// What was opened, by whom, why, until when.
    List,
    /// Confirm what another person asked for.
    Confirm {
        /// Its id.
        record: String,
    },
    /// Say no to it.
    Refuse {
        /// Its id.
        record: String,
    },
    /// End it before its time.
    End {
        /// Its id.
        record: String,
    },
}

/// A time like 2h; `None`: it is none.
pub(super) fn duration(text: &str) -> Option<Duration> {
    parse_duration(text).filter(|duration| duration.as_secs() > 0)
}

pub(super) async fn run(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
    action: Action,
) -> Result<Exit, String> {
    let agency = filter.agency.clone().unwrap_or_default();
    let change = match action {
        Action::List => return list(client, words, agency, form).await,
        Action::Request { what, reason, valid } => Change::Ask(AskBreakGlass {
            agency,
            what,
            reason,
            valid_seconds: valid
                .and_then(|text| duration(&text))
                .map_or(0, |valid| valid.as_secs()),
        }),
        Action::Confirm { record } => Change::Confirm(record),
        Action::Refuse { record } => Change::Refuse(record),
        Action::End { record } => Change::End(record),
    };
    let request = ChangeBreakGlassRequest { change: Some(change) };
    let reply = client.change_break_glass(request).await.map_err(said(words))?.into_inner();
    if !reply.refused.is_empty() {
        return Ok(complain(&refusal(words, &reply.refused), Exit::Failure));
    }
    let record = reply.record.unwrap_or_default();
    if *form == Format::Table {
        let values = [
            ("id", record.id.as_str()),
            ("agency", record.agency.as_str()),
            ("until", &row::text_of(record.until_unix_nano)),
        ];
        let told = words.with(&format!("break-glass-done-{}", record.state), &values);
        print(&format!("{}\n", crate::sanitise::sanitise(&told)));
    } else {
        print(&rows::write(form, &[of(&record)]));
    }
    Ok(Exit::Success)
}

async fn list(
    client: &mut Client,
    words: &Words,
    agency: String,
    form: &Format,
) -> Result<Exit, String> {
    let asked = client.break_glass(BreakGlassRequest { agency }).await;
    let records = asked.map_err(said(words))?.into_inner().records;
    if records.is_empty() && *form == Format::Table {
        complain(&words.get("empty"), Exit::Success);
    }
    print(&rows::write(form, &records.iter().map(of).collect::<Vec<_>>()));
    Ok(Exit::Success)
}

/// A refusal as a sentence.
fn refusal(words: &Words, refused: &str) -> String {
    let (word, detail) = refused.split_once(' ').unwrap_or((refused, ""));
    words.with(&format!("break-glass-refused-{word}"), &[("detail", detail)])
}

fn of(record: &BreakGlassRecord) -> Row {
    let known = |nanos: i64| row::time((nanos != 0).then_some(nanos));
    rows::row(json!({
        "id": record.id,
        "agency": record.agency,
        "what": record.what,
        "state": record.state,
        "requester": record.requester,
        "reason": record.reason,
        "answerer": record.answerer,
        "asked": known(record.asked_unix_nano),
        "answered": known(record.answered_unix_nano),
        "until": known(record.until_unix_nano),
        "ended": known(record.ended_unix_nano),
        "ender": record.ender,
        "valid_seconds": record.valid_seconds,
        "told_opened": record.told_opened,
        "told_over": record.told_over,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{self, Lang};

    #[test]
    fn every_state_and_every_refusal_has_a_sentence_in_both_languages() {
        for lang in [Lang::Vi, Lang::En] {
            let words = words::of(lang);
            for state in ["asked", "open", "refused", "ended"] {
                let id = format!("break-glass-done-{state}");
                assert_ne!(words.get(&id), id);
            }
            for word in [
                "unproven",
                "not-for-you",
                "own-request",
                "not-your-agency",
                "not-found",
                "ambiguous",
                "wrong-state",
                "agency-unknown",
                "what-unknown",
                "reason-missing",
                "reason-too-long",
                "valid-too-long",
                "too-many",
            ] {
                let id = format!("break-glass-refused-{word}");
                assert!(!refusal(&words, &format!("{word} x")).contains(&id), "{id}");
            }
        }
        assert_eq!(duration("2h"), Some(Duration::from_secs(7_200)));
        assert_eq!((duration("soon"), duration("0s")), (None, None));
    }
}
