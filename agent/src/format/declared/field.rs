//! Where a value of a line goes: the fields that a declared format may name, and the event that is being filled.

use jiff::tz::TimeZone;
use vonggac_wire::{
    Time,
    event::{Activity, Class, HttpRequest, Status, TimeDoubt},
};

use crate::format::{Context, clock, http, text, zone};

macro_rules! fields {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// A place in an event, by the name that groups and maps use.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(crate) enum Field {
            $($(#[$doc])* $variant,)*
            /// What OCSF has no place for: `x_NAME`.
            Other(String),
        }

        impl Field {
            /// All names, for messages.
            pub(crate) const NAMES: &'static [&'static str] = &[$($name,)*];

            pub(crate) fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$variant),)*
                    _ => name.strip_prefix("x_").map(|name| Self::Other(name.to_owned())),
                }
            }
        }
    };
}

fields! {
    /// When, in any notation that [`clock::any`] reads.
    Time = "time";
    /// The same, of a log whose times without a zone are UTC.
    TimeUtc = "time_utc";
    /// The name of the zone that the time is in, where a log has it apart.
    Zone = "zone";
    /// The host that the line speaks of.
    Device = "host";
    /// On whom.
    User = "user";
    /// By whom.
    Actor = "actor";
    /// An address, perhaps with its port; a name that is no address is kept as such.
    Source = "src";
    SourcePort = "src_port";
    Destination = "dst";
    DestinationPort = "dst_port";
    Service = "service";
    Protocol = "protocol";
    Process = "process";
    Pid = "pid";
    Command = "command";
    File = "file";
    Terminal = "terminal";
    Group = "group";
    Message = "message";
    Detail = "detail";
    /// A word like "ok" or "denied".
    Status = "status";
    Method = "method";
    Url = "url";
    /// What stands behind the `?`, where a log has it apart.
    Query = "query";
    /// `GET /path HTTP/1.1`.
    Request = "request";
    Version = "version";
    Vhost = "vhost";
    Agent = "agent";
    Referrer = "referrer";
    Code = "code";
    Bytes = "bytes";
    Seconds = "seconds";
    Milliseconds = "milliseconds";
    Microseconds = "microseconds";
    Nanoseconds = "nanoseconds";
    Severity = "severity";
    /// How often, where one line stands for many.
    Count = "count";
}

/// An event that is being filled.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) activity: Activity,
    pub(crate) http: HttpRequest,
    pub(crate) time: Option<(Time, TimeDoubt)>,
    pub(crate) device: String,
    /// The zone of its time, where the line names it apart.
    pub(crate) zone: Option<TimeZone>,
}

/// What stands for "nothing" in logs.
pub(crate) fn is_nothing(value: &str) -> bool {
    matches!(
        value,
        "" | "-" | "--" | "?" | "(null)" | "null" | "N/A" | "n/a" | "(none)" | "<none>" | "none"
    )
}

