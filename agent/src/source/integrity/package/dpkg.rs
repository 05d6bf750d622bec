//! dpkg's own files: `status`, `diversions`, and of each package its `list` and `md5sums`.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use super::{Package, Sum, Word};
use crate::source::plain_file;

/// Bytes of one of these files.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Packages of one host; the rest of a stranger folder is left alone.
const PACKAGES_MAX: usize = 20_000;

/// Its word on those of the files that it has; `None`: there is no dpkg here. Names are whole paths of the host.
pub(super) fn ask(root: &Path, names: &[PathBuf]) -> Option<HashMap<PathBuf, Word>> {
    let home = root.join("var/lib/dpkg");
    let status = plain_file::read_text(&home.join("status"), FILE_BYTES_MAX).ok()?;
    if status.is_empty() {
        return None;
    }
    let diversions = plain_file::read_text(&home.join("diversions"), FILE_BYTES_MAX);
    let asked: Vec<Asked> =
        names.iter().map(|name| Asked::of(name, diversions.as_deref().unwrap_or(""))).collect();
    let owners = owners(&home.join("info"), &asked);
    let wanted: HashSet<&str> = owners.iter().flatten().map(String::as_str).collect();
    let stanzas = stanzas(&status, &wanted);
    let mut words = HashMap::new();
    for ((name, asked), owner) in names.iter().zip(&asked).zip(&owners) {
        let Some(owner) = owner else { continue };
        let Some(stanza) = stanzas.get(owner.as_str()) else { continue };
        let conffile = stanza.conffiles.get(name.to_string_lossy().as_ref());
        let sum = match conffile {
            Some(sum) => Some((*sum).to_owned()),
            None => sum_of(&home.join("info").join(format!("{owner}.md5sums")), asked),
        };
        let package = stanza.package.clone();
        let word = Word { package, sum: sum.map(Sum::Md5), configuration: conffile.is_some() };
        words.insert(name.clone(), word);
    }
    Some(words)
}

/// A file under the names that dpkg may have for it.
struct Asked {
    names: Vec<String>,
    /// The package that diverted it, and whether the file is what it puts in the other's place.
    diverter: Option<(String, bool)>,
}

impl Asked {
    fn of(name: &Path, diversions: &str) -> Self {
        let name = name.to_string_lossy();
        let mut names = vec![name.as_ref().to_owned()];
        let mut diverter = None;
        let lines: Vec<&str> = diversions.lines().collect();
        for diversion in lines.chunks_exact(3) {
            let [from, to, by] = diversion else { continue };
            if *to == name {
                // The original of another package, moved aside.
                names = vec![(*from).to_owned()];
                diverter = Some(((*by).to_owned(), false));
            } else if *from == name {
                diverter = Some(((*by).to_owned(), true));
            }
        }
        // Since /bin and /lib are links, a package may have its files by either name.
        for at in 0..names.len() {
            let Some(known) = names.get(at) else { continue };
            let other = match known.strip_prefix("/usr") {
                Some(rest) => rest.to_owned(),
                None => format!("/usr{known}"),
            };
            if ["/bin/", "/sbin/", "/lib"]
                .iter()
                .any(|place| other.starts_with(place) || known.starts_with(place))
            {
                names.push(other);
            }
        }
        Self { names, diverter }
    }

    /// Whether the package can be the one whose file this is.
    fn may_be_of(&self, package: &str) -> bool {
        let plain = package.split(':').next().unwrap_or(package);
        match &self.diverter {
            None => true,
            Some((by, puts)) => (plain == by) == *puts,
        }
    }
}

/// For each file the package (`name` or `name:architecture`) that lists it.
fn owners(info: &Path, asked: &[Asked]) -> Vec<Option<String>> {
    let mut owners = vec![None; asked.len()];
    let mut wanted: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, asked) in asked.iter().enumerate() {
        for name in &asked.names {
            wanted.entry(name).or_default().push(at);
        }
    }
    let Ok(files) = fs::read_dir(info) else { return owners };
    for file in files.filter_map(Result::ok).take(PACKAGES_MAX * 8) {
        let name = file.file_name();
        let Some(package) = name.to_str().and_then(|name| name.strip_suffix(".list")) else {
            continue;
        };
        let Ok(list) = plain_file::read_text(&file.path(), FILE_BYTES_MAX) else { continue };
        for line in list.lines() {
            for at in wanted.get(line).into_iter().flatten() {
                if let (Some(asked), Some(owner)) = (asked.get(*at), owners.get_mut(*at))
                    && asked.may_be_of(package)
                {
                    *owner = Some(package.to_owned());
                }
            }
        }
    }
    owners
}

