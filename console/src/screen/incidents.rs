//! All incidents: which are listed, in which order, as rows; one of them is in [`one`].

use std::time::Duration;

use ratatui::{style::Style, text::Line};
use unicode_width::UnicodeWidthStr;
use vonggac_wire::{Time, proto::Incident};

use super::{Area, Screen, line, news_mark, passes, plain, rule, window};
use crate::{
    app::App,
    model::urgency,
    wording::{self, fit, right},
};

mod fault;
mod notified;
mod one;

pub(crate) use one::told;
pub(super) use one::{one, steps};

/// How far back the shift book looks.
const SHIFT: Duration = Duration::from_secs(8 * 3600);

/// In a flood what is milder than this is told as a count.
const WHOLE_IN_A_FLOOD: u32 = 2;

/// Whether a flood's milder incidents are folded: as the list comes, without a filter.
fn is_folded(app: &App) -> bool {
    let place = app.place();
    let first = place.sort == 0 && !place.reverse && !place.other && place.filter.is_empty();
    app.flood && first && matches!(place.screen, Screen::Incidents | Screen::Board)
}

/// The incidents of a list, as filtered and ordered; the order stays while keys are pressed.
pub(super) fn shown(app: &App) -> Vec<&Incident> {
    let place = app.place();
    let shift = place.screen == Screen::Shift;
    let since = app.model.time.unwrap_or_default().minus(SHIFT);
    let folded = is_folded(app);
    let mut all: Vec<&Incident> = app
        .model
        .incidents
        .values()
        .filter(|incident| match (shift, place.other) {
            // On the shift book the other form is what is new since one looked.
            (true, true) => incident.updated_unix_nano > app.seen.0,
            (true, false) => incident.updated_unix_nano >= since.0,
            (false, true) => true,
            (false, false) => incident.current_state().is_open() && !app.model.is_hidden(incident),
        })
        .filter(|incident| !folded || incident.severity <= WHOLE_IN_A_FLOOD)
        .filter(|incident| {
            place.filter.is_empty() || passes(&place.filter, &haystack(app, incident))
        })
        .collect();
    let sort = place.screen.sorts().get(place.sort).copied().unwrap_or("urgency");
    all.sort_by(|one, two| match sort {
        _ if shift => two.updated_unix_nano.cmp(&one.updated_unix_nano),
        "deadline" => {
            let due = |i: &Incident| (i.deadline_unix_nano.is_none(), i.deadline_unix_nano);
            due(one).cmp(&due(two)).then_with(|| urgency(one, two))
        }
        "newest" => two.opened_unix_nano.cmp(&one.opened_unix_nano),
        "count" => two.count.cmp(&one.count),
        "owner" => one.owner.cmp(&two.owner).then_with(|| urgency(one, two)),
        _ => urgency(one, two),
    });
    if place.reverse {
        all.reverse();
    }
    if !app.order().is_empty() {
        let places: std::collections::HashMap<u64, usize> =
            app.order().iter().enumerate().map(|(at, id)| (*id, at)).collect();
        all.sort_by_key(|incident| places.get(&incident.id).copied().unwrap_or(usize::MAX));
    }
    all
}

/// On the board: the urgent ones, in a flood only the gravest.
pub(super) fn on_board(app: &App) -> Vec<&Incident> {
    let mut all = app.model.urgent();
    if app.flood {
        all.retain(|incident| incident.severity <= WHOLE_IN_A_FLOOD);
    }
    all
}

/// `và 131 sự cố M3–M4 trong 6 nhóm`: what a flood folds, where it folds something.
pub(super) fn rest_of_flood(app: &App) -> Option<String> {
    if !is_folded(app) {
        return None;
    }
    let all = app.model.urgent();
    let folded: Vec<&&Incident> =
        all.iter().filter(|incident| incident.severity > WHOLE_IN_A_FLOOD).collect();
    let groups: std::collections::BTreeSet<&str> =
        folded.iter().map(|incident| incident.rule.as_str()).collect();
    (!folded.is_empty()).then(|| {
        app.words.with(
            "flood-rest",
            &[("count", &folded.len().to_string()), ("groups", &groups.len().to_string())],
        )
    })
}

