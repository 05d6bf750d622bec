//! ArcSight's CEF and QRadar's LEEF, as security appliances send them: a head with bars, then `key=value` with blanks in values.

use vonggac_wire::event::{Body, Class, Status};

use super::{Context, Parsed, clock, declared::field, generic, json};

/// Pairs that are read of one line.
const PAIRS_MAX: usize = 256;

/// `CEF:0|vendor|product|version|id|name|severity|extension`, perhaps behind a syslog header.
pub(super) fn cef(text: &str, context: &Context) -> Option<Parsed> {
    let start = text.find("CEF:")?;
    let head = heads(&text[start + 4..], 7)?;
    let [_, vendor, product, _, id, name, severity] = head.parts.as_slice() else { return None };
    let mut pairs = extension(head.rest);
    labelled(&mut pairs);
    let parsed = event(&pairs, vendor, product, id, name, context);
    Some(carried(with_severity(parsed, severity), &text[..start], context))
}

/// `LEEF:1.0|vendor|product|version|id|` with tabs between pairs; `LEEF:2.0|...|id|delimiter|`.
pub(super) fn leef(text: &str, context: &Context) -> Option<Parsed> {
    let start = text.find("LEEF:")?;
    let (carrier, text) = (&text[..start], &text[start + 5..]);
    let head = heads(text, if text.starts_with('2') { 6 } else { 5 })?;
    let [_, vendor, product, _, id, ..] = head.parts.as_slice() else { return None };
    let delimiter = match head.parts.get(5).map(String::as_str) {
        Some(hex) if hex.len() > 1 => {
            let digits = hex.trim_start_matches(['0', 'x', 'X']);
            u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).unwrap_or('\t')
        }
        Some(one) => one.chars().next().unwrap_or('\t'),
        None => '\t',
    };
    let pairs: Vec<(String, String)> = head
        .rest
        .split(delimiter)
        .take(PAIRS_MAX)
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect();
    let parsed = event(&pairs, vendor, product, id, id, context);
    Some(carried(parsed, carrier, context))
}

/// What carried the line, syslog mostly, tells a time where the line tells none.
fn carried(mut parsed: Parsed, carrier: &str, context: &Context) -> Parsed {
    let carrier =
        carrier.trim_start_matches(|c: char| matches!(c, '<' | '>') || c.is_ascii_digit());
    if parsed.time.is_none() {
        parsed.time = clock::any(carrier.trim_start(), context).map(|(time, _)| time);
    }
    parsed
}

struct Head<'a> {
    parts: Vec<String>,
    rest: &'a str,
}

/// Splits at bars that no backslash stands before.
fn heads(text: &str, count: usize) -> Option<Head<'_>> {
    let mut parts = Vec::with_capacity(count);
    let mut part = String::new();
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        match character {
            '\\' if !escaped => escaped = true,
            '|' if !escaped => {
                parts.push(std::mem::take(&mut part));
                if parts.len() == count {
                    return Some(Head { parts, rest: &text[at + 1..] });
                }
            }
            other => {
                escaped = false;
                part.push(other);
            }
        }
    }
    None
}

/// Values go on to the next ` key=`; `\=` belongs to a value.
fn extension(text: &str) -> Vec<(String, String)> {
    let mut starts = Vec::new();
    for (at, _) in text.match_indices('=') {
        if text[..at].ends_with('\\') {
            continue;
        }
        let key_at = text[..at].rfind(' ').map_or(0, |place| place + 1);
        let key = &text[key_at..at];
        if !key.is_empty()
            && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        {
            starts.push((key_at, at));
        }
        if starts.len() >= PAIRS_MAX {
            break;
        }
    }
    let ends = starts.iter().skip(1).map(|(key_at, _)| *key_at).chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|((key_at, at), end)| {
            let value = text.get(at + 1..end).unwrap_or("").trim();
            (
                text[*key_at..*at].to_owned(),
                value.replace("\\=", "=").replace("\\|", "|").replace("\\n", " "),
            )
        })
        .collect()
}

/// `cs1=x cs1Label=Rule` is a value that is called "Rule".
fn labelled(pairs: &mut [(String, String)]) {
    let labels: Vec<(String, String)> = pairs
        .iter()
        .filter_map(|(key, value)| Some((key.strip_suffix("Label")?.to_owned(), value.clone())))
        .collect();
    for (key, _) in pairs.iter_mut() {
        if let Some((_, label)) = labels.iter().find(|(of, _)| of == key) {
            *key = label.clone();
        }
    }
}

