//! Lines of OpenSSH's server that name no client: an earlier line of the same process does.

use vonggac_wire::event::Status;

use super::{Origin, Said, last_from, named};
use crate::format::text;

/// What a message begins with, and why it is a failure.
const REFUSALS: [(&str, &str); 20] = [
    ("kex_protocol_error: ", "bad-protocol"),
    ("ssh_dispatch_run_fatal: ", "bad-protocol"),
    ("Protocol major versions differ", "bad-protocol"),
    ("Bad packet length ", "bad-protocol"),
    ("Corrupted MAC on input", "bad-protocol"),
    ("Packet corrupt", "bad-protocol"),
    ("padding error", "bad-protocol"),
    ("ssh_packet_", "bad-protocol"),
    ("userauth_", "bad-protocol"),
    ("Authentication refused: ", "refused"),
    ("Certificate invalid: ", "bad-certificate"),
    ("cert: ", "bad-certificate"),
    ("Refusing certificate ", "bad-certificate"),
    ("Read from socket failed", "reset"),
    ("Write failed", "reset"),
    ("Connection closed by remote host", "closed"),
    ("Unable to negotiate a key exchange method", "no-common-algorithm"),
    ("no matching ", "no-common-algorithm"),
    ("Disconnecting: Too many authentication failures", "too-many-attempts"),
    ("Disconnecting: ", "disconnected"),
];

pub(super) fn read(message: &str) -> Option<Said<'_>> {
    let said = |status, activity, detail, user| Said {
        status,
        activity,
        detail,
        user,
        method: "",
        from: None,
    };
    // `Access denied for user lan by PAM account configuration [preauth]`: the password was right, the account is not let in.
    if let Some(rest) = message.strip_prefix("Access denied for user ") {
        let (user, _) = rest.rsplit_once(" by PAM account configuration")?;
        return Some(said(Status::Failure, 1, "not-allowed", named(user).0));
    }
    // HPN's builds: `SSH: Server;Ltype: Authname;Remote: 203.0.113.7-51022;Name: root [preauth]`.
    if let Some(rest) = message.strip_prefix("SSH: Server;Ltype: ") {
        let (_, rest) = rest.split_once(";Remote: ")?;
        let (place, rest) = rest.split_once(';')?;
        let (place, port) = place.rsplit_once('-')?;
        let from = Origin::at(text::address(place)?, port.parse().ok()?);
        let name = rest.strip_prefix("Name: ").unwrap_or("").trim_end_matches(" [preauth]");
        return Some(Said { from: Some(from), ..said(Status::Unknown, 99, "connection", name) });
    }
    // A second name on one connection, which OpenSSH refuses.
    if message.starts_with("Change of username or service not allowed") {
        return Some(said(Status::Failure, 99, "other-user", ""));
    }
    // What follows is what a client sent, whatever places it names.
    if message.starts_with("kex_exchange_identification: ") {
        return Some(said(Status::Failure, 99, "bad-protocol", ""));
    }
    for lead in ["input_userauth_request: ", "getpwnamallow: "] {
        if let Some(user) = message.strip_prefix(lead).and_then(named_unknown) {
            return Some(said(Status::Failure, 99, "invalid-user", user));
        }
    }
    // What ends with a place has a client after all.
    if last_from(message).is_some() || message.contains(" port ") {
        return None;
    }
    let (_, detail) = REFUSALS.iter().find(|(begin, _)| message.starts_with(begin))?;
    Some(said(Status::Failure, 99, detail, ""))
}

/// `invalid user lan [preauth]`
fn named_unknown(text: &str) -> Option<&str> {
    let (user, unknown) = named(text.trim_end_matches(" [preauth]"));
    unknown.then_some(user)
}
