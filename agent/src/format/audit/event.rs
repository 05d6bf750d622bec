//! What a record speaks of, and the records of one event as one.

use vonggac_wire::event::{Class, Status};

use super::{Fields, Parsed, Record, activity, dressed};
use crate::format::text;

/// Paths of one event whose fields are kept: a rename has four or five.
const PATHS_MAX: usize = 5;

/// Arguments of a command that are kept one by one; the command line has all of them.
const ARGUMENTS_MAX: usize = 16;

/// What a record is to its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) enum Part {
    /// An event of its own.
    Whole,
    /// Others of the same event may follow.
    Piece,
    /// The last of its event.
    Last,
}

impl Part {
    /// Programs send one record; the kernel sends several, and ends them with the process' title or with an end of event.
    pub(super) fn of(kind: &str) -> Self {
        match kind {
            "SYSCALL" | "PATH" | "CWD" | "EXECVE" | "SOCKADDR" | "SOCKETCALL" | "IPC"
            | "IPC_SET_PERM" | "MQ_OPEN" | "MQ_SENDRECV" | "MQ_NOTIFY" | "MQ_GETSETATTR"
            | "FD_PAIR" | "OBJ_PID" | "BPRM_FCAPS" | "CAPSET" | "MMAP" | "NETFILTER_CFG"
            | "AVC" | "AVC_PATH" | "SELINUX_ERR" | "KERN_MODULE" | "OPENAT2" | "BPF"
            | "TIME_INJOFFSET" | "CONFIG_CHANGE" | "MAC_STATUS" | "MAC_POLICY_LOAD"
            | "INTEGRITY_DATA" | "FANOTIFY" | "URINGOP" => Self::Piece,
            "PROCTITLE" | "EOE" => Self::Last,
            _ => Self::Whole,
        }
    }
}

/// What a type of record speaks of, alone.
pub(super) fn class(kind: &str, fields: &Fields) -> (Class, u32) {
    match kind {
        // The log-in that counts; USER_AUTH and USER_ACCT are steps of it.
        "USER_LOGIN" => (Class::Authentication, 1),
        "USER_AUTH"
        | "USER_ACCT"
        | "CRED_ACQ"
        | "CRED_REFR"
        | "USER_ERR"
        | "GRP_AUTH"
        | "LOGIN"
        | "ANOM_LOGIN_FAILURES"
        | "ANOM_LOGIN_TIME"
        | "ANOM_LOGIN_SESSIONS"
        | "ANOM_LOGIN_LOCATION" => (Class::Authentication, 99),
        "USER_LOGOUT" | "USER_END" | "CRED_DISP" => (Class::Authentication, 2),
        "USER_START" | "USER_CMD" | "USER_ROLE_CHANGE" => (Class::AuthorizeSession, 1),
        "ADD_USER" => (Class::AccountChange, 1),
        "DEL_USER" => (Class::AccountChange, 6),
        "USER_CHAUTHTOK" => (Class::AccountChange, 3),
        "ACCT_LOCK" | "RESP_ACCT_LOCK" => (Class::AccountChange, 9),
        "USER_MGMT" | "ACCT_UNLOCK" | "CHUSER_ID" => match fields.get("op") {
            Some(op) if op.contains("group") => (Class::GroupManagement, 99),
            _ => (Class::AccountChange, 99),
        },
        "ADD_GROUP" => (Class::GroupManagement, 5),
        "DEL_GROUP" => (Class::GroupManagement, 6),
        "GRP_MGMT" | "GRP_CHAUTHTOK" | "CHGRP_ID" => (Class::GroupManagement, 99),
        "SERVICE_START" | "SYSTEM_BOOT" => (Class::ApplicationLifecycle, 3),
        "SERVICE_STOP" | "SYSTEM_SHUTDOWN" => (Class::ApplicationLifecycle, 4),
        "SYSCALL" => fields.get("syscall").map_or((Class::Process, 99), call),
        "EXECVE" => (Class::Process, 1),
        "PROCTITLE" | "BPRM_FCAPS" | "SECCOMP" | "ANOM_ABEND" | "OBJ_PID" | "CAPSET" | "TTY"
        | "USER_TTY" => (Class::Process, 99),
        "PATH" | "CWD" | "ANOM_LINK" | "ANOM_CREAT" | "FANOTIFY" => (Class::FileSystem, 99),
        "KERN_MODULE" => (Class::Kernel, 1),
        "CONFIG_CHANGE" | "DAEMON_START" | "DAEMON_END" | "DAEMON_ABORT" | "DAEMON_CONFIG"
        | "DAEMON_ROTATE" | "AUDIT_STATUS" | "FEATURE_CHANGE" => (Class::EventLog, 99),
        "SOCKADDR" | "NETFILTER_PKT" | "NETFILTER_CFG" | "CRYPTO_SESSION" | "CRYPTO_KEY_USER"
        | "ANOM_PROMISCUOUS" => (Class::Network, 99),
        "SOFTWARE_UPDATE" => (Class::SoftwareInventory, 3),
        "MAC_STATUS" | "MAC_POLICY_LOAD" | "MAC_CONFIG_CHANGE" | "USYS_CONFIG"
        | "SYSTEM_RUNLEVEL" => (Class::DeviceConfigState, 99),
        "AVC" | "USER_AVC" => refused(fields),
        _ => (Class::Base, 0),
    }
}

