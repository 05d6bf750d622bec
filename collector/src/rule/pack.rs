//! Packs of rules that others publish: a folder is copied below the folder of rules under its name, with its version, its licence and a note of
//! where it came from. A rule that is wrong is left out alone. Whoever reads the folder meanwhile sees the pack of before or the new one, whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use vonggac_wire::Time;

use super::{
    RuleError, RuleSet,
    folder::{FILE_BYTES_MAX, FOLDERS_DEEP_MAX},
};

/// The note in each pack.
const NOTE: &str = "pack.json";

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 64;

/// Bytes of a licence.
const LICENCE_BYTES_MAX: u64 = 1 << 20;

/// Files of a pack: all that is published are some thousand.
const FILES_MAX: usize = 10_000;

/// How files begin that say under which terms rules may be used.
const LICENCES: [&str; 4] = ["license", "licence", "copying", "notice"];

/// Why a pack is not as it was wanted.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The rules.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The disk.
    #[error("{doing} {path}: {source}", path = .path.display())]
    Disk {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The name cannot be a folder's.
    #[error(
        "name the pack {0:?}: wanted are small letters, digits, `-`, `_` and `.`, up to {NAME_BYTES_MAX}; give another by --name"
    )]
    Name(String),
    /// Nothing says under which terms it may be used.
    #[error("find the licence of the rules in {path}: a file LICENSE, COPYING or NOTICE; name one by --licence", path = .0.display())]
    NoLicence(PathBuf),
    /// No rule of it is right.
    #[error("add the rules in {path}: none is right", path = .0.display())]
    Empty(PathBuf),
    /// There is none of that name.
    #[error("find the pack {0:?}; see `rules packs`")]
    Unknown(String),
}

fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PackError {
    let path = path.to_owned();
    move |source| PackError::Disk { doing, path, source }
}

/// What is known of a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// Its name, which is its folder's.
    pub name: String,
    /// The version, as its publisher calls it.
    pub version: String,
    /// Where it was copied from.
    pub source: String,
    /// When.
    pub added: String,
    /// Rules that were taken.
    pub rules: usize,
    /// Files with its terms.
    pub licences: Vec<String>,
}

/// What is to be added.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The folder.
    pub source: PathBuf,
    /// The name; `None`: the folder's own.
    pub name: Option<String>,
    /// The version.
    pub version: String,
    /// A file with the terms, where the folder has none.
    pub licence: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug)]
pub struct Added {
    /// The pack.
    pub pack: Pack,
    /// What was left out, each with file and line.
    pub refused: Vec<RuleError>,
}

/// Copies a pack below the folder of rules, in the place of one of the same name.
///
/// # Errors
/// If it has no name, no terms or no rule, or the disk refuses.
pub fn add(root: &Path, wanted: &Wanted, now: Time) -> Result<Added, PackError> {
    let name = named(wanted)?;
    let licences = licences(wanted)?;
    let (files, refused, rules) = right_files(root, &name, &wanted.source)?;
    if rules == 0 {
        return Err(PackError::Empty(wanted.source.clone()));
    }
    let (fresh, home) = (root.join(format!(".{name}.new")), root.join(&name));
    clear(&fresh)?;
    fs::create_dir_all(&fresh).map_err(disk("make the folder", &fresh))?;
    for file in &files {
        let within = file.strip_prefix(&wanted.source).unwrap_or(file);
        copy(file, &fresh.join(within))?;
    }
    let mut kept = Vec::new();
    for file in &licences {
        let own = file.file_name().unwrap_or_default();
        copy(file, &fresh.join(own))?;
        kept.push(own.to_string_lossy().into_owned());
    }
    let pack = Pack {
        name,
        version: wanted.version.clone(),
        source: wanted.source.display().to_string(),
        added: now.to_string(),
        rules,
        licences: kept,
    };
    let note = serde_json::to_vec_pretty(&pack).unwrap_or_default();
    fs::write(fresh.join(NOTE), note).map_err(disk("write", &fresh.join(NOTE)))?;
    let before = root.join(format!(".{}.old", pack.name));
    clear(&before)?;
    if home.exists() {
        fs::rename(&home, &before).map_err(disk("put aside", &home))?;
    }
    fs::rename(&fresh, &home).map_err(disk("put in its place", &fresh))?;
    clear(&before)?;
    Ok(Added { pack, refused })
}