fn event(
    pairs: &[(String, String)],
    vendor: &str,
    product: &str,
    id: &str,
    name: &str,
    context: &Context,
) -> Parsed {
    let get =
        |wanted: &str| pairs.iter().find(|(key, _)| key == wanted).map(|(_, value)| value.as_str());
    // What CEF calls by names of its own, in names that are usual.
    const NAMES: [(&str, &str); 20] = [
        ("rt", "time"),
        ("devTime", "time"),
        ("start", "time"),
        ("end", "time"),
        ("suser", "user"),
        ("duser", "username"),
        ("usrName", "username"),
        ("requestClientApplication", "user_agent"),
        ("requestMethod", "method"),
        ("request", "uri"),
        ("requestUrl", "uri"),
        ("dvchost", "hostname"),
        ("devname", "hostname"),
        ("dhost", "vhost"),
        ("sourceTranslatedAddress", "natsrc"),
        ("srcPort", "srcport"),
        ("dstPort", "dstport"),
        ("responseCode", "status_code"),
        ("fname", "file"),
        ("app", "service"),
    ];
    let mut usual: Vec<(&str, &str)> = Vec::with_capacity(pairs.len() + 2);
    for (key, value) in pairs {
        let key = NAMES.iter().find(|(of, _)| of == key).map_or(key.as_str(), |(_, usual)| *usual);
        usual.push((key, value));
    }
    usual.push(("name", name));
    let mut parsed = json::named(&usual, context);
    parsed.format = "cef".into();
    let Body::Activity(activity) = &mut parsed.body else { return parsed };
    if activity.service_name.is_empty() {
        activity.service_name = product.to_owned();
    }
    activity.unmapped.insert("metadata.product.vendor_name".into(), vendor.to_owned());
    activity.unmapped.insert("metadata.product.name".into(), product.to_owned());
    activity.unmapped.insert("metadata.event_code".into(), id.to_owned());
    if activity.message.is_empty() {
        activity.message = name.to_owned();
    }
    let words = ["outcome", "act", "action", "deviceAction", "result", "Status"]
        .into_iter()
        .filter_map(get);
    let told = words.map(field::status).find(|status| *status != Status::Unknown);
    if let Some(status) = told {
        activity.status_id = status.id();
    }
    if activity.class() == Class::Base && !activity.src_ip.is_empty() && !activity.dst_ip.is_empty()
    {
        activity.class_uid = Class::Network.uid();
        activity.activity_id = if activity.status() == Status::Failure { 5 } else { 6 };
    }
    if activity.class() == Class::Base {
        if let Some(found) = generic::message(name).filter(|found| found.class() != Class::Base) {
            activity.class_uid = found.class_uid;
            activity.activity_id = found.activity_id;
        }
    }
    parsed
}

fn with_severity(mut parsed: Parsed, severity: &str) -> Parsed {
    if let Body::Activity(activity) = &mut parsed.body {
        activity.severity_id = match severity.parse::<u32>() {
            Ok(0..=3) => 1,
            Ok(4..=6) => 2,
            Ok(7..=8) => 3,
            Ok(_) => 5,
            Err(_) => field::severity(severity),
        };
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context::at(vonggac_wire::Time::from_seconds(1_764_000_000), jiff::tz::TimeZone::UTC)
    }

    #[test]
    fn a_blocked_connection_has_its_ends() {
        let line = "Nov 24 09:00:00 fw CEF:0|Vendor|Fire\\|Wall|1.0|100|Blocked \\= connection|8|src=203.0.113.7 spt=51022 dst=10.0.0.1 dpt=22 act=blocked msg=denied by rule 7 rt=1764000000000 suser=lan";
        let parsed = cef(line, &context()).unwrap();
        let Body::Activity(activity) = parsed.body else { panic!("an activity") };
        assert_eq!(activity.source_address().unwrap().to_string(), "203.0.113.7");
        assert_eq!(
            (activity.src_port, activity.dst_port, activity.status()),
            (51022, 22, Status::Failure)
        );
        assert_eq!((activity.user_name.as_str(), activity.severity_id), ("lan", 3));
        assert_eq!(parsed.time.unwrap().0, vonggac_wire::Time::from_seconds(1_764_000_000));
    }

    #[test]
    fn leef_of_both_versions_is_read() {
        for line in [
            "LEEF:1.0|Vendor|IPS|1|login-failed|src=203.0.113.7\tusrName=lan\tdst=10.0.0.1\tmsg=login failed",
            "LEEF:2.0|Vendor|IPS|1|login-failed|^|src=203.0.113.7^usrName=lan^dst=10.0.0.1^msg=login failed",
        ] {
            let parsed = leef(line, &context()).unwrap();
            let Body::Activity(activity) = parsed.body else { panic!("an activity") };
            assert_eq!(activity.source_address().unwrap().to_string(), "203.0.113.7", "{line}");
            assert_eq!(
                (activity.user_name.as_str(), activity.status()),
                ("lan", Status::Failure),
                "{line}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic(text in ".*") {
            let _cef = cef(&format!("CEF:0|a|b|c|d|e|1|{text}"), &context());
            let _leef = leef(&format!("LEEF:2.0|a|b|c|d|{text}"), &context());
        }
    }
}
