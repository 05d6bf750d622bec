//! An event as a line of ArcSight's Common Event Format, revision 25, as the body of a syslog message.

use std::fmt::Write;

use crate::store::row::EventRow;

/// Bytes of a value: receivers cut lines at 64 KiB or less.
const VALUE_BYTES_MAX: usize = 4_096;

/// Escapes a field of the head.
pub(crate) fn head(text: &str) -> String {
    escaped(text, &['\\', '|'])
}

/// Escapes a value of the extension.
pub(crate) fn value(text: &str) -> String {
    escaped(text, &['\\', '='])
}

/// Whether a character turns the direction of a line, ends one, or is not seen: whoever shows the line elsewhere would obey it.
const fn turns(character: char) -> bool {
    matches!(
        character,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

fn escaped(text: &str, wanted: &[char]) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if out.len() >= VALUE_BYTES_MAX {
            break;
        }
        match character {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            // What would turn a terminal or a parser is told as its code.
            other if other.is_control() || turns(other) => {
                let _written = write!(out, "\\\\u{:04x}", u32::from(other));
            }
            other => {
                if wanted.contains(&other) {
                    out.push('\\');
                }
                out.push(other);
            }
        }
    }
    out
}

/// OCSF's severity on CEF's scale of ten.
const fn severity(id: u8) -> u8 {
    match id {
        0 => 0,
        1 => 1,
        2 => 3,
        3 => 5,
        4 => 7,
        5 => 9,
        _ => 10,
    }
}

/// The line, without its end.
#[must_use]
pub fn line(row: &EventRow) -> String {
    let mut line = format!(
        "CEF:0|Vong Gac|vonggac|{}|{}:{}|{}|{}|",
        env!("CARGO_PKG_VERSION"),
        row.class_uid,
        row.activity_id,
        head(&row.class),
        severity(row.severity_id)
    );
    let mut pairs: Vec<(&str, String)> = vec![
        ("rt", row.time.div_euclid(1_000).to_string()),
        ("externalId", format!("{}/{}/{}", row.agent, row.lane, row.seq)),
        ("dvchost", row.host.clone()),
        ("outcome", row.status.clone()),
        ("reason", row.status_detail.clone()),
    ];
    // An address of version 6 has a field of its own.
    if row.src_ip.contains(':') {
        pairs.push(("c6a2", row.src_ip.clone()));
        pairs.push(("c6a2Label", "Source IPv6 Address".into()));
    } else {
        pairs.push(("src", row.src_ip.clone()));
    }
    let number = |number: u64| if number > 0 { number.to_string() } else { String::new() };
    pairs.extend([
        ("spt", number(row.src_port.into())),
        ("duser", row.user.clone()),
        ("suser", row.actor_user.clone()),
        ("dproc", row.process.clone()),
        ("dpid", number(row.pid.into())),
        ("app", row.service.clone()),
        ("requestMethod", row.http_method.clone()),
        ("request", row.url.clone()),
        ("requestClientApplication", row.user_agent.clone()),
        ("out", number(row.response_bytes)),
        ("cnt", number(if row.count > 1 { row.count } else { 0 })),
        ("msg", if row.message.is_empty() { row.command.clone() } else { row.message.clone() }),
    ]);
    for (name, label, text) in [
        ("cs1", "agency", &row.agency),
        ("cs2", "system", &row.system),
        ("cs3", "lane", &row.lane),
        ("cs4", "format", &row.format),
    ] {
        if !text.is_empty() {
            pairs.push((name, text.clone()));
            pairs.push((
                match name {
                    "cs1" => "cs1Label",
                    "cs2" => "cs2Label",
                    "cs3" => "cs3Label",
                    _ => "cs4Label",
                },
                label.into(),
            ));
        }
    }
    if row.http_status > 0 {
        pairs.push(("cn1", row.http_status.to_string()));
        pairs.push(("cn1Label", "http status".into()));
    }
    pairs.push(("rawEvent", String::from_utf8_lossy(&row.raw).into_owned()));
    let shown: Vec<String> = pairs
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(name, text)| format!("{name}={}", value(&text)))
        .collect();
    line.push_str(&shown.join(" "));
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_is_told_in_cefs_words() {
        let row = EventRow {
            agency: "H49".into(),
            class: "http_activity".into(),
            class_uid: 4_002,
            activity_id: 3,
            severity_id: 1,
            time: 1_764_000_000_123_456,
            host: "web-1".into(),
            agent: "a".into(),
            lane: "usage".into(),
            seq: 9,
            src_ip: "2001:db8::7".into(),
            http_method: "GET".into(),
            url: "/a?b=c|d".into(),
            http_status: 404,
            ..EventRow::default()
        };
        let line = line(&row);
        assert!(line.starts_with(&format!("CEF:0|Vong Gac|vonggac|{}|4002:3|http_activity|1|rt=1764000000123 externalId=a/usage/9 ", env!("CARGO_PKG_VERSION"))), "{line}");
        assert!(line.contains(" c6a2=2001:db8::7 c6a2Label=Source IPv6 Address "), "{line}");
        assert!(
            line.contains(" request=/a?b\\=c|d ")
                && line.ends_with(" cn1=404 cn1Label=http status"),
            "{line}"
        );
    }

    #[test]
    fn what_turns_a_line_or_ends_it_is_told_as_its_code() {
        assert_eq!(head("a\u{202e}b|"), "a\\\\u202eb\\|");
        assert_eq!(value("a\u{2028}#9=\u{85}"), "a\\\\u2028#9\\=\\\\u0085");
    }

    proptest! {
        /// Whatever a log says, a line stays one line, and no value ends another.
        #[test]
        fn hostile_text_stays_in_its_value(message in ".{0,60}", raw in proptest::collection::vec(any::<u8>(), 0..60)) {
            let row = EventRow { message, raw, class: "a|b\n".into(), ..EventRow::default() };
            let line = line(&row);
            prop_assert!(!line.chars().any(|character| character.is_control() || turns(character)));
            let mut bars = 0;
            let mut plain = 0;
            let mut characters = line.chars();
            while let Some(character) = characters.next() {
                match character {
                    '\\' => { characters.next(); }
                    '|' if bars < 7 => bars += 1,
                    '=' => plain += 1,
                    _ => {}
                }
            }
            prop_assert_eq!(bars, 7);
            // One sign of equality for each key: rt, externalId, and msg and rawEvent where there are any.
            let keys = 2 + usize::from(!row.message.is_empty()) + usize::from(!row.raw.is_empty());
            prop_assert_eq!(plain, keys);
        }
    }
}
