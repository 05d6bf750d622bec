//! Keyed pseudonyms: the same person gets the same name, and nobody without the key can try numbers until one fits.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use rand::Rng;

/// Bytes of the key.
const KEY_BYTES: usize = 32;

/// Hexadecimal digits of a pseudonym in a field: no two of a nation's people get the same.
const FIELD_DIGITS: usize = 32;

/// Of one inside a text, where it only has to be told from its neighbours.
const TEXT_DIGITS: usize = 16;

/// What a pseudonym begins with in a field of its own.
const PREFIX: &str = "p-";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be used.
    #[error("use the key file {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Others may read it.
    #[error("keep the key file {0} secret: its mode lets others read it; run chmod 600 on it")]
    Open(String),
    /// It holds no key.
    #[error(
        "read a key of 64 hexadecimal digits in {0}; restore it, or remove it to begin with a new one"
    )]
    Malformed(String),
}

/// The key.
#[derive(Clone)]
pub struct Pseudonyms {
    key: [u8; KEY_BYTES],
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Pseudonyms(..)")
    }
}

impl Pseudonyms {
    /// With this key.
    #[must_use]
    pub const fn new(key: [u8; KEY_BYTES]) -> Self {
        Self { key }
    }

    /// With a key that nobody keeps: pseudonyms that hold as long as the program runs.
    #[must_use]
    pub fn fleeting() -> Self {
        Self::new(rand::rng().random())
    }

    /// Reads the key of a file, or makes one that is kept there.
    ///
    /// # Errors
    /// If the file cannot be used, is open to others, or holds no key.
    pub fn open(path: &Path) -> Result<Self, KeyError> {
        let io = |source| KeyError::Io { path: path.display().to_string(), source };
        let mut options = OpenOptions::new();
        match options.write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                let fresh = Self::fleeting();
                let text = blake3::Hash::from(fresh.key).to_hex();
                let kept = writeln!(file, "{text}").and_then(|()| file.sync_all());
                if let Err(error) = kept {
                    // Half a key would be refused for ever.
                    let _gone = fs::remove_file(path);
                    return Err(io(error));
                }
                Ok(fresh)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(path),
            Err(error) => Err(io(error)),
        }
    }

    fn read(path: &Path) -> Result<Self, KeyError> {
        let name = || path.display().to_string();
        let io = |source| KeyError::Io { path: name(), source };
        let file = fs::File::open(path).map_err(io)?;
        if file.metadata().map_err(io)?.mode() & 0o077 != 0 {
            return Err(KeyError::Open(name()));
        }
        let mut text = String::new();
        file.take(1024).read_to_string(&mut text).map_err(io)?;
        let key = blake3::Hash::from_hex(text.trim()).map_err(|_| KeyError::Malformed(name()))?;
        Ok(Self::new(*key.as_bytes()))
    }

    fn hash(&self, person: &str) -> String {
        blake3::keyed_hash(&self.key, normal(person).as_bytes()).to_hex().to_string()
    }

    /// The pseudonym as a field's whole value. One that was made before stays as it is.
    #[must_use]
    pub fn field(&self, person: &str) -> String {
        if person.is_empty() || is_pseudonym(person) {
            return person.to_owned();
        }
        format!("{PREFIX}{}", &self.hash(person)[..FIELD_DIGITS])
    }

    /// The pseudonym as it stands inside a text.
    pub(super) fn text(&self, person: &str) -> String {
        self.hash(person)[..TEXT_DIGITS].to_owned()
    }
}

fn is_pseudonym(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|digits| {
        digits.len() == FIELD_DIGITS
            && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// One spelling for each person: digits without separators and country code, letters in lower case.
fn normal(person: &str) -> String {
    let person = person.trim().replace("%40", "@");
    let digits: String = person.chars().filter(char::is_ascii_digit).collect();
    let numeric = person.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '.' | '-' | '+'));
    if !numeric || digits.is_empty() {
        return person.to_lowercase();
    }
    match digits.strip_prefix("84") {
        Some(rest) if (9..=10).contains(&rest.len()) => format!("0{rest}"),
        _ => digits,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_person_has_one_pseudonym_however_they_are_spelt() {
        let names = Pseudonyms::new([7; 32]);
        assert_eq!(names.field("0912 345 678"), names.field("+84912345678"));
        assert_eq!(names.field("An@X.vn"), names.field("an%40x.vn"));
        assert_ne!(names.field("001099012345"), names.field("001099012346"));
        assert_ne!(names.field("001099012345"), Pseudonyms::new([8; 32]).field("001099012345"));
        let once = names.field("001099012345");
        assert_eq!(names.field(&once), once, "made once, kept");
        assert!(names.field("001099012345").contains(&names.text("001099012345")));
    }

    #[test]
    fn the_key_is_made_once_and_nobody_else_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pseudonym.key");
        let first = Pseudonyms::open(&path).unwrap().field("a");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(Pseudonyms::open(&path).unwrap().field("a"), first);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Pseudonyms::open(&path).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "no key").unwrap();
        assert!(matches!(Pseudonyms::open(&path), Err(KeyError::Malformed(_))));
    }
}