/// The sum in a package's list of sums (`SUM  usr/bin/x`).
fn sum_of(sums: &Path, asked: &Asked) -> Option<String> {
    let text = plain_file::read_text(sums, FILE_BYTES_MAX).ok()?;
    text.lines().find_map(|line| {
        let (sum, path) = line.split_once("  ")?;
        let is = |name: &String| name.strip_prefix('/') == Some(path);
        asked.names.iter().any(is).then(|| sum.to_owned())
    })
}

/// What `status` says of a package.
#[derive(Debug, Default)]
struct Stanza<'a> {
    package: Package,
    conffiles: HashMap<&'a str, &'a str>,
}

/// The stanzas of these packages.
fn stanzas<'a, 'b>(status: &'a str, wanted: &HashSet<&'b str>) -> HashMap<&'b str, Stanza<'a>> {
    let mut found = HashMap::new();
    for text in status.split("\n\n") {
        let (mut name, mut architecture) = ("", "");
        let mut stanza = Stanza::default();
        let mut in_conffiles = false;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix(' ').filter(|_| in_conffiles) {
                let mut words = rest.split(' ');
                if let (Some(path), Some(sum)) = (words.next(), words.next()) {
                    stanza.conffiles.insert(path, sum);
                }
                continue;
            }
            in_conffiles = line.starts_with("Conffiles:");
            match line.split_once(": ") {
                Some(("Package", value)) => name = value,
                Some(("Architecture", value)) => architecture = value,
                Some(("Version", value)) => stanza.package.version = value.to_owned(),
                _ => {}
            }
        }
        let full = format!("{name}:{architecture}");
        for key in [name, full.as_str()] {
            if let Some(key) = wanted.get(key) {
                stanza.package.name = name.to_owned();
                found.insert(*key, std::mem::take(&mut stanza));
                break;
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let info = dir.path().join("var/lib/dpkg/info");
        fs::create_dir_all(&info).unwrap();
        let write = |name: &str, text: &str| {
            fs::write(dir.path().join("var/lib/dpkg").join(name), text).unwrap();
        };
        write(
            "status",
            "Package: tools\nStatus: install ok installed\nArchitecture: arm64\nVersion: 1:2.0-3\nConffiles:\n /etc/tools.conf aaaa\n /etc/old.conf bbbb obsolete\nDescription: x\n y\n\nPackage: libx\nArchitecture: arm64\nMulti-Arch: same\nVersion: 7\n\nPackage: better\nArchitecture: all\nVersion: 3\n",
        );
        write("diversions", "/usr/bin/vi\n/usr/bin/vi.tools\nbetter\n");
        write("info/tools.list", "/.\n/bin\n/bin/tool\n/etc/tools.conf\n/usr/bin/vi\n/usr/share\n");
        write("info/tools.md5sums", "1111  bin/tool\n2222  usr/bin/vi\n");
        write("info/libx:arm64.list", "/lib/libx.so\n");
        write("info/libx:arm64.md5sums", "3333  lib/libx.so\n");
        write("info/better.list", "/usr/bin/vi\n");
        write("info/better.md5sums", "4444  usr/bin/vi\n");
        dir
    }

    #[test]
    fn a_file_is_found_by_either_of_its_names_with_its_packages_version_and_sum() {
        let dir = host();
        let names = [
            "/usr/bin/tool",
            "/etc/tools.conf",
            "/usr/lib/libx.so",
            "/usr/bin/vi",
            "/usr/bin/vi.tools",
            "/usr/share",
            "/usr/bin/stranger",
        ];
        let paths: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        let words = ask(dir.path(), &paths).unwrap();
        let told = |name: &str| {
            let word = words.get(Path::new(name))?;
            let sum = match &word.sum {
                Some(Sum::Md5(sum)) => sum.as_str(),
                _ => "",
            };
            Some(format!(
                "{} {} {sum} {}",
                word.package.name, word.package.version, word.configuration
            ))
        };
        let told: Vec<Option<String>> = names.iter().map(|name| told(name)).collect();
        let told: Vec<Option<&str>> = told.iter().map(Option::as_deref).collect();
        assert_eq!(
            told,
            [
                Some("tools 1:2.0-3 1111 false"),
                Some("tools 1:2.0-3 aaaa true"),
                Some("libx 7 3333 false"),
                Some("better 3 4444 false"),
                Some("tools 1:2.0-3 2222 false"),
                Some("tools 1:2.0-3  false"),
                None
            ]
        );
    }

    #[test]
    fn a_host_without_dpkg_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(ask(dir.path(), &["/usr/bin/x".into()]), None);
    }
}
