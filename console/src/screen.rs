//! The screens: each makes lines of a width and height from the model; one frame draws them all.

use ratatui::{
    Frame,
    buffer::Buffer,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Paragraph, Widget},
};
use unicode_width::UnicodeWidthStr;
use vonggac_wire::{Time, proto::HealthState as H};

use crate::{
    app::{Answer, App, Awaited, Link},
    sanitise::sanitise,
    theme,
    wording::{self, fit},
};

mod actions;
mod agencies;
mod board;
mod chart;
pub(crate) mod duty;
mod events;
mod flow;
mod frame;
mod help;
mod incidents;
mod items;
mod news;
mod overlay;
mod quiet;
mod saved;
mod systems;
mod usage;

pub(crate) use actions::{ON_INCIDENTS, allows, do_word, means, valid};
pub(crate) use flow::dead_letter;
pub(crate) use frame::typing;
use frame::{keys, link, message, title, warning};
pub(crate) use help::pages as help_pages;
pub(crate) use incidents::told;
pub use items::Item;
pub(crate) use items::Panes;
pub(crate) use items::{
    agency_here, agency_name, bounds, cursor_in, detail, event, event_lines, incident,
    incident_ids, is_trouble, is_warning, item, pane_beside, passes, rows, sections, target,
    text_of, tile_beside, value, why,
};
pub(crate) use news::mark as news_mark;
pub(crate) use overlay::sheet_last;

/// A screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Screen {
    /// The nation.
    Board,
    /// All incidents.
    Incidents,
    /// One incident.
    Incident(u64),
    /// All agencies.
    Agencies,
    /// One agency, by code.
    Agency(String),
    /// All systems.
    Systems,
    /// One system: agency and id.
    System(String, String),
    /// One host: agency and agent.
    Host(String, String),
    /// Event search.
    Events,
    /// One event, whole.
    Event(usize),
    /// Figures.
    Usage,
    /// One figure, agency by agency.
    ByAgency(String),
    /// One value against agencies.
    Spread,
    /// The data's own way.
    Flow,
    /// What changed on this shift.
    Shift,
    /// Searches that are saved at the centre.
    Saved,
    /// What is kept quiet.
    Quiet,
}

impl Screen {
    /// Whether `/` filters its rows.
    #[must_use]
    pub const fn is_list(&self) -> bool {
        matches!(
            self,
            Self::Incidents
                | Self::Shift
                | Self::Agencies
                | Self::Systems
                | Self::Saved
                | Self::Quiet
        )
    }

    /// The orders that `s` goes through; what each is called stands in the messages after `sort-`.
    #[must_use]
    pub const fn sorts(&self) -> &'static [&'static str] {
        match self {
            Self::Incidents => &["urgency", "deadline", "newest", "count", "owner"],
            Self::Agencies => &["register", "worst", "unserved", "incidents"],
            Self::Systems => &["worst", "grade", "agency"],
            Self::ByAgency(_) => &["register", "lowest"],
            _ => &["only"],
        }
    }

    /// Its name, for files.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Board | Self::Agencies | Self::Agency(_) => "agencies",
            Self::Incidents | Self::Incident(_) => "incidents",
            Self::Shift => "handover",
            Self::Systems | Self::System(..) => "systems",
            Self::Host(..) => "checks",
            Self::Events | Self::Event(_) => "events",
            Self::Usage | Self::ByAgency(_) => "usage",
            Self::Spread => "spread",
            Self::Flow => "flow",
            Self::Saved => "saved",
            Self::Quiet => "quiet",
        }
    }

    /// The command that gives the same rows.
    #[must_use]
    pub fn command(&self) -> String {
        match self {
            Self::Board => "vonggac health".into(),
            Self::Incident(id) => format!("vonggac incidents show {id}"),
            Self::Agency(code) => format!("vonggac systems --agency {code}"),
            Self::System(agency, id) => format!("vonggac agents --agency {agency} --system {id}"),
            Self::Host(agency, _) => format!("vonggac checks --agency {agency}"),
            Self::ByAgency(_) => "vonggac usage --by-agency".into(),
            Self::Quiet => "vonggac suppress list".into(),
            other => format!("vonggac {}", other.name()),
        }
    }
}

