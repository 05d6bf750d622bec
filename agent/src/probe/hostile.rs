//! Servers and programs that mean no good: each costs its probe a timeout at most, bounded memory, and nothing that stays behind.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use vonggac_wire::event::CheckOutcome;

use super::{tests::probe, *};

async fn ask(text: &str) -> Check {
    run(&probe(text), &Semaphore::new(1)).await
}

/// A server that does with each connection as it is told, after it has read something.
async fn server<F, W>(does: F) -> SocketAddr
where
    F: Fn(TcpStream) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let does = Arc::new(does);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let does = Arc::clone(&does);
            tokio::spawn(async move {
                let _asked = stream.read(&mut [0; 4096]).await;
                does(stream).await;
            });
        }
    });
    address
}

/// Says the first part, and the second without end.
async fn endless(first: &'static str, again: &'static [u8]) -> SocketAddr {
    server(move |mut stream| async move {
        if stream.write_all(first.as_bytes()).await.is_ok() {
            while stream.write_all(again).await.is_ok() {}
        }
    })
    .await
}

#[tokio::test]
async fn heads_and_bodies_without_end_are_cut_off() {
    static BLOCK: [u8; 65_536] = [b'x'; 65_536];
    let heads = endless("HTTP/1.1 200 OK\r\n", b"x-more: and more and more and more\r\n").await;
    let check = ask(&format!("target = \"http://{heads}/\"")).await;
    assert_eq!(check.outcome(), CheckOutcome::Down, "{}", check.detail);
    let line = endless("HTTP/1.1 200 OK\r\nx: ", &BLOCK).await;
    let check = ask(&format!("target = \"http://{line}/\"")).await;
    assert_eq!(check.outcome(), CheckOutcome::Down, "{}", check.detail);
    // A page of any length answers: so much of it is read as is looked at. What claims to be packed is not unpacked.
    let packed = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n";
    let body = endless(packed, &BLOCK).await;
    let check = ask(&format!("target = \"http://{body}/\"\nexpect_body = \"^x+$\"")).await;
    assert_eq!(check.outcome(), CheckOutcome::Up, "{}", check.detail);
    assert!((4 << 20..5 << 20).contains(&check.body_bytes), "{}", check.body_bytes);
    let greeting = endless("", &BLOCK).await;
    for kind in ["redis", "tcp"] {
        let more = if kind == "tcp" { "send = \"a\"\nexpect = \"never\"" } else { "" };
        let check = ask(&format!("kind = \"{kind}\"\ntarget = \"{greeting}\"\n{more}")).await;
        assert_eq!(check.outcome(), CheckOutcome::Down, "{kind}: {}", check.detail);
        assert!(check.detail.len() < 600, "{}", check.detail.len());
    }
}

#[tokio::test]
async fn a_server_that_drips_or_hangs_up_costs_the_timeout_and_no_connection() {
    let left = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&left);
    let drips = server(move |mut stream| {
        let told = Arc::clone(&told);
        async move {
            while stream.write_all(b"H").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            told.add_permits(1);
        }
    })
    .await;
    let begun = Instant::now();
    let check = ask(&format!("target = \"http://{drips}/\"")).await;
    assert_eq!(check.outcome(), CheckOutcome::Down, "{}", check.detail);
    assert!(begun.elapsed() < Duration::from_secs(20));
    // The connection is closed with its probe: the server cannot write any more.
    let closed = tokio::time::timeout(Duration::from_secs(20), left.acquire()).await;
    assert!(closed.is_ok(), "the connection stays");
    let resets = server(|stream| async move {
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    })
    .await;
    let check = ask(&format!("target = \"http://{resets}/\"")).await;
    assert_eq!(check.outcome(), CheckOutcome::Down);
    assert!(check.detail.contains("no HTTP answer"), "{}", check.detail);
}

