//! `vonggac-agent check-config`: every mistake of a configuration, and what of it will not work on this host.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use vonggac_daemon::{exit::Exit, log::Harmless, settings::Document, tls::Files};
use vonggac_wire::{Lane, topic};

use super::{complain, say};
use crate::{
    config::Config,
    discover::{access::Reader, host::Host},
    ship,
};

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The configuration.
    #[arg(long, default_value = "/etc/vonggac/agent.toml")]
    config: PathBuf,
    /// Ask each of Kafka's addresses too.
    #[arg(long)]
    connect: bool,
    /// The user that the agent runs as; by default the package's, where there is one, else who asks.
    #[arg(long)]
    user: Option<String>,
}

/// How long one of Kafka's addresses is waited for.
const BROKER_WITHIN: Duration = Duration::from_secs(5);

/// Files of one pattern that are looked at.
const FILES_MAX: usize = 1_000;

/// Something that is right and will not work, or not yet: the key, and why.
type Warning = (String, String);

pub(super) fn run(arguments: &Arguments) -> Exit {
    let config = match super::read(&arguments.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let host = Host::at(Path::new("/"));
    let user = arguments.user.as_deref();
    let reader = Reader::of(&host, user.unwrap_or(super::sources::AGENT_USER));
    if let (Some(user), None) = (user, &reader) {
        return complain(&format!("failed to find the user {user} on this host"), Exit::Usage);
    }
    let eyes = Eyes { host, reader };
    let mut warnings = files(&config, &eyes);
    warnings.extend(twice(&config));
    if arguments.connect {
        warnings.extend(brokers(&config));
    }
    let document = Document::read(&arguments.config).ok();
    let file = arguments.config.display();
    for (key, why) in &warnings {
        let line = document.as_ref().map_or(1, |document| document.line_of(key));
        complain(&format!("{file}:{line}: `{key}`: warning: {}", Harmless(why)), Exit::Success);
    }
    say(&format!(
        "the configuration is right: agency {}, {} log patterns, {} probes, {} warnings",
        config.agency,
        config.tails.len(),
        config.probes.len(),
        warnings.len()
    ));
    Exit::Success
}

/// Who reads.
struct Eyes {
    host: Host,
    /// The agent's user, where it is known; else who asks.
    reader: Option<Reader>,
}

impl Eyes {
    /// Why a file or folder cannot be read, and what helps.
    fn refused(&self, path: &Path) -> Option<String> {
        if let Some(reader) = &self.reader {
            let denied = reader.may_read(&self.host, &path.to_string_lossy()).err()?;
            return Some(format!(
                "{} cannot be read by {}: {}; {}",
                path.display(),
                reader.name,
                denied.why(),
                denied.remedy(&reader.name)
            ));
        }
        let opened = if path.is_dir() {
            fs::read_dir(path).map(drop)
        } else {
            fs::File::open(path).map(drop)
        };
        opened.err().map(|error| format!("{} cannot be read: {error}", path.display()))
    }

    /// The same, for a file that has to be there.
    fn missing_or_refused(&self, path: &Path) -> Option<String> {
        if path.exists() {
            return self.refused(path);
        }
        Some(format!("{} is not there", path.display()))
    }
}

/// Files that are not there, or that the agent may not read.
fn files(config: &Config, eyes: &Eyes) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (index, tail) in config.tails.iter().enumerate() {
        let key = format!("tail[{index}].path");
        let found = match glob::glob(&tail.path) {
            Ok(found) => found,
            Err(error) => {
                warnings.push((key, format!("{:?} is no pattern: {error}", tail.path)));
                continue;
            }
        };
        let (mut count, mut refused) = (0, None);
        for file in found.take(FILES_MAX) {
            count += 1;
            let why = match file {
                Ok(file) => eyes.refused(&file),
                Err(error) => Some(format!("a folder cannot be read: {error}")),
            };
            refused = refused.or(why);
        }
        match refused {
            Some(why) => warnings.push((key, why)),
            None if count == 0 => {
                warnings.push((
                    key,
                    format!("{} is not there yet; it is read as soon as it is", tail.path),
                ));
            }
            None => {}
        }
    }
    let mut needed = Vec::new();
    if let Some(tls) = &config.tls {
        needed.push(("tls.certificate".to_owned(), &tls.certificate));
        needed.push(("tls.key".to_owned(), &tls.key));
        needed.push(("tls.authorities".to_owned(), &tls.authorities));
    }
    for (index, syslog) in config.syslogs.iter().enumerate() {
        if let Some(tls) = &syslog.tls {
            needed.push((format!("syslog[{index}].certificate"), &tls.certificate));
            needed.push((format!("syslog[{index}].key"), &tls.key));
            let authority = tls.client_authority.as_ref();
            needed
                .extend(authority.map(|path| (format!("syslog[{index}].client_authority"), path)));
        }
    }
    for (index, probe) in config.probes.iter().enumerate() {
        let authority = probe.certificate_authority.as_ref();
        needed
            .extend(authority.map(|path| (format!("probe[{index}].certificate_authority"), path)));
    }
    for (index, drop) in config.usage.drops.iter().enumerate() {
        needed.push((format!("usage.drop[{index}].folder"), &drop.folder));
    }
    let needed = needed.into_iter();
    warnings.extend(needed.filter_map(|(key, path)| Some((key, eyes.missing_or_refused(path)?))));
    if config.journal.enabled
        && !["/var/log/journal", "/run/log/journal"].iter().any(|dir| Path::new(dir).is_dir())
    {
        warnings.push(("journal.enabled".into(), "this host keeps no journal".into()));
    }
    warnings
}

