//! Which program a syslog message is of. A program's format is one file and one row here.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use vonggac_wire::event::{Activity, Class, Status};

use super::{Parsed, audit, sshd, sudo, text};

type ParseMessage = fn(&str, u32, &str) -> Option<Parsed>;

/// Programs by the name in the tag.
const PROGRAMS: &[(&str, &str, ParseMessage)] = &[
    ("sshd", "OpenSSH: log-ins, refusals, scans", sshd::parse),
    ("sshd-session", "OpenSSH 9.8 and later", sshd::parse),
    ("sshd-auth", "OpenSSH 10 and later", sshd::parse),
    ("sudo", "privilege by sudo", sudo::sudo),
    ("su", "another user by su", sudo::su),
    ("systemd-logind", "sessions", logind),
    ("CRON", "scheduled jobs", cron),
    ("useradd", "accounts", account),
    ("userdel", "accounts", account),
    ("usermod", "accounts", account),
    ("passwd", "accounts", account),
    ("groupadd", "groups", account),
];

pub(super) fn list() -> impl Iterator<Item = (&'static str, &'static str)> {
    PROGRAMS.iter().map(|(name, about, _)| (*name, *about))
}

pub(super) fn parse(program: &str, pid: u32, message: &str) -> Option<Parsed> {
    // `/usr/sbin/sshd`, and `sshd(pam_unix)` of an older PAM, whose module stands in the tag.
    let program = match program.strip_prefix('/') {
        Some(path) => path.rsplit('/').next().unwrap_or(path),
        None => program,
    };
    if let Some((name, _)) = program.split_once("(pam_") {
        return told_by_pam(name, name, message, pid, message);
    }
    if matches!(program, "kernel" | "audit" | "auditd" | "audispd" | "audisp-syslog") {
        let record = message
            .contains("audit(")
            .then(|| audit::kernel(message).or_else(|| audit::read(message)))
            .flatten()
            .or_else(|| (program == "audit").then(|| audit::journal(message)).flatten());
        if record.is_some() {
            return record;
        }
    }
    if let Some(parsed) = pam(program, pid, message) {
        return Some(parsed);
    }
    let (.., parse) = PROGRAMS
        .iter()
        .find(|(name, ..)| *name == program)
        .or_else(|| PROGRAMS.iter().find(|(name, ..)| name.eq_ignore_ascii_case(program)))?;
    parse(program, pid, message)
}

/// An activity of a program.
pub(super) fn of(
    class: Class,
    activity: u32,
    status: Status,
    program: &str,
    pid: u32,
    message: &str,
) -> Activity {
    let mut made = Activity::of(class, activity, status);
    made.severity_id = if status == Status::Failure { 2 } else { 1 };
    made.service_name = program.to_owned();
    made.process_name = program.to_owned();
    made.process_pid = pid;
    made.message = message.to_owned();
    made
}

/// `pam_unix(sshd:auth): authentication failure; logname= uid=0 ... rhost=203.0.113.7  user=root` of any program.
fn pam(program: &str, pid: u32, message: &str) -> Option<Parsed> {
    let (service, rest) = pam_stack(program, message)?;
    told_by_pam(program, service, rest, pid, message)
}

