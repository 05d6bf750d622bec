//! Programs that a story starts by itself, beside a machine.

use std::{
    net::TcpListener,
    process::{Child, Output},
};

/// A program that is killed with the story.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _gone = (self.0.kill(), self.0.wait());
    }
}

/// What a program said on both its ways.
#[must_use]
pub fn text(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&both).trim().to_owned()
}

/// A port to which nobody listens now.
///
/// # Errors
/// If there is none.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