/// What SELinux or AppArmor judged.
fn refused(fields: &Fields) -> (Class, u32) {
    let object = fields.get("tclass").or_else(|| fields.get("class")).unwrap_or_default();
    let operation = fields.get("operation").unwrap_or_default();
    if object.contains("socket") || fields.get("family").is_some() {
        (Class::Network, 99)
    } else if matches!(
        object,
        "file" | "dir" | "lnk_file" | "chr_file" | "blk_file" | "fifo_file" | "filesystem"
    ) || matches!(
        operation,
        "open"
            | "mknod"
            | "unlink"
            | "rename_src"
            | "rename_dest"
            | "chmod"
            | "chown"
            | "file_perm"
            | "truncate"
            | "link"
    ) {
        (Class::FileSystem, 99)
    } else {
        (Class::Process, 99)
    }
}

/// What a system call does.
fn call(name: &str) -> (Class, u32) {
    match name {
        "execve" | "execveat" | "fork" | "vfork" | "clone" | "clone3" => (Class::Process, 1),
        "exit" | "exit_group" | "kill" | "tkill" | "tgkill" => (Class::Process, 2),
        "open" | "openat" | "openat2" | "open_by_handle_at" | "read" | "readlink"
        | "readlinkat" => (Class::FileSystem, 2),
        "creat" | "mkdir" | "mkdirat" | "mknod" | "mknodat" | "link" | "linkat" | "symlink"
        | "symlinkat" => (Class::FileSystem, 1),
        "truncate" | "ftruncate" | "write" => (Class::FileSystem, 3),
        "unlink" | "unlinkat" | "rmdir" => (Class::FileSystem, 4),
        "rename" | "renameat" | "renameat2" => (Class::FileSystem, 5),
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" | "chown" | "fchown" | "lchown"
        | "fchownat" | "setxattr" | "lsetxattr" | "fsetxattr" | "removexattr" | "lremovexattr"
        | "fremovexattr" | "utime" | "utimes" | "utimensat" | "futimesat" => (Class::FileSystem, 6),
        "mount" | "umount" | "umount2" | "pivot_root" | "chroot" => (Class::FileSystem, 99),
        "connect" | "accept" | "accept4" => (Class::Network, 1),
        "bind" | "listen" | "sendto" | "recvfrom" | "sendmsg" | "recvmsg" | "socket"
        | "setsockopt" => (Class::Network, 99),
        "init_module" | "finit_module" | "create_module" => (Class::Kernel, 1),
        "delete_module" => (Class::Kernel, 3),
        "settimeofday" | "adjtimex" | "clock_settime" | "clock_adjtime" | "sethostname"
        | "setdomainname" => (Class::DeviceConfigState, 99),
        _ => (Class::Process, 99),
    }
}

