//! The program itself before files and disks that nobody wishes for: what is there is read, nothing is lost, and the log says what to do.
#![expect(clippy::unwrap_used, reason = "a test stops where its ground is missing")]
#![expect(clippy::print_stderr, reason = "what is skipped is told")]

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::{fs::PermissionsExt, fs::symlink},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use vonggac_agent::{config::Fsync, spool::Spool};
use vonggac_wire::{Event, Lane, Time};

/// Long enough for a machine on which everything else runs too.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with an agent's configuration, spool and log.
struct Ground {
    dir: tempfile::TempDir,
    spool: PathBuf,
}

/// An agent that ends with its test.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Ground {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path().join("spool");
        fs::create_dir(dir.path().join("logs")).unwrap();
        Self { dir, spool }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn append(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.at(name)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    fn start(&self, command: &mut Command) -> Agent {
        let config = format!(
            "agency = \"H49\"\nplain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:1\"]\n[spool]\ndir = \"{}\"\n# Slowing is an event of its own.\n[limits]\ncpu_percent_max = 100000\n[host_figures]\nenabled = false\n[[tail]]\npath = \"{}/logs/*.log\"\n",
            self.spool.display(),
            self.dir.path().display()
        );
        fs::write(self.at("agent.toml"), config).unwrap();
        let log = OpenOptions::new().create(true).append(true).open(self.at("said")).unwrap();
        command.args(["run", "--config"]).arg(self.at("agent.toml"));
        command.env_remove("NOTIFY_SOCKET").stdout(Stdio::null()).stderr(log);
        Agent(command.spawn().unwrap())
    }

    fn start_here(&self) -> Agent {
        self.start(&mut Command::new(env!("CARGO_BIN_EXE_vonggac-agent")))
    }

    /// What the agent said.
    fn said(&self) -> String {
        fs::read_to_string(self.at("said")).unwrap_or_default()
    }

    fn until_said(&self, words: &[&str]) {
        let is_said = || {
            let said = self.said();
            said.lines().any(|line| words.iter().all(|word| line.contains(word)))
        };
        until(|| format!("{words:?} in\n{}", self.said()), is_said);
    }

    /// So many lines are in the spool.
    fn until_lines(&self, lines: u64) {
        let status = self.spool.join("status.json");
        let told = || {
            let status = fs::read_to_string(&status).unwrap_or_default();
            format!("{lines} lines in\n{}\n{status}", self.said())
        };
        until(told, || {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            // Heartbeats and gaps have a lane of their own.
            let lanes = value["lanes"].as_array().into_iter().flatten();
            let others = lanes.filter(|lane| lane["lane"] != "uptime");
            others.map(|lane| lane["next_seq"].as_u64().unwrap_or(1) - 1).sum::<u64>() >= lines
        });
    }

    /// The lines that the spool holds, once the agent is gone.
    fn held(&self) -> Vec<Event> {
        let mut spool = Spool::open(&self.spool, "h", 1 << 30, Fsync::Never, Time::now()).unwrap();
        let mut held = Vec::new();
        for lane in Lane::ALL {
            spool.rewind(lane);
            while let Some(pending) = spool.next(lane, 1_000, 1 << 22).unwrap() {
                held.extend(pending.events.into_iter().filter(|event| !event.raw().is_empty()));
            }
        }
        held
    }

    fn raws(&self) -> Vec<String> {
        self.held().iter().map(|e| String::from_utf8_lossy(e.raw()).into_owned()).collect()
    }
}

