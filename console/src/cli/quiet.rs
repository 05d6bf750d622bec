//! Quiet periods: suppressions and maintenance.

use clap::Subcommand;
use serde_json::json;
use vonggac_answer::rows::{self, Format, Row};
use vonggac_daemon::{exit::Exit, settings::parse_duration};
use vonggac_wire::{
    Time,
    proto::{
        AddQuiet, ChangeQuietRequest, EndQuiet, QuietPeriod, QuietRequest, QuietScope,
        change_quiet_request::Change,
    },
};

use super::{complain, filter::Filter, print, row, show::said};
use crate::{app::later, client::Client, words::Words};

/// A step. What it is about stands in the options that every command has.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// Add one.
    Add {
        /// Why.
        #[arg(long)]
        reason: String,
        /// For how long, or until when.
        #[arg(long = "for", value_name = "TIME")]
        how_long: String,
        /// From when on; now, if it is not said.
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// What a signal is about, as its incident names it.
        #[arg(long)]
        entity: Option<String>,
        /// Who answers for it.
        #[arg(long)]
        owner: Option<String>,
    },
    /// What is quiet, by whom, why, until when, and what it withheld.
    List {
        /// Those that are over, too.
        #[arg(long)]
        all: bool,
    },
    /// End one before its time.
    End {
        /// Its id.
        period: String,
        /// Why.
        #[arg(long)]
        reason: String,
    },
}

/// A time to come: `2h`, `22:00`, or a date with it; `None`: it is none.
pub(super) fn moment(text: &str, now: Time) -> Option<Time> {
    later(text, now).or_else(|| text.parse().ok())
}

/// From when until when. A time that lasts begins with the period.
pub(super) fn times(from: Option<&str>, how_long: &str, now: Time) -> Option<(Option<Time>, Time)> {
    let begins = match from {
        Some(text) => Some(moment(text, now)?),
        None => None,
    };
    let first = begins.unwrap_or(now);
    let ends = match parse_duration(how_long) {
        Some(span) => first.plus(span),
        None => moment(how_long, first)?,
    };
    Some((begins, ends))
}

pub(super) async fn run(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
    (kind, action): (&str, Action),
) -> Result<Exit, String> {
    let change = match action {
        Action::List { all } => return list(client, words, filter, form, (kind, all)).await,
        Action::Add { reason, how_long, from, entity, owner } => {
            // What is no time was refused before; the centre refuses an end that has passed.
            let now = Time::now();
            let (begins, ends) = times(from.as_deref(), &how_long, now).unwrap_or((None, Time(0)));
            Change::Add(AddQuiet {
                kind: kind.to_owned(),
                scope: Some(scope(filter, entity)),
                reason,
                from_unix_nano: begins.map_or(0, |time| time.0),
                until_unix_nano: ends.0,
                owner: owner.unwrap_or_default(),
            })
        }
        Action::End { period, reason } => Change::End(EndQuiet { id: period, reason }),
    };
    let request = ChangeQuietRequest { change: Some(change) };
    let reply = client.change_quiet(request).await.map_err(said(words))?.into_inner();
    if !reply.refused.is_empty() {
        return Ok(complain(&refusal(words, &reply.refused), Exit::Failure));
    }
    let period = reply.period.unwrap_or_default();
    if *form == Format::Table {
        let values = [
            ("id", period.id.as_str()),
            ("from", &row::text_of(period.from_unix_nano)),
            ("until", &row::text_of(period.until_unix_nano)),
        ];
        let told = words.with(&format!("quiet-done-{}", period.state), &values);
        let mut text = format!("{}\n", crate::sanitise::sanitise(&told));
        if period.gravest > 1 && period.ended_unix_nano == 0 {
            text.push_str(&format!("{}\n", words.get("quiet-below-m1")));
        }
        print(&text);
    } else {
        print(&rows::write(form, &[of(&period)]));
    }
    Ok(Exit::Success)
}