/// The records of one event: the system call tells who and how it ended, the others on what.
pub(super) fn read(first: Record<'_>, rest: Vec<Record<'_>>) -> Parsed {
    let mut all = vec![first];
    all.extend(rest);
    // What was judged leads; else the system call; else what came first.
    let rank = |kind: &str| match kind {
        "SYSCALL" => 0,
        "CONFIG_CHANGE" | "KERN_MODULE" | "NETFILTER_CFG" => 1,
        "PATH" | "CWD" | "PROCTITLE" | "EOE" | "SOCKADDR" | "EXECVE" => 3,
        _ => 2,
    };
    all.sort_by_key(|record| rank(record.kind));
    let mut records = all.into_iter().map(|record| {
        let fields = Fields::of(record.kind, record.text);
        (record, fields)
    });
    let Some((lead, fields)) = records.next() else {
        return Parsed::activity("auditd", vonggac_wire::event::Activity::default());
    };
    let mut made = activity(&lead, &fields);
    let call = fields.get("syscall").unwrap_or_default().to_owned();
    let mut unmapped = fields.into_all();
    let mut kinds = vec![lead.kind];
    let (mut title, mut command, mut folder) = (String::new(), String::new(), String::new());
    let mut paths = Vec::new();
    for (record, fields) in records {
        kinds.push(record.kind);
        let own = |key: &str| fields.get(key).unwrap_or_default().to_owned();
        match record.kind {
            "EOE" => {}
            "PROCTITLE" => title = own("proctitle"),
            "EXECVE" => {
                command = fields.arguments();
                let kept = fields.into_all().into_iter().take(ARGUMENTS_MAX + 1);
                unmapped.extend(kept.map(|(key, value)| (format!("execve.{key}"), value)));
            }
            "CWD" => folder = own("cwd"),
            "PATH" => paths.push(fields),
            "SOCKADDR" => {
                let port = fields.get("port").and_then(|port| port.parse().ok()).unwrap_or(0);
                if let Some(address) = fields.get("addr").and_then(text::address) {
                    if matches!(call.as_str(), "accept" | "accept4" | "recvfrom" | "recvmsg") {
                        made.set_source_address(address);
                        made.src_port = port;
                    } else {
                        made.set_destination_address(address);
                        made.dst_port = port;
                    }
                }
                beside(&mut unmapped, record.kind, fields);
            }
            kind => {
                let judged = matches!(kind, "AVC" | "USER_AVC" | "SELINUX_ERR");
                if judged
                    && fields
                        .get("seresult")
                        .or_else(|| fields.get("apparmor"))
                        .is_some_and(|word| word.eq_ignore_ascii_case("denied"))
                {
                    made.status_id = Status::Failure.id();
                    made.severity_id = 2;
                    made.status_detail = "denied".into();
                }
                if let ("KERN_MODULE", Some(name)) = (kind, fields.get("name")) {
                    made.file_path = name.to_owned();
                }
                beside(&mut unmapped, kind, fields);
            }
        }
    }
    if !title.is_empty() {
        unmapped.push(("proctitle".into(), title.clone()));
    }
    let told = [command, title].into_iter().find(|text| !text.is_empty());
    if let Some(told) = told {
        made.process_cmd_line = told;
    }
    on_files(&mut made, &call, &paths, &folder);
    for (key, value) in unmapped {
        made.unmapped.entry(key).or_insert(value);
    }
    if !folder.is_empty() {
        made.unmapped.insert("cwd".into(), folder);
    }
    made.unmapped.insert("audit.records".into(), kinds.join(","));
    dressed(&lead, made)
}

/// The files of an event: the last one that is no folder of another is what it was done to.
fn on_files(made: &mut vonggac_wire::event::Activity, call: &str, paths: &[Fields], folder: &str) {
    let is_parent = |path: &&Fields| path.get("nametype") == Some("PARENT");
    let target = if call.starts_with("exec") {
        paths.first()
    } else {
        paths.iter().rev().find(|path| !is_parent(path)).or(paths.last())
    };
    if let Some(name) = target.and_then(|path| path.get("name")) {
        made.file_path = if name.starts_with('/') || folder.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{}", folder.trim_end_matches('/'), name.trim_start_matches("./"))
        };
        // What an open made new was created.
        if made.class() == Class::FileSystem
            && made.activity_id == 2
            && target.is_some_and(|path| path.get("nametype") == Some("CREATE"))
        {
            made.activity_id = 1;
        }
    }
    for (at, path) in paths.iter().take(PATHS_MAX).enumerate() {
        let number = path.get("item").map_or_else(|| at.to_string(), str::to_owned);
        for (key, value) in path.all() {
            made.unmapped.insert(format!("path.{number}.{key}"), value.clone());
        }
    }
}

/// Adds what a record says beside the others: a name that means something else there stands behind the record's kind, `avc.name`.
fn beside(unmapped: &mut Vec<(String, String)>, kind: &str, fields: Fields) {
    for (key, value) in fields.into_all() {
        match unmapped.iter().find(|(known, _)| *known == key) {
            Some((_, known)) if *known == value => {}
            Some(_) => unmapped.push((format!("{}.{key}", kind.to_lowercase()), value)),
            None => unmapped.push((key, value)),
        }
    }
}
