//! What an exit code means, the same in all our programs.

use std::process::ExitCode;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done: 0.
    Success,
    /// Tried and failed: 1.
    Failure,
    /// Called wrongly: 2, as clap does.
    Usage,
    /// The configuration is wrong: 64.
    Configuration,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Success => Self::from(0),
            Exit::Failure => Self::from(1),
            Exit::Usage => Self::from(2),
            Exit::Configuration => Self::from(64),
        }
    }
}
