//! The agent of Vọng Gác: sources -> spool -> Kafka. Small, bounded, never harms its host.

pub mod intake;
