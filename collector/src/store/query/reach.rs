//! Which rows somebody reaches, as a condition in each query's own text.

use vonggac_wire::proto::Incident;

use super::condition::{Condition, Value, of_incidents};
use crate::trust::scope::{Scope, beginning, ending};

/// Rows that somebody reaches.
#[derive(Clone, Debug)]
pub enum Reach {
    /// All.
    Nation,
    /// Those of these agencies and of those under them.
    Agencies(Vec<String>),
    /// What these incidents are about.
    Incidents(Vec<Incident>),
}

impl Reach {
    /// Of a scope, given all incidents.
    #[must_use]
    pub fn of(scope: &Scope, known: &[Incident]) -> Self {
        match scope {
            Scope::Nation => Self::Nation,
            Scope::Agencies(agencies) => Self::Agencies(agencies.clone()),
            Scope::Cases(_) => {
                let own = known.iter().filter(|incident| scope.has_incident(incident));
                Self::Incidents(own.cloned().collect())
            }
        }
    }

    /// What holds for a row of a table with a column `agency`; `None`: every row is reached.
    pub(in crate::store) fn condition(&self) -> Option<Condition> {
        match self {
            Self::Nation => None,
            Self::Agencies(agencies) => Some(of_agencies(agencies)),
            Self::Incidents(incidents) => Some(of_incidents(incidents)),
        }
    }

    /// As [`Self::condition`], to stand behind other conditions.
    pub(in crate::store) fn and(&self) -> Condition {
        match self.condition() {
            None => Condition { text: String::new(), values: Vec::new() },
            Some(condition) => {
                Condition { text: format!(" AND ({})", condition.text), values: condition.values }
            }
        }
    }
}

fn of_agencies(agencies: &[String]) -> Condition {
    if agencies.is_empty() {
        return Condition { text: "0".into(), values: Vec::new() };
    }
    let mut parts = vec![format!("agency IN ({})", vec!["?"; agencies.len()].join(", "))];
    let mut values: Vec<Value> = agencies.iter().cloned().map(Value::Text).collect();
    for agency in agencies {
        parts.push("startsWith(agency, ?) OR endsWith(agency, ?)".into());
        values.extend([Value::Text(beginning(agency)), Value::Text(ending(agency))]);
    }
    Condition { text: parts.join(" OR "), values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reach_is_a_condition_whose_values_are_bound() {
        assert!(Reach::of(&Scope::Nation, &[]).condition().is_none());
        let two = Scope::Agencies(vec!["H49".into(), "000.00.15.H26".into()]);
        let condition = Reach::of(&two, &[]).condition().unwrap();
        assert_eq!(
            condition.text,
            "agency IN (?, ?) OR startsWith(agency, ?) OR endsWith(agency, ?) OR startsWith(agency, ?) OR endsWith(agency, ?)"
        );
        assert_eq!(condition.values.len(), 6);
        let cases = Reach::of(&Scope::Cases("lan".into()), &[Incident::default()]);
        assert_eq!(cases.condition().unwrap().text, "0");
        assert_eq!(Reach::Agencies(Vec::new()).and().text, " AND (0)");
    }
}
