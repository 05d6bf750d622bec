//! Asking a program of the host, with a limit to its time and its words.

use std::{process::Stdio, time::Duration};

use tokio::{io::AsyncReadExt, process::Command};

/// A program that has not answered by then hangs.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// What it prints, in English whatever the host speaks. For threads of the runtime that may block.
///
/// # Errors
/// If it cannot be run, fails, does not answer in time, or says more than `bytes_max`.
pub(crate) fn ask(program: &str, arguments: &[&str], bytes_max: u64) -> Result<String, String> {
    let failed = |error: &dyn std::fmt::Display| format!("failed to ask {program}: {error}");
    let asked = async {
        let mut child = Command::new(program)
            .args(arguments)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(&error))?;
        let mut said = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            let read = stdout.take(bytes_max + 1).read_to_end(&mut said).await;
            read.map_err(|error| failed(&error))?;
        }
        if said.len() as u64 > bytes_max {
            return Err(failed(&"it says more than is read"));
        }
        // `rpm -q` of several files fails if one of them has no owner, and tells of the others.
        child.wait().await.map_err(|error| failed(&error))?;
        Ok(String::from_utf8_lossy(&said).into_owned())
    };
    tokio::runtime::Handle::current()
        .block_on(tokio::time::timeout(ANSWER_MAX, asked))
        .map_err(|_| failed(&"it does not answer"))?
}
