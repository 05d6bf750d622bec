//! The agent of Vọng Gác: sources -> spool -> Kafka. Small, bounded, never harms its host.
//!
//! * [`source`]: what is read (files, journal, host, probes, socket), with [`mod@format`] making events of lines;
//! * [`intake`]: the one bounded queue into the spool;
//! * [`spool`]: what was read is on the disk before anything else happens to it;
//! * [`governor`]: what the agent may take of its host, and how it slows its own reading before it takes more;
//! * [`ship`]: batches to Kafka, acknowledged on delivery reports alone;
//! * [`enrol`]: its certificate, by a token once and by itself from then on;
//! * [`app`]: builds it all from [`config`] and stops it in order.

pub mod app;
pub mod command;
pub mod config;
pub mod discover;
pub mod enrol;
pub mod format;
#[doc(hidden)]
pub mod fuzz;
pub mod governor;
pub mod heartbeat;
pub mod intake;
pub mod occurrence;
pub mod probe;
pub mod redact;
pub mod ship;
pub mod source;
pub mod spool;
pub mod vigil;
