//! Datagrams: one message each. Read in batches, so that a burst costs one chunk.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::net::sockopt;
use tokio::net::UdpSocket;

use super::{
    Gathered,
    framing::{Frame, trim},
    here,
    senders::Senders,
};
use crate::{
    config::{Listen, SyslogConfig},
    occurrence::Dropped,
    source::{SourceContext, SourceError},
};

/// The most that a datagram can hold.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;

/// How often the kernel is asked what it dropped.
const KERNEL_INTERVAL: Duration = Duration::from_secs(5);

pub(super) async fn run(
    listen: Listen,
    config: &SyslogConfig,
    context: &SourceContext,
) -> Result<(), SourceError> {
    let socket = UdpSocket::bind(listen.address)
        .await
        .map_err(|source| SourceError::Io { what: format!("listen on {listen}"), source })?;
    widen(&socket, config.receive_buffer_bytes);
    let (mut senders, mut gathered) =
        (Senders::new(config.messages_per_second_max), Gathered::new());
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let mut asks = tokio::time::interval(KERNEL_INTERVAL);
    let mut dropped_before = kernel_drops(&socket).unwrap_or(0);
    loop {
        tokio::select! {
            () = context.shutdown.cancelled() => return Ok(()),
            _ = asks.tick() => {
                let dropped = kernel_drops(&socket).unwrap_or(dropped_before);
                context.occurrences.dropped(Dropped::SyslogKernel, dropped.saturating_sub(dropped_before));
                dropped_before = dropped;
                continue;
            }
            ready = socket.readable() => {
                ready.map_err(|source| SourceError::Io { what: format!("read from {listen}"), source })?;
            }
        }
        let (now, formats, mut refused) = (Instant::now(), here(), 0);
        while !gathered.is_full() {
            let (length, sender) = match socket.try_recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // What an earlier answer of the network meant; the socket itself goes on.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => continue,
                Err(source) => {
                    return Err(SourceError::Io { what: format!("read from {listen}"), source });
                }
            };
            let sender = sender.ip().to_canonical();
            if !senders.admit(sender, now) {
                refused += 1;
                continue;
            }
            let mut bytes = buffer[..length].to_vec();
            trim(&mut bytes);
            if !bytes.is_empty() {
                gathered.add(Frame { bytes, cut: 0 }, sender, "udp", config, &formats);
            }
        }
        context.occurrences.dropped(Dropped::SyslogSender, refused);
        gathered.send(context).await?;
    }
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
