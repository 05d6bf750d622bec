//! `vonggac-nation`: plays a simulated nation into Kafka, through the agent's own spool and shipper.

use std::process::ExitCode;

use clap::Parser;
use vonggac_nation::command::{self, Arguments};

fn main() -> ExitCode {
    command::run(&Arguments::parse()).into()
}
