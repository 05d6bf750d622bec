//! Certificates of one machine: an authority of its own, and a set for each part and for whoever sits at the console. Nothing is typed.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rand::Rng as _;
use vonggac_collector::trust::authority::{Authority, AuthorityError, Lifetimes, Request};
use vonggac_daemon::{
    secret::Secret,
    tls::{Current, Files},
};
use vonggac_wire::{AgencyId, AgentId, Identity, Time, id::IdError};

use crate::{kafka::rights::write_secret, layout::Layout};

pub mod renewal;

/// A set is issued anew when less than this is left of it: after a third of its life. Kafka's controller reads it at a start alone, and a
/// machine is started again more often than every eight months.
const LEFT_MIN: Duration = Duration::from_secs(243 * 86_400);

/// How long sets of one machine are good for.
const VALID: Duration = Duration::from_secs(365 * 86_400);

/// The file of the engine's password.
const ENGINE_KEY: &str = "engine.key";

/// Bytes of randomness in a key that is made here.
const KEY_BYTES: usize = 32;

/// Names by which the parts of one machine call each other.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// What the local agent's certificate says before its spool has given it a name.
const UNNAMED: &str = "local-machine";

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The authority refuses.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A file cannot be used.
    #[error("use {path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A set cannot be written.
    #[error("write the certificates into {path}: {why}", path = .path.display())]
    Set {
        /// Where.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A name that cannot be.
    #[error(transparent)]
    Name(#[from] IdError),
}

/// Where the sets lie.
#[derive(Clone, Debug)]
pub struct Sets {
    /// The authority itself.
    pub authority: PathBuf,
    /// Kafka's.
    pub kafka: PathBuf,
    /// The collector's.
    pub collector: PathBuf,
    /// The local agent's.
    pub agent: PathBuf,
    /// The simulated nation's: one sender for all its agencies.
    pub nation: PathBuf,
    /// Of whoever sits at the console.
    pub person: PathBuf,
    /// Their name.
    pub person_name: AgentId,
    /// Where configuration files lie.
    pub etc: PathBuf,
    /// The engine's password.
    pub engine: Secret,
    /// Where it is kept.
    pub engine_file: PathBuf,
}

impl Sets {
    /// Makes what is missing, and what ends soon anew; lists of revoked certificates are brought to the present.
    ///
    /// # Errors
    /// If the authority refuses, or a file cannot be written.
    pub fn ready(layout: &Layout) -> Result<Self, TrustError> {
        let root = layout.path("trust");
        make(&root)?;
        let now = Time::now();
        let authority = authority(&root, now)?;
        authority.renew_lists_in_time(now)?;
        let name = |text: &str| AgentId::new(text);
        let agent = |text: &str| -> Result<Identity, IdError> {
            Ok(Identity::Agent { agency: AgencyId::local(), agent: name(text)? })
        };
        let user = std::env::var("USER").ok().and_then(|user| name(&user).ok());
        let person = match user {
            Some(user) => user,
            None => name("operator")?,
        };
        let sets = Self {
            authority: authority.dir().to_owned(),
            kafka: root.join("kafka"),
            collector: root.join("collector"),
            agent: root.join("agent"),
            nation: root.join("nation"),
            person: root.join("person"),
            person_name: person.clone(),
            etc: layout.path("etc"),
            engine: kept_key(&root.join(ENGINE_KEY))?,
            engine_file: root.join(ENGINE_KEY),
        };
        for (folder, identity) in [
            (&sets.kafka, Identity::Broker(name("kafka-1")?)),
            (&sets.collector, Identity::Collector(name("collector-1")?)),
            (&sets.agent, agent(agent_name(layout).as_deref().unwrap_or(UNNAMED))?),
            (&sets.nation, agent("nation")?),
            (&sets.person, Identity::Person(person)),
        ] {
            set(&authority, folder, identity, now)?;
        }
        Ok(sets)
    }
}

/// The local agent's name; `None`: it has none yet.
#[must_use]
pub fn agent_name(layout: &Layout) -> Option<String> {
    let name = fs::read_to_string(layout.path("agent/spool/identity")).ok()?;
    Some(name.trim().to_owned()).filter(|name| AgentId::new(name).is_ok())
}

/// A folder that its owner alone may enter.
fn make(path: &Path) -> Result<(), TrustError> {
    let wrong = |source| TrustError::Io { path: path.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(wrong)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(wrong)
}

/// Random hexadecimal digits that are kept in a file.
fn kept_key(path: &Path) -> Result<Secret, TrustError> {
    let wrong = |source| TrustError::Io { path: path.to_owned(), source };
    if let Ok(text) = fs::read_to_string(path) {
        return Ok(Secret::new(text.trim().to_owned()));
    }
    let bytes: [u8; KEY_BYTES] = rand::rng().random();
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    write_secret(path, &text).map_err(wrong)?;
    Ok(Secret::new(text))
}

/// The machine's authority. Its root's passphrase lies beside it: on one machine there is no other place that survives it.
fn authority(root: &Path, now: Time) -> Result<Authority, TrustError> {
    let folder = root.join("authority");
    if folder.exists() {
        return Ok(Authority::open(&folder)?);
    }
    let passphrase = kept_key(&root.join("root.passphrase"))?;
    Ok(Authority::init(&folder, Lifetimes::default(), &passphrase, "vonggac-single", now)?)
}

fn set(
    authority: &Authority,
    folder: &Path,
    identity: Identity,
    now: Time,
) -> Result<(), TrustError> {
    let wrong = |path: PathBuf| move |source| TrustError::Io { path, source };
    if is_good(folder, &identity, &authority.issuer()?, now) {
        // A list that is older than the authority's would let in whoever was revoked since.
        for (name, text) in
            [("authorities.pem", authority.authorities()?), ("revoked.pem", authority.revoked()?)]
        {
            if fs::read_to_string(folder.join(name)).is_ok_and(|there| there == text) {
                continue;
            }
            let fresh = folder.join(format!("{name}.new"));
            fs::write(&fresh, text).map_err(wrong(fresh.clone()))?;
            fs::rename(&fresh, folder.join(name)).map_err(wrong(fresh.clone()))?;
        }
        return Ok(());
    }
    let server = matches!(identity, Identity::Broker(_) | Identity::Collector(_));
    let names = if server { NAMES.map(str::to_owned).to_vec() } else { Vec::new() };
    let mut request = Request::fresh(identity, names, "vonggac-single");
    request.valid = Some(VALID);
    let issued = authority.issue(&request, now)?;
    issued
        .write(folder)
        .map_err(|error| TrustError::Set { path: folder.to_owned(), why: error.to_string() })
}

/// Whether a set is there, names whom it should, comes from the issuer that issues now, and does not end soon.
fn is_good(folder: &Path, identity: &Identity, issuer: &str, now: Time) -> bool {
    let Ok(current) = Current::once(Files::of_set(folder)) else { return false };
    let own = current.loaded();
    let left = i64::try_from(LEFT_MIN.as_secs()).unwrap_or(i64::MAX);
    let is_of_issuer = fs::read_to_string(folder.join("certificate.pem"))
        .is_ok_and(|chain| chain.contains(issuer.trim()));
    own.own.identity == *identity
        && is_of_issuer
        && own.own.not_after.saturating_sub(now.seconds()) > left
}
