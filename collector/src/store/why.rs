//! What is asked of the store to say why it is quiet: what came from an agency, and what was withheld of it.

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::Time;

use super::{
    Store, StoreError, Withheld,
    query::{Reach, bind},
};
use crate::trust::scope::is_under;

/// Kinds of sources, by host, of one answer: an agency of a thousand hosts with ten kinds each.
const SOURCES_MAX: usize = 10_000;

/// Rows of what was withheld of one answer.
const WITHHELD_MAX: usize = 1_000;

/// A kind of events that came from a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct Source {
    /// The agency.
    pub agency: String,
    /// The host that they speak of.
    pub host: String,
    /// Their class.
    pub class: String,
    /// Their format.
    pub format: String,
    /// The service that wrote them.
    pub service: String,
}

impl Store {
    /// What came from an agency and those under it since a time.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn sources(&self, agency: &str, since: Time) -> Result<Vec<Source>, StoreError> {
        let reached = Reach::Agencies(vec![agency.to_owned()]).and();
        let text = format!(
            "SELECT toString(agency) AS agency, host, toString(class) AS class, toString(format) AS format, toString(service) AS service FROM events \
             WHERE time >= fromUnixTimestamp64Micro(?){} GROUP BY agency, host, class, format, service ORDER BY agency, host, class, format, service LIMIT {SOURCES_MAX}",
            reached.text
        );
        let query = bind(self.client().query(&text).bind(since.micros()), &reached.values);
        Ok(query.fetch_all().await?)
    }

    /// What was withheld of an agency and those under it since a time, by period and rule.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn withheld_of(
        &self,
        agency: &str,
        since: Time,
    ) -> Result<Vec<Withheld>, StoreError> {
        self.settle("transitions").await?;
        let text = format!(
            "SELECT arrayJoin(JSONExtract(text, 'by', 'Array(String)')) AS period, count() AS signals, sum(JSONExtractUInt(text, 'signal', 'count')) AS events, \
             max(toUnixTimestamp64Micro(time)) AS last, JSONExtractString(text, 'signal', 'rule') AS rule, \
             argMax(JSONExtractString(text, 'signal', 'entity', 'value'), version) AS entity, JSONExtractString(text, 'signal', 'agency') AS agency FROM transitions \
             WHERE incident = 0 AND action = 'withheld' AND time >= fromUnixTimestamp64Micro(?) GROUP BY period, rule, agency ORDER BY last DESC LIMIT {WITHHELD_MAX}"
        );
        let mut rows: Vec<Withheld> =
            self.client().query(&text).bind(since.micros()).fetch_all().await?;
        rows.retain(|row| is_under(&row.agency, agency));
        Ok(rows)
    }
}
