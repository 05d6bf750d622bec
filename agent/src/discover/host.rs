//! What a host has, from the files below a root: the host itself, or another one that is mounted or made up.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::table::ProcessName;
use crate::source::{plain_file, proc, state::packages};

/// Of a service's configuration file: beyond it is no configuration.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Of the kernel's lists of sockets.
const LIST_BYTES_MAX: u64 = 64 << 20;

/// Files of one pattern that are looked at.
const FILES_MAX: usize = 2_000;

/// Bytes of a process's name that the kernel keeps.
const COMM_BYTES: usize = 15;

/// Folders of units, those of the administrator first.
const UNIT_FOLDERS: [&str; 4] =
    ["etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];

/// A host.
#[derive(Debug, Default)]
pub struct Host {
    root: PathBuf,
    /// Names of installed packages.
    pub packages: BTreeSet<String>,
    /// Names of units' files, with the instances that are enabled.
    pub units: BTreeSet<String>,
    /// What runs, without what runs in containers.
    pub processes: Vec<Process>,
    /// Where it listens for connections.
    pub listening: Vec<Listening>,
}

/// A process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Its name, at most 15 bytes.
    pub comm: String,
    /// Its command line, with spaces between.
    pub line: String,
    /// The systemd unit that it belongs to.
    pub unit: Option<String>,
    sockets: Vec<u64>,
}

/// A TCP port that is listened on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listening {
    /// Where.
    pub address: SocketAddr,
    /// By whom, as far as this user may know: a server and those that it began share their sockets.
    pub pids: Vec<u32>,
}

