//! Pages of the audit log, newest first.

use vonggac_wire::{
    AgencyId, Time,
    proto::{AuditRecord, AuditRequest},
};

use super::{Store, StoreError};
use crate::trust::audit::AuditRow;

/// Rows of one page.
pub const PAGE_ROWS_MAX: u32 = 1_000;

/// Where a page ends: time in microseconds, chain and number of its last row.
type Cursor = (i64, String, u64);

/// A page.
#[derive(Clone, Debug, Default)]
pub struct AuditPage {
    /// Its rows.
    pub records: Vec<AuditRecord>,
    /// Where the next one begins; empty: there is none.
    pub next_cursor: String,
}

/// What holds for the rows that are asked for, and the texts and numbers in it, in their order.
struct Wanted {
    conditions: Vec<String>,
    values: Vec<Value>,
}

#[derive(Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    Time(i64),
    Number(u64),
}

impl Wanted {
    fn of(request: &AuditRequest, since: Time, until: Time) -> Result<Self, StoreError> {
        let mut wanted = Self { conditions: Vec::new(), values: Vec::new() };
        let mut add = |text: &str, value: Value| {
            wanted.conditions.push(text.to_owned());
            wanted.values.push(value);
        };
        add("time >= fromUnixTimestamp64Micro(?)", Value::Time(since.micros()));
        add("time <= fromUnixTimestamp64Micro(?)", Value::Time(until.micros()));
        for (text, value) in [
            ("who = ?", &request.who),
            ("call = ?", &request.call),
            ("outcome = ?", &request.outcome),
        ] {
            if !value.is_empty() {
                add(text, Value::Text(value.clone()));
            }
        }
        if !request.agency.is_empty() {
            let agency = AgencyId::folded(&request.agency)
                .map_err(|error| StoreError::Forbidden(error.to_string()))?;
            // Rows of before the column, and queries, say it in their words alone.
            wanted
                .conditions
                .push("(match(agency, ?) OR (agency = '' AND match(words, ?)))".to_owned());
            let named = named(agency.as_str());
            wanted.values.extend([Value::Text(named.clone()), Value::Text(named)]);
        }
        if !request.cursor.is_empty() {
            let (time, chain, number) = cursor_of(&request.cursor).ok_or_else(|| {
                StoreError::Forbidden("the cursor is none that a page before gave".into())
            })?;
            wanted
                .conditions
                .push("(toUnixTimestamp64Micro(time), toString(chain), number) < (?, ?, ?)".into());
            wanted.values.extend([Value::Time(time), Value::Text(chain), Value::Number(number)]);
        }
        Ok(wanted)
    }
}

/// A code as a word of its own, or at the end of the code of one under it.
fn named(agency: &str) -> String {
    format!("(^|[^0-9A-Za-z-]){}($|[^0-9A-Za-z-])", agency.replace('.', "[.]"))
}

fn cursor_of(text: &str) -> Option<Cursor> {
    let (time, rest) = text.split_once(' ')?;
    let (number, chain) = rest.split_once(' ')?;
    Some((time.parse().ok()?, chain.to_owned(), number.parse().ok()?))
}

impl Store {
    /// A page of what was done, newest first.
    ///
    /// # Errors
    /// If the engine does not answer, or the request is none.
    pub async fn audit_page(
        &self,
        request: &AuditRequest,
        since: Time,
        until: Time,
    ) -> Result<AuditPage, StoreError> {
        let limit = match request.limit {
            0 => PAGE_ROWS_MAX,
            limit => limit.min(PAGE_ROWS_MAX),
        };
        let wanted = Wanted::of(request, since, until)?;
        let text = format!(
            "SELECT ?fields FROM audit WHERE {} ORDER BY time DESC, toString(chain) DESC, number DESC LIMIT {limit}",
            wanted.conditions.join(" AND ")
        );
        let query =
            wanted.values.into_iter().fold(
                self.client().query(&text),
                |query, value| match value {
                    Value::Text(text) => query.bind(text),
                    Value::Time(micros) => query.bind(micros),
                    Value::Number(number) => query.bind(number),
                },
            );
        let rows: Vec<AuditRow> = query.fetch_all().await?;
        let last = rows.last().filter(|_| rows.len() >= limit as usize);
        let next_cursor = last
            .map(|row| format!("{} {} {}", row.time, row.number, row.chain))
            .unwrap_or_default();
        Ok(AuditPage { records: rows.into_iter().map(record).collect(), next_cursor })
    }
}

fn record(row: AuditRow) -> AuditRecord {
    AuditRecord {
        chain: row.chain,
        number: row.number,
        time_unix_nano: row.time.saturating_mul(1_000),
        who: row.who,
        role: row.role,
        address: row.address,
        serial: row.serial,
        call: row.call,
        words: row.words,
        agency: row.agency,
        outcome: row.outcome,
        rows: row.rows,
        microseconds: row.microseconds,
        hash: row.hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agency_is_named_by_its_own_code_and_by_those_under_it() {
        let found =
            |agency: &str, words: &str| regex::Regex::new(&named(agency)).unwrap().is_match(words);
        for words in ["agency=H49 host=", "agency:H49", "000.00.15.H49", "[\"H49\"]", "H49.12"] {
            assert!(found("H49", words), "{words}");
        }
        for words in ["H490", "XH49", "", "tk-H49", "H49-1"] {
            assert!(!found("H49", words), "{words}");
        }
        assert!(!found("G06.12", "G06x12"));
    }

    #[test]
    fn every_filter_is_a_condition_whose_value_is_bound_and_a_foreign_cursor_is_refused() {
        let request = AuditRequest {
            who: "' OR 1".into(),
            call: "sql".into(),
            outcome: "ok".into(),
            agency: "H49".into(),
            cursor: "7 8 host:7443".into(),
            ..AuditRequest::default()
        };
        let wanted = Wanted::of(&request, Time(0), Time(1)).unwrap();
        let text = wanted.conditions.join(" AND ");
        assert_eq!(text.matches('?').count(), wanted.values.len());
        assert!(!text.contains("OR 1"));
        for cursor in ["x", "7", "7 8", "7 x y"] {
            let request = AuditRequest { cursor: cursor.into(), ..AuditRequest::default() };
            assert!(Wanted::of(&request, Time(0), Time(1)).is_err(), "{cursor}");
        }
        let request = AuditRequest { agency: "') OR 1".into(), ..AuditRequest::default() };
        assert!(Wanted::of(&request, Time(0), Time(1)).is_err());
    }
}
