//! What every screen has: its title with link and age, what is said while the link is lost, the message and the keys.

use ratatui::{style::Style, text::Line};
use unicode_width::UnicodeWidthStr;
use vonggac_wire::{Time, proto::HealthState as H};

use super::{
    ON_INCIDENTS, Parts, Screen, allows, do_word, incident, line, means, plain, rows, sections,
};
use crate::{
    app::{App, Field, Fresh, Link},
    keymap::Action,
    wording::{self, fit},
};

/// What the title calls a screen.
fn screen_name(app: &App) -> String {
    let words = &app.words;
    match &app.place().screen {
        Screen::Board => words.get("screen-board"),
        Screen::Incidents => words.get("screen-incidents"),
        Screen::Incident(id) => format!("{} #{id}", words.get("screen-incident")),
        Screen::Agencies => words.get("screen-agencies"),
        Screen::Agency(code) => {
            let known = app.model.agency(code);
            let name = known.map_or(code.as_str(), |a| words.pick(&a.short_vi, &a.short_en));
            format!("{} {name}", words.get("screen-agency"))
        }
        Screen::Systems => words.get("screen-systems"),
        Screen::System(agency, id) => format!("{} {id} {agency}", words.get("screen-system")),
        Screen::Host(agency, agent) => {
            let key = (agency.clone(), agent.clone());
            let host = app.model.agents.get(&key).map_or(agent.as_str(), |row| row.host.as_str());
            format!("{} {host} {agency}", words.get("screen-host"))
        }
        Screen::Events | Screen::Event(_) => words.get("screen-events"),
        Screen::Usage | Screen::ByAgency(_) => words.get("screen-usage"),
        Screen::Spread => words.get("screen-spread"),
        Screen::Flow => words.get("screen-flow"),
        Screen::Shift => words.get("screen-shift"),
        Screen::Saved => words.get("screen-saved"),
        Screen::Quiet => words.get("screen-quiet"),
    }
}

/// The link's mark with the age of the data: what nobody has heard of for long never looks as if it were fine.
pub(super) fn link(app: &App, now: Time) -> (String, Style) {
    let words = &app.words;
    let (mark, cross) = if app.theme.ascii { ("+", "x") } else { ("●", "✗") };
    if app.heard.at.is_none() && !matches!(app.link, Link::Lost { .. }) {
        return (format!("{mark}{} –", words.get("link-connecting")), Style::new());
    }
    let shown = |age: Option<std::time::Duration>| {
        age.map_or_else(|| words.get("no-data"), |age| wording::duration(words.lang(), age))
    };
    let told = |id: &str, age| format!("{mark}{} {}", words.get(id), shown(age));
    let late = app.theme.state_style(H::Degraded);
    match app.fresh(now) {
        Fresh::Lost(age) => {
            (format!("{cross} {} {}", words.get("link-lost"), shown(age)), app.theme.loud())
        }
        Fresh::Stale(age) => (told("link-stale", Some(age)), app.theme.loud()),
        quiet @ Fresh::Quiet(age) => {
            let style = if quiet.is_past() { app.theme.loud() } else { late };
            (told(if quiet.is_past() { "link-quiet-stale" } else { "link-quiet" }, age), style)
        }
        Fresh::Late(age) => (told("link-late", Some(age)), late),
        Fresh::Live(age) => (told("link-up", Some(age)), Style::new()),
    }
}

/// Name, screen, frozen, flood, simulated, link, age, clock.
pub(super) fn title(app: &App, width: usize, now: Time) -> Line<'static> {
    let words = &app.words;
    let mut right: Parts = Vec::new();
    let mut loud = |text: String| {
        right.push((text, app.theme.loud()));
        right.push(("  ".into(), Style::new()));
    };
    if let Some(frozen) = app.frozen {
        let held = app.held_new();
        let more = if held > 0 {
            words.with("frozen-new", &[("count", &held.to_string())])
        } else {
            String::new()
        };
        loud(format!("{} {}{more}", words.get("frozen"), wording::minute(frozen)));
    }
    if app.flood {
        let rate = app.model.opened_lately().to_string();
        loud(words.with("flood", &[("rate", &rate)]));
    }
    if app.options.observer {
        right.push((words.get("observer"), Style::new()));
        right.push(("  ".into(), Style::new()));
    }
    if app.model.simulated {
        right.push((words.get("simulated"), app.theme.loud()));
        right.push(("  ".into(), Style::new()));
    }
    right.push(link(app, now));
    right.push((format!("  {}", wording::date_time(now)), Style::new()));
    let used: usize = right.iter().map(|(text, _)| text.width()).sum();
    let left = fit(
        &format!("{}  {}", words.get("app-name"), screen_name(app)),
        width.saturating_sub(used + 1),
    );
    let mut parts = vec![(format!("{left} "), Style::new())];
    parts.extend(right);
    line(parts)
}

/// Columns of the reason why there is no link: a long one never pushes out since when.
const ERROR_COLUMNS: usize = 15;