impl Host {
    /// The host below `root`, not looked at yet.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), ..Self::default() }
    }

    /// Looks at the host below `root`.
    #[must_use]
    pub fn look(root: &Path) -> Self {
        let mut host = Self::at(root);
        host.packages = host.packages();
        host.units = host.units();
        host.processes = host.processes();
        host.listening = host.listening();
        host
    }

    /// Where a path of the host is.
    #[must_use]
    pub fn real(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// It is the host that this program runs on.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.root == Path::new("/")
    }

    /// A text file of the host. What is too long, or no text, is read as far as it can be.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&self, path: &str) -> io::Result<String> {
        use io::Read;
        let file = if self.is_own() { fs::File::open(path)? } else { self.open_below(path)? };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Links that lead to the root lead to this host's root.
    fn open_below(&self, path: &str) -> io::Result<fs::File> {
        use rustix::fs::{Mode, OFlags, ResolveFlags};
        let root = fs::File::open(&self.root)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let below = path.trim_start_matches('/');
        let opened =
            rustix::fs::openat2(&root, below, flags, Mode::empty(), ResolveFlags::IN_ROOT)?;
        Ok(opened.into())
    }

    /// Paths of the host that match a pattern, in their order.
    #[must_use]
    pub fn find(&self, pattern: &str) -> Vec<String> {
        let below = glob::Pattern::escape(&self.root.to_string_lossy());
        let whole = format!("{}/{}", below.trim_end_matches('/'), pattern.trim_start_matches('/'));
        let Ok(paths) = glob::glob(&whole) else { return Vec::new() };
        let paths = paths.filter_map(Result::ok).take(FILES_MAX);
        paths
            .filter_map(|path| {
                let path = path.strip_prefix(&self.root).ok()?.to_str()?.to_owned();
                (!path.chars().any(char::is_control)).then(|| format!("/{path}"))
            })
            .collect()
    }

    /// Processes of any of these names.
    #[must_use]
    pub fn running(&self, names: &[ProcessName]) -> Vec<&Process> {
        let is = |process: &Process, name: &ProcessName| {
            name.comm.matches(&process.comm) && process.line.contains(&name.words)
        };
        self.processes.iter().filter(|p| names.iter().any(|name| is(p, name))).collect()
    }

    fn packages(&self) -> BTreeSet<String> {
        match packages::collect(&self.root) {
            Ok(items) => {
                items.into_values().filter_map(|mut package| package.remove("name")).collect()
            }
            Err(error) => {
                tracing::warn!(
                    error,
                    "packages are not known; services are recognised by what runs and by their files"
                );
                BTreeSet::new()
            }
        }
    }

    fn units(&self) -> BTreeSet<String> {
        let mut units = BTreeSet::new();
        for folder in UNIT_FOLDERS {
            for pattern in ["*", "*.wants/*"] {
                let found = self.find(&format!("{folder}/{pattern}"));
                let names = found.iter().filter_map(|path| path.rsplit('/').next());
                units.extend(names.filter(|name| name.contains('.')).map(str::to_owned));
            }
        }
        units
    }

    fn processes(&self) -> Vec<Process> {
        let Ok(entries) = fs::read_dir(self.real("/proc")) else { return Vec::new() };
        let first = fs::read_link(self.real("/proc/1/ns/pid")).ok();
        let mut processes: Vec<Process> = entries
            .filter_map(|entry| {
                let folder = entry.ok()?.path();
                let pid = folder.file_name()?.to_str()?.parse().ok()?;
                // What runs in a container is not the host's.
                let own = fs::read_link(folder.join("ns/pid")).ok();
                if own.is_some() && first.is_some() && own != first {
                    return None;
                }
                let text = |name: &str| {
                    let bytes = fs::read(folder.join(name)).unwrap_or_default();
                    String::from_utf8_lossy(&bytes).replace('\0', " ").trim_end().to_owned()
                };
                let mut comm = text("comm");
                comm.truncate(comm.floor_char_boundary(COMM_BYTES));
                let unit = unit_of(&text("cgroup"));
                Some(Process {
                    pid,
                    comm,
                    line: text("cmdline"),
                    unit,
                    sockets: proc::sockets_of(&folder).collect(),
                })
            })
            .collect();
        processes.sort_by_key(|process| process.pid);
        processes
    }

    fn listening(&self) -> Vec<Listening> {
        let mut owners: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
        for process in &self.processes {
            for socket in &process.sockets {
                owners.entry(*socket).or_default().push(process.pid);
            }
        }
        let mut all = Vec::new();
        // A container's own ports are seen only from inside it: here are those of process 1.
        for name in ["/proc/1/net/tcp", "/proc/1/net/tcp6", "/proc/net/tcp", "/proc/net/tcp6"] {
            let text = plain_file::read_text(&self.real(name), LIST_BYTES_MAX).unwrap_or_default();
            for socket in text.lines().filter_map(|line| proc::socket(line, true)) {
                let pids = owners.get(&socket.inode).cloned().unwrap_or_default();
                all.push(Listening { address: socket.address, pids });
            }
        }
        all.sort();
        all.dedup_by_key(|listening| listening.address);
        all
    }
}

/// The service in a process's control group.
fn unit_of(cgroup: &str) -> Option<String> {
    cgroup.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        let unit = path.split('/').rfind(|part| part.ends_with(".service"))?;
        // Sessions of people, and what they start, come and go.
        (path.starts_with("/system.slice/")).then(|| unit.to_owned())
    })
}

/// The owner, the group and the mode of a file.
pub(super) fn owned(path: &Path) -> io::Result<(u32, u32, u32)> {
    let data = fs::metadata(path)?;
    Ok((data.uid(), data.gid(), data.mode()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_belongs_to_a_service_of_the_system() {
        let unit = |text: &str| unit_of(text);
        assert_eq!(unit("0::/system.slice/nginx.service").as_deref(), Some("nginx.service"));
        assert_eq!(
            unit("3:cpu:/\n1:name=systemd:/system.slice/system-postgresql.slice/postgresql@15-main.service\n")
                .as_deref(),
            Some("postgresql@15-main.service")
        );
        assert_eq!(unit("0::/user.slice/user-0.slice/session-3.scope"), None);
        assert_eq!(
            unit("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service"),
            None
        );
    }
}
