//! What proves that nothing is missing and nothing was changed. It knows neither store nor network, so that what the centre gives out
//! is checked by others with the same code.
//!
//! * [`merkle`]: one hash over many;
//! * [`batch`]: what is written down of a record, [`row`]: what is hashed of a row, [`compare`]: one held against the other;
//! * [`receipt`]: the centre's signed word on an hour of an agent;
//! * [`certificate`]: who sealed a batch;
//! * [`bundle`]: all of that of an agency and a span in one file.

pub mod batch;
pub mod bundle;
pub mod certificate;
pub mod compare;
pub mod merkle;
pub mod receipt;
pub mod row;