/// What a filter looks at.
fn haystack(app: &App, incident: &Incident) -> String {
    let entity = incident.entity.as_ref().map_or("", |entity| entity.value.as_str());
    let state = incident.current_state().name();
    let word = app.words.get(&format!("istate-{state}"));
    let names: String = incident
        .agencies
        .iter()
        .filter_map(|code| app.model.agency(code))
        .map(|agency| format!(" {} {} {}", agency.name_vi, agency.name_en, agency.short_vi))
        .collect();
    format!(
        "#{} {} {} {} {} {state} {word} m{} {entity} {} {}{names}",
        incident.id,
        incident.title_vi,
        incident.title_en,
        incident.owner,
        incident.rule,
        incident.severity,
        incident.agencies.join(" "),
        incident.systems.join(" "),
    )
}

/// One line of text: number, severity, state, title, owner.
pub(super) fn as_text(app: &App, incident: &Incident) -> String {
    let state = app.words.get(&format!("istate-{}", incident.current_state().name()));
    format!(
        "{} #{} {state} {} ({})",
        app.theme.severity(incident.level()),
        incident.id,
        app.words.pick(&incident.title_vi, &incident.title_en),
        owner(app, incident)
    )
}

/// Who has it; `–` for nobody.
pub(crate) fn owner(app: &App, incident: &Incident) -> String {
    if incident.owner.is_empty() { app.words.get("no-data") } else { incident.owner.clone() }
}

/// What is left until the deadline, `−` what has passed of it; how long it lasted once it is over.
pub(crate) fn deadline(app: &App, incident: &Incident, now: Time) -> String {
    if !incident.current_state().is_open() {
        return wording::duration(app.words.lang(), incident.duration(now));
    }
    let Some(at) = incident.deadline_unix_nano.map(Time) else { return app.words.get("no-data") };
    let left = at.since(now);
    if left.is_zero() {
        let minus = if app.theme.ascii { "-" } else { "−" };
        format!("{minus}{}", wording::duration(app.words.lang(), now.since(at)))
    } else {
        wording::duration(app.words.lang(), left)
    }
}

/// Dossiers a minute: `≈212`, `0` or `–` where nobody knows.
fn impact(app: &App, incident: &Incident) -> String {
    match &incident.unserved {
        None => app.words.get("no-data"),
        Some(estimate) if estimate.value < 0.5 => "0".into(),
        Some(estimate) => {
            let number = wording::decimal(app.words.lang(), estimate.value, 0);
            format!("{}{number}", if app.theme.ascii { "~" } else { "≈" })
        }
    }
}

fn state(app: &App, incident: &Incident) -> String {
    let state = incident.current_state();
    format!("{}{}", app.theme.incident(state), app.words.get(&format!("istate-{}", state.name())))
}

/// A title with the number of agencies it pulls along, where they are several; the title is cut, the number is whole.
fn what(app: &App, incident: &Incident, room: usize) -> String {
    let title = app.words.pick(&incident.title_vi, &incident.title_en);
    let many = match incident.agencies.len() {
        0 | 1 => return fit(title, room),
        many => many.to_string(),
    };
    let many = app.words.with("incident-agencies", &[("count", &many)]);
    let left = room.saturating_sub(many.width() + 1);
    let title = if title.width() > left { fit(title, left) } else { title.to_owned() };
    fit(&format!("{title} {many}"), room)
}

/// The columns of a row, which go from the right end where there is no room for them.
#[derive(Clone, Copy)]
struct Columns {
    state: bool,
    owner: bool,
    since: bool,
    responsible: bool,
    count: bool,
}

impl Columns {
    const fn of(width: usize) -> Self {
        Self {
            state: width >= 78,
            owner: width >= 52,
            since: width >= 80,
            responsible: width >= 120,
            count: width >= 130,
        }
    }

    /// Those of the board, which is narrower.
    const fn short(width: usize) -> Self {
        Self { state: width >= 90, since: width >= 90, ..Self::of(width) }
    }

