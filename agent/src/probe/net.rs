//! Names, addresses, connections.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    time::Instant,
};

use tokio::net::TcpStream;
use vonggac_wire::event::Check;

use super::{ProbeError, require, threads};
use crate::config::ProbeConfig;

/// A name's addresses, and whether they are the expected ones.
pub(super) async fn names(config: &ProbeConfig, check: &mut Check) -> Result<(), ProbeError> {
    let begun = Instant::now();
    let found = resolve(&config.target, 0).await?;
    check.dns_seconds = Some(begun.elapsed().as_secs_f64());
    let found: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
    require(config.expect.as_ref(), found.join(" ").as_bytes())
}

pub(super) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ProbeError> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let name = |source| ProbeError::Name { name: host.to_owned(), source };
    let asked = host.to_owned();
    let found = threads::run(move || (asked.as_str(), port).to_socket_addrs()).await?;
    let found: Vec<SocketAddr> = found.map_err(name)?.collect();
    if found.is_empty() { Err(name(std::io::Error::other("no address"))) } else { Ok(found) }
}

/// `host:port` or `[v6]:port`.
pub(super) fn split(target: &str) -> Result<(String, u16), ProbeError> {
    let wrong = || ProbeError::Target(target.to_owned());
    let (host, port) = target.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(wrong());
    }
    Ok((host.to_owned(), port.parse().map_err(|_| wrong())?))
}

/// `host:port`, or a host with the usual port of what is spoken.
pub(super) fn with_port(target: &str, port: u16) -> String {
    match split(target) {
        Ok((host, _)) if !host.contains(':') || target.starts_with('[') => target.to_owned(),
        _ if target.contains(':') && !target.starts_with('[') => format!("[{target}]:{port}"),
        _ => format!("{target}:{port}"),
    }
}

pub(super) async fn connect(
    target: &str,
    check: &mut Check,
) -> Result<(TcpStream, String), ProbeError> {
    let (host, port) = split(target)?;
    let begun = Instant::now();
    let addresses = resolve(&host, port).await?;
    check.dns_seconds = Some(begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                check.connect_seconds = Some(begun.elapsed().as_secs_f64());
                return Ok((stream, host));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(ProbeError::Connect(last.unwrap_or_else(|| std::io::Error::other("no address"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_split_with_brackets() {
        assert_eq!(split("[::1]:443").unwrap(), ("::1".into(), 443));
        assert!(split("nothing").is_err() && split(":1").is_err());
    }

    #[test]
    fn a_target_without_a_port_gets_the_usual_one() {
        for (target, full) in
            [("db", "db:5432"), ("db:1", "db:1"), ("::1", "[::1]:5432"), ("[::1]:7", "[::1]:7")]
        {
            assert_eq!(with_port(target, 5432), full);
        }
    }
}
