//! What is run: commands, configuration files, and how one knows that a part is ready.

use std::{
    fs, io,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Command as Process,
    time::Duration,
};

use vonggac_daemon::tls::Files;

use crate::{
    kafka::{self, rights::write_secret},
    layout::{Layout, Options},
    trust::{Sets, TrustError, agent_name},
};

/// By which name the engine is spoken to, where it has a password.
pub const ENGINE_USER: &str = "vonggac";

/// A part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Parts that must be ready before.
    pub after: &'static [&'static str],
    /// Its command.
    pub command: Vec<String>,
    /// Ready when this address answers.
    pub ready: SocketAddr,
    /// Where others reach it.
    pub address: SocketAddr,
    /// How long it may take to stop.
    pub grace: Duration,
}

/// The parts in the order in which they start; they stop in the opposite one.
///
/// # Errors
/// If a configuration file cannot be written, or our own programs cannot be found.
pub fn plan(layout: &Layout, options: &Options, sets: Option<&Sets>) -> io::Result<Vec<Part>> {
    let own = std::env::current_exe()?;
    let program = |name: &str| -> io::Result<String> {
        let path = own.with_file_name(name);
        if path.exists() {
            return Ok(path.display().to_string());
        }
        Err(io::Error::other(format!(
            "{} is not there; build it, or start without --no-build",
            path.display()
        )))
    };
    write_collector(layout, options, sets)?;
    write_agent(layout, options, sets)?;
    write_addresses(layout, options.nation, sets)?;
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let second = Duration::from_secs(1);
    let wanted =
        |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let mut parts = vec![
        Part {
            name: "kafka",
            after: &[],
            command: kafka::command(layout),
            ready: layout.address(0),
            address: layout.address(0),
            grace: 20 * second,
        },
        Part {
            name: "engine",
            after: &[],
            command: engine(layout, &own.display().to_string(), sets),
            ready: layout.address(2),
            address: layout.address(2),
            grace: 10 * second,
        },
        Part {
            name: "collector",
            after: &["kafka", "engine"],
            command: words(&[
                &program("vonggac-collector")?,
                "serve",
                "--config",
                &layout.path("etc/collector.toml").display().to_string(),
            ]),
            ready: layout.address(3),
            address: layout.address(3),
            grace: 15 * second,
        },
        Part {
            name: "agent",
            after: &["collector"],
            command: words(&[
                &program("vonggac-agent")?,
                "run",
                "--config",
                &layout.path("etc/agent.toml").display().to_string(),
            ]),
            ready: layout.address(5),
            address: layout.address(5),
            grace: 15 * second,
        },
    ];
    if options.nation {
        parts.push(Part {
            name: "nation",
            after: &["collector"],
            command: words(&[
                &program("vonggac-nation")?,
                "--brokers",
                &layout.address(0).to_string(),
                "--data",
                &layout.path("nation").display().to_string(),
                "--metrics",
                &layout.address(7).to_string(),
            ])
            .into_iter()
            .chain(
                sets.into_iter().flat_map(|sets| {
                    ["--certificates".to_owned(), sets.nation.display().to_string()]
                }),
            )
            .collect(),
            ready: layout.address(7),
            address: layout.address(7),
            grace: 10 * second,
        });
    }
    parts.retain(|part| wanted(part.name));
    Ok(parts)
}

/// The engine's command.
fn engine(layout: &Layout, own: &str, sets: Option<&Sets>) -> Vec<String> {
    let store = layout.path("engine/store").display().to_string();
    let listen = layout.address(2).to_string();
    let mut words =
        [own, "engine", "--store", &store, "--listen", &listen].map(str::to_owned).to_vec();
    if let Some(sets) = sets {
        words.extend(["--password-file".to_owned(), sets.engine_file.display().to_string()]);
    }
    words
}

/// Has the agent read the configuration that these options make, so that a wrong one is told before anything starts.
///
/// # Errors
/// The agent's own sentences.
pub fn check(layout: &Layout, options: &Options, sets: Option<&Sets>) -> io::Result<()> {
    if !options.only.is_empty() && !options.only.iter().any(|only| only == "agent") {
        return Ok(());
    }
    write_agent(layout, options, sets)?;
    let agent = std::env::current_exe()?.with_file_name("vonggac-agent");
    let file = layout.path("etc/agent.toml");
    let checked = Process::new(agent).arg("check-config").arg("--config").arg(&file).output()?;
    if checked.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&checked.stderr).trim().to_owned()))
}

