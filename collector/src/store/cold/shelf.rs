//! Where cold files lie: a folder, or a bucket. Both are put to whole or not at all, and both are read by the engine itself.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use clickhouse::Client;

use super::{ColdError, bucket::Objects, disk, write_whole};
use crate::retention::{
    ColdPlace,
    place::{Bucket, Folder},
    quoted,
};

/// By these names the engine is given the key of a bucket: as values beside the question, so that they are in no text.
const KEY_ID: &str = "cold_key_id";
const SECRET: &str = "cold_secret";

/// How the engine's own waits for an object store end: each request, and all tries of one, well within what a search may take.
const ENGINE_BOUNDS: [(&str, &str); 3] = [
    ("s3_connect_timeout_ms", "5000"),
    ("s3_request_timeout_ms", "10000"),
    ("s3_retry_attempts", "3"),
];

/// The shelf. Cloning shares its connections.
#[derive(Clone, Debug)]
pub struct Shelf {
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Folder(Folder),
    Bucket(Objects),
}

/// BLAKE3 of what lies in a folder.
fn hash_of(path: &Path) -> Result<String, ColdError> {
    let mut hash = blake3::Hasher::new();
    let mut read = || -> io::Result<()> {
        io::copy(&mut fs::File::open(path)?, &mut hash)?;
        Ok(())
    };
    read().map_err(disk("read back", path))?;
    Ok(hash.finalize().to_hex().to_string())
}

async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ColdError> + Send + 'static,
) -> Result<T, ColdError> {
    tokio::task::spawn_blocking(work).await?
}

impl Shelf {
    /// A shelf at a place; nothing is touched yet.
    #[must_use]
    pub fn new(place: ColdPlace) -> Self {
        Self {
            place: match place {
                ColdPlace::Folder(folder) => Place::Folder(folder),
                ColdPlace::Bucket(bucket) => Place::Bucket(Objects::new(bucket)),
            },
        }
    }

    /// The name of a file: agency, day, set and what is in it, so that later rows of the same day get another.
    ///
    /// # Errors
    /// If the agency or the set is no name of a folder.
    pub fn name(agency: &str, day: &str, set: &str, blake3: &str) -> Result<String, ColdError> {
        for part in [agency, set] {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if part.is_empty() || part.starts_with('.') || !part.chars().all(plain) {
                return Err(ColdError::Name(part.to_owned()));
            }
        }
        let short = blake3.get(..24).unwrap_or(blake3);
        Ok(format!("{agency}/{day}/{set}-{short}.parquet"))
    }

    /// Writes a file and reads it back.
    ///
    /// # Errors
    /// If the place refuses, or gives back something else.
    pub async fn put(&self, name: &str, bytes: Bytes, blake3: &str) -> Result<(), ColdError> {
        match &self.place {
            Place::Folder(folder) => {
                let path = folder.dir.join(name);
                beside(move || write_whole(&path, &bytes)).await?;
            }
            Place::Bucket(objects) => objects.put(name, bytes).await?,
        }
        let found = self.hash(name).await?;
        if found == blake3 {
            Ok(())
        } else {
            Err(ColdError::Differs {
                path: name.into(),
                found: format!("its BLAKE3 is {found}, written was {blake3}"),
            })
        }
    }

    /// BLAKE3 of a file as it lies there.
    ///
    /// # Errors
    /// If it cannot be read.
    pub async fn hash(&self, name: &str) -> Result<String, ColdError> {
        match &self.place {
            Place::Folder(folder) => {
                let path = folder.dir.join(name);
                beside(move || hash_of(&path)).await
            }
            Place::Bucket(objects) => objects.hash(name).await,
        }
    }

    /// Whether a file is there, as it should be.
    ///
    /// # Errors
    /// If that cannot be known.
    pub async fn has(&self, name: &str, blake3: &str) -> Result<bool, ColdError> {
        let is_there = match &self.place {
            Place::Folder(folder) => folder.dir.join(name).exists(),
            Place::Bucket(objects) => objects.has(name).await?,
        };
        Ok(is_there && self.hash(name).await? == blake3)
    }

