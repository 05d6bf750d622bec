//! Records of the Linux audit daemon: `type=USER_LOGIN msg=audit(1764000000.123:456): pid=1 ... msg='op=login acct="lan" ...'`.
//!
//! One line is one record; records of one event share the serial number, which is kept as `audit.serial`. Values that audit writes as
//! hexadecimal digits (because they hold blanks or quotes) are read back.

use vonggac_wire::{
    Time,
    event::{Activity, Class, Status, TimeDoubt},
};

use super::{Context, Parsed, text};

/// Fields whose value may be hexadecimal digits for a text.
const HEXADECIMAL: [&str; 14] = [
    "acct",
    "cmd",
    "comm",
    "exe",
    "proctitle",
    "name",
    "cwd",
    "key",
    "data",
    "path",
    "dir",
    "grp",
    "new_group",
    "file",
];

/// Fields of a record: more than any has.
const FIELDS_MAX: usize = 128;

pub(super) fn parse(line: &str, _: &Context) -> Option<Parsed> {
    read(line)
}

/// One record.
pub(super) fn read(line: &str) -> Option<Parsed> {
    let (node, rest) = match line.strip_prefix("node=") {
        Some(rest) => rest.split_once(' ')?,
        None => ("", line),
    };
    let rest = rest.strip_prefix("type=")?;
    let (kind, rest) = rest.split_once(" msg=audit(")?;
    let (stamp, rest) = rest.split_once("):")?;
    record(kind, stamp, rest.trim_start(), node)
}

/// What stands behind `audit:` in the kernel's own log: `type=1400 audit(1764000000.123:456): ...`.
pub(super) fn kernel(message: &str) -> Option<Parsed> {
    let rest = message.strip_prefix("audit: ").unwrap_or(message).strip_prefix("type=")?;
    let (kind, rest) = rest.split_once(" audit(")?;
    let (stamp, rest) = rest.split_once("):")?;
    record(name(kind), stamp, rest.trim_start(), "")
}

/// Numbers of types that the kernel writes without their names (include/uapi/linux/audit.h).
fn name(kind: &str) -> &str {
    match kind {
        "1100" => "USER_AUTH",
        "1101" => "USER_ACCT",
        "1105" => "USER_START",
        "1106" => "USER_END",
        "1112" => "USER_LOGIN",
        "1130" => "SERVICE_START",
        "1131" => "SERVICE_STOP",
        "1300" => "SYSCALL",
        "1302" => "PATH",
        "1305" => "CONFIG_CHANGE",
        "1309" => "EXECVE",
        "1325" => "NETFILTER_CFG",
        "1326" => "SECCOMP",
        "1327" => "PROCTITLE",
        "1400" => "AVC",
        other => other,
    }
}

fn record(kind: &str, stamp: &str, rest: &str, node: &str) -> Option<Parsed> {
    let (time, serial) = stamp.rsplit_once(':')?;
    let fields = fields(rest);
    let get = |key: &str| {
        let found = fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        found.filter(|value| {
            !matches!(*value, "" | "?" | "(null)" | "(none)" | "unset" | "4294967295")
        })
    };
    let outcome = match get("res").or_else(|| get("success")).or_else(|| get("result")) {
        Some("success" | "yes" | "1") => Status::Success,
        Some("failed" | "failure" | "no" | "0") => Status::Failure,
        _ => Status::Unknown,
    };
    let (class, activity_id) = class(kind, get("op"));
    let mut activity = Activity::of(class, activity_id, outcome);
    activity.severity_id = if outcome == Status::Failure { 2 } else { 1 };
    activity.message = rest.to_owned();
    activity.service_name = service(get("exe"), get("unit"));
    let own = |value: Option<&str>| value.unwrap_or_default().to_owned();
    activity.user_name = own(get("acct").or_else(|| get("UID")).or_else(|| get("uid")));
    activity.actor_user_name = own(get("AUID").or_else(|| get("auid")));
    if let Some(address) = get("addr").or_else(|| get("hostname")).and_then(text::address) {
        activity.set_source_address(address);
    }
    activity.session_terminal = own(get("terminal").or_else(|| get("tty")));
    activity.process_name = own(get("exe").or_else(|| get("comm")));
    activity.process_pid = get("pid").and_then(|pid| pid.parse().ok()).unwrap_or(0);
    activity.file_path = own(get("name").or_else(|| get("path")));
    activity.group_name = own(get("grp"));
    activity.process_cmd_line = match kind {
        "EXECVE" => arguments(&fields),
        _ => own(get("cmd").or_else(|| get("proctitle"))),
    };
    for (key, value) in fields {
        activity.unmapped.entry(key).or_insert(value);
    }
    activity.unmapped.insert("audit.type".into(), kind.to_owned());
    activity.unmapped.insert("audit.serial".into(), serial.to_owned());
    let mut parsed = Parsed::activity("auditd", activity);
    parsed.time = seconds(time).map(|time| (time, TimeDoubt::None));
    parsed.device = node.to_owned();
    Some(parsed)
}

