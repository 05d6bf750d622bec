use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UdpSocket},
};
use tokio_util::sync::CancellationToken;
use vonggac_wire::Event;

use super::*;
use crate::{
    config::{Listen, TlsFiles},
    intake::{self, Checkpoints, Chunks},
    occurrence::Occurrences,
};

struct Nowhere;

impl Checkpoints for Nowhere {
    fn resume(&self, _: &str) -> Option<u64> {
        None
    }
    fn known(&self, _: &str) -> Vec<(String, u64)> {
        Vec::new()
    }
}

pub(super) struct Receiving {
    pub(super) address: SocketAddr,
    pub(super) config: SyslogConfig,
    chunks: Chunks,
    pub(super) context: SourceContext,
    running: tokio::task::JoinHandle<Result<(), SourceError>>,
}

impl Receiving {
    pub(super) async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = Vec::new();
        while events.len() < count {
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.chunks.recv()).await;
            let chunk = chunk.unwrap_or_else(|_| panic!("only {} of {count} events", events.len()));
            events.extend(chunk.unwrap().entries.into_iter().map(|entry| entry.event));
        }
        events
    }

    /// The raw texts of the next events.
    pub(super) async fn raws(&mut self, count: usize) -> Vec<String> {
        let events = self.events(count).await;
        events.iter().map(|event| String::from_utf8_lossy(event.raw()).into_owned()).collect()
    }

    /// Takes everything from now on, and counts it.
    pub(super) fn count(&mut self) -> Arc<std::sync::atomic::AtomicUsize> {
        let (_, nothing) = intake::queue();
        let mut chunks = std::mem::replace(&mut self.chunks, nothing);
        let counted = Arc::<std::sync::atomic::AtomicUsize>::default();
        let all = Arc::clone(&counted);
        tokio::spawn(async move {
            while let Some(chunk) = chunks.recv().await {
                all.fetch_add(chunk.entries.len(), std::sync::atomic::Ordering::Relaxed);
            }
        });
        counted
    }

    /// The listener stops as a reload or an agent's end has it stop.
    pub(super) async fn stop(&mut self) {
        self.context.shutdown.cancel();
        (&mut self.running).await.unwrap().unwrap();
    }

    /// Another listener of the same address, with other settings, into the same queue.
    pub(super) async fn go_on(&mut self, change: impl FnOnce(&mut SyslogConfig)) {
        change(&mut self.config);
        self.context.shutdown = CancellationToken::new();
        self.running = tokio::spawn(Syslog::new(self.config.clone()).run(self.context.clone()));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A free port, which is taken again at once.
fn free(transport: Transport) -> SocketAddr {
    match transport {
        Transport::Udp => std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap(),
        _ => std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(),
    }
}

pub(super) async fn receiving(
    transport: Transport,
    change: impl FnOnce(&mut SyslogConfig),
) -> Receiving {
    let address = free(transport);
    let mut config = SyslogConfig {
        listens: vec![Listen { transport, address }],
        format: "auto".into(),
        system: "net".into(),
        tls: None,
        messages_per_second_max: 100_000,
        receive_buffer_bytes: 1 << 20,
    };
    change(&mut config);
    let (intake, chunks) = intake::queue();
    let context = SourceContext {
        intake,
        checkpoints: Arc::new(Nowhere),
        shutdown: CancellationToken::new(),
        occurrences: Occurrences::new().unwrap(),
    };
    let running = tokio::spawn(Syslog::new(config.clone()).run(context.clone()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    Receiving { address, config, chunks, context, running }
}

#[tokio::test]
async fn a_datagram_of_each_kind_becomes_an_event_with_its_sender() {
    let mut receiving = receiving(Transport::Udp, |_| ()).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for message in [
        "<38>Nov 24 09:41:12 fw-1 sshd[7]: Failed password for root from 203.0.113.7 port 5 ssh2\n",
        "<38>1 2026-11-24T09:41:12Z sw-2 sshd 7 - - Failed password for root from 203.0.113.7 port 5 ssh2",
        "\u{0}\u{1} no syslog at all",
    ] {
        socket.send_to(message.as_bytes(), receiving.address).await.unwrap();
    }
    let events = receiving.events(3).await;
    assert_eq!((events[0].class_name(), events[0].device()), ("authentication", "fw-1"));
    assert_eq!((events[1].class_name(), events[1].device()), ("authentication", "sw-2"));
    assert_eq!((events[2].source(), events[2].device()), ("syslog:udp:127.0.0.1", "127.0.0.1"));
    assert_eq!(events[2].system(), "net");
}

#[tokio::test]
async fn a_sender_of_datagrams_that_floods_is_dropped_from_and_counted() {
    let mut receiving =
        receiving(Transport::Udp, |config| config.messages_per_second_max = 10).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for n in 0..100 {
        socket.send_to(format!("<13>n {n}").as_bytes(), receiving.address).await.unwrap();
    }
    assert_eq!(receiving.events(20).await.len(), 20);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let drops = receiving.context.occurrences.drops();
    assert!(
        drops.iter().any(|(reason, count)| *reason == "syslog-sender" && *count >= 70),
        "{drops:?}"
    );
}

#[tokio::test]
async fn a_stream_may_count_octets_or_end_lines_and_its_last_words_count() {
    let mut receiving = receiving(Transport::Tcp, |_| ()).await;
    let mut stream = TcpStream::connect(receiving.address).await.unwrap();
    stream.write_all(b"9 <13>a\nb c<13>line\n<13>unfin").await.unwrap();
    stream.write_all(b"ished").await.unwrap();
    drop(stream);
    let raws: Vec<String> = receiving
        .events(3)
        .await
        .iter()
        .map(|event| String::from_utf8_lossy(event.raw()).into_owned())
        .collect();
    assert_eq!(raws, ["<13>a\nb c", "<13>line", "<13>unfinished"]);
}

#[tokio::test]
async fn a_fast_stream_is_slowed_and_loses_nothing() {
    let mut receiving =
        receiving(Transport::Tcp, |config| config.messages_per_second_max = 500).await;
    let mut stream = TcpStream::connect(receiving.address).await.unwrap();
    let text: String = (0..1_500).map(|n| format!("<13>n {n} {}\n", "x".repeat(60))).collect();
    let begun = std::time::Instant::now();
    stream.write_all(text.as_bytes()).await.unwrap();
    let events = receiving.events(1_500).await;
    assert_eq!(events.len(), 1_500);
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn one_sender_cannot_take_all_places() {
    let receiving = receiving(Transport::Tcp, |_| ()).await;
    let mut streams = Vec::new();
    for _ in 0..40 {
        streams.push(TcpStream::connect(receiving.address).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(receiving.context.occurrences.drops(), [("syslog-connection", 8)]);
}

#[tokio::test]
async fn messages_come_under_tls_with_the_servers_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    let files = TlsFiles {
        certificate: dir.path().join("cert.pem"),
        key: dir.path().join("key.pem"),
        client_authority: None,
    };
    std::fs::write(&files.certificate, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    let mut receiving = receiving(Transport::Tls, |config| config.tls = Some(files)).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.der().clone()).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(roots)
    .with_no_client_auth();
    let stream = TcpStream::connect(receiving.address).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    let mut stream =
        tokio_rustls::TlsConnector::from(Arc::new(client)).connect(name, stream).await.unwrap();
    stream.write_all(b"<13>under cover\n").await.unwrap();
    stream.flush().await.unwrap();
    let events = receiving.events(1).await;
    assert_eq!(
        (events[0].raw(), events[0].source()),
        (&b"<13>under cover"[..], "syslog:tls:127.0.0.1")
    );
}
