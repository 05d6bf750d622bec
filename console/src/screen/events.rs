//! Event search, one event whole, and one value against agencies.

use ratatui::{style::Style, text::Line};
use vonggac_wire::{
    Time,
    proto::{Cell, EventRow},
};

use super::{Area, Screen, line, plain, rule, window};
use crate::{
    app::App,
    wording::{self, fit, right},
};

/// The event that the cursor is on, or that is open.
pub(super) fn current(app: &App) -> Option<&EventRow> {
    match &app.place().screen {
        Screen::Events => app.model.search.as_ref()?.rows.get(app.place().cursor),
        Screen::Event(at) => opened(app, *at),
        _ => None,
    }
}

/// An event of the search, or of the incident that it was opened from.
fn opened(app: &App, at: usize) -> Option<&EventRow> {
    let before = app.places.iter().rev().nth(1).map(|place| &place.screen);
    match before {
        Some(Screen::Incident(_)) => app.model.detail.as_ref()?.evidence.get(at),
        _ => app.model.search.as_ref()?.rows.get(at),
    }
}

pub(super) fn list(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let place = app.place();
    let mut lines = vec![plain(&fit(&format!("/ {}", place.filter), area.width))];
    if app.searching {
        lines.push(plain(&words.get("events-searching")));
        return lines;
    }
    let Some(reply) = &app.model.search else { return lines };
    let lang = words.lang();
    let total = reply.total.map_or_else(
        || wording::number(lang, reply.rows.len() as u64),
        |total| wording::number(lang, total),
    );
    lines.push(plain(&words.with(
        "events-line",
        &[
            ("total", &total),
            ("read", &wording::number(lang, reply.rows_read)),
            ("seconds", &format!("{} s", wording::decimal(lang, reply.elapsed_seconds, 2))),
        ],
    )));
    if reply.rows.is_empty() {
        lines.extend(["events-none-1", "events-none-2"].map(|id| plain(&words.get(id))));
        return lines;
    }
    lines.push(histogram(app, reply, area.width));
    lines.push(rule(app, &columns(app), "", area.width));
    let detail = 5.min(area.height / 3);
    let height = area.height.saturating_sub(lines.len() + detail + 1);
    for at in window(place.cursor, reply.rows.len(), height) {
        let style = if at == place.cursor { app.theme.selected() } else { Style::new() };
        lines.push(line(vec![(fit(&row(app, &reply.rows[at]), area.width), style)]));
    }
    lines.push(rule(app, &words.get("events-detail"), "", area.width));
    if let Some(event) = current(app) {
        lines.extend(whole(app, event, area).into_iter().take(detail));
    }
    lines
}

fn columns(app: &App) -> String {
    let words = &app.words;
    // Two columns of the rule stand before it, and one blank before each row.
    format!(
        "{} {} {} {} {} {}",
        fit(&words.get("col-time"), 13),
        fit(&words.get("col-agency"), 7),
        fit(&words.get("col-host"), 9),
        fit(&words.get("col-user"), 9),
        fit(&words.get("col-from"), 15),
        words.get("col-result")
    )
}

/// What came of it, in the screen's words where there are some.
fn result(app: &App, event: &EventRow) -> String {
    let detail = event.fields.get("status_detail").map_or("", String::as_str);
    let told = [detail, event.status.as_str()].into_iter().find_map(|word| {
        let id = format!("result-{word}");
        let text = app.words.get(&id);
        (text != id).then_some(text)
    });
    let request = event.fields.get("http_request.url").map(|url| {
        let method = event.fields.get("http_request.http_method").map_or("", String::as_str);
        let code = event.fields.get("http_response.code").map_or("", String::as_str);
        format!("{code} {method} {url}")
    });
    let check = event.fields.get("check.name").filter(|_| event.src_ip.is_empty());
    match (request, check) {
        (Some(request), _) => request,
        (None, Some(name)) => format!("{}: {name}", told.unwrap_or_default()),
        (None, None) => {
            let text = if event.message.is_empty() { &event.raw } else { &event.message };
            match told.filter(|_| event.class == "authentication") {
                Some(told) => format!("{told}  {text}"),
                None => format!("{}  {text}", event.class),
            }
        }
    }
}

