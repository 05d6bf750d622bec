//! All that was found, put together.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{
    access::Reader,
    host::{Host, Listening},
    own, syslogd,
    table::{ProbeRow, Service, Services},
};

/// Ports of one service that are probed: a server of a hundred ports is one that opens them at random.
const PORTS_MAX: usize = 8;

/// Files of a log whose rights are looked at.
const RIGHTS_MAX: usize = 50;

/// What was found on a host.
#[derive(Debug, Serialize)]
pub struct Survey {
    /// The host's name.
    pub host: String,
    /// The user that the agent runs as.
    pub user: String,
    /// Services.
    pub services: Vec<Found>,
    /// The host's own logs.
    pub host_logs: HostLogs,
    /// Ports that no known service listens on.
    pub other_ports: Vec<OtherPort>,
}

/// A service that was found.
#[derive(Debug, Serialize)]
pub struct Found {
    /// Its name in the table.
    pub name: String,
    /// For a person.
    pub title: String,
    /// It runs now.
    pub is_running: bool,
    /// What told of it.
    pub evidence: Vec<String>,
    /// TCP ports.
    pub ports: Vec<u16>,
    /// Its own logs.
    pub logs: Vec<Log>,
    /// It speaks to syslog.
    pub syslog: bool,
    /// What may watch it: for each thing the candidates in order.
    pub probes: Vec<Vec<Probe>>,
    /// What must not change unseen.
    pub integrity: Vec<String>,
    /// What is to be done by hand.
    pub advice: String,
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Log {
    /// A path or a pattern.
    pub path: String,
    /// Its format.
    pub format: String,
    /// Files of it that are there now.
    pub files: usize,
    /// Who told of it, beside the table.
    pub told_by: Option<String>,
    /// Why the agent's user cannot read some of it, and what helps.
    pub unreadable: Option<Unreadable>,
}

/// Why a log cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// What was seen.
    pub why: String,
    /// What an administrator can do.
    pub remedy: String,
}

/// The host's own logs.
#[derive(Debug, Default, Serialize)]
pub struct HostLogs {
    /// Files that together hold every line once.
    pub files: Vec<Log>,
    /// Files whose lines stand in others too.
    pub held_elsewhere: Vec<Held>,
    /// Whether the journal is read.
    pub journal: bool,
    /// Why, or why not.
    pub journal_why: String,
    /// Why the agent's user cannot read the journal.
    pub journal_unreadable: Option<Unreadable>,
}

/// A file whose lines stand in another.
#[derive(Debug, Serialize)]
pub struct Held {
    /// The file.
    pub path: String,
    /// The other.
    pub by: String,
}

/// A port of nobody that is known.
#[derive(Debug, Serialize)]
pub struct OtherPort {
    /// Where it listens.
    pub address: String,
    /// The process's name, as far as it may be known.
    pub process: String,
}

/// A probe for the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// Unique.
    pub name: String,
    /// As in a configuration.
    pub kind: String,
    /// As in a configuration.
    pub target: String,
    /// Has to come back.
    pub expect: Option<String>,
    /// What an untrusted certificate means.
    pub certificate_trust: Option<String>,
    /// What a try said; `None`: it was not tried, or is well.
    pub failed: Option<String>,
}

impl Probe {
    /// A row of the table for an address.
    #[must_use]
    pub fn of(row: &ProbeRow, name: &str, address: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: row.kind.clone(),
            target: row.target.replace("{address}", address),
            expect: row.expect.clone(),
            certificate_trust: row.certificate_trust.clone(),
            failed: None,
        }
    }

    fn local(name: &str, kind: &str, target: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.into(),
            target: target.to_owned(),
            expect: None,
            certificate_trust: None,
            failed: None,
        }
    }
}

impl Survey {
    /// Looks at a host for all that the table knows, as the agent's user would read it.
    #[must_use]
    pub fn of(host: &Host, table: &Services, reader: &Reader) -> Self {
        let host_logs = host_logs(host, table, reader);
        let mut services: Vec<Found> =
            table.services.iter().filter_map(|service| find(host, service, reader)).collect();
        // A file is read once, whoever tells of it.
        let mut taken: Vec<String> = host_logs.files.iter().map(|log| log.path.clone()).collect();
        let held: BTreeSet<&str> =
            host_logs.held_elsewhere.iter().map(|held| held.path.as_str()).collect();
        for found in &mut services {
            found.logs.retain(|log| {
                let is_new = !taken.iter().any(|taken| own::covers(taken, &log.path));
                let is_own = is_new && !held.contains(log.path.as_str());
                if is_own {
                    taken.push(log.path.clone());
                }
                is_own
            });
        }
        let known: BTreeSet<u16> = services.iter().flat_map(|found| found.ports.clone()).collect();
        let other_ports = host
            .listening
            .iter()
            .filter(|listening| !known.contains(&listening.address.port()))
            .map(|listening| OtherPort {
                address: listening.address.to_string(),
                process: host
                    .processes
                    .iter()
                    .find(|process| listening.pids.contains(&process.pid))
                    .map_or_else(String::new, |process| process.comm.clone()),
            })
            .collect();
        let name = host.read("/etc/hostname").unwrap_or_default().trim().to_owned();
        Self {
            host: if host.is_own() || name.is_empty() { crate::config::hostname() } else { name },
            user: reader.name.clone(),
            services,
            host_logs,
            other_ports,
        }
    }

