//! Who may speak, who may see and do what, and proof of both.
//!
//! * [`role`]: who is what, as data; [`scope`] (pure): what a role sees and does, call by call; [`door`]: where every call of the console's
//!   service comes in;
//! * [`audit`]: what was done, by whom, in a chain; [`pace`] (pure): how often and how much one person may ask.

pub mod audit;
pub mod door;
pub mod pace;
pub mod role;
pub mod scope;
