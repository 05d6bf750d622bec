//! Which files a pattern means.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{content::is_packed, rotated};

/// Files that one pattern may open, far below any limit of open files.
pub(super) const FILES_MAX: usize = 1_024;

/// Paths that one pattern may match; the rest of a stranger folder is not even listed.
const PATHS_MAX: usize = 200_000;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) paths: Vec<PathBuf>,
    /// Files that match and are too many.
    pub(super) left_out: usize,
}

/// Matches the pattern. What a rotation has renamed belongs to the file that it was; of too many, those that changed last count.
pub(super) fn find(pattern: &str) -> Result<Found, glob::PatternError> {
    let mut paths: Vec<PathBuf> =
        glob::glob(pattern)?.filter_map(Result::ok).take(PATHS_MAX).collect();
    let mut left_out = 0;
    if paths.len() > FILES_MAX {
        left_out = paths.len() - FILES_MAX;
        paths.sort_by_cached_key(|path| std::cmp::Reverse(modified(path)));
        paths.truncate(FILES_MAX);
    }
    let mut stems: HashMap<PathBuf, Vec<PathBuf>> = HashMap::new();
    for path in &paths {
        stems.entry(path.with_extension("")).or_default().push(path.clone());
    }
    paths.retain(|path| !is_rotated(path, &stems));
    Ok(Found { paths, left_out })
}

fn modified(path: &Path) -> SystemTime {
    std::fs::metadata(path).and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// A compressed log is never one of its own; another only if the file that it was rotated from is not there.
fn is_rotated(path: &Path, stems: &HashMap<PathBuf, Vec<PathBuf>>) -> bool {
    if is_packed(path) {
        return true;
    }
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    // Where a rotation may have put its number, the name of the original's stem ends.
    let places = name.match_indices(['.', '-', '_']).map(|(at, _)| &name[..at]);
    places.filter(|stem| !stem.is_empty()).any(|stem| {
        let others = stems.get(&path.with_file_name(stem));
        others.is_some_and(|others| others.iter().any(|other| rotated::is_rotated(other, path)))
    })
}

/// The folder of a pattern, for notifications.
pub(super) fn folder(pattern: &str) -> PathBuf {
    let plain: PathBuf = Path::new(pattern)
        .components()
        .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']))
        .collect();
    if plain.is_dir() {
        plain
    } else {
        plain.parent().map_or_else(|| PathBuf::from("."), Path::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn rotated_and_compressed_files_belong_to_the_one_that_they_were() {
        let dir = tempfile::tempdir().unwrap();
        for name in
            ["a.log", "a.log.1", "a.log.2.gz", "c.log.1.xz", "b-2026-11-24.log", "a.log.old"]
        {
            fs::write(dir.path().join(name), "x\n").unwrap();
        }
        let found = find(&format!("{}/*", dir.path().display())).unwrap();
        let names: Vec<_> =
            found.paths.iter().map(|p| p.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.log", "b-2026-11-24.log"], "a dated log of its own is followed");
    }

    #[test]
    fn of_a_hundred_thousand_files_those_that_changed_last_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..100_000 {
            fs::File::create(dir.path().join(format!("x{n:06}.log"))).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(dir.path().join("x099999.log"), "new\n").unwrap();
        let begun = std::time::Instant::now();
        let found = find(&format!("{}/*.log", dir.path().display())).unwrap();
        assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
        assert_eq!((found.paths.len(), found.left_out), (FILES_MAX, 100_000 - FILES_MAX));
        assert!(found.paths[0].ends_with("x099999.log"));
    }
}
