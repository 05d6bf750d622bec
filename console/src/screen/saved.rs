//! Searches that are saved at the centre, each with its owner and its line.

use ratatui::{style::Style, text::Line};
use vonggac_wire::{Time, proto::SavedSearch};

use super::{Area, cursor_in, line, list_head, passes, plain, rule, window};
use crate::{
    app::App,
    wording::{self, fit},
};

/// A search as one line of text, for copying and for finding.
pub(super) fn as_text(search: &SavedSearch) -> String {
    format!("{} {} {} {}", search.name, search.owner, search.agency, search.line)
}

/// The places of those that pass the filter.
pub(super) fn shown(app: &App) -> Vec<usize> {
    let passes = |search: &SavedSearch| passes(&app.place().filter, &as_text(search));
    (0..app.model.saved.len()).filter(|at| passes(&app.model.saved[*at])).collect()
}

pub(super) fn list(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let shown = shown(app);
    let mut lines = vec![list_head(app, "only", shown.len(), area.width)];
    let title = format!(
        "{} {} {} {} {}",
        fit(&words.get("saved-name"), 22),
        fit(&words.get("saved-owner"), 10),
        fit(&words.get("col-agency"), 7),
        fit(&words.get("saved-changed"), 14),
        words.get("saved-line"),
    );
    lines.push(rule(app, &title, "", area.width));
    if let Some(text) = super::unanswered(app, Some(&app.questions.saved), area) {
        lines.push(plain(&text));
    } else if shown.is_empty() {
        lines.push(plain(&fit(&words.get("saved-none"), area.width)));
    }
    let cursor = cursor_in(app, 0).unwrap_or(0);
    // The last two lines tell how one saves, renames and deletes.
    let height = area.height.saturating_sub(lines.len() + 2);
    for at in window(cursor, shown.len(), height) {
        let Some(search) = app.model.saved.get(shown[at]) else { continue };
        let chosen = at == cursor;
        let style = if chosen { app.theme.selected() } else { Style::new() };
        let mark = if chosen { app.theme.cursor() } else { " " };
        let agency =
            if search.agency.is_empty() { words.get("no-data") } else { search.agency.clone() };
        let text = format!(
            "{mark} {} {} {} {} {}",
            fit(&search.name, 22),
            fit(&search.owner, 10),
            fit(&agency, 7),
            fit(&wording::date_time(Time(search.changed_unix_nano)), 14),
            search.line,
        );
        lines.push(line(vec![(fit(&text, area.width), style)]));
    }
    lines.truncate(area.height.saturating_sub(2));
    lines.resize(area.height.saturating_sub(2), Line::default());
    for id in ["saved-how-1", "saved-how-2"] {
        lines.push(plain(&fit(&words.get(id), area.width)));
    }
    lines
}
