//! What can be said of a line that no format knows: its time, an address, a user, a request, and whether something was refused.
//!
//! Programs of an office's own and appliances nobody has heard of still write "login failed for user lan from 203.0.113.7". It is
//! better to know that much, and to say by the format's name ("generic") that it is a guess, than to know nothing.

use std::{net::IpAddr, sync::LazyLock};

use regex::Regex;
use vonggac_wire::{
    Time,
    event::{Activity, Body, Class, HttpRequest, Status, TimeDoubt},
};

use super::{Context, Parsed, clock, declared::shape, http, json, text};

/// Bytes of a line that are looked at.
const LOOKED_AT_BYTES_MAX: usize = 4_096;

/// Pairs from which on a line is one of named values.
const PAIRS_MIN: usize = 3;

/// Something was refused or went wrong.
static BAD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r"(?i)\b(?:\w*_)?(?:fail(?:ed|ures?|s|ing)?|invalid(?:_\w+)?|incorrect|wrong|bad|denied|den(?:y|ies)|refus(?:ed|ing|al|es?)|reject(?:ed|ing|s)?|disallowed|unauthori[sz]ed|unauthenticated|forbidden|(?:not|isn't|wasn't) (?:allowed|permitted|authori[sz]ed|found|match(?:ing|ed)?|valid|accepted|have worked|correct)|unknown (?:user|login|account|recipient|sender|host)|no such (?:user|account|mailbox)|(?:can't|cannot|could not|couldn't|unable to) (?:find|authenticate|log|verify|resolve|open|get)|does(?:n't| not) (?:exist|match)|do(?:n't| not) match|mismatch(?:ed)?|unsuccessful(?:ly)?|errors?|illegal|lock(?:ed|out)|banned|ban|block(?:ed|ing|list)?|blacklist(?:ed)?|listed|spam(?:mer)?|attack(?:ed|er|s)?|intrusion|violat(?:ion|ed)|exceeded|excess|too many|limiting|abuse|malicious|suspicious|exploit|scan(?:ning|ned)?|brute|flood|possible break-in|improper|unallowed|did not issue|lost (?:connection|input)|pregreet|hangup|auth-failure|authfail|login_error|drop(?:ped)?|thất bại|that bai|không thành công|khong thanh cong|sai (?:mật khẩu|tài khoản|tên|thông tin|mã)|sai (?:mat khau|tai khoan|thong tin)|(?:không|khong) (?:đúng|hợp lệ|tồn tại|có quyền|được phép|dung|hop le|ton tai|co quyen|duoc phep)|từ chối|tu choi|bị (?:khóa|khoá|chặn|cấm)|bi (?:khoa|chan|cam)|quá (?:số lần|nhiều lần))\b",
    )
});

/// Someone wanted in.
static LOGIN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r"(?i)(log(?:ged)?[ _-]?(?:in|on|ged)|sign(?:ed)?[ _-]?in|auth|passw|credential|\buser(?:[ _-]?name)?\b|account|\bpin\b|\botp\b|\b2fa\b|\bmfa\b|identif|đăng nhập|dang nhap|mật khẩu|mat khau|tài khoản|tai khoan|xác thực|xac thuc|người dùng|nguoi dung)",
    )
});

/// It was let in.
static GOOD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r"(?i)\b(?:success(?:ful|fully)?|succeeded|accepted|granted|authenticated|logged[ -]in|signed[ -]in|log(?:in|on) ok|user[ _.-]?login|thành công|thanh cong)\b",
    )
});

/// A user by the word before it.
static USER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r#"(?i)\b(?:người dùng|nguoi dung|tài khoản|tai khoan|tên đăng nhập|ten dang nhap|cán bộ|công dân|user(?:[ _-]?(?:name|id))?(?: (?:with )?(?:user ?name|name|login))?(?: that has been provided)?(?: input)?|login ?name|login(?: name)?|logging in as|account(?: name)?|uname|e-?mail|acct|usr|principal|set_id|sasl_username|identity|login (?:failed|failure|attempt) (?:for|by|from|as)(?: user)?|(?:failed|failure) for(?: user)?|logged in as|failed log-?in (?:for|by|from|of|as)(?: user)?|(?:failed|invalid|wrong|accepted|bad) (?:password|credentials?) for(?: (?:invalid|illegal|unknown) user)?|(?:authentication|login) request for(?: user)?|authenticat\w+ (?:failed |failure |error )?(?:for|of|as)(?: user(?:name)?)?|attempt (?:for|by|with)(?: user(?:name)?)?|can't find user)["']?(?:\s*[=:]\s*|\s+(?:is\s+|was\s+)?)(?:["'`<\[({]([^"'`>\])}]{1,128})["'`>\])}]|([^\s"'`,;:()\[\]<>={}|]{1,128}))"#,
    )
});