    /// Copies a file to a path; whoever asks compares it.
    ///
    /// # Errors
    /// If it cannot be read, or the disk refuses.
    pub async fn copy(&self, name: &str, to: PathBuf) -> Result<(), ColdError> {
        match &self.place {
            Place::Folder(folder) => {
                let from = folder.dir.join(name);
                beside(move || {
                    fs::copy(&from, &to).map_err(disk("copy a cold file to", &to))?;
                    let synced = || fs::File::open(&to)?.sync_all();
                    synced().map_err(disk("write", &to))
                })
                .await
            }
            Place::Bucket(objects) => {
                let bytes = objects.get(name).await?;
                beside(move || write_whole(&to, &bytes)).await
            }
        }
    }

    /// Takes a file away; one that is gone is no error.
    ///
    /// # Errors
    /// If the place refuses.
    pub async fn remove(&self, name: &str) -> Result<(), ColdError> {
        match &self.place {
            Place::Folder(folder) => {
                let path = folder.dir.join(name);
                beside(move || match fs::remove_file(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        Err(ColdError::Disk { doing: "delete", path, source })
                    }
                    _ => Ok(()),
                })
                .await
            }
            Place::Bucket(objects) => objects.remove(name).await,
        }
    }

    /// Whether the place answers. A folder that is not there yet is made with its first file.
    ///
    /// # Errors
    /// What it says instead.
    pub async fn answers(&self) -> Result<(), ColdError> {
        match &self.place {
            Place::Folder(folder) => {
                let dir = folder.dir.clone();
                beside(move || match fs::read_dir(&dir) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => {
                        Err(ColdError::Disk { doing: "read the folder", path: dir, source })
                    }
                    _ => Ok(()),
                })
                .await
            }
            Place::Bucket(objects) => objects.answers().await,
        }
    }

    /// Whether the files take the place of `other`'s disk.
    #[must_use]
    pub fn is_beside(&self, other: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
        match &self.place {
            Place::Folder(folder) => {
                device(&folder.dir).is_some() && device(&folder.dir) == device(other)
            }
            Place::Bucket(_) => false,
        }
    }

    /// Files as the engine reads them; the client has to be one that [may read](Self::may_read) them.
    #[must_use]
    pub fn source(&self, names: &[String], structure: &str) -> String {
        let names = match names {
            [one] => one.clone(),
            more => format!("{{{}}}", more.join(",")),
        };
        let structure = quoted(structure);
        match &self.place {
            Place::Folder(folder) => {
                format!("file({}, 'Parquet', {structure})", quoted(&(base(folder) + &names)))
            }
            Place::Bucket(objects) => {
                format!("s3({}, 'Parquet', {structure})", keyed(objects.place(), &names))
            }
        }
    }

    /// The engine of a table over all files.
    pub(super) fn table(&self) -> String {
        const ALL: &str = "*/*/*.parquet";
        match &self.place {
            Place::Folder(folder) => {
                format!("File(Parquet, {})", quoted(&(base(folder) + ALL)))
            }
            Place::Bucket(objects) => format!("S3({}, 'Parquet')", keyed(objects.place(), ALL)),
        }
    }

    /// What stands before a file's name in the engine's `_path`.
    pub(super) fn path(&self) -> String {
        match &self.place {
            Place::Folder(folder) => base(folder),
            Place::Bucket(objects) => {
                let Bucket { name, prefix, .. } = objects.place();
                format!("{name}/{prefix}")
            }
        }
    }

    /// The same client with what the engine needs to read files. Whoever writes SQL of their own never has one with a bucket's key.
    #[must_use]
    pub fn may_read(&self, client: Client) -> Client {
        let client = self.bounded(client);
        match &self.place {
            Place::Folder(_) => client,
            Place::Bucket(objects) => {
                let Bucket { key_id, secret, .. } = objects.place();
                [(KEY_ID, key_id), (SECRET, secret)].into_iter().fold(
                    client,
                    |client, (name, value)| {
                        // As the engine reads values: a backslash begins an escape.
                        let value = value.reveal().replace('\\', "\\\\");
                        client.with_setting(format!("param_{name}"), value)
                    },
                )
            }
        }
    }

    /// The same client, of which no question waits for an object store without an end.
    #[must_use]
    pub fn bounded(&self, client: Client) -> Client {
        match &self.place {
            Place::Folder(_) => client,
            Place::Bucket(_) => ENGINE_BOUNDS
                .into_iter()
                .fold(client, |client, (name, value)| client.with_setting(name, value)),
        }
    }
}

