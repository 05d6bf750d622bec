//! Files that settings name: secrets that not everybody reads, and authorities. What is wrong with one is a mistake of the setting.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use vonggac_daemon::{secret::Secret, settings::Table};

/// Bytes of a file with a secret: tokens and passwords are some dozens.
const SECRET_BYTES_MAX: u64 = 4 << 10;

/// Bytes of a file with certificates or a template.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// A secret from a file that not everybody reads.
pub fn secret(table: &mut Table<'_>, name: &'static str) -> Option<Secret> {
    let path = table.path(name)?;
    let wrong = match read(&path, SECRET_BYTES_MAX) {
        Err(error) => format!("is {}, which cannot be read: {error}", path.display()),
        Ok((_, mode)) if mode & 0o007 != 0 => {
            format!(
                "is {}, which everybody can read (mode {mode:03o}); `chmod o= {}`",
                path.display(),
                path.display()
            )
        }
        Ok((bytes, _)) => match String::from_utf8(bytes) {
            Ok(text) if !text.trim().is_empty() && !text.trim().chars().any(char::is_control) => {
                return Some(Secret::new(text.trim().to_owned()));
            }
            _ => format!("is {}, which has no text of one line", path.display()),
        },
    };
    table.wrong(name, wrong);
    None
}

/// Certificates of who vouches for a server.
pub fn authorities(table: &mut Table<'_>) -> Option<Vec<u8>> {
    let path = table.path("authorities")?;
    match read(&path, FILE_BYTES_MAX) {
        Ok((bytes, _)) if bytes.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----") => {
            Some(bytes)
        }
        Ok(_) => {
            table.wrong(
                "authorities",
                format!("is {}, which has no certificate in PEM", path.display()),
            );
            None
        }
        Err(error) => {
            table.wrong(
                "authorities",
                format!("is {}, which cannot be read: {error}", path.display()),
            );
            None
        }
    }
}

/// A file's bytes and its mode.
///
/// # Errors
/// If it cannot be read, or has more bytes.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<(Vec<u8>, u32)> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok((bytes, mode))
}
