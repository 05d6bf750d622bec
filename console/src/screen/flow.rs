//! The data's own way: how much, how late, who is silent, what is missing.

use std::time::Duration;

use ratatui::{style::Style, text::Line};
use vonggac_wire::{
    Time,
    proto::{Agent, DeadLetter, Flow, GapRow, HealthState as H},
};

use super::{Area, Item, cursor_in, line, plain, rule, window};
use crate::{
    app::{App, Fresh},
    wording::{self, fit, number, right},
};

/// Gaps that are shown: the newest; the others are in `vonggac gaps`.
const GAPS_SHOWN: usize = 5;

pub(super) fn lines(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let Some(flow) = &app.model.flow else { return vec![plain(&words.get("events-searching"))] };
    let lang = words.lang();
    let seconds = |value: Option<f64>| {
        value.map_or_else(|| words.get("no-data"), |value| wording::seconds(lang, value))
    };
    let newest = app
        .heard
        .newest
        .map_or_else(|| words.get("no-data"), |at| wording::duration(lang, area.now.since(at)));
    let newest = words.with("flow-newest", &[("age", &newest)]);
    let remark = format!("{newest} {}", app.theme.sparkline(&flow.rate_cells, 20));
    let mut lines = vec![rule(app, &words.get("flow-path"), remark.trim_end(), area.width)];
    let mut row = |name: String, state: Option<H>, text: String| {
        let mut parts = vec![(format!(" {} ", fit(&name, 11)), Style::new())];
        parts.push(state.map_or_else(
            || ("   ".to_owned(), Style::new()),
            |state| (format!("{} ", app.theme.state(state)), app.theme.state_style(state)),
        ));
        parts.push((wording::whole(&text, area.width.saturating_sub(16)), Style::new()));
        lines.push(line(parts));
    };
    row(
        words.get("flow-agents"),
        None,
        words.with(
            "flow-agents-line",
            &[
                ("heard", &flow.agents_heard.to_string()),
                ("all", &flow.agents_enrolled.to_string()),
                ("spool", &wording::bytes(lang, flow.spool_bytes)),
                ("oldest", &wording::seconds(lang, flow.oldest_age_seconds)),
                ("security", &number(lang, flow.dropped_security)),
                ("uptime", &number(lang, flow.dropped_uptime)),
                ("usage", &number(lang, flow.dropped_usage)),
            ],
        ),
    );
    row(
        "Kafka".into(),
        Some(flow.kafka()),
        words.with(
            "flow-kafka-line",
            &[
                ("rate", &rate(lang, flow.events_per_second)),
                ("lag", &lag(app, flow)),
                ("partitions", &flow.partitions_held.to_string()),
            ],
        ),
    );
    row(
        words.get("flow-collector"),
        Some(collector(app, flow, area.now)),
        words.with(
            "flow-collector-line",
            &[
                ("p50", &seconds(flow.delay_p50_seconds)),
                ("p99", &seconds(flow.delay_p99_seconds)),
                ("duplicates", &number(lang, flow.duplicates_dropped)),
                ("memory", &wording::bytes(lang, flow.collector_rss_bytes)),
            ],
        ),
    );
    row(
        words.get("flow-detection"),
        Some(flow.detection()),
        words.with(
            "flow-detection-line",
            &[
                ("keys", &number(lang, flow.detection_keys)),
                ("signals", &number(lang, flow.signals_grouped)),
            ],
        ),
    );
    row("ClickHouse".into(), Some(flow.engine()), engine(app, flow, area.now));
    row(
        words.get("flow-book"),
        Some(flow.book()),
        words.with(
            "flow-book-line",
            &[
                ("open", &flow.incidents_open.to_string()),
                ("rate", &flow.incidents_new_10m.to_string()),
                ("delay", &seconds(flow.incident_delay_p99_seconds)),
            ],
        ),
    );
    lines.extend(silent(app, area));
    lines.extend(missing(app, flow, area));
    lines
}

