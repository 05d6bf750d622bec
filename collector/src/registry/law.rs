//! Laws' clocks: who owes what to whom, from when on, for how long, and how sure we are. Data; an unknown cell stays empty.

use serde::Deserialize;

use super::{RegistryError, rows, span, wrong};

const FILE: &str = "legal_clocks.csv";

/// What a row may say of what its clock begins with.
const STARTS: [&str; 10] = [
    "detection",
    "confirmation",
    "judged-beyond-capacity",
    "incident-opened",
    "year",
    "always",
    "event-time",
    "before-go-live",
    "2026-07-01",
    "",
];

/// A clock that a law sets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Its id.
    pub id: String,
    /// "deadline", "form", "calendar", "standing", "retention", "scope" or "review".
    pub kind: String,
    /// Its name.
    pub name_vi: String,
    /// Its name.
    pub name_en: String,
    /// When it starts.
    pub starts_on: String,
    /// "within", "immediate", "before", ...
    pub limit_kind: String,
    /// ISO 8601, e.g. P5D; a month and day, e.g. 06-20; or words.
    pub limit: String,
    /// Who owes it; empty: not known.
    pub reporter_role: String,
    /// Who is told, with `;` between; empty: not known.
    pub recipient_roles: String,
    /// The text, in English.
    pub citation: String,
    /// The same in Vietnamese.
    pub citation_vi: String,
    /// Its article; empty: not known.
    pub article: String,
    /// When it was made; empty: not known.
    pub issued_on: String,
    /// The first day on which it binds; empty: not known.
    pub applies_from: String,
    /// The last one; empty: not known.
    pub applies_to: String,
    /// Severities that it is limited to, with `;` between; empty: no such condition is known.
    pub if_severity: String,
    /// "attack", "fault".
    pub if_class: String,
    /// Grades of systems.
    pub if_grade: String,
    /// Kinds of agencies.
    pub if_agency_kind: String,
    /// How sure we are.
    pub confidence: String,
    /// What else was read.
    pub note: String,
}

/// What of an incident a law's conditions ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// 1 to 4.
    pub severity: u32,
    /// It is an attack; else a fault.
    pub is_attack: bool,
    /// Grades of its systems.
    pub grades: Vec<u32>,
    /// Kinds of its agencies.
    pub agency_kinds: Vec<String>,
    /// The day of its detection, e.g. 2026-11-24.
    pub day: String,
}

impl Clock {
    /// Whether its dates and conditions have this in them. What is not known limits nothing: a duty too many is seen, one too few is not.
    #[must_use]
    pub fn applies(&self, about: &About) -> bool {
        let class = if about.is_attack { "attack" } else { "fault" };
        let one_of = |wanted: &str, has: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.split(';').any(has)
        };
        // Days of one form are in the order of their letters.
        (self.applies_from.is_empty() || self.applies_from <= about.day)
            && (self.applies_to.is_empty() || about.day <= self.applies_to)
            && one_of(&self.if_severity, &|level| level == about.severity.to_string())
            && one_of(&self.if_class, &|wanted| wanted == class)
            && one_of(&self.if_grade, &|grade| about.grades.iter().any(|g| g.to_string() == grade))
            && one_of(&self.if_agency_kind, &|kind| about.agency_kinds.iter().any(|k| k == kind))
    }

    /// It can be owed for an incident.
    #[must_use]
    pub fn is_of_incidents(&self) -> bool {
        matches!(self.kind.as_str(), "deadline" | "form")
    }
}

/// The clocks of this build.
pub(super) fn builtin() -> Result<Vec<Clock>, RegistryError> {
    read(include_str!("../../registry/legal_clocks.csv"))
}

fn read(text: &str) -> Result<Vec<Clock>, RegistryError> {
    let clocks: Vec<Clock> = rows(FILE, text)?;
    for (at, clock) in clocks.iter().enumerate() {
        let list = |cell: &str, known: &dyn Fn(&str) -> bool| {
            cell.is_empty() || cell.split(';').all(known)
        };
        let level = |text: &str| matches!(text, "1" | "2" | "3" | "4");
        let day = |text: &str| text.is_empty() || text.parse::<jiff::civil::Date>().is_ok();
        let good = !clock.id.is_empty()
            && !clocks[..at].iter().any(|before| before.id == clock.id)
            && STARTS.contains(&clock.starts_on.as_str())
            && (clock.kind != "deadline" || span(&clock.limit).is_some())
            && list(&clock.if_severity, &level)
            && list(&clock.if_grade, &level)
            && list(&clock.if_class, &|class| matches!(class, "attack" | "fault"))
            && [&clock.issued_on, &clock.applies_from, &clock.applies_to]
                .iter()
                .all(|text| day(text))
            && !clock.confidence.is_empty();
        if !good {
            return Err(wrong(FILE, &clock.id));
        }
    }
    Ok(clocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About {
            severity: 2,
            is_attack: true,
            grades: vec![2, 3],
            agency_kinds: vec!["province".into()],
            day: "2026-11-24".into(),
        }
    }

    #[test]
    fn each_condition_and_date_limits_and_an_unknown_one_does_not() {
        let clock = Clock::default();
        assert!(clock.applies(&about()));
        let with = |change: &dyn Fn(&mut Clock)| {
            let mut clock = Clock::default();
            change(&mut clock);
            clock.applies(&about())
        };
        for (yes, no) in [("1;2", "1"), ("2", "3;4")] {
            assert!(with(&|clock| clock.if_severity = yes.into()));
            assert!(!with(&|clock| clock.if_severity = no.into()));
        }
        assert!(with(&|clock| clock.if_class = "attack".into()));
        assert!(!with(&|clock| clock.if_class = "fault".into()));
        assert!(with(&|clock| clock.if_grade = "3".into()));
        assert!(!with(&|clock| clock.if_grade = "1".into()));
        assert!(with(&|clock| clock.if_agency_kind = "city;province".into()));
        assert!(!with(&|clock| clock.if_agency_kind = "ministry".into()));
        assert!(with(&|clock| clock.applies_from = "2026-11-24".into()));
        assert!(!with(&|clock| clock.applies_from = "2026-11-25".into()));
        assert!(with(&|clock| clock.applies_to = "2026-11-24".into()));
        assert!(!with(&|clock| clock.applies_to = "2026-11-23".into()));
    }

    #[test]
    fn nothing_is_said_of_a_law_that_was_not_read() {
        let clocks = builtin().unwrap();
        let unsure = clocks.iter().filter(|clock| clock.confidence != "verified").count();
        assert_eq!((clocks.len(), unsure), (15, 14));
        assert!(clocks.iter().all(|clock| clock.applies_to.is_empty()), "nobody has read an end");
        assert!(clocks.iter().all(|clock| !clock.citation_vi.is_empty()));
    }

    #[test]
    fn a_row_with_a_wrong_cell_is_refused_by_its_id() {
        let head = include_str!("../../registry/legal_clocks.csv").lines().next().unwrap();
        let row = |starts: &str, limit: &str, severity: &str, from: &str| {
            let row = format!(
                "bad,deadline,v,e,{starts},within,{limit},,,c,c,1,,{from},,{severity},,,,sure,"
            );
            read(&format!("{head}\n{row}\n"))
        };
        assert!(row("detection", "P5D", "1;2", "2026-01-01").is_ok());
        for wrong in [
            row("tomorrow", "P5D", "", ""),
            row("detection", "soon", "", ""),
            row("detection", "P5D", "5", ""),
            row("detection", "P5D", "", "2026-13-01"),
        ] {
            assert!(wrong.unwrap_err().to_string().contains("bad"));
        }
    }
}
