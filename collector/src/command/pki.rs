//! `pki`: the certificate authority of the centre. It needs neither Kafka nor engine.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand};
use vonggac_answer::consent::{self, Consent};
use vonggac_daemon::{
    exit::Exit,
    secret::Secret,
    settings::{SettingsError, parse_duration},
};
use vonggac_wire::{AgencyId, AgentId, Identity, Time};

use super::sheet::{Cell, Format, Sheet};
use crate::{
    config::Config,
    trust::{
        Settings,
        authority::{
            Authority, AuthorityError, FileError, Request, SubjectKey,
            ledger::{Certificate, Reason, Usage},
        },
    },
};

/// The environment's name for the root's passphrase.
const PASSPHRASE: &str = "VONGGAC_ROOT_PASSPHRASE";

/// Bytes of a file with a passphrase, or with a signing request.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What can be asked of the authority.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an authority: a root, whose key is encrypted, and an issuer.
    Init {
        #[command(flatten)]
        key: Passphrase,
    },
    /// Root, issuers and certificates.
    Status {
        /// Also certificates that were revoked or have expired.
        #[arg(long)]
        all: bool,
        /// How it is written.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Issue a certificate into a folder.
    Issue(Issue),
    /// Revoke certificates, or an issuer with all that it issued.
    Revoke(Revoke),
    /// Make a new issuer; what the former one issued stays good.
    Rotate {
        #[command(flatten)]
        key: Passphrase,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Make the revocation lists anew and write them to a file.
    ExportCrl {
        /// The file; none: to the answer.
        #[arg(long)]
        out: Option<PathBuf>,
        /// The root's list too; it wants the passphrase.
        #[arg(long)]
        root: bool,
        #[command(flatten)]
        key: Passphrase,
    },
}

/// The authority, and who asks.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The authority's folder; none: [trust.pki] dir of the configuration.
    #[arg(long = "dir", global = true)]
    dir: Option<PathBuf>,
    /// Who does it, for the ledger.
    #[arg(long, env = "USER", default_value = "unknown", global = true)]
    by: String,
}

/// Where the passphrase of the root's key is.
#[derive(Debug, Args)]
pub(super) struct Passphrase {
    /// A file whose first line is the root's passphrase; none: the environment's VONGGAC_ROOT_PASSPHRASE.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Whom a certificate or a token is for.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Whom {
    /// An agent of the agency that --agency names.
    #[arg(long, requires = "agency")]
    agent: Option<AgentId>,
    /// A collector.
    #[arg(long)]
    collector: Option<AgentId>,
    /// A broker of Kafka.
    #[arg(long)]
    broker: Option<AgentId>,
    /// A person.
    #[arg(long)]
    person: Option<AgentId>,
}

impl Whom {
    fn identity(&self, agency: Option<&AgencyId>) -> Option<Identity> {
        match (&self.agent, &self.collector, &self.broker, &self.person, agency) {
            (Some(agent), _, _, _, Some(agency)) => {
                Some(Identity::Agent { agency: agency.clone(), agent: agent.clone() })
            }
            (_, Some(name), _, _, _) => Some(Identity::Collector(name.clone())),
            (_, _, Some(name), _, _) => Some(Identity::Broker(name.clone())),
            (_, _, _, Some(name), _) => Some(Identity::Person(name.clone())),
            _ => None,
        }
    }
}

/// A certificate to be issued.
#[derive(Debug, Args)]
pub(super) struct Issue {
    #[command(flatten)]
    whom: Whom,
    /// The agency of an agent.
    #[arg(long)]
    pub(super) agency: Option<AgencyId>,
    /// A name or address by which it is connected to; once for each.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// A signing request; none: a key is made too.
    #[arg(long, value_name = "FILE")]
    csr: Option<PathBuf>,
    /// For signatures under what is sent, not for connections.
    #[arg(long)]
    signing: bool,
    /// For how long, like 90d; none: as configured.
    #[arg(long, value_parser = duration)]
    valid: Option<Duration>,
    /// The folder for certificate.pem, key.pem, authorities.pem and revoked.pem.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Certificates to be revoked.
#[derive(Debug, Args)]
pub(super) struct Revoke {
    /// Serial numbers, as listed by `pki status`.
    #[arg(required_unless_present = "identity")]
    serials: Vec<String>,
    /// All good certificates of this identity, like spiffe://vonggac/agency/H49/agent/web-2.
    #[arg(long, conflicts_with = "serials")]
    identity: Option<Identity>,
    /// The serial numbers are those of issuers; it wants the passphrase.
    #[arg(long, requires = "serials")]
    issuer: bool,
    /// Why.
    #[arg(long, value_enum, default_value_t = Reason::Unspecified)]
    reason: Reason,
    #[command(flatten)]
    key: Passphrase,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum PkiError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("find the authority: give --dir, or set [trust.pki] dir in the configuration")]
    Nowhere,
    #[error("open the root's key: give --passphrase-file, or {PASSPHRASE} in the environment")]
    NoPassphrase,
    #[error("read {}: {reason}", .file.display())]
    Unreadable { file: PathBuf, reason: String },
    #[error("know whom: give --agent with --agency, --collector, --broker or --person")]
    Whom,
    #[error("find a good certificate of {0}; see `pki status`")]
    NoneGood(Identity),
    #[error(transparent)]
    Token(#[from] crate::trust::token::TokenError),
    #[error(
        "make a token for the collector {0}: give --name with each name and address by which it is connected to"
    )]
    Nameless(String),
    #[error(
        "know where those who enrol shall go: give --centre, or set [trust.enrol] listen and names in the configuration"
    )]
    NoCentre,
    #[error("make a token: {0:?} is no address like https://centre.example:7444")]
    Centre(String),
    #[error("go on without a yes: add --yes, or run it at a terminal")]
    Unasked,
    #[error("go on: it was not confirmed, and nothing was done")]
    Refused,
}

