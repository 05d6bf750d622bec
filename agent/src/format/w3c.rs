//! W3C extended logs: columns that a `#Fields:` line names. IIS (web, FTP, SMTP), HTTP.sys' errors, Exchange's CSV, the firewall of
//! Windows.
//!
//! A reader that keeps the header hands it over with the line; without one the columns of IIS are told by what stands in them.

use vonggac_wire::event::{Activity, Body, Class, Status};

use super::{
    Context, Parsed,
    declared::{
        field::{Draft, Field},
        shape,
    },
    generic, text,
};

/// What the columns mean.
const COLUMNS: &[(&str, Field)] = &[
    ("date-time", Field::TimeUtc),
    ("datetime", Field::TimeUtc),
    ("c-ip", Field::Source),
    ("cip", Field::Source),
    ("client-ip", Field::Source),
    ("original-client-ip", Field::Source),
    ("remote-endpoint", Field::Source),
    ("c-port", Field::SourcePort),
    ("src-ip", Field::Source),
    ("src-port", Field::SourcePort),
    ("dst-ip", Field::Destination),
    ("dst-port", Field::DestinationPort),
    ("s-ip", Field::Destination),
    ("sip", Field::Destination),
    ("server-ip", Field::Destination),
    ("local-endpoint", Field::Destination),
    ("s-port", Field::DestinationPort),
    ("cs-username", Field::User),
    ("user", Field::User),
    ("cs-method", Field::Method),
    ("cs-uri-stem", Field::Url),
    ("cs-uri", Field::Url),
    ("cs-uri-query", Field::Query),
    ("cs-version", Field::Version),
    ("cs-host", Field::Vhost),
    ("cs(host)", Field::Vhost),
    ("cs(user-agent)", Field::Agent),
    ("cs(referer)", Field::Referrer),
    ("sc-status", Field::Code),
    ("sc-bytes", Field::Bytes),
    ("time-taken", Field::Milliseconds),
    ("s-computername", Field::Device),
    ("server-hostname", Field::Device),
    ("s-reason", Field::Detail),
];

/// The day in a line, if it is the header that tells it.
pub(super) fn day(line: &str) -> Option<&str> {
    let day = line.strip_prefix("#Date:")?.trim().split(' ').next()?;
    (day.len() == 10).then_some(day)
}

/// The header in a line, if it is one.
pub(super) fn header(line: &str) -> Option<&str> {
    line.strip_prefix("#Fields:").map(str::trim)
}

pub(super) fn parse(line: &str, context: &Context) -> Option<Parsed> {
    if line.starts_with('#') {
        return directive(line, context);
    }
    if let Some(header) = &context.columns {
        if let Some(parsed) = by_header(header, line, context) {
            return Some(parsed);
        }
    }
    let columns = iis(line)?;
    let columns: Vec<_> = columns.iter().map(|(name, value)| (*name, *value)).collect();
    Some(parsed(&columns, line, context))
}

/// `#Software: Microsoft Internet Information Services 10.0` and its like: of no one, but of a time.
fn directive(line: &str, context: &Context) -> Option<Parsed> {
    let (name, value) = line.strip_prefix('#')?.split_once(':')?;
    if !matches!(
        name,
        "Software"
            | "Version"
            | "Date"
            | "Fields"
            | "Start-Date"
            | "Time Format"
            | "Log-type"
            | "Log-Type"
    ) {
        return None;
    }
    let mut draft = Draft::default();
    if matches!(name, "Date" | "Start-Date") {
        draft.put(&Field::TimeUtc, value, context);
    }
    let mut activity = Activity::of(Class::Base, 0, Status::Unknown);
    activity.severity_id = 1;
    activity.message = line.to_owned();
    let mut parsed = Parsed::activity("w3c", activity);
    parsed.time = draft.time;
    Some(parsed)
}

