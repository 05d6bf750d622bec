//! The national board.

use ratatui::text::Line;
use vonggac_wire::{
    Time,
    proto::{Agency, Flow, HealthState as H, Incident, Indicator},
};

use super::{
    Area, Item, Parts, agencies, counts, cursor_in, incidents, item, line, news, plain, rule,
};
use crate::{
    app::App,
    keymap::Action,
    wording::{self, fit, right},
};

mod wide;

/// Tiles beside each other.
const TILES: usize = 5;

/// Groups of the board in their order.
const GROUPS: [(&str, &str); 3] =
    [("province", "board-provinces"), ("ministry", "board-ministries"), ("local", "board-local")];

pub(super) fn tiles(app: &App) -> Vec<&Agency> {
    GROUPS.iter().flat_map(|(group, _)| shown_group(app, group)).collect()
}

/// The local machine has a tile once it is enrolled.
fn shown_group<'a>(app: &'a App, group: &'a str) -> Vec<&'a Agency> {
    app.model.group(group).filter(|agency| group != "local" || agency.hosts_enrolled > 0).collect()
}

/// The incidents of the board.
pub(super) fn incidents_shown(app: &App) -> Vec<&Incident> {
    incidents::on_board(app)
}

/// Which tile is the worst.
pub(super) fn worst(app: &App) -> usize {
    let all = tiles(app);
    (0..all.len()).min_by_key(|at| (all[*at].state() as i32, *at)).unwrap_or(0)
}

/// Whether the board is drawn as tables beside each other, in a terminal of this size.
fn is_wide(app: &App) -> bool {
    let (width, height) = (usize::from(app.size.0), usize::from(app.size.1));
    width >= wide::LEAST.0 && height >= wide::LEAST.1 + FRAME && !app.place().other
}

/// Rows of title, message and keys.
const FRAME: usize = 3;

/// Tiles as they lie on the screen: rows of their places.
fn grid(app: &App) -> Vec<Vec<usize>> {
    let mut first = 0;
    let mut groups = Vec::new();
    for (group, _) in GROUPS {
        let count = shown_group(app, group).len();
        groups.push((first..first + count).collect::<Vec<usize>>());
        first += count;
    }
    if is_wide(app) {
        // Provinces at the left, the other groups below each other at the right.
        let right: Vec<usize> = groups.iter().skip(1).flatten().copied().collect();
        let rows = groups[0].len().max(right.len());
        return (0..rows)
            .map(|row| {
                [groups[0].get(row), right.get(row)].into_iter().flatten().copied().collect()
            })
            .collect();
    }
    let narrow = usize::from(app.size.0) < wide::LEAST.0;
    if narrow && app.place().other {
        let all = tiles(app);
        let order = worst_first(app);
        return order
            .iter()
            .filter_map(|agency| all.iter().position(|known| known.code == agency.code))
            .map(|at| vec![at])
            .collect();
    }
    groups.iter().flat_map(|group| group.chunks(TILES).map(<[usize]>::to_vec)).collect()
}

/// The tile beside one.
pub(super) fn tile_beside(app: &App, at: usize, action: Action) -> Option<usize> {
    let grid = grid(app);
    let row = grid.iter().position(|row| row.contains(&at))?;
    let column = grid[row].iter().position(|tile| *tile == at)?;
    match action {
        Action::Left => column.checked_sub(1).map(|column| grid[row][column]),
        Action::Right => grid[row].get(column + 1).copied(),
        action => {
            let row = if action == Action::Up { row.checked_sub(1)? } else { row + 1 };
            let tiles = grid.get(row)?;
            tiles.get(column.min(tiles.len().checked_sub(1)?)).copied()
        }
    }
}

/// The tile that the cursor is on.
fn selected(app: &App) -> Option<String> {
    match item(app) {
        Some(Item::Agency(code)) if !app.options.wall => Some(code),
        _ => None,
    }
}

/// The order in which the cursor walks over tiles: trouble first.
fn worst_first(app: &App) -> Vec<&Agency> {
    let mut all = tiles(app);
    all.sort_by_key(|agency| agency.state() as i32);
    all
}

