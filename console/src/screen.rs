//! The screens: each makes lines of a width and height from the model; one frame draws them all.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};
use unicode_width::UnicodeWidthStr;
use vonggac_wire::{Time, proto::HealthState as H};

use crate::{
    app::{App, Field, LATE, Link, STALE},
    sanitise::sanitise,
    wording::{self, fit},
};

mod agencies;
mod board;
mod events;
mod flow;
mod help;
mod incidents;
mod systems;
mod usage;

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
    /// Event search.
    Events,
    /// One event, whole.
    Event(usize),
    /// Figures.
    Usage,
    /// One value against agencies.
    Spread,
    /// The data's own way.
    Flow,
    /// What changed on this shift.
    Shift,
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

/// Draws everything.
pub fn draw(app: &App, frame: &mut Frame<'_>, now: Time) {
    let area = frame.area();
    let (width, height) = (usize::from(area.width), usize::from(area.height));
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let size = [("width", area.width.to_string()), ("height", area.height.to_string())];
        let values: Vec<(&str, &str)> =
            size.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut lines = vec![
            plain(&app.words.get("app-name")),
            counts(app),
            plain(&app.words.with("small", &values)),
        ];
        if let Some(first) = app.model.urgent(true, "").first() {
            let title = app.words.pick(&first.title_vi, &first.title_en);
            lines.insert(2, plain(&fit(&format!("#{} {title}", first.id), width)));
        }
        frame.render_widget(Paragraph::new(lines), area);
        return;
    }
    let mut lines = vec![title(app, width, now)];
    lines.extend(lost(app));
    let body = Area { width, height: height.saturating_sub(lines.len() + 2), now };
    let mut drawn = if app.model.time.is_none() && !matches!(app.link, Link::Lost { .. }) {
        vec![plain(&app.words.with("loading", &[("address", &app.options.address)]))]
    } else {
        match &app.place().screen {
            Screen::Board => board::lines(app, body),
            Screen::Incidents | Screen::Shift => incidents::list(app, body),
            Screen::Incident(id) => incidents::one(app, *id, body),
            Screen::Agencies => agencies::list(app, body),
            Screen::Agency(code) => agencies::one(app, code, body),
            Screen::Systems => systems::list(app, body),
            Screen::System(agency, id) => systems::one(app, agency, id, body),
            Screen::Events => events::list(app, body),
            Screen::Event(at) => events::one(app, *at, body),
            Screen::Usage => usage::lines(app, body),
            Screen::Spread => events::spread(app, body),
            Screen::Flow => flow::lines(app, body),
        }
    };
    drawn.truncate(body.height);
    drawn.resize(body.height, Line::default());
    lines.append(&mut drawn);
    lines.push(message(app, width));
    lines.push(keys(app, width));
    frame.render_widget(Paragraph::new(lines), area);
    if app.help {
        let (wide, high) = (76.min(area.width), 24.min(area.height));
        let place = Rect {
            x: (area.width - wide) / 2,
            y: (area.height - high) / 2,
            width: wide,
            height: high,
        };
        frame.render_widget(Clear, place);
        frame.render_widget(help::widget(app), place);
    }
}

