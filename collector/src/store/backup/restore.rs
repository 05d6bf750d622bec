//! A store from a backup: everything is looked at before anything is touched, and progress comes last.

use std::{
    fs,
    io::Read,
    path::{Component, Path},
};

use bytes::Bytes;

use super::{
    BackupError, FORMAT, FileEntry, MANIFEST, Manifest, TABLES, TableEntry, disk, hash_of, sums,
};
use crate::store::{
    ProgressRow, Store, StoreError, cold::Columns, migrate, retention::lease::Lease,
};

/// Bytes that a packed file may unpack to: more than any that was written.
const UNPACKED_BYTES_MAX: u64 = 1 << 30;

impl Manifest {
    /// Reads a backup's manifest, and every file of it against its checksum.
    ///
    /// # Errors
    /// If it is no whole backup, or was made by a newer program.
    pub fn read(folder: &Path) -> Result<Self, BackupError> {
        let damaged = |found: String| BackupError::Damaged { folder: folder.to_owned(), found };
        let path = folder.join(MANIFEST);
        let text = fs::read(&path).map_err(disk("read", &path))?;
        let manifest: Self = serde_json::from_slice(&text)
            .map_err(|error| damaged(format!("its manifest does not read: {error}")))?;
        if manifest.format > FORMAT {
            let found =
                format!("its form is {}, this program knows up to {FORMAT}", manifest.format);
            return Err(damaged(found));
        }
        let known = migrate::known();
        if manifest.schema > known {
            return Err(StoreError::Newer { found: manifest.schema, known }.into());
        }
        for file in manifest.files() {
            let inside =
                Path::new(&file.path).components().all(|part| matches!(part, Component::Normal(_)));
            if !inside {
                return Err(damaged(format!("{:?} leaves the folder", file.path)));
            }
            let found = hash_of(&folder.join(&file.path))?;
            if found != file.blake3 {
                return Err(damaged(format!(
                    "the BLAKE3 of {} is {found}, its manifest has {}",
                    file.path, file.blake3
                )));
            }
        }
        Ok(manifest)
    }

    fn files(&self) -> impl Iterator<Item = &FileEntry> {
        let tables = self.tables.iter().flat_map(|table| &table.files);
        tables.chain(&self.cold).chain([&self.progress_file])
    }
}

fn unpacked(folder: &Path, file: &FileEntry) -> Result<Vec<u8>, BackupError> {
    let path = folder.join(&file.path);
    let mut plain = Vec::new();
    let mut unpack = || -> std::io::Result<()> {
        let unpacked = zstd::stream::read::Decoder::new(fs::File::open(&path)?)?;
        unpacked.take(UNPACKED_BYTES_MAX).read_to_end(&mut plain)?;
        Ok(())
    };
    unpack().map_err(disk("unpack", &path))?;
    Ok(plain)
}