fn seconds(text: &str) -> Option<Time> {
    let (whole, millis) = text.split_once('.').unwrap_or((text, "0"));
    let nanos: i64 = format!("{millis:0<9}").get(..9)?.parse().ok()?;
    Some(Time(whole.parse::<i64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos)?))
}

/// What a type of record speaks of.
fn class(kind: &str, op: Option<&str>) -> (Class, u32) {
    match kind {
        // The log-in that counts; USER_AUTH and USER_ACCT are steps of it.
        "USER_LOGIN" => (Class::Authentication, 1),
        "USER_AUTH" | "USER_ACCT" | "CRED_ACQ" | "CRED_REFR" | "USER_ERR" | "GRP_AUTH" => {
            (Class::Authentication, 99)
        }
        "USER_LOGOUT" | "USER_END" | "CRED_DISP" => (Class::Authentication, 2),
        "USER_START" | "USER_CMD" | "USER_ROLE_CHANGE" => (Class::AuthorizeSession, 1),
        "ADD_USER" => (Class::AccountChange, 1),
        "DEL_USER" => (Class::AccountChange, 6),
        "USER_CHAUTHTOK" => (Class::AccountChange, 3),
        "ACCT_LOCK" => (Class::AccountChange, 9),
        "USER_MGMT" | "ACCT_UNLOCK" => match op {
            Some(op) if op.contains("group") => (Class::GroupManagement, 99),
            _ => (Class::AccountChange, 99),
        },
        "ADD_GROUP" => (Class::GroupManagement, 5),
        "DEL_GROUP" => (Class::GroupManagement, 6),
        "GRP_MGMT" | "GRP_CHAUTHTOK" => (Class::GroupManagement, 99),
        "SERVICE_START" => (Class::ApplicationLifecycle, 3),
        "SERVICE_STOP" => (Class::ApplicationLifecycle, 4),
        "EXECVE" | "SYSCALL" | "PROCTITLE" | "BPRM_FCAPS" | "SECCOMP" | "ANOM_ABEND" => {
            (Class::Process, 1)
        }
        "PATH" | "CWD" => (Class::FileSystem, 99),
        "KERN_MODULE" => (Class::Kernel, 1),
        "CONFIG_CHANGE" | "DAEMON_START" | "DAEMON_END" | "DAEMON_ABORT" | "DAEMON_CONFIG"
        | "AUDIT_STATUS" => (Class::EventLog, 99),
        "SOCKADDR" | "NETFILTER_PKT" | "NETFILTER_CFG" | "CRYPTO_SESSION" | "CRYPTO_KEY_USER" => {
            (Class::Network, 99)
        }
        "SOFTWARE_UPDATE" => (Class::SoftwareInventory, 3),
        _ => (Class::Base, 0),
    }
}

/// The program's short name, or the unit's.
fn service(exe: Option<&str>, unit: Option<&str>) -> String {
    let name = exe.and_then(|exe| exe.rsplit('/').next()).or(unit).unwrap_or_default();
    if name == "sshd-session" { "sshd".into() } else { name.to_owned() }
}

/// `a0="ls" a1="-l"` as one command.
fn arguments(fields: &[(String, String)]) -> String {
    let mut all = Vec::new();
    for number in 0..FIELDS_MAX {
        let key = format!("a{number}");
        match fields.iter().find(|(name, _)| *name == key) {
            Some((_, value)) => all.push(unhex(value).unwrap_or_else(|| value.clone())),
            None => break,
        }
    }
    all.join(" ")
}

