//! The contract of Vọng Gác: what may be on Kafka and on gRPC.
//!
//! The agent, the collector and the console meet here and nowhere else. This crate knows neither tokio nor rdkafka: it holds
//! types that are valid by construction, their encoding, and the names and limits that both sides must agree on.
//!
//! * [`event`]: one thing that happened, and [`batch`]: what one Kafka record holds.
//! * [`identity`]: who a certificate speaks of, and [`enrol`]: how one comes to it; [`seal`]: who signed a batch.
//! * [`id`], [`topic`], [`limits`], [`version`]: names and numbers.
//! * [`incident`]: states and severities as collector and console speak of them.
//! * [`proto`]: the generated messages, for the console service.

pub mod batch;
pub mod caller;
pub mod enrol;
pub mod event;
pub mod id;
pub mod identity;
pub mod incident;
pub mod json;
pub mod limits;
pub mod receipt;
pub mod seal;
pub mod time;
pub mod topic;
pub mod version;

/// The messages and the console service, generated from `wire/proto` and checked in.
#[expect(missing_docs, reason = "generated code is described in the proto files")]
#[expect(clippy::large_enum_variant, reason = "most events are of the largest variant")]
#[cfg_attr(
    feature = "grpc",
    expect(
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::too_many_lines,
        reason = "the generator writes in its own style"
    )
)]
pub mod proto {
    include!("generated/vonggac.v1.rs");
}

pub use batch::{Batch, BatchHash};
pub use event::{Body, Event};
pub use id::{AgencyId, AgentId, EventId, IncidentId, Lane, RuleId};
pub use identity::Identity;
pub use seal::{Seal, Signer};
pub use time::Time;
