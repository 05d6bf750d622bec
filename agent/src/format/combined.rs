//! Access logs in the common log format and what grew from it: nginx, Apache, lighttpd, Tomcat, Traefik, squid, Jetty, HAProxy's CLF.
//!
//! `[VHOST ]CLIENT IDENT USER [TIME] "REQUEST" STATUS BYTES`, then in any order a referrer and an agent in quotes, durations,
//! `key=value` and other words. The client's address stands before everything that a client can choose.

use std::borrow::Cow;

use vonggac_wire::event::{Activity, Class, HttpRequest};

use super::{Context, Parsed, clock, http, text};

/// Words behind the bytes that are looked at.
const EXTRAS_MAX: usize = 32;

pub(super) fn parse(line: &str, context: &Context) -> Option<Parsed> {
    // Servers escape quotes in what clients send, so the first `] "` is their own, whatever a user's name holds.
    let close = super::REQUEST_BEGINS.find(line.as_bytes())?;
    let open = memchr::memrchr(b'[', &line.as_bytes()[..close])?;
    let time = clock::access(&line[open + 1..close], context)?;
    let (request, rest) = quoted(&line[close + 2..])?;
    let mut words = rest.trim_start().splitn(3, ' ');
    let status_code: u32 = words.next()?.parse().ok().filter(|code| *code < 1000)?;
    let response_bytes = words.next().unwrap_or("-").parse().unwrap_or(0);
    let extras = Extras::read(words.next().unwrap_or(""));
    let head = Head::read(line[..open].trim_end())?;

    let request = if is_none(&request) { "" } else { &*request };
    let (http_method, url, version) = http::split_request(request);
    let mut activity =
        Activity::of(Class::Http, http::method_activity(http_method), http::outcome(status_code));
    activity.severity_id = 1;
    activity.user_name = given(head.user);
    match head.address {
        Some(address) => activity.set_source_address(address),
        None => {
            activity.unmapped.insert("src_endpoint.hostname".into(), head.client.to_owned());
        }
    }
    activity.unmapped.extend(extras.others);
    activity.http = Some(HttpRequest {
        http_method: http_method.to_owned(),
        url: url.to_owned(),
        version: version.to_owned(),
        hostname: http::without_port(head.vhost).to_owned(),
        user_agent: given(extras.agent),
        referrer: given(extras.referrer),
        status_code,
        response_bytes,
        duration_seconds: extras.seconds,
    });
    let mut parsed = Parsed::activity("combined", activity);
    parsed.time = Some(time);
    Some(parsed)
}

/// A mark that there is nothing.
fn is_none(text: &str) -> bool {
    matches!(text, "-" | "\"\"")
}

/// A text, unless it says that there is none.
fn given(text: Cow<'_, str>) -> String {
    if is_none(&text) { String::new() } else { text.into_owned() }
}

/// What stands before the time.
struct Head<'a> {
    vhost: &'a str,
    client: &'a str,
    address: Option<std::net::IpAddr>,
    user: Cow<'a, str>,
}

impl<'a> Head<'a> {
    fn read(text: &'a str) -> Option<Self> {
        // `CLIENT - USER`, as nearly all are.
        let plain = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic());
        let dash = text.as_bytes().windows(3).position(|three| three == b" - ");
        let parted = dash.map(|at| (&text[..at], &text[at + 3..]));
        if let Some((client, user)) = parted.filter(|(a, b)| plain(a) && plain(b)) {
            let client = client.trim_end_matches(',');
            let address = text::address(client);
            let known = address.is_some() || is_name(client);
            return known.then(|| Self { vhost: "", client, address, user: user.into() });
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_address = |word: &&str| text::address(word).is_some();
        let first = *words.first()?;
        let (mut vhost, mut at) = match words.get(1) {
            // What begins with a digit and is followed by `-` is the client.
            Some(second) if *second != "-" && !is_address(&first) && is_address(second) => {
                if !first.bytes().all(is_of_name) {
                    return None;
                }
                (first, 1)
            }
            _ => ("", 0),
        };
        // Of a list that proxies have lengthened the last was written by the nearest.
        while words[at].ends_with(',') && words.get(at + 1).is_some_and(is_address) {
            at += 1;
        }
        let client = words[at].trim_end_matches(',');
        // A client by its name; a word of something else before a time is none.
        let address = text::address(client);
        if !(address.is_some() || words.len() == 3 && is_name(client)) {
            return None;
        }
        let ident = words.get(at + 1).copied().unwrap_or("-");
        // lighttpd has the virtual host where others have an identity that nobody uses.
        if vhost.is_empty() && ident.contains('.') {
            vhost = ident;
        }
        let user = words.get(at + 2..).map(|user| user.join(" ").into()).unwrap_or_default();
        Some(Self { vhost, client, address, user })
    }
}