fn by_header(header: &str, line: &str, context: &Context) -> Option<Parsed> {
    // The day of a log that names only the time stands before its columns.
    let (day, header) = match header.strip_prefix('@') {
        Some(dated) => dated.split_once(' ')?,
        None => ("", header),
    };
    let separator = if header.contains(',') { ',' } else { ' ' };
    let names: Vec<&str> =
        header.split([separator, '\t']).filter(|name| !name.is_empty()).collect();
    let values = if separator == ',' { shape::columns(line, ',') } else { words_of(line) };
    // A line of something else, or one that is torn. Of CSV the last columns may be left out.
    let whole = if separator == ',' {
        (names.len().min(4)..=names.len()).contains(&values.len())
    } else {
        values.len() == names.len()
    };
    if names.is_empty() || !whole {
        return None;
    }
    let lower: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
    let mut columns: Vec<(&str, &str)> =
        lower.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
    // Every such log dates its lines; what has no date there is a line of something else.
    let dated = columns.iter().any(|(name, value)| {
        (matches!(*name, "date" | "date-time" | "datetime") || (*name == "time" && !day.is_empty()))
            && value.as_bytes().first().is_some_and(u8::is_ascii_digit)
    });
    let is_client = |value: &str| value == "-" || text::address(value).is_some();
    let client = columns.iter().find(|(name, _)| *name == "c-ip");
    if !dated || client.is_some_and(|(_, value)| !is_client(value)) {
        return None;
    }
    if !day.is_empty() {
        columns.push(("date", day));
    }
    Some(parsed(&columns, line, context))
}

/// Words between blanks; one in quotes may hold some, with doubled quotes.
fn words_of(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let Some(inner) = rest.strip_prefix('"') else {
            let end = rest.find([' ', '\t']).unwrap_or(rest.len());
            words.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
            continue;
        };
        let mut end = inner.len();
        let mut from = 0;
        while let Some(at) = inner[from..].find('"').map(|at| from + at) {
            if !inner[at + 1..].starts_with('"') {
                end = at;
                break;
            }
            from = at + 2;
        }
        words.push(inner[..end].replace("\"\"", "\""));
        rest = inner.get(end + 1..).unwrap_or_default().trim_start();
    }
    words
}

fn parsed(columns: &[(&str, &str)], line: &str, context: &Context) -> Parsed {
    let mut draft = Draft::default();
    let value = |name: &str| columns.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
    if let (Some(date), Some(time)) = (value("date"), value("time")) {
        // The firewall's is the only one of them that tells the host's own time.
        let local = value("action").is_some() && value("src-ip").is_some();
        let field = if local { Field::Time } else { Field::TimeUtc };
        draft.put(&field, &format!("{date} {time}"), context);
    }
    for (name, text) in columns {
        match COLUMNS.iter().find(|(known, _)| known == name) {
            // Of several addresses of a client the first column is the server's own word.
            Some((_, Field::Source)) if !draft.activity.src_ip.is_empty() => {}
            Some((_, field)) => draft.put(field, text, context),
            None if matches!(*name, "date" | "time") => {}
            // FTP's lines of one session name its user once.
            None if *name == "x-session" => {
                draft.put(&Field::Other("connection".into()), text, context);
            }
            None => draft.put(&Field::Other((*name).to_owned()), text, context),
        }
    }
    draft.activity.message = if draft.has_request() { String::new() } else { line.to_owned() };
    // IIS' FTP of old has the session's number before the command.
    let method = draft.http.http_method.clone();
    let method = match method.split_once(']') {
        Some((number, command)) if number.starts_with('[') => command.to_owned(),
        _ => method,
    };
    let code = draft.http.status_code;
    let is_web = method.is_empty() || super::http::method_activity(&method) != 99;
    let of_http = value("cs-version").is_some_and(|version| version.starts_with("HTTP"))
        || value("cs-host").is_some_and(|host| host != "-");
    if !method.is_empty() && !is_web && !of_http {
        other_protocol(&mut draft, &method, code);
    } else if let (Some(action), Some(_)) = (value("action"), value("src-ip")) {
        let dropped = matches!(action, "DROP" | "CLOSE-ABRUPT");
        let opened = matches!(action, "ALLOW" | "OPEN" | "OPEN-INBOUND");
        draft.activity.class_uid = Class::Network.uid();
        draft.activity.activity_id = if dropped { 5 } else { 6 };
        let status = if dropped { Status::Failure } else { Status::Success };
        draft.activity.status_id = if dropped || opened { status.id() } else { 0 };
        draft.activity.service_name = "windows-firewall".into();
    } else if !draft.has_request() {
        if value("event-id").is_some_and(|event| matches!(event, "FAIL" | "DROP" | "BADMAIL")) {
            draft.activity.status_id = Status::Failure.id();
        }
        if let Some(guess) = generic::message(&words(columns)) {
            draft.complete(Activity { http: None, ..guess });
        }
    }
    if draft.activity.service_name.is_empty() && value("cs-method").is_some() {
        draft.activity.service_name = "iis".into();
    }
    draft.finish();
    Parsed {
        time: draft.time,
        body: Box::new(Body::Activity(draft.activity)),
        format: "w3c".into(),
        device: draft.device,
    }
}

