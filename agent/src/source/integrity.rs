//! Files whose every change is told: what they were is kept in a [`baseline`], what they are is looked at when the kernel tells of a
//! change, at an interval, after the kernel could not tell all, and always at the start.
//!
//! A change is told before the baseline knows of it: what a crash falls between is told twice, and never lost. Links are never
//! followed, only plain files are opened, and contents are read no faster than the configuration allows.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use vonggac_wire::{Event, Time, event::Status};

use super::{Running, Source, SourceContext, SourceError};
use crate::config::IntegrityConfig;

mod baseline;
mod change;
mod entry;
mod event;
mod hash;
mod look;
mod package;
mod scope;
mod text;
pub mod trail;
mod walk;
mod watch;

pub(super) use hash::hex;
pub(super) use package::has_rpm;

use baseline::{Baseline, Found, Header};
use change::Change;
use entry::Entry;
use event::{FoundBy, Names};
use look::{Ended, Looker};
use package::Packages;
use scope::Scope;
use trail::Trail;
use walk::Walk;
use watch::{Dirty, Watch};

/// How often what the kernel told is taken.
const TICK: Duration = Duration::from_millis(250);

/// How often patterns are matched anew: homes and web roots come and go.
const ROOTS_INTERVAL: Duration = Duration::from_secs(60);

/// How long packages' files wait for their package manager to write down what it did.
const PACKAGES_WAIT_MAX: Duration = Duration::from_secs(120);

/// Changes that are told together, and among which moves are found.
const CHANGES_MAX: usize = 1_000;

/// Where on a host packages put files that may wait for them.
const PACKAGES_PLACES: [&str; 6] = ["/usr", "/lib", "/bin", "/sbin", "/boot", "/etc"];

pub(super) struct Integrity {
    config: IntegrityConfig,
    dir: PathBuf,
}

impl Integrity {
    /// With its store below the spool's folder.
    pub(super) fn new(config: IntegrityConfig, spool_dir: &Path) -> Self {
        Self { config, dir: spool_dir.join("integrity") }
    }
}

impl Source for Integrity {
    fn name(&self) -> String {
        "file integrity".into()
    }

    fn settings(&self) -> String {
        format!("integrity {:?}", self.config)
    }

    fn run(&self, context: SourceContext) -> Running {
        let (config, dir) = (self.config.clone(), self.dir.clone());
        Box::pin(async move {
            let worked = tokio::task::spawn_blocking(move || {
                let ended = Guard::open(config, &dir, Path::new("/"), context)
                    .map_err(Ended::from)
                    .and_then(|guard| guard.run());
                match ended {
                    Ok(()) | Err(Ended::Stopped) => Ok(()),
                    Err(Ended::Store(source)) => {
                        let what = format!("use the baseline in {}", dir.display());
                        Err(SourceError::Io { what, source })
                    }
                }
            });
            worked.await.unwrap_or_else(|error| {
                Err(SourceError::Missing(format!("the watching thread ended: {error}")))
            })
        })
    }
}

/// One thread's work.
struct Guard {
    config: IntegrityConfig,
    context: SourceContext,
    scope: Scope,
    /// By what the baseline was made, where that is another.
    old_scope: Option<Scope>,
    roots: Vec<PathBuf>,
    baseline: Baseline,
    found: Found,
    looker: Looker,
    watch: Watch,
    dirty: Dirty,
    packages: Packages,
    trail: Arc<Trail>,
    root: PathBuf,
    /// Too many files were told.
    cut_told: bool,
}

