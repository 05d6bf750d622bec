//! Log lines with fresh times.

use jiff::Zoned;

/// The time as syslog writes it, of this host.
#[must_use]
pub fn stamp() -> String {
    Zoned::now().strftime("%b %e %H:%M:%S").to_string()
}

/// A refused password.
#[must_use]
pub fn refused(number: usize, address: &str) -> String {
    format!(
        "{} web-1 sshd[{}]: Failed password for root from {address} port {} ssh2\n",
        stamp(),
        1000 + number,
        20_000 + number % 40_000
    )
}

/// A request of an access log.
#[must_use]
pub fn request(number: usize) -> String {
    let time = Zoned::now().strftime("%d/%b/%Y:%H:%M:%S %z").to_string();
    format!(
        "198.51.100.{} - - [{time}] \"GET /ho-so/{number} HTTP/1.1\" 200 512 \"-\" \"Mozilla/5.0\"\n",
        1 + number % 200
    )
}
