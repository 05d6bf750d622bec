//! The national board as tables: provinces at the left; ministries, incidents, figures and flow at the right.

use std::collections::BTreeSet;

use ratatui::{style::Style, text::Line};
use vonggac_wire::proto::{Agency, Flow};

use super::{agency_detail, figures_shown, flow_text, shown_group, urgent};
use crate::{
    app::App,
    screen::{Area, agencies, line, plain, rule, usage},
    wording::{self, fit, right},
};

/// From this size on two tables and the incidents stand beside each other.
pub(super) const LEAST: (usize, usize) = (150, 38);

/// From this size on tables have codes, hosts and more cells.
const FULL: (usize, usize) = (200, 50);

/// Spaces between panes.
const GUTTER: usize = 2;

/// What a table of agencies shows beside the state and the name.
#[derive(Clone, Copy)]
struct Columns {
    code: bool,
    cells: usize,
}

impl Columns {
    const SHORT: Self = Self { code: false, cells: 8 };
    const FULL: Self = Self { code: true, cells: 24 };

    const fn width(self) -> usize {
        NAME + 28 + self.cells + if self.code { 27 } else { 0 }
    }
}

const NAME: usize = 13;

pub(super) fn lines(app: &App, area: Area, selected: Option<&str>) -> Vec<Line<'static>> {
    let left_columns =
        if area.width >= FULL.0 && area.height >= FULL.1 { Columns::FULL } else { Columns::SHORT };
    let provinces = shown_group(app, "province");
    let title = |id: &str, count: usize| app.words.with(id, &[("count", &count.to_string())]);
    let left_width = left_columns.width();
    let mut left = table(
        app,
        &title("board-provinces", provinces.len()),
        &provinces,
        left_columns,
        selected,
        area,
    );
    let right_width = area.width.saturating_sub(left_width + GUTTER);
    let ministries = shown_group(app, "ministry");
    let middle_width = Columns::SHORT.width();
    let mut middle = table(
        app,
        &title("board-ministries", ministries.len()),
        &ministries,
        Columns::SHORT,
        selected,
        area,
    );
    let local = shown_group(app, "local");
    if !local.is_empty() {
        middle.push(rule(app, &app.words.get("board-local"), "", middle_width));
        middle.extend(local.iter().map(|agency| row(app, agency, Columns::SHORT, selected, area)));
    }
    let third_width = right_width.saturating_sub(middle_width + GUTTER);
    let upper = beside(middle, middle_width, third(app, third_width));
    // The agency in focus takes two lines below; incidents take what the tables leave.
    let below = 2;
    let height = area.height.saturating_sub(below);
    left.truncate(height);
    let incidents = Area { width: right_width, height: height.saturating_sub(upper.len()), ..area };
    let mut right_pane = upper;
    if incidents.height > 1 {
        right_pane.extend(urgent(app, incidents));
    }
    let news_room = height.saturating_sub(right_pane.len());
    if news_room > 2 {
        right_pane.push(rule(app, &super::news::summary(app, area.now), "", right_width));
        let space = Area { width: right_width, height: news_room - 1, ..area };
        right_pane.extend(super::news::lines(app, space));
    }
    let mut all = beside(left, left_width, right_pane);
    all.truncate(height);
    all.resize(height, Line::default());
    all.extend(focus(app, selected, area));
    all
}

fn focus(app: &App, selected: Option<&str>, area: Area) -> Vec<Line<'static>> {
    let worst = super::worst_first(app);
    let agency =
        selected.and_then(|code| app.model.agency(code)).or_else(|| worst.first().copied());
    let Some(agency) = agency else { return vec![Line::default(); 2] };
    let lamps = app.words.with(
        "board-lamps",
        &[
            ("service", app.theme.state(agency.service())),
            ("security", app.theme.state(agency.security())),
            ("usage", app.theme.state(agency.usage())),
        ],
    );
    vec![rule(app, &lamps, "", area.width), agency_detail(app, agency, area)]
}

fn table(
    app: &App,
    title: &str,
    all: &[&Agency],
    columns: Columns,
    selected: Option<&str>,
    area: Area,
) -> Vec<Line<'static>> {
    let words = &app.words;
    let mut head = format!(
        "    {} {} {} {} {} ",
        fit(&words.get("col-agency"), NAME),
        fit(&words.get("col-lamps"), 3),
        right(&words.get("col-incidents"), 3),
        right(&words.get("col-silent"), 6),
        right(&words.get("col-unserved"), 6),
    );
    if columns.code {
        head.push_str(&format!(
            "{} {} {} ",
            fit("", 6),
            right(&words.get("col-hosts"), 9),
            right(&words.get("col-minutes-short"), 9)
        ));
    }
    head.push_str("60");
    let mut lines =
        vec![rule(app, title, "", columns.width()), plain(&fit(&head, columns.width()))];
    lines.extend(all.iter().map(|agency| row(app, agency, columns, selected, area)));
    lines
}