/// What is asked for twice.
fn twice(config: &Config) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut names = BTreeMap::new();
    for (index, probe) in config.probes.iter().enumerate() {
        if let Some(first) = names.insert(&probe.name, index) {
            let why = format!(
                "probe[{first}] has the name {:?} too; the centre cannot tell them apart",
                probe.name
            );
            warnings.push((format!("probe[{index}].name"), why));
        }
    }
    let mut paths = BTreeMap::new();
    for (index, tail) in config.tails.iter().enumerate() {
        if let Some(first) = paths.insert(&tail.path, index) {
            let why = format!("tail[{first}] reads {} too", tail.path);
            warnings.push((format!("tail[{index}].path"), why));
        }
    }
    warnings
}

/// Kafka's addresses that do not answer, or lack the agent's topics.
fn brokers(config: &Config) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let tries: Vec<_> = config
        .brokers
        .iter()
        .cloned()
        .map(|broker| {
            let tls = config.tls.clone();
            (broker.clone(), std::thread::spawn(move || ask(&broker, tls.as_ref())))
        })
        .collect();
    for (index, (broker, tried)) in tries.into_iter().enumerate() {
        if let Ok(Err(why)) = tried.join() {
            warnings.push((format!("kafka.brokers[{index}]"), format!("{broker} {why}")));
        }
    }
    warnings
}

fn ask(broker: &str, tls: Option<&Files>) -> Result<(), String> {
    let producer = ship::producer(&[broker.to_owned()], "check-config", tls)
        .map_err(|error| error.to_string())?;
    let known = producer
        .client()
        .fetch_metadata(None, BROKER_WITHIN)
        .map_err(|error| format!("does not answer as Kafka within {BROKER_WITHIN:?}: {error}"))?;
    let has = |name: &str| known.topics().iter().any(|topic| topic.name() == name);
    let missing: Vec<&str> =
        Lane::ALL.into_iter().map(topic::of_lane).filter(|name| !has(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("answers, but has no topic {}; does the collector run?", missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_twice_or_no_pattern_is_told_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("here.log"), "x\n").unwrap();
        let path = dir.path().display();
        let text = format!(
            "agency = \"H49\"\nplain_text = true\n[kafka]\nbrokers = [\"127.0.0.1:1\"]\n[spool]\ndir = \"/x\"\n[[tail]]\npath = \"{path}/here.log\"\n[[tail]]\npath = \"{path}/gone.log\"\n[[tail]]\npath = \"{path}/***\"\n[[tail]]\npath = \"{path}/here.log\"\n[[probe]]\nname = \"a\"\nkind = \"tcp\"\ntarget = \"a:1\"\n[[probe]]\nname = \"a\"\nkind = \"tcp\"\ntarget = \"b:1\"\n[[syslog]]\nlisten = \"tls://127.0.0.1:6514\"\ncertificate = \"{path}/c.pem\"\nkey = \"{path}/here.log\"\n"
        );
        let config = Config::from_text(Path::new("a.toml"), &text).unwrap();
        let eyes = Eyes { host: Host::at(Path::new("/")), reader: None };
        let keys: Vec<String> =
            files(&config, &eyes).into_iter().chain(twice(&config)).map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            [
                "tail[1].path",
                "tail[2].path",
                "syslog[0].certificate",
                "probe[1].name",
                "tail[3].path"
            ]
        );
    }

    #[test]
    fn a_broker_that_is_not_there_is_a_warning() {
        let refused = ask("127.0.0.1:1", None).unwrap_err();
        assert!(refused.starts_with("does not answer as Kafka"), "{refused}");
    }
}
