//! Who comes to a port with no certificate, or with a wrong one.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::ensure;
use vonggac_wire::proto::{Command, WatchRequest};

use super::{
    ground::Ground,
    tally::{Tally, says},
};

/// A port of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Grpc,
    Metrics,
    Enrolment,
}

impl Port {
    fn address(self, ground: &Ground) -> anyhow::Result<String> {
        match self {
            Self::Grpc => ground.machine.address("collector"),
            Self::Metrics => ground.machine.address("collector_metrics"),
            Self::Enrolment => Ok(ground.enrolment.clone()),
        }
    }

    /// Where it counts whom it refused.
    fn counted(self, reason: &str) -> (&'static str, Vec<String>) {
        match self {
            Self::Grpc | Self::Metrics => {
                let port = if self == Self::Grpc { "grpc" } else { "metrics" };
                let labels = vec![format!("port=\"{port}\""), format!("reason=\"{reason}\"")];
                ("vonggac_collector_connections_refused_total", labels)
            }
            Self::Enrolment => {
                ("vonggac_collector_enrolments_total", vec![format!("outcome=\"{reason}\"")])
            }
        }
    }
}

/// How somebody comes.
enum Comes {
    /// By TLS, with this set and these options of OpenSSL.
    Tls(Option<&'static str>, &'static [&'static str]),
    /// Without TLS, with these bytes.
    Plain(&'static [u8]),
}

struct Case {
    sentence: &'static str,
    port: Port,
    comes: Comes,
    /// Words of the answer.
    answered: &'static str,
    /// By which reason it is counted.
    counted: &'static str,
}

const HTTP: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const OLD: &[&str] = &["-tls1_2"];

const fn case(
    sentence: &'static str,
    port: Port,
    comes: Comes,
    answered: &'static str,
    counted: &'static str,
) -> Case {
    Case { sentence, port, comes, answered, counted }
}

use Comes::{Plain, Tls};
use Port::{Enrolment, Grpc, Metrics};

const CASES: [Case; 25] = [
    case(
        "who has no certificate opens no console",
        Grpc,
        Tls(None, &[]),
        "certificate required",
        "no_certificate",
    ),
    case(
        "a certificate of another authority opens no console",
        Grpc,
        Tls(Some("stranger"), &[]),
        "unknown ca",
        "unknown_authority",
    ),
    case(
        "a certificate that an agent issued by its own opens no console",
        Grpc,
        Tls(Some("by-a-leaf"), &[]),
        "alert",
        "handshake",
    ),
    case(
        "a certificate that is over opens no console",
        Grpc,
        Tls(Some("over"), &[]),
        "certificate expired",
        "expired",
    ),
    case(
        "a certificate that has not begun opens no console",
        Grpc,
        Tls(Some("early"), &[]),
        "alert",
        "not_yet_valid",
    ),
    case(
        "a certificate that was taken back opens no console",
        Grpc,
        Tls(Some("taken-back"), &[]),
        "certificate revoked",
        "revoked",
    ),
    case(
        "TLS 1.2 opens no console",
        Grpc,
        Tls(Some("lan"), OLD),
        "protocol version",
        "old_version",
    ),
    case(
        "TLS 1.2 without a certificate opens no console",
        Grpc,
        Tls(None, OLD),
        "protocol version",
        "old_version",
    ),
    case("HTTP/2 in plain text opens no console", Grpc, Plain(HTTP2), "alert", "plain_text"),
    case("HTTP in plain text opens no console", Grpc, Plain(HTTP), "alert", "plain_text"),
    case(
        "a record of TLS that is garbage opens no console",
        Grpc,
        Plain(b"\x16\x03\x01\x00\x05hello"),
        "",
        "handshake",
    ),
    case(
        "who has no certificate reads no figures",
        Metrics,
        Tls(None, &[]),
        "certificate required",
        "no_certificate",
    ),
    case(
        "a certificate of another authority reads no figures",
        Metrics,
        Tls(Some("stranger"), &[]),
        "unknown ca",
        "unknown_authority",
    ),
    case(
        "a certificate that is over reads no figures",
        Metrics,
        Tls(Some("over"), &[]),
        "certificate expired",
        "expired",
    ),
    case(
        "a certificate that was taken back reads no figures",
        Metrics,
        Tls(Some("taken-back"), &[]),
        "certificate revoked",
        "revoked",
    ),
    case(
        "an agent's certificate reads no figures",
        Metrics,
        Tls(Some("web-1"), &[]),
        "",
        "wrong_identity",
    ),
    case(
        "a broker's certificate reads no figures",
        Metrics,
        Tls(Some("broker"), &[]),
        "",
        "wrong_identity",
    ),
    case(
        "TLS 1.2 reads no figures",
        Metrics,
        Tls(Some("lan"), OLD),
        "protocol version",
        "old_version",
    ),
    case("plain text reads no figures", Metrics, Plain(HTTP), "alert", "plain_text"),
    case("plain text enrols nobody", Enrolment, Plain(HTTP), "alert", "handshake"),
    case("TLS 1.2 enrols nobody", Enrolment, Tls(None, OLD), "protocol version", "handshake"),
    case(
        "a certificate of another authority is renewed by nobody",
        Enrolment,
        Tls(Some("stranger"), &[]),
        "unknown ca",
        "handshake",
    ),
    case(
        "a certificate that was taken back is renewed by nobody",
        Enrolment,
        Tls(Some("taken-back"), &[]),
        "certificate revoked",
        "handshake",
    ),
    case(
        "a certificate that an agent issued is renewed by nobody",
        Enrolment,
        Tls(Some("by-a-leaf"), &[]),
        "alert",
        "handshake",
    ),
    case("garbage enrols nobody", Enrolment, Plain(b"\x16\x03\x01\x00\x05hello"), "", "handshake"),
];

/// What a port answers to bytes that are no TLS: an alert's record is told as "alert".
fn plain(address: &str, bytes: &[u8]) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    // Whoever is refused may be cut off.
    let _cut = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    Ok(if answer.first() == Some(&0x15) { format!("alert {text}") } else { text })
}

fn try_one(ground: &Ground, case: &Case) -> anyhow::Result<()> {
    let address = case.port.address(ground)?;
    let (name, labels) = case.port.counted(case.counted);
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let before = ground.metric(name, &labels)?;
    let answer = match &case.comes {
        Tls(set, options) => {
            let shown = set.map(|set| ground.shown(set)).unwrap_or_default();
            let mut all: Vec<&str> = shown.iter().map(String::as_str).collect();
            all.extend(*options);
            ground.openssl(&address, &all, HTTP)?
        }
        Plain(bytes) => plain(&address, bytes)?,
    };
    says(&answer, &[case.answered])?;
    ensure!(!answer.contains("vonggac_collector_"), "figures were told: {answer:.300}");
    ensure!(!answer.contains("200 OK"), "it was let in: {answer:.300}");
    ground.rises(name, &labels, before)
}

/// Whose certificate is good, but no person's: the port is open, each call is refused.
fn no_person(ground: &Ground, set: &str) -> anyhow::Result<()> {
    let labels = ["reason=\"not-a-person\""];
    let name = "vonggac_collector_calls_refused_total";
    let before = ground.metric(name, &labels)?;
    let mut client = ground.client(set)?;
    let watched = ground.runtime.block_on(client.watch(WatchRequest::default())).map(|_| ());
    let acted = ground.runtime.block_on(client.act(Command { incident: 1, ..Command::default() }));
    for refused in [watched, acted.map(|_| ())] {
        let refused = refused.err().map(|status| (status.code(), status.message().to_owned()));
        let (code, words) = refused.unwrap_or((tonic::Code::Ok, String::new()));
        ensure!(code == tonic::Code::PermissionDenied, "answered {code:?}");
        ensure!(words.contains("this certificate is not a person's"), "answered {words}");
    }
    ground.rises(name, &labels, before)
}

/// A handshake that is begun and not gone on with is cut, and others are let in meanwhile.
fn silent(ground: &Ground, stream: &mut TcpStream, before: f64) -> anyhow::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(15)))?;
    let mut rest = Vec::new();
    let _cut = stream.read_to_end(&mut rest);
    let labels = ["port=\"grpc\"", "reason=\"silent\""];
    ground.rises("vonggac_collector_connections_refused_total", &labels, before)
}

/// Tries all.
pub(crate) fn try_all(ground: &Ground, tally: &mut Tally) -> anyhow::Result<()> {
    let labels = ["port=\"grpc\"", "reason=\"silent\""];
    let before = ground.metric("vonggac_collector_connections_refused_total", &labels)?;
    let mut stream = TcpStream::connect(ground.machine.address("collector")?)?;
    stream.write_all(b"\x16\x03\x01\x02\x00\x01")?;
    for case in &CASES {
        tally.note(case.sentence, try_one(ground, case));
    }
    for (sentence, set) in [
        ("an agent's certificate asks the console's service nothing", "web-1"),
        ("a broker's certificate asks the console's service nothing", "broker"),
    ] {
        tally.note(sentence, no_person(ground, set));
    }
    tally.note(
        "who begins a handshake and says no more is cut",
        silent(ground, &mut stream, before),
    );
    Ok(())
}
