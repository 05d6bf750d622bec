//! Access logs of nginx and Apache: `[vhost ]ADDRESS IDENT USER [TIME] "REQUEST" STATUS BYTES["REFERRER" "AGENT"]`.

use vonggac_wire::event::{Activity, Class, HttpRequest};

use super::{Context, Parsed, clock, http, text};
use crate::redact;

pub(super) fn parse(line: &str, context: &Context) -> Option<Parsed> {
    let open = line.find(" [")?;
    let close = open + line[open..].find("] ")?;
    let time = clock::access(&line[open + 2..close], context)?;
    let (request, rest) = quoted(line[close + 2..].trim_start())?;
    let mut words = rest.trim_start().splitn(3, ' ');
    let status_code: u32 = words.next()?.parse().ok().filter(|code| *code < 1000)?;
    let response_bytes = words.next().unwrap_or("-").parse().unwrap_or(0);
    let tail = words.next().unwrap_or("").trim_start();
    let (referrer, tail) = quoted(tail).unwrap_or_default();
    let (user_agent, _) = quoted(tail.trim_start()).unwrap_or_default();

    let head: Vec<&str> = line[..open].split_whitespace().collect();
    let at = head.iter().position(|word| text::address(word).is_some());
    let (vhost, client, user) = match (at, head.as_slice()) {
        (Some(at), words) => {
            let user = words.get(at + 2..).map(|user| user.join(" ")).unwrap_or_default();
            (if at > 0 { words[0] } else { "" }, words[at], user)
        }
        (None, [client, _, user @ ..]) => ("", *client, user.join(" ")),
        _ => return None,
    };
    let none = |text: &str| if text == "-" { String::new() } else { text.to_owned() };
    let (http_method, url, version) = http::split_request(&request);
    let mut activity =
        Activity::of(Class::Http, http::method_activity(http_method), http::outcome(status_code));
    activity.severity_id = 1;
    activity.user_name = none(&user);
    match text::address(client) {
        Some(address) => activity.set_source_address(address),
        None => {
            activity.unmapped.insert("src_endpoint.hostname".into(), client.to_owned());
        }
    }
    activity.http = Some(HttpRequest {
        http_method: http_method.to_owned(),
        url: redact::url_secrets(url).into_owned(),
        version: version.to_owned(),
        hostname: vhost.split(':').next().unwrap_or("").to_owned(),
        user_agent: none(&user_agent),
        referrer: none(&redact::url_secrets(&referrer)),
        status_code,
        response_bytes,
        duration_seconds: None,
    });
    let mut parsed = Parsed::activity("combined", activity);
    parsed.time = Some(time);
    Some(parsed)
}

/// A text in quotes with `\"` and `\\` inside, and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    for (at, character) in inner.char_indices() {
        match character {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => {
                let value = &inner[..at];
                let value = if value.contains("\\\"") {
                    value.replace("\\\"", "\"")
                } else {
                    value.to_owned()
                };
                return Some((value, &inner[at + 1..]));
            }
            _ => escaped = false,
        }
    }
    None
}
