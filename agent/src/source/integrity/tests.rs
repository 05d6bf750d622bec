use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    sync::Mutex,
};

use tokio_util::sync::CancellationToken;
use vonggac_wire::event::{Activity, Class};

use super::*;
use crate::intake::{Chunk, Entry as Line};
use crate::source::collecting;

/// A host below a folder, a spool that takes everything, and the guard between them.
struct Host {
    dir: tempfile::TempDir,
    config: IntegrityConfig,
    told: Arc<Mutex<Vec<Activity>>>,
    context: SourceContext,
}

impl Host {
    /// Watches `watched/`. The runtime has to be one with several threads.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("watched")).unwrap();
        let config = crate::config::Config::from_text(
            Path::new("a.toml"),
            &format!(
                "agency = \"H49\"\nplain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:1\"]\n[spool]\ndir = \"/x\"\n[integrity]\nenabled = true\npaths = [\"{}\"]\nhash_bytes_per_second_max = \"1GiB\"\n",
                dir.path().join("watched").display()
            ),
        );
        let (context, told) = collecting::activities();
        Self { dir, config: config.unwrap().integrity.unwrap(), told, context }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join("watched").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), text).unwrap();
    }

    fn guard(&self) -> Guard {
        let (store, context) = (self.dir.path().join("spool/integrity"), self.context.clone());
        Guard::open(self.config.clone(), &store, self.dir.path(), context).unwrap()
    }

    /// A guard that has begun, as after a start of the agent.
    fn begun(&self) -> Guard {
        let mut guard = self.guard();
        tokio::task::block_in_place(|| guard.begin()).unwrap();
        guard
    }

    /// What was told since the last time: "number name" of each, sorted; or the detail of what is said of the watch itself.
    fn told(&self) -> Vec<String> {
        let mut told: Vec<String> = self.activities().iter().map(|a| self.short(a)).collect();
        told.sort();
        told
    }

    fn activities(&self) -> Vec<Activity> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }

    fn short(&self, activity: &Activity) -> String {
        assert_eq!(activity.class(), Class::FileSystem);
        if activity.activity_id == 99 {
            return activity.status_detail.clone();
        }
        let path = Path::new(&activity.file_path).strip_prefix(self.at(""));
        format!("{} {}", activity.activity_id, path.unwrap().display())
    }
}

fn look(guard: &mut Guard) {
    tokio::task::block_in_place(|| guard.look_at_all(FoundBy::Interval)).unwrap();
}

