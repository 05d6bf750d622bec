//! Records of the Linux audit daemon: `type=USER_LOGIN msg=audit(1764000000.123:456): pid=1 ... msg='op=login acct="lan" ...'`.
//!
//! A line is a record; the records of one event share time and serial number (`audit.serial`), and are read as one where they come
//! together, a record a line, as [`super::join`] puts them.

use vonggac_wire::{
    Time,
    event::{Activity, Status, TimeDoubt},
};

use super::{Context, Parsed, text};
use fields::Fields;

mod event;
mod fields;
pub(super) mod join;
mod names;
#[cfg(test)]
mod tests;

/// Records of one event that are looked at: more than any system call has.
const RECORDS_MAX: usize = 64;

/// A record: what it is, when, and what it says.
struct Record<'a> {
    node: &'a str,
    kind: &'a str,
    stamp: &'a str,
    serial: &'a str,
    text: &'a str,
}

impl<'a> Record<'a> {
    /// `node=web-1 type=SYSCALL msg=audit(1764000000.123:456): arch=...`
    fn of(line: &'a str) -> Option<Self> {
        let (node, rest) = match line.strip_prefix("node=") {
            Some(rest) => rest.split_once(' ')?,
            None => ("", line),
        };
        let (kind, rest) = rest.strip_prefix("type=")?.split_once(" msg=audit(")?;
        Self::stamped(kind, rest, node)
    }

    /// `1764000000.123:456): arch=...`; a record of the daemon itself may leave the colon out.
    fn stamped(kind: &'a str, rest: &'a str, node: &'a str) -> Option<Self> {
        let (stamp, rest) = rest.split_once(')')?;
        let (stamp, serial) = stamp.rsplit_once(':')?;
        let text = rest.strip_prefix(':').unwrap_or(rest).trim_start();
        Some(Self { node, kind: names::kind(kind), stamp, serial, text })
    }
}

/// One record, or the records of one event.
pub(super) fn parse(lines: &str, _: &Context) -> Option<Parsed> {
    read(lines)
}

/// The same, without a context.
pub(super) fn read(lines: &str) -> Option<Parsed> {
    let mut records = lines.split('\n').take(RECORDS_MAX).filter_map(Record::of);
    let first = records.next()?;
    let rest: Vec<Record<'_>> = records.filter(|record| record.serial == first.serial).collect();
    if rest.is_empty() { Some(single(&first)) } else { Some(event::read(first, rest)) }
}

/// What stands behind `audit:` in the kernel's own log: `type=1400 audit(1764000000.123:456): ...`.
pub(super) fn kernel(message: &str) -> Option<Parsed> {
    let start = message.find("type=")?;
    let before = &message[..start];
    // Behind the time since the start, if anything.
    if !before.bytes().all(|b| b.is_ascii_digit() || b" [].:audit".contains(&b)) {
        return None;
    }
    let (kind, rest) = message[start + 5..].split_once(" audit(")?;
    Some(single(&Record::stamped(kind, rest, "")?))
}

/// As the journal tells them: `USER_LOGIN pid=812 uid=0 ... msg='...'`, without time and number.
pub(super) fn journal(message: &str) -> Option<Parsed> {
    let (kind, text) = message.split_once(' ')?;
    let is_kind = kind.len() > 2
        && kind
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b"_[]".contains(&b));
    if !is_kind || !text.contains('=') {
        return None;
    }
    Some(single(&Record { node: "", kind: names::kind(kind), stamp: "", serial: "", text }))
}

/// A record that begins a line, for the joiner: whether it has companions, whether it is the last of them, and what they share.
pub(super) fn part(line: &str) -> Option<(event::Part, String, Option<Time>)> {
    let record = Record::of(line)?;
    let key = format!("{} {}:{}", record.node, record.stamp, record.serial);
    Some((event::Part::of(record.kind), key, seconds(record.stamp)))
}

fn single(record: &Record<'_>) -> Parsed {
    let fields = Fields::of(record.kind, record.text);
    let mut activity = activity(record, &fields);
    for (key, value) in fields.into_all() {
        activity.unmapped.entry(key).or_insert(value);
    }
    dressed(record, activity)
}

