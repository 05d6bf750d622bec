//! People of every role, each with a folder of their own that says where the centre is and holds their certificate.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use serde_json::Value;
use system_tests::{
    lines,
    machine::{Machine, program},
};
use vonggac_collector::trust::authority::{Authority, Request};
use vonggac_console::client::{self, Caller, Client, Way};
use vonggac_wire::{AgentId, Identity, Time};

pub(super) const SOON: Duration = Duration::from_secs(60);

/// Whoever is asked of, and what the centre says of them. What there is to see is the agency `local`'s: `far` and `far-observer` are another's,
/// `idle` has no case.
pub(super) const ALL: [(&str, &str); 11] = [
    ("admin", "role = \"administrator\""),
    ("national", "role = \"national-operator\""),
    ("own", "role = \"agency-operator\"\nagencies = [\"local\"]"),
    ("far", "role = \"agency-operator\"\nagencies = [\"H49\"]"),
    ("responder", "role = \"responder\""),
    ("idle", "role = \"responder\""),
    ("observer", "role = \"observer\"\nagencies = [\"local\"]"),
    ("far-observer", "role = \"observer\"\nagencies = [\"H49\"]"),
    ("auditor", "role = \"auditor\""),
    // Asks for what others answer.
    ("asker", "role = \"national-operator\"\nbreak_glass = [\"request\"]"),
    ("stranger", ""),
];

pub(super) struct People {
    folder: tempfile::TempDir,
}

impl People {
    pub(super) fn of(machine: &Machine) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let trust = machine.data().join("trust");
        let authority = Authority::open(&trust.join("authority"))?;
        let collector = machine.address("collector")?;
        let roles = machine.data().join("etc/roles.toml");
        let mut text = fs::read_to_string(&roles)?;
        for (name, says) in ALL {
            let identity = Identity::Person(AgentId::new(name)?);
            let issued =
                authority.issue(&Request::fresh(identity, Vec::new(), "who-may"), Time::now())?;
            let set = folder.path().join(name).join("set");
            fs::create_dir_all(folder.path().join(name).join("run"))?;
            issued.write(&set)?;
            fs::write(
                folder.path().join(name).join("run/addresses.toml"),
                format!("certificates = \"{}\"\ncollector = \"{collector}\"\n", set.display()),
            )?;
            if !says.is_empty() {
                text.push_str(&format!("\n[[person]]\nname = \"{name}\"\n{says}\n"));
            }
        }
        fs::write(&roles, text)?;
        Ok(Self { folder })
    }

    fn data(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Through the command line.
    pub(super) fn ask_in(&self, lang: &str, name: &str, arguments: &[&str]) -> Output {
        Command::new(program("vonggac"))
            .args(arguments)
            .args(["--lang", lang, "--data"])
            .arg(self.data(name))
            .output()
            .expect("the program runs")
    }

    /// What was answered, or what was complained about.
    pub(super) fn ask(&self, name: &str, arguments: &[&str]) -> Result<String, String> {
        let output = self.ask_in("en", name, arguments);
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Rows of an answer.
    pub(super) fn rows(&self, name: &str, arguments: &[&str]) -> Vec<Value> {
        let text = self.ask(name, &[arguments, &["--format", "json"]].concat());
        let text = text.unwrap_or_else(|error| panic!("{name} {arguments:?}: {error}"));
        serde_json::from_str(&text).expect("JSON")
    }

    /// Waits until rows please.
    pub(super) fn until(
        &self,
        name: &str,
        arguments: &[&str],
        pleases: impl Fn(&[Value]) -> bool,
    ) -> Vec<Value> {
        let begun = std::time::Instant::now();
        loop {
            let rows = self.rows(name, arguments);
            if pleases(&rows) {
                return rows;
            }
            assert!(begun.elapsed() < SOON, "{name} {arguments:?}: {rows:?}");
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// A client that speaks gRPC.
    pub(super) async fn client(&self, name: &str) -> Client {
        let way = Way::new(None, None, Some(&self.data(name))).expect("a way");
        client::connect(&way, Caller::new(name, false)).await.expect("a connection")
    }
}

/// An incident of the agency `local`, which is the responder's.
pub(super) fn a_case(machine: &Machine, people: &People) {
    let text: String = (0..40).map(|number| lines::refused(number, "203.0.113.7")).collect();
    machine.append(&text).expect("appended");
    // The roles are read anew within seconds.
    let begun = std::time::Instant::now();
    while let Err(error) = people.ask("admin", &["health"]) {
        assert!(begun.elapsed() < SOON, "{error}");
        std::thread::sleep(Duration::from_millis(300));
    }
    let found = |rows: &[Value]| rows.iter().any(|row| row["rule"] == "ssh-brute-force");
    let rows = people.until("admin", &["incidents"], found);
    let case = rows.iter().find(|row| row["rule"] == "ssh-brute-force").expect("a case");
    let id = case["id"].to_string();
    people.ask("admin", &["incidents", "assign", &id, "responder"]).expect("assigned");
    let is_given = |rows: &[Value]| rows.iter().any(|row| row["owner"] == "responder");
    people.until("admin", &["incidents"], is_given);
    people
        .ask("admin", &["saved", "save", "case", "user:root", "--agency", "local"])
        .expect("saved");
}