impl Draft {
    /// Puts a value in its place; what is nothing, or does not fit, is left out.
    pub(crate) fn put(&mut self, field: &Field, value: &str, context: &Context) {
        let value = value.trim();
        if is_nothing(value) {
            return;
        }
        let activity = &mut self.activity;
        let own = || value.to_owned();
        match field {
            Field::Time => {
                let value = &*usual_time(value);
                let own = self.zone.clone();
                let found = match own {
                    Some(zone) => in_zone(value, zone, context),
                    None => clock::any(value, context).map(|(time, _)| time),
                };
                self.time = found.or(self.time);
            }
            Field::TimeUtc => {
                self.time = in_zone(&usual_time(value), TimeZone::UTC, context).or(self.time);
            }
            Field::Zone => self.zone = zone::named(value),
            Field::Device => self.device = own(),
            Field::User => activity.user_name = user(value),
            Field::Actor => activity.actor_user_name = user(value),
            Field::Source => match source(value) {
                Some((address, port)) => {
                    activity.set_source_address(address);
                    activity.src_port = port.unwrap_or(activity.src_port);
                }
                None => {
                    activity.unmapped.insert("src_endpoint.hostname".into(), own());
                }
            },
            Field::SourcePort => activity.src_port = value.parse().unwrap_or(0),
            Field::Destination => match text::endpoint(value) {
                Some((address, port)) => {
                    activity.set_destination_address(address);
                    activity.dst_port = port.unwrap_or(activity.dst_port);
                }
                None => activity.dst_hostname = own(),
            },
            Field::DestinationPort => activity.dst_port = value.parse().unwrap_or(0),
            Field::Service => activity.service_name = own(),
            Field::Protocol => activity.auth_protocol = own(),
            Field::Process => activity.process_name = own(),
            Field::Pid => activity.process_pid = value.parse().unwrap_or(0),
            Field::Command => activity.process_cmd_line = own(),
            Field::File => activity.file_path = own(),
            Field::Terminal => activity.session_terminal = own(),
            Field::Group => activity.group_name = own(),
            Field::Message => activity.message = own(),
            Field::Detail => activity.status_detail = own(),
            Field::Status => activity.status_id = status(value).id(),
            Field::Severity => activity.severity_id = severity(value),
            Field::Count => {
                activity.unmapped.insert("repeat_count".into(), own());
            }
            Field::Other(name) => {
                activity.unmapped.insert(name.clone(), own());
            }
            _ => self.put_http(field, value),
        }
    }

    fn put_http(&mut self, field: &Field, value: &str) {
        let http = &mut self.http;
        match field {
            Field::Method => http.http_method = value.to_ascii_uppercase(),
            Field::Url => value.clone_into(&mut http.url),
            Field::Query => {
                http.url.push('?');
                http.url.push_str(value);
            }
            Field::Request => {
                let (method, url, version) = http::split_request(value);
                http.http_method = method.to_owned();
                url.clone_into(&mut http.url);
                http.version = version.to_owned();
            }
            Field::Version => http.version = value.to_owned(),
            Field::Vhost => http.hostname = http::without_port(value).to_owned(),
            Field::Agent => http.user_agent = value.to_owned(),
            Field::Referrer => value.clone_into(&mut http.referrer),
            Field::Code => http.status_code = value.parse().unwrap_or(0),
            Field::Bytes => http.response_bytes = value.parse().unwrap_or(0),
            Field::Seconds => http.duration_seconds = value.trim_end_matches('s').parse().ok(),
            Field::Milliseconds => {
                http.duration_seconds = duration(value.trim_end_matches("ms"), 1e3);
            }
            Field::Microseconds => http.duration_seconds = duration(value, 1e6),
            Field::Nanoseconds => http.duration_seconds = duration(value, 1e9),
            _ => {}
        }
    }

    /// What is in this place.
    pub(crate) fn get(&self, field: &Field) -> String {
        let activity = &self.activity;
        let number = |number: u32| if number == 0 { String::new() } else { number.to_string() };
        let http = activity.http.as_ref().unwrap_or(&self.http);
        match field {
            Field::Time | Field::TimeUtc => {
                self.time.map(|(time, _)| time.to_string()).unwrap_or_default()
            }
            Field::Zone => String::new(),
            Field::Device => self.device.clone(),
            Field::User => activity.user_name.clone(),
            Field::Actor => activity.actor_user_name.clone(),
            Field::Source => activity.source_address().map_or_else(
                || activity.unmapped.get("src_endpoint.hostname").cloned().unwrap_or_default(),
                |address| address.to_string(),
            ),
            Field::SourcePort => number(activity.src_port),
            Field::Destination => activity
                .destination_address()
                .map_or_else(|| activity.dst_hostname.clone(), |address| address.to_string()),
            Field::DestinationPort => number(activity.dst_port),
            Field::Service => activity.service_name.clone(),
            Field::Protocol => activity.auth_protocol.clone(),
            Field::Process => activity.process_name.clone(),
            Field::Pid => number(activity.process_pid),
            Field::Command => activity.process_cmd_line.clone(),
            Field::File => activity.file_path.clone(),
            Field::Terminal => activity.session_terminal.clone(),
            Field::Group => activity.group_name.clone(),
            Field::Message => activity.message.clone(),
            Field::Detail => activity.status_detail.clone(),
            Field::Status => activity.status().name().to_owned(),
            Field::Severity => number(activity.severity_id),
            Field::Count => activity.unmapped.get("repeat_count").cloned().unwrap_or_default(),
            Field::Method => http.http_method.clone(),
            Field::Url => http.url.clone(),
            Field::Query => {
                http.url.split_once('?').map_or(String::new(), |(_, query)| query.to_owned())
            }
            Field::Request => format!("{} {} {}", http.http_method, http.url, http.version),
            Field::Version => http.version.clone(),
            Field::Vhost => http.hostname.clone(),
            Field::Agent => http.user_agent.clone(),
            Field::Referrer => http.referrer.clone(),
            Field::Code => number(http.status_code),
            Field::Bytes => http.response_bytes.to_string(),
            Field::Seconds | Field::Milliseconds | Field::Microseconds | Field::Nanoseconds => {
                http.duration_seconds.map(|seconds| seconds.to_string()).unwrap_or_default()
            }
            Field::Other(name) => activity.unmapped.get(name).cloned().unwrap_or_default(),
        }
    }

