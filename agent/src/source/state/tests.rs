use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;
use vonggac_wire::event::{Activity, Class};

use super::*;
use crate::{
    intake::{self, Appended, Checkpoints},
    occurrence::Occurrences,
};

struct Nothing;

impl Checkpoints for Nothing {
    fn resume(&self, _: &str) -> Option<u64> {
        None
    }
    fn known(&self, _: &str) -> Vec<(String, u64)> {
        Vec::new()
    }
}

/// A host below a folder, and a spool that takes everything.
struct Host {
    dir: tempfile::TempDir,
    told: Arc<Mutex<Vec<Activity>>>,
    context: SourceContext,
}

impl Host {
    fn new() -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (intake, mut chunks) = intake::queue();
        let taken = Arc::clone(&told);
        tokio::spawn(async move {
            while let Some(chunk) = chunks.recv().await {
                let written = chunk.entries.len();
                for line in chunk.entries {
                    taken.lock().unwrap().push(line.event.activity().unwrap().clone());
                }
                if let Some(appended) = chunk.appended {
                    appended.send(Appended { written, known: 0 }).unwrap();
                }
            }
        });
        let context = SourceContext {
            intake,
            checkpoints: Arc::new(Nothing),
            shutdown: CancellationToken::new(),
            occurrences: Occurrences::new().unwrap(),
        };
        let host = Self { dir: tempfile::tempdir().unwrap(), told, context };
        host.write("etc/passwd", "root:x:0:0::/root:/bin/sh\n");
        host.write("etc/group", "root:x:0:\nsudo:x:27:\n");
        host.write("proc/self/mountinfo", "1 2 8:1 / / rw - ext4 /dev/sda1 rw\n");
        host.write("proc/net/tcp", "");
        host
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join("root").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// All kinds looked at by an agent that has just started.
    fn look(&self) -> Vec<Activity> {
        let config = StateConfig {
            kinds: StateKind::ALL.to_vec(),
            interval: Duration::from_secs(60),
            certificates: vec!["/etc/tls/*.pem".into()],
            system: String::new(),
        };
        let dir = self.dir.path().join("spool/state");
        let root = self.dir.path().join("root");
        let mut observer = Observer::open(config, &dir, &root, self.context.clone()).unwrap();
        tokio::task::block_in_place(|| {
            for kind in StateKind::ALL {
                observer.look(*kind, Time::from_seconds(1_764_000_000)).unwrap();
            }
            // What was told is known: a second look tells nothing.
            let told = self.told.lock().unwrap().len();
            for kind in StateKind::ALL {
                observer.look(*kind, Time::from_seconds(1_764_000_000)).unwrap();
            }
            assert_eq!(self.told.lock().unwrap().len(), told);
        });
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_is_known_by_one_event_and_then_its_changes_are_told_over_restarts() {
    let host = Host::new();
    let first = host.look();
    assert_eq!(first.len(), StateKind::ALL.len());
    assert!(first.iter().all(|a| a.status_detail == "state-known"));
    assert_eq!(host.look(), []);
    host.write(
        "etc/passwd",
        "root:x:0:0::/root:/bin/sh\ntoor:x:0:0::/root:/bin/bash\nlan:x:1000:1000::/home/lan:/bin/sh\n",
    );
    host.write("etc/group", "root:x:0:\nsudo:x:27:lan\nlan:x:1000:\n");
    host.write("var/lib/dpkg/status", "Package: nmap\nStatus: install ok installed\nVersion: 7\n");
    host.write("proc/modules", "rootkit 1 0 - Live 0x0 (OE)\n");
    host.write("etc/cron.d/x", "* * * * * root curl http://203.0.113.7/\n");
    host.write("etc/systemd/system/x.service", "[Service]\nExecStart=/tmp/x\n");
    host.write("etc/systemd/system/x.timer", "[Timer]\nOnCalendar=hourly\n");
    let key = data_encoding::BASE64.encode(b"\0\0\0\x0bssh-ed25519 example");
    host.write("home/lan/.ssh/authorized_keys", &format!("ssh-ed25519 {key} lan@x\n"));
    host.write(
        "proc/self/mountinfo",
        "1 2 8:1 / / ro - ext4 /dev/sda1 rw\n3 1 8:2 / /mnt rw - vfat /dev/sdb rw\n",
    );
    let word = format!("{:08X}", u32::from_ne_bytes([203, 0, 113, 9]));
    host.write(
        "proc/net/tcp",
        &format!("h\n 0: {word}:115C 00000000:0000 0A 0:0 0:0 0 0 0 77 1\n"),
    );
    let told = host.look();
    let mut short: Vec<String> = told
        .iter()
        .map(|a| format!("{} {} {} {}", a.class_uid, a.activity_id, a.severity_id, a.message))
        .collect();
    short.sort();
    assert_eq!(
        short,
        [
            "1003 1 4 kernel module rootkit was loaded; taint: OE",
            "1006 1 3 unit x.timer was added: hourly",
            "1006 1 4 cron job of root was added: * * * * * curl http://203.0.113.7/",
            "3001 1 3 user lan was added: UID=1000, GID=1000, home=/home/lan, shell=/bin/sh",
            "3001 1 5 user toor was added: UID=0, GID=0, home=/root, shell=/bin/bash",
            &told
                .iter()
                .find(|a| a.status_detail == "ssh-key-added")
                .map(|a| format!("3001 99 4 {}", a.message))
                .unwrap(),
            "3006 3 4 add 'lan' to group 'sudo'",
            "3006 5 2 group lan was added: GID=1000",
            "5019 1 2 /dev/sdb was mounted at /mnt: vfat rw",
            "5019 1 3 /dev/sda1 is mounted otherwise at /: ext4 ro",
            "5019 1 3 port tcp 203.0.113.9:4444 is open",
            "5020 1 2 package nmap was installed: 7",
            "6002 1 3 unit x.service was added: /tmp/x",
        ]
    );
    let port = told.iter().find(|a| a.dst_port == 4444).unwrap();
    assert_eq!(port.unmapped["state.kind"], "listening_port");
    assert_eq!(port.unmapped["change"], "added");
    let mount = told.iter().find(|a| a.file_path == "/").unwrap();
    assert_eq!(
        (mount.unmapped["before.options"].as_str(), mount.unmapped["mount.options"].as_str()),
        ("rw", "ro")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changed_is_told_without_a_trace_of_it() {
    let host = Host::new();
    host.write("etc/shadow", "root:$6$salt$firsthash:1::::::\n");
    host.look();
    host.write("etc/shadow", "root:$6$salt$secondhash:1::::::\n");
    let told = host.look();
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].class(), told[0].activity_id), (Class::AccountChange, 3));
    assert_eq!(told[0].unmapped["changed"], "password");
    let text = format!("{:?}", told[0]);
    assert!(!text.contains("hash") && !text.contains("_password"), "{text}");
    let kept = fs::read_to_string(host.dir.path().join("spool/state/users.json")).unwrap();
    assert!(!kept.contains("hash") && !kept.contains("salt"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_and_is_torn_is_made_anew_and_told() {
    let host = Host::new();
    host.look();
    let path = host.dir.path().join("spool/state/users.json");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let told = host.look();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].status_detail, "state-damaged");
    assert_eq!(host.look(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_looked_at_is_no_removal() {
    let host = Host::new();
    host.look();
    fs::remove_file(host.dir.path().join("root/etc/passwd")).unwrap();
    assert_eq!(host.look(), []);
}
