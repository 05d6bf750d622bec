//! Who calls a program on this machine, as the kernel says, and not as an environment does.

use std::fs;

/// What the kernel says where nobody logged in.
const NOBODY: u32 = u32::MAX;

/// An account's name; one without a name is its number.
#[must_use]
pub fn name(uid: u32) -> String {
    named(&fs::read_to_string("/etc/passwd").unwrap_or_default(), uid)
}

/// The account of this process, and behind a change of account who logged in.
#[must_use]
pub fn present() -> String {
    let account = rustix::process::getuid().as_raw();
    let login = fs::read_to_string("/proc/self/loginuid").unwrap_or_default();
    let login = login.trim().parse().ok().filter(|login| *login != NOBODY && *login != account);
    match login {
        Some(login) => format!("{} as {}", name(login), name(account)),
        None => name(account),
    }
}

fn named(passwd: &str, uid: u32) -> String {
    let of_line = |line: &str| {
        let mut parts = line.split(':');
        let (name, number) = (parts.next()?, parts.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    };
    passwd.lines().find_map(of_line).unwrap_or_else(|| format!("uid {uid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_its_name_or_is_its_number() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\nbroken\nlan:x:1000:1000::/home/lan:/bin/sh\n";
        assert_eq!(named(passwd, 0), "root");
        assert_eq!(named(passwd, 1_000), "lan");
        assert_eq!(named(passwd, 7), "uid 7");
        assert!(!present().is_empty());
    }
}
