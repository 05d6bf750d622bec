//! The unit that the packages install, judged by systemd itself.

#![expect(clippy::print_stderr, reason = "what is skipped is told")]

use std::{fs, path::Path, process::Command};

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/packages/vonggac-agent.service");

/// systemd's own answer; `None`, told loudly: it is not installed here.
fn systemd_analyze(arguments: &[&str]) -> Option<(bool, String)> {
    let Ok(output) = Command::new("systemd-analyze").args(arguments).output() else {
        eprintln!("SKIPPED: systemd-analyze is missing; install the package systemd");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn the_unit_exposes_its_host_to_two_at_most() {
    let arguments = ["security", "--offline=true", "--no-pager", "--threshold=20", UNIT];
    let Some((is_well, said)) = systemd_analyze(&arguments) else { return };
    assert!(is_well && said.contains("Overall exposure level"), "{said}");
}

#[test]
fn systemd_has_nothing_to_say_about_the_unit() {
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_vonggac-agent");
    let text = fs::read_to_string(UNIT).unwrap().replace("/usr/bin/vonggac-agent", program);
    // The documentation is there only where the package is.
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with("Documentation="))
        .map(|l| format!("{l}\n"))
        .collect();
    let unit = dir.path().join("vonggac-agent.service");
    fs::write(&unit, text).unwrap();
    let unit = Path::to_str(&unit).unwrap();
    let Some((is_well, said)) = systemd_analyze(&["verify", "--man=no", unit]) else { return };
    assert!(is_well && said.trim().is_empty(), "{said}");
}
