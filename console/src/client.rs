//! The way to the collector.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use tonic::{
    Request, Status,
    metadata::{AsciiMetadataValue, BinaryMetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use vonggac_wire::{caller, limits::GRPC_MESSAGE_BYTES_MAX, proto::console_client::ConsoleClient};

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

/// The collector's address: as given, else as the data folder says.
///
/// # Errors
/// If neither says it.
pub fn address(collector: Option<&str>, data: Option<&Path>) -> Result<String, ClientError> {
    if let Some(address) = collector {
        return Ok(address.to_owned());
    }
    let folder = data.map_or_else(default_data, Path::to_owned);
    let path = folder.join("run/addresses.toml");
    let text =
        fs::read_to_string(&path).map_err(|_| ClientError::NoAddress { path: path.clone() })?;
    text.lines()
        .find_map(|line| {
            line.strip_prefix("collector = ")?
                .trim()
                .trim_matches('"')
                .parse::<std::net::SocketAddr>()
                .ok()
        })
        .map(|address| address.to_string())
        .ok_or(ClientError::NoAddress { path })
}

/// Connects.
///
/// # Errors
/// If the collector does not answer.
pub async fn connect(address: &str, caller: Caller) -> Result<Client, ClientError> {
    let wrong = |source| ClientError::Unreachable { address: address.to_owned(), source };
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(wrong)?
        .connect_timeout(CONNECT_WITHIN)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    let channel = endpoint.connect().await.map_err(wrong)?;
    Ok(ConsoleClient::with_interceptor(channel, caller)
        .max_decoding_message_size(GRPC_MESSAGE_BYTES_MAX))
}
