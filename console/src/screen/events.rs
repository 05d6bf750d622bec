//! Event search, one event whole, and one value against agencies.

use ratatui::{style::Style, text::Line};
use vonggac_wire::{
    Time,
    proto::{Cell, EventRow, HealthState as H, SearchReply, SqlReply},
};

use super::{Area, Screen, cursor_in, line, plain, rule, window};
use crate::{
    app::App,
    model::Fold,
    wording::{self, fit, right},
};

/// The event that the cursor is on, or that is open.
pub(super) fn current(app: &App) -> Option<&EventRow> {
    let place = app.place();
    match &place.screen {
        Screen::Events => app.model.search.as_ref()?.rows.get(chosen(app)?.at),
        Screen::Incident(id) => super::detail(app, *id)?.evidence.get(cursor_in(app, 1)?),
        Screen::Event(at) => opened(app, *at),
        _ => None,
    }
}

/// The rows of the list: repeats in one, or each event for itself.
fn rows_shown(app: &App) -> Vec<Fold> {
    match &app.model.search {
        Some(reply) if app.place().other => {
            (0..reply.rows.len()).map(|at| Fold { at, count: 1 }).collect()
        }
        _ => app.model.folds.clone(),
    }
}

/// The row under the cursor.
fn chosen(app: &App) -> Option<Fold> {
    if app.model.sql.is_some() {
        return None;
    }
    rows_shown(app).get(cursor_in(app, 0)?).copied()
}

/// An event of the search, or of the incident that it was opened from.
fn opened(app: &App, at: usize) -> Option<&EventRow> {
    let before = app.places.iter().rev().nth(1).map(|place| &place.screen);
    match before {
        Some(Screen::Incident(_)) => app.model.detail.as_ref()?.evidence.get(at),
        _ => app.model.search.as_ref()?.rows.get(at),
    }
}

/// The window of a search, where it is another than "until now".
fn window_line(app: &App, area: Area) -> String {
    let Some(asked) = &app.asked else { return String::new() };
    let until = if asked.until_unix_nano == 0 { area.now } else { Time(asked.until_unix_nano) };
    format!("{} – {}", wording::date_time(Time(asked.since_unix_nano)), wording::date_time(until))
}

pub(super) fn list(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let lang = words.lang();
    let place = app.place();
    let span = window_line(app, area);
    let room = area.width.saturating_sub(unicode_width::UnicodeWidthStr::width(span.as_str()) + 1);
    let mut lines = vec![plain(&format!("{} {span}", fit(&format!("/ {}", place.filter), room)))];
    if let Some(since) = app.searching {
        lines.push(plain(&fit(&counting(app, area.now.since(since)), area.width)));
    }
    if let Some(sql) = &app.model.sql {
        lines.extend(self::sql(app, sql, area));
        return lines;
    }
    lines.extend(live(app, area));
    let Some(reply) = &app.model.search else {
        if app.searching.is_none() {
            lines.extend(
                super::unanswered(app, Some(&app.questions.search), area).map(|text| plain(&text)),
            );
        }
        return lines;
    };
    if app.live.is_none() {
        lines.push(plain(&fit(&cost(app, reply), area.width)));
    }
    if reply.rows.is_empty() && app.searching.is_none() && app.live.is_none() {
        lines.extend(nothing_found(app, reply, area));
        return lines;
    }
    if app.live.is_none() {
        lines.extend(histogram(app, reply, area));
    }
    lines.push(rule(app, &columns(app), "", area.width));
    // `i` gives the details' rows to the list.
    let detail = if place.bare { 0 } else { 5.min(area.height / 3) };
    let height = area.height.saturating_sub(lines.len() + detail + usize::from(detail > 0) + 1);
    let cursor = cursor_in(app, 0).unwrap_or(0);
    let shown = rows_shown(app);
    for at in window(cursor, shown.len(), height) {
        let fold = shown[at];
        let Some(event) = reply.rows.get(fold.at) else { continue };
        let chosen = at == cursor;
        let style = if chosen { app.theme.selected() } else { Style::new() };
        let mark = if chosen { app.theme.cursor() } else { " " };
        let times = times(app, fold.count);
        let room = area.width.saturating_sub(unicode_width::UnicodeWidthStr::width(times.as_str()));
        let text = fit(&format!("{mark}{}", row(app, event)), room);
        lines.push(line(vec![(format!("{text}{times}"), style)]));
    }
    if detail > 0 {
        lines.push(rule(app, &folded_title(app), &words.get("events-detail-keys"), area.width));
        if let Some(event) = current(app) {
            lines.extend(whole(app, event, area).into_iter().take(detail));
        }
    }
    let at = shown.get(cursor).map_or(cursor, |fold| fold.at);
    let at = wording::number(lang, app.model.rows_before + at as u64 + 1);
    let all = reply.total.map_or_else(|| "?".to_owned(), |total| wording::number(lang, total));
    lines.truncate(area.height.saturating_sub(1));
    lines.resize(area.height.saturating_sub(1), Line::default());
    lines.push(plain(&fit(&format!("{at} / {all}"), area.width)));
    lines
}