/// Any address, with what may follow it as its port.
static ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r"(?i)((?:::ffff:)?\b\d{1,3}(?:\.\d{1,3}){3}\b|(?:\b[0-9a-f]{1,4}|:):(?:[0-9a-f]{0,4}:){0,6}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{1,4})\b)(?:\]?[:#/\[](\d{1,5})\b|,? port[ :=]+(\d{1,5})\b)?",
    )
});

/// What stands before a client's address.
static FROM: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r#"(?i)\b(?:từ|tu|địa chỉ|dia chi|máy|may|from|by|client(?:[ _-]?(?:ip|addr(?:ess)?|host))?|remote(?:[ _-]?(?:ip|addr(?:ess)?|host))?|src(?:[ _-]?ip)?|source(?:[ _-]?(?:ip|addr(?:ess)?|host))?|ip(?:[ _-]?addr(?:ess)?)?|rhost|rip|peer(?: \d+)?|host|addr(?:ess)?|x-forwarded-for|attacker|visitor|origin|relay|connection|oip|query|remoteaddress)\b["']?[\s=:]*(?:ip|host|address|addr|user|client)?[\s=:]*(?:[\w.*-]+\s?[\[(/])?["'\[(<{/]*(?:ipv[46][:/]\w*/?)?$"#,
    )
});

/// What stands before an address that is not the client's.
static TO: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r#"(?i)\b(?:to|dst(?:[ _-]?ip)?|dest(?:ination)?(?:[ _-]?(?:ip|addr(?:ess)?))?|server(?:[ _-]?(?:ip|addr(?:ess)?))?|local(?:[ _-]?(?:ip|addr(?:ess)?))?|localaddress|lip|laddr|listen(?:ing)?|bind|via|upstream|target|interface|on|host: "|unallowed src ip|->)["']?[\s=:]*(?:[\w.*-]+\s?[\[(/])?["'\[(<{/]*(?:ipv[46][:/]\w*/?|\w+://)?$"#,
    )
});

/// A request, wherever it stands.
static REQUEST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(
        r#"\b(GET|POST|HEAD|PUT|DELETE|OPTIONS|PATCH|CONNECT|TRACE|PROPFIND|PROPPATCH|REPORT|MKCOL|MOVE|COPY|SEARCH|LOCK|UNLOCK)(?:"?\s+"?|,|\|)(?:https? \S+ "?)?((?:https?://|/|\*)[^\s"]*)"?(?:\s+(HTTP/[\d.]+))?"?"#,
    )
});

/// A status behind a request.
static CODE: LazyLock<Option<Regex>> = LazyLock::new(|| expression(r"^\W{0,4}([1-5]\d\d)\b"));

/// A status between bars, wherever it stands.
static BARRED_CODE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    expression(r"\|\s*(?:\x1b\[[\d;]*m)?\s*([1-5]\d\d)\s*(?:\x1b\[[\d;]*m)?\s*\|")
});

fn expression(source: &str) -> Option<Regex> {
    // A test compiles all of them.
    Regex::new(source).ok()
}

/// A whole line, where its time or something that it tells is known.
pub(super) fn parse(line: &str, context: &Context) -> Option<Parsed> {
    // Of a time in the middle, what stands before it tells too.
    let timed = clock::any(line, context)
        .or_else(|| later_time(line, context).map(|(time, _)| (time, line)));
    let rest = timed.map_or(line, |(_, rest)| rest);
    let pairs = shape::pairs(line);
    if pairs.pairs().len() >= PAIRS_MIN {
        let mut parsed = json::named(&pairs.pairs(), context);
        complete(&mut parsed, rest);
        parsed.time = timed.map(|(time, _)| time).or(parsed.time);
        return Some(parsed);
    }
    let found = message(rest);
    if timed.is_none() && found.is_none() {
        return None;
    }
    let activity = found.unwrap_or_else(|| {
        let mut plain = Activity::of(Class::Base, 0, Status::Unknown);
        plain.severity_id = 1;
        plain.message = rest.trim_start_matches([']', ' ', ':', '-', '|', ',']).to_owned();
        plain
    });
    let mut parsed = Parsed::activity("generic", activity);
    parsed.time = timed.map(|(time, _)| time);
    Some(parsed)
}

/// A message behind a header whose time is known: its pairs, or its words.
pub(super) fn told(text: &str, context: &Context) -> Option<Parsed> {
    let pairs = shape::pairs(text);
    if pairs.pairs().len() >= PAIRS_MIN {
        let mut parsed = json::named(&pairs.pairs(), context);
        complete(&mut parsed, text);
        return Some(parsed);
    }
    message(text).map(|activity| Parsed::activity("generic", activity))
}

