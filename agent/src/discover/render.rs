//! A survey as a configuration that runs as it is, and says why each part stands there.

use std::{collections::BTreeSet, fmt::Write as _};

use vonggac_daemon::log::Harmless;

use super::survey::{Found, Log, Probe, Survey};

/// What only the administrator knows.
#[derive(Clone, Debug)]
pub struct Given {
    /// The agency's code.
    pub agency: String,
    /// Kafka's addresses.
    pub brokers: Vec<String>,
    /// The system of the registry that the host serves; empty: none.
    pub system: String,
    /// The spool's folder.
    pub spool_dir: String,
    /// What is sent is neither encrypted nor sealed.
    pub plain_text: bool,
    /// Logs are read from their beginning.
    pub backfill: bool,
    /// When this is written, RFC 3339.
    pub time: String,
}

/// The sections in their order, each of one purpose.
const SECTIONS: [fn(&Survey, &Given, &mut String); 8] =
    [head, base, host_logs, services, held, other_ports, integrity, usage];

/// The configuration.
#[must_use]
pub fn configuration(survey: &Survey, given: &Given) -> String {
    let mut text = String::new();
    for section in SECTIONS {
        section(survey, given, &mut text);
    }
    text
}

/// A line of the configuration.
fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// A comment; what comes from the host stays in it.
fn say(out: &mut String, text: &str) {
    // Writing to a text cannot fail.
    let _written = writeln!(out, "# {}", Harmless(text));
}

/// A text in quotes, as TOML wants it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

fn head(survey: &Survey, given: &Given, out: &mut String) {
    say(out, &format!("What the agent of Vọng Gác watches on {}.", survey.host));
    say(
        out,
        &format!(
            "Found by `vonggac-agent sources` at {}, for the user {}.",
            given.time, survey.user
        ),
    );
    say(out, "Change what you like: `vonggac-agent check-config` tells every mistake, and");
    say(out, "`systemctl reload vonggac-agent` takes a change over without losing a line.");
    let remedies = survey.remedies();
    if !remedies.is_empty() {
        line(out, "#");
        say(
            out,
            "TO DO, for logs that the agent cannot read yet (then `systemctl restart vonggac-agent`):",
        );
        for (remedy, logs) in remedies {
            say(out, &format!("  {remedy}    # for {}", logs.join(", ")));
        }
    }
    line(out, "");
}

fn base(_: &Survey, given: &Given, out: &mut String) {
    say(out, "The agency's code, as the centre's registry has it.");
    line(out, &format!("agency = {}", quoted(&given.agency)));
    say(
        out,
        "The system of the registry that this host serves; a log or a probe can name another.",
    );
    if given.system.is_empty() {
        line(out, "# system = \"one-stop-portal\"");
    } else {
        line(out, &format!("system = {}", quoted(&given.system)));
    }
    trust(given, out);
    line(out, "\n[kafka]");
    line(out, &format!("brokers = {}", list(&given.brokers)));
    line(out, "\n[spool]");
    say(out, "What was read waits here until Kafka has it, through restarts and dead links.");
    line(out, &format!("dir = {}", quoted(&given.spool_dir)));
    line(
        out,
        "# bytes_max = \"512MiB\"       # when full, the oldest of the least important lane goes first",
    );
    line(out, "# fsync_interval = \"200ms\"   # or fsync_each_chunk = true");
    line(out, "\n[limits]");
    say(out, "The agent slows its own reading before it takes more of this host: access logs and");
    say(
        out,
        "what is long behind first, log-ins last. Nothing is lost by it. These are the defaults.",
    );
    line(out, "# cpu_percent_max = 50         # of one core, after a burst of ten seconds");
    line(out, "# memory_bytes_max = \"192MiB\"  # resident; slowing begins at nine tenths of it");
    line(
        out,
        "# open_files_max = 512         # sockets too; other logs are opened when they change",
    );
    line(out, "\n[ship]");
    say(
        out,
        "For a link that others need too. Security and heartbeats never wait for quiet hours.",
    );
    line(out, "# bytes_per_second_max = \"64KiB\"");
    line(out, "# quiet_hours = [\"07:30-17:00\"]   # by this host's clock; may go over midnight");
    line(out, "# quiet_lanes = [\"usage\"]         # lanes that wait then");
    say(out, "After an outage what is fresh does not wait behind what waited.");
    line(out, "# fresh_percent = 25              # of a lane's bytes; 0: everything in order");
    line(out, "# fresh_after = \"60s\"             # as soon as the oldest is so old");
    line(out, "\n# [metrics]                 # for Prometheus, on this host alone");
    line(out, "# listen = \"127.0.0.1:9101\"");
    line(out, "\n[host_figures]              # CPU, memory, disks, load, network");
    line(out, "interval = \"15s\"\n");
}