/// How long a search takes already, and how far it is.
fn counting(app: &App, spent: std::time::Duration) -> String {
    let words = &app.words;
    let lang = words.lang();
    let spent = wording::duration(lang, spent);
    let mut text = words.with("events-counting", &[("spent", &spent)]);
    if let Some(progress) = app.progress.filter(|progress| progress.rows > 0) {
        let read = wording::number(lang, progress.rows);
        let bytes = wording::bytes(lang, progress.bytes);
        text.push_str(&words.with("events-read", &[("read", &read), ("bytes", &bytes)]));
        #[expect(clippy::cast_precision_loss, reason = "a share")]
        if progress.rows_in_all >= progress.rows {
            let share = progress.rows as f64 / progress.rows_in_all as f64;
            text.push_str(&format!(", {}", wording::percent(lang, share)));
        }
    }
    text
}

/// What is followed, and what went by unseen.
fn live(app: &App, area: Area) -> Option<Line<'static>> {
    let live = app.live.as_ref()?;
    let words = &app.words;
    let lang = words.lang();
    let mut text = words.with(
        "events-live",
        &[
            ("since", &wording::clock(live.since)),
            ("matched", &wording::number(lang, live.matched)),
            ("seen", &wording::number(lang, live.seen)),
        ],
    );
    if live.missed > 0 {
        let missed = wording::number(lang, live.missed);
        text.push_str(&words.with("events-live-missed", &[("missed", &missed)]));
    }
    let style = if live.missed > 0 { app.theme.selected() } else { Style::new() };
    Some(line(vec![(fit(&text, area.width), style)]))
}

/// ` ×41`; nothing for what was there once.
fn times(app: &App, count: usize) -> String {
    let mark = if app.theme.ascii { "x" } else { "×" };
    if count > 1 {
        format!(" {mark}{}", wording::number(app.words.lang(), count as u64))
    } else {
        String::new()
    }
}

/// The title of the details; of repeats it says how many they are, and how each is seen.
fn folded_title(app: &App) -> String {
    let count = chosen(app).map_or(1, |fold| fold.count);
    if count < 2 {
        return app.words.get("events-detail");
    }
    let count = wording::number(app.words.lang(), count as u64);
    app.words.with("events-detail-folded", &[("count", &count)])
}

/// What was found and what it cost: rows read, bytes, time; where the limit cut it, how much was read.
fn cost(app: &App, reply: &SearchReply) -> String {
    let words = &app.words;
    let lang = words.lang();
    let total = reply.total.map_or_else(
        || wording::number(lang, app.model.rows_before + reply.rows.len() as u64),
        |total| wording::number(lang, total),
    );
    let mut text = words.with(
        "events-line",
        &[
            ("total", &total),
            ("read", &wording::number(lang, reply.rows_read)),
            ("bytes", &wording::bytes(lang, reply.bytes_read)),
            ("seconds", &format!("{} s", wording::decimal(lang, reply.elapsed_seconds, 2))),
        ],
    );
    if reply.agencies_all > 0 {
        let of = format!("{}/{}", reply.agencies_answering, reply.agencies_all);
        text.push_str(&words.with("events-of", &[("of", &of)]));
    }
    if reply.cut {
        text.push_str(&words.get("events-cut"));
    }
    text
}