impl PkiError {
    pub(super) const fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) | Self::Nowhere => Exit::Configuration,
            Self::NoPassphrase
            | Self::Whom
            | Self::Unasked
            | Self::Nameless(_)
            | Self::NoCentre
            | Self::Centre(_) => Exit::Usage,
            _ => Exit::Failure,
        }
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("expected a time like 30m, 24h or 90d")
}

impl Place {
    /// Who asks.
    pub(super) fn by(&self) -> &str {
        &self.by
    }

    /// The settings, which need no configuration where the folder is named.
    pub(super) fn settings(&self, config: &Path) -> Result<Settings, PkiError> {
        let mut settings = match (Config::read(config), &self.dir) {
            (Ok(config), _) => config.trust,
            (Err(SettingsError::Unreadable { .. }), Some(_)) => Settings::default(),
            (Err(error), _) => return Err(error.into()),
        };
        if let Some(dir) = &self.dir {
            settings.pki.dir = Some(dir.clone());
        }
        Ok(settings)
    }

    /// The authority.
    pub(super) fn authority(&self, config: &Path) -> Result<Authority, PkiError> {
        let pki = self.settings(config)?.pki;
        let dir = pki.dir.ok_or(PkiError::Nowhere)?;
        Ok(Authority::open(&dir)?.with_lifetimes(pki.lifetimes))
    }
}

impl Passphrase {
    fn read(&self) -> Result<Secret, PkiError> {
        let Some(file) = &self.passphrase_file else {
            let given = std::env::var(PASSPHRASE).map_err(|_| PkiError::NoPassphrase)?;
            return Ok(Secret::new(given));
        };
        let unreadable = |reason: String| PkiError::Unreadable { file: file.clone(), reason };
        let meta = fs::metadata(file).map_err(|error| unreadable(error.to_string()))?;
        if meta.permissions().mode() & 0o077 != 0 {
            return Err(unreadable("others may read it; chmod 600 it".into()));
        }
        let text = read(file)?;
        Ok(Secret::new(text.lines().next().unwrap_or_default().to_owned()))
    }
}