/// Name, screen, simulated, link, age, clock.
fn title(app: &App, width: usize, now: Time) -> Line<'static> {
    let words = &app.words;
    let name = match &app.place().screen {
        Screen::Board => words.get("screen-board"),
        Screen::Incidents => words.get("screen-incidents"),
        Screen::Incident(id) => format!("{} #{id}", words.get("screen-incident")),
        Screen::Agencies => words.get("screen-agencies"),
        Screen::Agency(code) => {
            let name = app
                .model
                .agency(code)
                .map_or(code.as_str(), |a| words.pick(&a.short_vi, &a.short_en))
                .to_owned();
            format!("{} {name}", words.get("screen-agency"))
        }
        Screen::Systems => words.get("screen-systems"),
        Screen::System(_, id) => format!("{} {id}", words.get("screen-system")),
        Screen::Events | Screen::Event(_) => words.get("screen-events"),
        Screen::Usage => words.get("screen-usage"),
        Screen::Spread => words.get("screen-spread"),
        Screen::Flow => words.get("screen-flow"),
        Screen::Shift => words.get("screen-shift"),
    };
    let age = app.model.time.map(|time| now.since(time));
    let (mark, cross) = if app.theme.ascii { ("+", "x") } else { ("●", "✗") };
    let shown =
        age.map_or_else(|| words.get("no-data"), |age| wording::duration(words.lang(), age));
    let (link, style) = match (&app.link, age) {
        (Link::Lost { .. }, _) => {
            (format!("{cross} {} {shown}", words.get("link-lost")), app.theme.loud())
        }
        (_, Some(age)) if age >= STALE => {
            (format!("{mark}{} {shown}", words.get("link-stale")), app.theme.loud())
        }
        (_, Some(age)) if age >= LATE => (
            format!("{mark}{} {shown}", words.get("link-late")),
            app.theme.state_style(H::Degraded),
        ),
        _ => (format!("{mark}{} {shown}", words.get("link-up")), Style::new()),
    };
    let mut right: Parts = Vec::new();
    if let Some(frozen) = app.frozen {
        right.push((
            format!("{} {}", words.get("frozen"), wording::clock(frozen)),
            app.theme.loud(),
        ));
        right.push(("  ".into(), Style::new()));
    }
    if app.model.simulated {
        right.push((words.get("simulated"), app.theme.loud()));
        right.push(("  ".into(), Style::new()));
    }
    right.push((link, style));
    right.push((format!("  {}", wording::date_time(now)), Style::new()));
    let used: usize = right.iter().map(|(text, _)| text.width()).sum();
    let left = fit(&format!("{}  {name}", words.get("app-name")), width.saturating_sub(used + 1));
    let mut parts = vec![(format!("{left} "), Style::new())];
    parts.extend(right);
    line(parts)
}

/// What is said while the link is lost.
fn lost(app: &App) -> Vec<Line<'static>> {
    let Link::Lost { error, wait, attempt } = &app.link else { return Vec::new() };
    let time = app.model.time.map_or_else(|| app.words.get("no-data"), wording::clock);
    vec![
        plain(&app.words.with(
            "lost-1",
            &[("address", &app.options.address), ("error", error), ("time", &time)],
        )),
        plain(
            &app.words
                .with("lost-2", &[("wait", &wait.to_string()), ("attempt", &attempt.to_string())]),
        ),
    ]
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

/// The last result, or the field that is open.
fn message(app: &App, width: usize) -> Line<'static> {
    let Some(input) = &app.input else { return plain(&fit(&app.message, width)) };
    let words = &app.words;
    let number = match &input.field {
        Field::Act(_, ids) => match ids.as_slice() {
            [one] => one.to_string(),
            many => words.with("ask-many", &[("count", &many.len().to_string())]),
        },
        _ => String::new(),
    };
    use crate::keymap::Action as A;
    let ask = match &input.field {
        Field::Filter => words.get("ask-filter"),
        Field::Search => words.get("ask-search"),
        Field::Command => words.get("ask-command"),
        Field::Act(action, _) => {
            let id = match action {
                A::Assign => "ask-owner",
                A::Note => "ask-note",
                A::Hold => "ask-hold",
                A::Resolve => "ask-result",
                A::Close => "ask-close",
                A::Verdict => "ask-verdict",
                A::Acknowledge => "ask-acknowledge",
                _ => "ask-reopen",
            };
            words.with(id, &[("id", &number)])
        }
    };
    let text = format!("{ask}: {}▏", input.text);
    let over = text.width().saturating_sub(width);
    // The end of a long text is where one types.
    let shown: String = if over > 0 { text.chars().skip(over).collect() } else { text };
    line(vec![(fit(&shown, width), app.theme.selected())])
}

fn keys(app: &App, width: usize) -> Line<'static> {
    let id = match (&app.input, &app.place().screen) {
        (Some(_), _) => "ask-keys",
        (None, Screen::Board) => "key-board",
        (None, Screen::Incidents | Screen::Shift) => "key-list",
        (None, Screen::Incident(_)) => "key-incident",
        (None, Screen::Events | Screen::Event(_)) => "key-events",
        _ => "key-plain",
    };
    plain(&fit(&app.words.get(id), width))
}

/// Rows that the cursor may be on.
pub(crate) fn rows(app: &App) -> usize {
    match &app.place().screen {
        Screen::Board => board::rows(app),
        Screen::Incidents | Screen::Shift => incidents::shown(app).len(),
        Screen::Incident(_) => app.model.detail.as_ref().map_or(0, |detail| detail.evidence.len()),
        Screen::Agencies => agencies::shown(app).len(),
        Screen::Agency(code) => agencies::places(app, code).len(),
        Screen::Systems => systems::shown(app).len(),
        Screen::System(agency, id) => systems::hosts(app, agency, id).len(),
        Screen::Events => app.model.search.as_ref().map_or(0, |reply| reply.rows.len()),
        Screen::Usage => app.model.indicators.len(),
        Screen::Spread => app.model.spread.len(),
        Screen::Event(_) | Screen::Flow => 0,
    }
}

