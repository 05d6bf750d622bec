//! A start in the background: looks whether it can succeed, begins it, and tells what it waits for.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command as Process, Stdio},
    time::{Duration, Instant},
};

use vonggac_daemon::exit::Exit;

use super::{complain, is_held, running};
use crate::{
    kafka::rights,
    layout::{self, Layout, Options},
    parts,
    state::{Condition, State},
};

/// How long all parts may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(180);

/// How often it is looked whether they are.
const LOOK: Duration = Duration::from_millis(100);

/// Lines of a supervisor's log that are shown when it failed.
const LINES_SHOWN: usize = 20;

/// Bytes of the log in which these lines are looked for.
const TAIL_BYTES_MAX: u64 = 16 << 10;

/// A supervisor that was begun.
struct Begun {
    child: Child,
    log: PathBuf,
    /// Where its own lines begin in the log.
    from: u64,
}

/// Starts a supervisor in the background and tells what it waits for.
pub(super) fn detached(root: &Path, options: &Options) -> Exit {
    let mut begun = None;
    if let Some(state) = running(root) {
        if let Err(error) = join(root, &state, options) {
            return complain(&format!("failed to {error}"), Exit::Failure);
        }
    } else {
        match begin(root, options) {
            Ok(child) => begun = Some(child),
            Err((text, exit)) => return complain(&format!("failed to {text}"), exit),
        }
    }
    wait_ready(root, begun)
}

/// Looks whether a start can succeed, and begins it.
fn begin(root: &Path, options: &Options) -> Result<Begun, (String, Exit)> {
    let failed = |error: &dyn std::error::Error| (error.to_string(), Exit::Failure);
    let options_before = fs::read(root.join(layout::KEPT)).ok();
    let (layout, options) = Layout::open(root, options).map_err(|error| failed(&error))?;
    layout.check(options.nation).map_err(|error| failed(&error))?;
    let sets = parts::sets(&layout, &options).map_err(|error| failed(&error))?;
    if let Err(error) = parts::check(&layout, &options, sets.as_ref()) {
        forget(&layout, options_before.as_deref());
        return Err((format!("start with these options: {error}"), Exit::Configuration));
    }
    let _old = fs::remove_file(layout.path("run/state.json"));
    spawn(&layout).map_err(|error| (format!("start the supervisor: {error}"), Exit::Failure))
}

fn spawn(layout: &Layout) -> io::Result<Begun> {
    let path = layout.path("log/single.log");
    let log = OpenOptions::new().create(true).append(true).open(&path)?;
    let from = log.metadata()?.len();
    let child = Process::new(std::env::current_exe()?)
        .args(["run", "--data"])
        .arg(&layout.root)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    Ok(Begun { child, log: path, from })
}

/// Puts remembered options back as they were before ones that cannot be used.
fn forget(layout: &Layout, before: Option<&[u8]>) {
    let path = layout.path(layout::KEPT);
    let _nothing_to_forget = match before {
        Some(text) => fs::write(path, text),
        None => fs::remove_file(path),
    };
}

/// Tells that the running one is joined, and what becomes of the options.
fn join(root: &Path, state: &State, options: &Options) -> Result<(), layout::LayoutError> {
    let mut text =
        format!("joining the one that runs on {} (process {})", root.display(), state.supervisor);
    if !options.is_empty() {
        Layout::open(root, options)?;
        text.push_str(
            "; the options are remembered and take effect after deploy/down and deploy/up",
        );
    }
    complain(&text, Exit::Success);
    Ok(())
}

/// What the parts still wait for; `None`: nothing.
fn waiting(root: &Path) -> Option<String> {
    let Some(state) = State::read(root) else { return Some(String::new()) };
    if state.is_ready() {
        // With certificates agents need their rights on Kafka, too.
        let wanted = state.parts.contains_key("kafka") && rights::are_wanted(root);
        let given = !wanted || rights::are_given(root);
        return (!given).then(|| "rights on Kafka".into());
    }
    let waits: Vec<String> = state
        .parts
        .iter()
        .filter(|(_, part)| part.state != Condition::Ready)
        .map(|(name, part)| format!("{name} {}", part.state.name()))
        .collect();
    Some(waits.join(", "))
}

/// Waits until all is ready, or the supervisor has ended: then its own last lines say why.
fn wait_ready(root: &Path, mut begun: Option<Begun>) -> Exit {
    let since = Instant::now();
    let mut told = String::new();
    while since.elapsed() < READY_WITHIN {
        let seconds = since.elapsed().as_secs_f64();
        match waiting(root) {
            None => return complain(&format!("ready after {seconds:.1} s"), Exit::Success),
            Some(text) if text != told => {
                complain(&format!("[{seconds:>5.1} s] waiting: {text}"), Exit::Success);
                told = text;
            }
            Some(_) => {}
        }
        let ended = match &mut begun {
            Some(begun) => begun.child.try_wait().ok().flatten().map(|status| {
                format!("it ended ({status}), and said:\n{}", last_lines(&begun.log, begun.from))
            }),
            None if !is_held(root) => Some("the one that was joined has ended".to_owned()),
            None => None,
        };
        if let Some(text) = ended {
            let log = root.join("log/single.log");
            return complain(
                &format!("failed to start: {text}\nsee {}", log.display()),
                Exit::Failure,
            );
        }
        std::thread::sleep(LOOK);
    }
    complain(
        &format!(
            "failed to be ready within {READY_WITHIN:?}: {told}; see {}",
            root.join("log").display()
        ),
        Exit::Failure,
    )
}

/// The last lines of a log, from a place on.
fn last_lines(log: &Path, from: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let end = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(end.saturating_sub(TAIL_BYTES_MAX))))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(LINES_SHOWN)..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_this_start_are_shown_and_none_of_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("single.log");
        fs::write(&log, "of before\nfailed to listen\n").unwrap();
        assert_eq!(last_lines(&log, 10), "failed to listen");
        let many: String = (0..100).map(|line| format!("{line}\n")).collect();
        fs::write(&log, many).unwrap();
        assert_eq!(last_lines(&log, 0).lines().count(), LINES_SHOWN);
        assert_eq!(last_lines(&folder.path().join("gone"), 0), "");
    }
}
