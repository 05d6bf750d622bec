//! What Kafka's group gives and takes, kept until the chain is ready for it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    types::RDKafkaRespErr,
};
use tokio::sync::Notify;

use vonggac_daemon::librdkafka::lifeline::Lifeline;

use crate::tenure::Key;

/// Changes that wait; the group waits for each, so that there never are more than a taking and a giving.
const CHANGES_MAX: usize = 8;

/// What the group wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These partitions are given, and no others.
    Given(Vec<Key>),
    /// All partitions are taken.
    Taken,
}

/// The consumer's context.
#[derive(Debug, Default)]
pub struct Group {
    changes: Mutex<VecDeque<Change>>,
    changed: Notify,
    closing: AtomicBool,
    ends: Mutex<HashMap<Key, i64>>,
    lifeline: Lifeline,
}

impl Group {
    /// Waits for a change.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The oldest change that was not asked for yet.
    pub fn change(&self) -> Option<Change> {
        lock(&self.changes).pop_front()
    }

    /// The client has no broker left, and finds none again.
    pub fn is_lost(&self) -> bool {
        self.lifeline.is_lost()
    }

    /// From now on nothing waits.
    pub fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Where a partition ended when it was last fetched, by Kafka's own offsets.
    pub fn end(&self, key: &Key) -> Option<i64> {
        lock(&self.ends).get(key).copied()
    }
}

impl ClientContext for Group {
    fn stats(&self, statistics: Statistics) {
        self.lifeline.see(&statistics);
        let mut ends = lock(&self.ends);
        ends.clear();
        for (name, topic) in statistics.topics {
            for (number, partition) in topic.partitions {
                if number >= 0 && partition.hi_offset >= 0 {
                    ends.insert((name.clone(), number), partition.hi_offset);
                }
            }
        }
    }
}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let given = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::SeqCst) {
            if let Err(error) = consumer.unassign() {
                tracing::debug!(%error, "Kafka did not take the partitions back");
            }
            return;
        }
        let change = if given {
            let key = |element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
                (element.topic().to_owned(), element.partition())
            };
            Change::Given(partitions.elements().iter().map(key).collect())
        } else {
            Change::Taken
        };
        tracing::info!(?change, "the group changes");
        let mut changes = lock(&self.changes);
        if changes.len() >= CHANGES_MAX {
            changes.pop_front();
        }
        changes.push_back(change);
        drop(changes);
        self.changed.notify_one();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
