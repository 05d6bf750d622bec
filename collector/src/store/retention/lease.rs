//! One at a time: retention, backup and restore over all collectors and commands.
//!
//! A lease is a number in the table `leases`. Taking the next number is an insert with a token that the engine takes once, so of two that
//! try it together one row stands, and both read whose it is.

use std::time::Duration;

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use vonggac_wire::Time;

use super::RetentionError;
use crate::store::{Store, StoreError};

/// A holder that gave no sign for so long is dead: longer than any one statement may take.
const DEAD_AFTER: Duration = Duration::from_secs(600);

#[derive(Debug, Row, Serialize, Deserialize)]
struct LeaseRow {
    number: u64,
    owner: String,
    beat: i64,
    ended: bool,
}

/// A sign from far ahead was given before the clock was set back, and says as little as one of long ago. Should its holder live after all,
/// it loses the lease at its next sign, before it takes anything away.
fn is_alive(beat: Time, now: Time) -> bool {
    now.since(beat) < DEAD_AFTER && beat.since(now) < DEAD_AFTER
}

/// The right to work on the store as a whole.
pub struct Lease {
    store: Store,
    number: u64,
    owner: String,
}

impl Lease {
    /// Takes it.
    ///
    /// # Errors
    /// If another has it, or the engine does not answer.
    pub async fn take(store: &Store, what: &str, who: &str) -> Result<Self, RetentionError> {
        let owner = format!("{what} by {who} ({})", uuid::Uuid::new_v4().simple());
        store.settle("leases").await?;
        let last: Option<(u64, String, i64, bool)> = store
            .client()
            .query(
                "SELECT number, argMin(owner, beat), toUnixTimestamp64Micro(max(beat)), max(ended) FROM leases \
                 GROUP BY number ORDER BY number DESC LIMIT 1",
            )
            .fetch_optional()
            .await?;
        let mut number = 1;
        if let Some((taken, owner, beat, ended)) = last {
            let beat = Time(beat.saturating_mul(1_000));
            if !ended && is_alive(beat, Time::now()) {
                return Err(RetentionError::Busy { owner, since: beat });
            }
            number = taken + 1;
        }
        let lease = Self { store: store.clone(), number, owner };
        lease.write(false, Some(format!("lease/{number}"))).await?;
        store.settle("leases").await?;
        let first: (String, i64) = store
            .client()
            .query("SELECT argMin(owner, beat), toUnixTimestamp64Micro(min(beat)) FROM leases WHERE number = ?")
            .bind(number)
            .fetch_one()
            .await?;
        if first.0 == lease.owner {
            Ok(lease)
        } else {
            Err(RetentionError::Busy { owner: first.0, since: Time(first.1.saturating_mul(1_000)) })
        }
    }

    async fn write(&self, ended: bool, token: Option<String>) -> Result<(), StoreError> {
        let mut insert = self.store.client().insert::<LeaseRow>("leases").await?;
        let token = token.unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
        insert = insert.with_setting("insert_deduplication_token", token);
        let row = LeaseRow {
            number: self.number,
            owner: self.owner.clone(),
            beat: Time::now().micros(),
            ended,
        };
        insert.write(&row).await?;
        Ok(insert.end().await?)
    }

    /// Says that its holder lives; asked before each step that takes away.
    ///
    /// # Errors
    /// If another took over, or the engine does not answer.
    pub async fn beat(&self) -> Result<(), RetentionError> {
        self.store.settle("leases").await?;
        let newest: u64 =
            self.store.client().query("SELECT max(number) FROM leases").fetch_one().await?;
        if newest != self.number {
            return Err(RetentionError::Lost);
        }
        Ok(self.write(false, None).await?)
    }

    /// Gives it back.
    ///
    /// # Errors
    /// If the engine does not answer; it ends by itself then.
    pub async fn end(self) -> Result<(), RetentionError> {
        Ok(self.write(true, None).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_is_dead_after_a_while_whichever_way_the_clock_went() {
        let now = Time::from_seconds(1_764_000_000);
        let (while_, hour) = (Duration::from_secs(599), Duration::from_secs(3_600));
        for (beat, alive) in [
            (now, true),
            (now.minus(while_), true),
            (now.plus(while_), true),
            (now.minus(hour), false),
            (now.plus(hour), false),
        ] {
            assert_eq!(is_alive(beat, now), alive, "{beat}");
        }
    }
}
