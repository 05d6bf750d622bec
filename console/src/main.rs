//! `vonggac`: the console, and a command for each of its screens.

use std::process::ExitCode;

use vonggac_console::cli;

fn main() -> ExitCode {
    cli::called(std::env::args_os()).into()
}
