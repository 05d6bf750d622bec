//! Names for the numbers in audit records: record types, architectures, system calls, errors.

use std::{collections::HashMap, sync::LazyLock};

/// `name`, then its number on each of [`MACHINES`].
const SYSCALLS: &str = include_str!("syscalls.tsv");

/// Names by machine and number.
static BY_NUMBER: LazyLock<HashMap<(usize, u32), &'static str>> = LazyLock::new(|| {
    let rows = SYSCALLS.lines().filter(|line| !line.starts_with('#'));
    rows.flat_map(|row| {
        let mut columns = row.split('\t');
        let name = columns.next().unwrap_or_default();
        columns
            .enumerate()
            .filter_map(move |(machine, number)| Some(((machine, number.parse().ok()?), name)))
    })
    .collect()
});

/// AUDIT_ARCH of linux/audit.h, the usual name, and the column of the table of system calls.
const MACHINES: [(&str, &str, Option<usize>); 9] = [
    ("c000003e", "x86_64", Some(0)),
    ("40000003", "i386", Some(1)),
    ("c00000b7", "aarch64", Some(2)),
    ("40000028", "arm", None),
    ("c00000f3", "riscv64", Some(2)),
    ("80000015", "ppc64", None),
    ("c0000015", "ppc64le", None),
    ("80000016", "s390x", None),
    ("c0000102", "loongarch64", Some(2)),
];

/// The machine's name.
pub(super) fn machine(arch: &str) -> Option<&'static str> {
    MACHINES.iter().find(|(number, ..)| *number == arch).map(|(_, name, _)| *name)
}

/// The system call's name. `arch` is a number or a name.
pub(super) fn syscall(arch: &str, number: &str) -> Option<&'static str> {
    let machine = MACHINES.iter().find(|(code, name, _)| *code == arch || *name == arch)?.2?;
    BY_NUMBER.get(&(machine, number.parse().ok()?)).copied()
}

/// The name of an error by a system call's exit: -13 is EACCES.
pub(super) fn error(exit: &str) -> Option<&'static str> {
    let number: usize = exit.strip_prefix('-')?.parse().ok()?;
    ERRORS.get(number.checked_sub(1)?).copied().filter(|name| !name.is_empty())
}

/// The name of a signal: 31 is SIGSYS.
pub(super) fn signal(number: &str) -> Option<&'static str> {
    let number: usize = number.parse().ok()?;
    SIGNALS.get(number.checked_sub(1)?).copied()
}

/// Signals from 1 on, as x86 and ARM number them.
#[rustfmt::skip]
const SIGNALS: [&str; 31] = [
    "SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1", "SIGSEGV", "SIGUSR2",
    "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG",
    "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR", "SIGSYS",
];

/// Errors from 1 on, of asm-generic/errno.h.
#[rustfmt::skip]
const ERRORS: [&str; 133] = [
    "EPERM", "ENOENT", "ESRCH", "EINTR", "EIO", "ENXIO", "E2BIG", "ENOEXEC", "EBADF", "ECHILD", "EAGAIN", "ENOMEM", "EACCES", "EFAULT",
    "ENOTBLK", "EBUSY", "EEXIST", "EXDEV", "ENODEV", "ENOTDIR", "EISDIR", "EINVAL", "ENFILE", "EMFILE", "ENOTTY", "ETXTBSY", "EFBIG",
    "ENOSPC", "ESPIPE", "EROFS", "EMLINK", "EPIPE", "EDOM", "ERANGE", "EDEADLK", "ENAMETOOLONG", "ENOLCK", "ENOSYS", "ENOTEMPTY",
    "ELOOP", "", "ENOMSG", "EIDRM", "ECHRNG", "EL2NSYNC", "EL3HLT", "EL3RST", "ELNRNG", "EUNATCH", "ENOCSI", "EL2HLT", "EBADE", "EBADR",
    "EXFULL", "ENOANO", "EBADRQC", "EBADSLT", "", "EBFONT", "ENOSTR", "ENODATA", "ETIME", "ENOSR", "ENONET", "ENOPKG", "EREMOTE",
    "ENOLINK", "EADV", "ESRMNT", "ECOMM", "EPROTO", "EMULTIHOP", "EDOTDOT", "EBADMSG", "EOVERFLOW", "ENOTUNIQ", "EBADFD", "EREMCHG",
    "ELIBACC", "ELIBBAD", "ELIBSCN", "ELIBMAX", "ELIBEXEC", "EILSEQ", "ERESTART", "ESTRPIPE", "EUSERS", "ENOTSOCK", "EDESTADDRREQ",
    "EMSGSIZE", "EPROTOTYPE", "ENOPROTOOPT", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT", "EOPNOTSUPP", "EPFNOSUPPORT", "EAFNOSUPPORT",
    "EADDRINUSE", "EADDRNOTAVAIL", "ENETDOWN", "ENETUNREACH", "ENETRESET", "ECONNABORTED", "ECONNRESET", "ENOBUFS", "EISCONN",
    "ENOTCONN", "ESHUTDOWN", "ETOOMANYREFS", "ETIMEDOUT", "ECONNREFUSED", "EHOSTDOWN", "EHOSTUNREACH", "EALREADY", "EINPROGRESS",
    "ESTALE", "EUCLEAN", "ENOTNAM", "ENAVAIL", "EISNAM", "EREMOTEIO", "EDQUOT", "ENOMEDIUM", "EMEDIUMTYPE", "ECANCELED", "ENOKEY",
    "EKEYEXPIRED", "EKEYREVOKED", "EKEYREJECTED", "EOWNERDEAD", "ENOTRECOVERABLE", "ERFKILL", "EHWPOISON",
];

