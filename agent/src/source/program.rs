//! Asking a program of the host, with a limit to its time and its words.

use std::{
    io::Read,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

/// A program that has not answered by then hangs.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How often is asked whether a program that has said everything has ended.
const ASK_INTERVAL: Duration = Duration::from_millis(5);

/// What it prints, in English whatever the host speaks. Blocks its thread.
///
/// # Errors
/// If it cannot be run, does not answer in time, or says more than `bytes_max`.
pub(crate) fn ask(program: &str, arguments: &[&str], bytes_max: u64) -> Result<String, String> {
    ask_within(program, arguments, bytes_max, ANSWER_MAX)
}

fn ask_within(
    program: &str,
    arguments: &[&str],
    bytes_max: u64,
    within: Duration,
) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("failed to ask {program}: {error}");
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| failed(&error))?;
    let stdout = child.stdout.take();
    let (told, answer) = mpsc::channel();
    // Ends with the program, whose whole group is ended below.
    thread::spawn(move || {
        let mut said = Vec::new();
        let read = stdout.map_or(Ok(0), |out| out.take(bytes_max + 1).read_to_end(&mut said));
        let _given_up = told.send(read.map(|_| said));
    });
    let begun = Instant::now();
    let said = answer.recv_timeout(within);
    let is_whole = matches!(&said, Ok(Ok(said)) if said.len() as u64 <= bytes_max);
    // One may close its output and go on.
    while is_whole && begun.elapsed() < within && matches!(child.try_wait(), Ok(None)) {
        thread::sleep(ASK_INTERVAL);
    }
    if !is_whole || matches!(child.try_wait(), Ok(None)) {
        if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
            let _gone = kill_process_group(group, Signal::KILL);
        }
    }
    // `rpm -q` of several files fails if one of them has no owner, and tells of the others.
    let ended = child.wait();
    let said = said.map_err(|_| failed(&"it does not answer"))?.map_err(|error| failed(&error))?;
    ended.map_err(|error| failed(&error))?;
    if said.len() as u64 > bytes_max {
        return Err(failed(&"it says more than is read"));
    }
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_or_talks_without_end_is_ended_with_all_it_began() {
        let ask = |script: &str| ask_within("sh", &["-c", script], 1_000, Duration::from_secs(2));
        assert_eq!(ask("printf 'caf\\351'; exit 3").unwrap(), "caf\u{fffd}");
        assert!(ask("sleep 3600 & sleep 3600").unwrap_err().contains("does not answer"));
        assert!(ask("while :; do echo endless; done").unwrap_err().contains("more than is read"));
        assert_eq!(ask("echo all; exec >&-; sleep 3600").unwrap(), "all\n");
        assert!(super::ask("/nowhere/rpm", &[], 9).unwrap_err().contains("failed to ask"));
    }
}
