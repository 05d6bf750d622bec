//! `vonggac-agent formats`: what the agent understands.

use vonggac_daemon::exit::Exit;

use super::say;

pub(super) fn run() -> Exit {
    for (name, about) in crate::format::list() {
        say(&format!("{name:<14} {about}"));
    }
    Exit::Success
}