fn is_name(word: &str) -> bool {
    (word.contains('.') || matches!(word, "localhost" | "-" | "unix:"))
        && word.bytes().all(is_of_name)
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'*')
}

/// What stands behind the bytes.
#[derive(Default)]
struct Extras<'a> {
    referrer: Cow<'a, str>,
    agent: Cow<'a, str>,
    seconds: Option<f64>,
    others: Vec<(String, String)>,
}

impl<'a> Extras<'a> {
    fn read(text: &'a str) -> Self {
        let mut extras = Self::default();
        let mut in_quotes = 0;
        let mut rest = text.trim_start();
        for _ in 0..EXTRAS_MAX {
            if rest.is_empty() {
                break;
            }
            if let Some((value, after)) = quoted(rest) {
                in_quotes += 1;
                match in_quotes {
                    1 => extras.referrer = value,
                    2 => extras.agent = value,
                    // nginx's own `main` has the forwarded addresses third.
                    3 if is_forwarded(&value) => {
                        let name = "http_x_forwarded_for".to_owned();
                        extras.others.push((name, value.into_owned()));
                    }
                    _ => {}
                }
                rest = after.trim_start();
                continue;
            }
            let (word, after) = word(rest);
            extras.word(word);
            rest = after.trim_start();
        }
        extras
    }

    fn word(&mut self, word: &str) {
        if let Some((key, value)) = word.split_once('=') {
            let value = value.trim_matches('"');
            if matches!(key, "rt" | "request_time" | "duration" | "time") && self.seconds.is_none()
            {
                self.seconds = value.parse().ok();
            }
            let is_key = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
            if is_key && !key.is_empty() && value != "-" && !value.is_empty() {
                self.others.push((key.to_owned(), value.to_owned()));
            }
        } else if self.seconds.is_none() {
            // nginx writes seconds with three decimals, Traefik milliseconds with their unit; a whole number may be anything.
            let milliseconds = word.strip_suffix("ms").and_then(|word| word.parse::<f64>().ok());
            let seconds = word.contains('.').then(|| word.parse::<f64>().ok()).flatten();
            self.seconds = milliseconds.map(|ms| ms / 1e3).or(seconds).filter(|s| *s >= 0.0);
        }
    }
}

fn is_forwarded(value: &str) -> bool {
    value.split(',').all(|part| text::address(part.trim()).is_some())
}

/// A word; one like `key="two words"` or `[two words]` ends with its quote or bracket.
fn word(text: &str) -> (&str, &str) {
    let end = text.find(' ').unwrap_or(text.len());
    let closed = |from: usize, close: char| text[from..].find(close).map(|at| from + at + 1);
    let whole = if text.starts_with('[') {
        closed(1, ']')
    } else {
        text[..end].find("=\"").and_then(|at| closed(at + 2, '"'))
    };
    text.split_at(whole.unwrap_or(end))
}

