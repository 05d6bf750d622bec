use std::{net::SocketAddr, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::config::Config;

fn configs(text: &str) -> Result<Vec<ProbeConfig>, vonggac_daemon::settings::SettingsError> {
    let head = "agency = \"H49\"\nplain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:9092\"]\n[spool]\ndir = \"/x\"\n";
    Config::from_text(Path::new("a.toml"), &format!("{head}{text}")).map(|config| config.probes)
}

/// A probe as an administrator writes it.
pub(crate) fn probe(text: &str) -> ProbeConfig {
    configs(&format!("[[probe]]\nname = \"p\"\ntimeout = \"2s\"\n{text}\n")).unwrap().remove(0)
}

async fn ask(text: &str) -> Check {
    run(&probe(text), &Semaphore::new(1)).await
}

/// Answers each connection as told, after it has read a first time or, for those that speak first, at once.
async fn saying(answer: &'static [u8], speaks_first: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            if !speaks_first {
                let _read = stream.read(&mut request).await;
            }
            let _written = stream.write_all(answer).await;
            let _read = stream.read(&mut request).await;
            let _written = stream.write_all(b"250 ok\r\n").await;
        }
    });
    address
}

async fn answering(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _read = stream.read(&mut request).await;
            let _written = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn an_http_answer_is_up_with_its_phases() {
    let address =
        answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").await;
    let check = ask(&format!("target = \"http://{address}/\"")).await;
    assert_eq!(check.outcome(), CheckOutcome::Up, "{}", check.detail);
    assert_eq!((check.http_status_code, check.body_bytes), (Some(200), 5));
    assert!(check.connect_seconds.is_some() && check.first_byte_seconds.is_some());
}

#[tokio::test]
async fn a_status_of_500_and_a_closed_port_are_down_with_a_reason() {
    let address =
        answering("HTTP/1.1 503 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let check = ask(&format!("target = \"http://{address}/\"")).await;
    assert_eq!(check.outcome(), CheckOutcome::Down);
    assert!(check.detail.contains("status 503"), "{}", check.detail);
    let check = ask("kind = \"tcp\"\ntarget = \"127.0.0.1:1\"").await;
    assert_eq!(check.outcome(), CheckOutcome::Down);
    assert!(check.detail.contains("no connection"), "{}", check.detail);
}

#[tokio::test]
async fn a_certificate_of_ten_days_is_degraded_and_its_end_is_told() {
    let mut parameters = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let soon = std::time::SystemTime::now() + Duration::from_secs(10 * 86_400);
    parameters.not_after = soon.into();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(
        vec![certificate.der().clone()],
        rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    )
    .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _accepted = acceptor.accept(stream).await;
        }
    });
    let check = ask(&format!("kind = \"tls\"\ntarget = \"localhost:{}\"", address.port())).await;
    assert_eq!(check.outcome(), CheckOutcome::Degraded, "{}", check.detail);
    let left = Time(check.certificate_not_after_unix_nano.unwrap()).seconds_since(Time::now());
    assert!((9.0..=10.1).contains(&(left / 86_400.0)), "{left}");
}

#[tokio::test]
async fn a_body_a_header_and_redirects_are_judged() {
    let page = answering("HTTP/1.1 200 OK\r\nx-app: portal 3\r\ncontent-length: 9\r\nconnection: close\r\n\r\nall is up").await;
    let at = |more: &str| format!("target = \"http://{page}/\"\n{more}");
    assert_eq!(ask(&at("expect_body = \"is (up|fine)\"")).await.outcome(), CheckOutcome::Up);
    let check = ask(&at("expect_body = \"down\"")).await;
    assert_eq!(
        (check.outcome(), check.detail.as_str()),
        (CheckOutcome::Down, "what is expected does not stand in the body")
    );
    assert_eq!(ask(&at("expect_header = \"X-App: ^portal\"")).await.outcome(), CheckOutcome::Up);
    let check = ask(&at("expect_header = \"x-app: other\"")).await;
    assert!(check.detail.contains("got portal 3"), "{}", check.detail);
    let to = Box::leak(format!("HTTP/1.1 302 Found\r\nlocation: http://{page}/home\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").into_boxed_str());
    let moved = answering(to).await;
    let at = |more: &str| format!("target = \"http://{moved}/\"\n{more}");
    assert_eq!(ask(&at("")).await.http_status_code, Some(302));
    let followed = ask(&at("redirects = \"follow\"\nexpect_body = \"up\"")).await;
    assert_eq!((followed.outcome(), followed.http_status_code), (CheckOutcome::Up, Some(200)));
    let refused = ask(&at("redirects = \"refuse\"")).await;
    assert!(refused.detail.contains("redirects are refused"), "{}", refused.detail);
}

