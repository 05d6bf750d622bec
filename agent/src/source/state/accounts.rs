//! Users and groups. Of passwords it is known whether there is one, and whether it is another than before; never what it is.

use std::{collections::HashMap, fs, io::Read, path::Path};

use super::item::{Fields, Items, fields};
use crate::source::{integrity::hex, plain_file};

/// Bytes of a list of users.
const LIST_BYTES_MAX: u64 = 16 << 20;

/// The key by which passwords are compared; it never leaves the host.
const KEY: &str = "key";

fn read(root: &Path, name: &str) -> Result<String, String> {
    let path = root.join(name);
    plain_file::read_text(&path, LIST_BYTES_MAX)
        .map_err(|error| format!("failed to read {}: {error}", path.display()))
}

/// Users by name. `dir`: where the key is kept.
pub(super) fn users(root: &Path, dir: &Path) -> Result<Items, String> {
    let list = read(root, "etc/passwd")?;
    let key = key(dir).map_err(|error| format!("failed to keep a key: {error}"))?;
    // An agent that may not read it tells the rest.
    let shadow = read(root, "etc/shadow").unwrap_or_default();
    let passwords: HashMap<&str, Vec<&str>> = shadow
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.split_once(':')?;
            Some((name, rest.split(':').collect()))
        })
        .collect();
    let mut items = Items::new();
    for line in list.lines() {
        let parts: Vec<&str> = line.split(':').collect();
        let [name, own, uid, gid, about, home, shell] = parts[..] else { continue };
        if name.is_empty() || name.starts_with(['#', '+', '-']) {
            continue;
        }
        let mut user = fields([("uid", uid), ("gid", gid), ("home", home), ("shell", shell)]);
        user.insert("about".into(), about.into());
        let password = match (passwords.get(name), own) {
            (Some(parts), "x") => parts.first().copied(),
            (None, "x") => None,
            (_, own) => Some(own),
        };
        if let Some(password) = password {
            user.insert("password".into(), state(password).into());
            let print = blake3::keyed_hash(&key, format!("{name}:{password}").as_bytes());
            // Half of it tells two apart, and is of no use to anybody who finds it.
            let print = hex(print.as_bytes().get(..8).unwrap_or_default());
            user.insert("_password".into(), print);
        }
        items.entry(name.to_owned()).or_insert(user);
    }
    Ok(items)
}

/// What a password lets in.
fn state(password: &str) -> &'static str {
    match password {
        "" => "empty",
        "*" | "!" | "!!" | "!*" | "*LK*" | "NP" => "none",
        locked if locked.starts_with('!') => "locked",
        _ => "set",
    }
}

/// The host's own key, made at the first look.
fn key(dir: &Path) -> std::io::Result<[u8; 32]> {
    let path = dir.join(KEY);
    let mut key = [0; 32];
    match fs::File::open(&path).and_then(|mut file| file.read_exact(&mut key)) {
        Ok(()) => Ok(key),
        Err(_) => {
            key = rand::random();
            super::keep(&path, &key)?;
            Ok(key)
        }
    }
}

/// Groups by name.
pub(super) fn groups(root: &Path) -> Result<Items, String> {
    let mut items = Items::new();
    for line in read(root, "etc/group")?.lines() {
        let parts: Vec<&str> = line.split(':').collect();
        let [name, _, gid, members] = parts[..] else { continue };
        if name.is_empty() || name.starts_with(['#', '+', '-']) {
            continue;
        }
        let mut members: Vec<&str> =
            members.split(',').filter(|member| !member.is_empty()).collect();
        members.sort_unstable();
        members.dedup();
        let mut group: Fields = fields([("gid", gid)]);
        group.insert("members".into(), members.join(","));
        items.entry(name.to_owned()).or_insert(group);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::state::item::{Change, diff};

    #[test]
    fn a_changed_password_is_seen_and_no_hash_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc");
        fs::create_dir(&etc).unwrap();
        fs::write(
            etc.join("passwd"),
            "root:x:0:0:root:/root:/bin/bash\nlan:x:1000:1000::/home/lan:/bin/sh\nbroken\n",
        )
        .unwrap();
        let shadow = |hash: &str| {
            fs::write(etc.join("shadow"), format!("root:*:1::::::\nlan:{hash}:19000:0:::::\n"))
                .unwrap();
            users(root.path(), root.path()).unwrap()
        };
        let before = shadow("$6$salt$secrethash");
        assert_eq!(before["root"]["password"], "none");
        assert_eq!(before["lan"]["password"], "set");
        assert_eq!(diff(&before, &shadow("$6$salt$secrethash")), []);
        let after = shadow("$6$salt$other");
        assert_eq!(
            diff(&before, &after),
            [Change::Changed("lan".into(), vec!["_password".into()])]
        );
        assert_eq!(shadow("!$6$salt$other")["lan"]["password"], "locked");
        assert_eq!(shadow("")["lan"]["password"], "empty");
        let kept = serde_json::to_string(&before).unwrap();
        assert!(!kept.contains("secrethash") && !kept.contains("salt"), "{kept}");
    }
}