impl Guard {
    /// `root`: where the host's own lists of users and packages are.
    fn open(
        config: IntegrityConfig,
        dir: &Path,
        root: &Path,
        context: SourceContext,
    ) -> std::io::Result<Self> {
        let (baseline, found) = Baseline::open(dir)?;
        let own = dir.parent().unwrap_or(dir);
        let scope = Scope::new(&config.paths, &config.exclude, own);
        let header = baseline.header();
        let same = header.paths == config.paths && header.exclude == config.exclude;
        let old_scope = (found == Found::Whole && !same)
            .then(|| Scope::new(&header.paths, &header.exclude, own));
        let trail = context.intake.trail();
        trail.want();
        Ok(Self {
            roots: Vec::new(),
            looker: Looker::new(
                &config,
                context.shutdown.clone(),
                context.occurrences.reading().clone(),
            ),
            watch: Watch::new(config.watches_max),
            dirty: Dirty::default(),
            packages: Packages::new(root),
            root: root.to_owned(),
            cut_told: false,
            config,
            context,
            scope,
            old_scope,
            baseline,
            found,
            trail,
        })
    }

    fn run(mut self) -> Result<(), Ended> {
        self.begin()?;
        let (mut looked, mut rooted) = (Instant::now(), Instant::now());
        loop {
            if self.context.shutdown.is_cancelled() {
                return Ok(());
            }
            let now = Instant::now();
            self.watch.drain(&mut self.dirty, now);
            if now.saturating_duration_since(rooted) >= ROOTS_INTERVAL {
                rooted = now;
                self.find_roots();
            }
            let waits = self.dirty.ripe(now);
            if waits.is_some_and(|waited| waited >= PACKAGES_WAIT_MAX || !self.waits_for_packages())
            {
                let (paths, all) = self.dirty.take();
                if all {
                    self.look_at_all(FoundBy::Overflow)?;
                    looked = Instant::now();
                } else {
                    self.look_at(paths)?;
                }
            }
            if looked.elapsed() >= self.config.interval {
                self.look_at_all(FoundBy::Interval)?;
                looked = Instant::now();
            }
            thread::sleep(TICK);
        }
    }

    /// Makes the baseline, or tells what changed while the agent was off.
    fn begin(&mut self) -> Result<(), Ended> {
        self.find_roots();
        self.dirty = Dirty::default();
        match std::mem::replace(&mut self.found, Found::Whole) {
            Found::Whole => self.look_at_all(FoundBy::Start),
            Found::Fresh => self.make_baseline(None),
            Found::Damaged(why) => self.make_baseline(Some(&why)),
        }
    }

    /// Matches the patterns; what they mean since the last time is looked at.
    fn find_roots(&mut self) {
        let roots = self.scope.roots();
        let now = Instant::now();
        for root in &roots {
            // A file that is replaced is told by its folder alone.
            if let Some(parent) = root.parent().filter(|_| !root.is_dir()) {
                self.watch.enter(parent);
            }
            if !self.roots.contains(root) {
                self.dirty.note(root.clone(), now);
            }
        }
        self.roots = roots;
    }

    fn waits_for_packages(&self) -> bool {
        let theirs = |path: &PathBuf| PACKAGES_PLACES.iter().any(|place| path.starts_with(place));
        (self.dirty.all || self.dirty.paths.iter().all(theirs)) && self.packages.are_busy()
    }

    fn header(&self, made: i64, verified: i64) -> Header {
        Header {
            made,
            verified,
            paths: self.config.paths.clone(),
            exclude: self.config.exclude.clone(),
        }
    }

    /// All files as they are now. One event, not one for each.
    fn make_baseline(&mut self, damage: Option<&str>) -> Result<(), Ended> {
        let begun = Instant::now();
        let at = Time::now().seconds();
        let mut writer = self.baseline.begin(&self.header(at, at))?;
        let watch = &mut self.watch;
        let mut enters = |folder: &Path| watch.enter(folder);
        let mut walk =
            Walk::new(self.roots.clone(), self.config.files_max, &self.scope, &mut enters);
        let mut none = self.baseline.under(Path::new("/"))?;
        self.looker.look(&mut walk, &mut none, false, &mut |_, _, after| {
            Ok(after.map_or(Ok(()), |entry| writer.put(&entry))?)
        })?;
        let cut = walk.cut_at.take();
        self.baseline.replace(writer)?;
        let (count, seconds) = (self.baseline.count(), begun.elapsed().as_secs_f64());
        let files = format!("{count} files and folders are watched, looked at in {seconds:.1} s");
        let now = Time::now();
        let told = match damage {
            None => event::of_watch("baseline-made", Status::Success, files, now),
            Some(why) => {
                let text = format!(
                    "the baseline was damaged and is made anew; changes since the agent's last look cannot be told: {why}; {files}"
                );
                tracing::error!(why, "the baseline was damaged and is made anew");
                event::of_watch("baseline-damaged", Status::Failure, text, now)
            }
        };
        tracing::info!(count, seconds, "the baseline of files was made");
        self.tell_all(vec![told])?;
        self.tell_cut(cut)?;
        self.tell_refused()
    }