#[tokio::test]
async fn servers_are_known_by_what_they_say() {
    let mysql: &[u8] = b"\x0d\0\0\0\x0a8.0.36-x\0\0\0\0";
    let refused: &[u8] = b"\x13\0\0\0\xff\x69\x04Host is blocked.";
    let table: [(&str, &'static [u8], bool, CheckOutcome, &str); 10] = [
        ("smtp", b"220-mx.gov.vn hello\r\n220 ESMTP\r\n", true, CheckOutcome::Up, ""),
        ("smtp", b"554 no\r\n", true, CheckOutcome::Down, "wanted 220"),
        ("postgresql", b"N", false, CheckOutcome::Up, ""),
        ("postgresql", b"HTTP", false, CheckOutcome::Down, "not PostgreSQL's"),
        ("mysql", mysql, true, CheckOutcome::Up, ""),
        ("mysql", refused, true, CheckOutcome::Down, "Host is blocked."),
        ("redis", b"+PONG\r\n", false, CheckOutcome::Up, ""),
        ("redis", b"-NOAUTH Authentication required.\r\n", false, CheckOutcome::Up, ""),
        ("redis", b"-LOADING Redis is loading\r\n", false, CheckOutcome::Degraded, "LOADING"),
        ("redis", b"HTTP/1.1 400 Bad Request\r\n", false, CheckOutcome::Down, "wanted +PONG"),
    ];
    for (kind, answer, speaks_first, outcome, detail) in table {
        let address = saying(answer, speaks_first).await;
        let check = ask(&format!("kind = \"{kind}\"\ntarget = \"{address}\"")).await;
        assert_eq!(check.outcome(), outcome, "{kind}: {}", check.detail);
        assert!(check.detail.contains(detail), "{kind}: {}", check.detail);
    }
    let address = saying(b"SSH-2.0-OpenSSH_9.2\r\n", true).await;
    let at =
        |expect: &str| format!("kind = \"tcp\"\ntarget = \"{address}\"\nexpect = \"{expect}\"");
    assert_eq!(ask(&at("^SSH-2")).await.outcome(), CheckOutcome::Up);
    assert_eq!(ask(&at("^FTP")).await.outcome(), CheckOutcome::Down);
}

#[tokio::test]
async fn datagrams_and_echoes_are_answered_refused_or_not_allowed() {
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 64];
        while let Ok((length, sender)) = socket.recv_from(&mut buffer).await {
            let _sent = socket.send_to(&buffer[..length], sender).await;
        }
    });
    let at =
        |more: &str| format!("kind = \"udp\"\ntarget = \"{address}\"\nsend = \"hello\"\n{more}");
    assert_eq!(ask(&at("expect = \"^hello$\"")).await.outcome(), CheckOutcome::Up);
    assert_eq!(ask(&at("expect = \"other\"")).await.outcome(), CheckOutcome::Down);
    assert_eq!(ask("kind = \"udp\"\ntarget = \"127.0.0.1:1\"").await.outcome(), CheckOutcome::Down);
    let echo = ask("kind = \"icmp\"\ntarget = \"127.0.0.1\"").await;
    match echo.outcome() {
        CheckOutcome::Up => assert!(echo.first_byte_seconds.is_some()),
        CheckOutcome::Unspecified => {
            assert!(echo.detail.contains("ping_group_range"), "{}", echo.detail);
        }
        other => panic!("{other:?}: {}", echo.detail),
    }
}

