//! Which paths are watched.

use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

/// Where the kernel's own folders are mounted: nothing there is a file of somebody.
const NEVER: [&str; 4] = ["/proc", "/sys", "/dev", "/run"];

/// Paths that one pattern may mean; homes of a large school are fewer.
const PATTERN_PATHS_MAX: usize = 20_000;

/// A star does not mean a folder's separator, and does mean names that begin with a dot.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// What is watched and what is left out.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    texts: Vec<String>,
    paths: Vec<Pattern>,
    /// With whether it is of a name alone.
    exclude: Vec<(Pattern, bool)>,
    /// Never looked at: the agent's own folder, which changes with every look.
    own: PathBuf,
}

impl Scope {
    /// Of these patterns; those that are none were told by the configuration and are left out.
    pub(super) fn new(paths: &[String], exclude: &[String], own: &Path) -> Self {
        let pattern = |text: &String| Pattern::new(text.trim_end_matches('/')).ok();
        Self {
            texts: paths.to_vec(),
            paths: paths.iter().filter_map(pattern).collect(),
            exclude: exclude
                .iter()
                .filter_map(|text| Some((pattern(text)?, !text.contains('/'))))
                .collect(),
            own: own.to_owned(),
        }
    }

    /// Whether the path is left out itself; what is below it is then never looked at.
    pub(super) fn leaves_out(&self, path: &Path) -> bool {
        let name = path.file_name().map(Path::new);
        path == self.own
            || NEVER.iter().any(|never| path == Path::new(never))
            || self.exclude.iter().any(|(pattern, of_name)| match (of_name, name) {
                (true, Some(name)) => pattern.matches_path_with(name, OPTIONS),
                (true, None) => false,
                (false, _) => pattern.matches_path_with(path, OPTIONS),
            })
    }

    /// Whether the path or a folder above it is watched, and none of them left out.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let within = path
            .ancestors()
            .any(|above| self.paths.iter().any(|p| p.matches_path_with(above, OPTIONS)));
        within && !path.ancestors().any(|above| self.leaves_out(above))
    }

    /// What the patterns mean now, in order, each below no other. A folder that is named by a whole path and is a link is
    /// looked at where it leads to, because web roots are often such; what a pattern finds is not, because anybody may
    /// have put it there.
    pub(super) fn roots(&self) -> Vec<PathBuf> {
        let mut roots = Vec::new();
        for text in &self.texts {
            let text = if text.len() > 1 { text.trim_end_matches('/') } else { text };
            if text.contains(['*', '?', '[']) {
                let found = glob::glob_with(text, OPTIONS).into_iter().flatten();
                roots.extend(found.filter_map(Result::ok).take(PATTERN_PATHS_MAX));
                continue;
            }
            let path = PathBuf::from(text);
            if std::fs::symlink_metadata(&path).is_ok_and(|data| data.is_symlink())
                && let Ok(target) = std::fs::canonicalize(&path)
                && target.is_dir()
            {
                roots.push(target);
            }
            roots.push(path);
        }
        roots.retain(|root| !root.ancestors().any(|above| self.leaves_out(above)));
        roots.sort();
        roots.dedup_by(|later, earlier| later.starts_with(earlier));
        roots
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(paths: &[&str], exclude: &[&str]) -> Scope {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Scope::new(&texts(paths), &texts(exclude), Path::new("/var/spool/own"))
    }

    #[test]
    fn a_path_is_covered_by_its_folders_and_left_out_by_any_of_them() {
        let scope = scope(&["/etc", "/home/*/.ssh", "/var"], &["*.swp", "/etc/cups"]);
        for (path, covered) in [
            ("/etc", true),
            ("/etc/ssh/sshd_config", true),
            ("/etcetera", false),
            ("/home/lan/.ssh/authorized_keys", true),
            ("/home/lan/x/.ssh", false),
            ("/etc/.hosts.swp", false),
            ("/etc/cups/printers.conf", false),
            ("/var/spool/own/baseline", false),
        ] {
            assert_eq!(scope.covers(Path::new(path)), covered, "{path}");
        }
    }

    #[test]
    fn a_named_folder_that_is_a_link_is_looked_at_where_it_leads_to_and_a_found_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let at = |name: &str| dir.join(name).display().to_string();
        std::fs::create_dir_all(dir.join("release/1")).unwrap();
        std::os::unix::fs::symlink("release/1", dir.join("current")).unwrap();
        let roots = scope(&[&at("current")], &[]).roots();
        assert_eq!(roots, [dir.join("current"), dir.join("release/1")]);
        assert_eq!(scope(&[&at("cur*")], &[]).roots(), [dir.join("current")]);
        assert_eq!(scope(&[&at("release/1"), &at("release")], &[]).roots(), [dir.join("release")]);
    }
}
