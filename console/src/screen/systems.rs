//! All systems, and one of them with its checks and hosts.

use ratatui::{style::Style, text::Line};
use unicode_width::UnicodeWidthStr;
use vonggac_wire::{
    Time,
    proto::{Agent, CheckRow, System},
};

use super::{Area, line, plain, rule, window};
use crate::{
    app::App,
    wording::{self, fit, folded, right, whole},
};

pub(super) fn shown(app: &App) -> Vec<&System> {
    let text = folded(&app.place().filter);
    let mut all: Vec<&System> = app
        .model
        .systems
        .values()
        .filter(|s| {
            text.is_empty()
                || folded(&format!("{} {} {} {}", s.agency, s.id, s.name_vi, s.name_en))
                    .contains(&text)
        })
        .collect();
    all.sort_by_key(|system| {
        (system.state() as i32, system.grade, system.agency.clone(), system.id.clone())
    });
    all
}

pub(super) fn hosts<'a>(app: &'a App, agency: &str, id: &str) -> Vec<&'a Agent> {
    app.model.agents.values().filter(|agent| agent.agency == agency && agent.system == id).collect()
}

pub(super) fn list(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let all = shown(app);
    let cursor = app.place().cursor;
    let mut lines = vec![plain(&format!(
        "     {} {} {} {} {}",
        fit(&words.get("col-system"), area.width.saturating_sub(58).clamp(16, 40)),
        fit(&words.get("col-agency"), 8),
        right(&words.get("col-grade"), 5),
        right(&words.get("col-hosts"), 9),
        right(&words.get("col-minutes"), 15),
    ))];
    for at in window(cursor, all.len(), area.height.saturating_sub(1)) {
        lines.push(row(app, all[at], at == cursor, area));
    }
    lines
}

pub(super) fn row(app: &App, system: &System, selected: bool, area: Area) -> Line<'static> {
    let words = &app.words;
    let minutes = match (system.minutes_up, system.minutes_open) {
        (Some(up), Some(open)) => format!("{up}/{open}"),
        _ => words.get("no-data"),
    };
    let text = format!(
        " {} {} {} {} {}  {}",
        fit(
            words.pick(&system.name_vi, &system.name_en),
            area.width.saturating_sub(58).clamp(16, 40)
        ),
        fit(&system.agency, 8),
        right(&system.grade.to_string(), 5),
        right(&format!("{}/{}", system.hosts_heard, system.hosts_enrolled), 9),
        right(&minutes, 15),
        app.theme.sparkline(&system.usage_cells, 10),
    );
    let style = if selected { app.theme.selected() } else { Style::new() };
    let first = if selected { style } else { app.theme.state_style(system.state()) };
    let mark = if selected { app.theme.cursor() } else { " " };
    line(vec![
        (format!("{mark}{}", app.theme.state(system.state())), first),
        (fit(&text, area.width.saturating_sub(3)), style),
    ])
}

fn milliseconds(app: &App, seconds: Option<f64>) -> String {
    seconds.map_or_else(
        || app.words.get("no-data"),
        |seconds| wording::decimal(app.words.lang(), seconds * 1000.0, 0),
    )
}

pub(super) fn check(app: &App, check: &CheckRow, area: Area) -> Line<'static> {
    let phases = [
        check.dns_seconds,
        check.connect_seconds,
        check.tls_seconds,
        check.first_byte_seconds,
        check.total_seconds,
    ];
    let phases: String =
        phases.iter().map(|seconds| right(&milliseconds(app, *seconds), 7)).collect();
    let text = format!(
        " {} {} {phases} {} {}/{}",
        fit(&check.name, area.width.saturating_sub(72).clamp(16, 40)),
        fit(&check.kind, 4),
        app.theme.sparkline(&check.recent, 10),
        check.recent_up,
        check.recent_all,
    );
    // Why it fails is told where there is room for it.
    let room = area.width.saturating_sub(text.width() + 5);
    let text = if room >= 12 { format!("{text}  {}", fit(&check.detail, room)) } else { text };
    line(vec![
        (app.theme.state(check.state()).to_owned(), app.theme.state_style(check.state())),
        (fit(&text, area.width.saturating_sub(2)), Style::new()),
    ])
}

pub(super) fn host(app: &App, agent: &Agent, selected: bool, area: Area) -> Line<'static> {
    let words = &app.words;
    let lang = words.lang();
    let share = |value: Option<f64>| {
        value.map_or_else(|| words.get("no-data"), |value| wording::percent(lang, value))
    };
    let age = agent.last_heard_unix_nano.map_or_else(
        || words.get("no-data"),
        |at| wording::duration(lang, area.now.since(Time(at))),
    );
    let text = words.with(
        "host-line",
        &[
            ("cpu", &share(agent.cpu_utilization)),
            ("memory", &share(agent.memory_utilization)),
            ("disk", &share(agent.disk_utilization)),
            (
                "skew",
                &agent
                    .clock_skew_seconds
                    .map_or_else(|| words.get("no-data"), |skew| wording::seconds(lang, skew)),
            ),
            ("backlog", &wording::number(lang, agent.backlog_events)),
            ("age", &age),
        ],
    );
    let style = if selected { app.theme.selected() } else { Style::new() };
    let first = if selected { style } else { app.theme.state_style(agent.state()) };
    let mark = if selected { app.theme.cursor() } else { " " };
    line(vec![
        (format!("{mark}{}", app.theme.state(agent.state())), first),
        (
            format!(
                " {}",
                whole(
                    &format!("{} {text}  {}", fit(&agent.host, 10), agent.version),
                    area.width.saturating_sub(4)
                )
            ),
            style,
        ),
    ])
}

pub(super) fn one(app: &App, agency: &str, id: &str, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let Some(system) = app.model.systems.get(&(agency.to_owned(), id.to_owned())) else {
        return vec![plain(id)];
    };
    let mut lines = vec![row(app, system, false, area)];
    lines.push(rule(app, &words.get("agency-checks"), "DNS TCP TLS 1B Σ ms", area.width));
    for row in app.model.checks.values().filter(|row| row.agency == agency && row.system == id) {
        lines.push(check(app, row, area));
        if let Some(end) = row.certificate_not_after_unix_nano {
            lines.push(plain(&format!("      {}", wording::date_time(Time(end)))));
        }
    }
    let hosts = hosts(app, agency, id);
    lines.push(rule(
        app,
        &format!("{} {}", words.get("agency-hosts"), hosts.len()),
        "",
        area.width,
    ));
    let cursor = app.place().cursor;
    for at in window(cursor, hosts.len(), area.height.saturating_sub(lines.len())) {
        lines.push(host(app, hosts[at], at == cursor, area));
    }
    lines
}
