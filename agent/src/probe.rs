//! One run of a probe: phases in seconds, an outcome, and why.

use std::{net::SocketAddr, time::Instant};

use tokio::net::TcpStream;
use vonggac_wire::{
    Time,
    event::{Check, CheckKind, CheckOutcome},
};

use crate::config::{ProbeConfig, ProbeKind};

mod http;
mod tls;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The target is malformed.
    #[error("{0:?} is no target for this probe")]
    Target(String),
    /// The name is unknown.
    #[error("the name {name} is not resolved: {source}")]
    Name {
        /// The name.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// No connection.
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    /// No TLS.
    #[error("no TLS: {0}")]
    Tls(std::io::Error),
    /// No HTTP.
    #[error("no HTTP answer: {0}")]
    Http(#[from] hyper::Error),
    /// The wrong answer.
    #[error("{0}")]
    Answer(String),
}

/// Runs a probe once.
pub async fn run(config: &ProbeConfig) -> Check {
    let begun = Instant::now();
    let kind = match config.kind {
        ProbeKind::Http => CheckKind::Http,
        ProbeKind::Tcp => CheckKind::Tcp,
        ProbeKind::Tls => CheckKind::Tls,
        ProbeKind::Dns => CheckKind::Dns,
    };
    let mut check = Check {
        name: config.name.clone(),
        kind: kind.into(),
        target: config.target.clone(),
        interval_seconds: config.interval.as_secs_f64(),
        ..Check::default()
    };
    let outcome = tokio::time::timeout(config.timeout, attempt(config, &mut check)).await;
    check.total_seconds = begun.elapsed().as_secs_f64();
    let (outcome, detail) = match outcome {
        Ok(Ok(())) => judge(config, &check, Time::now()),
        Ok(Err(error)) => (CheckOutcome::Down, error.to_string()),
        Err(_) => (CheckOutcome::Down, format!("no answer within {:?}", config.timeout)),
    };
    check.outcome = outcome.into();
    check.detail = detail;
    check
}

async fn attempt(config: &ProbeConfig, check: &mut Check) -> Result<(), ProbeError> {
    match config.kind {
        ProbeKind::Http => http::attempt(config, check).await,
        ProbeKind::Dns => {
            let begun = Instant::now();
            resolve(&config.target, 0).await?;
            check.dns_seconds = Some(begun.elapsed().as_secs_f64());
            Ok(())
        }
        ProbeKind::Tcp => connect(&config.target, check).await.map(drop),
        ProbeKind::Tls => {
            let (stream, host) = connect(&config.target, check).await?;
            tls::handshake(stream, &host, check).await.map(drop)
        }
    }
}

/// It answered: is that good enough?
fn judge(config: &ProbeConfig, check: &Check, now: Time) -> (CheckOutcome, String) {
    if let Some(end) = check.certificate_not_after_unix_nano.map(Time) {
        let left = end.seconds_since(now) / 86_400.0;
        if left < 0.0 {
            return (CheckOutcome::Down, format!("the certificate ended at {end}"));
        }
        if left < f64::from(config.certificate_days_min) {
            return (CheckOutcome::Degraded, format!("the certificate ends in {left:.0} days"));
        }
    }
    if config.slow.is_some_and(|slow| check.total_seconds > slow.as_secs_f64()) {
        return (CheckOutcome::Degraded, format!("took {:.3} s", check.total_seconds));
    }
    (CheckOutcome::Up, String::new())
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, ProbeError> {
    let name = |source| ProbeError::Name { name: host.to_owned(), source };
    let found: Vec<_> = tokio::net::lookup_host((host, port)).await.map_err(name)?.collect();
    if found.is_empty() { Err(name(std::io::Error::other("no address"))) } else { Ok(found) }
}

/// `host:port` or `[v6]:port`.
fn split(target: &str) -> Result<(String, u16), ProbeError> {
    let wrong = || ProbeError::Target(target.to_owned());
    let (host, port) = target.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err(wrong());
    }
    Ok((host.to_owned(), port.parse().map_err(|_| wrong())?))
}

async fn connect(target: &str, check: &mut Check) -> Result<(TcpStream, String), ProbeError> {
    let (host, port) = split(target)?;
    let begun = Instant::now();
    let addresses = resolve(&host, port).await?;
    check.dns_seconds = Some(begun.elapsed().as_secs_f64());
    let begun = Instant::now();
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                check.connect_seconds = Some(begun.elapsed().as_secs_f64());
                return Ok((stream, host));
            }
            Err(error) => last = Some(error),
        }
    }
    Err(ProbeError::Connect(last.unwrap_or_else(|| std::io::Error::other("no address"))))
}

/// Bytes of a body that are read; a page that is longer answers all the same.
pub(crate) const BODY_BYTES_MAX: u64 = 4 << 20;

/// Sent with every request.
pub(crate) const USER_AGENT: &str = concat!("vonggac-agent/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    fn config(kind: ProbeKind, target: &str) -> ProbeConfig {
        ProbeConfig {
            name: "p".into(),
            kind,
            target: target.into(),
            interval: Duration::from_secs(30),
            timeout: Duration::from_secs(2),
            expect_status: None,
            slow: None,
            certificate_days_min: 14,
            system: String::new(),
        }
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
            answering("HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello")
                .await;
        let check = run(&config(ProbeKind::Http, &format!("http://{address}/"))).await;
        assert_eq!(check.outcome(), CheckOutcome::Up, "{}", check.detail);
        assert_eq!((check.http_status_code, check.body_bytes), (Some(200), 5));
        assert!(check.connect_seconds.is_some() && check.first_byte_seconds.is_some());
    }

    #[tokio::test]
    async fn a_status_of_500_and_a_closed_port_are_down_with_a_reason() {
        let address =
            answering("HTTP/1.1 503 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        let check = run(&config(ProbeKind::Http, &format!("http://{address}/"))).await;
        assert_eq!(check.outcome(), CheckOutcome::Down);
        assert!(check.detail.contains("status 503"), "{}", check.detail);
        let check = run(&config(ProbeKind::Tcp, "127.0.0.1:1")).await;
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
        let check = run(&config(ProbeKind::Tls, &format!("localhost:{}", address.port()))).await;
        assert_eq!(check.outcome(), CheckOutcome::Degraded, "{}", check.detail);
        let left = Time(check.certificate_not_after_unix_nano.unwrap()).seconds_since(Time::now());
        assert!((9.0..=10.1).contains(&(left / 86_400.0)), "{left}");
    }

    #[test]
    fn targets_are_split_with_brackets() {
        assert_eq!(split("[::1]:443").unwrap(), ("::1".into(), 443));
        assert!(split("nothing").is_err() && split(":1").is_err());
    }
}
