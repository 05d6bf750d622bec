//! All agencies, and one of them.

use ratatui::{style::Style, text::Line};
use vonggac_wire::{
    Time,
    proto::{Agency, Agent, HealthState as H},
};

use super::{Area, Screen, incidents, line, plain, rule, systems, window};
use crate::{
    app::App,
    wording::{self, fit, folded, right},
};

pub(super) fn shown(app: &App) -> Vec<&Agency> {
    let text = folded(&app.place().filter);
    let matches = |agency: &Agency| {
        text.is_empty()
            || folded(&format!("{} {} {}", agency.code, agency.name_vi, agency.name_en))
                .contains(&text)
    };
    let mut all: Vec<&Agency> = app
        .model
        .agencies
        .iter()
        .filter(|agency| (agency.kind != "other" || agency.hosts_enrolled > 0) && matches(agency))
        .collect();
    if app.all_incidents {
        all.sort_by_key(|agency| agency.state() as i32);
    }
    all
}

pub(super) fn lamps(app: &App, agency: &Agency) -> String {
    [agency.service(), agency.security(), agency.usage()]
        .map(|state| app.theme.lamp(state))
        .concat()
}

pub(super) fn silent(app: &App, agency: &Agency, now: Time) -> String {
    agency.silent_since_unix_nano.map_or_else(String::new, |since| {
        wording::duration(app.words.lang(), now.since(Time(since)))
    })
}

pub(super) fn list(app: &App, area: Area) -> Vec<Line<'static>> {
    table(app, &shown(app), Some(app.place().cursor), area)
}

/// Rows of agencies, with the cursor on one of them where there is a cursor.
pub(super) fn table(
    app: &App,
    all: &[&Agency],
    cursor: Option<usize>,
    area: Area,
) -> Vec<Line<'static>> {
    let words = &app.words;
    let name = area.width.saturating_sub(62).clamp(12, 40);
    let mut lines = vec![plain(&format!(
        "     {} {} {} {} {} {}  60",
        fit(&words.get("col-agency"), name),
        fit(&words.get("col-lamps"), 4),
        right(&words.get("col-incidents"), 4),
        right(&words.get("col-silent"), 7),
        right(&words.get("col-unserved"), 8),
        right(&words.get("col-hosts"), 9),
    ))];
    for at in window(cursor.unwrap_or(0), all.len(), area.height.saturating_sub(1)) {
        let agency = all[at];
        let unserved = match &agency.unserved {
            Some(estimate) if agency.hosts_enrolled > 0 => format!("≈{:.0}", estimate.value),
            _ => words.get("no-data"),
        };
        let count = if agency.open_incidents > 0 {
            agency.open_incidents.to_string()
        } else {
            String::new()
        };
        let text = format!(
            " {} {} {} {} {} {}  {}",
            fit(words.pick(&agency.name_vi, &agency.name_en), name),
            fit(&lamps(app, agency), 4),
            right(&count, 4),
            right(&silent(app, agency, area.now), 7),
            right(&unserved, 8),
            right(&format!("{}/{}", agency.hosts_heard, agency.hosts_enrolled), 9),
            app.theme.sparkline(&agency.usage_cells, 15),
        );
        let chosen = cursor == Some(at);
        let style = if chosen { app.theme.selected() } else { Style::new() };
        let mark = if chosen { app.theme.cursor() } else { " " };
        let first = if chosen { style } else { app.theme.state_style(agency.state()) };
        lines.push(line(vec![
            (format!("{mark}{}", app.theme.state(agency.state())), first),
            (text, style),
        ]));
    }
    lines
}

/// What the cursor walks over in one agency: its incidents, its systems, its hosts' events.
pub(super) fn places(app: &App, code: &str) -> Vec<Screen> {
    let open = app.model.urgent(true, "");
    let open = open
        .iter()
        .filter(|i| i.agencies.iter().any(|a| a == code))
        .map(|i| Screen::Incident(i.id));
    let systems = app
        .model
        .systems
        .values()
        .filter(|s| s.agency == code)
        .map(|s| Screen::System(s.agency.clone(), s.id.clone()));
    systems.chain(open).collect()
}

fn agents<'a>(app: &'a App, code: &'a str) -> impl Iterator<Item = &'a Agent> {
    app.model.agents.values().filter(move |agent| agent.agency == code)
}

pub(super) fn one(app: &App, code: &str, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let Some(agency) = app.model.agency(code) else { return vec![plain(code)] };
    let lang = words.lang();
    let lamps = words.with(
        "board-lamps",
        &[
            ("service", app.theme.state(agency.service())),
            ("security", app.theme.state(agency.security())),
            ("usage", app.theme.state(agency.usage())),
        ],
    );
    let mut lines = vec![
        line(vec![
            (app.theme.state(agency.state()).to_owned(), app.theme.state_style(agency.state())),
            (
                format!(
                    "  {}  {}    {lamps}",
                    words.pick(&agency.name_vi, &agency.name_en),
                    agency.code
                ),
                Style::new(),
            ),
        ]),
        plain(&match agency.state() {
            H::Excluded => words.with("agency-excluded", &[("reason", &agency.excluded_reason)]),
            H::NotConnected => words.get("agency-never"),
            _ => words.with(
                "agency-connection",
                &[
                    ("heard", &agency.hosts_heard.to_string()),
                    ("all", &agency.hosts_enrolled.to_string()),
                    ("held", &wording::number(lang, agency.events_held)),
                    ("numbered", &wording::number(lang, agency.events_numbered)),
                ],
            ),
        }),
    ];
    let cursor = app.place().cursor;
    let mut at = 0;
    let mine: Vec<_> = app.model.systems.values().filter(|system| system.agency == code).collect();
    lines.push(rule(
        app,
        &format!("{} {}", words.get("agency-systems"), mine.len()),
        "",
        area.width,
    ));
    for system in mine {
        lines.push(systems::row(app, system, at == cursor, area));
        at += 1;
    }
    let open: Vec<_> = app
        .model
        .urgent(true, "")
        .into_iter()
        .filter(|i| i.agencies.iter().any(|a| a == code))
        .collect();
    lines.push(rule(app, &format!("{} {}", words.get("agency-open"), open.len()), "", area.width));
    for incident in open {
        let style = if at == cursor { app.theme.selected() } else { Style::new() };
        lines.push(incidents::short(app, incident, style, area));
        at += 1;
    }
    lines.push(rule(
        app,
        &format!("{} {}", words.get("agency-hosts"), agents(app, code).count()),
        "",
        area.width,
    ));
    for agent in agents(app, code) {
        lines.push(systems::host(app, agent, false, area));
    }
    let checks: Vec<_> = app.model.checks.values().filter(|check| check.agency == code).collect();
    lines.push(rule(
        app,
        &format!("{} {}", words.get("agency-checks"), checks.len()),
        "ms",
        area.width,
    ));
    for check in checks {
        lines.push(systems::check(app, check, area));
    }
    lines
}
