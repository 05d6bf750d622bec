//! OpenSSH's server. What a client says may stand in a line (user names with spaces, with " from 1.2.3.4"), so addresses are
//! looked for from the right.
//!
//! Every line that speaks of a client's log-in is an Authentication event. `activity_id` 1 (logon) with a failure is an attempt that
//! was refused; lines that only repeat another's outcome or tell the end of a connection have `activity_id` 99 or 2.

use std::{net::IpAddr, sync::LazyLock};

use memchr::memmem::FinderRev;

use vonggac_wire::event::{Class, Status};

use super::{Parsed, program, text};

mod nameless;

/// What a line says.
struct Said<'a> {
    status: Status,
    activity: u32,
    detail: &'a str,
    user: &'a str,
    method: &'a str,
    from: Option<Origin<'a>>,
}

/// Where a client is: its address, or its name where the server looks names up.
#[derive(Clone, Copy)]
struct Origin<'a> {
    address: Option<IpAddr>,
    name: &'a str,
    port: u32,
}

impl<'a> Origin<'a> {
    fn at(address: IpAddr, port: u32) -> Self {
        Self { address: Some(address), name: "", port }
    }

    /// Two places are told, and one of them is a client's invention: which one cannot be seen.
    const fn in_doubt() -> Self {
        Self { address: None, name: "", port: 0 }
    }

    /// `client.example.vn`, `client.example.vn via 10.0.0.5`: a name that nothing but the server's own words follow.
    fn by_name(text: &'a str) -> Option<Self> {
        let (name, rest) = text::word(text);
        let is_name = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:".contains(&b));
        let ends = rest.is_empty()
            || ["via ", "port ", "[preauth]", "ssh"].iter().any(|word| rest.starts_with(word));
        (is_name && ends).then_some(Self { address: None, name, port: 0 })
    }
}

pub(super) fn parse(program: &str, pid: u32, message: &str) -> Option<Parsed> {
    let (message, repeated) = unrepeat(without_mark(message));
    let plain = message
        .strip_prefix("error: ")
        .or_else(|| message.strip_prefix("fatal: "))
        .unwrap_or(message);
    let said = attempt(plain)
        .or_else(|| refusal(plain))
        .or_else(|| nameless::read(plain))
        .or_else(|| connection(plain));
    let Some(said) = said else { return Some(other(program, pid, message)) };
    let mut activity =
        program::of(Class::Authentication, said.activity, said.status, "sshd", pid, message);
    activity.process_name = program.to_owned();
    activity.status_detail = said.detail.to_owned();
    activity.user_name = said.user.to_owned();
    activity.auth_protocol = said.method.to_owned();
    if let Some(from) = said.from {
        activity.src_port = from.port;
        if let Some(address) = from.address {
            activity.set_source_address(address);
        } else if from.name.is_empty() {
            activity.unmapped.insert("doubt".into(), "src_endpoint.ip".into());
        } else {
            activity.unmapped.insert("src_endpoint.hostname".into(), from.name.to_owned());
        }
    }
    if repeated > 1 {
        activity.unmapped.insert("repeat_count".into(), repeated.to_string());
    }
    Some(Parsed::activity("sshd", activity))
}

/// What speaks of no client: start, stop, and what else a server has to say. Nothing is guessed of it, as clients have a say in it.
fn other(program: &str, pid: u32, message: &str) -> Parsed {
    let (class, activity_id, status) = if message.starts_with("Server listening on ") {
        (Class::ApplicationLifecycle, 3, Status::Success)
    } else if message.starts_with("Received signal ") && message.contains("terminating") {
        (Class::ApplicationLifecycle, 4, Status::Unknown)
    } else {
        (Class::Base, 0, Status::Unknown)
    };
    let mut activity = program::of(class, activity_id, status, "sshd", pid, message);
    activity.process_name = program.to_owned();
    Parsed::activity("sshd", activity)
}

/// Without what Solaris (`[ID 800047 auth.info] `) or a kernel's relay (`kernel: [12.345] `) puts before a message.
fn without_mark(message: &str) -> &str {
    let inner = message.strip_prefix("kernel:").map(str::trim_start).unwrap_or(message);
    let kernel = inner.len() < message.len();
    if !kernel && !message.starts_with("[ID ") {
        return message;
    }
    match inner.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((_, rest)) => rest.trim_start_matches(':').trim_start(),
        None => message,
    }
}

