//! What laws want: of an incident, and of the centre and its agencies whatever happens. Pure; the clocks are the registry's data.

use vonggac_wire::{
    Time,
    proto::{Incident, LegalClock, Reported, Verdict},
};

use crate::{
    calendar::{day_of, midnight, next_day},
    registry::{About, Clock, Registry, span},
};

/// What an incident owes by law, with its deadlines and what has been reported for each.
#[must_use]
pub fn of_incident(
    registry: &Registry,
    incident: &Incident,
    is_attack: bool,
    now: Time,
) -> Vec<LegalClock> {
    let about = about(registry, incident, is_attack);
    let owed = registry.clocks().iter().filter(|clock| clock.is_of_incidents());
    owed.filter(|clock| clock.applies(&about)).map(|clock| owed_for(clock, incident, now)).collect()
}

/// Whether an incident may be reported for a duty of this name.
#[must_use]
pub fn is_reported(registry: &Registry, duty: &str) -> bool {
    registry.clocks().iter().any(|clock| clock.is_of_incidents() && clock.id == duty)
}

/// All clocks, those of the year with their next day.
#[must_use]
pub fn all(registry: &Registry, now: Time) -> Vec<LegalClock> {
    let of_year = |clock: &Clock| {
        let (month, day) = clock.limit.split_once('-')?;
        next_day(month.parse().ok()?, day.parse().ok()?, now).map(|day| midnight(day).0)
    };
    let told = |clock: &Clock| {
        let due = if clock.kind == "calendar" { of_year(clock) } else { None };
        let state = match (due, clock.is_of_incidents()) {
            (Some(_), _) => "running",
            (None, true) => "waiting",
            (None, false) => "standing",
        };
        LegalClock { due_unix_nano: due, state: state.into(), ..plain(clock) }
    };
    registry.clocks().iter().map(told).collect()
}

/// Whom these duties have told, each once, in order.
#[must_use]
pub fn recipients(duties: &[LegalClock]) -> Vec<String> {
    let mut roles: Vec<String> =
        duties.iter().flat_map(|duty| duty.recipient_roles.iter().cloned()).collect();
    roles.sort();
    roles.dedup();
    roles
}

fn about(registry: &Registry, incident: &Incident, is_attack: bool) -> About {
    let grades = incident.systems.iter().filter_map(|id| registry.system(id));
    let kinds = incident.agencies.iter().filter_map(|code| registry.agency(code));
    About {
        severity: incident.level().level(),
        is_attack,
        grades: grades.map(|system| system.grade).collect(),
        agency_kinds: kinds.map(|agency| agency.kind.clone()).collect(),
        day: day_of(Time(incident.opened_unix_nano)).to_string(),
    }
}

fn owed_for(clock: &Clock, incident: &Incident, now: Time) -> LegalClock {
    let started = started(clock, incident);
    let due = started.and_then(|at| Some(at.plus(span(&clock.limit)?)));
    let of_duty = |report: &&Reported| report.duty == clock.id;
    let reports: Vec<Reported> = incident.reports.iter().filter(of_duty).cloned().collect();
    LegalClock {
        started_unix_nano: started.map(|at| at.0),
        due_unix_nano: due.map(|at| at.0),
        state: state(incident, (started, due), &reports, now).into(),
        reports,
        ..plain(clock)
    }
}

/// When a clock began; `None`: what it begins with has not come, or nobody can say.
fn started(clock: &Clock, incident: &Incident) -> Option<Time> {
    match clock.starts_on.as_str() {
        "detection" | "incident-opened" => Some(Time(incident.opened_unix_nano)),
        "confirmation" => incident
            .judged_unix_nano
            .filter(|_| incident.current_verdict() == Some(Verdict::TruePositive))
            .map(Time),
        _ => None,
    }
}

fn state(
    incident: &Incident,
    (started, due): (Option<Time>, Option<Time>),
    reports: &[Reported],
    now: Time,
) -> &'static str {
    let first = reports.iter().map(|report| Time(report.sent_unix_nano)).min();
    let none = incident.current_verdict().is_some_and(|verdict| {
        !matches!(verdict, Verdict::TruePositive | Verdict::InsufficientData)
    });
    match (first, due) {
        (Some(sent), Some(due)) if sent > due => "done-late",
        (Some(_), _) => "done",
        (None, _) if none => "void",
        (None, Some(due)) if now > due => "late",
        (None, Some(_)) => "running",
        (None, None) if started.is_some() => "standing",
        (None, None) => "waiting",
    }
}

