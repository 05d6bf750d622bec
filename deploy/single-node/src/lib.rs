//! Vọng Gác on one machine: supervises Kafka, the ClickHouse engine, a collector, an agent and, if asked, a simulated nation.
//!
//! * [`command`]: what can be asked; [`layout`]: folders, ports and the options that are remembered;
//! * [`parts`]: what is run and how; [`supervise`]: the pure core and its edge; [`state`]: what `status` reads;
//! * [`engine`]: the ClickHouse engine as a process of its own.

pub mod child;
pub mod command;
pub mod engine;
pub mod kafka;
pub mod layout;
pub mod parts;
pub mod state;
pub mod supervise;
pub mod trust;
