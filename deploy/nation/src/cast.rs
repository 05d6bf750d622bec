//! Who plays: 34 provinces and 17 ministries with their systems and agents, the same for the same seed.

use std::collections::HashMap;

use serde::Deserialize;
use vonggac_wire::AgencyId;

/// The registry's agencies.
const AGENCIES: &str = include_str!("../../../collector/registry/agencies.csv");

/// Systems that each agency runs, with the hosts of each. The first is the portal.
const SYSTEMS: [(&str, u32); 5] = [
    ("agency-one-stop", 4),
    ("document-work-file", 2),
    ("lgsp", 2),
    ("citizen-data-store", 1),
    ("central-security-monitoring", 2),
];

/// A ministry that has not been connected yet: somebody never is.
const NOT_CONNECTED: &str = "G21";

/// Why there is no cast.
#[derive(Debug, thiserror::Error)]
pub enum CastError {
    /// A row does not read.
    #[error("read the registry's agencies: {0}")]
    Row(#[from] csv::Error),
    /// A code is malformed.
    #[error("read the registry's agencies: {0}")]
    Code(#[from] vonggac_wire::id::IdError),
}

#[derive(Debug, Deserialize)]
struct Row {
    code: String,
    board_group: String,
    excluded: String,
}

/// An agent of the play.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Player {
    /// Its agency.
    pub agency: AgencyId,
    /// Its host.
    pub host: String,
    /// The host's system.
    pub system: &'static str,
    /// The first host of the portal: it probes, and dossiers come through it.
    pub leads: bool,
    /// Its place among all, for spreading over a second.
    pub number: usize,
}

/// All agents.
///
/// # Errors
/// If the registry's file is wrong, which a test would show.
pub fn players() -> Result<Vec<Player>, CastError> {
    let mut players = Vec::new();
    for row in csv::Reader::from_reader(AGENCIES.as_bytes()).deserialize() {
        let row: Row = row?;
        if !matches!(row.board_group.as_str(), "province" | "ministry")
            || !row.excluded.is_empty()
            || row.code == NOT_CONNECTED
        {
            continue;
        }
        let agency = AgencyId::new(&row.code)?;
        for (system, hosts) in SYSTEMS {
            for host in 1..=hosts {
                let number = players.len();
                players.push(Player {
                    agency: agency.clone(),
                    host: format!("{}-{host}", &system[..3]),
                    system,
                    leads: system == "agency-one-stop" && host == 1,
                    number,
                });
            }
        }
    }
    Ok(players)
}

/// Agents by agency.
#[must_use]
pub fn by_agency(players: &[Player]) -> HashMap<&str, Vec<&Player>> {
    let mut map: HashMap<&str, Vec<&Player>> = HashMap::new();
    for player in players {
        map.entry(player.agency.as_str()).or_default().push(player);
    }
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_five_hundred_agents_and_two_hundred_systems_and_none_of_the_excluded() {
        let players = players().unwrap();
        assert!(players.len() >= 500, "{}", players.len());
        let agencies = by_agency(&players);
        assert_eq!(agencies.len(), 34 + 17 - 2 - 1);
        assert!(agencies.len() * SYSTEMS.len() >= 200);
        assert!(!agencies.contains_key("G01") && !agencies.contains_key("G11"));
    }
}
