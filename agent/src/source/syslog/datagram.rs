//! Datagrams: one message each. Read in batches, so that a burst costs one chunk.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::net::sockopt;
use tokio::net::UdpSocket;
use vonggac_wire::{
    Event, Lane, Time,
    event::{Body, Gap, GapReason},
};

use super::{
    Gathered,
    framing::{Frame, trim},
    here,
    kept::{self, Kept},
    senders::Senders,
};
use crate::{
    config::{Listen, SyslogConfig},
    intake::{Chunk, Entry},
    occurrence::Dropped,
    source::{SourceContext, SourceError},
};

/// The most that a datagram can hold.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;

/// Datagrams of one turn, those that are refused among them: a flood must not keep a stop waiting.
const DATAGRAMS_MAX: usize = 2_048;

/// How often the kernel is asked what it dropped, and the centre told.
const KERNEL_INTERVAL: Duration = Duration::from_secs(5);

/// Datagrams that are still read when the agent stops.
const LAST_DATAGRAMS_MAX: usize = 20_000;

pub(super) async fn run(
    listen: Listen,
    config: &SyslogConfig,
    context: &SourceContext,
) -> Result<(), SourceError> {
    let socket = match kept::take(listen) {
        Some(Kept::Datagrams(socket)) => socket,
        _ => UdpSocket::bind(listen.address)
            .await
            .map_err(|source| SourceError::Io { what: format!("listen on {listen}"), source })?,
    };
    widen(&socket, config.receive_buffer_bytes);
    let dropped_before = kernel_drops(&socket).unwrap_or(0);
    let mut reading = Reading {
        listen,
        config,
        context,
        senders: Senders::new(config.messages_per_second_max),
        gathered: Gathered::new(),
        buffer: vec![0; DATAGRAM_BYTES_MAX],
        dropped_before,
    };
    let mut asks = tokio::time::interval(KERNEL_INTERVAL);
    loop {
        tokio::select! {
            () = context.shutdown.cancelled() => break,
            _ = asks.tick() => {
                reading.tell_drops(&socket).await?;
                continue;
            }
            ready = socket.readable() => {
                ready.map_err(|source| SourceError::Io { what: format!("read from {listen}"), source })?;
            }
        }
        reading.take(&socket).await?;
    }
    // What the kernel has taken is read, and what comes now waits in the socket for who listens next.
    let mut last = 0;
    while last < LAST_DATAGRAMS_MAX {
        match reading.take(&socket).await? {
            0 => break,
            taken => last += taken,
        }
    }
    reading.tell_drops(&socket).await?;
    kept::keep(listen, Kept::Datagrams(socket));
    Ok(())
}

/// The reading of one socket.
struct Reading<'a> {
    listen: Listen,
    config: &'a SyslogConfig,
    context: &'a SourceContext,
    senders: Senders,
    gathered: Gathered,
    buffer: Vec<u8>,
    dropped_before: u64,
}

