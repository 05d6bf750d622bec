//! How much of the store a caller may use, by kind of caller, as data: one search never takes the machine from the watch.
//!
//! ```toml
//! [queries.operator]
//! time_max = "30s"
//! rows_read_max = 20000000000
//! bytes_read_max = "1024GiB"
//! at_once_max = 3
//! tails_max = 8
//! ```

use std::time::Duration;

use vonggac_daemon::settings::Table;

/// What a caller comes as.
///
/// The console says it of itself as long as there are no certificates: `--observer` is an observer, everybody else an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Acts on incidents.
    Operator,
    /// Looks alone.
    Observer,
}

impl Role {
    /// As it is called; what is unknown has the least.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        if name == "operator" { Self::Operator } else { Self::Observer }
    }

    /// The name in settings and refusals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Observer => "observer",
        }
    }
}

/// The limits of one kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How long the engine may work for one question.
    pub time_max: Duration,
    /// Rows that it may read for one.
    pub rows_read_max: u64,
    /// Bytes that it may read for one, before compression.
    pub bytes_read_max: u64,
    /// Questions of all such callers at once.
    pub at_once_max: usize,
    /// Live tails of all such callers at once.
    pub tails_max: usize,
}

/// Half a minute, a third of a month of a nation at 25,000 events a second, and three of the six connections that the engine of one machine
/// has: blocks, the picture and the order to stop always find one.
pub const OPERATOR: Allowance = Allowance {
    time_max: Duration::from_secs(30),
    rows_read_max: 20_000_000_000,
    bytes_read_max: 1 << 40,
    at_once_max: 3,
    tails_max: 8,
};

/// Ten seconds and one connection.
pub const OBSERVER: Allowance = Allowance {
    time_max: Duration::from_secs(10),
    rows_read_max: 1_000_000_000,
    bytes_read_max: 64 << 30,
    at_once_max: 1,
    tails_max: 4,
};

/// Of each kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowances {
    /// See [`OPERATOR`].
    pub operator: Allowance,
    /// See [`OBSERVER`].
    pub observer: Allowance,
}

impl Default for Allowances {
    fn default() -> Self {
        Self { operator: OPERATOR, observer: OBSERVER }
    }
}

impl Allowances {
    /// From the table `[queries]`; what is not said is the default.
    pub fn take(root: &mut Table<'_>) -> Self {
        root.table("queries", |queries| Self {
            operator: queries.table("operator", |table| one(table, OPERATOR)),
            observer: queries.table("observer", |table| one(table, OBSERVER)),
        })
    }

    /// A kind's.
    #[must_use]
    pub const fn of(&self, role: Role) -> &Allowance {
        match role {
            Role::Operator => &self.operator,
            Role::Observer => &self.observer,
        }
    }
}

fn one(table: &mut Table<'_>, default: Allowance) -> Allowance {
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Allowance {
        time_max: table
            .duration("time_max", Duration::from_secs(1), Duration::from_secs(3_600))
            .unwrap_or(default.time_max),
        rows_read_max: table
            .integer("rows_read_max", 1, i64::MAX.unsigned_abs())
            .unwrap_or(default.rows_read_max),
        bytes_read_max: table
            .bytes("bytes_read_max", 1 << 20, 1 << 50)
            .unwrap_or(default.bytes_read_max),
        at_once_max: table.integer("at_once_max", 1, 64).map_or(default.at_once_max, count),
        tails_max: table.integer("tails_max", 0, 64).map_or(default.tails_max, count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_unknown_may_do_the_least() {
        assert_eq!(Role::from_name("operator"), Role::Operator);
        for name in ["observer", "", "root"] {
            assert_eq!(Role::from_name(name), Role::Observer, "{name}");
        }
        let all = Allowances::default();
        let (most, least) = (all.of(Role::Operator), all.of(Role::Observer));
        assert!(least.time_max < most.time_max && least.rows_read_max < most.rows_read_max);
        // The engine of one machine has six connections; a block and the order to stop need one each.
        assert!(most.at_once_max + least.at_once_max <= 4);
    }
}
