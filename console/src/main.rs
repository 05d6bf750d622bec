//! `vonggac`: the console, and a command for each of its screens.

use std::process::ExitCode;

use clap::Parser;
use vonggac_console::cli::{self, Arguments};

fn main() -> ExitCode {
    cli::run(Arguments::parse()).into()
}
