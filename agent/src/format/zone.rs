//! Zones by the names that logs give them: those of the tz database, and abbreviations that mean one thing.

use jiff::tz::{Offset, TimeZone};

use super::clock;

/// Abbreviations and their hours from UTC. Those that several lands use for different hours (IST, CST of China) are left out or taken
/// as most programs print them.
const ABBREVIATIONS: &[(&str, i8)] = &[
    ("UTC", 0),
    ("GMT", 0),
    ("Z", 0),
    ("WET", 0),
    ("WEST", 1),
    ("BST", 1),
    ("CET", 1),
    ("CEST", 2),
    ("EET", 2),
    ("EEST", 3),
    ("MSK", 3),
    ("ICT", 7),
    ("WIB", 7),
    ("SGT", 8),
    ("HKT", 8),
    ("JST", 9),
    ("KST", 9),
    ("AEST", 10),
    ("AEDT", 11),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
];

/// The zone of this name.
pub(super) fn named(name: &str) -> Option<TimeZone> {
    if let Some((zone, "")) = clock::offset(name) {
        return Some(zone);
    }
    let hours = ABBREVIATIONS.iter().find(|(known, _)| *known == name).map(|(_, hours)| *hours);
    match hours {
        Some(hours) => Offset::from_hours(hours).ok().map(Offset::to_time_zone),
        None => TimeZone::get(name).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviations_of_summer_and_names_of_the_database_are_known() {
        for name in ["CEST", "ICT", "Asia/Ho_Chi_Minh", "UTC", "+0700", "-05:30"] {
            assert!(named(name).is_some(), "{name}");
        }
        assert!(named("../../etc/passwd").is_none() && named("FOO").is_none());
    }
}
