//! Datagrams and echoes.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rand::Rng;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};
use tokio::net::UdpSocket;
use vonggac_wire::event::Check;

use super::{ProbeError, net, require};
use crate::config::ProbeConfig;

/// The most that comes back.
const ANSWER_BYTES_MAX: usize = 4_096;

/// How long a refusal by the network is waited for, where no answer is expected.
const REFUSAL_WAIT: Duration = Duration::from_millis(500);

/// How often an echo is asked for within one run: one lost packet is no failure.
const ECHO_INTERVAL: Duration = Duration::from_secs(1);

/// Sends a datagram. Without an expected answer only a refusal tells that nobody listens.
pub(super) async fn udp(config: &ProbeConfig, check: &mut Check) -> Result<(), ProbeError> {
    let (host, port) = net::split(&config.target)?;
    let begun = Instant::now();
    let address = first(&host, port).await?;
    check.dns_seconds = Some(begun.elapsed().as_secs_f64());
    let socket = UdpSocket::bind(unspecified(address)).await.map_err(ProbeError::Connect)?;
    socket.connect(address).await.map_err(ProbeError::Connect)?;
    let begun = Instant::now();
    socket
        .send(config.send.as_deref().unwrap_or_default().as_bytes())
        .await
        .map_err(ProbeError::Connect)?;
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    let received = socket.recv(&mut answer);
    if config.expect.is_some() {
        let length = received.await.map_err(ProbeError::Connect)?;
        check.first_byte_seconds = Some(begun.elapsed().as_secs_f64());
        return require(config.expect.as_ref(), &answer[..length]);
    }
    match tokio::time::timeout(REFUSAL_WAIT.min(config.timeout / 2), received).await {
        Ok(Err(error)) => Err(ProbeError::Connect(error)),
        Ok(Ok(_)) => {
            check.first_byte_seconds = Some(begun.elapsed().as_secs_f64());
            Ok(())
        }
        Err(_) => Ok(()),
    }
}

async fn first(host: &str, port: u16) -> Result<SocketAddr, ProbeError> {
    let found = net::resolve(host, port).await?;
    found.first().copied().ok_or_else(|| ProbeError::Target(host.to_owned()))
}

fn unspecified(of: SocketAddr) -> SocketAddr {
    match of.ip() {
        IpAddr::V4(_) => SocketAddr::from(([0, 0, 0, 0], 0)),
        IpAddr::V6(_) => SocketAddr::from(([0_u16; 8], 0)),
    }
}

/// Asks for an echo through the kernel's ping socket, which needs no privilege where `ping_group_range` lets the agent's group.
pub(super) async fn icmp(config: &ProbeConfig, check: &mut Check) -> Result<(), ProbeError> {
    let begun = Instant::now();
    let address = first(&config.target, 0).await?;
    check.dns_seconds = Some(begun.elapsed().as_secs_f64());
    let socket = ping_socket(address.ip())?;
    socket.connect(address).await.map_err(ProbeError::Connect)?;
    let token: [u8; 16] = rand::rng().random();
    let begun = Instant::now();
    let mut answer = vec![0; ANSWER_BYTES_MAX];
    for number in 0_u16.. {
        socket.send(&echo(address.ip(), number, &token)).await.map_err(ProbeError::Connect)?;
        let until = tokio::time::Instant::now() + ECHO_INTERVAL;
        while let Ok(received) = tokio::time::timeout_at(until, socket.recv(&mut answer)).await {
            let length = received.map_err(ProbeError::Connect)?;
            if answer[..length].ends_with(&token) {
                check.first_byte_seconds = Some(begun.elapsed().as_secs_f64());
                return Ok(());
            }
        }
    }
    Err(ProbeError::Answer("no echo".into()))
}

fn ping_socket(address: IpAddr) -> Result<UdpSocket, ProbeError> {
    let (family, protocol) = match address {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket: OwnedFd = socket_with(family, SocketType::DGRAM, flags, Some(protocol)).map_err(|error| {
        ProbeError::Unable(format!(
            "the kernel gives this agent no ping socket ({error}); let its group into net.ipv4.ping_group_range"
        ))
    })?;
    UdpSocket::from_std(socket.into()).map_err(ProbeError::Connect)
}

/// An echo request; of IPv4 with its checksum, which the kernel makes for IPv6.
fn echo(address: IpAddr, number: u16, token: &[u8]) -> Vec<u8> {
    let kind = if address.is_ipv4() { 8 } else { 128 };
    let mut packet = vec![kind, 0, 0, 0, 0, 0];
    packet.extend_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(token);
    let sum: u32 = packet
        .chunks(2)
        .map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    if address.is_ipv4() {
        let [_, _, high, low] = (!folded).to_be_bytes();
        (packet[2], packet[3]) = (high, low);
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echos_checksum_makes_its_sum_nothing() {
        let packet = echo("127.0.0.1".parse().unwrap(), 7, &[1; 16]);
        let sum: u32 = packet.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(two[1])).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
}