/// FTP and SMTP keep their commands in the column of methods.
fn other_protocol(draft: &mut Draft, method: &str, code: u32) {
    let http = std::mem::take(&mut draft.http);
    let activity = &mut draft.activity;
    activity.message = format!("{method} {} {code}", http.url);
    let (class, status) = match (method, code) {
        ("PASS", 230..=239) => (Class::Authentication, Status::Success),
        ("PASS" | "USER", 530..=539) | ("AUTH", 500..=599) => {
            (Class::Authentication, Status::Failure)
        }
        // Who it is going to be: the password decides.
        ("USER", _) => {
            activity.user_name.clone_from(&http.url);
            (Class::Base, Status::Unknown)
        }
        ("AUTH", 235) => (Class::Authentication, Status::Success),
        // What a mail client calls itself is no user.
        ("EHLO" | "HELO" | "MAIL" | "RCPT" | "DATA" | "QUIT" | "RSET" | "BDAT", _) => {
            let name = std::mem::take(&mut activity.user_name);
            activity.unmapped.insert("helo".into(), name);
            (Class::Base, Status::Unknown)
        }
        ("STOR" | "RETR" | "DELE" | "MKD" | "RMD" | "APPE", _) => (
            Class::FileSystem,
            if (200..300).contains(&code) { Status::Success } else { Status::Failure },
        ),
        // WebDAV and whatever else HTTP knows.
        _ if http.url.starts_with('/') => {
            activity.message.clear();
            draft.http = http;
            return;
        }
        _ => (Class::Base, Status::Unknown),
    };
    activity.class_uid = class.uid();
    activity.status_id = status.id();
    activity.service_name = if matches!(method, "PASS" | "USER") { "ftp" } else { "" }.into();
    if class == Class::FileSystem {
        activity.file_path = http.url;
    }
}

fn words(columns: &[(&str, &str)]) -> String {
    let told = ["context", "data", "event", "event-id", "command", "parameters", "s-reason"];
    let values = columns.iter().filter(|(name, _)| told.contains(name)).map(|(_, value)| *value);
    values.collect::<Vec<_>>().join(" ; ")
}

