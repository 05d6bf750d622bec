//! Where other machines send their syslog.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use vonggac_daemon::settings::Table;

/// How messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// Datagrams, one message each.
    Udp,
    /// A stream in the clear.
    Tcp,
    /// A stream under TLS.
    Tls,
}

/// A place to listen: `udp://0.0.0.0:514`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Listen {
    /// How.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, address) = text.split_once("://").ok_or("it has no scheme")?;
        let transport = match scheme {
            "udp" => Transport::Udp,
            "tcp" => Transport::Tcp,
            "tls" => Transport::Tls,
            other => return Err(format!("{other:?} is no transport")),
        };
        let address =
            address.parse().map_err(|_| format!("{address:?} is no address with a port"))?;
        Ok(Self { transport, address })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        };
        write!(formatter, "{scheme}://{}", self.address)
    }
}

/// The files of a TLS listener, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate with its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Who may sign senders' certificates; `None`: senders need none.
    pub client_authority: Option<PathBuf>,
}

/// Syslog from other machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogConfig {
    /// Where to listen.
    pub listens: Vec<Listen>,
    /// A format's name, or "auto".
    pub format: String,
    /// The system that the messages speak of.
    pub system: String,
    /// For `tls://`.
    pub tls: Option<TlsFiles>,
    /// What one sender may send.
    pub messages_per_second_max: u64,
    /// What the kernel may keep of datagrams that wait.
    pub receive_buffer_bytes: u64,
}

/// A busy firewall; what floods beyond it must not push others out.
const MESSAGES_PER_SECOND_MAX: u64 = 5_000;

/// A second of such a firewall's messages.
const RECEIVE_BUFFER_BYTES: u64 = 4 << 20;

impl SyslogConfig {
    pub(super) fn take(table: &mut Table<'_>, system: &str) -> Self {
        let mut listens = Vec::new();
        match table.text_or_texts("listen") {
            None => {
                table.wrong("listen", "is missing; wanted addresses like \"udp://0.0.0.0:514\"");
            }
            Some(texts) => {
                for text in texts {
                    match text.parse() {
                        Ok(listen) => listens.push(listen),
                        Err(error) => table.wrong(
                            "listen",
                            format!("{text:?} is wrong: {error}; wanted udp://, tcp:// or tls:// with an address and a port"),
                        ),
                    }
                }
            }
        }
        let (certificate, key) = (table.path("certificate"), table.path("key"));
        let client_authority = table.path("client_authority");
        let tls = match (certificate, key) {
            (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key, client_authority }),
            _ => None,
        };
        if tls.is_none() && listens.iter().any(|l: &Listen| l.transport == Transport::Tls) {
            table
                .wrong("certificate", "is missing; a tls:// address needs `certificate` and `key`");
        }
        let format = table.text("format").unwrap_or_else(|| "auto".into());
        if !crate::format::is_known(&format) {
            table.wrong("format", format!("{format:?} is no format; see vonggac-agent formats"));
        }
        Self {
            listens,
            format,
            system: table.text("system").unwrap_or_else(|| system.to_owned()),
            tls,
            messages_per_second_max: table
                .integer("messages_per_second_max", 1, 10_000_000)
                .unwrap_or(MESSAGES_PER_SECOND_MAX),
            receive_buffer_bytes: table
                .bytes("receive_buffer", 64 << 10, 1 << 30)
                .unwrap_or(RECEIVE_BUFFER_BYTES),
        }
    }
}