fn until(what: impl Fn() -> String, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{}", what());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn times_from_1970_and_2099_are_kept_as_they_are_and_the_clock_is_told() {
    let ground = Ground::new();
    ground.append(
        "logs/a.log",
        "1970-01-01T00:00:07Z gw sshd[1]: Connection closed by 203.0.113.7\n2099-12-31T23:59:59Z gw sshd[1]: Connection closed by 203.0.113.7\n",
    );
    let agent = ground.start_here();
    ground.until_said(&["a time that cannot be", "look at the clock of gw"]);
    ground.until_lines(2);
    drop(agent);
    let times: Vec<String> = ground.held().iter().map(|event| event.time().to_string()).collect();
    assert_eq!(times, ["1970-01-01T00:00:07Z", "2099-12-31T23:59:59Z"]);
    assert!(ground.held().iter().all(|event| event.observed().seconds() > 1_700_000_000));
    assert_eq!(ground.said().matches("a time that cannot be").count(), 1, "once for a source");
}

#[test]
fn pipes_devices_loops_and_folders_among_the_logs_are_told_and_the_rest_is_read() {
    let ground = Ground::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, ground.at("logs/pipe.log"), rustix::fs::Mode::RUSR)
        .unwrap();
    symlink(ground.at("logs/loop.log"), ground.at("logs/loop.log")).unwrap();
    symlink("/dev/zero", ground.at("logs/zero.log")).unwrap();
    symlink(ground.at("logs"), ground.at("logs/around.log")).unwrap();
    ground.append("logs/endless.log", "x".repeat(5_000_000));
    ground.append("logs/plain.log", "one\n");
    let agent = ground.start_here();
    for (name, why) in [
        ("pipe.log", "no ordinary file"),
        ("zero.log", "no ordinary file"),
        ("around.log", "no ordinary file"),
        ("loop.log", "the link leads to itself: remove it"),
    ] {
        ground.until_said(&[name, why]);
    }
    // The line without an end has one at last.
    ground.append("logs/endless.log", "\nnext\n");
    ground.append("logs/plain.log", "two\n");
    ground.until_lines(4);
    drop(agent);
    let held = ground.held();
    let endless = held.iter().find(|event| event.raw().starts_with(b"xx")).unwrap();
    assert_eq!(endless.raw().len() as u64 + endless.raw_cut_bytes(), 5_000_000);
    let mut others = ground.raws();
    others.retain(|raw| raw.len() < 10);
    others.sort();
    assert_eq!(others, ["next", "one", "two"]);
}

#[test]
fn a_log_that_shrinks_is_told_and_read_from_its_beginning() {
    let ground = Ground::new();
    ground.append("logs/a.log", "one\ntwo\nthree\nfour\n");
    let agent = ground.start_here();
    ground.until_lines(4);
    // Not to nothing: a writer that forgot its end, or an editor, leaves a part.
    OpenOptions::new().write(true).open(ground.at("logs/a.log")).unwrap().set_len(8).unwrap();
    ground.until_said(&["a.log", "the file was cut"]);
    ground.append("logs/a.log", "five\n");
    ground.until_lines(7);
    drop(agent);
    let raws = ground.raws();
    assert_eq!(raws[..4], ["one", "two", "three", "four"]);
    assert_eq!(raws.iter().filter(|raw| *raw == "five").count(), 1);
}

#[test]
fn of_a_folder_of_a_hundred_thousand_files_the_newest_are_followed_and_it_is_told() {
    let ground = Ground::new();
    for n in 0..100_000 {
        File::create(ground.at(&format!("logs/x{n:06}.log"))).unwrap();
    }
    std::thread::sleep(Duration::from_millis(20));
    ground.append("logs/x050000.log", "here\n");
    let agent = ground.start_here();
    ground.until_said(&["more files match than are followed", "narrow the pattern"]);
    // The line, and that reading is slowed for so many open files: either may come first.
    ground.until_lines(2);
    let process = format!("/proc/{}", agent.0.id());
    let open = fs::read_dir(format!("{process}/fd")).unwrap().count();
    assert!(open < 1_200, "{open} open files");
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: u64 = kilobytes.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 200 << 10, "{kilobytes} kB");
    drop(agent);
    assert_eq!(ground.raws(), ["here"]);
}