/// `message repeated 3 times: [ Failed password ... ]`.
fn unrepeat(message: &str) -> (&str, u32) {
    let inner = message
        .strip_prefix("message repeated ")
        .and_then(|rest| rest.split_once(" times: ["))
        .and_then(|(count, rest)| {
            Some((rest.strip_suffix(']').unwrap_or(rest).trim(), count.parse().ok()?))
        });
    inner.unwrap_or((message, 1))
}

/// `203.0.113.7 port 51022 ssh2: ...` at the beginning.
fn origin(text: &str) -> Option<Origin<'_>> {
    let (first, rest) = text::word(text);
    let address = text::address(first.trim_end_matches([':', '.']))?;
    let port = rest.trim_start().strip_prefix("port ").map_or(0, |rest| {
        rest.split(|c: char| !c.is_ascii_digit())
            .next()
            .and_then(|port| port.parse().ok())
            .unwrap_or(0)
    });
    Some(Origin::at(address, port))
}

/// Splits at the ` from ADDRESS` that the server wrote. Where it ends with a protocol (`from 203.0.113.7 port 51022 ssh2`), that is the
/// last one so complete; what stands before it may hold anything that a client says. Behind it may stand a key's fingerprint, or what
/// a client says of its certificate or of itself: then a second place makes both doubtful.
fn whole_from(text: &str) -> Option<(&str, Origin<'_>)> {
    let mut end = text.len();
    let mut found: Option<(&str, Origin<'_>)> = None;
    while let Some(at) = FROM.rfind(&text.as_bytes()[..end]) {
        let rest = &text[at + 6..];
        let mut words = rest.split(' ').skip(1);
        let (port, number, protocol) = (words.next(), words.next(), words.next());
        let whole = port == Some("port")
            && number.is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit()))
            && protocol.is_some_and(|protocol| protocol.starts_with("ssh"));
        if let Some(from) = origin(rest).filter(|_| whole) {
            let behind = rest.splitn(5, ' ').nth(4).unwrap_or("");
            match found {
                None if behind.is_empty() || is_fingerprint(behind) => {
                    return Some((&text[..at], from));
                }
                None => found = Some((&text[..at], from)),
                Some((before, other)) if other.address != from.address => {
                    return Some((before, Origin::in_doubt()));
                }
                Some(_) => {}
            }
        }
        end = at;
    }
    found.or_else(|| last_from(text))
}

/// `RSA SHA256:ohD8VZEXGWo6Ez8GSEJQ9WpafgLFsOfLOtGGQCQo6Og`
fn is_fingerprint(text: &str) -> bool {
    let Some((kind, print)) = text.split_once(' ') else { return false };
    kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && print.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=:".contains(&b))
}

/// What stands before a client's place.
static FROM: LazyLock<FinderRev<'static>> = LazyLock::new(|| FinderRev::new(" from "));

/// The same where no protocol is told: the last one is the server's.
fn last_from(text: &str) -> Option<(&str, Origin<'_>)> {
    let mut end = text.len();
    while let Some(at) = FROM.rfind(&text.as_bytes()[..end]) {
        let rest = &text[at + 6..];
        if let Some(from) = origin(rest).or_else(|| Origin::by_name(rest)) {
            return Some((&text[..at], from));
        }
        end = at;
    }
    None
}

fn named(user: &str) -> (&str, bool) {
    for prefix in ["invalid user ", "illegal user "] {
        if let Some(user) = user.strip_prefix(prefix) {
            return (user, true);
        }
    }
    if user == "<invalid username>" {
        return ("", true);
    }
    // Some vendors' builds say `for user lan`.
    (user.strip_prefix("user ").filter(|user| !user.is_empty()).unwrap_or(user), false)
}

/// `Failed password for root from ...`, `Accepted publickey for lan from ...`, `Postponed ...`.
fn attempt(message: &str) -> Option<Said<'_>> {
    let (verb, rest) = text::word(message);
    let (status, activity) = match verb {
        "Failed" => (Status::Failure, 1),
        "Accepted" => (Status::Success, 1),
        "Postponed" | "Partial" => (Status::Unknown, 99),
        _ => return None,
    };
    let (method, user) = rest.split_once(" for ")?;
    if method.contains(' ') {
        return None;
    }
    let (user, from) = whole_from(user).map_or((user, None), |(user, from)| (user, Some(from)));
    let (user, unknown) = named(user);
    // A client offers each of its keys until one is taken: a key that a known user's server does not know is no attempt yet.
    let offered = method == "publickey" && !unknown && status == Status::Failure;
    let activity = if offered { 99 } else { activity };
    let detail = match (status, unknown, method) {
        (Status::Failure, true, _) => "invalid-user",
        (Status::Failure, false, "none") => "no-credentials",
        (Status::Failure, false, "publickey" | "hostbased") => "wrong-key",
        (Status::Failure, false, _) => "wrong-password",
        _ => "",
    };
    Some(Said { status, activity, detail, user, method, from })
}

