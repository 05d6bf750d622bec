//! Copies of a line of which no two are alike: times move on, and addresses, users, numbers and ids become others. Within one copy the
//! same value becomes the same one, so that a copied log still tells a story.

use std::{collections::HashMap, hash::Hasher as _, sync::LazyLock};

use jiff::Timestamp;
use regex::{Captures, Regex};
use vonggac_wire::Time;

/// What is looked for, the longest notations first.
static VALUES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?x)
        (?<iso>\b\d{4}-\d\d-\d\d[T\ ]\d\d:\d\d:\d\d) | (?<slashed>\b\d{4}/\d\d/\d\d\ \d\d:\d\d:\d\d)
        | (?<access>\b\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d) | (?<syslog>\b[A-Z][a-z]{2}\ [\ \d]\d\ \d\d:\d\d:\d\d)
        | (?<zone>[+-]\d{4}\b) | (?<epoch>\b1[3-9]\d{8}) | (?<address>\b\d{1,3}(?:\.\d{1,3}){3}\b) | (?<hex>\b(?:[0-9a-f]{8,}|[0-9A-F]{8,})\b)
        | (?<word>[A-Za-z_]+/?\d+(?:\.\d+)*) | (?<number>\d+(?:\.\d+)*)",
    )
    .ok()
});

/// Addresses of all copies: as many different clients as a large portal has in a day.
const ADDRESSES: u64 = 200_000;

/// Persons of all copies.
const USERS: u64 = 20_000;

const NAMES: [&str; 12] =
    ["nguyen", "tran", "le", "pham", "hoang", "vu", "dang", "bui", "an", "binh", "linh", "minh"];

/// The same for the same text in the same copy, in every run.
fn mixed(text: &str, copy: u64) -> u64 {
    // Keys of this hasher are fixed.
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write_u64(copy);
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// A line as this copy has it, at a time. `user`: what the line says its user is, or "".
#[must_use]
pub fn varied(line: &str, user: &str, copy: u64, time: Time) -> String {
    let Some(values) = VALUES.as_ref() else { return line.to_owned() };
    let stamp = Timestamp::from_nanosecond(i128::from(time.0)).unwrap_or_default();
    let mut known: HashMap<String, String> = HashMap::new();
    let text = values.replace_all(line, |found: &Captures<'_>| {
        let text = found.get(0).map_or("", |all| all.as_str());
        let is = |name: &str| found.name(name).is_some();
        match () {
            () if is("iso") => {
                let between = text.get(10..11).unwrap_or(" ");
                stamp.strftime(&format!("%Y-%m-%d{between}%H:%M:%S")).to_string()
            }
            () if is("slashed") => stamp.strftime("%Y/%m/%d %H:%M:%S").to_string(),
            () if is("access") => stamp.strftime("%d/%b/%Y:%H:%M:%S").to_string(),
            () if is("syslog") => stamp.strftime("%b %e %H:%M:%S").to_string(),
            () if is("epoch") => time.seconds().to_string(),
            () => known.entry(text.to_owned()).or_insert_with(|| value(found, copy)).clone(),
        }
    });
    if user.len() < 2 {
        return text.into_owned();
    }
    let person = mixed(user, copy) % USERS;
    let name = NAMES[usize::try_from(person).unwrap_or(0) % NAMES.len()];
    replace_word(&text, user, &format!("{name}{person}"))
}