fn row(
    app: &App,
    agency: &Agency,
    columns: Columns,
    selected: Option<&str>,
    area: Area,
) -> Line<'static> {
    let state = agency.state();
    let chosen = selected == Some(agency.code.as_str());
    let unserved = agencies::unserved(app, agency);
    let incidents =
        if agency.open_incidents > 0 { agency.open_incidents.to_string() } else { String::new() };
    let mut text = format!(
        " {} {} {} {} {} ",
        fit(app.words.pick(&agency.short_vi, &agency.short_en), NAME),
        fit(&agencies::lamps(app, agency), 3),
        right(&incidents, 3),
        right(&agencies::silent(app, agency, area.now), 6),
        right(&unserved, 6),
    );
    if columns.code {
        text.push_str(&format!(
            "{} {} {} ",
            fit(&agency.code, 6),
            right(&format!("{}/{}", agency.hosts_heard, agency.hosts_enrolled), 9),
            right(&minutes(app, agency), 9),
        ));
    }
    text.push_str(&app.theme.sparkline(&agency.usage_cells, columns.cells));
    let style = if chosen { app.theme.selected() } else { Style::new() };
    let first = if chosen { style } else { app.theme.state_style(state) };
    let mark = if chosen { app.theme.cursor() } else { " " };
    line(vec![
        (format!("{mark}{}", app.theme.state(state)), first),
        (fit(&text, columns.width() - 3), style),
    ])
}

/// Minutes that its systems answered rightly, of those meant to be open, since midnight; `–` where no probe speaks of any.
fn minutes(app: &App, agency: &Agency) -> String {
    let known: Vec<(u32, u32)> = app
        .model
        .systems
        .values()
        .filter(|system| system.agency == agency.code)
        .filter_map(|system| Some((system.minutes_up?, system.minutes_open?)))
        .collect();
    if known.is_empty() {
        return app.words.get("no-data");
    }
    let sum = |part: fn(&(u32, u32)) -> u32| known.iter().map(part).map(u64::from).sum::<u64>();
    format!("{}/{}", sum(|minutes| minutes.0), sum(|minutes| minutes.1))
}

/// What is missing and from where, how fast incidents come, what is hidden.
fn short_of(app: &App, flow: &Flow) -> Vec<String> {
    let words = &app.words;
    let mut lines = Vec::new();
    if flow.events_lost > 0 {
        let places: BTreeSet<&str> = flow.gaps.iter().map(|gap| gap.agency.as_str()).collect();
        let places: Vec<&str> = places.into_iter().collect();
        let lost = wording::number(words.lang(), flow.events_lost);
        let told = words.with("board-lost", &[("lost", &lost)]);
        let places = places.join(" ");
        lines.push(if places.is_empty() { told } else { format!("{told}: {places}") });
    }
    let (rate, hidden) = (app.model.opened_lately().to_string(), app.model.hidden().to_string());
    lines.push(words.with("board-rate", &[("rate", &rate), ("hidden", &hidden)]));
    lines
}

/// Figures of the nation, and the data's own way.
fn third(app: &App, width: usize) -> Vec<Line<'static>> {
    let words = &app.words;
    let mut lines = vec![rule(app, &words.get("board-figures"), "", width)];
    for indicator in figures_shown(app) {
        let name = words.pick(&indicator.name_vi, &indicator.name_en);
        let ratio = usage::ratio(app, indicator);
        let columns = unicode_width::UnicodeWidthStr::width(ratio.as_str());
        lines.push(plain(&format!(
            " {} {ratio}",
            fit(name.trim_start_matches("Tỷ lệ "), width.saturating_sub(columns + 2))
        )));
    }
    lines.push(rule(app, &words.get("flow-path"), "", width));
    if let Some(flow) = &app.model.flow {
        let cells = app.theme.sparkline(&flow.rate_cells, 16);
        let mut text: Vec<String> =
            flow_text(app, flow).split("  ").map(|part| part.trim().to_owned()).collect();
        if let Some(first) = text.first_mut() {
            first.push_str(&format!("  {cells}"));
        }
        text.push(words.with(
            "board-agents",
            &[
                ("heard", &flow.agents_heard.to_string()),
                ("all", &flow.agents_enrolled.to_string()),
            ],
        ));
        text.extend(short_of(app, flow));
        lines.extend(text.iter().map(|part| plain(&fit(&format!(" {part}"), width))));
    }
    lines
}

/// Two panes beside each other.
fn beside(
    left: Vec<Line<'static>>,
    left_width: usize,
    right_pane: Vec<Line<'static>>,
) -> Vec<Line<'static>> {
    let height = left.len().max(right_pane.len());
    let mut left = left.into_iter();
    let mut right_pane = right_pane.into_iter();
    (0..height)
        .map(|_| {
            let mut line = left.next().unwrap_or_default();
            let missing = (left_width + GUTTER).saturating_sub(line.width());
            line.spans.push(" ".repeat(missing).into());
            line.spans.extend(right_pane.next().unwrap_or_default().spans);
            line
        })
        .collect()
}
