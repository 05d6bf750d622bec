//! Records that librdkafka does not open, and where a partition can be read on behind them.
//!
//! What is compressed to little and would be more than `receive.message.max.bytes` when it is opened is refused by every client, again and
//! again: whoever writes one such batch would hold its partition up until Kafka's retention passes it. The client tells neither partition
//! nor offset of it, so each partition in question is asked for alone. A batch is one for Kafka: it is opened as a whole or not, and
//! offsets behind its first lead to it, too.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};
use vonggac_wire::limits::RECORD_BYTES_MAX;

use super::settings;
use crate::{config::Config, tenure::Key};

/// How long a partition is waited for that says nothing.
const SAYS_WITHIN: Duration = Duration::from_secs(5);

/// How long all of it may take: the group waits meanwhile, five minutes at most.
const ALL_WITHIN: Duration = Duration::from_secs(120);

/// Offsets that are tried one by one, so that nothing that can be read between two such batches is passed over. Behind so many the steps
/// double: what lies between a batch of more records and another one is then given up with them, and told as missing.
const ONE_BY_ONE_MAX: i64 = 100;

/// Kilobytes that may be fetched ahead: one record tells all that is asked.
const FETCHED_AHEAD_KBYTES_MAX: usize = 1024;

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Opens,
    Refused,
    Nothing,
}

/// Of these places, by Kafka's own offsets, those that cannot be read, with where their partitions can be read on.
///
/// # Errors
/// If librdkafka refuses the settings.
pub fn find(config: &Config, places: &[(Key, i64)]) -> Result<BTreeMap<Key, i64>, KafkaError> {
    let client: BaseConsumer = settings(config, &format!("{}-unopened", config.group))
        .set("client.id", "vonggac-unopened")
        .set("enable.partition.eof", "true")
        .set("queued.max.messages.kbytes", FETCHED_AHEAD_KBYTES_MAX.to_string())
        .set("queued.min.messages", "1")
        .set("fetch.message.max.bytes", RECORD_BYTES_MAX.to_string())
        .set("fetch.wait.max.ms", "100")
        .create()?;
    let until = Instant::now() + ALL_WITHIN;
    let mut found = BTreeMap::new();
    for (key, at) in places {
        let asks = |offset: i64| {
            if Instant::now() < until { ask(&client, key, offset) } else { Answer::Nothing }
        };
        if let Some(on) = behind(*at, asks) {
            found.insert(key.clone(), on);
        }
    }
    Ok(found)
}

/// Where it goes on behind what cannot be read at `at`; `None`: it can be read, or nobody says.
fn behind(at: i64, asks: impl Fn(i64) -> Answer) -> Option<i64> {
    if asks(at) != Answer::Refused {
        return None;
    }
    let (mut refused, mut step) = (at, 1);
    let mut opens = loop {
        let next = refused + step;
        match asks(next) {
            Answer::Opens => break next,
            Answer::Refused => refused = next,
            Answer::Nothing => return None,
        }
        if refused - at >= ONE_BY_ONE_MAX {
            step *= 2;
        }
    };
    while opens - refused > 1 {
        let middle = refused.midpoint(opens);
        match asks(middle) {
            Answer::Opens => opens = middle,
            Answer::Refused => refused = middle,
            Answer::Nothing => return None,
        }
    }
    Some(opens)
}

/// Whether a record comes from there.
fn ask(client: &BaseConsumer, key: &Key, offset: i64) -> Answer {
    let mut asked = TopicPartitionList::new();
    let added = asked.add_partition_offset(&key.0, key.1, Offset::Offset(offset));
    if added.and_then(|()| client.assign(&asked)).is_err() {
        return Answer::Nothing;
    }
    let until = Instant::now() + SAYS_WITHIN;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match client.poll(left) {
            Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => return Answer::Opens,
            Some(Err(KafkaError::MessageConsumption(code))) if refuses(code) => {
                return Answer::Refused;
            }
            // Behind the end there is nothing that could be refused.
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
            ))) => return Answer::Opens,
            Some(Err(error)) => tracing::debug!(%error, "Kafka does not say what can be read"),
            None => {}
        }
        if left.is_zero() {
            return Answer::Nothing;
        }
    }
}

/// A record is there, and is not opened.
pub(super) const fn refuses(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::BadCompression | RDKafkaErrorCode::BadMessage)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Batches: how many records each has, and whether it is refused.
    fn answers(batches: &[(i64, bool)], offset: i64) -> Answer {
        let mut end = 0;
        for (records, refused) in batches {
            end += records;
            if offset < end {
                return if *refused { Answer::Refused } else { Answer::Opens };
            }
        }
        Answer::Opens
    }

    #[test]
    fn what_can_be_read_is_left_alone_and_so_is_what_nobody_speaks_of() {
        assert_eq!(behind(3, |_| Answer::Opens), None);
        assert_eq!(behind(3, |_| Answer::Nothing), None);
        let falls_silent = |offset| if offset < 5 { Answer::Refused } else { Answer::Nothing };
        assert_eq!(behind(3, falls_silent), None, "nothing is passed over on a guess");
    }

    proptest! {
        #[test]
        fn it_goes_on_at_the_first_record_that_opens(
            batches in proptest::collection::vec((1_i64..40, any::<bool>()), 1..12),
        ) {
            let first = behind(0, |offset| answers(&batches, offset));
            let mut end = 0;
            let mut wanted = None;
            for (records, refused) in &batches {
                if !refused { break; }
                end += records;
                wanted = Some(end);
            }
            // Longer runs of them may take what lies between along.
            if end <= ONE_BY_ONE_MAX {
                prop_assert_eq!(first, wanted);
            } else {
                prop_assert!(first >= wanted);
            }
        }

        #[test]
        fn one_large_batch_is_passed_exactly(records in 1_i64..3_000_000) {
            let batches = [(records, true), (5, false)];
            prop_assert_eq!(behind(0, |offset| answers(&batches, offset)), Some(records));
        }
    }
}