/// What a value becomes in this copy.
fn value(found: &Captures<'_>, copy: u64) -> String {
    let text = found.get(0).map_or("", |all| all.as_str());
    let mixed = mixed(text, copy);
    if found.name("address").is_some() {
        // Few clients come often.
        let share = (mixed % 1_000_000) as f64 / 1_000_000.0;
        let host = (share * share * ADDRESSES as f64) as u64;
        return match text.starts_with("127.") || text.starts_with("0.") {
            true => text.to_owned(),
            false => format!(
                "{}.{}.{}.{}",
                11 + host % 190,
                host / 190 % 251,
                host % 253,
                1 + host / 7 % 250
            ),
        };
    }
    if found.name("hex").is_some() && text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        let mut digits = String::new();
        for part in 0.. {
            if digits.len() >= text.len() {
                break;
            }
            digits.push_str(&format!("{:016x}", self::mixed(text, copy ^ (part << 32))));
        }
        digits.truncate(text.len());
        return if upper { digits.to_uppercase() } else { digits };
    }
    // Codes of answers, years and versions say the same in every copy.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let kept = text.len() < 2
        || (plain && text.len() == 3 && matches!(text.as_bytes()[0], b'1'..=b'5'))
        || (plain && text.len() == 4 && (text.starts_with("19") || text.starts_with("20")));
    // So do zones, and versions behind a name.
    let kept = kept
        || found.name("zone").is_some()
        || (found.name("word").is_some() && text.contains('/') && text.contains('.'));
    let long = text.bytes().filter(u8::is_ascii_digit).count() >= 4;
    if kept || (!plain && !long) {
        return text.to_owned();
    }
    let mut rest = mixed;
    let mut first = true;
    text.chars()
        .map(|character| {
            if !character.is_ascii_digit() {
                first = true;
                return character;
            }
            let least = u64::from(std::mem::take(&mut first) && character != '0');
            let digit = least + rest % (10 - least);
            rest = (rest / 10) ^ mixed.rotate_left(u32::from(character)) >> 7;
            u32::try_from(digit).ok().and_then(|digit| char::from_digit(digit, 10)).unwrap_or('0')
        })
        .collect()
}

/// Each whole word of a text by another.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let mut changed = String::with_capacity(text.len() + 16);
    let mut from = 0;
    let in_word = |letter: Option<char>| {
        letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
    };
    for (at, _) in text.match_indices(word) {
        let end = at + word.len();
        if at < from
            || in_word(text[..at].chars().next_back())
            || in_word(text[end..].chars().next())
        {
            continue;
        }
        changed.push_str(&text[from..at]);
        changed.push_str(by);
        from = end;
    }
    changed.push_str(&text[from..]);
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "Nov 24 09:00:00 mail sshd[4711]: Failed password for lan from 203.0.113.7 port 50022 ssh2, again 203.0.113.7";

    #[test]
    fn copies_differ_in_what_varies_and_in_nothing_else() {
        let time = Time::from_seconds(1_794_000_000);
        let (one, other) = (varied(LINE, "lan", 1, time), varied(LINE, "lan", 2, time));
        assert_ne!(one, other);
        for copy in [&one, &other] {
            assert!(copy.starts_with("Nov ") && !copy.contains("203.0.113.7"), "{copy}");
            assert!(copy.contains("Failed password for ") && !copy.contains(" lan "), "{copy}");
            // A day of one digit has two spaces before it.
            let words: Vec<&str> = copy.split_whitespace().collect();
            assert_eq!(words.len(), LINE.split_whitespace().count());
            let address = words.last().copied().unwrap_or_default();
            assert_eq!(words.iter().filter(|word| **word == address).count(), 2, "{copy}");
        }
        assert_eq!(one, varied(LINE, "lan", 1, time));
    }

    #[test]
    fn codes_and_versions_stay() {
        let line = r#"203.0.113.7 - - [24/Nov/2026:09:00:00 +0700] "GET /a/123456 HTTP/1.1" 404 5123 "-" "Mozilla/5.0 (X11) Firefox/115.0""#;
        let copy = varied(line, "", 3, Time::from_seconds(1_794_000_000));
        assert!(
            copy.contains(" +0700] ")
                && copy.contains("HTTP/1.1\" 404 ")
                && copy.contains("Mozilla/5.0 (X11) Firefox/115.0"),
            "{copy}"
        );
        assert!(!copy.contains("123456") && !copy.contains("5123"), "{copy}");
    }
}