pub(super) fn lines(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let mut lines = vec![served(app, area), figures(app, area)];
    if !app.model.anybody() {
        lines.push(Line::default());
        let flow = app.model.flow.clone().unwrap_or_default();
        let (kafka, engine) = (app.theme.state(flow.kafka()), app.theme.state(flow.engine()));
        let fine = flow.kafka() == H::Fine && flow.engine() == H::Fine;
        let first = if fine { "first-1" } else { "first-trouble" };
        lines.push(plain(&words.with(first, &[("kafka", kafka), ("engine", engine)])));
        lines.extend(["first-2", "first-3", "first-4"].map(|id| plain(&words.get(id))));
        return lines;
    }
    let place = app.place();
    let selected = selected(app);
    let selected = selected.as_deref();
    let large = area.width >= wide::LEAST.0 && area.height >= wide::LEAST.1;
    if place.full {
        // One pane has all the room: the incidents, or the tiles or tables.
        if selected.is_none() {
            lines.extend(urgent(app, Area { height: area.height.saturating_sub(3), ..area }));
        } else {
            lines.extend(table(app, Area { height: area.height.saturating_sub(3), ..area }, 1));
        }
    } else if large != place.other {
        lines.push(counts(app));
        let height = area.height.saturating_sub(lines.len() + 1);
        let rest = Area { height, ..area };
        lines.extend(if large { wide::lines(app, rest, selected) } else { table(app, rest, 2) });
    } else {
        lines.extend(tiled(app, area, selected));
        let height = area.height.saturating_sub(lines.len() + 2);
        lines.extend(urgent(app, Area { height, ..area }));
    }
    let last = area.height.saturating_sub(1);
    lines.truncate(last);
    lines.resize(last, Line::default());
    lines.push(flow(app, area));
    lines
}

/// Tiles of all groups, and the agency in focus.
fn tiled(app: &App, area: Area, selected: Option<&str>) -> Vec<Line<'static>> {
    let words = &app.words;
    let mut lines = Vec::new();
    for (group, title) in GROUPS {
        let agencies = shown_group(app, group);
        if agencies.is_empty() {
            continue;
        }
        let remark = if group == "province" { String::new() } else { connected(app) };
        let title = words.with(title, &[("count", &agencies.len().to_string())]);
        if group == "province" {
            lines.push(counted_rule(app, &title, area.width));
        } else {
            lines.push(rule(app, &title, if group == "local" { "" } else { &remark }, area.width));
        }
        for row in agencies.chunks(TILES) {
            lines.push(tile_row(app, row, selected, area.width));
        }
    }
    let focus = worst_first(app);
    let agency =
        selected.and_then(|code| app.model.agency(code)).or_else(|| focus.first().copied());
    if let Some(agency) = agency {
        lines.push(agency_detail(app, agency, area));
    }
    lines
}

/// The worst agencies as rows, where there is no room for two tables: this part of the height, incidents the rest.
fn table(app: &App, area: Area, parts: usize) -> Vec<Line<'static>> {
    let half = area.height / parts;
    let all = worst_first(app);
    let cursor = selected(app).and_then(|code| all.iter().position(|agency| agency.code == code));
    let mut lines = agencies::table(app, &all, cursor, Area { height: half, ..area });
    if parts > 1 {
        let height = area.height.saturating_sub(lines.len() + 1);
        lines.extend(urgent(app, Area { height, ..area }));
    }
    lines
}

/// Are citizens served? Dossiers a minute with their range, where that is known.
pub(super) fn unserved(app: &App, now: Time) -> String {
    let words = &app.words;
    if app.model.time.is_none() || !app.model.anybody() {
        return words.get("board-served-nobody");
    }
    let (mut value, mut low, mut high, mut unknown) = (0.0, 0.0, 0.0, false);
    let (mut stopped, mut lacks) = (false, 0_usize);
    for agency in app.model.agencies.iter().filter(|agency| agency.hosts_enrolled > 0) {
        match &agency.unserved {
            Some(estimate) if estimate.value > 0.0 => {
                value += estimate.value;
                low += estimate.low;
                high += estimate.high;
            }
            Some(_) => {}
            None => {
                let bad = matches!(agency.state(), H::Down | H::Silent);
                unknown |= bad;
                lacks += usize::from(bad);
            }
        }
        stopped |= matches!(agency.service(), H::Down | H::Silent) || agency.usage() == H::Down;
    }
    if value > 0.0 {
        let numbers = [value, low, high].map(|number| wording::decimal(words.lang(), number, 0));
        let told = words.with(
            "board-unserved",
            &[("value", &numbers[0]), ("low", &numbers[1]), ("high", &numbers[2])],
        );
        // A sum names how many it lacks.
        let lacks =
            (lacks > 0).then(|| words.with("board-lacks", &[("count", &lacks.to_string())]));
        format!("{told}{}", lacks.unwrap_or_default())
    } else if stopped || unknown {
        words.get("board-unserved-unknown")
    } else if app.fresh(now).is_past() {
        // Then is not now.
        let then = app.heard.newest.or(app.heard.at);
        let then = then.map_or_else(|| words.get("no-data"), wording::clock);
        words.with("board-served-then", &[("time", &then)])
    } else {
        words.get("board-served")
    }
}

