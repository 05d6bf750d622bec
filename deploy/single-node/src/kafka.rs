//! Apache Kafka in KRaft mode, one node, as a child on Java.

use std::{fs, io, path::Path, process::Command};

use rand::Rng;

use crate::{
    layout::{Layout, cache},
    trust::Sets,
};

pub mod rights;

/// Hours that Kafka keeps events: longer than any outage of the collector on one machine.
const RETENTION_HOURS: u32 = 72;

/// Bytes that Kafka keeps of each partition.
const RETENTION_BYTES: u64 = 1 << 30;

/// How long the broker that was killed is waited for by the one that takes its place: itself. Kafka's nine seconds are for brokers that others
/// could stand in for.
const SESSION_MILLIS: u32 = 4_000;

/// The only node's number.
const NODE: &str = "1";

fn properties(layout: &Layout, sets: Option<&Sets>) -> String {
    let (client, controller) = (layout.address(0), layout.address(1));
    let (name, security) = match sets {
        Some(sets) => ("SSL", rights::properties(sets)),
        None => ("PLAINTEXT", String::new()),
    };
    format!(
        "process.roles=broker,controller\nnode.id={NODE}\n\
         controller.quorum.voters={NODE}@{controller}\nlisteners={name}://{client},CONTROLLER://{controller}\n\
         advertised.listeners={name}://{client}\ncontroller.listener.names=CONTROLLER\n\
         inter.broker.listener.name={name}\n\
         listener.security.protocol.map={name}:{name},CONTROLLER:{name}\n{security}\
         log.dirs={}\nauto.create.topics.enable=false\nnum.partitions=1\n\
         offsets.topic.num.partitions=4\noffsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         broker.heartbeat.interval.ms=1000\nbroker.session.timeout.ms={SESSION_MILLIS}\nlog.retention.hours={RETENTION_HOURS}\nlog.retention.bytes={RETENTION_BYTES}\n\
         log.segment.bytes=67108864\nmessage.max.bytes={}\nreplica.fetch.max.bytes={}\n",
        layout.path("kafka/data").display(),
        4 * 1024 * 1024,
        4 * 1024 * 1024,
    )
}

fn class_path() -> String {
    cache().join("kafka/lib/*").display().to_string()
}

/// Writes the properties and formats the storage once.
///
/// # Errors
/// If a file cannot be written, or Java fails.
pub fn prepare(layout: &Layout, sets: Option<&Sets>) -> io::Result<()> {
    let file = layout.path("etc/kafka.properties");
    fs::write(&file, properties(layout, sets))?;
    if let Some(sets) = sets {
        rights::prepare(layout, sets)?;
    }
    let logging = layout.path("etc/log4j2.properties");
    fs::write(
        &logging,
        "appender.out.type=Console\nappender.out.name=out\nappender.out.layout.type=PatternLayout\n\
         appender.out.layout.pattern=[%d] %p %m (%c{1})%n\nrootLogger.level=WARN\nrootLogger.appenderRef.out.ref=out\n\
         logger.server.name=kafka.server.KafkaRaftServer\nlogger.server.level=INFO\n\
         # Who was refused: no right (kafka.authorizer.logger), or no certificate (Selector).\n\
         logger.rights.name=kafka.authorizer.logger\nlogger.rights.level=INFO\n\
         logger.handshakes.name=org.apache.kafka.common.network.Selector\nlogger.handshakes.level=INFO\n",
    )?;
    if layout.path("kafka/data/meta.properties").exists() {
        return Ok(());
    }
    let output = Command::new("java")
        .args([
            "-Xmx128m",
            "-cp",
            &class_path(),
            "kafka.tools.StorageTool",
            "format",
            "-t",
            &cluster_id(),
            "-c",
        ])
        .arg(&file)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "Kafka's storage cannot be formatted: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}

/// A cluster's id. One that begins with a dash would be read as an option: of sixty-four starts one failed by that.
fn cluster_id() -> String {
    loop {
        let cluster: [u8; 16] = rand::rng().random();
        let id = base64(&cluster);
        if !id.starts_with('-') {
            return id;
        }
    }
}

/// The command that runs it.
#[must_use]
pub fn command(layout: &Layout) -> Vec<String> {
    let archive = layout.path("kafka/classes.jsa");
    let sharing = if archive.exists() {
        format!("-XX:SharedArchiveFile={}", archive.display())
    } else {
        format!("-XX:ArchiveClassesAtExit={}", archive.display())
    };
    [
        "java",
        "-Xms64m",
        "-Xmx256m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Xshare:auto",
        &sharing,
        &format!("-Dlog4j2.configurationFile={}", layout.path("etc/log4j2.properties").display()),
        "-cp",
        &class_path(),
        "kafka.Kafka",
        &layout.path("etc/kafka.properties").display().to_string(),
    ]
    .into_iter()
    .map(str::to_owned)
    .collect()
}

/// A cluster's id: 16 bytes in URL-safe base 64 without padding, as Kafka writes it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let three =
            [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let number = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..=chunk.len() {
            let digit = (number >> (18 - 6 * place)) & 63;
            text.push(char::from(DIGITS[digit as usize]));
        }
    }
    text
}

/// Whether Java is there.
#[must_use]
pub fn has_java() -> bool {
    Command::new("java").arg("-version").output().is_ok_and(|output| output.status.success())
}

/// Used by tests to see that the folder is Kafka's.
#[must_use]
pub fn is_formatted(root: &Path) -> bool {
    root.join("kafka/data/meta.properties").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cluster_id_looks_like_an_option() {
        assert!((0..2_000).all(|_| !cluster_id().starts_with('-')));
    }

    #[test]
    fn a_cluster_id_has_twenty_two_digits() {
        assert_eq!(base64(&[0; 16]).len(), 22);
        assert_eq!(base64(b"Man"), "TWFu");
    }
}
