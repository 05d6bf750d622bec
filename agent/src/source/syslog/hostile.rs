//! Senders that lie, dawdle, flood or come back, over real sockets.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};
use vonggac_wire::{
    Event,
    event::{Body, Gap, GapReason},
};

use super::tests::{Receiving, receiving};
use crate::config::{TlsFiles, Transport};

async fn connect(receiving: &Receiving) -> TcpStream {
    TcpStream::connect(receiving.address).await.unwrap()
}

fn gap(event: &Event) -> Option<&Gap> {
    match event.body() {
        Body::Gap(gap) => Some(gap),
        _ => None,
    }
}

#[tokio::test]
async fn counts_and_lines_are_mixed_and_a_lying_count_swallows_nothing() {
    let mut receiving = receiving(Transport::Tcp, |_| ()).await;
    let mut stream = connect(&receiving).await;
    // Ten digits, a megabyte and more, nothing, a count without a message, one that is too short for what follows.
    for part in [
        "7 <13>one<13>two\n",
        "9999999999 <13>ten digits\n",
        "9999999 <13>seven digits\n",
        "0 <13>zero\n",
        "12 \n",
        "5 <13>a5 <13>b",
        "<13>last\r\n",
    ] {
        stream.write_all(part.as_bytes()).await.unwrap();
    }
    assert_eq!(
        receiving.raws(9).await,
        [
            "<13>one",
            "<13>two",
            "9999999999 <13>ten digits",
            "9999999 <13>seven digits",
            "0 <13>zero",
            "12 ",
            "<13>a",
            "<13>b",
            "<13>last"
        ]
    );
}

#[tokio::test]
async fn a_sender_that_speaks_a_byte_at_a_time_holds_nobody_up() {
    let mut receiving = receiving(Transport::Tcp, |_| ()).await;
    let mut slow = connect(&receiving).await;
    slow.set_nodelay(true).unwrap();
    let mut quick = connect(&receiving).await;
    for byte in b"11 <13>slow" {
        slow.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    quick.write_all(b"<13>quick\n").await.unwrap();
    assert_eq!(receiving.raws(1).await, ["<13>quick"], "the count of the other is not reached");
    slow.write_all(b" and").await.unwrap();
    assert_eq!(receiving.raws(1).await, ["<13>slow an"]);
    slow.write_all(b"\n").await.unwrap();
    assert_eq!(receiving.raws(1).await, ["d"]);
}

#[tokio::test]
async fn a_message_of_megabytes_is_cut_told_and_followed_by_the_next() {
    let mut receiving = receiving(Transport::Tcp, |_| ()).await;
    let mut stream = connect(&receiving).await;
    let long = "x".repeat(3_000_000);
    stream.write_all(format!("<13>{long}\n<13>next\n").as_bytes()).await.unwrap();
    let events = receiving.events(2).await;
    assert_eq!(events[0].raw().len() as u64 + events[0].raw_cut_bytes(), 3_000_004);
    assert_eq!(events[1].raw(), b"<13>next");
}

#[tokio::test]
async fn who_does_not_shake_hands_costs_a_place_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let files = certificate(dir.path(), "one.test");
    let mut receiving = receiving(Transport::Tls, |config| config.tls = Some(files)).await;
    // One that says nothing, one that speaks in the clear, one that speaks half a greeting.
    let _silent = connect(&receiving).await;
    let mut clear = connect(&receiving).await;
    clear.write_all(b"<13>in the clear\n").await.unwrap();
    let mut half = connect(&receiving).await;
    half.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await.unwrap();
    let mut answer = Vec::new();
    let _closed = tokio::time::timeout(Duration::from_secs(5), clear.read_to_end(&mut answer));
    let mut good = shake(&receiving, dir.path()).await;
    good.write_all(b"<13>under cover\n").await.unwrap();
    good.flush().await.unwrap();
    assert_eq!(receiving.raws(1).await, ["<13>under cover"]);
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let files = certificate(dir.path(), "one.test");
    let receiving = receiving(Transport::Tls, |config| config.tls = Some(files.clone())).await;
    let name = |stream: &tokio_rustls::client::TlsStream<TcpStream>| {
        stream.get_ref().1.peer_certificates().unwrap()[0].as_ref().to_vec()
    };
    let first = name(&shake(&receiving, dir.path()).await);
    tokio::time::sleep(Duration::from_millis(20)).await;
    certificate(dir.path(), "one.test");
    let second = name(&shake(&receiving, dir.path()).await);
    assert_ne!(first, second);
    tokio::time::sleep(Duration::from_millis(20)).await;
    std::fs::write(&files.certificate, "broken").unwrap();
    assert_eq!(name(&shake(&receiving, dir.path()).await), second);
}

