//! The console of Vọng Gác: a terminal screen, and a command-line twin of each of its pages.
//!
//! * [`app`]: the screen's loop around a pure core; [`model`] what is known, [`feed`] where it comes from;
//! * [`screen`] and [`widget`] draw it with [`theme`], [`wording`] and [`words`];
//! * [`cli`]: the twin; [`client`]: the way to the collector.

pub mod cli;
pub mod client;
pub mod sanitise;
pub mod words;

pub mod app {
    //! Stand-in while the screen is written.
    /// Options.
    #[expect(missing_docs, reason = "replaced")]
    pub struct Options { pub address: String, pub lang: crate::words::Lang, pub operator: String, pub ascii: bool, pub slow: bool, pub wall: bool }
    /// Runs.
    /// # Errors
    /// Never.
    pub async fn run(_: Options) -> anyhow::Result<()> { Ok(()) }
}
