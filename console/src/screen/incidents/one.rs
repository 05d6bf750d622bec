//! One incident: who, what, until when; its timeline, its evidence, the first steps.

use ratatui::{style::Style, text::Line};
use vonggac_wire::{
    Time,
    proto::{Incident, IncidentDetail, Transition},
};

use super::{deadline, fault, notified, places, state};
use crate::{
    app::App,
    screen::{Area, agency_name, cursor_in, detail, duty, events, line, plain, rule, window},
    wording::{self, fit},
    words::{Lang, Words, named},
};

/// Cells of the bar of a deadline.
const BAR: u32 = 11;

/// Laws' deadlines that are shown: `vonggac duties --incident` has all.
const LAWS_MAX: usize = 2;

/// Steps of the timeline that are shown: counting alone is no news. The newest first.
pub(in crate::screen) fn steps(detail: &IncidentDetail) -> Vec<&Transition> {
    detail.timeline.iter().rev().filter(|step| step.action != "counted").collect()
}

fn dash(app: &App, text: &str) -> String {
    if text.is_empty() { app.words.get("no-data") } else { text.to_owned() }
}

/// When it began and how long ago, when it was found and taken.
pub(super) fn since_text(app: &App, incident: &Incident, now: Time) -> String {
    let words = &app.words;
    let lasted = wording::duration(words.lang(), incident.duration(now));
    let mut text = format!(
        "{} ({lasted}); {} {}",
        wording::date_time(Time(incident.first_time_unix_nano)),
        words.get("action-opened"),
        wording::clock(Time(incident.opened_unix_nano))
    );
    if let Some(at) = incident.acknowledged_unix_nano {
        text.push_str(&format!(
            "; {} {}",
            words.get("action-acknowledged"),
            wording::clock(Time(at))
        ));
    }
    text
}

/// The five duties: person, agency, task, result.
pub(super) fn duty_text(app: &App, incident: &Incident) -> String {
    let words = &app.words;
    let owner =
        if incident.owner.is_empty() { words.get("nobody") } else { incident.owner.clone() };
    let mut text = format!(
        "{owner}; {} {}; {}: {}; {}: {}",
        words.get("incident-responsible"),
        dash(app, &incident.responsible_agency),
        words.get("incident-task"),
        dash(app, &incident.task),
        words.get("incident-result"),
        dash(app, &incident.result)
    );
    if let Some(verdict) = incident.current_verdict() {
        text.push_str(&format!("; {}", words.get(&format!("judged-{}", verdict.name()))));
    }
    text
}

/// The clock of the deadline, a bar of what of it has gone, what is left.
pub(super) fn deadline_text(app: &App, incident: &Incident, now: Time) -> String {
    let Some(at) = incident.deadline_unix_nano.map(Time) else {
        return app.words.get("incident-no-deadline");
    };
    if !incident.current_state().is_open() {
        return wording::date_time(at);
    }
    let whole = at.since(Time(incident.opened_unix_nano)).as_secs_f64();
    let gone = now.since(Time(incident.opened_unix_nano)).as_secs_f64();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few cells")]
    let full = if whole > 0.0 {
        (gone / whole * f64::from(BAR)).clamp(0.0, f64::from(BAR)) as usize
    } else {
        BAR as usize
    };
    let (on, off) = if app.theme.ascii { ("#", ".") } else { ("▓", "░") };
    let bar = format!("{}{}", on.repeat(full), off.repeat(BAR as usize - full));
    let left = app.words.with("incident-left", &[("left", &deadline(app, incident, now))]);
    format!("{} {bar} {left}", wording::date_time(at))
}

/// Dossiers a minute with their range, where somebody can say.
fn impact_text(app: &App, incident: &Incident) -> String {
    let words = &app.words;
    let Some(estimate) = &incident.unserved else { return words.get("incident-impact-unknown") };
    let number = |value| wording::decimal(words.lang(), value, 0);
    if estimate.value < 0.5 {
        return words.get("incident-impact-none");
    }
    words.with(
        "incident-impact-line",
        &[
            ("value", &number(estimate.value)),
            ("low", &number(estimate.low)),
            ("high", &number(estimate.high)),
        ],
    )
}

