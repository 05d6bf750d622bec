//! Where the cold tier is: a folder, or a bucket of an object store that speaks S3. Pure but for the files that settings name.

use std::{fmt, path::PathBuf};

use hyper::Uri;
use vonggac_daemon::{secret::Secret, settings::Table};

use crate::config::named::{authorities, secret};

/// What most object stores of one's own call their region.
const REGION: &str = "us-east-1";

/// Where the cold tier is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColdPlace {
    /// A folder.
    Folder(Folder),
    /// A bucket.
    Bucket(Bucket),
}

/// A folder of the machine on which the engine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// As this program reaches it.
    pub dir: PathBuf,
    /// As the engine reaches it.
    pub engine_dir: PathBuf,
}

/// A bucket, which this program and the engine reach by the same address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Scheme, host and port, without a slash at the end.
    pub endpoint: String,
    /// By which requests are signed.
    pub region: String,
    /// Its name, which stands in the path of each request.
    pub name: String,
    /// Before the name of each file; empty, or with a slash at its end.
    pub prefix: String,
    /// Who asks.
    pub key_id: Secret,
    /// By what the asking is signed.
    pub secret: Secret,
    /// Who vouches for the server, in PEM; `None`: this machine's authorities.
    pub authorities: Option<Vec<u8>>,
}

impl fmt::Display for ColdPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(formatter, "{}", folder.dir.display()),
            Self::Bucket(bucket) => {
                write!(formatter, "{}/{}/{}", bucket.endpoint, bucket.name, bucket.prefix)
            }
        }
    }
}

impl ColdPlace {
    /// Takes `[cold]`; `None`: there is no cold tier.
    pub fn take(cold: &mut Table<'_>) -> Option<Self> {
        let bucket = cold.table_if_there("s3", Bucket::take);
        let folder = Folder::take(cold);
        match (bucket, folder) {
            (Some(_), Some(_)) => {
                cold.wrong("dir", "is a folder, and [cold.s3] a bucket; leave one of them out: a file lies in one place");
                None
            }
            (Some(bucket), None) => bucket.map(Self::Bucket),
            (None, folder) => folder.map(Self::Folder),
        }
    }
}

impl Folder {
    fn take(cold: &mut Table<'_>) -> Option<Self> {
        let (dir, engine_dir) = (cold.path("dir"), cold.path("engine_dir"));
        for (name, path) in [("dir", &dir), ("engine_dir", &engine_dir)] {
            if path.as_ref().is_some_and(|path| !path.is_absolute()) {
                cold.wrong(
                    name,
                    "is relative; the engine has another working folder, so wanted is a path from /",
                );
            }
        }
        if dir.is_none() && engine_dir.is_some() {
            cold.wrong("engine_dir", "says how the engine reaches `dir`, which is missing");
        }
        let dir = dir?;
        Some(Self { engine_dir: engine_dir.unwrap_or_else(|| dir.clone()), dir })
    }
}

impl Bucket {
    fn take(table: &mut Table<'_>) -> Option<Self> {
        let plain = table.bool("plain_text").unwrap_or(false);
        let endpoint = endpoint(table, plain);
        let region = table.text("region").unwrap_or_else(|| REGION.into());
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if region.len() > 63 || !region.chars().all(word) {
            table.wrong("region", format!("is {region:?}; wanted one like {REGION:?}"));
        }
        let name = table.text_required("bucket");
        let fits = (3..=63).contains(&name.len())
            && name.chars().all(|c| word(c) || c == '.')
            && name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !fits && !name.is_empty() {
            table.wrong(
                "bucket",
                format!("is {name:?}; wanted 3 to 63 small letters, digits, `-` and `.`"),
            );
        }
        let prefix = prefix(table);
        let key_id = named_secret(table, "key_id_file", "the key's id");
        let secret = named_secret(table, "secret_file", "the key");
        let authorities = authorities(table);
        if plain && authorities.is_some() {
            table.wrong(
                "authorities",
                "vouch for nobody in plain text; leave them or `plain_text` out",
            );
        }
        Some(Self {
            endpoint: endpoint?,
            region,
            name,
            prefix,
            key_id: key_id?,
            secret: secret?,
            authorities,
        })
    }
}

fn named_secret(table: &mut Table<'_>, name: &'static str, what: &str) -> Option<Secret> {
    let is_there = table.has(name);
    let found = secret(table, name);
    if !is_there {
        table.wrong(name, format!("is missing; wanted the path of a file with {what}"));
    }
    found
}

/// Scheme, host and port. What else an address may have would be lost, or be a secret in the wrong place.
fn endpoint(table: &mut Table<'_>, plain: bool) -> Option<String> {
    let text = table.text_required("endpoint");
    if text.is_empty() {
        return None;
    }
    let uri: Option<Uri> = text.parse().ok();
    let scheme = uri.as_ref().and_then(Uri::scheme_str);
    let authority = uri.as_ref().and_then(Uri::authority).map(ToString::to_string);
    let bare =
        uri.as_ref().is_some_and(|uri| matches!(uri.path(), "" | "/") && uri.query().is_none());
    match (scheme, authority) {
        (Some(scheme @ ("http" | "https")), Some(authority))
            if bare && !authority.contains('@') =>
        {
            if scheme == "http" && !plain {
                table.wrong("plain_text", "must be true for an http address: rows of citizens travel in plain text there, which has to be asked for by name");
                return None;
            }
            if scheme == "https" && plain {
                table.wrong("plain_text", "is true, but the endpoint is https; leave it out");
                return None;
            }
            Some(format!("{scheme}://{authority}"))
        }
        _ => {
            table.wrong("endpoint", "is no address of an object store; wanted one like \"https://s3.example.vn\", without a path: `bucket` and `prefix` say the rest");
            None
        }
    }
}

/// Folders within the bucket.
fn prefix(table: &mut Table<'_>) -> String {
    let Some(text) = table.text("prefix") else { return String::new() };
    let inner = text.trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let fits = inner.len() <= 200
        && inner
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain));
    if !fits {
        table.wrong("prefix", format!("is {text:?}; wanted one like \"nation/cold/\": letters, digits, `-`, `_` and `.` between slashes"));
    }
    format!("{inner}/")
}
