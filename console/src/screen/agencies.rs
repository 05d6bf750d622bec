//! All agencies, and one of them.

use ratatui::{style::Style, text::Line};
use vonggac_wire::{
    Time,
    proto::{Agency, Agent, HealthState as H, Incident, System},
};

use super::{Area, Item, cursor_in, incidents, line, passes, plain, rule, systems, window};
use crate::{
    app::App,
    wording::{self, fit, right},
};

pub(super) fn shown(app: &App) -> Vec<&Agency> {
    let place = app.place();
    let matches = |agency: &Agency| {
        let names = format!(
            "{} {} {} {} {} {}",
            agency.code,
            agency.name_vi,
            agency.name_en,
            agency.short_vi,
            agency.state().name(),
            agency.statistics_code
        );
        passes(&place.filter, &names)
    };
    let mut all: Vec<&Agency> = app
        .model
        .agencies
        .iter()
        .filter(|agency| (agency.kind != "other" || agency.hosts_enrolled > 0) && matches(agency))
        .collect();
    // What is unknown is above what is zero.
    let unserved = |agency: &Agency| match &agency.unserved {
        Some(estimate) => -estimate.value,
        None if agency.hosts_enrolled > 0 => f64::NEG_INFINITY,
        None => 1.0,
    };
    match place.screen.sorts().get(place.sort).copied() {
        Some("worst") => all.sort_by_key(|agency| agency.state() as i32),
        Some("unserved") => all.sort_by(|one, two| unserved(one).total_cmp(&unserved(two))),
        Some("incidents") => all.sort_by_key(|agency| std::cmp::Reverse(agency.open_incidents)),
        _ => {}
    }
    if place.reverse {
        all.reverse();
    }
    all
}

/// Dossiers a minute that are not served: an estimate, a measured zero, or `–` where nobody can say.
pub(super) fn unserved(app: &App, agency: &Agency) -> String {
    let about = if app.theme.ascii { "~" } else { "≈" };
    match &agency.unserved {
        _ if agency.hosts_enrolled == 0 => app.words.get("no-data"),
        Some(estimate) if estimate.value >= 0.5 => {
            format!("{about}{}", wording::decimal(app.words.lang(), estimate.value, 0))
        }
        Some(_) if agency.state() != H::Silent => "0".to_owned(),
        _ => app.words.get("no-data"),
    }
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
    let place = app.place();
    let all = shown(app);
    let sort = place.screen.sorts().get(place.sort).copied().unwrap_or("register");
    let mut lines = vec![super::list_head(app, sort, all.len(), area.width)];
    let rest = Area { height: area.height.saturating_sub(1), ..area };
    lines.extend(table(app, &all, cursor_in(app, 0), rest));
    lines
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
        let unserved = unserved(app, agency);
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

/// What the cursor walks over in one agency: its systems, its incidents, its hosts; the worst first.
pub(super) fn sections(app: &App, code: &str) -> Vec<Vec<Item>> {
    let systems = systems_of(app, code)
        .iter()
        .map(|s| Item::System(s.agency.clone(), s.id.clone()))
        .collect();
    let open = open_of(app, code).iter().map(|i| Item::Incident(i.id)).collect();
    let hosts = hosts_of(app, code)
        .iter()
        .map(|row| Item::Host(row.agency.clone(), row.agent.clone()))
        .collect();
    if app.place().other { vec![hosts, open, systems] } else { vec![systems, open, hosts] }
}

fn systems_of<'a>(app: &'a App, code: &str) -> Vec<&'a System> {
    let mut all: Vec<&System> =
        app.model.systems.values().filter(|system| system.agency == code).collect();
    all.sort_by_key(|system| (system.state() as i32, system.grade));
    all
}

fn open_of<'a>(app: &'a App, code: &str) -> Vec<&'a Incident> {
    let mut all = app.model.urgent();
    all.retain(|incident| incident.agencies.iter().any(|agency| agency == code));
    all
}

fn hosts_of<'a>(app: &'a App, code: &str) -> Vec<&'a Agent> {
    let mut all: Vec<&Agent> =
        app.model.agents.values().filter(|agent| agent.agency == code).collect();
    all.sort_by_key(|agent| agent.state() as i32);
    all
}

