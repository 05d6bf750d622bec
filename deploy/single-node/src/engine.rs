//! The ClickHouse engine of one machine, in a process of its own.
//!
//! `vonggac-single engine` loads libchdb and speaks ClickHouse's HTTP interface on loopback, so that the collector's ordinary
//! `clickhouse` client works on one machine as it does on a cluster.
//!
//! * [`library`]: the engine's C interface, the only unsafe code of the project;
//! * [`pool`]: a few connections, each with a thread and a bounded queue;
//! * [`statement`]: what an HTTP request asks of the engine (pure);
//! * [`http`]: the front.
//!
//! What a power cut can cost: a part is acknowledged when it is renamed into place. The collector's tables ask for
//! `fsync_after_insert`, so that an acknowledged block is on the disk and not only in the page cache.

pub mod http;
pub mod library;
pub mod pool;
pub mod statement;