/// What is said above a picture that says nothing about now: since when, and what to do.
pub(super) fn warning(app: &App, width: usize, now: Time) -> Vec<Line<'static>> {
    let words = &app.words;
    let told = |text: String| plain(&fit(&text, width));
    let at = |time: Option<Time>| time.map_or_else(|| words.get("no-data"), wording::clock);
    let age = |age| wording::duration(words.lang(), age);
    // A reason that is no message's name is what the system says.
    let why = |id: &str| words.get(id);
    match (&app.link, app.fresh(now)) {
        (Link::Lost { error: why_id, wait, attempt }, _) => {
            vec![
                told(words.with(
                    if app.heard.at.is_some() { "lost-1" } else { "lost-never" },
                    &[
                        ("address", &app.options.way.address),
                        (
                            "error",
                            fit(&why(why_id), why(why_id).width().min(ERROR_COLUMNS)).trim_end(),
                        ),
                        ("time", &at(app.heard.at)),
                    ],
                )),
                told(words.with(
                    "lost-2",
                    &[("wait", &wait.to_string()), ("attempt", &attempt.to_string())],
                )),
            ]
        }
        (_, Fresh::Stale(_)) if app.heard.at.is_some() => {
            vec![told(words.with("stale-1", &[("time", &at(app.heard.at))]))]
        }
        (_, quiet @ Fresh::Quiet(Some(quiet_for))) if quiet.is_past() => {
            vec![told(words.with("quiet-1", &[("age", &age(quiet_for))]))]
        }
        (_, Fresh::Quiet(None)) => vec![told(words.get("quiet-never"))],
        _ => Vec::new(),
    }
}

/// The last result, or the field that is open.
pub(super) fn message(app: &App, width: usize) -> Line<'static> {
    let Some(input) = &app.input else { return plain(&fit(&app.message, width)) };
    let ask = app.words.get(match input.field {
        Field::Filter => "ask-filter",
        Field::Search => "ask-search",
        Field::Find => "ask-find",
    });
    line(vec![(fit(&typing(&format!("{ask}: "), &input.text, width), width), app.theme.selected())])
}

/// A field with its cursor; of a long text the end is shown, where one types.
pub(crate) fn typing(label: &str, text: &str, width: usize) -> String {
    let room = width.saturating_sub(label.width() + 2);
    let mut shown = text;
    while shown.width() > room {
        let mut letters = shown.chars();
        letters.next();
        shown = letters.as_str();
    }
    let cut = if shown.len() < text.len() { "…" } else { "" };
    format!("{label}{cut}{shown}▏")
}

/// The actions whose keys the last line names, the most useful first; as many as there is room for.
fn shown_keys(app: &App) -> Vec<Action> {
    use Action as A;
    match &app.place().screen {
        Screen::Board => vec![
            A::Enter,
            A::NextPane,
            A::News,
            A::NextTrouble,
            A::Freeze,
            A::Filter,
            A::Command,
            A::OtherForm,
            A::Full,
            A::Acknowledge,
            A::Quit,
        ],
        Screen::Incidents | Screen::Shift => vec![
            A::Enter,
            A::Acknowledge,
            A::Assign,
            A::Note,
            A::Resolve,
            A::HandOver,
            A::Mark,
            A::Sort,
            A::Filter,
            A::OtherForm,
            A::Close,
            A::Menu,
            A::Export,
        ],
        Screen::Incident(_) => vec![
            A::Acknowledge,
            A::Note,
            A::Assign,
            A::Hold,
            A::Resolve,
            A::Close,
            A::HandOver,
            A::Tell,
            A::Elsewhere,
            A::Runbook,
            A::Menu,
            A::Verdict,
        ],
        Screen::Event(_) => {
            vec![A::Filter, A::Elsewhere, A::NextMatch, A::Copy, A::Export, A::Back]
        }
        Screen::Events => vec![
            A::Filter,
            A::Freeze,
            A::Enter,
            A::Elsewhere,
            A::NextMatch,
            A::NextTrouble,
            A::HourBack,
            A::DayBack,
            A::ZoomIn,
            A::Export,
            A::Copy,
        ],
        Screen::Agency(_) => {
            vec![A::Enter, A::NextPane, A::Usage, A::OtherForm, A::Tell, A::Screen5, A::NextTrouble]
        }
        Screen::System(..) | Screen::Host(..) => {
            vec![A::Enter, A::Screen5, A::NextTrouble, A::ZoomIn, A::OtherForm, A::Back]
        }
        Screen::Usage | Screen::ByAgency(_) => {
            vec![A::Enter, A::Period, A::Sort, A::NextTrouble, A::Export, A::Back]
        }
        _ => vec![
            A::Enter,
            A::NextPane,
            A::NextTrouble,
            A::Sort,
            A::Filter,
            A::Export,
            A::Back,
            A::Command,
        ],
    }
}

/// Keys with what they do, by the keymap; what means nothing here or is not this role's is left out.
pub(super) fn keys(app: &App, width: usize) -> Line<'static> {
    if app.input.is_some() {
        return plain(&fit(&app.words.get("ask-keys"), width));
    }
    if app.options.wall {
        return Line::default();
    }
    let here = incident(app).and_then(|id| app.model.incidents.get(&id));
    // Help is always there, at the end.
    let help = app.keymap().label(Action::Help);
    let help = format!("{help} {}", app.words.get(&do_word(Action::Help)));
    let width = width.saturating_sub(help.width() + 2);
    let mut text = String::new();
    for action in shown_keys(app) {
        let acts = if ON_INCIDENTS.contains(&action) {
            !app.options.observer && here.is_some_and(|incident| allows(incident, action))
        } else {
            footer_acts(app, action)
        };
        let key = app.keymap().label(action);
        if !acts || key.is_empty() {
            continue;
        }
        let word = super::actions::word(app, action);
        let more = format!("{}{key} {word}", if text.is_empty() { "" } else { "  " });
        if text.width() + more.width() > width {
            break;
        }
        text.push_str(&more);
    }
    plain(&format!("{text}  {help}"))
}

fn footer_acts(app: &App, action: Action) -> bool {
    match action {
        Action::Command
        | Action::Filter
        | Action::Freeze
        | Action::News
        | Action::Export
        | Action::Menu
        | Action::Usage
        | Action::Screen5
        | Action::Back
        | Action::Quit => true,
        Action::NextPane => sections(app).iter().filter(|pane| !pane.is_empty()).count() > 1,
        Action::NextTrouble | Action::NextMatch => rows(app) > 0,
        other => means(app, other),
    }
}
