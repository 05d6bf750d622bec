//! Privilege: sudo and su.

use vonggac_wire::event::{Class, Status};

use super::{Parsed, program};

/// `lan : TTY=pts/0 ; PWD=/home/lan ; USER=root ; COMMAND=/bin/ls`, with a refusal before `TTY=` where there is one.
pub(super) fn sudo(program: &str, pid: u32, message: &str) -> Option<Parsed> {
    let (actor, rest) = message.trim_start().split_once(" : ")?;
    let field = |name: &str| {
        rest.split(" ; ").find_map(|part| part.trim_start().strip_prefix(name)?.strip_prefix('='))
    };
    let first = rest.split(" ; ").next().unwrap_or("");
    if first.starts_with("(command continued)") {
        let mut activity =
            program::of(Class::AuthorizeSession, 99, Status::Unknown, program, pid, message);
        activity.actor_user_name = actor.trim().to_owned();
        return Some(Parsed::activity("sudo", activity));
    }
    let refused = !first.contains('=');
    let detail = if !refused {
        ""
    } else if first.contains("incorrect password") {
        "wrong-password"
    } else if first.contains("NOT in sudoers") {
        "not-in-sudoers"
    } else if first.contains("not allowed") {
        "not-allowed"
    } else {
        "refused"
    };
    let status = if refused { Status::Failure } else { Status::Success };
    let mut activity = program::of(Class::AuthorizeSession, 1, status, program, pid, message);
    activity.actor_user_name = actor.trim().to_owned();
    activity.user_name = field("USER").unwrap_or("root").to_owned();
    // The command is the last field and may hold the separator itself.
    let command = rest.split_once("COMMAND=").map_or("", |(_, command)| command);
    activity.process_cmd_line = command.to_owned();
    activity.session_terminal = field("TTY").unwrap_or("").to_owned();
    activity.status_detail = detail.into();
    if let Some(count) =
        first.split(' ').next().and_then(|word| word.parse::<u32>().ok()).filter(|_| refused)
    {
        activity.unmapped.insert("repeat_count".into(), count.to_string());
    }
    Some(Parsed::activity("sudo", activity))
}

/// `(to root) lan on pts/0`, `FAILED SU (to root) lan on pts/0`, `+ pts/0 lan:root`, `Successful su for root by lan`.
pub(super) fn su(program: &str, pid: u32, message: &str) -> Option<Parsed> {
    let (status, user, actor, terminal) = if let Some((head, rest)) = message.split_once("(to ") {
        let (user, rest) = rest.split_once(") ")?;
        let (actor, terminal) = rest.split_once(" on ").unwrap_or((rest, ""));
        let failed = head.to_ascii_uppercase().contains("FAILED");
        (if failed { Status::Failure } else { Status::Success }, user, actor, terminal)
    } else if let Some(rest) = message.strip_prefix("+ ").or_else(|| message.strip_prefix("- ")) {
        let (terminal, who) = rest.split_once(' ')?;
        let (actor, user) = who.split_once([':', '-'])?;
        (
            if message.starts_with('+') { Status::Success } else { Status::Failure },
            user,
            actor,
            terminal,
        )
    } else {
        let (head, rest) = message.split_once(" su for ")?;
        let (user, actor) = rest.split_once(" by ")?;
        (if head == "Successful" { Status::Success } else { Status::Failure }, user, actor, "")
    };
    let mut activity = program::of(Class::AuthorizeSession, 1, status, program, pid, message);
    activity.user_name = user.to_owned();
    activity.actor_user_name = actor.to_owned();
    activity.session_terminal = terminal.to_owned();
    if status == Status::Failure {
        activity.status_detail = "wrong-password".into();
    }
    Some(Parsed::activity("su", activity))
}
