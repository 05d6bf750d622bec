//! The summary of half a year's incidents.

use std::collections::BTreeMap;

use vonggac_document::{Document, Line, plain};
use vonggac_wire::{
    Time,
    proto::{ClockState, Incident, LegalClock, Verdict},
};

use super::{Half, Names, Paper, law};
use crate::{
    wording,
    words::{Words, named},
};

/// What a summary is made of.
#[derive(Clone, Copy)]
pub struct Told<'a> {
    /// Which half it is the summary of.
    pub half: Half,
    /// The span that was asked for: the half's, unless somebody knows better.
    pub span: (Time, Time),
    /// All incidents that were opened in the span.
    pub incidents: &'a [Incident],
    /// What laws ask for.
    pub duties: &'a [LegalClock],
    /// Who and what is named in them.
    pub names: Names<'a>,
    /// Who makes the report.
    pub author: &'a str,
    /// The centre's time.
    pub now: Time,
}

/// The summary. Real and simulated incidents never share a sum, and one that was merged into another counts with that one.
#[must_use]
pub fn summary(words: &Words, told: &Told<'_>) -> Document {
    let all_simulated =
        told.incidents.iter().all(|one| one.simulated) && !told.incidents.is_empty();
    let is_duplicate =
        |one: &Incident| one.merged_into != 0 || one.current_verdict() == Some(Verdict::Duplicate);
    let (left_out, kept): (Vec<&Incident>, Vec<&Incident>) = told
        .incidents
        .iter()
        .partition(|one| is_duplicate(one) || (one.simulated && !all_simulated));
    let year = told.half.year().to_string();
    let half = if told.half.is_second() { "report-half-2" } else { "report-half-1" };
    let half = words.with(half, &[("year", &year)]);
    let title = words.with("report-title-summary", &[("half", &half)]);
    let mut paper = Paper::new(words, &title, all_simulated, told.now);
    let duty = told.duties.iter().find(|duty| duty.id == told.half.duty());
    period(&mut paper, told, duty);
    let duplicates = left_out.iter().filter(|one| is_duplicate(one)).count();
    let values = [
        ("duplicates", duplicates.to_string()),
        ("simulated", (left_out.len() - duplicates).to_string()),
    ];
    let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
    paper.known("report-left-out", words.with("report-left-out-line", &values));
    figures(&mut paper, &kept);
    counted(&mut paper, &kept, told);
    reported(&mut paper, &kept, told);
    grave(&mut paper, &kept);
    paper.heading("report-s8");
    for what in ["missing-judgement", "missing-proposals"] {
        let line = vec![paper.missing(what)];
        paper.text(line);
    }
    paper.end(title, told.author)
}

fn period(paper: &mut Paper<'_>, told: &Told<'_>, duty: Option<&LegalClock>) {
    let words = paper.words;
    let (since, until) = told.span;
    let last = Time(until.0.saturating_sub(1));
    let (from, until) = (wording::day(since), wording::day(last));
    let now = wording::full(told.now.min(last));
    let line =
        words.with("report-period-line", &[("from", &from), ("until", &until), ("now", &now)]);
    paper.known("report-period", line);
    paper.unknown("report-period", "missing-cut-off");
    let due = duty.and_then(|duty| Some((told.half.due(&duty.limit)?, law(words, duty))));
    let due = due.map(|(at, law)| format!("{} ({law})", wording::day(at)));
    paper.field("report-send-by", &due.unwrap_or_default(), "missing-send-by");
    let recipients = duty.map(|duty| {
        let roles = duty.recipient_roles.iter().map(|role| named(words, "role", role));
        roles.collect::<Vec<_>>().join("; ")
    });
    paper.field("report-to", &recipients.unwrap_or_default(), "missing-recipients");
}

/// In time and of how many that had a clock which has ended or run out.
fn in_time(kept: &[&Incident], kind: &str) -> String {
    let ended = kept.iter().filter_map(|one| one.clock(kind)).map(|clock| clock.state());
    let (met, late) = ended.fold((0, 0), |(met, late), state| match state {
        ClockState::Met => (met + 1, late),
        ClockState::Breached => (met, late + 1),
        _ => (met, late),
    });
    format!("{met}/{}", met + late)
}

