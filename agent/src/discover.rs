//! What a host has that is worth watching: services, their logs and ports, and the configuration that watches them.
//!
//! * [`table`]: how services are recognised, from `services.toml`;
//! * [`host`]: packages, units, processes and listening ports, as the files below a root tell;
//! * [`access`]: whether the agent's user may read a file, and what helps if not;
//! * [`own`]: what services' own configuration says of their logs;
//! * [`syslogd`]: which of the host's own logs hold all lines once;
//! * [`survey`]: all of it put together;
//! * [`render`]: the survey as a configuration.

pub mod access;
pub mod host;
pub mod own;
pub mod render;
pub mod survey;
pub mod syslogd;
pub mod table;