/// A text in quotes with `\"` and `\\` inside, and what follows.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let inner = text.strip_prefix('"')?;
    let bytes = inner.as_bytes();
    let (mut at, mut escaped) = (0, false);
    loop {
        at += memchr::memchr2(b'"', b'\\', &bytes[at..])?;
        if bytes[at] == b'"' {
            break;
        }
        // Whatever follows a backslash is no end.
        escaped = true;
        at += 2;
        if at >= bytes.len() {
            return None;
        }
    }
    let value = &inner[..at];
    let value = if escaped { value.replace("\\\"", "\"").into() } else { value.into() };
    Some((value, &inner[at + 1..]))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use vonggac_wire::event::Body;

    use super::*;

    fn read(line: &str) -> Option<Activity> {
        let context = Context::at("2026-11-24T16:30:00Z".parse().unwrap(), TimeZone::UTC);
        match *parse(line, &context)?.body {
            Body::Activity(activity) => Some(activity),
            _ => None,
        }
    }

    const REQUEST: &str = r#"[24/Nov/2026:16:00:00 +0700] "GET /a?b=c HTTP/1.1" 404 12"#;

    #[test]
    fn a_line_of_every_server_has_client_user_and_host() {
        for (head, client, user, vhost) in [
            ("203.0.113.7 - -", "203.0.113.7", "", ""),
            ("203.0.113.7 - lan", "203.0.113.7", "lan", ""),
            ("dvc.example.vn:443 203.0.113.7 - lan", "203.0.113.7", "lan", "dvc.example.vn"),
            ("_ 203.0.113.7 - -", "203.0.113.7", "", "_"),
            ("2001:db8::7 dvc.example.vn lan", "2001:db8::7", "lan", "dvc.example.vn"),
            ("203.0.113.1, 203.0.113.7 - -", "203.0.113.7", "", ""),
            ("203.0.113.7 - trần thị lan", "203.0.113.7", "trần thị lan", ""),
            (
                "203.0.113.7 - a [1/Jan/2000:00:00:00 +0000]",
                "203.0.113.7",
                "a [1/Jan/2000:00:00:00 +0000]",
                "",
            ),
            ("203.0.113.7 - 198.51.100.9 - x", "203.0.113.7", "198.51.100.9 - x", ""),
        ] {
            let activity = read(&format!("{head} {REQUEST}")).unwrap();
            assert_eq!(activity.source_address().unwrap().to_string(), client, "{head}");
            assert_eq!(activity.user_name, user, "{head}");
            assert_eq!(activity.http.unwrap().hostname, vhost, "{head}");
        }
        assert!(read(&format!("Nov 24 16:00:00 web nginx: 203.0.113.7 - - {REQUEST}")).is_none());
    }

    #[test]
    fn what_stands_behind_the_bytes_is_told_apart() {
        for (tail, referrer, agent, seconds) in [
            (r#""-" "curl/8""#, "", "curl/8", None),
            (r#""https://a/" "x \"y\"" 0.025"#, "https://a/", r#"x "y""#, Some(0.025)),
            (r#""-" "curl/8" "198.51.100.9""#, "", "curl/8", None),
            (r#"0.003 "https://a/" "curl/8""#, "https://a/", "curl/8", Some(0.003)),
            (r#""-" "curl/8" "-" rt=0.120 uct="0.001" host="a b""#, "", "curl/8", Some(0.12)),
            (
                r#""-" "curl/8" 5 "router@file" "http://10.0.0.5:80" 12ms"#,
                "",
                "curl/8",
                Some(0.012),
            ),
            (
                r#""-" "curl/8" 396 0.010 [ns-svc-80] [] 10.0.0.5:80 1 0.010 200 8f"#,
                "",
                "curl/8",
                Some(0.010),
            ),
        ] {
            let http = read(&format!("203.0.113.7 - - {REQUEST} {tail}")).unwrap().http.unwrap();
            let found = (http.referrer.as_str(), http.user_agent.as_str(), http.duration_seconds);
            assert_eq!(found, (referrer, agent, seconds), "{tail}");
            assert_eq!((http.url.as_str(), http.status_code), ("/a?b=c", 404));
        }
    }
}
