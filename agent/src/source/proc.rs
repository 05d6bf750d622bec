//! The kernel's own files: its lists of sockets, and who holds them. Read by the watch over state and by the search for services.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

/// Open files of one process that are looked through.
const OPEN_FILES_MAX: usize = 65_536;

/// Listening, and unconnected, as the kernel writes them.
const LISTEN: &str = "0A";
const UNCONNECTED: &str = "07";

/// A socket that waits for others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) address: SocketAddr,
    pub(crate) uid: String,
    pub(crate) inode: u64,
}

/// A line of `/proc/net/tcp` and its like, if it is of a socket that waits for others.
pub(crate) fn socket(line: &str, is_tcp: bool) -> Option<Socket> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (local, state) = (words.get(1)?, words.get(3)?);
    if *state != if is_tcp { LISTEN } else { UNCONNECTED } {
        return None;
    }
    let (ip, port) = local.split_once(':')?;
    // Words of four bytes, each in the machine's order.
    let word = |text: &str| u32::from_str_radix(text, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(ip)?)),
        32 => {
            let mut bytes = [0; 16];
            for (part, place) in bytes.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                part.copy_from_slice(&word(ip.get(place..place + 8)?)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    let address = SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?);
    let uid = (*words.get(7)?).to_owned();
    Some(Socket { address, uid, inode: words.get(9)?.parse().ok()? })
}

/// Numbers of the sockets that a process holds, by its folder; none, if this user may not know.
pub(crate) fn sockets_of(process: &Path) -> impl Iterator<Item = u64> {
    let open = fs::read_dir(process.join("fd")).into_iter().flatten();
    open.filter_map(Result::ok).take(OPEN_FILES_MAX).filter_map(|file| {
        let target = fs::read_link(file.path()).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_port_is_read_in_both_families() {
        let four = "   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   105        0 21337 1 0000 100 0 0 10 0";
        let found = socket(four, true).unwrap();
        assert_eq!((found.address, found.inode), ("127.0.0.1:5432".parse().unwrap(), 21337));
        let six = "   1: 00000000000000000000000001000000:0019 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1";
        let found = socket(six, true).unwrap();
        assert_eq!((found.address, found.inode), ("[::1]:25".parse().unwrap(), 77));
        assert_eq!(socket(&four.replace(" 0A ", " 01 "), true), None, "a connection");
        assert_eq!(socket("  sl  local_address rem_address   st", true), None);
    }
}
