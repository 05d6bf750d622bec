//! All incidents, and one of them.

use std::time::Duration;

use ratatui::{style::Style, text::Line};
use unicode_width::UnicodeWidthStr;
use vonggac_wire::{Time, proto::Incident};

use super::{Area, Parts, Screen, line, plain, rule, window};
use crate::{
    app::App,
    wording::{self, fit, folded, right},
};

/// How far back the shift book looks.
const SHIFT: Duration = Duration::from_secs(8 * 3600);

pub(super) fn shown(app: &App) -> Vec<&Incident> {
    let place = app.place();
    let text = folded(&place.filter);
    if place.screen == Screen::Shift {
        let since = app.model.time.unwrap_or_default().minus(SHIFT);
        let mut all = app.model.urgent(false, &text);
        all.retain(|incident| incident.updated_unix_nano >= since.0);
        all.sort_by_key(|incident| std::cmp::Reverse(incident.updated_unix_nano));
        return all;
    }
    app.model.urgent(!app.all_incidents, &text)
}

fn owner(app: &App, incident: &Incident) -> String {
    if incident.owner.is_empty() { app.words.get("no-data") } else { incident.owner.clone() }
}

fn deadline(app: &App, incident: &Incident, now: Time) -> String {
    if !incident.current_state().is_open() {
        return wording::duration(app.words.lang(), incident.duration(now));
    }
    let Some(at) = incident.deadline_unix_nano.map(Time) else { return app.words.get("no-data") };
    let left = at.since(now);
    if left.is_zero() {
        format!("−{}", wording::duration(app.words.lang(), now.since(at)))
    } else {
        wording::duration(app.words.lang(), left)
    }
}

/// From this width on a short row has its state and begin too.
const WIDE: usize = 90;

/// On the board: severity, number, what, owner, deadline.
pub(super) fn short(app: &App, incident: &Incident, style: Style, area: Area) -> Line<'static> {
    let title = app.words.pick(&incident.title_vi, &incident.title_en);
    let head =
        format!("{} {:<6}", app.theme.severity(incident.level()), format!("#{}", incident.id));
    let state = incident.current_state();
    let wide = if area.width >= WIDE {
        let name = app.words.get(&format!("istate-{}", state.name()));
        format!(
            " {} {}",
            fit(&format!("{}{name}", app.theme.incident(state)), 9),
            right(&wording::since(Time(incident.first_time_unix_nano), area.now), 5)
        )
    } else {
        String::new()
    };
    let tail = format!(
        "{wide} {} {}",
        fit(&owner(app, incident), 8),
        right(&deadline(app, incident, area.now), 7)
    );
    let middle = area.width.saturating_sub(head.width() + tail.width() + 3);
    let first =
        if style == Style::new() { app.theme.severity_style(incident.level()) } else { style };
    line(vec![(format!(" {head}"), first), (format!(" {} {tail}", fit(title, middle)), style)])
}