/// `dịch vụ ▲K  an toàn ·T  sử dụng ■N`.
pub(super) fn lamp_line(app: &App, agency: &Agency) -> String {
    app.words.with(
        "board-lamps",
        &[
            ("service", app.theme.state(agency.service())),
            ("security", app.theme.state(agency.security())),
            ("usage", app.theme.state(agency.usage())),
        ],
    )
}

/// Hosts heard, events held; why there are none where there are none.
pub(super) fn connection(app: &App, agency: &Agency) -> String {
    let words = &app.words;
    let lang = words.lang();
    match agency.state() {
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
    }
}

pub(super) fn one(app: &App, code: &str, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let Some(agency) = app.model.agency(code) else { return vec![plain(code)] };
    let standin = if code.starts_with("tk-") { words.get("agency-standin") } else { String::new() };
    let mut lines = vec![
        line(vec![
            (app.theme.state(agency.state()).to_owned(), app.theme.state_style(agency.state())),
            (
                fit(
                    &format!(
                        "  {}  {code}{standin}    {}",
                        words.pick(&agency.name_vi, &agency.name_en),
                        lamp_line(app, agency)
                    ),
                    area.width.saturating_sub(2),
                ),
                Style::new(),
            ),
        ]),
        plain(&fit(&connection(app, agency), area.width)),
    ];
    lines.extend(used(app, agency, area));
    // Each pane its share; the one with the cursor takes what the others leave.
    let (systems, open, hosts) = (systems_of(app, code), open_of(app, code), hosts_of(app, code));
    let order: [usize; 3] = if app.place().other { [2, 1, 0] } else { [0, 1, 2] };
    let room = area.height.saturating_sub(lines.len() + 3);
    let sizes = order.map(|kind| [systems.len(), open.len(), hosts.len()][kind]);
    let share = share(room, sizes, (0..3).find(|pane| cursor_in(app, *pane).is_some()));
    for pane in 0..3 {
        let cursor = cursor_in(app, pane);
        let kind = order[pane];
        let title = words.get(["agency-systems", "agency-open", "agency-hosts"][kind]);
        let count = sizes[pane];
        let remark = if kind == 0 { systems::columns(app, area) } else { String::new() };
        lines.push(rule(app, &format!("{title} {count}"), &remark, area.width));
        for at in window(cursor.unwrap_or(0), count, share[pane]) {
            let chosen = cursor == Some(at);
            lines.push(match kind {
                0 => systems::row(app, systems[at], chosen, area),
                1 => incidents::short(app, open[at], chosen, area),
                _ => systems::host(app, hosts[at], chosen, area),
            });
        }
    }
    let checks: Vec<_> = app.model.checks.values().filter(|check| check.agency == code).collect();
    let left = area.height.saturating_sub(lines.len() + 1);
    if left > 0 && !checks.is_empty() {
        let title = format!("{} {}", words.get("agency-checks"), checks.len());
        lines.push(rule(app, &title, "DNS TCP TLS 1B Σ ms", area.width));
        lines.extend(checks.into_iter().take(left).map(|check| systems::check(app, check, area)));
    }
    lines
}

/// Rows for each of three panes: what each needs, as far as the height goes; the one with the cursor last gives way.
fn share(room: usize, needs: [usize; 3], first: Option<usize>) -> [usize; 3] {
    let mut share = needs;
    while share.iter().sum::<usize>() > room {
        let least = |at: usize| if first == Some(at) { share[at] / 2 } else { share[at] };
        let most = (0..3).max_by_key(|at| least(*at)).unwrap_or(0);
        if share[most] == 0 {
            break;
        }
        share[most] -= 1;
    }
    share
}

/// What citizens use of it: the last hour, with what is usual.
fn used(app: &App, agency: &Agency, area: Area) -> Option<Line<'static>> {
    if agency.hosts_enrolled == 0 {
        return None;
    }
    let words = &app.words;
    let number = |value| wording::decimal(words.lang(), value, 0);
    let spark = app.theme.sparkline(&agency.usage_cells, 20);
    let usual = agency.baseline.as_ref().map_or_else(
        || words.get("chart-no-band"),
        |b| {
            words.with(
                "chart-band",
                &[
                    ("median", &number(b.median)),
                    ("low", &number(b.low)),
                    ("high", &number(b.high)),
                    ("weeks", &b.weeks.to_string()),
                ],
            )
        },
    );
    let text = words.with("agency-used", &[("spark", &spark), ("usual", &usual)]);
    Some(plain(&fit(&text, area.width)))
}
