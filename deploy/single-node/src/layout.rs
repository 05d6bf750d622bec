//! Folders, ports, and the options of the last start.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The version of the folder's layout; a folder with a higher one is refused.
pub const LAYOUT_VERSION: u32 = 1;

/// Ports from here on, if nobody says otherwise.
pub const PORT_BASE: u16 = 17_440;

/// Where options are remembered, below the folder.
pub const KEPT: &str = "etc/single.json";

/// Free bytes without which nothing is started: logs and blocks of the first minutes.
pub const FREE_BYTES_MIN: u64 = 1 << 30;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file or folder cannot be used.
    #[error("use {path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was written by a newer version.
    #[error("use {path}: it was written by a newer version (layout {found}, this program knows {LAYOUT_VERSION}); update the program", path = .path.display())]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// The disk is full.
    #[error("start with {free} bytes free in {path}: at least {FREE_BYTES_MIN} are needed; make room or name another folder with --data", path = .path.display())]
    Full {
        /// The folder.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
    },
    /// A port is taken.
    #[error("listen on {address}: another program has this port; name others with --port-base")]
    Port {
        /// The address.
        address: SocketAddr,
    },
    /// Something is not installed.
    #[error("find {what} at {path}; run deploy/up --install-only", path = .path.display())]
    Missing {
        /// What.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
    },
}

/// How the parts speak with one another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// As at the start before; at the first one by certificates.
    #[default]
    AsBefore,
    /// In plain text, on loopback alone.
    PlainText,
    /// By certificates, which are made at the first start.
    Tls,
}

impl Security {
    /// As it was asked for.
    #[must_use]
    pub const fn asked(tls: bool, plain_text: bool) -> Self {
        match (tls, plain_text) {
            (true, _) => Self::Tls,
            (_, true) => Self::PlainText,
            _ => Self::AsBefore,
        }
    }

    /// Whether certificates are spoken by.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Tls)
    }
}

/// Options that a start is given and the next one remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Options {
    /// `FILE` or `FILE:FORMAT`.
    pub watch: Vec<String>,
    /// URLs.
    pub probe: Vec<String>,
    /// The first port.
    pub port_base: Option<u16>,
    /// Play a nation.
    pub nation: bool,
    /// Plain text or certificates.
    pub security: Security,
    /// Names of the parts that run; none: all. The others run elsewhere, or not at all.
    pub only: Vec<String>,
}

/// The data folder.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The folder.
    pub root: PathBuf,
    /// The first port.
    pub port_base: u16,
}

