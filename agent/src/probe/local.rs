//! What is asked of this host: units, processes, files, programs.

use std::{
    fs,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process::Stdio,
    time::{Duration, SystemTime},
};

use regex::bytes::Regex;
use tokio::{io::AsyncReadExt, process::Command};

use super::{ProbeError, first_line, require, threads};
use crate::config::ProbeConfig;

/// Bytes of a program's output that are looked at.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// How long is read on after a program has ended: what it wrote is there already.
const REST_WAIT: Duration = Duration::from_millis(100);

/// Bytes of a process's name that the kernel keeps.
const COMM_BYTES: usize = 15;

/// Files of one pattern that are looked at.
const FILES_MAX: usize = 10_000;

/// A systemd unit: active is up, on its way is degraded, anything else is down.
pub(super) async fn unit(config: &ProbeConfig) -> Result<(), ProbeError> {
    let shown = Command::new("systemctl")
        .args(["show", "--property=LoadState,ActiveState,SubState,Result", "--"])
        .arg(&config.target)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| ProbeError::Unable(format!("failed to run systemctl: {error}")))?;
    if !shown.status.success() {
        let why = first_line(&shown.stderr);
        return Err(ProbeError::Unable(format!("systemctl cannot tell: {why}")));
    }
    state(&String::from_utf8_lossy(&shown.stdout))
}

/// What `systemctl show` says.
fn state(shown: &str) -> Result<(), ProbeError> {
    let of = |name: &str| {
        shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or("")
    };
    let (load, active, sub) = (of("LoadState"), of("ActiveState"), of("SubState"));
    match active {
        _ if load == "not-found" => Err(ProbeError::Answer("there is no such unit".into())),
        "active" => Ok(()),
        "activating" | "reloading" | "refreshing" => {
            Err(ProbeError::Degraded(format!("the unit is {active} ({sub})")))
        }
        _ => {
            let result = of("Result");
            let why = if matches!(result, "" | "success") { sub } else { result };
            Err(ProbeError::Answer(format!("the unit is {active} ({why})")))
        }
    }
}

/// Enough processes of this name, or with this in their command line.
pub(super) async fn process(config: &ProbeConfig) -> Result<(), ProbeError> {
    let (name, expect) = (config.target.clone(), config.expect.clone());
    let counted = threads::run(move || count_processes(&name, expect.as_ref())).await?;
    let found =
        counted.map_err(|error| ProbeError::Unable(format!("/proc cannot be read: {error}")))?;
    if found >= config.processes_min {
        return Ok(());
    }
    Err(ProbeError::Answer(format!("{found} processes run, wanted {}", config.processes_min)))
}

fn count_processes(name: &str, expect: Option<&Regex>) -> std::io::Result<u64> {
    let wanted = &name.as_bytes()[..name.len().min(COMM_BYTES)];
    let mut found = 0;
    for entry in fs::read_dir("/proc")?.filter_map(Result::ok) {
        let file = entry.file_name();
        if !file.as_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let read = |what: &str| fs::read(entry.path().join(what)).unwrap_or_default();
        // The dead that nobody has buried yet do not run.
        let stat = read("stat");
        let state = memchr::memrchr(b')', &stat).and_then(|end| stat.get(end + 2));
        if read("comm").trim_ascii_end() != wanted || matches!(state, Some(b'Z' | b'X')) {
            continue;
        }
        let line: Vec<u8> =
            read("cmdline").iter().map(|byte| if *byte == 0 { b' ' } else { *byte }).collect();
        found += u64::from(expect.is_none_or(|expect| expect.is_match(&line)));
    }
    Ok(found)
}

