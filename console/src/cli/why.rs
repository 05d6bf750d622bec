//! Why it is quiet: which rules saw something and opened nothing, and which could not see.

use serde_json::json;
use vonggac_answer::rows::{self, Format, Row};
use vonggac_daemon::exit::Exit;
use vonggac_wire::{
    Time,
    proto::{WhyReply, WhyRequest, WhyRow},
};

use super::{complain, filter::Filter, print, row, show::said};
use crate::{client::Client, words::Words};

pub(super) async fn run(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
) -> Result<Exit, String> {
    let now = Time::now();
    let bad = |text: String| words.with("bad-time", &[("text", &text)]);
    let since = match &filter.since {
        Some(_) => filter.window(now).map_err(bad)?.0.0,
        None => 0,
    };
    let request = WhyRequest {
        agency: filter.agency.clone().unwrap_or_default(),
        rule: filter.rule.clone().unwrap_or_default(),
        since_unix_nano: since,
    };
    let mut reply = client.why(request).await.map_err(said(words))?.into_inner();
    if let Some(limit) = filter.limit.filter(|limit| *limit > 0) {
        reply.rows.truncate(limit as usize);
    }
    if reply.rows.is_empty() && *form == Format::Table {
        complain(&words.get("why-nothing"), Exit::Success);
    }
    print(&rows::write(form, &reply.rows.iter().map(|row| of(row, words)).collect::<Vec<_>>()));
    for id in doubts(&reply) {
        let (held, all) = (reply.partitions_held.to_string(), reply.partitions_all.to_string());
        complain(&words.with(id, &[("held", &held), ("all", &all)]), Exit::Success);
    }
    Ok(Exit::Success)
}

/// What the answer does not know.
fn doubts(reply: &WhyReply) -> Vec<&'static str> {
    let told = [
        (reply.cut, "why-cut"),
        (reply.rebuilding, "why-rebuilding"),
        (reply.partitions_held < reply.partitions_all, "why-elsewhere"),
    ];
    told.into_iter().filter(|(is_so, _)| *is_so).map(|(_, id)| id).collect()
}

fn of(found: &WhyRow, words: &Words) -> Row {
    let (count, wanted) = (found.count.to_string(), found.wanted.to_string());
    let (seconds, incident) = (found.window_seconds.to_string(), found.incident.to_string());
    let values = [
        ("count", count.as_str()),
        ("wanted", &wanted),
        ("seconds", &seconds),
        ("incident", &incident),
        ("period", &found.period),
        ("detail", &found.detail),
    ];
    let known = |number: u64| (number > 0).then_some(number);
    rows::row(json!({
        "rule": found.rule,
        "reason": found.reason,
        "entity": found.entity,
        "why": words.with(&format!("why-{}", found.reason), &values),
        "count": known(found.count),
        "wanted": known(found.wanted),
        "window_seconds": known(found.window_seconds),
        "last": row::time(Some(found.last_unix_nano)),
        "period": found.period,
        "incident": known(found.incident),
        "detail": found.detail,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{self, Lang};

    #[test]
    fn every_reason_and_every_doubt_has_a_sentence_in_both_languages() {
        let reply =
            WhyReply { cut: true, rebuilding: true, partitions_all: 1, ..WhyReply::default() };
        for lang in [Lang::Vi, Lang::En] {
            let words = words::of(lang);
            for reason in [
                "silent",
                "not-connected",
                "excluded",
                "threshold",
                "suppression",
                "maintenance",
                "open",
                "not-loaded",
                "refused",
                "not-learnt",
                "no-source",
            ] {
                let found = WhyRow { reason: reason.into(), count: 3, ..WhyRow::default() };
                let told = of(&found, &words)["why"].as_str().unwrap_or_default().to_owned();
                assert!(!told.is_empty() && !told.starts_with("why-"), "{reason}: {told}");
            }
            for id in doubts(&reply) {
                assert_ne!(words.get(id), id);
            }
        }
        assert_eq!(doubts(&reply).len(), 3);
        assert!(doubts(&WhyReply::default()).is_empty());
    }
}