    /// What stands right of the title.
    fn tail(self, app: &App, incident: Option<&Incident>, now: Time) -> String {
        let words = &app.words;
        let cell = |id: &str, get: &dyn Fn(&Incident) -> String| {
            incident.map_or_else(|| words.get(id), get)
        };
        let mut text = format!(" {}", right(&cell("col-unserved", &|i| impact(app, i)), 6));
        if self.owner {
            text.push_str(&format!(" {}", fit(&cell("col-owner", &|i| owner(app, i)), 8)));
        }
        if self.since {
            let since = |i: &Incident| wording::since(Time(i.first_time_unix_nano), now);
            text.push_str(&format!(" {}", fit(&cell("col-since", &since), 5)));
        }
        text.push_str(&format!(" {}", right(&cell("col-deadline", &|i| deadline(app, i, now)), 6)));
        if self.responsible {
            let agency = |i: &Incident| {
                if i.responsible_agency.is_empty() {
                    words.get("no-data")
                } else {
                    i.responsible_agency.clone()
                }
            };
            text.push_str(&format!("  {}", fit(&cell("col-responsible", &agency), 11)));
        }
        if self.count {
            let count = |i: &Incident| wording::number(words.lang(), i.count);
            text.push_str(&format!(" {}", right(&cell("col-count", &count), 10)));
        }
        text
    }

    /// What stands left of it, without the mark and the severity.
    fn head(self, app: &App, incident: &Incident) -> String {
        let state =
            if self.state { format!(" {}", fit(&state(app, incident), 8)) } else { String::new() };
        format!(" {:<5}{state} {} ", format!("#{}", incident.id), news_mark(app, incident))
    }
}

/// A row: mark, severity, number, state, what is new, title, and as many columns as there is room for.
fn row(
    app: &App,
    incident: &Incident,
    columns: Columns,
    chosen: bool,
    area: Area,
) -> Line<'static> {
    let style = if chosen { app.theme.selected() } else { Style::new() };
    let first = if chosen { style } else { app.theme.severity_style(incident.level()) };
    let mark = match (app.marks.contains(&incident.id), chosen) {
        (true, _) => app.theme.marked(),
        (false, true) => app.theme.cursor(),
        (false, false) => " ",
    };
    let head = columns.head(app, incident);
    let tail = columns.tail(app, Some(incident), area.now);
    let room = area.width.saturating_sub(4 + head.width() + tail.width());
    line(vec![
        (format!("{mark}{}", app.theme.severity(incident.level())), first),
        (format!("{head}{}{tail}", what(app, incident, room)), style),
    ])
}

/// On the board: severity, number, what, dossiers, owner, deadline.
pub(super) fn short(app: &App, incident: &Incident, chosen: bool, area: Area) -> Line<'static> {
    row(app, incident, Columns::short(area.width), chosen, area)
}

/// The titles of a board's columns, for the right end of its rule.
pub(super) fn short_columns(app: &App, width: usize, now: Time) -> String {
    Columns::short(width).tail(app, None, now)
}

/// Filter, order and counts of the list.
fn head(app: &App, all: &[&Incident], area: Area) -> Line<'static> {
    let words = &app.words;
    let place = app.place();
    let filter = match (place.screen == Screen::Shift, place.other, place.filter.is_empty()) {
        (_, _, false) => place.filter.clone(),
        (true, false, _) => words.get("shift-line"),
        (true, true, _) => {
            words.with("shift-since", &[("time", &wording::since(app.seen, area.now))])
        }
        (false, true, _) => words.get("filter-all"),
        (false, false, _) => words.get("filter-open"),
    };
    let sort = place.screen.sorts().get(place.sort).copied().unwrap_or("urgency");
    let sort = if place.screen == Screen::Shift { "newest" } else { sort };
    let turned = if place.reverse { words.get("sort-turned") } else { String::new() };
    let sort = format!("{}{turned}", words.get(&format!("sort-{sort}")));
    let (shown, known) = (all.len().to_string(), app.model.incidents.len().to_string());
    let marked = if app.marks.is_empty() {
        String::new()
    } else {
        let count = app.marks.len().to_string();
        format!(", {}", words.with("told-marked", &[("count", &count)]))
    };
    let told = |filter: &str| {
        let values = [("filter", filter), ("sort", &sort), ("shown", &shown), ("all", &known)];
        format!("{}{marked}", words.with("incidents-line", &values))
    };
    let rate = app.model.opened_lately().to_string();
    let hidden = app.model.hidden().to_string();
    let remark = words.with("incidents-rate", &[("rate", &rate), ("hidden", &hidden)]);
    let room = area.width.saturating_sub(remark.width() + 1);
    // A long filter is cut, the counts are whole.
    let filter_room = room.saturating_sub(told("").width());
    let filter = if filter.width() > filter_room { fit(&filter, filter_room) } else { filter };
    plain(&format!("{} {remark}", fit(&told(&filter), room)))
}

