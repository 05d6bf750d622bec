//! The harness: a whole system on this machine, as an operator would use it.

pub mod lines;
pub mod machine;