/// Are citizens served, and what is due first?
fn served(app: &App, area: Area) -> Line<'static> {
    let words = &app.words;
    let left = unserved(app, area.now);
    let next =
        app.model.urgent().into_iter().filter_map(|i| Some((i.deadline_unix_nano?, i.id))).min();
    let deadline = match next {
        Some((at, id)) => {
            let left = Time(at).since(area.now);
            let left = if left.is_zero() {
                format!("−{}", wording::duration(words.lang(), area.now.since(Time(at))))
            } else {
                wording::duration(words.lang(), left)
            };
            words.with("board-deadline", &[("id", &id.to_string()), ("left", &left)])
        }
        None => words.get("board-no-deadline"),
    };
    let columns = unicode_width::UnicodeWidthStr::width(deadline.as_str());
    plain(&format!("{} {deadline}", fit(&left, area.width.saturating_sub(columns + 1))))
}

/// Figures that the top line has room for.
const FIGURES_IN_A_LINE: usize = 3;

/// The nation's figures: the three of the top line, then all others in the collector's order.
fn figures_shown(app: &App) -> Vec<&Indicator> {
    const FIRST: [&str; FIGURES_IN_A_LINE] =
        ["online-filing-rate", "full-process-dossier-rate", "on-time-rate"];
    let mut all: Vec<&Indicator> =
        app.model.indicators.iter().filter(|indicator| indicator.agency.is_empty()).collect();
    all.sort_by_key(|i| FIRST.iter().position(|id| *id == i.id).unwrap_or(FIRST.len()));
    all
}

/// Usage in one line: numerator and denominator beside each rate.
fn figures(app: &App, area: Area) -> Line<'static> {
    let words = &app.words;
    let mut text = String::new();
    for indicator in figures_shown(app).into_iter().take(FIGURES_IN_A_LINE) {
        let name = words.pick(&indicator.name_vi, &indicator.name_en);
        let name = name.replace("Tỷ lệ ", "");
        text.push_str(&format!("{name} {}  ", super::usage::ratio(app, indicator)));
    }
    let news = news::summary(app, area.now);
    let columns = unicode_width::UnicodeWidthStr::width(news.as_str());
    // Figures are whole or absent.
    let room = area.width.saturating_sub(columns + 1);
    plain(&format!("{} {news}", wording::whole(text.trim_end(), room)))
}

fn connected(app: &App) -> String {
    let board: Vec<&Agency> = app
        .model
        .agencies
        .iter()
        .filter(|a| matches!(a.kind.as_str(), "province" | "ministry"))
        .collect();
    let excluded = board.iter().filter(|a| a.state() == H::Excluded).count();
    let heard = board.iter().filter(|a| a.hosts_heard > 0).count();
    let all = board.len() - excluded;
    app.words.with(
        "board-connected",
        &[
            ("heard", &heard.to_string()),
            ("all", &all.to_string()),
            ("excluded", &excluded.to_string()),
        ],
    )
}

fn counted_rule(app: &App, title: &str, width: usize) -> Line<'static> {
    let counted = counts(app);
    let used: usize = counted.width();
    let left = format!("{} {title} ", app.theme.rule());
    let fill =
        width.saturating_sub(unicode_width::UnicodeWidthStr::width(left.as_str()) + used + 2);
    let mut spans =
        vec![ratatui::text::Span::raw(format!("{left}{} ", app.theme.rule().repeat(fill)))];
    spans.extend(counted.spans);
    spans.push(ratatui::text::Span::raw(app.theme.rule().to_owned()));
    Line::from(spans)
}