/// What the words of a line say beside its pairs.
fn complete(parsed: &mut Parsed, text: &str) {
    let (Body::Activity(activity), Some(found)) = (&mut *parsed.body, message(text)) else {
        return;
    };
    if activity.src_ip.is_empty() {
        (activity.src_ip, activity.src_port) = (found.src_ip, found.src_port);
    }
    if activity.user_name.is_empty() {
        activity.user_name = found.user_name;
    }
    if activity.message.is_empty() {
        activity.message = found.message;
    }
    if activity.status() == Status::Unknown && activity.http.is_none() {
        activity.status_id = found.status_id;
    }
    if activity.class() == Class::Base && activity.http.is_none() {
        activity.class_uid = found.class_uid;
        activity.activity_id = found.activity_id;
        activity.http = found.http;
    }
}

/// A time behind one to six words: a level, a host, a thread.
fn later_time<'a>(line: &'a str, context: &Context) -> Option<((Time, TimeDoubt), &'a str)> {
    let mut rest = line;
    for _ in 0..6 {
        rest = rest.split_once([' ', '[', '|', '\t', '(', '='])?.1;
        // A lone number is no time here.
        let word = rest.trim_start_matches(['[', '(', '<', '"', '\'']);
        let number = word.bytes().take_while(u8::is_ascii_digit).count();
        let dated = word
            .as_bytes()
            .get(number)
            .is_some_and(|b| matches!(b, b'-' | b'/' | b':' | b'T' | b' ' | b'.'));
        if number > 8 || !(dated || number == 0) {
            continue;
        }
        if let Some(found) = clock::any(rest, context) {
            return Some(found);
        }
    }
    None
}

/// What a message tells in words: a request, a log-in, a refusal, an address; `None` if nothing of it.
pub(super) fn message(message: &str) -> Option<Activity> {
    let end = message.floor_char_boundary(LOOKED_AT_BYTES_MAX.min(message.len()));
    let looked_at = &message[..end];
    let is = |expression: &LazyLock<Option<Regex>>| {
        expression.as_ref().is_some_and(|regex| regex.is_match(looked_at))
    };
    let from = address(looked_at);
    let request = request(looked_at);
    let (bad, login) = (is(&BAD), is(&LOGIN));
    let good = !bad && login && is(&GOOD);
    if from.is_none() && request.is_none() && !(login && (bad || good)) {
        return None;
    }
    let user = if login { user(looked_at) } else { None };
    let mut status = match (bad, good) {
        (true, _) => Status::Failure,
        (_, true) => Status::Success,
        _ => Status::Unknown,
    };
    let mut class = if login && (bad || good) { Class::Authentication } else { Class::Base };
    let mut activity_id =
        u32::from(class == Class::Authentication && (from.is_some() || user.is_some()));
    if let Some(request) = &request {
        // A log-in that was refused stays one, whatever the request was answered with.
        let refused =
            class == Class::Authentication && bad && !(1..400).contains(&request.status_code);
        if !refused && (request.status_code > 0 || class == Class::Base) {
            class = Class::Http;
            activity_id = http::method_activity(&request.http_method);
            if request.status_code > 0 {
                status = http::outcome(request.status_code);
            }
        }
    }
    let mut activity = Activity::of(class, activity_id, status);
    activity.severity_id = if status == Status::Failure { 2 } else { 1 };
    activity.message = message.trim_start_matches([']', ' ', ':', '-', '|', ',']).to_owned();
    activity.http = request;
    if let Some((address, port)) = from {
        activity.set_source_address(address);
        activity.src_port = port;
    }
    activity.user_name = user.unwrap_or_default();
    Some(activity)
}

/// The address that most likely is the client's: by the word before it, then one that is not this host's own, then the first.
fn address(message: &str) -> Option<(IpAddr, u32)> {
    let mut best: Option<(i32, IpAddr, u32)> = None;
    for found in ADDRESS.as_ref()?.captures_iter(message).take(16) {
        let whole = found.get(1)?;
        let Some(address) = text::address(whole.as_str()) else { continue };
        let end = whole.start();
        let start = message.floor_char_boundary(end.saturating_sub(96));
        let before = &message[start..end];
        // `1.2.3.4.dynamic.example` and `1-2-3-4`: an address inside a name is no address.
        let mut after = message[whole.end()..].chars();
        if matches!(after.next(), Some('.' | '-' | '_'))
            && after.next().is_some_and(|c| c.is_alphanumeric())
        {
            continue;
        }
        // A version or an object's number has no word before it and more digits around it.
        if before.ends_with(['.', '/', 'v'])
            && !before.ends_with("://")
            && !before.ends_with(" /")
            && !FROM.as_ref()?.is_match(before)
        {
            continue;
        }
        let mut score = 0;
        if FROM.as_ref()?.is_match(before) {
            score += 4;
        }
        if TO.as_ref()?.is_match(before) || before.ends_with('@') {
            score -= 5;
        }
        if address.is_loopback() || address.is_unspecified() {
            score -= 3;
        }
        let port = found
            .get(2)
            .or_else(|| found.get(3))
            .and_then(|port| port.as_str().parse().ok())
            .unwrap_or(0);
        if best.is_none_or(|(known, ..)| score > known) {
            best = Some((score, address, port));
        }
    }
    best.filter(|(score, ..)| *score > -5).map(|(_, address, port)| (address, port))
}

