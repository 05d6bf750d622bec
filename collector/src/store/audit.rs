//! The audit log's rows.

use std::time::Duration;

use vonggac_wire::Time;

use super::{Store, StoreError};
use crate::trust::audit::{
    AuditRow, Head,
    verify::{Finding, Verifier},
};

mod page;

pub use page::{AuditPage, PAGE_ROWS_MAX};

/// Rows that are read at once when a chain is gone along.
const PAGE_ROWS: u64 = 20_000;

/// How long after its rows a chain's end is written at the latest.
const HEAD_WITHIN: Duration = Duration::from_secs(2);

/// What was found of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Its name.
    pub chain: String,
    /// Rows that were looked at.
    pub rows: u64,
    /// What is not as it was written.
    pub findings: Vec<Finding>,
    /// How much more there is of that.
    pub more: u64,
}

#[derive(Debug, clickhouse::Row, serde::Serialize)]
struct HeadRow<'a> {
    chain: &'a str,
    number: u64,
    hash: &'a str,
    time: i64,
}

impl Store {
    /// Where a chain ends: its last row, or the end that was written down if that lies further.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn audit_end(&self, chain: &str) -> Result<Head, StoreError> {
        self.settle("audit").await?;
        let last: Option<Head> = self
            .client()
            .query("SELECT number, hash FROM audit WHERE chain = ? ORDER BY number DESC LIMIT 1")
            .bind(chain)
            .fetch_optional()
            .await?;
        let last = last.unwrap_or_default();
        let written = self.audit_head(chain).await?.unwrap_or_default();
        if written.number > last.number {
            tracing::error!(%chain, rows = last.number, told = written.number, "rows were taken off the end of the audit log");
            return Ok(written);
        }
        Ok(last)
    }

    async fn audit_head(&self, chain: &str) -> Result<Option<Head>, StoreError> {
        let query = self.client();
        let query = query
            .query(
                "SELECT number, hash FROM audit_heads WHERE chain = ? ORDER BY number DESC LIMIT 1",
            )
            .bind(chain);
        Ok(query.fetch_optional().await?)
    }

    /// Time in microseconds and words of a chain's last row of this kind.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn audit_last(
        &self,
        chain: &str,
        call: &str,
    ) -> Result<Option<(i64, String)>, StoreError> {
        self.settle("audit").await?;
        let query = self.client();
        let query = query
            .query("SELECT toUnixTimestamp64Micro(time), words FROM audit WHERE chain = ? AND call = ? ORDER BY number DESC LIMIT 1")
            .bind(chain)
            .bind(call);
        Ok(query.fetch_optional().await?)
    }

    /// The hash of a row; `None`: there is none.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn audit_hash(&self, chain: &str, number: u64) -> Result<Option<String>, StoreError> {
        let query = self.client();
        let query = query
            .query("SELECT hash FROM audit WHERE chain = ? AND number = ? LIMIT 1")
            .bind(chain)
            .bind(number);
        Ok(query.fetch_optional().await?)
    }

    /// Adds rows. The same token a second time is harmless.
    ///
    /// # Errors
    /// If the engine does not take them.
    pub async fn insert_audit(&self, rows: &[AuditRow], token: &str) -> Result<(), StoreError> {
        let mut insert = self
            .client()
            .insert::<AuditRow>("audit")
            .await?
            .with_setting("insert_deduplication_token", token);
        for row in rows {
            insert.write(row).await?;
        }
        Ok(insert.end().await?)
    }

    /// Writes down where a chain ends.
    ///
    /// # Errors
    /// If the engine does not take it.
    pub async fn insert_audit_head(&self, chain: &str, head: &Head) -> Result<(), StoreError> {
        let mut insert = self.client().insert::<HeadRow<'_>>("audit_heads").await?;
        let (number, hash, time) = (head.number, head.hash.as_str(), Time::now().micros());
        insert.write(&HeadRow { chain, number, hash, time }).await?;
        Ok(insert.end().await?)
    }

    /// Goes along every chain.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub async fn verify_audit(&self) -> Result<Vec<Verified>, StoreError> {
        self.settle("audit").await?;
        let text = "SELECT DISTINCT toString(chain) AS chain FROM \
             (SELECT chain FROM audit UNION ALL SELECT chain FROM audit_heads) ORDER BY chain LIMIT 10000";
        let chains: Vec<String> = self.client().query(text).fetch_all().await?;
        let mut all = Vec::new();
        for chain in chains {
            let (rows, findings, more) = self.verify_chain(&chain).await?;
            all.push(Verified { chain, rows, findings, more });
        }
        Ok(all)
    }

    async fn verify_chain(&self, chain: &str) -> Result<(u64, Vec<Finding>, u64), StoreError> {
        let before = self.audit_head(chain).await?.unwrap_or_default();
        let mut verifier = Verifier::default();
        let (mut number, mut skipped) = (0, 0);
        loop {
            // By number and, of one number, by hash: a row that was put in twice is seen twice.
            let page: Vec<AuditRow> = self
                .client()
                .query("SELECT ?fields FROM audit WHERE chain = ? AND number >= ? ORDER BY number, hash LIMIT ? OFFSET ?")
                .bind(chain)
                .bind(number)
                .bind(PAGE_ROWS)
                .bind(skipped)
                .fetch_all()
                .await?;
            page.iter().for_each(|row| verifier.look(row));
            let Some(last) = page.last().filter(|_| page.len() as u64 == PAGE_ROWS) else { break };
            let same = page.iter().rev().take_while(|row| row.number == last.number).count() as u64;
            skipped = if last.number == number { skipped + same } else { same };
            number = last.number;
        }
        let mut behind = self.audit_head(chain).await?.unwrap_or_default();
        if behind.number < verifier.number() {
            // Rows that are being written: their end comes behind them.
            tokio::time::sleep(HEAD_WITHIN).await;
            behind = self.audit_head(chain).await?.unwrap_or_default();
        }
        Ok(verifier.end(&before, &behind))
    }
}