fn row(app: &App, event: &EventRow) -> String {
    let from = if event.src_ip.is_empty() {
        event.fields.get("check.target").map_or("", String::as_str)
    } else {
        &event.src_ip
    };
    format!(
        " {} {} {} {} {} {}",
        fit(&wording::date_time(Time(event.time_unix_nano)), 14),
        fit(&event.agency, 7),
        fit(&event.host, 9),
        fit(&event.user, 9),
        fit(from, 15),
        result(app, event),
    )
}

fn histogram(app: &App, reply: &vonggac_wire::proto::SearchReply, width: usize) -> Line<'static> {
    #[expect(clippy::cast_precision_loss, reason = "bars")]
    let cells: Vec<Cell> =
        reply.histogram.iter().map(|column| Cell { value: Some(column.count as f64) }).collect();
    let most = reply.histogram.iter().map(|column| column.count).max().unwrap_or(0);
    let bars = app.theme.sparkline(&cells, width.saturating_sub(12));
    plain(&format!("{}┤{bars}", right(&wording::number(app.words.lang(), most), 8)))
}

/// Every field of an event.
fn whole(app: &App, event: &EventRow, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let mut lines = Vec::new();
    let mut put = |text: String| {
        let mut rest = crate::sanitise::sanitise(&text).into_owned();
        while !rest.is_empty() {
            let head: String = rest.chars().take(area.width).collect();
            rest = rest.chars().skip(area.width).collect();
            lines.push(plain(&head));
        }
    };
    put(format!("raw   {}", event.raw));
    put(format!(
        "time  {}   class {} {}   status {}   {}/{}/{}",
        Time(event.time_unix_nano),
        event.class_uid,
        event.class,
        event.status,
        event.agent,
        event.lane,
        event.seq
    ));
    put(format!(
        "user  {}   src {}:{}   format {}   time_doubt {}",
        event.user, event.src_ip, event.src_port, event.format, event.time_doubt
    ));
    put(words.with(
        "events-source",
        &[
            ("source", &event.source),
            ("offset", &wording::number(words.lang(), event.source_offset)),
        ],
    ));
    for (name, value) in &event.fields {
        put(format!("{name}  {value}"));
    }
    lines
}

pub(super) fn one(app: &App, at: usize, area: Area) -> Vec<Line<'static>> {
    opened(app, at)
        .map_or_else(|| vec![plain(&app.words.get("no-evidence"))], |event| whole(app, event, area))
}

pub(super) fn spread(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let place = app.place();
    let Some((field, value)) = place.filter.split_once('=') else {
        return vec![plain(&words.get("spread-hint"))];
    };
    let mut lines = vec![
        plain(&words.with("spread-line", &[("field", field), ("value", value)])),
        rule(app, "", "", area.width),
    ];
    for at in window(place.cursor, app.model.spread.len(), area.height.saturating_sub(2)) {
        let row = &app.model.spread[at];
        let name = app
            .model
            .agency(&row.agency)
            .map_or(row.agency.as_str(), |a| words.pick(&a.name_vi, &a.name_en));
        let style = if at == place.cursor { app.theme.selected() } else { Style::new() };
        let text = format!(
            " {} {} {} {} {} – {}",
            fit(name, 30),
            right(&wording::number(words.lang(), row.count), 10),
            right(&format!("{} {}", row.hosts, words.get("col-host")), 10),
            right(&format!("✓ {}", row.successes), 8),
            wording::date_time(Time(row.first_unix_nano)),
            wording::clock(Time(row.last_unix_nano)),
        );
        lines.push(line(vec![(fit(&text, area.width), style)]));
    }
    lines
}