/// With what all records have.
fn dressed(record: &Record<'_>, mut activity: Activity) -> Parsed {
    activity.unmapped.insert("audit.type".into(), record.kind.to_owned());
    if !record.serial.is_empty() {
        activity.unmapped.insert("audit.serial".into(), record.serial.to_owned());
    }
    let mut parsed = Parsed::activity("auditd", activity);
    parsed.time = seconds(record.stamp).map(|time| (time, TimeDoubt::None));
    parsed.device = record.node.to_owned();
    parsed
}

/// What a record says.
fn activity(record: &Record<'_>, fields: &Fields) -> Activity {
    let get = |key: &str| fields.get(key);
    let kind = record.kind;
    let outcome = match get("result") {
        Some("success") => Status::Success,
        Some("fail") => Status::Failure,
        _ => match get("seresult").or_else(|| get("apparmor")) {
            Some("denied" | "DENIED") => Status::Failure,
            Some("granted" | "ALLOWED" | "AUDIT") => Status::Success,
            _ => Status::Unknown,
        },
    };
    let (class, activity_id) = event::class(kind, fields);
    let mut activity = Activity::of(class, activity_id, outcome);
    activity.severity_id = if outcome == Status::Failure { 2 } else { 1 };
    activity.message = record.text.to_owned();
    activity.service_name = service(get("exe"), get("unit"));
    let own = |value: Option<&str>| value.unwrap_or_default().to_owned();
    // `id` is the account's number where its name is not told.
    let user = get("acct").or_else(|| get("ID")).or_else(|| get("UID"));
    let user =
        user.or_else(|| get("id").filter(|_| kind.starts_with("USER_"))).or_else(|| get("uid"));
    activity.user_name = own(user.filter(|name| *name != "(unknown)"));
    activity.actor_user_name = own(get("AUID").or_else(|| get("auid")));
    if get("acct")
        .is_some_and(|name| matches!(name, "(invalid user)" | "(unknown user)" | "(unknown)"))
    {
        activity.status_detail = "invalid-user".into();
    }
    let address = get("addr").and_then(text::address);
    if kind == "SOCKADDR" {
        if let Some(address) = address {
            activity.set_destination_address(address);
            activity.dst_port = get("port").and_then(|port| port.parse().ok()).unwrap_or(0);
        }
    } else {
        let host = get("hostname");
        match address.or_else(|| host.and_then(text::address)) {
            Some(address) => activity.set_source_address(address),
            None => {
                if let Some(name) = host {
                    activity.unmapped.insert("src_endpoint.hostname".into(), name.to_owned());
                }
            }
        }
        activity.src_port = get("rport").and_then(|port| port.parse().ok()).unwrap_or(0);
        if let Some(address) = get("laddr").and_then(text::address) {
            activity.set_destination_address(address);
            activity.dst_port = get("lport").and_then(|port| port.parse().ok()).unwrap_or(0);
        }
    }
    activity.session_terminal = own(get("terminal").or_else(|| get("tty")));
    activity.process_name = own(get("exe").or_else(|| get("comm")));
    activity.process_pid = get("pid").and_then(|pid| pid.parse().ok()).unwrap_or(0);
    activity.file_path = own(get("name").or_else(|| get("path")));
    activity.group_name = own(get("grp"));
    activity.process_cmd_line = match kind {
        "EXECVE" => fields.arguments(),
        _ => own(get("cmd").or_else(|| get("proctitle")).or_else(|| get("data"))),
    };
    activity
}

fn seconds(text: &str) -> Option<Time> {
    let (whole, millis) = text.split_once('.').unwrap_or((text, "0"));
    let nanos: i64 = format!("{millis:0<9}").get(..9)?.parse().ok()?;
    Some(Time(whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)?))
}

/// The program's short name, or the unit's.
fn service(exe: Option<&str>, unit: Option<&str>) -> String {
    let name = unit.or_else(|| exe?.rsplit('/').next()).unwrap_or_default();
    if name == "sshd-session" { "sshd".into() } else { name.to_owned() }
}
