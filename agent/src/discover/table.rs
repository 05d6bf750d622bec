//! The table of services, `services.toml`.

use glob::Pattern;
use regex::Regex;
use vonggac_daemon::settings::{Document, SettingsError, Table};

/// How services are recognised, and what is watched of them.
#[derive(Debug)]
pub struct Services {
    /// All of them.
    pub services: Vec<Service>,
    /// The host's own logs.
    pub syslog: Syslog,
}

/// One service.
#[derive(Debug)]
pub struct Service {
    /// Short and unique.
    pub name: String,
    /// For a person.
    pub title: String,
    /// Of packages.
    pub packages: Vec<Pattern>,
    /// Of units' files.
    pub units: Vec<Pattern>,
    /// Of processes.
    pub processes: Vec<ProcessName>,
    /// Its files.
    pub config: Vec<String>,
    /// Patterns of its logs.
    pub logs: Vec<String>,
    /// The logs' format.
    pub format: String,
    /// It speaks to syslog.
    pub syslog: bool,
    /// What must not change unseen.
    pub integrity: Vec<String>,
    /// Values of names in its configuration.
    pub variables: Vec<(String, String)>,
    /// Candidates for each port, in order.
    pub probes: Vec<ProbeRow>,
    /// What its own configuration tells.
    pub reads: Vec<Read>,
    /// What is to be done by hand.
    pub say: String,
}

/// A process by its name, and by words of its command line.
#[derive(Debug)]
pub struct ProcessName {
    /// As in `comm`.
    pub comm: Pattern,
    /// Has to stand in the command line; empty: anything.
    pub words: String,
}

/// A probe that may suit a port.
#[derive(Debug)]
pub struct ProbeRow {
    /// As in a configuration.
    pub kind: String,
    /// `{address}` is replaced.
    pub target: String,
    /// Has to come back.
    pub expect: Option<String>,
    /// What an untrusted certificate means.
    pub certificate_trust: Option<String>,
    /// Only these; empty: any.
    pub ports: Vec<u16>,
}

/// What is read of a service's configuration.
#[derive(Debug)]
pub struct Read {
    /// Patterns of files.
    pub files: Vec<String>,
    /// Groups `log`, `dir`, `root`.
    pub text: Regex,
    /// The file counts only where this is found.
    pub only: Option<Regex>,
    /// Where relative paths begin; empty: the file's own folder.
    pub base: String,
    /// Which files of a `dir`.
    pub inside: String,
}

/// The host's own logs.
#[derive(Debug)]
pub struct Syslog {
    /// Packages of daemons.
    pub packages: Vec<Pattern>,
    /// Their processes.
    pub processes: Vec<ProcessName>,
    /// Their rules.
    pub rules: Vec<String>,
    /// Files with everything.
    pub system: Vec<String>,
    /// Files with log-ins.
    pub authentication: Vec<String>,
    /// The journal's folders.
    pub journal: Vec<String>,
}

impl Services {
    /// The table that this program carries.
    ///
    /// # Errors
    /// All its mistakes, which a test would show.
    pub fn builtin() -> Result<Self, SettingsError> {
        Self::from_text(include_str!("../../services.toml"))
    }

    fn from_text(text: &str) -> Result<Self, SettingsError> {
        let document = Document::from_text(std::path::Path::new("services.toml"), text.to_owned());
        document.finish(|root| Self {
            services: root.tables("service", Service::take),
            syslog: root.table("syslog", |table| Syslog {
                packages: patterns(table, "packages"),
                processes: processes(table),
                rules: table.texts("rules").unwrap_or_default(),
                system: table.texts("system").unwrap_or_default(),
                authentication: table.texts("authentication").unwrap_or_default(),
                journal: table.texts("journal").unwrap_or_default(),
            }),
        })
    }
}