fn plain(clock: &Clock) -> LegalClock {
    let article = clock.article.replace(';', ", ");
    let citation = if article.is_empty() {
        clock.citation.clone()
    } else {
        format!("{}, art. {article}", clock.citation)
    };
    let roles = clock.recipient_roles.split(';').filter(|role| !role.is_empty());
    LegalClock {
        id: clock.id.clone(),
        name_vi: clock.name_vi.clone(),
        name_en: clock.name_en.clone(),
        citation,
        confidence: clock.confidence.clone(),
        kind: clock.kind.clone(),
        law_vi: clock.citation_vi.clone(),
        law_en: clock.citation.clone(),
        article: clock.article.clone(),
        reporter_role: clock.reporter_role.clone(),
        recipient_roles: roles.map(str::to_owned).collect(),
        starts_on: clock.starts_on.clone(),
        limit: clock.limit.clone(),
        applies_from: clock.applies_from.clone(),
        applies_to: clock.applies_to.clone(),
        note: clock.note.clone(),
        ..LegalClock::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400 * 1_000_000_000;

    fn opened() -> Time {
        "2026-11-24T09:18:00+07:00".parse().unwrap()
    }

    fn incident() -> Incident {
        Incident { id: 7, severity: 2, opened_unix_nano: opened().0, ..Incident::default() }
    }

    fn duty(incident: &Incident, id: &str, days: i64) -> LegalClock {
        let registry = Registry::builtin().unwrap();
        let duties = of_incident(&registry, incident, true, Time(opened().0 + days * DAY));
        duties.into_iter().find(|duty| duty.id == id).unwrap()
    }

    fn reported(days: i64) -> Reported {
        Reported {
            duty: "incident-notice".into(),
            actor: "Lan".into(),
            sent_unix_nano: opened().0 + days * DAY,
            ..Reported::default()
        }
    }

    #[test]
    fn a_notice_is_due_five_days_from_detection_and_says_how_sure_that_is() {
        let notice = duty(&incident(), "incident-notice", 0);
        assert_eq!(notice.due_unix_nano, Some(opened().0 + 5 * DAY));
        assert_eq!((notice.state.as_str(), notice.article.as_str()), ("running", "11"));
        assert_eq!(notice.citation, "Decision 05/2017/QĐ-TTg, art. 11");
        assert_eq!(notice.law_vi, "Quyết định 05/2017/QĐ-TTg");
        assert_eq!(notice.confidence, "not-verified-after-2026-07-01");
        assert_eq!(duty(&incident(), "incident-notice-network", 0).reporter_role, "", "not read");
    }

    #[test]
    fn a_duty_is_done_or_late_by_what_was_reported_for_it() {
        let state = |incident: &Incident, days| duty(incident, "incident-notice", days).state;
        assert_eq!(state(&incident(), 5), "running");
        assert_eq!(state(&incident(), 6), "late");
        let done = Incident { reports: vec![reported(9), reported(4)], ..incident() };
        assert_eq!(state(&done, 9), "done");
        assert_eq!(duty(&done, "incident-notice", 9).reports.len(), 2);
        assert_eq!(duty(&done, "incident-notice-network", 9).state, "late", "another duty");
        let late = Incident { reports: vec![reported(6)], ..incident() };
        assert_eq!(state(&late, 9), "done-late");
    }

    #[test]
    fn what_was_judged_to_be_no_incident_owes_nothing_more() {
        let judged = |verdict: Verdict| Incident { verdict: verdict.into(), ..incident() };
        let state = |verdict| duty(&judged(verdict), "incident-notice", 9).state;
        assert_eq!(state(Verdict::FalsePositive), "void");
        assert_eq!(state(Verdict::Test), "void");
        assert_eq!(state(Verdict::TruePositive), "late");
        let sent = Incident { reports: vec![reported(1)], ..judged(Verdict::FalsePositive) };
        assert_eq!(duty(&sent, "incident-notice", 9).state, "done", "what was sent stays sent");
    }

    #[test]
    fn what_has_not_begun_waits_and_has_no_deadline() {
        let emergency = duty(&incident(), "incident-emergency", 9);
        assert_eq!((emergency.state.as_str(), emergency.due_unix_nano), ("waiting", None));
        let clock =
            Clock { starts_on: "confirmation".into(), limit: "PT24H".into(), ..Clock::default() };
        let judged = Incident {
            verdict: Verdict::TruePositive.into(),
            judged_unix_nano: Some(opened().0 + DAY),
            ..incident()
        };
        assert_eq!(owed_for(&clock, &incident(), opened()).state, "waiting");
        assert_eq!(owed_for(&clock, &judged, opened()).due_unix_nano, Some(opened().0 + 2 * DAY));
    }

    #[test]
    fn a_law_binds_neither_before_its_first_day_nor_without_an_incident() {
        let before = Incident {
            opened_unix_nano: "2017-10-31T09:00:00+07:00".parse::<Time>().unwrap().0,
            ..incident()
        };
        let registry = Registry::builtin().unwrap();
        let ids: Vec<String> = of_incident(&registry, &before, true, opened())
            .into_iter()
            .map(|duty| duty.id)
            .collect();
        assert_eq!(ids, ["incident-notice", "incident-emergency", "incident-report-series"]);
        assert!(is_reported(&registry, "incident-notice"));
        assert!(!is_reported(&registry, "report-mid-year") && !is_reported(&registry, ""));
    }

    #[test]
    fn reports_of_the_year_have_their_next_day() {
        let registry = Registry::builtin().unwrap();
        let all = all(&registry, opened());
        let due = |id: &str| {
            let duty = all.iter().find(|duty| duty.id == id).unwrap();
            duty.due_unix_nano.map(|at| day_of(Time(at)).to_string())
        };
        assert_eq!(due("report-year-end").as_deref(), Some("2026-12-15"));
        assert_eq!(due("report-mid-year").as_deref(), Some("2027-06-20"));
        assert_eq!(due("four-layers"), None);
        assert_eq!(all.len(), registry.clocks().len());
    }

    #[test]
    fn each_recipient_of_an_incident_is_named_once() {
        let registry = Registry::builtin().unwrap();
        let roles = recipients(&of_incident(&registry, &incident(), false, opened()));
        assert_eq!(roles.iter().filter(|role| *role == "national-coordinator").count(), 1);
        assert!(!roles.contains(&"measurement-operator".to_owned()), "no incident's");
    }
}