fn tile_row(app: &App, row: &[&Agency], selected: Option<&str>, width: usize) -> Line<'static> {
    let each = width / TILES;
    let mut parts: Parts = Vec::new();
    for agency in row {
        let state = agency.state();
        let name = app.words.pick(&agency.short_vi, &agency.short_en);
        let count = if agency.open_incidents > 0 {
            agency.open_incidents.to_string()
        } else {
            String::new()
        };
        let mut text = format!("{} {}{}", app.theme.state(state), fit(name, 11), right(&count, 1));
        if each >= 24 {
            let unserved = agency
                .unserved
                .as_ref()
                .filter(|e| e.value > 0.0)
                .map(|e| format!("≈{:.0}", e.value))
                .unwrap_or_default();
            text = format!("{text} {}", right(&unserved, 6));
        }
        let style = if selected == Some(agency.code.as_str()) {
            app.theme.selected()
        } else {
            app.theme.state_style(state)
        };
        parts.push((fit(&text, each), style));
    }
    line(parts)
}

/// One agency in a line: lamps, use, hosts.
fn agency_detail(app: &App, agency: &Agency, area: Area) -> Line<'static> {
    let words = &app.words;
    let age = agency.last_heard_unix_nano.map_or_else(
        || words.get("no-data"),
        |at| wording::duration(words.lang(), area.now.since(Time(at))),
    );
    let hosts = words.with(
        "board-hosts",
        &[
            ("heard", &agency.hosts_heard.to_string()),
            ("all", &agency.hosts_enrolled.to_string()),
            ("age", &age),
        ],
    );
    let lamps = format!(
        "D{} A{} S{}",
        app.theme.state(agency.service()),
        app.theme.state(agency.security()),
        app.theme.state(agency.usage())
    );
    let spark = app.theme.sparkline(&agency.usage_cells, 12);
    let name = words.pick(&agency.name_vi, &agency.name_en);
    plain(&fit(
        &format!(
            "{}{name} {}  {lamps}  {spark} 60 {}  {hosts}",
            if app.options.wall { " " } else { app.theme.cursor() },
            agency.code,
            if words.lang() == crate::words::Lang::Vi { "ph" } else { "min" }
        ),
        area.width,
    ))
}

fn urgent(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let open = app.model.urgent();
    let all = incidents_shown(app);
    let new = open.iter().filter(|i| i.acknowledged_unix_nano.is_none()).count();
    let title = words.with(
        "board-incidents",
        &[
            ("open", &open.len().to_string()),
            ("new", &new.to_string()),
            ("hidden", &app.model.hidden().to_string()),
        ],
    );
    let mut lines =
        vec![titled(app, &title, &incidents::short_columns(app, area.width, area.now), area)];
    if open.is_empty() {
        lines.push(plain(&words.get("board-none")));
    }
    let rest = incidents::rest_of_flood(app);
    let cursor = cursor_in(app, 0);
    let height = area.height.saturating_sub(1 + usize::from(rest.is_some())).max(1);
    for at in super::window(cursor.unwrap_or(0), all.len(), height) {
        let chosen = cursor == Some(at) && !app.options.wall;
        lines.push(incidents::short(app, all[at], chosen, area));
    }
    lines.extend(rest.map(|text| plain(&fit(&format!(" {text}"), area.width))));
    lines
}

/// A rule whose right end are the titles of the columns below it.
fn titled(app: &App, title: &str, columns: &str, area: Area) -> Line<'static> {
    let mark = app.theme.rule();
    let width = unicode_width::UnicodeWidthStr::width(columns);
    let left = fit(&format!("{mark} {title} "), area.width.saturating_sub(width));
    let bare = left.trim_end();
    let fill = area.width.saturating_sub(width + unicode_width::UnicodeWidthStr::width(bare) + 1);
    plain(&format!("{bare} {}{columns}", mark.repeat(fill)))
}

fn flow(app: &App, area: Area) -> Line<'static> {
    let Some(flow) = &app.model.flow else { return Line::default() };
    plain(&fit(&flow_text(app, flow), area.width))
}

/// The data's own way in one line; its parts are two spaces apart.
fn flow_text(app: &App, flow: &Flow) -> String {
    let words = &app.words;
    let lang = words.lang();
    let delay = flow
        .delay_p99_seconds
        .map_or_else(|| words.get("no-data"), |delay| wording::seconds(lang, delay));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate, never negative"
    )]
    let rate = wording::number(lang, flow.events_per_second.round() as u64);
    words.with(
        "board-flow",
        &[
            ("rate", &rate),
            ("delay", &delay),
            ("lag", &wording::number(lang, flow.kafka_lag)),
            ("held", &wording::number(lang, flow.events_held)),
            ("numbered", &wording::number(lang, flow.events_numbered)),
            ("dead", &wording::number(lang, flow.dead_letters_today)),
        ],
    )
}
