//! Syslog lines: RFC 3164 as rsyslog and journald write it to files, ISO times, RFC 5424, with or without priority.

use vonggac_wire::{
    Time,
    event::{Activity, Body, Class, Status, TimeDoubt},
};

use super::{Context, Parsed, clock, generic, program};

/// A time, and what is doubtful in it.
type Moment = (Time, TimeDoubt);

/// The header of a line.
struct Head<'a> {
    time: Option<Moment>,
    host: &'a str,
    program: &'a str,
    pid: u32,
    message: &'a str,
    /// The tag with the message: appliances write what they are into their first word.
    whole: &'a str,
}

pub(super) fn parse(line: &str, context: &Context) -> Option<Parsed> {
    read(line, context, true)
}

/// Only if a format knows the program and reads its message.
pub(super) fn known(line: &str, context: &Context) -> Option<Parsed> {
    read(line, context, false)
}

fn read(line: &str, context: &Context, any_program: bool) -> Option<Parsed> {
    let (severity, line) = priority(line);
    let head = version_1(line, context)
        .or_else(|| classic(line, context))
        .or_else(|| without_time(line, context))
        // Times as nobody's standard has them: only where a format knows the program behind it.
        .or_else(|| {
            if any_program { None } else { behind(clock::any(line, context)?, line, context) }
        })?;
    let mut parsed = match program::parse(head.program, head.pid, head.message)
        .or_else(|| context.declared.message(head.program, head.pid, head.message, context))
    {
        Some(parsed) => parsed,
        None if any_program => foreign(&head, context),
        None => return None,
    };
    // What is only guessed to be a time may be a client's.
    let own = parsed.time.filter(|_| head.time.is_none() || parsed.format != "generic");
    parsed.time = surer(head.time, own);
    if parsed.device.is_empty() {
        parsed.device = head.host.to_owned();
    }
    if let (Body::Activity(activity), Some(severity)) = (&mut *parsed.body, severity) {
        activity.severity_id = activity.severity_id.max(severity);
    }
    Some(parsed)
}

/// A header's time, unless its year is a guess and the message's own time is exact and of about the same time of the year.
fn surer(head: Option<Moment>, own: Option<Moment>) -> Option<Moment> {
    /// A header is written within this time of its message, in whatever zone.
    const APART_SECONDS_MAX: i64 = 25 * 3600;
    const YEAR_SECONDS: i64 = 31_556_952;
    match (head, own) {
        (Some((at, TimeDoubt::Year)), Some((exact, TimeDoubt::None))) => {
            let apart = (at.seconds() - exact.seconds()).rem_euclid(YEAR_SECONDS);
            let near = !(APART_SECONDS_MAX..=YEAR_SECONDS - APART_SECONDS_MAX).contains(&apart);
            if near { own } else { head }
        }
        _ => head.or(own),
    }
}

/// A message of a program that no format knows by its name: what applications and relays write into syslog.
fn foreign(head: &Head<'_>, context: &Context) -> Parsed {
    let with_tag = || {
        let apart = head.whole.len() > head.message.len();
        apart.then(|| context.declared.line(head.whole, context)).flatten()
    };
    let inner = super::embedded(head.message, context).or_else(with_tag).or_else(|| {
        let mut found = generic::told(head.message, context)?;
        if let Body::Activity(activity) = &mut *found.body {
            if activity.service_name.is_empty() {
                activity.service_name = head.program.to_owned();
            }
        }
        Some(found)
    });
    let Some(mut parsed) = inner else { return plain(head.program, head.pid, head.message) };
    if let Body::Activity(activity) = &mut *parsed.body {
        if activity.service_name.is_empty() {
            activity.service_name = head.program.to_owned();
        }
        if activity.process_name.is_empty() {
            activity.process_name = head.program.to_owned();
            activity.process_pid = head.pid;
        }
    }
    parsed
}

/// A message of a program that has no format of its own.
fn plain(program: &str, pid: u32, message: &str) -> Parsed {
    let mut activity = Activity::of(Class::Base, 0, Status::Unknown);
    activity.severity_id = 1;
    activity.process_name = program.to_owned();
    activity.process_pid = pid;
    activity.message = message.to_owned();
    Parsed::activity("syslog", activity)
}

