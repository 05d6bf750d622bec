//! Help, made from the keymap: pages of keys in two columns, then symbols and marks.

use vonggac_wire::proto::HealthState as H;

use super::{ON_INCIDENTS, means, sections};
use crate::{
    app::App,
    keymap::{Action, label},
    wording::fit,
};

/// Rows of a page of help.
pub(crate) const ROWS: usize = 18;

/// Columns of one of the two columns.
const COLUMN: usize = 35;

/// Columns for the keys of one action.
const KEYS_WIDE: usize = 11;

/// Groups of actions, by the message of their title.
const GROUPS: [(&str, &[Action]); 4] = [
    ("help-work", &ON_INCIDENTS),
    (
        "help-move",
        &[
            Action::Down,
            Action::Up,
            Action::Left,
            Action::Right,
            Action::PageDown,
            Action::PageUp,
            Action::First,
            Action::Last,
            Action::Enter,
            Action::Back,
            Action::LastScreen,
            Action::HistoryBack,
            Action::HistoryForward,
            Action::NextPane,
            Action::PreviousPane,
            Action::NextTrouble,
            Action::PreviousTrouble,
            Action::NextWarning,
            Action::PreviousWarning,
        ],
    ),
    (
        "help-view",
        &[
            Action::Filter,
            Action::NextMatch,
            Action::PreviousMatch,
            Action::Sort,
            Action::Reverse,
            Action::Mark,
            Action::MarkAll,
            Action::OtherForm,
            Action::Detail,
            Action::Full,
            Action::Period,
            Action::Elsewhere,
            Action::Tell,
            Action::Runbook,
            Action::Usage,
            Action::News,
            Action::Copy,
            Action::Export,
            Action::Retry,
            Action::Redraw,
            Action::Command,
            Action::Menu,
            Action::Help,
            Action::Quit,
        ],
    ),
    (
        "help-time",
        &[
            Action::Freeze,
            Action::HourOn,
            Action::HourBack,
            Action::DayOn,
            Action::DayBack,
            Action::Midnight,
            Action::ZoomIn,
            Action::ZoomOut,
        ],
    ),
];

/// An action's keys and what it does.
fn entry(app: &App, action: Action) -> String {
    let shown = app.keymap().shown();
    let keys: Vec<String> = shown
        .iter()
        .find(|(known, _)| *known == action)
        .map(|(_, keys)| keys.iter().map(|key| label(key)).collect())
        .unwrap_or_default();
    let what = super::actions::word(app, action);
    fit(&format!(" {} {what}", fit(&keys.join(" "), KEYS_WIDE)), COLUMN)
}

/// What means something here stands first, in its own group.
fn here(app: &App) -> Vec<Action> {
    let panes = sections(app).iter().filter(|pane| !pane.is_empty()).count();
    Action::ALL
        .iter()
        .map(|(action, _)| *action)
        .filter(|action| means(app, *action) || (*action == Action::NextPane && panes > 1))
        .collect()
}

/// All lines of help, one column wide.
fn entries(app: &App) -> Vec<String> {
    let words = &app.words;
    let mut all = vec![words.get("help-here")];
    all.extend(here(app).into_iter().map(|action| entry(app, action)));
    for (title, actions) in GROUPS {
        // An observer sees no keys of actions.
        if title == "help-work" && app.options.observer {
            continue;
        }
        all.push(words.get(title));
        all.extend(actions.iter().map(|action| entry(app, *action)));
    }
    all.push(words.get("help-screens"));
    for (number, name) in (1..).zip([
        "board",
        "incidents",
        "agencies",
        "systems",
        "events",
        "usage",
        "spread",
        "flow",
        "shift",
    ]) {
        let name = words.get(&format!("screen-{name}"));
        let name = name.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').to_owned();
        all.push(fit(&format!(" {} {name}", fit(&number.to_string(), KEYS_WIDE)), COLUMN));
    }
    all
}

fn symbols(app: &App) -> Vec<String> {
    let words = &app.words;
    let states = [
        (H::Down, "state-down"),
        (H::UnderAttack, "state-attack"),
        (H::Silent, "state-silent"),
        (H::Degraded, "state-degraded"),
        (H::Unknown, "state-unknown"),
        (H::Maintenance, "state-maintenance"),
        (H::NotConnected, "state-not-connected"),
        (H::Excluded, "state-excluded"),
        (H::Fine, "state-fine"),
    ];
    let mut lines = vec![words.get("help-symbols")];
    for row in states.chunks(3) {
        let cells: Vec<String> = row
            .iter()
            .map(|(state, id)| fit(&format!(" {} {}", app.theme.state(*state), words.get(id)), 24))
            .collect();
        lines.push(cells.concat());
    }
    lines.extend(["help-numbers", "help-changes", "help-lamps"].map(|id| words.get(id)));
    lines
}

/// Pages of lines, each two columns of entries; the last page tells symbols and marks.
fn all(app: &App) -> Vec<Vec<String>> {
    let entries = entries(app);
    let mut pages: Vec<Vec<String>> = entries
        .chunks(2 * ROWS)
        .map(|page| {
            let (left, right) = page.split_at(page.len().min(ROWS));
            (0..left.len())
                .map(|row| {
                    let beside = right.get(row).map_or("", String::as_str);
                    format!("{}{beside}", fit(&left[row], COLUMN + 1))
                })
                .collect()
        })
        .collect();
    pages.push(symbols(app));
    pages
}

/// How many pages there are.
pub(crate) fn pages(app: &App) -> usize {
    all(app).len()
}

/// A page's lines.
pub(super) fn page(app: &App, at: usize) -> Vec<String> {
    all(app).into_iter().nth(at).unwrap_or_default()
}