    /// Everything, against the baseline.
    fn look_at_all(&mut self, found: FoundBy) -> Result<(), Ended> {
        let (now, header) = (Time::now().seconds(), self.baseline.header().clone());
        // A clock that was set back makes contents be read once more, not never again.
        let every = i64::try_from(self.config.verify_interval.as_secs()).unwrap_or(i64::MAX);
        let verify = now < header.verified || now.saturating_sub(header.verified) >= every;
        let roots = self.roots.clone();
        let cut = self.compare(roots, Path::new("/"), verify, found)?;
        self.tell_cut(cut)?;
        if verify || self.old_scope.take().is_some() {
            let verified = if verify { now } else { header.verified };
            self.baseline.work_in(&self.header(header.made, verified))?;
        }
        Ok(())
    }

    /// These paths, and what is below them.
    fn look_at(&mut self, paths: Vec<PathBuf>) -> Result<(), Ended> {
        for path in paths {
            let rooted = self.roots.iter().any(|root| path.starts_with(root));
            let left_out = || path.ancestors().any(|above| self.scope.leaves_out(above));
            if (rooted || self.scope.covers(&path)) && !left_out() {
                self.compare(vec![path.clone()], &path, false, FoundBy::Notification)?;
            }
        }
        Ok(())
    }

    /// Tells what differs below `under`, and notes it.
    fn compare(
        &mut self,
        roots: Vec<PathBuf>,
        under: &Path,
        verify: bool,
        found: FoundBy,
    ) -> Result<Option<PathBuf>, Ended> {
        let mut known = self.baseline.under(under)?;
        let mut batch = Batch { found, ..Batch::default() };
        let Self { watch, scope, old_scope, looker, .. } = self;
        let mut enters = |folder: &Path| watch.enter(folder);
        let mut walk = Walk::new(roots, self.config.files_max, scope, &mut enters);
        let mut teller = Teller {
            context: &self.context,
            baseline: &mut self.baseline,
            packages: &self.packages,
            trail: &self.trail,
            root: &self.root,
            system: &self.config.system,
        };
        looker.look(&mut walk, &mut known, verify, &mut |looker, before, after| {
            batch.note(before, after, scope, old_scope.as_ref());
            if batch.is_full() { teller.tell(&mut batch, looker) } else { Ok(()) }
        })?;
        teller.tell(&mut batch, looker)?;
        let cut = walk.cut_at.take();
        if batch.silent > 0 {
            let text = format!(
                "the configuration was changed: {} files and folders came into the watch or left it",
                batch.silent
            );
            let told = event::of_watch("baseline-extended", Status::Success, text, Time::now());
            teller.send(vec![told])?;
        }
        self.tell_refused()?;
        Ok(cut)
    }

    fn tell_cut(&mut self, cut: Option<PathBuf>) -> Result<(), Ended> {
        let Some(cut) = cut else {
            self.cut_told = false;
            return Ok(());
        };
        if std::mem::replace(&mut self.cut_told, true) {
            return Ok(());
        }
        let text = format!(
            "there are more than {} files and folders; from {} on they are not watched; raise files_max or exclude some",
            self.config.files_max,
            cut.display()
        );
        tracing::warn!("{text}");
        self.tell_all(vec![event::of_watch("files-max", Status::Failure, text, Time::now())])
    }

