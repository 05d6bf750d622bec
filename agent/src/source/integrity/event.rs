//! A change as an event: OCSF File System Activity.

use std::{collections::HashMap, path::Path};

use vonggac_wire::{
    Event, Time,
    event::{Activity, Body, Class, Status, TimeDoubt},
};

use super::{
    change::{Aspect, Change},
    entry::{Content, Entry, Kind},
    hash::hex,
    package::Verdict,
    text,
    trail::{Trail, Who},
};
use crate::source::plain_file;

/// Bytes of the lists of users and groups.
const NAMES_BYTES_MAX: u64 = 4 << 20;

/// Set-user-ID and set-group-ID.
const SET_ID: u32 = 0o6000;

/// Writable for everybody.
const WORLD: u32 = 0o002;

/// Where a change lets somebody in, or has something run: its parts stand in the path of the file.
const TELLING: [&str; 24] = [
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/ssh/",
    "/etc/pam.d/",
    "/etc/security/",
    "/etc/ld.so.preload",
    "/etc/ld.so.conf",
    "/etc/cron",
    "/etc/anacrontab",
    "/var/spool/cron",
    "/var/spool/at",
    "/etc/systemd/",
    "/lib/systemd/",
    "/etc/init.d/",
    "/etc/rc.local",
    "/etc/profile",
    "/etc/modules-load.d/",
    "/etc/apt/",
    "/etc/yum.repos.d/",
    "/boot/",
    "/.ssh/",
];

/// How a change was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundBy {
    /// The kernel told of it.
    Notification,
    /// All files were looked at.
    Interval,
    /// It happened while the agent was off.
    Start,
    /// More happened than the kernel could tell.
    Overflow,
}

impl FoundBy {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Notification => "notification",
            Self::Interval => "interval",
            Self::Start => "start",
            Self::Overflow => "overflow",
        }
    }
}

/// Users and groups by their numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    /// Of the host whose files are below `root`.
    pub(super) fn read(root: &Path) -> Self {
        let read = |file: &str| {
            let text = plain_file::read_text(&root.join(file), NAMES_BYTES_MAX).unwrap_or_default();
            let mut names = HashMap::new();
            for line in text.lines() {
                let mut fields = line.split(':');
                let name = fields.next().unwrap_or_default().to_owned();
                if let Some(number) = fields.nth(1).and_then(|number| number.parse().ok()) {
                    names.entry(number).or_insert(name);
                }
            }
            names
        };
        Self { users: read("etc/passwd"), groups: read("etc/group") }
    }

    fn of(names: &HashMap<u32, String>, number: u32) -> String {
        names.get(&number).cloned().unwrap_or_else(|| number.to_string())
    }
}

/// The event of one change.
pub(super) fn of(
    change: &Change,
    verdict: &Verdict,
    found: FoundBy,
    names: &Names,
    trail: &Trail,
    now: Time,
) -> Event {
    let subject = change.subject();
    let path = subject.path.to_string_lossy().into_owned();
    let (number, word) = match change {
        Change::Created(_) => (1, "created"),
        Change::Removed(_) => (4, "removed"),
        Change::Moved { .. } => (5, "moved"),
        Change::Changed { aspects, .. } => {
            let inside = [Aspect::Content, Aspect::Link, Aspect::Kind];
            let is_update = aspects.iter().any(|aspect| inside.contains(aspect));
            if is_update { (3, "changed") } else { (6, "changed") }
        }
    };
    let mut activity = Activity::of(Class::FileSystem, number, Status::Success);
    activity.severity_id = severity(change, verdict);
    activity.file_path.clone_from(&path);
    activity.unmapped.insert("found_by".into(), found.name().into());
    let mut put = |name: &str, value: String| {
        if !value.is_empty() {
            activity.unmapped.insert(name.to_owned(), value);
        }
    };
    put("change", word.into());
    for (name, value) in facts(subject, names) {
        put(&format!("file.{name}"), value);
    }
    let mut told = Vec::new();
    if let (Change::Changed { aspects, .. }, Some(before)) = (change, change.before()) {
        let aspects: Vec<&str> = aspects.iter().map(|aspect| aspect.name()).collect();
        put("changed", aspects.join(","));
        let after = facts(subject, names);
        for (name, value) in facts(before, names) {
            let other = after.iter().find(|(other, _)| *other == name);
            if other.is_none_or(|(_, after)| *after != value) && name != "modified" {
                if matches!(name, "mode" | "owner" | "group" | "link") {
                    let after = other.map_or("", |(_, after)| after);
                    told.push(format!("{name} {value} to {after}"));
                }
                put(&format!("before.{name}"), value);
            }
        }
        if aspects.contains(&"content") {
            told.insert(0, "content".into());
        }
    }
    if let Change::Moved { before, .. } = change {
        let from = before.path.to_string_lossy();
        put("file.moved_from", from.as_ref().to_owned());
        told.push(format!("from {from}"));
    }
    if let (Some(before), Some(after)) = (change.before(), change.after())
        && !(before.text.is_empty() && after.text.is_empty())
    {
        put("diff", text::difference(&before.text, &after.text));
    }
    for (name, value) in packaged(change, verdict) {
        put(name, value);
    }
    let mut message = format!("{path} was {word}");
    if !told.is_empty() {
        message = format!("{message}: {}", told.join(", "));
    }
    activity.message = message;
    let (time, doubt) = time(change, now);
    if let Some(who) = trail.who(&path, time) {
        by(&mut activity, who);
    }
    event(activity, time, now).with_time_doubt(doubt)
}

