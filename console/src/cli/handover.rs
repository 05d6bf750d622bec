//! The shift book for the next shift: all that is open, and all that changed since, with who did what.

use std::time::Duration;

use serde_json::{Value, json};
use vonggac_answer::rows::{self, Format, Row};
use vonggac_wire::{
    Time,
    proto::{Incident, IncidentRequest, QuietPeriod, QuietRequest, Transition},
};

use super::{filter::Filter, print, row, show};
use crate::{client::Client, model::urgency, wording, words::Words};

/// A shift, where `--since` says nothing else.
const SHIFT: Duration = Duration::from_secs(8 * 3600);

/// What ends within three days ends before a weekend is over.
const ENDS_SOON: Duration = Duration::from_secs(3 * 86_400);

/// Incidents whose timelines are asked for: more than a shift hands over by hand.
const TOLD_MAX: usize = 500;

/// Writes it. Markdown has a heading with the counts; every other form is rows alone.
pub(super) async fn run(
    client: &mut Client,
    words: &Words,
    filter: &Filter,
    form: &Format,
) -> Result<(), String> {
    let picture = show::whole(client, words).await?;
    let now = Time(picture.time_unix_nano);
    let since = match &filter.since {
        Some(_) => filter.window(now).map_err(|text| words.with("bad-time", &[("text", &text)]))?.0,
        None => now.minus(SHIFT),
    };
    let told = chosen(&picture.incidents, since, |agencies| {
        filter.agency.as_ref().is_none_or(|agency| agencies.contains(agency))
    });
    let mut rows = Vec::new();
    for incident in &told {
        // An incident that went meanwhile is told without its steps.
        let detail = client.get_incident(IncidentRequest { id: incident.id }).await;
        let timeline = detail.map(|detail| detail.into_inner().timeline).unwrap_or_default();
        rows.push(entry(incident, &timeline, since, words));
    }
    if *form == Format::Md {
        print(&heading(&told, since, now, picture.simulated, words));
        // Who may not know of them is told of none.
        let quiet = client.quiet(QuietRequest::default()).await;
        let quiet = quiet.map(|reply| reply.into_inner().periods).unwrap_or_default();
        print(&quiet_periods(&quiet, now, words));
    }
    print(&rows::write(form, &rows));
    Ok(())
}

/// Open ones and changed ones, in the order of urgency.
fn chosen(all: &[Incident], since: Time, here: impl Fn(&Vec<String>) -> bool) -> Vec<&Incident> {
    let mut told: Vec<&Incident> = all
        .iter()
        .filter(|i| i.current_state().is_open() || i.updated_unix_nano >= since.0)
        .filter(|i| here(&i.agencies))
        .collect();
    told.sort_by(|one, two| urgency(one, two));
    told.truncate(TOLD_MAX);
    told
}

fn entry(incident: &Incident, timeline: &[Transition], since: Time, words: &Words) -> Row {
    let steps: Vec<String> = timeline
        .iter()
        .filter(|step| step.action != "counted" && step.time_unix_nano >= since.0)
        .map(|step| {
            let action = words.get(&format!("action-{}", step.action));
            let actor =
                if step.actor == "system" { words.get("system-actor") } else { step.actor.clone() };
            let clock = wording::minute(Time(step.time_unix_nano));
            format!("{clock} {actor}: {action} {};", step.text).replace(" ;", ";")
        })
        .collect();
    let value = json!({
        "id": incident.id,
        "severity": incident.level().name(),
        "state": incident.current_state().name(),
        "title": words.pick(&incident.title_vi, &incident.title_en),
        "owner": incident.owner,
        "agencies": incident.agencies,
        "unserved_per_minute": incident.unserved.as_ref().map(|estimate| estimate.value),
        "deadline": row::time(incident.deadline_unix_nano),
        "task": incident.task,
        "note": incident.last_note,
        "result": incident.result,
        "hidden_until": row::time(incident.hidden_until_unix_nano),
        "changes": steps,
    });
    match value {
        Value::Object(row) => row,
        _ => Row::new(),
    }
}