/// Types of records that are met as bare numbers: the kernel's own log, and types newer than the daemon (`UNKNOWN[1329]`).
const TYPES: [(&str, &str); 62] = [
    ("1006", "LOGIN"),
    ("1100", "USER_AUTH"),
    ("1101", "USER_ACCT"),
    ("1102", "USER_MGMT"),
    ("1103", "CRED_ACQ"),
    ("1104", "CRED_DISP"),
    ("1105", "USER_START"),
    ("1106", "USER_END"),
    ("1107", "USER_AVC"),
    ("1108", "USER_CHAUTHTOK"),
    ("1109", "USER_ERR"),
    ("1110", "CRED_REFR"),
    ("1111", "USYS_CONFIG"),
    ("1112", "USER_LOGIN"),
    ("1113", "USER_LOGOUT"),
    ("1114", "ADD_USER"),
    ("1115", "DEL_USER"),
    ("1116", "ADD_GROUP"),
    ("1117", "DEL_GROUP"),
    ("1123", "USER_CMD"),
    ("1124", "USER_TTY"),
    ("1125", "CHUSER_ID"),
    ("1126", "GRP_AUTH"),
    ("1127", "SYSTEM_BOOT"),
    ("1128", "SYSTEM_SHUTDOWN"),
    ("1129", "SYSTEM_RUNLEVEL"),
    ("1130", "SERVICE_START"),
    ("1131", "SERVICE_STOP"),
    ("1132", "GRP_MGMT"),
    ("1133", "GRP_CHAUTHTOK"),
    ("1134", "MAC_CHECK"),
    ("1135", "ACCT_LOCK"),
    ("1136", "ACCT_UNLOCK"),
    ("1138", "SOFTWARE_UPDATE"),
    ("1300", "SYSCALL"),
    ("1302", "PATH"),
    ("1303", "IPC"),
    ("1304", "SOCKETCALL"),
    ("1305", "CONFIG_CHANGE"),
    ("1306", "SOCKADDR"),
    ("1307", "CWD"),
    ("1309", "EXECVE"),
    ("1318", "OBJ_PID"),
    ("1319", "TTY"),
    ("1320", "EOE"),
    ("1321", "BPRM_FCAPS"),
    ("1322", "CAPSET"),
    ("1323", "MMAP"),
    ("1324", "NETFILTER_PKT"),
    ("1325", "NETFILTER_CFG"),
    ("1326", "SECCOMP"),
    ("1327", "PROCTITLE"),
    ("1329", "FEATURE_CHANGE"),
    ("1330", "KERN_MODULE"),
    ("1331", "FANOTIFY"),
    ("1334", "BPF"),
    ("1400", "AVC"),
    ("1403", "MAC_POLICY_LOAD"),
    ("1404", "MAC_STATUS"),
    ("1405", "MAC_CONFIG_CHANGE"),
    ("1700", "ANOM_PROMISCUOUS"),
    ("1701", "ANOM_ABEND"),
];

/// The name of a type, whatever way it is written.
pub(super) fn kind(written: &str) -> &str {
    let number =
        written.strip_prefix("UNKNOWN[").and_then(|rest| rest.strip_suffix(']')).unwrap_or(written);
    TYPES.iter().find(|(known, _)| *known == number).map_or(written, |(_, name)| *name)
}
