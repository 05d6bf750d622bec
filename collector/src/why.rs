//! Why it is quiet: which rules saw something at an agency and opened nothing, and which could not see. Pure.

use std::collections::{BTreeMap, BTreeSet};

use rsigma_parser::LogSource;
use vonggac_wire::{
    Time,
    event::Class,
    proto::{HealthState, Incident, WhyRow},
};

use crate::{
    detect::near::Near,
    quiet::{Kind, Period},
    rule::RuleSet,
    store::{Source, Withheld},
    trust::scope::is_under,
};

/// Rows of an answer: more than somebody reads.
pub const ROWS_MAX: usize = 1_000;

/// What Sigma calls a category, and the class of events that it is about.
const CATEGORIES: [(&str, Class); 5] = [
    ("webserver", Class::Http),
    ("firewall", Class::Network),
    ("network_connection", Class::Network),
    ("process_creation", Class::Process),
    ("file_event", Class::FileSystem),
];

/// Services whose log-ins are meant whatever program they are of.
const LOG_INS: [&str; 2] = ["auth", "authentication"];

/// Services that are one program.
const PROGRAMS: [&str; 2] = ["sshd", "sudo"];

/// What was found out.
pub struct Seen<'a> {
    /// About which agency and those under it.
    pub agency: &'a str,
    /// About which rule; empty: all.
    pub rule: &'a str,
    /// Since when.
    pub since: Time,
    /// How the agency is.
    pub state: HealthState,
    /// Windows that are not full.
    pub near: Vec<Near>,
    /// What periods withheld of the agency.
    pub withheld: Vec<Withheld>,
    /// The periods.
    pub periods: &'a BTreeMap<String, Period>,
    /// Incidents as they are.
    pub incidents: &'a [Incident],
    /// What came from the agency.
    pub sources: &'a [Source],
    /// The rules that are loaded.
    pub rules: &'a RuleSet,
    /// Files of rules that were refused.
    pub refused: &'a [String],
    /// Whether it is known what use is usual at this hour of the week.
    pub is_learnt: bool,
}

/// The answer, what is about the agency as a whole first. `true`: there was more.
#[must_use]
pub fn rows(seen: &Seen<'_>) -> (Vec<WhyRow>, bool) {
    let mut all: Vec<WhyRow> = of_agency(seen).into_iter().collect();
    all.extend(seen.near.iter().map(near));
    all.extend(withheld(seen));
    all.extend(open(seen));
    all.extend(not_loaded(seen));
    all.extend(not_learnt(seen));
    all.extend(without_source(seen));
    let is_cut = all.len() > ROWS_MAX;
    all.truncate(ROWS_MAX);
    (all, is_cut)
}

fn row(rule: &str, reason: &str) -> WhyRow {
    WhyRow { rule: rule.to_owned(), reason: reason.to_owned(), ..WhyRow::default() }
}

impl Seen<'_> {
    fn is_meant(&self, rule: &str) -> bool {
        self.rule.is_empty() || self.rule == rule
    }
}

/// Of an agency that is not heard no rule sees anything.
fn of_agency(seen: &Seen<'_>) -> Option<WhyRow> {
    let reason = match seen.state {
        HealthState::Silent => "silent",
        HealthState::NotConnected => "not-connected",
        HealthState::Excluded => "excluded",
        _ => return None,
    };
    Some(row("", reason))
}

fn near(near: &Near) -> WhyRow {
    WhyRow {
        entity: near.entity.clone(),
        count: near.count,
        wanted: near.wanted,
        window_seconds: near.window_seconds,
        last_unix_nano: near.last.0,
        ..row(&near.rule, "threshold")
    }
}

fn withheld(seen: &Seen<'_>) -> Vec<WhyRow> {
    let meant = seen.withheld.iter().filter(|row| seen.is_meant(&row.rule));
    meant
        .map(|found| {
            let period = seen.periods.get(&found.period);
            let kind = period.map_or(Kind::Suppression, |period| period.terms.kind);
            WhyRow {
                entity: found.entity.clone(),
                count: found.signals,
                last_unix_nano: found.last.saturating_mul(1_000),
                period: found.period.clone(),
                detail: period.map(|period| period.terms.reason.clone()).unwrap_or_default(),
                ..row(&found.rule, kind.name())
            }
        })
        .collect()
}

/// What counts on an incident that is open opens no other.
fn open(seen: &Seen<'_>) -> Vec<WhyRow> {
    let is_there = |incident: &&Incident| {
        incident.current_state().is_open()
            && incident.last_time_unix_nano >= seen.since.0
            && seen.is_meant(&incident.rule)
            && incident.agencies.iter().any(|agency| is_under(agency, seen.agency))
    };
    let found = seen.incidents.iter().filter(is_there);
    found
        .map(|incident| WhyRow {
            entity: incident.entity.as_ref().map(|about| about.value.clone()).unwrap_or_default(),
            count: incident.count,
            last_unix_nano: incident.last_time_unix_nano,
            incident: incident.id,
            ..row(&incident.rule, "open")
        })
        .collect()
}

fn not_loaded(seen: &Seen<'_>) -> Vec<WhyRow> {
    let is_there = seen.rule.is_empty() || seen.rules.index(seen.rule).is_some();
    let mut all: Vec<WhyRow> =
        (!is_there).then(|| row(seen.rule, "not-loaded")).into_iter().collect();
    // Which rule a broken file would have been is not known.
    all.extend(
        seen.refused
            .iter()
            .filter(|_| seen.rule.is_empty() || !is_there)
            .map(|file| WhyRow { detail: file.clone(), ..row("", "refused") }),
    );
    all
}