/// The machine's certificates, where it speaks by them. An agent seals what it sends under its own name, which its spool makes: so it is
/// asked for its name first, and its certificate made for it.
///
/// # Errors
/// If the authority refuses, or the agent has no name.
pub fn sets(layout: &Layout, options: &Options) -> Result<Option<Sets>, TrustError> {
    if !options.security.is_tls() {
        return Ok(None);
    }
    let sets = Sets::ready(layout)?;
    let is_wanted = options.only.is_empty() || options.only.iter().any(|only| only == "agent");
    if !is_wanted || agent_name(layout).is_some() {
        return Ok(Some(sets));
    }
    let file = layout.path("etc/agent.toml");
    let wrong = |source| TrustError::Io { path: file.clone(), source };
    write_agent(layout, options, Some(&sets)).map_err(wrong)?;
    let agent = std::env::current_exe().map_err(wrong)?.with_file_name("vonggac-agent");
    // What is wrong with its configuration is told by the check of it.
    let _named =
        Process::new(agent).arg("name").arg("--config").arg(&file).output().map_err(wrong)?;
    Sets::ready(layout).map(Some)
}

/// Whether an address answers.
#[must_use]
pub fn answers(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}

const MADE: &str =
    "# Written at each start by vonggac-single; give options to deploy/up instead of editing.\n";

const ROLES: &str = "# Who may see and do what; read anew when it changes. Roles: administrator, national-operator, agency-operator, responder,\n\
     # observer, auditor; agency-operator and observer with agencies = [\"H49\"], or [\"*\"] for the nation.\n";

/// `plain_text = true`, which has to stand before the first table.
fn plain(set: Option<&Path>) -> &'static str {
    if set.is_some() { "" } else { "plain_text = true\n" }
}

/// The `[tls]` table of an issued set.
fn tls(set: Option<&Path>) -> String {
    let Some(set) = set else { return String::new() };
    let files = Files::of_set(set);
    let path = |path: &Path| quote(&path.display().to_string());
    let mut text = format!(
        "\n[tls]\ncertificate = {}\nkey = {}\nauthorities = {}\n",
        path(&files.certificate),
        path(&files.key),
        path(&files.authorities),
    );
    if let Some(revoked) = &files.revoked {
        text.push_str(&format!("revoked = {}\n", path(revoked)));
    }
    text
}

/// The collector's file holds the engine's password: its owner alone may read it.
fn write_collector(layout: &Layout, options: &Options, sets: Option<&Sets>) -> io::Result<()> {
    let set = sets.map(|sets| sets.collector.as_path());
    let user = sets.map_or_else(String::new, |sets| {
        format!("user = \"{ENGINE_USER}\"\npassword = {}\n", quote(sets.engine.reveal()))
    });
    let receipts = layout.path("etc/receipts.key.pem").display().to_string();
    let mut trust = format!("\n[trust]\nreceipt_key = {}\n", quote(&receipts));
    if let Some(sets) = sets {
        trust.push_str(&format!("roles = {}\n", quote(&write_roles(layout, sets)?)));
        trust.push_str("signed = \"required\"\n");
        // Its players are many, and have no certificates.
        if options.nation {
            trust.push_str("simulated_unsealed = true\n");
        }
        // What the machine's authority does comes to the audit log.
        let authority = sets.authority.display().to_string();
        trust.push_str(&format!("\n[trust.pki]\ndir = {}\n", quote(&authority)));
    }
    let text = format!(
        "{MADE}{}{}{trust}\n[kafka]\nbrokers = [\"{}\"]\n\n[engine]\nurl = \"http://{}\"\n{user}\n[grpc]\nlisten = \"{}\"\n\n[metrics]\nlisten = \"{}\"\n",
        plain(set),
        tls(set),
        layout.address(0),
        layout.address(2),
        layout.address(3),
        layout.address(4),
    );
    write_secret(&layout.path("etc/collector.toml"), &text)
}

/// Who is what: the first start makes whoever has the machine its administrator, and from then on the file is theirs.
fn write_roles(layout: &Layout, sets: &Sets) -> io::Result<String> {
    let path = layout.path("etc/roles.toml");
    if !path.exists() {
        let name = quote(sets.person_name.as_str());
        write_secret(
            &path,
            &format!(
                "{ROLES}[[person]]\nname = {name}\nrole = \"administrator\"\nexports_alone = true\n"
            ),
        )?;
    }
    Ok(path.display().to_string())
}