/// Takes what the kernel tells until this is told, for at most ten seconds.
fn until(host: &Host, guard: &mut Guard, wanted: &[&str]) {
    let begun = Instant::now();
    let mut all = Vec::new();
    while begun.elapsed() < Duration::from_secs(10) {
        guard.watch.drain(&mut guard.dirty, Instant::now());
        if guard.dirty.ripe(Instant::now()).is_some() {
            let (paths, all) = guard.dirty.take();
            assert!(!all);
            tokio::task::block_in_place(|| guard.look_at(paths)).unwrap();
        }
        all.extend(host.told());
        all.sort();
        if all == wanted {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("told {all:?}, wanted {wanted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_look_is_one_event_and_each_change_after_it_is_one() {
    let host = Host::new();
    host.write("a", "one");
    host.write("b", "same");
    host.write("folder/c", "three");
    host.write("gone", "x");
    let mut guard = host.begun();
    assert_eq!(host.told(), ["baseline-made"]);
    look(&mut guard);
    assert_eq!(host.told(), [""; 0]);
    host.write("a", "ONE");
    fs::set_permissions(host.at("b"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::remove_file(host.at("gone")).unwrap();
    fs::rename(host.at("folder/c"), host.at("folder/d")).unwrap();
    symlink("/etc/shadow", host.at("link")).unwrap();
    look(&mut guard);
    let activities = host.activities();
    let mut told: Vec<String> = activities.iter().map(|a| host.short(a)).collect();
    told.sort();
    assert_eq!(told, ["1 link", "3 a", "4 gone", "5 folder/d", "6 b"]);
    let field = |id: u32, name: &str| {
        let activity = activities.iter().find(|a| a.activity_id == id).unwrap();
        activity.unmapped.get(name).cloned().unwrap_or_default()
    };
    assert_eq!(
        (field(6, "before.mode").as_str(), field(6, "file.mode").as_str()),
        ("0644", "4755")
    );
    assert_eq!(field(1, "file.link"), "/etc/shadow");
    assert_eq!(field(1, "file.sha256"), "", "a link is not followed");
    assert!(field(5, "file.moved_from").ends_with("folder/c"));
    assert_ne!(field(3, "before.sha256"), field(3, "file.sha256"));
    assert_eq!(field(3, "found_by"), "interval");
    // What was told is known.
    look(&mut guard);
    assert_eq!(host.told(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_while_the_agent_was_off_are_told_at_its_start() {
    let host = Host::new();
    host.write("a", "one");
    drop(host.begun());
    host.told();
    host.write("a", "two");
    host.write("b", "new");
    let guard = host.begun();
    let activities = host.activities();
    assert_eq!(activities.len(), 2);
    assert!(activities.iter().all(|a| a.unmapped["found_by"] == "start"));
    drop(guard);
    drop(host.begun());
    assert_eq!(host.told(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_when_the_kernel_tells_of_it() {
    let host = Host::new();
    host.write("folder/a", "one");
    let mut guard = host.begun();
    host.told();
    host.write("folder/a", "two");
    host.write("new/deep/b", "x");
    until(&host, &mut guard, &["1 new", "1 new/deep", "1 new/deep/b", "3 folder/a"]);
    // A folder that came later is watched too.
    host.write("new/deep/c", "x");
    fs::remove_file(host.at("new/deep/b")).unwrap();
    until(&host, &mut guard, &["1 new/deep/c", "4 new/deep/b"]);
    fs::remove_dir_all(host.at("new")).unwrap();
    until(&host, &mut guard, &["4 new", "4 new/deep", "4 new/deep/c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_overflow_all_files_are_looked_at() {
    let host = Host::new();
    let mut guard = host.begun();
    host.told();
    host.write("a", "x");
    guard.dirty.overflow(Instant::now());
    let (paths, all) = guard.dirty.take();
    assert!(all && paths.is_empty());
    tokio::task::block_in_place(|| guard.look_at_all(FoundBy::Overflow)).unwrap();
    assert_eq!(host.activities()[0].unmapped["found_by"], "overflow");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifos_and_loops_are_told_and_never_opened() {
    let host = Host::new();
    host.write("a", "x");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, host.at("fifo"), kind, mode, 0).unwrap();
    symlink("..", host.at("loop")).unwrap();
    symlink("itself", host.at("itself")).unwrap();
    let mut guard = host.begun();
    assert_eq!(host.told(), ["baseline-made"]);
    assert_eq!(guard.baseline.count(), 5);
    rustix::fs::mknodat(rustix::fs::CWD, host.at("fifo2"), kind, mode, 0).unwrap();
    fs::remove_file(host.at("a")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, host.at("a"), kind, mode, 0).unwrap();
    look(&mut guard);
    let told: BTreeMap<String, Activity> =
        host.activities().into_iter().map(|a| (host.short(&a), a)).collect();
    assert_eq!(told.keys().collect::<Vec<_>>(), ["1 fifo2", "3 a"]);
    assert!(told["3 a"].unmapped["changed"].starts_with("kind"));
    assert_eq!(told["3 a"].unmapped["before.kind"], "file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_vanishes_between_list_and_reading_is_none() {
    let host = Host::new();
    host.write("a", "x");
    let mut guard = host.begun();
    let data = fs::symlink_metadata(host.at("a")).unwrap();
    fs::remove_file(host.at("a")).unwrap();
    let met = guard.looker.meet(&host.at("a"), &data, None, false).unwrap();
    assert_eq!(met, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_told_once_and_its_change_is_seen_by_its_size() {
    let host = Host::new();
    host.write("a", "x");
    let mut guard = host.begun();
    host.told();
    // A device in place of the file between the look and the opening is refused like a missing permission.
    let data = fs::symlink_metadata(host.at("a")).unwrap();
    for _ in 0..2 {
        let met = guard.looker.meet(Path::new("/dev/null"), &data, None, false).unwrap().unwrap();
        assert_eq!(met.content, entry::Content::Unreadable);
    }
    tokio::task::block_in_place(|| guard.tell_refused()).unwrap();
    assert_eq!(host.told(), ["not-readable"]);
    tokio::task::block_in_place(|| guard.tell_refused()).unwrap();
    assert_eq!(host.told(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_files_are_one_event_and_a_few_megabytes() {
    let host = Host::new();
    for n in 0..100_000 {
        fs::File::create(host.at(&format!("{n:06}"))).unwrap();
    }
    let mut guard = {
        let mut config = host.config.clone();
        config.files_max = 100_000;
        let host = Host { config, ..host };
        let guard = host.begun();
        // The folder itself is one too: the last file is beyond.
        assert_eq!(host.told(), ["baseline-made", "files-max"]);
        assert_eq!(guard.baseline.count(), 100_000);
        host.write("050000", "x");
        (host, guard)
    };
    look(&mut guard.1);
    assert_eq!(guard.0.told(), ["3 050000"], "what is beyond is told once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_baseline_is_made_anew_and_told() {
    let host = Host::new();
    host.write("a", "x");
    host.write("b", "x");
    drop(host.begun());
    host.told();
    let store = host.dir.path().join("spool/integrity/baseline");
    let whole = fs::read(&store).unwrap();
    let half = whole.len() / 2;
    for damaged in [whole[..whole.len() - 1].to_vec(), whole[..half].to_vec(), Vec::new(), {
        let mut flipped = whole.clone();
        flipped[half] ^= 1;
        flipped
    }] {
        fs::write(&store, damaged).unwrap();
        drop(host.begun());
        assert_eq!(host.told(), ["baseline-damaged"]);
        drop(host.begun());
        assert_eq!(host.told(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_were_torn_are_told_again_and_those_before_are_not() {
    let host = Host::new();
    let mut guard = host.begun();
    host.told();
    for name in ["a", "b"] {
        host.write(name, "x");
        look(&mut guard);
        assert_eq!(host.told(), [format!("1 {name}")]);
    }
    drop(guard);
    let journal = host.dir.path().join("spool/integrity/changes");
    let whole = fs::read(&journal).unwrap();
    fs::write(&journal, &whole[..whole.len() - 3]).unwrap();
    drop(host.begun());
    assert_eq!(host.told(), ["1 b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_set_back_has_contents_read_again_once_and_tells_nothing() {
    let host = Host::new();
    host.write("a", "x");
    let mut guard = host.begun();
    host.told();
    let header = Header { verified: i64::MAX / 2, ..guard.baseline.header().clone() };
    guard.baseline.work_in(&header).unwrap();
    let before = guard.looker.hasher.bytes;
    look(&mut guard);
    assert_eq!(guard.looker.hasher.bytes, before + 1);
    look(&mut guard);
    assert_eq!((guard.looker.hasher.bytes, host.told().len()), (before + 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_comes_into_the_configuration_is_one_event() {
    let mut host = Host::new();
    host.write("a", "x");
    host.write("old/b", "x");
    drop(host.begun());
    host.told();
    fs::create_dir(host.dir.path().join("more")).unwrap();
    fs::write(host.dir.path().join("more/c"), "x").unwrap();
    host.config.paths.push(host.dir.path().join("more").display().to_string());
    host.config.exclude.push("old".into());
    host.write("d", "x");
    drop(host.begun());
    assert_eq!(host.told(), ["1 d", "baseline-extended"]);
    drop(host.begun());
    assert_eq!(host.told(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_it_is_told_where_audit_knows() {
    let host = Host::new();
    host.write("a", "x");
    let mut guard = host.begun();
    host.told();
    host.write("a", "y");
    let raw = format!(
        "type=SYSCALL msg=audit({}.1:5): arch=c000003e syscall=257 success=yes exit=3 pid=8 auid=1000 uid=0 comm=\"vi\" exe=\"/usr/bin/vi\" key=\"w\"\ntype=PATH msg=audit(1.0:5): item=0 name=\"{}\" nametype=NORMAL",
        Time::now().seconds(),
        host.at("a").display()
    );
    let context = crate::format::Context::here(Time::now());
    let (event, known) = crate::format::event("auditd", raw.as_bytes(), 0, &context);
    assert!(known);
    let chunk = Chunk { entries: vec![Line { event, position: None }], ..Chunk::default() };
    host.context.intake.send(chunk).await.unwrap();
    look(&mut guard);
    let told = host.activities();
    let told = told.iter().find(|a| a.activity_id == 3).unwrap();
    assert_eq!((told.process_name.as_str(), told.process_pid), ("/usr/bin/vi", 8));
    assert_eq!(told.actor_user_name, "1000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_was_upgraded_is_told_from_a_tampering() {
    let mut host = Host::new();
    let bin = host.dir.path().join("usr/bin");
    let info = host.dir.path().join("var/lib/dpkg/info");
    fs::create_dir_all(&bin).unwrap();
    fs::create_dir_all(&info).unwrap();
    host.config.paths = vec![bin.display().to_string()];
    let install = |version: &str, text: &str| {
        fs::write(bin.join("tool"), text).unwrap();
        fs::write(bin.join("other"), text).unwrap();
        let mut hasher = hash::Hasher::new(1 << 30, 1 << 30, CancellationToken::new());
        let sum = hasher.md5(&bin.join("tool")).unwrap().unwrap();
        fs::write(info.join("tools.list"), "/usr/bin/tool\n/usr/bin/other\n").unwrap();
        let sums = format!("{sum}  usr/bin/tool\n{sum}  usr/bin/other\n");
        fs::write(info.join("tools.md5sums"), sums).unwrap();
        let status = format!("Package: tools\nStatus: install ok installed\nVersion: {version}\n");
        fs::write(info.join("../status"), status).unwrap();
    };
    install("1", "one");
    let mut guard = host.begun();
    host.told();
    install("2", "two");
    fs::write(bin.join("other"), "TWO").unwrap();
    fs::write(bin.join("stranger"), "x").unwrap();
    look(&mut guard);
    let told: BTreeMap<String, Activity> = host
        .activities()
        .into_iter()
        .map(|a| (a.file_path.rsplit('/').next().unwrap().to_owned(), a))
        .collect();
    let field = |name: &str, key: &str| told[name].unmapped.get(key).map_or("", String::as_str);
    assert_eq!(field("tool", "package"), "tools 2");
    assert_eq!(field("tool", "package_change"), "true");
    assert_eq!((field("other", "package_file"), told["other"].severity_id), ("differs", 5));
    assert_eq!(field("stranger", "package_file"), "in no package");
    assert_eq!(told["tool"].severity_id, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_the_reading_and_loses_no_change() {
    let host = Host::new();
    host.write("a", "x");
    drop(host.begun());
    host.told();
    host.write("a", "y");
    let mut guard = host.guard();
    host.context.shutdown.cancel();
    let ended = tokio::task::block_in_place(|| guard.begin());
    assert!(matches!(ended, Err(Ended::Stopped)));
    let host = Host {
        context: SourceContext { shutdown: CancellationToken::new(), ..host.context.clone() },
        ..host
    };
    drop(guard);
    host.told();
    drop(host.begun());
    assert_eq!(host.told(), ["3 a"]);
}
