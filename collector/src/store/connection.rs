//! The way to the engine: HTTP of which no wait is without an end.

use std::time::Duration;

use clickhouse::Client;
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{Client as HyperClient, connect::HttpConnector},
    rt::TokioExecutor,
};

/// How long it may take until a connection stands: an address behind which nobody is answers nothing.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// After so long without a word the system asks whether the other side is still there, this often, and so many times: a machine that lost
/// its power is known to be gone within two minutes.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 6;

/// Shorter than what engines keep an idle connection for (3 s), so that none is used that is just being closed.
const IDLE: Duration = Duration::from_secs(2);

/// A client whose questions fail when the engine says nothing for `answer_within`, or takes nothing for as long.
pub(super) fn client(answer_within: Duration) -> Client {
    let mut tcp = HttpConnector::new();
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    // A question's last packet must not wait for an acknowledgement.
    tcp.set_nodelay(true);
    let mut connector = TimeoutConnector::new(tcp);
    connector.set_connect_timeout(Some(CONNECT_WITHIN));
    connector.set_read_timeout(Some(answer_within));
    connector.set_write_timeout(Some(answer_within));
    // While a block is being sent, no answer is awaited.
    connector.set_reset_reader_on_write(true);
    let http = HyperClient::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector);
    Client::with_http_client(http)
}