/// The columns of a line of IIS whose header is not known: around the method and its path, and the codes at the end.
fn iis(line: &str) -> Option<Vec<(&'static str, &str)>> {
    let bytes = line.as_bytes();
    let dated = bytes.len() > 20 && bytes[4] == b'-' && bytes[7] == b'-' && bytes[10] == b' ';
    if !dated || bytes[13] != b':' || bytes[16] != b':' || bytes[19] != b' ' {
        return None;
    }
    let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
    let is_method = |word: &str| {
        (3..=12).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
    };
    let at = (2..words.len().checked_sub(1)?).find(|at| {
        let path = words[at + 1];
        is_method(words[*at]) && (path.starts_with('/') || path == "*")
    })?;
    let mut columns = vec![("date", words[0]), ("time", words[1])];
    columns.extend([("cs-method", words[at]), ("cs-uri-stem", words[at + 1])]);
    let client_first = at >= 5 && text::address(words[2]).is_some();
    let behind = if client_first {
        // `C-IP USER S-IP S-PORT METHOD STEM QUERY`
        columns.extend([("c-ip", words[2]), ("cs-username", words[3])]);
        columns.extend([("s-ip", words[4])]);
        columns.push(("cs-uri-query", words.get(at + 2)?));
        at + 3
    } else {
        // `[SITE] [COMPUTER] S-IP METHOD STEM QUERY S-PORT USER C-IP`
        text::address(words.get(at + 5)?)?;
        words.get(at + 3)?.parse::<u16>().ok()?;
        columns.extend([("cs-uri-query", words[at + 2]), ("s-port", words[at + 3])]);
        columns.extend([("cs-username", words[at + 4]), ("c-ip", words[at + 5])]);
        if text::address(words[at - 1]).is_some() {
            columns.push(("s-ip", words[at - 1]));
        }
        if let Some(name) =
            words[2..at].iter().find(|word| !is_site(word) && text::address(word).is_none())
        {
            columns.push(("s-computername", name));
        }
        at + 6
    };
    texts_and_codes(&words[behind..], &mut columns)?;
    Some(columns)
}

fn is_site(word: &str) -> bool {
    ["W3SVC", "FTPSVC", "MSFTPSVC", "SMTPSVC"].iter().any(|site| word.starts_with(site))
}