/// The packs below the folder of rules, by name.
///
/// # Errors
/// If it cannot be read.
pub fn list(root: &Path) -> Result<Vec<Pack>, PackError> {
    let mut packs = Vec::new();
    for entry in fs::read_dir(root).map_err(disk("read the folder", root))?.flatten() {
        let note = fs::read(entry.path().join(NOTE)).ok();
        let pack = note.and_then(|note| serde_json::from_slice::<Pack>(&note).ok());
        // One that is on its way has another name.
        packs.extend(pack.filter(|pack| entry.file_name() == pack.name.as_str()));
    }
    packs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(packs)
}

/// Takes a pack away.
///
/// # Errors
/// If there is none, or the disk refuses.
pub fn remove(root: &Path, name: &str) -> Result<Pack, PackError> {
    let known = list(root)?.into_iter().find(|pack| pack.name == name);
    let pack = known.ok_or_else(|| PackError::Unknown(name.to_owned()))?;
    let (home, gone) = (root.join(name), root.join(format!(".{name}.old")));
    clear(&gone)?;
    fs::rename(&home, &gone).map_err(disk("put aside", &home))?;
    clear(&gone)?;
    Ok(pack)
}

fn named(wanted: &Wanted) -> Result<String, PackError> {
    let own = || wanted.source.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let name = wanted.name.clone().or_else(own).unwrap_or_default();
    let plain = |letter: char| {
        letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '-' | '_' | '.')
    };
    let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.starts_with('.');
    if fits && name.chars().all(plain) { Ok(name) } else { Err(PackError::Name(name)) }
}

/// Files that say under which terms: the one that was named, else those of the folder itself, else those beside it.
fn licences(wanted: &Wanted) -> Result<Vec<PathBuf>, PackError> {
    if let Some(file) = &wanted.licence {
        return Ok(vec![file.clone()]);
    }
    let beside = wanted.source.canonicalize().ok().and_then(|at| at.parent().map(Path::to_owned));
    let folders = [Some(wanted.source.clone()), beside];
    let found = folders.into_iter().flatten().map(|folder| {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        let mut files: Vec<PathBuf> =
            entries.map(|entry| entry.path()).filter(|path| is_licence(path)).collect();
        files.sort();
        files
    });
    let mut found = found.filter(|files| !files.is_empty());
    found.next().ok_or_else(|| PackError::NoLicence(wanted.source.clone()))
}

fn is_licence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    LICENCES.iter().any(|begin| name.starts_with(begin))
        && fs::metadata(path).is_ok_and(|data| data.is_file() && data.len() <= LICENCE_BYTES_MAX)
}

/// The files that are right beside our own rules and the other packs, what was left out, and how many rules there are.
fn right_files(
    root: &Path,
    name: &str,
    source: &Path,
) -> Result<(Vec<PathBuf>, Vec<RuleError>, usize), PackError> {
    let mut rules = RuleSet::builtin()?;
    for pack in fs::read_dir(root).map_err(disk("read the folder", root))?.flatten() {
        let path = pack.path();
        if path.is_dir() && pack.file_name() != name && !crate::settling::is_hidden(&path) {
            rules.add_folder(&path)?;
        }
    }
    let before = rules.rules().len();
    let refused = rules.add_folder(source)?;
    let names: Vec<String> = refused.iter().map(RuleError::to_string).collect();
    let mut files = Vec::new();
    walk(source, 0, &mut files)?;
    // A refusal begins with its file, and a file is one whole.
    files.retain(|file| {
        let told = file.display().to_string();
        !names.iter().any(|refused| refused.contains(&told))
    });
    Ok((files, refused, rules.rules().len() - before))
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), PackError> {
    let entries = fs::read_dir(folder).map_err(disk("read the folder", folder))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            if depth < FOLDERS_DEEP_MAX && !crate::settling::is_hidden(&path) {
                walk(&path, depth + 1, files)?;
            }
        } else if files.len() < FILES_MAX
            && path.extension().is_some_and(|end| end == "yml" || end == "yaml")
            && fs::metadata(&path).is_ok_and(|data| data.len() <= FILE_BYTES_MAX)
        {
            files.push(path);
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), PackError> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(disk("make the folder", folder))?;
    }
    fs::copy(from, to).map_err(disk("copy", from))?;
    Ok(())
}