impl Options {
    /// Whether a start was given none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Layout {
    /// Opens or makes the folder; remembered options fill what was not given.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn open(root: &Path, given: &Options) -> Result<(Self, Options), LayoutError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| LayoutError::Io { path, source }
        };
        fs::create_dir_all(root).map_err(io(root))?;
        let root = root.canonicalize().map_err(io(root))?;
        for folder in ["run", "etc", "log", "kafka", "engine", "agent"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(io(&path))?;
        }
        let version_path = root.join("VERSION");
        match fs::read_to_string(&version_path) {
            Ok(text) => {
                let found = text.trim().parse().unwrap_or(u32::MAX);
                if found > LAYOUT_VERSION {
                    return Err(LayoutError::Newer { path: root, found });
                }
            }
            Err(_) => fs::write(&version_path, format!("{LAYOUT_VERSION}\n"))
                .map_err(io(&version_path))?,
        }
        let kept_path = root.join(KEPT);
        let kept: Options = fs::read(&kept_path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let mut options = kept;
        for file in &given.watch {
            // The next start may be asked for from another folder.
            let file =
                std::path::absolute(file).map_err(io(Path::new(file)))?.display().to_string();
            if !options.watch.contains(&file) {
                options.watch.push(file);
            }
        }
        for url in &given.probe {
            if !options.probe.contains(url) {
                options.probe.push(url.clone());
            }
        }
        options.port_base = given.port_base.or(options.port_base);
        options.nation |= given.nation;
        if given.security != Security::AsBefore {
            options.security = given.security;
        } else if options.security == Security::AsBefore {
            options.security = Security::Tls;
        }
        if !given.only.is_empty() {
            options.only.clone_from(&given.only);
        }
        let text = serde_json::to_vec_pretty(&options).unwrap_or_default();
        fs::write(&kept_path, text).map_err(io(&kept_path))?;
        let port_base = options.port_base.unwrap_or(PORT_BASE);
        Ok((Self { root, port_base }, options))
    }

    /// Refuses a full disk, taken ports and missing parts, each with its sentence.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn check(&self, nation: bool) -> Result<(), LayoutError> {
        if let Ok(stat) = rustix::fs::statvfs(&self.root) {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            if free < FREE_BYTES_MIN {
                return Err(LayoutError::Full { path: self.root.clone(), free });
            }
        }
        let count = if nation { 8 } else { 7 };
        for offset in 0..count {
            let address = self.address(offset);
            if TcpListener::bind(address).is_err() {
                return Err(LayoutError::Port { address });
            }
        }
        for (what, path) in
            [("Kafka's jars", cache().join("kafka/lib")), ("the ClickHouse engine", library())]
        {
            if !path.exists() {
                return Err(LayoutError::Missing { what, path });
            }
        }
        Ok(())
    }

    /// The address of a part: 0 Kafka, 1 its controller, 2 engine, 3 gRPC, 4 to 7 metrics of collector, agent, supervisor, nation.
    #[must_use]
    pub fn address(&self, offset: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port_base.saturating_add(offset)))
    }

    /// A file below the folder.
    #[must_use]
    pub fn path(&self, below: &str) -> PathBuf {
        self.root.join(below)
    }
}

/// Where downloads are kept: `$VONGGAC_CACHE`, else the XDG cache folder.
#[must_use]
pub fn cache() -> PathBuf {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("VONGGAC_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("vonggac")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/vonggac")))
        .unwrap_or_else(|| PathBuf::from("/var/cache/vonggac"))
}

/// The engine's library.
#[must_use]
pub fn library() -> PathBuf {
    cache().join("engine/libchdb.so")
}

/// The data folder if none is named: `$VONGGAC_HOME`, else the XDG data folder.
#[must_use]
pub fn default_data() -> PathBuf {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("VONGGAC_HOME")
        .or_else(|| variable("XDG_DATA_HOME").map(|data| data.join("vonggac")))
        .or_else(|| variable("HOME").map(|home| home.join(".local/share/vonggac")))
        .unwrap_or_else(|| PathBuf::from("/var/lib/vonggac"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_remembered_and_added_to() {
        let folder = tempfile::tempdir().unwrap();
        let given =
            Options { watch: vec!["/a".into()], port_base: Some(20_000), ..Options::default() };
        Layout::open(folder.path(), &given).unwrap();
        let more = Options { watch: vec!["/b".into()], ..Options::default() };
        let (layout, options) = Layout::open(folder.path(), &more).unwrap();
        assert_eq!((layout.port_base, options.watch.len()), (20_000, 2));
    }

    #[test]
    fn a_log_named_from_a_folder_is_the_same_from_another() {
        let folder = tempfile::tempdir().unwrap();
        let given = Options { watch: vec!["a.log:combined".into()], ..Options::default() };
        let (_, options) = Layout::open(folder.path(), &given).unwrap();
        let wanted = std::env::current_dir().unwrap().join("a.log:combined");
        assert_eq!(options.watch, [wanted.display().to_string()]);
    }

    #[test]
    fn a_folder_of_a_newer_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("VERSION"), "99").unwrap();
        let error = Layout::open(folder.path(), &Options::default()).unwrap_err().to_string();
        assert!(error.contains("newer version"), "{error}");
    }

    #[test]
    fn a_taken_port_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = taken.local_addr().unwrap().port() - 3;
        let (layout, _) =
            Layout::open(folder.path(), &Options { port_base: Some(base), ..Options::default() })
                .unwrap();
        let error = layout.check(false).unwrap_err().to_string();
        assert!(error.contains("another program has this port"), "{error}");
    }
}
