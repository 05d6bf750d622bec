use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus::Registry;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;
use vonggac_wire::Identity;

use super::{
    dial::{Dial, Trouble},
    listen::{Port, Security, accept},
    *,
};
use crate::settings::Document;

use made::{Authority, Says, set, write};

const CENTRE: &str = "spiffe://vonggac/collector/centre-1";

/// A port that answers each line with who sent it.
struct Served {
    address: SocketAddr,
    figures: Figures,
    stop: CancellationToken,
    folder: tempfile::TempDir,
    files: Files,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn served(
    security: impl FnOnce(Files, CancellationToken) -> Security,
    files: (tempfile::TempDir, Files),
) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let figures = Figures::new(&Registry::new(), "test").unwrap();
    let stop = CancellationToken::new();
    let port = Port {
        name: "grpc",
        security: security(files.1.clone(), stop.clone()),
        callers: Callers::MustShow,
        connections_max: 64,
        figures: figures.clone(),
    };
    let mut connections = accept(listener, port, stop.clone());
    tokio::spawn(async move {
        while let Some(Ok(mut connection)) = connections.next().await {
            tokio::spawn(async move {
                let peer = connection.peer().clone();
                let who = peer.identity.map_or("nobody".into(), |who| who.to_string());
                let answer = format!("{who} {}\n", peer.serial);
                let mut byte = [0];
                while connection.read_exact(&mut byte).await.is_ok() {
                    if byte == *b"\n" && connection.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    Served { address, figures, stop, folder: files.0, files: files.1 }
}

fn tls(files: Files, stop: CancellationToken) -> Security {
    Security::Tls(Current::follow_every(files, Duration::from_millis(50), stop).unwrap())
}

fn centre(authority: &Authority, revoked: &str) -> (tempfile::TempDir, Files) {
    let says = Says { uris: &[CENTRE], serial: 1, ..Says::default() };
    set(&authority.issue(&says), &authority.pem, revoked)
}

/// Asks once; the answer, or what was met.
async fn ask(dial: &Dial, address: SocketAddr) -> Result<String, Option<Trouble>> {
    let asked = async {
        let mut connection = dial.connect("localhost", address.port()).await?;
        connection.write_all(b"who\n").await?;
        let mut answer = Vec::new();
        while answer.last() != Some(&b'\n') {
            answer.push(connection.read_u8().await?);
        }
        std::io::Result::Ok(String::from_utf8_lossy(&answer).trim().to_owned())
    };
    asked.await.map_err(|_| dial.trouble())
}

fn dial(files: Files) -> Dial {
    Dial::new(Security::Tls(Current::once(files).unwrap()))
}

async fn counted(served: &Served, reason: Refused) {
    let until = Instant::now() + Duration::from_secs(5);
    while served.figures.count("grpc", reason) == 0 {
        assert!(Instant::now() < until, "{reason:?} was not counted");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn who_shows_a_certificate_is_known_by_it() {
    let authority = Authority::new("Vọng Gác");
    let served = served(tls, centre(&authority, "")).await;
    let says = Says { serial: 0x1f_0a, ..Says::default() };
    let (_folder, files) = set(&authority.issue(&says), &authority.pem, "");
    let answer = ask(&dial(files), served.address).await;
    assert_eq!(answer, Ok("spiffe://vonggac/person/an 1f0a".into()));
}

#[tokio::test]
async fn a_caller_whose_certificate_is_wrong_is_refused_told_and_counted() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let served = served(tls, centre(&ours, &ours.list(&[666]))).await;
    let usual = Says::default;
    let cases: Vec<(&str, &Authority, Says<'_>, Trouble, Refused)> = vec![
        (
            "over",
            &ours,
            Says { begins: -3, hours: 1, ..usual() },
            Trouble::OwnExpired,
            Refused::Expired,
        ),
        (
            "not begun",
            &ours,
            Says { begins: 1, ..usual() },
            Trouble::OwnExpired,
            Refused::NotYetValid,
        ),
        (
            "taken back",
            &ours,
            Says { serial: 666, ..usual() },
            Trouble::OwnRevoked,
            Refused::Revoked,
        ),
        (
            "of another authority",
            &theirs,
            usual(),
            Trouble::OwnUnknownAuthority,
            Refused::UnknownAuthority,
        ),
        (
            "naming nobody",
            &ours,
            Says { uris: &["https://x/"], ..usual() },
            Trouble::OwnRefused,
            Refused::WrongIdentity,
        ),
        (
            "without a URI",
            &ours,
            Says { uris: &[], ..usual() },
            Trouble::OwnRefused,
            Refused::WrongIdentity,
        ),
        (
            "naming two",
            &ours,
            Says { uris: &["spiffe://vonggac/person/an", CENTRE], ..usual() },
            Trouble::OwnRefused,
            Refused::WrongIdentity,
        ),
    ];
    for (name, authority, says, trouble, refused) in cases {
        // What the caller's own program would refuse at its start is shown all the same.
        let (certificate, key) = authority.issue(&says);
        let config = forged(&certificate, &key, &ours.pem);
        let met = shown(config, served.address).await;
        assert_eq!(met, Some(trouble), "{name}");
        counted(&served, refused).await;
    }
}

/// A client's settings without the checks that our own programs make of their files.
fn forged(certificate: &str, key: &str, trusts: &str) -> rustls::ClientConfig {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(trusts.as_bytes()).unwrap()).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_root_certificates(roots);
    if certificate.is_empty() {
        return builder.with_no_client_auth();
    }
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
    builder
        .with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
        .unwrap()
}

/// Shakes hands with these settings and reads; what was met.
async fn shown(config: rustls::ClientConfig, address: SocketAddr) -> Option<Trouble> {
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let read = async {
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await?;
        stream.write_all(b"who\n").await?;
        stream.read_u8().await
    };
    dial::trouble_of(&read.await.expect_err("was let in"))
}

#[tokio::test]
async fn without_a_certificate_or_with_an_old_version_nobody_is_let_in() {
    let authority = Authority::new("ours");
    let served = served(tls, centre(&authority, "")).await;
    let none = forged("", "", &authority.pem);
    assert_eq!(shown(none, served.address).await, Some(Trouble::CertificateRequired));
    counted(&served, Refused::NoCertificate).await;
    let mut roots = rustls::RootCertStore::empty();
    let pem = authority.pem.as_bytes();
    roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    assert_eq!(shown(old, served.address).await, Some(Trouble::Version));
    counted(&served, Refused::OldVersion).await;
}

#[tokio::test]
async fn a_centre_that_is_not_the_one_is_not_spoken_to() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let usual = || Says { uris: &[CENTRE], serial: 1, ..Says::default() };
    let cases: Vec<(&Authority, Says<'_>, Trouble)> = vec![
        (&ours, Says { begins: -3, hours: 1, ..usual() }, Trouble::Expired),
        (&ours, Says { begins: 1, ..usual() }, Trouble::NotYetValid),
        (&ours, Says { serial: 666, ..usual() }, Trouble::Revoked),
        (&theirs, usual(), Trouble::UnknownAuthority),
        (&ours, Says { name: "elsewhere.example", ..usual() }, Trouble::WrongName),
        (
            &ours,
            Says { uris: &["spiffe://vonggac/agency/H49/agent/a"], ..usual() },
            Trouble::WrongIdentity,
        ),
    ];
    for (authority, says, trouble) in cases {
        let centre = set(&authority.issue(&says), &ours.pem, "");
        let served = served(tls, centre).await;
        let pair = ours.issue(&Says::default());
        let (_folder, files) = set(&pair, &ours.pem, &ours.list(&[666]));
        assert_eq!(ask(&dial(files), served.address).await, Err(Some(trouble)));
    }
}

#[tokio::test]
async fn plain_text_and_tls_tell_each_other_apart() {
    let authority = Authority::new("ours");
    let secure = served(tls, centre(&authority, "")).await;
    let plain = Dial::new(Security::PlainText);
    assert_eq!(ask(&plain, secure.address).await, Err(Some(Trouble::WantsTls)));
    counted(&secure, Refused::PlainText).await;
    let open = served(|_, _| Security::PlainText, centre(&authority, "")).await;
    assert_eq!(ask(&plain, open.address).await, Ok("nobody".into()));
    let (_folder, files) = set(&authority.issue(&Says::default()), &authority.pem, "");
    assert_eq!(ask(&dial(files), open.address).await, Err(Some(Trouble::WantsPlainText)));
}

#[tokio::test]
async fn a_silent_caller_is_cut_and_keeps_nobody_waiting() {
    let authority = Authority::new("ours");
    let served = served(tls, centre(&authority, "")).await;
    let mut silent = TcpStream::connect(served.address).await.unwrap();
    let (_folder, files) = set(&authority.issue(&Says::default()), &authority.pem, "");
    let began = Instant::now();
    ask(&dial(files), served.address).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(Duration::from_secs(20), silent.read_to_end(&mut rest)).await;
    assert!(cut.is_ok(), "is still open");
    counted(&served, Refused::Silent).await;
}

#[tokio::test]
async fn a_revocation_ends_the_connection_that_exists() {
    let authority = Authority::new("ours");
    let served = served(tls, centre(&authority, "")).await;
    let pair = |serial| authority.issue(&Says { serial, ..Says::default() });
    let ((_one, taken_back), (_two, other)) =
        (set(&pair(7), &authority.pem, ""), set(&pair(8), &authority.pem, ""));
    let (first, second) = (dial(taken_back), dial(other));
    let mut open = first.connect("localhost", served.address.port()).await.unwrap();
    let mut stays = second.connect("localhost", served.address.port()).await.unwrap();
    for connection in [&mut open, &mut stays] {
        connection.write_all(b"\n").await.unwrap();
        connection.read_u8().await.unwrap();
    }
    fs::write(served.files.revoked.as_ref().unwrap(), authority.list(&[7])).unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), open.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "is still open");
    assert_eq!(ask(&first, served.address).await, Err(Some(Trouble::OwnRevoked)));
    stays.write_all(b"\n").await.unwrap();
    stays.read_u8().await.unwrap();
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_half_a_renewal_is_not() {
    let authority = Authority::new("ours");
    let served = served(tls, centre(&authority, "")).await;
    let (_folder, files) = set(&authority.issue(&Says::default()), &authority.pem, "");
    let caller = dial(files);
    fs::write(&served.files.certificate, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    ask(&caller, served.address).await.unwrap();
    let renewed =
        authority.issue(&Says { uris: &[CENTRE], name: "other.example", ..Says::default() });
    write(served.folder.path(), &renewed, &authority.pem, "");
    let until = Instant::now() + Duration::from_secs(5);
    while ask(&caller, served.address).await != Err(Some(Trouble::WrongName)) {
        assert!(Instant::now() < until, "the renewed certificate is not shown");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn one_network_of_silent_callers_keeps_nobody_else_out() {
    let authority = Authority::new("ours");
    let served = served(tls, centre(&authority, "")).await;
    let mut silent = Vec::new();
    for _ in 0..300 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        silent.push(socket.connect(served.address).await.unwrap());
    }
    counted(&served, Refused::Crowd).await;
    let (_folder, files) = set(&authority.issue(&Says::default()), &authority.pem, "");
    let answer = ask(&dial(files), served.address).await;
    assert_eq!(answer, Ok("spiffe://vonggac/person/an 07".into()));
    assert_eq!(served.figures.count("grpc", Refused::Full), 0);
}

fn settings(text: &str) -> Result<Option<Files>, String> {
    let document = Document::from_text(Path::new("a.toml"), text.into());
    document.finish(Files::take).map_err(|error| error.to_string())
}

#[test]
fn either_tls_or_plain_text_is_asked_for_by_name() {
    let tls = "[tls]\ncertificate = \"/c\"\nkey = \"/k\"\nauthorities = \"/a\"\n";
    assert_eq!(settings("plain_text = true\n"), Ok(None));
    let files = settings(tls).unwrap().unwrap();
    assert_eq!((files.certificate.to_str(), files.revoked), (Some("/c"), None));
    assert!(
        settings("").unwrap_err().contains("`plain_text`: must be true where there is no [tls]")
    );
    assert!(settings("plain_text = false\n").is_err());
    let both = settings(&format!("plain_text = true\n{tls}")).unwrap_err();
    assert!(both.contains("stands beside [tls]"), "{both}");
    let several = settings("[tls]\ncertificat = \"/c\"\nkey = 7\n").unwrap_err();
    assert_eq!(several.lines().count(), 4, "{several}");
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let authority = Authority::new("ours");
    let (_folder, files) = set(&authority.issue(&Says::default()), &authority.pem, "");
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o640)).unwrap();
    let error = Current::once(files).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
}

#[test]
fn files_that_do_not_go_together_are_refused_with_the_file_s_name() {
    let authority = Authority::new("ours");
    let (one, two) = (authority.issue(&Says::default()), authority.issue(&Says::default()));
    let (_folder, files) = set(&(one.0.clone(), two.1), &authority.pem, "");
    assert!(matches!(Current::once(files), Err(TlsError::Pair { .. })));
    let (_folder, files) = set(&one, "", "");
    assert!(matches!(Current::once(files), Err(TlsError::NotPem { .. })));
    let (_folder, files) =
        set(&one, &authority.pem, "-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----\n");
    assert!(Current::once(files).is_err());
    let (_folder, files) = set(&("no".into(), one.1), &authority.pem, "");
    let error = Current::once(files.clone()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(files.certificate.to_str().unwrap()), "{error}");
}

#[test]
fn an_identity_is_read_of_a_certificate_and_never_of_garbage() {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let authority = Authority::new("ours");
    let (pem, _) = authority.issue(&Says::default());
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let named = identity_of(&der).unwrap();
    assert!(matches!(named.identity, Identity::Person(_)));
    assert!(named.not_after - named.not_before > 3600);
    for cut in 0..der.len() {
        assert!(identity_of(&CertificateDer::from(der.get(..cut).unwrap())).is_err());
    }
}
