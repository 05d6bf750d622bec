//! `vonggac-agent formats`: what the agent understands.

use vonggac_daemon::exit::Exit;

use super::say;

pub(super) fn run() -> Exit {
    for format in crate::format::list() {
        say(&format!("{:<20} {}", format.name, format.about));
        if !format.source.is_empty() {
            say(&format!("{:<20} from: {}", "", format.source));
        }
    }
    Exit::Success
}
