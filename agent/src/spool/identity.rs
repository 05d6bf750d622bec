//! Who this agent is, and that it is alone on its folder.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    path::Path,
};

use rand::Rng;
use vonggac_wire::AgentId;

/// Why a folder gives no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Another agent runs on it.
    #[error("another agent is using the spool folder {0}; give each agent a folder of its own")]
    InUse(String),
    /// A file of it cannot be used.
    #[error("use {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The kept name is malformed.
    #[error("the name in {path} is malformed: {source}; restore it, do not invent another")]
    Name {
        /// The file.
        path: String,
        /// What is wrong.
        source: vonggac_wire::id::IdError,
    },
}

/// The agent's name and the lock on its folder.
pub struct Identity {
    /// The name.
    pub agent: AgentId,
    /// It was made just now.
    pub(super) fresh: bool,
    /// Held until the agent ends, however it ends.
    _lock: File,
}

impl Identity {
    pub(super) fn open(dir: &Path, host: &str) -> Result<Self, IdentityError> {
        let lock_path = dir.join("lock");
        let io = |path: &Path| {
            let path = path.display().to_string();
            move |source| IdentityError::Io { path, source }
        };
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(io(&lock_path))?;
        lock.try_lock().map_err(|_| IdentityError::InUse(dir.display().to_string()))?;
        let path = dir.join("identity");
        let mut name = String::new();
        let mut fresh = false;
        match File::open(&path).and_then(|mut file| file.read_to_string(&mut name)) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                name = make(host);
                fresh = true;
                write(dir, &name).map_err(io(&path))?;
            }
            Err(error) => return Err(io(&path)(error)),
        }
        let agent = AgentId::new(name.trim())
            .map_err(|source| IdentityError::Name { path: path.display().to_string(), source })?;
        Ok(Self { agent, fresh, _lock: lock })
    }

    /// Takes a new name.
    pub(super) fn rename(&mut self, dir: &Path, host: &str) -> Result<(), IdentityError> {
        let name = make(host);
        let path = dir.join("identity").display().to_string();
        self.agent = AgentId::new(&name)
            .map_err(|source| IdentityError::Name { path: path.clone(), source })?;
        write(dir, &name).map_err(|source| IdentityError::Io { path, source })
    }

    /// Writes the name again into a folder that lost it.
    pub(super) fn restore(&self, dir: &Path) -> Result<(), IdentityError> {
        let path = dir.join("identity");
        if path.exists() {
            return Ok(());
        }
        let path = path.display().to_string();
        write(dir, self.agent.as_str()).map_err(|source| IdentityError::Io { path, source })
    }
}

/// Replaces the file as a whole.
fn write(dir: &Path, name: &str) -> std::io::Result<()> {
    let fresh = dir.join("identity.new");
    let mut file = File::create(&fresh)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, dir.join("identity"))
}

/// The host's name with four random bytes: two hosts of one name stay two agents.
fn make(host: &str) -> String {
    let plain: String = host
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' })
        .take(80)
        .collect();
    format!("{plain}-{:08x}", rand::rng().random::<u32>())
}