#[test]
fn permission_that_is_taken_away_is_told_with_what_to_do_and_costs_no_line() {
    let ground = Ground::new();
    let program = ground.at("vonggac-agent");
    let built = Path::new(env!("CARGO_BIN_EXE_vonggac-agent"));
    fs::hard_link(built, &program).or_else(|_| fs::copy(built, &program).map(drop)).unwrap();
    fs::create_dir(&ground.spool).unwrap();
    File::create(ground.at("said")).unwrap();
    for name in ["", "logs", "spool", "said"] {
        fs::set_permissions(ground.at(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    ground.append("logs/a.log", "one\n");
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
    if rustix::process::geteuid().as_raw() != 0
        || Command::new("setpriv").arg("-V").output().is_err()
    {
        eprintln!("SKIPPED: it takes root and setpriv to be somebody else");
        return;
    }
    let agent = ground.start(&mut command);
    ground.until_lines(1);
    // The writer opens a new file, as logrotate has it, and forgets the agent's right to read it.
    let mode = |mode| {
        fs::set_permissions(ground.at("logs/a.log"), fs::Permissions::from_mode(mode)).unwrap();
    };
    ground.append("logs/a.log", "two\n");
    fs::rename(ground.at("logs/a.log"), ground.at("logs/a.log.1")).unwrap();
    ground.append("logs/a.log", "three\n");
    mode(0o600);
    ground.append("logs/b.log", "b\n");
    fs::set_permissions(ground.at("logs/b.log"), fs::Permissions::from_mode(0o600)).unwrap();
    ground.until_said(&["Permission denied", "give the agent's user the right to read it"]);
    ground.until_lines(2);
    mode(0o644);
    fs::set_permissions(ground.at("logs/b.log"), fs::Permissions::from_mode(0o644)).unwrap();
    ground.until_lines(4);
    drop(agent);
    let mut raws = ground.raws();
    raws.sort();
    assert_eq!(raws, ["b", "one", "three", "two"]);
}

/// A small disk of its own; `None` where this process may not mount.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(at);
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(at.to_owned()));
        }
        eprintln!("SKIPPED: no right to mount a small disk");
        None
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let done = Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _left = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_full_and_then_not_has_every_line_once_and_it_is_told() {
    let mut ground = Ground::new();
    let Some(disk) = Disk::mount(&ground.at("disk")) else { return };
    ground.spool = disk.0.join("spool");
    let agent = ground.start_here();
    ground.append("logs/a.log", "first\n");
    ground.until_lines(1);
    let mut fill = File::create(disk.0.join("fill")).unwrap();
    while fill.write_all(&[0; 4096]).is_ok() {}
    let text: String = (0..3_000).map(|n| format!("line {n} {}\n", "x".repeat(100))).collect();
    ground.append("logs/a.log", &text);
    ground.until_said(&["the spool cannot be written; sources wait until it can"]);
    drop(fill);
    fs::remove_file(disk.0.join("fill")).unwrap();
    ground.until_lines(3_001);
    drop(agent);
    let refusals = ground.said().matches("the spool cannot be written").count();
    assert!(refusals <= 2, "a log on the same disk is not to be filled: {refusals}");
    let raws = ground.raws();
    let wanted: Vec<String> =
        std::iter::once("first").chain(text.lines()).map(str::to_owned).collect();
    assert_eq!(raws.len(), wanted.len());
    assert_eq!(raws, wanted);
}

#[test]
fn an_agent_whose_disk_is_read_only_waits_says_so_and_begins_when_it_may() {
    let mut ground = Ground::new();
    let Some(disk) = Disk::mount(&ground.at("disk")) else { return };
    ground.spool = disk.0.join("spool");
    ground.append("logs/a.log", "one\n");
    disk.remount("ro");
    let mut agent = ground.start_here();
    ground.until_said(&["the agent waits for the disk"]);
    assert!(agent.0.try_wait().unwrap().is_none(), "it does not end");
    disk.remount("rw");
    ground.until_lines(1);
    ground.append("logs/a.log", "two\n");
    ground.until_lines(2);
    drop(agent);
    assert_eq!(ground.raws(), ["one", "two"]);
}