fn figures(paper: &mut Paper<'_>, kept: &[&Incident]) {
    let words = paper.words;
    let open = kept.iter().filter(|one| one.current_state().is_open()).count();
    paper.heading("report-s1");
    paper.known("report-opened-count", kept.len().to_string());
    paper.known("report-closed-count", (kept.len() - open).to_string());
    paper.known("report-open-count", open.to_string());
    paper.known("report-answered", in_time(kept, "answer"));
    paper.known("report-solved", in_time(kept, "solve"));
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    for one in kept {
        let name = one.current_verdict().map_or_else(
            || words.get("report-verdict-none"),
            |verdict| words.get(&format!("judged-{}", verdict.name())),
        );
        *verdicts.entry(name).or_default() += 1;
    }
    let verdicts: Vec<String> =
        verdicts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    paper.field("report-verdicts", &verdicts.join("; "), "missing-verdict");
    paper.heading("report-s2");
    let rows: Vec<Vec<Line>> = (1..=4_u32)
        .map(|level| {
            let of: Vec<&Incident> =
                kept.iter().copied().filter(|one| one.level().level() == level).collect();
            let open = of.iter().filter(|one| one.current_state().is_open()).count();
            vec![
                plain(words.get(&format!("report-severity-{level}"))),
                plain(of.len().to_string()),
                plain(open.to_string()),
                plain(in_time(&of, "answer")),
                plain(in_time(&of, "solve")),
            ]
        })
        .collect();
    let columns = [
        ("report-severity", 4),
        ("report-opened-count", 4),
        ("report-open-count", 3),
        ("report-answered", 3),
        ("report-solved", 3),
    ];
    paper.table(&columns, rows, "missing-title");
}

/// By month, agency and rule; the most first, where no order is their own.
fn counted(paper: &mut Paper<'_>, kept: &[&Incident], told: &Told<'_>) {
    let words = paper.words;
    let (mut months, mut agencies, mut rules) =
        (BTreeMap::<i64, (String, usize)>::new(), BTreeMap::new(), BTreeMap::new());
    for one in kept {
        let opened = Time(one.opened_unix_nano);
        let name = wording::month(opened);
        let known = months.values_mut().find(|(known, _)| *known == name);
        match known {
            Some((_, count)) => *count += 1,
            None => drop(months.insert(opened.0, (name, 1_usize))),
        }
        for code in &one.agencies {
            *agencies.entry(code.clone()).or_insert(0_usize) += 1;
        }
        *rules.entry(one.rule.clone()).or_insert(0_usize) += 1;
    }
    if kept.is_empty() {
        return;
    }
    let row = |name: String, count: usize| vec![plain(name), plain(count.to_string())];
    paper.heading("report-s3");
    let rows = months.into_values().map(|(name, count)| row(name, count)).collect();
    paper.table(&[("report-month", 3), ("report-opened-count", 2)], rows, "missing-title");
    let most_first = |counts: BTreeMap<String, usize>| {
        let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        counts
    };
    paper.heading("report-s4");
    let rows = most_first(agencies);
    let rows = rows.into_iter().map(|(code, n)| row(told.names.agency(words, &code), n)).collect();
    paper.table(&[("report-affected", 6), ("report-opened-count", 2)], rows, "missing-affected");
    paper.heading("report-s5");
    let rows = most_first(rules).into_iter().map(|(rule, n)| row(rule, n)).collect();
    paper.table(&[("report-found-by", 6), ("report-opened-count", 2)], rows, "missing-title");
}

fn reported(paper: &mut Paper<'_>, kept: &[&Incident], told: &Told<'_>) {
    let words = paper.words;
    paper.heading("report-s6");
    let rows: Vec<Vec<Line>> = told
        .duties
        .iter()
        .filter(|duty| duty.kind == "deadline")
        .map(|duty| {
            let has = |one: &&&Incident| one.reports.iter().any(|report| report.duty == duty.id);
            let (count, all) =
                (kept.iter().filter(has).count().to_string(), kept.len().to_string());
            vec![
                plain(words.pick(&duty.name_vi, &duty.name_en)),
                plain(law(words, duty)),
                plain(words.with("report-reported-line", &[("count", &count), ("all", &all)])),
            ]
        })
        .collect();
    let columns = [("report-duty", 4), ("report-law", 6), ("report-done", 5)];
    paper.table(&columns, rows, "missing-duties");
}

fn grave(paper: &mut Paper<'_>, kept: &[&Incident]) {
    let words = paper.words;
    paper.heading("report-s7");
    let grave: Vec<&&Incident> = kept.iter().filter(|one| one.level().level() <= 2).collect();
    if grave.is_empty() {
        paper.text(plain(words.get("report-none-grave")));
        return;
    }
    let mut rows = Vec::new();
    for one in grave {
        let result = if one.result.is_empty() {
            vec![paper.missing("missing-result")]
        } else {
            plain(one.result.clone())
        };
        rows.push(vec![
            plain(format!("#{} M{}", one.id, one.level().level())),
            plain(wording::day(Time(one.opened_unix_nano))),
            plain(words.pick(&one.title_vi, &one.title_en)),
            result,
        ]);
    }
    let columns =
        [("report-id", 3), ("report-opened", 3), ("report-what", 7), ("report-result", 7)];
    paper.table(&columns, rows, "missing-title");
}
