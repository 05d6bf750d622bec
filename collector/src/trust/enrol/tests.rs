//! Enrolment through its real listener.

use std::time::Instant;

use http_body_util::{BodyExt as _, Full};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use serde::Serialize;
use tempfile::TempDir;
use vonggac_daemon::secret::Secret;
use vonggac_wire::{
    AgencyId, Identity,
    enrol::{Asked, ENROL_PATH, Granted, Kind, LISTS_PATH, Lists, RENEW_PATH, Refused, Renewal},
};

use super::*;
use crate::trust::{
    authority::{Request, SubjectKey, ledger::Reason},
    token::{Purpose, Register, Wanted},
};

const HOUR: Duration = Duration::from_secs(3_600);

struct Centre {
    _dir: TempDir,
    authority: Authority,
    address: SocketAddr,
    registry: Registry,
    guessed: tokio::sync::mpsc::Receiver<guessing::Silenced>,
    stop: CancellationToken,
}

impl Drop for Centre {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Centre {
    async fn up() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("pki");
        let passphrase = Secret::new("correct horse battery".into());
        let lifetimes = Lifetimes::default();
        Authority::init_with(&place, lifetimes, &passphrase, ("lan", 1_000), Time::now()).unwrap();
        let authority = Authority::open(&place).unwrap();
        let (registry, stop) = (Registry::new(), CancellationToken::new());
        let (guessing, guessed) = guessing::Guessing::new();
        let settings = Settings {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
            names: vec!["localhost".into()],
            ..Settings::default()
        };
        let parts = Parts {
            dir: place,
            lifetimes,
            settings,
            brokers: vec!["k:1".into()],
            figures: Figures::new(&registry.clone()).unwrap(),
            guessing,
            receipts: None,
        };
        let address = spawn(parts, stop.clone()).await.unwrap().unwrap();
        Self { _dir: dir, authority, address, registry, guessed, stop }
    }

    fn token(&self, purpose: Purpose, uses: u32) -> String {
        let wanted = Wanted { purpose, uses, valid: HOUR };
        Register::of(&self.authority).create(&wanted, "lan", Time::now()).unwrap().1
    }

    /// Asks over TLS, with a certificate or without.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        with: Option<(&str, &KeyPair)>,
    ) -> Result<(StatusCode, Vec<u8>), String> {
        let mut roots = RootCertStore::empty();
        let authorities = self.authority.authorities().unwrap();
        roots.add(CertificateDer::from_pem_slice(authorities.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match with {
            None => config.with_no_client_auth(),
            Some((pem, key)) => {
                let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap);
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                config.with_client_auth_cert(chain.collect(), key).unwrap()
            }
        };
        let stream = tokio::net::TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
            .map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = hyper::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .body(Full::new(bytes::Bytes::from(body)))
            .unwrap();
        let response = sender.send_request(request).await.map_err(|error| format!("{error:?}"))?;
        let status = response.status();
        Ok((status, response.into_body().collect().await.unwrap().to_bytes().to_vec()))
    }

    async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        with: Option<(&str, &KeyPair)>,
    ) -> Result<Granted, (StatusCode, String)> {
        let body = serde_json::to_vec(body).unwrap();
        let (status, text) = self
            .ask(Method::POST, path, body, with)
            .await
            .map_err(|error| (StatusCode::IM_A_TEAPOT, error))?;
        if status == StatusCode::OK {
            return Ok(serde_json::from_slice(&text).unwrap());
        }
        Err((status, serde_json::from_slice::<Refused>(&text).unwrap().reason))
    }

    fn counted(&self, outcome: &str) -> f64 {
        let families = self.registry.gather();
        let metrics = families.iter().flat_map(|family| family.get_metric());
        let mut of =
            metrics.filter(|metric| metric.get_label().iter().any(|l| l.value() == outcome));
        of.next().map_or(0.0, |metric| metric.get_counter().get_value())
    }
}

fn csr(key: &KeyPair, uri: Option<&str>) -> String {
    let mut params = CertificateParams::default();
    params.subject_alt_names =
        uri.map(|uri| SanType::URI(uri.try_into().unwrap())).into_iter().collect();
    params.serialize_request(key).unwrap().pem().unwrap()
}

