//! What this process holds open, from `/proc`.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt as _};

/// Files and sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    /// Sockets among the files.
    pub(super) sockets: u64,
    /// All.
    pub(super) files: u64,
    /// How many there may be; `None`: as many as there is memory for.
    pub(super) files_max: Option<u64>,
}

/// What is open now; `None`: the system does not say.
#[must_use]
pub(super) fn open() -> Option<Open> {
    let mut open = Open { sockets: 0, files: 0, files_max: None };
    for entry in fs::read_dir("/proc/self/fd").ok()?.flatten() {
        open.files += 1;
        let is_socket = |to: &OsStr| to.as_bytes().starts_with(b"socket:");
        // One that was closed meanwhile has no target any longer.
        if fs::read_link(entry.path()).is_ok_and(|to| is_socket(to.as_os_str())) {
            open.sockets += 1;
        }
    }
    open.files_max = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    Some(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_files_are_counted_and_have_a_limit() {
        let sockets: Vec<_> =
            (0..20).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let file = fs::File::open("/proc/self/status").unwrap();
        let while_open = open().unwrap();
        assert!(while_open.sockets >= 20, "{while_open:?}");
        assert!(while_open.files > while_open.sockets, "{while_open:?}");
        assert!(while_open.files_max.is_none_or(|max| max >= while_open.files));
        drop((sockets, file));
    }
}
