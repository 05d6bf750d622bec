//! The host's state: who may log in, what is installed, what runs by itself, what listens. It is looked at again and again, and what
//! is another than before is told.
//!
//! A collector makes [`Items`] of the files of a host; [`item::diff`] compares two of them; [`event`] makes events of the differences.
//! What was seen last is kept below the spool's folder, so that changes while the agent was off are told too.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use vonggac_wire::{Event, Time};

use super::{Running, Source, SourceContext, SourceError};
use crate::config::StateConfig;

mod accounts;
mod certificates;
mod event;
mod item;
mod jobs;
mod keys;
mod modules;
mod mounts;
pub(crate) mod packages;
mod ports;
mod units;

use item::Items;

/// How long a stop may be waited for.
const TICK: Duration = Duration::from_millis(250);

/// Every so many looks those are looked at that change seldom and cost more.
const SELDOM: u64 = 10;

/// Things of one kind; a host has fewer.
const ITEMS_MAX: usize = 100_000;

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateKind {
    /// What dpkg or rpm has installed.
    Packages,
    /// `/etc/passwd`, and whether passwords changed.
    Users,
    /// `/etc/group`.
    Groups,
    /// Who listens where.
    Ports,
    /// systemd's units and timers.
    Units,
    /// Jobs of cron.
    Jobs,
    /// Modules of the kernel.
    Modules,
    /// What is mounted where.
    Mounts,
    /// Keys that let somebody in by SSH, and the host's own.
    Keys,
    /// Certificates of services.
    Certificates,
}

impl StateKind {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Packages,
        Self::Users,
        Self::Groups,
        Self::Ports,
        Self::Units,
        Self::Jobs,
        Self::Modules,
        Self::Mounts,
        Self::Keys,
        Self::Certificates,
    ];

    /// As the configuration and the store name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Packages => "packages",
            Self::Users => "users",
            Self::Groups => "groups",
            Self::Ports => "ports",
            Self::Units => "units",
            Self::Jobs => "jobs",
            Self::Modules => "modules",
            Self::Mounts => "mounts",
            Self::Keys => "keys",
            Self::Certificates => "certificates",
        }
    }

    /// As events name one of them.
    const fn thing(self) -> &'static str {
        match self {
            Self::Packages => "package",
            Self::Users => "user",
            Self::Groups => "group",
            Self::Ports => "listening_port",
            Self::Units => "unit",
            Self::Jobs => "cron_job",
            Self::Modules => "kernel_module",
            Self::Mounts => "mount",
            Self::Keys => "ssh_key",
            Self::Certificates => "certificate",
        }
    }

    const fn is_seldom(self) -> bool {
        matches!(self, Self::Packages | Self::Certificates | Self::Units)
    }
}

pub(super) struct State {
    config: StateConfig,
    dir: PathBuf,
}

impl State {
    /// With its store below the spool's folder.
    pub(super) fn new(config: StateConfig, spool_dir: &Path) -> Self {
        Self { config, dir: spool_dir.join("state") }
    }
}

impl Source for State {
    fn name(&self) -> String {
        "host state".into()
    }

    fn settings(&self) -> String {
        format!("state {:?}", self.config)
    }

    fn run(&self, context: SourceContext) -> Running {
        let (config, dir) = (self.config.clone(), self.dir.clone());
        Box::pin(async move {
            let worked = tokio::task::spawn_blocking(move || {
                Observer::open(config, &dir, Path::new("/"), context)
                    .and_then(Observer::run)
                    .map_err(|source| {
                        let what = format!("keep the host's state in {}", dir.display());
                        SourceError::Io { what, source }
                    })
            });
            worked.await.unwrap_or_else(|error| {
                Err(SourceError::Missing(format!("the watching thread ended: {error}")))
            })
        })
    }
}

/// One thread's work.
struct Observer {
    config: StateConfig,
    dir: PathBuf,
    root: PathBuf,
    context: SourceContext,
    ports: ports::Ports,
    /// Sums of what was kept last: what is the same is not even read again.
    sums: HashMap<StateKind, blake3::Hash>,
    /// What cannot be looked at, told once for each reason.
    refused: HashMap<StateKind, String>,
}

