//! Who is at the other end of a connection, as its certificate says.

use std::net::SocketAddr;

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