impl Store {
    /// Makes the store what the backup in `folder` with this manifest says. A store with rows is refused, unless it is to be `replace`d.
    ///
    /// # Errors
    /// If the backup is damaged, the store has rows or holds, or the engine refuses. A restore that broke off leaves a store without
    /// progress; it is done again with `replace`.
    pub async fn restore(
        &self,
        folder: &Path,
        manifest: &Manifest,
        replace: bool,
        who: &str,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<(), BackupError> {
        if !manifest.cold.is_empty() && self.shelf.is_none() {
            return Err(BackupError::NoShelf(manifest.cold.len()));
        }
        migrate::run(self).await?;
        let rows = self.rows_at_all().await?;
        if rows > 0 {
            if !replace {
                return Err(BackupError::Full(rows));
            }
            let holds = self.holds().await?.into_iter().filter(|hold| hold.lifted.is_none());
            let holds: Vec<String> = holds.map(|hold| hold.placed.hold).collect();
            if !holds.is_empty() {
                return Err(BackupError::Held(holds));
            }
            let lease = Lease::take(self, "restore", who).await?;
            let text = self.layout().drop_database(&self.database);
            self.client.query_raw(&text).execute().await?;
            drop(lease);
            migrate::run(self).await?;
        }
        let lease = Lease::take(self, "restore", who).await?;
        for table in &manifest.tables {
            self.restore_table(folder, table, &lease, tell).await?;
        }
        for file in &manifest.cold {
            lease.beat().await?;
            self.restore_cold(folder, file).await?;
        }
        if let Some(shelf) = &self.shelf {
            self.show_cold(shelf).await?;
        }
        // Last: without progress a collector takes nothing for stored.
        let progress: Vec<ProgressRow> =
            serde_json::from_slice(&unpacked(folder, &manifest.progress_file)?)
                .map_err(StoreError::from)?;
        if !progress.is_empty() {
            let mut insert = self.client().insert::<ProgressRow>("progress").await?;
            for row in &progress {
                insert.write(row).await?;
            }
            insert.end().await?;
        }
        Ok(lease.end().await?)
    }

    /// Rows of all tables that a backup has.
    async fn rows_at_all(&self) -> Result<u64, StoreError> {
        let mut all = 0;
        let others = ["events", sums::TABLE, "progress"];
        for table in TABLES.iter().map(|(table, _)| *table).chain(others) {
            let rows: u64 = self
                .client()
                .query_raw(&format!("SELECT count() FROM {table}"))
                .fetch_one()
                .await?;
            all += rows;
        }
        Ok(all)
    }

    async fn restore_table(
        &self,
        folder: &Path,
        table: &TableEntry,
        lease: &Lease,
        tell: &(dyn Fn(&str) + Sync),
    ) -> Result<(), BackupError> {
        let known = TABLES.iter().find(|(name, _)| *name == table.table);
        if known.is_none() && !["events", sums::TABLE].contains(&table.table.as_str()) {
            let found =
                format!("it has a table {:?}, which this program does not know", table.table);
            return Err(BackupError::Damaged { folder: folder.to_owned(), found });
        }
        for (index, file) in table.files.iter().enumerate() {
            lease.beat().await?;
            let plain = unpacked(folder, file)?;
            let text = format!("INSERT INTO {} ({}) FORMAT Native", table.table, table.columns);
            let mut insert = self
                .client()
                .insert_formatted_with(text)
                .with_setting("insert_deduplication_token", format!("restore/{}", file.blake3));
            insert.send(Bytes::from(plain)).await?;
            insert.end().await?;
            tell(&format!("{}: {} of {} files", table.table, index + 1, table.files.len()));
        }
        let source = match known {
            Some((name, true)) => format!("{name} FINAL"),
            None if table.table == sums::TABLE => format!("{} FINAL", sums::TABLE),
            _ => table.table.clone(),
        };
        // The columns of the copy, by the hash of the copy: later ones have their defaults.
        let columns =
            Columns { names: String::new(), structure: String::new(), hash: table.hash.clone() };
        let sum = self.sum_of_any(&source, "1", &columns).await?;
        if (sum.rows, sum.checksum) == (table.rows, table.checksum) {
            Ok(())
        } else {
            Err(BackupError::Differs {
                table: table.table.clone(),
                found: sum.rows,
                wanted: table.rows,
            })
        }
    }

    async fn restore_cold(&self, folder: &Path, file: &FileEntry) -> Result<(), BackupError> {
        let Some(shelf) = &self.shelf else { return Ok(()) };
        let name = file.path.strip_prefix("cold/").unwrap_or(&file.path);
        if shelf.has(name, &file.blake3).await? {
            return Ok(());
        }
        let path = folder.join(&file.path);
        let bytes = fs::read(&path).map_err(disk("read", &path))?;
        Ok(shelf.put(name, bytes.into(), &file.blake3).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(path: &str, blake3: &str) -> Manifest {
        let file = |path: &str, blake3: &str| FileEntry {
            path: path.into(),
            rows: 1,
            bytes: 1,
            blake3: blake3.into(),
        };
        Manifest {
            format: 1,
            program: String::new(),
            schema: 1,
            begun: String::new(),
            ended: String::new(),
            progress: Vec::new(),
            progress_file: file("p", blake3),
            tables: Vec::new(),
            cold: vec![file(path, blake3)],
        }
    }

    fn read(folder: &Path, manifest: &Manifest) -> String {
        fs::write(folder.join(MANIFEST), serde_json::to_vec(manifest).unwrap()).unwrap();
        Manifest::read(folder).map_or_else(|error| error.to_string(), |_| "whole".into())
    }

    #[test]
    fn a_backup_is_whole_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(Manifest::read(folder).unwrap_err().to_string().starts_with("read /"));
        for name in ["p", "c"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        let hash = blake3::hash(b"x").to_hex().to_string();
        assert_eq!(read(folder, &manifest("c", &hash)), "whole");
        assert!(read(folder, &manifest("../c", &hash)).contains("leaves the folder"));
        assert!(read(folder, &manifest("/c", &hash)).contains("leaves the folder"));
        assert!(read(folder, &manifest("gone", &hash)).contains("gone"));
        let newer = Manifest { schema: 10_000, ..manifest("c", &hash) };
        assert!(read(folder, &newer).contains("update the collector"));
        fs::write(folder.join("c"), "y").unwrap();
        assert!(read(folder, &manifest("c", &hash)).contains("the BLAKE3 of c is"));
        fs::write(folder.join(MANIFEST), "{").unwrap();
        assert!(Manifest::read(folder).unwrap_err().to_string().contains("does not read"));
    }
}