impl Observer {
    fn open(
        config: StateConfig,
        dir: &Path,
        root: &Path,
        context: SourceContext,
    ) -> std::io::Result<Self> {
        fs::create_dir_all(dir)?;
        fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        Ok(Self {
            config,
            dir: dir.to_owned(),
            root: root.to_owned(),
            context,
            ports: ports::Ports::default(),
            sums: HashMap::new(),
            refused: HashMap::new(),
        })
    }

    fn run(mut self) -> std::io::Result<()> {
        let mut count = 0_u64;
        loop {
            let begun = Instant::now();
            for kind in self.config.kinds.clone() {
                if self.context.shutdown.is_cancelled() {
                    return Ok(());
                }
                if !kind.is_seldom() || count.is_multiple_of(SELDOM) {
                    self.look(kind, Time::now())?;
                }
            }
            count += 1;
            while begun.elapsed() < self.config.interval {
                if self.context.shutdown.is_cancelled() {
                    return Ok(());
                }
                thread::sleep(TICK);
            }
        }
    }

    /// Looks at one kind, tells what is another, and keeps what is.
    fn look(&mut self, kind: StateKind, now: Time) -> std::io::Result<()> {
        let items = match self.collect(kind, now) {
            Ok(items) => {
                self.refused.remove(&kind);
                items
            }
            Err(error) => {
                if self.refused.get(&kind) != Some(&error) {
                    tracing::warn!(kind = kind.name(), error, "cannot be looked at");
                    self.refused.insert(kind, error);
                }
                return Ok(());
            }
        };
        let text = serde_json::to_vec(&items)?;
        let sum = blake3::hash(&text);
        if self.sums.get(&kind) == Some(&sum) {
            return Ok(());
        }
        let path = self.dir.join(format!("{}.json", kind.name()));
        let events = match known(&path) {
            Known::Items(before) => {
                let changes = item::diff(&before, &items);
                event::of(kind, &changes, &before, &items, now)
            }
            Known::Nothing => vec![event::of_first(kind, items.len(), None, now)],
            Known::Damaged(why) => {
                tracing::error!(kind = kind.name(), why, "what was known is damaged");
                vec![event::of_first(kind, items.len(), Some(&why), now)]
            }
        };
        if !self.tell(events) {
            return Ok(());
        }
        keep(&path, &text)?;
        self.sums.insert(kind, sum);
        Ok(())
    }

    fn collect(&mut self, kind: StateKind, now: Time) -> Result<Items, String> {
        let root = &self.root;
        let mut items = match kind {
            StateKind::Packages => packages::collect(root),
            StateKind::Users => accounts::users(root, &self.dir),
            StateKind::Groups => accounts::groups(root),
            StateKind::Ports => self.ports.collect(root),
            StateKind::Units => units::collect(root),
            StateKind::Jobs => jobs::collect(root),
            StateKind::Modules => modules::collect(root),
            StateKind::Mounts => mounts::collect(root),
            StateKind::Keys => keys::collect(root),
            StateKind::Certificates => {
                Ok(certificates::collect(root, &self.config.certificates, now))
            }
        }?;
        while items.len() > ITEMS_MAX {
            items.pop_last();
        }
        Ok(items)
    }

    /// Hands events over and waits until they are in the spool; `false`: the agent stops.
    fn tell(&self, events: Vec<Event>) -> bool {
        let events = events.into_iter().map(|event| event.with_system(&self.config.system));
        self.context.wait_for(self.context.intake.spool_events(events)).is_ok()
    }
}

/// What was seen last.
enum Known {
    Nothing,
    Items(Items),
    Damaged(String),
}

fn known(path: &Path) -> Known {
    match fs::read(path) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(items) => Known::Items(items),
            Err(error) => Known::Damaged(error.to_string()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Known::Nothing,
        Err(error) => Known::Damaged(error.to_string()),
    }
}

/// Replaces a file as a whole, so that a power cut leaves the old one or the new one.
fn keep(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    let mut options = fs::File::options();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.write(true).create(true).truncate(true).open(&fresh)?;
    file.write_all(text)?;
    file.sync_data()?;
    fs::rename(&fresh, path)
}

#[cfg(test)]
mod tests;