/// A certificate with its key in a folder; `ca.der` beside them is what senders trust.
fn certificate(dir: &std::path::Path, name: &str) -> TlsFiles {
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertificateParams::new(vec![name.into()]).unwrap().self_signed(&key).unwrap();
    let files = TlsFiles {
        certificate: dir.join("cert.pem"),
        key: dir.join("key.pem"),
        client_authority: None,
    };
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    std::fs::write(&files.certificate, made.pem()).unwrap();
    std::fs::write(dir.join("ca.der"), made.der()).unwrap();
    files
}

async fn shake(
    receiving: &Receiving,
    dir: &std::path::Path,
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(std::fs::read(dir.join("ca.der")).unwrap().into()).unwrap();
    let provider = rustls::crypto::ring::default_provider().into();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls_pki_types::ServerName::try_from("one.test").unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
    connector.connect(name, connect(receiving).await).await.unwrap()
}

#[tokio::test]
async fn datagrams_of_every_kind_arrive_as_they_are() {
    let mut receiving = receiving(Transport::Udp, |_| ()).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let largest = vec![b'x'; 65_507];
    let messages: [&[u8]; 5] = [
        b"<13>nul \0 in the middle\0",
        b"\xff\xfe\x00\x01\x80",
        b"<34>1 2026-11-24T09:41:12Z h app - - - \xef\xbb\xbfwith a mark",
        &largest,
        b"",
    ];
    for message in messages {
        socket.send_to(message, receiving.address).await.unwrap();
    }
    socket.send_to(b"<13>end", receiving.address).await.unwrap();
    let events = receiving.events(5).await;
    assert_eq!(events[0].raw(), b"<13>nul \0 in the middle");
    assert_eq!(events[1].raw(), b"\xff\xfe\x00\x01\x80");
    assert!(events[2].raw().ends_with(b"with a mark"));
    assert_eq!((events[3].raw().len(), events[4].raw()), (65_507, &b"<13>end"[..]));
}

#[tokio::test(flavor = "current_thread")]
async fn what_the_kernel_dropped_of_a_burst_is_told_as_a_gap_with_its_count() {
    let mut receiving =
        receiving(Transport::Udp, |config| config.receive_buffer_bytes = 4_096).await;
    let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    // The only thread is here: nobody reads while the burst comes.
    for n in 0..2_000 {
        sender
            .send_to(format!("<13>n {n} {}", "x".repeat(400)).as_bytes(), receiving.address)
            .unwrap();
    }
    let (mut arrived, mut dropped) = (0, 0);
    while arrived + dropped < 2_000 {
        for event in receiving.events(1).await {
            match gap(&event) {
                Some(gap) => {
                    assert_eq!(gap.reason(), GapReason::Overflow);
                    assert_eq!(event.source(), format!("syslog:udp://{}", receiving.address));
                    assert!(String::from_utf8_lossy(event.raw()).contains("raise receive_buffer"));
                    dropped += gap.events;
                }
                None => arrived += 1,
            }
        }
    }
    assert_eq!(arrived + dropped, 2_000);
    assert!(dropped > 0);
    assert_eq!(receiving.context.occurrences.drops(), [("syslog-kernel", dropped)]);
}