fn request(message: &str) -> Option<HttpRequest> {
    let found = REQUEST.as_ref()?.captures(message)?;
    let behind = &message[found.get(0)?.end()..];
    let code = CODE.as_ref()?.captures(behind).or_else(|| BARRED_CODE.as_ref()?.captures(message));
    let code = code.and_then(|code| code.get(1)?.as_str().parse().ok());
    let part = |at: usize| found.get(at).map_or("", |part| part.as_str());
    Some(HttpRequest {
        http_method: part(1).to_owned(),
        url: part(2).to_owned(),
        version: part(3).to_owned(),
        status_code: code.unwrap_or(0),
        ..HttpRequest::default()
    })
}

/// Words that stand where a name could.
const NO_NAMES: [&str; 64] = [
    "failed",
    "failure",
    "fail",
    "from",
    "is",
    "was",
    "not",
    "invalid",
    "unknown",
    "error",
    "authentication",
    "password",
    "does",
    "with",
    "for",
    "by",
    "has",
    "attempt",
    "attempts",
    "login",
    "and",
    "or",
    "in",
    "on",
    "the",
    "name",
    "to",
    "at",
    "that",
    "ok",
    "incorrect",
    "-",
    "via",
    "denied",
    "successful",
    "success",
    "locked",
    "id",
    "account",
    "could",
    "rejected",
    "user",
    "username",
    "input",
    "agent",
    "logged",
    "http/1.1",
    "http/2.0",
    "http/1.0",
    "a",
    "an",
    "of",
    "không",
    "khong",
    "bị",
    "bi",
    "từ",
    "đã",
    "da",
    "sai",
    "nhập",
    "đăng",
    "thất",
    "hoặc",
];

fn user(message: &str) -> Option<String> {
    let mut from = 0;
    while let Some(found) = USER.as_ref()?.captures_at(message, from) {
        let quoted = found.get(1);
        let group = quoted.or_else(|| found.get(2))?;
        let name = group.as_str().trim();
        let name = if quoted.is_none() { name.trim_end_matches(['.', '!', '?']) } else { name };
        let plausible = !name.is_empty()
            && (quoted.is_some() || text::address(name).is_none())
            && !NO_NAMES.iter().any(|word| name.eq_ignore_ascii_case(word));
        if plausible {
            return Some(name.to_owned());
        }
        // What was no name may stand before one: `Failed Login: username=lan`.
        from = group.start();
    }
    None
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
            (
                "wrong password for account lan. Server 10.0.0.1, client 203.0.113.7",
                "lan",
                "203.0.113.7",
            ),
            ("User lan: login refused (host gw.example [203.0.113.7])", "lan", "203.0.113.7"),
            ("Invalid credentials for lan (203.0.113.7)", "lan", "203.0.113.7"),
            ("Đăng nhập thất bại: tài khoản lan, địa chỉ IP 203.0.113.7", "lan", "203.0.113.7"),
            ("Dang nhap khong thanh cong, nguoi dung: lan tu 203.0.113.7", "lan", "203.0.113.7"),
            (
                "Người dùng 'trần lan' nhập sai mật khẩu từ máy 203.0.113.7",
                "trần lan",
                "203.0.113.7",
            ),
            ("Failed Login: username=lan ip=203.0.113.7", "lan", "203.0.113.7"),
        ] {
            let activity = message(line).unwrap();
            assert_eq!(activity.class(), Class::Authentication, "{line}");
            assert_eq!(activity.status(), Status::Failure, "{line}");
            assert_eq!(activity.user_name, user, "{line}");
            assert_eq!(activity.source_address().unwrap().to_string(), address, "{line}");
        }
        assert!(message("worker 17 started in 12 ms").is_none());
    }

    #[test]
    fn every_expression_compiles() {
        for regex in
            [&BAD, &LOGIN, &GOOD, &USER, &FROM, &TO, &ADDRESS, &REQUEST, &CODE, &BARRED_CODE]
        {
            assert!(regex.is_some());
        }
    }

    #[test]
    fn a_request_in_an_unknown_notation_is_one() {
        let activity = message("10.9.8.7 | POST /nop-ho-so?id=1 HTTP/2.0 | 503").unwrap();
        let http = activity.http.unwrap();
        assert_eq!(
            (http.http_method.as_str(), http.url.as_str(), http.status_code),
            ("POST", "/nop-ho-so?id=1", 503)
        );
    }
}
