//! The data's own way: how much, how late, who is silent, what is missing.

use ratatui::{style::Style, text::Line};
use vonggac_wire::{
    Time,
    proto::{Agent, HealthState as H},
};

use super::{Area, Item, cursor_in, line, plain, rule, window};
use crate::{
    app::App,
    wording::{self, fit, number},
};

pub(super) fn lines(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let Some(flow) = &app.model.flow else { return vec![plain(&words.get("events-searching"))] };
    let lang = words.lang();
    let seconds = |value: Option<f64>| {
        value.map_or_else(|| words.get("no-data"), |value| wording::seconds(lang, value))
    };
    let mut lines = vec![rule(
        app,
        &words.get("flow-path"),
        &app.theme.sparkline(&flow.rate_cells, 20),
        area.width,
    )];
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
                ("lag", &number(lang, flow.kafka_lag)),
                ("partitions", &flow.partitions_held.to_string()),
            ],
        ),
    );
    row(
        words.get("flow-collector"),
        Some(H::Fine),
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
    row(
        "ClickHouse".into(),
        Some(flow.engine()),
        words.with(
            "flow-engine-line",
            &[
                ("insert", &seconds(flow.insert_p99_seconds)),
                ("store", &wording::bytes(lang, flow.store_bytes)),
            ],
        ),
    );
    row(
        words.get("flow-book"),
        Some(flow.book()),
        words.with(
            "flow-book-line",
            &[
                ("open", &flow.incidents_open.to_string()),
                ("rate", &flow.incidents_new_10m.to_string()),
            ],
        ),
    );
    lines.extend(silent(app, area));
    lines.extend(missing(app, flow, area));
    lines
}

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
    let letters = app.model.flow.as_ref().map_or(0, |flow| flow.dead_letters.len());
    vec![hosts, (0..letters).map(Item::Dead).collect()]
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

fn missing(app: &App, flow: &vonggac_wire::proto::Flow, area: Area) -> Vec<Line<'static>> {
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
            ],
        )),
    ];
    for gap in flow.gaps.iter().take(5) {
        lines.push(plain(&fit(
            &format!(
                " {} {} {} {}–{} {}",
                gap.agency, gap.host, gap.lane, gap.first_seq, gap.last_seq, gap.reason
            ),
            area.width,
        )));
    }
    lines.push(rule(
        app,
        &words.get("flow-dead"),
        &flow.dead_letters_today.to_string(),
        area.width,
    ));
    if flow.dead_letters.is_empty() {
        lines.push(plain(&words.get("flow-no-dead")));
    }
    let cursor = cursor_in(app, 1);
    for at in window(cursor.unwrap_or(0), flow.dead_letters.len(), 5) {
        let letter = &flow.dead_letters[at];
        let text = format!(
            " {} {} {} {}/{}/{} {}",
            wording::since(Time(letter.time_unix_nano), area.now),
            fit(&letter.reason, 14),
            fit(&letter.agency, 8),
            letter.topic,
            letter.partition,
            letter.offset,
            letter.detail
        );
        let style = if cursor == Some(at) { app.theme.selected() } else { Style::new() };
        lines.push(line(vec![(fit(&text, area.width), style)]));
    }
    lines
}