fn asked(token: &str, name: &str, key: &KeyPair) -> Asked {
    let name = Some(name.to_owned());
    Asked { token: token.into(), kind: None, name, csr: csr(key, None), signing_csr: None }
}

/// As a person or a collector asks, whom the token names.
fn asked_as(kind: Kind, token: &str, key: &KeyPair) -> Asked {
    Asked { kind: Some(kind), name: None, ..asked(token, "", key) }
}

fn h49() -> Purpose {
    Purpose::Agency(AgencyId::new("H49").unwrap())
}

fn refused<T>(status: StatusCode, word: &str) -> Result<T, (StatusCode, String)> {
    Err((status, word.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_becomes_a_certificate_once_and_the_certificate_the_next() {
    let centre = Centre::up().await;
    let token = centre.token(h49(), 1);
    let key = KeyPair::generate().unwrap();
    let granted = centre.post(ENROL_PATH, &asked(&token, "a", &key), None).await.unwrap();
    assert_eq!(granted.identity, "spiffe://vonggac/agency/H49/agent/a");
    assert_eq!(granted.kafka, ["k:1"]);
    let again = centre.post(ENROL_PATH, &asked(&token, "b", &key), None).await;
    assert_eq!(again, refused(StatusCode::FORBIDDEN, "token"));
    let next = KeyPair::generate().unwrap();
    let signing = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let renewal = Renewal { csr: csr(&next, None), signing_csr: Some(csr(&signing, None)) };
    let with = Some((granted.certificate.as_str(), &key));
    let renewed = centre.post(RENEW_PATH, &renewal, with).await.unwrap();
    assert_eq!(renewed.identity, granted.identity);
    assert!(renewed.signing_certificate.is_some());
    let nobody = centre.post(RENEW_PATH, &renewal, None).await;
    assert_eq!(nobody, refused(StatusCode::FORBIDDEN, "nobody"));
    let (status, lists) = centre.ask(Method::GET, LISTS_PATH, Vec::new(), None).await.unwrap();
    let lists: Lists = serde_json::from_slice(&lists).unwrap();
    assert_eq!((status, lists), (StatusCode::OK, granted.lists));
    assert_eq!((centre.counted("enrolled"), centre.counted("renewed")), (1.0, 1.0));
    assert_eq!(centre.counted("token"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_another_agency_is_refused_and_the_token_stays() {
    let centre = Centre::up().await;
    let token = centre.token(h49(), 1);
    let key = KeyPair::generate().unwrap();
    for uri in ["spiffe://vonggac/agency/H50/agent/a", "spiffe://vonggac/person/a", "https://x"] {
        let mut forged = asked(&token, "a", &key);
        forged.csr = csr(&key, Some(uri));
        let answer = centre.post(ENROL_PATH, &forged, None).await;
        assert_eq!(answer, refused(StatusCode::BAD_REQUEST, "request"), "{uri}");
    }
    for name in ["", "a/b", "../agency/H50/agent/a", "a\nb"] {
        let answer = centre.post(ENROL_PATH, &asked(&token, name, &key), None).await;
        assert_eq!(answer, refused(StatusCode::BAD_REQUEST, "request"), "{name:?}");
    }
    assert!(centre.post(ENROL_PATH, &asked(&token, "a", &key), None).await.is_ok());
    let two = centre.token(h49(), 1);
    let taken = centre.post(ENROL_PATH, &asked(&two, "a", &key), None).await;
    assert_eq!(taken, refused(StatusCode::CONFLICT, "taken"));
    let named = Purpose::Agent(AgencyId::new("H49").unwrap(), AgentId::new("a").unwrap());
    let named = centre.token(named, 1);
    let other = centre.post(ENROL_PATH, &asked(&named, "b", &key), None).await;
    assert_eq!(other, refused(StatusCode::BAD_REQUEST, "request"));
    assert!(centre.post(ENROL_PATH, &asked(&named, "a", &key), None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn persons_and_collectors_come_in_by_tokens_that_name_them_and_renew_as_agents_do() {
    let centre = Centre::up().await;
    let name = |name: &str| AgentId::new(name).unwrap();
    let collector = || Purpose::Collector(name("c-2"), vec!["c.example".into()]);
    for (purpose, kind, identity) in [
        (Purpose::Person(name("lan")), Kind::Person, "spiffe://vonggac/person/lan"),
        (collector(), Kind::Collector, "spiffe://vonggac/collector/c-2"),
    ] {
        let (token, key) = (centre.token(purpose, 1), KeyPair::generate().unwrap());
        let granted = centre.post(ENROL_PATH, &asked_as(kind, &token, &key), None).await.unwrap();
        assert_eq!(granted.identity, identity);
        let with = Some((granted.certificate.as_str(), &key));
        let renewal = Renewal { csr: csr(&key, Some(identity)), signing_csr: None };
        let renewed = centre.post(RENEW_PATH, &renewal, with).await.unwrap();
        assert_eq!(renewed.identity, identity);
        let signing = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let more = Renewal { signing_csr: Some(csr(&signing, None)), ..renewal };
        let more = centre.post(RENEW_PATH, &more, with).await;
        assert_eq!(more, refused(StatusCode::BAD_REQUEST, "request"));
    }
    let register = centre.authority.register(Time::now()).unwrap();
    let identity = "spiffe://vonggac/collector/c-2".parse().unwrap();
    let mut issued = register.good(&identity, Time::now());
    assert!(issued.all(|certificate| certificate.names == ["c.example"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_one_kind_lets_no_other_kind_in_and_stays() {
    let centre = Centre::up().await;
    let name = |name: &str| AgentId::new(name).unwrap();
    let key = KeyPair::generate().unwrap();
    let person = centre.token(Purpose::Person(name("lan")), 1);
    let agent = centre.token(h49(), 1);
    for (kind, token) in [
        (Kind::Agent, &person),
        (Kind::Collector, &person),
        (Kind::Person, &agent),
        (Kind::Collector, &agent),
    ] {
        let mut forged = asked_as(kind, token, &key);
        forged.name = Some("lan".into());
        let answer = centre.post(ENROL_PATH, &forged, None).await;
        assert_eq!(answer, refused(StatusCode::BAD_REQUEST, "request"), "{kind:?}");
    }
    for uri in ["spiffe://vonggac/person/hung", "spiffe://vonggac/role/administrator"] {
        let mut forged = asked_as(Kind::Person, &person, &key);
        forged.csr = csr(&key, Some(uri));
        let answer = centre.post(ENROL_PATH, &forged, None).await;
        assert_eq!(answer, refused(StatusCode::BAD_REQUEST, "request"), "{uri}");
    }
    assert_eq!(centre.counted("request"), 6.0);
    let lan = asked_as(Kind::Person, &person, &key);
    assert!(centre.post(ENROL_PATH, &lan, None).await.is_ok());
    assert!(centre.post(ENROL_PATH, &asked(&agent, "lan", &key), None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_is_told_of_once_and_not_listened_to() {
    let mut centre = Centre::up().await;
    let key = KeyPair::generate().unwrap();
    for number in 0..guard::WRONG_MAX {
        let guess = asked(&format!("{number:064x}"), "a", &key);
        let answer = centre.post(ENROL_PATH, &guess, None).await;
        assert_eq!(answer, refused(StatusCode::FORBIDDEN, "token"));
    }
    assert_eq!(centre.guessed.recv().await.unwrap().address.to_string(), "127.0.0.1");
    assert!(centre.guessed.try_recv().is_err());
    let right = centre.token(h49(), 1);
    let answer = centre.post(ENROL_PATH, &asked(&right, "a", &key), None).await;
    assert_eq!(answer, refused(StatusCode::TOO_MANY_REQUESTS, "busy"));
    assert_eq!(centre.counted("token"), f64::from(guard::WRONG_MAX));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_question_is_answered_and_nothing_breaks() {
    let centre = Centre::up().await;
    for (method, path, body, status) in [
        (Method::GET, ENROL_PATH, Vec::new(), StatusCode::NOT_FOUND),
        (Method::POST, "/", Vec::new(), StatusCode::NOT_FOUND),
        (Method::POST, ENROL_PATH, Vec::new(), StatusCode::BAD_REQUEST),
        (Method::POST, ENROL_PATH, b"{\"token\":1}".to_vec(), StatusCode::BAD_REQUEST),
        (Method::POST, ENROL_PATH, vec![b'['; 30_000], StatusCode::BAD_REQUEST),
        (Method::POST, ENROL_PATH, vec![b' '; 40_000], StatusCode::PAYLOAD_TOO_LARGE),
        (Method::POST, RENEW_PATH, vec![0xff; 100], StatusCode::BAD_REQUEST),
    ] {
        let answer = centre.ask(method, path, body, None).await.unwrap();
        assert_eq!(answer.0, status, "{path}: {}", String::from_utf8_lossy(&answer.1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ran_out_comes_back_with_a_yes_alone() {
    let centre = Centre::up().await;
    let identity: Identity = "spiffe://vonggac/agency/H49/agent/a".parse().unwrap();
    let key = KeyPair::generate().unwrap();
    let issue = |ago: Duration| {
        let request = Request {
            key: SubjectKey::Request(csr(&key, None)),
            valid: Some(Duration::from_secs(60)),
            ..Request::fresh(identity.clone(), Vec::new(), "lan")
        };
        centre.authority.issue(&request, Time::now().minus(ago)).unwrap()
    };
    // Each was issued for a minute, long ago; the issuer is younger, and is good from an hour before it was made.
    let late = issue(Duration::from_secs(600));
    let renewal = Renewal { csr: csr(&key, None), signing_csr: None };
    let with = Some((late.certificate.as_str(), &key));
    let answer = centre.post(RENEW_PATH, &renewal, with).await;
    assert_eq!(answer, refused(StatusCode::FORBIDDEN, "expired"));
    Register::of(&centre.authority).admit(&identity, HOUR, "lan", Time::now()).unwrap();
    assert!(centre.post(RENEW_PATH, &renewal, with).await.is_ok());
    let answer = centre.post(RENEW_PATH, &renewal, with).await;
    assert_eq!(answer, refused(StatusCode::FORBIDDEN, "expired"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_renews_nothing_and_soon_gets_no_connection() {
    let centre = Centre::up().await;
    let token = centre.token(h49(), 1);
    let key = KeyPair::generate().unwrap();
    let granted = centre.post(ENROL_PATH, &asked(&token, "a", &key), None).await.unwrap();
    let register = centre.authority.register(Time::now()).unwrap();
    let identity = granted.identity.parse().unwrap();
    let serial = register.good(&identity, Time::now()).next().unwrap().serial.clone();
    centre.authority.revoke(&serial, Reason::KeyCompromise, "lan", Time::now()).unwrap();
    let renewal = Renewal { csr: csr(&key, None), signing_csr: None };
    let with = Some((granted.certificate.as_str(), &key));
    let began = Instant::now();
    let (status, _) = centre.post(RENEW_PATH, &renewal, with).await.unwrap_err();
    assert!(matches!(status, StatusCode::FORBIDDEN | StatusCode::IM_A_TEAPOT), "{status}");
    // Then the handshake itself refuses it.
    while centre.post(RENEW_PATH, &renewal, with).await.unwrap_err().0 != StatusCode::IM_A_TEAPOT {
        assert!(began.elapsed() < LOOK_EVERY + Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_centres_certificate_gets_no_connection() {
    let (centre, other) = (Centre::up().await, Centre::up().await);
    let identity: Identity = "spiffe://vonggac/agency/H49/agent/a".parse().unwrap();
    let request = Request::fresh(identity, Vec::new(), "lan");
    let foreign = other.authority.issue(&request, Time::now()).unwrap();
    let key = KeyPair::from_pem(foreign.key.as_ref().unwrap().reveal()).unwrap();
    let renewal = Renewal { csr: csr(&key, None), signing_csr: None };
    let with = Some((foreign.certificate.as_str(), &key));
    let answer = centre.post(RENEW_PATH, &renewal, with).await;
    assert_eq!(answer.unwrap_err().0, StatusCode::IM_A_TEAPOT);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_network_of_slow_callers_keeps_nobody_else_out() {
    let centre = Centre::up().await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        slow.push(socket.connect(centre.address).await.unwrap());
    }
    let begun = Instant::now();
    let asked = centre.ask(Method::GET, LISTS_PATH, Vec::new(), None).await;
    assert_eq!(asked.unwrap().0, StatusCode::OK);
    assert!(begun.elapsed() < Duration::from_secs(5), "it waited for the slow ones");
    assert!(centre.counted("crowd") > 0.0);
}
