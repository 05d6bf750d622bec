//! What citizens use, as portals tell it: posted, dropped as files, or read out of access logs by the paths that were asked for.

pub(crate) mod drop;
pub(super) mod http;
pub(crate) mod known;
pub mod map;
pub(crate) mod posted;
mod sheet;
mod xroad;
