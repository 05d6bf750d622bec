//! `enrol`: a token becomes this collector's certificate. It needs neither Kafka nor engine, and on its first day no configuration.

use std::path::{Path, PathBuf};

use clap::Args;
use vonggac_daemon::{exit::Exit, secret::Secret, tls::Files};
use vonggac_enrol::{EnrolError, Who, owner::hand_over};
use vonggac_wire::enrol::Granted;

use crate::config::Config;

/// Enrols this collector.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// What `vonggac-collector token create --collector` printed; `-`: read it from standard input, where no list of processes shows it.
    #[arg(long, env = "VONGGAC_TOKEN", hide_env_values = true)]
    token: Secret,
    /// The centre's address, where it is reached otherwise than the token says.
    #[arg(long)]
    centre: Option<String>,
    /// The folder for certificate.pem, key.pem, authorities.pem and revoked.pem; none: that of [tls] certificate in the configuration.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The call.
    #[error("{0}")]
    Call(String),
    /// Nobody said where to.
    #[error("know where the certificate goes: give --out, or set [tls] certificate in {}", .0.display())]
    Nowhere(PathBuf),
    /// It did not come.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// The machine.
    #[error("start: {0}")]
    Start(#[from] std::io::Error),
}

impl Failure {
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Call(_) => Exit::Usage,
            Self::Nowhere(_) => Exit::Configuration,
            Self::Enrol(_) | Self::Start(_) => Exit::Failure,
        }
    }
}

/// The answer.
pub(super) fn run(asked: &Arguments, config: &Path) -> Result<String, Failure> {
    let configured = Config::read(config).ok().and_then(|config| config.tls);
    let of_config = || Some(configured.as_ref()?.certificate.parent()?.to_owned());
    let out = asked.out.clone().or_else(of_config);
    let out = out.ok_or_else(|| Failure::Nowhere(config.to_owned()))?;
    let mut input = std::io::stdin().lock();
    let token = vonggac_enrol::token(&asked.token, asked.centre.as_deref(), &mut input)
        .map_err(Failure::Call)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let granted = runtime.block_on(vonggac_enrol::enrol(&token, &Who::Collector, &out))?;
    hand_over(&out, &[&out])?;
    Ok(told(&granted, &out, configured.as_ref(), config))
}

/// What became of it, and what is to be configured.
fn told(granted: &Granted, out: &Path, configured: Option<&Files>, config: &Path) -> String {
    let shown = out.display();
    let mut text = format!(
        "{} has a certificate until {}\nits files are in {shown}; it is renewed by the running collector at two thirds of its life",
        granted.identity, granted.until
    );
    if configured != Some(&Files::of_set(out)) {
        text.push_str(&format!(
            "\nfor {}:\n\n[tls]\ncertificate = \"{shown}/certificate.pem\"\nkey = \"{shown}/key.pem\"\nauthorities = \"{shown}/authorities.pem\"\nrevoked = \"{shown}/revoked.pem\"\n\n[kafka]\nbrokers = {:?}",
            config.display(),
            granted.kafka
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use vonggac_wire::enrol::Lists;

    use super::*;

    #[test]
    fn what_is_configured_already_is_not_asked_for_again() {
        let granted = Granted {
            identity: "spiffe://vonggac/collector/c".into(),
            certificate: String::new(),
            signing_certificate: None,
            until: "2027-01-01T00:00:00Z".into(),
            lists: Lists { authorities: String::new(), revoked: String::new() },
            kafka: vec!["k:1".into()],
        };
        let (out, config) = (Path::new("/set"), Path::new("/etc/c.toml"));
        let fresh = told(&granted, out, None, config);
        assert!(fresh.contains("certificate = \"/set/certificate.pem\""), "{fresh}");
        assert!(fresh.contains("brokers = [\"k:1\"]"), "{fresh}");
        let known = told(&granted, out, Some(&Files::of_set(out)), config);
        assert!(!known.contains("[tls]") && known.contains("collector/c"), "{known}");
    }
}