#[tokio::test]
async fn files_processes_and_programs_of_this_host_are_judged() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("backup-1.gz"), "x").unwrap();
    let file = |more: &str| {
        format!("kind = \"file\"\ntarget = \"{}/backup-*\"\n{more}", dir.path().display())
    };
    assert_eq!(ask(&file("age_max = \"1h\"")).await.outcome(), CheckOutcome::Up);
    let small = ask(&file("age_max = \"1h\"\nsize_min = \"1KiB\"")).await;
    assert!(small.detail.contains("has 1 bytes"), "{}", small.detail);
    let then = std::time::SystemTime::now() - Duration::from_secs(7_200);
    std::fs::File::options()
        .write(true)
        .open(dir.path().join("backup-1.gz"))
        .unwrap()
        .set_modified(then)
        .unwrap();
    assert_eq!(ask(&file("age_max = \"1h\"")).await.outcome(), CheckOutcome::Down);

    let mut child = std::process::Command::new("sleep").arg("31.4159").spawn().unwrap();
    let sleeping = "kind = \"process\"\ntarget = \"sleep\"\nexpect = \"31.4159\"";
    assert_eq!(ask(sleeping).await.outcome(), CheckOutcome::Up);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(ask(sleeping).await.detail, "0 processes run, wanted 1");

    let program =
        |script: &str| format!("kind = \"command\"\ncommand = [\"sh\", \"-c\", \"{script}\"]");
    assert_eq!(ask(&program("echo OK")).await.outcome(), CheckOutcome::Up);
    let warned = ask(&program("echo slow; exit 1")).await;
    assert_eq!((warned.outcome(), warned.detail.as_str()), (CheckOutcome::Degraded, "slow"));
    assert_eq!(ask(&program("echo bad; exit 2")).await.detail, "exit code 2: bad");
    let endless = ask(&program("sleep 27.1828 & wait")).await;
    assert!(endless.detail.contains("no answer within"), "{}", endless.detail);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let left = ask("kind = \"process\"\ntarget = \"sleep\"\nexpect = \"27.1828\"").await;
    assert_eq!(left.outcome(), CheckOutcome::Down, "what it began is gone with it");
}

#[tokio::test]
async fn a_probe_counts_as_down_only_after_its_retries() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let listener = TcpListener::bind(address).await.unwrap();
        while listener.accept().await.is_ok() {}
    });
    let at = |retries: u32| format!("kind = \"tcp\"\ntarget = \"{address}\"\nretries = {retries}");
    assert_eq!(ask(&at(3)).await.outcome(), CheckOutcome::Up);
    let check = ask("kind = \"tcp\"\ntarget = \"127.0.0.1:1\"\nretries = 1").await;
    assert!(check.detail.ends_with("; 2 times"), "{}", check.detail);
}

#[test]
fn mistakes_of_a_probe_are_told_by_key() {
    let wrong = |text: &str| {
        configs(&format!("[[probe]]\nname = \"p\"\n{text}\n")).unwrap_err().to_string()
    };
    assert!(wrong("kind = \"gopher\"\ntarget = \"x\"").contains("wanted one of http, tcp"));
    assert!(wrong("kind = \"command\"").contains("`probe[0].command`: is missing"));
    assert!(wrong("kind = \"file\"\ntarget = \"/x\"").contains("`probe[0].age_max`: is missing"));
    assert!(wrong("target = \"http://a/\"\nexpect_body = \"(\"").contains("regular expression"));
    assert!(wrong("target = \"/a\"").contains("is no URL"));
}

#[tokio::test]
async fn a_chain_is_trusted_by_the_authority_that_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(dir.path().join("ca.pem"), certificate.pem()).unwrap();
    let server = rustls::ServerConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(
        vec![certificate.der().clone()],
        rustls_pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    )
    .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _accepted = acceptor.accept(stream).await;
        }
    });
    let at = |more: &str| format!("kind = \"tls\"\ntarget = \"localhost:{port}\"\n{more}");
    let named = format!("certificate_authority = \"{}/ca.pem\"\n", dir.path().display());
    let require = "certificate_trust = \"require\"\n";
    let trusted = ask(&at(&format!("{named}{require}"))).await;
    assert_eq!(trusted.outcome(), CheckOutcome::Up, "{}", trusted.detail);
    let stranger = ask(&at(require)).await;
    assert_ne!(stranger.outcome(), CheckOutcome::Up, "{}", stranger.detail);
    assert_eq!(ask(&at("certificate_trust = \"ignore\"")).await.outcome(), CheckOutcome::Up);
}
