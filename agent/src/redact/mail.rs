//! Addresses of mail: of persons, not of programs, units or algorithms.

use super::scan::{Finding, Kind, escape};

/// Bytes before the `@` (RFC 5321).
const LOCAL_BYTES_MAX: usize = 64;

/// Bytes behind it (RFC 1035).
const DOMAIN_BYTES_MAX: usize = 253;

/// Names of accounts that belong to no person.
const ACCOUNTS: [&str; 9] = [
    "root",
    "git",
    "postmaster",
    "mailer-daemon",
    "noreply",
    "no-reply",
    "www-data",
    "nobody",
    "daemon",
];

/// Owners of algorithms' names (`chacha20-poly1305@openssh.com`).
const ALGORITHMS: [&str; 5] =
    ["openssh.com", "libssh.org", "lysator.liu.se", "ssh.com", "tinyssh.org"];

/// Kinds of systemd's units, whose instances look like addresses (`getty@tty1.service`).
const UNITS: [&str; 11] = [
    "service",
    "socket",
    "slice",
    "scope",
    "timer",
    "mount",
    "target",
    "path",
    "device",
    "swap",
    "automount",
];

/// Names before identifiers of messages, which look like addresses.
const MESSAGE_IDS: [&[u8]; 3] = [b"message-id", b"msgid", b"references"];

/// The address around an `@` that takes the bytes from `at` to `behind`.
pub(super) fn at(text: &[u8], at: usize, behind: usize, floor: usize) -> Option<Finding> {
    let start = local_start(text, at, floor)?;
    let end = domain_end(text, behind)?;
    let local = String::from_utf8_lossy(&text[start..at]).to_ascii_lowercase();
    let domain = String::from_utf8_lossy(&text[behind..end]).to_ascii_lowercase();
    let program = ACCOUNTS.contains(&local.as_str()) || ALGORITHMS.contains(&domain.as_str());
    (!program && !is_message_id(text, start)).then_some(Finding::new(start, end, Kind::Email))
}

fn local_start(text: &[u8], at: usize, floor: usize) -> Option<usize> {
    let mut start = at;
    while start > floor && at - start < LOCAL_BYTES_MAX {
        let byte = text[start - 1];
        let escaped = start >= 3 && escape(text, start - 3).is_some();
        if escaped || !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-')) {
            break;
        }
        start -= 1;
    }
    while start < at && matches!(text[start], b'.' | b'-' | b'+') {
        start += 1;
    }
    // The password of `://name:password@host` is a secret of its own.
    (start < at && text[at - 1] != b'.').then_some(start)
}

fn domain_end(text: &[u8], start: usize) -> Option<usize> {
    let rest = &text[start..text.len().min(start + DOMAIN_BYTES_MAX)];
    let length = rest
        .iter()
        .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-')))
        .unwrap_or(rest.len());
    let mut domain = &rest[..length];
    while let Some(shorter) = domain.strip_suffix(b".").or_else(|| domain.strip_suffix(b"-")) {
        domain = shorter;
    }
    let dot = memchr::memrchr(b'.', domain)?;
    let top = std::str::from_utf8(&domain[dot + 1..]).ok()?;
    let right = dot > 0
        && (2..=24).contains(&top.len())
        && top.bytes().all(|b| b.is_ascii_alphabetic())
        && !UNITS.contains(&top)
        && !domain.windows(2).any(|two| two == b"..")
        && domain[0].is_ascii_alphanumeric();
    right.then_some(start + domain.len())
}

fn is_message_id(text: &[u8], start: usize) -> bool {
    let head = &text[start.saturating_sub(24)..start];
    let head = head.to_ascii_lowercase();
    let head = head.strip_suffix(b"<").unwrap_or(&head).trim_ascii_end();
    let Some(head) = head.strip_suffix(b"=").or_else(|| head.strip_suffix(b":")) else {
        return false;
    };
    MESSAGE_IDS.iter().any(|name| head.ends_with(name))
}

#[cfg(test)]
mod tests {
    fn found(text: &str) -> Vec<&str> {
        super::super::scan::scan(text.as_bytes(), &[])
            .into_iter()
            .map(|f| &text[f.start..f.end])
            .collect()
    }

    #[test]
    fn addresses_of_persons_are_found() {
        assert_eq!(found("to=<an.nguyen+x@hcm.gov.vn>, x"), ["an.nguyen+x@hcm.gov.vn"]);
        assert_eq!(found("user an@x.vn."), ["an@x.vn"]);
        assert_eq!(found("a%3Dan%40x.vn%26b"), ["an%40x.vn"]);
        assert_eq!(found("0912345678@gmail.com"), ["0912345678@gmail.com"]);
    }

    #[test]
    fn units_algorithms_accounts_and_messages_are_none() {
        for text in [
            "getty@tty1.service",
            "user@1000.service: x",
            "chacha20-poly1305@openssh.com",
            "curve25519-sha256@libssh.org",
            "root@web.gov.vn",
            "message-id=<20241124.AB12@mx.gov.vn>",
            "a@b",
            "@x.vn",
            "x@",
            "x@10.0.0.1",
            "x@y..vn",
            "ssh admin@192.168.1.1:22",
        ] {
            assert_eq!(found(text), Vec::<&str>::new(), "{text}");
        }
    }
}
