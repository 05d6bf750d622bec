//! `enrol`: a token becomes the agent's certificate.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
};

use vonggac_daemon::exit::Exit;
use vonggac_wire::{AgentId, Time, enrol::Token};

use crate::{
    command::{complain, read, say},
    config::Config,
    enrol::{self, EnrolError},
    spool::Spool,
};

/// Enrols this agent.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// What `vonggac-collector token create` printed; `-`: read it from standard input, where no list of processes shows it.
    #[arg(long, env = "VONGGAC_TOKEN", hide_env_values = true)]
    token: String,
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
    match hand_over(&config.spool_dir, &config.spool_dir) {
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
    let token = match token(arguments) {
        Ok(token) => token,
        Err(text) => return complain(&format!("failed to read the token: {text}"), Exit::Usage),
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
    let granted = runtime.block_on(enrol::enrol(&token, &name, dir));
    let handed = granted.and_then(|granted| hand_over(&config.spool_dir, dir).map(|()| granted));
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
    say(&format!(
        "for {}:\n\n[tls]\ncertificate = \"{shown}/certificate.pem\"\nkey = \"{shown}/key.pem\"\nauthorities = \"{shown}/authorities.pem\"\nrevoked = \"{shown}/revoked.pem\"\n\n[kafka]\nbrokers = {:?}",
        arguments.config.display(),
        granted.kafka
    ));
    Exit::Success
}

fn token(arguments: &Arguments) -> Result<Token, String> {
    let mut text = arguments.token.clone();
    if text == "-" {
        text.clear();
        std::io::stdin().read_line(&mut text).map_err(|error| error.to_string())?;
    }
    let token: Token = text.parse().map_err(|error| format!("{error}"))?;
    match &arguments.centre {
        None => Ok(token),
        Some(centre) => token
            .at(centre)
            .map_err(|_| format!("{centre:?} is no address like https://centre.example:7444")),
    }
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

/// Gives what was made to the account that the spool belongs to, or will: enrolling is mostly done by root.
fn hand_over(spool: &Path, identity: &Path) -> Result<(), EnrolError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| EnrolError::Owner { path, source }
    };
    // A spool that was just made by root belongs to whom the folder around it belongs to.
    let owner = fs::metadata(spool).map_err(failed(spool))?;
    let around = spool.parent().and_then(|parent| fs::metadata(parent).ok());
    let owner = match around {
        Some(around) if owner.uid() == 0 => around,
        _ => owner,
    };
    if owner.uid() == 0 {
        return Ok(());
    }
    give(spool, &owner, &failed)?;
    give(identity, &owner, &failed)
}

fn give<F: FnOnce(std::io::Error) -> EnrolError>(
    path: &Path,
    owner: &fs::Metadata,
    failed: &impl Fn(&Path) -> F,
) -> Result<(), EnrolError> {
    let meta = fs::symlink_metadata(path).map_err(failed(path))?;
    // A link could lead to files of others.
    if meta.is_symlink() {
        return Ok(());
    }
    if meta.uid() == 0 {
        chown(path, Some(owner.uid()), Some(owner.gid())).map_err(failed(path))?;
    }
    if meta.is_dir() {
        for entry in fs::read_dir(path).map_err(failed(path))? {
            give(&entry.map_err(failed(path))?.path(), owner, failed)?;
        }
    }
    Ok(())
}
