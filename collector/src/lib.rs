//! The collector of Vọng Gác: Kafka -> detect -> ClickHouse -> incidents -> gRPC.

pub mod record;