#[tokio::test]
async fn redirects_in_a_circle_or_out_of_the_web_are_told() {
    let answer = |to: &str| -> &'static str {
        format!(
            "HTTP/1.1 302 F\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        .leak()
    };
    for (to, detail) in [
        ("/again", "more than 5 redirects"),
        ("again?x", "more than 5 redirects"),
        ("file:///etc/passwd", "which is no URL"),
        ("http://127.0.0.1:1/", "no connection"),
    ] {
        let text = answer(to);
        let address = server(move |mut stream| async move {
            let _left = stream.write_all(text.as_bytes()).await;
        })
        .await;
        let check = ask(&format!("target = \"http://{address}/\"\nredirects = \"follow\"")).await;
        assert_eq!(check.outcome(), CheckOutcome::Down, "{to}");
        assert!(check.detail.contains(detail), "{to}: {}", check.detail);
    }
}

/// A server under TLS with a certificate for `name` that ends so many days from now.
async fn secured(name: &str, days: i64) -> (SocketAddr, String) {
    let mut parameters = rcgen::CertificateParams::new(vec![name.into()]).unwrap();
    let day = Duration::from_secs(86_400);
    let now = std::time::SystemTime::now();
    parameters.not_before = (now - 400 * day).into();
    let span = day * u32::try_from(days.abs()).unwrap();
    parameters.not_after = if days < 0 { now - span } else { now + span }.into();
    let key = rcgen::KeyPair::generate().unwrap();
    let made = parameters.self_signed(&key).unwrap();
    let server_config = rustls::ServerConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(
        vec![made.der().clone()],
        rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    )
    .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server_config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                let _asked = stream.read(&mut [0; 1024]).await;
                let _told = stream.write_all(answer).await;
                let _closed = stream.shutdown().await;
            }
        }
    });
    (address, made.pem())
}

#[tokio::test]
async fn certificates_that_ended_name_another_or_are_ones_own_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let table = [
        // By name, days, trusted authority or not: what is said with `warn`.
        ("localhost", 90, true, CheckOutcome::Up, ""),
        ("localhost", -3, true, CheckOutcome::Down, "the certificate ended at"),
        ("other.example", 90, true, CheckOutcome::Degraded, "not valid for"),
        ("localhost", 90, false, CheckOutcome::Degraded, "not trusted"),
    ];
    for (name, days, trusted, outcome, detail) in table {
        let (address, pem) = secured(name, days).await;
        let (_, other) = secured("localhost", 90).await;
        let authority = dir.path().join("ca.pem");
        std::fs::write(&authority, if trusted { pem } else { other }).unwrap();
        let check = ask(&format!(
            "target = \"https://localhost:{}/\"\ncertificate_authority = \"{}\"",
            address.port(),
            authority.display()
        ))
        .await;
        assert_eq!(check.outcome(), outcome, "{name} {days} {trusted}: {}", check.detail);
        assert!(check.detail.contains(detail), "{name} {days} {trusted}: {}", check.detail);
        assert!(check.certificate_not_after_unix_nano.is_some());
    }
}

/// Whether a process with these words in its command line runs.
async fn runs(words: &str) -> bool {
    let text = format!("kind = \"process\"\ntarget = \"sleep\"\nexpect = \"{words}\"");
    ask(&text).await.outcome() == CheckOutcome::Up
}

#[tokio::test]
async fn programs_that_fork_ignore_signals_or_write_without_end_are_ended_with_all_they_began() {
    let program =
        |script: &str| format!("kind = \"command\"\ncommand = [\"sh\", \"-c\", \"{script}\"]");
    let quick = ask(&program("sleep 41.4213 & echo done; exit 0")).await;
    assert_eq!(quick.outcome(), CheckOutcome::Up, "{}", quick.detail);
    assert!(!runs("41.4213").await, "what it left behind is gone");
    let deaf = ask(&program("trap '' TERM INT HUP; sleep 73.2050; sleep 73.2050")).await;
    assert!(deaf.detail.contains("no answer within"), "{}", deaf.detail);
    let writes = ask(&program("while :; do echo endless; done")).await;
    assert!(writes.detail.contains("no answer within"), "{}", writes.detail);
    let much = ask(&program("head -c 3000000 /dev/zero | tr '\\\\0' x; exit 1")).await;
    assert_eq!(much.outcome(), CheckOutcome::Degraded, "{}", much.detail);
    assert!(much.detail.len() < 400);
    let missing = ask("kind = \"command\"\ncommand = [\"/nowhere/check\"]").await;
    assert_eq!(missing.outcome(), CheckOutcome::Unspecified, "{}", missing.detail);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!runs("73.2050").await);
}