impl Reading<'_> {
    /// Takes what waits, at most a chunk of it; gives how many datagrams that was.
    async fn take(&mut self, socket: &UdpSocket) -> Result<usize, SourceError> {
        let (now, formats, mut refused, mut taken) = (Instant::now(), here(), 0, 0);
        while !self.gathered.is_full() && taken < DATAGRAMS_MAX {
            let (length, sender) = match socket.try_recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // What an earlier answer of the network meant; the socket itself goes on.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => continue,
                Err(source) => {
                    let what = format!("read from {}", self.listen);
                    return Err(SourceError::Io { what, source });
                }
            };
            taken += 1;
            let sender = sender.ip().to_canonical();
            if !self.senders.admit(sender, now) {
                refused += 1;
                continue;
            }
            let mut bytes = self.buffer[..length].to_vec();
            trim(&mut bytes);
            if !bytes.is_empty() {
                let frame = Frame { bytes, cut: 0 };
                self.gathered.add(frame, sender, "udp", self.config, &formats);
            }
        }
        self.context.occurrences.dropped(Dropped::SyslogSender, refused);
        self.gathered.send(self.context).await?;
        Ok(taken)
    }

    /// Counts what the kernel dropped, and tells the centre that lines are missing, and whose as far as that is known.
    async fn tell_drops(&mut self, socket: &UdpSocket) -> Result<(), SourceError> {
        let dropped = kernel_drops(socket).unwrap_or(self.dropped_before);
        // The kernel counts in 32 bits, and from zero for another socket.
        let kernel = dropped.checked_sub(self.dropped_before).unwrap_or(dropped);
        self.dropped_before = dropped;
        self.context.occurrences.dropped(Dropped::SyslogKernel, kernel);
        let mut gaps = Vec::new();
        if kernel > 0 {
            let sentence = format!(
                "the kernel had no room for {kernel} datagrams; raise receive_buffer, or let senders use tcp"
            );
            gaps.push((format!("syslog:{}", self.listen), kernel, sentence));
        }
        for (sender, count) in self.senders.take_refused() {
            let sentence = format!(
                "{count} datagrams were more than one sender may send; raise messages_per_second_max, or let it use tcp"
            );
            let source = sender.map_or_else(
                || format!("syslog:{}", self.listen),
                |sender| format!("syslog:udp:{sender}"),
            );
            gaps.push((source, count, sentence));
        }
        if gaps.is_empty() {
            return Ok(());
        }
        let system = &self.config.system;
        let entries =
            gaps.iter().map(|(source, events, said)| gap(source, *events, said, system)).collect();
        let sent = self.context.intake.send(Chunk { entries, ..Chunk::default() }).await;
        sent.map_err(|error| SourceError::Missing(format!("failed to {error}")))
    }
}

/// Says how many lines of a source will never come.
fn gap(source: &str, events: u64, sentence: &str, system: &str) -> Entry {
    let now = Time::now();
    let gap = Gap {
        lane: Lane::Security.into(),
        reason: GapReason::Overflow.into(),
        events,
        last_observed_unix_nano: now.0,
        ..Gap::default()
    };
    let event = Event::new(now, now, Body::Gap(gap))
        .with_source(source, 0)
        .with_system(system)
        .with_raw(sentence.as_bytes(), 0);
    Entry { event, position: None }
}

/// Gives bursts a place to wait. Beyond the kernel's own limit it takes a privilege, so the lesser is asked for too.
fn widen(socket: &UdpSocket, bytes: u64) {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let set = sockopt::set_socket_recv_buffer_size_force(socket.as_fd(), bytes)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(socket.as_fd(), bytes));
    let got = sockopt::socket_recv_buffer_size(socket.as_fd()).unwrap_or(0);
    if set.is_err() || got < bytes {
        tracing::warn!(
            wanted = bytes,
            got,
            "the kernel gives datagrams less room than wanted; raise net.core.rmem_max so that bursts are not dropped"
        );
    }
}

/// What the kernel dropped of this socket because nobody read in time.
fn kernel_drops(socket: &UdpSocket) -> Option<u64> {
    let inode = rustix::fs::fstat(socket.as_fd()).ok()?.st_ino;
    ["/proc/net/udp", "/proc/net/udp6"]
        .iter()
        .find_map(|table| drops_of(&std::fs::read_to_string(table).ok()?, inode))
}

/// The last column of the row with this inode.
fn drops_of(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|row| {
        let columns: Vec<&str> = row.split_whitespace().collect();
        (columns.get(9)?.parse::<u64>().ok()? == inode).then(|| columns.last()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_tells_what_it_dropped_of_a_socket() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             1: 0100007F:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4242 2 0000000000000000 17\n";
        assert_eq!((drops_of(table, 4242), drops_of(table, 1)), (Some(17), None));
    }

    #[tokio::test]
    async fn a_socket_that_nobody_reads_counts_its_drops() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        sockopt::set_socket_recv_buffer_size(socket.as_fd(), 4096).unwrap();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..500 {
            sender.send_to(&[b'x'; 512], socket.local_addr().unwrap()).unwrap();
        }
        assert!(kernel_drops(&socket).unwrap() > 0);
    }
}
