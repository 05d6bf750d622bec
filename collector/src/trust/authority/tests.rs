//! The authority's files, judged by rustls' verifier and by OpenSSL.

use std::{os::unix::fs::PermissionsExt as _, process::Command, sync::Arc};

use rustls::{RootCertStore, server::WebPkiClientVerifier};
use rustls_pki_types::{
    CertificateDer, CertificateRevocationListDer, UnixTime, pem::PemObject as _,
};
use tempfile::TempDir;

use super::*;

/// What tests need not wait for.
const ROUNDS: u32 = 1_000;

fn passphrase() -> Secret {
    Secret::new("correct horse battery".into())
}

fn made(now: Time) -> (TempDir, Authority) {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("pki");
    let made =
        Authority::init_with(&place, Lifetimes::default(), &passphrase(), ("lan", ROUNDS), now);
    (dir, made.unwrap())
}

fn agent(name: &str) -> Request {
    let identity = format!("spiffe://vonggac/agency/H49/agent/{name}").parse().unwrap();
    Request::fresh(identity, Vec::new(), "lan")
}

fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(Result::unwrap).collect()
}

/// What a server that speaks TLS makes of it.
fn rustls_says(authority: &Authority, issued: &Issued, now: Time) -> Result<(), String> {
    let mut roots = RootCertStore::empty();
    for root in chain(&authority.authorities().unwrap()) {
        roots.add(root).unwrap();
    }
    let lists = authority.revoked().unwrap();
    let lists = CertificateRevocationListDer::pem_slice_iter(lists.as_bytes()).map(Result::unwrap);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls(lists)
        .enforce_revocation_expiration()
        .build()
        .unwrap();
    let chain = chain(&issued.certificate);
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.seconds().unsigned_abs()));
    verifier
        .verify_client_cert(&chain[0], &chain[1..], now)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

fn openssl(arguments: &[&str], dir: &Path) -> (bool, String) {
    let output = Command::new("openssl").args(arguments).current_dir(dir).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn openssl_says(authority: &Authority, issued: &Issued) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    issued.write(dir.path()).unwrap();
    std::fs::write(dir.path().join("revoked.pem"), authority.revoked().unwrap()).unwrap();
    let words = "verify -x509_strict -crl_check_all -CAfile authorities.pem -CRLfile revoked.pem -untrusted certificate.pem -purpose sslclient certificate.pem";
    openssl(&words.split(' ').collect::<Vec<_>>(), dir.path())
}

#[test]
fn what_is_issued_is_taken_by_rustls_and_by_openssl_until_it_is_revoked() {
    let now = Time::now();
    let (_dir, authority) = made(now);
    let (one, two) =
        (authority.issue(&agent("a"), now).unwrap(), authority.issue(&agent("b"), now).unwrap());
    for issued in [&one, &two] {
        assert_eq!(rustls_says(&authority, issued, now), Ok(()));
        let (taken, text) = openssl_says(&authority, issued);
        assert!(taken, "{text}");
    }
    authority.revoke(&one.serial, Reason::KeyCompromise, "lan", now).unwrap();
    assert!(rustls_says(&authority, &one, now).unwrap_err().contains("Revoked"));
    let (taken, text) = openssl_says(&authority, &one);
    assert!(!taken && text.contains("certificate revoked"), "{text}");
    assert_eq!(rustls_says(&authority, &two, now), Ok(()));
    let again = authority.revoke(&one.serial, Reason::KeyCompromise, "lan", now);
    assert!(matches!(again, Err(AuthorityError::Revoked(_))));
    for wrong in ["", "00", "../x", "zz"] {
        let refused = authority.revoke(wrong, Reason::Superseded, "lan", now);
        assert!(matches!(refused, Err(AuthorityError::Unknown(_))), "{wrong}");
    }
}

#[test]
fn a_new_issuer_leaves_the_former_ones_certificates_good_and_revocable() {
    let now = Time::now();
    let (_dir, authority) = made(now);
    let old = authority.issue(&agent("a"), now).unwrap();
    let wrong = authority.rotate(&Secret::new("wrong horse battery".into()), "lan", now);
    assert!(matches!(wrong, Err(AuthorityError::Seal(_))));
    let issuer = authority.rotate(&passphrase(), "lan", now).unwrap();
    let new = authority.issue(&agent("b"), now).unwrap();
    assert_eq!(authority.register(now).unwrap().issued[&new.serial].issuer, issuer);
    for issued in [&old, &new] {
        assert_eq!(rustls_says(&authority, issued, now), Ok(()));
        let (taken, text) = openssl_says(&authority, issued);
        assert!(taken, "{text}");
    }
    authority.revoke(&old.serial, Reason::Superseded, "lan", now).unwrap();
    assert!(rustls_says(&authority, &old, now).is_err());
    assert_eq!(rustls_says(&authority, &new, now), Ok(()));
    let status = authority.status(now).unwrap();
    assert_eq!(status.issuers.len(), 2);
    assert!(status.issuers[0].present && status.issuers[0].serial == issuer);
    assert!(status.root_list_until.is_some() && status.issuers[1].list_until.is_some());
}

