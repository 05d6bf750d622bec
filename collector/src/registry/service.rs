//! How long answering and solving may take, and who is told when it takes longer: proposals of this project, as data.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::{RegistryError, rows, span, wrong};

const TIMES: &str = "service_times.csv";
const CHAIN: &str = "escalations.csv";

/// What a clock waits for: that somebody takes an incident, or that it is over.
pub const KINDS: [&str; 2] = ["answer", "solve"];

/// By which time a clock goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hours {
    /// Every second counts.
    AroundTheClock,
    /// Only what is worked.
    WorkingHours,
}

impl Hours {
    /// "around-the-clock" or "working-hours", as incidents keep it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AroundTheClock => "around-the-clock",
            Self::WorkingHours => "working-hours",
        }
    }
}

/// How long an incident may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until somebody takes it.
    pub answer: Duration,
    /// Until it is over.
    pub solve: Duration,
    /// By which time.
    pub hours: Hours,
}

impl Limits {
    /// The limit of a clock by its kind.
    #[must_use]
    pub fn of(&self, kind: &str) -> Duration {
        if kind == KINDS[0] { self.answer } else { self.solve }
    }
}

/// A step of the escalation chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// From 1.
    pub level: u32,
    /// How long after its clock ran out, by the clock's own time.
    pub after: Duration,
    /// Who is told.
    pub role: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimesRow {
    severity: u32,
    grade: Option<u32>,
    answer: String,
    solve: String,
    calendar: Hours,
    #[serde(rename = "source")]
    _source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelRow {
    clock: String,
    severity: u32,
    level: u32,
    after: String,
    role: String,
    #[serde(rename = "source")]
    _source: String,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// By severity and grade; without a grade: of any other.
    limits: BTreeMap<(u32, Option<u32>), Limits>,
    /// By clock and severity.
    chain: BTreeMap<(String, u32), Vec<Level>>,
}

impl Service {
    /// The data files of this build.
    pub(super) fn builtin() -> Result<Self, RegistryError> {
        Self::read(
            include_str!("../../registry/service_times.csv"),
            include_str!("../../registry/escalations.csv"),
        )
    }

    fn read(times: &str, chain: &str) -> Result<Self, RegistryError> {
        let mut service = Self::default();
        for row in rows::<TimesRow>(TIMES, times)? {
            let limits = Limits {
                answer: span(&row.answer).ok_or_else(|| wrong(TIMES, &row.answer))?,
                solve: span(&row.solve).ok_or_else(|| wrong(TIMES, &row.solve))?,
                hours: row.calendar,
            };
            let grade = row.grade.map_or_else(String::new, |grade| grade.to_string());
            if service.limits.insert((row.severity, row.grade), limits).is_some() {
                return Err(wrong(TIMES, &format!("{} {grade}", row.severity)));
            }
        }
        if let Some(lacking) =
            (1..=4).find(|severity| !service.limits.contains_key(&(*severity, None)))
        {
            return Err(wrong(TIMES, &format!("severity {lacking} without a grade")));
        }
        for row in rows::<LevelRow>(CHAIN, chain)? {
            let after = span(&row.after).ok_or_else(|| wrong(CHAIN, &row.after))?;
            let known = KINDS.contains(&row.clock.as_str()) && (1..=4).contains(&row.severity);
            let place = format!("{} {} {}", row.clock, row.severity, row.level);
            let levels = service.chain.entry((row.clock, row.severity)).or_default();
            let follows = levels.len() as u64 + 1 == u64::from(row.level)
                && levels.last().is_none_or(|before| before.after <= after);
            if !known || !follows || row.role.is_empty() {
                return Err(wrong(CHAIN, &place));
            }
            levels.push(Level { level: row.level, after, role: row.role });
        }
        Ok(service)
    }

    /// How long an incident of a severity (1 to 4) may take that touches a system of a grade.
    #[must_use]
    pub fn limits(&self, severity: u32, grade: Option<u32>) -> Option<Limits> {
        let severity = severity.clamp(1, 4);
        let of_grade = grade.and_then(|_| self.limits.get(&(severity, grade)));
        of_grade.or_else(|| self.limits.get(&(severity, None))).copied()
    }

    /// Who is told after a clock ran out, in order.
    #[must_use]
    pub fn chain(&self, clock: &str, severity: u32) -> &[Level] {
        let levels = self.chain.get(&(clock.to_owned(), severity.clamp(1, 4)));
        levels.map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES_HEAD: &str = "severity,grade,answer,solve,calendar,source\n";
    const CHAIN_HEAD: &str = "clock,severity,level,after,role,source\n";

    #[test]
    fn an_essential_system_is_answered_sooner_than_a_general_one() {
        let service = Service::builtin().unwrap();
        let answer = |severity, grade| service.limits(severity, grade).unwrap().answer;
        assert!(answer(2, Some(1)) < answer(2, Some(4)));
        assert_eq!(answer(2, Some(4)), answer(2, None));
        for severity in 1..=4 {
            assert!(!service.chain("answer", severity).is_empty());
            assert!(!service.chain("solve", severity).is_empty());
        }
    }

    #[test]
    fn wrong_rows_are_refused_with_their_place() {
        let times: String = (1..=4)
            .map(|severity| format!("{severity},,PT5M,PT30M,around-the-clock,s\n"))
            .collect();
        let times = format!("{TIMES_HEAD}{times}");
        let refused = |times: &str, chain: &str| {
            Service::read(times, &format!("{CHAIN_HEAD}{chain}")).unwrap_err().to_string()
        };
        assert!(Service::read(&times, CHAIN_HEAD).is_ok());
        assert!(refused(TIMES_HEAD, "").contains("severity 1"));
        assert!(refused(&format!("{times}1,,PT5M,PT30M,around-the-clock,s\n"), "").contains("1 "));
        assert!(
            refused(&format!("{times}1,2,soon,PT30M,around-the-clock,s\n"), "").contains("soon")
        );
        for chain in [
            "nap,1,1,PT0S,lead,s\n",
            "answer,9,1,PT0S,lead,s\n",
            "answer,1,2,PT0S,lead,s\n",
            "answer,1,1,PT0S,,s\n",
            "answer,1,1,PT9S,lead,s\nanswer,1,2,PT1S,lead,s\n",
        ] {
            let place = chain.split(",PT").next().unwrap_or_default().replace(',', " ");
            assert!(refused(&times, chain).contains(&place[..3]), "{chain}");
        }
    }
}