/// What lies between this incident and others, and whether it is hidden.
fn relations(app: &App, incident: &Incident, now: Time) -> Option<String> {
    let words = &app.words;
    let mut told = Vec::new();
    if incident.merged_into != 0 {
        told.push(words.with("incident-merged", &[("id", &incident.merged_into.to_string())]));
    }
    if incident.split_from != 0 {
        told.push(words.with("incident-split", &[("id", &incident.split_from.to_string())]));
    }
    if incident.reopened > 0 {
        told.push(words.with("incident-reopened", &[("count", &incident.reopened.to_string())]));
    }
    if let Some(until) = incident.hidden_until_unix_nano.filter(|until| *until > now.0) {
        told.push(words.with(
            "incident-hidden",
            &[
                ("until", &wording::date_time(Time(until))),
                ("by", &incident.hidden_by),
                ("reason", &incident.hidden_reason),
            ],
        ));
    }
    (!told.is_empty()).then(|| told.join("; "))
}

pub(in crate::screen) fn one(app: &App, id: u64, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let Some(incident) = app.model.incidents.get(&id) else {
        return vec![plain(&words.with("refused-not-found", &[("id", &id.to_string())]))];
    };
    let version = words.with(
        "incident-version",
        &[
            ("version", &incident.version.to_string()),
            ("time", &wording::since(Time(incident.updated_unix_nano), area.now)),
        ],
    );
    let title = format!(
        " {}  {}",
        state(app, incident),
        words.pick(&incident.title_vi, &incident.title_en)
    );
    let room =
        area.width.saturating_sub(4 + unicode_width::UnicodeWidthStr::width(version.as_str()));
    let mut lines = vec![line(vec![
        (
            app.theme.severity(incident.level()).to_owned(),
            app.theme.severity_style(incident.level()),
        ),
        (format!("{} {version}", fit(&title, room)), Style::new()),
    ])];
    let mut row = |name: &str, text: String| {
        lines.push(plain(&fit(&format!("{} {text}", fit(&words.get(name), 11)), area.width)));
    };
    row("incident-where", format!("{}; {}", places(app, incident), incident.hosts.join(" ")));
    row("incident-since", since_text(app, incident, area.now));
    row("incident-impact", impact_text(app, incident));
    if let Some(text) = fault::text(app, incident) {
        row("incident-fault", text);
    }
    row(
        "incident-count",
        format!("{}  {}", wording::number(words.lang(), incident.count), incident.rule),
    );
    row("incident-owner", duty_text(app, incident));
    row("incident-deadline", deadline_text(app, incident, area.now));
    if let Some(text) = duty::service(words, incident, area.now) {
        row("incident-clocks", text);
    }
    let related = relations(app, incident, area.now);
    let detail = detail(app, id);
    let owed = detail.map(|detail| duty::shown(&detail.clocks)).unwrap_or_default();
    for clock in owed.into_iter().take(LAWS_MAX) {
        let text = format!("{}{}", " ".repeat(9), duty::line(words, clock, area.now));
        lines.push(plain(&fit(&text, area.width)));
    }
    lines.extend(related.map(|text| plain(&fit(&format!("{}{text}", " ".repeat(12)), area.width))));
    if let Some(text) = detail.and_then(|detail| notified::text(words, &detail.notifications)) {
        let text = format!("{} {text}", fit(&words.get("incident-notified"), 11));
        lines.push(plain(&fit(&text, area.width)));
    }
    let Some(detail) = detail else {
        lines.push(plain(&words.get("events-searching")));
        return lines;
    };
    let height = area.height.saturating_sub(lines.len());
    lines.extend(rest(app, incident, detail, Area { height, ..area }));
    lines
}

/// How many rows each of three parts gets: what each needs, the longest giving way first, evidence never without one.
fn shares(height: usize, needs: [usize; 3]) -> [usize; 3] {
    let mut shares = needs;
    while shares.iter().sum::<usize>() > height {
        let most = (0..3).max_by_key(|at| shares[*at]).unwrap_or(0);
        if shares[most] <= 1 {
            break;
        }
        shares[most] -= 1;
    }
    shares
}