/// Records that are not stored; where there are some that did not come just now, since when and how many bytes.
fn lag(app: &App, flow: &Flow) -> String {
    let (words, lang) = (&app.words, app.words.lang());
    let records = number(lang, flow.kafka_lag);
    match flow.lag_seconds {
        Some(age) if age > 0.0 => {
            let bytes = flow.lag_bytes.map(|bytes| format!(", {}", wording::bytes(lang, bytes)));
            format!("{records} ({}{})", span(lang, age), bytes.unwrap_or_default())
        }
        Some(_) => records,
        None => format!("{records} ({})", words.get("flow-lag-unknown")),
    }
}

/// Seconds as a person tells them.
fn span(lang: crate::words::Lang, seconds: f64) -> String {
    match Duration::try_from_secs_f64(seconds) {
        Ok(span) if span >= Duration::from_secs(60) => wording::duration(lang, span),
        _ => wording::seconds(lang, seconds),
    }
}

/// How long blocks take and what the store holds; what is the matter with it, and for how long. A cause that this console does not know is
/// told by the centre's word.
fn engine(app: &App, flow: &Flow, now: Time) -> String {
    const CAUSES: [&str; 13] = [
        "away",
        "hangs",
        "slow",
        "read-only",
        "disk-full",
        "parts-many",
        "rows",
        "memory",
        "denied",
        "schema",
        "busy",
        "damaged",
        "other",
    ];
    let (words, lang) = (&app.words, app.words.lang());
    let cause = flow.engine_trouble.as_str();
    if cause.is_empty() {
        let p99 = flow.insert_p99_seconds;
        let insert = p99.map_or_else(|| words.get("no-data"), |p99| wording::seconds(lang, p99));
        let store = wording::bytes(lang, flow.store_bytes);
        return words.with("flow-engine-line", &[("insert", &insert), ("store", &store)]);
    }
    let what = if CAUSES.contains(&cause) {
        words.get(&format!("engine-{cause}"))
    } else {
        cause.to_owned()
    };
    let span = wording::duration(lang, now.since(Time(flow.engine_since_unix_nano)));
    words.with("flow-engine-trouble", &[("what", &what), ("span", &span)])
}

/// How the collector is, by what it tells and how lately: nobody is fine who was not heard.
fn collector(app: &App, flow: &Flow, now: Time) -> H {
    match app.fresh(now) {
        Fresh::Lost(_) | Fresh::Stale(_) => H::Unknown,
        Fresh::Quiet(_) | Fresh::Late(_) => H::Degraded,
        Fresh::Live(_) if flow.delay_p99_seconds.is_some_and(|delay| delay > DELAY_MAX) => {
            H::Degraded
        }
        Fresh::Live(_) => H::Fine,
    }
}

/// Seconds from reading to storing above which the collector does not keep up.
const DELAY_MAX: f64 = 10.0;

/// An event that has not been stored for so many seconds is told with its agency.
const OLDEST_SHOWN: f64 = 60.0;

/// Events a second: whole, unless they are few.
fn rate(lang: crate::words::Lang, rate: f64) -> String {
    if rate < 10.0 {
        return wording::decimal(lang, rate, 1);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate, never negative"
    )]
    number(lang, rate.round() as u64)
}

fn silent_hosts(app: &App) -> Vec<&Agent> {
    let mut all: Vec<&Agent> =
        app.model.agents.values().filter(|agent| agent.state() == H::Silent).collect();
    all.sort_by_key(|agent| agent.last_heard_unix_nano);
    all
}

/// Silent hosts, then dead letters.
pub(super) fn sections(app: &App) -> Vec<Vec<Item>> {
    let hosts = silent_hosts(app)
        .iter()
        .map(|row| Item::Host(row.agency.clone(), row.agent.clone()))
        .collect();
    vec![hosts, (0..app.model.dead_letters().len()).map(Item::Dead).collect()]
}

