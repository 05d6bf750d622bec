//! rpm, through its own program, which knows all forms of its database.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::{Package, Sum, Word};
use crate::source::program;

/// Where a database is, if there is one.
const DATABASES: [&str; 6] = [
    "var/lib/rpm/rpmdb.sqlite",
    "var/lib/rpm/Packages",
    "var/lib/rpm/Packages.db",
    "usr/lib/sysimage/rpm/rpmdb.sqlite",
    "usr/lib/sysimage/rpm/Packages",
    "usr/lib/sysimage/rpm/Packages.db",
];

/// One line for each file of the packages.
const FORMAT: &str =
    "[%{=NAME}\\t%{=EVR}\\t%{FILENAMES}\\t%{FILEDIGESTS}\\t%{=FILEDIGESTALGO}\\t%{FILEFLAGS}\\n]";

/// Files that are asked for at once: a command's line has an end.
const FILES_MAX: usize = 200;

/// Bytes of an answer: the lists of the largest packages.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// PGPHASHALGO_SHA256 of rpm.
const SHA256: &str = "8";

/// RPMFILE_CONFIG of rpm.
const CONFIG: u32 = 1;

/// Whether the host whose files are below `root` has a database.
pub(in crate::source) fn is_there(root: &Path) -> bool {
    DATABASES.iter().any(|database| root.join(database).exists())
}

/// Its word on those of the files that it has; `None`: there is no rpm here.
pub(super) fn ask(root: &Path, names: &[PathBuf]) -> Option<HashMap<PathBuf, Word>> {
    if !is_there(root) {
        return None;
    }
    let root = root.to_string_lossy();
    let mut words = HashMap::new();
    for names in names.chunks(FILES_MAX) {
        let texts: Vec<&str> = names.iter().filter_map(|name| name.to_str()).collect();
        let mut arguments = vec!["--root", root.as_ref(), "-qf", "--qf", FORMAT, "--"];
        arguments.extend(texts);
        match program::ask("rpm", &arguments, ANSWER_BYTES_MAX) {
            Ok(answer) => words.extend(read(&answer, names)),
            Err(error) => {
                tracing::warn!(error, "packages cannot be asked for");
                return None;
            }
        }
    }
    Some(words)
}

/// What rpm printed of these files.
fn read(answer: &str, names: &[PathBuf]) -> HashMap<PathBuf, Word> {
    let mut words = HashMap::new();
    for line in answer.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, version, path, sum, algorithm, flags] = fields[..] else { continue };
        let Some(path) = names.iter().find(|name| name.as_path() == Path::new(path)) else {
            continue;
        };
        let sum = match algorithm {
            _ if sum.is_empty() || sum == "(none)" => None,
            SHA256 => Some(Sum::Sha256(sum.to_owned())),
            // Before it was written down, it was always this one.
            "1" | "(none)" => Some(Sum::Md5(sum.to_owned())),
            _ => None,
        };
        let package = Package { name: name.to_owned(), version: version.to_owned() };
        let configuration = flags.parse::<u32>().is_ok_and(|flags| flags & CONFIG != 0);
        words.insert(path.clone(), Word { package, sum, configuration });
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rpm_prints_is_read() {
        let answer = "bash\t5.1-2.el9\t/usr/bin/bash\tabcd\t8\t0\nbash\t5.1-2.el9\t/etc/skel/.bashrc\tef01\t8\t17\nold\t1-1\t/usr/bin/old\t2345\t(none)\t0\nfile /usr/bin/x is not owned by any package\n";
        let names: Vec<PathBuf> =
            ["/usr/bin/bash", "/etc/skel/.bashrc", "/usr/bin/old", "/usr/bin/x"]
                .iter()
                .map(PathBuf::from)
                .collect();
        let words = read(answer, &names);
        assert_eq!(words.len(), 3);
        let word = &words[Path::new("/usr/bin/bash")];
        assert_eq!(word.sum, Some(Sum::Sha256("abcd".into())));
        assert_eq!(
            (word.package.name.as_str(), word.package.version.as_str()),
            ("bash", "5.1-2.el9")
        );
        assert!(words[Path::new("/etc/skel/.bashrc")].configuration && !word.configuration);
        assert_eq!(words[Path::new("/usr/bin/old")].sum, Some(Sum::Md5("2345".into())));
    }

    #[test]
    fn a_host_without_a_database_is_not_asked() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ask(dir.path(), &["/usr/bin/x".into()]), None);
    }
}