fn not_learnt(seen: &Seen<'_>) -> Option<WhyRow> {
    let told = seen.is_learnt || !seen.is_meant("portal-without-use");
    (!told).then(|| row("portal-without-use", "not-learnt"))
}

/// Rules of which nothing came that they could look at.
fn without_source(seen: &Seen<'_>) -> Vec<WhyRow> {
    let (mut heard, mut deaf) = (BTreeSet::new(), BTreeMap::new());
    for (place, rule) in seen.rules.rules().iter().enumerate() {
        let Some(sigma) = rule.sigma.as_ref().filter(|_| !rule.silent) else { continue };
        let told = seen.rules.told_by(place);
        match wanted(&sigma.logsource) {
            Some(wanted) if !seen.sources.iter().any(|source| wanted.is(source)) => {
                deaf.insert(told, words(&sigma.logsource));
            }
            _ => {
                heard.insert(told);
            }
        }
    }
    let meant = |rule: &str| seen.is_meant(rule) && !heard.contains(rule);
    let deaf = deaf.into_iter().filter(|(rule, _)| meant(rule));
    deaf.map(|(rule, detail)| WhyRow { detail, ..row(rule, "no-source") }).collect()
}

/// What a rule looks at, where that can be said.
enum Wanted<'a> {
    Class(Class),
    Program(&'a str),
}

impl Wanted<'_> {
    fn is(&self, source: &Source) -> bool {
        match self {
            Self::Class(class) => source.class == class.name(),
            Self::Program(name) => source.format.contains(name) || source.service.contains(name),
        }
    }
}

fn wanted(source: &LogSource) -> Option<Wanted<'_>> {
    if let Some(category) = source.category.as_deref() {
        let known = CATEGORIES.iter().find(|(name, _)| *name == category);
        return known.map(|(_, class)| Wanted::Class(*class));
    }
    let service = source.service.as_deref()?;
    if LOG_INS.contains(&service) {
        return Some(Wanted::Class(Class::Authentication));
    }
    PROGRAMS.contains(&service).then_some(Wanted::Program(service))
}

fn words(source: &LogSource) -> String {
    let parts = [&source.category, &source.product, &source.service];
    parts.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use vonggac_wire::proto::{Entity, IncidentState};

    use super::*;

    const SINCE: Time = Time::from_seconds(1_764_000_000);

    fn source(class: Class, format: &str, service: &str) -> Source {
        Source {
            agency: "H49".into(),
            host: "web-1".into(),
            class: class.name().into(),
            format: format.into(),
            service: service.into(),
        }
    }

    fn told(seen: &Seen<'_>) -> Vec<(String, String)> {
        rows(seen).0.into_iter().map(|row| (row.reason, row.rule)).collect()
    }

    #[test]
    fn each_reason_is_told_by_its_word_and_a_rule_that_is_asked_for_alone() {
        let rules = RuleSet::builtin().unwrap();
        let periods = BTreeMap::new();
        let near = Near {
            rule: "ssh-brute-force".into(),
            entity: "203.0.113.7".into(),
            count: 3,
            wanted: 5,
            window_seconds: 300,
            last: SINCE,
        };
        let withheld = Withheld {
            period: "p-1".into(),
            signals: 4,
            rule: "sudo-abuse".into(),
            ..Withheld::default()
        };
        let incident = |id, agency: &str, last: Time, state: IncidentState| Incident {
            id,
            rule: "web-attack".into(),
            state: state.into(),
            agencies: vec![agency.into()],
            last_time_unix_nano: last.0,
            entity: Some(Entity { kind: "src_ip".into(), value: "203.0.113.9".into() }),
            ..Incident::default()
        };
        let incidents = [
            incident(1, "000.00.15.H49", SINCE, IncidentState::New),
            incident(2, "tk-48", SINCE, IncidentState::New),
            incident(3, "H49", Time(0), IncidentState::New),
            incident(4, "H49", SINCE, IncidentState::Closed),
        ];
        let sources = [
            source(Class::Http, "combined", "nginx"),
            source(Class::Authentication, "sshd", "sshd"),
        ];
        let seen = |rule| Seen {
            agency: "H49",
            rule,
            since: SINCE,
            state: HealthState::Silent,
            near: if rule.is_empty() { vec![near.clone()] } else { Vec::new() },
            withheld: vec![withheld.clone()],
            periods: &periods,
            incidents: &incidents,
            sources: &sources,
            rules: &rules,
            refused: &[],
            is_learnt: false,
        };
        let all = told(&seen(""));
        let has = |reason: &str, rule: &str| {
            all.iter().filter(|(one, other)| one == reason && other == rule).count()
        };
        for (reason, rule) in [
            ("silent", ""),
            ("threshold", "ssh-brute-force"),
            ("suppression", "sudo-abuse"),
            ("open", "web-attack"),
            ("not-learnt", "portal-without-use"),
            ("no-source", "port-scan"),
            ("no-source", "sudo-abuse"),
        ] {
            assert_eq!(has(reason, rule), 1, "{reason} {rule}: {all:?}");
        }
        assert_eq!(has("no-source", "web-attack") + has("no-source", "ssh-brute-force"), 0);
        let one = told(&seen("no-such"));
        let pair = |reason: &str, rule: &str| (reason.to_owned(), rule.to_owned());
        assert_eq!(one, [pair("silent", ""), pair("not-loaded", "no-such")]);
        let refused = ["a.yml:3: `detection` is missing".to_owned()];
        let broken = Seen { refused: &refused, ..seen("no-such") };
        assert_eq!(told(&broken).last(), Some(&pair("refused", "")));
        let scan = told(&Seen { state: HealthState::Fine, ..seen("port-scan") });
        assert_eq!(scan, [pair("no-source", "port-scan")]);
    }
}
