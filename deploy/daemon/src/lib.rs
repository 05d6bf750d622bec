//! How each program of Vọng Gác starts, tells and stops.
//!
//! * [`settings`]: one TOML file, all its mistakes told at once;
//! * [`exit`]: what an exit code means;
//! * [`librdkafka`]: Kafka's settings for certificates;
//! * [`log`]: lines to standard error, harmless to a terminal;
//! * [`files`]: replaced as a whole, keys for the owner alone;
//! * [`metrics`]: `/metrics` and `/healthz`;
//! * [`peer`]: who is at the other end of a connection;
//! * [`shutdown`]: SIGTERM and SIGINT as a token;
//! * [`secret`]: text that does not print;
//! * [`tls`]: certificates at every port.

pub mod exit;
pub mod files;
pub mod librdkafka;
pub mod log;
pub mod metrics;
pub mod peer;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod tls;
