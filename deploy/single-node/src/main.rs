//! `vonggac-single`: what is asked, and who does it.

use std::process::ExitCode;

use clap::Parser;
use vonggac_single::command::{self, Arguments};

fn main() -> ExitCode {
    command::run(Arguments::parse()).into()
}
