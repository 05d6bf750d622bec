//! Vọng Gác on one machine: supervises Kafka, the ClickHouse engine, a collector and an agent.

pub mod engine;
