//! What changed since one looked: `+` new, `↑` worse, `↓` better, `−` gone.

use ratatui::text::Line;
use vonggac_wire::{Time, proto::Incident};

use super::{Area, incidents, plain};
use crate::{
    app::App,
    wording::{self, fit},
};

/// What happened to an incident since one looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    New,
    Worse,
    Better,
    Gone,
}

/// What happened to it since `seen`, where what one saw then is known as severity and state.
fn change(incident: &Incident, seen: Time, looked: Option<&(u32, i32)>) -> Option<Change> {
    let open = incident.current_state().is_open();
    let ended = incident.resolved_unix_nano.or(incident.closed_unix_nano);
    if !open {
        return ended.is_some_and(|at| at > seen.0).then_some(Change::Gone);
    }
    let Some((severity, _)) = looked else {
        return (incident.opened_unix_nano > seen.0).then_some(Change::New);
    };
    match incident.severity.cmp(severity) {
        std::cmp::Ordering::Less => Some(Change::Worse),
        std::cmp::Ordering::Greater => Some(Change::Better),
        std::cmp::Ordering::Equal => None,
    }
}

/// The change of an incident since this operator looked.
pub(crate) fn of(app: &App, incident: &Incident) -> Option<Change> {
    change(incident, app.seen, app.looked.get(&incident.id))
}

/// The mark of a change, one column wide; a blank where nothing changed.
pub(crate) fn mark(app: &App, incident: &Incident) -> &'static str {
    match (of(app, incident), app.theme.ascii) {
        (Some(Change::New), _) => "+",
        (Some(Change::Worse), false) => "↑",
        (Some(Change::Worse), true) => "^",
        (Some(Change::Better), false) => "↓",
        (Some(Change::Better), true) => "v",
        (Some(Change::Gone), false) => "−",
        (Some(Change::Gone), true) => "-",
        (None, _) => " ",
    }
}

/// `Từ 09:12: +4 −2 ↑1`; only the time where nothing changed.
pub(super) fn summary(app: &App, now: Time) -> String {
    let mut counts = [0_usize; 4];
    for incident in app.model.incidents.values() {
        if let Some(change) = of(app, incident) {
            counts[change as usize] += 1;
        }
    }
    let marks = if app.theme.ascii { ["+", "^", "v", "-"] } else { ["+", "↑", "↓", "−"] };
    let told: Vec<String> = marks
        .iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0)
        .map(|(mark, count)| format!("{mark}{count}"))
        .collect();
    let told = if told.is_empty() { app.words.get("news-none-short") } else { told.join(" ") };
    app.words.with("news-since", &[("time", &wording::since(app.seen, now)), ("told", &told)])
}

/// All that changed, the newest first.
pub(super) fn changed(app: &App) -> Vec<&Incident> {
    let mut all: Vec<&Incident> =
        app.model.incidents.values().filter(|incident| of(app, incident).is_some()).collect();
    all.sort_by_key(|incident| std::cmp::Reverse(incident.updated_unix_nano));
    all
}

/// Lines of what changed.
pub(super) fn lines(app: &App, area: Area) -> Vec<Line<'static>> {
    let all = changed(app);
    if all.is_empty() {
        return vec![plain(&app.words.get("news-none"))];
    }
    let room = area.height.max(1);
    let shown = if all.len() > room { room - 1 } else { all.len() };
    let mut lines: Vec<Line<'static>> = all
        .iter()
        .take(shown)
        .map(|incident| {
            let text = format!(
                "{} {} {}",
                wording::since(Time(incident.updated_unix_nano), area.now),
                mark(app, incident),
                incidents::as_text(app, incident)
            );
            plain(&fit(&text, area.width))
        })
        .collect();
    if shown < all.len() {
        let more = (all.len() - shown).to_string();
        lines.push(plain(&app.words.with("news-more", &[("count", &more)])));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(severity: u32, state: i32, opened: i64, resolved: Option<i64>) -> Incident {
        Incident {
            severity,
            state,
            opened_unix_nano: opened,
            resolved_unix_nano: resolved,
            ..Incident::default()
        }
    }

    #[test]
    fn new_worse_better_and_gone_are_told_apart() {
        let seen = Time(100);
        let open = |severity| incident(severity, 2, 50, None);
        assert_eq!(change(&incident(2, 1, 101, None), seen, None), Some(Change::New));
        assert_eq!(change(&open(1), seen, Some(&(2, 2))), Some(Change::Worse));
        assert_eq!(change(&open(3), seen, Some(&(2, 2))), Some(Change::Better));
        assert_eq!(change(&incident(2, 4, 50, Some(120)), seen, Some(&(2, 2))), Some(Change::Gone));
        assert_eq!(
            change(&incident(2, 4, 50, Some(90)), seen, None),
            None,
            "gone before one looked"
        );
        assert_eq!(change(&open(2), seen, Some(&(2, 1))), None);
    }
}