    /// Whether a request stands in it.
    pub(crate) fn has_request(&self) -> bool {
        !self.http.http_method.is_empty() || !self.http.url.is_empty()
    }

    /// Takes from a guess what is not known better.
    pub(crate) fn complete(&mut self, guess: Activity) {
        let activity = &mut self.activity;
        if activity.src_ip.is_empty() {
            (activity.src_ip, activity.src_port) = (guess.src_ip, guess.src_port);
        }
        if activity.user_name.is_empty() {
            activity.user_name = guess.user_name;
        }
        if activity.status_id == 0 {
            activity.status_id = guess.status_id;
        }
        if activity.class_uid == 0 {
            activity.class_uid = guess.class_uid;
            activity.activity_id = guess.activity_id;
        }
        if let Some(http) = guess.http.filter(|_| !self.has_request()) {
            self.http = http;
        }
    }

    /// Takes from a guess at an application's words the log-in that they tell of; whence it came is known from who wrote the line.
    pub(crate) fn retell(&mut self, guess: Activity) {
        if guess.class() == Class::Authentication {
            self.activity.class_uid = guess.class_uid;
            self.activity.activity_id = guess.activity_id;
            self.activity.status_id = guess.status_id;
        }
        self.complete(guess);
    }

    /// Completes what follows from the rest: the class of a request, its activity and outcome.
    pub(crate) fn finish(&mut self) {
        let has_request = self.has_request();
        let activity = &mut self.activity;
        if activity.class_uid == 0 && has_request {
            activity.class_uid = Class::Http.uid();
        }
        if activity.severity_id == 0 {
            activity.severity_id = if activity.status() == Status::Failure { 2 } else { 1 };
        }
        // An agent is worth keeping even where no request is told.
        if has_request || !self.http.user_agent.is_empty() || !self.http.referrer.is_empty() {
            let http = std::mem::take(&mut self.http);
            if activity.class() == Class::Http {
                activity.activity_id = http::method_activity(&http.http_method);
                if activity.status() == Status::Unknown {
                    activity.status_id = http::outcome(http.status_code).id();
                }
            }
            activity.http = Some(http);
        }
        if !has_request && self.http.response_bytes > 0 {
            let bytes = self.http.response_bytes.to_string();
            activity.unmapped.insert("traffic.bytes".into(), bytes);
        }
        if activity.activity_id == 0 {
            activity.activity_id = match activity.class() {
                Class::Base => 0,
                Class::Authentication | Class::AuthorizeSession => 1,
                Class::Network => 6,
                _ => 99,
            };
        }
    }
}

/// A client's address. Of a list that proxies have lengthened only the last was written by one that this host knows; what stands
/// before it is what a client says of itself.
fn source(value: &str) -> Option<(std::net::IpAddr, Option<u32>)> {
    text::endpoint(value.rsplit(',').next().unwrap_or(value))
}

