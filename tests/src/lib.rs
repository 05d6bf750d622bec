//! The harness: a whole system on this machine, as an operator would use it.
#![expect(clippy::print_stderr, reason = "a harness tells what it skips and what went wrong")]

pub mod agent;
pub mod ailing;
pub mod between;
pub mod centre;
pub mod collector;
pub mod digest;
pub mod engine;
pub mod group;
pub mod hook;
pub mod lines;
pub mod load;
pub mod machine;
pub mod made;
pub mod mail;
pub mod objects;
pub mod running;
pub mod shipper;
pub mod traffic;
pub mod verdict;
