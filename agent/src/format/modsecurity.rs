//! ModSecurity's serial audit log, versions 2 and 3: sections from `--ID-A--` to `--ID-Z--`, read as one event.

use vonggac_wire::event::{Activity, Body, Class, Status};

use super::{
    Context, Parsed, clock,
    declared::field::{Draft, Field},
};

/// Rules of one transaction that are named.
const RULES_MAX: usize = 16;

/// Identifier and section of a boundary line: `--1a2b3c4d-A--` of version 2, `---kJ8sd2Qz---A--` of version 3.
pub(super) fn boundary(line: &str) -> Option<(&str, char)> {
    let inner = line.trim_end().strip_prefix("--")?.strip_suffix("--")?;
    let (id, section) = inner.rsplit_once('-')?;
    let id = id.trim_matches('-');
    let mut letters = section.chars();
    let section = letters.next().filter(char::is_ascii_uppercase)?;
    let whole = letters.next().is_none() && (4..=64).contains(&id.len());
    (whole && id.bytes().all(|b| b.is_ascii_alphanumeric())).then_some((id, section))
}

pub(super) fn parse(text: &str, context: &Context) -> Option<Parsed> {
    let mut lines = text.lines();
    let (id, 'A') = boundary(lines.next()?)? else { return None };
    let mut draft = Draft::default();
    let mut section = 'A';
    let mut first = true;
    let mut audit = Audit::default();
    for line in lines {
        // A body may hold what looks like a boundary; only this transaction's own is one.
        if let Some((own, letter)) = boundary(line) {
            if own == id {
                (section, first) = (letter, true);
                continue;
            }
        }
        match section {
            'A' if first => connection(line, &mut draft, context)?,
            'B' if first => draft.put(&Field::Request, line, context),
            'B' => header(line, &mut draft, context),
            'F' if first => code(line, &mut draft, context),
            'H' => audit.line(line),
            _ => {}
        }
        first = false;
    }
    audit.tell(&mut draft, context);
    draft.activity.class_uid = Class::Http.uid();
    draft.activity.service_name = "modsecurity".into();
    draft.finish();
    Some(Parsed {
        time: draft.time,
        body: Box::new(Body::Activity(draft.activity)),
        format: "modsecurity-audit".into(),
        device: draft.device,
    })
}

/// `[24/Nov/2026:16:00:00.123456 +0700] ID 203.0.113.7 51022 10.0.0.5 443`
fn connection(line: &str, draft: &mut Draft, context: &Context) -> Option<()> {
    let (stamp, rest) = line.strip_prefix('[')?.split_once("] ")?;
    draft.time = clock::access(stamp, context);
    let words: Vec<&str> = rest.split_whitespace().collect();
    let [unique, client, client_port, server, server_port] = words.as_slice() else { return None };
    draft.put(&Field::Other("transaction_id".into()), unique, context);
    draft.put(&Field::Source, client, context);
    draft.put(&Field::SourcePort, client_port, context);
    draft.put(&Field::Destination, server, context);
    draft.put(&Field::DestinationPort, server_port, context);
    Some(())
}

fn header(line: &str, draft: &mut Draft, context: &Context) {
    let Some((name, value)) = line.split_once(':') else { return };
    let field = match name.to_ascii_lowercase().as_str() {
        "host" => Field::Vhost,
        "user-agent" => Field::Agent,
        "referer" => Field::Referrer,
        _ => return,
    };
    draft.put(&field, value, context);
}

/// `HTTP/1.1 403 Forbidden`
fn code(line: &str, draft: &mut Draft, context: &Context) {
    if let Some(code) = line.split_whitespace().nth(1) {
        draft.put(&Field::Code, code, context);
    }
}

/// What the rules said.
#[derive(Default)]
struct Audit {
    messages: Vec<String>,
    rules: Vec<String>,
    intercepted: bool,
}

impl Audit {
    fn line(&mut self, line: &str) {
        if line.starts_with("Action: Intercepted") || line.contains("Access denied with code") {
            self.intercepted = true;
        }
        if !line.starts_with("Message: ") && !line.starts_with("ModSecurity: ") {
            return;
        }
        for (tag, found) in [("[id \"", &mut self.rules), ("[msg \"", &mut self.messages)] {
            let value = line.split_once(tag).and_then(|(_, rest)| rest.split_once('"'));
            if let Some((value, _)) = value.filter(|_| found.len() < RULES_MAX) {
                found.push(value.to_owned());
            }
        }
    }

    fn tell(self, draft: &mut Draft, context: &Context) {
        draft.activity.message = self.messages.join("; ");
        draft.put(&Field::Other("rules".into()), &self.rules.join(","), context);
        if self.intercepted {
            draft.activity.status_id = Status::Failure.id();
            draft.activity.status_detail = "modsecurity".into();
        }
        if !self.rules.is_empty() {
            draft.activity.severity_id = 3;
        }
    }
}

/// A line of a record that nobody has joined.
pub(super) fn piece(line: &str) -> Option<Parsed> {
    boundary(line)?;
    let mut activity = Activity::of(Class::Base, 0, Status::Unknown);
    activity.severity_id = 1;
    activity.message = line.to_owned();
    Some(Parsed::activity("modsecurity-audit", activity))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    const RECORD: &str = "--1a2b3c4d-A--\n[24/Nov/2026:16:00:00.123456 +0700] YabcQ 203.0.113.7 51022 10.0.0.5 443\n--1a2b3c4d-B--\nGET /a?id=1'%20or HTTP/1.1\nHost: dvc.example.vn\nUser-Agent: sqlmap/1.8\n\n--1a2b3c4d-C--\n--9z9z9z9z-A--\n[24/Nov/2026:16:00:00 +0700] Y 198.51.100.9 1 10.0.0.5 443\n--1a2b3c4d-F--\nHTTP/1.1 403 Forbidden\n--1a2b3c4d-H--\nMessage: Access denied with code 403 (phase 2). [id \"942100\"] [msg \"SQL Injection Attack\"]\nAction: Intercepted (phase 2)\n--1a2b3c4d-Z--";

    #[test]
    fn sections_of_a_transaction_are_one_event_whatever_its_body_holds() {
        let context = Context::at("2026-11-24T16:30:00Z".parse().unwrap(), TimeZone::UTC);
        for record in [RECORD.to_owned(), RECORD.replace("--1a2b3c4d-", "---1a2b3c4d---")] {
            let parsed = parse(&record, &context).unwrap();
            assert_eq!(parsed.time.unwrap().0.to_string(), "2026-11-24T09:00:00.123456Z");
            let Body::Activity(activity) = *parsed.body else { panic!() };
            assert_eq!(activity.source_address().unwrap().to_string(), "203.0.113.7");
            assert_eq!(activity.status(), Status::Failure);
            assert_eq!(activity.message, "SQL Injection Attack");
            assert_eq!(activity.unmapped["rules"], "942100");
            let http = activity.http.unwrap();
            assert_eq!((http.url.as_str(), http.status_code), ("/a?id=1'%20or", 403));
            assert_eq!(http.user_agent, "sqlmap/1.8");
        }
    }
}