pub(super) fn list(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let place = app.place();
    let all = shown(app);
    let cursor = place.cursor.min(all.len().saturating_sub(1));
    let columns = Columns::of(area.width);
    let mut lines = vec![head(app, &all, area), rule(app, "", "", area.width)];
    let state =
        if columns.state { format!(" {}", fit(&words.get("col-state"), 8)) } else { String::new() };
    let left = format!(
        " {:<4}{:<5}{state}   {}",
        words.get("col-level"),
        words.get("col-number"),
        words.get("col-what")
    );
    let tail = columns.tail(app, None, area.now);
    lines.push(plain(&format!("{}{tail}", fit(&left, area.width.saturating_sub(tail.width())))));
    if all.is_empty() {
        lines.push(plain(&words.get("board-none")));
    }
    let flood = rest_of_flood(app);
    // Below the list the selected one is shown, where there is room for it and `i` did not hide it.
    let room = area.height.saturating_sub(lines.len() + usize::from(flood.is_some()));
    let preview = if !place.bare && room >= PREVIEW_LINES + 4 { PREVIEW_LINES } else { 0 };
    for at in window(cursor, all.len(), room - preview) {
        lines.push(row(app, all[at], columns, at == cursor, area));
    }
    lines.extend(flood.map(|text| plain(&fit(&format!(" {text}"), area.width))));
    if let Some(incident) = all.get(cursor).filter(|_| preview > 0) {
        let used = lines.len();
        lines.extend((used..area.height.saturating_sub(preview)).map(|_| Line::default()));
        lines.extend(self::preview(app, incident, area));
    }
    lines
}

/// Lines of the preview: a rule, and five of text.
const PREVIEW_LINES: usize = 6;

/// Where, since when, how much, who, by when: what Enter would show first.
fn preview(app: &App, incident: &Incident, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let id = incident.id.to_string();
    let title = words.with("incident-preview", &[("id", &id)]);
    let signals = wording::number(words.lang(), incident.count);
    let remark = words.with("incident-signals", &[("count", &signals)]);
    let row = |name: &str, text: String| {
        plain(&fit(&format!("{} {text}", fit(&words.get(name), 11)), area.width))
    };
    let last = if incident.last_note.is_empty() {
        row("incident-deadline", one::deadline_text(app, incident, area.now))
    } else {
        row("incident-note", incident.last_note.clone())
    };
    vec![
        rule(app, &title, &remark, area.width),
        plain(&fit(words.pick(&incident.title_vi, &incident.title_en), area.width)),
        row("incident-where", format!("{}; {}", places(app, incident), incident.hosts.join(" "))),
        // Since when stands in the list already.
        fault::text(app, incident).map_or_else(
            || row("incident-since", one::since_text(app, incident, area.now)),
            |text| row("incident-fault", text),
        ),
        row("incident-owner", one::duty_text(app, incident)),
        last,
    ]
}

/// The agencies of an incident, by their short names.
pub(super) fn places(app: &App, incident: &Incident) -> String {
    let name = |code: &String| {
        app.model.agency(code).map_or_else(
            || code.clone(),
            |agency| app.words.pick(&agency.short_vi, &agency.short_en).to_owned(),
        )
    };
    incident.agencies.iter().map(name).collect::<Vec<_>>().join(", ")
}