/// Nothing found is not the same as nothing there: who could not answer is named.
fn nothing_found(app: &App, reply: &SearchReply, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let names = |state: H| {
        let mut all: Vec<&str> = app
            .model
            .agencies
            .iter()
            .filter(|agency| agency.state() == state && agency.kind != "other")
            .map(|agency| words.pick(&agency.short_vi, &agency.short_en))
            .collect();
        let more = all.len().saturating_sub(3);
        all.truncate(3);
        let more = if more > 0 { format!(" +{more}") } else { String::new() };
        if all.is_empty() { words.get("no-data") } else { format!("{}{more}", all.join(", ")) }
    };
    let read = wording::number(words.lang(), reply.rows_read);
    let who = words.with(
        "events-none-who",
        &[("read", &read), ("silent", &names(H::Silent)), ("never", &names(H::NotConnected))],
    );
    [words.get("events-none-1"), who, words.get("events-none-2")]
        .iter()
        .map(|text| plain(&fit(text, area.width)))
        .collect()
}

/// A SQL answer: its columns, its rows, what cut it.
fn sql(app: &App, sql: &SqlReply, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let count = wording::number(words.lang(), sql.rows_json.len() as u64);
    let cut = if sql.cut { words.get("events-cut") } else { String::new() };
    let read = words.with(
        "events-read",
        &[
            ("read", &wording::number(words.lang(), sql.rows_read)),
            ("bytes", &wording::bytes(words.lang(), sql.bytes_read)),
        ],
    );
    let found = words.with("sql-line", &[("count", &count)]);
    let mut lines = vec![plain(&fit(&format!("{found}{cut}{read}"), area.width))];
    let rows: Vec<Vec<String>> = sql
        .rows_json
        .iter()
        .map(|text| {
            let values: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
            let cell = |value: &serde_json::Value| {
                value.as_str().map_or_else(|| value.to_string(), str::to_owned)
            };
            values.iter().map(cell).collect()
        })
        .collect();
    const CELL_MAX: usize = 40;
    let widths: Vec<usize> = (0..sql.columns.len())
        .map(|at| {
            use unicode_width::UnicodeWidthStr;
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.width());
            cells.chain([sql.columns[at].width()]).max().unwrap_or(0).min(CELL_MAX)
        })
        .collect();
    let text = |cells: &[String]| -> String {
        cells.iter().zip(&widths).map(|(cell, width)| format!(" {}", fit(cell, *width))).collect()
    };
    lines.push(rule(app, text(&sql.columns).trim_start(), "", area.width));
    let cursor = cursor_in(app, 0).unwrap_or(0);
    for at in window(cursor, rows.len(), area.height.saturating_sub(4)) {
        let style = if at == cursor { app.theme.selected() } else { Style::new() };
        lines.push(line(vec![(fit(&text(&rows[at]), area.width), style)]));
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

/// An event in a line: as it was read, or what came of it where there was no line.
pub(super) fn brief(app: &App, event: &EventRow) -> String {
    if event.raw.is_empty() { result(app, event) } else { event.raw.clone() }
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
        "{} {} {} {} {} {}",
        fit(&wording::date_time(Time(event.time_unix_nano)), 14),
        fit(&event.agency, 7),
        fit(&event.host, 9),
        fit(&event.user, 9),
        fit(from, 15),
        result(app, event),
    )
}

/// The counts over the whole window: a column that the answer leaves out is a measured zero.
fn counts(app: &App, reply: &SearchReply, now: Time) -> Vec<u64> {
    let Some(asked) = app.asked.as_ref().filter(|asked| asked.histogram_columns > 0) else {
        return reply.histogram.iter().map(|column| column.count).collect();
    };
    let until = if asked.until_unix_nano == 0 { now.0 } else { asked.until_unix_nano };
    let columns = i64::from(asked.histogram_columns);
    let step = ((until - asked.since_unix_nano) / columns).max(1);
    let mut counts = vec![0; asked.histogram_columns as usize];
    for column in &reply.histogram {
        let at = ((column.time_unix_nano - asked.since_unix_nano) / step).clamp(0, columns - 1);
        if let Some(count) = usize::try_from(at).ok().and_then(|at| counts.get_mut(at)) {
            *count += column.count;
        }
    }
    counts
}