fn scope(filter: &Filter, entity: Option<String>) -> QuietScope {
    let named = |value: &Option<String>| value.clone().unwrap_or_default();
    QuietScope {
        rule: named(&filter.rule),
        agency: named(&filter.agency),
        host: named(&filter.host),
        user: named(&filter.user),
        address: named(&filter.src_ip),
        entity: entity.unwrap_or_default(),
        system: named(&filter.system),
    }
}

async fn list(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
    (kind, over): (&str, bool),
) -> Result<Exit, String> {
    let agency = filter.agency.clone().unwrap_or_default();
    let request = QuietRequest { agency, kind: kind.to_owned(), over };
    let periods = client.quiet(request).await.map_err(said(words))?.into_inner().periods;
    if periods.is_empty() && *form == Format::Table {
        complain(&words.get("quiet-none"), Exit::Success);
    }
    print(&rows::write(form, &periods.iter().map(of).collect::<Vec<_>>()));
    Ok(Exit::Success)
}

/// A refusal as a sentence.
fn refusal(words: &Words, refused: &str) -> String {
    let (word, detail) = refused.split_once(' ').unwrap_or((refused, ""));
    words.with(&format!("quiet-refused-{word}"), &[("detail", detail)])
}

pub(super) fn of(period: &QuietPeriod) -> Row {
    let known = |nanos: i64| row::time((nanos != 0).then_some(nanos));
    let scope = period.scope.clone().unwrap_or_default();
    let gravest = vonggac_wire::incident::Severity::from_level(period.gravest);
    rows::row(json!({
        "id": period.id,
        "kind": period.kind,
        "state": period.state,
        "owner": period.owner,
        "reason": period.reason,
        "rule": scope.rule,
        "agency": scope.agency,
        "host": scope.host,
        "user": scope.user,
        "address": scope.address,
        "entity": scope.entity,
        "system": scope.system,
        "gravest": gravest.name(),
        "from": known(period.from_unix_nano),
        "until": known(period.until_unix_nano),
        "withheld": period.withheld,
        "withheld_events": period.withheld_events,
        "last": known(period.last_unix_nano),
        "last_rule": period.last_rule,
        "last_entity": period.last_entity,
        "last_agency": period.last_agency,
        "added_by": period.added_by,
        "added": known(period.added_unix_nano),
        "ended_by": period.ended_by,
        "ended": known(period.ended_unix_nano),
        "end_reason": period.end_reason,
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
            for state in ["coming", "running", "ended"] {
                let id = format!("quiet-done-{state}");
                assert_ne!(words.get(&id), id);
            }
            for word in [
                "kind-unknown",
                "reason-missing",
                "text-too-long",
                "scope-too-wide",
                "scope-not-maintained",
                "network-too-wide",
                "address-unknown",
                "agency-unknown",
                "agency-missing",
                "not-your-agency",
                "system-unknown",
                "rule-unknown",
                "rule-told-by",
                "rule-never",
                "needs-nation",
                "no-time",
                "too-long",
                "too-far",
                "too-many",
                "not-found",
                "ambiguous",
                "wrong-state",
            ] {
                let id = format!("quiet-refused-{word}");
                assert!(!refusal(&words, &format!("{word} x")).contains(&id), "{id}");
            }
        }
    }

    #[test]
    fn a_time_that_lasts_begins_with_its_period() {
        let now: Time = "2026-11-24T02:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Time>().unwrap();
        assert_eq!(times(None, "2h", now), Some((None, at("2026-11-24T04:00:00Z"))));
        let begins = Some(at("2026-11-24T15:00:00Z"));
        assert_eq!(times(Some("22:00"), "4h", now), Some((begins, at("2026-11-24T19:00:00Z"))));
        assert_eq!(times(Some("22:00"), "02:00", now), Some((begins, at("2026-11-24T19:00:00Z"))));
        let dated = times(None, "2026-11-28T22:00:00+07:00", now);
        assert_eq!(dated, Some((None, at("2026-11-28T15:00:00Z"))));
        assert_eq!((times(None, "soon", now), times(Some("soon"), "2h", now)), (None, None));
    }
}
