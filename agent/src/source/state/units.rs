//! systemd's units: which there are, what they run, which start by themselves, which failed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::item::{Fields, Items, fields};
use crate::source::{plain_file, program};

/// Folders of units, those that win last.
const FOLDERS: [&str; 5] = [
    "lib/systemd/system",
    "usr/lib/systemd/system",
    "usr/local/lib/systemd/system",
    "run/systemd/system",
    "etc/systemd/system",
];

/// What a unit can be that starts something.
const KINDS: [&str; 5] = ["service", "timer", "socket", "path", "mount"];

/// Bytes of one unit, and of the manager's answer.
const FILE_BYTES_MAX: u64 = 256 << 10;
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Units of one folder.
const UNITS_MAX: usize = 10_000;

pub(super) fn collect(root: &Path) -> Result<Items, String> {
    let mut items = Items::new();
    let mut enabled = BTreeSet::new();
    for folder in FOLDERS {
        let path = root.join(folder);
        for file in fs::read_dir(&path).into_iter().flatten().filter_map(Result::ok).take(UNITS_MAX)
        {
            let name = file.file_name().to_string_lossy().into_owned();
            let own = Path::new("/").join(folder).join(&name);
            if name.ends_with(".wants") || name.ends_with(".requires") {
                let names = fs::read_dir(file.path()).into_iter().flatten();
                let names = names.filter_map(Result::ok).take(UNITS_MAX);
                enabled.extend(names.map(|file| file.file_name().to_string_lossy().into_owned()));
            } else if KINDS.iter().any(|kind| name.ends_with(&format!(".{kind}"))) {
                let item = unit(&file.path(), &name, &own.to_string_lossy());
                items.extend(item.map(|item| (name, item)));
            }
        }
    }
    let failed = failed(root)?;
    for (name, unit) in &mut items {
        if unit.get("starts").is_none_or(|starts| starts != "masked") {
            let by_itself = if enabled.contains(name) { "by itself" } else { "when asked" };
            unit.insert("starts".into(), by_itself.into());
        }
    }
    if let Some(failed) = failed {
        for name in &failed {
            items.entry(name.clone()).or_insert_with(|| fields([("name", name)]));
        }
        for (name, unit) in &mut items {
            let state = if failed.contains(name) { "failed" } else { "not failed" };
            unit.insert("state".into(), state.into());
        }
    }
    Ok(items)
}

/// One unit; a link to nothing is one that is masked.
fn unit(path: &Path, name: &str, own: &str) -> Option<Fields> {
    if fs::read_link(path).is_ok_and(|target| target == Path::new("/dev/null")) {
        return Some(fields([("name", name), ("file", own), ("starts", "masked")]));
    }
    let text = plain_file::read_text(path, FILE_BYTES_MAX).ok()?;
    let values = settings(&text);
    let value = |key: &str| values.get(key).map_or("", String::as_str);
    let schedule: Vec<&str> = ["OnCalendar", "OnBootSec", "OnUnitActiveSec"]
        .into_iter()
        .map(value)
        .filter(|value| !value.is_empty())
        .collect();
    let mut unit = fields([
        ("name", name),
        ("file", own),
        ("user", value("User")),
        ("schedule", &schedule.join("; ")),
    ]);
    // An empty command is known too: one that comes to it is a change.
    unit.insert("command".into(), value("ExecStart").into());
    Some(unit)
}

/// The settings of a unit, those of one name joined.
fn settings(text: &str) -> BTreeMap<String, String> {
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let joined = text.replace("\\\n", " ");
    for line in joined.lines().map(str::trim) {
        if line.starts_with(['#', ';', '[']) {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        values
            .entry(key.trim().to_owned())
            .and_modify(|known| {
                known.push_str("; ");
                known.push_str(&value);
            })
            .or_insert(value);
    }
    values
}

/// Units that failed, if there is a manager to ask.
fn failed(root: &Path) -> Result<Option<BTreeSet<String>>, String> {
    if root != Path::new("/") || !Path::new("/run/systemd/system").is_dir() {
        return Ok(None);
    }
    let arguments =
        ["list-units", "--state=failed", "--all", "--plain", "--no-legend", "--no-pager"];
    let answer = program::ask("systemctl", &arguments, ANSWER_BYTES_MAX)?;
    Ok(Some(
        answer.lines().filter_map(|line| line.split_whitespace().next()).map(Into::into).collect(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_with_what_they_run_and_how_they_start() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for folder in ["lib/systemd/system", "etc/systemd/system/multi-user.target.wants"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(
            at("lib/systemd/system/web.service"),
            "[Service]\nUser=www-data\nExecStart=/usr/sbin/nginx \\\n  -g 'daemon on;'\n",
        )
        .unwrap();
        fs::write(at("lib/systemd/system/web.target"), "[Unit]\n").unwrap();
        fs::write(at("lib/systemd/system/clean.timer"), "[Timer]\nOnCalendar=daily\n").unwrap();
        fs::write(at("lib/systemd/system/old.service"), "[Service]\nExecStart=/a\n").unwrap();
        let link = std::os::unix::fs::symlink::<&str, std::path::PathBuf>;
        link("/dev/null", at("etc/systemd/system/old.service")).unwrap();
        link(
            "/lib/systemd/system/web.service",
            at("etc/systemd/system/multi-user.target.wants/web.service"),
        )
        .unwrap();
        let items = collect(root.path()).unwrap();
        assert_eq!(items.keys().collect::<Vec<_>>(), ["clean.timer", "old.service", "web.service"]);
        let web = &items["web.service"];
        assert_eq!(web["command"], "/usr/sbin/nginx -g 'daemon on;'");
        assert_eq!((web["starts"].as_str(), web["user"].as_str()), ("by itself", "www-data"));
        assert_eq!(items["old.service"]["starts"], "masked");
        assert_eq!(items["clean.timer"]["schedule"], "daily");
        assert_eq!(items["clean.timer"]["starts"], "when asked");
    }
}