/// `<34>`: the severity as OCSF counts it (emergency to error are high, warning is low), and the rest.
fn priority(line: &str) -> (Option<u32>, &str) {
    let Some((number, rest)) = line.strip_prefix('<').and_then(|line| line.split_once('>')) else {
        return (None, line);
    };
    match number.parse::<u32>() {
        Ok(priority) if priority <= 191 => {
            let severity = match priority % 8 {
                0..=2 => 5,
                3 => 3,
                4 => 2,
                _ => 1,
            };
            (Some(severity), rest)
        }
        _ => (None, line),
    }
}

/// RFC 5424: `1 TIME HOST APP PID MSGID [SD] MESSAGE`.
fn version_1<'a>(line: &'a str, context: &Context) -> Option<Head<'a>> {
    let rest = line.strip_prefix("1 ")?;
    let mut words = rest.splitn(6, ' ');
    let (stamp, host, program, pid, _id) =
        (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let tail = words.next().unwrap_or("-");
    let time = match stamp {
        "-" => None,
        stamp => Some(clock::iso(stamp, context)?.0),
    };
    let message = structured_end(tail).map_or(tail, |end| tail[end..].trim_start());
    let nil = |text: &'a str| if text == "-" { "" } else { text };
    Some(Head {
        time,
        host: nil(host),
        program: nil(program),
        pid: pid.parse().unwrap_or(0),
        message: message.trim_start_matches('\u{feff}'),
        // Some writers put all that they tell into the structured data.
        whole: tail,
    })
}

/// Where structured data ends: after `-`, or after the last `]` of its elements (quotes and escapes respected).
fn structured_end(text: &str) -> Option<usize> {
    if text == "-" || text.starts_with("- ") {
        return Some(1);
    }
    let bytes = text.as_bytes();
    let mut at = 0;
    while bytes.get(at) == Some(&b'[') {
        let mut quoted = false;
        loop {
            at += 1;
            match *bytes.get(at)? {
                b'\\' if quoted => at += 1,
                b'"' => quoted = !quoted,
                b']' if !quoted => break,
                _ => {}
            }
        }
        at += 1;
    }
    (at > 0).then_some(at)
}

/// `TIME HOST PROGRAM[PID]: MESSAGE`.
fn classic<'a>(line: &'a str, context: &Context) -> Option<Head<'a>> {
    let found = clock::bsd(line, context).or_else(|| clock::iso(line, context))?;
    // `Nov 24 16:00:00 2026 host`: the year stands where the host would.
    let year = found.1.trim_start().as_bytes().first_chunk::<5>();
    if year.is_some_and(|year| year[..4].iter().all(u8::is_ascii_digit) && year[4] == b' ') {
        return behind(clock::any(line, context)?, line, context);
    }
    behind(found, line, context)
}

/// What stands behind a header's time.
fn behind<'a>(
    (time, rest): (Moment, &'a str),
    line: &'a str,
    context: &Context,
) -> Option<Head<'a>> {
    let rest = without_level(rest.trim_start());
    let (first, after) = rest.split_once(' ').unwrap_or((rest, ""));
    // A relay's header before the writer's own: the inner one tells more.
    if let Some(inner) = relayed(after) {
        let found = clock::bsd(inner, context).or_else(|| clock::iso(inner, context));
        if let Some(head) = version_1(inner, context).or_else(|| behind(found?, inner, context)) {
            return Some(head);
        }
    }
    // Some writers leave the host out: then the first word is the program.
    let without_host = (first.ends_with(':') && !first.contains("::")) || first.starts_with('[');
    let (host, tag_and_message) =
        if without_host { ("", rest) } else { (first, without_facility(after.trim_start())) };
    // AIX tells for whom it speaks.
    let (host, tag_and_message) = tag_and_message
        .strip_prefix("Message forwarded from ")
        .and_then(|rest| rest.split_once(": "))
        .unwrap_or((host, tag_and_message));
    let (program, pid, message) = tag(tag_and_message);
    // Other logs begin with such a time too; only syslog's have a tag behind it.
    if program.is_empty() && line.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    Some(Head { time: Some(time), host, program, pid, message, whole: tag_and_message })
}

/// What stands behind a relay's host, if it begins like a header of its own: `1 2026-11-24T...`, `2026-11-24T...`, `Nov 24 16:...`.
fn relayed(after: &str) -> Option<&str> {
    let inner = after.trim_start();
    let bytes = inner.as_bytes();
    let version_1 =
        inner.strip_prefix("1 ").is_some_and(|rest| rest.as_bytes().get(4) == Some(&b'-'));
    let iso = bytes.get(4) == Some(&b'-') && bytes.get(10) == Some(&b'T');
    let bsd = bytes.get(3) == Some(&b' ') && bytes.get(9) == Some(&b':');
    (version_1 || iso || bsd).then_some(inner)
}