pub(super) fn list(app: &App, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let place = app.place();
    let all = shown(app);
    let filter = match (place.screen == Screen::Shift, place.filter.is_empty(), app.all_incidents) {
        (true, ..) => words.get("shift-line"),
        (_, false, _) => place.filter.clone(),
        (.., true) => words.get("filter-all"),
        _ => words.get("filter-open"),
    };
    let values = [
        ("filter", filter),
        ("shown", all.len().to_string()),
        ("all", app.model.incidents.len().to_string()),
    ];
    let values: Vec<(&str, &str)> =
        values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut lines =
        vec![plain(&words.with("incidents-line", &values)), rule(app, "", "", area.width)];
    let what = area.width.saturating_sub(53);
    lines.push(plain(&format!(
        " {:<4}{:<7}{} {} {} {} {} {}",
        words.get("col-level"),
        words.get("col-number"),
        fit(&words.get("col-state"), 8),
        fit(&words.get("col-what"), what),
        right(&words.get("col-count"), 7),
        fit(&words.get("col-owner"), 8),
        fit(&words.get("col-since"), 5),
        right(&words.get("col-deadline"), 7),
    )));
    if all.is_empty() {
        lines.push(plain(&words.get("board-none")));
    }
    // Below the list the selected one is shown, where there is room for it.
    let room = area.height.saturating_sub(lines.len());
    let preview = if room >= PREVIEW_LINES + 4 { PREVIEW_LINES } else { 0 };
    for at in window(place.cursor, all.len(), room - preview) {
        let incident = all[at];
        let state = incident.current_state();
        let style = if at == place.cursor { app.theme.selected() } else { Style::new() };
        let first =
            if at == place.cursor { style } else { app.theme.severity_style(incident.level()) };
        let text = format!(
            " {:<6} {} {} {} {} {} {}",
            format!("#{}", incident.id),
            fit(
                &format!(
                    "{}{}",
                    app.theme.incident(state),
                    words.get(&format!("istate-{}", state.name()))
                ),
                8
            ),
            fit(words.pick(&incident.title_vi, &incident.title_en), what),
            right(&wording::number(words.lang(), incident.count), 7),
            fit(&owner(app, incident), 8),
            fit(&wording::since(Time(incident.first_time_unix_nano), area.now), 5),
            right(&deadline(app, incident, area.now), 7),
        );
        let mark = if app.marks.contains(&incident.id) { app.theme.marked() } else { " " };
        lines.push(line(vec![
            (format!("{mark}{}", app.theme.severity(incident.level())), first),
            (text, style),
        ]));
    }
    if let Some(incident) = all.get(place.cursor).filter(|_| preview > 0) {
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
    let row = |name: &str, text: String| {
        plain(&fit(&format!("{} {text}", fit(&words.get(name), 11)), area.width))
    };
    let dash = |text: &str| if text.is_empty() { words.get("no-data") } else { text.to_owned() };
    vec![
        rule(app, &title, &wording::number(words.lang(), incident.count), area.width),
        plain(&fit(words.pick(&incident.title_vi, &incident.title_en), area.width)),
        row("incident-where", format!("{}; {}", places(app, incident), incident.hosts.join(" "))),
        row(
            "incident-since",
            format!(
                "{} ({})",
                wording::date_time(Time(incident.first_time_unix_nano)),
                wording::duration(words.lang(), incident.duration(area.now))
            ),
        ),
        row(
            "incident-owner",
            format!(
                "{}; {} {}; {}: {}",
                owner(app, incident),
                words.get("incident-responsible"),
                dash(&incident.responsible_agency),
                words.get("incident-task"),
                dash(&incident.task)
            ),
        ),
        row("incident-deadline", deadline(app, incident, area.now)),
    ]
}

/// The agencies of an incident, by their short names.
fn places(app: &App, incident: &Incident) -> String {
    let name = |code: &String| {
        app.model.agency(code).map_or_else(
            || code.clone(),
            |agency| app.words.pick(&agency.short_vi, &agency.short_en).to_owned(),
        )
    };
    incident.agencies.iter().map(name).collect::<Vec<_>>().join(", ")
}

pub(super) fn one(app: &App, id: u64, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let Some(incident) = app.model.incidents.get(&id) else {
        return vec![plain(&words.with("refused-not-found", &[("id", &id.to_string())]))];
    };
    let state = incident.current_state();
    let head: Parts = vec![
        (
            app.theme.severity(incident.level()).to_owned(),
            app.theme.severity_style(incident.level()),
        ),
        (
            format!(
                " {}{}  {}",
                app.theme.incident(state),
                words.get(&format!("istate-{}", state.name())),
                words.pick(&incident.title_vi, &incident.title_en)
            ),
            Style::new(),
        ),
    ];
    let mut lines = vec![line(head)];
    let mut row = |name: &str, text: String| {
        lines.push(plain(&fit(&format!("{} {text}", fit(&words.get(name), 11)), area.width)));
    };
    row("incident-where", format!("{}; {}", places(app, incident), incident.hosts.join(" ")));
    let lasted = wording::duration(words.lang(), incident.duration(area.now));
    row(
        "incident-since",
        format!(
            "{} ({lasted}); {} {}",
            wording::date_time(Time(incident.first_time_unix_nano)),
            words.get("action-opened"),
            wording::clock(Time(incident.opened_unix_nano))
        ),
    );
    row(
        "incident-count",
        format!("{}  {}", wording::number(words.lang(), incident.count), incident.rule),
    );
    let owner =
        if incident.owner.is_empty() { words.get("nobody") } else { incident.owner.clone() };
    let dash = |text: &str| if text.is_empty() { words.get("no-data") } else { text.to_owned() };
    row(
        "incident-owner",
        format!(
            "{owner}; {} {}; {}: {}; {}: {}",
            words.get("incident-responsible"),
            dash(&incident.responsible_agency),
            words.get("incident-task"),
            dash(&incident.task),
            words.get("incident-result"),
            dash(&incident.result)
        ),
    );
    row("incident-deadline", deadline(app, incident, area.now));
    let detail = app
        .model
        .detail
        .as_ref()
        .filter(|detail| detail.incident.as_ref().is_some_and(|known| known.id == id));
    let Some(detail) = detail else {
        lines.push(plain(&words.get("events-searching")));
        return lines;
    };
    if let Some(clock) = detail.clocks.first() {
        let due = clock
            .due_unix_nano
            .map_or_else(|| words.get("no-data"), |at| wording::date_time(Time(at)));
        let confidence = if clock.confidence.starts_with("not-verified") {
            words.get("incident-unverified")
        } else {
            clock.confidence.clone()
        };
        let law = words.with(
            "incident-law",
            &[("due", &due), ("citation", &clock.citation), ("confidence", &confidence)],
        );
        lines.push(plain(&fit(&format!("{}{law}", " ".repeat(12)), area.width)));
    }
    lines.extend(rest(
        app,
        detail,
        Area { height: area.height.saturating_sub(lines.len()), ..area },
    ));
    lines
}

/// Timeline, evidence, first steps: each its share of the height.
fn rest(app: &App, detail: &vonggac_wire::proto::IncidentDetail, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let steps: Vec<_> =
        detail.timeline.iter().rev().filter(|step| step.action != "counted").collect();
    let runbook = if words.lang() == crate::words::Lang::Vi {
        &detail.runbook_vi
    } else {
        &detail.runbook_en
    };
    let share = area.height.saturating_sub(3) / 3;
    let mut lines = vec![rule(
        app,
        &format!("{} {}", words.get("incident-timeline"), detail.timeline.len()),
        "",
        area.width,
    )];
    for step in steps.iter().take(share) {
        let actor =
            if step.actor == "system" { words.get("system-actor") } else { step.actor.clone() };
        let text = format!(
            " {} {} {} {}",
            wording::since(Time(step.time_unix_nano), area.now),
            fit(&actor, 9),
            fit(&words.get(&format!("action-{}", step.action)), 12),
            step.text
        );
        lines.push(plain(&fit(&text, area.width)));
    }
    lines.push(rule(
        app,
        &format!("{} {}", words.get("incident-evidence"), detail.evidence.len()),
        "",
        area.width,
    ));
    if detail.evidence.is_empty() {
        lines.push(plain(&words.get("no-evidence")));
    }
    let cursor = app.place().cursor;
    for at in window(cursor, detail.evidence.len(), share) {
        let event = &detail.evidence[at];
        let style = if at == cursor { app.theme.selected() } else { Style::new() };
        let text = format!(
            " {} {} {} {}",
            wording::clock(Time(event.time_unix_nano)),
            fit(&event.agency, 6),
            fit(&event.host, 10),
            event.raw
        );
        lines.push(line(vec![(fit(&text, area.width), style)]));
    }
    lines.push(rule(app, &words.get("incident-steps"), "", area.width));
    for (number, step) in runbook.iter().enumerate() {
        lines.push(plain(&fit(&format!(" {}. {step}", number + 1), area.width)));
    }
    lines
}
