//! All systems, and one of them with its checks and hosts.

use ratatui::{style::Style, text::Line};
use unicode_width::UnicodeWidthStr;
use vonggac_wire::{
    Time,
    proto::{Agent, CheckRow, HealthState, System},
};

use super::{Area, chart, cursor_in, incidents, line, passes, plain, rule, window};
use crate::{
    app::App,
    wording::{self, fit, right, whole},
};

pub(super) fn shown(app: &App) -> Vec<&System> {
    let place = app.place();
    let mut all: Vec<&System> = app
        .model
        .systems
        .values()
        .filter(|s| {
            if place.filter.is_empty() {
                return true;
            }
            let agency = app.model.agency(&s.agency);
            let names = agency.map_or("", |agency| agency.name_vi.as_str());
            let text = format!(
                "{} {names} {} {} {} {}",
                s.agency,
                s.id,
                s.name_vi,
                s.name_en,
                s.state().name()
            );
            passes(&place.filter, &text)
        })
        .collect();
    let first = |system: &System| {
        let state = system.state() as i32;
        match place.screen.sorts().get(place.sort).copied() {
            Some("grade") => (system.grade, state),
            Some("agency") => (0, 0),
            _ => (u32::try_from(state).unwrap_or(0), 0),
        }
    };
    all.sort_by(|one, two| {
        first(one)
            .cmp(&first(two))
            .then_with(|| one.agency.cmp(&two.agency))
            .then_with(|| one.grade.cmp(&two.grade))
            .then_with(|| one.id.cmp(&two.id))
    });
    if place.reverse {
        all.reverse();
    }
    all
}

pub(super) fn hosts<'a>(app: &'a App, agency: &str, id: &str) -> Vec<&'a Agent> {
    let mut all: Vec<&Agent> = app
        .model
        .agents
        .values()
        .filter(|agent| agent.agency == agency && agent.system == id)
        .collect();
    all.sort_by_key(|agent| agent.state() as i32);
    all
}

/// The titles of a system's columns after its name.
pub(super) fn columns(app: &App, _area: Area) -> String {
    let words = &app.words;
    format!(
        "{} {} {} {}",
        fit(&words.get("col-agency"), 8),
        right(&words.get("col-grade"), 5),
        right(&words.get("col-hosts"), 9),
        right(&words.get("col-minutes"), 15),
    )
}

pub(super) fn list(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let all = shown(app);
    let place = app.place();
    let sort = place.screen.sorts().get(place.sort).copied().unwrap_or("worst");
    let cursor = cursor_in(app, 0);
    let mut lines = vec![
        super::list_head(app, sort, all.len(), area.width),
        plain(&format!(
            "    {} {}",
            fit(&words.get("col-system"), area.width.saturating_sub(58).clamp(16, 40)),
            columns(app, area)
        )),
    ];
    for at in window(cursor.unwrap_or(0), all.len(), area.height.saturating_sub(2)) {
        lines.push(row(app, all[at], cursor == Some(at), area));
    }
    lines
}

pub(super) fn row(app: &App, system: &System, selected: bool, area: Area) -> Line<'static> {
    let words = &app.words;
    let minutes = match (system.minutes_up, system.minutes_open) {
        (Some(up), Some(open)) => format!("{up}/{open}"),
        _ => words.get("no-data"),
    };
    let minutes = match system.minutes_maintained {
        0 => minutes,
        planned => format!("{minutes} {}{planned}", app.theme.state(HealthState::Maintenance)),
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
    let checks: Vec<&CheckRow> =
        app.model.checks.values().filter(|row| row.agency == agency && row.system == id).collect();
    lines.push(rule(app, &words.get("agency-checks"), "DNS TCP TLS 1B Σ ms", area.width));
    // In the other form all checks are shown, else as many as leave room for the chart and the hosts.
    let most = if app.place().other { area.height } else { (area.height / 4).max(3) };
    for row in checks.iter().take(most) {
        lines.push(check(app, row, area));
    }
    if checks.len() > most {
        let more = (checks.len() - most).to_string();
        lines.push(plain(&words.with("more-rows", &[("count", &more)])));
    }
    lines.extend(certificate(app, &checks, area));
    lines.push(rule(app, &words.get("chart-title"), &words.get("chart-zoom"), area.width));
    lines.extend(chart::lines(
        app,
        &system.usage_cells,
        system.baseline.as_ref(),
        app.place().zoom,
        area,
    ));
    let open: Vec<_> = app
        .model
        .urgent()
        .into_iter()
        .filter(|i| i.systems.iter().any(|s| s == id) && i.agencies.iter().any(|a| a == agency))
        .collect();
    for incident in open.iter().take(2) {
        lines.push(incidents::short(app, incident, false, area));
    }
    let hosts = hosts(app, agency, id);
    let title = format!("{} {}", words.get("agency-hosts"), hosts.len());
    lines.push(rule(app, &title, "", area.width));
    let cursor = cursor_in(app, 0);
    for at in window(cursor.unwrap_or(0), hosts.len(), area.height.saturating_sub(lines.len())) {
        lines.push(host(app, hosts[at], cursor == Some(at), area));
    }
    lines
}

/// The first certificate that ends.
fn certificate(app: &App, checks: &[&CheckRow], area: Area) -> Option<Line<'static>> {
    let (end, row) = checks
        .iter()
        .filter_map(|row| Some((row.certificate_not_after_unix_nano?, *row)))
        .min_by_key(|(end, _)| *end)?;
    let left = wording::duration(app.words.lang(), Time(end).since(area.now));
    let date = wording::date_time(Time(end));
    let values =
        [("left", left.as_str()), ("date", date.as_str()), ("target", row.target.as_str())];
    Some(plain(&fit(&format!(" {}", app.words.with("system-certificate", &values)), area.width)))
}

/// One host: its figures, its checks, what its agent gave up.
pub(super) fn one_host(app: &App, agency: &str, agent: &str, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let lang = words.lang();
    let Some(row) = app.model.agents.get(&(agency.to_owned(), agent.to_owned())) else {
        return vec![plain(agent)];
    };
    let mut lines = vec![host(app, row, false, area)];
    let number = |value| wording::number(lang, value);
    let values = [
        ("agent", row.agent.clone()),
        ("system", row.system.clone()),
        ("spool", wording::bytes(lang, row.spool_bytes)),
        ("oldest", wording::seconds(lang, row.oldest_age_seconds)),
        ("security", number(row.dropped_security)),
        ("uptime", number(row.dropped_uptime)),
        ("usage", number(row.dropped_usage)),
        ("memory", wording::bytes(lang, row.agent_rss_bytes)),
        ("mount", row.fullest_mountpoint.clone()),
    ];
    let values: Vec<(&str, &str)> =
        values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    for id in ["host-agent", "host-spool"] {
        lines.push(plain(&fit(&words.with(id, &values), area.width)));
    }
    let checks: Vec<&CheckRow> = app
        .model
        .checks
        .values()
        .filter(|check| check.agency == agency && check.agent == agent)
        .collect();
    let title = format!("{} {}", words.get("agency-checks"), checks.len());
    lines.push(rule(app, &title, "DNS TCP TLS 1B Σ ms", area.width));
    lines.extend(checks.into_iter().map(|row| check(app, row, area)));
    lines.push(plain(&words.get("host-events")));
    lines
}
