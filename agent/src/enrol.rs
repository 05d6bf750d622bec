//! The agent's certificate, which `vonggac-enrol` fetches and renews, and what comes to it with the certificate.
//!
//! [`renewal`] runs beside the agent; [`receipts`] are what the centre signed for of it, in `receipts.jsonl` of the same folder.

pub mod receipts;
pub mod renewal;
