//! A dead man's switch: a sign of life that leaves the system, to a file or to somebody else's monitor. It is given only while canaries come
//! back, so that its absence is the alarm, whatever has failed.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, Uri, body::Bytes, header::CONTENT_TYPE};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use vonggac_wire::Time;

use super::edge::Age;
use crate::figures::Figures;

/// How long the other side may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of an answer that are read; nothing is done with them.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Where and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often.
    pub interval: Duration,
    /// A file that is written anew each time; its age is what another monitor looks at.
    pub file: Option<PathBuf>,
    /// An address that is posted to, `http` or `https`.
    pub url: Option<Uri>,
}

/// Why no sign of life was given.
#[derive(Debug, thiserror::Error)]
pub enum HeartbeatError {
    /// The file cannot be written.
    #[error("write the heartbeat to {}: {source}; is the folder there, and writable?", .file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The certificates of this machine cannot be read.
    #[error("read this machine's certificates for the heartbeat: {0}; install ca-certificates")]
    Certificates(#[source] std::io::Error),
    /// No connection, or it broke.
    #[error("post the heartbeat: {0}; is the address right, and the way open?")]
    Post(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("post the heartbeat: no answer within {} s", ANSWER_WITHIN.as_secs())]
    Slow,
    /// The other side refused.
    #[error("post the heartbeat: the answer was {0}")]
    Refused(hyper::StatusCode),
}

/// Gives signs of life until it is told to stop.
pub async fn run(settings: Settings, age: Age, figures: Figures, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(settings.interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let seconds = age.seconds();
        if seconds == u64::MAX {
            tracing::warn!("no heartbeat is given: canaries do not come back");
            continue;
        }
        match give(&settings, seconds, Time::now()).await {
            Ok(()) => figures.heartbeat(),
            Err(error) => tracing::warn!("failed to {error}"),
        }
    }
}

/// One sign of life.
///
/// # Errors
/// If the file or the address does not take it; one does not keep the other from it.
pub async fn give(settings: &Settings, canary_age: u64, now: Time) -> Result<(), HeartbeatError> {
    let text = json!({
        "time": now.to_string(),
        "version": env!("CARGO_PKG_VERSION"),
        "canary_age_seconds": canary_age,
    })
    .to_string();
    let written = settings.file.as_ref().map_or(Ok(()), |file| write(file, &text));
    if let Some(url) = &settings.url {
        post(url, text).await?;
    }
    written
}

/// Written beside and renamed, so that nobody reads half of it.
fn write(file: &Path, text: &str) -> Result<(), HeartbeatError> {
    let wrong = |source| HeartbeatError::File { file: file.to_owned(), source };
    let mut beside = file.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut fresh = std::fs::File::create(&beside).map_err(wrong)?;
    writeln!(fresh, "{text}").and_then(|()| fresh.sync_all()).map_err(wrong)?;
    std::fs::rename(&beside, file).map_err(wrong)
}

fn client(url: &Uri) -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, HeartbeatError> {
    let builder = HttpsConnectorBuilder::new();
    let builder = if url.scheme_str() == Some("https") {
        builder.with_native_roots().map_err(HeartbeatError::Certificates)?
    } else {
        builder.with_tls_config(
            rustls::ClientConfig::builder()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth(),
        )
    };
    Ok(Client::builder(TokioExecutor::new()).build(builder.https_or_http().enable_http1().build()))
}

async fn post(url: &Uri, text: String) -> Result<(), HeartbeatError> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(text)))
        .map_err(|error| HeartbeatError::Post(error.into()))?;
    let client = client(url)?;
    let answered = async {
        let answer =
            client.request(request).await.map_err(|error| HeartbeatError::Post(error.into()))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        body.map_err(HeartbeatError::Post)?;
        if status.is_success() { Ok(()) } else { Err(HeartbeatError::Refused(status)) }
    };
    tokio::time::timeout(ANSWER_WITHIN, answered).await.unwrap_or(Err(HeartbeatError::Slow))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
    };

    use super::*;

    fn settings(file: Option<PathBuf>, url: Option<String>) -> Settings {
        let url = url.map(|url| url.parse().unwrap());
        Settings { interval: Duration::from_secs(60), file, url }
    }

    #[tokio::test]
    async fn the_file_is_whole_and_new_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alive.json");
        for second in [1, 2] {
            give(&settings(Some(file.clone()), None), 7, Time::from_seconds(second)).await.unwrap();
            let text = std::fs::read_to_string(&file).unwrap();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["canary_age_seconds"], 7);
            assert_eq!(value["time"], format!("1970-01-01T00:00:0{second}Z"));
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_told_with_its_name() {
        let file = PathBuf::from("/nowhere/alive.json");
        let error = give(&settings(Some(file), None), 1, Time(0)).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/alive.json"), "{error}");
    }

    #[tokio::test]
    async fn a_monitor_is_posted_to_and_its_refusal_is_told() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ping/abc", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for status in ["200 OK", "404 Not Found"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut bytes = [0; 4_096];
                let mut text = String::new();
                while !text.contains("canary_age_seconds") {
                    let read = stream.read(&mut bytes).unwrap();
                    text.push_str(&String::from_utf8_lossy(&bytes[..read]));
                }
                asked.push(text);
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
                );
                stream.write_all(answer.as_bytes()).unwrap();
            }
            asked
        });
        let settings = settings(None, Some(url));
        give(&settings, 3, Time(0)).await.unwrap();
        let refused = give(&settings, 3, Time(0)).await.unwrap_err();
        assert!(matches!(refused, HeartbeatError::Refused(hyper::StatusCode::NOT_FOUND)));
        let asked = server.join().unwrap();
        assert!(asked[0].starts_with("POST /ping/abc HTTP/1.1"), "{}", asked[0]);
    }

    #[tokio::test]
    async fn a_monitor_without_a_certificate_we_trust_is_refused() {
        let key = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![key.cert.der().clone()],
                rustls::pki_types::PrivateKeyDer::Pkcs8(key.signing_key.serialize_der().into()),
            )
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut tls = rustls::ServerConnection::new(std::sync::Arc::new(config)).unwrap();
            let _refused = tls.complete_io(&mut stream);
        });
        let error = give(&settings(None, Some(url)), 3, Time(0)).await.unwrap_err();
        assert!(matches!(error, HeartbeatError::Post(_)), "{error}");
    }
}