/// Without `auth|security:info ` of AIX, `<auth.info> ` and `<4.6> ` of others, which stand before the tag.
fn without_facility(text: &str) -> &str {
    let Some((first, rest)) = text.split_once(' ') else { return text };
    let marked = first.starts_with('<') && first.ends_with('>') && first.contains('.');
    let named = first.split_once(':').is_some_and(|(facility, level)| {
        matches!(
            level,
            "emerg" | "alert" | "crit" | "err" | "warn" | "warning" | "notice" | "info" | "debug"
        ) && facility.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'|')
    });
    if marked || named { rest.trim_start() } else { text }
}

/// Without `<mail.info> ` or `<22.6> ` that BSD's syslogd puts behind the time when it is asked to (`-v`).
///
/// ESXi 8 writes `In(182) ` there.
fn without_level(rest: &str) -> &str {
    if let Some((level, after)) = rest.split_once(") ") {
        let is_level = level.split_once('(').is_some_and(|(name, number)| {
            name.len() == 2
                && name.starts_with(|c: char| c.is_ascii_uppercase())
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        });
        if is_level {
            return after;
        }
    }
    let level = rest.strip_prefix('<').and_then(|rest| rest.split_once("> "));
    match level {
        Some((level, rest))
            if level.contains('.')
                && level.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.') =>
        {
            rest
        }
        _ => rest,
    }
}

/// `HOST PROGRAM[PID]: MESSAGE` or `PROGRAM[PID]: MESSAGE`: what is left when a tool prints the time elsewhere.
fn without_time<'a>(line: &'a str, context: &Context) -> Option<Head<'a>> {
    let (first, after) = line.split_once(' ')?;
    let is_tag = |word: &str| {
        word.strip_suffix("]:").and_then(|word| word.rsplit_once('[')).is_some_and(|(name, pid)| {
            !name.is_empty()
                && !pid.is_empty()
                && pid.bytes().all(|b| b.is_ascii_digit())
                && name.bytes().all(|b| {
                    b.is_ascii_alphanumeric()
                        || matches!(b, b'-' | b'_' | b'/' | b'.' | b'(' | b')')
                })
        })
    };
    let (host, rest) = if is_tag(first) {
        ("", line)
    } else if is_tag(after.split(' ').next()?) {
        (first, after)
    } else {
        return None;
    };
    // Some write seconds since 1970 where others write the host.
    let time = clock::any(host, context).map(|(time, _)| time);
    let host = if time.is_some() { "" } else { host };
    let (program, pid, message) = tag(rest);
    Some(Head { time, host, program, pid, message, whole: rest })
}

/// Splits `sshd[2211]: Failed` into program, process and message.
fn tag(text: &str) -> (&str, u32, &str) {
    // Some writers put the program itself in brackets.
    if let Some((program, message)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (program, 0, message.trim_start_matches(':').trim_start());
    }
    let end = text.find([':', '[', ' ']).unwrap_or(text.len());
    let (program, rest) = text.split_at(end);
    if let Some(rest) = rest.strip_prefix('[') {
        if let Some((pid, rest)) = rest.split_once(']') {
            let message = rest.strip_prefix(':').unwrap_or(rest);
            return (
                program,
                pid.parse().unwrap_or(0),
                message.strip_prefix(' ').unwrap_or(message),
            );
        }
    }
    if let Some(message) = rest.strip_prefix(':') {
        return (program, 0, message.strip_prefix(' ').unwrap_or(message));
    }
    // `vpxd 812 - - `: RFC 5424's fields behind a time of its own.
    let mut words = text.splitn(5, ' ');
    if let (Some(program), Some(pid), Some("-"), Some(_), Some(message)) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    {
        if let Ok(pid) = pid.parse() {
            return (program, pid, message.trim_start());
        }
    }
    // `su(pam_unix)[123]:` and the like carry brackets of their own; what has no colon is a message.
    if let Some((tag, message)) = text.split_once(": ") {
        if !tag.contains(' ') {
            let name = tag.split(['(', '[']).next().unwrap_or(tag);
            let pid =
                tag.rsplit_once('[').and_then(|(_, pid)| pid.trim_end_matches(']').parse().ok());
            return (name, pid.unwrap_or(0), message);
        }
    }
    ("", 0, text)
}