/// Refusals that name no method.
fn refusal(message: &str) -> Option<Said<'_>> {
    let fail = |detail, user, from| Said {
        status: Status::Failure,
        activity: 1,
        detail,
        user,
        method: "",
        from,
    };
    for prefix in ["Invalid user ", "Illegal user "] {
        if let Some(rest) = message.strip_prefix(prefix) {
            let (user, from) = match rest.strip_prefix("from ") {
                Some(rest) => ("", origin(rest)),
                None => last_from(rest).map_or((rest, None), |(user, from)| (user, Some(from))),
            };
            // The password that follows is the attempt; this line is told once for each connection.
            return Some(Said { activity: 99, ..fail("invalid-user", user, from) });
        }
    }
    if let Some(rest) = message.strip_prefix("User ") {
        let (who, _) = rest
            .rsplit_once(" not allowed because")
            .or_else(|| rest.split_once(" is not allowed"))?;
        let (user, from) = last_from(who).map_or((who, None), |(user, from)| (user, Some(from)));
        return Some(fail("not-allowed", user, from));
    }
    if let Some(rest) = message.strip_prefix("PAM: ") {
        let (what, who) = rest.split_once(" for ")?;
        let (user, from) = last_from(who).map_or((who, None), |(user, from)| (user, Some(from)));
        let detail = if what.contains("unknown") || what.contains("User not known") {
            "invalid-user"
        } else {
            "wrong-password"
        };
        return Some(fail(detail, named(user).0, from));
    }
    if message.contains("more authentication failure") {
        let from =
            text::value(message, "rhost").and_then(|host| origin(host).or(Origin::by_name(host)));
        let said = fail("wrong-password", text::value(message, "user").unwrap_or(""), from);
        return Some(Said { activity: 99, ..said });
    }
    for lead in
        ["maximum authentication attempts exceeded for ", "Too many authentication failures for "]
    {
        if let Some((_, who)) = message.split_once(lead) {
            let (user, from) =
                last_from(who).map_or((who, None), |(user, from)| (user, Some(from)));
            return Some(Said {
                activity: 99,
                ..fail("too-many-attempts", named(user).0.split(" [").next().unwrap_or(""), from)
            });
        }
    }
    if let Some(rest) = message.strip_prefix("ROOT LOGIN REFUSED FROM ") {
        return Some(fail("not-allowed", "root", origin(rest)));
    }
    None
}