#[tokio::test]
async fn a_sender_that_floods_is_named_in_the_gap() {
    let mut receiving =
        receiving(Transport::Udp, |config| config.messages_per_second_max = 10).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for n in 0..500 {
        socket.send_to(format!("<13>n {n}").as_bytes(), receiving.address).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    receiving.context.shutdown.cancel();
    let (mut arrived, mut refused) = (0, 0);
    while arrived + refused < 500 {
        for event in receiving.events(1).await {
            match gap(&event) {
                Some(gap) => {
                    assert_eq!(event.source(), "syslog:udp:127.0.0.1");
                    refused += gap.events;
                }
                None => arrived += 1,
            }
        }
    }
    assert!(refused >= 400, "{refused}");
}

#[tokio::test]
async fn a_reload_loses_no_datagram_and_no_line_and_keeps_connections() {
    let rounds = 10;
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut receiving = receiving(transport, |_| ()).await;
        let address = receiving.address;
        let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
        let sending = tokio::spawn(async move {
            let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let mut stream = match transport {
                Transport::Udp => None,
                _ => Some(TcpStream::connect(address).await.unwrap()),
            };
            let mut sent = 0;
            while stopped.try_recv().is_err() {
                let text = format!("<13>n {sent}\n");
                match &mut stream {
                    None => drop(socket.send_to(text.as_bytes(), address).await.unwrap()),
                    Some(stream) => {
                        // In two parts, so that a reload falls between them.
                        let (head, tail) = text.as_bytes().split_at(5);
                        stream.write_all(head).await.unwrap();
                        tokio::time::sleep(Duration::from_micros(300)).await;
                        stream.write_all(tail).await.unwrap();
                    }
                }
                sent += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            sent
        });
        let found = receiving.count();
        let found = || found.load(std::sync::atomic::Ordering::Relaxed);
        for round in 0..rounds {
            tokio::time::sleep(Duration::from_millis(50)).await;
            receiving.stop().await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            receiving.go_on(|config| config.system = format!("s{round}")).await;
        }
        stop.send(()).unwrap();
        let sent = sending.await.unwrap();
        let begun = Instant::now();
        while found() < sent && begun.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(sent > 100, "{transport:?}: {sent}");
        assert_eq!(found(), sent, "{transport:?}");
        receiving.stop().await;
        assert!(receiving.context.occurrences.drops().is_empty());
    }
}

#[tokio::test]
async fn an_agent_that_stops_takes_what_the_kernel_has_of_each_sender() {
    let mut receiving =
        receiving(Transport::Tcp, |config| config.messages_per_second_max = 50).await;
    let mut stream = connect(&receiving).await;
    let text: String = (0..400).map(|n| format!("<13>n {n}\n")).collect();
    stream.write_all(text.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    receiving.stop().await;
    assert_eq!(receiving.events(400).await.len(), 400, "its allowance does not hold it up");
}

#[tokio::test]
async fn headers_of_every_writer_are_read_and_the_peer_is_never_what_a_message_says() {
    let mut receiving = receiving(Transport::Udp, |_| ()).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    // The message, the host that it names, the time that it tells (the day or all of it).
    let table = [
        (
            "<38>1 2026-11-24T09:41:12.003Z fw.example app 7 ID47 [a@1 k=\"v \\\"]\\\\ x\"][b@1] text",
            "fw.example",
            "2026-11-24T09:41:12.003",
        ),
        (
            "<38>1 2026-11-24T09:41:12Z fw app 7 - [a@1 k=\"never closed text",
            "fw",
            "2026-11-24T09:41:12",
        ),
        ("<38>1 2026-11-24T09:41:12+07:00 fw - - - - \u{feff}Bắt đầu", "fw", "2026-11-24T02:41:12"),
        ("<38>1 - - - - - - nothing is known", "127.0.0.1", ""),
        (
            "<38>Nov 24 09:41:12 sw-1 sshd[7]: Accepted password for lan from 203.0.113.7 port 5 ssh2",
            "sw-1",
            "",
        ),
        ("<38>Nov 24 2026 09:41:12 sw-2 sshd[7]: text", "sw-2", "2026-11-24"),
        ("<38>2026-11-24T09:41:12.5+07:00 sw-3 sshd[7]: text", "sw-3", "2026-11-24T02:41:12.5"),
        ("<38>Nov 24 09:41:12 su: text without a host", "127.0.0.1", ""),
        (
            "<189>29: *Nov 24 09:41:12.123: %SYS-5-CONFIG_I: Configured from console by lan on vty0 (203.0.113.7)",
            "127.0.0.1",
            "",
        ),
        ("<38>Nov 24 09:41:12 203.0.113.99 app: a name that is an address", "203.0.113.99", ""),
    ];
    for (message, ..) in table {
        socket.send_to(message.as_bytes(), receiving.address).await.unwrap();
    }
    let events = receiving.events(table.len()).await;
    let mut wrong = Vec::new();
    for ((message, host, time), event) in table.iter().zip(&events) {
        assert_eq!(event.source(), "syslog:udp:127.0.0.1", "{message}");
        assert_eq!(event.raw(), message.as_bytes());
        if event.device() != *host || !event.time().to_string().starts_with(time) {
            wrong.push(format!("{message}\n  {} {}", event.device(), event.time()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
