//! How each program of Vọng Gác starts, tells and stops.
//!
//! * [`settings`]: one TOML file, all its mistakes told at once;
//! * [`exit`]: what an exit code means;
//! * [`log`]: lines to standard error, harmless to a terminal;
//! * [`files`]: replaced as a whole, keys for the owner alone;
//! * [`metrics`]: `/metrics` and `/healthz` on loopback;
//! * [`peer`]: who is at the other end of a connection;
//! * [`shutdown`]: SIGTERM and SIGINT as a token;
//! * [`secret`]: text that does not print.

pub mod exit;
pub mod files;
pub mod log;
pub mod metrics;
pub mod peer;
pub mod secret;
pub mod settings;
pub mod shutdown;
