//! What servers say first, or answer to the least question: enough to know that they live, and nothing that is logged as an attack.

use std::time::Instant;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use vonggac_wire::event::Check;

use super::{ProbeError, first_line, net, require};
use crate::config::ProbeConfig;

/// Bytes of an answer that are looked at.
const ANSWER_BYTES_MAX: usize = 4_096;

/// Longest packet that a MySQL server greets with.
const MYSQL_GREETING_BYTES_MAX: usize = 1_024;

/// PostgreSQL's question whether TLS is spoken: length 8, code 80877103.
const POSTGRESQL_SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// A connection, and what is expected on it.
pub(super) async fn tcp(config: &ProbeConfig, check: &mut Check) -> Result<(), ProbeError> {
    let (mut stream, _) = net::connect(&config.target, check).await?;
    if let Some(send) = &config.send {
        stream.write_all(send.as_bytes()).await.map_err(ProbeError::Silent)?;
    }
    let Some(expect) = &config.expect else { return Ok(()) };
    let begun = Instant::now();
    let mut answer = Vec::new();
    let mut block = [0; 512];
    // It may come in pieces; what never comes is the timeout's.
    while answer.len() < ANSWER_BYTES_MAX && !expect.is_match(&answer) {
        let read = stream.read(&mut block).await.map_err(ProbeError::Silent)?;
        if read == 0 {
            break;
        }
        check.first_byte_seconds.get_or_insert(begun.elapsed().as_secs_f64());
        answer.extend_from_slice(&block[..read]);
    }
    require(Some(expect), &answer)
}

/// `220`, `EHLO`, `250`, `QUIT`.
pub(super) async fn smtp(config: &ProbeConfig, check: &mut Check) -> Result<(), ProbeError> {
    let (mut stream, _) = net::connect(&net::with_port(&config.target, 25), check).await?;
    let greeting = reply(&mut stream, check).await?;
    if !greeting.starts_with("220") {
        return Err(ProbeError::Answer(format!("greeted with {greeting:?}, wanted 220")));
    }
    require(config.expect.as_ref(), greeting.as_bytes())?;
    let hello = format!("EHLO {}\r\n", crate::config::hostname());
    stream.write_all(hello.as_bytes()).await.map_err(ProbeError::Silent)?;
    let answer = reply(&mut stream, check).await?;
    let _left = stream.write_all(b"QUIT\r\n").await;
    if answer.starts_with("250") {
        return Ok(());
    }
    Err(ProbeError::Answer(format!("answered EHLO with {answer:?}, wanted 250")))
}

/// One answer of several lines at most; its first line.
async fn reply(stream: &mut TcpStream, check: &mut Check) -> Result<String, ProbeError> {
    let begun = Instant::now();
    let mut answer = Vec::new();
    let mut block = [0; 512];
    loop {
        let read = stream.read(&mut block).await.map_err(ProbeError::Silent)?;
        if read == 0 {
            return Err(ProbeError::Answer("the connection was closed without an answer".into()));
        }
        check.first_byte_seconds.get_or_insert(begun.elapsed().as_secs_f64());
        answer.extend_from_slice(&block[..read]);
        // "250-" goes on, "250 " is the last line.
        let text = String::from_utf8_lossy(&answer);
        let last = text.lines().last().filter(|_| text.ends_with('\n'));
        if last.is_some_and(|line| line.as_bytes().get(3) != Some(&b'-'))
            || answer.len() >= ANSWER_BYTES_MAX
        {
            return Ok(first_line(&answer));
        }
    }
}

/// Asks whether TLS is spoken: a living server says `S` or `N`, and logs nothing.
pub(super) async fn postgresql(config: &ProbeConfig, check: &mut Check) -> Result<(), ProbeError> {
    let (mut stream, _) = net::connect(&net::with_port(&config.target, 5432), check).await?;
    let begun = Instant::now();
    stream.write_all(&POSTGRESQL_SSL_REQUEST).await.map_err(ProbeError::Silent)?;
    let mut answer = [0];
    stream.read_exact(&mut answer).await.map_err(ProbeError::Silent)?;
    check.first_byte_seconds = Some(begun.elapsed().as_secs_f64());
    match answer[0] {
        b'S' | b'N' => Ok(()),
        b'E' => Err(ProbeError::Answer("the server refuses connections".into())),
        other => {
            Err(ProbeError::Answer(format!("answered byte {other}, which is not PostgreSQL's")))
        }
    }
}

/// The server speaks first: its version, or why it refuses.
pub(super) async fn mysql(config: &ProbeConfig, check: &mut Check) -> Result<(), ProbeError> {
    let (mut stream, _) = net::connect(&net::with_port(&config.target, 3306), check).await?;
    let begun = Instant::now();
    let mut head = [0; 4];
    stream.read_exact(&mut head).await.map_err(ProbeError::Silent)?;
    check.first_byte_seconds = Some(begun.elapsed().as_secs_f64());
    let length = usize::from(head[0]) | usize::from(head[1]) << 8 | usize::from(head[2]) << 16;
    if !(1..=MYSQL_GREETING_BYTES_MAX).contains(&length) {
        return Err(ProbeError::Answer("the greeting is not MySQL's".into()));
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await.map_err(ProbeError::Silent)?;
    match packet[0] {
        9 | 10 => {
            let version = packet[1..].split(|byte| *byte == 0).next().unwrap_or_default();
            require(config.expect.as_ref(), version)
        }
        // An error packet: two bytes of code, then why.
        0xff => Err(ProbeError::Answer(format!(
            "refused: {}",
            first_line(packet.get(3..).unwrap_or_default())
        ))),
        _ => Err(ProbeError::Answer("the greeting is not MySQL's".into())),
    }
}

/// `PING`: every answer of a server that works counts, even that it wants a password.
pub(super) async fn redis(config: &ProbeConfig, check: &mut Check) -> Result<(), ProbeError> {
    let (mut stream, _) = net::connect(&net::with_port(&config.target, 6379), check).await?;
    stream.write_all(b"PING\r\n").await.map_err(ProbeError::Silent)?;
    let answer = reply(&mut stream, check).await?;
    require(config.expect.as_ref(), answer.as_bytes())?;
    match answer.as_str() {
        "+PONG" => Ok(()),
        text if text.starts_with("-NOAUTH") || text.starts_with("-NOPERM") => Ok(()),
        text if text.starts_with("-LOADING") || text.starts_with("-MASTERDOWN") => {
            Err(ProbeError::Degraded(format!("answered {text:?}")))
        }
        text => Err(ProbeError::Answer(format!("answered {text:?}, wanted +PONG"))),
    }
}
