//! What can be said of a line that no format knows: its time, an address, a user, and whether something was refused.
//!
//! Programs of an office's own and appliances nobody has heard of still write "login failed for user lan from 203.0.113.7". It is
//! better to know that much, and to say by the format's name ("generic") that it is a guess, than to know nothing.

use std::{net::IpAddr, sync::LazyLock};

use regex::Regex;
use vonggac_wire::event::{Activity, Class, Status};

use super::{Context, Parsed, clock, text};

/// Bytes of a line that are looked at.
const LOOKED_AT_BYTES_MAX: usize = 4_096;

/// Something was refused or went wrong.
static BAD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r"(?i)\b(fail(ed|ure|s)?|failing|invalid|incorrect|wrong|bad|denied|den(y|ies)|refus(ed|ing|al)|reject(ed|ing)?|unauthori[sz]ed|unauthenticated|forbidden|not (?:allowed|permitted|authori[sz]ed|found|match(?:ing|ed)?|valid|accepted)|unknown (?:user|login|account)|no such user|does(?:n't| not) (?:exist|match)|mismatch(?:ed)?|unsuccessful|error|illegal|locked(?: out)?|banned|block(?:ed|ing)|attack|intrusion|violation|exceeded|too many|could not authenticate|cannot authenticate|unable to authenticate|access denied|401|403)\b",
    )
});

/// Someone wanted in.
static LOGIN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r"(?i)(log[ -]?(?:in|on|ged)|sign[ -]?(?:in|ed)|auth|passw|credential|\buser(?:name)?\b|account|\bpin\b|\botp\b|\b2fa\b|\btoken\b|identif)",
    )
});

/// It was let in.
static GOOD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r"(?i)\b(success(?:ful|fully)?|succeeded|accepted|granted|authenticated|logged[ -]in|signed[ -]in|log(?:in|on) ok)\b",
    )
});

/// A user by the word before it.
static USER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r#"(?i)(?:\b(?:user(?:[ _-]?(?:name|id))?|login|log(?:ging )?in as|account|uname|email|acct|principal|usr|as user|for user|username is)\b["']?(?:\s*[=:]\s*|\s+(?:is\s+)?))(?:["'`<\[(]([^"'`>\])]{1,128})["'`>\])]|([^\s"'`,;:()\[\]<>=]{1,128}))"#,
    )
});

/// An address by the word before it is surer than any other.
static FROM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r#"(?i)(?:\b(?:from|by|client|remote(?:[ _-]?(?:ip|addr(?:ess)?|host))?|src(?:[ _-]?ip)?|source(?:[ _-]?ip)?|ip(?:[ _-]?addr(?:ess)?)?|rhost|rip|peer|host|addr(?:ess)?|x-forwarded-for|attacker|visitor|origin)\b["']?\s*(?:[=:]|is)?\s*(?:ip|host|address|client)?\s*[=:]?\s*["'\[(<{]*)((?:::ffff:)?\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F:]*:[0-9a-fA-F:]+[0-9a-fA-F.]*)"#,
    )
});

/// Any address.
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(r"(?:::ffff:)?\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-fA-F]{1,4}:){2,7}(?::?[0-9a-fA-F]{1,4})\b|\b[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){2,7}")
});

fn expression(source: &str) -> Option<Regex> {
    // A test compiles all of them.
    Regex::new(source).ok()
}

/// A whole line: its time must be known, or it must tell of a log-in with an address.
pub(super) fn parse(line: &str, context: &Context) -> Option<Parsed> {
    let timed = clock::any(line, context).or_else(|| later_time(line, context));
    let rest = timed.map_or(line, |(_, rest)| rest);
    let found = message(rest);
    if timed.is_none() && found.is_none() {
        return None;
    }
    let activity = found.unwrap_or_else(|| {
        let mut plain = Activity::of(Class::Base, 0, Status::Unknown);
        plain.severity_id = 1;
        plain.message = rest.trim_start_matches([']', ' ', ':', '-']).to_owned();
        plain
    });
    let mut parsed = Parsed::activity("generic", activity);
    parsed.time = timed.map(|(time, _)| time);
    Some(parsed)
}