/// What Enter opens.
pub(crate) fn target(app: &App) -> Option<Screen> {
    let place = app.place();
    match &place.screen {
        Screen::Board => board::target(app),
        Screen::Incidents | Screen::Shift => {
            incidents::shown(app).get(place.cursor).map(|incident| Screen::Incident(incident.id))
        }
        Screen::Incident(_) => Some(Screen::Event(place.cursor)).filter(|_| rows(app) > 0),
        Screen::Agencies => {
            agencies::shown(app).get(place.cursor).map(|agency| Screen::Agency(agency.code.clone()))
        }
        Screen::Agency(code) => agencies::places(app, code).into_iter().nth(place.cursor),
        Screen::Systems => systems::shown(app)
            .get(place.cursor)
            .map(|s| Screen::System(s.agency.clone(), s.id.clone())),
        Screen::System(..) => Some(Screen::Events),
        Screen::Events => Some(Screen::Event(place.cursor)).filter(|_| rows(app) > 0),
        Screen::Spread => {
            app.model.spread.get(place.cursor).map(|row| Screen::Agency(row.agency.clone()))
        }
        Screen::Event(_) | Screen::Usage | Screen::Flow => None,
    }
}

/// The incident that actions are about.
pub(crate) fn incident(app: &App) -> Option<u64> {
    match &app.place().screen {
        Screen::Incident(id) => Some(*id),
        Screen::Board | Screen::Incidents | Screen::Shift => match target(app)? {
            Screen::Incident(id) => Some(id),
            _ => None,
        },
        _ => None,
    }
}

/// The incidents that are listed here.
pub(crate) fn incident_ids(app: &App) -> Vec<u64> {
    match &app.place().screen {
        Screen::Incidents | Screen::Shift => {
            incidents::shown(app).iter().map(|incident| incident.id).collect()
        }
        _ => Vec::new(),
    }
}

/// Of each row, whether it is in trouble: an incident that nobody has, an agency or system that is not fine, an event that went wrong.
pub(crate) fn troubles(app: &App) -> Vec<bool> {
    let bad =
        |state: H| matches!(state, H::Down | H::UnderAttack | H::Silent | H::Degraded | H::Unknown);
    match &app.place().screen {
        Screen::Incidents | Screen::Shift => {
            incidents::shown(app).iter().map(|incident| incident.owner.is_empty()).collect()
        }
        Screen::Agencies => agencies::shown(app).iter().map(|row| bad(row.state())).collect(),
        Screen::Systems => systems::shown(app).iter().map(|row| bad(row.state())).collect(),
        Screen::System(agency, id) => {
            systems::hosts(app, agency, id).iter().map(|row| bad(row.state())).collect()
        }
        Screen::Events => app
            .model
            .search
            .iter()
            .flat_map(|reply| &reply.rows)
            .map(|row| matches!(row.status.as_str(), "failure" | "down" | "degraded"))
            .collect(),
        _ => Vec::new(),
    }
}

/// The message that lists what is valid here.
pub(crate) fn menu(app: &App) -> &'static str {
    match &app.place().screen {
        Screen::Incident(_) => "told-menu-incident",
        Screen::Incidents | Screen::Shift => "told-menu-list",
        Screen::Events | Screen::Event(_) => "told-menu-events",
        _ => "told-menu-plain",
    }
}

/// What "elsewhere" is about: a field and its value.
pub(crate) fn value(app: &App) -> Option<(String, String)> {
    if let Some(incident) = incident(app).and_then(|id| app.model.incidents.get(&id)) {
        let entity = incident.entity.as_ref()?;
        return (entity.kind == "src_ip").then(|| ("src_ip".to_owned(), entity.value.clone()));
    }
    let row = events::current(app)?;
    let (field, value) =
        if row.src_ip.is_empty() { ("user", &row.user) } else { ("src_ip", &row.src_ip) };
    (!value.is_empty()).then(|| (field.to_owned(), value.clone()))
}

/// The part of a list that is on the screen, so that the cursor is in it.
pub(crate) fn window(cursor: usize, rows: usize, height: usize) -> std::ops::Range<usize> {
    let start = cursor.saturating_sub(height.saturating_sub(1)).min(rows.saturating_sub(height));
    start..rows.min(start + height)
}
