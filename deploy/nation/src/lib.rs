//! A simulated nation: seeded, repeatable, through the agent's own spool and shipper, and marked as simulated in every batch.
//!
//! * [`cast`]: agencies, systems and agents; [`scenario`]: which trouble begins when; [`play`]: what an agent sees in a second (pure);
//! * [`command`]: the edge that spools and ships it.

pub mod cast;
pub mod command;
pub mod play;
pub mod scenario;
