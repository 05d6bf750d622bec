//! What an operator may ask in SQL: one statement that reads, and no function that leaves the store.

use std::ops::ControlFlow;

use sqlparser::{
    ast::{Expr, ObjectName, Query, Statement, TableFactor, Visit, Visitor},
    dialect::ClickHouseDialect,
    parser::Parser,
};

use super::StoreError;

/// Table functions that read this database or nothing at all; every other one is refused by name.
const TABLE_FUNCTIONS: [&str; 3] = ["numbers", "zeros", "values"];

/// Functions that reach files, other servers or secrets.
const FUNCTIONS_REFUSED: [&str; 6] =
    ["file", "getsetting", "getserversetting", "catboostevaluate", "filesystemavailable", "sleep"];

/// Checks a query and gives it back as the parser understood it.
///
/// # Errors
/// Why it may not be run.
pub fn read_only(query: &str) -> Result<String, StoreError> {
    let forbidden = |text: String| StoreError::Forbidden(text);
    let statements = Parser::parse_sql(&ClickHouseDialect {}, query)
        .map_err(|error| forbidden(error.to_string()))?;
    let [statement] = statements.as_slice() else {
        return Err(forbidden(format!(
            "{} statements were given, one is allowed",
            statements.len()
        )));
    };
    if !matches!(
        statement,
        Statement::Query(_)
            | Statement::ShowTables { .. }
            | Statement::ExplainTable { .. }
            | Statement::Explain { .. }
    ) {
        return Err(forbidden(
            "only SELECT, WITH, SHOW TABLES, DESCRIBE and EXPLAIN may be asked".into(),
        ));
    }
    let mut guard = Guard;
    match statement.visit(&mut guard) {
        ControlFlow::Continue(()) => Ok(statement.to_string()),
        ControlFlow::Break(reason) => Err(forbidden(reason)),
    }
}

struct Guard;

impl Visitor for Guard {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        if query.settings.is_some() {
            return ControlFlow::Break(
                "SETTINGS may not be given: the limits are the centre's".into(),
            );
        }
        if query.format_clause.is_some() {
            return ControlFlow::Break("FORMAT may not be given: --format says the form".into());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<String> {
        let name = match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => {
                name.to_string()
            }
            TableFactor::TableFunction { expr, .. } => expr.to_string(),
            _ => return ControlFlow::Continue(()),
        };
        let plain =
            name.split('(').next().unwrap_or("").trim_matches(['`', '"']).to_ascii_lowercase();
        if TABLE_FUNCTIONS.contains(&plain.as_str()) {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(format!("the table function {plain} may not be used"))
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<String> {
        let name = relation.to_string().replace(['`', '"'], "").to_ascii_lowercase();
        match name.split_once('.') {
            Some((database, _)) if database != "vonggac" => {
                ControlFlow::Break(format!("the database {database} may not be read"))
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_expr(&mut self, expression: &Expr) -> ControlFlow<String> {
        if let Expr::Function(function) = expression {
            let name = function.name.to_string().replace(['`', '"'], "").to_ascii_lowercase();
            if FUNCTIONS_REFUSED.contains(&name.as_str()) || name.starts_with("dictget") {
                return ControlFlow::Break(format!("the function {name} may not be used"));
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_allowed() {
        for query in [
            "SELECT count() FROM events",
            "WITH a AS (SELECT agency, time FROM events) SELECT agency FROM a WHERE time > now() - INTERVAL 1 HOUR GROUP BY agency LIMIT 5",
            "SELECT number FROM numbers(5)",
            "SELECT * FROM vonggac.events ORDER BY time DESC LIMIT 1",
        ] {
            assert!(read_only(query).is_ok(), "{query}: {:?}", read_only(query));
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for query in [
            "DROP TABLE events",
            "INSERT INTO events VALUES (1)",
            "SELECT 1; SELECT 2",
            "SELECT * FROM url('http://a/', CSV, 'a String')",
            "SELECT * FROM file('/etc/passwd', 'LineAsString')",
            "SELECT * FROM (SELECT * FROM remote('h', a, b))",
            "SELECT * FROM s3('x')",
            "SELECT * FROM system.tables",
            "SELECT file('/etc/passwd')",
            "SELECT 1 UNION ALL SELECT * FROM executable('x', CSV, 'a String')",
            "SET readonly = 0",
            "SELECT count() FROM events SETTINGS max_execution_time = 0",
            "SELECT * FROM (SELECT 1 SETTINGS max_rows_to_read = 0)",
            "WITH a AS (SELECT 1 SETTINGS max_rows_to_read = 0) SELECT * FROM a",
            "SELECT 1 FORMAT TSV",
            "no sql",
        ] {
            assert!(read_only(query).is_err(), "{query}");
        }
    }
}
