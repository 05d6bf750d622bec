//! The text of small configuration files, without their secrets, so that a change can be shown.

use std::{
    io::{Read, Write},
    path::Path,
    sync::LazyLock,
    time::Duration,
};

use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use regex::bytes::Regex;
use similar::TextDiff;

use crate::redact::Redactor;

/// Bytes of a file whose text is kept: longer ones are lists and dictionaries.
pub(super) const TEXT_BYTES_MAX: u64 = 64 * 1024;

/// Bytes of a difference: it has to fit a field of an event.
const DIFF_BYTES_MAX: usize = 6 * 1024;

/// Lines around a change.
const DIFF_CONTEXT_LINES: usize = 1;

/// Two texts that have nothing in common are not compared for longer.
const DIFF_TIME_MAX: Duration = Duration::from_millis(200);

/// Where configuration is: below these, or by these names in a home.
const PLACES: [&str; 4] = ["/etc/", "/lib/systemd/", "/usr/lib/systemd/", "/var/spool/cron/"];
const NAMES: [&str; 6] =
    ["authorized_keys", "authorized_keys2", ".bashrc", ".profile", ".bash_profile", ".zshrc"];

/// Files that are secrets from end to end.
static SECRET_FILES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)/g?shadow-?$|/opasswd$|/private/|/secrets?(/|\.|$)|\.(key|pem|p12|pfx|jks|keystore|keytab|gpg|kdbx?|htpasswd)$|(key|keytab|htpasswd|pgpass|netrc|\.my\.cnf|smbpasswd|credentials?|id_(rsa|dsa|ecdsa|ed25519))$|/machine-id$|/ppp/(chap|pap)-secrets$|/wireguard/|/chap-secrets$").ok()
});

/// Values after a telling word and a blank, passwords as `crypt` writes them, and long tokens.
static SECRETS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"(?im)^(?P<keep>[ \t]*(?:[\w.-]*(?:passwd|password|passphrase|secret|token|api[_-]?key|private[_-]?key|psk|community|credential|bindpw)[\w.-]*)[ \t]+)(?P<value>[^\r\n]+)|(?P<crypt>[$](?:[0-9][a-z]?|y|gy|7|apr1|sha1|md5|argon2[a-z]*|scrypt)[$][^\s:"']{8,})|\{(?:S?SHA\d*|CRYPT|MD5)\}\S{8,}"#).ok()
});

/// What stands in a secret's place.
const MASK: &[u8] = b"***";

/// Whether the text of this file is kept.
pub(super) fn is_kept(path: &Path) -> bool {
    let whole = path.to_string_lossy();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let place =
        PLACES.iter().any(|place| whole.starts_with(place)) || NAMES.contains(&name.as_ref());
    // Without the expression nothing is safe to keep.
    place && SECRET_FILES.as_ref().is_some_and(|secret| !secret.is_match(whole.as_bytes()))
}

/// The text as it may be kept: packed, and without secrets. `None`: it is no text, or nothing of it may be kept.
pub(super) fn pack(content: &[u8], redactor: &Redactor) -> Option<Vec<u8>> {
    if content.contains(&0) || std::str::from_utf8(content).is_err() {
        return None;
    }
    if memchr::memmem::find(content, b"PRIVATE KEY").is_some() {
        return None;
    }
    let masked = redactor.bytes(content);
    let mut safe = Vec::with_capacity(masked.len());
    let mut taken = 0;
    for hit in SECRETS.as_ref()?.captures_iter(&masked) {
        let whole = hit.get(0)?;
        let start = hit.name("value").unwrap_or(whole).start();
        safe.extend_from_slice(masked.get(taken..start)?);
        safe.extend_from_slice(MASK);
        taken = whole.end();
    }
    safe.extend_from_slice(masked.get(taken..)?);
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&safe).ok()?;
    packed.finish().ok()
}

fn unpack(packed: &[u8]) -> String {
    let mut text = Vec::new();
    if packed.is_empty() {
        return String::new();
    }
    // A mask is never longer than four times what it stands for.
    let read = DeflateDecoder::new(packed).take(TEXT_BYTES_MAX * 4).read_to_end(&mut text);
    match read {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::new(),
    }
}

/// What changed between two packed texts, as a unified difference; empty: nothing that may be shown.
pub(super) fn difference(before: &[u8], after: &[u8]) -> String {
    let (before, after) = (unpack(before), unpack(after));
    if before == after {
        return String::new();
    }
    let diff = TextDiff::configure().timeout(DIFF_TIME_MAX).diff_lines(&before, &after);
    let mut text = diff
        .unified_diff()
        .context_radius(DIFF_CONTEXT_LINES)
        .missing_newline_hint(false)
        .to_string();
    if text.len() > DIFF_BYTES_MAX {
        let more = text.len();
        let mut end = DIFF_BYTES_MAX;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(&format!("\n[{} more bytes]", more - end));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(text: &str) -> Vec<u8> {
        pack(text.as_bytes(), &Redactor::default()).unwrap()
    }

    #[test]
    fn what_changed_is_shown_and_secrets_are_not() {
        let before = packed("Port 22\nPermitRootLogin no\n");
        let after = packed("Port 22\nPermitRootLogin yes\n");
        let shown = difference(&before, &after);
        assert_eq!(shown, "@@ -1,2 +1,2 @@\n Port 22\n-PermitRootLogin no\n+PermitRootLogin yes\n");
        for secret in [
            "password=Hoa@2026",
            "bindpw Hoa@2026",
            "  db_password   Hoa@2026 # main",
            "lan:$6$salt$Hoa@2026abcdef:19000:0",
            "rocommunity Hoa@2026",
            "userPassword {SSHA}Hoa@2026abcdef",
            "\"api_token\": \"Hoa@2026\"",
        ] {
            let shown = difference(&packed("a\n"), &packed(&format!("a\n{secret}\n")));
            assert!(shown.contains("***") && !shown.contains("Hoa@2026"), "{shown}");
        }
        assert_eq!(difference(&packed("password=one\n"), &packed("password=two\n")), "");
    }

    #[test]
    fn files_of_secrets_and_what_is_no_text_are_not_kept() {
        for (path, kept) in [
            ("/etc/ssh/sshd_config", true),
            ("/home/lan/.ssh/authorized_keys", true),
            ("/etc/sudoers.d/lan", true),
            ("/etc/shadow", false),
            ("/etc/gshadow-", false),
            ("/etc/ssl/private/a.conf", false),
            ("/etc/ssh/ssh_host_ed25519_key", false),
            ("/etc/nginx/.htpasswd", false),
            ("/etc/wireguard/wg0.conf", false),
            ("/root/.ssh/id_rsa", false),
            ("/usr/bin/ls", false),
        ] {
            assert_eq!(is_kept(Path::new(path)), kept, "{path}");
        }
        let none = Redactor::default();
        assert_eq!(pack(b"a\0b", &none), None);
        assert_eq!(pack(b"\xff", &none), None);
        assert_eq!(pack(b"-----BEGIN EC PRIVATE KEY-----\nabc\n", &none), None);
    }

    #[test]
    fn a_long_difference_is_cut() {
        let long: String = (0..2000).map(|n| format!("chữ {n}\n")).collect();
        let shown = difference(&packed(""), &packed(&long));
        assert!(shown.len() < DIFF_BYTES_MAX + 40 && shown.ends_with(" more bytes]"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(before in ".*", after in "(?s).*") {
            let redactor = Redactor::default();
            let pack = |text: &str| pack(text.as_bytes(), &redactor).unwrap_or_default();
            let _shown = difference(&pack(&before), &pack(&after));
        }
    }
}
