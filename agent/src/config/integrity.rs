//! Files whose every change is told.

use std::time::Duration;

use vonggac_daemon::settings::Table;

/// Watched where the configuration names nothing else: what starts programs, lets people in, or is run by everybody.
const PATHS: [&str; 17] = [
    "/etc",
    "/boot",
    "/bin",
    "/sbin",
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/usr/lib/systemd/user",
    "/var/spool/cron",
    "/var/spool/at",
    "/root/.ssh",
    "/home/*/.ssh",
    "/root/.bashrc",
    "/root/.profile",
];

/// What changes by itself under those, and tells nothing.
const EXCLUDE: [&str; 11] = [
    "/etc/mtab",
    "/etc/adjtime",
    "/etc/resolv.conf",
    "/etc/ld.so.cache",
    "/etc/cups/subscriptions.conf*",
    "/etc/lvm/archive/*",
    "/etc/lvm/backup/*",
    "/etc/.git/*",
    "/boot/grub/grubenv",
    "*~",
    "*.sw[px]",
];

/// A look at each file's attributes costs next to nothing once an hour, and finds what no notification told.
const INTERVAL: Duration = Duration::from_secs(3_600);

/// Contents are read again although nothing speaks for a change: against those who wrote past the file system.
const VERIFY_INTERVAL: Duration = Duration::from_secs(7 * 86_400);

/// As many files as a large portal has beside its system.
const FILES_MAX: u64 = 100_000;

/// A larger file is watched by its size and times; it is a disk image or a backup, and not a program.
const HASH_BYTES_MAX: u64 = 256 << 20;

/// A disk of an old server gives ten times as much.
const HASH_BYTES_PER_SECOND_MAX: u64 = 8 << 20;

/// Half of what older kernels allow to a user, so that others can watch too. Folders beyond are looked at by the interval.
const WATCHES_MAX: u64 = 4_096;

/// Files whose every change is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegrityConfig {
    /// Files, folders with all that is in them, patterns.
    pub paths: Vec<String>,
    /// Patterns of paths that are left out; one without a slash is of the last name alone.
    pub exclude: Vec<String>,
    /// Between two looks at all files.
    pub interval: Duration,
    /// Between two readings of all contents.
    pub verify_interval: Duration,
    /// Files and folders that are watched.
    pub files_max: u64,
    /// Bytes of a file whose content is read.
    pub hash_bytes_max: u64,
    /// Bytes that are read in a second.
    pub hash_bytes_per_second_max: u64,
    /// Folders whose changes the kernel tells.
    pub watches_max: u64,
    /// Tell what changed in the text of small configuration files.
    pub diffs: bool,
    /// The system that changes speak of.
    pub system: String,
}

impl IntegrityConfig {
    pub(super) fn take(table: &mut Table<'_>, system: &str) -> Option<Self> {
        let enabled = table.bool("enabled").unwrap_or(false);
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let mut paths = table.texts("paths").unwrap_or_else(|| texts(&PATHS));
        paths.extend(table.texts("web_roots").unwrap_or_default());
        let mut exclude = texts(&EXCLUDE);
        exclude.extend(table.texts("exclude").unwrap_or_default());
        for path in &paths {
            if !path.starts_with('/') {
                table.wrong("paths", format!("{path:?} is no whole path; wanted one from /"));
            }
        }
        for pattern in paths.iter().chain(&exclude) {
            if let Err(error) = glob::Pattern::new(pattern) {
                table.wrong("paths", format!("{pattern:?} is no pattern: {error}"));
            }
        }
        let day = Duration::from_secs(86_400);
        let config = Self {
            paths,
            exclude,
            interval: table
                .duration("interval", Duration::from_secs(10), 7 * day)
                .unwrap_or(INTERVAL),
            verify_interval: table
                .duration("verify_interval", Duration::from_secs(60), 366 * day)
                .unwrap_or(VERIFY_INTERVAL),
            files_max: table.integer("files_max", 1, 5_000_000).unwrap_or(FILES_MAX),
            hash_bytes_max: table.bytes("hash_bytes_max", 0, 1 << 40).unwrap_or(HASH_BYTES_MAX),
            hash_bytes_per_second_max: table
                .bytes("hash_bytes_per_second_max", 64 << 10, 1 << 34)
                .unwrap_or(HASH_BYTES_PER_SECOND_MAX),
            watches_max: table.integer("watches_max", 0, 1_000_000).unwrap_or(WATCHES_MAX),
            diffs: table.bool("diffs").unwrap_or(true),
            system: table.text("system").unwrap_or_else(|| system.to_owned()),
        };
        enabled.then_some(config)
    }
}
