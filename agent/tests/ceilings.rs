//! The program under load: it keeps within its ceilings, and what is urgent is read all the same.
#![expect(clippy::unwrap_used, reason = "a test stops where its ground is missing")]

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use vonggac_agent::{command::status::Status, config::Fsync, spool::Spool};
use vonggac_wire::{Event, Lane, Time, event::Body};

/// Long enough for a machine on which everything else runs too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Percent of a core.
const CPU_PERCENT_MAX: f64 = if cfg!(debug_assertions) { 20.0 } else { 8.0 };

/// Lines of the back-fill: more than is read within the ceiling while the test lasts.
const LINES: u64 = if cfg!(debug_assertions) { 1_000_000 } else { 3_000_000 };

/// An agent that ends with its test.
struct Agent(Child);

impl Agent {
    fn start(config: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vonggac-agent"));
        command.args(["run", "--config"]).arg(config).stderr(Stdio::null());
        Self(command.env_remove("NOTIFY_SOCKET").spawn().unwrap())
    }

    fn end(&mut self) {
        let pid = i32::try_from(self.0.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        until("it ends", || self.0.try_wait().unwrap().is_some());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn status(dir: &Path) -> Option<Status> {
    serde_json::from_str(&fs::read_to_string(dir.join("spool/status.json")).ok()?).ok()
}

fn lines_of(status: &Status, name: &str) -> u64 {
    let mut things = status.sources.iter().flat_map(|source| &source.things);
    things.find(|thing| thing.name.ends_with(name)).map_or(0, |thing| thing.lines)
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn held(dir: &Path, lane: Lane) -> Vec<Event> {
    let dir = dir.join("spool");
    let mut spool = Spool::open(&dir, "h", 1 << 30, Fsync::EachChunk, Time::now()).unwrap();
    spool.rewind(lane);
    let mut events = Vec::new();
    while let Some(pending) = spool.next(lane, 1_000, 1 << 20).unwrap() {
        events.extend(pending.events);
    }
    events
}

#[test]
fn back_fill_keeps_within_the_ceiling_of_cpu_while_log_ins_and_heartbeats_pass() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let mut access = String::new();
    for n in 0..LINES {
        access.push_str(&format!("203.0.113.{} - - [24/Nov/2026:09:41:12 +0700] \"GET /ho-so/{n} HTTP/1.1\" 200 5 \"-\" \"M\"\n", n % 250));
    }
    append(&at("access.log"), &access);
    let failure = |n: u32| {
        format!(
            "Nov 24 16:00:00 web-1 sshd[{n}]: Failed password for root from 203.0.113.7 port {n} ssh2\n"
        )
    };
    append(&at("auth.log"), &failure(1));
    let tail = |name: &str| format!("[[tail]]\npath = \"{}\"\n", at(name).display());
    let text = format!(
        "agency = \"H49\"\nplain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:1\"]\n[limits]\ncpu_percent_max = {CPU_PERCENT_MAX}\n[heartbeat]\ninterval = \"1s\"\n[spool]\ndir = \"{}\"\nfsync = \"never\"\nbytes_max = \"2GiB\"\n[host_figures]\nenabled = false\n{}{}",
        at("spool").display(),
        tail("access.log"),
        tail("auth.log")
    );
    fs::write(at("agent.toml"), text).unwrap();
    let mut agent = Agent::start(&at("agent.toml"));
    let told = || status(dir.path());
    let is_slowed =
        |status: &Status| status.slowed.iter().any(|of| of.ceiling == "cpu" && of.lasts);
    until("back-fill uses the credit up", || told().is_some_and(|status| is_slowed(&status)));
    // It needs some seconds to settle.
    std::thread::sleep(Duration::from_secs(10));
    let (begun, before) = (Instant::now(), told().unwrap());
    for n in 2..8 {
        append(&at("auth.log"), &failure(n));
        let so_far = |status: Status| lines_of(&status, "auth.log") >= u64::from(n);
        until("a log-in is read", || told().is_some_and(so_far));
        std::thread::sleep(Duration::from_millis(1_500));
    }
    let (after, seconds) = (told().unwrap(), begun.elapsed().as_secs_f64());
    let percent = (after.cpu_seconds - before.cpu_seconds) / seconds * 100.0;
    eprintln!("{percent:.1} % of a core over {seconds:.0} s, {:?}", after.reading);
    // The status may be two seconds old at either end.
    assert!(percent <= CPU_PERCENT_MAX * 1.4, "{percent}");
    let (first, last) = (lines_of(&before, "access.log"), lines_of(&after, "access.log"));
    assert!(first < last && last < LINES, "back-fill goes on, from {first} to {last}");
    let slowed = after.reading[0].slowed_seconds - before.reading[0].slowed_seconds;
    assert!(slowed > seconds / 2.0, "slowed for {slowed} s of {seconds}");
    assert!((after.reading[2].share - 1.0).abs() < f64::EPSILON, "{:?}", after.reading);
    agent.end();
    let beats = held(dir.path(), Lane::Uptime);
    let slowed = beats.iter().rev().find_map(|event| match event.body() {
        Body::Heartbeat(beat) => Some(beat.slowed.clone()),
        _ => None,
    });
    assert_eq!(slowed.unwrap()[0].ceiling, "cpu");
    assert!(beats.len() as f64 > seconds, "heartbeats passed: {}", beats.len());
    let security = held(dir.path(), Lane::Security);
    let episodes = security.iter().filter(|event| {
        event.activity().is_some_and(|activity| activity.status_detail == "agent-slowed")
    });
    assert_eq!(episodes.count(), 1, "an episode is told once");
}

#[test]
fn memory_near_its_ceiling_slows_what_can_wait_and_a_reload_raises_it() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    append(&at("a.log"), "one\n");
    let text = |memory: &str| {
        format!(
            "agency = \"H49\"\nplain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:1\"]\n[limits]\nmemory_bytes_max = \"{memory}\"\n[spool]\ndir = \"{}\"\n[host_figures]\nenabled = false\n[[tail]]\npath = \"{}\"\n",
            at("spool").display(),
            at("a.log").display()
        )
    };
    fs::write(at("agent.toml"), text("1GiB")).unwrap();
    let mut agent = Agent::start(&at("agent.toml"));
    until("it runs", || status(dir.path()).is_some_and(|status| status.lines_read == 1));
    let status_now = || status(dir.path()).unwrap();
    assert!(status_now().slowed.is_empty());
    let takes = status_now().rss_bytes;
    let reload = |memory: u64| {
        fs::write(at("agent.toml"), text(&format!("{}KiB", memory / 1_024))).unwrap();
        let pid = i32::try_from(agent.0.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    };
    // As it runs here, it takes more than the least that may be set.
    assert!(takes > 16 << 20, "{takes}");
    reload(takes);
    until("it is slowed", || status_now().slowed.iter().any(|of| of.ceiling == "memory"));
    append(&at("a.log"), "two\n");
    until("but never stands still", || status_now().lines_read == 2);
    reload(1 << 30);
    until("it reads at full speed again", || {
        status_now().reading.iter().all(|rank| rank.share >= 1.0)
    });
    agent.end();
}
