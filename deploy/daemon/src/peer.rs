//! Who is at the other end of a connection, as its certificate says.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use vonggac_wire::Identity;

/// The other end of a connection that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it calls from.
    pub address: SocketAddr,
    /// Whom its certificate names; `None`: plain text, which was asked for by name.
    pub identity: Option<Identity>,
    /// The certificate's serial number in hexadecimal digits; empty in plain text.
    pub serial: String,
}

/// By what a caller is counted: an address of IPv4, or a network of IPv6, whose owner has as many addresses as they like.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        four @ IpAddr::V4(_) => four,
    }
}
