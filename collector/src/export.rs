//! What is stored, in the words of others. Pure.
//!
//! * [`ocsf`]: an event as JSON of OCSF 1.5.0;
//! * [`cef`]: an event as a line of ArcSight's Common Event Format;
//! * [`stix`]: incidents as a STIX 2.1 bundle.

pub mod cef;
pub mod ocsf;
pub mod stix;