/// A time behind one to three words: a level, a host, a thread.
fn later_time<'a>(
    line: &'a str,
    context: &Context,
) -> Option<((vonggac_wire::Time, vonggac_wire::event::TimeDoubt), &'a str)> {
    let mut rest = line;
    for _ in 0..4 {
        rest = rest.split_once([' ', '[', '|', '\t', '('])?.1;
        if let Some(found) = clock::any(rest, context) {
            return Some(found);
        }
    }
    None
}

/// What a message tells in words: a log-in, a refusal with an address; `None` if neither.
pub(super) fn message(message: &str) -> Option<Activity> {
    let end = message.floor_char_boundary(LOOKED_AT_BYTES_MAX.min(message.len()));
    let looked_at = &message[..end];
    let is = |expression: &LazyLock<Option<Regex>>| {
        expression.as_ref().is_some_and(|regex| regex.is_match(looked_at))
    };
    let (bad, login) = (is(&BAD), is(&LOGIN));
    let good = !bad && login && is(&GOOD);
    let from = address(looked_at);
    if !(bad || good) || (from.is_none() && !(login && bad)) {
        return None;
    }
    let status = if bad { Status::Failure } else { Status::Success };
    let class = if login { Class::Authentication } else { Class::Base };
    let activity_id = u32::from(login && (from.is_some() || user(looked_at).is_some()));
    let mut activity = Activity::of(class, activity_id, status);
    activity.severity_id = if bad { 2 } else { 1 };
    activity.message = message.trim_start_matches([']', ' ', ':', '-']).to_owned();
    if let Some(address) = from {
        activity.set_source_address(address);
    }
    activity.user_name = user(looked_at).unwrap_or_default();
    Some(activity)
}

fn address(message: &str) -> Option<IpAddr> {
    let named = FROM.as_ref()?.captures_iter(message).find_map(|found| text::address(found.get(1)?.as_str()));
    // Of several addresses without a word before them, a client's stands first in most logs.
    named.or_else(|| ADDRESS.as_ref()?.find_iter(message).find_map(|found| text::address(found.as_str())))
}

/// Words that stand where a name could.
const NO_NAMES: [&str; 36] = [
    "failed", "failure", "from", "is", "was", "not", "invalid", "unknown", "error", "authentication", "password",
    "does", "with", "for", "by", "has", "attempt", "attempts", "login", "and", "or", "in", "on", "the", "name", "to",
    "at", "via", "denied", "successful", "success", "locked", "id", "account", "could", "rejected",
];

fn user(message: &str) -> Option<String> {
    USER.as_ref()?.captures_iter(message).find_map(|found| {
        let name = found.get(1).or_else(|| found.get(2))?.as_str().trim();
        let plausible = !name.is_empty()
            && text::address(name).is_none()
            && !NO_NAMES.iter().any(|word| name.eq_ignore_ascii_case(word));
        plausible.then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_in_plain_words_has_its_user_and_address() {
        for (line, user, address) in [
            ("Login failed for user 'lan' from 203.0.113.7", "lan", "203.0.113.7"),
            ("invalid credentials: username=lan ip=203.0.113.7:5123", "lan", "203.0.113.7"),
            ("[WARN] authentication error, client 2001:db8::7, account lan", "lan", "2001:db8::7"),
        ] {
            let activity = message(line).unwrap();
            assert_eq!(activity.class(), Class::Authentication, "{line}");
            assert_eq!(activity.status(), Status::Failure, "{line}");
            assert_eq!(activity.user_name, user, "{line}");
            assert_eq!(activity.source_address().unwrap().to_string(), address, "{line}");
        }
        assert!(message("worker 17 started in 12 ms").is_none());
        for regex in [&BAD, &LOGIN, &GOOD, &USER, &FROM, &ADDRESS] {
            assert!(regex.is_some());
        }
    }
}