/// What PAM says of a service.
fn told_by_pam(
    program: &str,
    service: &str,
    rest: &str,
    pid: u32,
    message: &str,
) -> Option<Parsed> {
    let privilege = matches!(service, "sudo" | "su" | "su-l" | "polkit-1" | "runuser");
    let class = if privilege { Class::AuthorizeSession } else { Class::Authentication };
    let (status, activity_id, detail) = if rest.starts_with("authentication failure") {
        (Status::Failure, 1, "wrong-password")
    } else if rest.starts_with("check pass; user unknown") {
        (Status::Failure, 1, "invalid-user")
    } else if rest.starts_with("authentication success") {
        (Status::Success, 99, "")
    } else if let Some(user) = rest.strip_prefix("password changed for ") {
        let mut made = of(Class::AccountChange, 3, Status::Success, service, pid, message);
        made.process_name = program.to_owned();
        made.user_name = user.trim().to_owned();
        return Some(Parsed::activity("pam", made));
    } else if rest.starts_with("session opened") {
        // Jobs and the user's own service manager open sessions without anybody coming.
        let nobody = matches!(service, "cron" | "crond" | "atd" | "systemd-user" | "anacron");
        (Status::Success, if nobody { 99 } else { 1 }, "session-opened")
    } else if rest.starts_with("auth could not identify password") {
        (Status::Failure, 99, "no-credentials")
    } else if rest.starts_with("Invalid verification code") {
        (Status::Failure, 1, "wrong-code")
    } else if rest.starts_with("Accepted ") {
        (Status::Success, 99, "")
    } else if rest.starts_with("session closed") {
        (Status::Unknown, 2, "session-closed")
    } else if [
        "failed", "failure", "error", "denied", "deny ", "locked", "expired", "Refused", "refused",
    ]
    .iter()
    .any(|word| rest.contains(word))
    {
        (Status::Failure, 1, "refused")
    } else {
        (Status::Unknown, 99, "")
    };
    let mut activity = of(class, activity_id, status, service, pid, message);
    activity.process_name = program.to_owned();
    activity.status_detail = detail.into();
    activity.auth_protocol = "pam".into();
    // sshd tells of the same attempt in a line of its own, which counts.
    if matches!(program, "sshd" | "sshd-session" | "sshd-auth" | "dropbear")
        && activity.activity_id == 1
    {
        activity.activity_id = 99;
    }
    // What a client says stands behind "  user=", and as ruser before the true rhost.
    let ours = rest.split_once("  user=").or_else(|| {
        let host = rest.find("rhost=")?;
        let user = host + rest[host..].find(" user=")?;
        Some((&rest[..user], &rest[user..]))
    });
    let asked = ours.and_then(|(_, user)| user.trim_start().strip_prefix("user=").or(Some(user)));
    let asked = asked.map(|user| user.trim_end_matches(" [preauth]").trim());
    let ours = ours.map_or(rest, |(ours, _)| ours);
    let rhost = ours.rfind("rhost=").and_then(|at| text::value(&ours[at..], "rhost"));
    match rhost.and_then(text::address) {
        Some(address) => activity.set_source_address(address),
        None => {
            if let Some(name) = rhost.filter(|name| !name.is_empty()) {
                activity.unmapped.insert("src_endpoint.hostname".into(), name.to_owned());
            }
        }
    }
    let opened =
        rest.split("for user ").nth(1).map(|rest| rest.split(['(', ' ', ':']).next().unwrap_or(""));
    // `user lan (1000) tally 6, deny 5` of pam_tally2; pam_faillock and pam_succeed_if write alike.
    let tallied = rest.strip_prefix("user ").map(|rest| text::word(rest).0);
    // `account lan has expired`; `access denied for user 'lan' from '203.0.113.7'`, in pam_access's own quotes.
    let account = rest.strip_prefix("account ").map(|rest| text::word(rest).0);
    let listed = rest.split(" user ").nth(1).map(|rest| text::word(rest).0.trim_end_matches(':'));
    // `auth could not identify password for [lan]`, `Invalid verification code for lan`.
    let named = ["identify password for ", "verification code for ", " google_authenticator for "]
        .iter()
        .find_map(|lead| rest.split_once(lead))
        .map(|(_, user)| user);
    if activity.src_ip.is_empty() {
        if let Some((_, from)) = rest.rsplit_once(" from `") {
            if let Some(address) = text::address(from.trim_end_matches('\'')) {
                activity.set_source_address(address);
            }
        }
    }
    let word = text::value(rest, "user").or(tallied).or(opened).or(account).or(named).or(listed);
    let word = word.and_then(|user| user.split_whitespace().next());
    // The last field is the whole name, blanks and all.
    let user = asked.or(word).filter(|_| !rest.ends_with("user unknown")).unwrap_or("");
    user.trim_matches(['[', ']', '`', '\'']).clone_into(&mut activity.user_name);
    if let Some(by) = text::value(rest, "ruser").or_else(|| rest.split(" by ").nth(1)) {
        activity.actor_user_name = by.split(['(', ' ']).next().unwrap_or("").to_owned();
    }
    Some(Parsed::activity("pam", activity))
}

