//! Agencies and systems, with their dates. Data files of the project, embedded; read once.

use std::{collections::HashMap, time::Duration};

use jiff::{Span, SpanRelativeTo};
use serde::Deserialize;

use crate::calendar::Calendar;

mod days;
mod law;
mod service;

pub use law::{About, Clock};
pub use service::{Hours, KINDS, Level, Limits, Service};

/// Why the data files are wrong.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A row does not read.
    #[error("read the registry's {file}: {source}")]
    Row {
        /// The file.
        file: &'static str,
        /// Why.
        source: csv::Error,
    },
    /// A name that another row speaks of does not exist.
    #[error("read the registry's {file}: {name:?} is named but not there")]
    Orphan {
        /// The file.
        file: &'static str,
        /// The name.
        name: String,
    },
    /// A cell says what it may not.
    #[error(
        "read the registry's {file}: {cell:?} is not what may stand there, or stands there twice"
    )]
    Cell {
        /// The file.
        file: &'static str,
        /// The cell, or the row that it stands in.
        cell: String,
    },
}

fn wrong(file: &'static str, cell: &str) -> RegistryError {
    RegistryError::Cell { file, cell: cell.to_owned() }
}

/// An ISO 8601 duration of days, hours, minutes and seconds; a day has 24 hours.
#[must_use]
pub fn span(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?.try_into().ok()
}

/// An agency.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Agency {
    /// Its code.
    pub code: String,
    /// "qd-20-2020", "stat-standin" or "local".
    pub scheme: String,
    /// Two digits, for territories.
    pub statistics_code: String,
    /// Its name.
    pub name_vi: String,
    /// Its name.
    pub name_en: String,
    /// For tiles.
    pub short_vi: String,
    /// For tiles.
    pub short_en: String,
    /// "province", "city", "ministry", ...
    pub kind: String,
    /// "province", "ministry", "other" or "local": where the board has it.
    pub board_group: String,
    /// First day of which we know.
    pub valid_from: String,
    /// Last day; empty: today's.
    pub valid_to: String,
    /// The heir's code.
    pub successor: String,
    /// Why it is not watched; empty: it is.
    pub excluded: String,
    /// Where this is from.
    pub source: String,
}

/// A kind of system. Instances are named by it and their agency.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct System {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name_vi: String,
    /// Its name.
    pub name_en: String,
    /// 1 essential to 4 general.
    pub grade: u32,
    /// "national": one for all; "agency": each agency has its own.
    pub scope: String,
    /// The owner of a national one.
    pub owner: String,
    /// Systems without which it does not work, separated by `;`.
    pub depends_on: String,
    /// First day of which we know.
    pub valid_from: String,
    /// Last day; empty: today's.
    pub valid_to: String,
    /// Where this is from.
    pub source: String,
}

impl System {
    /// One for the whole nation.
    #[must_use]
    pub fn is_national(&self) -> bool {
        self.scope == "national"
    }

    /// What it needs.
    pub fn dependencies(&self) -> impl Iterator<Item = &str> {
        self.depends_on.split(';').filter(|id| !id.is_empty())
    }
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Registry {
    agencies: Vec<Agency>,
    by_code: HashMap<String, usize>,
    systems: HashMap<String, System>,
    clocks: Vec<Clock>,
    service: Service,
    calendar: Calendar,
}

fn rows<T: for<'a> Deserialize<'a>>(
    file: &'static str,
    text: &str,
) -> Result<Vec<T>, RegistryError> {
    csv::Reader::from_reader(text.as_bytes())
        .deserialize()
        .collect::<Result<_, _>>()
        .map_err(|source| RegistryError::Row { file, source })
}

impl Registry {
    /// The data files of this build.
    ///
    /// # Errors
    /// If they are wrong, which a test would show.
    pub fn builtin() -> Result<Self, RegistryError> {
        let agencies: Vec<Agency> = rows("agencies.csv", include_str!("../registry/agencies.csv"))?;
        let systems: Vec<System> = rows("systems.csv", include_str!("../registry/systems.csv"))?;
        let clocks = law::builtin()?;
        let by_code: HashMap<String, usize> =
            agencies.iter().enumerate().map(|(at, agency)| (agency.code.clone(), at)).collect();
        let systems: HashMap<String, System> =
            systems.into_iter().map(|system| (system.id.clone(), system)).collect();
        for system in systems.values() {
            let orphan =
                |name: &str| RegistryError::Orphan { file: "systems.csv", name: name.to_owned() };
            if let Some(name) = system.dependencies().find(|id| !systems.contains_key(*id)) {
                return Err(orphan(name));
            }
            if !system.owner.is_empty() && !by_code.contains_key(&system.owner) {
                return Err(orphan(&system.owner));
            }
        }
        let (service, calendar) = (Service::builtin()?, days::builtin()?);
        Ok(Self { agencies, by_code, systems, clocks, service, calendar })
    }

    /// An agency by its code.
    #[must_use]
    pub fn agency(&self, code: &str) -> Option<&Agency> {
        self.by_code.get(code).map(|at| &self.agencies[*at])
    }

    /// All agencies, in the board's order.
    #[must_use]
    pub fn agencies(&self) -> &[Agency] {
        &self.agencies
    }

    /// A system by its id.
    #[must_use]
    pub fn system(&self, id: &str) -> Option<&System> {
        self.systems.get(id)
    }

    /// Ids of the systems of a grade, in the order of their names.
    #[must_use]
    pub fn systems_of_grade(&self, grade: u64) -> Vec<String> {
        let of_grade = self.systems.values().filter(|system| u64::from(system.grade) == grade);
        let mut ids: Vec<String> = of_grade.map(|system| system.id.clone()).collect();
        ids.sort_unstable();
        ids
    }

    /// Laws' clocks.
    #[must_use]
    pub fn clocks(&self) -> &[Clock] {
        &self.clocks
    }

    /// How long answering and solving may take.
    #[must_use]
    pub const fn service(&self) -> &Service {
        &self.service
    }

    /// Working hours and holidays.
    #[must_use]
    pub const fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// The gravest grade (the least number) of these systems; `None`: none of them is known.
    #[must_use]
    pub fn grade(&self, systems: &[String]) -> Option<u32> {
        systems.iter().filter_map(|id| self.system(id)).map(|system| system.grade).min()
    }

    /// The name that people call an agency by.
    #[must_use]
    pub fn short_name(&self, code: &str) -> (String, String) {
        self.agency(code).map_or_else(
            || (code.to_owned(), code.to_owned()),
            |agency| (agency.short_vi.clone(), agency.short_en.clone()),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_has_thirty_four_territories_and_seventeen_ministries() {
        let registry = Registry::builtin().unwrap();
        let count =
            |group: &str| registry.agencies().iter().filter(|a| a.board_group == group).count();
        assert_eq!((count("province"), count("ministry"), count("local")), (34, 17, 1));
        assert!(registry.agencies().iter().all(|a| vonggac_wire::AgencyId::new(&a.code).is_ok()));
        assert!(registry.agencies().iter().all(|a| a.short_vi.chars().count() <= 11));
    }

    #[test]
    fn codes_are_used_once_and_unknown_ones_stay_unknown() {
        let registry = Registry::builtin().unwrap();
        assert_eq!(registry.by_code.len(), registry.agencies.len());
        assert_eq!(registry.agency("H49").unwrap().statistics_code, "22");
        assert!(registry.agency("tk-48").is_some() && registry.agency("H01").is_none());
        assert_eq!(registry.agencies().iter().filter(|a| !a.excluded.is_empty()).count(), 2);
    }
}