impl Service {
    fn take(table: &mut Table<'_>) -> Self {
        let format = table.text("format").unwrap_or_else(|| "auto".into());
        if !crate::format::is_known(&format) {
            table.wrong("format", format!("{format:?} is no format"));
        }
        Self {
            name: table.text_required("name"),
            title: table.text_required("title"),
            packages: patterns(table, "packages"),
            units: patterns(table, "units"),
            processes: processes(table),
            config: table.texts("config").unwrap_or_default(),
            logs: table.texts("logs").unwrap_or_default(),
            format,
            syslog: table.bool("syslog").unwrap_or(false),
            integrity: table.texts("integrity").unwrap_or_default(),
            variables: table
                .pairs("variables")
                .into_iter()
                .map(|(name, values)| (name, values.join("")))
                .collect(),
            probes: table.tables("probe", ProbeRow::take),
            reads: table.tables("read", Read::take),
            say: table.text("say").unwrap_or_default(),
        }
    }
}

impl ProbeRow {
    fn take(table: &mut Table<'_>) -> Self {
        let mut ports = Vec::new();
        for text in table.texts("ports").unwrap_or_default() {
            match text.parse() {
                Ok(port) => ports.push(port),
                Err(error) => table.wrong("ports", format!("{text:?} is no port: {error}")),
            }
        }
        Self {
            kind: table.text_required("kind"),
            target: table.text_required("target"),
            expect: table.text("expect"),
            certificate_trust: table.text("certificate_trust"),
            ports,
        }
    }
}

impl Read {
    fn take(table: &mut Table<'_>) -> Self {
        let text = table.parsed("text", "a regular expression");
        if text.is_none() {
            table.wrong("text", "is missing; wanted a regular expression");
        }
        Self {
            files: table.texts_required("files"),
            // Stands in until the mistake is told.
            text: text.unwrap_or_else(nothing),
            only: table.parsed("only", "a regular expression"),
            base: table.text("base").unwrap_or_default(),
            inside: table.text("inside").unwrap_or_else(|| "*".into()),
        }
    }
}

/// An expression that finds nothing.
#[expect(clippy::expect_used, reason = "a literal that a test compiles")]
fn nothing() -> Regex {
    Regex::new(r"\z\A.").expect("the literal is an expression")
}

fn patterns(table: &mut Table<'_>, name: &'static str) -> Vec<Pattern> {
    let texts = table.texts(name).unwrap_or_default();
    texts.into_iter().filter_map(|text| pattern(table, name, &text)).collect()
}

fn pattern(table: &mut Table<'_>, name: &str, text: &str) -> Option<Pattern> {
    match Pattern::new(text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            table.wrong(name, format!("{text:?} is no pattern: {error}"));
            None
        }
    }
}

fn processes(table: &mut Table<'_>) -> Vec<ProcessName> {
    let texts = table.texts("processes").unwrap_or_default();
    let names = texts.into_iter().filter_map(|text| {
        let (comm, words) = text.split_once(' ').unwrap_or((&text, ""));
        let words = words.to_owned();
        pattern(table, "processes", comm).map(|comm| ProcessName { comm, words })
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_whole_and_its_names_are_unique() {
        let table = Services::builtin().unwrap();
        let names: BTreeSet<_> = table.services.iter().map(|service| &service.name).collect();
        assert_eq!(names.len(), table.services.len());
        assert!(nothing().find("anything").is_none());
        for service in &table.services {
            let recognised = !service.packages.is_empty()
                || !service.units.is_empty()
                || !service.processes.is_empty()
                || !service.config.is_empty();
            assert!(recognised, "{} could never be found", service.name);
            for read in &service.reads {
                let groups: Vec<_> = read.text.capture_names().flatten().collect();
                assert!(
                    groups.iter().any(|group| ["log", "dir", "root"].contains(group)),
                    "{} reads nothing from {:?}",
                    service.name,
                    read.files
                );
            }
        }
    }

    #[test]
    fn each_row_of_a_probe_is_one_that_a_configuration_takes() {
        for service in Services::builtin().unwrap().services {
            for row in &service.probes {
                let probe = crate::discover::survey::Probe::of(row, "x", "127.0.0.1:99");
                let text = format!(
                    "agency = \"H49\"\nplain_text = true\nkafka.brokers = [\"a:1\"]\nspool.dir = \"/x\"\n{}",
                    probe.toml()
                );
                let read = crate::config::Config::from_text(std::path::Path::new("a"), &text);
                assert!(read.is_ok(), "{}: {}", service.name, read.unwrap_err());
            }
        }
    }
}
