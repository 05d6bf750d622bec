//! The way to the collector.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tonic::{
    Request, Status,
    metadata::{AsciiMetadataValue, BinaryMetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint, Uri},
};
use vonggac_daemon::tls::{
    Current, Files, TlsError,
    dial::{Dial, Trouble},
    listen::Security,
};
use vonggac_wire::{caller, limits::GRPC_MESSAGE_BYTES_MAX, proto::console_client::ConsoleClient};

use crate::words::Words;

/// The collector, as this console speaks with it.
pub type Client = ConsoleClient<InterceptedService<Channel, Caller>>;

/// What a console says of itself with each call.
#[derive(Clone, Debug)]
pub struct Caller {
    role: AsciiMetadataValue,
    name: BinaryMetadataValue,
}

impl Caller {
    /// An operator of this name, or one who looks alone.
    #[must_use]
    pub fn new(name: &str, observer: bool) -> Self {
        let role = if observer { "observer" } else { "operator" };
        let name = &name[..name.floor_char_boundary(caller::NAME_BYTES_MAX)];
        Self {
            role: AsciiMetadataValue::from_static(role),
            name: BinaryMetadataValue::from_bytes(name.as_bytes()),
        }
    }
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert(caller::ROLE, self.role.clone());
        metadata.insert_bin(caller::NAME, self.name.clone());
        Ok(request)
    }
}

/// What stands before a refusal's word.
const DENIED: &str = "denied-";

/// A failure as it can be told in any language: a refusal's word with what it is about, and in the next line what the collector says of it.
#[must_use]
pub fn failure(status: &Status) -> String {
    let word = status.metadata().get(caller::REFUSED).and_then(|value| value.to_str().ok());
    match word {
        Some(word) => format!("{DENIED}{word}\n{}", status.message()),
        None => status.message().to_owned(),
    }
}

/// A [`failure`] in the words of a language; as the collector says it, where there are none.
#[must_use]
pub fn in_words(words: &Words, failure: &str) -> String {
    let Some((refusal, said)) =
        failure.split_once('\n').filter(|(refusal, _)| refusal.starts_with(DENIED))
    else {
        return failure.to_owned();
    };
    let mut parts = refusal.splitn(3, ' ');
    let mut part = || parts.next().unwrap_or_default();
    let (id, about, role) = (part(), part(), part());
    let named = format!("role-{role}");
    let known = words.get(&named);
    let role = if known == named { role } else { known.as_str() };
    let text = words.with(id, &[("about", about), ("role", role)]);
    if text == id { said.to_owned() } else { text }
}

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody said where the collector is.
    #[error("find the collector's address in {path}", path = .path.display())]
    NoAddress {
        /// The file that was looked at.
        path: PathBuf,
    },
    /// Certificates are wanted, and there are none.
    #[error("speak TLS to the collector at {address} without a certificate")]
    NoCertificate {
        /// Its address.
        address: String,
    },
    /// Our own certificates cannot be used.
    #[error(transparent)]
    Certificates(#[from] TlsError),
    /// What was met there has a name.
    #[error("trust the collector at {address}: {trouble:?}")]
    Trouble {
        /// Its address.
        address: String,
        /// What.
        trouble: Trouble,
    },
    /// It does not answer.
    #[error("reach the collector at {address}: {source}")]
    Unreachable {
        /// Its address.
        address: String,
        /// Why.
        source: tonic::transport::Error,
    },
}

/// The data folder if none is named: `$VONGGAC_HOME`, else the XDG data folder.
#[must_use]
pub fn default_data() -> PathBuf {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("VONGGAC_HOME")
        .or_else(|| variable("XDG_DATA_HOME").map(|data| data.join("vonggac")))
        .or_else(|| variable("HOME").map(|home| home.join(".local/share/vonggac")))
        .unwrap_or_else(|| PathBuf::from("/var/lib/vonggac"))
}

/// Where `enrol` puts a person's certificate: `vonggac/identity` of the XDG configuration folder; `None`: the environment names none.
#[must_use]
pub fn own_set() -> Option<PathBuf> {
    let variable =
        |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = variable("XDG_CONFIG_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".config")))?;
    Some(folder.join("vonggac/identity"))
}

/// Where the collector is, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// `HOST:PORT`.
    pub address: String,
    /// Our certificate and whom we trust; `None`: plain text.
    pub tls: Option<Files>,
}

impl Way {
    /// In plain text.
    #[must_use]
    pub fn plain(address: &str) -> Self {
        Self { address: address.to_owned(), tls: None }
    }

    /// `HOST:PORT` or `https://HOST:PORT` with the certificates that were named, else as the data folder says both. Where the address
    /// wants TLS and none were named, they are those that the person was enrolled with.
    ///
    /// # Errors
    /// If neither says it, or TLS is wanted by the address and there is no certificate.
    pub fn new(
        collector: Option<&str>,
        tls: Option<Files>,
        data: Option<&Path>,
    ) -> Result<Self, ClientError> {
        Self::with_own(collector, tls, data, own_set().as_deref())
    }

    fn with_own(
        collector: Option<&str>,
        tls: Option<Files>,
        data: Option<&Path>,
        own: Option<&Path>,
    ) -> Result<Self, ClientError> {
        let Some(given) = collector else { return of_folder(tls, data) };
        let Some(address) = given.strip_prefix(SCHEME).map(str::to_owned) else {
            return Ok(Self { address: given.to_owned(), tls });
        };
        let own = || own.map(Files::of_set).filter(|files| files.certificate.exists());
        match tls.or_else(own) {
            None => Err(ClientError::NoCertificate { address }),
            tls => Ok(Self { address, tls }),
        }
    }
}

/// Before an address that must be spoken to by TLS.
pub const SCHEME: &str = "https://";