    fn tell_refused(&mut self) -> Result<(), Ended> {
        let now = Time::now();
        let refused = std::mem::take(&mut self.looker.fresh_refused);
        let events = refused.into_iter().map(|(path, error)| {
            let text = format!("{} cannot be looked at: {error}", path.display());
            event::of_watch("not-readable", Status::Failure, text, now).with_edits(|_, body| {
                if let vonggac_wire::event::Body::Activity(activity) = body {
                    activity.file_path = path.to_string_lossy().into_owned();
                }
            })
        });
        let events = events.collect();
        self.tell_all(events)
    }

    fn tell_all(&self, events: Vec<Event>) -> Result<(), Ended> {
        send(&self.context, &self.config.system, events)
    }
}

/// Changes that are told together.
struct Batch {
    found: FoundBy,
    changes: Vec<Change>,
    /// Only their times or places on the disk are others, or they came with the configuration.
    quiet: Vec<(PathBuf, Option<Entry>)>,
    silent: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Self { found: FoundBy::Start, changes: Vec::new(), quiet: Vec::new(), silent: 0 }
    }
}

impl Batch {
    fn is_full(&self) -> bool {
        self.changes.len() + self.quiet.len() >= CHANGES_MAX
    }

    fn note(
        &mut self,
        before: Option<Entry>,
        after: Option<Entry>,
        scope: &Scope,
        old: Option<&Scope>,
    ) {
        match (before, after) {
            (Some(before), Some(after)) => {
                let aspects = change::aspects(&before, &after);
                if aspects.is_empty() {
                    self.quiet.push((after.path.clone(), Some(after)));
                } else {
                    self.changes.push(Change::Changed { before, after, aspects });
                }
            }
            (None, Some(after)) => {
                if old.is_some_and(|old| !old.covers(&after.path)) {
                    self.silent += 1;
                    self.quiet.push((after.path.clone(), Some(after)));
                } else {
                    self.changes.push(Change::Created(after));
                }
            }
            (Some(before), None) => {
                if old.is_some() && !scope.covers(&before.path) {
                    self.silent += 1;
                    self.quiet.push((before.path, None));
                } else {
                    self.changes.push(Change::Removed(before));
                }
            }
            (None, None) => {}
        }
    }
}

/// What telling needs.
struct Teller<'a> {
    context: &'a SourceContext,
    baseline: &'a mut Baseline,
    packages: &'a Packages,
    trail: &'a Trail,
    root: &'a Path,
    system: &'a str,
}

impl Teller<'_> {
    /// Tells the changes, and then has the baseline know of them.
    fn tell(&mut self, batch: &mut Batch, looker: &mut Looker) -> Result<(), Ended> {
        let changes = change::with_moves(std::mem::take(&mut batch.changes));
        let mut known = std::mem::take(&mut batch.quiet);
        if !changes.is_empty() {
            let files: Vec<(&Entry, bool)> =
                changes.iter().map(|c| (c.subject(), c.after().is_none())).collect();
            let verdicts = self.packages.ask(&files, &mut |path| looker.hasher.md5(path))?;
            let (names, now) = (Names::read(self.root), Time::now());
            let events = changes
                .iter()
                .zip(&verdicts)
                .map(|(c, verdict)| event::of(c, verdict, batch.found, &names, self.trail, now))
                .collect();
            self.send(events)?;
            for change in changes {
                if let Change::Removed(before) | Change::Moved { before, .. } = &change {
                    known.push((before.path.clone(), None));
                }
                if let Some(after) = change.after() {
                    known.push((after.path.clone(), Some(after.clone())));
                }
            }
        }
        if known.is_empty() {
            return Ok(());
        }
        Ok(self.baseline.put(known)?)
    }

    fn send(&self, events: Vec<Event>) -> Result<(), Ended> {
        send(self.context, self.system, events)
    }
}

/// Hands events over and waits until they are in the spool.
fn send(context: &SourceContext, system: &str, events: Vec<Event>) -> Result<(), Ended> {
    let events = events.into_iter().map(|event| event.with_system(system));
    context.wait_for(context.intake.spool_events(events)).map_err(|_| Ended::Stopped)
}

#[cfg(test)]
mod tests;