/// `key=value`, `key="value"`, and those within `msg='...'`. What stands behind the group separator are the same values enriched.
fn fields(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('=') {
        if found.len() >= FIELDS_MAX {
            break;
        }
        let key_at = rest[..at].rfind([' ', '\'', '\u{1d}', ',', '{']).map_or(0, |place| place + 1);
        let key = rest[key_at..at].trim();
        let after = &rest[at + 1..];
        if key == "msg" && after.starts_with('\'') {
            rest = &after[1..];
            continue;
        }
        let (value, next, quoted) = match after.strip_prefix('"') {
            Some(inner) => {
                let end = inner.find('"').unwrap_or(inner.len());
                (&inner[..end], inner.get(end + 1..).unwrap_or(""), true)
            }
            None => {
                let end = after.find([' ', '\'', '\u{1d}', ',', '}']).unwrap_or(after.len());
                (&after[..end], &after[end..], false)
            }
        };
        if !key.is_empty() {
            let bare = HEXADECIMAL.contains(&key) && !quoted;
            let value = if bare { unhex(value) } else { None }.unwrap_or_else(|| value.to_owned());
            found.push((key.to_owned(), value));
        }
        rest = next;
    }
    found
}

/// A text that was written as hexadecimal digits; NUL between arguments becomes a blank.
fn unhex(digits: &str) -> Option<String> {
    if digits.len() < 2
        || !digits.len().is_multiple_of(2)
        || !digits.bytes().all(|b| b.is_ascii_hexdigit() && !b.is_ascii_lowercase())
    {
        return None;
    }
    let bytes: Option<Vec<u8>> = (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok())
        .collect();
    let bytes: Vec<u8> =
        bytes?.into_iter().map(|byte| if byte == 0 { b' ' } else { byte }).collect();
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> (Parsed, Activity) {
        let context = Context::at(Time::from_seconds(1_764_000_000), jiff::tz::TimeZone::UTC);
        let parsed = parse(line, &context).unwrap();
        let vonggac_wire::event::Body::Activity(activity) = parsed.body.clone() else {
            panic!("an activity")
        };
        (parsed, activity)
    }

    #[test]
    fn a_refused_log_in_has_its_user_address_and_time() {
        let (parsed, activity) = read(
            "node=web-1 type=USER_LOGIN msg=audit(1764000000.123:456): pid=812 uid=0 auid=4294967295 ses=4294967295 msg='op=login acct=\"lan\" exe=\"/usr/sbin/sshd\" hostname=? addr=203.0.113.7 terminal=ssh res=failed'",
        );
        assert_eq!((activity.class(), activity.status()), (Class::Authentication, Status::Failure));
        assert_eq!((activity.user_name.as_str(), activity.service_name.as_str()), ("lan", "sshd"));
        assert_eq!(activity.source_address().unwrap().to_string(), "203.0.113.7");
        assert_eq!(parsed.time.unwrap().0, Time(1_764_000_000_123_000_000));
        assert_eq!((parsed.device.as_str(), activity.actor_user_name.as_str()), ("web-1", ""));
    }

    #[test]
    fn commands_in_hexadecimal_are_read() {
        let (_, activity) = read(
            "type=USER_CMD msg=audit(1764000000.1:7): pid=1 uid=1000 auid=1000 ses=2 msg='cwd=\"/home/lan\" cmd=636174202F6574632F736861646F77 exe=\"/usr/bin/sudo\" terminal=pts/0 res=success'",
        );
        assert_eq!(activity.process_cmd_line, "cat /etc/shadow");
        let (_, activity) =
            read("type=EXECVE msg=audit(1764000000.1:8): argc=3 a0=\"sh\" a1=\"-c\" a2=6C73202D6C");
        assert_eq!(activity.process_cmd_line, "sh -c ls -l");
    }

    proptest::proptest! {
        #[test]
        fn no_record_makes_it_panic(text in ".*") {
            let _fields = fields(&text);
            let _parsed = record("SYSCALL", &text, &text, "");
        }
    }
}