fn of_folder(tls: Option<Files>, data: Option<&Path>) -> Result<Way, ClientError> {
    let folder = data.map_or_else(default_data, Path::to_owned);
    let path = folder.join("run/addresses.toml");
    let text =
        fs::read_to_string(&path).map_err(|_| ClientError::NoAddress { path: path.clone() })?;
    let value = |name: &str| {
        text.lines().find_map(|line| {
            Some(line.strip_prefix(name)?.strip_prefix(" = ")?.trim().trim_matches('"'))
        })
    };
    let address = value("collector").and_then(|text| text.parse::<std::net::SocketAddr>().ok());
    let address = address.ok_or(ClientError::NoAddress { path })?.to_string();
    let tls = tls.or_else(|| Some(Files::of_set(Path::new(value("certificates")?))));
    Ok(Way { address, tls })
}

/// Connects.
///
/// # Errors
/// If the collector does not answer.
pub async fn connect(way: &Way, caller: Caller) -> Result<Client, ClientError> {
    let address = &way.address;
    let dial = Dial::new(match &way.tls {
        // Read at each connection: a certificate that was renewed is taken by the next one.
        Some(files) => Security::Tls(Current::once(files.clone())?),
        None => Security::PlainText,
    });
    let trouble = |trouble| ClientError::Trouble { address: address.clone(), trouble };
    let wrong = |source| match dial.trouble() {
        Some(met) => trouble(met),
        None => ClientError::Unreachable { address: address.clone(), source },
    };
    let dialling = dial.clone();
    let connector = tower::service_fn(move |uri: Uri| {
        let dial = dialling.clone();
        async move {
            let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or_default());
            dial.connect(host, port).await.map(TokioIo::new)
        }
    });
    // The connector speaks TLS, not the library above it.
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(wrong)?
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    let channel = endpoint.connect_with_connector(connector).await.map_err(wrong)?;
    if let Some(met) = dial.heard().await {
        return Err(trouble(met));
    }
    Ok(ConsoleClient::with_interceptor(channel, caller)
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::{self, Lang};

    #[test]
    fn every_trouble_has_a_sentence_and_a_short_reason_in_both_languages() {
        for lang in [Lang::Vi, Lang::En] {
            let words = words::of(lang);
            for trouble in Trouble::ALL {
                for name in ["trouble", "reason"].map(|kind| format!("{kind}-{}", trouble.name())) {
                    assert_ne!(words.get(&name), name);
                }
            }
        }
    }

    #[test]
    fn a_refusal_is_told_in_both_languages_and_an_unknown_one_as_the_collector_says_it() {
        let known = [
            ("not-a-person", "spiffe://vonggac/broker/a"),
            ("no-role", "minh"),
            ("not-for-role", "audit responder"),
            ("changed", ""),
            ("too-many-calls", "7"),
            ("too-much-read", "7"),
            ("not-your-agency", "tk-48"),
            ("not-open", "tk-48"),
            ("led-by-another", "7"),
            ("command-names-another", ""),
            ("operators-alone", ""),
            ("unknown-incident", "7"),
        ];
        let refused = |word: &str| {
            let mut status = Status::permission_denied("as the collector says");
            status.metadata_mut().insert(caller::REFUSED, word.parse().unwrap());
            failure(&status)
        };
        for lang in [Lang::Vi, Lang::En] {
            let words = words::of(lang);
            for (word, about) in known {
                let text = in_words(&words, &refused(format!("{word} {about}").trim_end()));
                assert!(!text.contains("collector says") && !text.contains("denied-"), "{text}");
                let about = about.split(' ').next().unwrap();
                assert!(text.contains(about), "{text} does not say {about}");
            }
            assert_eq!(in_words(&words, &refused("from-tomorrow x")), "as the collector says");
            assert_eq!(in_words(&words, "denied-no-role x"), "denied-no-role x");
            for role in [
                "administrator",
                "national-operator",
                "agency-operator",
                "responder",
                "observer",
                "auditor",
            ] {
                let text = in_words(&words, &refused(&format!("not-for-role sql {role}")));
                assert!(!text.contains(&format!("role-{role}")), "{text}");
            }
        }
        assert_eq!(failure(&Status::unavailable("x")), "x");
    }

    #[test]
    fn an_address_of_https_wants_certificates_and_a_folder_names_its_own() {
        let files = Files::of_set(Path::new("/set"));
        let way = |collector| Way::new(Some(collector), Some(files.clone()), None).unwrap();
        assert_eq!(way("https://centre:7443"), way("centre:7443"));
        assert_eq!(Way::new(Some("centre:7443"), None, None).unwrap(), Way::plain("centre:7443"));
        let own = tempfile::tempdir().unwrap();
        let refused = || Way::with_own(Some("https://c:7443"), None, None, Some(own.path()));
        assert!(matches!(refused(), Err(ClientError::NoCertificate { .. })));
        fs::write(own.path().join("certificate.pem"), "").unwrap();
        assert_eq!(refused().unwrap().tls, Some(Files::of_set(own.path())));
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| {
            fs::create_dir_all(folder.path().join("run")).unwrap();
            fs::write(folder.path().join("run/addresses.toml"), text).unwrap();
            Way::new(None, None, Some(folder.path()))
        };
        let plain = write("kafka = \"127.0.0.1:1\"\ncollector = \"127.0.0.1:4\"\n");
        assert_eq!(plain.unwrap(), Way::plain("127.0.0.1:4"));
        let tls = write("certificates = \"/set\"\ncollector = \"127.0.0.1:4\"\n").unwrap();
        assert_eq!(tls.tls, Some(files));
        assert!(write("collector = \"nowhere\"\n").is_err());
    }
}
