//! The small program between the supervisor and a part: it dies with the supervisor, however that dies.
//!
//! `vonggac-single child -- COMMAND` asks the kernel to be killed with its parent and then becomes COMMAND. A supervisor that was
//! killed leaves nothing behind, so a fresh one finds its ports and folders free.

use std::{os::unix::process::CommandExt, process::Command};

use rustix::process::{Signal, set_parent_process_death_signal};

/// Becomes the command; comes back only with an error.
pub fn become_command(command: &[String]) -> String {
    let parent = rustix::process::getppid();
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return format!("failed to bind the part to its supervisor: {error}");
    }
    // The parent may have died before the kernel knew.
    if rustix::process::getppid() != parent {
        return "failed to start: the supervisor is gone".into();
    }
    let Some((program, arguments)) = command.split_first() else {
        return "failed to start: no command".into();
    };
    let error = Command::new(program).args(arguments).exec();
    format!("failed to start {program}: {error}")
}
