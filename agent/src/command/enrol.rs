//! `enrol`: a token becomes the agent's certificate.

use std::{
    fs,
    path::{Path, PathBuf},
};

use vonggac_daemon::{exit::Exit, secret::Secret};
use vonggac_enrol::{Who, owner::hand_over};
use vonggac_wire::{AgentId, Time};

use crate::{
    command::{complain, read, say},
    config::Config,
    spool::Spool,
};

/// Enrols this agent.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What `vonggac-collector token create` printed; `-`: read it from standard input, where no list of processes shows it.
    #[arg(long, env = "VONGGAC_TOKEN", hide_env_values = true)]
    token: Secret,
    /// The centre's address, where it is reached otherwise than the token says.
    #[arg(long)]
    centre: Option<String>,
    /// The configuration.
    #[arg(long, default_value = "/etc/vonggac/agent.toml")]
    config: PathBuf,
}

/// Tells the agent's name, by which its certificate is made.
pub fn tell_name(config: &Path) -> Exit {
    let config = match read(config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    match name(&config) {
        Ok(name) => say(name.as_str()),
        Err(text) => return complain(&text, Exit::Failure),
    }
    // A spool that root has just made is its owner's.
    match hand_over(&config.spool_dir, &[&config.spool_dir]) {
        Ok(()) => Exit::Success,
        Err(error) => complain(&format!("failed to {error}"), Exit::Failure),
    }
}

/// Does it.
pub fn run(arguments: &Arguments) -> Exit {
    let config = match read(&arguments.config) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let (given, centre) = (&arguments.token, arguments.centre.as_deref());
    let token = match vonggac_enrol::token(given, centre, &mut std::io::stdin().lock()) {
        Ok(token) => token,
        Err(text) => return complain(&format!("failed to {text}"), Exit::Usage),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&format!("failed to start: {error}"), Exit::Failure),
    };
    let name = match name(&config) {
        Ok(name) => name,
        Err(text) => return complain(&text, Exit::Failure),
    };
    let dir = &config.identity_dir;
    let granted = runtime.block_on(vonggac_enrol::enrol(&token, &Who::Agent(name), dir));
    let handed = granted.and_then(|granted| {
        hand_over(&config.spool_dir, &[&config.spool_dir, dir]).map(|()| granted)
    });
    let granted = match handed {
        Ok(granted) => granted,
        Err(error) => return complain(&format!("failed to {error}"), Exit::Failure),
    };
    let shown = dir.display();
    say(&format!(
        "{} has a certificate until {}\nits files are in {shown}; it is renewed by the running agent at two thirds of its life",
        granted.identity, granted.until
    ));
    let agency = format!("/agency/{}/", config.agency);
    if !granted.identity.contains(&agency) {
        say(&format!(
            "the configuration names the agency {}, the certificate another: what is sent would be refused; set agency in {}",
            config.agency,
            arguments.config.display()
        ));
    }
    if config.tls.as_ref().is_some_and(|tls| tls.certificate == dir.join("certificate.pem"))
        && config.brokers == granted.kafka
    {
        say("the configuration has all of it; next: vonggac-agent check-config --connect");
        return Exit::Success;
    }
    say(&format!(
        "for {}:\n\n[tls]\ncertificate = \"{shown}/certificate.pem\"\nkey = \"{shown}/key.pem\"\nauthorities = \"{shown}/authorities.pem\"\nrevoked = \"{shown}/revoked.pem\"\n\n[kafka]\nbrokers = {:?}",
        arguments.config.display(),
        granted.kafka
    ));
    Exit::Success
}

/// The agent's name: that of its spool, which is made if there is none yet.
fn name(config: &Config) -> Result<AgentId, String> {
    let kept = config.spool_dir.join("identity");
    if let Ok(name) = fs::read_to_string(&kept) {
        return AgentId::new(name.trim())
            .map_err(|error| format!("failed to read {}: {error}", kept.display()));
    }
    let (dir, most) = (&config.spool_dir, config.spool_bytes_max);
    let spool = Spool::open(dir, &config.host, most, config.fsync, Time::now());
    let mut spool = spool.map_err(|error| format!("failed to open the spool: {error}"))?;
    spool.save().map_err(|error| format!("failed to save the spool's ledger: {error}"))?;
    Ok(spool.agent().clone())
}