/// Timeline, evidence, first steps: each what it needs, as far as the height goes; `F` gives all to the pane with the cursor.
fn rest(app: &App, incident: &Incident, detail: &IncidentDetail, area: Area) -> Vec<Line<'static>> {
    let words = &app.words;
    let steps = steps(detail);
    let runbook = if words.lang() == Lang::Vi { &detail.runbook_vi } else { &detail.runbook_en };
    let (in_steps, in_evidence) = (cursor_in(app, 0), cursor_in(app, 1));
    let needs = [steps.len().max(1), detail.evidence.len().max(1), runbook.len().max(1) + 1];
    let mut shares = shares(area.height.saturating_sub(3), needs);
    if app.place().full {
        let all = area.height.saturating_sub(1);
        shares = if in_steps.is_some() { [all, 0, 0] } else { [0, all, 0] };
    }
    let mut lines = Vec::new();
    if shares[0] > 0 {
        let title = format!("{} {}", words.get("incident-timeline"), steps.len());
        lines.push(rule(app, &title, "", area.width));
        for at in window(in_steps.unwrap_or(0), steps.len(), shares[0]) {
            lines.push(step(app, steps[at], in_steps == Some(at), area));
        }
    }
    if shares[1] > 0 {
        let title = format!("{} {}", words.get("incident-evidence"), detail.evidence.len());
        lines.push(rule(app, &title, &words.get("incident-evidence-hint"), area.width));
        if detail.evidence.is_empty() {
            lines.push(plain(&words.get("no-evidence")));
        }
        for at in window(in_evidence.unwrap_or(0), detail.evidence.len(), shares[1]) {
            let event = &detail.evidence[at];
            let chosen = in_evidence == Some(at);
            let style = if chosen { app.theme.selected() } else { Style::new() };
            let text = format!(
                "{}{} {} {} {}",
                if chosen { app.theme.cursor() } else { " " },
                wording::clock(Time(event.time_unix_nano)),
                fit(&event.agency, 6),
                fit(&event.host, 10),
                events::brief(app, event)
            );
            lines.push(line(vec![(fit(&text, area.width), style)]));
        }
    }
    if shares[2] > 0 {
        let first = runbook.len().min(shares[2].saturating_sub(1));
        let title = format!("{} {first}/{}", words.get("incident-steps"), runbook.len());
        lines.push(rule(app, &title, &words.get("incident-steps-hint"), area.width));
        for (number, step) in (1..).zip(runbook.iter().take(first)) {
            lines.push(plain(&fit(&format!(" {number}. {step}"), area.width)));
        }
        let elsewhere = incident.agencies.len().saturating_sub(1).to_string();
        let text = words.with(
            "incident-tell",
            &[
                ("agency", &agency_name(app, &incident.responsible_agency)),
                ("elsewhere", &elsewhere),
            ],
        );
        lines.push(plain(&fit(&format!(" {text}"), area.width)));
    }
    lines
}

fn step(app: &App, step: &Transition, chosen: bool, area: Area) -> Line<'static> {
    let words = &app.words;
    let actor = if step.actor == "system" { words.get("system-actor") } else { step.actor.clone() };
    let text = format!(
        "{}{} {} {} {}",
        if chosen { app.theme.cursor() } else { " " },
        wording::since(Time(step.time_unix_nano), area.now),
        fit(&actor, 9),
        fit(&words.get(&format!("action-{}", step.action)), 12),
        told(words, step)
    );
    let style = if chosen { app.theme.selected() } else { Style::new() };
    line(vec![(fit(&text, area.width), style)])
}

/// An operator's words; what has words of the screen's language in that, and times by the nation's clock, as every time on the screen.
pub(crate) fn told(words: &Words, step: &Transition) -> String {
    let text = &step.text;
    let timed = |text: &str| {
        let (until, rest) = text.split_once(": ")?;
        Some((until.parse::<Time>().ok()?, rest.to_owned()))
    };
    let other = match step.action.as_str() {
        "judged" => Some(named(words, "judged", text)),
        "breached" => Some(named(words, "clock", text)),
        "hidden" => timed(text).map(|(at, why)| format!("{}: {why}", wording::date_time(at))),
        "reported" => text.split_once(' ').and_then(|(duty, rest)| {
            let (sent, reference) = timed(rest)?;
            let time = wording::date_time(sent);
            let values =
                [("duty", duty), ("time", time.as_str()), ("reference", reference.as_str())];
            Some(words.with("duty-reported-line", &values))
        }),
        "escalated" => {
            let parts: Vec<&str> = text.split(' ').collect();
            match parts.as_slice() {
                [clock, level, role] => {
                    let clock = named(words, "clock", clock);
                    let role = named(words, "role", role);
                    let values =
                        [("clock", clock.as_str()), ("level", *level), ("role", role.as_str())];
                    Some(words.with("escalated-line", &values))
                }
                _ => None,
            }
        }
        _ => None,
    };
    other.unwrap_or_else(|| text.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_part_gives_way_and_none_goes_wholly() {
        assert_eq!(shares(20, [3, 4, 5]), [3, 4, 5]);
        assert_eq!(shares(9, [30, 2, 5]), [4, 2, 3]);
        assert_eq!(shares(1, [5, 5, 5]), [1, 1, 1]);
    }
}