/// The certificate by which what is sent is encrypted and sealed, where enrolment puts it.
fn trust(given: &Given, out: &mut String) {
    if given.plain_text {
        say(
            out,
            "Whoever is on the way to Kafka can read and forge what is sent. In its place, with a certificate of the centre: [tls].",
        );
        line(out, "plain_text = true");
        return;
    }
    line(out, "\n[tls]");
    say(
        out,
        "What is sent is encrypted and sealed with this certificate. It comes by a token of the",
    );
    say(out, "centre, `vonggac-agent enrol --token -`, and is renewed by the running agent.");
    for (key, name) in [
        ("certificate", "certificate.pem"),
        ("key", "key.pem"),
        ("authorities", "authorities.pem"),
        ("revoked", "revoked.pem"),
    ] {
        line(out, &format!("{key} = {}", quoted(&format!("{}/tls/{name}", given.spool_dir))));
    }
}

fn host_logs(survey: &Survey, given: &Given, out: &mut String) {
    title(out, "The host's own logs");
    let logs = &survey.host_logs;
    line(out, "[journal]");
    say(out, &logs.journal_why);
    if let Some(unreadable) = &logs.journal_unreadable {
        say(out, &format!("NOT READABLE NOW: {}; {}", unreadable.why, unreadable.remedy));
    }
    line(out, &format!("enabled = {}\n", logs.journal));
    for log in &logs.files {
        tail(log, given, out);
    }
}

fn services(survey: &Survey, given: &Given, out: &mut String) {
    for found in &survey.services {
        service(found, survey, given, out);
    }
}

fn service(found: &Found, survey: &Survey, given: &Given, out: &mut String) {
    if found.logs.is_empty() && found.probes.is_empty() && !found.syslog && found.advice.is_empty()
    {
        return;
    }
    title(out, &found.title);
    say(out, &format!("found by: {}", found.evidence.join(", ")));
    if found.syslog && found.logs.is_empty() {
        let by = if survey.host_logs.journal { "the journal" } else { "the host's own logs" };
        say(out, &format!("its lines come with {by}"));
    }
    if !found.advice.is_empty() {
        say(out, &found.advice);
    }
    line(out, "");
    for log in &found.logs {
        tail(log, given, out);
    }
    for candidates in &found.probes {
        // The first that answers; else the first, for the administrator to judge.
        let chosen = candidates.iter().find(|probe| probe.failed.is_none());
        match (chosen, candidates.first()) {
            (Some(probe), _) => line(out, &probe.toml()),
            (None, Some(probe)) => {
                let failed = probe.failed.as_deref().unwrap_or_default();
                say(out, &format!("not asked, since it did not answer well just now: {failed}"));
                for of_probe in probe.toml().lines() {
                    line(out, format!("# {of_probe}").trim_end());
                }
                line(out, "");
            }
            (None, None) => {}
        }
    }
}

fn tail(log: &Log, given: &Given, out: &mut String) {
    if let Some(told_by) = &log.told_by {
        say(out, &format!("told by {told_by}"));
    }
    if log.files == 0 {
        say(out, "there is no such file yet; it is read as soon as there is");
    }
    if let Some(unreadable) = &log.unreadable {
        say(out, &format!("NOT READABLE NOW: {}; {}", unreadable.why, unreadable.remedy));
    }
    line(out, "[[tail]]");
    line(out, &format!("path = {}", quoted(&log.path)));
    if log.format != "auto" {
        line(out, &format!("format = {}", quoted(&log.format)));
    }
    if !given.backfill {
        line(out, "from = \"end\"");
    }
    line(out, "");
}

fn held(survey: &Survey, _: &Given, out: &mut String) {
    let held = &survey.host_logs.held_elsewhere;
    if !held.is_empty() {
        title(out, "Not read, since their lines stand in another file too");
        for held in held {
            say(out, &format!("{}: in {}", held.path, held.by));
        }
        line(out, "");
    }
}

fn other_ports(survey: &Survey, _: &Given, out: &mut String) {
    if survey.other_ports.is_empty() {
        return;
    }
    title(out, "Ports whose service is not known: probe those that citizens or offices need");
    for port in &survey.other_ports {
        let by = if port.process.is_empty() { "unknown" } else { &port.process };
        say(out, &format!("{} ({by})", port.address));
    }
    line(
        out,
        "# [[probe]]\n# name = \"portal\"\n# target = \"https://portal.example.vn/\"\n# interval = \"30s\"\n# timeout = \"5s\"\n# expect_body = \"Dịch vụ công\"\n",
    );
}

/// What must not change unseen: the usual places, and what services have elsewhere.
fn integrity(survey: &Survey, _: &Given, out: &mut String) {
    let found = survey.services.iter().flat_map(|service| &service.integrity);
    let roots: BTreeSet<String> = found
        .filter(|path| path.starts_with('/') && !path.starts_with("/etc/"))
        // A name is meant as it is: whatever stands in it is no pattern.
        .map(|path| glob::Pattern::escape(path))
        .collect();
    title(
        out,
        "Changes of files (/etc, programs, units, cron, SSH keys, and these) and of the host's state",
    );
    line(out, "[integrity]\nenabled = true");
    if !roots.is_empty() {
        line(out, &format!("web_roots = {}", list(&roots.into_iter().collect::<Vec<_>>())));
    }
    line(out, "# exclude = [\"/var/www/*/cache\", \"*.log\"]\n\n[state]\nenabled = true\n");
}

