//! The console of Vọng Gác: a terminal screen, and a command-line twin of each of its pages.
//!
//! * [`app`]: the screen's loop around a pure core; [`model`] what is known, [`feed`] where it comes from;
//! * [`screen`] draws it with [`theme`], [`wording`] and [`words`]; [`terminal`] is its edge;
//! * [`report`] (pure): what laws want to read of incidents;
//! * [`cli`]: the twin; [`client`]: the way to the collector.

pub mod app;
pub mod cli;
pub mod client;
pub mod feed;
pub mod keymap;
pub mod model;
pub mod query;
pub mod report;
pub use vonggac_answer::sanitise;
pub mod screen;
pub mod terminal;
pub mod theme;
pub mod wording;
pub mod words;