fn silent(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let all = silent_hosts(app);
    let cursor = cursor_in(app, 0);
    let mut lines = vec![rule(app, &words.get("flow-silent"), &all.len().to_string(), area.width)];
    if all.is_empty() {
        lines.push(plain(&words.get("flow-nobody-silent")));
    }
    for at in window(cursor.unwrap_or(0), all.len(), area.height / 4) {
        let agent = all[at];
        let since = agent.last_heard_unix_nano.map_or_else(
            || words.get("no-data"),
            |at| {
                format!(
                    "{} ({})",
                    wording::date_time(Time(at)),
                    wording::duration(words.lang(), area.now.since(Time(at)))
                )
            },
        );
        lines.push(line(vec![
            (format!(" {}", app.theme.state(H::Silent)), app.theme.state_style(H::Silent)),
            (
                format!(" {} {} {since}", fit(&agent.agency, 8), fit(&agent.host, 16)),
                if cursor == Some(at) { app.theme.selected() } else { Style::new() },
            ),
        ]));
    }
    lines
}

fn missing(app: &App, flow: &Flow, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let lang = words.lang();
    let mut lines = vec![
        rule(app, &words.get("flow-missing"), "", area.width),
        plain(&words.with(
            "flow-missing-line",
            &[
                ("held", &number(lang, flow.events_held)),
                ("numbered", &number(lang, flow.events_numbered)),
                ("waiting", &number(lang, flow.events_waiting)),
                ("lost", &number(lang, flow.events_lost)),
                ("percent", &held_share(app, flow)),
            ],
        )),
    ];
    if let Some(age) = flow.oldest_event_seconds.filter(|age| *age > OLDEST_SHOWN) {
        let age = span(lang, age);
        let text = words.with("flow-oldest", &[("agency", &flow.oldest_agency), ("age", &age)]);
        lines.push(plain(&fit(&text, area.width)));
    }
    let told = flow.gaps.iter().take(GAPS_SHOWN);
    lines.extend(told.map(|gap| plain(&fit(&format!(" {}", missed(app, gap)), area.width))));
    lines.extend(dead(app, flow, area));
    let skew = wording::decimal(lang, app.heard.skew_seconds(), 1);
    lines.push(plain(&fit(&words.with("flow-clock", &[("skew", &skew)]), area.width)));
    lines
}

/// One gap in words: whose, how many, why, from when to when they were read, or their numbers where nobody knows that.
fn missed(app: &App, gap: &GapRow) -> String {
    let words = &app.words;
    let lang = words.lang();
    let count = match gap.events {
        0 => words.get("flow-gap-unknown"),
        events => number(lang, events),
    };
    let reason = match gap.reason.as_str() {
        "overflow" => words.get("gap-overflow"),
        "damage" => words.get("gap-damage"),
        "truncation" => words.get("gap-truncation"),
        "removed" => words.get("gap-removed"),
        "expired" => words.get("gap-expired"),
        "topic-renewed" => words.get("gap-topic-renewed"),
        "unopened" => words.get("gap-unopened"),
        _ => words.get("gap-unexplained"),
    };
    let when = match (gap.first_observed_unix_nano, gap.last_observed_unix_nano) {
        (0, _) | (_, 0) if gap.first_seq == 0 => String::new(),
        (0, _) | (_, 0) => format!("{}–{}", gap.first_seq, gap.last_seq),
        (first, last) => {
            format!("{}–{}", wording::clock(Time(first)), wording::clock(Time(last)))
        }
    };
    let parts = [reason.as_str(), &when, &gap.source];
    let about = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    words.with(
        "flow-gap",
        &[
            ("agency", &gap.agency),
            ("host", &gap.host),
            ("lane", &gap.lane),
            ("count", &count),
            ("about", &about),
        ],
    )
}

/// `99,996 %`: never rounded up to the whole while something is missing.
fn held_share(app: &App, flow: &Flow) -> String {
    if flow.events_numbered == 0 {
        return app.words.get("no-data");
    }
    #[expect(clippy::cast_precision_loss, reason = "thousandths of a percent for a person")]
    let share = flow.events_held as f64 / flow.events_numbered as f64 * 100.0;
    if flow.events_held >= flow.events_numbered {
        return "100 %".to_owned();
    }
    let share = share.min(99.999);
    format!("{} %", wording::decimal(app.words.lang(), share, 3))
}