/// Columns and rows below which only the least is shown.
pub const LEAST: (u16, u16) = (80, 24);

/// Where lines are drawn, with the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) now: Time,
}

/// A line's parts.
pub(crate) type Parts = Vec<(String, Style)>;

/// One line from parts, harmless.
pub(crate) fn line(parts: Parts) -> Line<'static> {
    Line::from(
        parts
            .into_iter()
            .map(|(text, style)| Span::styled(sanitise(&text).into_owned(), style))
            .collect::<Vec<_>>(),
    )
}

/// A plain line, harmless.
pub(crate) fn plain(text: &str) -> Line<'static> {
    Line::from(sanitise(text).into_owned())
}

/// A rule with a title at the left and a remark at the right.
pub(crate) fn rule(app: &App, title: &str, remark: &str, width: usize) -> Line<'static> {
    let mark = app.theme.rule();
    let left = if title.is_empty() { mark.to_owned() } else { format!("{mark} {title} ") };
    let right = if remark.is_empty() { String::new() } else { format!(" {remark} {mark}") };
    let fill = width.saturating_sub(left.width() + right.width());
    plain(&fit(&format!("{left}{}{right}", mark.repeat(fill)), width))
}

/// Draws everything into a frame.
pub fn draw(app: &App, frame: &mut Frame<'_>, now: Time) {
    let area = frame.area();
    render(app, area, frame.buffer_mut(), now);
}

/// Draws everything.
pub fn render(app: &App, area: Rect, buffer: &mut Buffer, now: Time) {
    if area.width < LEAST.0 || area.height < LEAST.1 {
        Paragraph::new(small(app, area, now)).render(area, buffer);
    } else {
        items::with_panes(app, || whole(app, area, buffer, now));
    }
    if app.theme.ascii {
        in_ascii(area, buffer);
    }
}

/// Where symbols are drawn wider than they are, letters alone stay as they are.
fn in_ascii(area: Rect, buffer: &mut Buffer) {
    for (column, row) in area.positions().map(|place| (place.x, place.y)) {
        let Some(cell) = buffer.cell_mut((column, row)) else { continue };
        let Some(first) = cell.symbol().chars().next() else { continue };
        if !first.is_ascii() && !first.is_alphanumeric() {
            cell.set_symbol(theme::ascii(first));
        }
    }
}

fn whole(app: &App, area: Rect, buffer: &mut Buffer, now: Time) {
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    let mut lines = vec![title(app, width, now)];
    lines.extend(warning(app, width, now));
    let body = Area { width, height: height.saturating_sub(lines.len() + 2), now };
    let mut drawn = match (app.model.time, &app.link) {
        // Of what was never seen nothing is drawn, not even that there is nothing.
        (None, Link::Lost { .. }) => Vec::new(),
        (None, _) => {
            let loading = app.words.with("loading", &[("address", &app.options.way.address)]);
            vec![plain(&fit(&loading, width))]
        }
        _ => self::body(app, body),
    };
    drawn.truncate(body.height);
    drawn.resize(body.height, Line::default());
    lines.append(&mut drawn);
    lines.push(message(app, width));
    lines.push(keys(app, width));
    Paragraph::new(lines).render(area, buffer);
    overlay::render(app, area, buffer, now);
}

