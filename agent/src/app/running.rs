//! The sources that run: each with its own stop, so that a reload touches only what was changed.

use std::{collections::HashMap, sync::Arc};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vonggac_daemon::shutdown;

use crate::{
    config::{Config, GRACE},
    ship,
    source::{self, Source, SourceContext},
};

/// One of them.
struct Held {
    name: String,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

/// All of them, by their settings.
pub(super) struct RunningSources {
    context: SourceContext,
    held: HashMap<String, Held>,
}

/// What a reload changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) kept: usize,
    pub(super) stopped: usize,
    pub(super) started: usize,
}

impl RunningSources {
    pub(super) fn new(context: SourceContext) -> Self {
        Self { context, held: HashMap::new() }
    }

    pub(super) fn count(&self) -> usize {
        self.held.len()
    }

    /// Their names, for the status.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.held.values().map(|held| held.name.clone()).collect();
        names.sort();
        names
    }

    /// Has exactly those run that the configuration asks for. What stays as it was is not touched. What is stopped ends before
    /// its successor begins, which goes on from the spool's positions: no line is lost, and none is taken twice.
    pub(super) async fn apply(&mut self, config: &Config) -> Changed {
        let mut wanted: Vec<(String, Arc<dyn Source>)> = Vec::new();
        for source in source::build(config) {
            let settings = source.settings();
            let twins = wanted.iter().filter(|(key, _)| key.starts_with(&settings)).count();
            wanted.push((format!("{settings}#{twins}"), Arc::from(source)));
        }
        let gone: Vec<String> = self
            .held
            .keys()
            .filter(|key| !wanted.iter().any(|(wanted, _)| wanted == *key))
            .cloned()
            .collect();
        let mut changed = Changed { stopped: gone.len(), ..Changed::default() };
        let stopping: Vec<Held> = gone.iter().filter_map(|key| self.held.remove(key)).collect();
        for held in &stopping {
            held.stop.cancel();
        }
        for held in stopping {
            if !shutdown::drain(GRACE, async { drop(held.ended.await) }).await {
                tracing::warn!(source = held.name, "a source did not stop in time");
            }
        }
        for (key, source) in wanted {
            if self.held.contains_key(&key) {
                changed.kept += 1;
                continue;
            }
            changed.started += 1;
            let stop = self.context.shutdown.child_token();
            let context = SourceContext { shutdown: stop.clone(), ..self.context.clone() };
            let name = source.name();
            let ended = tokio::spawn(keep_running(source, context));
            self.held.insert(key, Held { name, stop, ended });
        }
        changed
    }

    /// Waits until all have ended, after their common stop.
    pub(super) async fn ended(&mut self) {
        for (_, held) in self.held.drain() {
            drop(held.ended.await);
        }
    }
}

/// Starts a source again when it fails; it never ends the agent.
async fn keep_running(source: Arc<dyn Source>, context: SourceContext) {
    let mut failures = 0;
    while !context.shutdown.is_cancelled() {
        match source.run(context.clone()).await {
            Ok(()) => return,
            Err(error) => context.occurrences.source_failed(&source.name(), &error),
        }
        failures += 1;
        tokio::select! {
            () = context.shutdown.cancelled() => return,
            () = tokio::time::sleep(ship::back_off(failures)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, path::Path, time::Duration};

    use vonggac_wire::{Lane, Time};

    use super::*;
    use crate::{config::Fsync, intake, occurrence::Occurrences, ship::SharedSpool, spool::Spool};

    fn config(dir: &Path, tails: &str) -> Config {
        let text = format!(
            "agency = \"H49\"\nplain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:1\"]\n[host_figures]\nenabled = false\n[spool]\ndir = \"{}\"\n{tails}",
            dir.display()
        );
        Config::from_text(Path::new("a.toml"), &text).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_reload_touches_only_what_was_changed_and_loses_no_line() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(&dir.path().join("s"), "h", 1 << 30, Fsync::EachChunk, Time::now());
        let spool = SharedSpool::new(spool.unwrap());
        let (intake, mut chunks) = intake::queue();
        let stop = CancellationToken::new();
        let mut running = RunningSources::new(SourceContext {
            intake,
            checkpoints: Arc::new(spool.clone()),
            shutdown: stop.clone(),
            occurrences: Occurrences::new().unwrap(),
        });
        let appending = spool.clone();
        let spooling = tokio::spawn(async move {
            while let Some(chunk) = chunks.recv().await {
                appending.lock().append(chunk.entries, &chunk.passed, Time::now()).unwrap();
            }
        });
        let file = |name: &str| dir.path().join(name);
        let tail = |name: &str, more: &str| {
            format!("[[tail]]\npath = \"{}\"\n{more}", file(name).display())
        };
        // A writer that never rests, while the settings of its file are changed again and again.
        let writing = CancellationToken::new();
        let (path, told) = (file("a.log"), writing.clone());
        fs::write(&path, "").unwrap();
        let writer = std::thread::spawn(move || {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            let mut lines = 0;
            while !told.is_cancelled() {
                writeln!(file, "line {lines}").unwrap();
                lines += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
            lines
        });
        let both = |more: &str| config(dir.path(), &(tail("a.log", more) + &tail("b.log", "")));
        assert_eq!(running.apply(&both("")).await, Changed { kept: 0, stopped: 0, started: 2 });
        for round in 0..6 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let changed = running.apply(&both(&format!("system = \"s{round}\"\n"))).await;
            assert_eq!(changed, Changed { kept: 1, stopped: 1, started: 1 });
        }
        writing.cancel();
        let written = writer.join().unwrap();
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert_eq!(
            running.apply(&config(dir.path(), "")).await,
            Changed { kept: 0, stopped: 2, started: 0 }
        );
        stop.cancel();
        drop(running);
        spooling.await.unwrap();
        let mut spool = spool.lock();
        spool.rewind(Lane::Security);
        let mut lines = Vec::new();
        while let Some(pending) = spool.next(Lane::Security, 1_000, 1 << 20).unwrap() {
            lines.extend(
                pending.events.iter().map(|e| String::from_utf8_lossy(e.raw()).into_owned()),
            );
        }
        let wanted: Vec<String> = (0..written).map(|n| format!("line {n}")).collect();
        assert_eq!(lines, wanted);
    }
}