/// Notations of one program family each, in one that [`clock::any`] reads: `2026/11/24 - 16:00:00` of Gin, `1124 16:00:00.123456` of
/// glog.
fn usual_time(value: &str) -> std::borrow::Cow<'_, str> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if let Some((date, clock)) = value.split_once(" - ").filter(|(date, _)| date.len() == 10) {
        return format!("{date} {clock}").into();
    }
    if value.contains('\t') {
        return value.replace('\t', " ").into();
    }
    // `11/24/2026-16:00:00.123456` of Suricata.
    if value.get(2..3) == Some("/") && value.get(10..11) == Some("-") {
        return format!(
            "{} {}",
            value.get(..10).unwrap_or_default(),
            value.get(11..).unwrap_or_default()
        )
        .into();
    }
    // `2026:11:24-16:00:00` of DirectAdmin.
    if value.len() == 19 && value.get(4..5) == Some(":") && value.get(10..11) == Some("-") {
        let date = value.get(..10).unwrap_or_default().replace(':', "-");
        return format!("{date} {}", value.get(11..).unwrap_or_default()).into();
    }
    match (value.get(..4), value.get(4..5)) {
        (Some(day), Some(" ")) if digits(day) => {
            format!("{}-{}{}", &day[..2], &day[2..], &value[4..]).into()
        }
        _ => value.into(),
    }
}

/// A time of a zone that is known: nothing is in doubt.
fn in_zone(value: &str, zone: TimeZone, context: &Context) -> Option<(Time, TimeDoubt)> {
    let context = Context { zone, ..context.clone() };
    let ((time, doubt), _) = clock::any(value, &context)?;
    Some((time, if doubt == TimeDoubt::Zone { TimeDoubt::None } else { doubt }))
}

fn duration(value: &str, parts_of_a_second: f64) -> Option<f64> {
    value.parse().ok().map(|number: f64| number / parts_of_a_second)
}

/// A user's name without the quotes or brackets that some writers put around it.
fn user(value: &str) -> String {
    let mut name = value.trim();
    for (open, close) in [('"', '"'), ('\'', '\''), ('`', '\''), ('<', '>'), ('[', ']'), ('(', ')')]
    {
        let inner = name.strip_prefix(open).and_then(|inner| inner.strip_suffix(close));
        name = inner.filter(|inner| !inner.is_empty()).unwrap_or(name);
    }
    name.trim_start_matches('`').trim().to_owned()
}

/// An outcome by the word that a log uses for it.
pub(crate) fn status(word: &str) -> Status {
    let word = word.to_ascii_lowercase();
    const GOOD: [&str; 15] = [
        "succe",
        "ok",
        "accept",
        "allow",
        "pass",
        "grant",
        "permit",
        "true",
        "yes",
        "open",
        "login",
        "authenticated",
        "logged",
        "complete",
        "audit success",
    ];
    const BAD: [&str; 18] = [
        "fail",
        "den",
        "refus",
        "reject",
        "block",
        "drop",
        "error",
        "invalid",
        "false",
        "no",
        "bad",
        "unauth",
        "forbid",
        "unknown",
        "incorrect",
        "wrong",
        "audit failure",
        "clear_error",
    ];
    if BAD.iter().any(|bad| word.starts_with(bad)) {
        Status::Failure
    } else if GOOD.iter().any(|good| word.starts_with(good)) {
        Status::Success
    } else {
        Status::Unknown
    }
}

/// OCSF's severity by syslog's number or word.
pub(crate) fn severity(word: &str) -> u32 {
    match word.trim_matches(['<', '>', '[', ']', ':']).to_ascii_lowercase().as_str() {
        "emerg" | "emergency" | "alert" | "crit" | "critical" | "fatal" | "ftl" | "panic" | "c"
        | "f" => 5,
        "err" | "error" | "eror" | "severe" | "high" | "e" => 3,
        "warn" | "warning" | "wrn" | "medium" | "w" => 2,
        _ => 1,
    }
}