fn usage(_: &Survey, _: &Given, out: &mut String) {
    title(out, "Usage of public services: a portal posts JSON lines here");
    line(out, "# [usage_socket]\n# path = \"/run/vonggac-agent/usage.sock\"");
}

fn title(out: &mut String, text: &str) {
    // Writing to a text cannot fail.
    let _written = writeln!(out, "# --- {}", Harmless(text));
}

impl Probe {
    /// As it stands in a configuration.
    #[must_use]
    pub fn toml(&self) -> String {
        let mut out = String::from("[[probe]]\n");
        line(&mut out, &format!("name = {}", quoted(&self.name)));
        line(&mut out, &format!("kind = {}", quoted(&self.kind)));
        line(&mut out, &format!("target = {}", quoted(&self.target)));
        if let Some(expect) = &self.expect {
            line(&mut out, &format!("expect = {}", quoted(expect)));
        }
        if let Some(trust) = &self.certificate_trust {
            line(&mut out, &format!("certificate_trust = {}", quoted(trust)));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use vonggac_daemon::tls::Files;

    use super::*;
    use crate::{
        config::Config,
        discover::survey::{HostLogs, OtherPort, Unreadable},
    };

    fn given() -> Given {
        Given {
            agency: "H49".into(),
            brokers: vec!["127.0.0.1:9092".into()],
            system: "portal".into(),
            spool_dir: "/s".into(),
            plain_text: false,
            backfill: false,
            time: "2026-11-25T00:00:00Z".into(),
        }
    }

    #[test]
    fn the_limits_that_it_shows_are_those_that_hold_and_can_be_uncommented() {
        let host_logs = HostLogs::default();
        let (host, user) = ("h".into(), "u".into());
        let survey = Survey { host, user, services: vec![], host_logs, other_ports: vec![] };
        let text = configuration(&survey, &given());
        let read = |text: &str| Config::from_text(Path::new("a.toml"), text).unwrap();
        let usual = read(&text);
        let mut uncommented = text.clone();
        for key in
            ["cpu_percent_max", "memory_bytes_max", "open_files_max", "quiet_hours", "quiet_lanes"]
        {
            let commented = format!("# {key} = ");
            assert!(text.contains(&commented), "{key}");
            uncommented = uncommented.replace(&commented, &format!("{key} = "));
        }
        let told = read(&uncommented);
        assert_eq!(told.ceilings, usual.ceilings);
        assert_eq!(told.ship.quiet_lanes, usual.ship.quiet_lanes);
        assert!(told.ship.is_quiet(vonggac_wire::Lane::Usage, 600));
    }

    #[test]
    fn plain_text_stands_there_only_if_it_was_asked_for_by_name() {
        let host_logs = HostLogs::default();
        let (host, user) = ("h".into(), "u".into());
        let survey = Survey { host, user, services: vec![], host_logs, other_ports: vec![] };
        let read = |given: &Given| {
            Config::from_text(Path::new("a.toml"), &configuration(&survey, given)).unwrap()
        };
        let usual = read(&given());
        let set = Files::of_set(&usual.identity_dir);
        assert_eq!(usual.tls, Some(set), "where enrolment puts them");
        assert_eq!(read(&Given { plain_text: true, ..given() }).tls, None);
    }

    proptest! {
        #[test]
        fn whatever_names_a_host_has_the_configuration_is_right(name in "\\PC*|[\\x00-\\x7f]*") {
            let log = Log {
                path: format!("/l/{name}"),
                format: "auto".into(),
                files: 0,
                told_by: Some(name.clone()),
                unreadable: Some(Unreadable { why: name.clone(), remedy: name.clone() }),
            };
            let probe = Probe {
                name: format!("p{name}"), kind: "tcp".into(), target: format!("t{name}"),
                expect: None, certificate_trust: None, failed: None,
            };
            let failed = Probe { failed: Some(name.clone()), ..probe.clone() };
            let found = Found {
                name: name.clone(), title: name.clone(), is_running: true, evidence: vec![name.clone()],
                ports: vec![1], logs: vec![log.clone()], syslog: true, probes: vec![vec![probe], vec![failed]],
                integrity: vec![format!("/srv/{name}"), name.clone()], advice: name.clone(),
            };
            let survey = Survey {
                host: name.clone(), user: name.clone(), services: vec![found],
                host_logs: HostLogs { files: vec![log], journal_why: name.clone(), ..HostLogs::default() },
                other_ports: vec![OtherPort { address: name.clone(), process: name.clone() }],
            };
            let text = configuration(&survey, &given());
            let config = Config::from_text(Path::new("a.toml"), &text);
            prop_assert!(config.is_ok(), "{}\n{text}", config.unwrap_err());
            let config = config.unwrap();
            prop_assert_eq!(&config.tails[0].path, &format!("/l/{name}"));
            prop_assert_eq!((config.tails.len(), config.probes.len()), (2, 1));
            let root = glob::Pattern::escape(&format!("/srv/{name}"));
            prop_assert!(config.integrity.unwrap().paths.contains(&root));
        }
    }
}