#[test]
fn a_revoked_issuer_takes_all_that_it_issued_with_it() {
    let now = Time::now();
    let (_dir, authority) = made(now);
    let old = authority.issue(&agent("a"), now).unwrap();
    let issuer = authority.register(now).unwrap().issued[&old.serial].issuer.clone();
    let (passphrase, by) = (passphrase(), "lan");
    let key = (&passphrase, by);
    authority.revoke_issuer(&issuer, Reason::KeyCompromise, key, now).unwrap();
    let new = authority.issue(&agent("b"), now).unwrap();
    assert!(rustls_says(&authority, &old, now).unwrap_err().contains("Revoked"));
    assert!(!openssl_says(&authority, &old).0);
    assert_eq!(rustls_says(&authority, &new, now), Ok(()));
    let again = authority.revoke_issuer(&issuer, Reason::KeyCompromise, key, now);
    assert!(matches!(again, Err(AuthorityError::Revoked(_))));
    let none = authority.revoke_issuer("../..", Reason::KeyCompromise, key, now);
    assert!(matches!(none, Err(AuthorityError::Unknown(_))));
}

#[test]
fn keys_are_for_the_owner_alone_and_the_root_is_encrypted() {
    let now = Time::now();
    let (_dir, authority) = made(now);
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = authority.dir();
    assert_eq!(mode(dir), 0o700);
    for key in ["root.key.pem", "issuer.key.pem", "ledger.jsonl"] {
        assert_eq!(mode(&dir.join(key)), 0o600, "{key}");
    }
    let (opened, text) = openssl(
        &["pkey", "-in", "root.key.pem", "-passin", "pass:correct horse battery", "-noout"],
        dir,
    );
    assert!(opened, "{text}");
    assert!(
        !openssl(&["pkey", "-in", "root.key.pem", "-passin", "pass:another one", "-noout"], dir).0
    );
    let set = tempfile::tempdir().unwrap();
    authority.issue(&agent("a"), now).unwrap().write(set.path()).unwrap();
    assert_eq!(mode(&set.path().join("key.pem")), 0o600);
    assert!(matches!(
        Authority::init(dir, Lifetimes::default(), &passphrase(), "lan", now),
        Err(AuthorityError::There(_))
    ));
    assert!(matches!(Authority::open(set.path()), Err(AuthorityError::Missing(_))));
}

#[test]
fn a_certificate_says_what_its_kind_may() {
    let now = Time::now();
    let (_dir, authority) = made(now);
    let text = |request: &Request| {
        let dir = tempfile::tempdir().unwrap();
        authority.issue(request, now).unwrap().write(dir.path()).unwrap();
        openssl(&["x509", "-in", "certificate.pem", "-noout", "-text"], dir.path()).1
    };
    let of_agent = text(&agent("web-2"));
    for part in [
        "Subject: O = H49, OU = agent, CN = web-2",
        "URI:spiffe://vonggac/agency/H49/agent/web-2",
        "TLS Web Client Authentication\n",
        "CA:FALSE",
        "Digital Signature\n",
    ] {
        assert!(of_agent.contains(part), "{part}: {of_agent}");
    }
    assert!(!of_agent.contains("Server Authentication"), "{of_agent}");
    let names = vec!["centre.example".into(), "10.0.0.1".into()];
    let identity = "spiffe://vonggac/collector/centre-1".parse().unwrap();
    let of_collector = text(&Request::fresh(identity, names, "lan"));
    for part in [
        "DNS:centre.example, IP Address:10.0.0.1",
        "TLS Web Client Authentication, TLS Web Server Authentication",
    ] {
        assert!(of_collector.contains(part), "{part}: {of_collector}");
    }
    let signing = Request { usage: Usage::Signing, ..agent("web-2") };
    let of_signing = text(&signing);
    assert!(of_signing.contains("ED25519") && !of_signing.contains("TLS Web"), "{of_signing}");
    assert!(rustls_says(&authority, &authority.issue(&signing, now).unwrap(), now).is_err());
}

#[test]
fn nothing_is_valid_for_longer_than_who_signed_it() {
    let now = Time::now();
    let (_dir, authority) = made(now);
    let until = authority.status(now).unwrap().issuers[0].until;
    let late = until.minus(Duration::from_secs(86_400));
    assert_eq!(authority.issue(&agent("a"), late).unwrap().not_after, until);
    let refused = authority.issue(&agent("a"), until);
    assert!(matches!(refused, Err(AuthorityError::Ended(_))));
    let issued = authority.issue(&agent("a"), now).unwrap();
    assert!(rustls_says(&authority, &issued, now.minus(Duration::from_secs(3_000))).is_ok());
    assert!(
        rustls_says(&authority, &issued, issued.not_after.plus(Duration::from_secs(2))).is_err()
    );
}

#[test]
fn lists_are_made_anew_at_half_of_their_life() {
    let now = Time::now();
    let (_dir, authority) = made(now);
    assert!(!authority.renew_lists_in_time(now).unwrap());
    let later = now.plus(Lifetimes::default().crl / 2 + Duration::from_secs(60));
    assert!(authority.renew_lists_in_time(later).unwrap());
}