/// An event of the watch over files itself.
pub(super) fn of_watch(detail: &str, status: Status, message: String, now: Time) -> Event {
    let mut activity = Activity::of(Class::FileSystem, 99, status);
    activity.severity_id = if status == Status::Success { 1 } else { 3 };
    activity.status_detail = detail.into();
    activity.message = message;
    event(activity, now, now)
}

fn event(activity: Activity, time: Time, now: Time) -> Event {
    Event::new(time, now, Body::Activity(activity))
        .with_source("integrity", 0)
        .with_format("integrity")
}

fn by(activity: &mut Activity, who: Who) {
    activity.actor_user_name = who.user;
    activity.process_name = who.process;
    activity.process_pid = who.pid;
    activity.process_cmd_line = who.command;
}

/// When it happened: the inode tells, unless it is gone or lies in the future.
fn time(change: &Change, now: Time) -> (Time, TimeDoubt) {
    match change.after() {
        Some(after) if (1..=now.0).contains(&after.changed) => {
            (Time(after.changed), TimeDoubt::None)
        }
        _ => (now, TimeDoubt::Observed),
    }
}

/// What of a file is told, by the names it has in events.
fn facts(entry: &Entry, names: &Names) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("kind", entry.kind.name().to_owned()),
        ("mode", format!("{:04o}", entry.mode)),
        ("owner", Names::of(&names.users, entry.uid)),
        ("group", Names::of(&names.groups, entry.gid)),
    ];
    if entry.kind == Kind::File {
        facts.push(("size", entry.size.to_string()));
        facts.push(("modified", Time(entry.modified).to_string()));
    }
    if entry.kind == Kind::Link {
        facts.push(("link", entry.link.to_string_lossy().into_owned()));
    }
    match &entry.content {
        Content::Hashed { blake3, sha256 } => {
            facts.push(("sha256", hex(sha256)));
            facts.push(("blake3", hex(blake3)));
        }
        Content::TooLarge => facts.push(("content", "too large to read".into())),
        Content::Unreadable => facts.push(("content", "not readable".into())),
        Content::None => {}
    }
    facts
}

/// Whether what the package has came into being with this change.
fn is_package_change(change: &Change, verdict: &Verdict) -> bool {
    let came = match change {
        Change::Created(_) => true,
        Change::Changed { aspects, .. } => aspects.contains(&Aspect::Content),
        Change::Removed(_) | Change::Moved { .. } => false,
    };
    came && matches!(verdict, Verdict::AsPackaged(_))
}

fn packaged(change: &Change, verdict: &Verdict) -> Vec<(&'static str, String)> {
    let (package, word) = match verdict {
        Verdict::NotAsked => return Vec::new(),
        Verdict::NotPackaged => (None, "in no package"),
        Verdict::AsPackaged(package) => (Some(package), "as the package has it"),
        Verdict::Named(package) => (Some(package), "named by the package"),
        Verdict::Differs(package) => (Some(package), "differs"),
        Verdict::ConfigurationDiffers(package) => (Some(package), "configuration differs"),
    };
    let mut fields = vec![("package_file", word.to_owned())];
    if let Some(package) = package {
        fields.push(("package", format!("{} {}", package.name, package.version)));
    }
    let is_change = if is_package_change(change, verdict) { "true" } else { "false" };
    fields.push(("package_change", is_change.into()));
    fields
}

