//! `key=value` as audit writes it: quoted, bare, or as hexadecimal digits where a value holds blanks or quotes; and what the values mean.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::names;

/// Fields whose bare value may be hexadecimal digits for a text.
const HEXADECIMAL: [&str; 17] = [
    "acct",
    "cmd",
    "comm",
    "exe",
    "proctitle",
    "name",
    "cwd",
    "key",
    "data",
    "path",
    "dir",
    "grp",
    "new_group",
    "file",
    "watch",
    "ocomm",
    "sw",
];

/// Fields of a record: an EXECVE with more arguments is cut.
const FIELDS_MAX: usize = 256;

/// A record's values by name, in its order.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields {
    all: Vec<(String, String)>,
}

impl Fields {
    /// Reads a record's text and says what its numbers mean.
    pub(super) fn of(kind: &str, text: &str) -> Self {
        let mut fields = Self { all: split(kind, text) };
        fields.interpret(kind);
        if matches!(kind, "AVC" | "USER_AVC" | "SELINUX_ERR") {
            fields.verdict(text);
        }
        fields
    }

    /// A value that says something.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let found = self.all.iter().find(|(name, _)| name == key);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| *value != "unset" && *value != "(none)")
    }

    pub(super) fn all(&self) -> &[(String, String)] {
        &self.all
    }

    pub(super) fn into_all(self) -> Vec<(String, String)> {
        self.all
    }

    /// `a0="ls" a1="-l"` as one command.
    pub(super) fn arguments(&self) -> String {
        let mut all = Vec::new();
        for number in 0..FIELDS_MAX {
            let key = format!("a{number}");
            let mut value = self.get(&key).map(str::to_owned);
            if value.is_none() {
                // A long argument is in pieces: `a2_len=9000 a2[0]=...`.
                let pieces: Vec<&str> =
                    (0..FIELDS_MAX).map_while(|at| self.get(&format!("{key}[{at}]"))).collect();
                value = (!pieces.is_empty()).then(|| pieces.concat());
            }
            match value {
                Some(value) => all.push(value),
                None => break,
            }
        }
        all.join(" ")
    }

    /// Numbers become names; contexts become their parts; what says nothing goes.
    fn interpret(&mut self, kind: &str) {
        let raw = |all: &[(String, String)], key: &str| {
            all.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
        };
        let arch = raw(&self.all, "arch").unwrap_or_default();
        let mut more = Vec::new();
        self.outcome();
        for (key, value) in &mut self.all {
            match key.as_str() {
                "arch" => {
                    if let Some(name) = names::machine(value) {
                        name.clone_into(value);
                    }
                }
                "syscall" => {
                    if let Some(name) = names::syscall(&arch, value) {
                        name.clone_into(value);
                    }
                }
                "exit" => {
                    if let Some(name) = names::error(value) {
                        name.clone_into(value);
                    }
                }
                "auid" | "old-auid" | "ses" | "sauid" | "oauid"
                    if value == "4294967295" || value == "-1" =>
                {
                    "unset".clone_into(value);
                }
                "sig" => {
                    if let Some(name) = names::signal(value) {
                        name.clone_into(value);
                    }
                }
                "key" => *value = value.replace('\u{1}', ","),
                "subj" | "obj" if value.contains(':') => {
                    context(key, value, &mut more);
                }
                "saddr" if kind == "SOCKADDR" => socket(value, &mut more),
                _ => {}
            }
        }
        let parts = |key: &str| more.iter().any(|(name, _)| name.starts_with(key));
        let (subject, object) = (parts("subj_"), parts("obj_"));
        let address = parts("addr") || parts("path");
        self.all.retain(|(key, value)| match key.as_str() {
            "subj" => !subject && says(value),
            "obj" => !object && says(value),
            "saddr" => !address,
            _ => says(value),
        });
        self.all.extend(more);
    }

    /// `success=yes` of the kernel, `res=failed` of a program and `res=1` of the daemon are one `result`: success or fail.
    fn outcome(&mut self) {
        let place = |key: &str| self.all.iter().position(|(name, _)| name == key);
        let Some(found) = place("success").or_else(|| place("res")).or_else(|| place("result"))
        else {
            return;
        };
        if let Some((name, value)) = self.all.get_mut(found) {
            "result".clone_into(name);
            let word = value.to_ascii_lowercase();
            let good = word == "yes" || word == "1" || word.starts_with("suc");
            if says(value) {
                if good { "success" } else { "fail" }.clone_into(value);
            }
        }
    }

    /// `avc:  denied  { read write } for  pid=...` of SELinux.
    fn verdict(&mut self, text: &str) {
        let Some((before, rest)) = text.split_once('{') else { return };
        let Some((permissions, _)) = rest.split_once('}') else { return };
        if let Some(word) = before.split_whitespace().last().filter(|word| !word.contains('=')) {
            self.all.push(("seresult".into(), word.to_owned()));
            let permissions: Vec<&str> = permissions.split_whitespace().collect();
            self.all.push(("seperms".into(), permissions.join(",")));
        }
    }
}

fn says(value: &str) -> bool {
    !matches!(value, "" | "?" | "(null)")
}

/// `system_u:system_r:sshd_t:s0-s0:c0.c1023` in its parts.
fn context(key: &str, value: &str, parts: &mut Vec<(String, String)>) {
    let names = ["user", "role", "domain", "level", "category"];
    for (name, part) in names.iter().zip(value.splitn(5, ':')) {
        parts.push((format!("{key}_{name}"), part.to_owned()));
    }
}

