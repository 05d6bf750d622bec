//! What all formats of web requests share.

use vonggac_wire::event::Status;

/// `GET /path HTTP/1.1`; what is no request is all URL, because that is where an attack stands.
pub(super) fn split_request(request: &str) -> (&str, &str, &str) {
    let space = memchr::memchr(b' ', request.as_bytes());
    let Some((method, rest)) = space.map(|at| (&request[..at], &request[at + 1..])) else {
        return ("", request, "");
    };
    if method.is_empty()
        || !method.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-' || b == b'_')
    {
        return ("", request, "");
    }
    let space = memchr::memrchr(b' ', rest.as_bytes());
    match space.map(|at| (&rest[..at], &rest[at + 1..])) {
        Some((url, version)) if version.starts_with("HTTP/") => (method, url, version),
        _ => (method, rest, ""),
    }
}

/// OCSF's activity of a method.
pub(super) fn method_activity(method: &str) -> u32 {
    match method {
        "CONNECT" => 1,
        "DELETE" => 2,
        "GET" => 3,
        "HEAD" => 4,
        "OPTIONS" => 5,
        "POST" => 6,
        "PUT" => 7,
        "TRACE" => 8,
        _ => 99,
    }
}

/// The outcome that a status code tells.
pub(super) fn outcome(status: u32) -> Status {
    match status {
        100..=399 => Status::Success,
        400..=599 => Status::Failure,
        _ => Status::Unknown,
    }
}

/// A host without its port; an IPv6 address in brackets keeps its colons.
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit())
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}
