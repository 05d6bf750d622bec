//! Lines of CEF in messages of RFC 5424: over TLS (RFC 5425), TCP (RFC 6587) or UDP (RFC 5426). A line is an incident.
//!
//! Syslog has no word by which a receiver says that it took something. Over a connection the last byte is sent and the other side closes,
//! or is silent, before the message counts as taken: what was cut by then is tried again.

use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use tokio_rustls::TlsConnector;
use vonggac_answer::words::Lang;
use vonggac_wire::Time;

use super::CONNECTED_WITHIN;
use crate::{
    export::cef,
    notify::{
        note::Event,
        queue::Outcome,
        settings::{Syslog, Transport},
        text::{Text, Told},
    },
    roots::{RootsError, believed, said},
    store::host,
};

/// How long it is listened behind the last byte for a word that the connection is broken.
const LISTENED_FOR: Duration = Duration::from_secs(2);

/// Facility local0, as its part of the priority.
const FACILITY: u32 = 16 * 8;

/// Bytes of a datagram: what passes without fragments over any link of today.
const DATAGRAM_BYTES_MAX: usize = 1_400;

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
enum SyslogError {
    /// The receiver.
    #[error("send to the syslog receiver; is the address right, and the way open?")]
    Broken(#[from] std::io::Error),
    /// No connection came about.
    #[error("reach the syslog receiver: no connection within {} s", CONNECTED_WITHIN.as_secs())]
    Slow,
    /// The receiver's name.
    #[error("look for the syslog receiver's certificate by its name")]
    Name(#[from] rustls_pki_types::InvalidDnsNameError),
    /// Who vouches for it.
    #[error(transparent)]
    Roots(#[from] RootsError),
}

pub(super) async fn send(syslog: &Syslog, text: &Text<'_>, lang: Lang) -> Outcome {
    let lines = lines(text, lang, Time::now());
    match sent(syslog, &lines).await {
        Ok(()) => Outcome::Taken,
        Err(error) => Outcome::Failed(said(&error), None),
    }
}

async fn sent(syslog: &Syslog, lines: &[String]) -> Result<(), SyslogError> {
    let place = (syslog.host.as_str(), syslog.port);
    if syslog.transport == Transport::Udp {
        let any = if syslog.host.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(place).await?;
        for line in lines {
            socket.send(&line.as_bytes()[..boundary(line, DATAGRAM_BYTES_MAX)]).await?;
        }
        return Ok(());
    }
    let connected = timeout(CONNECTED_WITHIN, TcpStream::connect(place)).await;
    let stream = connected.map_err(|_| SyslogError::Slow)??;
    let framed: String = lines.iter().map(|line| format!("{} {line}", line.len())).collect();
    match syslog.transport {
        Transport::Tls => {
            let connector = TlsConnector::from(believed(syslog.authorities.as_deref())?);
            let name = ServerName::try_from(syslog.host.clone())?;
            let shaken = timeout(CONNECTED_WITHIN, connector.connect(name, stream)).await;
            written(shaken.map_err(|_| SyslogError::Slow)??, framed.as_bytes()).await
        }
        _ => written(stream, framed.as_bytes()).await,
    }
}

async fn written(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    bytes: &[u8],
) -> Result<(), SyslogError> {
    stream.write_all(bytes).await?;
    stream.flush().await?;
    stream.shutdown().await?;
    let mut byte = [0; 1];
    match timeout(LISTENED_FOR, stream.read(&mut byte)).await {
        // A receiver that closes without TLS's farewell has read to the end before.
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error.into()),
        _ => Ok(()),
    }
}

/// The end of a character at or before so many bytes.
fn boundary(text: &str, bytes_max: usize) -> usize {
    (0..=bytes_max.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A line for each incident; what is of none is one line.
fn lines(text: &Text<'_>, lang: Lang, now: Time) -> Vec<String> {
    let (sender, program) = (host(), "vonggac-collector");
    // The standard has six digits of a second.
    let now = Time(now.micros().saturating_mul(1_000));
    let head = |severity: u32, kind: &str| {
        // Syslog's scale: critical 2, error 3, warning 4, notice 5.
        let priority = FACILITY + severity.clamp(1, 4) + 1;
        format!("<{priority}>1 {now} {sender} {program} - {kind} - \u{feff}")
    };
    let mut lines: Vec<String> = text
        .incidents
        .iter()
        .map(|told| format!("{}{}", head(told.note.severity, "incident"), line(text, told, lang)))
        .collect();
    if lines.is_empty() {
        let subject = cef::value(&text.subject());
        let marked = text.tlp.label();
        lines.push(format!(
            "{}{}msg={subject} externalId={} cs2={marked} cs2Label=tlp",
            head(4, "notice"),
            start("notice", "Vong Gac", 1),
            text.id
        ));
    }
    lines
}

fn start(signature: &str, name: &str, severity: u32) -> String {
    format!(
        "CEF:0|Vong Gac|vonggac|{}|{}|{}|{severity}|",
        env!("CARGO_PKG_VERSION"),
        cef::head(signature),
        cef::head(name)
    )
}

/// An incident in CEF's words.
fn line(text: &Text<'_>, told: &Told<'_>, lang: Lang) -> String {
    let note = told.note;
    // M1 to M4 on CEF's scale of ten.
    let severity =
        [10, 8, 5, 3].get(note.severity.saturating_sub(1) as usize).copied().unwrap_or(3);
    let title = match lang {
        Lang::Vi => &note.title_vi,
        Lang::En => &note.title_en,
    };
    let events: Vec<&str> = told.events.iter().copied().map(Event::name).collect();
    let millis =
        |nanos: i64| if nanos == 0 { String::new() } else { (nanos / 1_000_000).to_string() };
    let pairs = [
        ("rt", millis(told.time.0)),
        ("start", millis(note.opened)),
        ("externalId", note.incident.to_string()),
        ("act", events.join(" ")),
        ("outcome", note.state.clone()),
        ("suser", note.owner.clone()),
        ("cnt", note.count.to_string()),
        ("cs1", note.agency.clone()),
        ("cs1Label", "agency".into()),
        ("cs2", text.tlp.label().into()),
        ("cs2Label", "tlp".into()),
        ("cs3", if note.simulated { "true".into() } else { String::new() }),
        ("cs3Label", if note.simulated { "simulated".into() } else { String::new() }),
        ("reason", note.said.clone()),
    ];
    let shown: Vec<String> = pairs
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", cef::value(&value)))
        .collect();
    format!("{}{}", start(&note.rule, title, severity), shown.join(" "))
}

#[cfg(test)]
mod tests;