/// A socket's address: family in the machine's order, the rest in the network's.
fn socket(digits: &str, parts: &mut Vec<(String, String)>) {
    let Some(bytes) = bytes(digits).filter(|bytes| bytes.len() >= 2) else { return };
    let family = u16::from_le_bytes([bytes[0], bytes[1]]);
    let port = bytes.get(2..4).map(|port| u16::from_be_bytes([port[0], port[1]]).to_string());
    let mut put = |key: &str, value: String| parts.push((key.to_owned(), value));
    match family {
        1 => {
            put("family", "unix".into());
            // An abstract name begins with NUL.
            let path = bytes[2..].strip_prefix(&[0]).unwrap_or(&bytes[2..]);
            let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
            if !path.is_empty() {
                put("path", String::from_utf8_lossy(path).into_owned());
            }
        }
        2 => {
            put("family", "ipv4".into());
            if let Some(address) = bytes.get(4..8).and_then(|b| <[u8; 4]>::try_from(b).ok()) {
                put("addr", Ipv4Addr::from(address).to_string());
                put("port", port.unwrap_or_default());
            }
        }
        10 => {
            put("family", "ipv6".into());
            if let Some(address) = bytes.get(8..24).and_then(|b| <[u8; 16]>::try_from(b).ok()) {
                put("addr", Ipv6Addr::from(address).to_string());
                put("port", port.unwrap_or_default());
            }
        }
        16 => put("family", "netlink".into()),
        17 => put("family", "packet".into()),
        other => put("family", other.to_string()),
    }
}

/// `key=value`, `key="value"`, and those within `msg='...'`. What stands behind the group separator are the same values enriched.
fn split(kind: &str, text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('=') {
        if found.len() >= FIELDS_MAX {
            break;
        }
        let before = &rest[..at];
        let key_at =
            before.rfind([' ', '\'', '\u{1d}', ',', '{', '(']).map_or(0, |place| place + 1);
        let mut key = before[key_at..].trim().to_owned();
        // `old auid=1 new auid=2` of old kernels.
        if key == "auid" {
            let word = before[..key_at].trim_end().rsplit(' ').next();
            if let Some(word @ ("old" | "new")) = word {
                key = format!("{word}_auid");
            }
        }
        let after = &rest[at + 1..];
        if key == "msg" && after.starts_with('\'') {
            rest = &after[1..];
            continue;
        }
        let (value, next, quoted) = match after.strip_prefix('"') {
            Some(inner) => {
                let end = inner.find('"').unwrap_or(inner.len());
                (&inner[..end], inner.get(end + 1..).unwrap_or(""), true)
            }
            None => {
                let end = after.find([' ', '\'', '\u{1d}', '}']).unwrap_or(after.len());
                let value = after[..end].trim_end_matches([',', '"']);
                // `(uid=0)` ends with its bracket, `tty=(none)` with its own.
                let value = if value.contains('(') { value } else { value.trim_end_matches(')') };
                (value, &after[end..], false)
            }
        };
        if !key.is_empty() {
            // Arguments of EXECVE are quoted or digits; those of SYSCALL are numbers.
            let argument = kind == "EXECVE"
                && key
                    .strip_prefix('a')
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
                && !key.ends_with("_len");
            let bare = !quoted && (argument || HEXADECIMAL.contains(&key.as_str()));
            let text = if bare { unhex(value) } else { None };
            // Old daemons wrote names without quotes: `acct=1000` is no text in digits.
            let text = text.filter(|text| key != "acct" || !text.contains(char::is_control));
            found.push((key, text.unwrap_or_else(|| value.to_owned())));
        }
        rest = next;
    }
    found
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    if digits.len() < 2
        || !digits.len().is_multiple_of(2)
        || !digits.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
    {
        return None;
    }
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
}

/// A text that was written as hexadecimal digits; NUL between arguments becomes a blank.
fn unhex(digits: &str) -> Option<String> {
    let bytes = bytes(digits)?;
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let text: Vec<u8> =
        bytes[..end].iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect();
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_contexts_are_told_by_their_names() {
        let fields = Fields::of(
            "SYSCALL",
            r#"arch=c000003e syscall=257 success=no exit=-13 a0=ffffff9c auid=4294967295 comm="cat" exe=2F746D702F61206220286429 subj=system_u:system_r:sshd_t:s0-s0:c0.c1023 key=657865630161"#,
        );
        let get = |key| fields.get(key).unwrap_or_default();
        assert_eq!((get("arch"), get("syscall"), get("exit")), ("x86_64", "openat", "EACCES"));
        assert_eq!((get("exe"), get("key"), get("a0")), ("/tmp/a b (d)", "exec,a", "ffffff9c"));
        assert_eq!((get("subj_domain"), get("subj_category")), ("sshd_t", "c0.c1023"));
        assert_eq!(get("auid"), "");
    }

    #[test]
    fn addresses_of_sockets_are_read() {
        for (digits, family, address, port) in [
            ("02000050CB0071070000000000000000", "ipv4", "203.0.113.7", "80"),
            ("0A0001BB0000000020010DB8000000000000000000000007", "ipv6", "2001:db8::7", "443"),
            ("0100", "unix", "", ""),
        ] {
            let fields = Fields::of("SOCKADDR", &format!("saddr={digits}"));
            assert_eq!(fields.get("family"), Some(family));
            assert_eq!(fields.get("addr").unwrap_or_default(), address);
            assert_eq!(fields.get("port").unwrap_or_default(), port);
        }
    }

    #[test]
    fn a_long_argument_in_pieces_is_one() {
        let fields =
            Fields::of("EXECVE", "argc=3 a0=\"sh\" a1=\"-c\" a2_len=4 a2[0]=6162 a2[1]=6364");
        assert_eq!(fields.arguments(), "sh -c abcd");
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*", digits in "[0-9A-F]{0,64}") {
            let _fields = Fields::of("AVC", &text);
            let _socket = Fields::of("SOCKADDR", &format!("saddr={digits}"));
        }
    }
}