/// Logs of a Debian host that tell of log-ins, attacks and services, and what must be readable for each.
const USUAL_LOGS: [(&str, &str); 12] = [
    ("/var/log/auth.log", "/var/log/auth.log"),
    ("/var/log/secure", "/var/log/secure"),
    ("/var/log/mail.log", "/var/log/mail.log"),
    ("/var/log/ufw.log", "/var/log/ufw.log"),
    ("/var/log/vsftpd.log", "/var/log/vsftpd.log"),
    ("/var/log/haproxy.log", "/var/log/haproxy.log"),
    ("/var/log/fail2ban.log", "/var/log/fail2ban.log"),
    ("/var/log/audit/audit.log", "/var/log/audit/audit.log"),
    ("/var/log/nginx/*.log", "/var/log/nginx"),
    ("/var/log/apache2/*.log", "/var/log/apache2"),
    ("/var/log/postgresql/*.log", "/var/log/postgresql"),
    ("/var/log/mysql/*.log", "/var/log/mysql"),
];

/// The local agent: the usual logs of a host where they can be read, and what was asked for.
fn write_agent(layout: &Layout, options: &Options, sets: Option<&Sets>) -> io::Result<()> {
    let set = sets.map(|sets| sets.agent.as_path());
    let mut text = format!(
        "{MADE}agency = \"local\"\nsystem = \"local-machine\"\n{}{}\n[kafka]\nbrokers = [\"{}\"]\n\n[spool]\ndir = {}\n\n[metrics]\nlisten = \"{}\"\n\n[usage_socket]\npath = {}\n",
        plain(set),
        tls(set),
        layout.address(0),
        quote(&layout.path("agent/spool").display().to_string()),
        layout.address(5),
        quote(&layout.path("run/usage.sock").display().to_string()),
    );
    let journal =
        PathBuf::from("/var/log/journal").is_dir() && PathBuf::from("/run/systemd/system").is_dir();
    text.push_str(&format!("\n[journal]\nenabled = {journal}\n"));
    for (pattern, place) in USUAL_LOGS {
        let readable = fs::read_dir(place).is_ok() || fs::File::open(place).is_ok();
        // What is watched by name is read once.
        let named = options.watch.iter().any(|watch| split_format(watch).0 == pattern);
        if readable && !named {
            text.push_str(&format!("\n[[tail]]\npath = {}\nfrom = \"end\"\n", quote(pattern)));
        }
    }
    for watch in &options.watch {
        let (path, format) = split_format(watch);
        text.push_str(&format!(
            "\n[[tail]]\npath = {}\nformat = {}\nfrom = \"start\"\n",
            quote(path),
            quote(format)
        ));
    }
    for url in &options.probe {
        text.push_str(&format!("\n[[probe]]\nname = {0}\nkind = \"http\"\ntarget = {0}\ninterval = \"5s\"\ntimeout = \"3s\"\n", quote(url)));
    }
    fs::write(layout.path("etc/agent.toml"), text)
}

/// `FILE:FORMAT`, where FORMAT is a word; a path may hold colons itself.
fn split_format(watch: &str) -> (&str, &str) {
    match watch.rsplit_once(':') {
        Some((path, format))
            if !path.is_empty()
                && !format.is_empty()
                && format.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
        {
            (path, format)
        }
        _ => (watch, "auto"),
    }
}

fn write_addresses(layout: &Layout, nation: bool, sets: Option<&Sets>) -> io::Result<()> {
    let mut text = MADE.to_string();
    if let Some(sets) = sets {
        text.push_str(&format!("certificates = {}\n", quote(&sets.person.display().to_string())));
    }
    let mut rows = vec![
        ("kafka", 0),
        ("engine", 2),
        ("collector", 3),
        ("collector_metrics", 4),
        ("agent_metrics", 5),
        ("single_metrics", 6),
    ];
    if nation {
        rows.push(("nation_metrics", 7));
    }
    for (name, offset) in rows {
        text.push_str(&format!("{name} = \"{}\"\n", layout.address(offset)));
    }
    fs::write(layout.path("run/addresses.toml"), text)
}

/// A TOML text.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_follows_the_last_colon() {
        assert_eq!(split_format("/var/log/a.log:combined"), ("/var/log/a.log", "combined"));
        assert_eq!(split_format("/var/log/a.log"), ("/var/log/a.log", "auto"));
        assert_eq!(split_format("/a:b/c.log"), ("/a:b/c.log", "auto"));
    }
}