    /// What an administrator has to do, once each, with what it helps for.
    #[must_use]
    pub fn remedies(&self) -> BTreeMap<String, Vec<String>> {
        let mut remedies: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let logs = self.host_logs.files.iter().chain(self.services.iter().flat_map(|s| &s.logs));
        for log in logs {
            if let Some(unreadable) = &log.unreadable {
                remedies.entry(unreadable.remedy.clone()).or_default().push(log.path.clone());
            }
        }
        if let Some(unreadable) = &self.host_logs.journal_unreadable {
            remedies.entry(unreadable.remedy.clone()).or_default().push("the journal".into());
        }
        remedies
    }
}

/// Looks for one service; `None`: nothing tells of it.
fn find(host: &Host, service: &Service, reader: &Reader) -> Option<Found> {
    let mut evidence = Vec::new();
    let packages =
        host.packages.iter().filter(|name| service.packages.iter().any(|p| p.matches(name)));
    evidence.extend(packages.take(3).map(|name| format!("package {name}")));
    let units = host.units.iter().filter(|name| service.units.iter().any(|p| p.matches(name)));
    evidence.extend(units.take(3).map(|name| format!("unit {name}")));
    let running = host.running(&service.processes);
    evidence.extend(running.first().map(|p| format!("process {} ({})", p.comm, p.pid)));
    let config = service.config.iter().flat_map(|pattern| host.find(pattern));
    evidence.extend(config.take(3));
    if evidence.is_empty() {
        return None;
    }
    let pids: BTreeSet<u32> = running.iter().map(|process| process.pid).collect();
    let ports = ports(host, service, &pids);
    evidence.extend(ports.keys().map(|port| format!("port {port}")));
    let told = own::read(host, service);
    let mut logs = Vec::new();
    let of_table = service.logs.iter().filter(|pattern| has_folder(host, pattern));
    let of_table = of_table.map(|pattern| (pattern.clone(), None));
    for (path, told_by) in of_table.chain(told.logs.into_iter().map(|(log, by)| (log, Some(by)))) {
        if !logs.iter().any(|log: &Log| own::covers(&log.path, &path)) && has_folder(host, &path) {
            logs.push(log(host, reader, path, &service.format, told_by));
        }
    }
    let mut integrity: BTreeSet<String> =
        service.integrity.iter().flat_map(|pattern| host.find(pattern)).collect();
    integrity.extend(told.roots.into_iter().filter(|root| host.real(root).is_dir()));
    let mut probes = Vec::new();
    let units: BTreeSet<&str> = running.iter().filter_map(|p| p.unit.as_deref()).collect();
    for unit in &units {
        probes.push(vec![Probe::local(unit, "unit", unit)]);
    }
    if let (true, Some(first)) = (units.is_empty(), running.first()) {
        let name = format!("{}-process", service.name);
        probes.push(vec![Probe::local(&name, "process", &first.comm)]);
    }
    for (port, address) in &ports {
        let name = format!("{}-{port}", service.name);
        let rows = service.probes.iter();
        let rows = rows.filter(|row| row.ports.is_empty() || row.ports.contains(port));
        let candidates: Vec<Probe> = rows.map(|row| Probe::of(row, &name, address)).collect();
        probes.extend((!candidates.is_empty()).then_some(candidates));
    }
    Some(Found {
        name: service.name.clone(),
        title: service.title.clone(),
        is_running: !running.is_empty(),
        evidence,
        ports: ports.into_keys().collect(),
        logs,
        syslog: service.syslog,
        probes,
        integrity: integrity.into_iter().collect(),
        advice: service.say.clone(),
    })
}