fn body(app: &App, area: Area) -> Vec<Line<'static>> {
    match &app.place().screen {
        Screen::Board => board::lines(app, area),
        Screen::Incidents | Screen::Shift => incidents::list(app, area),
        Screen::Incident(id) => incidents::one(app, *id, area),
        Screen::Agencies => agencies::list(app, area),
        Screen::Agency(code) => agencies::one(app, code, area),
        Screen::Systems => systems::list(app, area),
        Screen::System(agency, id) => systems::one(app, agency, id, area),
        Screen::Host(agency, agent) => systems::one_host(app, agency, agent, area),
        Screen::Events => events::list(app, area),
        Screen::Event(at) => events::one(app, *at, area),
        Screen::Usage => usage::lines(app, area),
        Screen::ByAgency(id) => usage::by_agency(app, id, area),
        Screen::Spread => events::spread(app, area),
        Screen::Flow => flow::lines(app, area),
        Screen::Saved => saved::list(app, area),
        Screen::Quiet => quiet::list(app, area),
    }
}

/// Still a watch: link and age, states, what is not served, what is worst.
fn small(app: &App, area: Rect, now: Time) -> Vec<Line<'static>> {
    let width = usize::from(area.width);
    let size = [("width", area.width.to_string()), ("height", area.height.to_string())];
    let values: Vec<(&str, &str)> =
        size.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (link, style) = link(app, now);
    let name = app.words.get("app-name");
    let mut lines = vec![
        line(vec![
            (fit(&format!("{name}  "), width.min(name.width() + 2)), Style::new()),
            (link, style),
            (format!("  {}", wording::minute(now)), Style::new()),
        ]),
        counts(app),
    ];
    if app.heard.at.is_some() {
        lines.push(plain(&fit(&board::unserved(app, now), width)));
    }
    if let Some(first) = app.model.urgent().first() {
        let title = app.words.pick(&first.title_vi, &first.title_en);
        let tail =
            format!(" {} {}", incidents::owner(app, first), incidents::deadline(app, first, now));
        let head = fit(&format!("#{} {title}", first.id), width.saturating_sub(tail.width()));
        lines.push(plain(&fit(&format!("{head}{tail}"), width)));
    }
    lines.push(plain(&fit(&app.words.with("small", &values), width)));
    lines
}

/// How many agencies are in each state.
pub(crate) fn counts(app: &App) -> Line<'static> {
    let states = [
        H::Down,
        H::UnderAttack,
        H::Silent,
        H::Degraded,
        H::Unknown,
        H::Maintenance,
        H::NotConnected,
        H::Excluded,
        H::Fine,
    ];
    let mut parts: Parts = Vec::new();
    for state in states {
        let count = app.model.count(state);
        if count > 0 {
            parts.push((
                format!("{} {count} ", app.theme.state(state)),
                app.theme.state_style(state),
            ));
        }
    }
    line(parts)
}

/// Filter, order and count of a list of agencies or systems.
pub(crate) fn list_head(app: &App, sort: &str, count: usize, width: usize) -> Line<'static> {
    let place = app.place();
    let filter =
        if place.filter.is_empty() { app.words.get("filter-all") } else { place.filter.clone() };
    let turned = if place.reverse { app.words.get("sort-turned") } else { String::new() };
    let sort = format!("{}{turned}", app.words.get(&format!("sort-{sort}")));
    let count = count.to_string();
    let values = [("filter", filter.as_str()), ("sort", sort.as_str()), ("count", count.as_str())];
    plain(&fit(&app.words.with("list-line", &values), width))
}

/// What stands where rows are missing because their question has no answer yet, or gets none.
pub(crate) fn unanswered(app: &App, asked: Option<&Awaited>, area: Area) -> Option<String> {
    match &asked?.answer {
        Answer::Due => Some(app.words.get("events-searching")),
        Answer::Refused(why) => {
            Some(fit(&app.words.with("not-answered", &[("error", why)]), area.width))
        }
        Answer::None | Answer::Come => None,
    }
}

/// The part of a list that is on the screen, so that the cursor is in it.
pub(crate) fn window(cursor: usize, rows: usize, height: usize) -> std::ops::Range<usize> {
    let start = cursor.saturating_sub(height.saturating_sub(1)).min(rows.saturating_sub(height));
    start..rows.min(start + height)
}
