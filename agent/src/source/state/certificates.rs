//! Certificates of services, as they lie on the disk: before anybody is served one that has ended.

use std::path::Path;

use rustls_pki_types::{CertificateDer, pem::PemObject};
use vonggac_wire::Time;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::item::{Fields, Items, fields};
use crate::source::{integrity::hex, plain_file};

/// Bytes of a file of certificates.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Files that patterns may find.
const FILES_MAX: usize = 2_000;

/// Days before the end at which it is told again, and what is said.
const DAYS: [(i64, &str); 5] = [
    (0, "ended"),
    (1, "within a day"),
    (7, "within a week"),
    (14, "within two weeks"),
    (30, "within a month"),
];

/// By their files. Patterns are whole paths.
pub(super) fn collect(root: &Path, patterns: &[String], now: Time) -> Items {
    let mut items = Items::new();
    for pattern in patterns {
        let whole = root.join(pattern.trim_start_matches('/'));
        let found = glob::glob(&whole.to_string_lossy()).into_iter().flatten();
        for path in found.filter_map(Result::ok) {
            if items.len() >= FILES_MAX {
                return items;
            }
            let name = Path::new("/").join(path.strip_prefix(root).unwrap_or(&path));
            let Ok(bytes) = plain_file::read(&path, FILE_BYTES_MAX) else { continue };
            let item = read(&bytes, &name.to_string_lossy(), now);
            items.extend(item.map(|item| (name.to_string_lossy().into_owned(), item)));
        }
    }
    items
}

/// The first certificate of a file: the one that a service shows.
fn read(bytes: &[u8], file: &str, now: Time) -> Option<Fields> {
    let der = match CertificateDer::pem_slice_iter(bytes).next() {
        Some(Ok(der)) => der,
        Some(Err(_)) => return None,
        None => CertificateDer::from(bytes),
    };
    let (_, certificate) = X509Certificate::from_der(&der).ok()?;
    let (subject, issuer) = (certificate.subject().to_string(), certificate.issuer().to_string());
    let end = Time::from_seconds(certificate.validity().not_after.timestamp());
    let sum = ring::digest::digest(&ring::digest::SHA256, &der);
    let by = if subject == issuer { "itself" } else { "another" };
    Some(fields([
        ("file", file),
        ("subject", &subject),
        ("issuer", &issuer),
        ("signed_by", by),
        ("not_after", &end.to_string()),
        ("fingerprint", &hex(sum.as_ref())),
        ("ends", ends(end, now)),
    ]))
}

/// How near the end is.
fn ends(end: Time, now: Time) -> &'static str {
    let left = end.seconds().saturating_sub(now.seconds());
    DAYS.iter().find(|(days, _)| left <= days * 86_400).map_or("later", |(_, text)| text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_with_its_end_and_again_as_it_comes_near() {
        let root = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["cong.example".to_owned()]).unwrap();
        std::fs::create_dir_all(root.path().join("etc/nginx/tls")).unwrap();
        std::fs::write(root.path().join("etc/nginx/tls/a.pem"), made.cert.pem()).unwrap();
        std::fs::write(root.path().join("etc/nginx/tls/b.pem"), "none").unwrap();
        let now = Time::from_seconds(1_764_000_000);
        let items = collect(root.path(), &["/etc/nginx/**/*.pem".into()], now);
        assert_eq!(items.keys().collect::<Vec<_>>(), ["/etc/nginx/tls/a.pem"]);
        let item = &items["/etc/nginx/tls/a.pem"];
        assert_eq!((item["ends"].as_str(), item["signed_by"].as_str()), ("later", "itself"));
        let day = |days: i64| Time::from_seconds(1_764_000_000 + days * 86_400);
        for (left, said) in [
            (-3, "ended"),
            (1, "within a day"),
            (6, "within a week"),
            (20, "within a month"),
            (31, "later"),
        ] {
            assert_eq!(ends(day(left), now), said, "{left}");
        }
    }
}
