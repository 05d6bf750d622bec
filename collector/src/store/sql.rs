//! What somebody may ask in SQL: one statement that reads, written anew so that it sees what its caller reaches and nothing else.
//!
//! The statement is parsed, every part of it is held against lists of what is known ([`guard`]), each table is replaced by a query of the
//! rows that are reached ([`rewrite`]), and what comes out is parsed again and looked through once more before the engine gets it.
//! What is not known is refused: a new kind of clause has to be thought about first.

use sqlparser::{ast::Statement, dialect::ClickHouseDialect, parser::Parser};

use super::StoreError;
use crate::trust::{role::Role, scope::Scope};

mod guard;
mod policy;
mod rewrite;

pub use policy::row_policies;

/// Bytes of a statement: longer ones are no question of a person's.
const QUERY_BYTES_MAX: usize = 64 << 10;

/// How deep a statement may be nested before its reading is given up.
const DEPTH_MAX: usize = 40;

/// Tables whose rows belong to an agency, with columns that `*` leaves out.
const OF_AGENCIES: [(&str, &str); 10] = [
    ("events", ", day, folded"),
    ("events_all", ""),
    ("rollups", ""),
    ("rollup_minute", ""),
    ("rollup_hour", ""),
    ("rollup_day", ""),
    ("gaps", ""),
    ("dead_letters", ""),
    ("batches", ""),
    ("receipts", ""),
];

/// Of those, the lines of agencies' machines, which an auditor does not read.
const LINES: [&str; 2] = ["events", "events_all"];

/// The centre's own books: whoever reaches the nation reads them.
const BOOKS: [&str; 16] = [
    "transitions",
    "notifications",
    "dead_settled",
    "canaries",
    "progress",
    "saved_searches",
    "threat_entries",
    "quiet_periods",
    "hold_events",
    "deletions",
    "cold_files",
    "retention_policies",
    "tenures",
    "leases",
    "schema_migrations",
    "events_before",
];

/// What auditors and administrators alone read.
const AUDIT: [&str; 4] = ["audit", "audit_heads", "certificates", "break_glass"];

/// What somebody may read in SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// The agencies whose rows alone are seen; `None`: the nation.
    agencies: Option<Vec<String>>,
    lines: bool,
    books: bool,
    audit: bool,
}

impl Rights {
    /// Of a role with its scope.
    #[must_use]
    pub fn of(role: Role, scope: &Scope) -> Self {
        let agencies = match scope {
            Scope::Nation => None,
            Scope::Agencies(agencies) => Some(agencies.clone()),
            // The call is refused before; here it has no row.
            Scope::Cases(_) => Some(Vec::new()),
        };
        let is_nation = agencies.is_none();
        Self {
            agencies,
            lines: role != Role::Auditor,
            books: is_nation,
            audit: is_nation && matches!(role, Role::Auditor | Role::Administrator),
        }
    }

    /// Everything, for the programs of the centre themselves.
    #[must_use]
    pub fn all() -> Self {
        Self::of(Role::Administrator, &Scope::Nation)
    }

    fn tables(&self) -> Vec<&'static str> {
        let own = OF_AGENCIES.iter().map(|(name, _)| *name);
        let own = own.filter(|name| self.lines || !LINES.contains(name));
        let books = BOOKS.into_iter().filter(|_| self.books);
        own.chain(books).chain(AUDIT.into_iter().filter(|_| self.audit)).collect()
    }
}

fn forbidden(text: impl Into<String>) -> StoreError {
    StoreError::Forbidden(text.into())
}

/// The statement as the engine may carry it out for somebody.
///
/// # Errors
/// Why it may not be run.
pub fn confined(query: &str, rights: &Rights, database: &str) -> Result<String, StoreError> {
    let tag = uuid::Uuid::new_v4().simple().to_string();
    confined_as(query, rights, database, &tag)
}

/// The same, with names of this tag that nobody who writes a statement can know.
fn confined_as(
    query: &str,
    rights: &Rights,
    database: &str,
    tag: &str,
) -> Result<String, StoreError> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(forbidden(format!(
            "it has {} bytes, at most {QUERY_BYTES_MAX} are read",
            query.len()
        )));
    }
    let mut statements = parse(query)?;
    let given = statements.len();
    let (Some(mut statement), true) = (statements.pop(), given == 1) else {
        return Err(forbidden(format!("{given} statements were given, one is allowed")));
    };
    let place = rewrite::Place { rights, database, tag };
    match &mut statement {
        Statement::Query(query) => rewrite::query(query, &place),
        Statement::ShowTables { .. } => Ok(rewrite::shown(rights)),
        Statement::ExplainTable { table_name, .. } => rewrite::described(table_name, &place),
        _ => Err(forbidden("only SELECT, WITH, SHOW TABLES and DESCRIBE may be asked")),
    }
}

fn parse(query: &str) -> Result<Vec<Statement>, StoreError> {
    Parser::new(&ClickHouseDialect {})
        .with_recursion_limit(DEPTH_MAX)
        .try_with_sql(query)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error| forbidden(error.to_string()))
}

#[cfg(test)]
mod tests;
