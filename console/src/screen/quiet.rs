//! What is kept quiet: suppressions and maintenance, with what each withheld.

use ratatui::{style::Style, text::Line};
use vonggac_wire::{Time, proto::QuietPeriod};

use super::{Area, cursor_in, line, list_head, passes, plain, rule, window};
use crate::{
    app::App,
    wording::{self, fit, right},
    words::Words,
};

/// Characters of an id that are shown: as many are enough to end one by.
const ID_CHARACTERS: usize = 8;

/// The beginning of an id, without a mark that somebody would type with it.
fn short(id: &str) -> String {
    fit(&id.chars().take(ID_CHARACTERS).collect::<String>(), ID_CHARACTERS)
}

/// What a period is about, as its options are typed.
fn scope(period: &QuietPeriod) -> String {
    let Some(scope) = &period.scope else { return String::new() };
    let named = [
        ("agency", &scope.agency),
        ("rule", &scope.rule),
        ("system", &scope.system),
        ("host", &scope.host),
        ("user", &scope.user),
        ("src_ip", &scope.address),
        ("entity", &scope.entity),
    ];
    let said = named.into_iter().filter(|(_, value)| !value.is_empty());
    said.map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(" ")
}

/// A period as one line of text, for copying and for finding.
pub(super) fn as_text(period: &QuietPeriod, words: &Words) -> String {
    let kind = words.get(&format!("quiet-{}", period.kind));
    let (id, owner, reason) = (&period.id, &period.owner, &period.reason);
    format!("{id} {kind} {} {owner} {reason}", scope(period))
}

/// The places of those that pass the filter.
pub(super) fn shown(app: &App) -> Vec<usize> {
    let periods = app.model.quiet.iter().enumerate();
    let passing =
        periods.filter(|(_, period)| passes(&app.place().filter, &as_text(period, &app.words)));
    passing.map(|(at, _)| at).collect()
}

pub(super) fn list(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let shown = shown(app);
    let mut lines = vec![list_head(app, "only", shown.len(), area.width)];
    let title = format!(
        "{} {} {} {} {}",
        fit(&words.get("quiet-id"), ID_CHARACTERS),
        fit(&words.get("quiet-kind"), 12),
        fit(&words.get("quiet-until"), 14),
        right(&words.get("quiet-count"), 9),
        words.get("quiet-about"),
    );
    lines.push(rule(app, &title, "", area.width));
    if let Some(text) = super::unanswered(app, Some(&app.questions.quiet), area) {
        lines.push(plain(&text));
    } else if shown.is_empty() {
        lines.push(plain(&fit(&words.get("quiet-nothing"), area.width)));
    }
    let cursor = cursor_in(app, 0).unwrap_or(0);
    // The last two lines tell how one adds and ends.
    let height = area.height.saturating_sub(lines.len() + 2);
    for at in window(cursor, shown.len(), height) {
        let Some(period) = app.model.quiet.get(shown[at]) else { continue };
        let chosen = at == cursor;
        let style = if chosen { app.theme.selected() } else { Style::new() };
        let mark = if chosen { app.theme.cursor() } else { " " };
        let text = format!(
            "{mark} {} {} {} {} {}  {}: {}",
            short(&period.id),
            fit(&words.get(&format!("quiet-{}", period.kind)), 12),
            fit(&wording::date_time(Time(period.until_unix_nano)), 14),
            right(&wording::number(words.lang(), period.withheld), 9),
            scope(period),
            period.owner,
            period.reason,
        );
        lines.push(line(vec![(fit(&text, area.width), style)]));
    }
    lines.truncate(area.height.saturating_sub(2));
    lines.resize(area.height.saturating_sub(2), Line::default());
    for id in ["quiet-how-1", "quiet-how-2"] {
        lines.push(plain(&fit(&words.get(id), area.width)));
    }
    lines
}