/// Takes away what an earlier command left.
fn clear(folder: &Path) -> Result<(), PackError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(disk("take away", folder)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_seconds(1_764_000_000);

    fn rule(name: &str) -> String {
        format!(
            "title: {name}\nlogsource: {{product: linux}}\ndetection: {{sel: {{Image: /bin/{name}}}, condition: sel}}\n"
        )
    }

    struct Place {
        root: tempfile::TempDir,
        source: tempfile::TempDir,
    }

    impl Place {
        fn of(files: &[(&str, &str)]) -> Self {
            let place =
                Self { root: tempfile::tempdir().unwrap(), source: tempfile::tempdir().unwrap() };
            for (name, text) in files {
                let path = place.pack().join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            place
        }

        fn pack(&self) -> PathBuf {
            self.source.path().join("Others")
        }

        fn add(&self, version: &str) -> Result<Added, PackError> {
            let wanted =
                Wanted { source: self.pack(), name: None, version: version.into(), licence: None };
            add(self.root.path(), &wanted, NOW)
        }

        fn in_force(&self) -> Vec<String> {
            let mut rules = RuleSet::default();
            assert!(rules.add_folder(self.root.path()).unwrap().is_empty());
            rules.rules().iter().map(|rule| rule.meta.rule.to_string()).collect()
        }
    }

    #[test]
    fn a_pack_is_copied_with_version_and_licence_and_what_is_wrong_is_left_out_alone() {
        let place = Place::of(&[
            ("linux/a.yml", &rule("one")),
            ("linux/b.yml", "title: ["),
            (
                "c.yml",
                "title: Two\nlogsource: {product: linux}\ndetection: {sel: {Image: '*'}, condition: sel or not sel}\n",
            ),
            ("readme.md", "no rule"),
            ("LICENSE", "terms"),
        ]);
        let added = place.add("2026-11").unwrap();
        let told: Vec<String> = added.refused.iter().map(ToString::to_string).collect();
        assert!(told.len() == 2 && told.iter().any(|told| told.contains("c.yml:")), "{told:?}");
        assert_eq!(place.in_force(), ["one"]);
        assert_eq!(list(place.root.path()).unwrap(), std::slice::from_ref(&added.pack));
        assert_eq!((added.pack.name.as_str(), added.pack.rules), ("others", 1));
        let home = place.root.path().join("others");
        assert_eq!(fs::read_to_string(home.join("LICENSE")).unwrap(), "terms");
        assert!(!home.join("linux/b.yml").exists() && !home.join("readme.md").exists());
        // A newer version takes its place, and nothing of the one before is left.
        fs::write(place.pack().join("linux/a.yml"), rule("three")).unwrap();
        assert_eq!(place.add("2026-12").unwrap().pack.version, "2026-12");
        assert_eq!(place.in_force(), ["three"]);
        assert_eq!(fs::read_dir(place.root.path()).unwrap().count(), 1);
        remove(place.root.path(), "others").unwrap();
        assert!(place.in_force().is_empty() && list(place.root.path()).unwrap().is_empty());
        assert!(matches!(remove(place.root.path(), "others"), Err(PackError::Unknown(_))));
    }

    #[test]
    fn what_has_no_terms_no_rule_or_no_name_changes_nothing() {
        let none = Place::of(&[("a.yml", &rule("one"))]);
        assert!(matches!(none.add("1"), Err(PackError::NoLicence(_))));
        let broken = Place::of(&[("a.yml", "title: ["), ("COPYING", "terms")]);
        assert!(matches!(broken.add("1"), Err(PackError::Empty(_))));
        let well = Place::of(&[("a.yml", &rule("one")), ("COPYING", "terms")]);
        for name in ["", "..", "a/b", "Ä", ".hidden"] {
            let wanted = Wanted {
                source: well.pack(),
                name: Some(name.into()),
                version: "1".into(),
                licence: None,
            };
            assert!(
                matches!(add(well.root.path(), &wanted, NOW), Err(PackError::Name(_))),
                "{name}"
            );
        }
        for place in [none, broken, well] {
            assert_eq!(fs::read_dir(place.root.path()).unwrap().count(), 0);
        }
    }
}