/// What a module of PAM's begins its name with.
static MODULE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("pam_"));

/// The service and what is said of it: `pam_unix(sshd:auth): ...`; `(pam_unix) ...` and `pam_unix: ...` of older ones.
fn pam_stack<'a>(program: &'a str, message: &'a str) -> Option<(&'a str, &'a str)> {
    let start = MODULE.find(message.as_bytes())?;
    // Behind `PAM ` or `error: ` at most: what follows a name is what a client says.
    if start > 16 {
        return None;
    }
    let told = &message[start..];
    let end = told.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    if let Some(rest) = told[end..].strip_prefix('(') {
        let (stack, rest) = rest.split_once("):")?;
        return Some((stack.split(':').next().unwrap_or(program), rest.trim_start()));
    }
    let rest = told[end..].strip_prefix([':', ')'])?.trim_start();
    Some((program, rest.trim_start_matches(':').trim_start()))
}

/// `New session 5 of user lan.`, `Removed session 5.`
fn logind(program: &str, pid: u32, message: &str) -> Option<Parsed> {
    let (activity_id, user) = if let Some(rest) = message.strip_prefix("New session ") {
        let (_, user) = rest.split_once(" of user ")?;
        // `'lan' with class 'user' and type 'tty'.` of newer ones.
        let quoted = user.strip_prefix('\'').and_then(|user| user.split_once("' with class "));
        (1, quoted.map_or(user.trim_end_matches('.').trim_matches('\''), |(user, _)| user))
    } else if message.starts_with("System is ") {
        let activity = of(Class::ApplicationLifecycle, 4, Status::Unknown, program, pid, message);
        return Some(Parsed::activity("systemd-logind", activity));
    } else if message.starts_with("Removed session ") || message.contains("logged out") {
        (2, "")
    } else {
        return None;
    };
    let mut activity =
        of(Class::Authentication, activity_id, Status::Success, program, pid, message);
    activity.user_name = user.to_owned();
    // What sshd or login said of the same log-in counts; this is its echo.
    activity.activity_id = if activity_id == 1 { 99 } else { 2 };
    Some(Parsed::activity("systemd-logind", activity))
}

/// `(root) CMD (command)`.
fn cron(program: &str, pid: u32, message: &str) -> Option<Parsed> {
    let (user, rest) = message.strip_prefix('(')?.split_once(") ")?;
    let command = rest.strip_prefix("CMD (")?.strip_suffix(')').unwrap_or(rest);
    let mut activity = of(Class::ScheduledJob, 6, Status::Unknown, program, pid, message);
    activity.user_name = user.to_owned();
    activity.process_cmd_line = command.to_owned();
    Some(Parsed::activity("cron", activity))
}

/// `new user: name=lan, UID=1000, ...`, `delete user 'lan'`, `password changed for lan`, `add 'lan' to group 'sudo'`.
fn account(program: &str, pid: u32, message: &str) -> Option<Parsed> {
    let quoted = |text: &str| text.split('\'').nth(1).map(str::to_owned);
    let name = |text: &str| text::value(text, "name").map(str::to_owned);
    let (class, activity_id, user) = if message.starts_with("new user:") {
        (Class::AccountChange, 1, name(message)?)
    } else if message.starts_with("new group:") {
        (Class::GroupManagement, 5, name(message)?)
    } else if message.starts_with("delete user") {
        (Class::AccountChange, 6, quoted(message)?)
    } else if message.contains("password changed for ") {
        (Class::AccountChange, 3, message.rsplit(' ').next()?.to_owned())
    } else if message.starts_with("add '") {
        (Class::GroupManagement, 3, quoted(message)?)
    } else {
        return None;
    };
    let mut activity = of(class, activity_id, Status::Success, program, pid, message);
    activity.user_name = user;
    if let Some((_, group)) = message.split_once("group '") {
        activity.group_name = group.trim_end_matches('\'').to_owned();
    } else if message.starts_with("new group:") {
        activity.group_name = std::mem::take(&mut activity.user_name);
    }
    Some(Parsed::activity("account", activity))
}
