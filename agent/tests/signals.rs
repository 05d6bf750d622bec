//! The program itself, by its signals and what it tells systemd.
#![expect(clippy::unwrap_used, reason = "a test stops where its ground is missing")]

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    fs::{FileType, Mode},
    process::{Pid, Signal, kill_process},
};
use vonggac_agent::{config::Fsync, spool::Spool};
use vonggac_wire::{Lane, Time, event::Body};

/// Long enough for a machine on which everything else runs too.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent that ends with its test.
struct Agent(Child);

impl Agent {
    fn start(config: &Path, socket: Option<&Path>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vonggac-agent"));
        command.args(["run", "--config"]).arg(config).stderr(Stdio::null());
        command.env_remove("NOTIFY_SOCKET");
        if let Some(socket) = socket {
            command.env("NOTIFY_SOCKET", socket).env("WATCHDOG_USEC", "20000000");
        }
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

fn config(dir: &Path, log: &str) -> String {
    format!(
        "agency = \"H49\"\nplain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:1\"]\n[spool]\ndir = \"{0}/spool\"\n[host_figures]\nenabled = false\n[[tail]]\npath = \"{0}/{log}\"\n",
        dir.display()
    )
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// SIGHUP, the first bit, is among the signals that the process catches.
fn catches_hangups(agent: &Agent) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.0.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
    u64::from_str_radix(caught, 16).unwrap() & 1 == 1
}

#[test]
fn a_hangup_while_the_agent_starts_has_the_configuration_read_again_instead_of_ending_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    // Reading from a pipe lasts as long as the test wants.
    let mode = Mode::RUSR | Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, mode, 0).unwrap();
    let mut agent = Agent::start(&path, None);
    let mut pipe = OpenOptions::new().write(true).open(&path).unwrap();
    until("the handler stands before the configuration is read", || catches_hangups(&agent));
    let fresh = dir.path().join("fresh.toml");
    fs::write(&fresh, config(dir.path(), "second.log")).unwrap();
    fs::rename(fresh, &path).unwrap();
    agent.signal(Signal::HUP);
    pipe.write_all(config(dir.path(), "first.log").as_bytes()).unwrap();
    drop(pipe);
    let status = dir.path().join("spool/status.json");
    until("the second configuration is in force", || {
        assert!(agent.0.try_wait().unwrap().is_none(), "the agent ended");
        fs::read_to_string(&status).is_ok_and(|text| text.contains("second.log"))
    });
}

#[test]
fn systemd_is_told_of_start_reload_life_and_stop() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    fs::write(&path, config(dir.path(), "a.log")).unwrap();
    let socket_path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&socket_path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut agent = Agent::start(&path, Some(&socket_path));
    let mut told = String::new();
    let mut wait_for = |words: &[&str]| {
        let begun = Instant::now();
        told.clear();
        while !words.iter().all(|word| told.contains(word)) {
            assert!(begun.elapsed() < PATIENCE, "wanted {words:?}, was told {told}");
            let mut message = [0; 4096];
            let length = socket.recv(&mut message).unwrap();
            told.push_str(&String::from_utf8_lossy(&message[..length]));
            told.push('\n');
        }
        told.clone()
    };
    wait_for(&["READY=1", "WATCHDOG=1", "STATUS=0 lines read"]);
    agent.signal(Signal::HUP);
    let reload = wait_for(&["RELOADING=1", "MONOTONIC_USEC=", "READY=1"]);
    assert!(reload.find("RELOADING=1") < reload.find("READY=1"), "{reload}");
    agent.signal(Signal::TERM);
    wait_for(&["STOPPING=1"]);
    until("the agent ends", || agent.0.try_wait().unwrap().is_some());
}

#[test]
fn heartbeats_tell_the_sources_and_the_system_that_a_reload_brought() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    let settings = |system: &str, more: &str| {
        let text = config(dir.path(), "a.log");
        format!("system = \"{system}\"\n{text}{more}[heartbeat]\ninterval = \"1s\"\n")
    };
    fs::write(&path, settings("old-portal", "")).unwrap();
    let agent = Agent::start(&path, None);
    let status = dir.path().join("spool/status.json");
    let says = |words: &str| fs::read_to_string(&status).is_ok_and(|text| text.contains(words));
    until("it runs", || says("a.log"));
    let more = format!("[[tail]]\npath = \"{}/b.log\"\n", dir.path().display());
    fs::write(&path, settings("new-portal", &more)).unwrap();
    agent.signal(Signal::HUP);
    until("it took the change over", || says("b.log"));
    std::thread::sleep(Duration::from_secs(3));
    agent.signal(Signal::TERM);
    let mut agent = agent;
    until("it ends", || agent.0.try_wait().unwrap().is_some());
    let mut spool =
        Spool::open(&dir.path().join("spool"), "h", 1 << 30, Fsync::EachChunk, Time::now())
            .unwrap();
    spool.rewind(Lane::Uptime);
    let mut told = Vec::new();
    while let Some(pending) = spool.next(Lane::Uptime, 1_000, 1 << 20).unwrap() {
        for event in pending.events {
            if let Body::Heartbeat(beat) = event.body() {
                told.push((event.system().to_owned(), beat.sources));
            }
        }
    }
    assert_eq!(told.first(), Some(&("old-portal".to_owned(), 1)));
    assert_eq!(told.last(), Some(&("new-portal".to_owned(), 2)), "{told:?}");
}