/// The ports that these processes listen on, each with the address to ask at.
fn ports(host: &Host, service: &Service, pids: &BTreeSet<u32>) -> BTreeMap<u16, String> {
    let usual: BTreeSet<u16> =
        service.probes.iter().flat_map(|row| row.ports.iter().copied()).collect();
    let mut ports = BTreeMap::new();
    for Listening { address, pids: holders } in &host.listening {
        // Whose it is may not be known: then only a usual port of a service that runs.
        let is_own = holders.iter().any(|pid| pids.contains(pid))
            || (holders.is_empty() && !pids.is_empty() && usual.contains(&address.port()));
        let ask_at = match (address.ip().is_unspecified(), address.is_ipv4()) {
            (true, _) => format!("127.0.0.1:{}", address.port()),
            (false, _) => address.to_string(),
        };
        if is_own && (ports.len() < PORTS_MAX || ports.contains_key(&address.port())) {
            let loopback = address.ip().is_loopback() || address.ip().is_unspecified();
            let entry = ports.entry(address.port()).or_insert_with(|| ask_at.clone());
            if loopback && !entry.starts_with("127.") {
                *entry = ask_at;
            }
        }
    }
    ports
}

/// A log's folder is there, so that it is or will be.
fn has_folder(host: &Host, pattern: &str) -> bool {
    match pattern.rsplit_once('/') {
        Some((folder, _)) => {
            host.find(folder).iter().any(|folder| host.real(folder).is_dir())
                && (folder != "/var/log" || !host.find(pattern).is_empty())
        }
        None => false,
    }
}

fn log(host: &Host, reader: &Reader, path: String, format: &str, told_by: Option<String>) -> Log {
    let files = host.find(&path);
    let folder = path.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap_or_default();
    // Where there is no file yet, its folder tells.
    let looked = if files.is_empty() { vec![format!("{folder}/.")] } else { files.clone() };
    let denied = looked.iter().take(RIGHTS_MAX).find_map(|file| reader.may_read(host, file).err());
    Log {
        path,
        format: format.to_owned(),
        files: files.len(),
        told_by,
        unreadable: denied.map(|d| Unreadable { why: d.why(), remedy: d.remedy(&reader.name) }),
    }
}

fn host_logs(host: &Host, table: &Services, reader: &Reader) -> HostLogs {
    let rows = &table.syslog;
    let has_daemon = !host.running(&rows.processes).is_empty()
        || host.packages.iter().any(|name| rows.packages.iter().any(|p| p.matches(name)));
    let mut logs = HostLogs::default();
    if has_daemon {
        let rules: Vec<String> = rows
            .rules
            .iter()
            .flat_map(|p| host.find(p))
            .filter_map(|file| host.read(&file).ok())
            .collect();
        let mut wanted = Vec::new();
        for file in syslogd::files(&rules) {
            match file.held_by {
                Some(by) => logs.held_elsewhere.push(Held { path: file.path, by }),
                None => wanted.push(file.path),
            }
        }
        if wanted.is_empty() {
            let first = |paths: &[String]| paths.iter().find(|p| !host.find(p).is_empty()).cloned();
            wanted.extend(first(&rows.system));
            wanted.extend(first(&rows.authentication));
        }
        let folder = |path: &str| path.rsplit_once('/').is_some_and(|(f, _)| host.real(f).is_dir());
        wanted.retain(|path| folder(path));
        let main = rows.system.iter().chain(&rows.authentication);
        let main: BTreeSet<&String> = main.collect();
        logs.files = wanted
            .into_iter()
            .map(|path| log(host, reader, path, "auto", None))
            // Seldom ones that were never written are no logs of this host.
            .filter(|log| log.files > 0 || main.contains(&log.path))
            .collect();
    }
    let journal = rows.journal.iter().find(|folder| host.real(folder).is_dir());
    let are_read = !logs.files.is_empty() && logs.files.iter().all(|log| log.unreadable.is_none());
    match journal {
        _ if are_read => {
            let names: Vec<&str> = logs.files.iter().map(|log| log.path.as_str()).collect();
            logs.journal_why = format!("its lines stand in {}", names.join(" and "));
        }
        Some(folder) => {
            logs.journal = true;
            logs.journal_why = if logs.files.is_empty() {
                "no syslog daemon writes files here".into()
            } else {
                "the files of the syslog daemon cannot be read".into()
            };
            logs.files.clear();
            let may =
                reader.is_root() || ["systemd-journal", "adm"].iter().any(|g| reader.is_in(g));
            logs.journal_unreadable = (!may).then(|| Unreadable {
                why: format!("{} is in no group that may read {folder}", reader.name),
                remedy: format!("usermod -aG systemd-journal {}", reader.name),
            });
        }
        None => logs.journal_why = "this host has no journal".into(),
    }
    logs
}
