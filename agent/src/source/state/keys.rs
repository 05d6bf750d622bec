//! Keys that let somebody in by SSH, and the host's own.

use std::{fs, path::Path};

use super::item::{Items, fields};
use crate::source::plain_file;

/// Bytes of a file of keys.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Keys of one file.
const KEYS_MAX: usize = 1_000;

/// What keys begin with.
const TYPES: [&str; 5] = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "cert-"];

/// Bytes of the list of users.
const LIST_BYTES_MAX: u64 = 16 << 20;

pub(super) fn collect(root: &Path) -> Result<Items, String> {
    let users = plain_file::read_text(&root.join("etc/passwd"), LIST_BYTES_MAX)
        .map_err(|error| format!("failed to read etc/passwd: {error}"))?;
    let mut items = Items::new();
    let mut homes: Vec<(&str, &str)> = users
        .lines()
        .filter_map(|line| Some((line.split(':').next()?, line.split(':').nth(5)?)))
        .filter(|(_, home)| home.starts_with('/') && *home != "/" && *home != "/nonexistent")
        .collect();
    // Users of services share one home: it is read once, for the first.
    homes.sort_by_key(|(_, home)| *home);
    homes.dedup_by_key(|(_, home)| *home);
    for (user, home) in homes {
        for name in ["authorized_keys", "authorized_keys2"] {
            let own = format!("{home}/.ssh/{name}");
            let text =
                plain_file::read_text(&root.join(own.trim_start_matches('/')), FILE_BYTES_MAX);
            items.extend(text.iter().flat_map(|text| read(&own, user, text)));
        }
    }
    let ssh = fs::read_dir(root.join("etc/ssh")).into_iter().flatten();
    for file in ssh.filter_map(Result::ok) {
        let name = file.file_name().to_string_lossy().into_owned();
        if name.starts_with("ssh_host_") && name.ends_with("_key.pub") {
            let text = plain_file::read_text(&file.path(), FILE_BYTES_MAX);
            items.extend(text.iter().flat_map(|text| read(&format!("/etc/ssh/{name}"), "", text)));
        }
    }
    Ok(items)
}

/// The keys of one file: options, type, key, comment.
fn read(file: &str, user: &str, text: &str) -> Items {
    let mut items = Items::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')).take(KEYS_MAX) {
        let Some((options, rest)) = options(line) else { continue };
        let mut words = rest.splitn(3, char::is_whitespace);
        let (Some(kind), Some(key)) = (words.next(), words.next()) else { continue };
        let Ok(key) = data_encoding::BASE64.decode(key.as_bytes()) else { continue };
        let sum = ring::digest::digest(&ring::digest::SHA256, &key);
        let print = format!("SHA256:{}", data_encoding::BASE64_NOPAD.encode(sum.as_ref()));
        let mut item = fields([
            ("file", file),
            ("user", user),
            ("type", kind),
            ("fingerprint", &print),
            ("comment", words.next().unwrap_or("").trim()),
        ]);
        item.insert("options".into(), options.to_owned());
        items.insert(format!("{file} {print}"), item);
    }
    items
}

/// What stands before the key's type, outside of quotes.
fn options(line: &str) -> Option<(&str, &str)> {
    let begins = |text: &str| TYPES.iter().any(|kind| text.starts_with(kind));
    if begins(line) {
        return Some(("", line));
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'"' if !escaped => quoted = !quoted,
            b' ' | b'\t' if !quoted => {
                let rest = line.get(at..)?.trim_start();
                if begins(rest) {
                    return Some((line.get(..at)?, rest));
                }
            }
            _ => {}
        }
        escaped = byte == b'\\' && !escaped;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_by_its_fingerprint_with_its_options_and_comment() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/ssh")).unwrap();
        fs::create_dir_all(root.path().join("home/lan/.ssh")).unwrap();
        fs::write(root.path().join("etc/passwd"), "lan:x:1:1::/home/lan:/bin/sh\nd:x:2:2::/:/x\n")
            .unwrap();
        let blob = data_encoding::BASE64.encode(b"\0\0\0\x0bssh-ed25519 example");
        fs::write(
            root.path().join("home/lan/.ssh/authorized_keys"),
            format!("# none\n\ncommand=\"echo \\\"ssh-rsa x\\\" y\",no-pty ssh-ed25519 {blob} lan@office home\nssh-rsa !!!\ngarbage\n"),
        )
        .unwrap();
        fs::write(
            root.path().join("etc/ssh/ssh_host_ed25519_key.pub"),
            format!("ssh-ed25519 {blob}\n"),
        )
        .unwrap();
        let items = collect(root.path()).unwrap();
        assert_eq!(items.len(), 2);
        let key = items.values().find(|key| key.contains_key("user")).unwrap();
        assert_eq!(key["options"], "command=\"echo \\\"ssh-rsa x\\\" y\",no-pty");
        assert_eq!(
            (key["type"].as_str(), key["comment"].as_str()),
            ("ssh-ed25519", "lan@office home")
        );
        assert!(key["fingerprint"].starts_with("SHA256:") && key["fingerprint"].len() == 50);
        assert!(!serde_json::to_string(&items).unwrap().contains(&blob));
    }

    proptest::proptest! {
        #[test]
        fn no_line_makes_it_panic(line in ".*") {
            let _keys = read("/f", "u", &line);
        }
    }
}