fn dead(app: &App, flow: &Flow, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let letters = app.model.dead_letters();
    let cursor = cursor_in(app, 1);
    let today = number(words.lang(), flow.dead_letters_today);
    let title = format!("{} {today}", words.get("flow-dead"));
    let hint = if letters.is_empty() { String::new() } else { words.get("flow-dead-hint") };
    let mut lines = vec![rule(app, &title, &hint, area.width)];
    if letters.is_empty() {
        let why = super::unanswered(app, Some(&app.questions.dead), area);
        // A count without its list is told as that, never as nothing.
        let none = if flow.dead_letters_today == 0 { "flow-no-dead" } else { "flow-dead-unlisted" };
        lines.push(plain(&why.unwrap_or_else(|| words.get(none))));
    }
    let room = (area.height / 4).max(5);
    for at in window(cursor.unwrap_or(0), letters.len(), room) {
        let letter = &letters[at];
        let text = format!(
            "{}{} {} {} {} {}",
            if cursor == Some(at) { app.theme.cursor() } else { " " },
            fit(&wording::since(Time(letter.time_unix_nano), area.now), 5),
            fit(&reason(app, letter), 22),
            fit(dash(&letter.agency), 8),
            right(&size(app, letter.bytes), 9),
            settled(app, letter).map_or_else(
                || letter.detail.clone(),
                |word| format!("[{word}] {}", letter.detail)
            )
        );
        let style = if cursor == Some(at) { app.theme.selected() } else { Style::new() };
        lines.push(line(vec![(fit(&text, area.width), style)]));
    }
    lines
}

fn dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

/// Bytes as they are, as far as a person counts them.
fn size(app: &App, bytes: u64) -> String {
    if bytes < 10_000 {
        format!("{} B", number(app.words.lang(), bytes))
    } else {
        wording::bytes(app.words.lang(), bytes)
    }
}

/// Why it was set aside, in the screen's words where there are some.
fn reason(app: &App, letter: &DeadLetter) -> String {
    let id = format!("dead-{}", letter.reason);
    let word = app.words.get(&id);
    if word == id { letter.reason.clone() } else { word }
}

/// What was done about it; `None`: nothing yet.
fn settled(app: &App, letter: &DeadLetter) -> Option<String> {
    match letter.state.as_str() {
        "replayed" => Some(app.words.get("dead-state-replayed")),
        "dropped" => Some(app.words.get("dead-state-dropped")),
        _ => None,
    }
}

/// A dead letter whole: where it came from, why it was not taken, where its bytes are.
pub(crate) fn dead_letter(app: &App, at: usize) -> Option<(String, Vec<String>)> {
    let letter = app.model.dead_letters().get(at)?;
    let words = &app.words;
    let origin = format!("{}/{}/{}", letter.topic, letter.partition, letter.offset);
    let lines = vec![
        format!("{} ({})", reason(app, letter), letter.reason),
        letter.detail.clone(),
        words.with(
            "dead-where",
            &[
                ("time", &wording::date_time(Time(letter.time_unix_nano))),
                ("agency", dash(&letter.agency)),
                ("bytes", &number(words.lang(), letter.bytes)),
            ],
        ),
        words.with("dead-origin", &[("origin", &origin)]),
        words.with("dead-bytes", &[("topic", vonggac_wire::topic::DEAD)]),
        words.with(
            match letter.state.as_str() {
                "replayed" => "dead-replayed",
                "dropped" => "dead-dropped",
                _ => "dead-again",
            },
            &[
                ("origin", &origin),
                ("time", &wording::date_time(Time(letter.settled_unix_nano))),
                ("actor", dash(&letter.actor)),
            ],
        ),
    ];
    let title = format!("{} {origin}", words.get("flow-dead"));
    Some((title, lines.into_iter().filter(|line| !line.is_empty()).collect()))
}
