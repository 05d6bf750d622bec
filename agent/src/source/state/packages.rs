//! Packages that are installed.

use std::path::Path;

use super::item::{Items, fields};
use crate::source::{integrity::has_rpm, plain_file, program};

/// Bytes of a list of packages.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// What a list's text holds.
type Reads = fn(&str) -> Items;

/// The lists of package managers that keep one as a text, and who reads them.
const LISTS: [(&str, Reads); 2] =
    [("var/lib/dpkg/status", debian), ("lib/apk/db/installed", alpine)];

/// What is installed on the host whose files are below `root`.
pub(crate) fn collect(root: &Path) -> Result<Items, String> {
    let mut items = Items::new();
    for (list, read) in LISTS {
        let list = root.join(list);
        match plain_file::read_text(&list, LIST_BYTES_MAX) {
            Ok(text) => items.extend(read(&text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("failed to read {}: {error}", list.display())),
        }
    }
    if has_rpm(root) {
        let root = root.to_string_lossy();
        let format = "%{NAME}.%{ARCH}\\t%{EVR}\\n";
        let answer =
            program::ask("rpm", &["--root", root.as_ref(), "-qa", "--qf", format], LIST_BYTES_MAX)?;
        items.extend(red_hat(&answer));
    }
    Ok(items)
}

/// dpkg's `status`: those that are installed.
fn debian(status: &str) -> Items {
    let mut items = Items::new();
    for stanza in status.split("\n\n") {
        let field = |name: &str| {
            let mut lines = stanza.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap_or("")
        };
        let (name, version) = (field("Package"), field("Version"));
        if !name.is_empty() && field("Status").ends_with(" installed") {
            let key = match field("Multi-Arch") {
                "same" => format!("{name}:{}", field("Architecture")),
                _ => name.to_owned(),
            };
            items.insert(key, fields([("name", name), ("version", version)]));
        }
    }
    items
}

/// apk's `installed`: a letter, a colon, a value a line.
fn alpine(installed: &str) -> Items {
    let mut items = Items::new();
    for stanza in installed.split("\n\n") {
        let field =
            |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
        let (name, version) = (field("P:"), field("V:"));
        if !name.is_empty() {
            items.insert(name.to_owned(), fields([("name", name), ("version", version)]));
        }
    }
    items
}

/// What rpm prints. Several versions of one package (kernels) stand side by side.
fn red_hat(answer: &str) -> Items {
    let mut items = Items::new();
    for line in answer.lines() {
        let Some((key, version)) = line.split_once('\t') else { continue };
        let name = key.rsplit_once('.').map_or(key, |(name, _)| name);
        let key = if items.contains_key(key) { format!("{key} {version}") } else { key.to_owned() };
        items.insert(key, fields([("name", name), ("version", version)]));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_with_bytes_that_are_no_text_is_read_all_the_same() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/lib/dpkg")).unwrap();
        let status =
            b"Package: nginx\nMaintainer: J\xf3zef\nStatus: install ok installed\nVersion: 1\n";
        std::fs::write(root.path().join("var/lib/dpkg/status"), status).unwrap();
        assert_eq!(collect(root.path()).unwrap().keys().collect::<Vec<_>>(), ["nginx"]);
    }

    #[test]
    fn packages_that_are_installed_are_told_and_those_that_left_their_files_are_not() {
        let status = "Package: bash\nStatus: install ok installed\nVersion: 5.2-1\n\nPackage: old\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: libc6\nStatus: install ok installed\nMulti-Arch: same\nArchitecture: arm64\nVersion: 2\n";
        let items = debian(status);
        assert_eq!(items.keys().collect::<Vec<_>>(), ["bash", "libc6:arm64"]);
        assert_eq!(items["bash"]["version"], "5.2-1");
        let items =
            alpine("C:Q1x=\nP:musl\nV:1.2.5-r0\nF:lib\nR:x.so\n\nC:Q1y=\nP:nginx\nV:1.26\n");
        assert_eq!(items.keys().collect::<Vec<_>>(), ["musl", "nginx"]);
        assert_eq!(items["musl"]["version"], "1.2.5-r0");
        let items = red_hat("kernel.x86_64\t5.14-1\nkernel.x86_64\t5.14-2\nbash.x86_64\t5\n");
        assert_eq!(items.len(), 3);
        assert_eq!(items["kernel.x86_64 5.14-2"]["name"], "kernel");
    }
}