/// OCSF's `severity_id`: 1 what a package brought, to 5 what a package would never have done.
fn severity(change: &Change, verdict: &Verdict) -> u32 {
    if is_package_change(change, verdict) {
        return 1;
    }
    let subject = change.subject();
    if subject.kind == Kind::Folder && matches!(verdict, Verdict::Named(_)) {
        return 1;
    }
    let before = change.before().map_or(0, |before| before.mode);
    let gained = |bits: u32| subject.mode & bits & !before != 0;
    if matches!(verdict, Verdict::Differs(_)) && !matches!(change, Change::Removed(_)) {
        return 5;
    }
    if subject.kind == Kind::File && change.after().is_some() && gained(SET_ID) {
        return 5;
    }
    let path = subject.path.to_string_lossy();
    let is_telling = TELLING.iter().any(|place| path.contains(place));
    let is_opened = subject.kind != Kind::Link && gained(WORLD) && subject.mode & 0o1000 == 0;
    if is_telling || is_opened || matches!(verdict, Verdict::Differs(_)) {
        return 4;
    }
    match change {
        Change::Changed { aspects, .. } if !aspects.contains(&Aspect::Content) => 2,
        _ if subject.kind == Kind::Folder => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::change::tests::entry, *};
    use crate::source::integrity::package::Package;

    fn package() -> Package {
        Package { name: "bash".into(), version: "5.2".into() }
    }

    #[test]
    fn an_upgrade_is_told_from_a_tampering_and_new_powers_from_both() {
        let changed = |path: &str, mode: u32, aspects: Vec<Aspect>| {
            let before = entry(path, 1, 1);
            Change::Changed { after: Entry { mode, ..entry(path, 1, 2) }, before, aspects }
        };
        let content = || vec![Aspect::Content];
        for (change, verdict, wanted) in [
            (changed("/usr/bin/a", 0o755, content()), Verdict::AsPackaged(package()), 1),
            (changed("/usr/bin/a", 0o755, content()), Verdict::Differs(package()), 5),
            (changed("/usr/bin/a", 0o4755, vec![Aspect::Mode]), Verdict::AsPackaged(package()), 5),
            (changed("/etc/a", 0o644, content()), Verdict::ConfigurationDiffers(package()), 3),
            (changed("/etc/sudoers.d/a", 0o644, content()), Verdict::NotPackaged, 4),
            (changed("/srv/a", 0o666, vec![Aspect::Mode]), Verdict::NotAsked, 4),
            (changed("/srv/a", 0o600, vec![Aspect::Mode]), Verdict::NotAsked, 2),
            (Change::Created(entry("/srv/a.php", 1, 1)), Verdict::NotAsked, 3),
            (Change::Removed(entry("/usr/bin/a", 1, 1)), Verdict::Differs(package()), 4),
        ] {
            assert_eq!(severity(&change, &verdict), wanted, "{change:?} {verdict:?}");
        }
    }

    #[test]
    fn an_event_names_what_changed_and_what_it_was_before() {
        let before = entry("/etc/a", 1, 1);
        let after = Entry { mode: 0o600, changed: 5_000_000_000, ..entry("/etc/a", 1, 2) };
        let aspects = vec![Aspect::Content, Aspect::Mode];
        let change = Change::Changed { before, after, aspects };
        let told = of(
            &change,
            &Verdict::ConfigurationDiffers(package()),
            FoundBy::Start,
            &Names::default(),
            &Trail::default(),
            Time::from_seconds(100),
        );
        assert_eq!((told.time(), told.time_doubt()), (Time::from_seconds(5), TimeDoubt::None));
        let activity = told.activity().unwrap();
        assert_eq!((activity.class(), activity.activity_id), (Class::FileSystem, 3));
        assert_eq!(activity.message, "/etc/a was changed: content, mode 0644 to 0600");
        let field = |name: &str| activity.unmapped.get(name).map_or("", String::as_str);
        for (name, value) in [
            ("changed", "content,mode"),
            ("found_by", "start"),
            ("file.mode", "0600"),
            ("before.mode", "0644"),
            ("file.owner", "0"),
            ("package", "bash 5.2"),
            ("package_file", "configuration differs"),
            ("package_change", "false"),
            ("before.owner", ""),
        ] {
            assert_eq!(field(name), value, "{name}");
        }
        assert!(field("before.sha256").starts_with("0101") && field("file.blake3").len() == 64);
        // A clock that was set back does not put a change into the future.
        let told = time(&change, Time::from_seconds(2));
        assert_eq!(told, (Time::from_seconds(2), TimeDoubt::Observed));
    }
}