/// `root 203.0.113.7 port 22: Too many ...`: the last place is the server's. Where the reason behind it is that a client named another user
/// (`(lan,ssh-connection) -> (mai,ssh-connection)`), the client has a say in it: then a second place makes both doubtful.
fn placed(text: &str) -> Option<(&str, Origin<'_>)> {
    let mut end = text.len();
    let mut found: Option<(&str, Origin<'_>)> = None;
    while let Some(at) = text[..end].rfind(" port ") {
        end = at;
        let before = &text[..at];
        let (user, place) = before.rsplit_once(' ').unwrap_or(("", before));
        let Some(address) = text::address(place) else { continue };
        let port = text[at + 6..].split(' ').next().unwrap_or("");
        let reasoned = text[at..].contains(",ssh-");
        let from = Origin::at(address, port.trim_end_matches(':').parse().unwrap_or(0));
        match found {
            None if !reasoned => return Some((user.trim_end(), from)),
            None => found = Some((user.trim_end(), from)),
            Some((user, other)) if other.address != from.address => {
                return Some((user, Origin::in_doubt()));
            }
            Some(_) => {}
        }
    }
    found
}

/// The rest of a client's life: scans, ends, what cannot be agreed upon.
fn connection(message: &str) -> Option<Said<'_>> {
    let note = |status, activity, detail, user, from| Said {
        status,
        activity,
        detail,
        user,
        method: "",
        from,
    };
    // "... authenticating user root 203.0.113.7 port 22 [preauth]": gave up before a success.
    for lead in ["authenticating user ", "invalid user "] {
        let begins = [
            "Connection closed by ",
            "Connection reset by ",
            "Disconnected from ",
            "Disconnecting ",
        ];
        let Some(rest) =
            begins.iter().find_map(|begin| message.strip_prefix(begin)?.strip_prefix(lead))
        else {
            continue;
        };
        let (user, from) = placed(rest)?;
        let detail = if lead == "invalid user " { "invalid-user" } else { "gave-up" };
        return Some(note(Status::Failure, 99, detail, user, Some(from)));
    }
    let table: [(&str, &str, Status, u32); 11] = [
        ("ssh_dispatch_run_fatal: Connection from ", "bad-protocol", Status::Failure, 99),
        ("Did not receive identification string from ", "no-identification", Status::Failure, 99),
        ("Bad protocol version identification ", "bad-protocol", Status::Failure, 99),
        ("banner exchange: Connection from ", "bad-protocol", Status::Failure, 99),
        ("Unable to negotiate with ", "no-common-algorithm", Status::Failure, 99),
        ("refused connect from ", "refused", Status::Failure, 99),
        ("Timeout before authentication for ", "timeout", Status::Failure, 99),
        ("Received disconnect from ", "disconnected", Status::Unknown, 2),
        ("Disconnected from ", "disconnected", Status::Unknown, 2),
        ("Connection closed by ", "closed", Status::Unknown, 2),
        ("Connection reset by ", "reset", Status::Unknown, 2),
    ];
    for (begin, detail, status, activity) in table {
        let Some(rest) = message.strip_prefix(begin) else { continue };
        let (user, rest) = match rest.strip_prefix("user ") {
            Some(rest) => text::word(rest),
            None => ("", rest),
        };
        let rest = rest.strip_prefix("connection from ").unwrap_or(rest);
        let inside = || rest.rsplit_once('(').and_then(|(_, rest)| origin(rest));
        let from = origin(rest).or_else(|| last_from(rest).map(|(_, from)| from)).or_else(inside);
        // What ended before its log-in was none: nobody got in.
        let refused = message.ends_with("[preauth]")
            || rest.ends_with(": Auth fail")
            || rest.contains("uthentication methods available");
        if status == Status::Unknown && refused {
            return Some(note(Status::Failure, 99, detail, user, from));
        }
        return Some(note(status, activity, detail, user, from));
    }
    // `drop connection #10 from [203.0.113.7]:51022 on [10.0.0.5]:22 past MaxStartups`
    if let Some(rest) = message.strip_prefix("drop connection #") {
        let (place, port) = rest.split_once(" from [")?.1.split_once("]:")?;
        let port = port.split(' ').next().and_then(|port| port.parse().ok()).unwrap_or(0);
        let from = text::address(place).map(|address| Origin::at(address, port));
        return Some(note(Status::Failure, 99, "dropped", "", from));
    }
    // `srclimit_penalise: ipv4: new 203.0.113.7/32 deferred penalty of 5 seconds for penalty: failed authentication`
    if let Some(rest) = message.strip_prefix("srclimit_penalise: ") {
        let of = |word: &str| text::address(word.split_once('/')?.0);
        let from = rest.split(' ').find_map(of).map(|address| Origin::at(address, 0));
        return Some(note(Status::Failure, 99, "penalty", "", from));
    }
    // `Nasty PTR record "198.51.100.9" is set up for 203.0.113.7, ignoring`: the record is its owner's word.
    let resolved = message
        .strip_prefix("Nasty PTR record ")
        .and_then(|rest| rest.rsplit_once(" is set up for "))
        .map(|(_, rest)| rest)
        .or_else(|| message.strip_prefix("Address "));
    if let Some(from) = resolved.and_then(origin) {
        return Some(note(Status::Unknown, 99, "connection", "", Some(from)));
    }
    if message.starts_with("Connection from ")
        || message.starts_with("reverse mapping checking")
        || message.contains("POSSIBLE BREAK-IN")
    {
        let inside =
            message.split('[').nth(1).and_then(|rest| text::address(rest.split(']').next()?));
        let from = inside
            .map(|address| Origin::at(address, 0))
            .or_else(|| last_from(message).map(|(_, from)| from));
        let from = from.or_else(|| origin(message.strip_prefix("Connection from ")?));
        return Some(note(Status::Unknown, 99, "connection", "", from));
    }
    let (before, from) = last_from(message)?;
    let user = before.rsplit_once(" for ").map_or("", |(_, user)| user);
    Some(note(Status::Unknown, 99, "", user.split(' ').next().unwrap_or(""), Some(from)))
}