/// The newest file of a pattern is young and large enough.
pub(super) async fn file(config: &ProbeConfig) -> Result<(), ProbeError> {
    let pattern = config.target.clone();
    let looked = threads::run(move || newest(&pattern)).await?;
    let found = looked.map_err(|error| ProbeError::Target(error.to_string()))?;
    let Some((path, modified, bytes)) = found else {
        return Err(ProbeError::Answer("there is no such file".into()));
    };
    let age = SystemTime::now().duration_since(modified).unwrap_or(Duration::ZERO);
    if let Some(most) = config.age_max.filter(|most| age > *most) {
        return Err(ProbeError::Answer(format!(
            "{} is {} s old, at most {} s are allowed",
            path.display(),
            age.as_secs(),
            most.as_secs()
        )));
    }
    match config.size_min.filter(|least| bytes < *least) {
        Some(least) => Err(ProbeError::Answer(format!(
            "{} has {bytes} bytes, at least {least} are wanted",
            path.display()
        ))),
        None => Ok(()),
    }
}

type Newest = Option<(PathBuf, SystemTime, u64)>;

fn newest(pattern: &str) -> Result<Newest, glob::PatternError> {
    let files = glob::glob(pattern)?.filter_map(Result::ok).take(FILES_MAX).filter_map(|path| {
        let data = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        Some((path, data.modified().ok()?, data.len()))
    });
    Ok(files.max_by_key(|(_, modified, _)| *modified))
}

/// A program, by the convention of monitoring plugins. At its time's end it goes with all that it has begun.
pub(super) async fn command(config: &ProbeConfig) -> Result<(), ProbeError> {
    let Some((program, arguments)) = config.command.split_first() else {
        return Err(ProbeError::Target(config.target.clone()));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| ProbeError::Unable(format!("failed to run {program}: {error}")))?;
    let group = Group(child.id());
    let mut output = Vec::new();
    let ended = match child.stdout.take() {
        Some(stdout) => {
            let mut limited = stdout.take(OUTPUT_BYTES_MAX);
            // Its end is the program's own: what it left in the background may hold the output open for ever.
            let ended = tokio::select! {
                read = limited.read_to_end(&mut output) => {
                    read.map_err(ProbeError::Silent)?;
                    None
                }
                ended = child.wait() => Some(ended),
            };
            if ended.is_some() {
                let rest = limited.read_to_end(&mut output);
                let _held_open = tokio::time::timeout(REST_WAIT, rest).await;
            } else if output.len() as u64 >= OUTPUT_BYTES_MAX {
                // One that writes without end must not wait for a reader, nor die of there being none.
                let (mut rest, mut nowhere) = (limited.into_inner(), tokio::io::sink());
                tokio::select! {
                    _ = tokio::io::copy(&mut rest, &mut nowhere) => {}
                    _ = child.wait() => {}
                }
            }
            ended
        }
        None => None,
    };
    let status = match ended {
        Some(ended) => ended,
        None => child.wait().await,
    };
    let status = status.map_err(ProbeError::Silent)?;
    drop(group);
    let said = first_line(&output);
    match status.code() {
        Some(0) => require(config.expect.as_ref(), &output),
        Some(1) => Err(ProbeError::Degraded(said)),
        Some(code) => Err(ProbeError::Answer(format!("exit code {code}: {said}"))),
        None => Err(ProbeError::Answer(format!("ended by a signal: {said}"))),
    }
}

/// The child's group, which ends when this goes.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let group = self.0.and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(group) = group {
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_units_state_is_up_on_its_way_or_down_with_the_reason() {
        assert!(
            state("LoadState=loaded\nActiveState=active\nSubState=running\nResult=success\n")
                .is_ok()
        );
        let way = state("LoadState=loaded\nActiveState=activating\nSubState=auto-restart\n");
        assert!(matches!(way, Err(ProbeError::Degraded(_))));
        let failed =
            state("LoadState=loaded\nActiveState=failed\nSubState=failed\nResult=oom-kill\n");
        assert_eq!(failed.unwrap_err().to_string(), "the unit is failed (oom-kill)");
        let none = state("LoadState=not-found\nActiveState=inactive\nSubState=dead\n");
        assert_eq!(none.unwrap_err().to_string(), "there is no such unit");
    }
}