/// `# Sổ ca 24/11 01:41 – 24/11 09:41` and what is to be known first.
fn heading(told: &[&Incident], since: Time, now: Time, simulated: bool, words: &Words) -> String {
    let count = |wanted: &dyn Fn(&Incident) -> bool| {
        told.iter().filter(|incident| wanted(incident)).count().to_string()
    };
    let values = [
        ("open", count(&|i| i.current_state().is_open())),
        ("new", count(&|i| i.opened_unix_nano >= since.0)),
        ("untaken", count(&|i| i.current_state().is_open() && i.owner.is_empty())),
        ("done", count(&|i| i.resolved_unix_nano.is_some_and(|at| at >= since.0))),
        ("hidden", count(&|i| i.hidden_until_unix_nano.is_some_and(|until| until > now.0))),
    ];
    let values: Vec<(&str, &str)> =
        values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mark = if simulated { format!(" ({})", words.get("simulated")) } else { String::new() };
    format!(
        "# {} {} – {}{mark}\n\n{}\n\n",
        words.get("handover-title"),
        wording::date_time(since),
        wording::date_time(now),
        words.with("handover-counts", &values)
    )
}

/// What is kept quiet, the soonest end first; what ends before somebody on duty looks again is marked.
fn quiet_periods(all: &[QuietPeriod], now: Time, words: &Words) -> String {
    let line = |period: &QuietPeriod| {
        let until = Time(period.until_unix_nano);
        let soon = if until.since(now) <= ENDS_SOON {
            words.get("handover-ends-soon")
        } else {
            String::new()
        };
        let values = [
            ("kind", words.get(&format!("quiet-{}", period.kind))),
            ("id", period.id.chars().take(8).collect()),
            ("until", wording::date_time(until)),
            ("owner", period.owner.clone()),
            ("reason", period.reason.clone()),
            ("withheld", period.withheld.to_string()),
        ];
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        format!("- {}{soon}\n", crate::sanitise::sanitise(&words.with("handover-quiet", &values)))
    };
    let lines: String = all.iter().map(line).collect();
    if lines.is_empty() { lines } else { format!("{lines}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Lang;

    fn incident(id: u64, state: i32, updated: i64) -> Incident {
        Incident { id, state, updated_unix_nano: updated, severity: 2, ..Incident::default() }
    }

    #[test]
    fn what_is_open_and_what_changed_is_handed_over_and_what_ended_before_is_not() {
        let all = [incident(1, 5, 10), incident(2, 1, 10), incident(3, 5, 200)];
        let told: Vec<u64> =
            chosen(&all, Time(100), |_| true).iter().map(|incident| incident.id).collect();
        assert_eq!(told, [2, 3]);
    }

    #[test]
    fn steps_before_the_shift_and_counting_are_no_news() {
        let step = |time, action: &str| Transition {
            time_unix_nano: time,
            actor: "Lan".into(),
            action: action.into(),
            text: "đang chuyển".into(),
            ..Transition::default()
        };
        let timeline = [step(50, "noted"), step(150, "counted"), step(160, "noted")];
        let row = entry(&incident(1, 2, 160), &timeline, Time(100), &crate::words::of(Lang::Vi));
        assert_eq!(row["changes"], json!(["07:00 Lan: ghi đang chuyển;"]));
    }

    #[test]
    fn the_heading_counts_what_the_next_shift_has() {
        let one = incident(1, 1, 150);
        let text = heading(&[&one], Time(100), Time(200), true, &crate::words::of(Lang::En));
        assert!(text.starts_with("# Shift book") && text.contains("SIMULATED"), "{text}");
        assert!(text.contains("1 open") && text.contains("1 not taken"), "{text}");
    }

    #[test]
    fn what_is_quiet_is_handed_over_and_what_ends_soon_is_marked() {
        let of = |id: &str, days: u32| QuietPeriod {
            id: id.into(),
            kind: "suppression".into(),
            owner: "Lan".into(),
            reason: "a scanner".into(),
            until_unix_nano: Time(0).plus(Duration::from_secs(86_400) * days).0,
            withheld: 12,
            ..QuietPeriod::default()
        };
        let words = crate::words::of(Lang::En);
        let text = quiet_periods(&[of("aaaabbbb-1", 3), of("ccccdddd-1", 4)], Time(0), &words);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("aaaabbbb") && lines[0].contains("12"), "{text}");
        assert!(lines[0].contains("ENDS SOON") && !lines[1].contains("ENDS SOON"), "{text}");
        assert_eq!(quiet_periods(&[], Time(0), &words), "");
    }
}