/// The folder as the engine reaches it, with its last slash.
fn base(folder: &Folder) -> String {
    format!("{}/", folder.engine_dir.display().to_string().trim_end_matches('/'))
}

/// Address and key of what is asked of a bucket; the values of the key come beside the question.
fn keyed(place: &Bucket, names: &str) -> String {
    let Bucket { endpoint, name, prefix, .. } = place;
    let url = quoted(&format!("{endpoint}/{name}/{prefix}{names}"));
    format!("{url}, {{{KEY_ID}:String}}, {{{SECRET}:String}}")
}

#[cfg(test)]
mod tests {
    use vonggac_daemon::secret::Secret;

    use super::*;

    fn folder(dir: &Path) -> Shelf {
        Shelf::new(ColdPlace::Folder(Folder { dir: dir.into(), engine_dir: dir.into() }))
    }

    fn bucket() -> Shelf {
        Shelf::new(ColdPlace::Bucket(Bucket {
            endpoint: "https://s3.example.vn".into(),
            region: "us-east-1".into(),
            name: "cold".into(),
            prefix: "nation/".into(),
            key_id: Secret::new("KEYID".into()),
            secret: Secret::new("hunter2".into()),
            authorities: None,
        }))
    }

    #[tokio::test]
    async fn a_file_is_there_whole_and_gone_without_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        let shelf = folder(dir.path());
        let hash = blake3::hash(b"rows").to_hex().to_string();
        let name = Shelf::name("H49", "2026-01-02", "security", &hash).unwrap();
        assert!(!shelf.has(&name, &hash).await.unwrap());
        shelf.put(&name, Bytes::from_static(b"rows"), &hash).await.unwrap();
        assert!(shelf.has(&name, &hash).await.unwrap());
        assert_eq!(fs::read(dir.path().join(&name)).unwrap(), b"rows");
        assert_eq!(fs::read_dir(dir.path().join("H49/2026-01-02")).unwrap().count(), 1);
        let other = shelf.put(&name, Bytes::from_static(b"other"), &hash).await;
        assert!(matches!(other, Err(ColdError::Differs { .. })));
        shelf.remove(&name).await.unwrap();
        shelf.remove(&name).await.unwrap();
        let gone = shelf.hash(&name).await.unwrap_err();
        assert!(gone.to_string().starts_with("read back /"));
    }

    #[test]
    fn names_do_not_leave_the_folder() {
        for wrong in ["..", "a/b", "", ".hidden", "a,b", "a{b"] {
            assert!(
                matches!(Shelf::name(wrong, "2026-01-02", "usage", "00"), Err(ColdError::Name(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_engine_is_asked_for_the_files_by_its_own_path() {
        let place = Folder { dir: "/a".into(), engine_dir: "/user files/b'c/".into() };
        assert_eq!(
            Shelf::new(ColdPlace::Folder(place))
                .source(&["H49/x".into(), "H49/y".into()], "`a` String"),
            "file('/user files/b\\'c/{H49/x,H49/y}', 'Parquet', '`a` String')"
        );
    }

    #[test]
    fn a_buckets_key_stands_in_no_text() {
        let shelf = bucket();
        assert_eq!(
            shelf.source(&["H49/x".into()], "`a` String"),
            "s3('https://s3.example.vn/cold/nation/H49/x', {cold_key_id:String}, {cold_secret:String}, 'Parquet', '`a` String')"
        );
        assert!(shelf.table().ends_with("{cold_secret:String}, 'Parquet')"), "{}", shelf.table());
        assert_eq!(shelf.path(), "cold/nation/");
        let shown = format!("{shelf:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("KEYID"), "{shown}");
    }
}