fn read(file: &Path) -> Result<String, PkiError> {
    let unreadable = |reason: String| PkiError::Unreadable { file: file.to_owned(), reason };
    let meta = fs::metadata(file).map_err(|error| unreadable(error.to_string()))?;
    if meta.len() > FILE_BYTES_MAX {
        return Err(unreadable(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    fs::read_to_string(file).map_err(|error| unreadable(error.to_string()))
}

/// A yes, by the option or at the terminal.
pub(super) fn consent(yes: bool, question: &str) -> Result<(), PkiError> {
    match if yes { Consent::Given } else { consent::ask(question) } {
        Consent::Given => Ok(()),
        Consent::Refused => Err(PkiError::Refused),
        Consent::NobodyThere => Err(PkiError::Unasked),
    }
}

/// The answer.
pub(super) fn run(command: &Command, place: &Place, config: &Path) -> Result<String, PkiError> {
    let now = Time::now();
    match command {
        Command::Init { key } => {
            let pki = place.settings(config)?.pki;
            let dir = pki.dir.ok_or(PkiError::Nowhere)?;
            let authority = Authority::init(&dir, pki.lifetimes, &key.read()?, place.by(), now)?;
            Ok(format!(
                "the authority is made in {}\nits fingerprint is {}\nkeep root.key.pem and its passphrase in two places, neither of them this machine; rotate and export-crl --root want them back",
                dir.display(),
                authority.fingerprint()?
            ))
        }
        Command::Status { all, format } => status(&place.authority(config)?, *all, *format, now),
        Command::Issue(asked) => issue(&place.authority(config)?, asked, place.by(), now),
        Command::Revoke(asked) => revoke(&place.authority(config)?, asked, place.by(), now),
        Command::Rotate { key, yes } => {
            let authority = place.authority(config)?;
            let passphrase = key.read()?;
            consent(*yes, "Make a new issuer, which issues from now on?")?;
            let serial = authority.rotate(&passphrase, place.by(), now)?;
            Ok(format!("the issuer {serial} issues from now on"))
        }
        Command::ExportCrl { out, root, key } => {
            let authority = place.authority(config)?;
            if *root {
                authority.renew_root_list(&key.read()?, now)?;
            } else {
                authority.renew_lists(now)?;
            }
            let lists = authority.revoked()?;
            let Some(out) = out else { return Ok(lists.trim_end().to_owned()) };
            fs::write(out, lists).map_err(|error| PkiError::Unreadable {
                file: out.clone(),
                reason: error.to_string(),
            })?;
            Ok(format!("the revocation lists are in {}", out.display()))
        }
    }
}

fn issue(authority: &Authority, asked: &Issue, by: &str, now: Time) -> Result<String, PkiError> {
    let identity = asked.whom.identity(asked.agency.as_ref()).ok_or(PkiError::Whom)?;
    let key = match &asked.csr {
        Some(file) => SubjectKey::Request(read(file)?),
        None => SubjectKey::Fresh,
    };
    let issued = authority.issue(
        &Request {
            names: asked.names.clone(),
            key,
            usage: if asked.signing { Usage::Signing } else { Usage::Tls },
            valid: asked.valid,
            ..Request::fresh(identity.clone(), Vec::new(), by)
        },
        now,
    )?;
    issued.write(&asked.out)?;
    let (serial, until, out) = (&issued.serial, issued.not_after, asked.out.display());
    Ok(format!("{identity} has the certificate {serial} until {until}, in {out}"))
}

fn revoke(authority: &Authority, asked: &Revoke, by: &str, now: Time) -> Result<String, PkiError> {
    let serials: Vec<String> = match &asked.identity {
        None => asked.serials.clone(),
        Some(identity) => {
            let register = authority.register(now)?;
            register.good(identity, now).map(|known| known.serial.clone()).collect()
        }
    };
    if let (true, Some(identity)) = (serials.is_empty(), &asked.identity) {
        return Err(PkiError::NoneGood(identity.clone()));
    }
    if asked.issuer {
        let passphrase = asked.key.read()?;
        consent(asked.yes, "Revoke an issuer, and so every certificate that it issued?")?;
        for serial in &serials {
            authority.revoke_issuer(serial, asked.reason, (&passphrase, by), now)?;
        }
        return Ok(format!("revoked: issuer {}", serials.join(", ")));
    }
    consent(asked.yes, &format!("Revoke {} certificates?", serials.len()))?;
    let mut revoked = Vec::new();
    for serial in &serials {
        let known = authority.revoke(serial, asked.reason, by, now)?;
        revoked.push(format!("revoked: {serial} of {}", known.identity));
    }
    Ok(revoked.join("\n"))
}

fn status(authority: &Authority, all: bool, format: Format, now: Time) -> Result<String, PkiError> {
    let status = authority.status(now)?;
    let mut sheet =
        Sheet::new(&["kind", "name", "serial", "state", "until", "list until", "names"]);
    let end = |until: Time| Cell::time(until.micros());
    let list = |until: Option<Time>| Cell::time(until.map_or(0, Time::micros));
    let state = |until: Time| if until < now { "expired" } else { "good" };
    let none = || Cell::None;
    sheet.push(vec![
        Cell::text("root"),
        Cell::text(format!("sha256:{}", status.fingerprint)),
        none(),
        Cell::text(state(status.root_until)),
        end(status.root_until),
        list(status.root_list_until),
        none(),
    ]);
    for issuer in &status.issuers {
        let revoked = status.register.revoked.contains_key(&issuer.serial);
        let state = match (revoked, issuer.present) {
            (true, _) => "revoked",
            (false, true) => "issues",
            (false, false) => state(issuer.until),
        };
        sheet.push(vec![
            Cell::text("issuer"),
            none(),
            Cell::text(&issuer.serial),
            Cell::text(state),
            end(issuer.until),
            list(issuer.list_until),
            none(),
        ]);
    }
    for known in status.register.issued.values() {
        let revoked = status.register.revoked.contains_key(&known.serial);
        let state = if revoked { "revoked" } else { state(known.not_after) };
        if state != "good" && !all {
            continue;
        }
        sheet.push(vec![
            Cell::text(kind(known)),
            Cell::text(known.identity.to_string()),
            Cell::text(&known.serial),
            Cell::text(state),
            end(known.not_after),
            none(),
            Cell::text(known.names.join(" ")),
        ]);
    }
    let text = sheet.write(format);
    // A table's cell has no room for it.
    if format == Format::Table {
        return Ok(format!("fingerprint of the root: {}\n\n{text}", status.fingerprint));
    }
    Ok(text)
}

const fn kind(known: &Certificate) -> &'static str {
    match (&known.identity, known.usage) {
        (_, Usage::Signing) => "signing",
        (Identity::Agent { .. }, _) => "agent",
        (Identity::Collector(_), _) => "collector",
        (Identity::Broker(_), _) => "broker",
        (Identity::Person(_), _) => "person",
    }
}