/// `[VERSION] AGENT [COOKIE] [REFERER] [HOST] STATUS SUBSTATUS WIN32 [SC-BYTES CS-BYTES] [TIME-TAKEN]`
fn texts_and_codes<'a>(
    words: &[&'a str],
    columns: &mut Vec<(&'static str, &'a str)>,
) -> Option<()> {
    let is_number = |word: &&str| word.bytes().all(|b| b.is_ascii_digit());
    let status = words.iter().position(|word| {
        word.len() == 3 && word.parse::<u16>().is_ok_and(|code| (100..600).contains(&code))
    })?;
    let (texts, codes) = words.split_at(status);
    let codes: Vec<&str> = codes.iter().copied().take_while(is_number).collect();
    let mut texts = texts;
    if let Some(version) = texts.first().filter(|text| text.starts_with("HTTP/")) {
        columns.push(("cs-version", version));
        texts = &texts[1..];
    }
    let names: &[&str] = match texts {
        [] => &[],
        [_] => &["cs(user-agent)"],
        [_, _] => &["cs(user-agent)", "cs(referer)"],
        [_, second, _] if second.starts_with("http") || *second == "-" => {
            &["cs(user-agent)", "cs(referer)", "cs-host"]
        }
        [_, _, _] => &["cs(user-agent)", "cs(cookie)", "cs(referer)"],
        _ => &["cs(user-agent)", "cs(cookie)", "cs(referer)", "cs-host"],
    };
    columns.extend(names.iter().copied().zip(texts.iter().copied()));
    let names: &[&str] = match codes.len() {
        0..=2 => &["sc-status", "time-taken"],
        3 => &["sc-status", "sc-substatus", "sc-win32-status"],
        4 => &["sc-status", "sc-substatus", "sc-win32-status", "time-taken"],
        5 => &["sc-status", "sc-substatus", "sc-win32-status", "sc-bytes", "cs-bytes"],
        _ => {
            &["sc-status", "sc-substatus", "sc-win32-status", "sc-bytes", "cs-bytes", "time-taken"]
        }
    };
    columns.extend(names.iter().copied().zip(codes));
    Some(())
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn read(header: Option<&str>, line: &str) -> (String, Activity) {
        let context = Context::at("2026-11-24T16:30:00Z".parse().unwrap(), TimeZone::UTC);
        let parsed = parse(line, &context.with_columns(header.map(Into::into))).unwrap();
        let Body::Activity(activity) = *parsed.body else { panic!() };
        (parsed.time.unwrap().0.to_string(), activity)
    }

    #[test]
    fn lines_of_iis_are_understood_without_their_header() {
        for line in [
            "2026-11-24 09:00:00 10.0.0.5 GET /a id=1 443 - 203.0.113.7 Mozilla/5.0+(X) https://b/ 404 0 2 15",
            "2026-11-24 09:00:00 W3SVC1 WEB01 10.0.0.5 GET /a id=1 443 - 203.0.113.7 HTTP/1.1 Mozilla/5.0+(X) c=d https://b/ dvc.example.vn 404 0 2 1200 300 15",
            "2026-11-24 09:00:00 W3SVC1 10.0.0.5 GET /a id=1 443 - 203.0.113.7 Mozilla/5.0+(X) 404 0 2",
            "2026-11-24 09:00:00 203.0.113.7 - 10.0.0.5 443 GET /a id=1 404 Mozilla/5.0+(X)",
        ] {
            let (time, activity) = read(None, line);
            assert_eq!(time, "2026-11-24T09:00:00Z", "{line}");
            assert_eq!(activity.source_address().unwrap().to_string(), "203.0.113.7", "{line}");
            let http = activity.http.unwrap();
            assert_eq!((http.url.as_str(), http.status_code), ("/a?id=1", 404), "{line}");
        }
    }

    #[test]
    fn values_in_quotes_and_a_day_in_the_header_are_understood() {
        let header = "@2026-11-24 time c-ip cs-method cs-uri-stem cs(User-Agent) sc-status";
        let line = "09:00:00 203.0.113.7 GET /a \"Mozilla \"\"x\"\" y\" 200";
        let (time, activity) = read(Some(header), line);
        assert_eq!(time, "2026-11-24T09:00:00Z");
        assert_eq!(activity.http.unwrap().user_agent, "Mozilla \"x\" y");
        let header = "@2026-11-24 time c-ip cs-method cs-uri-stem sc-status";
        let (_, activity) = read(Some(header), "09:00:00 203.0.113.7 [2]PASS - 530");
        assert_eq!((activity.class(), activity.status()), (Class::Authentication, Status::Failure));
    }

    #[test]
    fn what_the_firewall_of_windows_drops_is_told_in_the_hosts_own_time() {
        let header = "date time action protocol src-ip dst-ip src-port dst-port size tcpflags tcpsyn tcpack tcpwin icmptype icmpcode info path";
        let line =
            "2026-11-24 16:00:00 DROP TCP 203.0.113.7 10.0.0.5 51022 3389 0 - 0 0 0 - - - RECEIVE";
        let context = Context::at(
            "2026-11-24T16:30:00Z".parse().unwrap(),
            TimeZone::fixed(jiff::tz::offset(7)),
        );
        let parsed = parse(line, &context.with_columns(Some(header.into()))).unwrap();
        assert_eq!(parsed.time.unwrap().0.to_string(), "2026-11-24T09:00:00Z");
        let Body::Activity(activity) = *parsed.body else { panic!() };
        assert_eq!((activity.class(), activity.status()), (Class::Network, Status::Failure));
        assert_eq!(activity.source_address().unwrap().to_string(), "203.0.113.7");
        assert_eq!((activity.src_port, activity.dst_port), (51022, 3389));
    }

    #[test]
    fn a_user_of_ftp_is_told_before_the_password() {
        let header =
            "date time c-ip cs-username s-ip s-port cs-method cs-uri-stem sc-status x-session";
        let (_, user) =
            read(Some(header), "2026-11-24 09:00:00 203.0.113.7 - 10.0.0.5 21 USER lan 331 a1");
        assert_eq!((user.user_name.as_str(), user.status()), ("lan", Status::Unknown));
        let (_, pass) =
            read(Some(header), "2026-11-24 09:00:00 203.0.113.7 - 10.0.0.5 21 PASS *** 530 a1");
        assert_eq!((pass.class(), pass.status()), (Class::Authentication, Status::Failure));
        assert_eq!(pass.unmapped["connection"], user.unmapped["connection"]);
    }
}