/// Bars over the window of time, with the clock of its ends.
fn histogram(app: &App, reply: &SearchReply, area: Area) -> Vec<Line<'static>> {
    if reply.histogram.is_empty() {
        return Vec::new();
    }
    let counts = counts(app, reply, area.now);
    #[expect(clippy::cast_precision_loss, reason = "bars")]
    let cells: Vec<Cell> = counts.iter().map(|count| Cell { value: Some(*count as f64) }).collect();
    let most = counts.iter().copied().max().unwrap_or(0);
    let bars = app.theme.sparkline(&cells, area.width.saturating_sub(12));
    let axis = if app.theme.ascii { "|" } else { "┤" };
    let most = right(&wording::number(app.words.lang(), most), 8);
    let mut lines = vec![plain(&fit(&format!("{most}{axis}{bars}"), area.width))];
    if let Some(asked) = &app.asked {
        let until = if asked.until_unix_nano == 0 { area.now } else { Time(asked.until_unix_nano) };
        let since = Time(asked.since_unix_nano);
        // A window of days is told by its days.
        let long = until.since(since).as_secs() > 86_400;
        let clock = |time| {
            if long { wording::date_time(time)[..5].to_owned() } else { wording::minute(time) }
        };
        let span = bars.chars().count().saturating_sub(5);
        let clocks = format!("{}{}", fit(&clock(since), span), clock(until));
        lines.push(plain(&fit(&format!("{}{clocks}", " ".repeat(9)), area.width)));
    }
    lines
}

/// Every field of an event.
fn whole(app: &App, event: &EventRow, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let mut lines = Vec::new();
    let mut put = |text: String| {
        let room = area.height.saturating_sub(lines.len());
        let (head, whole) = wording::lines(&text, area.width, room);
        lines.extend(head.iter().map(|text| plain(text)));
        // A text that goes on says so.
        if let (false, Some(last)) = (whole, lines.last_mut()) {
            let end = format!("{last}");
            *last = plain(&fit(&format!("{end}…"), area.width));
        }
    };
    if !event.raw.is_empty() {
        put(format!("raw   {}", event.raw));
    }
    if event.raw_cut_bytes > 0 {
        let bytes = wording::number(words.lang(), event.raw_cut_bytes);
        put(words.with("events-raw-cut", &[("bytes", &bytes)]));
    }
    if !event.message.is_empty() {
        put(format!("text  {}", event.message));
    }
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

/// Lines of an event that are shown at most: its longest text takes some thousand at 80 columns.
const EVENT_LINES_MAX: usize = 4_000;

/// An event whole, as lines of the terminal's width.
pub(super) fn text(app: &App, at: usize) -> Vec<Line<'static>> {
    let (width, height) = (usize::from(app.size.0), EVENT_LINES_MAX);
    let area = Area { width, height, now: Time::default() };
    opened(app, at).map(|event| whole(app, event, area)).unwrap_or_default()
}

pub(super) fn one(app: &App, at: usize, area: Area) -> Vec<Line<'static>> {
    let Some(event) = opened(app, at) else { return vec![plain(&app.words.get("no-evidence"))] };
    let lines = whole(app, event, Area { height: EVENT_LINES_MAX, ..area });
    if lines.len() <= area.height {
        return lines;
    }
    // The cursor is the first line; the last one says where one is.
    let room = area.height.saturating_sub(1);
    let from = app.place().cursor.min(lines.len().saturating_sub(room));
    let all = lines.len();
    let mut shown: Vec<Line<'static>> = lines.into_iter().skip(from).take(room).collect();
    let values = [from + 1, from + shown.len(), all].map(|number| number.to_string());
    let foot = app
        .words
        .with("event-foot", &[("from", &values[0]), ("to", &values[1]), ("all", &values[2])]);
    shown.push(rule(app, "", &foot, area.width));
    shown
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
    if app.model.spread.is_empty() {
        let why = super::unanswered(app, Some(&app.questions.spread), area);
        lines.push(plain(&why.unwrap_or_else(|| words.get("events-none-1"))));
    }
    let cursor = cursor_in(app, 0).unwrap_or(0);
    for at in window(cursor, app.model.spread.len(), area.height.saturating_sub(2)) {
        let row = &app.model.spread[at];
        let name = app
            .model
            .agency(&row.agency)
            .map_or(row.agency.as_str(), |a| words.pick(&a.name_vi, &a.name_en));
        let style = if at == cursor { app.theme.selected() } else { Style::new() };
        let text = format!(
            " {} {} {} {} {} – {}",
            fit(name, 30),
            right(&wording::number(words.lang(), row.count), 10),
            right(&format!("{} {}", row.hosts, words.get("col-host")), 10),
            right(&format!("✓ {}", row.successes), 8),
            wording::since(Time(row.first_unix_nano), area.now),
            wording::since(Time(row.last_unix_nano), area.now),
        );
        lines.push(line(vec![(fit(&text, area.width), style)]));
    }
    lines
}
